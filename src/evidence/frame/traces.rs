//! What a file says of where it comes from: an editor's name, or the signs of a screenshot.
//!
//! Remarks, no proof: honest pictures pass through editors too, and whoever forges can leave nothing. Always: only the
//! file's own segments are walked, so many of them and so many bytes; of what they say, nothing is kept but the remark;
//! a broken segment ends the walk and costs the remark, not the picture.

use crate::terms::Signal;
use image::ImageFormat;

/// The most segments of a file, and the most bytes of one, that are looked at.
const SEGMENTS: usize = 64;
const BYTES: usize = 64 * 1024;

/// Names of editors for pictures, in lower case, as they write them into files. Programs of cameras, phones and servers
/// that only scale or turn are not among them.
const EDITORS: [&[u8]; 34] = [
    b"photoshop",
    b"adobe imageready",
    b"lightroom",
    b"adobe firefly",
    b"illustrator",
    b"gimp",
    b"paint.net",
    b"affinity",
    b"pixelmator",
    b"krita",
    b"inkscape",
    b"coreldraw",
    b"corel paint",
    b"paint shop",
    b"paintshop",
    b"photoscape",
    b"photopea",
    b"pixlr",
    b"picsart",
    b"snapseed",
    b"meitu",
    b"beautyplus",
    b"facetune",
    b"faceapp",
    b"vsco",
    b"canva",
    b"figma",
    b"acdsee",
    b"photofiltre",
    b"polarr",
    b"luminar",
    b"capture one",
    b"fotor",
    b"xnview",
];
/// Words of programs that take pictures of screens.
const SCREENS: [&[u8]; 6] = [b"screenshot", b"screen shot", b"screencapture", b"snagit", b"greenshot", b"spectacle"];

/// Sizes of common screens in pixels, the shorter side first.
const SIZES: [(u32, u32); 48] = [
    (640, 1136),
    (720, 1280),
    (720, 1520),
    (720, 1560),
    (720, 1600),
    (720, 1612),
    (750, 1334),
    (768, 1366),
    (800, 1280),
    (828, 1792),
    (864, 1536),
    (900, 1440),
    (900, 1600),
    (1050, 1680),
    (1080, 1920),
    (1080, 2160),
    (1080, 2220),
    (1080, 2280),
    (1080, 2310),
    (1080, 2316),
    (1080, 2340),
    (1080, 2400),
    (1080, 2408),
    (1125, 2436),
    (1170, 2532),
    (1179, 2556),
    (1200, 1920),
    (1206, 2622),
    (1242, 2208),
    (1242, 2688),
    (1284, 2778),
    (1290, 2796),
    (1320, 2868),
    (1440, 2560),
    (1440, 2960),
    (1440, 3040),
    (1440, 3088),
    (1440, 3120),
    (1440, 3200),
    (1536, 2048),
    (1600, 2560),
    (1620, 2160),
    (1640, 2360),
    (1668, 2388),
    (1800, 2880),
    (1964, 3024),
    (2048, 2732),
    (2160, 3840),
];

/// What was seen.
#[derive(Default)]
struct Traces {
    editor: bool,
    screen: bool,
    camera: bool,
}

/// The remarks on a file that was decoded to `size` pixels.
pub(super) fn signals(data: &[u8], format: ImageFormat, size: (u32, u32)) -> Vec<Signal> {
    let mut seen = Traces::default();
    let _ended = match format {
        ImageFormat::Jpeg => jpeg(data, &mut seen),
        ImageFormat::Png => png(data, &mut seen),
        ImageFormat::WebP => webp(data, &mut seen),
        _ => None,
    };
    let of_screen = SIZES.contains(&(size.0.min(size.1), size.0.max(size.1)));
    let looks = format == ImageFormat::Png && of_screen && !seen.camera;
    let mut signals = Vec::new();
    signals.extend(seen.editor.then_some(Signal::EditingSoftware));
    signals.extend((seen.screen || looks).then_some(Signal::ScreenshotHint));
    signals
}

impl Traces {
    /// A text that says which program wrote the file, or what it shows.
    fn program(&mut self, text: &[u8]) {
        self.editor |= holds_any(text, &EDITORS);
        self.screen |= holds_any(text, &SCREENS);
    }

    /// A packet of XMP: which program made it stands in two places, and others may name editors for other reasons (the
    /// namespaces do).
    fn xmp(&mut self, packet: &[u8]) {
        const LONGEST: usize = 96;
        let packet = packet.get(..packet.len().min(BYTES)).unwrap_or_default();
        for name in [&b"CreatorTool"[..], b"softwareAgent", b"UserComment", b"dc:description"] {
            let found = packet.windows(name.len()).enumerate().filter(|(_, w)| *w == name).take(8);
            for at in found.map(|(at, _)| at + name.len()) {
                let value = packet.get(at..packet.len().min(at + LONGEST)).unwrap_or_default();
                self.program(value);
            }
        }
    }

    /// A block of EXIF (TIFF): the first directory and that of the camera.
    fn exif(&mut self, tiff: &[u8]) {
        let tiff = tiff.get(..tiff.len().min(BYTES)).unwrap_or_default();
        let little = match tiff.get(..4) {
            Some(b"II*\0") => true,
            Some(b"MM\0*") => false,
            _ => return,
        };
        let reader = Tiff { bytes: tiff, little };
        let Some(first) = reader.number(4, 4) else { return };
        let camera = self.directory(&reader, first);
        if let Some(at) = camera {
            self.directory(&reader, at);
        }
    }

