//! Random days in the life of many consents, through the wire and over restarts: whatever happened, every move is in the
//! trail, every end is an end, and when all is over no key is left that could open anything.

use crate::support::{Asked, SHOP, TurnedClock, World, ask};
use fastrand::Rng;
use idgate::audit::{ConsentMoved, Entry, Head, verify_chain};
use idgate::server::proto::check_age_response::Outcome as Checked;
use idgate::server::proto::verify_guardian_request::Proof;
use idgate::server::proto::{self, ConsentActor, VerificationMethod};
use idgate::store::Partition;
use idgate::terms::ConsentState;
use jiff::SignedDuration;
use std::collections::BTreeMap;

const SEEDS: u64 = 2;
const STEPS: usize = 250;

/// Children of 13 to 17 in November 2026.
const CHILDREN: [(&str, &str); 5] = [
    ("child-0", "2009-02-28"),
    ("child-1", "2010-12-31"),
    ("child-2", "2011-03-10"),
    ("child-3", "2012-02-29"),
    ("child-4", "2013-05-05"),
];

const ENDED: [ConsentState; 7] = [
    ConsentState::Refused,
    ConsentState::TimedOut,
    ConsentState::Withdrawn,
    ConsentState::Expired,
    ConsentState::Superseded,
    ConsentState::AgedOut,
    ConsentState::Erased,
];

struct Life {
    world: World,
    clock: TurnedClock,
    rng: Rng,
    decisions: BTreeMap<&'static str, String>,
    asked: Vec<Asked>,
    count: usize,
}

impl Life {
    async fn begin(seed: u64) -> Self {
        let clock = TurnedClock::at("2026-11-22T03:00:00Z");
        let wound = clock.clone();
        let world = World::with(
            |settings| {
                settings.checks.subject_attempts = 4000;
                settings.checks.relying_party_attempts = 0;
            },
            move |app| wound.wind(app),
        )
        .await;
        let (decisions, asked) = (BTreeMap::new(), Vec::new());
        Self { world, clock, rng: Rng::with_seed(seed), decisions, asked, count: 0 }
    }

    fn key(&mut self) -> String {
        self.count += 1;
        format!("key-{}", self.count)
    }

    fn some_consent(&mut self) -> Option<usize> {
        // The latest are the ones that still live.
        let back = self.rng.usize(0..4);
        let at = self.asked.len().checked_sub(1 + back)?;
        // The record of one that ended a year ago may be gone.
        let asked = self.asked[at].consent.requested_at.unwrap().seconds;
        (self.clock.now().as_second() - asked < 300 * 86_400).then_some(at)
    }

    async fn check(&mut self) {
        let (child, born) = CHILDREN[self.rng.usize(0..CHILDREN.len())];
        let key = self.key();
        let answer = self.world.check(ask(child, &key, &format!("read {born}"))).await.unwrap();
        if let Some(Checked::ConsentRequired(_)) = answer.outcome {
            self.decisions.insert(child, answer.decision_id);
        }
    }

    async fn request(&mut self) {
        let Some((child, decision)) = self.decisions.pop_first() else { return };
        let methods = [VerificationMethod::IdScan, VerificationMethod::KrPaper];
        let request = self.world.consent_request(child, &decision, &methods);
        // It may be too late for it.
        let Ok(answer) = self.world.consents().request_consent(self.world.authorized(SHOP, request)).await else {
            return;
        };
        let answer = answer.into_inner();
        let Some(proto::request_consent_response::Outcome::Requested(consent)) = answer.outcome else { panic!() };
        self.asked.push(Asked { id: consent.consent_id.clone(), link: answer.guardian_link_token, consent });
    }

    async fn guardian(&mut self) {
        let Some(at) = self.some_consent() else { return };
        let image = ["read 1980-01-02", "read 1980-01-02", "read 2009-01-01", "blurred"][self.rng.usize(0..4)];
        let proof = match self.rng.bool() {
            true => Proof::Image(image.as_bytes().to_vec()),
            false => Proof::Attested(proto::AttestedMethod {
                method: VerificationMethod::KrPaper.into(),
                staff_ref: String::new(),
            }),
        };
        self.world.verify_guardian(&self.asked[at].id.clone(), proof).await.unwrap();
    }

    async fn respond(&mut self) {
        let Some(at) = self.some_consent() else { return };
        match self.rng.u8(0..5) {
            0 => drop(self.world.refuse(&self.asked[at]).await),
            _ => drop(self.world.respond(self.world.grant_request(&self.asked[at])).await),
        }
    }

    async fn act(&mut self) {
        let Some(at) = self.some_consent() else { return };
        let actor = [ConsentActor::Guardian, ConsentActor::Subject][self.rng.usize(0..2)];
        let (id, key) = (self.asked[at].id.clone(), self.key());
        match self.rng.u8(0..4) {
            0 => drop(self.world.withdraw(&id, actor).await),
            _ => {
                let request = proto::ReaffirmRequest {
                    consent_id: id,
                    actor: actor.into(),
                    idempotency_key: key,
                    language: String::new(),
                };
                self.world.consents().reaffirm(self.world.authorized(SHOP, request)).await.unwrap();
            }
        }
    }

