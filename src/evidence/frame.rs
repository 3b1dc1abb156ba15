//! Decoding, with every limit checked before memory is taken: bytes in, one grey frame out.
//!
//! The only file that names `image`. The input bytes and every buffer made on the way are overwritten before `decode`
//! returns; what stays is a pyramid of grey planes that is overwritten when it is dropped. Nothing is written to disk.

mod plane;
mod sniff;
mod traces;

pub use plane::{Plane, Window};

use super::numbers::ResidentNumbers;
use crate::secret::Sensitive;
use crate::terms::{Reason, Signal};
use image::metadata::Orientation;
use image::{
    DynamicImage, GenericImageView, GrayImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Rgba, imageops,
};
use std::io::Cursor;
use std::time::Instant;
use zeroize::Zeroize;

/// What a picture may cost, and what may be looked at on it. Costs are checked before they are paid.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Size of the file in bytes.
    pub max_bytes: usize,
    /// Width times height, told from the header.
    pub max_pixels: u64,
    /// Shorter side below which no document can be legible, in pixels.
    pub min_side: u32,
    /// When reading must stop.
    pub deadline: Option<Instant>,
    /// What is done with a document that shows a resident number in full.
    pub resident_numbers: ResidentNumbers,
}

impl Default for Limits {
    /// 10 MiB, 52 megapixels (a 50-megapixel phone fits), 100 pixels, no deadline.
    fn default() -> Self {
        Self {
            max_bytes: 10 * 1024 * 1024,
            max_pixels: 52_000_000,
            min_side: 100,
            deadline: None,
            resident_numbers: ResidentNumbers::default(),
        }
    }
}

impl Limits {
    /// Whether the deadline has passed.
    pub fn expired(&self) -> bool {
        self.deadline.is_some_and(|d| Instant::now() >= d)
    }
}

/// A decoded picture: upright as its EXIF says, grey, with halved copies for sampling at smaller scales.
pub struct Frame {
    levels: Vec<Plane>,
    signals: Vec<Signal>,
}

impl Frame {
    /// Builds the pyramid over one grey plane. `None` when the plane is empty.
    pub fn new(base: Plane) -> Option<Self> {
        const SMALLEST_SIDE: usize = 64;
        if base.width() == 0 || base.height() == 0 {
            return None;
        }
        let mut levels = vec![base];
        while let Some(last) = levels.last().filter(|l| l.width().min(l.height()) >= 2 * SMALLEST_SIDE) {
            let half = last.halved();
            levels.push(half);
        }
        Some(Self { levels, signals: Vec::new() })
    }

    /// What the file said of where it comes from.
    pub fn signals(&self) -> &[Signal] {
        &self.signals
    }

    /// Width in pixels of the full-size plane.
    pub fn width(&self) -> usize {
        self.base().width()
    }

    /// Height in pixels of the full-size plane.
    pub fn height(&self) -> usize {
        self.base().height()
    }

    /// The full-size plane.
    pub fn base(&self) -> &Plane {
        self.levels.first().expect("a frame has its base level")
    }

    /// The smallest plane whose resolution is at least `scale` times that of the full size, and its own scale.
    pub fn level(&self, scale: f32) -> (&Plane, f32) {
        let mut chosen = (self.base(), 1.0f32);
        let mut own = 1.0f32;
        for plane in &self.levels {
            if own < scale {
                break;
            }
            chosen = (plane, own);
            own /= 2.0;
        }
        chosen
    }
}

/// Turns the bytes of a file into a [`Frame`], or says why not. The bytes are overwritten in every case.
pub fn decode(bytes: Sensitive<Vec<u8>>, limits: &Limits) -> Result<Frame, Reason> {
    let data = bytes.expose().as_slice();
    if data.len() > limits.max_bytes {
        return Err(Reason::TooManyBytes);
    }
    let format = sniff::format(data)?;
    let (pixels, orientation) = decode_pixels(data, format, limits)?;
    let signals = traces::signals(data, format, pixels.dimensions());
    drop(bytes);
    if limits.expired() {
        wipe(pixels);
        return Err(Reason::TimedOut);
    }
    let (width, height) = pixels.dimensions();
    if width.min(height) < limits.min_side {
        wipe(pixels);
        return Err(Reason::TooSmall);
    }
    let grey = upright(to_grey(pixels), orientation);
    let (width, height) = (grey.width() as usize, grey.height() as usize);
    let frame = Frame::new(Plane::new(width, height, grey.into_raw())).ok_or(Reason::CorruptFile)?;
    Ok(Frame { signals, ..frame })
}

