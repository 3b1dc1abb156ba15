"""Makes the subset fonts: python3 subset.py OUT LIBERATION2_DIR (fontTools 4.38; the other sources are where Debian puts them)."""
import sys, hashlib
from fontTools.ttLib import TTFont
from fontTools import subset
D = sys.argv[1]  # where the subsets go
L = sys.argv[2].rstrip('/') + '/'  # where the Liberation 2 fonts lie
latin=''.join(chr(c) for c in range(0x20,0x7f))+'ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿĀāĂăĄąĆćČčĎďĒēĖėĘęĚěĞğĢģĪīĮįİıĶķĹĺĻļĽľŁłŃńŅņŇňŐőŒœŔŕŘřŚśŞşŠšŤťŪūŮůŰűŲųŹźŻżŽžȘșȚț–—·•…°№'
greek='ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩαβγδεζηθικλμνξοπρςστυφχψωάέήίόύώ'
cyr=''.join(chr(c) for c in range(0x410,0x450))+'ЁёІіЇїЄєЂђЈјЉљЊњЋћЏџ'
words='''여권번호 기간만료일 발행관청 국적 이름 천 주민등록증 자동차운전면허증 외국인등록증 영주증 국내거소신고증 외국국적동포국내거소신고증 청소년증 외국인등록번호 국내거소신고번호 성명 국가 지역 체류자격 발급일자 성별 남 여 주소 유효기간 생년월일 주민등록번호 적성검사 갱신기간 조건 종 보통 대형 소형 원동기 특수 면허번호 암호일련번호 기간 까지 부터 년 월 일 발급일 이 증은 관인 인
서울특별시 부산광역시 대구광역시 인천광역시 광주광역시 대전광역시 울산광역시 세종특별자치시 경기도 강원특별자치도 충청북도 충청남도 전북특별자치도 전라남도 경상북도 경상남도 제주특별자치도 구청장 시장 군수 경찰청장 지방경찰청장 경찰서장 출입국외국인청장 출입국관리사무소장 출입국·외국인사무소장 북부 남부
서울 부산 경기 강원 충북 충남 전북 전남 경북 경남 제주 대구 인천 광주 대전 울산 경기북부
가상구 시험구 모의구 예시구 가온구 나래구 다솜구 라온구 마루구 바다구 새벽구 아람구 하늘구 누리구 보람구 가상시 예시시 모의군 시험군 가온시 나래시 라온군
시험로 모의로 예시대로 가상로 보기길 합성로 견본로 표본길 가람로 누리로 다솜로 미르로 별빛로 솔빛길 아라로 온새미로 하늘로 해오름길 무지개로 은하수로 꽃마을로 동 호 층 아파트 빌딩 마을 번길 단지 빌라 타운 가동 나동 다동
유학 재외동포 영주 거주 결혼이민 회화지도 기업투자 특정활동 비전문취업 방문취업 구직 동반 방문동거 전문인력 연수 기타 무역경영 교수 연구
김 이 박 최 정 강 조 윤 장 임 한 오 서 신 권 황 안 송 류 전 홍 고 문 양 손 배 백 허 유 남 심 노 하 곽 성 차 주 우 구 라 진 제갈 남궁 선우 독고 황보
가상 시험 모의 예시 보기 표본 합성 길동 가온 나래 다솜 라온 마루 바다 새벽 아람 하늘 누리 보람 별 솔 빛나 슬기 아름 은하 초롱 한결 한빛 해솔 달래 둘리 미르 봄 샛별 여름 겨울 가을 이슬 조은 찬솔 도담 로운 민들레 시원 예솔 우람 지음 채움 태산 파랑 현무 힘찬 견본'''
han='洪吉東洞金李朴崔鄭姜趙尹張林韓吳徐申權黃安宋柳全高文梁孫裵白許劉南沈盧河郭成車朱禹具羅陳住民登錄證假想試驗模擬例示標本合性星雲海山川春夏秋冬天地仁義禮智信美善眞英秀賢俊哲永光明正大'
hang=''.join(sorted(set(c for c in words if '\uac00'<=c<='\ud7a3')))
marks='·●○•–—()[]/.,:~<>「」※○■▶'
kr=''.join(chr(c) for c in range(0x20,0x7f))+hang+han+marks
mrz=''.join(chr(c) for c in range(0x20,0x7f))

