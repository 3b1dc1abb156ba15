//! The flows over a store that holds anything: what was damaged, cut off, written by another version or put there by
//! somebody must be refused and never bring the server down.
//!
//! The first byte chooses what is asked, the second how many changes meet somebody else's, the third how many keys are
//! filed; then lines. The first line is the name that is asked for, the others are values (see [`scripted_store`]).
//!
//! [`scripted_store`]: super::scripted_store

use super::input::Input;
use super::scripted_store::Scripted;
use idgate::config::{self, Settings};
use idgate::evidence::validate::{Unreadable, Verdict};
use idgate::evidence::{Extraction, Timings};
use idgate::flows::consent::ScopeChange;
use idgate::flows::events::{Cursor, Wanted};
use idgate::flows::rights::{Answer, DueRange, Looked};
use idgate::flows::{App, Ask, Call, Deadline, Presence, ReportAsk, Shown};
use idgate::seal::SealRing;
use idgate::secret::Sensitive;
use idgate::store::{Handles, Key, Partition, Space, Stirred};
use idgate::terms::{ConsentActor, DecisionId, IdempotencyKey, Purpose, Reason, Reporter};
use idgate::terms::{ConsentId, RelyingParty, RequestId, StaffRef, SubjectRef};
use jiff::Timestamp;
use jiff::civil::date;
use std::collections::{BTreeSet, VecDeque};
use std::hint::black_box;
use std::str::FromStr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// What can be asked, by the first byte from `0` on.
const ASKS: u8 = 18;
/// The values of one input, and their bytes each: a store takes no longer ones.
const VALUES: usize = 64;

struct Fixture {
    app: App,
    store: Arc<Scripted>,
    runtime: Runtime,
}

/// One at a time: the store answers for one input.
static FIXTURE: LazyLock<Mutex<Fixture>> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = Settings::load(None).unwrap();
    settings.data_dir = directory.path().join("data");
    settings.ocr.workers = 1;
    settings.rights.journal_requests = 0;
    let nothing = || Unreadable { reasons: vec![Reason::NoDocument], signals: vec![], kind: None, youngest: None };
    let read = move |_, _, _: &_| Extraction { verdict: Verdict::Unreadable(nothing()), timings: Timings::default() };
    let mut app = config::open(&settings, Arc::new(read)).unwrap();
    let store = Arc::new(Scripted::default());
    app.store = Arc::<Scripted>::clone(&store);
    app.stirred = Arc::new(Stirred::default());
    app.handles = Handles::new(Sensitive::new([1; 32]));
    app.seal = SealRing::new(Sensitive::new([2; 32]), vec![Sensitive::new([3; 32])]);
    app.clock = Box::new(now);
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    Mutex::new(Fixture { app, store, runtime })
});

/// When it is.
pub fn now() -> Timestamp {
    Timestamp::from_second(super::token::NOW).unwrap()
}

pub fn run(data: &[u8]) {
    run_with(data, |line| line.to_vec());
    // Records are written as MessagePack; as JSON, which is still read, they can be read and changed here.
    if data.split(|byte| *byte == b'\n').any(|line| packed(line).is_some()) {
        run_with(data, |line| packed(line).unwrap_or_else(|| line.to_vec()));
    }
}

/// A line of JSON as MessagePack.
fn packed(line: &[u8]) -> Option<Vec<u8>> {
    let value: serde_json::Value = serde_json::from_slice(line).ok().filter(serde_json::Value::is_object)?;
    rmp_serde::to_vec(&value).ok()
}

fn run_with(data: &[u8], form: impl Fn(&[u8]) -> Vec<u8>) {
    let mut input = Input(data);
    let (ask, conflicts, filed) = (input.byte().wrapping_sub(b'0'), input.byte() % 4, input.byte() % 8);
    let name = String::from_utf8_lossy(input.line().unwrap_or_default()).into_owned();
    let values: VecDeque<Vec<u8>> = std::iter::from_fn(|| input.line()).take(VALUES).map(form).collect();
    // A panic under the lock is what is looked for: the next input has a whole fixture all the same.
    let fixture = FIXTURE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let filed = (0..filed).map(|at| key(&fixture.app, at)).collect();
    fixture.store.begin(values, filed, conflicts);
    fixture.runtime.block_on(answer(&fixture.app, ask % ASKS, &name));
}

