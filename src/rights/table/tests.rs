//! The rights table: that it is total, what it must never do, how rows combine, what it refuses, and how it looks.

use super::*;
use crate::policy::rules::Mark;
use crate::rights::clock::Calendar;
use crate::terms::{ExtensionReason, ProofMethod};
use jiff::ToSpan;
use jiff::civil::date;
use proptest::prelude::*;
use std::path::Path;

fn embedded() -> RightsTable {
    RightsTable::embedded().unwrap()
}

fn every() -> impl Iterator<Item = Asked> {
    let regimes = |right| Regime::ALL.iter().map(move |regime| (right, *regime));
    let who = |(right, regime)| ActingAs::ALL.iter().map(move |acting_as| (right, regime, *acting_as));
    Right::ALL
        .iter()
        .copied()
        .flat_map(regimes)
        .flat_map(who)
        .flat_map(|(right, regime, acting_as)| [true, false].map(|account| Asked { right, regime, acting_as, account }))
}

fn asked(right: Right, regime: Regime, account: bool) -> Asked {
    Asked { right, regime, acting_as: ActingAs::Myself, account }
}

/// Korean holidays of a made-up year are no use here: three closed Mondays suffice.
fn calendar() -> Calendar {
    Calendar::new([date(2027, 1, 4), date(2027, 2, 8), date(2027, 3, 1)].into())
}

#[test]
fn every_request_has_a_plan_and_every_plan_keeps_the_promises() {
    let table = embedded();
    assert_eq!(every().count(), 16 * 4 * 3 * 2);
    for asked in every() {
        let plan = table.plan(&asked);
        assert!(!plan.rows.is_empty() && !plan.citations.is_empty() && !plan.refusals.is_empty(), "{asked:?}");
        assert!(!plan.answer.is_empty() && !plan.acknowledge.is_empty(), "{asked:?}");
        assert_eq!(plan.digest, table.digest());
        for never in [NeverAsk::UnmaskedId, NeverAsk::SelfieWithId, NeverAsk::Notary, NeverAsk::Fee] {
            assert!(plan.never_ask.contains(&never), "{asked:?}: {never}");
        }
        assert!(plan.never_ask.contains(&NeverAsk::SecretsAsDataPoints), "{asked:?}");
        let forbidden = plan.id_document == IdDocument::Forbidden;
        assert_eq!(plan.never_ask.contains(&NeverAsk::IdImage), forbidden, "{asked:?}");
        assert_eq!(plan.may_ask.contains(&ProofMethod::IdCard), !forbidden, "{asked:?}");
        assert!(forbidden || plan.level == ProofLevel::L3, "{asked:?}");
        assert_eq!(plan.level == ProofLevel::L0, plan.may_ask.is_empty(), "{asked:?}");
        assert_eq!(plan.level == ProofLevel::L0, plan.never_ask.contains(&NeverAsk::AnyProof), "{asked:?}");
        assert_eq!(plan.may_ask.contains(&ProofMethod::DataPoints), plan.level >= ProofLevel::L2, "{asked:?}");
        assert_eq!(plan.may_ask.contains(&ProofMethod::HumanReview), plan.level == ProofLevel::L3, "{asked:?}");
        assert!(asked.account || !plan.may_ask.contains(&ProofMethod::Session), "{asked:?}");
    }
}

#[test]
fn where_no_proof_is_needed_nothing_is_ever_asked_for() {
    let table = embedded();
    let mut none = 0;
    for asked in every() {
        let plan = table.plan(&asked);
        if [Right::OptOut, Right::LimitSensitive].contains(&asked.right) {
            assert_eq!(plan.level, ProofLevel::L0, "{asked:?}");
        }
        if plan.level > ProofLevel::L0 {
            continue;
        }
        none += 1;
        assert_eq!(plan.id_document, IdDocument::Forbidden, "{asked:?}");
        assert_eq!(plan.may_ask, [], "{asked:?}");
        assert!(!plan.fresh_session && !plan.refusals.contains(&RefusalBasis::IdentityNotShown), "{asked:?}");
        assert_eq!(plan.extension, None, "{asked:?}");
        for never in
            [NeverAsk::AnyProof, NeverAsk::IdImage, NeverAsk::SelfieWithId, NeverAsk::Fee, NeverAsk::NewAccount]
        {
            assert!(plan.never_ask.contains(&never), "{asked:?}: {never}");
        }
    }
    // Two rights under four regimes, and the objection in California.
    assert_eq!(none, (2 * 4 + 1) * 3 * 2);
}

