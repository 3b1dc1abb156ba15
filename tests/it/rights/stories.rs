//! Rights requests as a privacy team lives them, from the day they come in to the answer.

use crate::support::rights::{
    accepted, asks, attorney, card, code, day, done, fresh_key, guardian, not_accepted, not_possible, pass, permission,
    refused, session, two_points,
};
use crate::support::{Asked, SHOP, TurnedClock, World, ask, claims, reason};
use idgate::consent::Controller;
use idgate::server::proto::check_age_response::Outcome as Checked;
use idgate::server::proto::close_response::Outcome as Closed;
use idgate::server::proto::{
    self, ActingAs, CodeChannel, ConsentActor, ConsentState, EventType, ExtensionReason, IdDocument, Missing, NeverAsk,
    OpenRequestRequest, ProofLevel, ProofMethod, Redemption, RefusalBasis, Regime, RequestState, Right,
    RightsNotPossible as No, TokenStatus, VerificationMethod, Vouched,
};
use jiff::SignedDuration;

const NOW: &str = "2026-11-22T03:00:00Z";
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

async fn world() -> (World, TurnedClock) {
    let clock = TurnedClock::at(NOW);
    (World::wound(&clock).await, clock)
}

/// Who must be told of an erasure too.
fn controller() -> Controller {
    Controller {
        name: "Shop Inc.".to_owned(),
        address: "1 Example Street".to_owned(),
        contact: "privacy@shop.example".to_owned(),
        notice_url: "https://shop.example/privacy".to_owned(),
        storage_locations: vec!["KR".to_owned()],
        retention_period: "until the account is closed".to_owned(),
        recipients: vec!["hosting provider".to_owned(), "postal service".to_owned()],
        withdrawal_method: "https://shop.example/family".to_owned(),
        pii_categories: vec!["account data".to_owned()],
    }
}

/// A guardian's consent for a child in Korea.
async fn consented(world: &World, subject: &str, born: &str, guardian_ref: &str) -> Asked {
    let decision = world.consent_required(subject, born).await;
    let methods = [VerificationMethod::IdScan, VerificationMethod::KrPaper];
    let mut request = world.consent_request(subject, &decision, &methods);
    request.guardian_ref = guardian_ref.to_owned();
    let asked = world.request_with(request).await;
    world.guardian_card(&asked.id, "read 1980-01-02").await;
    if asked.consent.legal_guardian {
        let attested = proto::AttestedMethod { method: VerificationMethod::KrPaper.into(), staff_ref: String::new() };
        world.verify_guardian(&asked.id, proto::verify_guardian_request::Proof::Attested(attested)).await.unwrap();
    }
    let answer = world.respond(world.grant_request(&asked)).await;
    assert!(matches!(answer, proto::respond_response::Outcome::Given(_)), "{answer:?}");
    asked
}

fn by_guardian(subject: &str, right: Right, guardian_ref: &str) -> OpenRequestRequest {
    OpenRequestRequest {
        acting_as: ActingAs::Guardian.into(),
        guardian_ref: guardian_ref.to_owned(),
        ..asks(subject, right, "KR", &[Vouched::Email])
    }
}

fn wire<T: Copy + Into<i32>>(values: &[T]) -> Vec<i32> {
    values.iter().map(|value| (*value).into()).collect()
}

