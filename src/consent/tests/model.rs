//! Random steps against a model that shares no line with the machine: it says beforehand what must come out of each.

use super::*;
use ConsentPurpose::{Collection, CrossBorderTransfer, Marketing, PublicProfile, ThirdPartyDisclosure};
use ConsentState::*;
use NotPossible as Not;
use fastrand::Rng;
use std::collections::BTreeSet;

const RUNS: u64 = 6_000;
const STEPS: usize = 50;
const PLACES: [&str; 5] = ["KR", "US-CA", "IN", "DE", "ZZ"];

/// What must hold, by hand.
#[derive(Clone)]
struct Model {
    place: &'static str,
    legal: bool,
    allowed: Vec<VerificationMethod>,
    requested: BTreeSet<ConsentPurpose>,
    state: ConsentState,
    link: Option<Uuid>,
    counting: Vec<VerificationMethod>,
    reviews: bool,
    granted: BTreeSet<ConsentPurpose>,
    line: u8,
    deadline: Timestamp,
    length: usize,
    /// Whether nothing is left but that it ended.
    gone: bool,
}

type Said = Result<EventKind, NotPossible>;

impl Model {
    fn open(&self) -> bool {
        [Requested, NoticeSent, InReview, GuardianVerified].contains(&self.state)
    }

    fn enough(&self, purposes: &[ConsentPurpose]) -> bool {
        let disclosed = [ThirdPartyDisclosure, PublicProfile, CrossBorderTransfer].iter().any(|p| purposes.contains(p));
        self.counting.iter().any(|method| match (&self.place[..2], self.legal, method.as_str()) {
            (place, legal, "email_plus" | "text_plus") => !(disclosed || legal && ["KR", "IN"].contains(&place)),
            ("KR", true, name) => name.starts_with("kr_"),
            ("US", true, name) => !name.starts_with("kr_") && name != "id_scan",
            ("IN", true, name) => ["id_scan", "video", "gov_id_database", "face_match"].contains(&name),
            _ => true,
        })
    }

    fn purposes(&self, purposes: &[ConsentPurpose]) -> Result<(), NotPossible> {
        if !purposes.contains(&Collection) {
            return Err(Not::CollectionRequired);
        }
        if purposes.iter().any(|purpose| !self.requested.contains(purpose)) {
            return Err(Not::PurposeNotRequested);
        }
        if self.enough(purposes) { Ok(()) } else { Err(Not::MethodInsufficient) }
    }

    fn actor(&self, actor: ConsentActor) -> Result<(), NotPossible> {
        match (self.line > 0, actor == ConsentActor::Subject) {
            (true, false) => Err(Not::GuardianAccessEnded),
            (false, true) => Err(Not::SubjectTooYoung),
            _ => Ok(()),
        }
    }

    fn moves(&mut self, to: ConsentState, kind: EventKind) -> Said {
        let unanswered = self.open() && [Superseded, AgedOut].contains(&to);
        self.state = to;
        self.gone = unanswered || [Refused, TimedOut, Erased].contains(&to);
        self.length = if self.gone { 0 } else { self.length + 1 };
        Ok(kind)
    }

