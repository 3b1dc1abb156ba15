//! Traces in files that the tests put together themselves, and in noise.

use super::*;
use proptest::prelude::*;

const EDITED: &[Signal] = &[Signal::EditingSoftware];
const SCREEN: &[Signal] = &[Signal::ScreenshotHint];

fn segment(marker: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
    [&[0xFF, marker][..], &length, body].concat()
}

fn jpeg_of(segments: &[Vec<u8>]) -> Vec<u8> {
    [&[0xFF, 0xD8][..], &segments.concat(), &[0xFF, 0xDA, 0, 2, 0xFF, 0xD9]].concat()
}

fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], kind, body, &[0; 4]].concat()
}

fn png_of(chunks: &[Vec<u8>]) -> Vec<u8> {
    [&b"\x89PNG\r\n\x1a\n"[..], &chunks.concat(), &chunk(b"IEND", b"")].concat()
}

/// One directory with text entries.
fn tiff(little: bool, entries: &[(u16, &[u8])]) -> Vec<u8> {
    let two = |n: u16| if little { n.to_le_bytes() } else { n.to_be_bytes() };
    let four = |n: usize| {
        let n = u32::try_from(n).unwrap();
        if little { n.to_le_bytes() } else { n.to_be_bytes() }
    };
    let mut out = if little { b"II*\0".to_vec() } else { b"MM\0*".to_vec() };
    out.extend(four(8));
    out.extend(two(u16::try_from(entries.len()).unwrap()));
    let mut values = 8 + 2 + 12 * entries.len() + 4;
    let mut tail: Vec<u8> = Vec::new();
    for (tag, text) in entries {
        out.extend(two(*tag));
        out.extend(two(2));
        out.extend(four(text.len()));
        if text.len() <= 4 {
            out.extend([text, &[0; 4][..4 - text.len()]].concat());
        } else {
            out.extend(four(values));
            values += text.len();
            tail.extend(*text);
        }
    }
    out.extend([0; 4]);
    out.extend(tail);
    out
}

fn of_jpeg(segments: &[Vec<u8>]) -> Vec<Signal> {
    signals(&jpeg_of(segments), ImageFormat::Jpeg, (1080, 2400))
}

fn exif(little: bool, entries: &[(u16, &[u8])]) -> Vec<u8> {
    segment(0xE1, &[b"Exif\0\0", &tiff(little, entries)[..]].concat())
}

#[test]
fn editors_are_known_by_their_names_in_exif() {
    for little in [true, false] {
        assert_eq!(of_jpeg(&[exif(little, &[(0x0131, b"Adobe Photoshop 25.0\0")])]), EDITED);
        assert_eq!(of_jpeg(&[exif(little, &[(0x010F, b"Maker\0"), (0x0131, b"GIMP 2.10\0")])]), EDITED);
        assert_eq!(of_jpeg(&[exif(little, &[(0x0131, b"G960FXXU1\0"), (0x0110, b"SM-G960\0")])]), []);
        assert_eq!(of_jpeg(&[exif(little, &[(0x0131, b"17.5.1\0")])]), []);
    }
}

#[test]
fn xmp_says_which_program_and_namespaces_do_not() {
    let xmp = |text: &str| segment(0xE1, &[b"http://ns.adobe.com/xap/1.0/\0", text.as_bytes()].concat());
    assert_eq!(of_jpeg(&[xmp("<x xmp:CreatorTool=\"Adobe Photoshop 24\"/>")]), EDITED);
    assert_eq!(of_jpeg(&[xmp("<stEvt:softwareAgent>Pixelmator Pro</stEvt:softwareAgent>")]), EDITED);
    assert_eq!(of_jpeg(&[xmp("<x xmlns:photoshop=\"http://ns.adobe.com/photoshop/1.0/\"/>")]), []);
    assert_eq!(of_jpeg(&[xmp("<exif:UserComment>Screenshot</exif:UserComment>")]), SCREEN);
}

#[test]
fn segments_of_editors_are_known() {
    assert_eq!(of_jpeg(&[segment(0xEC, b"Ducky\0\x01")]), EDITED);
    assert_eq!(of_jpeg(&[segment(0xED, b"Photoshop 3.0\x008BIM\x04\x21\0\0\0\0\0\x08")]), EDITED);
    // Captions of press agencies and social networks.
    assert_eq!(of_jpeg(&[segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x08")]), []);
    assert_eq!(of_jpeg(&[segment(0xEE, b"Adobe\0d\0\0\0\0\x01")]), []);
}

#[test]
fn screenshots_say_so_or_have_the_size_of_a_screen_and_no_camera() {
    let of = |chunks: &[Vec<u8>], size| signals(&png_of(chunks), ImageFormat::Png, size);
    assert_eq!(of(&[], (1170, 2532)), SCREEN);
    assert_eq!(of(&[], (2532, 1170)), SCREEN);
    assert_eq!(of(&[], (1171, 2532)), []);
    assert_eq!(of(&[chunk(b"eXIf", &tiff(true, &[(0x010F, b"Maker\0")]))], (1170, 2532)), []);
    assert_eq!(of(&[chunk(b"eXIf", &tiff(true, &[(0x9286, b"ASCII\0\0\0Screenshot")]))], (10, 10)), SCREEN);
    assert_eq!(of(&[chunk(b"tEXt", b"Software\0gnome-screenshot")], (10, 10)), SCREEN);
    assert_eq!(of(&[chunk(b"tEXt", b"Software\0Adobe ImageReady")], (10, 10)), EDITED);
    assert_eq!(of(&[chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<CreatorTool>Figma</CreatorTool>")], (10, 10)), EDITED);
    // The size alone says nothing of a JPEG: cameras have such sizes.
    assert_eq!(of_jpeg(&[]), []);
}

#[test]
fn webp_is_walked_too() {
    let body = tiff(true, &[(0x0131, b"paint.net 5.0\0")]);
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    let file = [&b"RIFF\0\0\0\0WEBPEXIF"[..], &length, &body].concat();
    assert_eq!(signals(&file, ImageFormat::WebP, (10, 10)), EDITED);
}

proptest! {
    #[test]
    fn whatever_the_bytes_are_the_walk_ends(
        mut bytes in prop::collection::vec(any::<u8>(), 0..600),
        head in prop::sample::select(vec![&b"\xFF\xD8\xFF\xE1\x01\x00Exif\0\0II*\0\x08\0\0\0\xFF\xFF"[..], b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPEXIF"]),
    ) {
        let mut file = head.to_vec();
        file.append(&mut bytes);
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif] {
            prop_assert!(signals(&file, format, (10, 10)).len() <= 2);
        }
    }
}