    async fn rarely(mut self) -> Self {
        let (child, _) = CHILDREN[self.rng.usize(0..CHILDREN.len())];
        let key = self.key();
        match self.rng.u8(0..4) {
            0 => self.world.erase(child).await,
            1 => {
                let report = proto::ReportUnderageRequest {
                    subject_ref: child.to_owned(),
                    reporter: proto::Reporter::Staff.into(),
                    consent_id: String::new(),
                    idempotency_key: key,
                };
                self.world.age_gate().report_underage(self.world.authorized(SHOP, report)).await.unwrap();
            }
            2 => {
                let wound = self.clock.clone();
                self.world = self.world.restart(move |app| wound.wind(app)).await;
            }
            _ => {
                let wound = self.clock.clone();
                self.world = self.world.crash(move |app| wound.wind(app)).await;
            }
        }
        self
    }

    fn pass(&self, span: SignedDuration) {
        let later = self.clock.now().checked_add(span).unwrap();
        self.clock.turn_to(&later.to_string());
    }

    async fn time(&mut self) {
        let minutes = match self.rng.u8(0..12) {
            0..6 => self.rng.i64(0..60),
            6..10 => self.rng.i64(0..60 * 8),
            10 => 60 * 24 * self.rng.i64(9..40),
            _ => 60 * 24 * self.rng.i64(40..200),
        };
        // A server looks every second; here it misses hours.
        let long = minutes > 60 * 8;
        if long {
            self.world.app.run_due().await.unwrap();
        }
        self.pass(SignedDuration::from_mins(minutes));
        if long || self.rng.bool() {
            self.world.app.run_due().await.unwrap();
        }
    }

    async fn moves(&self) -> BTreeMap<String, Vec<ConsentMoved>> {
        let mut moves: BTreeMap<String, Vec<ConsentMoved>> = BTreeMap::new();
        for partition in Partition::all() {
            let links = self.world.app.store.trail(partition, 0, 4000).await.unwrap();
            let head = self.world.app.store.head(partition).await.unwrap();
            assert_eq!(verify_chain(partition.number(), Head::GENESIS, &links, Some(head)), Ok(head));
            for link in links {
                if let Entry::ConsentMoved(moved) = link.entry().unwrap() {
                    moves.entry(moved.consent_id.to_string()).or_default().push(*moved);
                }
            }
        }
        moves
    }

    /// Every move of every consent is in the trail, in order, and what has ended stays as it ended (or is erased).
    async fn holds(&self) {
        let moves = self.moves().await;
        for asked in &self.asked {
            let told = &moves[&asked.id];
            let kinds: Vec<&str> = told.iter().map(|moved| moved.kind.as_str()).collect();
            assert_eq!(kinds[0], "consent.requested");
            let request = proto::GetConsentRequest { consent_id: asked.id.clone() };
            match self.world.consents().get_consent(self.world.authorized(SHOP, request)).await {
                Ok(answer) => {
                    let events = answer.into_inner().consent.unwrap().events;
                    let kept: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
                    assert!(
                        kept.is_empty() || kept == kinds,
                        "the trail tells what the consent tells: {kept:?} {kinds:?}"
                    );
                }
                // The record of one that ended a year ago may be gone.
                Err(_) => assert!(ENDED.contains(&told.last().unwrap().state), "{kinds:?}"),
            }
            let end = told.iter().position(|moved| ENDED.contains(&moved.state));
            let after = end.map_or(&[][..], |end| &told[end + 1..]);
            assert!(after.iter().all(|moved| moved.state == ConsentState::Erased) && after.len() <= 1, "{kinds:?}");
        }
    }

    fn keys(&self) -> usize {
        let bytes = std::fs::read(self.world.settings.data_dir.join("store").join("shred.keys")).unwrap();
        // The first slot is the file's own mark.
        bytes.chunks(64).skip(1).filter(|slot| slot.iter().any(|byte| *byte != 0)).count()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_nothing_is_lost_and_nothing_is_left() {
    let (mut ends, mut consents) = (BTreeMap::<ConsentState, usize>::new(), 0);
    for seed in 0..SEEDS {
        let mut life = Life::begin(seed).await;
        for _ in 0..STEPS {
            match life.rng.u8(0..100) {
                0..18 => life.check().await,
                18..34 => life.request().await,
                34..54 => life.guardian().await,
                54..72 => life.respond().await,
                72..80 => life.act().await,
                80..84 => life = life.rarely().await,
                _ => life.time().await,
            }
        }
        life.holds().await;
        // Everything lapses within a year, by the timers alone.
        for _ in 0..2 {
            life.world.app.run_due().await.unwrap();
            life.pass(SignedDuration::from_hours(24 * 400));
        }
        life.world.app.run_due().await.unwrap();
        for moved in life.moves().await.values().map(|told| told.last().unwrap()) {
            assert!(ENDED.contains(&moved.state), "{moved:?} has not ended");
            *ends.entry(moved.state).or_default() += 1;
        }
        assert_eq!(life.keys(), 0, "a key is left that could open something");
        consents += life.asked.len();
    }
    println!("{consents} consents: {ends:?}");
    assert!(consents > 25 && ends.len() >= 5, "{consents} {ends:?}");
}