    fn apply(&mut self, event: &Event, now: Timestamp) -> Said {
        use EventKind::*;
        if matches!(event, Event::Erased) {
            return if self.gone { Err(Not::NothingChanges) } else { self.moves(Erased, SubjectErased) };
        }
        let answers = matches!(event, Event::Granted { .. } | Event::Refused { .. });
        if !self.open() && self.state != Given {
            return Err(if answers && self.state == Refused { Not::AlreadyAnswered } else { Not::Ended });
        }
        if now >= self.deadline {
            return match (event, self.open()) {
                (Event::TimePassed, true) => self.moves(TimedOut, ConsentTimedOut),
                (Event::TimePassed, false) => self.moves(Expired, ConsentExpired),
                _ => Err(Not::Ended),
            };
        }
        let full = self.length >= 56;
        let before_answer = matches!(event, Event::NoticeSent { .. } | Event::Checked { .. }) || answers;
        if before_answer && self.state == Given {
            return Err(Not::AlreadyAnswered);
        }
        match event {
            Event::NoticeSent { .. } if full => Err(Not::TooManyChanges),
            Event::NoticeSent { new_link } => {
                self.link = new_link.or(self.link);
                let to = if self.state == Requested { NoticeSent } else { self.state };
                self.moves(to, ConsentNoticeSent)
            }
            Event::Checked { check, .. } if !self.allowed.contains(&check.method) => Err(Not::MethodNotAllowed),
            Event::Checked { .. } if full => Err(Not::TooManyChanges),
            Event::Checked { check, review } => {
                if check.method.as_str() != "id_scan" || check.guardian_age_ok {
                    self.counting.push(check.method);
                }
                self.reviews |= !review.is_empty();
                match self.reviews {
                    true => self.moves(InReview, ConsentInReview),
                    false => self.moves(GuardianVerified, ConsentGuardianVerified),
                }
            }
            Event::ReviewCleared { .. } if self.state != InReview => Err(Not::NotInReview),
            Event::ReviewCleared { .. } => {
                self.reviews = false;
                self.moves(GuardianVerified, ConsentGuardianVerified)
            }
            Event::Granted { .. } if self.state == InReview => Err(Not::InReview),
            Event::Granted { .. } if self.state != GuardianVerified => Err(Not::GuardianNotVerified),
            Event::Granted { link, .. } | Event::Refused { link } if self.link != Some(*link) => Err(Not::LinkInvalid),
            Event::Granted { purposes, lapses_at, .. } => {
                self.purposes(purposes)?;
                if *lapses_at <= now {
                    return Err(Not::Ended);
                }
                (self.link, self.deadline) = (None, *lapses_at);
                self.granted = purposes.iter().copied().collect();
                self.moves(Given, ConsentGiven)
            }
            Event::Refused { .. } => self.moves(Refused, ConsentRefused),
            Event::ScopeChanged { .. } | Event::Reaffirmed { .. } if self.state != Given => Err(Not::NotGiven),
            Event::ScopeChanged { actor, purposes } => {
                self.actor(*actor)?;
                let wanted: BTreeSet<_> = purposes.iter().copied().collect();
                if wanted == self.granted {
                    return Err(Not::NothingChanges);
                }
                if !wanted.is_subset(&self.granted) {
                    return Err(Not::PurposeNotRequested);
                }
                self.purposes(purposes)?;
                if full {
                    return Err(Not::TooManyChanges);
                }
                self.granted = wanted;
                self.moves(Given, ConsentChanged)
            }
            Event::Withdrawn { .. } if self.open() => self.moves(Refused, ConsentRefused),
            Event::Withdrawn { actor } => match (actor, self.line > 0) {
                (ConsentActor::Subject, _) | (_, false) => self.moves(Withdrawn, ConsentWithdrawn),
                _ => Err(Not::GuardianAccessEnded),
            },
            Event::Reaffirmed { actor, lapses_at } => {
                self.actor(*actor)?;
                if *actor == ConsentActor::RelyingParty {
                    return Err(Not::ActorNotAllowed);
                }
                if *lapses_at <= now {
                    return Err(Not::Ended);
                }
                if full {
                    return Err(Not::TooManyChanges);
                }
                self.deadline = *lapses_at;
                self.moves(Given, ConsentReaffirmed)
            }
            Event::Superseded => self.moves(Superseded, ConsentSuperseded),
            Event::AgeReached { line, .. } if *line <= self.line => Err(Not::NothingChanges),
            Event::AgeReached { last: false, .. } if self.length == 63 => Err(Not::NothingChanges),
            Event::AgeReached { line, last } => {
                self.line = *line;
                self.moves(if *last { AgedOut } else { self.state }, ConsentAgedOut)
            }
            Event::TimePassed | Event::Erased => Err(Not::NothingChanges),
        }
    }
}

fn some<T: Copy>(rng: &mut Rng, all: &[T], of_ten: u8) -> Vec<T> {
    all.iter().copied().filter(|_| rng.u8(0..10) < of_ten).collect()
}

fn one<T: Copy>(rng: &mut Rng, all: &[T]) -> T {
    all[rng.usize(0..all.len())]
}

