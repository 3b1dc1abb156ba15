//! Between the wire's messages and the flows' values. What comes in is parsed here, once, into types that cannot be
//! wrong; what is wrong is named by its field and a closed problem, never by its content.

pub mod consent;
mod events;
pub mod rights;

pub use events::{mark, told_event, wanted};

use super::messages::{Language, Text};
use super::proto::{self, check_age_request, check_age_response::Outcome as WireOutcome, read_document_response};
use super::steps;
use crate::flows::{
    Answer, Ask, Custody, Explained, Field, Fields, Outcome, OutcomeKind, Picture, ReadAnswer, ReadAsk, Receipt, Shown,
    Told,
};
use crate::secret::Sensitive;
use crate::terms::{AssuranceLevel, DecisionId, DocumentKind, Jurisdiction, Purpose, Reason, Signal};
use jiff::Timestamp;
use std::str::FromStr;

/// A field that is not as it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadField {
    /// The field's name in the proto file.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// Required, and not there.
    Missing,
    /// Not of the form that the proto file describes.
    Malformed,
    /// The zero of an enum, or a number that is none of its values.
    Unspecified,
    /// Not possible in this call.
    NotAllowedHere,
    /// More than is accepted.
    TooLarge,
    /// Something else than was announced.
    NotAsAnnounced,
}

impl Problem {
    /// In words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Missing => "is required",
            Self::Malformed => "is not of the described form",
            Self::Unspecified => "must be one of the listed values",
            Self::NotAllowedHere => "has a value that is not possible in this call",
            Self::TooLarge => "is larger than accepted",
            Self::NotAsAnnounced => "does not match what the header announced",
        }
    }
}

/// A problem with a field.
pub const fn bad(field: &'static str, problem: Problem) -> BadField {
    BadField { field, problem }
}

fn parse<T: FromStr>(field: &'static str, text: &str) -> Result<T, BadField> {
    if text.is_empty() {
        return Err(bad(field, Problem::Missing));
    }
    text.parse().map_err(|_| bad(field, Problem::Malformed))
}

/// A purpose that can be decided on.
fn purpose(wire: i32) -> Result<Purpose, BadField> {
    let unspecified = bad("purpose", Problem::Unspecified);
    match proto::Purpose::try_from(wire).map_err(|_| unspecified)? {
        proto::Purpose::Unspecified => Err(unspecified),
        proto::Purpose::Signup => Ok(Purpose::Signup),
        proto::Purpose::LiveStream => Ok(Purpose::LiveStream),
        proto::Purpose::AdultContent => Ok(Purpose::AdultContent),
        proto::Purpose::Purchase => Ok(Purpose::Purchase),
        proto::Purpose::DobExtraction => Err(bad("purpose", Problem::NotAllowedHere)),
    }
}

/// What CheckAge asks. The picture goes into custody, as it had come by `now`.
pub fn ask(wire: proto::CheckAgeRequest, custody: &Custody, now: Timestamp) -> Result<Ask, BadField> {
    let shown = match wire.evidence {
        // Taken at once, so that the picture is overwritten whatever is found wrong below.
        Some(check_age_request::Evidence::Image(bytes)) => Shown::Image(custody.take(bytes, now)),
        Some(check_age_request::Evidence::DeclaredBirthDate(text)) => {
            Shown::declared(&Sensitive::new(text)).map_err(|_| bad("declared_birth_date", Problem::Malformed))?
        }
        Some(check_age_request::Evidence::ConsentId(text)) => Shown::Consent(parse("consent_id", &text)?),
        None => return Err(bad("evidence", Problem::Missing)),
    };
    Ok(Ask {
        subject: parse("subject_ref", &wire.subject_ref)?,
        jurisdiction: parse("jurisdiction", &wire.jurisdiction)?,
        purpose: purpose(wire.purpose)?,
        key: parse("idempotency_key", &wire.idempotency_key)?,
        shown,
    })
}

/// What CheckAgeStream asks, once the picture is complete.
pub fn ask_of_stream(header: &proto::CheckAgeStreamHeader, image: Picture) -> Result<Ask, BadField> {
    Ok(Ask {
        subject: parse("header.subject_ref", &header.subject_ref)?,
        jurisdiction: parse::<Jurisdiction>("header.jurisdiction", &header.jurisdiction)?,
        purpose: purpose(header.purpose)?,
        key: parse("header.idempotency_key", &header.idempotency_key)?,
        shown: Shown::Image(image),
    })
}

