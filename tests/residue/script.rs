//! The scripted reader of the residue server: looks at the pixels as the engine does (tensors, the engine's own threads
//! and matrix product, the stack) and returns the texts that [`texts`] gives the picture. Fails as it is told.

use super::texts;
use idgate::evidence::frame::Frame;
use idgate::evidence::locate::{Region, Strip};
use idgate::evidence::read::{Detail, ReadFault, Reader, overwrite_engine};
use idgate::evidence::text::Alphabet;
use idgate::secret::Sensitive;
use idgate::terms::DocumentKind;
use rten::FloatOperators as _;
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// Where something goes wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// `panic`, `fault`, `slow`, `nothing` or empty.
    pub what: String,
    /// `find`, `read`, `title` or `legibility`.
    pub at: String,
    /// Whether readings wait.
    pub hold: bool,
}

#[derive(Default)]
pub struct Scripted {
    told: Mutex<Told>,
    changed: Condvar,
}

impl Scripted {
    /// From now on.
    pub fn tell(&self, change: impl FnOnce(&mut Told)) {
        change(&mut self.told.lock().unwrap());
        self.changed.notify_all();
    }

    /// Does what was told for this step.
    fn step(&self, step: &str, frame: &Frame) -> Result<(), ReadFault> {
        let told = self.told.lock().unwrap();
        let told = self.changed.wait_while(told, |told| told.hold).unwrap().clone();
        if told.at != step {
            return Ok(());
        }
        let says = texts::of(texts::seed_of(frame.base().pixels())).lines.concat();
        match told.what.as_str() {
            // With a message that quotes what was read, as slicing text does.
            "panic" => panic!("no character boundary in `{says}`, {:?}", &frame.base().pixels()[..64]),
            "fault" => Err(ReadFault),
            "slow" => {
                let state = self.told.lock().unwrap();
                // Nobody says otherwise, so this is the time that it takes.
                drop(self.changed.wait_timeout_while(state, Duration::from_millis(1_200), |_| true).unwrap());
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Pixels as the engine takes them, run through its threads and its matrix product.
fn compute(frame: &Frame) -> f32 {
    let plane = frame.base();
    let (width, height) = (plane.width(), plane.height());
    let floats: Vec<f32> = plane.pixels().iter().map(|pixel| f32::from(*pixel) / 255.0 - 0.5).collect();
    let unit: Vec<f32> = plane.pixels().iter().map(|pixel| f32::from(*pixel) / 255.0).collect();
    let mut row = [0f32; 96];
    row.copy_from_slice(&unit[..96]);
    std::hint::black_box(&mut row);
    let tensor = NdTensor::from_data([height, width], floats);
    let weights = NdTensor::<f32, 2>::full([64, height], 0.01);
    // Both ways round, so that the pixels are packed as either factor.
    let one = weights.matmul(tensor.view().as_dyn()).unwrap();
    let other = tensor.transposed().matmul(weights.transposed().as_dyn()).unwrap();
    one.iter().chain(other.iter()).sum::<f32>() + row[0]
}

impl Reader for Scripted {
    fn find(&self, frame: &Frame, _: &Region, _: Detail) -> Result<Vec<Strip>, ReadFault> {
        self.step("find", frame)?;
        std::hint::black_box(compute(frame));
        if self.told.lock().unwrap().what == "nothing" {
            return Ok(Vec::new());
        }
        let wide = frame.width() as f32;
        let strip = |y: f32| Strip { centre: (wide / 2.0, y), width: wide - 8.0, height: 8.0, angle: 0.0 };
        Ok(vec![strip(60.0), strip(80.0)])
    }

    fn read(
        &self,
        frame: &Frame,
        strips: &[Strip],
        _: Alphabet,
        _: f32,
    ) -> Result<Vec<Option<Sensitive<String>>>, ReadFault> {
        self.step("read", frame)?;
        let texts = texts::of(texts::seed_of(frame.base().pixels()));
        let line = |strip: &Strip| texts.lines.get(usize::from(strip.centre.1 > 70.0)).cloned();
        Ok(strips.iter().map(|strip| line(strip).map(Sensitive::new)).collect())
    }

    fn legibility(&self, frame: &Frame, strips: &[Strip]) -> Result<f32, ReadFault> {
        self.step("legibility", frame)?;
        Ok(if strips.iter().all(|strip| strip.angle.abs() < 1.0) { 10.0 } else { 0.0 })
    }

    fn title(&self, frame: &Frame, _: &[Strip]) -> Result<Option<DocumentKind>, ReadFault> {
        self.step("title", frame)?;
        let texts = texts::of(texts::seed_of(frame.base().pixels()));
        Ok(texts.korean.then_some(DocumentKind::KrResidentCard))
    }

    fn forget(&self) {
        overwrite_engine();
    }
}