#[tokio::test]
async fn access_by_an_adult_who_is_logged_in() {
    let (world, clock) = world().await;
    let taken = world.open(asks("haneul", Right::Access, "KR", &[Vouched::Session, Vouched::Email])).await;
    let request = taken.request();
    assert_eq!((request.regime(), request.acting_as()), (Regime::Pipa, ActingAs::Self_));
    assert_eq!((request.required_level(), request.reached_level()), (ProofLevel::L2, ProofLevel::L0));
    assert_eq!((request.state(), request.id_document()), (RequestState::Open, IdDocument::Forbidden));
    assert_eq!(request.missing, wire(&[Missing::SessionOrCode, Missing::SecondFactor]));
    assert!(taken.answer.never_ask.contains(&NeverAsk::IdImage.into()) && taken.answer.proof.is_none());
    assert!(!taken.answer.may_ask.contains(&ProofMethod::IdCard.into()));
    assert!(!taken.answer.citations.is_empty() && request.table_digest.len() == 64);
    assert_eq!(day(request.due_date.as_ref()), "2026-12-02");
    let sure = world.acknowledge(&taken).await.unwrap();
    assert_eq!(sure.acknowledged_at, Some(crate::support::rights::wire(clock.now())));

    let one = accepted(world.prove(&taken, session(clock.now() - 3 * MINUTE)).await);
    assert_eq!((one.state(), one.reached_level()), (RequestState::Open, ProofLevel::L1));
    assert_eq!(one.missing, wire(&[Missing::SecondFactor]));
    assert_eq!(world.close(&taken, done()).await.unwrap_err(), No::NotVerified);

    let text = world.code(&taken, CodeChannel::Email).await;
    assert!(text.len() == 6 && text.bytes().all(|digit| digit.is_ascii_digit()));
    let ask = proto::ProveRequesterRequest { single_use: true, ..world.proving(&taken, code(&text)) };
    let answer = world.try_prove(ask).await.unwrap();
    let proof = answer.proof.clone().unwrap();
    let verified = accepted(answer);
    assert_eq!((verified.state(), verified.reached_level()), (RequestState::Verified, ProofLevel::L2));
    assert!(verified.missing.is_empty());

    let says = claims(&proof.token);
    assert_eq!((&says["right"], &says["aud"]), (&"access".into(), &SHOP.into()));
    assert_eq!((&says["level"], &says["acting_as"]), (&"l2".into(), &"self".into()));
    assert_eq!(proof.expires_at, Some(crate::support::rights::wire(clock.now() + 15 * MINUTE)));
    let redeemed = world.redeem_as(SHOP, &proof.token).await;
    assert_eq!((redeemed.redemption(), redeemed.subject_ref.as_str()), (Redemption::Redeemed, "haneul"));
    assert_eq!(redeemed.request.unwrap().request_id, taken.id);

    let closed = world.close(&taken, done()).await.unwrap();
    assert_eq!((closed.state(), closed.overdue), (RequestState::Done, false));
    assert_eq!(closed.closed_at, Some(crate::support::rights::wire(clock.now())));
    let shown = world.get_request(&taken).await.proofs;
    let methods: Vec<ProofMethod> = shown.iter().map(|proof| proof.method()).collect();
    assert_eq!(methods, [ProofMethod::Session, ProofMethod::EmailCode]);
    assert_eq!(
        world.told_of(&taken).await,
        [
            "RIGHTS_OPENED",
            "RIGHTS_ACKNOWLEDGED",
            "RIGHTS_PROOF_SHOWN",
            "RIGHTS_CODE_MADE",
            "RIGHTS_VERIFIED",
            "RIGHTS_PROOF_REDEEMED",
            "RIGHTS_DONE"
        ]
    );
}

#[tokio::test]
async fn access_by_a_session_and_two_data_points() {
    let (world, clock) = world().await;
    let taken = world.open(asks("haneul", Right::Access, "KR", &[Vouched::Session])).await;
    let points = accepted(world.prove(&taken, two_points()).await);
    assert_eq!(points.reached_level(), ProofLevel::L0, "what somebody knows is nothing without a contact");
    assert_eq!(points.missing, wire(&[Missing::SessionOrCode]));
    let answer = world.prove(&taken, session(clock.now())).await;
    let token = answer.proof.clone().unwrap().token;
    assert_eq!(accepted(answer).state(), RequestState::Verified);
    // A token that is not for one use holds as often as it is needed.
    for _ in 0..2 {
        assert_eq!(world.redeem(&token).await, Redemption::Redeemed);
    }
    world.acknowledge(&taken).await.unwrap();
    world.close(&taken, done()).await.unwrap();
    assert_eq!(
        world.told_of(&taken).await,
        ["RIGHTS_OPENED", "RIGHTS_PROOF_SHOWN", "RIGHTS_VERIFIED", "RIGHTS_ACKNOWLEDGED", "RIGHTS_DONE"]
    );
}

