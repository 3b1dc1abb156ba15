//! Making bearer tokens: for development, and for operators without a token service of their own.

use super::TYPE;
use crate::terms::{Purpose, RelyingParty, Scope};
use crate::tokens::keys::SigningKey;
use crate::tokens::{Token, TokenError, checked_name, jws};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// What a bearer token is to say.
#[derive(Debug, Clone)]
pub struct Mint {
    /// Whom it speaks for.
    pub relying_party: RelyingParty,
    /// The audience that the server is configured with.
    pub audience: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// What it allows that for.
    pub purposes: Vec<Purpose>,
    /// How long it lives.
    pub ttl: SignedDuration,
}

/// Makes a bearer token.
pub fn mint(key: &SigningKey, mint: &Mint, now: Timestamp) -> Result<Token, TokenError> {
    #[derive(Serialize)]
    struct Minted<'a> {
        sub: &'a RelyingParty,
        aud: &'a str,
        iat: i64,
        exp: i64,
        scope: String,
        #[serde(skip_serializing_if = "<[Purpose]>::is_empty")]
        purposes: &'a [Purpose],
    }
    let iat = now.as_second();
    let exp = iat.saturating_add(mint.ttl.as_secs());
    let expires_at = Timestamp::from_second(exp).map_err(|_| TokenError::Lifetime)?;
    if exp <= iat {
        return Err(TokenError::Lifetime);
    }
    let scope = mint.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ");
    let audience = checked_name(&mint.audience)?;
    let claims = Minted { sub: &mint.relying_party, aud: &audience, iat, exp, scope, purposes: &mint.purposes };
    Ok(Token { text: jws::sign(key, TYPE, &claims)?, expires_at })
}
