//! ConsentService's messages.

use super::{BadField, Problem, bad, kind, parse, timestamp};
use crate::consent::{Check, Consent, Happened, Notice};
use crate::flows::consent::{ConsentAsk, GuardianAnswer, GuardianAsk, Proof};
use crate::flows::{Custody, ReportAsk, TokenState};
use crate::server::messages::{Language, Text};
use crate::server::proto;
use crate::terms::{
    ConsentActor, ConsentId, ConsentPurpose, ConsentState, GuardianProblem, IdempotencyKey, NotPossible, Relationship,
    Reporter, ReviewReason, SubjectRef, VerificationMethod,
};
use jiff::Timestamp;

/// The most entries of a list in a request.
const MOST: usize = 32;

/// A consent's name.
pub fn consent_id(text: &str) -> Result<ConsentId, BadField> {
    parse("consent_id", text)
}

/// A person.
pub fn subject(text: &str) -> Result<SubjectRef, BadField> {
    parse("subject_ref", text)
}

/// An idempotency key.
pub fn key(text: &str) -> Result<IdempotencyKey, BadField> {
    parse("idempotency_key", text)
}

/// What RequestConsent asks.
pub fn request(wire: proto::RequestConsentRequest) -> Result<ConsentAsk, BadField> {
    let notice = wire.notice.ok_or(bad("notice", Problem::Missing))?;
    Ok(ConsentAsk {
        subject: parse("subject_ref", &wire.subject_ref)?,
        decision: parse("decision_id", &wire.decision_id)?,
        purposes: purposes("purposes", &wire.purposes)?,
        notice: Notice {
            version: parse("notice.version", &notice.version)?,
            digest: parse("notice.text_sha256", &notice.text_sha256)?,
            language: parse("notice.language", &notice.language)?,
            attestation: None,
        },
        methods: methods(&wire.methods)?,
        guardian: optional("guardian_ref", &wire.guardian_ref)?,
        key: key(&wire.idempotency_key)?,
    })
}

/// What VerifyGuardian asks. A picture goes into custody, as it had come by `now`.
pub fn guardian(
    wire: proto::VerifyGuardianRequest,
    custody: &Custody,
    now: Timestamp,
) -> Result<GuardianAsk, BadField> {
    use proto::verify_guardian_request::Proof as Wire;
    let proof = match wire.proof {
        // Taken at once, so that the picture is overwritten whatever is found wrong below.
        Some(Wire::Image(image)) => Proof::Image(custody.take(image, now)),
        Some(Wire::Attested(attested)) => Proof::Attested {
            method: attested_method(attested.method)?,
            staff: optional("attested.staff_ref", &attested.staff_ref)?,
        },
        Some(Wire::ReviewAccepted(accepted)) => {
            Proof::ReviewAccepted { staff: parse("review_accepted.staff_ref", &accepted.staff_ref)? }
        }
        None => return Err(bad("proof", Problem::Missing)),
    };
    Ok(GuardianAsk { consent: consent_id(&wire.consent_id)?, proof, key: key(&wire.idempotency_key)? })
}

/// The guardian's answer.
pub fn answer(wire: Option<proto::respond_request::Answer>) -> Result<GuardianAnswer, BadField> {
    use proto::respond_request::Answer as Wire;
    match wire.ok_or(bad("answer", Problem::Missing))? {
        Wire::Refuse(_) => Ok(GuardianAnswer::Refuse),
        Wire::Grant(grant) => Ok(GuardianAnswer::Grant {
            purposes: purposes("grant.purposes", &grant.purposes)?,
            relationship: relationship(grant.relationship)?,
            attestation: parse("grant.attestation_text_id", &grant.attestation_text_id)?,
        }),
    }
}

/// Who acts.
pub fn actor(wire: i32) -> Result<ConsentActor, BadField> {
    let unspecified = bad("actor", Problem::Unspecified);
    match proto::ConsentActor::try_from(wire).map_err(|_| unspecified)? {
        proto::ConsentActor::Unspecified => Err(unspecified),
        proto::ConsentActor::Guardian => Ok(ConsentActor::Guardian),
        proto::ConsentActor::Subject => Ok(ConsentActor::Subject),
        proto::ConsentActor::RelyingParty => Ok(ConsentActor::RelyingParty),
        proto::ConsentActor::System => Err(bad("actor", Problem::NotAllowedHere)),
    }
}

