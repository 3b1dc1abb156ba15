//! The rule table: what it must never do, how rows combine, what it refuses, and how it looks (a golden file).

use idgate::policy::rules::{Mark, Place, Rule, RuleSet, SEED_BLOCK_BELOW, SEED_GUARDIAN_BELOW, TableError};
use idgate::terms::{AssuranceLevel, Jurisdiction, Purpose};
use std::path::Path;

fn embedded() -> RuleSet {
    RuleSet::embedded().unwrap()
}

fn every_rule(rules: &RuleSet) -> Vec<Rule> {
    let places = rules.places().into_iter().map(|place| match place {
        Place::Everywhere => Jurisdiction::UNKNOWN,
        Place::At(place) => place,
    });
    places.flat_map(|place| Purpose::ALL.iter().map(move |purpose| rules.rule(place, *purpose))).collect()
}

/// Every number of a rule by which a person can be refused.
fn strictness(rule: &Rule) -> [u8; 6] {
    [
        rule.block_below,
        rule.guardian_below,
        rule.legal_guardian_below.unwrap_or(0),
        rule.guardian_min_age,
        rule.year_age_adult.unwrap_or(0),
        u8::from(!rule.accepts_declaration()),
    ]
}

fn no_weaker(rule: &Rule, than: &Rule) -> bool {
    strictness(rule).iter().zip(strictness(than)).all(|(a, b)| *a >= b) && rule.min_assurance >= than.min_assurance
}

#[test]
fn no_rule_is_weaker_than_the_seed_policies_or_than_a_wider_place() {
    let rules = embedded();
    let every = every_rule(&rules);
    assert!(every.len() > 50 * Purpose::ALL.len());
    for rule in every {
        assert!(rule.block_below >= SEED_BLOCK_BELOW, "{}", rule.id);
        assert!(rule.guardian_below >= SEED_GUARDIAN_BELOW, "{}", rule.id);
        assert!(rule.guardian_below >= rule.block_below);
        assert!(rule.legal_guardian_below.is_none_or(|legal| legal <= rule.guardian_below));
        assert!(rule.guardian_min_age >= 18);
        assert!(rule.min_assurance >= AssuranceLevel::Witnessed);
        assert!(!rule.citations.is_empty() && rule.zone_names().count() > 0);
        let nation = rules.rule(rule.jurisdiction.nation(), rule.purpose);
        let everywhere = rules.rule(Jurisdiction::UNKNOWN, rule.purpose);
        assert!(no_weaker(&rule, &nation) && no_weaker(&nation, &everywhere), "{}", rule.id);
        assert!(rule.purpose != Purpose::AdultContent || rule.block_below >= 18);
    }
}

#[test]
fn every_place_of_the_domain_reference_has_a_row() {
    let rules = embedded();
    let eea = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK";
    let others = "US KR GB BR IN CN JP AU TW HK NZ CA CA-QC US-CA US-FL US-TN US-GA";
    for place in eea.split(' ').chain(others.split(' ')) {
        let rule = rules.rule(place.parse().unwrap(), Purpose::Signup);
        assert_eq!(rule.id.as_str(), format!("{}/signup", place.to_lowercase()));
        assert!(rule.zone_names().all(|zone| !zone.starts_with("Etc/")), "{place} has zones of its own");
    }
    let legal = |place: &str| rules.rule(place.parse().unwrap(), Purpose::Signup).legal_guardian_below;
    for (places, age) in [
        ("US BE EE FI LV MT PT SE IS GB", 13),
        ("KR AT BG CY ES IT LT CN CA-QC", 14),
        ("CZ FR GR SI DK NO", 15),
        ("HR DE HU IE LU NL PL RO SK LI BR JP US-FL US-GA", 16),
        ("IN US-TN", 18),
    ] {
        for place in places.split(' ') {
            assert_eq!(legal(place), Some(age), "{place}");
        }
    }
}

