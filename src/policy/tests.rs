//! `decide`, against vectors, against an oracle that compares instants instead of dates, and against leaks.

use super::*;
use crate::terms::{AssuranceLevel, Jurisdiction, Purpose};
use jiff::civil::{Date, date};
use jiff::tz::{Offset, TimeZone};
use jiff::{Span, ToSpan};
use proptest::prelude::*;
use std::collections::BTreeSet;

const OFFERED: Facts = Facts { alternative_offered: true, specimens_accepted: false, consent: None, statute: None };

fn rules() -> RuleSet {
    RuleSet::embedded().unwrap()
}

fn rule(place: &str, purpose: Purpose) -> Rule {
    rules().rule(place.parse().unwrap(), purpose)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn evidence(birth: Date, assurance: AssuranceLevel, signals: &[Signal]) -> Evidence {
    Evidence {
        kind: DocumentKind::Td3,
        birth: BirthDate::new(birth),
        assurance,
        witnesses: Vec::new(),
        signals: signals.to_vec(),
        expiry: None,
    }
}

fn corroborated(birth: Date) -> Evidence {
    evidence(birth, AssuranceLevel::Corroborated, &[])
}

fn on_document(rule: &Rule, evidence: &Evidence, now: Timestamp) -> Decision {
    decide(rule, Basis::Document(evidence), &OFFERED, now).unwrap()
}

fn consent(guardian_min_age: u8, legal_guardian: bool) -> Outcome {
    Outcome::ConsentRequired { guardian_min_age, legal_guardian }
}

fn unreadable(reasons: &[Reason], retryable: bool) -> Outcome {
    Outcome::Unreadable { reasons: reasons.to_vec(), retryable }
}

#[test]
fn named_places() {
    use Outcome::{Allowed, Blocked};
    use Purpose::{AdultContent, LiveStream, Purchase, Signup};
    // Noon in Seoul on 22 November 2026; the same date everywhere but in the zones west of UTC-3.
    let now = at("2026-11-22T03:00:00Z");
    let vectors = [
        ("KR", Signup, date(2013, 11, 22), consent(19, true)),
        ("KR", Signup, date(2013, 11, 23), Blocked),
        ("KR", Signup, date(2012, 11, 23), consent(19, true)),
        ("KR", Signup, date(2012, 11, 22), consent(19, false)),
        ("KR", Signup, date(2008, 11, 23), consent(19, false)),
        ("KR", Signup, date(2008, 11, 22), Allowed),
        ("KR", Purchase, date(2008, 11, 22), consent(19, false)),
        ("KR", Purchase, date(2007, 11, 22), Allowed),
        ("KR", AdultContent, date(2007, 12, 31), Allowed),
        ("KR", AdultContent, date(2008, 1, 1), Blocked),
        ("JP", AdultContent, date(2008, 11, 22), Allowed),
        ("JP", AdultContent, date(2008, 11, 23), Blocked),
        ("JP", Signup, date(2010, 11, 23), consent(18, true)),
        ("AU", Signup, date(2010, 11, 23), Blocked),
        ("AU", Signup, date(2010, 11, 22), consent(18, false)),
        ("AU", Signup, date(2008, 11, 22), Allowed),
        ("DE", Signup, date(2010, 11, 23), consent(18, true)),
        ("DE", Signup, date(2010, 11, 22), consent(18, false)),
        ("AT", Signup, date(2012, 11, 23), consent(18, true)),
        ("DK", Signup, date(2011, 11, 23), consent(18, true)),
        ("SE", Signup, date(2013, 11, 22), consent(18, false)),
        ("GB", Signup, date(2013, 11, 22), consent(18, false)),
        ("BR", Signup, date(2010, 11, 23), consent(18, true)),
        ("IN", Signup, date(2008, 11, 23), consent(18, true)),
        ("CN", Signup, date(2012, 11, 23), consent(18, true)),
        ("CN", LiveStream, date(2010, 11, 23), Blocked),
        ("CN", LiveStream, date(2010, 11, 22), consent(18, true)),
        ("CA-QC", Signup, date(2012, 11, 23), consent(19, true)),
        ("CA-ON", Signup, date(2012, 11, 23), consent(19, false)),
        // It is still 21 November in Florida, Tennessee, Georgia and Texas.
        ("US-FL", Signup, date(2012, 11, 22), Blocked),
        ("US-FL", Signup, date(2012, 11, 21), consent(18, true)),
        ("US-FL", Signup, date(2010, 11, 21), consent(18, false)),
        ("US-TN", Signup, date(2008, 11, 22), consent(18, true)),
        ("US-TN", Signup, date(2008, 11, 21), Allowed),
        ("US-GA", Signup, date(2010, 11, 22), consent(18, true)),
        ("US-TX", Signup, date(2010, 11, 22), consent(18, false)),
        ("US", Signup, date(2013, 11, 22), Blocked),
        ("US", Signup, date(2013, 11, 21), consent(18, false)),
        ("ZZ", Signup, date(2013, 11, 22), Blocked),
        ("ZZ", Signup, date(2013, 11, 21), consent(18, false)),
        ("ZZ", Signup, date(2008, 11, 21), Allowed),
        ("XK", Signup, date(2008, 11, 22), consent(18, false)),
    ];
    for (place, purpose, birth, expected) in vectors {
        let decision = on_document(&rule(place, purpose), &corroborated(birth), now);
        assert_eq!(*decision.outcome(), expected, "{place} {purpose} {birth}");
        assert_eq!(decision.keeps_nothing(), expected == Blocked);
        assert_eq!(decision.grant().is_some(), expected == Allowed);
        assert_eq!(decision.policy(), rules().digest());
    }
}

#[test]
fn the_day_turns_at_midnight_in_the_place_of_the_rule() {
    let birth = corroborated(date(2008, 11, 22));
    for (place, before, after) in [
        ("KR", "2026-11-21T14:59:59Z", "2026-11-21T15:00:00Z"),
        ("DE", "2026-11-21T22:59:59Z", "2026-11-21T23:00:00Z"),
        ("ZZ", "2026-11-22T11:59:59Z", "2026-11-22T12:00:00Z"), // UTC-12
        ("US", "2026-11-22T10:59:59Z", "2026-11-22T11:00:00Z"), // Pago Pago
        ("US-CA", "2026-11-22T07:59:59Z", "2026-11-22T08:00:00Z"),
        ("AU", "2026-11-21T15:59:59Z", "2026-11-21T16:00:00Z"), // Perth
    ] {
        let rule = rule(place, Purpose::Signup);
        assert_ne!(*on_document(&rule, &birth, at(before)).outcome(), Outcome::Allowed, "{place}");
        assert_eq!(*on_document(&rule, &birth, at(after)).outcome(), Outcome::Allowed, "{place}");
    }
}

#[test]
fn the_leap_day_follows_the_place() {
    let birth = corroborated(date(2008, 2, 29));
    let now = at("2026-02-28T04:00:00Z"); // noon in Taipei
    assert_eq!(*on_document(&rule("TW", Purpose::Signup), &birth, now).outcome(), Outcome::Allowed);
    assert_eq!(*on_document(&rule("HK", Purpose::Signup), &birth, now).outcome(), consent(18, false));
    assert_eq!(*on_document(&rule("KR", Purpose::Signup), &birth, now).outcome(), consent(19, false));
}

/// The first instant at which `years` full years are reached in every one of `zones`, told by instants and not dates.
fn instant_of_age(birth: Date, years: i16, zones: &[TimeZone]) -> Timestamp {
    let year = birth.year() + years;
    let birthday = Date::new(year, birth.month(), birth.day()).unwrap_or_else(|_| date(year, 3, 1));
    zones.iter().map(|zone| birthday.to_zoned(zone.clone()).unwrap().timestamp()).max().unwrap()
}

fn zones_of(rule: &Rule) -> Vec<TimeZone> {
    rule.zone_names().map(|name| TimeZone::get(name).unwrap()).collect()
}

/// Birth dates close to every line, and one in every year of a life.
fn births_around(rule: &Rule, now: Timestamp) -> BTreeSet<Date> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let years = [rule.block_below, rule.guardian_below, rule.year_age_adult.unwrap_or(18), 16];
    let near = years.into_iter().flat_map(|years| {
        (-3..=3).map(move |days: i64| today.checked_sub(Span::new().years(i64::from(years)).days(days)).unwrap())
    });
    let lifelong = (1930..=2027).map(|year| date(year, 7, 4));
    near.chain(lifelong).chain([date(2008, 2, 29), date(2012, 2, 29), date(2007, 12, 31), date(2008, 1, 1)]).collect()
}