/// What ReportUnderage asks.
pub fn report(wire: &proto::ReportUnderageRequest) -> Result<ReportAsk, BadField> {
    let unspecified = bad("reporter", Problem::Unspecified);
    let reporter = match proto::Reporter::try_from(wire.reporter).map_err(|_| unspecified)? {
        proto::Reporter::Unspecified => return Err(unspecified),
        proto::Reporter::Subject => Reporter::Subject,
        proto::Reporter::Guardian => Reporter::Guardian,
        proto::Reporter::OtherPerson => Reporter::OtherPerson,
        proto::Reporter::Staff => Reporter::Staff,
        proto::Reporter::Automated => Reporter::Automated,
        proto::Reporter::Authority => Reporter::Authority,
    };
    let consent = optional("consent_id", &wire.consent_id)?;
    if consent.is_some() && reporter != Reporter::Guardian {
        return Err(bad("consent_id", Problem::NotAllowedHere));
    }
    let subject = parse("subject_ref", &wire.subject_ref)?;
    Ok(ReportAsk { subject, reporter, consent, key: key(&wire.idempotency_key)? })
}

/// The state of a token.
pub fn token_state(state: TokenState) -> proto::TokenStatus {
    match state {
        TokenState::Active => proto::TokenStatus::Active,
        TokenState::Expired => proto::TokenStatus::Expired,
        TokenState::Revoked => proto::TokenStatus::Revoked,
        TokenState::ReverificationRequired => proto::TokenStatus::ReverificationRequired,
        TokenState::Invalid => proto::TokenStatus::Invalid,
    }
}

fn optional<T: std::str::FromStr>(field: &'static str, text: &str) -> Result<Option<T>, BadField> {
    if text.is_empty() { Ok(None) } else { parse(field, text).map(Some) }
}

/// What is consented to; each at most once.
pub fn purposes(field: &'static str, wire: &[i32]) -> Result<Vec<ConsentPurpose>, BadField> {
    list(field, wire, |value| {
        Some(match proto::ConsentPurpose::try_from(value).ok()? {
            proto::ConsentPurpose::Unspecified => return None,
            proto::ConsentPurpose::Collection => ConsentPurpose::Collection,
            proto::ConsentPurpose::ThirdPartyDisclosure => ConsentPurpose::ThirdPartyDisclosure,
            proto::ConsentPurpose::Marketing => ConsentPurpose::Marketing,
            proto::ConsentPurpose::Personalisation => ConsentPurpose::Personalisation,
            proto::ConsentPurpose::PublicProfile => ConsentPurpose::PublicProfile,
            proto::ConsentPurpose::Location => ConsentPurpose::Location,
            proto::ConsentPurpose::CrossBorderTransfer => ConsentPurpose::CrossBorderTransfer,
            proto::ConsentPurpose::AutomatedDecision => ConsentPurpose::AutomatedDecision,
        })
    })
}

fn methods(wire: &[i32]) -> Result<Vec<VerificationMethod>, BadField> {
    list("methods", wire, method_of)
}

/// A list with at least one entry, in the order of the enum, each once.
fn list<T: Ord>(field: &'static str, wire: &[i32], of: impl Fn(i32) -> Option<T>) -> Result<Vec<T>, BadField> {
    if wire.is_empty() {
        return Err(bad(field, Problem::Missing));
    }
    if wire.len() > MOST {
        return Err(bad(field, Problem::TooLarge));
    }
    let mut values = Vec::with_capacity(wire.len());
    for value in wire {
        values.push(of(*value).ok_or(bad(field, Problem::Unspecified))?);
    }
    values.sort_unstable();
    values.dedup();
    Ok(values)
}

fn attested_method(wire: i32) -> Result<VerificationMethod, BadField> {
    match method_of(wire) {
        None => Err(bad("attested.method", Problem::Unspecified)),
        Some(VerificationMethod::IdScan) => Err(bad("attested.method", Problem::NotAllowedHere)),
        Some(method) => Ok(method),
    }
}

