//! The real engine: painted cards, with everything that it reads and looks at as canaries.

use super::caller::{Caller, fresh};
use super::canary::{self, Canary, Picture};
use super::report::Row;
use super::search::Index;
use super::{Plan, texts};
use crate::painter::{CardKind, Quality, paint};
use idgate::config;
use idgate::evidence::frame::{self, Frame};
use idgate::evidence::locate::{Region, Strip};
use idgate::evidence::read::{Detail, OcrReader, ReadFault, Reader};
use idgate::evidence::text::Alphabet;
use idgate::evidence::{self, Limits};
use idgate::secret::Sensitive;
use idgate::terms::DocumentKind;
use jiff::Timestamp;
use std::path::Path;
use std::sync::Mutex;
use tokio::task::JoinSet;

/// Reads with the engine and notes what passes through it.
struct Listener<'a> {
    engine: &'a OcrReader,
    heard: Mutex<Vec<Canary>>,
}

impl Reader for Listener<'_> {
    fn find(&self, frame: &Frame, region: &Region, detail: Detail) -> Result<Vec<Strip>, ReadFault> {
        self.engine.find(frame, region, detail)
    }

    fn read(
        &self,
        frame: &Frame,
        strips: &[Strip],
        alphabet: Alphabet,
        stretch: f32,
    ) -> Result<Vec<Option<Sensitive<String>>>, ReadFault> {
        let texts = self.engine.read(frame, strips, alphabet, stretch)?;
        let mut heard = self.heard.lock().unwrap();
        for strip in strips {
            // As high as the recogniser takes them.
            heard.extend(canary::grey(strip.cut(frame, 48, stretch).pixels()));
        }
        for text in texts.iter().flatten() {
            // Short words and words without digits are on every card, and some in our own tables.
            let text = text.expose();
            if text.chars().count() >= 10 && text.chars().filter(char::is_ascii_digit).count() >= 4 {
                heard.extend(texts::layouts(text).into_iter().map(|(form, bytes)| Canary { form, bytes }));
            }
        }
        Ok(texts)
    }

    fn legibility(&self, frame: &Frame, strips: &[Strip]) -> Result<f32, ReadFault> {
        self.engine.legibility(frame, strips)
    }

    fn title(&self, frame: &Frame, strips: &[Strip]) -> Result<Option<DocumentKind>, ReadFault> {
        self.engine.title(frame, strips)
    }
}

/// A picture with what the engine sees and reads on it.
pub fn listened(engine: &OcrReader, file: Vec<u8>) -> Picture {
    let limits = Limits::default();
    let frame = frame::decode(Sensitive::new(file.clone()), &limits).unwrap();
    let listener = Listener { engine, heard: Mutex::default() };
    let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    evidence::extract(Sensitive::new(file.clone()), &listener, today, &limits);
    let mut canaries = canary::pixels(&file, &frame);
    canaries.extend(listener.heard.into_inner().unwrap());
    Picture { file, birth: String::new(), adult: true, canaries }
}

impl Plan<'_> {
    /// Painted cards and noise, read by the real engine.
    pub async fn run_engine(&self, pictures: usize) -> Vec<Row> {
        if pictures == 0 {
            return Vec::new();
        }
        let models = config::models_directory(Path::new(""));
        let engine = OcrReader::load(&models).unwrap();
        let server = self.start("ocr");
        let mut random = fastrand::Rng::with_seed(self.seed);
        let mut row = Row::new("read by the engine");
        let mut left = pictures;
        while left > 0 {
            let count = left.min(TOGETHER);
            let made: Vec<Picture> = (left - count..left).map(|n| listened(&engine, file(&mut random, n))).collect();
            left -= count;
            let caller = Caller::of(&server, "shop").await;
            let mut calls = JoinSet::new();
            for picture in &made {
                let (caller, file) = (caller.clone(), picture.file.clone());
                calls.spawn(async move { caller.check_as(&fresh("subject"), &fresh("key"), &file).await });
            }
            row.answered(calls.join_all().await);
            server.quiet();
            let index = Index::new(made.iter().flat_map(|picture| &picture.canaries));
            row.searched += server.search_memory(&index, &mut row.open);
            drop(caller);
            server.until("connections", 0);
            server.quiet();
            row.searched += server.search_memory(&index, &mut row.closed);
            server.search_written(&index, &mut row.closed);
        }
        eprintln!("{row}");
        for threads in ["read-", "rten-", "tokio"] {
            eprintln!("the most stack that a thread {threads} used: {} KiB", server.stack_used(threads) / 1024);
        }
        vec![row, super::core(server, &[])]
    }
}

/// How many are read at once, and searched for together.
const TOGETHER: usize = 2;

/// Every fifth is noise of the detector's own size, so that its pixels come to the network as they are.
fn file(random: &mut fastrand::Rng, n: usize) -> Vec<u8> {
    const CARDS: [CardKind; 4] = [CardKind::KrResident, CardKind::Td3, CardKind::KrAlien2023, CardKind::Td1];
    match n % 5 {
        4 => canary::sized(random, (736, 480)).file,
        card => paint(random.u64(..), CARDS[card], Quality::Good).file,
    }
}
