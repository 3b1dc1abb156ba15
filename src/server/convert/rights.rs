//! RightsService's messages.
//!
//! The values of its closed sets stand on the wire in the order in which they are declared, from 1 on; a test holds the
//! names of both to each other.

use super::{BadField, Problem, bad, parse, timestamp};
use crate::flows::rights::{
    Answer, DataPoint, DuePage, DueRange, Extended, IssuedCode, Offered, OpenAsk, Opened, Plan, ProveAsk, RightsRequest,
};
use crate::flows::{Custody, Token};
use crate::secret::Sensitive;
use crate::server::messages::{Language, Text};
use crate::server::proto;
use crate::terms::{
    ActingAs, CodeChannel, DataPointKind, ExtensionReason, IdempotencyKey, ProofMethod, Redemption, RefusalBasis,
    Regime, RequestId, Right, RightsNotPossible, StaffRef, SubjectRef,
};
use jiff::Timestamp;
use jiff::civil::Date;
use std::collections::BTreeSet;

/// The most bytes of one value.
const LONGEST: usize = 512;
/// The most characters of a code as it was typed in.
const LONGEST_CODE: usize = 32;
/// The usual page.
const PAGE: usize = 50;
/// The longest range of dates, in years.
const YEARS: i64 = 5;
/// How long ago a request can have come in.
const LONG_AGO: jiff::SignedDuration = jiff::SignedDuration::from_hours(24 * 400);
/// The longest page.
const LONGEST_PAGE: usize = 100;

/// The value that stands at this place on the wire.
fn from_wire<T: Copy>(field: &'static str, all: &[T], wire: i32) -> Result<T, BadField> {
    let at = usize::try_from(wire).ok().and_then(|n| n.checked_sub(1));
    at.and_then(|at| all.get(at)).copied().ok_or(bad(field, Problem::Unspecified))
}

/// The place on the wire of a value.
fn to_wire<T: PartialEq>(all: &[T], value: &T) -> i32 {
    all.iter().position(|other| other == value).and_then(|at| i32::try_from(at + 1).ok()).unwrap_or_default()
}

/// A request's name.
pub fn request_id(text: &str) -> Result<RequestId, BadField> {
    parse("request_id", text)
}

/// A person.
pub fn subject(text: &str) -> Result<SubjectRef, BadField> {
    parse("subject_ref", text)
}

/// An idempotency key.
pub fn key(text: &str) -> Result<IdempotencyKey, BadField> {
    parse("idempotency_key", text)
}

/// The channel of a code.
pub fn channel(wire: i32) -> Result<CodeChannel, BadField> {
    from_wire("channel", CodeChannel::ALL, wire)
}

/// Why an answer takes longer.
pub fn extension(wire: i32) -> Result<ExtensionReason, BadField> {
    from_wire("reason", ExtensionReason::ALL, wire)
}

/// A member of staff.
pub fn staff(field: &'static str, text: &str) -> Result<StaffRef, BadField> {
    parse(field, text)
}

/// What OpenRequest asks, at this time.
pub fn open(wire: &proto::OpenRequestRequest, now: Timestamp) -> Result<OpenAsk, BadField> {
    let acting_as = from_wire("acting_as", ActingAs::ALL, wire.acting_as)?;
    let guardian = match (acting_as, wire.guardian_ref.as_str()) {
        (ActingAs::Guardian, text) => Some(parse("guardian_ref", text)?),
        (_, "") => None,
        _ => return Err(bad("guardian_ref", Problem::NotAllowedHere)),
    };
    let right = from_wire("right", Right::ALL, wire.right)?;
    let decision = match wire.decision_id.as_str() {
        "" => None,
        _ if right != Right::ExplainDecision => return Err(bad("decision_id", Problem::NotAllowedHere)),
        text => Some(parse("decision_id", text)?),
    };
    let regime = match wire.regime {
        0 => None,
        other => Some(from_wire("regime", Regime::ALL, other)?),
    };
    let received = wire.received_at.as_ref().map(|at| past("received_at", at, now)).transpose()?;
    if received.is_some_and(|at| now.duration_since(at) > LONG_AGO) {
        return Err(bad("received_at", Problem::NotAllowedHere));
    }
    Ok(OpenAsk {
        subject: subject(&wire.subject_ref)?,
        right,
        jurisdiction: parse("jurisdiction", &wire.jurisdiction)?,
        regime,
        acting_as,
        guardian,
        vouched: wire.vouched.iter().map(|way| vouched(*way)).collect::<Result<_, _>>()?,
        received_at: received,
        decision,
        single_use: wire.single_use,
        key: key(&wire.idempotency_key)?,
    })
}