const INSTANTS: [&str; 12] = [
    "2026-11-22T00:00:00Z",
    "2026-11-22T10:30:00Z",
    "2026-11-22T11:59:59Z",
    "2026-11-22T12:00:00Z",
    "2026-11-22T15:00:00Z",
    "2025-12-31T14:59:59Z",
    "2025-12-31T15:00:00Z",
    "2026-01-01T12:00:00Z",
    "2025-02-28T16:00:00Z",
    "2026-02-28T23:59:59Z",
    "2026-03-01T12:00:00Z",
    "2028-02-29T06:00:00Z",
];

fn every_rule() -> Vec<Rule> {
    let rules = rules();
    let places = rules.places().into_iter().map(|place| match place {
        rules::Place::Everywhere => Jurisdiction::UNKNOWN,
        rules::Place::At(place) => place,
    });
    places.flat_map(|place| Purpose::ALL.iter().map(move |p| (place, *p))).map(|(j, p)| rules.rule(j, p)).collect()
}

fn rank(decision: &Decision) -> u8 {
    match decision.outcome() {
        Outcome::Blocked => 0,
        Outcome::ConsentRequired { .. } => 1,
        Outcome::Allowed => 2,
        other => panic!("clean evidence gave {other:?}"),
    }
}

#[test]
fn every_rule_agrees_with_instants_and_is_monotone_in_age() {
    let mut decided = 0;
    for rule in every_rule() {
        let zones = zones_of(&rule);
        for now in INSTANTS.map(at) {
            let mut younger = 0;
            for birth in births_around(&rule, now).into_iter().rev() {
                let decision = on_document(&rule, &corroborated(birth), now);
                let rank = rank(&decision);
                let of_age = |years: u8| now >= instant_of_age(birth, i16::from(years), &zones);
                if !(birth.month() == 2 && birth.day() == 29 && rule.leap_day == crate::age::LeapDay::Feb28) {
                    let by_year = rule
                        .year_age_adult
                        .is_none_or(|years| now >= instant_of_age(date(birth.year(), 1, 1), i16::from(years), &zones));
                    assert_eq!(rank == 0, !(of_age(rule.block_below) && by_year), "{} {birth} {now}", rule.id);
                    assert_eq!(rank == 2, rank != 0 && of_age(rule.guardian_below), "{} {birth} {now}", rule.id);
                }
                // Nobody below the seed policies' ages, in any zone of the rule, whatever the rule says.
                let earliest = |years: i16| instant_of_age(birth, years, &zones) - 24.hours();
                assert!(rank == 0 || now >= earliest(13));
                assert!(rank != 2 || now >= earliest(18));
                assert!(rank >= younger, "an older person was treated worse: {} {birth} {now}", rule.id);
                younger = rank;
                decided += 1;
            }
        }
    }
    assert!(decided > 100_000, "only {decided}");
}

