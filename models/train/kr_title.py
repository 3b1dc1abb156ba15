#!/usr/bin/env python3
"""Trains kr-title.onnx: which Korean identity card's title line does a text strip show?

The general text recogniser used beside it knows no Hangul, so this small network answers the one question that
Hangul has to answer on a card: its kind. Everything it learns from is drawn here from fonts; no image of a card,
real or specimen, is used, and none of the drawn text belongs to a person.

    input   strip   [N,1,32,224] float32, pixel / 255 - 0.5, grey; the strip scaled to height 32 keeping its aspect,
                    then cut, or padded on the right with its own median, to width 224
    output  logits  [N,8]: 0 other, 1 resident, 2 licence, 3 alien, 4 permanent, 5 overseas, 6 youth,
                    7 any of 1-6 turned by 180 degrees

A title counts as such only when its deciding syllables lie inside the 224 columns (see DECIDING): 외국인등록증 cut off
before its last syllable is `other`, for it could be the caption 외국인등록번호. Precision matters more than recall here.

Needs Python 3.9+, numpy, Pillow, OpenCV, PyTorch (1.13 or later), and the fonts named in TRAIN_FONTS and HELD_FONTS
(Debian: fonts-nanum fonts-nanum-extra fonts-noto-cjk fonts-unfonts-core fonts-baekmuk).
`compare` needs onnxruntime as well. The model that ships was made with:

    kr_title.py make --fonts FONT_ROOT --data DATA --kind train --shards 68
    kr_title.py make --fonts FONT_ROOT --data DATA --kind held --shards 8
    kr_title.py make --fonts FONT_ROOT --data DATA --kind mild --shards 8
    kr_title.py train --data DATA --shards 33 --epochs 3 --rate 3e-3 --checkpoint first.pt
    kr_title.py train --data DATA --epochs 2 --rate 2.5e-3 --resume first.pt --checkpoint title.pt
    kr_title.py test --data DATA --kind held --checkpoint title.pt   (and --kind mild)
    kr_title.py export --checkpoint title.pt --onnx kr-title.onnx
    kr_title.py compare --checkpoint title.pt --onnx kr-title.onnx

Same seeds give the same strips, but not the same bytes of the model: its strips were drawn before two refinements of
this file (`still_differs` knew the long titles only; titles upside down were drawn half as often), and arithmetic
differs between processors.
"""

import argparse
import math
import random
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

HEIGHT, WIDTH = 32, 224
MILD = 0.2  # the level of degradation at which strips are also neither tiny nor faint
CLASSES = ["other", "resident", "licence", "alien", "permanent", "overseas", "youth", "upside-down"]
OTHER, UPSIDE_DOWN = 0, 7
SHARD = 2500

# ---------------------------------------------------------------------------------------------------------- fonts

TRAIN_FONTS = """
NanumBarunGothic.ttf NanumBarunGothicBold.ttf NanumBarunGothicLight.ttf NanumGothic.ttf NanumGothicBold.ttf
NanumGothicExtraBold.ttf NanumGothicLight.ttf NanumGothicEcoR.ttf NanumGothicCoding.ttf NanumMyeongjo.ttf
NanumMyeongjoBold.ttf NanumMyeongjoExtraBold.ttf NanumSquareL.ttf NanumSquareR.ttf NanumSquareB.ttf NanumSquareEB.ttf
NanumSquare_acB.ttf NanumSquare_acR.ttf NanumBarunpenB.ttf UnBatang.ttf UnBatangBold.ttf UnGraphic.ttf
UnGraphicBold.ttf UnDinaru.ttf UnDinaruBold.ttf UnGungseo.ttf batang.ttf gulim.ttf hline.ttf
NotoSansCJK-Regular.ttc NotoSansCJK-Bold.ttc
""".split()
# Whole families, never seen in training.
HELD_FONTS = """
UnDotum.ttf UnDotumBold.ttf dotum.ttf NanumSquareRoundR.ttf NanumSquareRoundB.ttf NanumSquareRoundEB.ttf
NotoSerifCJK-Regular.ttc NotoSerifCJK-Bold.ttc
""".split()
KOREAN_FACE = 1  # the index of the KR face in the Noto CJK collections
EM = 48  # all glyphs are drawn at this size, then warped to the size of the scene