fn method_of(wire: i32) -> Option<VerificationMethod> {
    let wire = proto::VerificationMethod::try_from(wire).ok()?;
    VerificationMethod::ALL.iter().copied().find(|known| method(*known) == wire)
}

fn relationship(wire: i32) -> Result<Relationship, BadField> {
    let unspecified = bad("grant.relationship", Problem::Unspecified);
    match proto::Relationship::try_from(wire).map_err(|_| unspecified)? {
        proto::Relationship::Unspecified => Err(unspecified),
        proto::Relationship::Parent => Ok(Relationship::Parent),
        proto::Relationship::LegalGuardian => Ok(Relationship::LegalGuardian),
        proto::Relationship::OtherRepresentative => Ok(Relationship::OtherRepresentative),
    }
}

/// A consent, with the receipt of its last event if there is one.
pub fn consent(of: &Consent, receipt: Option<String>) -> proto::Consent {
    let request = of.request();
    let open = of.is_open();
    proto::Consent {
        consent_id: of.id().to_string(),
        state: state(of.state()).into(),
        decision_id: request.map(|r| r.decision.to_string()).unwrap_or_default(),
        jurisdiction: request.map(|r| r.jurisdiction.to_string()).unwrap_or_default(),
        requested: request.map(|r| all(&r.requested, purpose)).unwrap_or_default(),
        granted: all(of.granted(), purpose),
        notice: request.map(|r| proto::Notice {
            version: r.notice.version.to_string(),
            text_sha256: r.notice.digest.to_string(),
            language: r.notice.language.to_string(),
        }),
        methods: request.map(|r| all(&r.allowed_methods, method)).unwrap_or_default(),
        checks: of.checks().iter().map(check).collect(),
        review: all(of.review(), review),
        guardian_min_age: request.map_or(0, |r| r.guardian_min_age.into()),
        legal_guardian: request.is_some_and(|r| r.legal_guardian),
        relationship: of.relationship().map_or(0, |r| claimed(r).into()),
        requested_at: request.map(|r| timestamp(r.requested_at)),
        answer_by: request.filter(|_| open).map(|r| timestamp(r.answer_by)),
        given_at: of.given_at().map(timestamp),
        lapses_at: of.lapses_at().map(timestamp),
        guardian_access: of.state() == ConsentState::Given && !of.subject_acts(),
        events: of.events().iter().map(happened).collect(),
        receipt: receipt.unwrap_or_default(),
    }
}

/// That something cannot be done, with what to do.
pub fn not_possible(of: &Consent, why: NotPossible, language: Language) -> proto::ConsentNotPossible {
    proto::ConsentNotPossible {
        reason: reason(why).into(),
        consent: Some(consent(of, None)),
        message_key: Text::NotPossible(why).key(),
        message: Text::NotPossible(why).text(language).to_owned(),
    }
}

/// That a consent cannot be asked for like this: there is none to show.
pub fn not_asked(why: NotPossible, language: Language) -> proto::ConsentNotPossible {
    proto::ConsentNotPossible {
        reason: reason(why).into(),
        consent: None,
        message_key: Text::NotPossible(why).key(),
        message: Text::NotPossible(why).text(language).to_owned(),
    }
}

/// That a guardian was not accepted.
pub fn guardian_refused(
    problems: &[GuardianProblem],
    reasons: &[crate::terms::Reason],
    language: Language,
) -> proto::GuardianRefused {
    let text = Text::GuardianRefused;
    proto::GuardianRefused {
        problems: all(problems, problem),
        reasons: super::explained(reasons, language),
        retryable: problems.is_empty() && super::retryable(reasons),
        message_key: text.key(),
        message: text.text(language).to_owned(),
    }
}

fn all<T: Copy, W: Into<i32>>(values: &[T], to: impl Fn(T) -> W) -> Vec<i32> {
    values.iter().map(|value| to(*value).into()).collect()
}

