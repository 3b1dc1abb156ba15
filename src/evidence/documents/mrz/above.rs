//! The line above: document code and issuer, and whether the holder is a published specimen.

use super::check::as_letter;
use super::rows::Row;
use zeroize::Zeroizing;

/// Rows that may be the first line of the MRZ a row belongs to: above it, close, about as wide; nearest first.
pub(super) fn lines_above<'a>(row: &Row, rows: &'a [Row]) -> Vec<&'a Row> {
    let h = row.place.height().max(1.0);
    let gap = |r: &Row| row.place.centre().1 - r.place.centre().1;
    let near = |r: &&Row| {
        let across = r.place.right.min(row.place.right) - r.place.left.max(row.place.left);
        gap(r) > 0.4 * h && gap(r) < 5.0 * h && across > 0.3 * row.place.width()
    };
    let mut found: Vec<&Row> = rows.iter().filter(near).collect();
    found.sort_by(|a, b| {
        (a.pass != row.pass, gap(a)).partial_cmp(&(b.pass != row.pass, gap(b))).unwrap_or(std::cmp::Ordering::Equal)
    });
    found.truncate(12);
    found
}

/// The first line from its document code on: code, second letter or filler, issuer of three letters. Noise of up to
/// four characters before it is dropped.
pub(super) fn first_line(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    (0..=4).find_map(|at| {
        let line = text.get(at..)?;
        if line.len() < 20 {
            return None;
        }
        let mut out = Zeroizing::new(line.to_vec());
        for c in out.iter_mut().take(5) {
            *c = as_letter(*c)?;
        }
        let code = matches!(out[0], b'P' | b'V' | b'A' | b'C' | b'I');
        let issuer = out[2] != b'<' && (out[3] != b'<' || out[4] == b'<');
        let mrz = out.iter().filter(|c| **c == b'<').count() >= 2
            || out[5..].iter().filter(|c| c.is_ascii_digit()).count() >= 6;
        (code && issuer && mrz).then_some(out)
    })
}

/// Names and issuers that only specimens have. Names are compared as whole words.
pub(super) fn specimen(row: &Row, nation: Option<&[u8]>, first: Option<&Vec<u8>>, above: &[&Row]) -> bool {
    const ISSUERS: [&[u8]; 2] = [b"UTO", b"XUT"];
    let issuer = first.is_some_and(|f| f.get(2..5).is_some_and(|i| ISSUERS.contains(&i)));
    let nationality = nation.is_some_and(|n| ISSUERS.contains(&n));
    let words = |text: &[u8]| super::specimens::is_specimen_text(text.split(|c| *c == b'<'));
    issuer
        || nationality
        || words(&row.text)
        || above.iter().any(|r| words(&r.text))
        || first.is_some_and(|f| f.get(5..).is_some_and(words))
}
