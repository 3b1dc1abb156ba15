//! Disposal receipts: a signed statement that the picture of one call is gone, which anyone can check without us.
//!
//! What it must be and must not be, and why it is so:
//!
//! - *About one picture.* It holds HMAC-SHA256 over the picture under a fresh random key, the opening. The opening goes
//!   to the caller with the answer and nowhere else. Whoever holds the picture, the opening and the receipt can tell that
//!   they belong together; for another picture or another opening of 32 bytes that would take a collision of SHA-256.
//! - *Of no use for recognising a picture.* Without the opening the commitment is 32 bytes that look random, also to us:
//!   we keep neither the opening nor the commitment, so we cannot tell whether we have seen a picture before, and two
//!   receipts for one picture have nothing in common. A plain hash would let anybody test a picture that they have.
//! - *Linked to nobody.* It names the relying party, whose call it was, and no subject, no decision, no request, no size.
//!   Its times are whole seconds. Its own name is random and is in no record of ours. Whoever finds one learns that this
//!   relying party once sent a picture, and how that call ended.
//! - *True.* It is made only after the picture's last owner has let go of it; see `flows::custody`.
//!
//! It says nothing about copies that others hold, and it does not end. Who wants to check one years later keeps the key
//! set that was published when it was signed.

use super::keys::VerifyingKey;
use super::{Issuer, Rejected, TokenError, jws};
use crate::secret::{Sensitive, wiped};
use crate::terms::{DisposalPath, RelyingParty};
use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The type of a disposal receipt.
const TYPE: &str = "idgate-disposal+jwt";
/// Bytes of an opening.
pub const OPENING: usize = 32;

/// What was done with a picture. There is one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// The memory it lay in was overwritten. It had never been anywhere else.
    #[serde(rename = "overwritten_in_memory")]
    OverwrittenInMemory,
}

/// The key of a commitment. Overwritten when dropped, and never shown.
pub struct Opening(Sensitive<[u8; OPENING]>);

impl Opening {
    /// From bytes; there must be 32, lest two of different lengths open alike.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Sensitive::new(bytes.try_into().ok()?)))
    }

    /// The bytes, for the caller whose picture it was.
    pub fn expose(&self) -> &[u8; OPENING] {
        self.0.expose()
    }
}

/// 32 bytes that commit to a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commitment([u8; 32]);

impl Commitment {
    /// Commits to `picture` under a fresh opening. `None` if the system gives no randomness.
    pub fn to(picture: &[u8]) -> Option<(Self, Opening)> {
        let mut opening = Sensitive::new([0u8; OPENING]);
        rand::fill(opening.expose_mut()).ok()?;
        let opening = Opening(opening);
        Some((Self::under(&opening, picture), opening))
    }

    /// The commitment that this opening gives.
    #[cfg(test)]
    pub fn again(opening: &Opening, picture: &[u8]) -> Self {
        Self::under(opening, picture)
    }

    fn under(opening: &Opening, picture: &[u8]) -> Self {
        /// What the digest uses, many times over: it works on pieces of the picture.
        const STACK: usize = 16 * 1024;
        wiped::<STACK, _>(|| {
            let mut commitment = [0u8; 32];
            let key = hmac::Key::new(hmac::HMAC_SHA256, opening.expose());
            commitment.copy_from_slice(hmac::sign(&key, picture).as_ref());
            Self(commitment)
        })
    }
}

/// What is known when a picture is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disposed {
    /// Whose call it was.
    pub relying_party: RelyingParty,
    /// When its last byte had come.
    pub received_at: Timestamp,
    /// By when nothing of it was left.
    pub disposed_at: Timestamp,
    /// How the call ended.
    pub path: DisposalPath,
    /// What it commits to.
    pub commitment: Commitment,
}

/// All claims of a disposal receipt. Closed: another claim makes it invalid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Who says so.
    pub iss: String,
    /// Whose call it was.
    pub aud: RelyingParty,
    /// Its own name, at random.
    pub jti: Uuid,
    /// When it was signed, in seconds since 1970.
    pub iat: i64,
    /// When the last byte of the picture had come, in seconds since 1970.
    pub received_at: i64,
    /// By when nothing of it was left, in seconds since 1970.
    pub disposed_at: i64,
    /// How the call ended.
    pub path: DisposalPath,
    /// What was done.
    pub method: Method,
    /// HMAC-SHA256 of the picture under the opening, in base64url without padding.
    commitment: String,
}

