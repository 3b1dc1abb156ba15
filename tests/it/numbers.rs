//! Resident numbers: whatever is printed on a card, eight digits of a number in a row leave the reading thread nowhere.

use crate::hostile::{Scripted, picture};
use crate::support::{SHOP, World, ask};
use idgate::evidence::extract;
use idgate::evidence::frame::Limits;
use idgate::evidence::numbers::ResidentNumbers;
use idgate::evidence::validate::Verdict;
use idgate::flows::pool::{Pool, ReadImage};
use idgate::secret::Sensitive;
use idgate::server::proto::check_age_response::Outcome;
use idgate::server::proto::{self, ReadDocumentRequest};
use idgate::terms::{Reason, Signal};
use image::ImageFormat;
use jiff::civil::date;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;

/// A number of a Korean or a foreigner, of a person who is about forty.
fn number(foreign: bool, day: u8, back: &[u8]) -> String {
    let front = format!("8602{:02}{}", 1 + day % 28, if foreign { 5 } else { 2 });
    back.iter().fold(front, |mut text, digit| {
        text.push(char::from(b'0' + digit));
        text
    })
}

/// The lines of a card that shows it, in one of the ways it is printed and read.
fn lines(number: &str, way: u8, letters: &[usize]) -> Vec<String> {
    let look = |c: char| match c {
        '0' => 'O',
        '1' => 'I',
        '2' => 'Z',
        '5' => 'S',
        '8' => 'B',
        other => other,
    };
    let all = number.chars().enumerate().map(|(at, c)| if letters.contains(&at) { look(c) } else { c });
    let text: String = all.collect();
    let (front, back) = text.split_at(6);
    let mut lines = vec![String::from("(金哲洙)")];
    lines.extend(match way {
        0 => vec![format!("{front}-{back}")],
        1 => vec![format!("{front} {back}")],
        2 => vec![text],
        3 => vec![format!("{front}-"), back.to_owned()],
        4 => vec![format!("{front} - {back} .")],
        _ => vec![format!("No {front}~{back}")],
    });
    lines.push(String::from("2019.03.04."));
    lines
}

