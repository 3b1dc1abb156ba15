//! Looking: at a card, at data points, at a guardian's consent. What was looked at is gone when the answer is known.

use super::super::subject::Subject;
use super::super::{App, Call, Error, Picture};
use super::prove::{DataPoint, Looked};
use crate::age::BirthDate;
use crate::evidence::validate::Verdict as Seen;
use crate::policy;
use crate::store::{Key, Version};
use crate::terms::{ConsentId, RelyingParty};
use aws_lc_rs::{constant_time, hmac, rand};

impl App {
    /// The consent that lets this request's guardian act for its person, if it does.
    pub(super) async fn acts_for(
        &self,
        party: &RelyingParty,
        consent: &ConsentId,
        record: &super::RightsRecord,
    ) -> Result<Option<(Key, Version)>, Error> {
        let Some(loaded) = self.current(self.consent_key(party, consent)).await? else { return Ok(None) };
        let same = loaded.record.subject.as_ref() == Some(&record.subject)
            && record.guardian.is_some()
            && loaded.record.guardian == record.guardian;
        let acts = same && loaded.in_force(self.now()) && !loaded.record.consent.subject_acts();
        Ok(acts.then_some((loaded.key, loaded.version)))
    }

    /// Whether a card shows a date of birth. What it shows is not told.
    pub(super) async fn look_at_card(
        &self,
        subject: &Subject,
        jurisdiction: crate::terms::Jurisdiction,
        (image, expected): (Picture, BirthDate),
        place: super::super::pool::Place,
        call: &Call,
    ) -> Result<Looked, Error> {
        let (rule, received_at) = (self.zones_of(jurisdiction), image.received_at());
        let today = rule.today_for_expiry(received_at);
        let read = self.pool.read(place, image, today, self.image_bytes, (call.deadline, call.watch.clone())).await?;
        self.observe(&read);
        let life = self.life_of(received_at, &read.verdict);
        let (mut holds, mut contradicts) = (false, false);
        if let Seen::Read(evidence) = &read.verdict {
            let facts = self.facts(&call.relying_party);
            let obstacles = policy::guardian_obstacles(&rule, evidence, &facts, life.disposed_at);
            holds = evidence.birth == expected && obstacles.is_empty();
            // Another date than an earlier document showed: a person has to look at it, be it a parent's card or not.
            let known = self.siblings(&subject.party, &subject.handle, subject.partition).await?;
            let known = known.iter().filter_map(|consent| consent.memory.as_ref());
            contradicts = holds && known.into_iter().any(|memory| memory.suffices && memory.birth != evidence.birth);
        }
        let holds = holds && !contradicts;
        Ok(Looked::card(holds, contradicts, life))
    }
}

/// Whether all values agree with what is on file, in a time that tells neither which nor how far they agree.
pub(super) fn agree(points: &[DataPoint]) -> Result<bool, Error> {
    let mut secret = [0u8; 32];
    rand::fill(&mut secret).map_err(|_| Error::Broken)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
    let mut all = !points.is_empty();
    for point in points {
        let (claimed, on_file) = (point.claimed.expose().trim(), point.on_file.expose().trim());
        let (a, b) = (hmac::sign(&key, claimed.as_bytes()), hmac::sign(&key, on_file.as_bytes()));
        let same = constant_time::verify_slices_are_equal(a.as_ref(), b.as_ref()).is_ok();
        all &= same & !on_file.is_empty();
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Sensitive;
    use crate::terms::DataPointKind;

    fn point(claimed: &str, on_file: &str) -> DataPoint {
        let text = |text: &str| Sensitive::new(text.to_owned());
        DataPoint { kind: DataPointKind::Reference, claimed: text(claimed), on_file: text(on_file) }
    }

    #[test]
    fn all_values_must_agree_and_nothing_agrees_with_nothing() {
        assert!(agree(&[point("a", "a"), point(" b ", "b")]).unwrap());
        for wrong in [
            vec![],
            vec![point("", "")],
            vec![point(" ", "")],
            vec![point("a", "")],
            vec![point("a", "b")],
            vec![point("a", "a"), point("b", "")],
            vec![point("a", "A"), point("b", "b")],
        ] {
            assert!(!agree(&wrong).unwrap());
        }
    }
}
