//! Webhooks: the same events as the stream, posted to a relying party's own address.
//!
//! Signed as Standard Webhooks 1.0 describes ([`signing`]). Every event is posted at least once, those of one partition
//! in their order, and again until the other side says 2xx: no answer makes idgate drop one. Each webhook has a task, a
//! connection and a position of its own, so that a dead one holds back no other. How far it has come is in the store; a
//! lease there keeps a second process from posting the same meanwhile.

mod body;
mod client;
mod delivery;
mod position;
mod schedule;
pub mod signing;

pub use super::outbound::ClientError;
pub use delivery::deliver;

use super::events::Wanted;
use super::outbound;
use crate::secret::Sensitive;
use crate::source::Source;
use crate::terms::{EventKind, Malformed, RelyingParty};
use client::Client;
use signing::Secrets;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where a webhook begins that was never delivered before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum From {
    /// With everything that is in the log.
    Start,
    /// With what comes after its first start.
    #[default]
    Now,
}

/// One webhook, as it is configured.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Whose events.
    pub relying_party: RelyingParty,
    /// Where they are posted.
    pub url: String,
    /// Where that lies what they are signed with.
    pub secret: Source,
    /// What its position is kept under; empty for the url.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Only these types; empty for all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub types: BTreeSet<EventKind>,
    /// Where it begins.
    #[serde(default)]
    pub from: From,
    /// The file with the certificates that it trusts; empty for those that browsers trust.
    #[serde(default, skip_serializing_if = "unset")]
    pub ca: PathBuf,
}

fn unset(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

impl Settings {
    /// What tells this webhook of the relying party from its others.
    pub fn name(&self) -> &str {
        if self.name.is_empty() { &self.url } else { &self.name }
    }

    /// Whether the address is one that events may be posted to: https, or with `plain` also http.
    pub fn allowed(&self, plain: bool) -> bool {
        outbound::target(&self.url).is_ok_and(|(_, tls)| tls || plain)
    }
}

/// A webhook that is ready to deliver.
pub struct Webhook {
    name: String,
    wanted: Wanted,
    from: From,
    secrets: Secrets,
    client: Client,
}

/// The webhook cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The secret is not one.
    #[error("the secret must be `whsec_` and base64, or 64 hexadecimal characters, of 24 to 64 bytes")]
    Secret(#[from] Malformed),
    /// The address or the certificates cannot be used.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Webhook {
    /// Puts it together from what its files hold.
    pub fn new(settings: &Settings, secret: &Sensitive<Vec<u8>>, ca: Option<&[u8]>) -> Result<Self, WebhookError> {
        Ok(Self {
            name: settings.name().to_owned(),
            wanted: Wanted { relying_party: settings.relying_party.clone(), types: settings.types.clone() },
            from: settings.from,
            secrets: Secrets::parse(secret)?,
            client: Client::new(&settings.url, ca)?,
        })
    }
}
