//! How a picture is taken: what a careful person sends, and what everybody else does.
//!
//! | | good | poor |
//! |---|---|---|
//! | width of the card, pixels | 900-1500 (wide documents 1050-1600) | 650-900 (wide 800-900); `low_resolution` 550-650 (wide 700-800) |
//! | skew | up to 4 degrees, every third up to 8; one in eight turned by 90, 180 or 270 | up to 6; `skew` 8-20; `turned` |
//! | corners displaced by perspective, of the card's width | up to 2 % | up to 2.5 %; `perspective` 4-8 % |
//! | blur, sigma in heights of the smallest important capital | 0.02-0.05 | 0.03-0.06; `blur` 0.08-0.13; `shake` 0.12-0.25 long |
//! | noise, sigma of 255 | 1-3 | 2-4; `noise` 8-16 |
//! | light | falls off by up to 10 % | up to 15 %; `shadow` to 45-65 %, `dim` to 30-50 % |
//! | glare | none, or faint and off the text | `glare`: a burnt-out spot that leaves number, MRZ and date legible |
//! | JPEG quality | 80-95 (one in 25 is a PNG) | 66-75; `jpeg` 40-55 |
//! | share of the frame's width | 60-92 % | 55-90 %; `small_in_frame` 33-45 % |
//! | ground | plain, wood, cloth, tiles | the same; `busy` is a desk full of print |
//!
//! A poor picture has one to three of the named degradations, drawn evenly; all other properties keep the poor column's
//! first values. Blur is measured against the print, so that a poor picture stays legible for a person.

use super::canvas::Card;
use super::person::{between, chance};
use fastrand::Rng;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, RgbImage, imageops};

/// Who took the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Quality {
    /// A careful person with a phone, or a scanner.
    Good,
    /// Somebody in a hurry, in bad light, with an old phone.
    Poor,
}

impl Quality {
    pub const ALL: &'static [Self] = &[Self::Good, Self::Poor];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Poor => "poor",
        }
    }
}

macro_rules! degradations {
    ($($name:ident = $text:literal,)+) => {
        /// One thing that is wrong with a poor picture.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Degradation { $($name),+ }

        impl Degradation {
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $text),+ } }
        }
    };
}

degradations! {
    Turned = "turned",
    Skew = "skew",
    Perspective = "perspective",
    Blur = "blur",
    Shake = "shake",
    Noise = "noise",
    Glare = "glare",
    LowResolution = "low_resolution",
    Jpeg = "jpeg",
    SmallInFrame = "small_in_frame",
    Busy = "busy",
    Shadow = "shadow",
    Dim = "dim",
}

/// Everything about one exposure.
#[derive(Debug)]
pub struct Shot {
    list: Vec<Degradation>,
    good: bool,
    pub card_px: f32,
    /// Degrees, clockwise.
    pub skew: f32,
    /// Displacement of the corners, of the card's width.
    pub perspective: f32,
    /// Share of the frame's width.
    pub fill: f32,
    pub busy: bool,
    /// Light is multiplied by this in the shadow; 1 is no shadow.
    pub shadow: f32,
    pub fall_off: f32,
    pub gain: f32,
    /// How far a reflection goes towards white; 0 is none.
    pub glare: f32,
    /// Sigma in heights of a capital.
    blur: f32,
    /// Length in heights of a capital.
    shake: f32,
    noise: f32,
    jpeg: u8,
    /// Quarter turns clockwise.
    turns: u8,
    /// The turn is told in the EXIF data, as phones do.
    exif: bool,
    png: bool,
}

impl Shot {
    /// Draws an exposure for a document `wide` millimetres wide.
    pub fn draw(rng: &mut Rng, quality: Quality, fixed: Option<&[Degradation]>, wide: f32) -> Self {
        match quality {
            Quality::Good => Self::good(rng, wide),
            Quality::Poor => {
                let list = fixed.map_or_else(|| Self::choose(rng), <[_]>::to_vec);
                Self::poor(rng, list, wide)
            }
        }
    }

    fn choose(rng: &mut Rng) -> Vec<Degradation> {
        let mut all = Degradation::ALL.to_vec();
        rng.shuffle(&mut all);
        all.truncate(rng.usize(1..=3));
        all.sort();
        all
    }

    fn good(rng: &mut Rng, wide: f32) -> Self {
        let turned = chance(rng, 0.125);
        let skew = if turned {
            2.0
        } else if chance(rng, 0.33) {
            8.0
        } else {
            4.0
        };
        Self {
            list: Vec::new(),
            good: true,
            card_px: if wide > 90.0 { between(rng, 1050.0, 1600.0) } else { between(rng, 900.0, 1500.0) },
            skew: between(rng, -skew, skew),
            perspective: between(rng, 0.0, 0.02),
            fill: between(rng, 0.60, 0.92),
            busy: false,
            shadow: 1.0,
            fall_off: between(rng, 0.0, 0.10),
            gain: between(rng, 0.88, 1.06),
            glare: if chance(rng, 0.15) { between(rng, 0.2, 0.5) } else { 0.0 },
            blur: between(rng, 0.02, 0.05),
            shake: 0.0,
            noise: between(rng, 1.0, 3.0),
            jpeg: rng.u8(80..=95),
            turns: if turned { rng.u8(1..4) } else { 0 },
            exif: chance(rng, 0.4),
            png: chance(rng, 0.04),
        }
    }

