//! Callers' keys by their configured places: files, which must be there when the server starts, and URLs, which need not
//! answer then.

use super::open::OpenError;
use super::{Settings, keys};
use crate::flows::callers::{Freshness, KeySources, Place};
use crate::terms::RelyingParty;
use crate::tokens::callers::{Callers, Source, Trust, Trusted};
use crate::tokens::keys::{KeyError, VerifyingKey};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Keys that sign bearer tokens: where they lie, and what they may say.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedKey {
    /// Public PEM, JWK or JWKS.
    #[serde(default, skip_serializing_if = "unset")]
    pub file: PathBuf,
    /// Or the address of a JWKS document.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// The file with the certificates that are trusted at that address; empty for those that browsers trust.
    #[serde(default, skip_serializing_if = "unset")]
    pub ca: PathBuf,
    /// The only relying party that they speak for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relying_party: Option<RelyingParty>,
    /// The name that a client's certificate must have where they count.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub certificate: String,
}

fn unset(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

impl TrustedKey {
    /// Whether it says where, and says it once.
    pub(super) fn has_one_place(&self) -> bool {
        unset(&self.file) != self.url.is_empty()
    }

    /// Whether its URL, if it has one, is one that keys may come from: https, or with `plain` also http on this machine.
    pub(super) fn allowed(&self, plain: bool) -> bool {
        if self.url.is_empty() { unset(&self.ca) } else { Place::allowed(&self.url, plain) }
    }

    fn source(&self) -> Source {
        let trust = self.relying_party.clone().map_or(Trust::Issuer, Trust::Party);
        Source { trust, certificate: (!self.certificate.is_empty()).then(|| self.certificate.clone()) }
    }
}

/// The callers that settings name; in development, also those with a token of its own key.
pub(super) fn callers(settings: &Settings) -> Result<(Callers, KeySources), OpenError> {
    let mut own = Vec::new();
    if !settings.production() {
        let key =
            keys::development_caller(settings).map_err(|error| OpenError::Key(keys::caller_key(settings), error))?;
        tracing::warn!("callers are accepted with a DEVELOPMENT key (`idgate token mint` signs with it)");
        own.push(Trusted::new(key.public().clone(), Trust::Issuer));
    }
    accepted(settings, own)
}

/// The callers that settings name, without a key of this server's own.
pub(super) fn configured(settings: &Settings) -> Result<(Callers, KeySources), OpenError> {
    accepted(settings, Vec::new())
}

fn accepted(settings: &Settings, own: Vec<Trusted>) -> Result<(Callers, KeySources), OpenError> {
    let set = &settings.callers;
    let longest = SignedDuration::from_mins(i64::from(set.longest_minutes));
    let mut callers = Callers::new(&set.audience, longest, own).map_err(OpenError::Callers)?;
    callers = callers.with_skew(SignedDuration::from_secs(i64::from(set.skew_seconds)));
    let mut sources = KeySources::new(Freshness {
        every: Duration::from_secs(set.refresh_seconds.into()),
        soonest: Duration::from_secs(set.soonest_seconds.into()),
        stale: SignedDuration::from_mins(i64::from(set.stale_minutes)),
    });
    for key in &set.trusted {
        let number = callers.trust(key.source());
        if key.url.is_empty() {
            first(&callers, number, &key.file, sources.stale())
                .map_err(|error| OpenError::Key(key.file.clone(), error))?;
            sources.keep(number, Place::File(key.file.clone()));
        } else {
            sources.keep(number, url(key)?);
        }
    }
    callers.distinct().map_err(OpenError::Callers)?;
    // Afterwards: what is there at the start is refused with a better word.
    Ok((if settings.production() { callers.for_production() } else { callers }, sources))
}

/// Reads a file for the first time.
fn first(callers: &Callers, number: usize, file: &Path, stale: SignedDuration) -> Result<(), KeyError> {
    let until = Timestamp::now().checked_add(stale).unwrap_or(Timestamp::MAX);
    callers.renew(number, VerifyingKey::load(file)?, until).map(drop)
}

fn url(key: &TrustedKey) -> Result<Place, OpenError> {
    let ca = match unset(&key.ca) {
        true => None,
        false => Some(std::fs::read(&key.ca).map_err(|error| OpenError::Directory(key.ca.clone(), error))?),
    };
    Ok(Place::url(&key.url, ca.as_deref())?)
}
