//! What rests, one piece at a time: audit entries (`A`), sealed values (`S`), the journal's file (`J`), and the names that
//! are written in records and handed out as text (`N`).

use idgate::audit::{Digest, Head, Link};
use idgate::flows::events::Happened;
use idgate::seal::{SealRing, Sealed};
use idgate::secret::Sensitive;
use idgate::store::{KeyId, journal};
use idgate::terms::{ConsentId, DecisionId, Jurisdiction, PolicyDigest, RelyingParty, RuleId, SubjectRef, TextDigest};
use std::fmt::{Debug, Display};
use std::str::FromStr;

pub fn run(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    match choice {
        b'A' => entry(rest),
        b'S' => sealed(rest),
        b'J' => notes(rest),
        b'N' => names(rest),
        _ => {}
    }
}

/// An entry that can be read is written and read back the same, and its chain holds; no other body passes for it.
fn entry(bytes: &[u8]) {
    let Ok(body) = String::from_utf8(bytes.to_vec()) else { return };
    let link = Link { seq: 1, prev: Head::GENESIS.hash, body, hash: Digest([7; 32]) };
    assert!(Head::GENESIS.follow(0, &link).is_err(), "a link with a made-up hash");
    let Ok(entry) = link.entry() else { return };
    let written = Head::GENESIS.append(0, &entry);
    assert_eq!(written.entry().expect("what is written can be read"), entry);
    assert!(Head::GENESIS.follow(0, &written).is_ok() && Head::GENESIS.follow(1, &written).is_err());
    let told = Happened::of(entry.clone());
    assert_eq!(told, Happened::of(entry));
}

/// What nobody sealed does not open, and is written back as it was read.
fn sealed(bytes: &[u8]) {
    let ring = SealRing::new(Sensitive::new([1; 32]), vec![Sensitive::new([2; 32])]);
    let own = Sensitive::new([3; 32]);
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(sealed) = Sealed::try_from(text.to_owned()) else { return };
    assert_eq!(String::from(sealed.clone()), text);
    let _ = sealed.needs_reseal(&ring);
    assert!(ring.open(&own, b"a place where nothing was sealed", &sealed).is_err());
}

/// Whatever a file holds, the notes that are found in it lie in it.
fn notes(bytes: &[u8]) {
    let (notes, _) = journal::read(bytes);
    let total: usize = notes.values().map(Vec::len).sum();
    assert!(total <= bytes.len());
    for note in notes.values().filter(|note| !note.is_empty()) {
        assert!(bytes.windows(note.len()).any(|window| window == note), "a note that is not there");
    }
}

/// A name that is understood is shown as it was written.
fn names(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    same::<RelyingParty>(text);
    same::<SubjectRef>(text);
    same::<RuleId>(text);
    same::<Jurisdiction>(text);
    same::<KeyId>(text);
    same::<PolicyDigest>(text);
    same::<TextDigest>(text);
    let _ = (text.parse::<DecisionId>().is_ok(), text.parse::<ConsentId>().is_ok());
}

fn same<T: FromStr + Display>(text: &str)
where
    T::Err: Debug,
{
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text);
    }
}