class Face:
    """One font file; draws single glyphs and remembers them."""

    def __init__(self, path, fallback=None):
        index = KOREAN_FACE if path.suffix == ".ttc" else 0
        self.font = ImageFont.truetype(str(path), EM, index=index)
        self.ascent = self.font.getmetrics()[0]
        self.fallback = fallback
        self.glyphs = {}
        self.missing = self._mask("\uffff")[0].tobytes()

    def _mask(self, char):
        image = Image.new("L", (EM * 2, EM * 2), 0)
        ImageDraw.Draw(image).text((EM // 2, EM // 2 + EM - self.ascent), char, font=self.font, fill=255)
        return np.asarray(image), self.font.getlength(char)

    def glyph(self, char):
        """The glyph in a square of 2 EM with its origin at EM / 2, and its advance."""
        if char not in self.glyphs:
            mask, advance = self._mask(char)
            if self.fallback and char != " " and (mask.tobytes() == self.missing or not mask.any()):
                mask, advance = self.fallback.glyph(char)
            self.glyphs[char] = (mask, advance)
        return self.glyphs[char]


def load_faces(root, names):
    found = {path.name: path for path in sorted(Path(root).rglob("*")) if path.suffix in (".ttf", ".ttc", ".otf")}
    absent = [name for name in names if name not in found]
    if absent:
        print("fonts not found, left out:", " ".join(absent))
    fallback = Face(found["NotoSansCJK-Regular.ttc"])
    return [Face(found[name], fallback) for name in names if name in found]


# ----------------------------------------------------------------------------------------------------------- text

HANGUL = [
    bytes([row, cell]).decode("euc-kr") for row in range(0xB0, 0xC9) for cell in range(0xA1, 0xFF)
]  # the 2,350 syllables of KS X 1001
COMMON = list("가강거경고공과관광구국군권금기길김나남내년대도동등로록리면명무문민박발번법보부북산상서선성세소수시신안여연영외용우원월위유의이인일자장전정제조종주중증지진천청체출층최충치통포하학한해행허현형호화회")
SURNAMES = list("김이박최정강조윤장임한오서신권황안송류전홍고문양손배백허유남심노하곽성차주우구민진지엄채원천방공현")
GIVEN = list("민서지우현준예은수진영호성재훈태동혜경미선희정연주원윤아하나라다은채빈유승도건규상철용석광일병기종환창순옥자숙")
HANJA = list("住民登錄證朴金李崔鄭姜趙尹張林洪吉洞智英秀賢俊恩眞成美善大韓國人身分運轉免許外永生東西南北山川日月年")
PLACES = "서울특별시 부산광역시 대구광역시 인천광역시 광주광역시 대전광역시 경기도 강원도 충청북도 전라남도 경상북도 제주특별자치도 세종특별자치시".split()

TITLES = {
    1: ["주민등록증"],
    2: ["자동차운전면허증", "자동차운전면허증", "자동차 운전면허증", "운전면허증"],
    3: ["외국인등록증"],
    4: ["영주증"],
    5: ["국내거소신고증", "국내거소신고증", "외국국적동포 국내거소신고증", "외국국적동포국내거소신고증"],
    6: ["청소년증"],
}
# The last syllable that has to be seen, for titles too long for the strip; for the others it is the last one.
DECIDING = {"자동차운전면허증": "면", "자동차 운전면허증": "면", "국내거소신고증": "고", "외국국적동포 국내거소신고증": "내",
            "외국국적동포국내거소신고증": "내"}
TAILS = {
    1: ["(住民登錄證)", " (住民登錄證)", "(재외국민)", " (재외국민)", " Resident Registration Card", " RESIDENT CARD", "(住民登録證)"],
    2: [" (Driver's License)", "(Driver's License)", " Driver's License", " DRIVER'S LICENSE", " (Driver License)",
        " (제1종 보통)", "(2종보통)"],
    3: [" ALIEN REGISTRATION CARD", "(ALIEN REGISTRATION CARD)", " RESIDENCE CARD", " Alien Registration Card", " (RESIDENCE CARD)"],
    4: [" PERMANENT RESIDENT CARD", " RESIDENCE CARD", "(PERMANENT RESIDENT CARD)", " Permanent Resident", "(永住證)"],
    5: [" RESIDENCE CARD", " OVERSEAS KOREAN RESIDENT CARD", "(RESIDENCE CARD)", " Overseas Korean"],
    6: [" Youth ID Card", " YOUTH ID CARD", " (Youth ID)", "(Youth ID Card)", "(靑少年證)"],
}
NEAR = """
주민등록번호 등록번호 외국인등록번호 운전면허번호 면허증번호 면허번호 학생증 신분증 공무원증 사원증 회원증 장애인등록증
여권 등록증 영수증 보증금 청소년 주민센터 주민등록 주민등록표 주민등록등본 주민등록초본 외국인등록 외국인 외국인청장 운전면허
운전면허시험장 자동차 자동차등록증 자동차등록번호판 사업자등록증 국가유공자증 장애인복지카드 국내거소 국내거소신고번호 거소신고
재외동포 재외국민 외국국적동포 영주 영주권 영주시 영주동 보증 증명서 인증서 확인증 수료증 자격증 면허증 출입증 통행증 상품권
청소년증명서 청소년센터 청소년복지카드 청년증 소년증 경로우대증 어린이증 국제운전면허증 임시운전면허증 연습운전면허증 임시주민등록증
주민등록증발급신청확인서 운전면허증명서 외국인등록사실증명 영주증명 국내거소신고사실증명 건강보험증 의료보험증 선원증 승무원증 군인신분증
모바일신분증 외교관신분증 체류자격 체류기간 발급일자 성명 국적 국가/지역 생년월일 유효기간 적성검사 갱신기간 조건 암호일련번호 대한민국
주소 성별 남 여 이름 서명 기간 부터 까지 1종보통 2종보통 1종대형 2종소형 원동기 서울지방경찰청장 경기남부경찰청장 도로교통공단
서울출입국외국인청장 인천출입국외국인청장 여성가족부장관 법무부장관 구청장 군수 시장 보건복지부 행정안전부 경찰청 장기기증 조직기증
체류지변경 국내거소변경 신고일자 이증을습득하신분은 우체통에넣어주십시오 홈페이지 관인 직인 예금통장 통장사본 신용카드 교통카드 도서대출증
""".split()
LATIN = """
REPUBLIC OF KOREA ALIEN REGISTRATION CARD RESIDENCE PERMANENT RESIDENT DRIVER'S LICENSE Youth ID Card Name Country Region
Status Issue Date Sex Nationality PASSPORT SPECIMEN TEST GILDONG HONG KIM LEE PARK CHIEF SEOUL IMMIGRATION OFFICE IDENTITY
Registration No. Type Surname Given names Authority Date of birth Expiry Republique carte nationale visa MINISTRY JUSTICE
""".split()
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def digits(r, count):
    return "".join(r.choice("0123456789") for _ in range(count))


def jamo_neighbour(r, char):
    """Another syllable that differs in one letter."""
    code = ord(char) - 0xAC00
    if not 0 <= code < 11172:
        return r.choice(COMMON)
    lead, vowel, tail = code // 588, code % 588 // 28, code % 28
    which = r.randrange(2)
    if which == 0:
        lead = r.randrange(19)
    else:
        vowel = r.randrange(21)
    return chr(0xAC00 + lead * 588 + vowel * 28 + tail)


def near_title(r):
    """A title damaged so much that it is none: a syllable exchanged, missing, swapped, or Hangul attached to it."""
    title = list(r.choice(TITLES[r.randint(1, 6)]).replace(" ", ""))
    kind = r.random()
    if kind < 0.5:
        for _ in range(r.choice([1, 1, 2, 2, 3])):
            at = r.randrange(len(title)) if r.random() < 0.7 else len(title) - 1
            title[at] = jamo_neighbour(r, title[at]) if r.random() < 0.12 else r.choice(COMMON)
    elif kind < 0.65:
        cut = r.randint(1, max(1, len(title) // 2))
        title = title[:-cut] if r.random() < 0.6 else title[cut:]
    elif kind < 0.75:
        r.shuffle(title)
    elif kind < 0.9:
        title += r.choice(["번호", "발급", "명서", "확인", "사본", "갱신", "신청서", "분실신고", "을", "이란", "소지자"])
    else:
        title[:0] = list(r.choice(["국제", "임시", "비", "구", "신", "제", "가", "재발급", "장애인"]))
    text = "".join(title)
    plain = text.replace(" ", "")
    whole = {t.replace(" ", "") for group in TITLES.values() for t in group}
    if any(plain == t for t in whole) or plain in ("자동차운전면허증", "차운전면허증", "동차운전면허증", "거소신고증"):
        return r.choice(NEAR)
    return text


def person(r):
    return r.choice(SURNAMES) + "".join(r.choice(GIVEN) for _ in range(r.choice([1, 2, 2, 2, 3])))


def address(r):
    place = r.choice(PLACES) + " " if r.random() < 0.5 else ""
    place += "".join(r.choice(COMMON) for _ in range(2)) + r.choice("시군구동읍면") + " "
    place += "".join(r.choice(COMMON) for _ in range(r.randint(1, 3))) + r.choice(["로", "길", "동", "리", "아파트"])
    return place + " " + digits(r, r.randint(1, 3)) + r.choice(["", "호", "-1", "번길"])


def number(r):
    year, month, day = r.randint(1930, 2030), r.randint(1, 12), r.randint(1, 31)
    birth = f"{year % 100:02d}{month:02d}{day:02d}"
    kind = r.randrange(6)
    if kind == 0:
        return f"{birth}-{digits(r, 7)}"
    if kind == 1:
        return r.choice(["{}.{}.{}.", "{}. {}. {}.", "{}.{:02d}.{:02d}", "{}-{:02d}-{:02d}", "{}년 {}월 {}일"]).format(year, month, day)
    if kind == 2:
        return f"{r.randint(11, 28)}-{digits(r, 2)}-{digits(r, 6)}-{digits(r, 2)}"
    if kind == 3:
        return f"{r.choice(['서울', '경기', '부산', '제주'])} {digits(r, 2)}-{digits(r, 6)}-{digits(r, 2)}"
    if kind == 4:
        return "".join(r.choice(LETTERS + "0123456789<<<<") for _ in range(r.choice([30, 36, 44])))
    return digits(r, r.randint(1, 12))


NEAR_TITLES = 0.24  # the share of near_title among the lines that are no title


def other_text(r):
    """A line that is no title, most of them such as documents carry."""
    kind = r.random()
    if kind < NEAR_TITLES:
        return near_title(r)
    if kind < 0.46:
        word = r.choice(NEAR)
        return word if r.random() < 0.7 else word + r.choice([" ", ": ", " / ", "("]) + r.choice(NEAR + LATIN)
    if kind < 0.56:
        return person(r) + ("" if r.random() < 0.6 else "(" + "".join(r.choice(HANJA) for _ in range(3)) + ")")
    if kind < 0.64:
        return address(r)
    if kind < 0.74:
        return number(r)
    if kind < 0.82:
        return " ".join(r.choice(LATIN) for _ in range(r.randint(1, 4)))
    if kind < 0.85:
        return r.choice(["住民登錄證", "運轉免許證", "外國人登錄證", "大韓民國"]) if r.random() < 0.5 else "".join(
            r.choice(HANJA) for _ in range(r.randint(2, 8)))
    pool = HANGUL if r.random() < 0.4 else COMMON
    text = "".join(r.choice(pool) + (" " if r.random() < 0.1 else "") for _ in range(r.randint(1, 12))).strip()
    # A word that ends or starts like a title is the hardest to tell from one.
    if r.random() < 0.35:
        text = text[: r.randint(1, 5)] + r.choice(["증", "등록증", "신고증", "허증", "면허증", "년증", "주증"])
    elif r.random() < 0.2:
        text = r.choice(["주민", "주민등록", "외국인", "외국인등록", "운전", "자동차", "국내거소", "영주", "청소년"]) + text[:4]
    return text


# -------------------------------------------------------------------------------------------------------- drawing


def draw_line(r, face, text, spacing):
    """The line as a coverage mask, and for each character its left and right edge in it."""
    advances = [face.glyph(char)[1] for char in text]
    width = int(sum(advances) + spacing * len(text)) + 2 * EM
    line = np.zeros((2 * EM, width + EM), np.uint8)
    x, edges = EM / 2, []
    for char, advance in zip(text, advances):
        mask = face.glyph(char)[0]
        left = int(round(x - EM / 2))
        part = line[:, left : left + 2 * EM]
        np.maximum(part, mask[:, : part.shape[1]], out=part)
        edges.append((x, x + advance))
        x += advance + (spacing * 0.5 if char == " " else spacing)
    return line, edges


def style_line(r, mask):
    """Bolder, thinner, hollow or embossed strokes; the mask's values stay 0..255."""
    kind = r.random()
    if kind < 0.12:
        return cv2.dilate(mask, np.ones((2, 2), np.uint8))
    if kind < 0.20:
        return cv2.dilate(mask, np.ones((3, 3), np.uint8))
    if kind < 0.26:
        return cv2.erode(mask, np.ones((2, 2), np.uint8))
    if kind < 0.33:  # outlined letters, the inside of some other strength
        edge = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        return np.maximum(edge, (mask * r.uniform(0, 0.7)).astype(np.uint8))
    return mask


class Grounds:
    """A pool of grounds to print on: plain, shaded, guilloche, cloudy, photo-like."""

    HEIGHT, WIDTH = 170, 1500

    def __init__(self, seed, count=70):
        rng = np.random.RandomState(seed)
        self.pool = [self._one(rng, index) for index in range(count)]

    def _one(self, rng, index):
        height, width = self.HEIGHT, self.WIDTH
        base = rng.uniform(135, 250) if index % 9 else rng.uniform(30, 120)
        image = np.full((height, width), base, np.float32)
        image += np.linspace(-1, 1, width)[None] * rng.uniform(-40, 40) + np.linspace(-1, 1, height)[:, None] * rng.uniform(-25, 25)
        columns = np.arange(0, width, 3)
        if index % 4:
            spread, darker = rng.uniform(8, 55), rng.uniform(-1, 0.6)
            for _ in range(rng.randint(5, 40)):
                wave, fine = rng.uniform(0.004, 0.07), rng.uniform(2, 5)
                rows = rng.uniform(-20, height + 20) + rng.uniform(2, 50) * np.sin(columns * wave + rng.uniform(0, 6.3))
                rows += rng.uniform(0, 8) * np.sin(columns * wave * fine)
                points = np.stack([columns, rows], 1).astype(np.int32).reshape(-1, 1, 2)
                cv2.polylines(image, [points], False, (float(base + darker * spread),), int(rng.choice([1, 1, 1, 2, 3])), cv2.LINE_AA)
        cloud = cv2.resize(rng.randn(8, 40).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        image += cloud * (rng.uniform(0, 12) if index % 7 else rng.uniform(15, 60))
        if index % 6 == 1:
            image += rng.randn(height, width).astype(np.float32) * rng.uniform(2, 14)
        return np.clip(image, 0, 255)

    def cut(self, r, height, width):
        """A piece at a scale of its own."""
        pool = r.choice(self.pool)
        scale = r.uniform(0.6, 2.2)
        rows, columns = min(int(height * scale) + 2, self.HEIGHT), min(int(width * scale) + 2, self.WIDTH)
        top, left = r.randrange(self.HEIGHT - rows + 1), r.randrange(self.WIDTH - columns + 1)
        return cv2.resize(pool[top : top + rows, left : left + columns], (width, height), interpolation=cv2.INTER_LINEAR)


def clutter(r, image):
    """Things beside a line: an emblem, a frame, a piece of a photo."""
    height, width = image.shape
    kind = r.randrange(4)
    tone = float(r.uniform(20, 200))
    left = r.random() < 0.6
    x = int(r.uniform(-0.3, 0.25) * height) if left else width - int(r.uniform(-0.3, 0.25) * height)
    if kind == 0:
        cv2.circle(image, (x, height // 2), max(2, int(height * r.uniform(0.15, 0.4))), (tone,), -1, cv2.LINE_AA)
    elif kind == 1:
        cv2.line(image, (x, 0), (x, height), (tone,), r.randint(1, 3))
    elif kind == 2:
        y = int(r.choice([r.uniform(0, 0.08), r.uniform(0.92, 1)]) * height)
        cv2.line(image, (0, y), (width, y + r.randint(-2, 2)), (tone,), r.randint(1, 3))
    else:
        edge = max(1, min(width - 1, x if left else width - x))
        part = image[:, :edge] if left else image[:, -edge:]
        part[:] = np.clip(tone + cv2.resize(np.random.RandomState(r.randrange(1 << 30)).randn(4, 4).astype(np.float32), (part.shape[1], height)) * 30, 0, 255)


def degrade(r, image, level):
    """What lens, light and compression do, at the scene's resolution."""
    height, width = image.shape
    rng = np.random.RandomState(r.randrange(1 << 30))
    if r.random() < 0.2 * level:  # a streak of glare
        at, slant = r.uniform(0, width), r.uniform(-1.5, 1.5)
        across = np.arange(width)[None] - at - slant * np.arange(height)[:, None]
        image = image + r.uniform(15, 110) * np.exp(-((across / r.uniform(0.3 * height, 2.5 * height)) ** 2))
    if r.random() < 0.2 * level:  # a shadow
        across = np.arange(width)[None] - r.uniform(0, width) + r.uniform(-1, 1) * np.arange(height)[:, None]
        image = image * (1 - r.uniform(0.1, 0.5) / (1 + np.exp(-across / r.uniform(2, height))))
    kind = r.random()
    if kind < 0.40 * level:
        image = cv2.GaussianBlur(image, (0, 0), r.uniform(0.3, 0.3 + height / 26))
    elif kind < 0.55 * level:
        size = r.randint(2, max(2, int(height / 9)))
        kernel = np.zeros((size, size), np.float32)
        angle, middle = r.uniform(0, math.pi), (size - 1) / 2
        for step in np.linspace(-middle, middle, 2 * size):
            kernel[int(round(middle + step * math.sin(angle))), int(round(middle + step * math.cos(angle)))] = 1
        image = cv2.filter2D(image, -1, kernel / kernel.sum())
    if r.random() < 0.5:
        image = (image - 128) * r.uniform(0.5, 1.25) + 128 + r.uniform(-35, 25)
    if r.random() < 0.55 * level:
        image = image + rng.randn(height, width) * r.uniform(1, 13)
    image = np.clip(image, 0, 255).astype(np.uint8)
    if r.random() < 0.55 * level:
        image = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, r.randint(25, 92)])[1], 0)
    return image


def fit(r, image):
    """The caller's preparation: height 32, then cut or padded with the median to 224 columns. Also the scale used."""
    height, width = image.shape
    scale = HEIGHT / height
    target = max(4, int(round(width * scale)))
    how = cv2.INTER_AREA if scale < 1 and r.random() < 0.5 else r.choice([cv2.INTER_LINEAR, cv2.INTER_LINEAR, cv2.INTER_CUBIC])
    small = cv2.resize(image, (target, HEIGHT), interpolation=how)
    out = np.full((HEIGHT, WIDTH), int(np.median(small)), np.uint8)
    out[:, : min(target, WIDTH)] = small[:, :WIDTH]
    return out, target / width


def seen_part(span, right=WIDTH):
    """How much of a span of columns lies left of `right`."""
    left, end = span
    return min(1.0, max(0.0, (right - left) / max(1e-6, end - left)))


def visible_label(label, title, spans):
    """The class of what is left of a title after cutting; None when that is a matter of taste."""
    deciding = title.index(DECIDING[title]) if title in DECIDING else len(title) - 1
    seen = seen_part(spans[deciding])
    return label if seen > 0.85 else (OTHER if seen < 0.3 else None)


def still_differs(text, spans):
    """Whether a text that begins like a title (영주증명, 자동차운전면허시험장) is still told from it after cutting."""
    for title in sum(TITLES.values(), []):
        start = title[: title.index(DECIDING[title]) + 1] if title in DECIDING else title
        if text.startswith(start):
            same = next((at for at, (a, b) in enumerate(zip(text, title)) if a != b), len(title))
            if same >= len(text):
                return spans[-1][1] < WIDTH - 12
            if seen_part(spans[same]) < 0.8:
                return False
    return True


def visible_label_turned(title, spans):
    """The same for a title turned by 180 degrees, whose beginning is what gets cut. Spans as seen after turning."""
    part = sum(seen_part(span) for span in spans) / len(spans)
    return UPSIDE_DOWN if part > 0.85 or (part > 0.6 and len(title) > 7) else (OTHER if part < 0.3 else None)


def strip(r, faces, grounds, level, wanted):
    """One strip and its class, or None where the class would be a matter of taste.

    `level` 0..1 is how much the scene is degraded; `wanted` is the class asked for, which cutting can turn to OTHER.
    """
    turned = False
    title = None
    label = wanted
    if wanted == OTHER:
        if r.random() < 0.06:
            return wordless(r, grounds, level), OTHER
        text = other_text(r)
        turned = r.random() < 0.13
    else:
        if wanted == UPSIDE_DOWN:
            label, turned = r.randint(1, 6), True
        title = r.choice(TITLES[label])
        text = title + (r.choice(TAILS[label]) if r.random() < (0.25 if not turned else 0.1) else "")
    face = r.choice(faces)
    spacing = EM * r.choice([0, 0, 0, r.uniform(-0.08, 0.1), r.uniform(0.05, 0.45), r.uniform(0.3, 1.0)])
    if len(text) > 16:
        spacing = min(spacing, 0.1 * EM)
    mask, edges = draw_line(r, face, text, spacing)
    mask = style_line(r, mask)
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    if len(columns) == 0:
        return None
    x0, x1, y0, y1 = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
    glyph = max(y1 - y0, EM * 0.5)

    # The box a detector would draw, in mask units, then the map of that box to the scene's resolution.
    loose = r.choice([0.12, 0.35])
    top, bottom = y0 - r.uniform(-0.08, loose) * glyph, y1 + r.uniform(-0.08, loose) * glyph
    left, right = x0 - r.uniform(-0.07, 0.45) * glyph, x1 + r.uniform(-0.05, 0.6) * glyph
    if wanted == OTHER and r.random() < 0.03:  # half a line
        shift = r.choice([-1, 1]) * r.uniform(0.6, 0.9) * glyph
        top, bottom = top + shift, bottom + shift
    size = math.exp(r.uniform(math.log(11 if level > MILD else 18), math.log(60)))
    sy = size / glyph
    sx = sy * (r.uniform(0.72, 1.4) if r.random() < 0.5 else r.uniform(0.92, 1.08))
    height, width = max(9, int(round((bottom - top) * sy))), max(9, int(round((right - left) * sx)))
    width = min(width, 14 * height)
    box = np.float32([[left, top], [left + width / sx, top], [left + width / sx, bottom], [left, bottom]])
    angle = math.radians(r.gauss(0, 1.1) if width < 6 * height else r.gauss(0, 0.6))
    angle = max(-0.052, min(0.052, angle))
    shear = r.gauss(0, 0.05) if r.random() < 0.75 else r.uniform(-0.35, 0.35)
    middle = np.array([width / 2, height / 2])
    corners = []
    for x, y in [(0, 0), (width, 0), (width, height), (0, height)]:
        dx, dy = x - middle[0], y - middle[1]
        dx += shear * dy
        corners.append([
            middle[0] + dx * math.cos(angle) - dy * math.sin(angle) + r.gauss(0, 0.02) * height,
            middle[1] + dx * math.sin(angle) + dy * math.cos(angle) + r.gauss(0, 0.015) * height,
        ])
    matrix = cv2.getPerspectiveTransform(box, np.float32(corners))
    if sy < 0.7:
        mask = cv2.GaussianBlur(mask, (0, 0), 0.35 / sy)
    cover = cv2.warpPerspective(mask, matrix, (width, height), flags=cv2.INTER_LINEAR).astype(np.float32) / 255

    # Neighbouring lines that a loose box shows in part.
    if r.random() < 0.15:
        extra, _ = draw_line(r, face, other_text(r)[:14], 0)
        gap = r.uniform(1.15, 1.6) * glyph * r.choice([-1, 1])
        move = np.float64([[1, 0, r.uniform(-2, 3) * EM], [0, 1, gap], [0, 0, 1]])
        cover = np.maximum(cover, cv2.warpPerspective(extra, matrix @ move, (width, height)).astype(np.float32) / 255)

    scene = grounds.cut(r, height, width)
    if r.random() < 0.1:
        clutter(r, scene)
    tone = float(np.median(scene))
    contrast = r.choice([r.uniform(25, 70), r.uniform(50, 140), r.uniform(80, 230), r.uniform(80, 230)])
    if level <= MILD:
        contrast = max(contrast, 60.0)
    light = (r.random() < 0.08 and tone < 190) or tone < 75
    ink = tone + contrast if light else tone - contrast
    ink = min(255.0, max(4.0, ink)) if abs(min(255.0, max(4.0, ink)) - tone) > 20 else (255.0 if tone < 128 else 0.0)
    if r.random() < 0.08:  # raised or shadowed letters
        offset = max(1, int(height / 22))
        shadow = np.roll(cover, (offset, offset), (0, 1))
        scene = scene + shadow * r.choice([-1, 1]) * r.uniform(15, 70)
    scene = scene * (1 - cover) + ink * cover
    if turned:
        scene = scene[::-1, ::-1]
    scene = degrade(r, np.ascontiguousarray(scene), level)
    out, scale = fit(r, scene)

    shown = edges if title is None else edges[: len(title)]
    points = np.float32([[[edge, (y0 + y1) / 2] for pair in shown for edge in pair]])
    spans = cv2.perspectiveTransform(points, matrix)[0][:, 0].reshape(-1, 2) * scale
    if title is None:
        return (out, OTHER) if turned or still_differs(text, spans) else None
    if turned:
        label = visible_label_turned(title, [(width * scale - end, width * scale - start) for start, end in spans])
    else:
        label = visible_label(label, title, spans)
    return None if label is None else (out, label)


def wordless(r, grounds, level):
    """No words at all: bare ground, a seal, the edge of a photo, bars, blocks, noise."""
    height = r.randint(10, 70)
    width = int(height * r.uniform(0.5, 9))
    scene = grounds.cut(r, height, width)
    kind = r.randrange(6)
    rng = np.random.RandomState(r.randrange(1 << 30))
    tone = float(r.uniform(20, 170))
    if kind == 1:  # a seal's frame and strokes
        for x in range(0, width, height):
            cv2.rectangle(scene, (x + 1, 1), (x + height - 2, height - 2), (tone,), max(1, height // 14))
            for _ in range(r.randint(4, 12)):
                a, b = rng.randint(0, height, 2), rng.randint(0, height, 2)
                end = (x + int(b[0]), int(a[1])) if r.random() < 0.5 else (x + int(a[0]), int(b[1]))
                cv2.line(scene, (x + int(a[0]), int(a[1])), end, (tone,), max(1, height // 14))
    elif kind == 2:
        scene = np.clip(cv2.resize(rng.randn(5, 9).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC) * 60 + 120, 0, 255)
    elif kind == 3:
        bars = cv2.resize(rng.randint(0, 2, (1, max(4, width // r.randint(1, 4)))).astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST)
        scene = scene * (1 - bars) + tone * bars
    elif kind == 4:
        cell = r.randint(2, 6)
        blocks = cv2.resize(rng.randint(0, 2, (height // cell + 1, width // cell + 1)).astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST)
        scene = scene * (1 - blocks) + tone * blocks
    elif kind == 5:
        for _ in range(r.randint(2, 30)):
            a, b = rng.randint(0, width, 2), rng.randint(0, height, 2)
            cv2.line(scene, (int(a[0]), int(b[0])), (int(a[1]), int(b[1])), (tone,), r.randint(1, 4))
    if r.random() < 0.4:
        clutter(r, scene)
    return fit(r, degrade(r, np.ascontiguousarray(scene, dtype=np.float32), level))[0]


def make(args):
    """Writes shards of strips, named by their kind: train, held or mild.

    train: the training fonts. The others draw from the held-out fonts, on grounds not trained on: held about as
    hard as train; mild with legible strips only and without invented near-titles.
    """
    cv2.setNumThreads(1)
    global NEAR_TITLES
    held = args.kind != "train"
    faces = load_faces(args.fonts, HELD_FONTS if held else TRAIN_FONTS)
    grounds = Grounds(977 if held else 11)
    NEAR_TITLES = 0.0 if args.kind == "mild" else NEAR_TITLES
    Path(args.data).mkdir(parents=True, exist_ok=True)
    for shard in range(args.first, args.first + args.shards):
        began = time.time()
        r = random.Random(f"{args.kind}-{shard}-{args.seed}")
        strips, labels = [], []
        while len(labels) < SHARD:
            wanted = OTHER if r.random() < 0.5 else r.choice([1, 2, 3, 4, 5, 6, UPSIDE_DOWN, UPSIDE_DOWN])
            level = {"train": 0, "held": 0.6, "mild": MILD}[args.kind] or r.choice([0.3, 0.6, 1.0])
            made = strip(r, faces, grounds, level, wanted)
            if made is not None:
                strips.append(made[0])
                labels.append(made[1])
        np.savez(Path(args.data) / f"{args.kind}-{shard:03d}.tmp.npz", x=np.stack(strips), y=np.array(labels, np.int64))
        (Path(args.data) / f"{args.kind}-{shard:03d}.tmp.npz").rename(Path(args.data) / f"{args.kind}-{shard:03d}.npz")
        print(f"{args.kind}-{shard:03d}", round(SHARD / (time.time() - began)), "strips/s", flush=True)


def load(data, name, limit=None):
    files = sorted(path for path in Path(data).glob(f"{name}-???.npz"))[:limit]
    parts = [np.load(path) for path in files]
    return np.concatenate([part["x"] for part in parts]), np.concatenate([part["y"] for part in parts])


# ---------------------------------------------------------------------------------------------------------- model


def network():
    """Plain convolutions that halve the height five times, then three along the line, then a flattened head.

    The head is not pooled away: the strip is left-aligned, so the order and place of the syllables carry the class.
    """
    from torch import nn

    def conv(inside, outside, kernel=(3, 3), stride=(1, 1), padding=None):
        padding = (kernel[0] // 2, kernel[1] // 2) if padding is None else padding
        return [nn.Conv2d(inside, outside, kernel, stride, padding, bias=False), nn.BatchNorm2d(outside), nn.ReLU(inplace=True)]

    return nn.Sequential(
        *conv(1, 16, kernel=(5, 5), stride=(2, 2)),  # 16 x 112
        *conv(16, 32, stride=(2, 2)),  # 8 x 56
        *conv(32, 48),
        *conv(48, 64, stride=(2, 2)),  # 4 x 28
        *conv(64, 80, stride=(2, 1)),  # 2 x 28
        *conv(80, 64, kernel=(2, 3), padding=(0, 1)),  # 1 x 28
        *conv(64, 64, kernel=(1, 3)),
        nn.MaxPool2d((1, 2)),  # 1 x 14
        *conv(64, 64, kernel=(1, 3)),
        nn.MaxPool2d((1, 2)),  # 1 x 7
        *conv(64, 64, kernel=(1, 3)),
        nn.Flatten(),
        nn.Dropout(0.15),
        nn.Linear(64 * 7, 64),
        nn.ReLU(inplace=True),
        nn.Linear(64, len(CLASSES)),
    )


def as_input(strips, rng=None):
    """Pixels to the network's range; in training also small, cheap changes so that no strip is seen twice alike."""
    import torch

    x = torch.from_numpy(strips).float().div_(255).sub_(0.5).unsqueeze_(1)
    if rng is not None:
        count = len(strips)
        x = x * torch.from_numpy(rng.uniform(0.7, 1.2, (count, 1, 1, 1)).astype(np.float32))
        x = x + torch.from_numpy(rng.uniform(-0.15, 0.15, (count, 1, 1, 1)).astype(np.float32))
        x = x + torch.randn_like(x) * torch.from_numpy(rng.uniform(0, 0.025, (count, 1, 1, 1)).astype(np.float32))
        down, along = int(rng.randint(-1, 2)), int(rng.randint(-3, 4))
        x = x.clamp_(-0.5, 0.5)
        pad = torch.nn.functional.pad(x, (3, 3, 1, 1), mode="replicate")
        x = pad[:, :, 1 + down : 1 + down + HEIGHT, 3 + along : 3 + along + WIDTH]
    return x


def train(args):
    import torch

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    rng = np.random.RandomState(args.seed)
    model = network()
    if args.resume:
        model.load_state_dict(torch.load(args.resume))
    print(sum(p.numel() for p in model.parameters()), "parameters")
    # A false title costs more than a missed one.
    weights = torch.ones(len(CLASSES))
    weights[OTHER] = args.other_weight
    loss_of = torch.nn.CrossEntropyLoss(weight=weights)
    strips, labels = load(args.data, "train", args.shards or None)
    held = load(args.data, "held", 2)
    steps = args.epochs * (len(labels) // args.batch)
    optimiser = torch.optim.AdamW(model.parameters(), lr=args.rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, args.rate, total_steps=steps, pct_start=0.15)
    began, step = time.time(), 0
    for epoch in range(args.epochs):
        model.train()
        order = rng.permutation(len(labels))
        total = 0.0
        for at in range(0, len(labels) // args.batch * args.batch, args.batch):
            pick = order[at : at + args.batch]
            loss = loss_of(model(as_input(strips[pick], rng)), torch.from_numpy(labels[pick]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
            step += 1
            if step % 100 == 0:
                print(f"step {step}/{steps} loss {total / (at // args.batch + 1):.4f} {step * args.batch / (time.time() - began):.0f}/s", flush=True)
        torch.save(model.state_dict(), args.checkpoint)
        print("epoch", epoch, "of", args.epochs, flush=True)
        report(model, *held)


def probabilities(model, strips):
    import torch

    model.eval()
    with torch.no_grad():
        parts = [torch.softmax(model(as_input(strips[at : at + 500])), 1) for at in range(0, len(strips), 500)]
    return torch.cat(parts).numpy()


def report(model, strips, labels):
    """Recall by class and false titles among `other`, at several thresholds."""
    scores = probabilities(model, strips)
    best, sure = scores.argmax(1), scores.max(1)
    for threshold in (0.9, 0.97, 0.99):
        taken = np.where(sure >= threshold, best, OTHER)
        recall = " ".join(f"{CLASSES[c]} {np.mean(taken[labels == c] == c):.3f}" for c in range(1, len(CLASSES)))
        titles = labels != OTHER
        mixed = np.mean((taken != labels) & (taken != OTHER) & titles) / max(1e-9, np.mean(titles))
        false = np.sum(taken[~titles] != OTHER)
        print(f"  p>={threshold}: recall {np.mean(taken[titles] == labels[titles]):.4f} ({recall}); "
              f"false titles {false} of {np.sum(~titles)} = {false / max(1, np.sum(~titles)):.5f}; title mixed up {mixed:.5f}", flush=True)


def restore(checkpoint):
    import torch

    model = network()
    model.load_state_dict(torch.load(checkpoint))
    return model.eval()


def test(args):
    import torch

    torch.set_num_threads(args.threads)
    report(restore(args.checkpoint), *load(args.data, args.kind))


def export(args):
    """Writes the ONNX file; the exporter folds each BatchNorm into its convolution."""
    import torch

    torch.onnx.export(restore(args.checkpoint), (torch.zeros(2, 1, HEIGHT, WIDTH),), args.onnx, input_names=["strip"],
                      output_names=["logits"], dynamic_axes={"strip": {0: "batch"}, "logits": {0: "batch"}},
                      opset_version=13)
    print(args.onnx, Path(args.onnx).stat().st_size, "bytes")


def compare(args):
    """The ONNX file against the checkpoint: names, shapes, and the largest difference of any logit."""
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(args.onnx)
    print([(i.name, i.shape) for i in session.get_inputs()], [(o.name, o.shape) for o in session.get_outputs()])
    x = np.random.RandomState(3).uniform(-0.5, 0.5, (7, 1, HEIGHT, WIDTH)).astype(np.float32)
    with torch.no_grad():
        expected = restore(args.checkpoint)(torch.from_numpy(x)).numpy()
    print("largest difference", np.abs(session.run(["logits"], {"strip": x})[0] - expected).max())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)

    def command(name, run, **options):
        sub = commands.add_parser(name, help=(run.__doc__ or name).split("\n")[0])
        sub.set_defaults(run=run)
        for option, default in options.items():
            flag = "--" + option.replace("_", "-")
            if default is None:
                sub.add_argument(flag, required=option not in ("resume",))
            else:
                sub.add_argument(flag, type=type(default), default=default)

    command("make", make, fonts=None, data=None, kind="train", shards=10, first=0, seed=1)
    command("train", train, data=None, checkpoint=None, resume=None, shards=0, epochs=3, batch=64, rate=3e-3,
            other_weight=1.5, seed=1, threads=1)
    command("test", test, data=None, checkpoint=None, kind="held", threads=1)
    command("export", export, checkpoint=None, onnx=None)
    command("compare", compare, checkpoint=None, onnx=None)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
