//! More than 300 hostile inputs: none panics, none is read, each gets a reason, and the right one where there is one.

use idgate::evidence::extract;
use idgate::evidence::frame::{self, Frame, Limits};
use idgate::evidence::locate::{Region, Strip};
use idgate::evidence::read::{Detail, ReadFault, Reader};
use idgate::evidence::text::Alphabet;
use idgate::evidence::validate::Verdict;
use idgate::secret::Sensitive;
use idgate::terms::{DocumentKind, Reason};
use image::{GrayImage, ImageFormat, Luma};
use jiff::civil::date;
use std::collections::BTreeMap;
use std::io::Cursor;

/// A reader that finds one strip for each of its lines and reads the same on every pass.
pub struct Scripted(pub Vec<String>);

impl Reader for Scripted {
    fn find(&self, _: &Frame, _: &Region, _: Detail) -> Result<Vec<Strip>, ReadFault> {
        let strip =
            |i: usize| Strip { centre: (150.0, 20.0 + 24.0 * i as f32), width: 280.0, height: 18.0, angle: 0.0 };
        Ok((0..self.0.len()).map(strip).collect())
    }

    fn read(
        &self,
        _: &Frame,
        strips: &[Strip],
        _: Alphabet,
        _: f32,
    ) -> Result<Vec<Option<Sensitive<String>>>, ReadFault> {
        let line = |s: &Strip| self.0.get(((s.centre.1 - 20.0) / 24.0).round() as usize).cloned().map(Sensitive::new);
        Ok(strips.iter().map(line).collect())
    }

    fn legibility(&self, _: &Frame, strips: &[Strip]) -> Result<f32, ReadFault> {
        Ok(if strips.iter().all(|s| s.angle.abs() < 1.0) { 1.0 } else { 0.0 })
    }

    fn title(&self, _: &Frame, _: &[Strip]) -> Result<Option<DocumentKind>, ReadFault> {
        Ok(None)
    }
}

pub fn picture(format: ImageFormat, width: u32, height: u32) -> Vec<u8> {
    let image = GrayImage::from_fn(width, height, |x, y| Luma([((x * 7 + y * 13) % 251) as u8]));
    let rgb = image::DynamicImage::ImageLuma8(image).into_rgb8();
    let mut out = Cursor::new(Vec::new());
    rgb.write_to(&mut out, format).unwrap();
    out.into_inner()
}

fn reasons_for(bytes: Vec<u8>, lines: &[&str]) -> Vec<Reason> {
    let reader = Scripted(lines.iter().map(|l| (*l).to_owned()).collect());
    match extract(Sensitive::new(bytes), &reader, date(2026, 11, 22), &Limits::default()).verdict {
        Verdict::Unreadable(why) => why.reasons,
        Verdict::Read(_) => panic!("a hostile input was read: {lines:?}"),
    }
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0u32, |crc, b| {
        (0..8).fold(crc ^ u32::from(*b), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xEDB8_8320 } else { c >> 1 })
    })
}

fn png_of_size(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    out.extend(13u32.to_be_bytes());
    out.extend(&header);
    out.extend(crc32(&header).to_be_bytes());
    // A few bytes of zlib data that would inflate to nearly nothing.
    let data = b"IDAT\x78\x9c\x03\x00\x00\x00\x00\x01";
    out.extend(8u32.to_be_bytes());
    out.extend(data);
    out.extend(crc32(data).to_be_bytes());
    out.extend([0, 0, 0, 0]);
    out.extend(b"IEND\xaeB`\x82");
    out
}

fn jpeg_of_size(width: u16, height: u16) -> Vec<u8> {
    let mut out = picture(ImageFormat::Jpeg, 160, 120);
    let at = out.windows(2).position(|w| w == [0xFF, 0xC0]).expect("a baseline frame header");
    out[at + 5..at + 7].copy_from_slice(&height.to_be_bytes());
    out[at + 7..at + 9].copy_from_slice(&width.to_be_bytes());
    out
}

fn jpeg_with_exif(tiff: &[u8]) -> Vec<u8> {
    let plain = picture(ImageFormat::Jpeg, 320, 200);
    let mut body = b"Exif\0\0".to_vec();
    body.extend(tiff);
    let mut out = plain[..2].to_vec();
    out.extend([0xFF, 0xE1]);
    out.extend(u16::try_from(body.len() + 2).unwrap().to_be_bytes());
    out.extend(body);
    out.extend(&plain[2..]);
    out
}

fn tiff_with_orientation(value: u16) -> Vec<u8> {
    let mut out = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    out.extend(value.to_le_bytes());
    out.extend([0; 6]);
    out
}

/// A small generator with a stated seed, so that a failure can be repeated.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        })
        .collect()
}