#[test]
fn unknown_places_have_the_latest_zone_for_age_and_the_earliest_for_expiry() {
    for place in ["ZZ", "XK", "AQ", "XK-01"] {
        let rule = rule(place, Purpose::Signup);
        for now in INSTANTS.map(at) {
            let dates: Vec<Date> = (-12..=14).map(|h| Offset::constant(h).to_datetime(now).date()).collect();
            assert_eq!(Some(rule.today_for_age(now)), dates.iter().min().copied());
            assert_eq!(Some(rule.today_for_expiry(now)), dates.iter().max().copied());
        }
        assert_eq!(rule.id.as_str(), "default/signup");
    }
}

#[test]
fn only_witnessed_evidence_allows_and_any_evidence_denies() {
    let rule = rule("KR", Purpose::Signup);
    let now = at("2026-11-22T03:00:00Z");
    for level in AssuranceLevel::ALL {
        let of = |birth| on_document(&rule, &evidence(birth, *level, &[]), now);
        let adult = of(date(1990, 1, 1));
        if *level >= AssuranceLevel::Witnessed {
            assert_eq!(*adult.outcome(), Outcome::Allowed);
        } else {
            assert_eq!(*adult.outcome(), unreadable(&[Reason::NotWitnessed], true));
            assert!(of(date(2010, 1, 1)).thresholds().is_empty());
        }
        assert_eq!(*of(date(2010, 1, 1)).outcome(), consent(19, false));
        assert_eq!(*of(date(2015, 1, 1)).outcome(), Outcome::Blocked);
    }
}

