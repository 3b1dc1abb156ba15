//! Reading print: the seam `Reader` and the engine behind it.
//!
//! The only file that names `ocrs` and `rten`. The detector and the recogniser are PP-OCRv6 small, run inside unmodified
//! ocrs (see `models/README.md`); strips are cut upright from the frame first, so that rotation and slope are gone
//! before recognition. Models are checked against `SHA256SUMS` before they are used; a mismatch refuses to start.

mod models;
mod overwrite;

pub use models::ModelError;
pub use overwrite::everywhere as overwrite_engine;

use super::frame::{Frame, Plane};
use super::locate::{Region, Strip};
use super::text::Alphabet;
use crate::secret::Sensitive;
use crate::terms::DocumentKind;
use ocrs::{ImageSource, OcrEngine, OcrInput};
use rten_imageproc::{PointF, RotatedRect, Vec2};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, Tensor};
use std::path::Path;
use std::sync::Arc;

/// The engine failed on this picture. Carries nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the reading engine failed")]
pub struct ReadFault;

/// How closely a region is searched for print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// About half a megapixel: enough for a card that fills the region.
    Normal,
    /// About one megapixel: small print, or a card that is small in the region.
    Fine,
}

/// Finds and reads print. Tests use a scripted one.
pub trait Reader: Send + Sync {
    /// Boxes around print in `region`, in pixels of the frame, in no order, each along its longer side.
    fn find(&self, frame: &Frame, region: &Region, detail: Detail) -> Result<Vec<Strip>, ReadFault>;

    /// What each strip says, in the order given; `None` where nothing was read.
    fn read(
        &self,
        frame: &Frame,
        strips: &[Strip],
        alphabet: Alphabet,
        stretch: f32,
    ) -> Result<Vec<Option<Sensitive<String>>>, ReadFault>;

    /// How well the strips can be read as they are turned: higher is better, below zero is no print. Only comparable
    /// between two turns of the same strips.
    fn legibility(&self, frame: &Frame, strips: &[Strip]) -> Result<f32, ReadFault>;

    /// The Korean card that one of the strips is the heading of, if one surely is.
    fn title(&self, frame: &Frame, strips: &[Strip]) -> Result<Option<DocumentKind>, ReadFault>;

    /// Overwrites what reading left behind on threads and in buffers of its own. Called when a picture is done with,
    /// however that ended.
    fn forget(&self) {}
}

/// PP-OCRv6 small inside ocrs. Cheap to clone; shared by all threads.
#[derive(Clone)]
pub struct OcrReader {
    engines: Arc<Engines>,
}

struct Engines {
    detectors: Vec<Detector>,
    ascii: OcrEngine,
    mrz: OcrEngine,
    full: OcrEngine,
    /// The ASCII recogniser once more, outside ocrs, which keeps its confidence to itself.
    jury: rten::Model,
    title: rten::Model,
}

/// A detector with a fixed input size in pixels.
struct Detector {
    width: usize,
    height: usize,
    detail: Detail,
    engine: OcrEngine,
}

/// Input sizes of the detector as (width, height): see `bench/README.md` for what they cost and read.
const DETECTOR_SIZES: [(usize, usize, Detail); 6] = [
    (736, 480, Detail::Normal),
    (608, 608, Detail::Normal),
    (480, 736, Detail::Normal),
    (1216, 800, Detail::Fine),
    (992, 992, Detail::Fine),
    (800, 1216, Detail::Fine),
];

/// Height of the recogniser's input, and of the strips on a sheet.
const STRIP_HEIGHT: usize = 48;

impl OcrReader {
    /// Loads and checks the models in `dir`: every file must match its line in `SHA256SUMS`.
    pub fn load(dir: &Path) -> Result<Self, ModelError> {
        let files = models::Checked::open(dir)?;
        let detectors = DETECTOR_SIZES
            .iter()
            .map(|&(width, height, detail)| {
                let engine = models::detector(&files, width, height)?;
                Ok(Detector { width, height, detail, engine })
            })
            .collect::<Result<Vec<_>, ModelError>>()?;
        Ok(Self {
            engines: Arc::new(Engines {
                detectors,
                ascii: models::recogniser(&files, Alphabet::Ascii)?,
                mrz: models::recogniser(&files, Alphabet::Mrz)?,
                full: models::recogniser(&files, Alphabet::Full)?,
                jury: models::plain(&files, models::ASCII)?,
                title: models::plain(&files, models::TITLE)?,
            }),
        })
    }

