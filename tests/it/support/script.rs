//! A reader that reads what the picture's bytes say in words: `read 1990-01-01`, `specimen 1990-01-01`,
//! `masked 1990-01-01`, `resident 1990-01-01` (a Korean card), `unwitnessed 1990-01-01`, `conflict 1990-01-01`, `expired 1990-01-01`, a reason such as
//! `blurred`, or `panic`. Before any of them, `hold ` waits until the test lets go, `take 300 ` takes that many
//! milliseconds, and `as x ` only gives the picture a name.

use idgate::age::BirthDate;
use idgate::evidence::validate::{Evidence, Unreadable, Verdict};
use idgate::evidence::{Extraction, Timings};
use idgate::flows::pool::ReadImage;
use idgate::terms::{AssuranceLevel, DocumentKind, Reason, Signal};
use std::sync::{Arc, Condvar, Mutex};

#[derive(Default)]
struct State {
    begun: Vec<String>,
    let_go: bool,
}

#[derive(Default)]
pub struct Script {
    state: Mutex<State>,
    changed: Condvar,
}

impl Script {
    pub fn reader(self: Arc<Self>) -> Arc<ReadImage> {
        Arc::new(move |image, _, _| {
            let words = String::from_utf8_lossy(image.expose()).into_owned();
            let words = words.trim_end_matches('.').to_owned();
            Extraction { verdict: self.read(&words), timings: Timings::default() }
        })
    }

    /// How many pictures were begun.
    pub fn begun(&self) -> usize {
        self.state.lock().unwrap().begun.len()
    }

    /// What the pictures said, in the order in which they were begun.
    pub fn order(&self) -> Vec<String> {
        self.state.lock().unwrap().begun.clone()
    }

    /// Waits until that many pictures were begun.
    pub async fn until_begun(self: &Arc<Self>, count: usize) {
        let script = Arc::clone(self);
        let wait = move || {
            let state = script.state.lock().unwrap();
            drop(script.changed.wait_while(state, |state| state.begun.len() < count).unwrap());
        };
        tokio::task::spawn_blocking(wait).await.unwrap();
    }

    /// Lets go of everything that is held, now and later.
    pub fn let_go(&self) {
        self.state.lock().unwrap().let_go = true;
        self.changed.notify_all();
    }

    fn read(&self, words: &str) -> Verdict {
        self.state.lock().unwrap().begun.push(words.to_owned());
        self.changed.notify_all();
        let words = match words.strip_prefix("hold ") {
            None => words,
            Some(words) => {
                let state = self.state.lock().unwrap();
                drop(self.changed.wait_while(state, |state| !state.let_go).unwrap());
                words
            }
        };
        if let Some((millis, words)) = words.strip_prefix("take ").and_then(|rest| rest.split_once(' ')) {
            let (state, millis) = (self.state.lock().unwrap(), millis.parse().unwrap());
            // Nobody says otherwise, so this is the time that it takes.
            drop(self.changed.wait_timeout_while(state, std::time::Duration::from_millis(millis), |_| true).unwrap());
            return self.verdict(words);
        }
        self.verdict(words)
    }

    fn verdict(&self, words: &str) -> Verdict {
        let words = match words.strip_prefix("as ").and_then(|rest| rest.split_once(' ')) {
            Some((_, words)) => words,
            None => words,
        };
        let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
        match verb {
            "read" => evidence(rest, AssuranceLevel::Corroborated, vec![]),
            "specimen" => evidence(rest, AssuranceLevel::Corroborated, vec![Signal::Specimen]),
            "masked" => evidence(rest, AssuranceLevel::Corroborated, vec![Signal::NumberMasked]),
            "resident" => match evidence(rest, AssuranceLevel::Corroborated, vec![]) {
                Verdict::Read(of) => Verdict::Read(Evidence { kind: DocumentKind::KrResidentCard, ..of }),
                other => other,
            },
            "unwitnessed" => evidence(rest, AssuranceLevel::Unwitnessed, vec![]),
            "expired" => evidence(rest, AssuranceLevel::Corroborated, vec![Signal::Expired]),
            "conflict" => evidence(rest, AssuranceLevel::Checked, vec![Signal::PrintedDateConflict]),
            "panic" => panic!("as the script says"),
            reason => Verdict::Unreadable(Unreadable {
                reasons: vec![reason.parse::<Reason>().unwrap()],
                signals: vec![],
                kind: None,
                youngest: None,
            }),
        }
    }
}

fn evidence(date: &str, assurance: AssuranceLevel, signals: Vec<Signal>) -> Verdict {
    Verdict::Read(Evidence {
        kind: DocumentKind::Td3,
        birth: BirthDate::new(date.parse().unwrap()),
        assurance,
        witnesses: vec![],
        signals,
        expiry: Some("2099-12-31".parse().unwrap()),
    })
}