impl Claims {
    /// Whether this is the receipt of this picture.
    pub fn is_of(&self, picture: &[u8], opening: &Opening) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, opening.expose());
        URL_SAFE_NO_PAD.decode(&self.commitment).is_ok_and(|tag| hmac::verify(&key, picture, &tag).is_ok())
    }
}

impl Issuer {
    /// Signs a disposal receipt.
    pub fn sign_disposal(&self, of: &Disposed) -> Result<String, TokenError> {
        let claims = Claims {
            iss: self.name.clone(),
            aud: of.relying_party.clone(),
            jti: Uuid::new_v4(),
            iat: of.disposed_at.as_second(),
            received_at: of.received_at.as_second(),
            disposed_at: of.disposed_at.as_second(),
            path: of.path,
            method: Method::OverwrittenInMemory,
            commitment: URL_SAFE_NO_PAD.encode(of.commitment.0),
        };
        jws::sign(self.keys().current(), TYPE, &claims)
    }
}

/// What a disposal receipt says that one of `keys` signed: needs nothing but a published key set.
pub fn open<'k>(text: &str, keys: impl IntoIterator<Item = &'k VerifyingKey>) -> Result<Claims, Rejected> {
    let find = |kid: &str| keys.into_iter().find(|key| key.kid() == kid);
    let (claims, _) = jws::open::<Claims>(text, &[Some(TYPE)], find, None)?;
    let ordered = claims.received_at <= claims.disposed_at && claims.disposed_at <= claims.iat;
    let whole = URL_SAFE_NO_PAD.decode(&claims.commitment).is_ok_and(|tag| tag.len() == 32);
    if ordered && whole { Ok(claims) } else { Err(Rejected::BadClaim) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::keys::{Algorithm, KeyRing};
    use proptest::prelude::*;

    fn issuer(algorithm: Algorithm) -> Issuer {
        Issuer::new("https://gate.example", KeyRing::generate_development(algorithm).unwrap()).unwrap()
    }

    fn keys(issuer: &Issuer) -> Vec<VerifyingKey> {
        VerifyingKey::from_jwks(issuer.jwks(Timestamp::UNIX_EPOCH).as_bytes()).unwrap()
    }

    fn disposed(picture: &[u8], path: DisposalPath) -> (Disposed, Opening) {
        let (commitment, opening) = Commitment::to(picture).unwrap();
        let (received_at, disposed_at) = ("2026-07-01T10:00:00.7Z", "2026-07-01T10:00:02.1Z");
        let (received_at, disposed_at) = (received_at.parse().unwrap(), disposed_at.parse().unwrap());
        (Disposed { relying_party: "shop".parse().unwrap(), received_at, disposed_at, path, commitment }, opening)
    }

    #[test]
    fn a_receipt_is_of_its_picture_and_opening_and_of_no_other() {
        for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
            let issuer = issuer(algorithm);
            let (of, opening) = disposed(b"a picture", DisposalPath::Answered);
            let claims = open(&issuer.sign_disposal(&of).unwrap(), &keys(&issuer)).unwrap();
            assert!(claims.is_of(b"a picture", &opening));
            assert!(!claims.is_of(b"a pictura", &opening) && !claims.is_of(b"", &opening));
            let (_, other) = disposed(b"a picture", DisposalPath::Answered);
            assert!(!claims.is_of(b"a picture", &other));
            assert_eq!((claims.iss.as_str(), claims.aud.as_str()), ("https://gate.example", "shop"));
            assert_eq!((claims.disposed_at - claims.received_at, claims.iat), (2, claims.disposed_at));
        }
    }

    #[test]
    fn what_is_signed_is_a_closed_set_of_claims_without_subject_decision_or_size() {
        let issuer = issuer(Algorithm::EdDsa);
        let text = issuer.sign_disposal(&disposed(b"a picture", DisposalPath::Refused).0).unwrap();
        let payload = URL_SAFE_NO_PAD.decode(text.split('.').nth(1).unwrap()).unwrap();
        let payload: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&payload).unwrap();
        let mut names: Vec<&str> = payload.keys().map(String::as_str).collect();
        names.sort_unstable();
        let all = ["aud", "commitment", "disposed_at", "iat", "iss", "jti", "method", "path", "received_at"];
        assert_eq!(names, all);
        assert_eq!((&payload["path"], &payload["method"]), (&"refused".into(), &"overwritten_in_memory".into()));
    }

    #[test]
    fn changed_claims_other_keys_and_other_types_are_refused() {
        let own = issuer(Algorithm::EdDsa);
        let (of, _) = disposed(b"a picture", DisposalPath::Answered);
        let text = own.sign_disposal(&of).unwrap();
        let mut parts: Vec<String> = text.split('.').map(str::to_owned).collect();
        let payload = String::from_utf8(URL_SAFE_NO_PAD.decode(&parts[1]).unwrap()).unwrap();
        for (from, to) in
            [("answered", "refused"), ("\"aud\":\"shop\"", "\"aud\":\"shor\""), ("\"iat\":1", "\"iat\":2")]
        {
            assert!(payload.contains(from));
            parts[1] = URL_SAFE_NO_PAD.encode(payload.replace(from, to));
            assert_eq!(open(&parts.join("."), &keys(&own)), Err(Rejected::BadSignature), "{from}");
        }
        assert_eq!(open(&text, &keys(&issuer(Algorithm::EdDsa))), Err(Rejected::UnknownKey));
        let receipt = own.sign_receipt(payload.as_bytes()).unwrap();
        assert_eq!(open(&receipt, &keys(&own)), Err(Rejected::WrongType));
        let shop: RelyingParty = "shop".parse().unwrap();
        assert_eq!(own.verify(&text, &shop, of.disposed_at), Err(Rejected::WrongType));
        assert_eq!(own.open_rights(&text, &shop, of.disposed_at).map(|_| ()), Err(Rejected::WrongType));
        assert_eq!(own.open_receipt(&text, of.disposed_at), Err(Rejected::WrongType));
    }

    #[test]
    fn an_opening_has_32_bytes_and_nothing_else() {
        assert!(Opening::from_bytes(&[7; 32]).is_some());
        for length in [0, 31, 33, 64] {
            assert!(Opening::from_bytes(&vec![7; length]).is_none());
        }
    }

    #[test]
    fn times_that_cannot_be_and_other_commitments_are_refused() {
        let issuer = issuer(Algorithm::EdDsa);
        let claims = |change: &dyn Fn(&mut Claims)| {
            let (of, _) = disposed(b"a picture", DisposalPath::Answered);
            let mut claims = open(&issuer.sign_disposal(&of).unwrap(), &keys(&issuer)).unwrap();
            change(&mut claims);
            open(&jws::sign(issuer.keys().current(), TYPE, &claims).unwrap(), &keys(&issuer)).map(drop)
        };
        assert_eq!(claims(&|_| {}), Ok(()));
        assert_eq!(claims(&|c| c.received_at = c.disposed_at + 1), Err(Rejected::BadClaim));
        assert_eq!(claims(&|c| c.iat = c.disposed_at - 1), Err(Rejected::BadClaim));
        assert_eq!(claims(&|c| c.commitment = String::new()), Err(Rejected::BadClaim));
    }

    proptest! {
        #[test]
        fn every_picture_has_its_own_receipt(
            picture in prop::collection::vec(any::<u8>(), 0..400),
            at in any::<prop::sample::Index>(),
            bit in 0u8..8,
            other in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let issuer = issuer(Algorithm::EdDsa);
            let (of, opening) = disposed(&picture, DisposalPath::Unreadable);
            let claims = open(&issuer.sign_disposal(&of).unwrap(), &keys(&issuer)).unwrap();
            prop_assert!(claims.is_of(&picture, &opening));
            prop_assert_eq!(claims.is_of(&other, &opening), other == picture);
            let mut changed = picture.clone();
            if !changed.is_empty() {
                let at = at.index(changed.len());
                changed[at] ^= 1 << bit;
                prop_assert!(!claims.is_of(&changed, &opening));
            }
            let mut wrong = *opening.expose();
            wrong[usize::from(bit)] ^= 1 << bit;
            prop_assert!(!claims.is_of(&picture, &Opening::from_bytes(&wrong).unwrap()));
            // The same picture once more: nothing in common.
            let again = disposed(&picture, DisposalPath::Unreadable).0;
            prop_assert_ne!(again.commitment, of.commitment);
        }
    }
}