/// A decision's name.
pub fn decision_id(text: &str) -> Result<DecisionId, BadField> {
    parse("decision_id", text)
}

/// What ReadDocument asks. The picture goes into custody, as it had come by `now`.
pub fn read_ask(wire: proto::ReadDocumentRequest, custody: &Custody, now: Timestamp) -> Result<ReadAsk, BadField> {
    let image = custody.take(wire.image, now);
    let mut fields = Fields::default();
    for field in wire.fields {
        let unspecified = bad("fields", Problem::Unspecified);
        fields.add(match proto::DocumentField::try_from(field).map_err(|_| unspecified)? {
            proto::DocumentField::Unspecified => return Err(unspecified),
            proto::DocumentField::DateOfBirth => Field::DateOfBirth,
            proto::DocumentField::DocumentKind => Field::DocumentKind,
            proto::DocumentField::ExpiryDate => Field::Expiry,
            proto::DocumentField::Assurance => Field::Assurance,
        });
    }
    if fields.is_empty() {
        return Err(bad("fields", Problem::Missing));
    }
    Ok(ReadAsk { subject: parse("subject_ref", &wire.subject_ref)?, image, fields })
}

/// A disposal receipt. From here on its opening is the caller's.
pub fn receipt(receipt: &Receipt) -> proto::DisposalReceipt {
    proto::DisposalReceipt { token: receipt.token.clone(), opening: receipt.opening.expose().to_vec() }
}

/// The answer to CheckAge, but for the disposal receipt.
pub fn answer(answer: &Answer, language: Language) -> proto::CheckAgeResponse {
    proto::CheckAgeResponse {
        decision_id: answer.decision.to_string(),
        rule_id: answer.rule.to_string(),
        policy_digest: answer.policy.to_string(),
        assurance: answer.assurance.map_or(0, |level| assurance(level).into()),
        signals: answer.signals.iter().map(|s| signal(*s).into()).collect(),
        disposal: None,
        outcome: Some(outcome(&answer.outcome, language)),
    }
}

fn outcome(outcome: &Outcome, language: Language) -> WireOutcome {
    match outcome {
        Outcome::Allowed { token, consent } => WireOutcome::Allowed(proto::Allowed {
            token: token.as_str().to_owned(),
            expires_at: Some(timestamp(token.expires_at())),
            consent_id: consent.map(|id| id.to_string()).unwrap_or_default(),
        }),
        Outcome::ConsentRequired { guardian_min_age, legal_guardian, legal_basis } => {
            WireOutcome::ConsentRequired(proto::ConsentRequired {
                guardian_min_age: u32::from(*guardian_min_age),
                legal_guardian: *legal_guardian,
                legal_basis: legal_basis.clone(),
                message_key: Text::ConsentRequired.key(),
                message: Text::ConsentRequired.text(language).to_owned(),
            })
        }
        Outcome::Blocked => WireOutcome::Blocked(proto::Blocked {
            message_key: Text::Blocked.key(),
            message: Text::Blocked.text(language).to_owned(),
        }),
        Outcome::Unreadable { reasons } => WireOutcome::Unreadable(proto::Unreadable {
            reasons: explained(reasons, language),
            retryable: retryable(reasons),
        }),
        Outcome::Inconsistent { reasons } => WireOutcome::Inconsistent(proto::Inconsistent {
            reasons: explained(reasons, language),
            retryable: retryable(reasons),
        }),
    }
}

/// Another picture can help only if it can help against every reason.
fn retryable(reasons: &[Reason]) -> bool {
    reasons.iter().all(|reason| reason.retryable())
}

fn explained(reasons: &[Reason], language: Language) -> Vec<proto::Explained> {
    let explain = |r: &Reason| proto::Explained {
        reason: reason(*r).into(),
        message_key: Text::Reason(*r).key(),
        message: Text::Reason(*r).text(language).to_owned(),
    };
    reasons.iter().map(explain).collect()
}

