//! A rights request as a pure machine: a [`RightsRequest`] and an [`Event`] at a time give the next one, or the reason
//! why not. No clock, no I/O; what holds is decided here and nowhere else.
//!
//! ```text
//! Open -> (InReview) -> Verified -> Done | Refused
//!    \________\____________\-> Refused | Withdrawn
//! ```
//!
//! What always holds: nobody is verified below the level that the table asks for, and nobody who acts for another
//! without the authority to. A right that needs no proof takes none. A request is done only when it is verified. What
//! was shown is kept as its kind and its time, never as what it was. An ended request stays as it ended.

pub mod clock;
mod level;
pub mod plan;
mod request;
mod step;
pub mod table;
#[cfg(test)]
mod tests;

pub use level::{Shown, Standing};
pub use request::{Asked, Clock, Ending, Extended, Proof, RightsRequest, Terms};
pub use step::{Event, Failure};

use jiff::SignedDuration;

/// For how long a session or a code by telephone or e-mail counts after it was shown: as long as a code by e-mail lives
/// (NIST SP 800-63A-4 draft, 5.1.6). Who was there a day ago need not be who is there now.
pub const PRESENCE: SignedDuration = SignedDuration::from_hours(24);
/// How old a session may be where it must be fresh (11 CCR 7061: authenticate again before disclosing or deleting).
pub const FRESH: SignedDuration = SignedDuration::from_mins(15);
/// How long a token holds that shows a verified requester.
pub const TOKEN: SignedDuration = SignedDuration::from_mins(15);
/// How long before the due date a reminder is given.
pub const REMINDER: SignedDuration = SignedDuration::from_hours(3 * 24);
/// Data points that count as a second factor (11 CCR 7062(b)).
pub const POINTS_L2: usize = 2;
/// Data points that with a declaration count as the third step (11 CCR 7062(c)).
pub const POINTS_L3: usize = 3;
/// Failures of one request after which a person has to look at it (domain 7.1).
pub const FAILURES: u8 = 5;