#[test]
fn every_signal_does_what_it_should_and_none_ever_helps() {
    let rule = rule("KR", Purpose::Signup);
    let now = at("2026-11-22T03:00:00Z");
    let inconsistent = || Outcome::Inconsistent { reasons: vec![Reason::Inconsistent] };
    for signal in Signal::ALL {
        let of = |birth| on_document(&rule, &evidence(birth, AssuranceLevel::Corroborated, &[*signal]), now);
        let (adult, teen, child) = match signal {
            Signal::Expired => (unreadable(&[Reason::Expired], false), consent(19, false), Outcome::Blocked),
            Signal::Specimen => {
                (unreadable(&[Reason::Specimen], false), unreadable(&[Reason::Specimen], false), Outcome::Blocked)
            }
            Signal::PrintedDateConflict | Signal::NumberClassConflict | Signal::AgeAtIssueImplausible => {
                (inconsistent(), inconsistent(), inconsistent())
            }
            Signal::CheckDigitMismatch => {
                (unreadable(&[Reason::NumberUnreadable], true), consent(19, false), Outcome::Blocked)
            }
            Signal::ChecksumMismatch
            | Signal::NumberMasked
            | Signal::CenturyInferred
            | Signal::BirthDatePartial
            | Signal::Repaired
            | Signal::NonconformingIssuer
            | Signal::MinorOnAlienCard
            | Signal::EditingSoftware
            | Signal::ScreenshotHint => (Outcome::Allowed, consent(19, false), Outcome::Blocked),
        };
        assert_eq!(*of(date(1990, 1, 1)).outcome(), adult, "{signal}");
        assert_eq!(*of(date(2010, 1, 1)).outcome(), teen, "{signal}");
        assert_eq!(*of(date(2015, 1, 1)).outcome(), child, "{signal}");
        assert!(of(date(2015, 1, 1)).keeps_nothing(), "{signal}: nothing of a child is kept, whatever the outcome");
        assert!(!of(date(1990, 1, 1)).keeps_nothing());
        assert_eq!(of(date(1990, 1, 1)).signals(), [*signal]);
    }
}

#[test]
fn specimens_pass_only_where_they_are_accepted() {
    let rule = rule("ZZ", Purpose::Signup);
    let now = at("2026-11-22T03:00:00Z");
    let accepting = Facts { specimens_accepted: true, ..Facts::default() };
    let specimen = evidence(date(1974, 8, 12), AssuranceLevel::Checked, &[Signal::Specimen]);
    let decision = decide(&rule, Basis::Document(&specimen), &accepting, now).unwrap();
    assert_eq!(*decision.outcome(), Outcome::Allowed);
    assert!(decision.steps().contains(&Step::SpecimenAccepted));
    let child = evidence(date(2020, 8, 12), AssuranceLevel::Checked, &[Signal::Specimen]);
    assert_eq!(*decide(&rule, Basis::Document(&child), &accepting, now).unwrap().outcome(), Outcome::Blocked);
}

#[test]
fn a_document_expires_at_the_end_of_its_last_day_by_the_earliest_zone() {
    let now = at("2026-11-22T03:00:00Z"); // noon in Seoul; 17:00 in UTC+14
    let of = |place: &str, expiry| {
        let mut evidence = corroborated(date(1990, 1, 1));
        evidence.expiry = Some(expiry);
        on_document(&rule(place, Purpose::Signup), &evidence, now)
    };
    assert_eq!(*of("KR", date(2026, 11, 22)).outcome(), Outcome::Allowed);
    let expired = of("KR", date(2026, 11, 21));
    assert_eq!(*expired.outcome(), unreadable(&[Reason::Expired], false));
    assert_eq!(expired.signals(), [Signal::Expired]);
    assert!(expired.steps().contains(&Step::Used { data: DataKind::ExpiryDate }));
    // 11:00Z on the 22nd: the 23rd in UTC+14, the 22nd in Seoul.
    let late = at("2026-11-22T11:00:00Z");
    let mut evidence = corroborated(date(1990, 1, 1));
    evidence.expiry = Some(date(2026, 11, 22));
    assert_eq!(*on_document(&rule("KR", Purpose::Signup), &evidence, late).outcome(), Outcome::Allowed);
    let unknown = on_document(&rule("ZZ", Purpose::Signup), &evidence, late);
    assert_eq!(*unknown.outcome(), unreadable(&[Reason::Expired], false));
}