T='/usr/share/fonts/truetype/'
jobs=[
 ('gothic','Painter Gothic',T+'nanum/NanumGothic.ttf',None,kr),
 ('gothic-bold','Painter Gothic Bold',T+'nanum/NanumGothicBold.ttf',None,kr),
 ('myeongjo','Painter Myeongjo',T+'nanum/NanumMyeongjo.ttf',None,kr),
 ('noto-kr','Painter Sans KR',None,('/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc','Noto Sans CJK KR'),kr),
 ('noto-kr-bold','Painter Sans KR Bold',None,('/usr/share/fonts/opentype/noto/NotoSansCJK-Bold.ttc','Noto Sans CJK KR'),kr),
 ('gulim','Painter Gulim',T+'baekmuk/gulim.ttf',None,kr),
 ('sans','Painter Sans',L+'LiberationSans-Regular.ttf',None,latin+greek+cyr),
 ('sans-bold','Painter Sans Bold',L+'LiberationSans-Bold.ttf',None,latin+greek+cyr),
 ('serif','Painter Serif',L+'LiberationSerif-Regular.ttf',None,latin+greek+cyr),
 ('mono','Painter Mono',L+'LiberationMono-Regular.ttf',None,latin),
 ('dejavu','Painter DV Condensed',T+'dejavu/DejaVuSansCondensed.ttf',None,latin+greek+cyr),
 ('ocrb','Painter OCRB','/usr/share/fonts/opentype/ocr-b/OCRB.otf',None,mrz),
]
tot=0
for fn,name,path,ttc,chars in jobs:
    if ttc:
        from fontTools.ttLib import TTCollection
        c=TTCollection(ttc[0]); f=[x for x in c.fonts if x['name'].getDebugName(4).startswith(ttc[1])][0]; src=ttc[0]
    else: f=TTFont(path, recalcTimestamp=False); src=path
    f.recalcTimestamp = False
    miss=[ch for ch in set(chars) if ord(ch) not in f.getBestCmap()]
    rev=f['name'].getDebugName(5); cop=f['name'].getDebugName(0)
    o=subset.Options(); o.hinting=False; o.layout_features=[]; o.name_IDs=[0,13,14]; o.name_languages=[0x409]; o.notdef_outline=True; o.glyph_names=False; o.drop_tables+=['GSUB','GPOS','GDEF','kern','BASE','VORG','vhea','vmtx','DSIG','gasp','FFTM','prep','cvt ','fpgm','BDF ','EBDT','EBLC','EBSC','bdat','bloc']
    o.desubroutinize=False
    s=subset.Subsetter(o); s.populate(text=chars); s.subset(f)
    nt=f['name']; nt.names=[n for n in nt.names if n.nameID in(0,13,14)]
    ps=name.replace(' ','')
    for nid,v in((1,name),(2,'Regular'),(3,ps+' subset for tests'),(4,name),(5,'Subset; see README.md'),(6,ps)):
        nt.setName(v,nid,3,1,0x409)
    ext='otf' if 'CFF ' in f else 'ttf'
    if 'CFF ' in f:
        cff=f['CFF '].cff; cff.fontNames=[ps]; td=cff.topDictIndex[0]
        for k in('FullName','FamilyName','Notice','Copyright'): 
            if k in td.rawDict: 
                if k in('FullName','FamilyName'): setattr(td,k,name)
    out=f'{D}/{fn}.{ext}'; f.save(out)
    b=open(out,'rb').read(); tot+=len(b)
    print(fn,ext,len(b),'missing',''.join(sorted(miss)),'|',rev,'|',(cop or '')[:90].replace('\n',' '),'|',hashlib.sha256(b).hexdigest()[:8],f.getGlyphOrder().__len__())
print(tot,len(hang))
