//! Pictures that can be told from everything else, and the forms in which pieces of them could stay behind.

use super::texts;
use idgate::evidence::Limits;
use idgate::evidence::frame::{self, Frame};
use idgate::secret::Sensitive;
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage};
use std::io::Cursor;

/// The pictures' size: the smallest that is read, so that many fit into one search.
const SIZE: (u32, u32) = (112, 104);

/// One form of a picture, or of a text on it.
pub struct Canary {
    pub form: &'static str,
    pub bytes: Vec<u8>,
}

/// What is sent, and what must not stay behind.
pub struct Picture {
    pub file: Vec<u8>,
    pub birth: String,
    pub adult: bool,
    pub canaries: Vec<Canary>,
}

/// Noise, in three formats by turns: neither its bytes nor its pixels can be anywhere by chance.
pub fn noise(random: &mut fastrand::Rng) -> Picture {
    sized(random, SIZE)
}

/// Noise of this size.
pub fn sized(random: &mut fastrand::Rng, (width, height): (u32, u32)) -> Picture {
    let mut pixels = vec![0; (width * height * 3) as usize];
    random.fill(&mut pixels);
    let picture = RgbImage::from_raw(width, height, pixels).unwrap();
    let mut file = Cursor::new(Vec::new());
    match random.u8(0..3) {
        0 => picture.write_with_encoder(JpegEncoder::new_with_quality(&mut file, 92)).unwrap(),
        1 => picture.write_to(&mut file, ImageFormat::Png).unwrap(),
        _ => picture.write_to(&mut file, ImageFormat::WebP).unwrap(),
    }
    of_file(file.into_inner())
}

/// Noise that shows somebody of this age.
pub fn noise_of(random: &mut fastrand::Rng, adult: bool) -> Picture {
    loop {
        let picture = noise(random);
        if picture.adult == adult {
            return picture;
        }
    }
}

/// A picture with all forms of its pixels and of the texts that the scripted reader sees on it.
pub fn of_file(file: Vec<u8>) -> Picture {
    let frame = frame::decode(Sensitive::new(file.clone()), &Limits { min_side: 1, ..Limits::default() }).unwrap();
    let texts = texts::of(texts::seed_of(frame.base().pixels()));
    let mut canaries = pixels(&file, &frame);
    for line in &texts.lines {
        canaries.extend(texts::layouts(line).into_iter().map(|(form, bytes)| Canary { form, bytes }));
    }
    Picture { file, birth: texts.birth, adult: texts.adult, canaries }
}

/// The same canaries with another file, that was made of the picture's.
pub fn spoilt(picture: Picture, spoil: impl FnOnce(&mut Vec<u8>)) -> Picture {
    let mut file = picture.file.clone();
    spoil(&mut file);
    let mut canaries = picture.canaries;
    canaries.push(Canary { form: "file", bytes: file.clone() });
    Picture { file, canaries, ..picture }
}

/// Bytes that are no picture.
pub fn no_picture(random: &mut fastrand::Rng, length: usize) -> Picture {
    let mut file = vec![0; length];
    random.fill(&mut file);
    let canaries = vec![Canary { form: "file", bytes: file.clone() }];
    Picture { file, birth: String::new(), adult: false, canaries }
}

/// A PNG that says to be far too large, with noise where its pixels would be.
pub fn too_many_pixels(random: &mut fastrand::Rng) -> Picture {
    spoilt(noise_png(random), |file| {
        file[16..24].copy_from_slice(&[0, 0, 0xEA, 0x60, 0, 0, 0xEA, 0x60]);
        let sum = crc32(&file[12..29]).to_be_bytes();
        file[29..33].copy_from_slice(&sum);
    })
}

/// Noise as a PNG.
pub fn noise_png(random: &mut fastrand::Rng) -> Picture {
    loop {
        let picture = noise(random);
        if picture.file.starts_with(b"\x89PNG") {
            return picture;
        }
    }
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xEDB8_8320 } else { c >> 1 })
    })
}

/// The bytes of the file and of its pixels, as decoders and the engine lay them out.
pub fn pixels(file: &[u8], frame: &Frame) -> Vec<Canary> {
    let colours = image::load_from_memory(file).unwrap().to_rgb8();
    let each = |form, make: &dyn Fn([u8; 3]) -> Vec<u8>| Canary {
        form,
        bytes: colours.pixels().flat_map(|pixel| make(pixel.0)).collect(),
    };
    let plane = |channel: usize| colours.pixels().map(move |pixel| pixel.0[channel]);
    let mut all = vec![
        Canary { form: "file", bytes: file.to_vec() },
        Canary { form: "rgb", bytes: colours.as_raw().clone() },
        each("rgba", &|[r, g, b]| vec![r, g, b, 255]),
        each("bgr", &|[r, g, b]| vec![b, g, r]),
        Canary { form: "planes", bytes: plane(0).chain(plane(1)).chain(plane(2)).collect() },
    ];
    all.extend(grey(frame.base().pixels()));
    let (half, _) = frame.level(0.5);
    if half.width() < frame.width() {
        all.push(Canary { form: "half", bytes: half.pixels().to_vec() });
    }
    all
}

/// Grey pixels, as they are and as the numbers that networks take.
pub fn grey(pixels: &[u8]) -> Vec<Canary> {
    let floats = |form, make: &dyn Fn(f32) -> f32| Canary {
        form,
        bytes: pixels.iter().flat_map(|pixel| make(f32::from(*pixel) / 255.0).to_le_bytes()).collect(),
    };
    vec![
        Canary { form: "grey", bytes: pixels.to_vec() },
        floats("floats", &|level| level),
        floats("centred", &|level| level - 0.5),
    ]
}