    fn detector(&self, region: &Region, detail: Detail) -> Result<&Detector, ReadFault> {
        // The shape that shows the region at the largest scale.
        let scale =
            |d: &Detector| (d.width as f32 / region.width().max(1.0)).min(d.height as f32 / region.height().max(1.0));
        self.engines
            .detectors
            .iter()
            .filter(|d| d.detail == detail)
            .max_by(|a, b| scale(a).total_cmp(&scale(b)))
            .ok_or(ReadFault)
    }
}

impl Reader for OcrReader {
    fn find(&self, frame: &Frame, region: &Region, detail: Detail) -> Result<Vec<Strip>, ReadFault> {
        let detector = self.detector(region, detail)?;
        let (canvas, scale) = region.canvas(frame, detector.width, detector.height);
        let input = prepare(&detector.engine, &canvas)?;
        let words = {
            let _runs = overwrite::runs();
            detector.engine.detect_words(&input).map_err(|_| ReadFault)?
        };
        Ok(words.iter().filter_map(|w| to_strip(w, region, scale)).collect())
    }

    fn read(
        &self,
        frame: &Frame,
        strips: &[Strip],
        alphabet: Alphabet,
        stretch: f32,
    ) -> Result<Vec<Option<Sensitive<String>>>, ReadFault> {
        // A sheet holds this many strips, so that its memory stays bounded on pages full of print.
        const ON_ONE_SHEET: usize = 40;
        let engine = match alphabet {
            Alphabet::Ascii => &self.engines.ascii,
            Alphabet::Mrz => &self.engines.mrz,
            Alphabet::Full => &self.engines.full,
        };
        let mut out = Vec::with_capacity(strips.len());
        for some in strips.chunks(ON_ONE_SHEET) {
            let cuts: Vec<Plane> = some.iter().map(|s| s.cut(frame, STRIP_HEIGHT, stretch)).collect();
            out.extend(recognise(engine, &cuts)?);
        }
        Ok(out)
    }

    fn legibility(&self, frame: &Frame, strips: &[Strip]) -> Result<f32, ReadFault> {
        // The beginning of a line tells as much as the whole.
        const WIDEST: usize = 208;
        // Recognisers guess upside-down print with about this much confidence.
        const GUESS: f32 = 0.7;
        let mut score = 0.0;
        for strip in strips {
            let cut = strip.cut(frame, STRIP_HEIGHT, 1.0);
            let width = cut.width().min(WIDEST);
            let mut input = NdTensor::<f32, 4>::zeros([1, 1, STRIP_HEIGHT, width]);
            for (y, row) in cut.pixels().chunks_exact(cut.width().max(1)).enumerate() {
                for (x, px) in row.iter().take(width).enumerate() {
                    input[[0, 0, y, x]] = f32::from(*px) / 255.0 - 0.5;
                }
            }
            let (logs, classes) = run(&self.engines.jury, input)?;
            for step in logs.chunks_exact(classes.max(1)) {
                let (best, log) = top(step);
                if best != 0 {
                    score += log.exp() - GUESS;
                }
            }
        }
        Ok(score)
    }

    fn title(&self, frame: &Frame, strips: &[Strip]) -> Result<Option<DocumentKind>, ReadFault> {
        let mut sure = None;
        for strip in strips {
            if let Some(kind) = self.title_of(frame, strip)? {
                match sure {
                    None => sure = Some(kind),
                    // Two headings in one picture: no single one can be trusted.
                    Some(other) if other != kind => return Ok(None),
                    Some(_) => {}
                }
            }
        }
        Ok(sure)
    }

    fn forget(&self) {
        overwrite::everywhere();
    }
}

impl OcrReader {
    fn title_of(&self, frame: &Frame, strip: &Strip) -> Result<Option<DocumentKind>, ReadFault> {
        const HEIGHT: usize = 32;
        const WIDTH: usize = 224;
        const SURE: f32 = 0.9;
        let cut = strip.cut(frame, HEIGHT, 1.0);
        let mut sorted = cut.pixels().to_vec();
        sorted.sort_unstable();
        let median = f32::from(sorted.get(sorted.len() / 2).copied().unwrap_or(127)) / 255.0 - 0.5;
        let mut input = NdTensor::<f32, 4>::full([1, 1, HEIGHT, WIDTH], median);
        for (y, row) in cut.pixels().chunks_exact(cut.width().max(1)).enumerate() {
            for (x, px) in row.iter().take(WIDTH).enumerate() {
                input[[0, 0, y, x]] = f32::from(*px) / 255.0 - 0.5;
            }
        }
        let (logits, _) = run(&self.engines.title, input)?;
        let (best, top) = top(&logits);
        let sum: f32 = logits.iter().map(|l| (l - top).exp()).sum();
        if sum <= 0.0 || 1.0 / sum < SURE {
            return Ok(None);
        }
        Ok(match best {
            1 => Some(DocumentKind::KrResidentCard),
            2 => Some(DocumentKind::KrDriverLicence),
            3..=5 => Some(DocumentKind::KrAlienCard),
            6 => Some(DocumentKind::KrYouthCard),
            _ => None,
        })
    }
}

