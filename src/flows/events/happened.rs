//! What relying parties are told of an audit entry: never more than the entry says, and never about a person.
//!
//! Closed both ways: every kind of entry is looked at here, and what is not listed is not told. A document that was read
//! and a guardian that was refused are answers to the caller who made the call, and no events; a report that was closed
//! shows in what its decision said.

use crate::audit::{Entry, Verdict};
use crate::terms::{
    ConsentId, ConsentPurpose, ConsentState, DecisionId, ErasureReason, EventKind, ProofMethod, RelyingParty, ReportId,
    RequestId, RequestState, Right,
};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// What.
    pub kind: EventKind,
    /// When, as exactly as the entry says.
    pub at: Timestamp,
    /// What it is about.
    pub about: About,
}

/// What an event is about; everything is left out that it does not have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct About {
    /// The consent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consent_id: Option<ConsentId>,
    /// The decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_id: Option<DecisionId>,
    /// The report that an account belongs to a child.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_id: Option<ReportId>,
    /// Where the consent stands after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consent_state: Option<ConsentState>,
    /// What is consented to after it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub granted: Vec<ConsentPurpose>,
    /// The age that was reached, in full years.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_line: Option<u8>,
    /// Whether no guardian is needed from that age on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub last_line: bool,
    /// Why erasure is required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erasure_reason: Option<ErasureReason>,
    /// The recipients that must be told of an erasure too, as they are configured (GDPR 19).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
    /// The rights request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// What it asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub right: Option<Right>,
    /// Where it stands after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_state: Option<RequestState>,
    /// What was shown or tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof_method: Option<ProofMethod>,
    /// The last day for its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_date: Option<Date>,
}

