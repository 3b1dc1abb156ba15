//! Configuration: the modules' settings put together, and what they open.
//!
//! `config.default.toml` is the default and the manual at once; a given file is put over it, and a field that it does
//! not list is refused. Production refuses what only development may have.

mod callers;
pub mod keys;
pub mod memory;
mod open;
pub mod seals;
pub mod store;

pub use callers::TrustedKey;
pub use open::{OpenError, check, models_directory, open, policy_table, reader, server_reader};

use crate::flows::{self, pool, webhooks};
use crate::source::Source;
use crate::store::shared;
use crate::{evidence, server, telemetry};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The defaults, with what each means.
pub const DEFAULTS: &str = include_str!("config.default.toml");

/// What the server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Trying out: keys are made as needed and marked.
    Development,
    /// Nothing is made; development keys are refused.
    Production,
}

/// Everything that can be set.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What the server is for.
    pub mode: Mode,
    /// Where the store lies, and in development the keys.
    pub data_dir: PathBuf,
    /// Where events are posted.
    pub webhooks: Vec<webhooks::Settings>,
    /// Where and how much is served.
    pub server: server::Settings,
    /// How pictures are read.
    pub ocr: Ocr,
    /// What may be looked at on a document.
    pub evidence: evidence::numbers::Settings,
    /// Limits and lifetimes of checks.
    pub checks: flows::Settings,
    /// Guardian consent.
    pub consent: flows::consent::Settings,
    /// Rights requests.
    pub rights: flows::rights::Settings,
    /// How tokens are made.
    pub tokens: Tokens,
    /// Who may call.
    pub callers: Callers,
    /// How state is kept.
    pub store: Store,
    /// What keeps memory from being written anywhere.
    pub memory: memory::Memory,
    /// What is logged.
    pub log: telemetry::Settings,
}

/// How pictures are read.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ocr {
    /// Threads; 0 is one for each core.
    pub workers: usize,
    /// Pictures that may wait.
    pub queue: usize,
    /// Seconds for one picture.
    pub read_seconds: u32,
    /// By how many steps of niceness the threads give way.
    pub nice: u8,
    /// How many shares of the queue a relying party gets.
    pub weights: pool::fair::Weights,
    /// The models' directory; empty to look for it.
    pub models: PathBuf,
}

impl Ocr {
    /// The pool's share of it.
    pub fn pool(&self) -> pool::Settings {
        pool::Settings {
            workers: self.workers,
            queue: self.queue,
            read_seconds: self.read_seconds,
            nice: self.nice,
            weights: self.weights.clone(),
        }
    }
}

/// How tokens are made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// The `iss`.
    pub issuer: String,
    /// Where the signing keys lie.
    pub keys: Source,
    /// How often they are read again, in seconds; 0 for never.
    pub reload_seconds: u8,
}

/// Who may call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Callers {
    /// The `aud`.
    pub audience: String,
    /// The longest life of a bearer token.
    pub longest_minutes: u32,
    /// How far clocks may be apart.
    pub skew_seconds: u32,
    /// How often a URL is asked for keys.
    pub refresh_seconds: u32,
    /// How often at most.
    pub soonest_seconds: u32,
    /// For how long keys count that cannot be had anew.
    pub stale_minutes: u32,
    /// The keys.
    pub trusted: Vec<TrustedKey>,
}

/// How state is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// Where the secret lies that names are hidden with.
    pub secret: Source,
    /// Where the keys lie that personal values are sealed under; the first seals.
    pub sealing: Vec<Source>,
    /// Changes that may wait.
    pub queue: usize,
    /// Memory for cached pages.
    pub cache_bytes: usize,
    /// Where the store lies if many servers share it.
    pub redis: shared::Settings,
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {0}: {1}")]
    File(PathBuf, std::io::Error),
    /// It is no TOML.
    #[error("{0}")]
    Syntax(toml::de::Error),
    /// A field is unknown or has a value that it cannot have.
    #[error("{0}")]
    Field(toml::de::Error),
    /// Values that do not go together.
    #[error("{0}")]
    Value(&'static str),
}

