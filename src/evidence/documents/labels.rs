//! The words beside dates and on headings of identity documents, in the languages of the world's cards.
//!
//! Always: labels are compared on letters alone (accents folded), long ones with one letter wrong, missing or too many;
//! short ones only as whole words.

mod words;

use super::clean::{find_fuzzy, letters};
use super::rows::Row;
use words::{BIRTH, BIRTH_EITHER, EXPIRY, FIELDS, HEADINGS, ISSUE, LICENCE, LICENSE, PAPERS, STATES, Word};

/// What a label says about the value beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Birth,
    Issue,
    Expiry,
}

/// A label in a row: from, to.
pub(crate) struct Label {
    pub(crate) kind: Kind,
    pub(crate) span: (usize, usize),
    /// In a language whose countries write the day first.
    pub(crate) day_first: bool,
    /// A field number, not a word: only what stands right after it belongs to it.
    pub(crate) numbered: bool,
}

/// Every date label of a row, left to right.
pub(crate) fn dates(row: &Row) -> Vec<Label> {
    let (hay, at) = letters(&row.text);
    let mut out = Vec::new();
    let lists: [(&[Word], Kind, bool); 4] = [
        (&BIRTH_EITHER, Kind::Birth, false),
        (&BIRTH, Kind::Birth, true),
        (&ISSUE, Kind::Issue, false),
        (&EXPIRY, Kind::Expiry, false),
    ];
    for (list, kind, day_first) in lists {
        for word in list {
            for (from, to) in matches(&hay, word) {
                if let (Some(a), Some(b)) = (at.get(from), at.get(to.saturating_sub(1))) {
                    out.push(Label { kind, span: (*a, b + 1), day_first, numbered: false });
                }
            }
        }
    }
    out.extend(short_words(row));
    out.sort_by_key(|l| l.span.0);
    out
}

/// Abbreviations, as whole words only.
fn short_words(row: &Row) -> Vec<Label> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < row.text.len() {
        let len = row.text[at..].iter().take_while(|c| c.is_alphabetic() || (**c == '.' && at > 0)).count();
        if len == 0 {
            at += 1;
            continue;
        }
        if row.text[at..].starts_with(&['N', 'E', ' ', 'L', 'E'])
            && !row.text.get(at + 5).is_some_and(|c| c.is_alphabetic())
        {
            out.push(Label { kind: Kind::Birth, span: (at, at + 5), day_first: true, numbered: false });
        }
        let word: String = row.text[at..at + len].iter().filter(|c| **c != '.').collect();
        let kind = match word.as_str() {
            "DOB" | "BORN" => Some((Kind::Birth, false)),
            "NELE" | "GEBAM" => Some((Kind::Birth, true)),
            "EXP" | "EXPIRES" => Some((Kind::Expiry, false)),
            "ISS" | "ISSUED" => Some((Kind::Issue, false)),
            _ => None,
        };
        out.extend(kind.map(|(kind, day_first)| Label { kind, span: (at, at + len), day_first, numbered: false }));
        at += len;
    }
    out
}

/// Where `word` stands in `hay`: exactly, or (nine letters and more) with one letter wrong, missing or too many.
fn matches(hay: &[char], word: &[char]) -> Vec<(usize, usize)> {
    let n = word.len();
    let fuzzy = n >= 9;
    let mut out: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    while at < hay.len() {
        let rest = &hay[at..];
        let found = match rest.get(..n) {
            Some(w) if w == word => Some(n),
            _ if fuzzy && rest.first() == word.first() => near(rest, word),
            _ => None,
        };
        match found {
            Some(len) => {
                out.push((at, at + len));
                at += len;
            }
            None => at += 1,
        }
    }
    out
}

/// The length of the beginning of `hay` that is `word` with one edit.
fn near(hay: &[char], word: &[char]) -> Option<usize> {
    let same = hay.iter().zip(word).take_while(|(a, b)| a == b).count();
    let tail_is = |h: usize, w: usize| hay.get(h..).is_some_and(|t| word.get(w..).is_some_and(|w| t.starts_with(w)));
    if tail_is(same + 1, same + 1) {
        Some(word.len())
    } else if tail_is(same, same + 1) {
        Some(word.len() - 1)
    } else if tail_is(same + 1, same) {
        Some(word.len() + 1)
    } else {
        None
    }
}

/// How many different words of a list a page shows.
fn count(rows: &[Row], list: &[Word]) -> usize {
    let hays: Vec<Vec<char>> = rows.iter().map(|r| letters(&r.text).0).collect();
    let shows = |word: &Word| {
        let wrong = usize::from(word.len() >= 8);
        hays.iter().any(|h| find_fuzzy(h, word, wrong).is_some())
    };
    list.iter().filter(|w| shows(w)).count()
}

/// What a page says about itself besides dates.
pub(crate) struct Signs {
    pub(crate) headings: usize,
    pub(crate) fields: usize,
    pub(crate) papers: usize,
    /// Signs of a licence of the United States, where numeric dates have the month first.
    pub(crate) american: bool,
    /// Signs of a country that writes the day first, other than a birth label.
    pub(crate) european: bool,
}

/// Counts headings, fields and signs of other papers.
pub(crate) fn signs(rows: &[Row]) -> Signs {
    Signs {
        headings: count(rows, &HEADINGS),
        fields: count(rows, &FIELDS),
        papers: count(rows, &PAPERS),
        american: count(rows, &STATES) > 0 && count(rows, &LICENSE) > 0,
        european: count(rows, &LICENCE) > 0,
    }
}
