//! The model files: found, hashed, checked against `SHA256SUMS`, and made into engines.

use crate::evidence::text::Alphabet;
use crate::terms::hex;
use ocrs::{OcrEngine, OcrEngineParams};
use rten::{Model, ModelOptions};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// Why the models cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file is missing or cannot be read.
    #[error("model file {0} cannot be read: check the models directory")]
    Missing(&'static str),
    /// `SHA256SUMS` has no line for a file, or the line is malformed.
    #[error("SHA256SUMS has no entry for {0}")]
    Unlisted(&'static str),
    /// A file is not the one that was checked in.
    #[error("model file {0} does not match SHA256SUMS: restore it from the release")]
    Mismatch(&'static str),
    /// A file matches, but the engine does not take it.
    #[error("model file {0} was refused by the engine")]
    Refused(&'static str),
}

pub(super) const DETECTOR: &str = "pp-ocrv6-small-det.onnx";
pub(super) const ASCII: &str = "pp-ocrv6-small-rec-ascii.onnx";
pub(super) const ASCII_ALPHABET: &str = "pp-ocrv6-small-rec-ascii.alphabet.txt";
pub(super) const FULL: &str = "pp-ocrv6-small-rec.onnx";
pub(super) const FULL_ALPHABET: &str = "pp-ocrv6-small-rec.alphabet.txt";
pub(super) const TITLE: &str = "kr-title.onnx";

const ALL: [&str; 6] = [DETECTOR, ASCII, ASCII_ALPHABET, FULL, FULL_ALPHABET, TITLE];

/// The bytes of every model file, each matching its recorded hash.
pub(super) struct Checked {
    files: BTreeMap<&'static str, Vec<u8>>,
}

impl Checked {
    /// Reads and checks every file in `dir`.
    pub(super) fn open(dir: &Path) -> Result<Self, ModelError> {
        const SUMS: &str = "SHA256SUMS";
        let sums = std::fs::read_to_string(dir.join(SUMS)).map_err(|_| ModelError::Missing(SUMS))?;
        let files = ALL
            .iter()
            .map(|name| {
                let bytes = std::fs::read(dir.join(name)).map_err(|_| ModelError::Missing(name))?;
                let listed = listed_sum(&sums, name).ok_or(ModelError::Unlisted(name))?;
                if hex(&Sha256::digest(&bytes)) != listed {
                    return Err(ModelError::Mismatch(name));
                }
                Ok((*name, bytes))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { files })
    }

    fn bytes(&self, name: &'static str) -> Result<Vec<u8>, ModelError> {
        self.files.get(name).cloned().ok_or(ModelError::Missing(name))
    }

    fn text(&self, name: &'static str) -> Result<String, ModelError> {
        String::from_utf8(self.bytes(name)?).map_err(|_| ModelError::Refused(name))
    }
}

fn listed_sum<'a>(sums: &'a str, name: &str) -> Option<&'a str> {
    sums.lines().find_map(|line| {
        let (sum, file) = line.split_once("  ")?;
        (file == name).then_some(sum)
    })
}

fn load(bytes: Vec<u8>, name: &'static str) -> Result<Model, ModelError> {
    ModelOptions::with_all_ops().prepack_weights(true).load(bytes).map_err(|_| ModelError::Refused(name))
}

/// A model used without ocrs.
pub(super) fn plain(files: &Checked, name: &'static str) -> Result<Model, ModelError> {
    load(files.bytes(name)?, name)
}

/// The detector for an input of `width` x `height` pixels, both multiples of 32 and at least 128.
pub(super) fn detector(files: &Checked, width: usize, height: usize) -> Result<OcrEngine, ModelError> {
    let bytes = with_input_size(files.bytes(DETECTOR)?, width, height).ok_or(ModelError::Refused(DETECTOR))?;
    let params = OcrEngineParams { detection_model: Some(load(bytes, DETECTOR)?), ..Default::default() };
    OcrEngine::new(params).map_err(|_| ModelError::Refused(DETECTOR))
}

/// A recogniser of one alphabet.
pub(super) fn recogniser(files: &Checked, alphabet: Alphabet) -> Result<OcrEngine, ModelError> {
    let (model, letters) = match alphabet {
        Alphabet::Ascii | Alphabet::Mrz => (ASCII, ASCII_ALPHABET),
        Alphabet::Full => (FULL, FULL_ALPHABET),
    };
    let allowed_chars = (alphabet == Alphabet::Mrz).then(|| String::from("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789<"));
    let params = OcrEngineParams {
        recognition_model: Some(load(files.bytes(model)?, model)?),
        alphabet: Some(files.text(letters)?),
        allowed_chars,
        ..Default::default()
    };
    OcrEngine::new(params).map_err(|_| ModelError::Refused(model))
}

/// ocrs takes the detector's input size from the model file, and the network itself works at any multiple of 32. One
/// file is kept, declared as 640 x 960; its two-byte height and width (ONNX `dim_value` varints) are rewritten here.
fn with_input_size(mut model: Vec<u8>, width: usize, height: usize) -> Option<Vec<u8>> {
    let from = dims(960, 640)?;
    let to = dims(width, height)?;
    let mut found = 0usize;
    let mut at = 0usize;
    while let Some(window) = model.get_mut(at..at + from.len()) {
        if window == from {
            window.copy_from_slice(&to);
            found += 1;
            at += from.len();
        } else {
            at += 1;
        }
    }
    // Once for the input, once for the output.
    (found == 2).then_some(model)
}

/// Two ONNX dimensions, height then width: field 1 (dim), length 3, field 1 (dim_value), two-byte varint.
fn dims(width: usize, height: usize) -> Option<[u8; 10]> {
    let varint = |n: usize| -> Option<[u8; 2]> {
        let n = u16::try_from(n).ok().filter(|n| (128..16384).contains(n))?;
        let [high, low] = n.to_be_bytes();
        let bits = u16::from_be_bytes([high, low]);
        Some([u8::try_from(bits & 0x7F).ok()? | 0x80, u8::try_from(bits >> 7).ok()?])
    };
    let ([h0, h1], [w0, w1]) = (varint(height)?, varint(width)?);
    Some([0x0A, 0x03, 0x08, h0, h1, 0x0A, 0x03, 0x08, w0, w1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_are_written_as_two_byte_varints() {
        assert_eq!(dims(960, 640), Some([0x0A, 3, 8, 0x80, 0x05, 0x0A, 3, 8, 0xC0, 0x07]));
        assert_eq!(dims(100, 640), None);
    }

    #[test]
    fn a_model_without_the_declared_size_is_refused() {
        assert!(with_input_size(vec![0; 64], 736, 480).is_none());
    }

    #[test]
    fn sums_are_found_by_exact_name() {
        let sums = "aa  x.onnx\nbb  y.onnx\n";
        assert_eq!(listed_sum(sums, "y.onnx"), Some("bb"));
        assert_eq!(listed_sum(sums, "onnx"), None);
    }
}
