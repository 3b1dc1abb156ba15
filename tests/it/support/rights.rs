//! What rights tests share: the calls of a rights team in one line each.

use super::{SHOP, TurnedClock, World};
use idgate::server::proto::event_service_client::EventServiceClient;
use idgate::server::proto::prove_requester_request::Proof;
use idgate::server::proto::prove_requester_response::Outcome as Proved;
use idgate::server::proto::rights_service_client::RightsServiceClient;
use idgate::server::proto::{
    self, ActingAs, CloseRequest, CodeChannel, DataPointKind, Event, EventType, ExtendRequest, ExtensionReason,
    OpenRequestRequest, OpenRequestResponse, ProveRequesterRequest, ProveRequesterResponse, Redemption, RefusalBasis,
    RequestState, Right, RightsImpossible, RightsNotPossible, RightsRequest, Vouched, close_request,
    issue_code_response,
};
use jiff::{SignedDuration, Timestamp};
use tonic::transport::Channel;
use tonic::{Code, Status};

/// Who decides in most tests.
pub const STAFF: &str = "staff-7";

/// A request that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    pub id: String,
    pub subject: String,
    pub answer: OpenRequestResponse,
}

impl Taken {
    /// The request as it was when it was taken.
    pub fn request(&self) -> &RightsRequest {
        self.answer.request.as_ref().unwrap()
    }
}

/// A key that was never used.
pub fn fresh_key() -> String {
    format!("key-{}", uuid::Uuid::new_v4())
}

/// What a person asks for themselves, known over these ways.
pub fn asks(subject: &str, right: Right, place: &str, vouched: &[Vouched]) -> OpenRequestRequest {
    OpenRequestRequest {
        subject_ref: subject.to_owned(),
        right: right.into(),
        jurisdiction: place.to_owned(),
        acting_as: ActingAs::Self_.into(),
        vouched: vouched.iter().map(|way| (*way).into()).collect(),
        idempotency_key: fresh_key(),
        ..OpenRequestRequest::default()
    }
}

/// A time on the wire.
pub fn wire(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() }
}

/// A time from the wire, as text.
pub fn at(wire: Option<&prost_types::Timestamp>) -> String {
    wire.map_or_else(String::new, |at| Timestamp::new(at.seconds, at.nanos).unwrap().to_string())
}

/// A date from the wire, as text.
pub fn day(wire: Option<&proto::Date>) -> String {
    wire.map_or_else(String::new, |day| format!("{:04}-{:02}-{:02}", day.year, day.month, day.day))
}

/// A date for the wire.
pub fn date(text: &str) -> Option<proto::Date> {
    let day: jiff::civil::Date = text.parse().unwrap();
    Some(proto::Date { year: day.year().into(), month: day.month().into(), day: day.day().into() })
}

/// Lets time pass.
pub fn pass(clock: &TurnedClock, by: SignedDuration) {
    clock.turn_to(&(clock.now() + by).to_string());
}

pub fn session(since: Timestamp) -> Proof {
    Proof::Session(proto::SessionProof { authenticated_at: Some(wire(since)) })
}

pub fn code(text: &str) -> Proof {
    Proof::Code(proto::CodeProof { code: text.to_owned() })
}

/// A code that this one is not.
pub fn other_than(code: &str) -> String {
    let (first, rest) = code.split_at(1);
    format!("{}{rest}", if first == "9" { "0" } else { "9" })
}

/// What is said, beside what is on file.
pub fn points(said: &[(DataPointKind, &str, &str)]) -> Proof {
    let point = |(kind, claimed, on_file): &(DataPointKind, &str, &str)| proto::DataPoint {
        kind: (*kind).into(),
        claimed: (*claimed).to_owned(),
        on_file: (*on_file).to_owned(),
    };
    Proof::DataPoints(proto::DataPointsProof { points: said.iter().map(point).collect() })
}

/// Two data points that agree.
pub fn two_points() -> Proof {
    points(&[
        (DataPointKind::PostalAddress, "1 example street", "1 example street"),
        (DataPointKind::Transaction, "two red gifts", "two red gifts"),
    ])
}