/// Keys of every space that is looked at when something is due.
fn key(app: &App, at: u8) -> Key {
    let spaces = [Space::Consent, Space::Held, Space::Report, Space::Rights, Space::Decision];
    let space = spaces[usize::from(at) % spaces.len()];
    app.handles.own_key(space, Partition::new(0).unwrap(), &at.to_string())
}

/// The name as an id, or one that is always the same.
fn id<T: FromStr>(name: &str) -> T {
    let parsed = name.parse().or_else(|_| "0190d3a0-0000-7000-8000-000000000000".parse());
    parsed.unwrap_or_else(|_| unreachable!("the fallback is a name"))
}

async fn answer(app: &App, ask: u8, name: &str) {
    let shop: RelyingParty = "shop".parse().unwrap();
    let subject: SubjectRef = "subject-1".parse().unwrap();
    let once: IdempotencyKey = "0190d3a0-0000-4000-8000-000000000000".parse().unwrap();
    let staff = || "staff-1".parse::<StaffRef>().unwrap();
    let decision = id::<DecisionId>(name);
    let consent = id::<ConsentId>(name);
    let request = id::<RequestId>(name);
    match ask {
        0 => drop(app.told(&shop, decision).await),
        1 => {
            if let Ok(consent) = app.consent(&shop, &consent).await {
                drop((app.receipt(&consent), app.link(&consent)));
                black_box((consent.next_due(), consent.in_force(now()), consent.satisfies_law(), consent.purge()));
                for at in 0..consent.events().len() {
                    drop(consent.receipt(at));
                }
            }
        }
        2 => drop(app.consents(&shop, &subject).await),
        3 => {
            if let Ok(request) = app.rights_request(&shop, &request).await {
                drop((app.plan_of(&request), app.rights_token(&request, &subject)));
                black_box((
                    request.next_due(),
                    request.missing(now()),
                    request.standing(now()),
                    request.required(now()),
                ));
                drop(app.explained(&request).await);
            }
        }
        4 => drop(app.run_due().await),
        5 => {
            if app.look().await.is_ok() {
                let wanted = Wanted { relying_party: shop, types: BTreeSet::new() };
                drop(app.events(&wanted, Cursor::START, 1000).await);
            }
        }
        6 | 7 => {
            let stated = Sensitive::new(String::from("2000-02-29"));
            let shown = if ask == 6 { Shown::declared(&stated).unwrap() } else { Shown::Consent(consent) };
            let place = "KR".parse().unwrap();
            let ask = Ask { subject, jurisdiction: place, purpose: Purpose::ALL[0], key: once, shown };
            let presence = Presence::new();
            let call = Call {
                relying_party: shop,
                deadline: Deadline::after(Duration::from_secs(5)),
                watch: presence.watch(),
            };
            drop(app.check_age(ask, call).await);
        }
        8 => drop(app.erase_subject(&subject, &shop, &once).await),
        9 => {
            let range = DueRange { from: date(2026, 1, 1), until: date(2027, 12, 31) };
            drop(app.due_requests(&shop, range, name.parse().ok(), 10).await);
        }
        10 => drop(app.acknowledge_request(&shop, &request, &once).await),
        11 => drop(app.close_request(&shop, &request, &Answer::Withdrawn(staff()), &once).await),
        12 => drop(app.notice_sent(&shop, &consent, true, &once).await),
        13 => {
            let (actor, change) = (ConsentActor::ALL[0], ScopeChange::Reaffirm);
            drop(app.change_consent(&shop, &consent, actor, &change, &once).await);
        }
        14 => drop(app.unlock(&subject, staff(), &shop).await),
        15 => {
            let ask = ReportAsk { subject, reporter: Reporter::ALL[0], consent: Some(consent), key: once };
            drop(app.report_underage(ask, &shop).await);
        }
        16 => drop(app.token_state(name, &shop).await),
        _ => {
            if let Ok(Looked::Good(good)) = app.look_at_proof(name, &shop).await {
                drop(app.use_proof(*good).await);
            }
        }
    }
}
