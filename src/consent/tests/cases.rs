//! The machine by named cases.

use super::*;
use ConsentActor as Actor;
use ConsentPurpose::{Collection, Location, Marketing, ThirdPartyDisclosure};
use ConsentState as State;
use NotPossible as Not;
use VerificationMethod::{EmailPlus, IdScan, KrCall, Phone, SignedForm};

/// A consent that the law of Germany asks for, checked by a scan and a call, and given at hour 2.
fn given() -> Consent {
    let verified = asked("DE", true, &[IdScan, Phone, EmailPlus]).step(check(IdScan, 1), at(1)).unwrap();
    verified.step(grant(&[Marketing, Collection]), at(2)).unwrap()
}

fn step(consent: &Consent, event: Event, hours: i64) -> Consent {
    consent.step(event, at(hours)).unwrap()
}

fn refused(consent: &Consent, event: Event, hours: i64) -> NotPossible {
    consent.step(event, at(hours)).unwrap_err()
}

fn tombstone(consent: &Consent) -> bool {
    let json = serde_json::to_string(consent).unwrap();
    let gone = ["principal", "notice", "7777", "id_scan", "collection", "kr/signup", "Demo", "parent"];
    consent.events().is_empty() && consent.request().is_none() && gone.iter().all(|word| !json.contains(word))
}

#[test]
fn from_request_to_grant() {
    let asked = asked("KR", true, &[IdScan, KrCall]);
    assert_eq!((asked.state(), asked.event()), (State::Requested, EventKind::ConsentRequested));
    assert_eq!(asked.next_due(), Some(at(72)));
    let sent = step(&asked, Event::NoticeSent { new_link: None }, 1);
    assert_eq!(
        (sent.state(), sent.event(), sent.link()),
        (State::NoticeSent, EventKind::ConsentNoticeSent, Some(LINK))
    );
    assert_eq!(refused(&sent, grant(&[Collection]), 1), Not::GuardianNotVerified);
    let scanned = step(&sent, check(IdScan, 2), 2);
    assert_eq!(scanned.state(), State::GuardianVerified);
    assert_eq!(refused(&scanned, grant(&[Collection]), 3), Not::MethodInsufficient, "a scan is no Korean method");
    let called = step(&scanned, check(KrCall, 3), 3);
    let given = step(&called, grant(&[Collection, Marketing]), 4);
    assert_eq!((given.state(), given.event(), given.link()), (State::Given, EventKind::ConsentGiven, None));
    assert_eq!(given.granted(), [Collection, Marketing]);
    assert_eq!(given.methods_rule().unwrap().as_str(), "consent/kr-legal");
    assert_eq!(given.attestation().unwrap().as_str(), "guardian-v1");
    assert_eq!((given.given_at(), given.next_due()), (Some(at(4)), Some(at(24 * 365))));
    assert_eq!(refused(&given, grant(&[Collection]), 5), Not::AlreadyAnswered);
    assert_eq!(refused(&given, Event::Refused { link: LINK }, 5), Not::AlreadyAnswered);
    assert_eq!(refused(&given, check(KrCall, 5), 5), Not::AlreadyAnswered);
    assert!(given.in_force(at(5)) && !given.in_force(at(24 * 365)) && given.purge() == Purge::Nothing);
}

#[test]
fn a_request_must_ask_for_collection_and_allow_what_can_suffice() {
    let ask = |change: fn(&mut Request)| {
        let mut request = request("KR", true, &[IdScan, KrCall]);
        change(&mut request);
        Consent::requested(ConsentId(Uuid::nil()), "rp".parse().unwrap(), request, None).map(|_| ())
    };
    assert_eq!(ask(|_| ()), Ok(()));
    assert_eq!(ask(|request| request.requested = vec![Marketing]), Err(Not::CollectionRequired));
    assert_eq!(ask(|request| request.allowed_methods = vec![IdScan]), Err(Not::MethodInsufficient));
    assert_eq!(ask(|request| request.answer_by = request.requested_at), Err(Not::Ended));
}