#[test]
fn the_levels_are_those_of_the_domain_reference() {
    use ProofLevel::{L0, L1, L2, L3};
    let table = embedded();
    // With an account, without.
    let expected = |right| match right {
        Right::Access | Right::KnowSpecific | Right::Portability => (L2, L3),
        Right::KnowCategories => (L1, L2),
        Right::Correct | Right::Delete | Right::CancelAccount | Right::ExplainDecision => (L2, L2),
        Right::CorrectName | Right::CorrectBirthDate => (L3, L3),
        Right::Restrict | Right::Object | Right::ChangeScope | Right::WithdrawConsent => (L1, L1),
        Right::OptOut | Right::LimitSensitive => (L0, L0),
    };
    for right in Right::ALL.iter().copied() {
        for regime in Regime::ALL.iter().copied() {
            let expected = match (right, regime) {
                (Right::Object, Regime::Ccpa) => (L0, L0),
                (Right::ExplainDecision, Regime::Ccpa) => (L2, L3), // 11 CCR 7062(c)
                _ => expected(right),
            };
            let level = |account| table.plan(&asked(right, regime, account)).level;
            assert_eq!((level(true), level(false)), expected, "{right} under {regime}");
        }
    }
}

#[test]
fn whoever_acts_for_another_needs_more_and_may_show_that_they_may() {
    let table = embedded();
    for asked in every() {
        let own = table.plan(&Asked { acting_as: ActingAs::Myself, ..asked });
        let plan = table.plan(&asked);
        let shows = |method| plan.may_ask.contains(&method);
        if own.level == ProofLevel::L0 {
            assert_eq!(plan, own);
            continue;
        }
        let (guardian, agent) = (asked.acting_as == ActingAs::Guardian, asked.acting_as == ActingAs::Agent);
        assert_eq!(plan.level, if guardian || agent { own.level.max(ProofLevel::L2) } else { own.level });
        assert_eq!(shows(ProofMethod::GuardianConsent), guardian);
        assert_eq!((shows(ProofMethod::AgentPermission), shows(ProofMethod::PowerOfAttorney)), (agent, agent));
        let but_a_card = |method: &&ProofMethod| **method != ProofMethod::IdCard;
        assert!(own.may_ask.iter().filter(but_a_card).all(|method| plan.may_ask.contains(method)));
    }
}

#[test]
fn an_identity_card_is_the_last_resort_for_few_and_forbidden_for_the_others() {
    let table = embedded();
    let by_level = [Right::Access, Right::KnowSpecific, Right::Portability];
    let always = [Right::CorrectBirthDate];
    for asked in every() {
        let may = always.contains(&asked.right) || (by_level.contains(&asked.right) && !asked.account);
        let may = may && asked.acting_as == ActingAs::Myself;
        let expected = if may { IdDocument::LastResort } else { IdDocument::Forbidden };
        assert_eq!(table.plan(&asked).id_document, expected, "{asked:?}");
    }
}

#[test]
fn where_the_law_is_not_known_every_one_that_could_hold_is_possible() {
    let (table, place) = (embedded(), |text: &str| text.parse().unwrap());
    let possible = |text: &str| table.possible(place(text)).into_iter().collect::<Vec<_>>();
    assert_eq!(possible("KR"), [Regime::Pipa]);
    assert_eq!(possible("KR-11"), [Regime::Pipa]);
    assert_eq!(possible("US"), [Regime::Policy, Regime::Ccpa]);
    assert_eq!(possible("US-CA"), [Regime::Ccpa]);
    assert_eq!(possible("US-NY"), [Regime::Policy]);
    assert_eq!(possible("ZZ"), Regime::ALL);
}

