//! Using a token that shows a verified requester.

use super::super::{App, Error, later, unexpected};
use super::{RightsNote, told};
use crate::rights::RightsRequest;
use crate::store::{Batch, CommitError, Expect};
use crate::terms::{EventKind, Redemption, RelyingParty, RequestState, SubjectRef};
use crate::tokens::Rejected;
use jiff::SignedDuration;

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

impl App {
    /// Uses a token. One for one use is good once, whoever asks, however often and at however many servers.
    pub async fn redeem_proof(&self, token: &str, party: &RelyingParty) -> Result<Redeemed, Error> {
        let now = self.now();
        let (proof, expires_at) = match self.issuer.open_rights(token, party, now) {
            Ok(opened) => opened,
            Err(Rejected::Expired) => return Ok(Redemption::Expired.into()),
            Err(_) => return Ok(Redemption::Invalid.into()),
        };
        let used = proof.single_use.then(|| self.used_key(party, &proof.request, &proof.jti));
        // One that was used is told as used, also when its request is over; where it holds, the batch below looks.
        let over = async || match used {
            Some(used) if self.store.get(&used, now).await?.is_some() => Ok(Redemption::AlreadyRedeemed.into()),
            Some(_) | None => Ok(Redemption::RequestClosed.into()),
        };
        let Some(loaded) = self.load_request_at(self.request_key(party, &proof.request)).await? else {
            return over().await;
        };
        let request = &loaded.record.request;
        let subject = self.subject(party, &proof.audience.subject);
        if loaded.record.subject != subject.handle {
            return Ok(Redemption::Invalid.into());
        }
        let stands = request.state() == RequestState::Verified && request.holds(&proof.jti);
        let (authority, rests_on) = self.authority(&loaded.record).await?;
        if !stands || !authority {
            return over().await;
        }
        if let Some(used) = used {
            // The request may not be closed between the look and the use.
            let batch = Batch::new(subject.partition)
                .require(used, Expect::Absent)
                .require(loaded.key, Expect::Version(loaded.version))
                .put(used, Vec::new(), Some(later(expires_at, AFTER)))
                .record(told(request, EventKind::RightsProofRedeemed, now, &RightsNote::default()));
            let batch = match rests_on {
                Some((key, version)) => batch.require(key, Expect::Version(version)),
                None => batch,
            };
            match self.store.commit(batch, now).await {
                Ok(_) => {}
                Err(CommitError::Conflict) if self.store.get(&used, now).await?.is_some() => {
                    return Ok(Redemption::AlreadyRedeemed.into());
                }
                Err(CommitError::Conflict) => {
                    return Err(Error::InProgress { retry_after: std::time::Duration::from_millis(200) });
                }
                Err(error) => return Err(unexpected(error)),
            }
        }
        let about = Some((Box::new(loaded.record.request), proof.audience.subject));
        Ok(Redeemed { redemption: Redemption::Redeemed, about })
    }
}
