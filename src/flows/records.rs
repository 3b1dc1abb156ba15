//! What is written to the store: MessagePack that names every member, so that members can be added. What an earlier
//! version wrote as JSON is still read. No record can hold a subject reference, a date of birth or a picture.

use super::Error;
use crate::policy::Decision;
use crate::terms::{DecisionId, PolicyDigest, Reason, RelyingParty, RuleId};
use jiff::Timestamp;
use rmp_serde::decode::Error as ReadError;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::ErrorKind;

/// A decision that can be looked up.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DecisionRecord {
    pub decided_at: Timestamp,
    pub relying_party: RelyingParty,
    pub token_seconds: u32,
    /// Whose it is, in a form that only they can be found by; see `App::whose`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whose: Option<String>,
    pub decision: Decision,
}

/// That a request was taken in hand under an idempotency key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reservation {
    /// A keyed digest of the whole request; see `idempotency`.
    pub fingerprint: String,
    /// The name that its decision has, or will have.
    pub decision: DecisionId,
    /// Until when nobody else takes it in hand.
    pub lease: Timestamp,
    /// The answer, where no decision is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_nothing: Option<KeptNothing>,
}

/// The answer for a person of whom nothing is kept: what a retry must be told again, and nothing else.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptNothing {
    pub rule: RuleId,
    pub policy: PolicyDigest,
    /// Empty for a block.
    pub inconsistent: Vec<Reason>,
}

/// How deep what is read may be nested: deeper than any record is. An enum that is told by a member is buffered with room
/// for as many elements as each level says to have, up to 1 MiB a level, so this also bounds the memory that a damaged
/// record can claim.
const DEPTH: usize = 16;

