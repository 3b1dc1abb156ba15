//! The vocabulary of guardian consent: names, purposes, methods, states and events.

use super::Malformed;
use std::fmt;
use std::str::FromStr;

uuid_name!(
    /// Names one guardian consent, from its request on: a UUID (version 7), made by idgate.
    ConsentId
);
uuid_name!(
    /// Names one report that an account belongs to a child: a UUID (version 7), made by idgate.
    ReportId
);

identifier!(
    /// The relying party's own name for a guardian or their contact, opaque to idgate. Same alphabet as `RelyingParty`.
    GuardianRef, 128
);
identifier!(
    /// The version of a notice, as the relying party counts them. Same alphabet as `RelyingParty`.
    NoticeVersion, 64
);
identifier!(
    /// Names the text by which a guardian declared to be one. Same alphabet as `RelyingParty`.
    AttestationId, 64
);
identifier!(
    /// The relying party's own name for a member of its staff. Same alphabet as `RelyingParty`.
    StaffRef, 64
);
identifier!(
    /// A language tag (BCP 47), for example `ko` or `en-GB`. Same alphabet as `RelyingParty`.
    LanguageTag, 35
);

closed_enum! {
    /// What is consented to, each on its own (PIPA 22(1); 16 CFR 312.5(a)(2)).
    ConsentPurpose {
        /// Collecting and using what the service cannot do without. Without it there is no consent.
        Collection = "collection",
        /// Disclosure to third parties that is not needed for the service.
        ThirdPartyDisclosure = "third_party_disclosure",
        /// Marketing.
        Marketing = "marketing",
        /// Choosing content and advertising by the person's behaviour.
        Personalisation = "personalisation",
        /// A profile or a stream that anybody can see.
        PublicProfile = "public_profile",
        /// Where the person is.
        Location = "location",
        /// Transfer to another country.
        CrossBorderTransfer = "cross_border_transfer",
        /// Decisions by a machine alone.
        AutomatedDecision = "automated_decision",
    }
}

closed_enum! {
    /// How it was checked that a guardian stands behind a consent: our scan, and methods that the relying party attests.
    VerificationMethod {
        /// idgate read the guardian's identity card: one piece of evidence of who they are and how old, nothing more.
        IdScan = "id_scan",
        /// A signed form (16 CFR 312.5(b)(2)(i)).
        SignedForm = "signed_form",
        /// A payment whose holder is told of it (ii).
        PaymentCard = "payment_card",
        /// A call to trained staff (iii).
        Phone = "phone",
        /// A video conference with trained staff (iv).
        Video = "video",
        /// A government identity document checked against databases (v).
        GovIdDatabase = "gov_id_database",
        /// Questions only the guardian can answer (vi).
        KnowledgeBased = "knowledge_based",
        /// A face compared with an authentic photo identity document, confirmed by staff (vii).
        FaceMatch = "face_match",
        /// An e-mail and a confirmation; only if nothing is disclosed (viii).
        EmailPlus = "email_plus",
        /// A text message and a confirmation; only if nothing is disclosed (ix).
        TextPlus = "text_plus",
        /// Consent on a page, and a text message that it was seen (decree 17-2(1) no. 1).
        KrWebSms = "kr_web_sms",
        /// Consent on a page, and the guardian's card (no. 2).
        KrWebCard = "kr_web_card",
        /// Consent on a page, and the guardian's identity by mobile phone or the like (no. 3).
        KrWebPhoneIdentity = "kr_web_phone_identity",
        /// Paper, signed and returned (no. 4).
        KrPaper = "kr_paper",
        /// The text by e-mail, and a reply that declares consent (no. 5).
        KrEmail = "kr_email",
        /// A call, or a call about a text at an address and a second call (no. 6).
        KrCall = "kr_call",
        /// A method equivalent to these (no. 7).
        KrEquivalent = "kr_equivalent",
    }
}

closed_enum! {
    /// What a guardian claims to be. Claimed: no document here proves it.
    Relationship {
        /// Mother or father.
        Parent = "parent",
        /// Appointed by law or a court.
        LegalGuardian = "legal_guardian",
        /// Another person who acts for the child.
        OtherRepresentative = "other_representative",
    }
}

