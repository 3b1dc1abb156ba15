//! How far a follower has come: one position for each partition, as a text that the follower keeps.
//!
//! The text is opaque to relying parties. It begins with a version and ends with a check, so that one that was cut off,
//! mistyped or made by something else is refused and never taken for another place.

use crate::store::{Heads, Partition};
use crate::terms::Malformed;
use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;
use std::str::FromStr;

/// The first byte; another layout gets another one.
const VERSION: u8 = 1;
/// Bytes of the check at the end.
const CHECK: usize = 4;

/// Where one event lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub(super) partition: Partition,
    pub(super) seq: u64,
}

/// The event's name: the same for every delivery, in every process.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "evt_{}_{}", self.partition.number(), self.seq)
    }
}

/// The last entry of every partition that was dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(Heads);

impl Cursor {
    /// Before everything.
    pub const START: Self = Self([0; Partition::COUNT as usize]);

    /// After everything up to these heads.
    pub fn after(heads: Heads) -> Self {
        Self(heads)
    }

    /// The last entry of this partition that was dealt with.
    pub fn position(&self, partition: Partition) -> u64 {
        self.0.get(usize::from(partition.number())).copied().unwrap_or(u64::MAX)
    }

    /// What lies here, and all before it in its partition, is dealt with.
    pub fn advance(&mut self, to: Place) {
        if let Some(position) = self.0.get_mut(usize::from(to.partition.number())) {
            *position = to.seq.max(*position);
        }
    }

    /// How many entries there are up to `heads` that were not dealt with.
    pub fn behind(&self, heads: &Heads) -> u64 {
        self.0.iter().zip(heads).map(|(position, head)| head.saturating_sub(*position)).fold(0, u64::saturating_add)
    }

    /// Whether it lies within what there is.
    pub fn within(&self, heads: &Heads) -> bool {
        self.0.iter().zip(heads).all(|(position, head)| position <= head)
    }
}

fn check(of: &[u8]) -> [u8; CHECK] {
    let mut sha = Context::new(&SHA256);
    sha.update(b"idgate event cursor\0");
    sha.update(of);
    *sha.finish().as_ref().first_chunk().expect("SHA-256 has 32 bytes")
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![VERSION];
        self.0.iter().for_each(|position| bytes.extend(position.to_be_bytes()));
        bytes.extend(check(&bytes));
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Cursor {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        const BAD: Malformed = Malformed("cursor");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BAD)?;
        let (body, sum) = bytes.split_last_chunk::<CHECK>().ok_or(BAD)?;
        let Some((&VERSION, positions)) = body.split_first() else { return Err(BAD) };
        let (positions, rest) = positions.as_chunks::<8>();
        if *sum != check(body) || !rest.is_empty() {
            return Err(BAD);
        }
        let positions: Vec<u64> = positions.iter().map(|bytes| u64::from_be_bytes(*bytes)).collect();
        Ok(Self(positions.try_into().map_err(|_| BAD)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_being_written_and_only_whole() {
        let mut heads = [0; Partition::COUNT as usize];
        heads.iter_mut().zip(0u64..).for_each(|(head, n)| *head = n * 0x0102_0304_0506);
        for cursor in [Cursor::START, Cursor(heads), Cursor([u64::MAX; 16])] {
            let text = cursor.to_string();
            assert_eq!(text.parse(), Ok(cursor));
            for at in 0..text.len() {
                let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
                assert!(format!("{}{other}{}", &text[..at], &text[at + 1..]).parse::<Cursor>().is_err(), "{at}");
                assert!(text[..at].parse::<Cursor>().is_err());
            }
            assert!(format!("{text}A").parse::<Cursor>().is_err());
        }
        assert!("".parse::<Cursor>().is_err() && "?".parse::<Cursor>().is_err());
    }

    #[test]
    fn another_version_is_refused() {
        let mut bytes = vec![2];
        bytes.extend([0; 128]);
        bytes.extend(check(&bytes));
        assert!(URL_SAFE_NO_PAD.encode(bytes).parse::<Cursor>().is_err());
    }

    #[test]
    fn positions_only_go_on_and_are_compared_with_the_heads() {
        let partition = Partition::new(3).unwrap();
        let mut cursor = Cursor::START;
        cursor.advance(Place { partition, seq: 5 });
        cursor.advance(Place { partition, seq: 4 });
        assert_eq!((cursor.position(partition), Place { partition, seq: 5 }.to_string().as_str()), (5, "evt_3_5"));
        let mut heads = [1; Partition::COUNT as usize];
        assert_eq!((cursor.behind(&heads), cursor.within(&heads)), (15, false));
        heads[3] = 7;
        assert_eq!((cursor.behind(&heads), cursor.within(&heads)), (17, true));
    }
}