#[test]
fn several_obstacles_are_all_named_and_a_retry_must_mend_them_all() {
    let mut evidence = evidence(date(1990, 1, 1), AssuranceLevel::Unwitnessed, &[Signal::CheckDigitMismatch]);
    let rule = rule("KR", Purpose::Signup);
    let now = at("2026-11-22T03:00:00Z");
    let retry = unreadable(&[Reason::NumberUnreadable, Reason::NotWitnessed], true);
    assert_eq!(*on_document(&rule, &evidence, now).outcome(), retry);
    evidence.expiry = Some(date(2020, 1, 1));
    let no_retry = unreadable(&[Reason::NumberUnreadable, Reason::NotWitnessed, Reason::Expired], false);
    assert_eq!(*on_document(&rule, &evidence, now).outcome(), no_retry);
}

#[test]
fn a_declared_date_denies_but_never_allows() {
    let now = at("2026-11-22T03:00:00Z");
    for rule in every_rule() {
        for birth in births_around(&rule, now) {
            let document = on_document(&rule, &corroborated(birth), now);
            match decide(&rule, Basis::Declared(&BirthDate::new(birth)), &Facts::default(), now) {
                Err(misuse) => {
                    assert_eq!(misuse, Misuse::DeclarationRefused);
                    assert!(!rule.accepts_declaration());
                    assert_ne!(*document.outcome(), Outcome::Blocked, "a declared child is blocked everywhere");
                }
                Ok(declared) => {
                    assert!(declared.grant().is_none() && declared.thresholds().is_empty());
                    let expected = match document.outcome() {
                        Outcome::Allowed => unreadable(&[Reason::DocumentRequired], true),
                        other => other.clone(),
                    };
                    assert_eq!(*declared.outcome(), expected);
                    assert_eq!(declared.keeps_nothing(), expected == Outcome::Blocked);
                }
            }
        }
    }
    for (place, purpose) in [("BR", Purpose::Signup), ("AU", Purpose::Signup), ("KR", Purpose::AdultContent)] {
        assert!(!rule(place, purpose).accepts_declaration(), "{place} {purpose}");
    }
    assert!(rule("US", Purpose::Signup).accepts_declaration());
}

#[test]
fn australia_reads_a_document_only_beside_an_alternative() {
    let now = at("2026-11-22T03:00:00Z");
    let adult = corroborated(date(1990, 1, 1));
    let rule_au = rule("AU", Purpose::Signup);
    let without = Facts::default();
    assert_eq!(rule_au.may_read_document(&without), Err(Misuse::AlternativeNotOffered));
    assert!(rule_au.may_read_document(&OFFERED).is_ok());
    let not_read = Basis::Unreadable { reasons: &[Reason::Blurred], kind: None, signals: &[], youngest: None };
    for basis in [Basis::Document(&adult), not_read] {
        assert_eq!(decide(&rule_au, basis, &without, now).unwrap_err(), Misuse::AlternativeNotOffered);
        assert!(decide(&rule("NZ", Purpose::Signup), basis, &without, now).is_ok());
    }
}

#[test]
fn what_was_not_read_is_passed_on() {
    let rule = rule("KR", Purpose::Signup);
    let of = |reasons: &[Reason]| {
        let basis =
            Basis::Unreadable { reasons, kind: Some(DocumentKind::Td1), signals: &[Signal::Repaired], youngest: None };
        decide(&rule, basis, &Facts::default(), at("2026-11-22T03:00:00Z")).unwrap()
    };
    assert_eq!(*of(&[Reason::Glare, Reason::Blurred]).outcome(), unreadable(&[Reason::Blurred, Reason::Glare], true));
    assert_eq!(*of(&[Reason::BirthDateUnknown]).outcome(), unreadable(&[Reason::BirthDateUnknown], false));
    assert_eq!(*of(&[]).outcome(), unreadable(&[Reason::NoBirthDate], true));
    assert_eq!(*of(&[Reason::Inconsistent]).outcome(), Outcome::Inconsistent { reasons: vec![Reason::Inconsistent] });
    assert_eq!(of(&[Reason::Blurred]).document(), Some(DocumentKind::Td1));
    assert!(of(&[Reason::Blurred]).grant().is_none());
}

