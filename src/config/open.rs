//! From settings to an [`App`]: opens the store, loads the keys and the models, starts the threads that read.

use super::callers::{callers, configured};
use super::{Settings, keys};
use crate::evidence::Limits;
use crate::evidence::numbers::ResidentNumbers;
use crate::evidence::read::OcrReader;
use crate::evidence::{self, read::ModelError};
use crate::flows::callers::KeySources;
use crate::flows::pool::{self, ReadImage};
use crate::flows::webhooks::{self, ClientError, Webhook, WebhookError};
use crate::flows::{self, App, Pool};
use crate::policy::rules::{RuleSet, TableError};
use crate::rights::clock::{CalendarError, Calendars};
use crate::rights::table::{RightsTable, RightsTableError};
use crate::seal::SealRing;
use crate::secret::Sensitive;
use crate::server;
use crate::source::Source;
use crate::store::embedded::{self, Embedded};
use crate::store::journal::Bounds;
use crate::store::shared::{self, Shared};
use crate::store::{Handles, Stirred, Stirring, Store};
use crate::telemetry::Metrics;
use crate::terms::{Malformed, RelyingParty};
use crate::tokens::callers::Callers;
use crate::tokens::keys::{Algorithm, KeyError, KeyRing, SigningKey};
use crate::tokens::{Issuer, TokenError, files};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The server cannot be put together. Nothing is made up for what is missing in production.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The models cannot be loaded.
    #[error("models in {0}: {1}")]
    Models(PathBuf, ModelError),
    /// A key cannot be used.
    #[error("{0}: {1}")]
    Key(PathBuf, KeyError),
    /// A secret cannot be read, or signing keys cannot be used.
    #[error("{0}: {1}")]
    Place(Source, KeyError),
    /// A secret of the store's is not 64 hexadecimal characters.
    #[error("{0}: {1}")]
    Secret(Source, Malformed),
    /// A webhook cannot be used.
    #[error("webhook of {0}: {1}")]
    Webhook(RelyingParty, WebhookError),
    /// A name or lifetime in the settings cannot be used.
    #[error("tokens: {0}")]
    Token(#[from] TokenError),
    /// The callers' keys do not go together.
    #[error("callers: {0}")]
    Callers(KeyError),
    /// A URL of callers' keys cannot be used.
    #[error("callers.trusted: {0}")]
    CallersUrl(#[from] ClientError),
    /// The store cannot be opened.
    #[error("store in {0}: {1}")]
    Store(PathBuf, embedded::OpenError),
    /// The shared store cannot be used as it is set.
    #[error(transparent)]
    Shared(#[from] shared::OpenError),
    /// A directory cannot be made or used.
    #[error("{0}: {1}")]
    Directory(PathBuf, std::io::Error),
    /// The rule table is broken.
    #[error("rules: {0}")]
    Rules(#[from] TableError),
    /// The rights table is broken.
    #[error("rights: {0}")]
    Rights(#[from] RightsTableError),
    /// The calendars are broken.
    #[error("calendars: {0}")]
    Calendars(#[from] CalendarError),
    /// Development keys in production.
    #[error("production refuses development keys: {0}")]
    DevelopmentKeys(&'static str),
    /// It must not be served as it is set.
    #[error(transparent)]
    Unfit(#[from] server::Unfit),
    /// The system gave no thread.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Where the models are: as set, as `IDGATE_MODELS` says, beside the program, or where it was built.
pub fn models_directory(set: &Path) -> PathBuf {
    if !set.as_os_str().is_empty() {
        return set.to_owned();
    }
    if let Some(path) = std::env::var_os("IDGATE_MODELS") {
        return path.into();
    }
    let program = std::env::current_exe().ok();
    let beside = program.and_then(|path| Some(path.parent()?.parent()?.join("share/idgate/models")));
    match beside {
        Some(path) if path.is_dir() => path,
        Some(_) | None => Path::new(env!("IDGATE_BUILT_MODELS")).to_owned(),
    }
}

/// Loads and checks the models. A mismatch refuses.
pub fn reader(set: &Path) -> Result<Arc<ReadImage>, OpenError> {
    reader_that(set, ResidentNumbers::default())
}

fn reader_that(set: &Path, resident_numbers: ResidentNumbers) -> Result<Arc<ReadImage>, OpenError> {
    let directory = models_directory(set);
    let reader = OcrReader::load(&directory).map_err(|error| OpenError::Models(directory, error))?;
    Ok(Arc::new(move |image, today, limits| {
        evidence::extract(image, &reader, today, &Limits { resident_numbers, ..limits.clone() })
    }))
}

/// Loads and checks the models for a server: the threads that the engine starts for itself give way like those that read.
pub fn server_reader(settings: &Settings) -> Result<Arc<ReadImage>, OpenError> {
    let load = || {
        pool::give_way(settings.ocr.nice);
        reader_that(&settings.ocr.models, settings.evidence.resident_numbers)
    };
    std::thread::scope(|scope| scope.spawn(load).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The rule table, as text.
pub fn policy_table() -> Result<String, OpenError> {
    Ok(RuleSet::embedded()?.table())
}

/// Whether everything that settings name is there and fits, as [`open`] would find it, without opening the store or
/// making anything. What development makes by itself need not be there.
pub fn check(settings: &Settings) -> Result<(), OpenError> {
    RuleSet::embedded()?;
    server::check(&settings.server)?;
    let directory = &settings.data_dir;
    if directory.exists() && !directory.is_dir() {
        return Err(OpenError::Directory(directory.clone(), std::io::ErrorKind::NotADirectory.into()));
    }
    if settings.production() {
        keyed(settings)?;
        handles(settings)?;
        sealing(settings)?;
    } else {
        Issuer::new(&settings.tokens.issuer, existing_ring(settings)?)?;
        configured(settings)?;
        if own_secret(settings).exists() || !settings.store.secret.is_unset() {
            handles(settings)?;
        }
        if own_sealing(settings).exists() || !settings.store.sealing.is_empty() {
            sealing(settings)?;
        }
    }
    webhooks(settings)?;
    if settings.store.redis.used() {
        Shared::new(&settings.store.redis)?;
    }
    let directory = models_directory(&settings.ocr.models);
    OcrReader::load(&directory).map(drop).map_err(|error| OpenError::Models(directory, error))
}

/// The signing keys that are there, or for a moment some of which nothing is kept.
fn existing_ring(settings: &Settings) -> Result<KeyRing, OpenError> {
    let place = keys::place(settings);
    let ring = match files::load_from(&place) {
        Err(KeyError::File(std::io::ErrorKind::NotFound)) => {
            SigningKey::generate(Algorithm::EdDsa, true).and_then(|(key, _)| KeyRing::new(key, None, Vec::new()))
        }
        loaded => loaded,
    };
    ring.map_err(|error| OpenError::Place(place, error))
}

/// The keys, which must not be for development in production.
fn keyed(settings: &Settings) -> Result<(Issuer, (Callers, KeySources)), OpenError> {
    let (issuer, (callers, sources)) = (issuer(settings)?, callers(settings)?);
    let named = keys::place(settings).name().starts_with(files::DEVELOPMENT);
    if settings.production() && (issuer.development() || named) {
        return Err(OpenError::DevelopmentKeys("tokens.keys"));
    }
    if settings.production() && callers.development() {
        return Err(OpenError::DevelopmentKeys("callers.trusted"));
    }
    Ok((issuer, (callers, sources)))
}

/// Puts the server together around something that reads pictures. Blocks.
pub fn open(settings: &Settings, read: Arc<ReadImage>) -> Result<App, OpenError> {
    keys::private_directory(&settings.data_dir)
        .map_err(|error| OpenError::Directory(settings.data_dir.clone(), error))?;
    let metrics = Arc::new(Metrics::default());
    let (issuer, (callers, key_sources)) = keyed(settings)?;
    let (handles, seal) = (handles(settings)?, sealing(settings)?);
    let store = store(settings)?;
    let journal = journal(settings, &seal)?;
    let stirred = Arc::new(Stirred::default());
    let store = Arc::new(Stirring::new(store, Arc::clone(&stirred)));
    Ok(App {
        store,
        stirred,
        webhooks: webhooks(settings)?,
        handles,
        seal,
        issuer,
        callers,
        key_sources,
        rules: RuleSet::embedded()?,
        pool: Pool::start(&settings.ocr.pool(), read, Arc::clone(&metrics))?,
        metrics,
        settings: settings.checks.clone(),
        consent: consent(settings),
        settled: flows::consent::Settled::new(),
        rights: settings.rights.clone(),
        journal,
        rights_table: RightsTable::embedded()?,
        calendars: Calendars::embedded()?,
        image_bytes: settings.server.image_bytes,
        statute: settings.evidence.statute,
        clock: Box::new(Timestamp::now),
    })
}

/// The opt-outs that wait for the store.
fn journal(settings: &Settings, seal: &SealRing) -> Result<Option<Arc<flows::rights::OptOuts>>, OpenError> {
    let notes = usize::try_from(settings.rights.journal_requests).unwrap_or(usize::MAX);
    if notes == 0 {
        return Ok(None);
    }
    let directory = settings.data_dir.join("journal");
    let bounds = Bounds { notes, bytes: settings.rights.journal_bytes };
    let opened = flows::rights::OptOuts::open(&directory, seal, bounds);
    opened.map(|journal| Some(Arc::new(journal))).map_err(|error| OpenError::Directory(directory, error))
}

/// The store: Redis where one is named, a file otherwise. Redis need not answer yet.
fn store(settings: &Settings) -> Result<Arc<dyn Store>, OpenError> {
    if settings.store.redis.used() {
        return Ok(Arc::new(Shared::new(&settings.store.redis)?));
    }
    let place = embedded::Settings {
        directory: settings.data_dir.join("store"),
        queue: settings.store.queue,
        cache_bytes: settings.store.cache_bytes,
    };
    let store = Embedded::open(&place).map_err(|error| OpenError::Store(place.directory, error))?;
    Ok(Arc::new(store))
}

/// The webhooks, with their secrets and the certificates that they trust.
fn webhooks(settings: &Settings) -> Result<Vec<Webhook>, OpenError> {
    settings.webhooks.iter().map(webhook).collect()
}

fn webhook(set: &webhooks::Settings) -> Result<Webhook, OpenError> {
    let secret = read(&set.secret)?;
    let ca = match set.ca.as_os_str().is_empty() {
        true => None,
        false => Some(std::fs::read(&set.ca).map_err(|error| OpenError::Directory(set.ca.clone(), error))?),
    };
    Webhook::new(set, &secret, ca.as_deref()).map_err(|error| OpenError::Webhook(set.relying_party.clone(), error))
}

/// What is set for consent; in development, with somebody to stand in for who is responsible.
fn consent(settings: &Settings) -> flows::consent::Settings {
    let text = |text: &str| String::from(text);
    let stand_in = flows::consent::Controller {
        name: text("DEVELOPMENT: nobody is configured as responsible"),
        address: text("none"),
        contact: text("none"),
        notice_url: text("none"),
        storage_locations: vec![text("development")],
        retention_period: text("none"),
        recipients: Vec::new(),
        withdrawal_method: text("none"),
        pii_categories: vec![text("development")],
    };
    flows::consent::Settings { stand_in: (!settings.production()).then_some(stand_in), ..settings.consent.clone() }
}

/// Reads a secret from where it lies.
fn read(source: &Source) -> Result<Sensitive<Vec<u8>>, OpenError> {
    if source.lingers() {
        tracing::warn!(%source, "a secret stays in the environment of this process; a file or a credential does not");
    }
    source.read().map_err(|error| OpenError::Place(source.clone(), error.into()))
}

fn issuer(settings: &Settings) -> Result<Issuer, OpenError> {
    let place = keys::place(settings);
    let ring = match files::load_from(&place) {
        Err(KeyError::File(std::io::ErrorKind::NotFound)) if !settings.production() => match &place {
            Source::File(directory) => files::create(directory, Algorithm::EdDsa, true),
            _ => Err(KeyError::File(std::io::ErrorKind::NotFound)),
        },
        loaded => loaded,
    };
    let ring = ring.map_err(|error| OpenError::Place(place.clone(), error))?;
    if place.lingers() {
        tracing::warn!(%place, "the signing keys stay in the environment of this process; files do not");
    }
    if ring.development() {
        tracing::warn!("tokens are signed with DEVELOPMENT keys; do not rely on them");
    }
    Ok(Issuer::new(&settings.tokens.issuer, ring)?.at(place))
}

/// Where development makes the store's secret.
fn own_secret(settings: &Settings) -> PathBuf {
    settings.data_dir.join("dev-store.secret")
}

fn handles(settings: &Settings) -> Result<Handles, OpenError> {
    let place = or_made(settings, &settings.store.secret, own_secret(settings))?;
    Handles::from_hex(&read(&place)?).map_err(|error| OpenError::Secret(place, error))
}

/// The place that is set; where none is, that of development's own, made if it is missing.
fn or_made(settings: &Settings, set: &Source, own: PathBuf) -> Result<Source, OpenError> {
    if !set.is_unset() {
        return Ok(set.clone());
    }
    if !settings.production() && !own.exists() {
        keys::secret(&own).map_err(|error| OpenError::Key(own.clone(), error))?;
    }
    Ok(own.into())
}

/// Where development makes its sealing key.
fn own_sealing(settings: &Settings) -> PathBuf {
    settings.data_dir.join("dev-sealing.secret")
}

/// The sealing keys, which must not be for development in production.
pub(super) fn sealing(settings: &Settings) -> Result<SealRing, OpenError> {
    let set = &settings.store.sealing;
    if settings.production() && set.iter().any(|place| place.name().starts_with(files::DEVELOPMENT)) {
        return Err(OpenError::DevelopmentKeys("store.sealing"));
    }
    let (current, older) = match set.as_slice() {
        [current, older @ ..] => (current.clone(), older),
        [] => (or_made(settings, &Source::Unset, own_sealing(settings))?, &[][..]),
    };
    let older = older.iter().map(sealing_key).collect::<Result<_, _>>()?;
    Ok(SealRing::new(sealing_key(&current)?, older))
}

fn sealing_key(place: &Source) -> Result<Sensitive<[u8; 32]>, OpenError> {
    Sensitive::from_hex(&read(place)?).ok_or_else(|| OpenError::Secret(place.clone(), Malformed("sealing key")))
}
