//! The vocabulary of rights requests: rights, regimes, levels, methods, states and refusals.

use super::Malformed;
use std::fmt;
use std::str::FromStr;

uuid_name!(
    /// Names one rights request: a UUID made by idgate (version 7; 8 where it follows from the call).
    RequestId
);

closed_enum! {
    /// What a person may ask for.
    Right {
        /// A copy of what is held, and how it is used.
        Access = "access",
        /// Which kinds of data are held.
        KnowCategories = "know_categories",
        /// Which pieces of data are held.
        KnowSpecific = "know_specific",
        /// Correction of anything but name and date of birth.
        Correct = "correct",
        /// Correction of a name.
        CorrectName = "correct_name",
        /// Correction of a date of birth.
        CorrectBirthDate = "correct_birth_date",
        /// Erasure.
        Delete = "delete",
        /// Closing the account, and erasure of what belongs to it.
        CancelAccount = "cancel_account",
        /// Data are kept and not used.
        Restrict = "restrict",
        /// To object to a use.
        Object = "object",
        /// A copy in a common format, for oneself or another service.
        Portability = "portability",
        /// To change what is consented to.
        ChangeScope = "change_scope",
        /// To take a consent back.
        WithdrawConsent = "withdraw_consent",
        /// No sale or sharing of data.
        OptOut = "opt_out",
        /// Sensitive data are used for the service only.
        LimitSensitive = "limit_sensitive",
        /// To be told how a machine decided.
        ExplainDecision = "explain_decision",
    }
}

closed_enum! {
    /// Under which law, or under the policy alone.
    Regime {
        /// The service's privacy policy alone.
        Policy = "policy",
        /// Regulation (EU) 2016/679.
        Gdpr = "gdpr",
        /// Korea, Personal Information Protection Act.
        Pipa = "pipa",
        /// California Consumer Privacy Act.
        Ccpa = "ccpa",
    }
}

closed_enum! {
    /// For whom a requester acts.
    ActingAs {
        /// For themselves.
        Myself = "self",
        /// For the child in their care.
        Guardian = "guardian",
        /// For somebody who has asked them to.
        Agent = "agent",
    }
}

closed_enum! {
    /// How sure it is that the requester is the person concerned, or may act for them.
    ProofLevel {
        /// Not looked at.
        L0 = "l0",
        /// A live session, or control of a contact that was known before.
        L1 = "l1",
        /// L1, and a second factor or two matching data points.
        L2 = "l2",
        /// L2, and three data points with a signed declaration, or a masked identity card, or a look by a person.
        L3 = "l3",
    }
}

closed_enum! {
    /// A contact over which a code can be delivered, as the relying party had it before the request.
    CodeChannel {
        /// Text message to a confirmed number.
        Sms = "sms",
        /// Call to a confirmed number.
        Voice = "voice",
        /// Message to a confirmed e-mail address.
        Email = "email",
        /// Letter to a confirmed address.
        Post = "post",
    }
}

closed_enum! {
    /// How something about a requester was shown.
    ProofMethod {
        /// Logged in, as the relying party vouches.
        Session = "session",
        /// A code delivered by text message or call.
        PhoneCode = "phone_code",
        /// A code delivered by e-mail.
        EmailCode = "email_code",
        /// A code delivered by letter.
        PostCode = "post_code",
        /// Values that agree with what the relying party has on file.
        DataPoints = "data_points",
        /// A signed declaration.
        SignedDeclaration = "signed_declaration",
        /// An identity card was checked.
        IdCard = "id_card",
        /// A person of the relying party has looked at it.
        HumanReview = "human_review",
        /// A guardian's consent that is in force.
        GuardianConsent = "guardian_consent",
        /// An agent's signed permission, confirmed by the person.
        AgentPermission = "agent_permission",
        /// A power of attorney.
        PowerOfAttorney = "power_of_attorney",
    }
}

closed_enum! {
    /// What can still be shown to reach the level that is required.
    Missing {
        /// A session that was begun or renewed in the last minutes, or a code.
        SessionOrCode = "session_or_code",
        /// The session must be renewed: ask for the password again.
        FreshSession = "fresh_session",
        /// A code over another contact, or two data points.
        SecondFactor = "second_factor",
        /// Three data points and a signed declaration.
        DataPointsAndDeclaration = "data_points_and_declaration",
        /// As the last resort: an identity card with everything covered that is not needed.
        MaskedIdCard = "masked_id_card",
        /// A look by a person of the relying party.
        HumanReview = "human_review",
        /// The guardian's consent, in force.
        GuardianConsent = "guardian_consent",
        /// The agent's signed permission or power of attorney.
        AgentAuthority = "agent_authority",
    }
}

closed_enum! {
    /// What a requester must not be asked for.
    NeverAsk {
        /// Anything that shows who they are.
        AnyProof = "any_proof",
        /// A picture of an identity document.
        IdImage = "id_image",
        /// An identity document with its number readable.
        UnmaskedId = "unmasked_id",
        /// A picture of themselves with a document.
        SelfieWithId = "selfie_with_id",
        /// A notary.
        Notary = "notary",
        /// A fee.
        Fee = "fee",
        /// To open an account.
        NewAccount = "new_account",
        /// A power of attorney where a signed permission does.
        PowerOfAttorney = "power_of_attorney",
        /// A harder way than the one by which the data were collected.
        HarderThanCollection = "harder_than_collection",
        /// A password, a national number or the answer to a security question as a data point.
        SecretsAsDataPoints = "secrets_as_data_points",
    }
}

