//! Names of stored values: no key carries personal data.
//!
//! An id is HMAC-SHA-256 under a secret of its own, so that neither the file nor a copy of it tells which service or
//! person it is about, and nobody without the secret can test a guess. A [`Partition`] is the unit that one
//! [`Batch`](super::Batch) changes at once and that has one audit chain; on Redis Cluster it is one hash slot.

use crate::secret::Sensitive;
use crate::terms::{DecisionId, Malformed, RelyingParty};
use aws_lc_rs::hmac;
use std::fmt;
use uuid::Uuid;

/// What a value is for. One letter each in the store; a letter is never used again for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Space {
    /// A decision, by its id.
    Decision,
    /// What was answered to an idempotency key.
    Idempotency,
    /// The attempts counted against a limit.
    Attempts,
    /// Something that may be used once.
    SingleUse,
    /// A guardian's consent, by its id.
    Consent,
    /// The sealed reading behind a decision, held until consent is asked for.
    Held,
    /// What is kept of a subject across decisions.
    Subject,
    /// A report that an account belongs to a child, by its id.
    Report,
    /// What falls due in one span of time.
    Due,
    /// The subjects that one guardian acts for.
    Guardian,
    /// How far something has been worked through.
    Cursor,
    /// A rights request, by its id.
    Rights,
    /// What was tried in vain for one person.
    Meter,
    /// The one-time code of a rights request.
    Code,
    /// The rights requests that are due in one span of time.
    Listing,
}

impl Space {
    /// The letter that stands for it in the store.
    pub const fn letter(self) -> u8 {
        match self {
            Self::Decision => b'd',
            Self::Idempotency => b'i',
            Self::Attempts => b'a',
            Self::SingleUse => b's',
            Self::Consent => b'c',
            Self::Held => b'h',
            Self::Subject => b'u',
            Self::Report => b'r',
            Self::Due => b'w',
            Self::Guardian => b'g',
            Self::Cursor => b'k',
            Self::Rights => b'q',
            Self::Meter => b'm',
            Self::Code => b'o',
            Self::Listing => b'l',
        }
    }

    /// Every space.
    const ALL: [Self; 15] = [
        Self::Decision,
        Self::Idempotency,
        Self::Attempts,
        Self::SingleUse,
        Self::Consent,
        Self::Held,
        Self::Subject,
        Self::Report,
        Self::Due,
        Self::Guardian,
        Self::Cursor,
        Self::Rights,
        Self::Meter,
        Self::Code,
        Self::Listing,
    ];
}

/// One of [`Partition::COUNT`] parts of the store. What one batch changes lies in one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(u8);

impl Partition {
    /// How many there are. Fixed: another number would move every key.
    pub const COUNT: u8 = 16;

    /// The one with the lowest number.
    pub(super) const FIRST: Self = Self(0);

    /// Every partition.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// The partition with this number, if there is one.
    pub const fn new(number: u8) -> Option<Self> {
        if number < Self::COUNT { Some(Self(number)) } else { None }
    }

    /// Its number, which is also the name of its audit chain.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The partition that a decision's id names.
    pub fn of(decision: &DecisionId) -> Self {
        Self::of_uuid(&decision.0)
    }

    /// A decision's id that names this partition, made of a fresh `uuid`.
    pub fn stamp(self, uuid: Uuid) -> DecisionId {
        DecisionId(self.mark(uuid))
    }

    /// The partition that a marked UUID names in its last four bits, which are otherwise random.
    pub fn of_uuid(uuid: &Uuid) -> Self {
        let [.., last] = *uuid.as_bytes();
        Self(last % Self::COUNT)
    }

    /// A fresh UUID that names this partition.
    pub fn mark(self, uuid: Uuid) -> Uuid {
        let mut bytes = *uuid.as_bytes();
        let [.., last] = &mut bytes;
        *last = *last / Self::COUNT * Self::COUNT + self.0;
        Uuid::from_bytes(bytes)
    }
}

