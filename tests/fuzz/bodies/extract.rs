//! The whole way from a picture to a verdict, with a reader that finds and reads what the input says: print anywhere, of
//! any size and at any angle, different on every look, and an engine that fails in between.

use super::input::{self, Input};
use super::page;
use idgate::evidence::frame::{Frame, Limits};
use idgate::evidence::locate::{Region, Strip};
use idgate::evidence::numbers::ResidentNumbers;
use idgate::evidence::read::{Detail, ReadFault, Reader};
use idgate::evidence::text::Alphabet;
use idgate::evidence::{self, Extraction};
use idgate::secret::Sensitive;
use idgate::terms::DocumentKind;
use jiff::civil::date;
use std::sync::Mutex;

/// Real pictures of nothing, one of each format.
const PICTURES: [&[u8]; 3] = [
    include_bytes!("../seeds/image/grey.jpg"),
    include_bytes!("../seeds/image/grey.png"),
    include_bytes!("../seeds/image/grey.webp"),
];
const LIMITS: Limits = Limits {
    max_bytes: 128 * 1024,
    max_pixels: 1 << 18,
    min_side: 8,
    deadline: None,
    resident_numbers: ResidentNumbers::MaskInMemory,
};
/// So many looks are answered from the input; after them there is no print.
const LOOKS: usize = 12;
/// A look finds so many strips at most.
const STRIPS: usize = 100;

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let picture = PICTURES[usize::from(input.byte()) % PICTURES.len()];
    let choices = usize::from(input.short());
    let choices = Input(input.take(choices));
    let lines = std::iter::from_fn(|| input.line()).take(200);
    let lines = lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    let reader = Scripted { lines, state: Mutex::new(State { choices, looks: 0, read: 0 }) };
    let Extraction { verdict, .. } =
        evidence::extract(Sensitive::new(picture.to_vec()), &reader, date(2026, 11, 22), &LIMITS);
    page::check(&verdict);
}

struct State<'a> {
    choices: Input<'a>,
    looks: usize,
    read: usize,
}

struct Scripted<'a> {
    lines: Vec<String>,
    state: Mutex<State<'a>>,
}

impl Reader for Scripted<'_> {
    fn find(&self, frame: &Frame, _: &Region, _: Detail) -> Result<Vec<Strip>, ReadFault> {
        let mut state = self.state.lock().unwrap();
        state.looks += 1;
        if state.looks > LOOKS {
            return Ok(Vec::new());
        }
        let choice = state.choices.byte();
        if choice == 255 {
            return Err(ReadFault);
        }
        let (wide, high) = (frame.width() as f32, frame.height() as f32);
        let mut strips = Vec::new();
        for row in 0..STRIPS.min(usize::from(choice % 101)) {
            // Zero is a tidy page: one line below the other.
            let strip = match state.choices.byte() {
                0 => Strip { centre: (wide / 2.0, 8.0 * row as f32), width: 0.8 * wide, height: 7.0, angle: 0.0 },
                size => Strip {
                    centre: (
                        wide * (f32::from(state.choices.byte()) / 128.0 - 0.5),
                        high * (f32::from(state.choices.byte()) / 128.0 - 0.5),
                    ),
                    width: f32::from(state.choices.short()) / 64.0 + 0.5,
                    height: f32::from(size) / 4.0,
                    angle: f32::from(state.choices.byte()) / 40.0 - 3.2,
                },
            };
            strips.push(strip);
        }
        Ok(strips)
    }

    fn read(
        &self,
        frame: &Frame,
        strips: &[Strip],
        _: Alphabet,
        stretch: f32,
    ) -> Result<Vec<Option<Sensitive<String>>>, ReadFault> {
        let mut state = self.state.lock().unwrap();
        let mut texts = Vec::new();
        for (at, strip) in strips.iter().enumerate() {
            // What the engine would be given is cut out, too.
            if at < 4 {
                assert!(strip.cut(frame, 48, stretch).width() >= 8);
            }
            let shift = match state.choices.byte() {
                255 => return Err(ReadFault),
                shift => usize::from(shift),
            };
            let line = self.lines.get((at + shift) % self.lines.len().max(1));
            texts.push(line.filter(|_| shift != 254).cloned().map(Sensitive::new));
            state.read += 1;
        }
        Ok(texts)
    }

    fn legibility(&self, _: &Frame, _: &[Strip]) -> Result<f32, ReadFault> {
        Ok(f32::from(self.state.lock().unwrap().choices.byte()) - 100.0)
    }

    fn title(&self, _: &Frame, _: &[Strip]) -> Result<Option<DocumentKind>, ReadFault> {
        Ok(input::kind(self.state.lock().unwrap().choices.byte()))
    }
}