#[test]
fn a_grant_needs_collection_purposes_of_the_request_and_the_live_link() {
    let verified = step(&asked("DE", true, &[Phone]), check(Phone, 1), 1);
    assert_eq!(refused(&verified, grant(&[Marketing]), 2), Not::CollectionRequired);
    assert_eq!(refused(&verified, grant(&[Collection, Location]), 2), Not::PurposeNotRequested);
    assert_eq!(refused(&verified, check(SignedForm, 2), 2), Not::MethodNotAllowed);
    assert_eq!(refused(&verified, check(IdScan, 2), 2), Not::MethodNotAllowed);
    let other = Uuid::from_u128(0x22);
    assert_eq!(refused(&verified, Event::Refused { link: other }, 2), Not::LinkInvalid);
    let replaced = step(&verified, Event::NoticeSent { new_link: Some(other) }, 2);
    assert_eq!(replaced.state(), State::GuardianVerified);
    assert_eq!(refused(&replaced, grant(&[Collection]), 3), Not::LinkInvalid, "the old link is void");
    assert_eq!(step(&replaced, Event::Refused { link: other }, 3).state(), State::Refused);
}

#[test]
fn a_card_that_does_not_show_the_age_counts_for_nothing() {
    let young = Check { guardian_age_ok: false, ..checked(IdScan, 1) };
    let verified = step(&asked("DE", true, &[IdScan]), Event::Checked { check: young, review: Vec::new() }, 1);
    assert_eq!(refused(&verified, grant(&[Collection]), 2), Not::MethodInsufficient);
}

#[test]
fn a_review_is_answered_by_a_person_and_by_nothing_else() {
    let odd = Event::Checked { check: checked(IdScan, 1), review: vec![ReviewReason::AgeGap, ReviewReason::AgeGap] };
    let in_review = step(&asked("DE", true, &[IdScan, Phone]), odd, 1);
    assert_eq!((in_review.state(), in_review.event()), (State::InReview, EventKind::ConsentInReview));
    assert_eq!(in_review.review(), [ReviewReason::AgeGap]);
    assert_eq!(refused(&in_review, grant(&[Collection]), 2), Not::InReview);
    let called = step(&in_review, check(Phone, 2), 2);
    assert_eq!(called.state(), State::InReview, "another check does not answer it");
    let staff = || Event::ReviewCleared { staff: "agent-9".parse().unwrap() };
    let cleared = step(&called, staff(), 3);
    assert_eq!((cleared.state(), cleared.review()), (State::GuardianVerified, &[][..]));
    assert_eq!(refused(&cleared, staff(), 3), Not::NotInReview);
    let given = step(&cleared, grant(&[Collection]), 4);
    let receipt = given.receipt(given.events().len() - 1).unwrap();
    assert_eq!(receipt.guardian.reviewed_by.unwrap().as_str(), "agent-9");
    assert_eq!(given.receipt(1).unwrap().guardian.reviewed_by, None, "not known then");
}

#[test]
fn an_answer_comes_in_time_or_not_at_all() {
    let verified = step(&asked("DE", true, &[Phone]), check(Phone, 1), 1);
    assert_eq!(refused(&verified, Event::TimePassed, 71), Not::NothingChanges);
    assert_eq!(refused(&verified, grant(&[Collection]), 72), Not::Ended);
    assert_eq!(refused(&verified, Event::Refused { link: LINK }, 72), Not::Ended);
    let over = step(&verified, Event::TimePassed, 72);
    assert_eq!(
        (over.state(), over.event(), over.purge()),
        (State::TimedOut, EventKind::ConsentTimedOut, Purge::Everything)
    );
    assert!(tombstone(&over));
    assert_eq!(refused(&over, grant(&[Collection]), 73), Not::Ended);
}

#[test]
fn of_a_refusal_nothing_is_left_but_that_it_happened() {
    let verified = step(&asked("DE", true, &[Phone]), check(Phone, 1), 1);
    assert!(!tombstone(&verified), "the test can fail");
    for event in [Event::Refused { link: LINK }, Event::Withdrawn { actor: Actor::Guardian }] {
        let over = step(&verified, event, 2);
        assert_eq!((over.state(), over.event(), over.changed_at()), (State::Refused, EventKind::ConsentRefused, at(2)));
        assert!(tombstone(&over) && over.purge() == Purge::Everything);
        assert_eq!(refused(&over, grant(&[Collection]), 3), Not::AlreadyAnswered);
        assert_eq!(refused(&over, Event::Withdrawn { actor: Actor::Guardian }, 3), Not::Ended);
        assert_eq!(refused(&over, Event::Erased, 3), Not::NothingChanges);
    }
}