/// The answer to GetDecision.
pub fn told(told: &Told) -> proto::GetDecisionResponse {
    proto::GetDecisionResponse {
        decision_id: told.decision.to_string(),
        outcome: match told.what.outcome {
            OutcomeKind::Allowed => proto::OutcomeKind::Allowed,
            OutcomeKind::ConsentRequired => proto::OutcomeKind::ConsentRequired,
            OutcomeKind::Blocked => proto::OutcomeKind::Blocked,
            OutcomeKind::Unreadable => proto::OutcomeKind::Unreadable,
            OutcomeKind::Inconsistent => proto::OutcomeKind::Inconsistent,
        }
        .into(),
        decided_at: Some(timestamp(told.decided_at)),
        rule_id: told.what.rule.to_string(),
        policy_digest: told.what.policy.to_string(),
        data_used: told.what.data_used.iter().map(|kind| steps::data_key(*kind).to_owned()).collect(),
    }
}

/// The answer to ExplainDecision.
pub fn explanation(of: &Explained, language: Language) -> proto::ExplainDecisionResponse {
    let step = |step| proto::Step { key: steps::key(step).to_owned(), text: steps::text(step, language) };
    proto::ExplainDecisionResponse {
        decision: Some(told(&of.told)),
        citations: of.citations().collect(),
        steps: of.steps().iter().map(step).collect(),
    }
}

/// The answer to ReadDocument, but for the disposal receipt.
pub fn read_answer(read: &ReadAnswer, language: Language) -> proto::ReadDocumentResponse {
    let outcome = match read {
        ReadAnswer::Read { date_of_birth, document_kind, expiry, assurance: level, signals } => {
            read_document_response::Outcome::Read(proto::DocumentRead {
                date_of_birth: date_of_birth.as_ref().map(|date| date.expose().clone()).unwrap_or_default(),
                document_kind: document_kind.map_or(0, |k| kind(k).into()),
                expiry_date: expiry.map(|date| date.to_string()).unwrap_or_default(),
                assurance: level.map_or(0, |level| assurance(level).into()),
                signals: signals.iter().map(|s| signal(*s).into()).collect(),
            })
        }
        ReadAnswer::Unreadable { reasons, signals } => {
            read_document_response::Outcome::Unreadable(proto::DocumentUnreadable {
                reasons: explained(reasons, language),
                retryable: retryable(reasons),
                signals: signals.iter().map(|s| signal(*s).into()).collect(),
            })
        }
    };
    proto::ReadDocumentResponse { outcome: Some(outcome), disposal: None }
}

pub(super) fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() }
}

fn assurance(level: AssuranceLevel) -> proto::AssuranceLevel {
    match level {
        AssuranceLevel::Unwitnessed => proto::AssuranceLevel::Unwitnessed,
        AssuranceLevel::Witnessed => proto::AssuranceLevel::Witnessed,
        AssuranceLevel::Checked => proto::AssuranceLevel::Checked,
        AssuranceLevel::Corroborated => proto::AssuranceLevel::Corroborated,
    }
}

fn kind(kind: DocumentKind) -> proto::DocumentKind {
    match kind {
        DocumentKind::KrResidentCard => proto::DocumentKind::KrResidentCard,
        DocumentKind::KrAlienCard => proto::DocumentKind::KrAlienCard,
        DocumentKind::KrDriverLicence => proto::DocumentKind::KrDriverLicence,
        DocumentKind::KrYouthCard => proto::DocumentKind::KrYouthCard,
        DocumentKind::Td1 => proto::DocumentKind::Td1,
        DocumentKind::Td2 => proto::DocumentKind::Td2,
        DocumentKind::Td3 => proto::DocumentKind::Td3,
        DocumentKind::MrvA => proto::DocumentKind::Mrva,
        DocumentKind::MrvB => proto::DocumentKind::Mrvb,
        DocumentKind::OtherId => proto::DocumentKind::OtherId,
    }
}

