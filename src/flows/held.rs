//! What is remembered of a reading, sealed: the date of birth behind a decision that asked for a guardian. It is kept
//! until a consent is asked for, with the consent while it lives, and no longer. It is sealed twice bound: to its place
//! in the store, and to a key of its own that can be destroyed.

use super::records::decode;
use super::subject::Handle;
use super::{App, Error};
use crate::age::BirthDate;
use crate::policy::Remembered;
use crate::seal::Sealed;
use crate::secret::Sensitive;
use crate::store::{Key, KeyId, ShredKey, Version};
use crate::terms::{AssuranceLevel, DocumentKind, Purpose, RelyingParty};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize as _;

/// A reading behind a decision, until a consent is asked for.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Held {
    pub relying_party: RelyingParty,
    pub subject: Handle,
    pub purpose: Purpose,
    pub sealed: Sealed,
    pub key: KeyId,
    /// From then on it is purged.
    pub until: Timestamp,
    /// Whether it is being purged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
}

/// [`Remembered`] as it is sealed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    birth: Date,
    assurance: Option<AssuranceLevel>,
    kind: Option<DocumentKind>,
    suffices: bool,
}

impl App {
    /// Seals a reading for its place under a fresh key.
    pub(super) async fn remember(&self, place: &Key, remembered: &Remembered) -> Result<(Sealed, KeyId), Error> {
        let (id, own) = self.store.forge().await?;
        Ok((self.seal_for(place, remembered, &own)?, id))
    }

    /// The same under the sealing key of today, if it was sealed under an older one.
    pub(super) async fn resealed(
        &self,
        place: &Key,
        remembered: &Remembered,
        (sealed, key): (&Sealed, &KeyId),
    ) -> Result<Option<Sealed>, Error> {
        if !sealed.needs_reseal(&self.seal) {
            return Ok(None);
        }
        let Some(own) = self.store.find_key(*key).await? else { return Ok(None) };
        self.seal_for(place, remembered, &own).map(Some)
    }

    fn seal_for(&self, place: &Key, remembered: &Remembered, own: &ShredKey) -> Result<Sealed, Error> {
        let plain = Plain {
            birth: remembered.birth.expose(),
            assurance: remembered.assurance,
            kind: remembered.kind,
            suffices: remembered.suffices,
        };
        // As JSON: its writer makes no text of the date beside the memory that is overwritten.
        let plain = Sensitive::new(serde_json::to_vec(&plain).map_err(|_| Error::Broken)?);
        self.seal.seal(own, &place.bytes(), &plain).map_err(|_| Error::Broken)
    }

    /// Opens what was sealed for its place. `None` where nobody can: its key was destroyed, or the sealing key is not
    /// among those that are configured. Whoever asks must then do without, and never take it for a permission.
    pub(super) async fn recall(&self, place: &Key, sealed: &Sealed, key: &KeyId) -> Result<Option<Remembered>, Error> {
        let Some(own) = self.store.find_key(*key).await? else { return Ok(None) };
        let opened = match self.seal.open(&own, &place.bytes(), sealed) {
            Ok(opened) => opened,
            Err(error) => {
                tracing::error!(%error, "something sealed cannot be opened");
                return Ok(None);
            }
        };
        let mut plain: Plain = decode(opened.expose())?;
        let birth = BirthDate::new(plain.birth);
        plain.birth = Date::MIN;
        Ok(Some(Remembered { birth, assurance: plain.assurance, kind: plain.kind, suffices: plain.suffices }))
    }

    /// The same for another place, under the same key.
    pub(super) async fn move_sealed(&self, from: &Key, held: &Held, to: &Key) -> Result<Sealed, Error> {
        let own = self.store.find_key(held.key).await?.ok_or(Error::DecisionTooOld)?;
        let mut plain = self.seal.open(&own, &from.bytes(), &held.sealed).map_err(|_| Error::Broken)?;
        let sealed = self.seal.seal(&own, &to.bytes(), &plain).map_err(|_| Error::Broken);
        plain.expose_mut().zeroize();
        sealed
    }

    /// What is held behind a decision.
    pub(super) async fn held(&self, key: &Key, now: Timestamp) -> Result<Option<(Held, Version)>, Error> {
        let Some(stored) = self.store.get(key, now).await? else { return Ok(None) };
        Ok(Some((decode(&stored.value)?, stored.version)))
    }
}