/// An event that has a chance to be accepted and one to be refused.
fn event(rng: &mut Rng, model: &Model, now: Timestamp, calm: bool) -> Event {
    let later = |rng: &mut Rng| now + SignedDuration::from_hours(rng.i64(if calm { 1_900 } else { -3 }..2_000));
    let link = |rng: &mut Rng| match rng.u8(0..5) {
        0 => Uuid::from_u128(rng.u128(0..4)),
        _ => model.link.unwrap_or(LINK),
    };
    let purposes = |rng: &mut Rng| {
        let asked: Vec<_> = model.requested.iter().copied().collect();
        let mut some = some(rng, &asked, 6);
        match rng.u8(0..8) {
            0 => some.push(one(rng, ConsentPurpose::ALL)),
            1 => {}
            _ => some.push(Collection),
        }
        some
    };
    let actor =
        one(rng, &[ConsentActor::Guardian, ConsentActor::Guardian, ConsentActor::Subject, ConsentActor::RelyingParty]);
    if model.length >= 56 && rng.u8(0..3) > 0 {
        return Event::AgeReached {
            line: model.line + 1,
            last: rng.u8(0..if model.length < 63 { 20 } else { 2 }) == 0,
        };
    }
    let bound = if calm && rng.u8(0..20) > 0 { 90 } else { 100 };
    let of_hundred = rng.u8(0..bound);
    match if calm && [60, 75].contains(&of_hundred) { 80 } else { of_hundred } {
        0..10 => Event::NoticeSent { new_link: rng.bool().then(|| Uuid::from_u128(rng.u128(0..4))) },
        10..30 => {
            let method = if rng.u8(0..6) == 0 { one(rng, VerificationMethod::ALL) } else { one(rng, &model.allowed) };
            let check = Check { at: now, guardian_age_ok: rng.u8(0..5) > 0, ..checked(method, 0) };
            let review = if rng.u8(0..5) == 0 { vec![one(rng, ReviewReason::ALL)] } else { Vec::new() };
            Event::Checked { check, review }
        }
        30..38 => Event::ReviewCleared { staff: "agent-1".parse().unwrap() },
        38..60 => Event::Granted {
            link: link(rng),
            purposes: purposes(rng),
            relationship: one(rng, Relationship::ALL),
            attestation: rng.bool().then(|| "other-v2".parse().unwrap()),
            lapses_at: later(rng),
        },
        60 => Event::Refused { link: link(rng) },
        61..75 => Event::ScopeChanged { actor, purposes: purposes(rng) },
        75 => Event::Withdrawn { actor },
        // Calm runs get to the most that can happen.
        76..90 if calm && model.line == 0 => Event::Reaffirmed { actor: ConsentActor::Guardian, lapses_at: later(rng) },
        76..90 if calm => Event::Reaffirmed { actor: ConsentActor::Subject, lapses_at: later(rng) },
        76..90 => Event::Reaffirmed { actor, lapses_at: later(rng) },
        90 => Event::Superseded,
        91..94 => Event::AgeReached { line: rng.u8(13..20), last: rng.u8(0..4) == 0 },
        94 if rng.u8(0..3) == 0 => Event::Erased,
        _ => Event::TimePassed,
    }
}

/// What holds for every consent, whatever led to it.
fn holds(consent: &Consent, model: &Model) {
    assert_eq!((consent.state(), consent.link()), (model.state, if model.open() { model.link } else { None }));
    let ends = model.gone;
    assert_eq!(consent.purge() == Purge::Everything, ends);
    assert_eq!(consent.request().is_none() && consent.events().is_empty() && consent.checks().is_empty(), ends);
    assert_eq!(consent.next_due(), (model.open() || model.state == Given).then_some(model.deadline));
    assert!(consent.events().len() <= MAX_EVENTS && consent.events().len() == model.length);
    assert!((0..).zip(consent.events()).all(|(n, happened)| happened.seq == n), "there is a gap");
    if ends {
        return;
    }
    assert_eq!(consent.granted().iter().copied().collect::<BTreeSet<_>>(), model.granted);
    assert!(model.granted.is_subset(&model.requested));
    assert_eq!(consent.subject_acts(), model.line > 0);
    if consent.state() == Given {
        assert!(consent.granted().contains(&Collection) && model.enough(consent.granted()));
    }
}