fn reason(reason: Reason) -> proto::Reason {
    match reason {
        Reason::EmptyFile => proto::Reason::EmptyFile,
        Reason::UnknownFormat => proto::Reason::UnknownFormat,
        Reason::UnsupportedFormat => proto::Reason::UnsupportedFormat,
        Reason::HeicNotSupported => proto::Reason::HeicNotSupported,
        Reason::PdfNotSupported => proto::Reason::PdfNotSupported,
        Reason::CorruptFile => proto::Reason::CorruptFile,
        Reason::TruncatedFile => proto::Reason::TruncatedFile,
        Reason::TooManyBytes => proto::Reason::TooManyBytes,
        Reason::TooManyPixels => proto::Reason::TooManyPixels,
        Reason::TooSmall => proto::Reason::TooSmall,
        Reason::TimedOut => proto::Reason::TimedOut,
        Reason::Blurred => proto::Reason::Blurred,
        Reason::Glare => proto::Reason::Glare,
        Reason::BadExposure => proto::Reason::BadExposure,
        Reason::CutOff => proto::Reason::CutOff,
        Reason::DocumentTooSmall => proto::Reason::DocumentTooSmall,
        Reason::NoDocument => proto::Reason::NoDocument,
        Reason::UnsupportedDocument => proto::Reason::UnsupportedDocument,
        Reason::NoBirthDate => proto::Reason::NoBirthDate,
        Reason::NumberUnreadable => proto::Reason::NumberUnreadable,
        Reason::NotWitnessed => proto::Reason::NotWitnessed,
        Reason::ImpossibleDate => proto::Reason::ImpossibleDate,
        Reason::BirthDateUnknown => proto::Reason::BirthDateUnknown,
        Reason::Inconsistent => proto::Reason::Inconsistent,
        Reason::Expired => proto::Reason::Expired,
        Reason::Specimen => proto::Reason::Specimen,
        Reason::DocumentRequired => proto::Reason::DocumentRequired,
        Reason::UnreadableFile => proto::Reason::UnreadableFile,
        Reason::ResidentNumberShown => proto::Reason::ResidentNumberShown,
    }
}

fn signal(signal: Signal) -> proto::Signal {
    match signal {
        Signal::Expired => proto::Signal::Expired,
        Signal::Specimen => proto::Signal::Specimen,
        Signal::PrintedDateConflict => proto::Signal::PrintedDateConflict,
        Signal::NumberClassConflict => proto::Signal::NumberClassConflict,
        Signal::ChecksumMismatch => proto::Signal::ChecksumMismatch,
        Signal::NumberMasked => proto::Signal::NumberMasked,
        Signal::CenturyInferred => proto::Signal::CenturyInferred,
        Signal::BirthDatePartial => proto::Signal::BirthDatePartial,
        Signal::Repaired => proto::Signal::Repaired,
        Signal::NonconformingIssuer => proto::Signal::NonconformingIssuer,
        Signal::CheckDigitMismatch => proto::Signal::CheckDigitMismatch,
        Signal::AgeAtIssueImplausible => proto::Signal::AgeAtIssueImplausible,
        Signal::MinorOnAlienCard => proto::Signal::MinorOnAlienCard,
        Signal::EditingSoftware => proto::Signal::EditingSoftware,
        Signal::ScreenshotHint => proto::Signal::ScreenshotHint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The wire's spelling of a value is the domain's, in capitals behind the enum's name.
    #[test]
    fn every_value_has_its_own_name_on_the_wire() {
        for r in Reason::ALL {
            assert_eq!(reason(*r).as_str_name(), format!("REASON_{}", r.as_str().to_uppercase()));
        }
        for s in Signal::ALL {
            assert_eq!(signal(*s).as_str_name(), format!("SIGNAL_{}", s.as_str().to_uppercase()));
        }
        for k in DocumentKind::ALL {
            assert_eq!(kind(*k).as_str_name(), format!("DOCUMENT_KIND_{}", k.as_str().to_uppercase()));
        }
        for a in AssuranceLevel::ALL {
            assert_eq!(assurance(*a).as_str_name(), format!("ASSURANCE_LEVEL_{}", a.as_str().to_uppercase()));
        }
    }

    #[test]
    fn unspecified_and_unknown_enum_values_are_refused() {
        assert_eq!(purpose(0), Err(bad("purpose", Problem::Unspecified)));
        assert_eq!(purpose(99), Err(bad("purpose", Problem::Unspecified)));
        assert_eq!(purpose(5), Err(bad("purpose", Problem::NotAllowedHere)));
        assert_eq!(purpose(1), Ok(Purpose::Signup));
    }
}