impl Settings {
    /// The defaults, and over them the file, if there is one.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let text = match file {
            None => String::new(),
            Some(file) => std::fs::read_to_string(file).map_err(|error| ConfigError::File(file.to_owned(), error))?,
        };
        Self::parse(&text)
    }

    /// The defaults, and over them `text`.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let mut table: Table = DEFAULTS.parse().map_err(ConfigError::Syntax)?;
        lay_over(&mut table, text.parse().map_err(ConfigError::Syntax)?);
        let settings: Self = table.try_into().map_err(ConfigError::Field)?;
        settings.check()?;
        Ok(settings)
    }

    /// The settings as a file would say them. They name files, not secrets.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    /// What fields alone cannot say.
    fn check(&self) -> Result<(), ConfigError> {
        let rules = [
            (flows::App::check_limits(&self.checks).is_err(), "checks: an attempt limit is not possible"),
            (!(1..=1440).contains(&self.checks.token_minutes), "checks.token_minutes must be 1 to 1440"),
            (
                self.checks.lease_seconds <= self.server.call_seconds,
                "checks.lease_seconds must exceed server.call_seconds",
            ),
            (
                !self.evidence.consistent(),
                "evidence.statute names the statute if evidence.resident_numbers is \"statute\", and only then",
            ),
            (self.checks.idempotency_hours == 0, "checks.idempotency_hours must not be 0"),
            (self.checks.decision_days == 0, "checks.decision_days must not be 0"),
            (!(1..=120).contains(&self.consent.answer_hours), "consent.answer_hours must be 1 to 120"),
            (self.consent.lapse_days == 0, "consent.lapse_days must not be 0"),
            (self.consent.proof_days == 0, "consent.proof_days must not be 0"),
            (self.consent.report_days == 0, "consent.report_days must not be 0"),
            (
                self.consent.controllers.values().any(|controller| controller.check().is_err()),
                "consent.controllers: only recipients may be empty, and texts have at most 512 characters",
            ),
            (!(6..=10).contains(&self.rights.code_digits), "rights.code_digits must be 6 to 10"),
            (!(1..=10).contains(&self.rights.code_tries), "rights.code_tries must be 1 to 10"),
            (!(1..=100).contains(&self.rights.codes_per_hour), "rights.codes_per_hour must be 1 to 100"),
            (!(1..=100).contains(&self.rights.lock_after), "rights.lock_after must be 1 to 100"),
            (self.rights.repeated_from == 0, "rights.repeated_from must not be 0"),
            (!(730..=36_500).contains(&self.rights.record_days), "rights.record_days must be 730 to 36500"),
            (self.rights.journal_requests > 1_000_000, "rights.journal_requests must be at most 1000000"),
            (
                !(65_536..=1_073_741_824).contains(&self.rights.journal_bytes),
                "rights.journal_bytes must be 65536 to 1073741824",
            ),
            (!(1..=3600).contains(&self.rights.journal_seconds), "rights.journal_seconds must be 1 to 3600"),
            (self.server.call_seconds == 0, "server.call_seconds must not be 0"),
            (self.server.handshake_seconds == 0, "server.handshake_seconds must not be 0"),
            (self.server.slow_seconds == 0, "server.slow_seconds must not be 0"),
            (
                self.server.drain_notice_seconds > 600,
                "server.drain_notice_seconds must be at most 600: calls are taken as ever meanwhile",
            ),
            (self.ocr.nice > 19, "ocr.nice must be 0 to 19"),
            (self.ocr.read_seconds == 0, "ocr.read_seconds must not be 0"),
            (self.server.image_bytes == 0, "server.image_bytes must not be 0"),
            (
                self.server.bytes_in_flight < self.server.image_bytes.saturating_mul(2),
                "server.bytes_in_flight must be at least twice server.image_bytes",
            ),
            (!(1..=100).contains(&self.server.caller_percent), "server.caller_percent must be 1 to 100"),
            (
                !self.server.fits_one_picture(),
                "server.caller_percent of server.bytes_in_flight must hold a picture of server.image_bytes",
            ),
            (self.log.filter().is_err(), "log.filter must be a level, or a list such as `warn,idgate=debug`"),
            (self.server.stream_seconds == 0, "server.stream_seconds must not be 0"),
            (self.server.watches_per_caller == 0, "server.watches_per_caller must not be 0"),
            (self.server.heartbeat_seconds == 0, "server.heartbeat_seconds must not be 0"),
            (self.server.look_seconds == 0, "server.look_seconds must not be 0"),
            (
                !self.webhooks.iter().all(|webhook| webhook.allowed(!self.production())),
                "webhooks.url must be `https://host[:port]/path` (http only in development), without a user or a fragment",
            ),
            (!self.webhooks_differ(), "webhooks: two of one relying party must differ in their url or name"),
            (self.production() && self.memory.core_dumps, "memory.core_dumps is for development only"),
            (self.production() && self.checks.accept_specimens, "checks.accept_specimens is for development only"),
            (
                !self.callers.trusted.iter().all(TrustedKey::has_one_place),
                "callers.trusted: each needs a file or a url",
            ),
            (
                !self.callers.trusted.iter().all(|key| key.allowed(!self.production())),
                "callers.trusted: url must be `https://host[:port]/path` (http only in development, to this machine), \
                 and ca goes with a url",
            ),
            (
                self.server.tls.client_ca.as_os_str().is_empty()
                    && self.callers.trusted.iter().any(|key| !key.certificate.is_empty()),
                "callers.trusted: certificate needs server.tls.client_ca, or no call of theirs would be accepted",
            ),
            (self.callers.skew_seconds > 120, "callers.skew_seconds must be at most 120"),
            (!(1..=3600).contains(&self.callers.soonest_seconds), "callers.soonest_seconds must be 1 to 3600"),
            (
                !(self.callers.soonest_seconds..=86_400).contains(&self.callers.refresh_seconds),
                "callers.refresh_seconds must be callers.soonest_seconds to 86400",
            ),
            (
                self.callers.stale_minutes > 1440
                    || self.callers.stale_minutes.saturating_mul(60) < self.callers.refresh_seconds,
                "callers.stale_minutes must not be less than callers.refresh_seconds, and at most 1440",
            ),
            (
                !self.server.quotas.possible(),
                "server.quotas: rates and bursts must be at most 1000000, and a burst not 0",
            ),
            (self.production() && self.callers.trusted.is_empty(), "callers.trusted: production needs callers' keys"),
            (self.production() && self.tokens.keys.is_unset(), "tokens.keys: production needs signing keys"),
            (self.production() && self.store.secret.is_unset(), "store.secret: production needs a secret"),
            (self.store.sealing.iter().any(Source::is_unset), "store.sealing: an empty name is no place"),
            (self.webhooks.iter().any(|webhook| webhook.secret.is_unset()), "webhooks.secret must not be empty"),
            (
                self.tokens.reload_seconds > 60,
                "tokens.reload_seconds must be at most 60: until then another server may sign with a key unknown here",
            ),
            (self.production() && self.store.sealing.is_empty(), "store.sealing: production needs a sealing key"),
        ];
        let broken = rules.into_iter().find(|(broken, _)| *broken).map(|(_, message)| message);
        broken
            .or_else(|| self.server.tls.check().err())
            .or_else(|| self.store.redis.check(self.production()))
            .map_or(Ok(()), |message| Err(ConfigError::Value(message)))
    }

    /// Whether each webhook has a position of its own.
    fn webhooks_differ(&self) -> bool {
        let names = self.webhooks.iter().map(|webhook| (&webhook.relying_party, webhook.name()));
        names.collect::<BTreeSet<_>>().len() == self.webhooks.len()
    }

    /// Whether this is production.
    pub fn production(&self) -> bool {
        self.mode == Mode::Production
    }
}