#[test]
fn regimes_know_their_periods() {
    use Regime::{Ccpa, Gdpr, Pipa, Policy};
    use Span::{BusinessDays, Days, Months};
    let table = embedded();
    // Beside the policy's 30 days and one month: the regime's own period, its extension and how often.
    type Case<'a> = (Regime, Option<Span>, Option<(Span, u8)>, &'a [Right]);
    let cases: Vec<Case<'_>> = vec![
        (Policy, None, None, Right::ALL),
        (
            Gdpr,
            Some(Months(1)),
            Some((Months(2), 1)),
            &[
                Right::Access,
                Right::KnowCategories,
                Right::KnowSpecific,
                Right::Correct,
                Right::CorrectName,
                Right::CorrectBirthDate,
                Right::Delete,
                Right::CancelAccount,
                Right::Restrict,
                Right::Object,
                Right::Portability,
                Right::ExplainDecision,
            ],
        ),
        (
            Gdpr,
            Some(Months(1)),
            None,
            &[Right::WithdrawConsent, Right::ChangeScope, Right::OptOut, Right::LimitSensitive],
        ),
        (Pipa, Some(Days(10)), Some((Days(20), 1)), &[Right::Access, Right::KnowCategories, Right::KnowSpecific]),
        (
            Pipa,
            Some(Days(10)),
            None,
            &[
                Right::Correct,
                Right::CorrectName,
                Right::CorrectBirthDate,
                Right::Delete,
                Right::CancelAccount,
                Right::Restrict,
                Right::Object,
                Right::OptOut,
                Right::LimitSensitive,
                Right::Portability,
            ],
        ),
        (Pipa, Some(Days(5)), None, &[Right::WithdrawConsent, Right::ChangeScope]),
        (Pipa, None, Some((Days(30), 2)), &[Right::ExplainDecision]),
        (
            Ccpa,
            Some(Days(45)),
            Some((Days(45), 1)),
            &[
                Right::Access,
                Right::KnowCategories,
                Right::KnowSpecific,
                Right::Correct,
                Right::CorrectName,
                Right::CorrectBirthDate,
                Right::Delete,
                Right::CancelAccount,
                Right::Portability,
                Right::ExplainDecision,
            ],
        ),
        (Ccpa, Some(BusinessDays(15)), None, &[Right::OptOut, Right::LimitSensitive, Right::Object]),
        (Ccpa, None, None, &[Right::Restrict, Right::WithdrawConsent, Right::ChangeScope]),
    ];
    assert_eq!(cases.iter().map(|(.., rights)| rights.len()).sum::<usize>(), 16 * 4);
    for (regime, own, extension, rights) in cases {
        for right in rights {
            let plan = table.plan(&asked(*right, regime, true));
            let mut answer = vec![Days(30), Months(1)];
            answer.extend(own.filter(|own| !answer.contains(own)));
            assert_eq!(plan.answer, answer, "{right} under {regime}");
            assert_eq!(plan.extension.map(|e| (e.by, e.times)), extension, "{right} under {regime}");
            assert_eq!(plan.acknowledge.first(), Some(&Days(10)));
            assert_eq!(plan.acknowledge.get(1).is_some(), regime == Ccpa && own == Some(Days(45)));
        }
    }
}

#[test]
fn the_dates_of_the_domain_reference() {
    let table = embedded();
    let received = date(2027, 1, 31);
    let due = |right, regime| table.plan(&asked(right, regime, true)).due(received, &calendar());
    assert_eq!(due(Right::Access, Regime::Gdpr), date(2027, 2, 28));
    assert_eq!(due(Right::Access, Regime::Policy), date(2027, 2, 28));
    assert_eq!(due(Right::Access, Regime::Pipa), date(2027, 2, 10));
    // The policy's month ends before the 45 days of California (2027-03-17).
    assert_eq!(due(Right::Access, Regime::Ccpa), date(2027, 2, 28));
    // 15 business days, and Monday 8 February is closed: 22 February; without the holiday 19 February.
    assert_eq!(due(Right::OptOut, Regime::Ccpa), date(2027, 2, 22));
    assert_eq!(due(Right::WithdrawConsent, Regime::Pipa), date(2027, 2, 5));
    let plan = table.plan(&asked(Right::Access, Regime::Gdpr, true));
    assert_eq!(plan.acknowledge_by(received, &calendar()), Some(date(2027, 2, 10)));
    assert_eq!(plan.extended(date(2027, 2, 28), 0, &calendar()), Some(date(2027, 4, 28)));
    assert_eq!(plan.extended(date(2027, 2, 28), 1, &calendar()), None);
    let plan = table.plan(&asked(Right::WithdrawConsent, Regime::Pipa, true));
    assert_eq!(plan.acknowledge_by(received, &calendar()), Some(date(2027, 2, 5)), "never after the answer");
    assert_eq!(plan.extended(date(2027, 2, 5), 0, &calendar()), None);
}