/// A way over which the person was known.
fn vouched(wire: i32) -> Result<ProofMethod, BadField> {
    let all = [ProofMethod::Session, ProofMethod::PhoneCode, ProofMethod::EmailCode, ProofMethod::PostCode];
    from_wire("vouched", &all, wire)
}

/// A time that is over, or is now as two clocks may see it.
fn past(field: &'static str, wire: &prost_types::Timestamp, now: Timestamp) -> Result<Timestamp, BadField> {
    let at = Timestamp::new(wire.seconds, wire.nanos).map_err(|_| bad(field, Problem::Malformed))?;
    if at.duration_since(now).as_secs() > 60 { Err(bad(field, Problem::NotAllowedHere)) } else { Ok(at) }
}

/// What ProveRequester asks, at this time. A picture goes into custody.
pub fn prove(wire: proto::ProveRequesterRequest, custody: &Custody, now: Timestamp) -> Result<ProveAsk, BadField> {
    use proto::prove_requester_request::Proof as Wire;
    let offered = match wire.proof.ok_or(bad("proof", Problem::Missing))? {
        // Taken at once, so that they are overwritten whatever is found wrong below.
        Wire::IdCard(card) => {
            let (image, expected) = (custody.take(card.image, now), Sensitive::new(card.expected_date_of_birth));
            Offered::id_card(image, &expected).map_err(|_| bad("id_card.expected_date_of_birth", Problem::Malformed))?
        }
        Wire::Code(code) => Offered::Code(typed(Sensitive::new(code.code))?),
        Wire::DataPoints(points) => Offered::DataPoints(data_points(points)?),
        Wire::Session(session) => {
            let at = session.authenticated_at.ok_or(bad("session.authenticated_at", Problem::Missing))?;
            Offered::Session(past("session.authenticated_at", &at, now)?)
        }
        Wire::Declaration(signed) => Offered::Declaration(parse("declaration.staff_ref", &signed.staff_ref)?),
        Wire::HumanReview(by) => Offered::HumanReview(parse("human_review.staff_ref", &by.staff_ref)?),
        Wire::Guardian(by) => Offered::Guardian(parse("guardian.consent_id", &by.consent_id)?),
        Wire::AgentPermission(by) => Offered::AgentPermission(parse("agent_permission.staff_ref", &by.staff_ref)?),
        Wire::PowerOfAttorney(by) => Offered::PowerOfAttorney(parse("power_of_attorney.staff_ref", &by.staff_ref)?),
    };
    Ok(ProveAsk {
        request: request_id(&wire.request_id)?,
        subject: subject(&wire.subject_ref)?,
        offered,
        single_use: wire.single_use,
        key: key(&wire.idempotency_key)?,
    })
}

/// A code as it was typed in: what is no code of anybody is one that does not hold, unless it is not even short.
fn typed(code: Sensitive<String>) -> Result<Sensitive<String>, BadField> {
    match code.expose().chars().count() {
        0 => Err(bad("code.code", Problem::Missing)),
        1..=LONGEST_CODE => Ok(code),
        _ => Err(bad("code.code", Problem::TooLarge)),
    }
}