/// Every hostile file with a name and, where there is one right answer, the reason it must get.
fn files() -> Vec<(String, Vec<u8>, Option<Reason>)> {
    let mut out: Vec<(String, Vec<u8>, Option<Reason>)> = Vec::new();
    let named: [(&str, &[u8], Reason); 24] = [
        ("empty", b"", Reason::EmptyFile),
        ("one byte", b"x", Reason::UnknownFormat),
        ("text", b"date of birth 1990-01-01", Reason::UnknownFormat),
        ("html", b"<!doctype html><img src=x>", Reason::UnknownFormat),
        ("json", b"{\"date_of_birth\":\"1990-01-01\"}", Reason::UnknownFormat),
        ("zip", b"PK\x03\x04\x14\0\0\0\x08\0", Reason::UnknownFormat),
        ("elf", b"\x7fELF\x02\x01\x01\0", Reason::UnknownFormat),
        ("zeroes", &[0; 4096], Reason::UnknownFormat),
        ("ones", &[255; 4096], Reason::UnknownFormat),
        ("gif87", b"GIF87a\x01\0\x01\0\x80\0\0", Reason::UnsupportedFormat),
        ("gif89", b"GIF89a\x01\0\x01\0\x80\0\0", Reason::UnsupportedFormat),
        ("bmp", b"BM\x46\0\0\0\0\0\0\0", Reason::UnsupportedFormat),
        ("tiff le", b"II*\0\x08\0\0\0", Reason::UnsupportedFormat),
        ("tiff be", b"MM\0*\0\0\0\x08", Reason::UnsupportedFormat),
        ("svg", b"<?xml version=\"1.0\"?><svg onload=\"alert(1)\"/>", Reason::UnsupportedFormat),
        ("jxl", b"\0\0\0\x0CJXL \r\n\x87\n", Reason::UnsupportedFormat),
        ("jp2", b"\0\0\0\x0CjP  \r\n\x87\n", Reason::UnsupportedFormat),
        ("avif", b"\0\0\0\x20ftypavif\0\0\0\0", Reason::UnsupportedFormat),
        ("mp4", b"\0\0\0\x20ftypisom\0\0\0\0", Reason::UnsupportedFormat),
        ("heic", b"\0\0\0\x18ftypheic\0\0\0\0", Reason::HeicNotSupported),
        ("heif", b"\0\0\0\x18ftypmif1\0\0\0\0", Reason::HeicNotSupported),
        ("hevc", b"\0\0\0\x18ftyphevc\0\0\0\0", Reason::HeicNotSupported),
        ("pdf", b"%PDF-1.7\n1 0 obj", Reason::PdfNotSupported),
        ("pdf after junk", b"junk\n%PDF-1.4", Reason::PdfNotSupported),
    ];
    out.extend(named.map(|(n, b, r)| (n.to_owned(), b.to_vec(), Some(r))));

    for (w, h) in [(30_000, 30_000), (1, 2_147_483_647), (2_147_483_647, 1), (65_535, 65_535), (100_000, 1_000)] {
        out.push((format!("png bomb {w}x{h}"), png_of_size(w, h), Some(Reason::TooManyPixels)));
    }
    for (w, h) in [(65_535, 65_535), (30_000, 30_000), (65_000, 1_000)] {
        out.push((format!("jpeg bomb {w}x{h}"), jpeg_of_size(w, h), Some(Reason::TooManyPixels)));
    }
    for (w, h) in [(0, 10), (10, 0)] {
        out.push((format!("png {w}x{h}"), png_of_size(w, h), None));
        out.push((format!("jpeg {w}x{h}"), jpeg_of_size(w as u16, h as u16), None));
    }
    for (w, h) in [(1, 1), (99, 4000), (60, 60)] {
        out.push((format!("tiny {w}x{h}"), picture(ImageFormat::Png, w, h), Some(Reason::TooSmall)));
    }
    out.push(("oversized".into(), vec![0xFF; 10 * 1024 * 1024 + 1], Some(Reason::TooManyBytes)));

    for (name, format) in [("jpeg", ImageFormat::Jpeg), ("png", ImageFormat::Png), ("webp", ImageFormat::WebP)] {
        let whole = picture(format, 160, 120);
        for step in 1..40usize {
            let cut = whole.len() * step / 40;
            out.push((format!("{name} cut at {step}/40"), whole[..cut].to_vec(), Some(Reason::TruncatedFile)));
        }
        for at in 0..64.min(whole.len()) {
            let mut flipped = whole.clone();
            flipped[at] ^= 0xFF;
            out.push((format!("{name} with byte {at} flipped"), flipped, None));
        }
    }
    for value in [0u16, 9, 255, 65_535] {
        out.push((format!("exif orientation {value}"), jpeg_with_exif(&tiff_with_orientation(value)), None));
    }
    let exif: [(&str, &[u8]); 8] = [
        ("empty", b""),
        ("no byte order", b"XX*\0\x08\0\0\0"),
        ("offset past the end", b"II*\0\xFF\xFF\xFF\xFF"),
        ("directory that points to itself", b"II*\0\x08\0\0\0\0\0\x08\0\0\0\x08\0\0\0"),
        ("65535 entries", b"II*\0\x08\0\0\0\xFF\xFF\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"),
        ("count of 4 thousand million", b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\xFF\xFF\xFF\xFF\x06\0\0\0"),
        ("orientation as text", b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0abc\0"),
        ("cut in the directory", b"II*\0\x08\0\0\0\x01\0\x12"),
    ];
    out.extend(exif.map(|(n, tiff)| (format!("exif: {n}"), jpeg_with_exif(tiff), None)));

    for seed in 0..20 {
        out.push((format!("noise {seed}"), noise(seed, 2000), None));
        for (name, magic) in [("jpeg", &b"\xFF\xD8\xFF\xE0"[..]), ("png", b"\x89PNG\r\n\x1a\n")] {
            out.push((format!("{name} noise {seed}"), [magic, &noise(seed, 2000)].concat(), None));
        }
    }
    out
}

/// Text that tries to pass for a document, with numbers that must not become a date.
const TEXTS: [&[&str]; 16] = [
    &["P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<", "L898902C36UTO9913322F1204159ZE184226B<<<<<10"],
    &["P<UTO<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<", "<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<"],
    &["IDUTO<<<<<<<<<<<<<<<<<<<<<<<<<", "<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<", "<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<"],
    &["P<UTOA<<B", "L898902C36UTO7408122F12"],
    &["261123-3990001"],
    &["991332-1234567"],
    &["000000-0000000"],
    &["991231-9990009"],
    &["150505-3990009", "2020.1.1."],
    &["\u{202E}6000991-101009"],
    &["９００１０１－１９９０００６９９９９９９"],
    &["Date of birth", "31.02.1990", "IDENTITY CARD"],
    &["Date of birth", "01.01.2090", "IDENTITY CARD"],
    &["Invoice date 01.02.1990", "Total 12.03.1991", "Due 2026-12-01"],
    &["A\u{0301}\u{0301}\u{0301}\u{0301}\u{0301}", "\u{FEFF}\u{200B}\u{200D}"],
    &["'; DROP TABLE decisions; --", "${jndi:ldap://x}", "%s%s%s%n"],
];

#[test]
fn every_hostile_input_gets_a_reason() {
    let mut tally: BTreeMap<&str, usize> = BTreeMap::new();
    let mut count = 0usize;
    for (name, bytes, expected) in files() {
        let reasons = reasons_for(bytes, &[]);
        let first = *reasons.first().unwrap_or_else(|| panic!("{name}: no reason"));
        if let Some(expected) = expected {
            assert_eq!(first, expected, "{name}");
        }
        *tally.entry(first.as_str()).or_default() += 1;
        count += 1;
    }
    for text in TEXTS {
        assert!(!reasons_for(picture(ImageFormat::Png, 400, 400), text).is_empty(), "{text:?}");
        count += 1;
    }
    assert!(count >= 300, "only {count} inputs");
    println!("{count} hostile inputs, by first reason: {tally:?}");
}

#[test]
fn very_long_and_very_many_lines_are_bounded() {
    let long = "P<UTO".to_owned() + &"<".repeat(100_000);
    let digits = "1".repeat(100_000);
    reasons_for(picture(ImageFormat::Png, 400, 400), &[&long, &digits, &long]);
    let many: Vec<String> = (0..5000).map(|i| format!("{:06}-{:07}", i * 37 % 999_999, i)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    reasons_for(picture(ImageFormat::Png, 400, 400), &many[..200]);
}

#[test]
fn a_bomb_is_refused_from_its_header_alone() {
    // 2.7 GB if it were decoded; the test would not survive that on the machines it runs on.
    let limits = Limits::default();
    let refused = frame::decode(Sensitive::new(png_of_size(30_000, 30_000)), &limits);
    assert_eq!(refused.err(), Some(Reason::TooManyPixels));
}

#[test]
fn exif_orientation_is_applied() {
    for (value, size) in [(1u16, (320, 200)), (3, (320, 200)), (6, (200, 320)), (8, (200, 320))] {
        let frame = frame::decode(Sensitive::new(jpeg_with_exif(&tiff_with_orientation(value))), &Limits::default())
            .unwrap_or_else(|r| panic!("{value}: {r}"));
        assert_eq!((frame.width(), frame.height()), size, "orientation {value}");
    }
}

#[test]
fn a_picture_with_transparency_lies_on_white() {
    let image = image::RgbaImage::from_pixel(200, 200, image::Rgba([0, 0, 0, 0]));
    let mut out = Cursor::new(Vec::new());
    image.write_to(&mut out, ImageFormat::Png).unwrap();
    let frame = frame::decode(Sensitive::new(out.into_inner()), &Limits::default()).ok().unwrap();
    assert!(frame.base().pixels().iter().all(|p| *p == 255));
}

#[test]
fn a_passed_deadline_stops_the_reading() {
    let limits = Limits { deadline: Some(std::time::Instant::now()), ..Limits::default() };
    let reader = Scripted(vec!["900101-1990006".into()]);
    let verdict =
        extract(Sensitive::new(picture(ImageFormat::Png, 400, 400)), &reader, date(2026, 11, 22), &limits).verdict;
    let Verdict::Unreadable(why) = verdict else { panic!("read after its deadline") };
    assert_eq!(why.reasons, [Reason::TimedOut]);
}