closed_enum! {
    /// Where a consent stands.
    ConsentState {
        /// Asked for; the guardian has not been told.
        Requested = "requested",
        /// The guardian has been given the notice.
        NoticeSent = "notice_sent",
        /// The guardian was checked, and a person of the relying party has to look at it.
        InReview = "in_review",
        /// The guardian was checked and may answer.
        GuardianVerified = "guardian_verified",
        /// Given and in force.
        Given = "given",
        /// The guardian said no.
        Refused = "refused",
        /// Nobody answered in time.
        TimedOut = "timed_out",
        /// Taken back.
        Withdrawn = "withdrawn",
        /// Its time is over and nobody reaffirmed it.
        Expired = "expired",
        /// A later one took its place.
        Superseded = "superseded",
        /// The person has reached the age from which no guardian is needed.
        AgedOut = "aged_out",
        /// The subject was erased.
        Erased = "erased",
    }
}

closed_enum! {
    /// Who acts on a consent.
    ConsentActor {
        /// The guardian.
        Guardian = "guardian",
        /// The person concerned, once they may act alone.
        Subject = "subject",
        /// The relying party.
        RelyingParty = "relying_party",
        /// idgate, because time passed or something else happened.
        System = "system",
    }
}

closed_enum! {
    /// Why something cannot be done with a consent. An answer, not an error.
    NotPossible {
        /// It was answered already.
        AlreadyAnswered = "already_answered",
        /// It has ended.
        Ended = "ended",
        /// It is not in force.
        NotGiven = "not_given",
        /// No guardian was checked yet.
        GuardianNotVerified = "guardian_not_verified",
        /// A person of the relying party has to look at it first.
        InReview = "in_review",
        /// There is nothing to look at.
        NotInReview = "not_in_review",
        /// What was checked does not suffice for these purposes in this place.
        MethodInsufficient = "method_insufficient",
        /// This method was not among those that the request allows.
        MethodNotAllowed = "method_not_allowed",
        /// Without collection there is no consent: that is a refusal.
        CollectionRequired = "collection_required",
        /// A purpose that the request did not name: ask for a new consent.
        PurposeNotRequested = "purpose_not_requested",
        /// The guardian's link is not the one of this consent, was replaced, or was used.
        LinkInvalid = "link_invalid",
        /// The person may act alone now; the guardian may not any more.
        GuardianAccessEnded = "guardian_access_ended",
        /// The person may not act alone yet.
        SubjectTooYoung = "subject_too_young",
        /// Whoever acts may not do this.
        ActorNotAllowed = "actor_not_allowed",
        /// Nothing would change.
        NothingChanges = "nothing_changes",
        /// It was changed as often as it can be: ask for a new one.
        TooManyChanges = "too_many_changes",
    }
}

closed_enum! {
    /// Why a guardian was not accepted, besides a document that could not be used.
    GuardianProblem {
        /// Not old enough to be a guardian here.
        GuardianTooYoung = "guardian_too_young",
        /// Guardian and child are the same person or showed the same document.
        SamePerson = "same_person",
    }
}

closed_enum! {
    /// Why a person of the relying party has to look at a guardian.
    ReviewReason {
        /// Less than 15 years older than the child.
        AgeGap = "age_gap",
        /// The same guardian stands for more children than is usual.
        ManyChildren = "many_children",
    }
}