#[tokio::test]
async fn erasure_by_an_email_code_and_two_data_points_erases_here_and_tells_the_others() {
    let clock = TurnedClock::at(NOW);
    let wound = clock.clone();
    let set = |settings: &mut idgate::config::Settings| {
        settings.consent.controllers.insert(SHOP.parse().unwrap(), controller());
    };
    let world = World::with(set, move |app| wound.wind(app)).await;
    let consent = consented(&world, "minsu", "2011-03-10", "mother").await;
    let other = consented(&world, "jiho", "2011-03-11", "mother").await;
    let taken = world.open(asks("minsu", Right::Delete, "KR", &[Vouched::Email])).await;
    assert_eq!(
        (taken.request().required_level(), taken.request().id_document()),
        (ProofLevel::L2, IdDocument::Forbidden)
    );

    let one = world.prove_code(&taken, CodeChannel::Email).await;
    assert_eq!((one.state(), one.reached_level()), (RequestState::Open, ProofLevel::L1));
    let two = accepted(world.prove(&taken, two_points()).await);
    assert_eq!((two.state(), two.reached_level()), (RequestState::Verified, ProofLevel::L2));
    assert_eq!(world.get_consent(&consent.id).await.state(), ConsentState::Given, "asked for is not yet granted");

    assert_eq!(world.close(&taken, done()).await.unwrap().state(), RequestState::Done);
    assert_eq!(world.get_consent(&consent.id).await.state(), ConsentState::Erased);
    let listed = |subject: &str| proto::ListConsentsRequest { subject_ref: subject.to_owned() };
    let list = world.consents().list_consents(world.authorized(SHOP, listed("minsu"))).await.unwrap().into_inner();
    assert!(list.consents.is_empty());
    let by_consent = world.check_by_consent("minsu", &consent.id).await.unwrap_err();
    assert_eq!(reason(&by_consent), "UNKNOWN_CONSENT");
    assert_eq!(world.get_consent(&other.id).await.state(), ConsentState::Given, "of the person alone");

    let events = world.told().await;
    let required: Vec<_> = events.iter().filter(|event| event.r#type() == EventType::ErasureRequired).collect();
    assert_eq!(required.len(), 1);
    assert_eq!((&required[0].request_id, required[0].erasure_reason.as_str()), (&taken.id, "rights_request"));
    assert_eq!(required[0].recipients, ["hosting provider", "postal service"]);
    assert_eq!(
        world.told_of(&taken).await,
        [
            "RIGHTS_OPENED",
            "RIGHTS_CODE_MADE",
            "RIGHTS_PROOF_SHOWN",
            "RIGHTS_VERIFIED",
            "RIGHTS_DONE",
            "ERASURE_REQUIRED"
        ]
    );
}

#[tokio::test]
async fn a_refused_or_withdrawn_erasure_erases_nothing() {
    let (world, _) = world().await;
    let consent = consented(&world, "minsu", "2011-03-10", "mother").await;
    let (denied, _) = world.verified(asks("minsu", Right::Delete, "KR", &[Vouched::Email]), false).await;
    world.close(&denied, refused(RefusalBasis::LegalDuty)).await.unwrap();
    let (dropped, _) = world.verified(asks("minsu", Right::Delete, "KR", &[Vouched::Email]), false).await;
    let taken_back = proto::close_request::Answer::Withdrawn(proto::Withdrawal { staff_ref: "staff-7".to_owned() });
    assert_eq!(world.close(&dropped, taken_back).await.unwrap().state(), RequestState::Withdrawn);
    world.app.run_due().await.unwrap();
    assert_eq!(world.get_consent(&consent.id).await.state(), ConsentState::Given);
    assert_eq!(world.count_told(EventType::ErasureRequired).await, 0);
    assert_eq!(world.told_of(&denied).await.last(), Some(&"RIGHTS_REFUSED"));
    assert_eq!(world.told_of(&dropped).await.last(), Some(&"RIGHTS_WITHDRAWN"));
}

#[tokio::test]
async fn correcting_a_birth_date_by_a_masked_card_makes_tokens_wait_for_a_new_document() {
    let (world, clock) = world().await;
    let checked = world.check(ask("haneul", "before-1", "read 2001-05-06")).await.unwrap();
    let Some(Checked::Allowed(allowed)) = checked.outcome else { panic!("{:?}", checked.outcome) };
    assert_eq!(world.token_status(&allowed.token).await, TokenStatus::Active);

    let vouched = [Vouched::Session, Vouched::Email];
    let taken = world.open(asks("haneul", Right::CorrectBirthDate, "KR", &vouched)).await;
    assert_eq!(
        (taken.request().required_level(), taken.request().id_document()),
        (ProofLevel::L3, IdDocument::LastResort)
    );
    assert!(taken.answer.never_ask.contains(&NeverAsk::UnmaskedId.into()));
    accepted(world.prove(&taken, session(clock.now())).await);
    let two = world.prove_code(&taken, CodeChannel::Email).await;
    assert_eq!((two.state(), two.reached_level()), (RequestState::Open, ProofLevel::L2));
    assert_eq!(two.missing, wire(&[Missing::DataPointsAndDeclaration, Missing::MaskedIdCard, Missing::HumanReview]));
    let before = world.script.begun();
    let other = not_accepted(world.prove(&taken, card("masked 2001-05-06", "2002-05-06")).await);
    assert_eq!(
        (other.state(), other.reached_level()),
        (RequestState::Open, ProofLevel::L2),
        "another date than claimed"
    );
    pass(&clock, MINUTE);
    let answer = world.prove(&taken, card("masked 2002-05-06", "2002-05-06")).await;
    assert!(answer.proof.is_some());
    let three = accepted(answer);
    assert_eq!((three.state(), three.reached_level()), (RequestState::Verified, ProofLevel::L3));
    assert_eq!(world.script.begun(), before + 2);
    let proofs = world.get_request(&taken).await.proofs;
    assert_eq!(proofs.last().map(|proof| proof.method()), Some(ProofMethod::IdCard), "an identity card was checked");
    assert_eq!(world.token_status(&allowed.token).await, TokenStatus::Active, "asked for is not yet granted");

    world.close(&taken, done()).await.unwrap();
    assert_eq!(world.token_status(&allowed.token).await, TokenStatus::ReverificationRequired);
    let weak = world.check(ask("haneul", "weak", "unwitnessed 2002-05-06")).await.unwrap();
    assert!(!matches!(weak.outcome, Some(Checked::Allowed(_))));
    assert_eq!(world.token_status(&allowed.token).await, TokenStatus::ReverificationRequired);
    let shown = world.check(ask("haneul", "after", "read 2002-05-06")).await.unwrap();
    let Some(Checked::Allowed(newer)) = shown.outcome else { panic!("{:?}", shown.outcome) };
    assert_eq!(world.token_status(&newer.token).await, TokenStatus::Active);
    assert_eq!(
        world.told_of(&taken).await,
        [
            "RIGHTS_OPENED",
            "RIGHTS_PROOF_SHOWN",
            "RIGHTS_CODE_MADE",
            "RIGHTS_PROOF_SHOWN",
            "RIGHTS_PROOF_FAILED",
            "RIGHTS_VERIFIED",
            "RIGHTS_DONE",
            "AGE_RECHECK_REQUIRED"
        ]
    );
}

#[tokio::test]
async fn correcting_a_childs_birth_date_stops_its_consent_from_standing_for_a_document() {
    let (world, clock) = world().await;
    let consent = consented(&world, "minsu", "2011-03-10", "mother").await;
    let by_consent = world.check_by_consent("minsu", &consent.id).await.unwrap();
    let Some(Checked::Allowed(allowed)) = by_consent.outcome else { panic!("{:?}", by_consent.outcome) };

    let vouched = [Vouched::Session, Vouched::Email];
    let taken = world.open(asks("minsu", Right::CorrectBirthDate, "KR", &vouched)).await;
    accepted(world.prove(&taken, session(clock.now())).await);
    world.prove_code(&taken, CodeChannel::Email).await;
    accepted(world.prove(&taken, card("masked 2011-03-10", "2011-03-10")).await);
    world.close(&taken, done()).await.unwrap();

    assert_eq!(world.token_status(&allowed.token).await, TokenStatus::ReverificationRequired);
    let refused = world.check_by_consent("minsu", &consent.id).await.unwrap_err();
    assert_eq!(reason(&refused), "CONSENT_NOT_IN_FORCE");
    let mut stated = ask("minsu", "stated", "");
    stated.evidence = Some(proto::check_age_request::Evidence::DeclaredBirthDate("2011-03-10".to_owned()));
    drop(world.check(stated).await);
    let refused = world.check_by_consent("minsu", &consent.id).await.unwrap_err();
    assert_eq!(reason(&refused), "CONSENT_NOT_IN_FORCE", "a date that is only stated shows nothing");

    let shown = world.check(ask("minsu", "shown", "read 2011-03-10")).await.unwrap();
    assert!(matches!(shown.outcome, Some(Checked::Allowed(_))), "{:?}", shown.outcome);
    assert_eq!(world.token_status(&allowed.token).await, TokenStatus::Active);
    world.check_by_consent("minsu", &consent.id).await.unwrap();
}

#[tokio::test]
async fn a_guardian_asks_for_the_child_whose_consent_they_gave() {
    let (world, _) = world().await;
    let consent = consented(&world, "minsu", "2011-03-10", "mother").await;
    let taken = world.open(by_guardian("minsu", Right::Restrict, "mother")).await;
    assert_eq!(taken.request().required_level(), ProofLevel::L2, "more than the child itself would need");
    assert!(taken.answer.may_ask.contains(&ProofMethod::GuardianConsent.into()));
    world.prove_code(&taken, CodeChannel::Email).await;
    let known = accepted(world.prove(&taken, two_points()).await);
    assert_eq!((known.state(), known.reached_level()), (RequestState::Open, ProofLevel::L2));
    assert_eq!(known.missing, wire(&[Missing::GuardianConsent]));
    assert_eq!(not_possible(world.prove(&taken, permission()).await), No::NotForActing);
    let answer = world.prove(&taken, guardian(&consent.id)).await;
    assert_eq!(claims(&answer.proof.clone().unwrap().token)["acting_as"], "guardian");
    let verified = accepted(answer);
    assert_eq!((verified.state(), verified.acting_as()), (RequestState::Verified, ActingAs::Guardian));
    world.close(&taken, done()).await.unwrap();
    assert_eq!(
        world.told_of(&taken).await,
        [
            "RIGHTS_OPENED",
            "RIGHTS_CODE_MADE",
            "RIGHTS_PROOF_SHOWN",
            "RIGHTS_PROOF_SHOWN",
            "RIGHTS_VERIFIED",
            "RIGHTS_DONE"
        ]
    );
}

#[tokio::test]
async fn no_other_guardian_and_no_other_consent_opens_the_way() {
    let (world, _) = world().await;
    let mothers = consented(&world, "minsu", "2011-03-10", "mother").await;
    let siblings = consented(&world, "jiho", "2011-03-11", "mother").await;
    let nobodys = consented(&world, "seoyeon", "2011-03-12", "").await;
    let decision = world.consent_required("yuna", "2011-03-13").await;
    let mut request = world.consent_request("yuna", &decision, &[VerificationMethod::IdScan]);
    request.guardian_ref = "mother".to_owned();
    let unanswered = world.request_with(request).await;
    let unknown = uuid::Uuid::new_v4().to_string();
    for (subject, who, consent, why) in [
        ("minsu", "father", &mothers.id, "another guardian"),
        ("minsu", "mother", &siblings.id, "another child"),
        ("seoyeon", "mother", &nobodys.id, "a consent of a guardian without a name"),
        ("yuna", "mother", &unanswered.id, "a consent that was not given"),
        ("minsu", "mother", &unknown, "no consent at all"),
    ] {
        let taken = world.open(by_guardian(subject, Right::Restrict, who)).await;
        world.prove_code(&taken, CodeChannel::Email).await;
        accepted(world.prove(&taken, two_points()).await);
        let after = not_accepted(world.prove(&taken, guardian(consent)).await);
        assert_eq!((after.state(), after.missing), (RequestState::Open, wire(&[Missing::GuardianConsent])), "{why}");
        assert_eq!(world.close(&taken, done()).await.unwrap_err(), No::NotVerified, "{why}");
    }
    let own = world.open(asks("minsu", Right::Restrict, "KR", &[Vouched::Email])).await;
    assert_eq!(not_possible(world.prove(&own, guardian(&mothers.id)).await), No::NotForActing);
}

#[tokio::test]
async fn a_guardian_whose_consent_was_withdrawn_asks_for_nobody() {
    let (world, _) = world().await;
    let consent = consented(&world, "minsu", "2011-03-10", "mother").await;
    let taken = world.open(by_guardian("minsu", Right::Restrict, "mother")).await;
    world.withdraw(&consent.id, ConsentActor::Guardian).await;
    let after = not_accepted(world.prove(&taken, guardian(&consent.id)).await);
    assert!(after.missing.contains(&Missing::GuardianConsent.into()));
}

#[tokio::test]
async fn who_came_of_age_asks_for_themselves() {
    // In Korea a child of 14 acts alone while the consent stays; at 18 the consent is over.
    for (born, birthday, state) in [
        ("2013-03-10", "2027-03-09T15:00:00Z", ConsentState::Given),
        ("2011-03-10", "2029-03-09T15:00:00Z", ConsentState::AgedOut),
    ] {
        let clock = TurnedClock::at(NOW);
        let wound = clock.clone();
        let world = World::with(|settings| settings.consent.lapse_days = 9_000, move |app| wound.wind(app)).await;
        let consent = consented(&world, "minsu", born, "mother").await;
        clock.turn_to(birthday);
        pass(&clock, -MINUTE);
        let before = world.open(by_guardian("minsu", Right::Restrict, "mother")).await;
        accepted(world.prove(&before, guardian(&consent.id)).await);
        clock.turn_to(birthday);
        let taken = world.open(by_guardian("minsu", Right::Restrict, "mother")).await;
        not_accepted(world.prove(&taken, guardian(&consent.id)).await);
        assert_eq!(world.get_consent(&consent.id).await.state(), state, "{born}");
    }
}

#[tokio::test]
async fn an_agent_asks_with_the_persons_permission() {
    let (world, _) = world().await;
    let agent = |right| OpenRequestRequest {
        acting_as: ActingAs::Agent.into(),
        ..asks("alex", right, "US-CA", &[Vouched::Email])
    };
    let taken = world.open(agent(Right::Delete)).await;
    assert_eq!((taken.request().regime(), taken.request().required_level()), (Regime::Ccpa, ProofLevel::L2));
    assert!(taken.answer.never_ask.contains(&NeverAsk::PowerOfAttorney.into()));
    world.prove_code(&taken, CodeChannel::Email).await;
    let known = accepted(world.prove(&taken, two_points()).await);
    assert_eq!(known.missing, wire(&[Missing::AgentAuthority]));
    assert_eq!(world.close(&taken, done()).await.unwrap_err(), No::NotVerified);
    let stranger = guardian(&uuid::Uuid::new_v4().to_string());
    assert_eq!(not_possible(world.prove(&taken, stranger).await), No::NotForActing);
    let verified = accepted(world.prove(&taken, permission()).await);
    assert_eq!((verified.state(), verified.reached_level()), (RequestState::Verified, ProofLevel::L2));
    world.close(&taken, done()).await.unwrap();
    assert_eq!(
        world.told_of(&taken).await,
        [
            "RIGHTS_OPENED",
            "RIGHTS_CODE_MADE",
            "RIGHTS_PROOF_SHOWN",
            "RIGHTS_PROOF_SHOWN",
            "RIGHTS_VERIFIED",
            "RIGHTS_DONE",
            "ERASURE_REQUIRED"
        ]
    );

    // A power of attorney is taken, though nobody may demand it; alone it says nothing about the person.
    let taken = world.open(agent(Right::Correct)).await;
    let alone = accepted(world.prove(&taken, attorney()).await);
    assert_eq!(alone.missing, wire(&[Missing::SessionOrCode, Missing::SecondFactor]));
    world.prove_code(&taken, CodeChannel::Email).await;
    assert_eq!(accepted(world.prove(&taken, two_points()).await).state(), RequestState::Verified);
    let own = world.open(asks("alex", Right::Delete, "US-CA", &[Vouched::Email])).await;
    for proof in [permission(), attorney()] {
        assert_eq!(not_possible(world.prove(&own, proof).await), No::NotForActing);
    }
}

#[tokio::test]
async fn opting_out_in_california_takes_neither_a_session_nor_a_proof() {
    let (world, clock) = world().await;
    let taken = world.open(asks("a-passer-by", Right::OptOut, "US-CA", &[])).await;
    let request = taken.request();
    assert_eq!((request.regime(), request.state()), (Regime::Ccpa, RequestState::Verified));
    assert_eq!((request.required_level(), request.id_document()), (ProofLevel::L0, IdDocument::Forbidden));
    assert!(request.missing.is_empty() && taken.answer.may_ask.is_empty());
    for never in [NeverAsk::AnyProof, NeverAsk::IdImage, NeverAsk::NewAccount] {
        assert!(taken.answer.never_ask.contains(&never.into()), "{never:?}");
    }
    let proof = taken.answer.proof.clone().unwrap();
    assert_eq!(proof.expires_at, Some(crate::support::rights::wire(clock.now() + 15 * MINUTE)));
    assert_eq!(claims(&proof.token)["right"], "opt_out");
    assert_eq!(world.redeem(&proof.token).await, Redemption::Redeemed);
    world.acknowledge(&taken).await.unwrap();
    assert_eq!(world.close(&taken, done()).await.unwrap().state(), RequestState::Done);
    assert_eq!(world.redeem(&proof.token).await, Redemption::RequestClosed);
    assert_eq!(world.told_of(&taken).await, ["RIGHTS_OPENED", "RIGHTS_ACKNOWLEDGED", "RIGHTS_DONE"]);
    assert_eq!(world.script.begun(), 0);
}

#[tokio::test]
async fn a_refusal_says_its_ground_and_what_can_be_done_against_it() {
    let (world, _) = world().await;
    let taken = world.open(asks("anna", Right::Delete, "DE", &[Vouched::Email])).await;
    let unknown = world.try_close(world.closing(&taken, refused(RefusalBasis::ContractNeeds))).await;
    let Some(Closed::NotPossible(why)) = &unknown.outcome else { panic!("{unknown:?}") };
    assert_eq!(why.reason(), No::BasisNotAllowed);
    assert!(unknown.remedy.is_empty() && unknown.ground.is_empty());

    let ask = world.closing(&taken, refused(RefusalBasis::IdentityNotShown));
    let answer = world.try_close(ask.clone()).await;
    let Some(Closed::Closed(closed)) = &answer.outcome else { panic!("{answer:?}") };
    assert_eq!((closed.state(), closed.refusal_basis()), (RequestState::Refused, RefusalBasis::IdentityNotShown));
    assert!(answer.remedy.contains("GDPR art. 77") && answer.remedy.contains("art. 79"), "{}", answer.remedy);
    assert!(answer.ground.contains("It was not shown"), "{}", answer.ground);
    let korean = world.try_close(proto::CloseRequest { language: "ko".to_owned(), ..ask }).await;
    assert!(korean.remedy.contains("감독기관에 민원") && korean.remedy.contains("제77조"), "{}", korean.remedy);
    assert!(korean.ground.contains("확인되지 않았습니다"), "{}", korean.ground);
    assert_eq!(korean.outcome, answer.outcome, "a retry is told the same in another language");

    let kept = world.get_request(&taken).await;
    assert_eq!(kept.remedy, answer.remedy);
    assert_eq!(world.close(&taken, done()).await.unwrap_err(), No::Closed);
    assert_eq!(world.acknowledge(&taken).await.unwrap_err(), No::Closed);
    assert_eq!(world.extend(&taken, ExtensionReason::Complex).await.unwrap_err(), No::Closed);
    assert_eq!(not_possible(world.prove(&taken, two_points()).await), No::Closed);
    assert_eq!(world.no_code(&taken, CodeChannel::Email).await, No::Closed);
    assert_eq!(world.told_of(&taken).await, ["RIGHTS_OPENED", "RIGHTS_REFUSED"]);
}

#[tokio::test]
async fn each_regime_knows_its_own_grounds_and_remedy() {
    let (world, _) = world().await;
    for (place, right, not, known, remedy) in [
        ("KR", Right::Delete, RefusalBasis::Excessive, RefusalBasis::LegalDuty, "PIPA art. 38(5)"),
        ("KR", Right::OptOut, RefusalBasis::IdentityNotShown, RefusalBasis::ContractNeeds, "PIPA art. 38(5)"),
        ("DE", Right::OptOut, RefusalBasis::IdentityNotShown, RefusalBasis::NotCovered, "GDPR art. 77"),
        ("US-CA", Right::Delete, RefusalBasis::ContractNeeds, RefusalBasis::Exempt, "California Privacy Protection"),
        ("US-CA", Right::OptOut, RefusalBasis::IdentityNotShown, RefusalBasis::Exempt, "California Attorney General"),
        ("ZZ", Right::Delete, RefusalBasis::Exempt, RefusalBasis::LegalClaims, "look at this decision again"),
    ] {
        let taken = world.open(asks("somebody", right, place, &[Vouched::Email])).await;
        assert_eq!(world.close(&taken, refused(not)).await.unwrap_err(), No::BasisNotAllowed, "{place} {not:?}");
        let answer = world.try_close(world.closing(&taken, refused(known))).await;
        assert!(matches!(answer.outcome, Some(Closed::Closed(_))), "{place} {known:?}");
        assert!(answer.remedy.contains(remedy), "{place}: {}", answer.remedy);
    }
}

#[tokio::test]
async fn an_answer_takes_longer_only_as_the_law_allows_and_only_in_time() {
    let (world, clock) = world().await;
    let ask = |key: &str| OpenRequestRequest {
        idempotency_key: key.to_owned(),
        ..asks("anna", Right::Access, "DE", &[Vouched::Email])
    };
    let (in_time, late) = (world.open(ask("in-time")).await, world.open(ask("late")).await);
    assert_eq!(day(in_time.request().due_date.as_ref()), "2026-12-22");
    // The last second of the last day in Berlin.
    clock.turn_to("2026-12-22T22:59:59Z");
    let just_cause = world.extend(&in_time, ExtensionReason::JustCause).await;
    assert_eq!(just_cause.unwrap_err(), No::NoExtension, "the GDPR does not know this reason");
    let longer = world.extend(&in_time, ExtensionReason::Complex).await.unwrap();
    assert_eq!((day(longer.due_date.as_ref()).as_str(), longer.overdue), ("2027-02-22", false));
    assert_eq!(longer.extensions, wire(&[ExtensionReason::Complex]));
    assert_eq!(world.extend(&in_time, ExtensionReason::ManyRequests).await.unwrap_err(), No::NoExtension, "once only");
    clock.turn_to("2026-12-22T23:00:00Z");
    assert_eq!(world.extend(&late, ExtensionReason::Complex).await.unwrap_err(), No::TooLate);
    assert!(world.stands(&late).await.overdue && !world.stands(&in_time).await.overdue);
    // It can still be answered, and is.
    world.app.run_due().await.unwrap();
    world.prove_code(&late, CodeChannel::Email).await;
    accepted(world.prove(&late, two_points()).await);
    accepted(
        world
            .prove(
                &late,
                crate::support::rights::points(&[
                    (proto::DataPointKind::Reference, "4711", "4711"),
                    (proto::DataPointKind::Device, "a grey one", "a grey one"),
                    (proto::DataPointKind::Payment, "in May", "in May"),
                ]),
            )
            .await,
    );
    accepted(world.prove(&late, crate::support::rights::declaration()).await);
    let closed = world.close(&late, done()).await.unwrap();
    assert_eq!((closed.state(), closed.overdue, closed.reached_level()), (RequestState::Done, true, ProofLevel::L3));
    assert_eq!(
        world.told_of(&in_time).await,
        ["RIGHTS_OPENED", "RIGHTS_ACKNOWLEDGE_OVERDUE", "RIGHTS_DUE_SOON", "RIGHTS_EXTENDED"],
        "nobody was told within ten days, and the reminder was due three days before"
    );
    assert_eq!(
        world.told_of(&late).await,
        [
            "RIGHTS_OPENED",
            "RIGHTS_ACKNOWLEDGE_OVERDUE",
            "RIGHTS_DUE_SOON",
            "RIGHTS_OVERDUE",
            "RIGHTS_CODE_MADE",
            "RIGHTS_PROOF_SHOWN",
            "RIGHTS_PROOF_SHOWN",
            "RIGHTS_PROOF_SHOWN",
            "RIGHTS_VERIFIED",
            "RIGHTS_DONE"
        ]
    );
}

#[tokio::test]
async fn the_explanation_of_a_decision_takes_twice_longer_in_korea_and_not_a_third_time() {
    let (world, _) = world().await;
    let taken = world.open(asks("haneul", Right::ExplainDecision, "KR", &[Vouched::Email])).await;
    assert_eq!(day(taken.request().due_date.as_ref()), "2026-12-22");
    for due in ["2027-01-21", "2027-02-20"] {
        assert_eq!(day(world.extend(&taken, ExtensionReason::JustCause).await.unwrap().due_date.as_ref()), due);
    }
    assert_eq!(world.extend(&taken, ExtensionReason::JustCause).await.unwrap_err(), No::NoExtension);
    let stands = world.stands(&taken).await;
    assert_eq!((day(stands.due_date.as_ref()).as_str(), stands.extensions.len()), ("2027-02-20", 2));
    // The policy knows no extension, nor does Korea for an erasure.
    for ask in [asks("haneul", Right::Delete, "ZZ", &[]), asks("haneul", Right::Delete, "KR", &[])] {
        let taken = world.open(OpenRequestRequest { idempotency_key: fresh_key(), ..ask }).await;
        for reason in [ExtensionReason::Complex, ExtensionReason::ManyRequests, ExtensionReason::JustCause] {
            assert_eq!(world.extend(&taken, reason).await.unwrap_err(), No::NoExtension);
        }
    }
    assert_eq!(world.told_of(&taken).await, ["RIGHTS_OPENED", "RIGHTS_EXTENDED", "RIGHTS_EXTENDED"]);
}