/// Values: two at least, so that none can be tested alone, and each kind once.
fn data_points(wire: proto::DataPointsProof) -> Result<Vec<DataPoint>, BadField> {
    let mut points = Vec::with_capacity(wire.points.len().min(DataPointKind::ALL.len()));
    let mut kinds = BTreeSet::new();
    for point in wire.points {
        let (claimed, on_file) = (Sensitive::new(point.claimed), Sensitive::new(point.on_file));
        let kind = from_wire("data_points.points.kind", DataPointKind::ALL, point.kind)?;
        if !kinds.insert(kind) {
            return Err(bad("data_points.points.kind", Problem::NotAllowedHere));
        }
        if claimed.expose().trim().is_empty() {
            return Err(bad("data_points.points.claimed", Problem::Missing));
        }
        if claimed.expose().len().max(on_file.expose().len()) > LONGEST {
            return Err(bad("data_points.points.claimed", Problem::TooLarge));
        }
        points.push(DataPoint { kind, claimed, on_file });
    }
    if points.len() < 2 { Err(bad("data_points.points", Problem::Missing)) } else { Ok(points) }
}

/// How a request is closed.
pub fn close(wire: Option<proto::close_request::Answer>) -> Result<Answer, BadField> {
    use proto::close_request::Answer as Wire;
    match wire.ok_or(bad("answer", Problem::Missing))? {
        Wire::Done(done) => {
            let partly = match done.partly_refused {
                0 => None,
                basis => Some(from_wire("done.partly_refused", RefusalBasis::ALL, basis)?),
            };
            Ok(Answer::Done(parse("done.staff_ref", &done.staff_ref)?, partly))
        }
        Wire::Refused(refused) => Ok(Answer::Refused(
            parse("refused.staff_ref", &refused.staff_ref)?,
            from_wire("refused.basis", RefusalBasis::ALL, refused.basis)?,
        )),
        Wire::Withdrawn(by) => Ok(Answer::Withdrawn(parse("withdrawn.staff_ref", &by.staff_ref)?)),
    }
}

/// The dates between which something is due; `usual` where none is said.
pub fn range(wire: &proto::ListDueRequest, usual: DueRange) -> Result<DueRange, BadField> {
    let or = |field, wire: Option<&proto::Date>, usual| wire.map_or(Ok(usual), |date| calendar_date(field, date));
    let from = or("from", wire.from.as_ref(), usual.from)?;
    let until = or("until", wire.until.as_ref(), usual.until)?;
    let longest = from.checked_add(jiff::Span::new().years(YEARS)).unwrap_or(Date::MAX);
    if until < from || until > longest {
        Err(bad("until", Problem::NotAllowedHere))
    } else {
        Ok(DueRange { from, until })
    }
}

/// How many are listed.
pub fn page_size(wire: u32) -> Result<usize, BadField> {
    match usize::try_from(wire) {
        Ok(0) => Ok(PAGE),
        Ok(size) if size <= LONGEST_PAGE => Ok(size),
        _ => Err(bad("page_size", Problem::TooLarge)),
    }
}

/// Where a page begins.
pub fn page_token<T: std::str::FromStr>(text: &str) -> Result<Option<T>, BadField> {
    if text.is_empty() { Ok(None) } else { parse("page_token", text).map(Some) }
}

fn calendar_date(field: &'static str, wire: &proto::Date) -> Result<Date, BadField> {
    let part = |n: i32| i8::try_from(n).ok();
    let year = i16::try_from(wire.year).ok();
    let parts = (year, part(wire.month), part(wire.day));
    let (Some(year), Some(month), Some(day)) = parts else { return Err(bad(field, Problem::Malformed)) };
    Date::new(year, month, day).map_err(|_| bad(field, Problem::Malformed))
}

fn date(day: Date) -> proto::Date {
    proto::Date { year: day.year().into(), month: day.month().into(), day: day.day().into() }
}