closed_enum! {
    /// What happened, as it is told to relying parties.
    EventKind {
        /// A guardian's consent was asked for.
        ConsentRequested = "consent.requested",
        /// The guardian was given the notice.
        ConsentNoticeSent = "consent.notice_sent",
        /// A guardian was checked and has to be looked at.
        ConsentInReview = "consent.in_review",
        /// A guardian was checked.
        ConsentGuardianVerified = "consent.guardian_verified",
        /// Consent was given.
        ConsentGiven = "consent.given",
        /// Consent was refused.
        ConsentRefused = "consent.refused",
        /// What is consented to was changed.
        ConsentChanged = "consent.changed",
        /// Consent was confirmed.
        ConsentReaffirmed = "consent.reaffirmed",
        /// Consent was taken back.
        ConsentWithdrawn = "consent.withdrawn",
        /// Consent lapsed.
        ConsentExpired = "consent.expired",
        /// Nobody answered in time.
        ConsentTimedOut = "consent.timed_out",
        /// A later consent took its place.
        ConsentSuperseded = "consent.superseded",
        /// An age was reached: the person may act alone (and where it is the last line, needs no guardian any more).
        ConsentAgedOut = "consent.aged_out",
        /// Somebody below the block age was turned away.
        AgeBlocked = "age.blocked",
        /// Somebody said that an account belongs to a child.
        AgeUnderageReported = "age.underage_reported",
        /// What the relying party holds about a person must be erased.
        ErasureRequired = "erasure.required",
        /// What idgate held about a person was erased.
        SubjectErased = "subject.erased",
        /// An age was decided.
        DecisionMade = "decision.made",
        /// The age of a person must be checked anew: their date of birth was corrected.
        AgeRecheckRequired = "age.recheck_required",
        /// A rights request came in.
        RightsOpened = "rights.opened",
        /// The requester was told that it came in.
        RightsAcknowledged = "rights.acknowledged",
        /// A one-time code was made.
        RightsCodeMade = "rights.code_made",
        /// Something was shown that holds; it does not suffice yet.
        RightsProofShown = "rights.proof_shown",
        /// Something was shown that does not hold.
        RightsProofFailed = "rights.proof_failed",
        /// Attempts are used up: a person has to look at it.
        RightsInReview = "rights.in_review",
        /// The requester may ask this.
        RightsVerified = "rights.verified",
        /// A token that shows this was used.
        RightsProofRedeemed = "rights.proof_redeemed",
        /// The answer takes longer.
        RightsExtended = "rights.extended",
        /// The requester was not told in time that it came in.
        RightsAcknowledgeOverdue = "rights.acknowledge_overdue",
        /// The time for the answer is over in three days.
        RightsDueSoon = "rights.due_soon",
        /// The time for the answer is over.
        RightsOverdue = "rights.overdue",
        /// Answered as asked.
        RightsDone = "rights.done",
        /// Refused.
        RightsRefused = "rights.refused",
        /// Taken back by the requester.
        RightsWithdrawn = "rights.withdrawn",
        /// An account saw too many failures: nothing of it is looked at any more.
        RightsLocked = "rights.locked",
        /// An operator has unlocked an account.
        RightsUnlocked = "rights.unlocked",
    }
}

closed_enum! {
    /// Who says that an account belongs to a child.
    Reporter {
        /// The person concerned.
        Subject = "subject",
        /// Somebody who says to be a guardian; with a consent in force, a guardian who was checked.
        Guardian = "guardian",
        /// Another person.
        OtherPerson = "other_person",
        /// The relying party's staff.
        Staff = "staff",
        /// A machine of the relying party.
        Automated = "automated",
        /// A court or an authority.
        Authority = "authority",
    }
}

closed_enum! {
    /// Why the relying party must erase.
    ErasureReason {
        /// A document shows an age below the block line.
        BelowBlockAge = "below_block_age",
        /// An account was reported as a child's, and nobody showed otherwise in time.
        ReportUnanswered = "report_unanswered",
        /// The guardian, checked, asks for it.
        GuardianAsks = "guardian_asks",
        /// Asked for by the relying party.
        Requested = "requested",
        /// The person has asked for it, and it was granted.
        RightsRequest = "rights_request",
    }
}

/// SHA-256 of the exact text that was shown. Written as 64 hexadecimal digits, in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TextDigest(pub [u8; 32]);
super::as_text!(TextDigest);

impl fmt::Display for TextDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::show_hex(&self.0, f)
    }
}

impl FromStr for TextDigest {
    type Err = Malformed;
    fn from_str(s: &str) -> Result<Self, Malformed> {
        super::text::hex32(s).map(Self).ok_or(Malformed("TextDigest"))
    }
}