/// Puts `over` over `table`, field by field.
fn lay_over(table: &mut Table, over: Table) {
    for (name, value) in over {
        match (table.get_mut(&name), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            (_, value) => drop(table.insert(name, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_a_file_needs_to_name_only_what_differs() {
        let settings = Settings::parse("[server]\nlisten = \"0.0.0.0:7000\"").unwrap();
        assert_eq!(settings.server.listen.port(), 7000);
        assert_eq!(settings.server.admin.port(), 50052);
        assert_eq!(settings.mode, Mode::Development);
    }

    #[test]
    fn unknown_fields_and_impossible_values_are_refused() {
        for wrong in [
            "mod = \"production\"",
            "[server]\nport = 1",
            "[server]\nlisten = \"here\"",
            "mode = \"staging\"",
            "[log]\nfilter = \"idgate=loud\"",
            "[checks]\nsubject_attempts = 0",
            "[checks]\ntoken_minutes = 1441",
            "[checks]\nlease_seconds = 60",
            "[server]\nbytes_in_flight = 1",
            "[server]\ncaller_percent = 0",
            "[server]\ncaller_percent = 101",
            "[server]\ncaller_percent = 10",
            "[server]\nstream_seconds = 0",
            "[server]\nwatches_per_caller = 0",
            "[server]\nheartbeat_seconds = 0",
            "[server]\nlook_seconds = 0",
            "[rights]\njournal_requests = 1000001",
            "[rights]\njournal_bytes = 65535",
            "[rights]\njournal_seconds = 0",
            "[store.redis]\nurls = [\"redis://me:secret@localhost\"]",
            "[store.redis]\nnamespace = \"a:b\"",
            "[store.redis]\nconnections = 0",
            "[store.redis]\ncall_ms = 10",
            "[store.redis]\ntopology = \"ring\"",
            "[server]\nhandshake_seconds = 0",
            "[server]\nslow_seconds = 0",
            "[server.tls]\ncertificate = \"a.pem\"",
            "[server.tls]\nkey = \"a.key\"",
            "[server.tls]\nclient_ca = \"ca.pem\"",
            "[server.tls]\ncertificate = \"a.pem\"\nkey = \"a.key\"\nclient_crl = [\"crl.pem\"]",
            "[server.tls]\nreload_seconds = 0",
            "[server.tls]\nca = \"ca.pem\"",
            "[server]\ndrain_notice_seconds = 601",
            "[tokens]\nreload_seconds = 61",
            "[store]\nsecret = \"vault:x\"",
            "[store]\nsealing = [\"\"]",
            "[ocr]\nnice = 20",
            "[ocr]\nweights = { shop = 0 }",
            "[ocr]\nweights = { shop = 256 }",
            "[ocr]\nweights = { \"\" = 2 }",
            "[[webhooks]]\nrelying_party = \"shop\"\nurl = \"ftp://shop\"\nsecret = \"s\"",
            "[[webhooks]]\nrelying_party = \"shop\"\nurl = \"https://shop/\"",
            "[[webhooks]]\nrelying_party = \"shop\"\nurl = \"https://shop/\"\nsecret = \"s\"\ntypes = [\"x\"]",
            "[[callers.trusted]]\nfile = \"a\"\nparty = \"b\"",
            "[[callers.trusted]]\nrelying_party = \"b\"",
            "[[callers.trusted]]\nfile = \"a\"\nurl = \"https://a.example/\"",
            "[[callers.trusted]]\nfile = \"a\"\nca = \"b\"",
            "[[callers.trusted]]\nurl = \"http://a.example/\"",
            "[[callers.trusted]]\nurl = \"https://me@a.example/\"",
            "[[callers.trusted]]\nfile = \"a\"\ncertificate = \"shop.example\"",
            "[callers]\nskew_seconds = 121",
            "[callers]\nsoonest_seconds = 0",
            "[callers]\nrefresh_seconds = 9",
            "[callers]\nstale_minutes = 4",
            "[callers]\nstale_minutes = 1441",
            "[server.quotas]\npictures = { per_second = 1, burst = 0 }",
            "server = 1",
            "[",
        ] {
            assert!(Settings::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn production_wants_its_own_keys_and_secret_and_no_specimens() {
        let whole = "mode = \"production\"\n[tokens]\nkeys = \"k\"\n[store]\nsecret = \"s\"\nsealing = [\"e\"]\n[callers]\ntrusted = [{ file = \"c\" }]\n";
        assert!(Settings::parse(whole).is_ok());
        for line in ["keys = \"k\"", "secret = \"s\"", "sealing = [\"e\"]", "trusted = [{ file = \"c\" }]"] {
            assert!(Settings::parse(&whole.replace(line, "")).is_err(), "{line}");
        }
        let webhook = |scheme: &str| {
            format!("[[webhooks]]\nrelying_party = \"shop\"\nurl = \"{scheme}://shop.example/\"\nsecret = \"s\"\n")
        };
        assert!(Settings::parse(&format!("{whole}{}", webhook("http"))).is_err(), "events in the clear");
        let settings = Settings::parse(&format!("{whole}{}", webhook("https"))).unwrap();
        assert_eq!(settings.webhooks[0].name(), "https://shop.example/");
        Settings::parse(&settings.to_toml().unwrap()).expect("what is shown can be read");
        assert!(Settings::parse(&format!("{whole}{0}{0}", webhook("https"))).is_err(), "one position for two");
        let named =
            format!("{whole}{0}name = \"a\"\n{0}from = \"start\"\ntypes = [\"consent.given\"]", webhook("https"));
        assert_eq!(Settings::parse(&named).unwrap().webhooks.len(), 2);
        assert!(Settings::parse(&webhook("http")).is_ok(), "for trying out");
        assert!(Settings::parse(&format!("{whole}[checks]\naccept_specimens = true")).is_err());
        assert!(Settings::parse(&format!("{whole}[memory]\ncore_dumps = true")).is_err(), "pictures in core files");
        let redis = |url: &str| format!("{whole}[store.redis]\nurls = [\"{url}\"]\n");
        assert!(Settings::parse(&redis("redis://store.example")).is_err(), "the store in the clear");
        assert!(Settings::parse(&redis("rediss://store.example")).is_ok());
        assert!(Settings::parse(&format!("{}allow_plain = true", redis("redis://store.example"))).is_ok());
    }
}
