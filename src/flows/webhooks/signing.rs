//! The signature of a webhook, after Standard Webhooks 1.0: HMAC-SHA-256 over its id, its time and its body.
//!
//! The time is part of what is signed, and who receives refuses one that is not of about now: a message that was caught
//! cannot be sent again later. The id is the event's name, by which a repeated delivery is recognised. [`verify`] is
//! what a receiver has to do; idgate itself needs it only to be tested.

use crate::secret::Sensitive;
use crate::terms::Malformed;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};

/// The header with the event's name.
pub const ID: &str = "webhook-id";
/// The header with the time of the attempt, in seconds since 1970.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// The header with the signatures, each behind its version, separated by spaces.
pub const SIGNATURE: &str = "webhook-signature";
/// How far the time may lie from now, before or after.
pub const WINDOW: SignedDuration = SignedDuration::from_mins(5);

/// What begins a secret in the form of Standard Webhooks.
const PREFIX: &[u8] = b"whsec_";
/// How many bytes a secret may have (Standard Webhooks: 24 to 64).
const LENGTH: std::ops::RangeInclusive<usize> = 24..=64;
/// The most secrets at once.
const MOST: usize = 4;

/// What a webhook is signed with. More than one while they are exchanged: each signs.
pub struct Secrets(Vec<hmac::Key>);

impl Secrets {
    /// Reads one secret a line: `whsec_` and base64, or 64 hexadecimal characters.
    pub fn parse(text: &Sensitive<Vec<u8>>) -> Result<Self, Malformed> {
        let lines = text.expose().split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
        let keys = lines.map(key).collect::<Result<Vec<_>, _>>()?;
        if (1..=MOST).contains(&keys.len()) { Ok(Self(keys)) } else { Err(BAD) }
    }

    /// The signatures of one message.
    pub fn sign(&self, id: &str, at: Timestamp, body: &[u8]) -> String {
        let sign = |key| format!("v1,{}", STANDARD.encode(mac(key, id, at.as_second(), body)));
        self.0.iter().map(sign).collect::<Vec<_>>().join(" ")
    }
}

const BAD: Malformed = Malformed("webhook secret");

fn key(line: &[u8]) -> Result<hmac::Key, Malformed> {
    let bytes = match line.strip_prefix(PREFIX) {
        Some(base64) => Sensitive::new(STANDARD.decode(base64).map_err(|_| BAD)?),
        None => hex(line).ok_or(BAD)?,
    };
    if !LENGTH.contains(&bytes.expose().len()) {
        return Err(BAD);
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, bytes.expose()))
}

fn hex(line: &[u8]) -> Option<Sensitive<Vec<u8>>> {
    let (pairs, []) = line.as_chunks::<2>() else { return None };
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let mut bytes = Sensitive::new(Vec::with_capacity(pairs.len()));
    for [high, low] in pairs {
        bytes.expose_mut().push(u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?);
    }
    (pairs.len() == 32).then_some(bytes)
}

fn mac(key: &hmac::Key, id: &str, second: i64, body: &[u8]) -> hmac::Tag {
    let mut mac = hmac::Context::with_key(key);
    mac.update(id.as_bytes());
    mac.update(format!(".{second}.").as_bytes());
    mac.update(body);
    mac.sign()
}

/// A message that a receiver must not believe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The time is not a number, or not of about now.
    #[error("the message is not of about now")]
    OutOfWindow,
    /// No signature is of this message under one of the secrets.
    #[error("the signature does not hold")]
    Signature,
}

/// What a receiver does, with the three headers as they came and the body before it is parsed.
pub fn verify(
    secrets: &Secrets,
    (id, timestamp, signature): (&str, &str, &str),
    body: &[u8],
    now: Timestamp,
) -> Result<(), Refused> {
    let second: i64 = timestamp.parse().map_err(|_| Refused::OutOfWindow)?;
    let at = Timestamp::from_second(second).map_err(|_| Refused::OutOfWindow)?;
    if now.duration_since(at).abs() > WINDOW {
        return Err(Refused::OutOfWindow);
    }
    let signatures = signature.split(' ').filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok());
    let message = [id.as_bytes(), format!(".{second}.").as_bytes(), body].concat();
    let holds = |signature: &Vec<u8>| secrets.0.iter().any(|key| hmac::verify(key, &message, signature).is_ok());
    if signatures.take(2 * MOST).any(|signature| holds(&signature)) { Ok(()) } else { Err(Refused::Signature) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(text: &str) -> Result<Secrets, Malformed> {
        Secrets::parse(&Sensitive::new(text.as_bytes().to_vec()))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Computed with Python's hmac module from the published definition.
    #[test]
    fn a_signature_is_what_the_definition_says() {
        let secrets = secrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signature = secrets.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at(1_614_265_330), body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn only_the_whole_message_of_now_under_the_right_secret_is_believed() {
        let (good, now) = (secrets(&"0a".repeat(32)).unwrap(), at(1_800_000_000));
        let signature = good.sign("evt_1_2", now, b"{}");
        let check = |secrets: &Secrets, id, time, body: &[u8], now| verify(secrets, (id, time, &signature), body, now);
        assert_eq!(check(&good, "evt_1_2", "1800000000", b"{}", now), Ok(()));
        assert_eq!(check(&good, "evt_1_2", "1800000000", b"{}", at(1_800_000_300)), Ok(()));
        for now in [at(1_800_000_301), at(1_799_999_699)] {
            assert_eq!(check(&good, "evt_1_2", "1800000000", b"{}", now), Err(Refused::OutOfWindow));
        }
        let other = secrets(&"0b".repeat(32)).unwrap();
        assert_eq!(check(&other, "evt_1_2", "1800000000", b"{}", now), Err(Refused::Signature));
        assert_eq!(check(&good, "evt_1_3", "1800000000", b"{}", now), Err(Refused::Signature));
        assert_eq!(check(&good, "evt_1_2", "1800000001", b"{}", now), Err(Refused::Signature));
        assert_eq!(check(&good, "evt_1_2", "1800000000", b"{ }", now), Err(Refused::Signature));
        assert_eq!(check(&good, "evt_1_2", "soon", b"{}", now), Err(Refused::OutOfWindow));
        for signature in ["", "v1,", "v1a,AAAA", &signature[3..]] {
            assert_eq!(
                verify(&good, ("evt_1_2", "1800000000", signature), b"{}", now),
                Err(Refused::Signature),
                "{signature}"
            );
        }
    }

    #[test]
    fn while_secrets_are_exchanged_either_is_enough() {
        let (old, new) = ("0a".repeat(32), format!("whsec_{}", STANDARD.encode([7u8; 32])));
        let signature = secrets(&format!("{new}\n{old}\n")).unwrap().sign("evt_1_2", at(0), b"{}");
        for one in [old, new] {
            assert_eq!(verify(&secrets(&one).unwrap(), ("evt_1_2", "0", &signature), b"{}", at(0)), Ok(()));
        }
    }

    #[test]
    fn what_is_not_a_secret_is_refused() {
        let long = format!("whsec_{}", STANDARD.encode([7u8; 65]));
        let short = format!("whsec_{}", STANDARD.encode([7u8; 23]));
        for bad in ["", "\n", "whsec_", "whsec_!", "0a", &"0a".repeat(31), &"0g".repeat(32), &long, &short] {
            assert!(secrets(bad).is_err(), "{bad}");
        }
        assert!(secrets(&format!("{}\n", "0a".repeat(32)).repeat(MOST + 1)).is_err());
    }
}
