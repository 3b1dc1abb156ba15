//! Finds pieces of canaries, at any offset, in any bytes.
//!
//! Any 24 bytes of a canary hold two whole words of eight bytes at its own multiples of eight. Those words are indexed;
//! every offset of what is searched is looked up, and what agrees is compared byte by byte in both directions.

use super::canary::Canary;
use std::collections::BTreeMap;

/// The shortest piece that counts; shorter canaries count whole.
pub const WINDOW: usize = 24;
/// The same for digits as numbers of four bytes: eight of them. Six, in 24 bytes, agree by chance with tables of small numbers.
const OF_DIGITS: usize = 32;
/// Pieces with fewer different bytes could be anywhere by chance.
const DIFFERENT: usize = 5;
const WORD: usize = 8;
const PAGE: usize = 4096;

pub struct Index {
    corpus: Vec<u8>,
    /// Where each canary begins and ends, and its form.
    parts: Vec<(usize, usize, &'static str)>,
    bloom: Vec<u64>,
    /// Words, and where in the corpus they are (plus one, by words).
    table: Vec<(u64, u32)>,
}

/// How many bytes of which form were found.
pub type Found = BTreeMap<&'static str, usize>;

impl Index {
    pub fn new<'a>(canaries: impl Iterator<Item = &'a Canary>) -> Self {
        let (mut corpus, mut parts) = (Vec::new(), Vec::new());
        for canary in canaries.filter(|canary| canary.bytes.len() >= WORD) {
            let begin = corpus.len();
            corpus.extend(&canary.bytes);
            parts.push((begin, corpus.len(), canary.form));
            corpus.resize(corpus.len().next_multiple_of(WORD), 0);
        }
        let room = (corpus.len() / WORD * 2).next_power_of_two().max(1024);
        let bits = (room * 8).max(1 << 20);
        let mut index = Self { corpus, parts, bloom: vec![0; bits / 64], table: vec![(0, 0); room] };
        for at in 0..index.parts.len() {
            let (begin, end, _) = index.parts[at];
            for place in (begin..=end - WORD).step_by(WORD) {
                index.insert(place);
            }
        }
        index
    }

    fn insert(&mut self, place: usize) {
        let word = word(&self.corpus, place);
        if different(&word.to_le_bytes()) < 3 {
            return;
        }
        let (hash, mask) = (hash(word), self.table.len() - 1);
        let bit = self.bit(hash);
        self.bloom[bit / 64] |= 1 << (bit % 64);
        let mut slot = hash as usize & mask;
        while self.table[slot].1 != 0 {
            slot = (slot + 1) & mask;
        }
        self.table[slot] = (word, u32::try_from(place / WORD + 1).unwrap());
    }

    fn bit(&self, hash: u64) -> usize {
        (hash >> 24) as usize & (self.bloom.len() * 64 - 1)
    }

    /// Adds what is found in `bytes`.
    pub fn search(&self, bytes: &[u8], found: &mut Found) {
        let mut at = 0;
        while at + WORD <= bytes.len() {
            // Most memory is zeros.
            if at.is_multiple_of(PAGE) && bytes.get(at..at + PAGE + WORD).is_some_and(zeros) {
                at += PAGE;
                continue;
            }
            let word = word(bytes, at);
            let hash = hash(word);
            let bit = self.bit(hash);
            if self.bloom[bit / 64] & 1 << (bit % 64) == 0 {
                at += 1;
                continue;
            }
            at = match self.compare(bytes, at, word, hash) {
                Some((form, end)) => {
                    *found.entry(form).or_default() += end - at;
                    end.max(at + 1)
                }
                None => at + 1,
            };
        }
    }

    /// The longest piece around a word that agrees, if it is long enough: its form and its end in `bytes`.
    fn compare(&self, bytes: &[u8], at: usize, word: u64, hash: u64) -> Option<(&'static str, usize)> {
        let mask = self.table.len() - 1;
        let mut slot = hash as usize & mask;
        while self.table[slot].1 != 0 {
            let (key, place) = self.table[slot];
            slot = (slot + 1) & mask;
            if key != word {
                continue;
            }
            let place = (place as usize - 1) * WORD;
            let part = self.parts.partition_point(|(begin, ..)| *begin <= place) - 1;
            let (begin, end, form) = self.parts[part];
            let same = |(a, b): &(&u8, &u8)| a == b;
            let before = self.corpus[begin..place].iter().rev().zip(bytes[..at].iter().rev()).take_while(same).count();
            let after = self.corpus[place..end].iter().zip(&bytes[at..]).take_while(same).count();
            let piece = &bytes[at - before..at + after];
            let enough = if form == "digits32" { OF_DIGITS } else { WINDOW };
            if piece.len() >= enough.min(end - begin) && different(piece) >= DIFFERENT {
                return Some((form, at + after));
            }
        }
        None
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + WORD].try_into().unwrap())
}

fn hash(word: u64) -> u64 {
    let mixed = word.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^ (mixed >> 29)
}

fn zeros(bytes: &[u8]) -> bool {
    static ZEROS: [u8; PAGE + WORD] = [0; PAGE + WORD];
    bytes == &ZEROS[..bytes.len()]
}

fn different(bytes: &[u8]) -> usize {
    let mut seen = [false; 256];
    bytes.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    seen.iter().filter(|seen| **seen).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canary(seed: u64, length: usize) -> Canary {
        let mut bytes = vec![0; length];
        fastrand::Rng::with_seed(seed).fill(&mut bytes);
        // What lies around pieces of it in the test is zeros.
        bytes.iter_mut().for_each(|byte| *byte = (*byte).max(1));
        Canary { form: "noise", bytes }
    }

    fn found(index: &Index, bytes: &[u8]) -> usize {
        let mut found = Found::new();
        index.search(bytes, &mut found);
        found.values().sum()
    }

    #[test]
    fn every_piece_of_24_bytes_is_found_at_every_offset_and_no_shorter_one() {
        let canary = canary(7, 200);
        let index = Index::new([&canary].into_iter());
        for from in 0..=200 - WINDOW {
            for offset in 0..9 {
                let mut memory = vec![0; 5000];
                memory[offset..offset + WINDOW].copy_from_slice(&canary.bytes[from..from + WINDOW]);
                assert!(found(&index, &memory) >= WORD, "{from} at {offset}");
                memory[offset + WINDOW - 1] ^= 1;
                assert_eq!(found(&index, &memory), 0, "23 bytes, {from} at {offset}");
            }
        }
    }

    #[test]
    fn short_canaries_count_whole_and_pages_of_zeros_hide_nothing_behind_them() {
        let number = Canary { form: "text", bytes: b"900101-1234568".to_vec() };
        let index = Index::new([&number].into_iter());
        let mut memory = vec![0; 3 * PAGE];
        memory[2 * PAGE - 3..2 * PAGE + 11].copy_from_slice(&number.bytes);
        assert_eq!(found(&index, &memory), 14);
        memory[2 * PAGE + 10] = b'9';
        assert_eq!(found(&index, &memory), 0);
    }
}