/// A request.
pub fn request(of: &RightsRequest, now: Timestamp) -> proto::RightsRequest {
    let asked = of.asked();
    let ending = of.ending();
    proto::RightsRequest {
        request_id: of.id().to_string(),
        right: to_wire(Right::ALL, &asked.right),
        regime: to_wire(Regime::ALL, &asked.regime),
        jurisdiction: asked.jurisdiction.to_string(),
        acting_as: to_wire(ActingAs::ALL, &asked.acting_as),
        state: to_wire(crate::terms::RequestState::ALL, &of.state()),
        required_level: to_wire(crate::terms::ProofLevel::ALL, &of.required(now)),
        reached_level: to_wire(crate::terms::ProofLevel::ALL, &of.reached(now)),
        missing: of.missing(now).iter().map(|what| to_wire(crate::terms::Missing::ALL, what)).collect(),
        id_document: to_wire(crate::terms::IdDocument::ALL, &of.terms(now).id_document),
        received_at: Some(timestamp(asked.received_at)),
        due_date: Some(date(of.clock().due)),
        due_at: Some(timestamp(of.clock().due_at)),
        acknowledge_by: of.acknowledge_by().map(date),
        acknowledged_at: of.acknowledged_at().map(timestamp),
        extensions: of.extensions().iter().map(|of: &Extended| to_wire(ExtensionReason::ALL, &of.reason)).collect(),
        overdue: of.is_overdue(),
        refusal_basis: ending.and_then(|of| of.basis).map_or(0, |basis| to_wire(RefusalBasis::ALL, &basis)),
        closed_at: ending.map(|of| timestamp(of.at)),
        table_digest: asked.table.to_string(),
    }
}

/// A request that was taken.
pub fn opened(of: &Opened, token: Option<&Token>, now: Timestamp) -> proto::OpenRequestResponse {
    proto::OpenRequestResponse {
        request: Some(request(&of.request, now)),
        may_ask: may_ask(&of.request, now),
        never_ask: never_ask(&of.plan),
        citations: citations(&of.plan),
        proof: token.map(proof_token),
    }
}

/// What may be asked for: of the ways over which the requester was not known before, none.
pub fn may_ask(of: &RightsRequest, now: Timestamp) -> Vec<i32> {
    let ways = [ProofMethod::Session, ProofMethod::PhoneCode, ProofMethod::EmailCode, ProofMethod::PostCode];
    let known = |method: &ProofMethod| !ways.contains(method) || of.asked().vouched.contains(method);
    let asked = of.terms(now).may_ask.iter().filter(|method| known(method));
    asked.map(|method| to_wire(ProofMethod::ALL, method)).collect()
}

/// What must not be asked for.
pub fn never_ask(plan: &Plan) -> Vec<i32> {
    plan.never_ask.iter().map(|never| to_wire(crate::terms::NeverAsk::ALL, never)).collect()
}

/// What the terms rest on, each with its mark.
pub fn citations(plan: &Plan) -> Vec<String> {
    plan.citations.iter().map(|c| format!("{} (in force {}; {:?})", c.text, c.in_force, c.mark)).collect()
}

/// A token.
pub fn proof_token(token: &Token) -> proto::ProofToken {
    proto::ProofToken { token: token.as_str().to_owned(), expires_at: Some(timestamp(token.expires_at())) }
}

/// A code.
pub fn issued(code: &IssuedCode) -> proto::IssuedCode {
    proto::IssuedCode {
        code: code.code.expose().clone(),
        expires_at: Some(timestamp(code.expires_at)),
        tries: code.tries.into(),
    }
}

/// Why something cannot be done with a request.
pub fn impossible(
    why: RightsNotPossible,
    of: Option<&RightsRequest>,
    language: Language,
    now: Timestamp,
) -> proto::RightsImpossible {
    let text = Text::RightsNotPossible(why);
    proto::RightsImpossible {
        reason: to_wire(RightsNotPossible::ALL, &why),
        message_key: text.key(),
        message: text.text(language).to_owned(),
        request: of.map(|of| request(of, now)),
    }
}

/// What was shown and holds.
pub fn records(of: &RightsRequest) -> Vec<proto::ProofRecord> {
    let record = |shown: &crate::flows::rights::Shown| proto::ProofRecord {
        method: to_wire(ProofMethod::ALL, &shown.method),
        shown_at: Some(timestamp(shown.at)),
        staff_ref: shown.staff.as_ref().map_or_else(String::new, |staff| staff.as_str().to_owned()),
    };
    of.shown().iter().map(record).collect()
}