/// What the law of a regime allows at most, from the day of receipt, with every extension.
fn longest(asked: &Asked, received: Date, extended: bool) -> Date {
    let plus = |length: jiff::Span| received.checked_add(length).unwrap();
    match (asked.regime, extended) {
        (Regime::Gdpr, true) => plus(3.months()),
        (Regime::Ccpa, true) => plus(90.days()),
        (Regime::Pipa, true) if asked.right == Right::ExplainDecision => plus(90.days()),
        (Regime::Pipa, true) => plus(30.days()),
        _ => plus(30.days()).min(plus(1.month())),
    }
}

proptest! {
    #[test]
    fn no_day_is_later_than_any_rule_allows(days in 0i32..36_500, which in 0usize..384, closed in prop::collection::btree_set(0i32..60, 0..12)) {
        let received = date(1990, 1, 1).checked_add(days.days()).unwrap();
        let closed = closed.iter().map(|day| received.checked_add((*day).days()).unwrap()).collect();
        let calendar = Calendar::new(closed);
        let asked = every().nth(which).unwrap();
        let table = embedded();
        let plan = table.plan(&asked);
        let due = plan.due(received, &calendar);
        prop_assert!(received < due && due <= longest(&asked, received, false));
        for span in &plan.answer {
            prop_assert!(due <= span.after(received, &calendar));
        }
        let policy = table.plan(&Asked { regime: Regime::Policy, ..asked });
        prop_assert!(due <= policy.due(received, &calendar));
        let acknowledged = plan.acknowledge_by(received, &calendar).unwrap();
        prop_assert!(received < acknowledged && acknowledged <= due);
        let mut standing = due;
        let times = plan.extension.as_ref().map_or(0, |extension| extension.times);
        for used in 0..times {
            let later = plan.extended(standing, used, &calendar).unwrap();
            prop_assert!(later > standing && later <= longest(&asked, received, true));
            standing = later;
        }
        prop_assert_eq!(plan.extended(standing, times, &calendar), None);
    }
}

#[test]
fn dates_at_the_end_of_the_calendar_do_not_panic() {
    for asked in every() {
        let plan = embedded().plan(&asked);
        assert_eq!(plan.due(Date::MAX, &calendar()), Date::MAX);
        assert_eq!(plan.acknowledge_by(Date::MAX, &calendar()), Some(Date::MAX));
        assert_eq!(plan.extended(Date::MAX, 0, &calendar()), None, "a day that is not later extends nothing");
    }
}

#[test]
fn grounds_are_those_of_the_regime() {
    use RefusalBasis::{ContractNeeds, Excessive, LegalDuty, NotCovered, OthersHarmed, Unfounded};
    let table = embedded();
    let refusals = |right, regime| table.plan(&asked(right, regime, true)).refusals;
    assert_eq!(refusals(Right::OptOut, Regime::Gdpr), [NotCovered]);
    assert!(refusals(Right::Access, Regime::Gdpr).contains(&OthersHarmed));
    assert!(!refusals(Right::KnowCategories, Regime::Gdpr).contains(&OthersHarmed));
    assert!(refusals(Right::Delete, Regime::Gdpr).contains(&LegalDuty));
    assert_eq!(refusals(Right::ChangeScope, Regime::Gdpr), [RefusalBasis::IdentityNotShown, NotCovered]);
    assert!(refusals(Right::Restrict, Regime::Pipa).contains(&ContractNeeds));
    for basis in [Unfounded, Excessive] {
        assert!(!refusals(Right::Access, Regime::Pipa).contains(&basis));
    }
    let policy = refusals(Right::WithdrawConsent, Regime::Policy);
    assert_eq!(refusals(Right::WithdrawConsent, Regime::Ccpa), policy, "where the regime has no row, the policy's");
}

#[test]
fn a_place_has_its_regime() {
    let table = embedded();
    let regime = |place: &str| table.regime_of(place.parse().unwrap());
    for (regime_of, places) in [
        (Regime::Pipa, "KR KR-11"),
        (Regime::Ccpa, "US-CA"),
        (
            Regime::Gdpr,
            "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK DE-BY RE",
        ),
        (Regime::Policy, "ZZ US US-NY GB CH JP BR KP"),
    ] {
        for place in places.split(' ') {
            assert_eq!(regime(place), regime_of, "{place}");
        }
    }
}