fn check(of: &Check) -> proto::GuardianCheck {
    proto::GuardianCheck {
        method: method(of.method).into(),
        checked_at: Some(timestamp(of.at)),
        document_kind: of.evidence.map_or(0, |document| kind(document).into()),
        staff_ref: of.staff.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

fn happened(of: &Happened) -> proto::ConsentHappened {
    let actor = match of.actor {
        ConsentActor::Guardian => proto::ConsentActor::Guardian,
        ConsentActor::Subject => proto::ConsentActor::Subject,
        ConsentActor::RelyingParty => proto::ConsentActor::RelyingParty,
        ConsentActor::System => proto::ConsentActor::System,
    };
    proto::ConsentHappened { kind: of.kind.to_string(), at: Some(timestamp(of.at)), actor: actor.into() }
}

pub(in crate::server) fn purpose(of: ConsentPurpose) -> proto::ConsentPurpose {
    match of {
        ConsentPurpose::Collection => proto::ConsentPurpose::Collection,
        ConsentPurpose::ThirdPartyDisclosure => proto::ConsentPurpose::ThirdPartyDisclosure,
        ConsentPurpose::Marketing => proto::ConsentPurpose::Marketing,
        ConsentPurpose::Personalisation => proto::ConsentPurpose::Personalisation,
        ConsentPurpose::PublicProfile => proto::ConsentPurpose::PublicProfile,
        ConsentPurpose::Location => proto::ConsentPurpose::Location,
        ConsentPurpose::CrossBorderTransfer => proto::ConsentPurpose::CrossBorderTransfer,
        ConsentPurpose::AutomatedDecision => proto::ConsentPurpose::AutomatedDecision,
    }
}

fn method(of: VerificationMethod) -> proto::VerificationMethod {
    match of {
        VerificationMethod::IdScan => proto::VerificationMethod::IdScan,
        VerificationMethod::SignedForm => proto::VerificationMethod::SignedForm,
        VerificationMethod::PaymentCard => proto::VerificationMethod::PaymentCard,
        VerificationMethod::Phone => proto::VerificationMethod::Phone,
        VerificationMethod::Video => proto::VerificationMethod::Video,
        VerificationMethod::GovIdDatabase => proto::VerificationMethod::GovIdDatabase,
        VerificationMethod::KnowledgeBased => proto::VerificationMethod::KnowledgeBased,
        VerificationMethod::FaceMatch => proto::VerificationMethod::FaceMatch,
        VerificationMethod::EmailPlus => proto::VerificationMethod::EmailPlus,
        VerificationMethod::TextPlus => proto::VerificationMethod::TextPlus,
        VerificationMethod::KrWebSms => proto::VerificationMethod::KrWebSms,
        VerificationMethod::KrWebCard => proto::VerificationMethod::KrWebCard,
        VerificationMethod::KrWebPhoneIdentity => proto::VerificationMethod::KrWebPhoneIdentity,
        VerificationMethod::KrPaper => proto::VerificationMethod::KrPaper,
        VerificationMethod::KrEmail => proto::VerificationMethod::KrEmail,
        VerificationMethod::KrCall => proto::VerificationMethod::KrCall,
        VerificationMethod::KrEquivalent => proto::VerificationMethod::KrEquivalent,
    }
}

pub(in crate::server) fn state(of: ConsentState) -> proto::ConsentState {
    match of {
        ConsentState::Requested => proto::ConsentState::Requested,
        ConsentState::NoticeSent => proto::ConsentState::NoticeSent,
        ConsentState::InReview => proto::ConsentState::InReview,
        ConsentState::GuardianVerified => proto::ConsentState::GuardianVerified,
        ConsentState::Given => proto::ConsentState::Given,
        ConsentState::Refused => proto::ConsentState::Refused,
        ConsentState::TimedOut => proto::ConsentState::TimedOut,
        ConsentState::Withdrawn => proto::ConsentState::Withdrawn,
        ConsentState::Expired => proto::ConsentState::Expired,
        ConsentState::Superseded => proto::ConsentState::Superseded,
        ConsentState::AgedOut => proto::ConsentState::AgedOut,
        ConsentState::Erased => proto::ConsentState::Erased,
    }
}

fn claimed(of: Relationship) -> proto::Relationship {
    match of {
        Relationship::Parent => proto::Relationship::Parent,
        Relationship::LegalGuardian => proto::Relationship::LegalGuardian,
        Relationship::OtherRepresentative => proto::Relationship::OtherRepresentative,
    }
}

fn problem(of: GuardianProblem) -> proto::GuardianProblem {
    match of {
        GuardianProblem::GuardianTooYoung => proto::GuardianProblem::GuardianTooYoung,
        GuardianProblem::SamePerson => proto::GuardianProblem::SamePerson,
    }
}

fn review(of: ReviewReason) -> proto::ReviewReason {
    match of {
        ReviewReason::AgeGap => proto::ReviewReason::AgeGap,
        ReviewReason::ManyChildren => proto::ReviewReason::ManyChildren,
    }
}

fn reason(of: NotPossible) -> proto::NotPossibleReason {
    match of {
        NotPossible::AlreadyAnswered => proto::NotPossibleReason::AlreadyAnswered,
        NotPossible::Ended => proto::NotPossibleReason::Ended,
        NotPossible::NotGiven => proto::NotPossibleReason::NotGiven,
        NotPossible::GuardianNotVerified => proto::NotPossibleReason::GuardianNotVerified,
        NotPossible::InReview => proto::NotPossibleReason::InReview,
        NotPossible::NotInReview => proto::NotPossibleReason::NotInReview,
        NotPossible::MethodInsufficient => proto::NotPossibleReason::MethodInsufficient,
        NotPossible::MethodNotAllowed => proto::NotPossibleReason::MethodNotAllowed,
        NotPossible::CollectionRequired => proto::NotPossibleReason::CollectionRequired,
        NotPossible::PurposeNotRequested => proto::NotPossibleReason::PurposeNotRequested,
        NotPossible::LinkInvalid => proto::NotPossibleReason::LinkInvalid,
        NotPossible::GuardianAccessEnded => proto::NotPossibleReason::GuardianAccessEnded,
        NotPossible::SubjectTooYoung => proto::NotPossibleReason::SubjectTooYoung,
        NotPossible::ActorNotAllowed => proto::NotPossibleReason::ActorNotAllowed,
        NotPossible::NothingChanges => proto::NotPossibleReason::NothingChanges,
        NotPossible::TooManyChanges => proto::NotPossibleReason::TooManyChanges,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The wire's spelling of a value is the domain's, in capitals behind the enum's name.
    #[test]
    fn every_value_has_its_own_name_on_the_wire() {
        let name = |prefix: &str, text: &str| format!("{prefix}_{}", text.to_uppercase());
        for v in ConsentPurpose::ALL {
            assert_eq!(purpose(*v).as_str_name(), name("CONSENT_PURPOSE", v.as_str()));
        }
        for v in VerificationMethod::ALL {
            assert_eq!(method(*v).as_str_name(), name("VERIFICATION_METHOD", v.as_str()));
            assert_eq!(method_of(method(*v).into()), Some(*v));
        }
        for v in ConsentState::ALL {
            assert_eq!(state(*v).as_str_name(), name("CONSENT_STATE", v.as_str()));
        }
        for v in NotPossible::ALL {
            assert_eq!(reason(*v).as_str_name(), name("NOT_POSSIBLE_REASON", v.as_str()));
        }
        for v in GuardianProblem::ALL {
            assert_eq!(problem(*v).as_str_name(), name("GUARDIAN_PROBLEM", v.as_str()));
        }
        for v in ReviewReason::ALL {
            assert_eq!(review(*v).as_str_name(), name("REVIEW_REASON", v.as_str()));
        }
        for v in Relationship::ALL {
            assert_eq!(claimed(*v).as_str_name(), name("RELATIONSHIP", v.as_str()));
        }
    }

    #[test]
    fn lists_are_neither_empty_nor_endless_nor_of_unknown_values() {
        assert_eq!(purposes("purposes", &[]), Err(bad("purposes", Problem::Missing)));
        assert_eq!(purposes("purposes", &[1; 33]), Err(bad("purposes", Problem::TooLarge)));
        assert_eq!(purposes("purposes", &[1, 0]), Err(bad("purposes", Problem::Unspecified)));
        assert_eq!(purposes("purposes", &[3, 1, 3]), Ok(vec![ConsentPurpose::Collection, ConsentPurpose::Marketing]));
        assert_eq!(attested_method(1), Err(bad("attested.method", Problem::NotAllowedHere)));
    }
}