#[test]
fn scope_shrinks_and_never_grows_without_another_yes() {
    let given = given();
    let change = |actor, purposes: &[ConsentPurpose]| Event::ScopeChanged { actor, purposes: purposes.to_vec() };
    assert_eq!(refused(&given, change(Actor::Guardian, &[Marketing, Collection]), 3), Not::NothingChanges);
    assert_eq!(refused(&given, change(Actor::Guardian, &[Marketing]), 3), Not::CollectionRequired);
    assert_eq!(refused(&given, change(Actor::Guardian, &[Collection, Location]), 3), Not::PurposeNotRequested);
    assert_eq!(refused(&given, change(Actor::Subject, &[Collection]), 3), Not::SubjectTooYoung);
    let less = step(&given, change(Actor::RelyingParty, &[Collection]), 3);
    assert_eq!((less.granted(), less.event()), (&[Collection][..], EventKind::ConsentChanged));
    for actor in [Actor::Guardian, Actor::RelyingParty] {
        let more = change(actor, &[Collection, ThirdPartyDisclosure]);
        assert_eq!(refused(&less, more, 4), Not::PurposeNotRequested, "that takes a new consent");
    }
    let longer = Event::Reaffirmed { actor: Actor::RelyingParty, lapses_at: at(24 * 700) };
    assert_eq!(refused(&given, longer, 3), Not::ActorNotAllowed, "nobody confirms their own permission");
    let asked = asked("DE", true, &[EmailPlus]);
    assert_eq!(refused(&asked, change(Actor::Guardian, &[Collection]), 3), Not::NotGiven);
}

#[test]
fn withdrawing_is_as_easy_as_giving_and_keeps_the_proof() {
    for actor in [Actor::Guardian, Actor::Subject, Actor::RelyingParty] {
        let over = step(&given(), Event::Withdrawn { actor }, 3);
        assert_eq!((over.state(), over.purge()), (State::Withdrawn, Purge::Sealed));
        assert!(over.request().is_some() && over.next_due().is_none());
        let last = over.receipt(over.events().len() - 1).unwrap();
        assert_eq!((last.events[0].event_type, last.events[0].entity_id), (EventKind::ConsentWithdrawn, actor));
        assert_eq!(refused(&over, Event::Withdrawn { actor }, 4), Not::Ended);
        assert!(tombstone(&step(&over, Event::Erased, 5)), "erasing the subject takes the proof away, too");
    }
}

#[test]
fn a_consent_lapses_unless_it_is_reaffirmed() {
    let year = 24 * 365;
    let longer = Event::Reaffirmed { actor: Actor::Guardian, lapses_at: at(2 * year) };
    let again = step(&given(), longer.clone(), year - 1);
    assert_eq!((again.event(), again.next_due()), (EventKind::ConsentReaffirmed, Some(at(2 * year))));
    assert_eq!(refused(&given(), longer, year), Not::Ended);
    let over = step(&given(), Event::TimePassed, year);
    assert_eq!((over.state(), over.event(), over.purge()), (State::Expired, EventKind::ConsentExpired, Purge::Sealed));
    let past = Event::Reaffirmed { actor: Actor::Guardian, lapses_at: at(2) };
    assert_eq!(refused(&given(), past, 3), Not::Ended);
}

#[test]
fn at_an_age_line_the_guardian_s_access_ends_and_at_the_last_the_consent_does() {
    let fourteen = Event::AgeReached { line: 14, last: false };
    let older = step(&given(), fourteen.clone(), 24);
    assert_eq!((older.state(), older.event(), older.subject_acts()), (State::Given, EventKind::ConsentAgedOut, true));
    assert_eq!(refused(&older, fourteen, 25), Not::NothingChanges);
    assert_eq!(refused(&older, Event::AgeReached { line: 13, last: true }, 25), Not::NothingChanges);
    for actor in [Actor::Guardian, Actor::RelyingParty] {
        assert_eq!(refused(&older, Event::Withdrawn { actor }, 25), Not::GuardianAccessEnded);
        let less = Event::ScopeChanged { actor, purposes: vec![Collection] };
        assert_eq!(refused(&older, less, 25), Not::GuardianAccessEnded);
        let longer = Event::Reaffirmed { actor, lapses_at: at(24 * 700) };
        assert_eq!(refused(&older, longer, 25), Not::GuardianAccessEnded);
    }
    let less = Event::ScopeChanged { actor: Actor::Subject, purposes: vec![Collection] };
    assert_eq!(step(&older, less, 25).granted(), [Collection]);
    assert_eq!(step(&older, Event::Withdrawn { actor: Actor::Subject }, 25).state(), State::Withdrawn);
    let over = step(&older, Event::AgeReached { line: 18, last: true }, 26);
    assert_eq!((over.state(), over.purge()), (State::AgedOut, Purge::Sealed));
    assert_eq!(refused(&over, Event::AgeReached { line: 19, last: true }, 27), Not::Ended);
}

