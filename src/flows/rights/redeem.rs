//! Using a token that shows a verified requester.

use super::super::{App, Error, later, unexpected};
use super::{RightsNote, told as told_entry};
use crate::rights::RightsRequest;
use crate::store::{Batch, CommitError, Expect, Key};
use crate::terms::{EventKind, Redemption, RelyingParty, RequestState, SubjectRef};
use crate::tokens::Rejected;
use jiff::{SignedDuration, Timestamp};

/// For how long after its end it is remembered that a token was used: more than two clocks may be apart.
const AFTER: SignedDuration = SignedDuration::from_hours(1);

/// What became of a token.
pub struct Redeemed {
    /// What.
    pub redemption: Redemption,
    /// The request and the person, if it is good.
    pub about: Option<(Box<RightsRequest>, SubjectRef)>,
}

impl From<Redemption> for Redeemed {
    fn from(redemption: Redemption) -> Self {
        Self { redemption, about: None }
    }
}

/// What a look at a token came to.
pub enum Looked {
    /// All there is to it: nothing has to be recorded of the token.
    Told(Redeemed),
    /// It is good, if nobody else uses it first.
    Good(Box<Good>),
}

/// A token for one use that is good.
pub struct Good {
    batch: Batch,
    used: Key,
    at: Timestamp,
    about: (Box<RightsRequest>, SubjectRef),
}

impl App {
    /// Looks at a token. One for many uses is told; one for one use has to be used ([`App::use_proof`]). Whoever leaves
    /// meanwhile leaves nothing half done: all that may be written is what time has done to a guardian's consent, at once.
    pub async fn look_at_proof(&self, token: &str, party: &RelyingParty) -> Result<Looked, Error> {
        let told = |redemption: Redemption| Ok(Looked::Told(redemption.into()));
        let now = self.now();
        let (proof, expires_at) = match self.issuer.open_rights(token, party, now) {
            Ok(opened) => opened,
            Err(Rejected::Expired) => return told(Redemption::Expired),
            Err(_) => return told(Redemption::Invalid),
        };
        let used = proof.single_use.then(|| self.used_key(party, &proof.request, &proof.jti));
        // One that was used is told as used, also when its request is over; where it holds, the batch looks.
        let over = async || match used {
            Some(used) if self.store.get(&used, now).await?.is_some() => told(Redemption::AlreadyRedeemed),
            Some(_) | None => told(Redemption::RequestClosed),
        };
        let Some(loaded) = self.load_request_at(self.request_key(party, &proof.request)).await? else {
            return over().await;
        };
        let request = &loaded.record.request;
        if loaded.record.subject != self.subject_handle(party, &proof.audience.subject) {
            return told(Redemption::Invalid);
        }
        let stands = request.state() == RequestState::Verified && request.holds(&proof.jti);
        let (authority, rests_on) = self.authority(&loaded.record).await?;
        if !stands || !authority {
            return over().await;
        }
        let batch = used.map(|used| {
            // The request may not be closed between the look and the use.
            let batch = Batch::new(loaded.key.partition())
                .require(used, Expect::Absent)
                .require(loaded.key, Expect::Version(loaded.version))
                .put(used, Vec::new(), Some(later(expires_at, AFTER)))
                .record(told_entry(request, EventKind::RightsProofRedeemed, now, &RightsNote::default()));
            match rests_on {
                Some((key, version)) => (used, batch.require(key, Expect::Version(version))),
                None => (used, batch),
            }
        });
        let about = (Box::new(loaded.record.request), proof.audience.subject);
        Ok(match batch {
            Some((used, batch)) => Looked::Good(Box::new(Good { batch, used, at: now, about })),
            None => Looked::Told(Redeemed { redemption: Redemption::Redeemed, about: Some(about) }),
        })
    }

    /// Uses a token that is good once, whoever asks, however often and at however many servers.
    pub async fn use_proof(&self, good: Good) -> Result<Redeemed, Error> {
        let Good { batch, used, at, about } = good;
        match self.store.commit(batch, at).await {
            Ok(_) => Ok(Redeemed { redemption: Redemption::Redeemed, about: Some(about) }),
            Err(CommitError::Conflict) if self.store.get(&used, at).await?.is_some() => {
                Ok(Redemption::AlreadyRedeemed.into())
            }
            Err(CommitError::Conflict) => Err(Error::InProgress { retry_after: std::time::Duration::from_millis(200) }),
            Err(error) => Err(unexpected(error)),
        }
    }
}