    fn poor(rng: &mut Rng, list: Vec<Degradation>, wide: f32) -> Self {
        use Degradation::*;
        let has = |d: Degradation| list.contains(&d);
        let (low, base) = if wide > 90.0 { ((700.0, 800.0), (800.0, 900.0)) } else { ((550.0, 650.0), (650.0, 900.0)) };
        let px = if has(LowResolution) { low } else { base };
        let turn = if rng.bool() { 1.0 } else { -1.0 };
        Self {
            good: false,
            card_px: between(rng, px.0, px.1),
            skew: turn * if has(Skew) { between(rng, 8.0, 20.0) } else { between(rng, 0.0, 6.0) },
            perspective: if has(Perspective) { between(rng, 0.04, 0.08) } else { between(rng, 0.0, 0.025) },
            fill: if has(SmallInFrame) { between(rng, 0.33, 0.45) } else { between(rng, 0.55, 0.90) },
            busy: has(Busy),
            shadow: if has(Shadow) { between(rng, 0.45, 0.65) } else { 1.0 },
            fall_off: between(rng, 0.0, 0.15),
            gain: if has(Dim) { between(rng, 0.30, 0.50) } else { between(rng, 0.80, 1.10) },
            glare: if has(Glare) { between(rng, 0.8, 1.3) } else { 0.0 },
            blur: if has(Blur) { between(rng, 0.08, 0.13) } else { between(rng, 0.03, 0.06) },
            shake: if has(Shake) { between(rng, 0.12, 0.25) } else { 0.0 },
            noise: if has(Noise) { between(rng, 8.0, 16.0) } else { between(rng, 2.0, 4.0) },
            jpeg: if has(Jpeg) { rng.u8(40..=55) } else { rng.u8(66..=75) },
            turns: if has(Turned) { rng.u8(1..4) } else { 0 },
            exif: false,
            png: false,
            list,
        }
    }

    /// The names of what was done.
    pub fn names(&self) -> Vec<&'static str> {
        if !self.good {
            return self.list.iter().map(|d| d.as_str()).collect();
        }
        match (self.turns, self.exif) {
            (0, _) => Vec::new(),
            (_, true) => vec!["turned_exif"],
            (_, false) => vec!["turned"],
        }
    }

    /// Lens, sensor and file: the last steps.
    pub fn develop(&self, rng: &mut Rng, mut frame: RgbImage, card: &Card) -> (Vec<u8>, &'static str) {
        let capital = card.key_height.min(4.0) * self.card_px / card.width;
        gaussian(&mut frame, self.blur * capital);
        if self.shake > 0.0 {
            shake(&mut frame, self.shake * capital, between(rng, 0.0, std::f32::consts::PI));
        }
        noise(&mut frame, rng, self.noise);
        let frame = match self.turns {
            1 => imageops::rotate90(&frame),
            2 => imageops::rotate180(&frame),
            3 => imageops::rotate270(&frame),
            _ => frame,
        };
        self.encode(&frame)
    }

    fn encode(&self, frame: &RgbImage) -> (Vec<u8>, &'static str) {
        let mut out = Vec::new();
        let (w, h) = frame.dimensions();
        if self.png {
            PngEncoder::new_with_quality(&mut out, CompressionType::Fast, FilterType::Sub)
                .write_image(frame, w, h, ExtendedColorType::Rgb8)
                .expect("an in-memory picture can be written");
            // What no service takes is not sent: a noisy 12-megapixel PNG.
            if out.len() <= 10 << 20 {
                return (out, "png");
            }
            out.clear();
        }
        let mut jpeg = JpegEncoder::new_with_quality(&mut out, self.jpeg);
        if self.exif && self.turns > 0 {
            // The viewer must turn it back: 8 is 270 clockwise, 3 is 180, 6 is 90.
            jpeg.set_exif_metadata(exif([8, 3, 6][usize::from(self.turns) - 1])).expect("JPEG carries EXIF");
        }
        jpeg.write_image(frame, w, h, ExtendedColorType::Rgb8).expect("an in-memory picture can be written");
        (out, "jpg")
    }
}

/// A TIFF block with nothing but the orientation.
fn exif(orientation: u8) -> Vec<u8> {
    let mut b = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    b.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    b
}

