//! Reads files as `idgate scan` does, or without overwriting anything: what overwriting costs.

use idgate::config;
use idgate::evidence::frame::Frame;
use idgate::evidence::locate::{Region, Strip};
use idgate::evidence::read::{Detail, OcrReader, ReadFault, Reader};
use idgate::evidence::text::Alphabet;
use idgate::evidence::{Limits, extract};
use idgate::flows::scan::{latest_date, scan};
use idgate::secret::Sensitive;
use idgate::terms::DocumentKind;
use std::path::Path;
use std::time::Instant;

/// The engine, without what it does when a picture is done with.
struct Forgetless(OcrReader);

impl Reader for Forgetless {
    fn find(&self, frame: &Frame, region: &Region, detail: Detail) -> Result<Vec<Strip>, ReadFault> {
        self.0.find(frame, region, detail)
    }

    fn read(
        &self,
        frame: &Frame,
        strips: &[Strip],
        alphabet: Alphabet,
        stretch: f32,
    ) -> Result<Vec<Option<Sensitive<String>>>, ReadFault> {
        self.0.read(frame, strips, alphabet, stretch)
    }

    fn legibility(&self, frame: &Frame, strips: &[Strip]) -> Result<f32, ReadFault> {
        self.0.legibility(frame, strips)
    }

    fn title(&self, frame: &Frame, strips: &[Strip]) -> Result<Option<DocumentKind>, ReadFault> {
        self.0.title(frame, strips)
    }
}

/// Reads every file once and tells the milliseconds that all took, then again for every line on standard input.
pub fn on_demand(files: &[String], overwriting: bool) {
    let most = Limits::default().max_bytes;
    let pictures: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    let engine = Forgetless(OcrReader::load(&config::models_directory(Path::new(""))).unwrap());
    let reader = config::reader(Path::new("")).unwrap();
    for line in std::iter::once(Ok(String::new())).chain(std::io::stdin().lines()) {
        line.unwrap();
        let begun = Instant::now();
        for picture in &pictures {
            let picture = Sensitive::new(picture.clone());
            if overwriting {
                std::hint::black_box(scan(picture, &*reader, latest_date(), most));
            } else {
                std::hint::black_box(extract(picture, &engine, latest_date(), &Limits::default()));
            }
        }
        println!("{}", begun.elapsed().as_millis());
    }
}