#[test]
fn what_comes_from_memory_or_from_us_says_so() {
    for asked in every() {
        for c in embedded().plan(&asked).citations {
            assert_eq!(c.source == "memory", c.mark == Mark::M, "{}", c.text);
            assert_eq!(c.source == "idgate", c.mark == Mark::R, "{}", c.text);
        }
    }
}

const CITE: &str = r#"cite = [{ text = "x", source = "seeds", in_force = "2026-11-22", mark = "V" }]"#;

/// The least that is taken: one row for all rights, one without proof, one for the age gate.
fn smallest() -> String {
    format!(
        r#"
version = "2026-11-22"
[[holds]]
id = "in-pipa"
regime = "pipa"
places = ["KR"]
why = "Korea"
{CITE}
[[row]]
id = "policy"
regime = "policy"
why = "all"
level = "l1"
answer = [{{ days = 30 }}, {{ months = 1 }}]
acknowledge = [{{ days = 10 }}]
refusals = ["not_covered"]
{CITE}
[[row]]
id = "policy-none"
regime = "policy"
rights = ["opt_out", "limit_sensitive"]
why = "none"
forbid_proof = true
{CITE}
[[row]]
id = "policy-gate"
regime = "policy"
rights = ["correct_name", "correct_birth_date"]
why = "gate"
level = "l3"
{CITE}
"#
    )
}

fn law(lines: &str) -> String {
    format!("{}[[row]]\nid = \"law\"\nregime = \"pipa\"\nwhy = \"a law\"\n{lines}\n{CITE}\n", smallest())
}

#[test]
fn a_doubtful_table_is_refused() {
    use RightsTableError as E;
    assert!(RightsTable::parse(&smallest()).is_ok());
    type Case<'a> = (&'a str, &'a str, fn(&RightsTableError) -> bool);
    let cases: Vec<Case<'_>> = vec![
        ("version = \"2026-11-22\"\n", "", |e| matches!(e, E::Syntax(_))),
        ("why = \"all\"", "why = \"all\"\nallow = true", |e| matches!(e, E::Syntax(_))),
        ("source = \"seeds\"", "source = \"seeds\", url = \"x\"", |e| matches!(e, E::Syntax(_))),
        ("why = \"Korea\"", "why = \"Korea\"\nmore = 1", |e| matches!(e, E::Syntax(_))),
        ("{ days = 30 }", "{ weeks = 4 }", |e| matches!(e, E::Syntax(_))),
        ("\"l3\"", "\"l4\"", |e| matches!(e, E::Syntax(_))),
        ("regime = \"pipa\"", "regime = \"lgpd\"", |e| matches!(e, E::Syntax(_))),
        ("[\"KR\"]", "[\"Korea\"]", |e| matches!(e, E::Syntax(_))),
        ("id = \"policy-none\"", "id = \"policy\"", |e| matches!(e, E::DuplicateId(_))),
        ("id = \"policy-none\"", "id = \"in-pipa\"", |e| matches!(e, E::DuplicateId(_))),
        ("why = \"all\"", "why = \"\"", |e| matches!(e, E::Empty(_))),
        ("why = \"Korea\"", "why = \"\"", |e| matches!(e, E::Empty(_))),
        ("text = \"x\"", "text = \"\"", |e| matches!(e, E::Empty(_))),
        ("source = \"seeds\"", "source = \"\"", |e| matches!(e, E::Empty(_))),
        (CITE, "cite = []", |e| matches!(e, E::Empty(_))),
        (CITE, "", |e| matches!(e, E::Syntax(_))),
        ("places = [\"KR\"]", "places = []", |e| matches!(e, E::Empty(_))),
        ("rights = [\"opt_out\", \"limit_sensitive\"]", "rights = []", |e| matches!(e, E::Empty(_))),
        ("{ days = 30 }", "{ days = 0 }", |e| matches!(e, E::Span(_))),
        ("{ months = 1 }", "{ months = 13 }", |e| matches!(e, E::Span(_))),
        ("{ days = 10 }", "{ business_days = 400 }", |e| matches!(e, E::Span(_))),
        ("level = \"l1\"", "level = \"l0\"", |e| matches!(e, E::Levels(_))),
        ("level = \"l3\"", "level = \"l3\"\nlevel_without_account = \"l2\"", |e| matches!(e, E::Levels(_))),
        ("level = \"l3\"", "level_without_account = \"l3\"", |e| {
            *e == E::BelowSeedPolicy(Right::CorrectName, "the highest level")
        }),
        ("level = \"l3\"", "level = \"l2\"", |e| matches!(e, E::BelowSeedPolicy(..))),
        ("level = \"l1\"", "", |e| matches!(e, E::Incomplete(_, "level"))),
        ("answer = [{ days = 30 }, { months = 1 }]", "", |e| matches!(e, E::Incomplete(_, "answer"))),
        ("acknowledge = [{ days = 10 }]", "", |e| matches!(e, E::Incomplete(_, "acknowledge"))),
        ("refusals = [\"not_covered\"]", "", |e| matches!(e, E::Incomplete(_, "refusals"))),
        ("why = \"all\"", "why = \"all\"\nrights = [\"access\"]", |e| matches!(e, E::Incomplete(..))),
        ("{ days = 30 }", "{ days = 31 }", |e| matches!(e, E::BelowSeedPolicy(..))),
        (", { months = 1 }", "", |e| matches!(e, E::BelowSeedPolicy(..))),
        ("forbid_proof = true", "", |e| {
            matches!(e, E::BelowSeedPolicy(Right::OptOut | Right::LimitSensitive, "no proof"))
        }),
        ("regime = \"pipa\"", "regime = \"policy\"", |e| matches!(e, E::Regimes(_))),
    ];
    for (from, to, expected) in cases {
        assert!(smallest().contains(from), "{from}");
        let error = RightsTable::parse(&smallest().replacen(from, to, 1)).unwrap_err();
        assert!(expected(&error), "{from} -> {to}: {error}");
    }
    let twice = smallest().replace(
        "[[holds]]",
        &format!("[[holds]]\nid = \"in-gdpr\"\nregime = \"gdpr\"\nplaces = [\"KR\"]\nwhy = \"x\"\n{CITE}\n[[holds]]"),
    );
    assert_eq!(RightsTable::parse(&twice).unwrap_err(), E::Regimes("KR".parse().unwrap()));
}