/// Names and instants are written as text, as in JSON: an enum that is told by a member is read through a buffer that
/// knows no other form of them.
pub(crate) fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(512);
    let mut writer = rmp_serde::Serializer::new(&mut bytes).with_struct_map().with_human_readable();
    record.serialize(&mut writer).map_err(|_| Error::Broken)?;
    Ok(bytes)
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    // Every record is an object, and no MessagePack of one begins so.
    if bytes.first() == Some(&b'{') {
        return serde_json::from_slice(bytes).map_err(|_| Error::Broken);
    }
    let mut reader = rmp_serde::Deserializer::from_read_ref(bytes).with_human_readable();
    reader.set_max_depth(DEPTH);
    let record = T::deserialize(&mut reader).map_err(|_| Error::Broken)?;
    // This reader tells in no other way whether it is at its end: nothing is left of which a marker could be read.
    match bool::deserialize(&mut reader) {
        Err(ReadError::InvalidMarkerRead(error)) if error.kind() == ErrorKind::UnexpectedEof => Ok(record),
        _ => Err(Error::Broken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::once::Done;
    use crate::policy::Step;
    use crate::terms::ConsentId;
    use uuid::Uuid;

    /// What records are made of.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Record {
        name: ConsentId,
        at: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<RuleId>,
        digest: PolicyDigest,
        steps: Vec<Step>,
        done: Done,
    }

    fn record(rule: Option<&str>) -> Record {
        let name = ConsentId(Uuid::from_u128(7));
        Record {
            name,
            at: Timestamp::UNIX_EPOCH,
            rule: rule.map(|rule| rule.parse().unwrap()),
            digest: PolicyDigest([9; 32]),
            // Both are told by a member, and name something.
            steps: vec![Step::NothingRead, Step::ConsentInForce { consent: name }],
            done: Done::Requested { consent: name },
        }
    }

    #[test]
    fn what_was_written_is_read_and_nothing_that_is_cut_off_or_has_more_behind_it() {
        for record in [record(None), record(Some("default/signup"))] {
            let bytes = encode(&record).unwrap();
            assert_eq!(decode::<Record>(&bytes).as_ref().ok(), Some(&record));
            assert_eq!(
                decode::<Record>(&serde_json::to_vec(&record).unwrap()).ok(),
                Some(record),
                "of an earlier version"
            );
            for end in 0..bytes.len() {
                assert!(decode::<Record>(&bytes[..end]).is_err(), "cut off at {end}");
            }
            for more in 0..=u8::MAX {
                assert!(decode::<Record>(&[&bytes[..], &[more]].concat()).is_err(), "{more} behind it");
            }
        }
    }

    #[test]
    fn what_is_nested_too_deep_is_refused() {
        /// Passes over what it does not know, and buffers what is told by a member.
        #[derive(Debug, Deserialize)]
        struct Loose {
            _told: Option<Told>,
        }
        #[derive(Debug, Deserialize)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        enum Told {
            One { _x: Option<bool> },
        }
        let passed_over = |levels: usize| [&[0x81, 0xA1, b'x'][..], &vec![0x91; levels], &[0xC0]].concat();
        let buffered = |levels: usize| {
            let told = [&[0x81, 0xA5][..], b"_told", &[0x82, 0xA4], b"kind", &[0xA3], b"one", &[0xA1, b'x']].concat();
            [&told[..], &vec![0x91; levels], &[0xC0]].concat()
        };
        for nested in [passed_over, buffered] as [fn(usize) -> Vec<u8>; 2] {
            assert!(decode::<Loose>(&nested(DEPTH / 2)).is_ok());
            for levels in [DEPTH + 1, 1000, 100_000] {
                assert!(decode::<Loose>(&nested(levels)).is_err(), "{levels}");
            }
        }
    }

    /// Records as they were written before MessagePack, from the seeds of the fuzz target that reads them.
    #[test]
    fn records_of_before_are_read_and_what_is_told_of_a_decision_is_what_its_record_says() {
        use crate::flows::consent::ConsentRecord;
        use crate::flows::decisions::Brief;
        use crate::flows::rights::RightsRecord;
        use crate::policy::Summary;
        macro_rules! seed {
            ($name:literal) => {
                include_bytes!(concat!("../../tests/fuzz/seeds/store/", $name)).split(|byte| *byte == b'\n').skip(1)
            };
        }
        fn both<T: Serialize + DeserializeOwned>(json: &[u8]) -> T {
            let record: T = decode(json).unwrap();
            let packed = encode(&record).unwrap();
            assert!(packed.len() < json.len() && packed.first() != Some(&b'{'));
            let again: T = decode(&packed).unwrap();
            assert_eq!(serde_json::to_vec(&again).unwrap(), json);
            again
        }
        let objects = |line: &&[u8]| line.starts_with(b"{");
        let mut kinds = std::collections::BTreeSet::new();
        for line in seed!("told_0").chain(seed!("told_1")).chain(seed!("told_2")).filter(objects) {
            let record: DecisionRecord = both(line);
            for bytes in [line, &encode(&record).unwrap()] {
                assert_eq!(decode::<Brief>(bytes).unwrap().decision, Summary::of(&record.decision));
            }
            kinds.insert(Summary::of(&record.decision).outcome.as_str());
        }
        assert!(kinds.len() >= 2, "{kinds:?}");
        let consents = seed!("consent_requested1").chain(seed!("consent_given5")).chain(seed!("consent_withdrawn5"));
        assert_eq!(consents.filter(objects).map(both::<ConsentRecord>).count(), 3);
        let requests = seed!("request_open").chain(seed!("request_verified")).filter(objects);
        assert!(requests.filter(|line| line.starts_with(b"{\"request\"")).map(both::<RightsRecord>).count() >= 2);
    }

    #[test]
    fn a_member_that_is_not_known_is_refused_and_one_that_was_added_later_may_be_missing() {
        let known = encode(&record(None)).unwrap();
        #[derive(Serialize)]
        struct More {
            #[serde(flatten)]
            known: Record,
            more: bool,
        }
        let more = encode(&More { known: record(None), more: true }).unwrap();
        assert!(decode::<Record>(&known).is_ok() && decode::<Record>(&more).is_err());
    }
}