    /// One directory; gives the place of the camera's.
    fn directory(&mut self, tiff: &Tiff, at: usize) -> Option<usize> {
        const ENTRIES: usize = 64;
        let mut camera = None;
        for n in 0..tiff.number(at, 2)?.min(ENTRIES) {
            let entry = at.checked_add(2 + 12 * n)?;
            match tiff.number(entry, 2)? {
                // Software, ProcessingSoftware, ImageDescription, UserComment.
                0x0131 | 0x000B | 0x010E | 0x9286 => self.program(tiff.text(entry).unwrap_or_default()),
                // Make, Model; ExposureTime, FNumber.
                0x010F | 0x0110 | 0x829A | 0x829D => self.camera = true,
                0x8769 => camera = tiff.number(entry.checked_add(8)?, 4),
                _ => {}
            }
        }
        camera
    }
}

/// A TIFF structure.
struct Tiff<'a> {
    bytes: &'a [u8],
    little: bool,
}

impl Tiff<'_> {
    fn number(&self, at: usize, size: usize) -> Option<usize> {
        let bytes = self.bytes.get(at..at.checked_add(size)?)?;
        let add = |sum: usize, byte: &u8| (sum << 8) | usize::from(*byte);
        Some(if self.little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) })
    }

    /// The bytes of an entry that holds bytes or text.
    fn text(&self, entry: usize) -> Option<&[u8]> {
        const LONGEST: usize = 256;
        let kind = self.number(entry.checked_add(2)?, 2)?;
        let length = self.number(entry.checked_add(4)?, 4)?;
        if !matches!(kind, 1 | 2 | 7 | 129) {
            return None;
        }
        let value = entry.checked_add(8)?;
        let at = if length <= 4 { value } else { self.number(value, 4)? };
        self.bytes.get(at..at.checked_add(length.min(LONGEST))?)
    }
}

/// Whether one of `names` (in lower case) stands in a text, which may have two bytes to a character.
fn holds_any(text: &[u8], names: &[&[u8]]) -> bool {
    let text: Vec<u8> = text.iter().filter(|b| **b != 0).map(u8::to_ascii_lowercase).collect();
    names.iter().any(|name| text.windows(name.len()).any(|w| w == *name))
}

/// Walks the segments before the picture itself.
fn jpeg(data: &[u8], seen: &mut Traces) -> Option<()> {
    let mut at = 2usize;
    for _ in 0..SEGMENTS {
        while data.get(at..at + 2)? == [0xFF, 0xFF] {
            at += 1;
        }
        let [0xFF, marker] = *data.get(at..at + 2)? else { return None };
        if marker == 0xDA || marker == 0xD9 {
            return Some(());
        }
        let length = usize::from(u16::from_be_bytes(data.get(at + 2..at + 4)?.try_into().ok()?));
        let body = data.get(at + 4..at + 2 + length)?;
        match marker {
            0xE1 if body.starts_with(b"Exif\0") => seen.exif(body.get(6..)?),
            0xE1 if body.starts_with(b"http://ns.adobe.com/xap/1.0/\0") => seen.xmp(body),
            // "Save for Web" of Photoshop.
            0xEC if body.starts_with(b"Ducky") => seen.editor = true,
            0xED if body.starts_with(b"Photoshop 3.0\0") => seen.editor |= version_info(body.get(14..)?),
            0xFE => seen.program(body.get(..body.len().min(256))?),
            _ => {}
        }
        at = at.checked_add(2 + length)?;
    }
    None
}

/// Whether Photoshop's own resources hold its version: others use the same segment for captions, without it.
fn version_info(resources: &[u8]) -> bool {
    resources.windows(6).take(BYTES).any(|w| w == b"8BIM\x04\x21")
}

/// Walks the chunks of a PNG.
fn png(data: &[u8], seen: &mut Traces) -> Option<()> {
    let mut at = 8usize;
    for _ in 0..SEGMENTS {
        let length = usize::try_from(u32::from_be_bytes(data.get(at..at + 4)?.try_into().ok()?)).ok()?;
        let kind = data.get(at + 4..at + 8)?;
        let body = data.get(at + 8..at.checked_add(8)?.checked_add(length)?)?;
        match kind {
            b"tEXt" | b"iTXt" if body.starts_with(b"XML:com.adobe.xmp") => seen.xmp(body),
            b"tEXt" | b"iTXt" => seen.program(body.get(..body.len().min(512))?),
            b"eXIf" => seen.exif(body),
            b"IEND" => return Some(()),
            _ => {}
        }
        at = at.checked_add(12)?.checked_add(length)?;
    }
    None
}

/// Walks the chunks of a WebP.
fn webp(data: &[u8], seen: &mut Traces) -> Option<()> {
    let mut at = 12usize;
    for _ in 0..SEGMENTS {
        let kind = data.get(at..at + 4)?;
        let length = usize::try_from(u32::from_le_bytes(data.get(at + 4..at + 8)?.try_into().ok()?)).ok()?;
        let body = data.get(at + 8..at.checked_add(8)?.checked_add(length)?)?;
        match kind {
            b"EXIF" => seen.exif(body.strip_prefix(b"Exif\0\0").unwrap_or(body)),
            b"XMP " => seen.xmp(body),
            _ => {}
        }
        at = at.checked_add(8)?.checked_add(length)?.checked_add(length % 2)?;
    }
    None
}

#[cfg(test)]
mod tests;
