//! Between events and their messages.

use super::super::proto;
use super::consent::{purpose as consent_purpose, state as consent_state};
use super::{BadField, Problem, bad, timestamp};
use crate::flows::events::{Cursor, Event, Wanted};
use crate::terms::{EventKind, RelyingParty};

/// What Watch asks: what is wanted, and from where.
pub fn wanted(relying_party: RelyingParty, wire: &proto::WatchRequest) -> Result<(Wanted, Cursor), BadField> {
    let cursor = match wire.cursor.as_str() {
        "" => Cursor::START,
        text => text.parse().map_err(|_| bad("cursor", Problem::Malformed))?,
    };
    let types = wire.types.iter().map(|number| event_kind(*number)).collect::<Result<_, _>>()?;
    Ok((Wanted { relying_party, types }, cursor))
}

fn event_kind(wire: i32) -> Result<EventKind, BadField> {
    EventKind::ALL
        .iter()
        .copied()
        .find(|kind| i32::from(event_type(*kind)) == wire)
        .ok_or(bad("types", Problem::Unspecified))
}

/// A message with only the cursor.
pub fn mark(cursor: &Cursor) -> proto::WatchResponse {
    proto::WatchResponse { cursor: cursor.to_string(), event: None }
}

/// A message with an event, and the cursor behind it.
pub fn told_event(cursor: &Cursor, event: &Event) -> proto::WatchResponse {
    let (happened, about) = (&event.happened, &event.happened.about);
    let event = proto::Event {
        event_id: event.place.to_string(),
        r#type: event_type(happened.kind).into(),
        occurred_at: Some(timestamp(happened.at)),
        consent_id: about.consent_id.map(|id| id.to_string()).unwrap_or_default(),
        decision_id: about.decision_id.map(|id| id.to_string()).unwrap_or_default(),
        report_id: about.report_id.map(|id| id.to_string()).unwrap_or_default(),
        consent_state: about.consent_state.map_or(0, |state| consent_state(state).into()),
        granted: about.granted.iter().map(|purpose| consent_purpose(*purpose).into()).collect(),
        age_line: about.age_line.map_or(0, u32::from),
        last_line: about.last_line,
        erasure_reason: about.erasure_reason.map(|reason| reason.to_string()).unwrap_or_default(),
        recipients: about.recipients.clone(),
        request_id: about.request_id.map(|id| id.to_string()).unwrap_or_default(),
        right: about.right.map(|right| right.to_string()).unwrap_or_default(),
        request_state: about.request_state.map(|state| state.to_string()).unwrap_or_default(),
        proof_method: about.proof_method.map(|method| method.to_string()).unwrap_or_default(),
        due_date: about.due_date.map(|due| due.to_string()).unwrap_or_default(),
    };
    proto::WatchResponse { cursor: cursor.to_string(), event: Some(event) }
}

fn event_type(kind: EventKind) -> proto::EventType {
    match kind {
        EventKind::ConsentRequested => proto::EventType::ConsentRequested,
        EventKind::ConsentNoticeSent => proto::EventType::ConsentNoticeSent,
        EventKind::ConsentInReview => proto::EventType::ConsentInReview,
        EventKind::ConsentGuardianVerified => proto::EventType::ConsentGuardianVerified,
        EventKind::ConsentGiven => proto::EventType::ConsentGiven,
        EventKind::ConsentRefused => proto::EventType::ConsentRefused,
        EventKind::ConsentChanged => proto::EventType::ConsentChanged,
        EventKind::ConsentReaffirmed => proto::EventType::ConsentReaffirmed,
        EventKind::ConsentWithdrawn => proto::EventType::ConsentWithdrawn,
        EventKind::ConsentExpired => proto::EventType::ConsentExpired,
        EventKind::ConsentTimedOut => proto::EventType::ConsentTimedOut,
        EventKind::ConsentSuperseded => proto::EventType::ConsentSuperseded,
        EventKind::ConsentAgedOut => proto::EventType::ConsentAgedOut,
        EventKind::AgeBlocked => proto::EventType::AgeBlocked,
        EventKind::AgeUnderageReported => proto::EventType::AgeUnderageReported,
        EventKind::ErasureRequired => proto::EventType::ErasureRequired,
        EventKind::SubjectErased => proto::EventType::SubjectErased,
        EventKind::DecisionMade => proto::EventType::DecisionMade,
        EventKind::AgeRecheckRequired => proto::EventType::AgeRecheckRequired,
        EventKind::RightsOpened => proto::EventType::RightsOpened,
        EventKind::RightsAcknowledged => proto::EventType::RightsAcknowledged,
        EventKind::RightsCodeMade => proto::EventType::RightsCodeMade,
        EventKind::RightsProofShown => proto::EventType::RightsProofShown,
        EventKind::RightsProofFailed => proto::EventType::RightsProofFailed,
        EventKind::RightsInReview => proto::EventType::RightsInReview,
        EventKind::RightsVerified => proto::EventType::RightsVerified,
        EventKind::RightsProofRedeemed => proto::EventType::RightsProofRedeemed,
        EventKind::RightsExtended => proto::EventType::RightsExtended,
        EventKind::RightsAcknowledgeOverdue => proto::EventType::RightsAcknowledgeOverdue,
        EventKind::RightsDueSoon => proto::EventType::RightsDueSoon,
        EventKind::RightsOverdue => proto::EventType::RightsOverdue,
        EventKind::RightsDone => proto::EventType::RightsDone,
        EventKind::RightsRefused => proto::EventType::RightsRefused,
        EventKind::RightsWithdrawn => proto::EventType::RightsWithdrawn,
        EventKind::RightsLocked => proto::EventType::RightsLocked,
        EventKind::RightsUnlocked => proto::EventType::RightsUnlocked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::{ConsentPurpose, ConsentState};

    /// The wire's spelling of a value is the domain's, in capitals behind the enum's name.
    #[test]
    fn every_value_has_its_own_name_on_the_wire() {
        let capitals = |text: &str| text.to_uppercase().replace('.', "_");
        for kind in EventKind::ALL {
            assert_eq!(event_type(*kind).as_str_name(), format!("EVENT_TYPE_{}", capitals(kind.as_str())));
        }
        for state in ConsentState::ALL {
            assert_eq!(consent_state(*state).as_str_name(), format!("CONSENT_STATE_{}", capitals(state.as_str())));
        }
        for purpose in ConsentPurpose::ALL {
            let name = format!("CONSENT_PURPOSE_{}", capitals(purpose.as_str()));
            assert_eq!(consent_purpose(*purpose).as_str_name(), name);
        }
    }

    #[test]
    fn a_cursor_and_types_are_what_they_must_be() {
        let ask = |cursor: &str, types: &[i32]| {
            let wire = proto::WatchRequest { cursor: cursor.to_owned(), types: types.to_vec() };
            wanted("shop".parse().unwrap(), &wire).map(|(wanted, cursor)| (wanted.types.len(), cursor))
        };
        assert_eq!(ask("", &[18, 5, 5]), Ok((2, Cursor::START)));
        assert_eq!(ask(&Cursor::START.to_string(), &[]), Ok((0, Cursor::START)));
        assert_eq!(ask("x", &[]), Err(bad("cursor", Problem::Malformed)));
        for unknown in [0, -1, 37] {
            assert_eq!(ask("", &[5, unknown]), Err(bad("types", Problem::Unspecified)), "{unknown}");
        }
    }
}
