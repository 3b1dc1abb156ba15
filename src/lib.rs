//! idgate reads a date of birth off a picture of an identity document, decides whether the person is old enough for
//! what a relying party asks, and answers over gRPC with a signed token. The picture and the date of birth are gone
//! when the answer leaves.
//!
//! # The promise
//!
//! When idgate must choose between refusing a person and exposing a person, it refuses.
//!
//! # The way data flows
//!
//! ```text
//! Sensitive<bytes> -> Frame -> Region -> Text -> Document -> Evidence -> Decision -> Grant -> Token
//!    (wire)          decode   locate    read     parse        validate    decide      prove    sign
//! ```
//!
//! Each step's output is the next step's only input. Personal data ends at `Decision`: the modules after it cannot even
//! name a date of birth. That is an import rule (`tests/it/architecture.rs`), not a review comment.
//!
//! # The layers
//!
//! A row imports only from the rows above it.
//!
//! | layer | modules | may import |
//! |---|---|---|
//! | vocabulary | [`terms`], [`secret`], [`telemetry`] | nothing |
//! | rules: pure, no clock, no I/O | [`age`] | `secret`, `terms` |
//! | | [`evidence`] | `age`, `secret`, `terms` |
//! | | [`policy`] | `age`, `evidence`, `terms` |
//! | | [`consent`] | `policy`, `terms` |
//! | | [`rights`] | `policy`, `terms` |
//! | | [`audit`] | `policy`, `terms` |
//! | edges | [`source`] | `secret`, `terms` |
//! | | [`tokens`] | `policy`, `secret`, `source`, `terms` |
//! | | [`seal`] | `secret`, `terms` |
//! | | [`store`] | `audit`, `secret`, `source`, `terms` |
//! | orchestration: order, I/O, the clock | [`flows`] | all of the above |
//! | transport | [`server`] | `consent`, `flows`, `rights`, `secret`, `telemetry`, `terms` |
//! | shell | [`config`] | the modules that it opens and whose `Settings` it holds |
//! | | [`cli`], `main` | `config`, `flows`, `server`, `telemetry` |
//!
//! # Invariants
//!
//! 1. Personal data lives only in `Sensitive` or `BirthDate`; both overwrite their memory and cannot be shown.
//! 2. Only `policy::decide` makes a `Grant`, and only a `Grant` can be signed into a token.
//! 3. A decision is recorded, with its audit entry, before its token is signed.
//! 4. Of a person below the block threshold nothing is kept: no reference, no date, no history.
//! 5. Every RPC has a row in `server::access`; one that has none is denied.
//! 6. A negative answer is a value with status OK; an error status is for misuse, limits and faults.
//! 7. Every queue has a bound, every input a limit, every wait a deadline.
//! 8. What is personal and has to rest (a date of birth, while a guardian's consent lives) is sealed for its place under a
//!    key of its own, and that key is destroyed when the consent ends.
//! 9. An event is a projection of an audit entry: none is lost, none tells more, and only its relying party is told.
//! 10. What a requester shows is kept as its kind and time only, and what could be guessed is counted before it is looked
//!     at. A right that needs no proof takes none.
//! 11. While the store is away nothing is granted, signed or changed. Only an opt-out that needs no proof is taken: sealed,
//!     into a bounded journal, and recorded once when the store is back.
//!
//! # Glossary
//!
//! **Relying party**: the service that asks. **Subject**: the person whose age is asked. **Guardian**: 법정대리인, who may
//! consent for a subject. **Evidence**: a date of birth with the witnesses that support it. **Unreadable**: no usable
//! evidence, with reasons the person can act on. **Assurance level**: idgate's own ladder; it claims nothing beyond
//! itself. **Requester**: who exercises a right, for themselves, as a guardian or as an agent; **proof level**: how sure it
//! is that they may (L0 to L3). **Rule**: what holds for one jurisdiction and purpose; **policy digest**: the hash of all rules in force.
//! **Decision**: an outcome under a rule. **Grant**: the proof that a decision allows a token. **`age_over_NN`**: the only
//! kind of age claim a token carries.

pub mod age;
pub mod audit;
pub mod cli;
pub mod config;
pub mod consent;
pub mod evidence;
pub mod flows;
pub mod policy;
pub mod rights;
pub mod seal;
pub mod secret;
pub mod server;
pub mod source;
pub mod store;
pub mod telemetry;
pub mod terms;
pub mod tokens;
