//! The real pipeline on pictures: the shipped cards, and a small painted set that is the same on every machine.

use crate::painter::{CardKind, Quality, Spec, TODAY};
use idgate::evidence::read::OcrReader;
use idgate::evidence::validate::Verdict;
use idgate::evidence::{Limits, extract};
use idgate::secret::Sensitive;
use idgate::terms::{AssuranceLevel, DocumentKind};
use jiff::civil::Date;
use std::path::PathBuf;
use std::sync::LazyLock;

static READER: LazyLock<OcrReader> = LazyLock::new(|| OcrReader::load(&root().join("models")).unwrap());

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn scan(bytes: Vec<u8>) -> Verdict {
    extract(Sensitive::new(bytes), &*READER, TODAY, &Limits::default()).verdict
}

/// The truth of a shipped card, from the table in its folder's README: file, kind, date of birth.
fn shipped() -> Vec<(String, DocumentKind, Date)> {
    let readme = std::fs::read_to_string(root().join("tests/golden/cards/README.md")).unwrap();
    let rows: Vec<_> = readme
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(|c| c.trim().trim_matches('`')).collect();
            let file = cells.first().filter(|f| f.ends_with(".jpg"))?;
            let kind = match file.split('_').take(2).collect::<Vec<_>>()[..] {
                ["kr", "resident"] => DocumentKind::KrResidentCard,
                ["kr", "alien"] => DocumentKind::KrAlienCard,
                ["kr", "licence"] => DocumentKind::KrDriverLicence,
                ["kr", "youth"] => DocumentKind::KrYouthCard,
                ["td1", _] => DocumentKind::Td1,
                ["td3", _] => DocumentKind::Td3,
                _ => panic!("{file}: a kind that this test does not know"),
            };
            let birth = cells.iter().find_map(|c| c.parse::<Date>().ok())?;
            Some(((*file).to_owned(), kind, birth))
        })
        .collect();
    assert!(rows.len() >= 8, "the table of the shipped cards lists {}", rows.len());
    rows
}

#[test]
fn every_shipped_card_is_read_right() {
    for (file, kind, birth) in shipped() {
        let bytes = std::fs::read(root().join("tests/golden/cards").join(&file)).unwrap();
        match scan(bytes) {
            Verdict::Read(evidence) => {
                assert_eq!(evidence.birth.expose(), birth, "{file}");
                assert_eq!(evidence.kind, kind, "{file}");
                assert!(evidence.assurance >= AssuranceLevel::Witnessed, "{file}: {}", evidence.assurance);
            }
            Verdict::Unreadable(why) => panic!("{file} was refused: {:?}", why.reasons),
        }
    }
}

#[test]
fn painted_cards_are_read_right_or_refused() {
    const SEED: u64 = 20_261_122;
    let (mut read, mut all) = (0usize, 0usize);
    for kind in CardKind::ALL {
        for quality in [Quality::Good, Quality::Poor] {
            let painted = Spec::new(SEED, *kind, quality).paint();
            all += 1;
            if let Verdict::Read(evidence) = scan(painted.file) {
                assert_eq!(evidence.birth.expose(), painted.truth.date_of_birth, "{} {quality:?}", kind.as_str());
                read += 1;
            }
        }
    }
    println!("{read} of {all} painted cards were read, none wrong");
    // The large run (`cargo run --release --example measure`) gives the rates; this one catches a broken reader.
    assert!(read * 5 >= all * 4, "only {read} of {all} were read");
}

#[test]
fn a_card_is_read_in_every_orientation() {
    let painted = Spec::new(7, CardKind::Td3, Quality::Good).paint();
    let picture = image::load_from_memory(&painted.file).unwrap();
    for (name, turned) in [("90", picture.rotate90()), ("180", picture.rotate180()), ("270", picture.rotate270())] {
        let mut out = std::io::Cursor::new(Vec::new());
        turned.write_to(&mut out, image::ImageFormat::Jpeg).unwrap();
        match scan(out.into_inner()) {
            Verdict::Read(evidence) => assert_eq!(evidence.birth.expose(), painted.truth.date_of_birth, "{name}"),
            Verdict::Unreadable(why) => panic!("turned by {name}: {:?}", why.reasons),
        }
    }
}

#[test]
fn a_changed_model_refuses_to_load() {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(root().join("models")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    let model = copy.path().join("pp-ocrv6-small-det.onnx");
    let mut bytes = std::fs::read(&model).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&model, bytes).unwrap();
    let refused = OcrReader::load(copy.path()).err().expect("a changed model is refused");
    assert!(refused.to_string().contains("pp-ocrv6-small-det.onnx"));
    std::fs::remove_file(copy.path().join("SHA256SUMS")).unwrap();
    assert!(OcrReader::load(copy.path()).is_err());
}
