//! What Redis' keys are called, and in which hash slot each partition lies.
//!
//! `<namespace>:{<tag>}:<letter>:<id>`: the tag puts all keys of one partition into one hash slot, so that one script may
//! change them together on a Cluster too. The id is a keyed hash (`Handles`) as base64url and tells nothing.

use crate::store::{Key, KeyId, Partition};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// How many hash slots a Redis Cluster has (Redis Cluster specification, "Key distribution model").
#[cfg(test)]
const SLOTS: u16 = 16384;

/// A tag for each partition and the hash slot that follows from it (CRC16 of the tag). They were looked for so that
/// partition `n` lies in the `n`th sixteenth of the slots: masters that share the slots evenly share the partitions evenly.
const TAGS: [(&str, u16); Partition::COUNT as usize] = [
    ("03", 933),
    ("122", 1907),
    ("212", 2928),
    ("311", 3107),
    ("461", 4132),
    ("562", 6007),
    ("60", 6496),
    ("742", 8053),
    ("843", 9061),
    ("940", 9270),
    ("a21", 10718),
    ("b60", 11371),
    ("c13", 12975),
    ("d13", 14143),
    ("e61", 14810),
    ("f20", 15471),
];

/// The length of an id as it is written.
const ID: usize = 43;

/// The hash slot of a partition.
pub(super) fn slot(partition: Partition) -> u16 {
    TAGS.get(usize::from(partition.number())).map_or(0, |(_, slot)| *slot)
}

/// Names keys under one namespace: how the names of each partition begin.
pub(super) struct Names([String; Partition::COUNT as usize]);

impl Names {
    pub(super) fn new(namespace: &str) -> Self {
        Self(TAGS.map(|(tag, _)| format!("{namespace}:{{{tag}}}:")))
    }

    fn of(&self, partition: Partition, rest: &str) -> String {
        [self.before(partition), rest].concat()
    }

    fn before(&self, partition: Partition) -> &str {
        self.0.get(usize::from(partition.number())).map_or("", String::as_str)
    }

    /// The name that a key's letter, what `between` adds to it, and its id make.
    fn keyed(&self, key: &Key, between: &str) -> String {
        let (before, [_, letter, id @ ..]) = (self.before(key.partition()), key.bytes());
        let mut name = String::with_capacity(before.len() + between.len() + ID + 2);
        name.push_str(before);
        name.push(char::from(letter));
        name.push_str(between);
        name.push(':');
        URL_SAFE_NO_PAD.encode_string(id, &mut name);
        name
    }

    /// A value, or what is filed or counted under its name. The three are told apart by what their spaces are used for,
    /// but filings have a name of their own, since a value of the same name may stand beside them.
    pub(super) fn value(&self, key: &Key) -> String {
        self.keyed(key, "")
    }

    /// What is filed under a key.
    pub(super) fn filed(&self, key: &Key) -> String {
        self.keyed(key, "f")
    }

    /// The last version that was given out in a partition.
    pub(super) fn version(&self, partition: Partition) -> String {
        self.of(partition, "version")
    }

    /// The end of a partition's audit chain.
    pub(super) fn head(&self, partition: Partition) -> String {
        self.of(partition, "head")
    }

    /// A partition's audit chain.
    pub(super) fn audit(&self, partition: Partition) -> String {
        self.of(partition, "audit")
    }

    /// A key that can be destroyed.
    pub(super) fn shred(&self, id: KeyId) -> String {
        self.of(home(id), &format!("key:{id}"))
    }

    /// The names of all that lies in a partition, as a pattern.
    pub(super) fn all(&self, partition: Partition) -> String {
        self.of(partition, "*")
    }

    /// The layout of the store.
    pub(super) fn format(&self) -> String {
        self.of(FIRST, "format")
    }
}

/// The partition that holds what is not of one partition.
pub(super) const FIRST: Partition = Partition::FIRST;

/// The partition where a key that can be destroyed lies.
pub(super) fn home(id: KeyId) -> Partition {
    let number = u8::try_from(id.slot % u32::from(Partition::COUNT)).unwrap_or_default();
    Partition::new(number).unwrap_or(FIRST)
}

/// The key of a value that is named by its letter and its id.
pub(super) fn key(partition: Partition, letter: u8, id: &str) -> Option<Key> {
    let id: [u8; 32] = URL_SAFE_NO_PAD.decode(id).ok()?.try_into().ok()?;
    let mut bytes = [0u8; Key::LEN];
    let [number, space, rest @ ..] = &mut bytes;
    (*number, *space, *rest) = (partition.number(), letter, id);
    Key::read(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Sensitive;
    use crate::store::{Handles, Space};

    /// CRC16-CCITT (XMODEM), as the Redis Cluster specification has it in its appendix A.
    fn crc16(bytes: &[u8]) -> u16 {
        bytes.iter().fold(0u16, |sum, byte| {
            (0..8).fold(sum ^ (u16::from(*byte) << 8), |sum, _| match sum & 0x8000 {
                0 => sum << 1,
                _ => (sum << 1) ^ 0x1021,
            })
        })
    }

    #[test]
    fn partitions_are_spread_evenly_over_the_slots() {
        assert_eq!(crc16(b"123456789"), 0x31c3, "the specification's example");
        for (partition, (tag, slot)) in Partition::all().zip(TAGS) {
            assert_eq!(crc16(tag.as_bytes()) % SLOTS, slot);
            assert_eq!(slot / (SLOTS / 16), u16::from(partition.number()), "in its own sixteenth");
            assert_eq!(super::slot(partition), slot);
        }
    }

    #[test]
    fn a_name_has_the_tag_of_its_partition_and_tells_nothing() {
        let names = Names::new("idgate");
        let handles = Handles::new(Sensitive::new([1; 32]));
        let key = handles.key(Space::Consent, Partition::new(3).unwrap(), &"shop".parse().unwrap(), "user-42");
        let (value, filed) = (names.value(&key), names.filed(&key));
        assert!(value.starts_with("idgate:{311}:c:") && filed.starts_with("idgate:{311}:cf:"));
        assert_eq!(value.len(), "idgate:{311}:c:".len() + 43);
        assert!(!value.contains("user") && !value.contains("shop"));
        let id = KeyId { slot: 35, tag: [7; 12] };
        assert_eq!(names.shred(id), format!("idgate:{{311}}:key:{id}"));
    }
}