/// Two data points of which one is wrong.
pub fn wrong_points() -> Proof {
    points(&[
        (DataPointKind::PostalAddress, "1 example street", "1 example street"),
        (DataPointKind::Transaction, "two red gifts", "a green gift"),
    ])
}

/// A card as the script reads it, and the date that it must show.
pub fn card(words: &str, expected: &str) -> Proof {
    let card = proto::IdCardProof { image: words.as_bytes().to_vec(), expected_date_of_birth: expected.to_owned() };
    Proof::IdCard(card)
}

pub fn declaration() -> Proof {
    Proof::Declaration(proto::DeclarationProof { staff_ref: STAFF.to_owned() })
}

fn by_staff() -> proto::StaffProof {
    proto::StaffProof { staff_ref: STAFF.to_owned() }
}

pub fn reviewed() -> Proof {
    Proof::HumanReview(by_staff())
}

pub fn permission() -> Proof {
    Proof::AgentPermission(by_staff())
}

pub fn attorney() -> Proof {
    Proof::PowerOfAttorney(by_staff())
}

pub fn guardian(consent: &str) -> Proof {
    Proof::Guardian(proto::GuardianProof { consent_id: consent.to_owned() })
}

pub fn done() -> close_request::Answer {
    close_request::Answer::Done(proto::Done { staff_ref: STAFF.to_owned(), partly_refused: 0 })
}

pub fn refused(basis: RefusalBasis) -> close_request::Answer {
    close_request::Answer::Refused(proto::Refusal { staff_ref: STAFF.to_owned(), basis: basis.into() })
}

/// That it holds; the request after it.
pub fn accepted(answer: ProveRequesterResponse) -> RightsRequest {
    let Some(Proved::Accepted(request)) = answer.outcome else { panic!("not accepted: {answer:?}") };
    let verified = request.state() == RequestState::Verified;
    assert_eq!(answer.message_key, if verified { "proof.verified" } else { "proof.more_needed" });
    assert!(!answer.message.is_empty() && (verified || answer.proof.is_none()));
    request
}

/// That it does not hold; the request after it.
pub fn not_accepted(answer: ProveRequesterResponse) -> RightsRequest {
    let Some(Proved::NotAccepted(request)) = answer.outcome else { panic!("not refused: {answer:?}") };
    assert_eq!(answer.message_key, "proof.not_accepted");
    assert!(answer.proof.is_none(), "nobody gets a token for what does not hold");
    request
}

/// Why it was not looked at.
pub fn not_possible(answer: ProveRequesterResponse) -> RightsNotPossible {
    let Some(Proved::NotPossible(why)) = answer.outcome else { panic!("looked at: {answer:?}") };
    assert!(answer.proof.is_none() && answer.message_key == why.message_key && answer.message == why.message);
    checked(&why)
}

/// The reason, which comes with words.
pub fn checked(why: &RightsImpossible) -> RightsNotPossible {
    let name = why.reason().as_str_name().trim_start_matches("RIGHTS_NOT_POSSIBLE_").to_lowercase();
    assert_eq!(why.message_key, format!("rights.{name}"));
    assert!(!why.message.is_empty());
    why.reason()
}

impl World {
    /// A server whose time the test tells.
    pub async fn wound(clock: &TurnedClock) -> Self {
        let clock = clock.clone();
        Self::with(|_| {}, move |app| clock.wind(app)).await
    }

    pub fn rights(&self) -> RightsServiceClient<Channel> {
        RightsServiceClient::new(self.channel.clone())
    }

    pub async fn open_as(&self, party: &str, ask: OpenRequestRequest) -> Result<Taken, Status> {
        let subject = ask.subject_ref.clone();
        let answer = self.rights().open_request(self.authorized(party, ask)).await?.into_inner();
        Ok(Taken { id: answer.request.as_ref().unwrap().request_id.clone(), subject, answer })
    }

    pub async fn open(&self, ask: OpenRequestRequest) -> Taken {
        self.open_as(SHOP, ask).await.unwrap()
    }