#[test]
fn a_decision_tells_nothing_about_a_date_of_birth_but_the_sides_of_the_lines() {
    let now = at("2026-11-22T03:00:00Z");
    let rule = rule("KR", Purpose::Signup);
    // The youngest of each side: blocked, the law asks for a guardian, only the policy does, allowed.
    let sides = [date(2026, 11, 22), date(2013, 11, 22), date(2012, 11, 22), date(2008, 11, 22)];
    let of = |birth: Date| serde_json::to_string(&on_document(&rule, &corroborated(birth), now)).unwrap();
    for (i, youngest) in sides.into_iter().enumerate() {
        for days in [1, 10, 100, 364] {
            let older = youngest.checked_sub(days.days()).unwrap();
            assert_eq!(of(older), of(youngest), "two people on the same side of every line must look the same");
        }
        assert!(sides[i + 1..].iter().all(|other| of(*other) != of(youngest)));
    }
}

#[test]
fn a_recorded_decision_gives_the_same_grant_again() {
    let rule = rule("KR", Purpose::Purchase);
    let now = at("2026-11-22T03:00:00Z");
    let decision = on_document(&rule, &corroborated(date(1990, 1, 1)), now);
    let recorded: Decision = serde_json::from_str(&serde_json::to_string(&decision).unwrap()).unwrap();
    assert_eq!(recorded, decision);
    let (first, again) = (decision.grant().unwrap(), recorded.grant().unwrap());
    let claims: Vec<(u8, bool)> = first.thresholds().iter().map(|a| (a.years, a.reached)).collect();
    assert_eq!(claims, [(13, true), (14, true), (19, true)]);
    assert_eq!(first.thresholds(), again.thresholds());
    assert_eq!((first.assurance(), first.policy()), (again.assurance(), again.policy()));
    assert_eq!(first.rule().as_str(), "kr/purchase");
    assert_eq!((first.jurisdiction(), first.purpose()), (rule.jurisdiction, Purpose::Purchase));
}

#[test]
fn every_outcome_survives_being_recorded_and_only_allowed_gives_a_grant() {
    let now = at("2026-11-22T03:00:00Z");
    for rule in every_rule() {
        for signal in Signal::ALL {
            for birth in [date(1990, 1, 1), date(2010, 1, 1), date(2015, 1, 1)] {
                let decision = on_document(&rule, &evidence(birth, AssuranceLevel::Checked, &[*signal]), now);
                let text = serde_json::to_string(&decision).unwrap();
                assert_eq!(serde_json::from_str::<Decision>(&text).unwrap(), decision);
                assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), Summary::of(&decision));
                assert_eq!(decision.grant().is_some(), *decision.outcome() == Outcome::Allowed);
                assert!(!decision.steps().is_empty() && !decision.citations().is_empty());
            }
        }
    }
}

#[test]
fn the_steps_explain_the_outcome() {
    let rule = rule("KR", Purpose::Signup);
    let decided_at = at("2026-11-22T03:00:00Z");
    let decision = on_document(&rule, &corroborated(date(2013, 1, 1)), decided_at);
    let full = AgeThreshold::full;
    assert_eq!(
        decision.steps(),
        [
            Step::Used { data: DataKind::DocumentImage },
            Step::Used { data: DataKind::BirthDate },
            Step::Counted { leap_day: crate::age::LeapDay::Mar1, latest_of_zones: false },
            Step::BlockReached { line: full(13) },
            Step::BelowGuardian { line: full(18) },
            Step::LegalGuardian { line: full(14), below: true },
            Step::AssuranceSuffices { have: AssuranceLevel::Corroborated, need: AssuranceLevel::Witnessed },
        ]
    );
    // Where the law's line is no higher than the block, it is not asked about.
    let decision = on_document(&super::tests::rule("US", Purpose::Signup), &corroborated(date(2013, 1, 1)), decided_at);
    assert!(!decision.steps().iter().any(|step| matches!(step, Step::LegalGuardian { .. })));
    assert_eq!(decision.rows().iter().map(|r| r.as_str()).collect::<Vec<_>>(), ["default", "us"]);
    let decision = on_document(&rule, &corroborated(date(2013, 1, 1)), decided_at);
    assert_eq!(decision.rows().iter().map(|r| r.as_str()).collect::<Vec<_>>(), ["default", "kr"]);
}

