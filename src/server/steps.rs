//! The steps of a decision in words, in English and Korean, with a stable key each.
//!
//! They name lines and rules, never the person's age or a date (PIPA decree 44-3(2) asks for the kinds of data, the main
//! criteria and the procedure).

use super::messages::Language;
use crate::flows::{AgeThreshold, Counted, DataKind, LeapDay, SelfDeclaration, Step};

/// The stable name of a kind of data.
pub fn data_key(kind: DataKind) -> &'static str {
    match kind {
        DataKind::DocumentImage => "document_image",
        DataKind::BirthDate => "birth_date",
        DataKind::ExpiryDate => "expiry_date",
        DataKind::DeclaredBirthDate => "declared_birth_date",
        DataKind::RememberedBirthDate => "remembered_birth_date",
    }
}

/// The step's stable name.
pub fn key(step: &Step) -> &'static str {
    match step {
        Step::Used { .. } => "used",
        Step::ByStatute { .. } => "by_statute",
        Step::NothingRead => "nothing_read",
        Step::Contradiction { .. } => "contradiction",
        Step::Counted { .. } => "counted",
        Step::BelowBlock { .. } => "below_block",
        Step::BlockReached { .. } => "block_reached",
        Step::BelowGuardian { .. } => "below_guardian",
        Step::GuardianReached { .. } => "guardian_reached",
        Step::LegalGuardian { .. } => "legal_guardian",
        Step::ConsentInForce { .. } => "consent_in_force",
        Step::DeclarationCannotAllow { .. } => "declaration_cannot_allow",
        Step::SpecimenRefused => "specimen_refused",
        Step::SpecimenAccepted => "specimen_accepted",
        Step::DocumentExpired => "document_expired",
        Step::AssuranceTooLow { .. } => "assurance_too_low",
        Step::AssuranceSuffices { .. } => "assurance_suffices",
        Step::CannotAllow { .. } => "cannot_allow",
    }
}

/// The step in words.
pub fn text(step: &Step, language: Language) -> String {
    match language {
        Language::En => english(step),
        Language::Ko => korean(step),
    }
}

fn english(step: &Step) -> String {
    match step {
        Step::Used { data } => format!(
            "Used: {}.",
            match data {
                DataKind::DocumentImage => "the picture of a document",
                DataKind::BirthDate => "the date of birth on the document",
                DataKind::ExpiryDate => "the expiry date of the document",
                DataKind::DeclaredBirthDate => "the date of birth as stated",
                DataKind::RememberedBirthDate => "the date of birth that an earlier decision rested on",
            }
        ),
        Step::ByStatute { statute } => {
            format!("The resident number on the document was read under {statute}, and masked in memory at once.")
        }
        Step::NothingRead => "No date of birth was accepted from the document.".to_owned(),
        Step::Contradiction { signal } => format!("The document contradicts itself ({signal})."),
        Step::Counted { leap_day, latest_of_zones } => {
            let leap = match leap_day {
                LeapDay::Mar1 => "1 March",
                LeapDay::Feb28 => "28 February",
            };
            let zone = if *latest_of_zones { "the latest of the place's time zones" } else { "the place's time zone" };
            format!("Age was counted on the date in {zone}; a birthday on 29 February counts on {leap} in other years.")
        }
        Step::BelowBlock { line } => format!("Below the line under which nobody is let in: {}.", line_en(line)),
        Step::BlockReached { line } => format!("Not below the line under which nobody is let in: {}.", line_en(line)),
        Step::BelowGuardian { line } => format!("Below the line under which a guardian consents: {}.", line_en(line)),
        Step::GuardianReached { line } => {
            format!("Not below the line under which a guardian consents: {}.", line_en(line))
        }
        Step::LegalGuardian { line, below: true } => {
            format!("The law asks for the guardian too, below {}.", line_en(line))
        }
        Step::LegalGuardian { line, below: false } => {
            format!("The service's policy asks for the guardian; the law does so below {}.", line_en(line))
        }
        Step::ConsentInForce { .. } => "A guardian's consent for this is in force.".to_owned(),
        Step::DeclarationCannotAllow { accepted: SelfDeclaration::Accepted } => {
            "A stated date of birth can ask for a guardian, but cannot show that somebody is old enough.".to_owned()
        }
        Step::DeclarationCannotAllow { accepted: SelfDeclaration::Refused } => {
            "A stated date of birth is not accepted here except to deny.".to_owned()
        }
        Step::SpecimenRefused => "The document is a published specimen, which is not accepted.".to_owned(),
        Step::SpecimenAccepted => {
            "The document is a published specimen; this service was set up to accept it.".to_owned()
        }
        Step::DocumentExpired => "The document has expired.".to_owned(),
        Step::AssuranceTooLow { have, need } => {
            format!("The date of birth is not witnessed well enough: it is {have}, the rule asks for {need}.")
        }
        Step::AssuranceSuffices { have, need } => {
            format!("The date of birth is witnessed well enough: it is {have}, the rule asks for {need}.")
        }
        Step::CannotAllow { signal } => format!("A remark about the document rules out allowing on it ({signal})."),
    }
}