    /// What IssueCode answers.
    pub async fn issue(&self, taken: &Taken, channel: CodeChannel) -> Result<issue_code_response::Outcome, Status> {
        let request = proto::IssueCodeRequest {
            request_id: taken.id.clone(),
            subject_ref: taken.subject.clone(),
            channel: channel.into(),
            language: String::new(),
        };
        let answer = self.rights().issue_code(self.authorized(SHOP, request)).await?;
        Ok(answer.into_inner().outcome.unwrap())
    }

    /// A code that was delivered.
    pub async fn code(&self, taken: &Taken, channel: CodeChannel) -> String {
        match self.issue(taken, channel).await.unwrap() {
            issue_code_response::Outcome::Issued(issued) => {
                super::canaries::scanner().add(&issued.code);
                issued.code
            }
            other => panic!("no code: {other:?}"),
        }
    }

    /// Why there is no code.
    pub async fn no_code(&self, taken: &Taken, channel: CodeChannel) -> RightsNotPossible {
        match self.issue(taken, channel).await.unwrap() {
            issue_code_response::Outcome::NotPossible(why) => checked(&why),
            other => panic!("a code: {other:?}"),
        }
    }

    pub fn proving(&self, taken: &Taken, proof: Proof) -> ProveRequesterRequest {
        ProveRequesterRequest {
            request_id: taken.id.clone(),
            subject_ref: taken.subject.clone(),
            proof: Some(proof),
            single_use: false,
            language: String::new(),
            idempotency_key: fresh_key(),
        }
    }

    pub async fn try_prove(&self, ask: ProveRequesterRequest) -> Result<ProveRequesterResponse, Status> {
        let picture = match &ask.proof {
            Some(Proof::IdCard(card)) => Some(card.image.clone()),
            _ => None,
        };
        let answer = self.rights().prove_requester(self.authorized(SHOP, ask)).await?.into_inner();
        assert_eq!(picture.is_some(), answer.disposal.is_some());
        if let (Some(picture), Some(receipt)) = (picture, &answer.disposal) {
            super::disposal::claims_of(&self.app, SHOP, &picture, receipt);
        }
        // It is new each time.
        Ok(ProveRequesterResponse { disposal: None, ..answer })
    }

    pub async fn prove(&self, taken: &Taken, proof: Proof) -> ProveRequesterResponse {
        self.try_prove(self.proving(taken, proof)).await.unwrap()
    }

    /// Shows a code that was delivered over this channel.
    pub async fn prove_code(&self, taken: &Taken, channel: CodeChannel) -> RightsRequest {
        let text = self.code(taken, channel).await;
        accepted(self.prove(taken, code(&text)).await)
    }

    /// A request that is verified by an e-mail code and two data points, and its token.
    pub async fn verified(&self, ask: OpenRequestRequest, single_use: bool) -> (Taken, String) {
        let taken = self.open(ask).await;
        self.prove_code(&taken, CodeChannel::Email).await;
        let ask = ProveRequesterRequest { single_use, ..self.proving(&taken, two_points()) };
        let answer = self.try_prove(ask).await.unwrap();
        let token = answer.proof.clone().unwrap().token;
        assert_eq!(accepted(answer).state(), RequestState::Verified);
        (taken, token)
    }

    pub async fn redeem_as(&self, party: &str, token: &str) -> proto::RedeemProofResponse {
        let request = proto::RedeemProofRequest { token: token.to_owned() };
        self.rights().redeem_proof(self.authorized(party, request)).await.unwrap().into_inner()
    }

    /// What became of a token; what is told with it only if it is good.
    pub async fn redeem(&self, token: &str) -> Redemption {
        let answer = self.redeem_as(SHOP, token).await;
        let good = answer.redemption() == Redemption::Redeemed;
        assert_eq!((answer.request.is_some(), !answer.subject_ref.is_empty()), (good, good));
        answer.redemption()
    }

    pub async fn get_request(&self, taken: &Taken) -> proto::GetRequestResponse {
        let request = proto::GetRequestRequest { request_id: taken.id.clone(), language: String::new() };
        self.rights().get_request(self.authorized(SHOP, request)).await.unwrap().into_inner()
    }

    /// Where a request stands.
    pub async fn stands(&self, taken: &Taken) -> RightsRequest {
        self.get_request(taken).await.request.unwrap()
    }