#[test]
fn a_row_that_forbids_proof_cannot_ask_for_any() {
    for asks in [
        "level = \"l1\"",
        "level_without_account = \"l1\"",
        "fresh_session = true",
        "id_document = \"last_resort\"",
        "refusals = [\"identity_not_shown\"]",
    ] {
        let error = RightsTable::parse(&law(&format!("rights = [\"object\"]\nforbid_proof = true\n{asks}")));
        assert!(matches!(error, Err(RightsTableError::ProofForbidden(_))), "{asks}");
        assert!(RightsTable::parse(&law(&format!("rights = [\"object\"]\n{asks}"))).is_ok(), "{asks}");
    }
}

#[test]
fn proof_is_forbidden_only_where_nothing_is_disclosed_changed_or_erased() {
    use Right::{ChangeScope, LimitSensitive, Object, OptOut, Restrict, WithdrawConsent};
    for right in Right::ALL {
        let parsed = RightsTable::parse(&law(&format!("rights = [\"object\", \"{right}\"]\nforbid_proof = true")));
        let may = [ChangeScope, LimitSensitive, Object, OptOut, Restrict, WithdrawConsent].contains(right);
        let exposes = parsed.is_err_and(|e| matches!(e, RightsTableError::Exposes(_)));
        assert_ne!(exposes, may, "{right}");
    }
    assert!(matches!(RightsTable::parse(&law("forbid_proof = true")), Err(RightsTableError::Exposes(_))), "all rights");
}

#[test]
fn an_extension_has_a_reason_a_number_and_one_row() {
    let by = |times: &str, reasons: &str| {
        law(&format!("extension = {{ by = {{ days = 20 }}, times = {times}, reasons = [{reasons}] }}"))
    };
    let one = by("1", "\"just_cause\"");
    let extension = Extension { by: Span::Days(20), times: 1, reasons: vec![ExtensionReason::JustCause] };
    let plan = RightsTable::parse(&one).unwrap().plan(&asked(Right::Access, Regime::Pipa, true));
    assert_eq!(plan.extension, Some(extension));
    for bad in [by("0", "\"just_cause\""), by("4", "\"just_cause\""), by("1", "")] {
        assert!(matches!(RightsTable::parse(&bad), Err(RightsTableError::Extension(_))), "{bad}");
    }
    let policy = one.replace("id = \"law\"\nregime = \"pipa\"", "id = \"law\"\nregime = \"policy\"");
    assert!(matches!(RightsTable::parse(&policy), Err(RightsTableError::Extension(_))));
    let long = one.replace("{ days = 20 }", "{ months = 13 }");
    assert!(matches!(RightsTable::parse(&long), Err(RightsTableError::Span(_))));
    let twice = format!("{one}{}", by("1", "\"complex\"").replace(&smallest(), "").replace("\"law\"", "\"law-2\""));
    assert_eq!(RightsTable::parse(&twice).unwrap_err(), RightsTableError::ExtendedTwice(Right::Access, Regime::Pipa));
}