/// The remedy against a refusal and its ground, in words; empty for what was not refused.
pub fn remedy(of: &RightsRequest, language: Language) -> (String, String) {
    let Some(basis) = of.ending().and_then(|ending| ending.basis) else { return Default::default() };
    let words = |text: Text| text.text(language).to_owned();
    (words(Text::Remedy(of.asked().regime)), words(Text::Ground(basis)))
}

/// What became of a token.
pub fn redemption(of: Redemption) -> i32 {
    to_wire(Redemption::ALL, &of)
}

/// Some open requests.
pub fn due(page: &DuePage, now: Timestamp) -> proto::ListDueResponse {
    proto::ListDueResponse {
        requests: page.requests.iter().map(|of| request(of, now)).collect(),
        next_page_token: page.next.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::{IdDocument, Missing, NeverAsk, ProofLevel, RequestState};

    /// Every value stands on the wire under its own name, at its own place, and nothing else does.
    macro_rules! same_names {
        ($($name:ident $prefix:literal),+) => {$({
            for value in $name::ALL {
                let wire = proto::$name::try_from(to_wire($name::ALL, value)).unwrap();
                let capitals = value.as_str().to_uppercase();
                assert_eq!(wire.as_str_name(), format!("{}_{capitals}", $prefix));
                assert_eq!(from_wire("x", $name::ALL, wire.into()), Ok(*value));
            }
            let past = i32::try_from($name::ALL.len()).unwrap() + 1;
            assert!(proto::$name::try_from(past).is_err(), "more on the wire than in the domain");
            for wrong in [0, -1, past, i32::MAX, i32::MIN] {
                assert_eq!(from_wire("x", $name::ALL, wrong), Err(bad("x", Problem::Unspecified)));
            }
        })+};
    }

    #[test]
    fn every_value_has_its_own_name_on_the_wire() {
        same_names!(
            Right "RIGHT", Regime "REGIME", ActingAs "ACTING_AS", ProofLevel "PROOF_LEVEL",
            CodeChannel "CODE_CHANNEL", ProofMethod "PROOF_METHOD", Missing "MISSING", NeverAsk "NEVER_ASK",
            IdDocument "ID_DOCUMENT", DataPointKind "DATA_POINT_KIND", RequestState "REQUEST_STATE",
            RefusalBasis "REFUSAL_BASIS", ExtensionReason "EXTENSION_REASON",
            RightsNotPossible "RIGHTS_NOT_POSSIBLE", Redemption "REDEMPTION"
        );
    }

    #[test]
    fn vouched_ways_are_the_proofs_that_they_lead_to() {
        for (wire, method) in [
            (proto::Vouched::Session, ProofMethod::Session),
            (proto::Vouched::Phone, ProofMethod::PhoneCode),
            (proto::Vouched::Email, ProofMethod::EmailCode),
            (proto::Vouched::Post, ProofMethod::PostCode),
        ] {
            assert_eq!(vouched(wire.into()), Ok(method));
        }
        assert!(vouched(0).is_err() && vouched(5).is_err());
    }

    #[test]
    fn data_points_are_two_at_least_each_kind_once_and_short() {
        let point =
            |kind: i32, claimed: &str| proto::DataPoint { kind, claimed: claimed.to_owned(), on_file: "x".to_owned() };
        let read = |points: Vec<proto::DataPoint>| data_points(proto::DataPointsProof { points }).map(|p| p.len());
        assert_eq!(read(vec![point(1, "a"), point(2, "b")]), Ok(2));
        assert_eq!(read(vec![point(1, "a")]), Err(bad("data_points.points", Problem::Missing)));
        assert_eq!(
            read(vec![point(1, "a"), point(1, "b")]),
            Err(bad("data_points.points.kind", Problem::NotAllowedHere))
        );
        assert_eq!(read(vec![point(1, " "), point(2, "b")]), Err(bad("data_points.points.claimed", Problem::Missing)));
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(
            read(vec![point(1, &long), point(2, "b")]),
            Err(bad("data_points.points.claimed", Problem::TooLarge))
        );
        assert!(read(vec![point(0, "a"), point(2, "b")]).is_err());
    }
}