closed_enum! {
    /// Whether a picture of an identity card may be asked for.
    IdDocument {
        /// Never; one that is sent is refused.
        Forbidden = "forbidden",
        /// Masked, and only when everything else is done.
        LastResort = "last_resort",
    }
}

closed_enum! {
    /// What a data point is. Never a password, a national number or a security answer.
    DataPointKind {
        /// The e-mail address of the account.
        EmailAddress = "email_address",
        /// The telephone number.
        PhoneNumber = "phone_number",
        /// The postal address.
        PostalAddress = "postal_address",
        /// The name.
        FullName = "full_name",
        /// The date of birth.
        DateOfBirth = "date_of_birth",
        /// The name that the account shows.
        Username = "username",
        /// When the account was opened.
        RegistrationDate = "registration_date",
        /// Something about a payment.
        Payment = "payment",
        /// Something about an order or a gift.
        Transaction = "transaction",
        /// A reference that the relying party gave the person.
        Reference = "reference",
        /// A device that was used.
        Device = "device",
    }
}

closed_enum! {
    /// Where a rights request stands.
    RequestState {
        /// It is not yet known whether the requester may ask this.
        Open = "open",
        /// Attempts are used up: a person of the relying party has to look at it.
        InReview = "in_review",
        /// The requester may ask this: it waits for the answer.
        Verified = "verified",
        /// Answered as asked.
        Done = "done",
        /// Refused, with the reason and what can be done against it.
        Refused = "refused",
        /// The requester has taken it back.
        Withdrawn = "withdrawn",
    }
}

closed_enum! {
    /// Why a request is refused. Which of them a regime knows, is told by the rights table.
    RefusalBasis {
        /// It was not shown that the requester is the person, or may act for them.
        IdentityNotShown = "identity_not_shown",
        /// Manifestly unfounded.
        Unfounded = "unfounded",
        /// Excessive, in particular repeated.
        Excessive = "excessive",
        /// Another law forbids it or asks for keeping the data.
        LegalDuty = "legal_duty",
        /// It would harm another person's life, body, property or rights.
        OthersHarmed = "others_harmed",
        /// A public task would be hindered.
        PublicTask = "public_task",
        /// The contract could not be kept, and the person has not ended it.
        ContractNeeds = "contract_needs",
        /// Claims have to be made or defended.
        LegalClaims = "legal_claims",
        /// The right does not reach these data.
        NotCovered = "not_covered",
        /// An exemption of the law.
        Exempt = "exempt",
    }
}

closed_enum! {
    /// Why an answer takes longer.
    ExtensionReason {
        /// The request is complex.
        Complex = "complex",
        /// The same person made many requests.
        ManyRequests = "many_requests",
        /// A just cause in the sense of the law.
        JustCause = "just_cause",
    }
}

closed_enum! {
    /// Why something cannot be done with a rights request. An answer, not an error.
    RightsNotPossible {
        /// It has been answered or taken back.
        Closed = "closed",
        /// This right needs no proof, and none may be asked for.
        NoProofNeeded = "no_proof_needed",
        /// An identity card may not be asked for here.
        IdForbidden = "id_forbidden",
        /// An identity card may be asked for only when everything else is done.
        OtherProofFirst = "other_proof_first",
        /// This right does not take this: it would be more than is needed.
        NotNeeded = "not_needed",
        /// The relying party did not vouch for this contact, or for a session, when the request was made.
        ChannelNotConfirmed = "channel_not_confirmed",
        /// This proof is not for whom the requester acts for.
        NotForActing = "not_for_acting",
        /// Attempts are used up: a person of the relying party has to look at it.
        InReview = "in_review",
        /// The account saw too many failures: an operator has to unlock it.
        Locked = "locked",
        /// More codes were made than is allowed in an hour.
        TooManyCodes = "too_many_codes",
        /// The requester is not verified to the level that is required.
        NotVerified = "not_verified",
        /// The regime does not allow it to be extended (any more).
        NoExtension = "no_extension",
        /// The first period is over.
        TooLate = "too_late",
        /// The regime does not know this reason.
        BasisNotAllowed = "basis_not_allowed",
        /// It was acknowledged before.
        AlreadyAcknowledged = "already_acknowledged",
    }
}

closed_enum! {
    /// What became of a token that shows a verified requester.
    Redemption {
        /// It is good; a token for one use is used now.
        Redeemed = "redeemed",
        /// It was for one use and has been used.
        AlreadyRedeemed = "already_redeemed",
        /// Its time is over.
        Expired = "expired",
        /// Its request has been closed, or is not verified any more.
        RequestClosed = "request_closed",
        /// It is no such token of ours for this relying party.
        Invalid = "invalid",
    }
}