/// Runs a model outside ocrs. Gives its output, flat, and the size of its last dimension.
fn run(model: &rten::Model, input: NdTensor<f32, 4>) -> Result<(Vec<f32>, usize), ReadFault> {
    let _runs = overwrite::runs();
    let out = model.run_one(input.view().into(), None).map_err(|_| ReadFault)?;
    let out: Tensor<f32> = out.try_into().map_err(|_| ReadFault)?;
    let last = out.shape().last().copied().unwrap_or_default();
    Ok((out.to_vec(), last))
}

/// Position and value of the largest element.
fn top(values: &[f32]) -> (usize, f32) {
    values.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, f32::NEG_INFINITY))
}

fn prepare(engine: &OcrEngine, plane: &Plane) -> Result<OcrInput, ReadFault> {
    let (width, height) =
        (u32::try_from(plane.width()).map_err(|_| ReadFault)?, u32::try_from(plane.height()).map_err(|_| ReadFault)?);
    let source = ImageSource::from_bytes(plane.pixels(), (width, height)).map_err(|_| ReadFault)?;
    engine.prepare_input(source).map_err(|_| ReadFault)
}

/// A box on the detector's canvas as a strip of the frame. ocrs grows the shrunk mask of the detector by 3 pixels; that
/// is taken back, and the mask's own shrinking undone as DB does: by area times a ratio over the perimeter.
fn to_strip(word: &RotatedRect, region: &Region, scale: f32) -> Option<Strip> {
    const OCRS_GROWTH: f32 = 6.0;
    const UNCLIP: f32 = 1.6;
    let (w, h) = ((word.width() - OCRS_GROWTH).max(1.0), (word.height() - OCRS_GROWTH).max(1.0));
    if w.min(h) < 3.0 {
        return None;
    }
    let grow = 2.0 * UNCLIP * w * h / (2.0 * (w + h));
    let up = word.up_axis();
    // The direction to the right is the up axis turned clockwise; y grows downwards.
    let right = (-up.y, up.x);
    let (along, across, angle) =
        if w >= h { (w + grow, h + grow, right.1.atan2(right.0)) } else { (h + grow, w + grow, up.y.atan2(up.x)) };
    let centre = word.center();
    Some(Strip {
        centre: (region.left + centre.x / scale, region.top + centre.y / scale),
        width: along / scale,
        height: across / scale,
        angle,
    })
}

/// Lays the cut strips on one sheet, one below the other, and has them recognised in one call.
fn recognise(engine: &OcrEngine, cuts: &[Plane]) -> Result<Vec<Option<Sensitive<String>>>, ReadFault> {
    const GAP: usize = 4;
    let width = cuts.iter().map(Plane::width).max().unwrap_or_default();
    if width == 0 {
        return Ok(Vec::new());
    }
    let height = cuts.len() * (STRIP_HEIGHT + GAP);
    let mut sheet = vec![127u8; width * height];
    let mut lines = Vec::with_capacity(cuts.len());
    for (slot, cut) in sheet.chunks_exact_mut(width * (STRIP_HEIGHT + GAP)).zip(cuts) {
        for (to, from) in slot.chunks_exact_mut(width).zip(cut.pixels().chunks_exact(cut.width().max(1))) {
            if let Some(to) = to.get_mut(..cut.width()) {
                to.copy_from_slice(from);
            }
        }
        let top = (lines.len() * (STRIP_HEIGHT + GAP)) as f32;
        let centre = PointF::from_yx(top + STRIP_HEIGHT as f32 / 2.0, cut.width() as f32 / 2.0);
        let up = Vec2::from_yx(-1.0, 0.0);
        lines.push(vec![RotatedRect::new(centre, up, cut.width() as f32, STRIP_HEIGHT as f32)]);
    }
    let sheet = Plane::new(width, height, sheet);
    let input = prepare(engine, &sheet)?;
    let read = {
        let _runs = overwrite::runs();
        engine.recognize_text(&input, &lines).map_err(|_| ReadFault)?
    };
    Ok(read.into_iter().map(|l| l.map(|l| Sensitive::new(l.to_string()))).collect())
}