    pub async fn acknowledge(&self, taken: &Taken) -> Result<RightsRequest, RightsNotPossible> {
        let request = proto::AcknowledgeRequest {
            request_id: taken.id.clone(),
            language: String::new(),
            idempotency_key: fresh_key(),
        };
        let answer = self.rights().acknowledge(self.authorized(SHOP, request)).await.unwrap().into_inner();
        match answer.outcome.unwrap() {
            proto::acknowledge_response::Outcome::Acknowledged(request) => Ok(request),
            proto::acknowledge_response::Outcome::NotPossible(why) => Err(checked(&why)),
        }
    }

    pub fn extending(&self, taken: &Taken, reason: ExtensionReason) -> ExtendRequest {
        ExtendRequest {
            request_id: taken.id.clone(),
            reason: reason.into(),
            staff_ref: STAFF.to_owned(),
            language: String::new(),
            idempotency_key: fresh_key(),
        }
    }

    pub async fn try_extend(&self, ask: ExtendRequest) -> Result<RightsRequest, RightsNotPossible> {
        let answer = self.rights().extend(self.authorized(SHOP, ask)).await.unwrap().into_inner();
        match answer.outcome.unwrap() {
            proto::extend_response::Outcome::Extended(request) => Ok(request),
            proto::extend_response::Outcome::NotPossible(why) => Err(checked(&why)),
        }
    }

    pub async fn extend(&self, taken: &Taken, why: ExtensionReason) -> Result<RightsRequest, RightsNotPossible> {
        self.try_extend(self.extending(taken, why)).await
    }

    pub fn closing(&self, taken: &Taken, answer: close_request::Answer) -> CloseRequest {
        CloseRequest {
            request_id: taken.id.clone(),
            answer: Some(answer),
            language: String::new(),
            idempotency_key: fresh_key(),
        }
    }

    pub async fn try_close(&self, ask: CloseRequest) -> proto::CloseResponse {
        self.rights().close(self.authorized(SHOP, ask)).await.unwrap().into_inner()
    }

    pub async fn close(
        &self,
        taken: &Taken,
        answer: close_request::Answer,
    ) -> Result<RightsRequest, RightsNotPossible> {
        match self.try_close(self.closing(taken, answer)).await.outcome.unwrap() {
            proto::close_response::Outcome::Closed(request) => Ok(request),
            proto::close_response::Outcome::NotPossible(why) => Err(checked(&why)),
        }
    }

    pub async fn unlock(&self, subject: &str) {
        let request = proto::UnlockRequest { subject_ref: subject.to_owned(), staff_ref: "staff-7".to_owned() };
        self.rights().unlock(self.authorized(SHOP, request)).await.unwrap();
    }

    /// Every event that the shop is told of, in order.
    pub async fn told(&self) -> Vec<Event> {
        let request = proto::WatchRequest { cursor: String::new(), types: vec![] };
        let mut client = EventServiceClient::new(self.channel.clone());
        let mut watching = client.watch(self.authorized(SHOP, request)).await.unwrap().into_inner();
        let mut events = Vec::new();
        while let Some(event) = watching.message().await.unwrap().unwrap().event {
            events.push(event);
        }
        events
    }

    /// The kinds of events that name a request, in order, without the prefix that all have.
    pub async fn told_of(&self, taken: &Taken) -> Vec<&'static str> {
        let events = self.told().await;
        let own = events.iter().filter(|event| event.request_id == taken.id);
        own.map(|event| event.r#type().as_str_name().trim_start_matches("EVENT_TYPE_")).collect()
    }

    /// How many events of a kind there are.
    pub async fn count_told(&self, kind: EventType) -> usize {
        self.told().await.iter().filter(|event| event.r#type() == kind).count()
    }
}

/// That this is not found, in the same words whatever it is.
pub fn assert_unknown<T: std::fmt::Debug>(answer: Result<T, Status>) -> Status {
    let status = answer.unwrap_err();
    assert_eq!((status.code(), super::reason(&status).as_str()), (Code::NotFound, "UNKNOWN_REQUEST"));
    status
}
