//! RSA keys of others: which are fit to verify with, and how a PEM file holds them. idgate signs with none.

/// The exponent that is accepted (F4). Every key in use has it; others cost more to verify with, or are weak.
const EXPONENT: &[u8] = &[1, 0, 1];
/// The lengths of a modulus that are accepted, in bits. Shorter ones are weak (NIST SP 800-131A Rev. 2), and what longer
/// ones cost is paid for every token that somebody makes up.
const BITS: std::ops::RangeInclusive<usize> = 2048..=4096;
/// `rsaEncryption` without parameters (RFC 8017, A.1).
const ALGORITHM: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;

/// Whether a modulus and an exponent (big-endian, without leading zeros) make a key that is accepted.
pub(super) fn fit(modulus: &[u8], exponent: &[u8]) -> bool {
    let bits = match modulus.first() {
        None | Some(0) => return false,
        Some(first) => modulus.len().saturating_mul(8).saturating_sub(first.leading_zeros() as usize),
    };
    BITS.contains(&bits) && modulus.last().is_some_and(|last| last & 1 == 1) && exponent == EXPONENT
}

/// The modulus and the exponent in a SubjectPublicKeyInfo (RFC 5280, 4.1; RFC 8017, A.1.1), if it is one of RSA.
pub(super) fn parts(spki: &[u8]) -> Option<(&[u8], &[u8])> {
    let info = whole(SEQUENCE, spki)?;
    let (algorithm, rest) = element(SEQUENCE, info)?;
    if algorithm != ALGORITHM {
        return None;
    }
    let key = whole(SEQUENCE, whole(BIT_STRING, rest)?.strip_prefix(&[0])?)?;
    let (modulus, rest) = element(INTEGER, key)?;
    let exponent = whole(INTEGER, rest)?;
    Some((modulus.strip_prefix(&[0]).unwrap_or(modulus), exponent))
}

/// The content of an element with nothing after it.
fn whole(tag: u8, der: &[u8]) -> Option<&[u8]> {
    element(tag, der).and_then(|(content, rest)| rest.is_empty().then_some(content))
}

/// The content of the first element, and what comes after it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => rest.split_first().map(|(&length, rest)| (usize::from(length), rest))?,
        0x82 => rest.split_first_chunk::<2>().map(|(length, rest)| (usize::from(u16::from_be_bytes(*length)), rest))?,
        _ => return None,
    };
    if found == tag { rest.split_at_checked(length) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_moduli_and_the_usual_exponent_are_fit() {
        let modulus = |bytes: usize| [vec![0x80], vec![0xff; bytes - 1]].concat();
        for good in [256, 384, 512] {
            assert!(fit(&modulus(good), EXPONENT), "{good} bytes");
        }
        let mut even = modulus(256);
        even[255] = 0xfe;
        let short = [vec![0x7f], vec![0xff; 255]].concat();
        for bad in [vec![], vec![0; 256], modulus(128), modulus(255), short, modulus(513), even] {
            assert!(!fit(&bad, EXPONENT), "{} bytes", bad.len());
        }
        for bad in [&[3][..], &[], &[1, 0, 0], &[0, 1, 0, 1], &[1, 0, 0, 0, 1]] {
            assert!(!fit(&modulus(256), bad), "{bad:?}");
        }
    }

    #[test]
    fn what_is_no_key_of_rsa_has_no_parts() {
        for bad in
            [&b""[..], b"\x30", b"\x30\x00", b"\x30\x03\x30\x01\x00", b"\x30\x84\xff\xff\xff\xff", b"\x30\x82\xff"]
        {
            assert_eq!(parts(bad), None, "{bad:?}");
        }
    }
}