/// Weights of a Gaussian that add up to 256.
fn kernel(sigma: f32) -> Vec<u16> {
    let r = (sigma * 2.8).ceil() as i32;
    let raw: Vec<f32> = (-r..=r).map(|i| (-(i * i) as f32 / (2.0 * sigma * sigma)).exp()).collect();
    let sum: f32 = raw.iter().sum();
    let mut k: Vec<u16> = raw.iter().map(|v| (v / sum * 256.0).round() as u16).collect();
    let (mid, total) = (k.len() / 2, k.iter().sum::<u16>());
    k[mid] = (k[mid] + 256).saturating_sub(total);
    k
}

/// Separable Gaussian blur in fixed point.
fn gaussian(img: &mut RgbImage, sigma: f32) {
    if sigma < 0.25 {
        return;
    }
    let k = kernel(sigma);
    let r = k.len() / 2;
    let (w, h) = (img.width() as usize, img.height() as usize);
    let row = w * 3;
    let mut padded = vec![0u8; row + 6 * r];
    let mut acc = vec![0u16; row];
    let mut middle = vec![0u8; row * h];
    for (src, dst) in img.chunks_exact(row).zip(middle.chunks_exact_mut(row)) {
        padded[3 * r..3 * r + row].copy_from_slice(src);
        for i in 0..r {
            padded.copy_within(3 * r..3 * r + 3, 3 * i);
            padded.copy_within(3 * r + row - 3..3 * r + row, 3 * r + row + 3 * i);
        }
        weigh(&mut acc, dst, k.iter().enumerate().map(|(i, &k)| (&padded[3 * i..3 * i + row], k)));
    }
    for (y, dst) in img.chunks_exact_mut(row).enumerate() {
        let taps = k.iter().enumerate().map(|(i, &k)| {
            let line = (y + i).saturating_sub(r).min(h - 1);
            (&middle[line * row..(line + 1) * row], k)
        });
        weigh(&mut acc, dst, taps);
    }
}

fn weigh<'a>(acc: &mut [u16], dst: &mut [u8], taps: impl Iterator<Item = (&'a [u8], u16)>) {
    acc.fill(127);
    for (src, k) in taps {
        for (a, s) in acc.iter_mut().zip(src) {
            *a += u16::from(*s) * k;
        }
    }
    for (d, a) in dst.iter_mut().zip(acc) {
        *d = (*a >> 8) as u8;
    }
}

/// A hand that moved: the mean of copies along a line `length` pixels long.
fn shake(img: &mut RgbImage, length: f32, angle: f32) {
    const STEPS: i32 = 8;
    let (w, h) = (img.width() as i32, img.height() as i32);
    let source = img.clone();
    let offsets: Vec<(i32, i32)> = (0..STEPS)
        .map(|i| {
            let t = (i as f32 / (STEPS - 1) as f32 - 0.5) * length;
            ((t * angle.cos()).round() as i32, (t * angle.sin()).round() as i32)
        })
        .collect();
    let row = w as usize * 3;
    let mut acc = vec![0u16; row];
    for y in 0..h {
        acc.fill(STEPS as u16 / 2);
        for (dx, dy) in &offsets {
            let line = (y + dy).clamp(0, h - 1) as usize * row;
            let shift = (dx.unsigned_abs() as usize * 3).min(row);
            let src = &source.as_raw()[line..line + row];
            let (to, from) = if *dx >= 0 { (0, shift) } else { (shift, 0) };
            let n = row - shift;
            acc[to..to + n].iter_mut().zip(&src[from..from + n]).for_each(|(a, s)| *a += u16::from(*s));
            // What the shift leaves open is filled with the unshifted row.
            let open = if *dx >= 0 { n..row } else { 0..shift };
            acc[open.clone()].iter_mut().zip(&src[open]).for_each(|(a, s)| *a += u16::from(*s));
        }
        let dst = &mut img.as_mut()[y as usize * row..(y as usize + 1) * row];
        dst.iter_mut().zip(&acc).for_each(|(d, a)| *d = (a / STEPS as u16) as u8);
    }
}

/// Sensor noise: mostly brightness, a little colour.
fn noise(img: &mut RgbImage, rng: &mut Rng, sigma: f32) {
    let table: Vec<i16> = (0..8192)
        .map(|_| ((0..6).map(|_| rng.f32()).sum::<f32>() - 3.0) * 1.414 * sigma)
        .map(|v| v.round() as i16)
        .collect();
    let mut state = rng.u32(..) | 1;
    for p in img.pixels_mut() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let light = table[(state >> 19) as usize];
        let colour =
            [table[(state >> 12 & 8191) as usize], table[(state >> 6 & 8191) as usize], table[(state & 8191) as usize]];
        for (v, c) in p.0.iter_mut().zip(colour) {
            *v = (i16::from(*v) + light + c / 3).clamp(0, 255) as u8;
        }
    }
}