fn line_en(line: &AgeThreshold) -> String {
    match line.counted {
        Counted::Birthday => format!("{} full years", line.years),
        Counted::CalendarYear => format!("the year of the {}th birthday", line.years),
    }
}

fn korean(step: &Step) -> String {
    match step {
        Step::Used { data } => format!(
            "사용한 정보: {}.",
            match data {
                DataKind::DocumentImage => "신분증 사진",
                DataKind::BirthDate => "신분증의 생년월일",
                DataKind::ExpiryDate => "신분증의 유효 기간",
                DataKind::DeclaredBirthDate => "이용자가 말한 생년월일",
                DataKind::RememberedBirthDate => "앞선 결정에 쓰인 생년월일",
            }
        ),
        Step::ByStatute { statute } => {
            format!("신분증의 주민등록번호는 {statute}에 따라 읽었고 곧바로 메모리에서 가렸습니다.")
        }
        Step::NothingRead => "신분증에서 생년월일을 인정하지 못했습니다.".to_owned(),
        Step::Contradiction { signal } => format!("신분증의 내용이 서로 맞지 않습니다({signal})."),
        Step::Counted { leap_day, latest_of_zones } => {
            let leap = match leap_day {
                LeapDay::Mar1 => "3월 1일",
                LeapDay::Feb28 => "2월 28일",
            };
            let zone =
                if *latest_of_zones { "그 지역의 시간대 가운데 가장 늦은" } else { "그 지역의" };
            format!("나이는 {zone} 날짜로 세었습니다. 2월 29일 생일은 평년에 {leap}로 봅니다.")
        }
        Step::BelowBlock { line } => format!("이용할 수 없는 나이 기준에 이르지 못했습니다: {}.", line_ko(line)),
        Step::BlockReached { line } => format!("이용할 수 없는 나이 기준을 넘었습니다: {}.", line_ko(line)),
        Step::BelowGuardian { line } => format!("법정대리인 동의 기준에 이르지 못했습니다: {}.", line_ko(line)),
        Step::GuardianReached { line } => format!("법정대리인 동의 기준을 넘었습니다: {}.", line_ko(line)),
        Step::LegalGuardian { line, below: true } => {
            format!("법도 {} 미만에 법정대리인의 동의를 요구합니다.", line_ko(line))
        }
        Step::LegalGuardian { line, below: false } => {
            format!("서비스 정책에 따라 법정대리인의 동의가 필요합니다. 법의 기준은 {} 미만입니다.", line_ko(line))
        }
        Step::ConsentInForce { .. } => "법정대리인의 동의가 있습니다.".to_owned(),
        Step::DeclarationCannotAllow { accepted: SelfDeclaration::Accepted } => {
            "본인이 말한 생년월일로는 법정대리인의 동의를 구할 수는 있어도 나이를 확인할 수는 없습니다.".to_owned()
        }
        Step::DeclarationCannotAllow { accepted: SelfDeclaration::Refused } => {
            "본인이 말한 생년월일은 거절에만 쓰입니다.".to_owned()
        }
        Step::SpecimenRefused => "견본 신분증은 인정하지 않습니다.".to_owned(),
        Step::SpecimenAccepted => "견본 신분증이지만 이 서비스는 인정하도록 설정되어 있습니다.".to_owned(),
        Step::DocumentExpired => "신분증의 유효 기간이 지났습니다.".to_owned(),
        Step::AssuranceTooLow { have, need } => {
            format!("생년월일의 확인 수준이 모자랍니다. 현재 {have}, 필요한 수준 {need}.")
        }
        Step::AssuranceSuffices { have, need } => {
            format!("생년월일의 확인 수준이 충분합니다. 현재 {have}, 필요한 수준 {need}.")
        }
        Step::CannotAllow { signal } => format!("이 신분증으로는 허용할 수 없습니다({signal})."),
    }
}

fn line_ko(line: &AgeThreshold) -> String {
    match line.counted {
        Counted::Birthday => format!("만 {}세", line.years),
        Counted::CalendarYear => format!("연 나이 {}세", line.years),
    }
}
