//! The scan of the log and the metrics itself: what is planted is found, in whatever form, and nothing else is.

use crate::painter::{CardKind, Quality, Spec};
use crate::support::canaries::{Scanner, scanner};
use crate::support::{SHOP, World, ask};
use idgate::config;
use idgate::flows::Pool;
use idgate::flows::pool::{self, fair::Weights};
use idgate::server::proto::CheckAgeRequest;
use idgate::server::proto::check_age_request::Evidence;
use idgate::telemetry::{LogFormat, Settings, log_into};
use prost::Message as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn planted(lines: &[&str]) -> Vec<bool> {
    let found = |line: &&str| {
        let scanner = Arc::new(Scanner::new());
        scanner.add("goldfinch@birds.example");
        scanner.add_date("1987-06-05".parse().unwrap());
        scanner.add("482913");
        scanner.add_message(&ask("canary-subject", "canary-key", "as x read 1991-02-03").encode_to_vec());
        tracing::dispatcher::with_default(&scanner.dispatch(), || {
            tracing::trace!(target: "idgate::flows::rights", said = %line, "planted");
        });
        assert_eq!(scanner.logged(), 1, "the line was written");
        scanner.found().len() == 1
    };
    lines.iter().map(found).collect()
}

#[test]
fn what_is_planted_in_the_log_is_found() {
    let leaks = [
        "goldfinch@birds.example",
        "mail=<goldfinch@birds.example>",
        "676f6c6466696e63684062697264732e6578616d706c65",
        "born 1987-06-05",
        "19870605",
        "870605",
        "870605-2******",
        "05/06/1987",
        "1987년 6월 5일",
        "code 482913.",
        "canary-subject",
        "xcanary-subjectx",
        "read 1991-02-03",
        "1991.02.03",
        "Bearer abc",
        "eyJhbGciOiJFZERTQSIsInR5cCI6",
        "900101-1234567",
        "9001011234567",
        "홍길동",
    ];
    assert_eq!(planted(&leaks), [true; 19], "{leaks:?}");
}

#[test]
fn what_only_looks_like_it_is_not_found() {
    let harmless = [
        "born",
        "a1870605b",
        "1482913",
        "4829130",
        "1987-06",
        "eyJ",
        "90010-1234567",
        "900101-12345678",
        "0190a1b2-c3d4-7000-8000-900101123456",
        "ms=12",
    ];
    assert_eq!(planted(&harmless), [false; 10], "{harmless:?}");
}

#[tokio::test]
async fn a_world_that_leaks_is_caught_and_what_worlds_send_is_looked_for() {
    let world = World::start().await;
    let subject = format!("nobody-{}", uuid::Uuid::new_v4());
    let before = (scanner().texts(), scanner().logged());
    world.check(ask(&subject, &subject, "read 1961-03-04")).await.unwrap();
    let after = (scanner().texts(), scanner().logged());
    assert!(after.0 > before.0 && after.1 > before.1, "{before:?} {after:?}");
    let log = String::from_utf8_lossy(&scanner().log()).into_owned();
    assert!(log.contains("rpc=\"CheckAge\"") || log.contains("rpc=CheckAge"), "the log is that of the server");
    assert!(!log.contains(&subject));
    // The same message in a line of a scanner apart from all others: there it is found.
    let apart = Arc::new(Scanner::new());
    apart.add_message(&world.authorized(SHOP, ask(&subject, "k", "read 1961-03-04")).into_inner().encode_to_vec());
    tracing::dispatcher::with_default(&apart.dispatch(), || tracing::error!(target: "idgate", "{subject}"));
    assert_eq!(apart.found().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_reader_on_a_real_wire_tells_nothing_of_a_card() {
    let world = World::with(
        |_| {},
        |app| {
            let read = config::reader(Path::new("")).unwrap();
            let pool = pool::Settings { workers: 1, queue: 4, read_seconds: 300, nice: 0, weights: Weights::default() };
            app.pool = Pool::start(&pool, read, Arc::clone(&app.metrics)).unwrap();
        },
    )
    .await;
    for (n, kind) in [CardKind::KrResident, CardKind::Td3].into_iter().enumerate() {
        let painted = Spec::new(20_261_123, kind, Quality::Good).paint();
        scanner().add_date(painted.truth.date_of_birth);
        let subject = format!("card-holder-{n}");
        let message = CheckAgeRequest { evidence: Some(Evidence::Image(painted.file)), ..ask(&subject, &subject, "") };
        let mut request = world.authorized(SHOP, message);
        request.set_timeout(Duration::from_secs(60));
        let answer = world.age_gate().check_age(request).await.unwrap().into_inner();
        assert!(answer.outcome.is_some(), "it was looked at");
    }
    assert_eq!(scanner().found(), [""; 0]);
}

#[test]
fn no_filter_lets_libraries_trace() {
    let written = Arc::new(Mutex::new(Vec::new()));
    struct Into(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Into {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for filter in ["trace", "h2=trace,hyper=trace,idgate=trace", "debug,h2::codec=trace"] {
        for format in [LogFormat::Text, LogFormat::Json] {
            let into = Arc::clone(&written);
            let settings = Settings { format, filter: filter.to_owned() };
            let log = log_into(&settings, move || Into(Arc::clone(&into)), false).unwrap();
            tracing::dispatcher::with_default(&log, || {
                tracing::trace!(target: "h2::codec::framed_read", "headers");
                tracing::debug!(target: "hyper::proto", "headers");
                tracing::debug!(target: "tonic", "headers");
                tracing::warn!(target: "h2", "said-by-h2");
                tracing::debug!(target: "idgate::server", "said-by-idgate");
            });
            let text = String::from_utf8(std::mem::take(&mut *written.lock().unwrap())).unwrap();
            assert!(!text.contains("headers"), "{filter}: {text}");
            assert!(text.contains("said-by-idgate") && text.contains("said-by-h2"), "{filter}: {text}");
        }
    }
}