/// Whether eight digits of one of the numbers stand together in these bytes, with nothing between them but dashes and
/// spaces.
fn holds_eight(bytes: &[u8], numbers: &[String]) -> bool {
    let eight = |w: &[u8]| w.iter().fold(0u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    let known: BTreeSet<u32> = numbers.iter().flat_map(|number| number.as_bytes().windows(8).map(eight)).collect();
    let (mut run, mut last) = (0, 0);
    bytes.iter().any(|byte| {
        match byte {
            b'0'..=b'9' => (run, last) = (run + 1, last % 10_000_000 * 10 + u32::from(byte - b'0')),
            b'-' | b' ' => {}
            _ => (run, last) = (0, 0),
        }
        run >= 8 && known.contains(&last)
    })
}

#[test]
fn eight_digits_are_found_wherever_they_stand() {
    let numbers = [String::from("8602032990127")];
    for text in ["x86020329x", "0860203-29901y", "32990127", "1 8602032990127"] {
        assert!(holds_eight(text.as_bytes(), &numbers), "{text}");
    }
    for text in ["8602032", "860203x2990127", "1990127", "8602033299012"] {
        assert!(!holds_eight(text.as_bytes(), &numbers), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_output_of_the_reading_holds_eight_digits_of_a_number(
        foreign in any::<bool>(),
        day in any::<u8>(),
        back in prop::collection::vec(0u8..10, 6),
        way in 0u8..6,
        letters in prop::collection::vec(0usize..13, 0..3),
        reject in any::<bool>(),
    ) {
        let number = number(foreign, day, &back);
        let reader = Scripted(lines(&number, way, &letters));
        let resident_numbers = if reject { ResidentNumbers::Reject } else { ResidentNumbers::MaskInMemory };
        let limits = Limits { resident_numbers, ..Limits::default() };
        let read = extract(Sensitive::new(picture(ImageFormat::Png, 640, 400)), &reader, date(2026, 11, 22), &limits);
        let mut told = format!("{read:?}");
        if let Verdict::Read(evidence) = &read.verdict {
            told.push_str(&evidence.birth.expose().to_string());
            prop_assert_eq!(evidence.birth.expose().to_string(), format!("1986-02-{:02}", 1 + day % 28));
            prop_assert!(!reject || way > 1, "a number in full was read where that is refused");
        }
        prop_assert!(!holds_eight(told.as_bytes(), &[number]));
    }
}

#[test]
fn a_number_in_full_is_refused_where_it_is_set_so_and_a_masked_one_is_read_everywhere() {
    let today = date(2026, 11, 22);
    let read = |back: &str, resident_numbers| {
        let card = vec![String::from("(金哲洙)"), format!("860203-{back}"), String::from("2019.03.04.")];
        let limits = Limits { resident_numbers, ..Limits::default() };
        extract(Sensitive::new(picture(ImageFormat::Png, 640, 400)), &Scripted(card), today, &limits).verdict
    };
    for set in [ResidentNumbers::Reject, ResidentNumbers::MaskInMemory, ResidentNumbers::Statute] {
        for masked in ["2******", "2●●●●●●", "2000000"] {
            let Verdict::Read(evidence) = read(masked, set) else { panic!("{masked} with {set:?}") };
            assert!(evidence.signals.contains(&Signal::NumberMasked));
        }
        match (set, read("2990127", set)) {
            (ResidentNumbers::Reject, Verdict::Unreadable(why)) => {
                assert_eq!(why.reasons, [Reason::ResidentNumberShown]);
                assert!(why.youngest.is_some(), "it may still count against the holder");
            }
            (ResidentNumbers::MaskInMemory | ResidentNumbers::Statute, Verdict::Read(_)) => {}
            (set, other) => panic!("{set:?}: {other:?}"),
        }
    }
}

/// Everything that is logged, at the most verbose level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// A server that reads with the whole pipeline what the test says is printed.
async fn world(printed: &Arc<Mutex<Vec<String>>>, set: ResidentNumbers) -> World {
    let printed = Arc::clone(printed);
    let read: Arc<ReadImage> = Arc::new(move |image, today, limits: &Limits| {
        let reader = Scripted(printed.lock().unwrap().clone());
        extract(image, &reader, today, &Limits { resident_numbers: set, ..limits.clone() })
    });
    let alter = |app: &mut idgate::flows::App| {
        let settings = idgate::config::Settings::load(None).unwrap().ocr.pool();
        app.pool = Pool::start(&settings, read, Arc::clone(&app.metrics)).unwrap();
    };
    let settings = |settings: &mut idgate::config::Settings| {
        settings.evidence.resident_numbers = set;
        settings.evidence.statute = match set {
            ResidentNumbers::Statute => Some("kr:youth-protection-act:16".parse().unwrap()),
            ResidentNumbers::Reject | ResidentNumbers::MaskInMemory => None,
        };
        settings.checks.subject_attempts = 1000;
    };
    World::with(settings, alter).await
}

#[tokio::test]
async fn no_answer_file_or_log_line_holds_eight_digits_of_a_number() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let printed = Arc::new(Mutex::new(Vec::new()));
    for set in [ResidentNumbers::MaskInMemory, ResidentNumbers::Statute, ResidentNumbers::Reject] {
        let world = world(&printed, set).await;
        let image = picture(ImageFormat::Png, 640, 400);
        let (mut numbers, mut answers, mut read) = (Vec::new(), Vec::new(), 0);
        for n in 0u8..6 {
            let back: Vec<u8> = (0..6).map(|at| (n * 7 + at * 3 + 1) % 10).collect();
            let number = number(n % 2 == 1, n, &back);
            // A number over two rows is half a number to whoever reads it, so nothing is shown in full there.
            let way = if set == ResidentNumbers::Reject && n % 6 == 3 { 0 } else { n % 6 };
            *printed.lock().unwrap() = lines(&number, way, &[]);
            let request = proto::CheckAgeRequest {
                evidence: Some(proto::check_age_request::Evidence::Image(image.clone())),
                ..ask("s", &format!("k{n}"), "")
            };
            let answer = world.check(request).await.unwrap();
            read += usize::from(matches!(answer.outcome, Some(Outcome::Allowed(_))));
            let told =
                proto::ExplainDecisionRequest { decision_id: answer.decision_id.clone(), language: String::new() };
            let told = world.age_gate().explain_decision(world.authorized(SHOP, told)).await.unwrap().into_inner();
            let named = told.steps.iter().any(|step| step.key == "by_statute" && step.text.contains("kr:youth"));
            let shown = matches!(answer.outcome, Some(Outcome::Allowed(_)));
            assert_eq!(named, set == ResidentNumbers::Statute && (shown || named));
            let fields = ReadDocumentRequest {
                subject_ref: String::from("s"),
                image: image.clone(),
                fields: vec![proto::DocumentField::DateOfBirth.into(), proto::DocumentField::DocumentKind.into()],
                language: String::new(),
            };
            let fields = world.documents().read_document(world.authorized(SHOP, fields)).await.unwrap().into_inner();
            answers.push(format!("{answer:?} {told:?} {fields:?}"));
            numbers.push(number);
        }
        assert_eq!(read > 0, set != ResidentNumbers::Reject, "{set:?}: {read}");
        let mut all = world.everything_written();
        all.extend(answers.concat().into_bytes());
        all.extend(world.http("/metrics").await.1.into_bytes());
        all.extend(log.0.lock().unwrap().iter());
        assert!(!holds_eight(&all, &numbers), "{set:?}");
        let statute = all.windows(24).any(|w| w == b"kr:youth-protection-act:");
        assert_eq!(statute, set == ResidentNumbers::Statute);
    }
    assert!(!log.0.lock().unwrap().is_empty());
}