fn decode_pixels(data: &[u8], format: ImageFormat, limits: &Limits) -> Result<(DynamicImage, Orientation), Reason> {
    let mut reader = ImageReader::with_format(Cursor::new(data), format);
    let mut bounds = image::Limits::default();
    // Eight bytes a pixel covers 16-bit RGBA; the decoders' own scratch is bounded by the same figure.
    bounds.max_alloc = Some(limits.max_pixels.saturating_mul(8));
    reader.limits(bounds);
    let mut decoder = reader.into_decoder().map_err(|e| corrupt(&e, data))?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > limits.max_pixels {
        return Err(Reason::TooManyPixels);
    }
    if width == 0 || height == 0 {
        return Err(Reason::CorruptFile);
    }
    if format == ImageFormat::Jpeg && !sniff::jpeg_is_complete(data) {
        // The decoder would fill what is missing with grey: a half picture must not look like a whole one.
        return Err(Reason::TruncatedFile);
    }
    // A hostile or broken EXIF block costs the orientation, not the picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let pixels = DynamicImage::from_decoder(decoder).map_err(|e| corrupt(&e, data))?;
    Ok((pixels, orientation))
}

/// Maps a decoder's error to a reason. Its text is dropped: it may quote the file.
fn corrupt(error: &ImageError, data: &[u8]) -> Reason {
    match error {
        ImageError::Limits(_) => Reason::TooManyPixels,
        ImageError::Unsupported(_) => Reason::UnsupportedFormat,
        ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Reason::TruncatedFile,
        ImageError::Decoding(_) | ImageError::Encoding(_) | ImageError::Parameter(_) | ImageError::IoError(_) => {
            if sniff::looks_truncated(data) {
                Reason::TruncatedFile
            } else {
                Reason::CorruptFile
            }
        }
    }
}

/// One grey plane; the colours are overwritten. What is see-through lies on white paper, lest it read as black.
fn to_grey(pixels: DynamicImage) -> GrayImage {
    if let DynamicImage::ImageLuma8(grey) = pixels {
        return grey;
    }
    let mut grey = pixels.to_luma8();
    if pixels.color().has_alpha() {
        let rgba = pixels.to_rgba8();
        for (px, Rgba([.., a])) in grey.pixels_mut().zip(rgba.pixels()) {
            let ([level], a) = (px.0, u32::from(*a));
            let on_white = (u32::from(level) * a + 255 * (255 - a)) / 255;
            px.0 = [u8::try_from(on_white).unwrap_or(u8::MAX)];
        }
        wipe(DynamicImage::ImageRgba8(rgba));
    }
    wipe(pixels);
    grey
}

/// Turns the plane as its EXIF says; the plane as it came is overwritten.
fn upright(mut grey: GrayImage, orientation: Orientation) -> GrayImage {
    let turn = |grey: GrayImage, turned: GrayImage| {
        wipe(DynamicImage::ImageLuma8(grey));
        turned
    };
    match orientation {
        Orientation::NoTransforms => {}
        Orientation::Rotate180 => imageops::rotate180_in_place(&mut grey),
        Orientation::FlipHorizontal => imageops::flip_horizontal_in_place(&mut grey),
        Orientation::FlipVertical => imageops::flip_vertical_in_place(&mut grey),
        Orientation::Rotate90 | Orientation::Rotate90FlipH => {
            let turned = imageops::rotate90(&grey);
            grey = turn(grey, turned);
        }
        Orientation::Rotate270 | Orientation::Rotate270FlipH => {
            let turned = imageops::rotate270(&grey);
            grey = turn(grey, turned);
        }
    }
    if matches!(orientation, Orientation::Rotate90FlipH | Orientation::Rotate270FlipH) {
        imageops::flip_horizontal_in_place(&mut grey);
    }
    grey
}

/// Overwrites the pixels of a decoded picture.
fn wipe(pixels: DynamicImage) {
    match pixels {
        DynamicImage::ImageLuma8(b) => b.into_raw().zeroize(),
        DynamicImage::ImageLumaA8(b) => b.into_raw().zeroize(),
        DynamicImage::ImageRgb8(b) => b.into_raw().zeroize(),
        DynamicImage::ImageRgba8(b) => b.into_raw().zeroize(),
        DynamicImage::ImageLuma16(b) => b.into_raw().zeroize(),
        DynamicImage::ImageLumaA16(b) => b.into_raw().zeroize(),
        DynamicImage::ImageRgb16(b) => b.into_raw().zeroize(),
        DynamicImage::ImageRgba16(b) => b.into_raw().zeroize(),
        DynamicImage::ImageRgb32F(b) => b.into_raw().zeroize(),
        DynamicImage::ImageRgba32F(b) => b.into_raw().zeroize(),
        // `DynamicImage` is non-exhaustive; none of the accepted formats decodes to anything else.
        _ => {}
    }
}