#[test]
fn a_row_can_only_make_things_stricter_unless_it_forbids_proof() {
    let plan = |lines: &str| RightsTable::parse(&law(lines)).unwrap().plan(&asked(Right::Access, Regime::Pipa, false));
    let base = plan("");
    assert_eq!((base.level, base.id_document), (ProofLevel::L1, IdDocument::Forbidden));
    assert_eq!(plan("level = \"l2\"").level, ProofLevel::L2);
    assert_eq!(plan("level = \"l1\"\nlevel_without_account = \"l3\"").level, ProofLevel::L3);
    assert_eq!(plan("id_document = \"last_resort\"").id_document, IdDocument::Forbidden, "L1 needs no card");
    let both = "level = \"l3\"\nid_document = \"last_resort\"";
    assert_eq!(plan(both).id_document, IdDocument::LastResort);
    let forbidden = law(both).replace("why = \"all\"", "why = \"all\"\nid_document = \"forbidden\"");
    let forbidden = RightsTable::parse(&forbidden).unwrap().plan(&asked(Right::Access, Regime::Pipa, false));
    assert_eq!(forbidden.id_document, IdDocument::Forbidden, "the stricter of policy and regime");
    let day = date(2027, 1, 31);
    assert_eq!(plan("answer = [{ days = 90 }]").due(day, &calendar()), base.due(day, &calendar()));
    assert_eq!(plan("answer = [{ days = 3 }]").due(day, &calendar()), date(2027, 2, 3));
    assert!(plan("never_ask = [\"fee\"]").never_ask.contains(&NeverAsk::Fee));
    let none = RightsTable::parse(&law("rights = [\"object\"]\nforbid_proof = true")).unwrap();
    let none = none.plan(&asked(Right::Object, Regime::Pipa, false));
    assert_eq!((none.level, none.may_ask), (ProofLevel::L0, vec![]));
}

#[test]
fn the_digest_is_of_the_meaning_not_of_the_spelling() {
    let digest = |text: &str| RightsTable::parse(text).unwrap().digest();
    let text = smallest();
    let (head, rows) = text.split_at(text.find("[[row]]").unwrap());
    let mut rows: Vec<String> = rows.split("[[row]]").skip(1).map(|row| format!("# a remark\n[[row]]{row}")).collect();
    rows.reverse();
    assert_eq!(digest(&format!("{head}{}", rows.concat())), digest(&text));
    for (from, to) in [
        ("version = \"2026-11-22\"", "version = \"2026-11-23\""),
        ("days = 30", "days = 29"),
        ("{ days = 10 }", "{ business_days = 10 }"),
        ("why = \"all\"", "why = \"other\""),
        ("mark = \"V\"", "mark = \"S\""),
        ("[\"KR\"]", "[\"KR\", \"KP\"]"),
        ("level = \"l1\"", "level = \"l2\""),
        ("level = \"l1\"", "level = \"l1\"\nfresh_session = true"),
    ] {
        assert!(text.contains(from), "{from}");
        assert_ne!(digest(&text.replacen(from, to, 1)), digest(&text), "{from}");
    }
}

#[test]
fn the_table_looks_as_recorded() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rights/table.txt");
    let table = embedded().text();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let recorded = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        table == recorded,
        "the rights table changed: run with UPDATE_GOLDEN=1 and read the diff of {}",
        path.display()
    );
    for right in Right::ALL {
        for regime in Regime::ALL {
            let title = format!("\n{right} under {regime}: ");
            let block = table.split(&title).nth(1).unwrap().split("\n\n").next().unwrap();
            assert!(["  [V] ", "  [S] "].iter().any(|mark| block.contains(mark)), "{title} has a source");
        }
    }
}