fn digest_of(consent: &Consent, index: usize) -> TextDigest {
    use sha2::Digest;
    TextDigest(sha2::Sha256::digest(consent.receipt(index).unwrap().payload()).into())
}

/// A world at random: a consent that was asked for and its model.
fn world(rng: &mut Rng) -> Option<(Consent, Model)> {
    let place = one(rng, &PLACES);
    let (legal, allowed) = (rng.bool(), some(rng, VerificationMethod::ALL, 3));
    let mut asked = request(place, legal, &allowed);
    asked.requested = some(rng, ConsentPurpose::ALL, 5);
    asked.requested.push(Marketing);
    let mut model = Model {
        place,
        legal,
        counting: allowed.clone(),
        allowed,
        requested: asked.requested.iter().copied().collect(),
        state: Requested,
        link: Some(LINK),
        reviews: false,
        granted: BTreeSet::new(),
        line: 0,
        deadline: asked.answer_by,
        length: 1,
        gone: false,
    };
    let possible = model.purposes(if model.requested.contains(&Collection) { &[Collection] } else { &[] });
    model.counting.clear();
    let consent =
        Consent::requested(ConsentId(Uuid::from_u128(rng.u128(..))), "rp".parse().unwrap(), asked, Some(LINK));
    assert_eq!(consent.as_ref().map(|_| ()), possible.as_ref().map(|_| ()));
    Some((consent.ok()?, model))
}

/// What the runs came across: a test that never gets anywhere proves nothing.
#[derive(Default)]
struct Seen {
    steps: usize,
    longest: usize,
    states: BTreeSet<ConsentState>,
    kinds: BTreeSet<EventKind>,
    refusals: BTreeSet<NotPossible>,
}

fn run(rng: &mut Rng, seen: &mut Seen) {
    let Some((mut consent, mut model)) = world(rng) else { return };
    let (mut now, mut digests) = (at(0), vec![digest_of(&consent, 0)]);
    let calm = rng.bool();
    for _ in 0..STEPS * if calm { 4 } else { 1 } {
        now += SignedDuration::from_mins(if rng.u8(0..if calm { 250 } else { 60 }) == 0 {
            60 * 24 * 40
        } else {
            rng.i64(0..30)
        });
        let event = event(rng, &model, now, calm);
        let mut next = model.clone();
        let expected = next.apply(&event, now);
        let came = consent.step(event.clone(), now);
        seen.steps += 1;
        assert_eq!(came.as_ref().map(Consent::event), expected.as_ref().copied(), "{event:?} in {:?}", model.state);
        match came {
            Err(why) => _ = seen.refusals.insert(why),
            Ok(came) => {
                (consent, model) = (came, next);
                let count = consent.events().len();
                digests.resize_with(count, || digest_of(&consent, count - 1));
                if let [.., before, _] = digests.as_slice() {
                    assert_eq!(consent.events()[count - 1].prev, Some(*before), "the link is broken");
                }
                seen.longest = seen.longest.max(count);
                seen.kinds.insert(consent.event());
            }
        }
        seen.states.insert(consent.state());
        holds(&consent, &model);
    }
    for (index, digest) in digests.iter().enumerate() {
        assert_eq!(digest_of(&consent, index), *digest, "an old receipt is made of other bytes");
    }
    let stored = serde_json::to_vec(&consent).unwrap();
    assert_eq!(serde_json::from_slice::<Consent>(&stored).unwrap(), consent);
}

#[test]
fn a_hundred_thousand_random_steps_agree_with_the_model() {
    let mut seen = Seen::default();
    for seed in 0..RUNS {
        run(&mut Rng::with_seed(seed), &mut seen);
    }
    println!("{} steps", seen.steps);
    assert!(seen.steps >= 100_000, "only {} steps", seen.steps);
    assert_eq!(seen.states.len(), ConsentState::ALL.len(), "{:?}", seen.states);
    assert_eq!(seen.refusals.len(), NotPossible::ALL.len(), "{:?}", seen.refusals);
    let kinds = EventKind::ALL.iter().filter(|kind| kind.as_str().starts_with("consent.")).count();
    // All but the request itself, and the erasure.
    assert_eq!(seen.kinds.len(), kinds, "{:?}", seen.kinds);
    assert_eq!(seen.longest, MAX_EVENTS, "no consent came to its bound");
}