#[test]
fn a_guardian_must_be_of_age_where_the_rule_is() {
    let now = at("2026-11-22T03:00:00Z");
    for (place, age) in [("KR", 19), ("US", 18), ("US-AL", 19), ("US-MS", 21), ("CA-QC", 19), ("ZZ", 18)] {
        let rule = rule(place, Purpose::Signup);
        let old_enough = rule.today_for_age(now).checked_sub(Span::new().years(age)).unwrap();
        assert!(rule.guardian_of_age(&BirthDate::new(old_enough), now), "{place}");
        assert!(!rule.guardian_of_age(&BirthDate::new(old_enough.tomorrow().unwrap()), now), "{place}");
    }
}

#[test]
fn a_contradictory_card_that_may_be_a_childs_leaves_nothing() {
    let rule = RuleSet::embedded().unwrap().rule("KR".parse().unwrap(), Purpose::Signup);
    let now: Timestamp = "2026-11-22T03:00:00Z".parse().unwrap();
    for (born, reason, nothing) in [
        (date(2014, 11, 22), Reason::Inconsistent, true),
        (date(1990, 11, 22), Reason::Inconsistent, false),
        (date(2014, 11, 22), Reason::Blurred, false),
    ] {
        let birth = BirthDate::new(born);
        let basis = Basis::Unreadable { reasons: &[reason], kind: None, signals: &[], youngest: Some(&birth) };
        let decision = decide(&rule, basis, &OFFERED, now).unwrap();
        assert_eq!(decision.keeps_nothing(), nothing, "{born} {reason}");
        assert!(decision.grant().is_none());
    }
}

proptest! {
    /// The order of outcomes: a signal more never moves anybody up.
    #[test]
    fn a_signal_more_never_makes_an_outcome_better(
        days in 0i64..40_000,
        level in prop::sample::select(AssuranceLevel::ALL),
        before in prop::collection::vec(prop::sample::select(Signal::ALL), 0..4),
        more in prop::sample::select(Signal::ALL),
        specimens_accepted in any::<bool>(),
        place in prop::sample::select(vec!["KR", "ZZ", "US-CA", "AU", "GB"]),
    ) {
        let rank = |outcome: &Outcome| match outcome {
            Outcome::Allowed => 2,
            Outcome::ConsentRequired { .. } => 1,
            Outcome::Blocked | Outcome::Unreadable { .. } | Outcome::Inconsistent { .. } => 0,
        };
        let (rule, now) = (rule(place, Purpose::Signup), at("2026-11-22T03:00:00Z"));
        let facts = Facts { specimens_accepted, ..OFFERED };
        let birth = date(2026, 11, 21).checked_sub(jiff::Span::new().days(days)).unwrap();
        let decided = |signals: &[Signal]| {
            let evidence = evidence(birth, level, signals);
            decide(&rule, Basis::Document(&evidence), &facts, now).unwrap()
        };
        let with: Vec<Signal> = before.iter().copied().chain([more]).collect();
        let (one, other) = (decided(&before), decided(&with));
        prop_assert!(rank(other.outcome()) <= rank(one.outcome()), "{more} made {:?} of {:?}", other.outcome(), one.outcome());
        prop_assert!(other.grant().is_none() || one.grant().is_some());
        prop_assert!(!other.suffices() || one.suffices());
        prop_assert!(other.keeps_nothing() == one.keeps_nothing(), "what a child leaves does not depend on remarks");
    }
}

#[test]
fn the_statute_is_named_for_cards_with_a_resident_number_and_for_no_others() {
    let (rule, now) = (rule("KR", Purpose::Signup), at("2026-11-22T03:00:00Z"));
    let statute = "kr:youth-protection-act:16".parse().unwrap();
    let facts = Facts { statute: Some(statute), ..OFFERED };
    for kind in DocumentKind::ALL {
        let of = Evidence { kind: *kind, ..evidence(date(1990, 1, 1), AssuranceLevel::Checked, &[]) };
        let decision = decide(&rule, Basis::Document(&of), &facts, now).unwrap();
        let named = decision.steps().contains(&Step::ByStatute { statute });
        assert_eq!(named, kind.shows_resident_number(), "{kind}");
        let none = decide(&rule, Basis::Document(&of), &OFFERED, now).unwrap();
        assert!(!none.steps().iter().any(|step| matches!(step, Step::ByStatute { .. })));
    }
}