/// The name of one value.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    space: Space,
    partition: Partition,
    id: [u8; 32],
}

impl Key {
    /// The length of [`Key::bytes`].
    pub const LEN: usize = 34;

    /// The partition it lies in.
    pub const fn partition(&self) -> Partition {
        self.partition
    }

    /// What the value is for.
    pub const fn space(&self) -> Space {
        self.space
    }

    /// The key as stored: partition, space, id.
    pub fn bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0u8; Self::LEN];
        let [partition, space, id @ ..] = &mut bytes;
        (*partition, *space) = (self.partition.0, self.space.letter());
        id.copy_from_slice(&self.id);
        bytes
    }

    /// The key that [`Key::bytes`] were made of.
    pub(crate) fn read(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let [partition, letter, id @ ..] = *bytes;
        let space = Space::ALL.into_iter().find(|space| space.letter() == letter)?;
        Some(Self { space, partition: Partition::new(partition)?, id })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, {})", self.space, self.partition.0)
    }
}

/// Makes keys out of names, under a secret. Losing the secret loses every lookup; it is never written to the store.
#[derive(Debug)]
pub struct Handles(hmac::Key);

impl Handles {
    /// Uses `secret`, which must be random and the same in every process that shares a store.
    pub fn new(secret: Sensitive<[u8; 32]>) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.expose()))
    }

    /// Reads the secret from 64 hexadecimal characters; a final line break is allowed.
    pub fn from_hex(text: &Sensitive<Vec<u8>>) -> Result<Self, Malformed> {
        Sensitive::from_hex(text).map(Self::new).ok_or(Malformed("store handle secret"))
    }

    /// The partition for what belongs to `text` (a subject, an idempotency key…) of `party`.
    pub fn partition(&self, party: &RelyingParty, text: &str) -> Partition {
        let [first, ..] = self.mac(b'p', party, text);
        Partition(first % Partition::COUNT)
    }

    /// The key of the value named `text` that belongs to `party`.
    pub fn key(&self, space: Space, partition: Partition, party: &RelyingParty, text: &str) -> Key {
        Key { space, partition, id: self.mac(space.letter(), party, text) }
    }

    /// The key of the value named `text` that is idgate's own and belongs to no relying party.
    pub fn own_key(&self, space: Space, partition: Partition, text: &str) -> Key {
        Key { space, partition, id: self.digest(space.letter(), "", &[text]) }
    }

    /// A keyed name of what `parts`, one behind the other, name: the id of a key that nothing is ever stored under.
    pub fn id(&self, space: Space, party: &RelyingParty, parts: &[&str]) -> [u8; 32] {
        self.digest(space.letter(), party.as_str(), parts)
    }

    fn mac(&self, domain: u8, party: &RelyingParty, text: &str) -> [u8; 32] {
        self.digest(domain, party.as_str(), &[text])
    }

    /// `party` is empty for what is idgate's own; no relying party's name is.
    fn digest(&self, domain: u8, party: &str, parts: &[&str]) -> [u8; 32] {
        let mut mac = hmac::Context::with_key(&self.0);
        mac.update(b"idgate store handle 1\0");
        mac.update(&[domain]);
        // A relying party holds no zero byte, so the two names cannot run into each other.
        mac.update(party.as_bytes());
        mac.update(&[0]);
        parts.iter().for_each(|part| mac.update(part.as_bytes()));
        mac.sign().as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handles(byte: u8) -> Handles {
        Handles::new(Sensitive::new([byte; 32]))
    }

    #[test]
    fn keys_differ_by_secret_space_party_and_text_and_by_nothing_else() {
        let (a, b) = ("shop".parse().unwrap(), "shop2".parse().unwrap());
        let p = Partition::new(3).unwrap();
        let key = handles(1).key(Space::Decision, p, &a, "x");
        assert_eq!(key, handles(1).key(Space::Decision, p, &a, "x"));
        for other in [
            handles(2).key(Space::Decision, p, &a, "x"),
            handles(1).key(Space::Idempotency, p, &a, "x"),
            handles(1).key(Space::Decision, p, &b, "x"),
            handles(1).key(Space::Decision, p, &a, "y"),
        ] {
            assert_ne!(key.id, other.id);
        }
        assert!(Partition::new(16).is_none());
        let own = handles(1).own_key(Space::Decision, p, "x");
        assert_eq!(own, handles(1).own_key(Space::Decision, p, "x"));
        for other in [key, handles(2).own_key(Space::Decision, p, "x"), handles(1).own_key(Space::Due, p, "x")] {
            assert_ne!(own.id, other.id);
        }
    }

    /// Computed with another implementation (Python's `hmac`). They must never change: what is stored is found by them.
    #[test]
    fn names_do_not_drift() {
        let (shop, handles) = ("shop".parse().unwrap(), handles(1));
        let id = |space, parts: &[&str]| crate::terms::hex(&handles.id(space, &shop, parts));
        let person = "800cf4cc96fec810704703aab85db03779b9f5b4912101a7f0590c4cd21e25fb";
        assert_eq!(id(Space::Subject, &["handle:subject:", "user-42"]), person);
        assert_eq!(id(Space::Subject, &["handle:subject:user-42"]), person);
        let guardian = "866727472822d8c57e519878a414c412dd2de2cbe1d2181c3eac6e6f3e40039c";
        assert_eq!(id(Space::Guardian, &["handle:guardian:", "parent-7"]), guardian);
        let key = handles.key(Space::Decision, Partition(3), &shop, "x");
        assert_eq!(
            crate::terms::hex(&key.bytes()),
            format!("0364{}", "a1d0223ac3857a71c6a51fcad0f074ca31fd96cbe1b9f0eba5084a50b4be24e1")
        );
    }

    #[test]
    fn a_key_is_read_back_from_its_bytes_and_nothing_else_is() {
        let letters: std::collections::BTreeSet<u8> = Space::ALL.into_iter().map(Space::letter).collect();
        assert_eq!(letters.len(), Space::ALL.len(), "a letter is used twice");
        for space in Space::ALL {
            let key = handles(1).own_key(space, Partition(3), "x");
            assert_eq!(Key::read(&key.bytes()), Some(key));
        }
        let mut bytes = handles(1).own_key(Space::Due, Partition(3), "x").bytes();
        bytes[0] = Partition::COUNT;
        assert_eq!(Key::read(&bytes), None, "no such partition");
        (bytes[0], bytes[1]) = (3, b'?');
        assert_eq!(Key::read(&bytes), None, "no such space");
    }

    #[test]
    fn a_key_shows_nothing_of_its_name() {
        let key = handles(1).key(Space::Attempts, Partition(0), &"shop".parse().unwrap(), "user-42");
        let bytes = key.bytes();
        assert!(!bytes.windows(4).any(|w| w == b"user" || w == b"shop"));
        assert!(!format!("{key:?} {:?}", handles(1)).contains("01"));
    }

    #[test]
    fn a_decision_id_names_its_partition() {
        for partition in Partition::all() {
            let id = partition.stamp(Uuid::from_u128(0x0190_0000_0000_7000_8000_1234_5678_9abc));
            assert_eq!(Partition::of(&id), partition);
            assert_eq!(partition.mark(id.0), id.0);
            assert_eq!(Partition::of_uuid(&id.0), partition);
            assert_eq!(id.0.get_version_num(), 7);
        }
    }

    #[test]
    fn the_secret_is_read_strictly() {
        let read = |text: &str| Handles::from_hex(&Sensitive::new(text.as_bytes().to_vec()));
        let good = read(&format!("{}\n", "0a".repeat(32))).unwrap();
        let party = "shop".parse().unwrap();
        assert_eq!(good.partition(&party, "x"), handles(10).partition(&party, "x"));
        for bad in ["", "0a", &"0a".repeat(33), &"zz".repeat(32), &format!("{}a", "0a".repeat(31))] {
            assert!(read(bad).is_err());
        }
    }
}