#[test]
fn a_place_falls_back_to_its_nation_and_then_to_everywhere() {
    let rules = embedded();
    let id = |place: &str, purpose| rules.rule(place.parse().unwrap(), purpose).id.to_string();
    assert_eq!(id("US-NY", Purpose::Signup), "us/signup");
    assert_eq!(id("US-FL", Purpose::AdultContent), "us-fl/adult_content");
    assert_eq!(id("ZZ", Purpose::Signup), "default/signup");
    assert_eq!(id("XK-01", Purpose::Purchase), "default/purchase");
    let zones =
        |place: &str| rules.rule(place.parse().unwrap(), Purpose::Signup).zone_names().collect::<Vec<_>>().join(" ");
    assert_eq!(zones("US-NY"), zones("US"));
    assert_eq!(zones("US-CA"), "America/Los_Angeles");
}

#[test]
fn a_litigated_row_is_off_until_it_is_switched_on() {
    let texas: Jurisdiction = "US-TX".parse().unwrap();
    let rules = embedded();
    assert_eq!(rules.rule(texas, Purpose::Signup).id.as_str(), "us/signup");
    let before = rules.digest();
    let rules = rules.switch_on(&"us-tx".parse().unwrap()).unwrap();
    assert_eq!(rules.rule(texas, Purpose::Signup).id.as_str(), "us-tx/signup");
    assert_eq!(rules.rule(texas, Purpose::Signup).legal_guardian_below, Some(18));
    assert_ne!(rules.digest(), before);
    let unknown = "us-zz".parse().unwrap();
    assert_eq!(rules.switch_on(&unknown).unwrap_err(), TableError::NoSuchRow(unknown));
}

#[test]
fn what_comes_from_memory_says_so() {
    let rules = embedded();
    let rule = rules.rule("SI".parse().unwrap(), Purpose::Signup);
    assert!(rule.citations.iter().any(|c| c.mark == Mark::M));
    for rule in every_rule(&rules) {
        assert!(rule.citations.iter().all(|c| c.source != "memory" || c.mark == Mark::M), "{}", rule.id);
    }
}

const SMALLEST: &str = r#"
version = "2026-11-22"
[[row]]
id = "default"
places = ["*"]
why = "seed policies"
block_below = 13
guardian_below = 18
guardian_min_age = 18
min_assurance = "witnessed"
leap_day = "mar1"
self_declaration = "accepted"
cite = [{ text = "policies", source = "seeds", in_force = "2026-11-22", mark = "V" }]
[zones]
"*" = ["Etc/GMT+12", "Etc/GMT-14"]
"#;

const MORE: &str = r#"
[[row]]
id = "kr"
places = ["KR"]
why = "a law"
legal_guardian_below = 14
cite = [{ text = "a law", source = "memory", in_force = "2023-09-15", mark = "M" }]
"#;

#[test]
fn the_digest_is_of_the_meaning_not_of_the_spelling() {
    let digest = |text: &str| RuleSet::parse(text).unwrap().digest();
    let both = format!("{}{MORE}", SMALLEST.replace("[zones]", "[zones] # a remark"));
    let swapped = SMALLEST.replace("[[row]]\nid = \"default\"", &format!("{MORE}\n[[row]]\nid = \"default\""));
    assert_eq!(digest(&both), digest(&swapped));
    assert_ne!(digest(&both), digest(SMALLEST));
    for (from, to) in [
        ("block_below = 13", "block_below = 14"),
        ("version = \"2026-11-22\"", "version = \"2026-11-23\""),
        ("\"Etc/GMT+12\", ", ""),
        ("why = \"seed policies\"", "why = \"other\""),
        ("mark = \"V\"", "mark = \"S\""),
    ] {
        assert!(SMALLEST.contains(from));
        assert_ne!(digest(&SMALLEST.replace(from, to)), digest(SMALLEST), "{from}");
    }
}