#[test]
fn an_age_line_is_told_by_the_month_only() {
    let older = step(&given(), Event::AgeReached { line: 14, last: false }, 24);
    let first: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
    assert_eq!(older.changed_at(), first);
    let receipt = older.receipt(older.events().len() - 1).unwrap();
    assert_eq!(receipt.events[0].event_time, first);
    assert!(receipt.guardian.access_ended);
}

#[test]
fn an_open_request_can_be_answered_after_an_age_line_and_the_subject_acts_from_then_on() {
    let verified = step(&asked("DE", true, &[Phone]), check(Phone, 1), 1);
    let older = step(&verified, Event::AgeReached { line: 16, last: false }, 2);
    assert_eq!(older.state(), State::GuardianVerified);
    let given = step(&older, grant(&[Collection]), 3);
    assert_eq!(refused(&given, Event::Withdrawn { actor: Actor::Guardian }, 4), Not::GuardianAccessEnded);
    let over = step(&older, Event::AgeReached { line: 18, last: true }, 3);
    assert_eq!(
        (over.state(), over.purge()),
        (State::AgedOut, Purge::Everything),
        "what was never given leaves nothing"
    );
    assert!(tombstone(&over));
}

#[test]
fn a_later_consent_takes_the_place_of_an_open_or_given_one() {
    for (consent, purge) in [(asked("DE", true, &[Phone]), Purge::Everything), (given(), Purge::Sealed)] {
        let over = step(&consent, Event::Superseded, 3);
        assert_eq!((over.state(), over.link(), over.purge()), (State::Superseded, None, purge));
        assert_eq!(refused(&over, Event::Superseded, 4), Not::Ended);
    }
}

#[test]
fn there_is_always_room_for_lines_and_the_end() {
    let mut consent = given();
    for hours in 3.. {
        let event = Event::Reaffirmed { actor: Actor::Guardian, lapses_at: at(24 * 900 + hours) };
        match consent.step(event, at(hours)) {
            Ok(next) => consent = next,
            Err(why) => {
                assert_eq!(why, Not::TooManyChanges);
                break;
            }
        }
    }
    let less = Event::ScopeChanged { actor: Actor::Guardian, purposes: vec![Collection] };
    assert_eq!(refused(&consent, less, 100), Not::TooManyChanges);
    let mut older = consent.clone();
    for line in 1..=100 {
        older = older.step(Event::AgeReached { line, last: false }, at(101)).unwrap_or(older);
    }
    assert!(older.subject_acts());
    for (consent, event) in [
        (&consent, Event::Withdrawn { actor: Actor::Guardian }),
        (&older, Event::Withdrawn { actor: Actor::Subject }),
        (&older, Event::AgeReached { line: 101, last: true }),
        (&older, Event::Superseded),
    ] {
        let over = step(consent, event, 102);
        assert!(over.events().len() <= MAX_EVENTS && over.purge() == Purge::Sealed);
    }
    assert_eq!(older.step(Event::TimePassed, at(24 * 2000)).unwrap().state(), State::Expired);
}

#[test]
fn a_consent_is_stored_and_read_back_and_nothing_else_is() {
    let given = given();
    let json = serde_json::to_string(&given).unwrap();
    assert_eq!(serde_json::from_str::<Consent>(&json).unwrap(), given);
    let more = json.replacen('{', "{\"name\":\"x\",", 1);
    assert!(serde_json::from_str::<Consent>(&more).is_err());
}
