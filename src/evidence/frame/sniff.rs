//! What kind of file some bytes are, told from their first bytes alone.

use crate::terms::Reason;
use image::ImageFormat;

/// The accepted format of `data`, or the reason why it is not accepted.
pub(super) fn format(data: &[u8]) -> Result<ImageFormat, Reason> {
    if data.is_empty() {
        return Err(Reason::EmptyFile);
    }
    if data.starts_with(&[0xFF, 0xD8, 0xFF]) {
        return Ok(ImageFormat::Jpeg);
    }
    if data.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Ok(ImageFormat::Png);
    }
    if data.starts_with(b"RIFF") && data.get(8..12) == Some(b"WEBP") {
        return Ok(ImageFormat::WebP);
    }
    Err(refused(data))
}

/// Names a known format that is not accepted.
fn refused(data: &[u8]) -> Reason {
    const HEIF_BRANDS: [&[u8]; 10] =
        [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"];
    const OTHER_IMAGES: [&[u8]; 12] = [
        b"GIF87a",
        b"GIF89a",
        b"BM",
        b"II*\0",
        b"MM\0*",
        b"\0\0\x01\0",
        b"qoif",
        b"8BPS",
        b"DDS ",
        b"\xFF\x0A",
        b"\0\0\0\x0CJXL ",
        b"\0\0\0\x0CjP  ",
    ];
    if data.get(4..8) == Some(b"ftyp") {
        let brand = data.get(8..12).unwrap_or_default();
        return if HEIF_BRANDS.contains(&brand) { Reason::HeicNotSupported } else { Reason::UnsupportedFormat };
    }
    // A PDF may begin with up to 1,024 bytes of something else (ISO 32000, annex H).
    let head = data.get(..1024).unwrap_or(data);
    if head.windows(5).any(|w| w == b"%PDF-") {
        return Reason::PdfNotSupported;
    }
    if OTHER_IMAGES.iter().any(|magic| data.starts_with(magic)) || head.windows(4).any(|w| w == b"<svg") {
        return Reason::UnsupportedFormat;
    }
    if is_prefix_of_accepted(data) { Reason::TruncatedFile } else { Reason::UnknownFormat }
}

fn is_prefix_of_accepted(data: &[u8]) -> bool {
    let starts: [&[u8]; 2] = [&[0xFF, 0xD8, 0xFF], b"\x89PNG\r\n\x1a\n"];
    starts.iter().any(|magic| magic.starts_with(data))
}

/// Whether a JPEG's end marker follows its first scan. Bytes after the marker (a phone's motion clip) are no fault.
pub(super) fn jpeg_is_complete(data: &[u8]) -> bool {
    match first_scan(data) {
        Some(at) => data.get(at..).unwrap_or_default().windows(2).any(|w| w == [0xFF, 0xD9]),
        None => false,
    }
}

/// Where the entropy-coded data of the first scan begins, found by walking the segments, so that a thumbnail inside
/// an EXIF segment is stepped over.
fn first_scan(data: &[u8]) -> Option<usize> {
    let mut at = 2usize;
    loop {
        if *data.get(at)? != 0xFF {
            return None;
        }
        let marker = *data.get(at + 1)?;
        match marker {
            0xFF => at += 1,
            0x01 | 0xD0..=0xD8 => at += 2,
            0xD9 => return None,
            _ => {
                let length = usize::from(u16::from_be_bytes([*data.get(at + 2)?, *data.get(at + 3)?]));
                if length < 2 {
                    return None;
                }
                at = at.checked_add(2 + length)?;
                if marker == 0xDA {
                    return (at <= data.len()).then_some(at);
                }
            }
        }
    }
}

/// Whether a file that failed to decode ends too early: no PNG end chunk, or a WebP shorter than it says it is.
pub(super) fn looks_truncated(data: &[u8]) -> bool {
    if data.starts_with(b"\x89PNG") {
        return !data.windows(4).any(|w| w == b"IEND");
    }
    if data.starts_with(b"RIFF") {
        let Some(Ok(size)) = data.get(4..8).map(<[u8; 4]>::try_from) else { return true };
        return (data.len() as u64) < u64::from(u32::from_le_bytes(size)) + 8;
    }
    data.starts_with(&[0xFF, 0xD8]) && !jpeg_is_complete(data)
}