#[test]
fn a_doubtful_table_is_refused() {
    assert!(RuleSet::parse(SMALLEST).is_ok());
    let kr = || "kr".parse().unwrap();
    let default = || "default".parse().unwrap();
    type Case<'a> = (&'a str, &'a str, fn(&TableError) -> bool);
    let cases: Vec<Case<'_>> = vec![
        ("block_below = 13", "block_belov = 13", |e| matches!(e, TableError::Syntax(_))),
        ("guardian_below = 18", "guardian_below = 18\nallow_below = 99", |e| matches!(e, TableError::Syntax(_))),
        ("source = \"seeds\"", "source = \"seeds\", url = \"x\"", |e| matches!(e, TableError::Syntax(_))),
        ("[zones]", "[zone]", |e| matches!(e, TableError::Syntax(_))),
        ("block_below = 13", "block_below = 12", |e| *e == TableError::BelowSeedPolicy),
        ("guardian_below = 18", "guardian_below = 17", |e| *e == TableError::BelowSeedPolicy),
        ("guardian_min_age = 18", "guardian_min_age = 17", |e| *e == TableError::BelowSeedPolicy),
        ("block_below = 13", "", |e| *e == TableError::Incomplete("block_below")),
        ("leap_day = \"mar1\"", "", |e| *e == TableError::Incomplete("leap_day")),
        ("self_declaration = \"accepted\"", "", |e| *e == TableError::Incomplete("self_declaration")),
        ("places = [\"*\"]", "places = [\"*\"]\nenabled = false", |e| matches!(e, TableError::Incomplete(_))),
        ("places = [\"*\"]", "places = [\"*\"]\npurposes = [\"signup\"]", |e| matches!(e, TableError::Incomplete(_))),
        ("places = [\"*\"]", "places = []", |e| matches!(e, TableError::Empty(_))),
        ("places = [\"*\"]", "places = [\"Korea\"]", |e| matches!(e, TableError::Syntax(_))),
        ("guardian_min_age = 18", "guardian_min_age = 81", |e| matches!(e, TableError::Age(_))),
        ("\"Etc/GMT+12\"", "\"Etc/Atlantis\"", |e| *e == TableError::Zones(Place::Everywhere)),
        ("[\"Etc/GMT+12\", \"Etc/GMT-14\"]", "[]", |e| *e == TableError::Zones(Place::Everywhere)),
        ("\"*\" = [", "KR = [", |e| *e == TableError::Zones(Place::Everywhere)),
        ("= \"witnessed\"", "= \"unwitnessed\"", |e| matches!(e, TableError::Unwitnessed(_))),
    ];
    for (from, to, expected) in cases {
        assert!(SMALLEST.contains(from), "{from}");
        let error = RuleSet::parse(&SMALLEST.replace(from, to)).unwrap_err();
        assert!(expected(&error), "{to}: {error}");
    }
    assert_eq!(RuleSet::parse(&format!("{SMALLEST}{MORE}{MORE}")).unwrap_err(), TableError::DuplicateId(kr()));
    let uncited = SMALLEST.replace("cite = [{ text = \"policies\"", "cite = [{ text = \"\"");
    assert_eq!(RuleSet::parse(&uncited).unwrap_err(), TableError::Empty(default()));
}

#[test]
fn a_row_can_only_make_things_stricter() {
    let lenient =
        MORE.replace("legal_guardian_below = 14", "block_below = 5\nguardian_below = 6\nguardian_min_age = 7");
    let rules = RuleSet::parse(&format!("{SMALLEST}{lenient}")).unwrap();
    let rule = rules.rule("KR".parse().unwrap(), Purpose::Signup);
    assert_eq!((rule.block_below, rule.guardian_below, rule.guardian_min_age), (13, 18, 18));
    let raised = MORE.replace("legal_guardian_below = 14", "legal_guardian_below = 20");
    let rules = RuleSet::parse(&format!("{SMALLEST}{raised}")).unwrap();
    assert_eq!(rules.rule("KR".parse().unwrap(), Purpose::Signup).guardian_below, 20);
    let blocked = MORE.replace("legal_guardian_below = 14", "block_below = 21");
    let rules = RuleSet::parse(&format!("{SMALLEST}{blocked}")).unwrap();
    let rule = rules.rule("KR".parse().unwrap(), Purpose::Signup);
    assert_eq!((rule.block_below, rule.guardian_below), (21, 21));
}

#[test]
fn the_table_looks_as_recorded() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/policy_table.txt");
    let table = embedded().table();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let recorded = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        table == recorded,
        "the rule table changed: run with UPDATE_GOLDEN=1 and read the diff of {}",
        path.display()
    );
}