impl Happened {
    /// Whom it is told to and what, if it is told at all.
    pub fn of(entry: Entry) -> Option<(RelyingParty, Self)> {
        let (party, kind, at, about) = match entry {
            Entry::Decided(decided) => {
                let (at, decision, party) = decided.told();
                let about = About { decision_id: Some(decision), ..About::default() };
                (party.clone(), EventKind::DecisionMade, at, about)
            }
            Entry::Untraced(untraced) => match untraced.told() {
                (hour, party, Verdict::Blocked) => (party.clone(), EventKind::AgeBlocked, hour, About::default()),
                // Kept without a trace for another reason: telling it would tell that reason.
                (_, _, Verdict::Allowed | Verdict::ConsentRequired | Verdict::Unreadable | Verdict::Inconsistent) => {
                    return None;
                }
            },
            Entry::ConsentMoved(moved) => {
                let about = About {
                    consent_id: Some(moved.consent_id),
                    decision_id: moved.decision_id,
                    consent_state: Some(moved.state),
                    granted: moved.granted,
                    age_line: moved.line,
                    last_line: moved.last_line,
                    ..About::default()
                };
                (moved.relying_party, moved.kind, moved.at, about)
            }
            Entry::Reported(reported) => {
                let about = About { report_id: Some(reported.report_id), ..About::default() };
                (reported.relying_party, EventKind::AgeUnderageReported, reported.at, about)
            }
            Entry::ErasureRequired(required) => {
                let about = About {
                    consent_id: required.consent_id,
                    report_id: required.report_id,
                    request_id: required.request_id,
                    erasure_reason: Some(required.reason),
                    ..About::default()
                };
                (required.relying_party, EventKind::ErasureRequired, required.at, about)
            }
            Entry::SubjectErased(erased) => {
                (erased.relying_party, EventKind::SubjectErased, erased.at, About::default())
            }
            Entry::RightsMoved(moved) => {
                let about = About {
                    request_id: Some(moved.request_id),
                    right: Some(moved.right),
                    request_state: Some(moved.state),
                    proof_method: moved.method,
                    due_date: Some(moved.due),
                    ..About::default()
                };
                (moved.relying_party, moved.kind, moved.at, about)
            }
            Entry::LockChanged(changed) => {
                let kind = if changed.locked { EventKind::RightsLocked } else { EventKind::RightsUnlocked };
                let about = About { request_id: changed.request_id, ..About::default() };
                (changed.relying_party, kind, changed.at, about)
            }
            Entry::AgeRecheckRequired(required) => {
                let about = About { request_id: Some(required.request_id), ..About::default() };
                (required.relying_party, EventKind::AgeRecheckRequired, required.at, about)
            }
            Entry::DocumentRead(_) | Entry::GuardianRefused(_) | Entry::ReportClosed(_) => return None,
        };
        Some((party, Self { kind, at, about }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn told(entry: Value) -> Option<Value> {
        let (party, happened) = Happened::of(serde_json::from_value(entry).unwrap())?;
        let mut told = serde_json::to_value(&happened.about).unwrap();
        told["kind"] = json!([party.as_str(), happened.kind.as_str(), happened.at.to_string()]);
        Some(told)
    }

    fn entry(action: &str, fields: Value) -> Value {
        let mut entry = json!({ "action": action, "at": "2027-01-15T08:09:10Z", "relying_party": "shop" });
        fields.as_object().unwrap().iter().for_each(|(name, value)| entry[name] = value.clone());
        entry
    }

    const ID: &str = "01900000-0000-7000-8000-123456789abc";

    #[test]
    fn every_kind_of_entry_is_told_as_it_should_be_or_not_at_all() {
        let decided = json!({ "decision_id": ID, "jurisdiction": "KR", "purpose": "signup", "verdict": "unreadable",
            "rule": "kr/signup", "policy": "09".repeat(32), "document": "td3", "reasons": ["blurred"] });
        let at = "2027-01-15T08:09:10Z";
        assert_eq!(
            told(entry("age.decided", decided)).unwrap(),
            json!({ "kind": ["shop", "decision.made", at], "decision_id": ID })
        );
        let moved = json!({ "kind": "consent.aged_out", "consent_id": ID, "state": "aged_out", "actor": "system",
            "granted": ["collection", "marketing"], "line": 19, "last_line": true, "rule": "kr/signup" });
        if let Ok(entry) = serde_json::from_value::<Entry>(entry("consent.moved", moved)) {
            let (_, happened) = Happened::of(entry).unwrap();
            let about = serde_json::to_value(&happened.about).unwrap();
            let expected = json!({ "consent_id": ID, "consent_state": "aged_out", "age_line": 19, "last_line": true,
                "granted": ["collection", "marketing"] });
            assert_eq!((happened.kind, about), (EventKind::ConsentAgedOut, expected));
        } else {
            panic!("the entry is not one");
        }
        let reported = json!({ "report_id": ID, "reporter": "staff", "guardian_verified": false });
        assert_eq!(
            told(entry("report.made", reported)).unwrap(),
            json!({ "kind": ["shop", "age.underage_reported", at], "report_id": ID })
        );
        assert_eq!(
            told(entry("erasure.required", json!({ "reason": "report_unanswered", "report_id": ID }))).unwrap(),
            json!({ "kind": ["shop", "erasure.required", at], "report_id": ID, "erasure_reason": "report_unanswered" })
        );
        assert_eq!(
            told(entry("subject.erased", json!({}))).unwrap(),
            json!({ "kind": ["shop", "subject.erased", at] })
        );
        assert_eq!(told(entry("report.closed", json!({ "report_id": ID }))), None);
        assert_eq!(told(entry("document.read", json!({ "decision_id": ID, "fields": [] }))), None);
        let image = json!({ "received_at": at, "disposed_at": at });
        assert_eq!(told(entry("consent.guardian_refused", json!({ "consent_id": ID, "image": image }))), None);
    }

    #[test]
    fn of_a_blocked_person_the_hour_is_told_and_of_another_without_a_trace_nothing() {
        let untraced = |verdict: &str| {
            json!({ "action": "age.untraced", "hour": "2027-01-15T08:00:00Z", "relying_party": "shop",
                "rule": "kr/signup", "policy": "09".repeat(32), "verdict": verdict, "document": "td3" })
        };
        assert_eq!(
            told(untraced("blocked")).unwrap(),
            json!({ "kind": ["shop", "age.blocked", "2027-01-15T08:00:00Z"] })
        );
        for verdict in ["allowed", "consent_required", "unreadable", "inconsistent"] {
            assert_eq!(told(untraced(verdict)), None, "{verdict}");
        }
    }
}
