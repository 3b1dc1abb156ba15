//! Lengths: a recogniser loses or adds fillers in long runs; these give the few strings of the right length.
//!
//! Always: only fillers are added or taken away, at most [`MOST`] answers, the least change first.

/// The most answers for one field.
const MOST: usize = 6;

/// Runs of fillers as (from, length), longest first.
fn runs(s: &[u8]) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < s.len() {
        let n = s[at..].iter().take_while(|c| **c == b'<').count();
        if n > 0 {
            out.push((at, n));
        }
        at += n.max(1);
    }
    out.sort_by_key(|(at, n)| (std::cmp::Reverse(*n), *at));
    out
}

fn stretched(s: &[u8], at: usize, by: usize) -> Vec<u8> {
    let mut v = s[..at].to_vec();
    v.resize(at + by, b'<');
    v.extend_from_slice(&s[at..]);
    v
}

fn shortened(s: &[u8], at: usize, by: usize) -> Vec<u8> {
    let mut v = s[..at].to_vec();
    v.extend_from_slice(&s[at + by..]);
    v
}

/// A field that begins where it should and has `n` characters: what follows the last one is noise or surplus filler.
pub(super) fn tail(s: &[u8], n: usize) -> Vec<Vec<u8>> {
    let mut out = vec![];
    if s.len() >= n {
        out.push(s[..n].to_vec());
    }
    if s.len() < n {
        let by = n - s.len();
        out.extend(runs(s).iter().map(|(at, _)| stretched(s, *at, by)));
        out.push(stretched(s, s.len(), by));
    } else if s.len() > n {
        let by = s.len() - n;
        out.extend(runs(s).iter().filter(|(_, len)| *len > by).map(|(at, _)| shortened(s, *at, by)));
    }
    out.truncate(MOST);
    out
}

/// A field that ends where it should and has `n` characters: what comes before is noise or surplus filler.
pub(super) fn head(s: &[u8], n: usize) -> Vec<Vec<u8>> {
    let mut out = vec![];
    if s.len() >= n {
        out.push(s[s.len() - n..].to_vec());
    }
    if s.len() < n {
        let by = n - s.len();
        out.extend(runs(s).iter().map(|(at, _)| stretched(s, *at, by)));
        out.push(stretched(s, s.len(), by));
    } else if s.len() > n {
        let by = s.len() - n;
        out.extend(runs(s).iter().filter(|(_, len)| *len >= by).map(|(at, _)| shortened(s, *at, by)));
    }
    out.truncate(MOST);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_fillers_come_back_in_the_longest_run() {
        assert_eq!(tail(b"ZE184226B<<10", 16)[0], b"ZE184226B<<<<<10");
        assert_eq!(tail(b"<<<<<<<<04", 16)[0], b"<<<<<<<<<<<<<<04");
        assert_eq!(head(b"CA000000<4D<", 13).len(), 3);
    }

    #[test]
    fn surplus_goes() {
        assert!(tail(b"<<<<<<<<<<<<<<<<<<04", 16).contains(&b"<<<<<<<<<<<<<<04".to_vec()));
        assert_eq!(head(b"zzL898902C36UTO", 13)[0], b"L898902C36UTO");
    }

    #[test]
    fn right_lengths_stay() {
        assert_eq!(tail(b"UTO<<<<<<<<<<<6", 15), vec![b"UTO<<<<<<<<<<<6".to_vec()]);
        assert_eq!(head(b"L898902C36UTO", 13), vec![b"L898902C36UTO".to_vec()]);
    }
}
