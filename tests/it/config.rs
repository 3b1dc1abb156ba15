//! Starting: development makes what it needs, production makes nothing and refuses what is for development.

use crate::support::Script;
use idgate::config::keys::{self, Bearer, Signature};
use idgate::config::{self, OpenError, Settings};
use idgate::secret::Sensitive;
use idgate::source::Source;
use idgate::terms::Scope;
use idgate::tokens::files;
use idgate::tokens::keys::Algorithm;
use jiff::{SignedDuration, Timestamp};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

fn open(settings: &Settings) -> Result<idgate::flows::App, OpenError> {
    config::open(settings, Arc::<Script>::default().reader())
}

/// Production settings with everything in one directory.
fn production(directory: &Path) -> Settings {
    let at = |name: &str| format!("{:?}", directory.join(name));
    let text = format!(
        "mode = \"production\"\ndata_dir = {}\n[tokens]\nkeys = {}\n[store]\nsecret = {}\nsealing = [{}]\n[callers]\ntrusted = [{{ file = {} }}]\n",
        at("data"),
        at("keys"),
        at("secret"),
        at("sealing"),
        at("callers.json"),
    );
    Settings::parse(&text).unwrap()
}

#[test]
fn production_starts_with_its_own_keys_and_nothing_less() {
    let directory = TempDir::new().unwrap();
    let settings = production(directory.path());
    let missing = |what: &str| {
        let error = open(&settings).map(drop).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    missing("keys");
    let (signing, callers) = (directory.path().join("keys"), directory.path().join("other-keys"));
    keys::generate(&signing, Signature::EdDsa).unwrap();
    missing("callers.json");
    let public = keys::generate(&callers, Signature::Es256).unwrap();
    std::fs::write(directory.path().join("callers.json"), public).unwrap();
    missing("secret");
    keys::secret(&directory.path().join("secret")).unwrap();
    missing("sealing");
    assert!(config::check(&settings).unwrap_err().to_string().contains("sealing"));
    assert!(!directory.path().join("sealing").exists(), "made in production");
    keys::secret(&directory.path().join("sealing")).unwrap();
    let app = open(&settings).unwrap();

    let bearer = || Bearer {
        relying_party: "shop".parse().unwrap(),
        scopes: vec![Scope::AgeCheck],
        purposes: vec![],
        minutes: 5,
    };
    assert!(keys::mint(&settings, None, bearer()).is_err(), "there is no development key");
    let token = keys::mint(&settings, Some(&callers.join("current.pem")), bearer()).unwrap();
    assert_eq!(app.callers.verify(token.as_str(), None, app.now()).unwrap().relying_party.as_str(), "shop");
    let before = app.jwks();
    drop(app);
    let (hour, at_once) = (SignedDuration::from_hours(1), SignedDuration::ZERO);
    assert!(
        matches!(keys::rotate(&signing, hour), Err(keys::KeyError::TooEarly(_))),
        "not everybody knows the next key"
    );
    keys::rotate(&signing, at_once).unwrap();
    assert_ne!(open(&settings).unwrap().jwks(), before);
}

#[test]
fn production_refuses_development_keys() {
    let directory = TempDir::new().unwrap();
    let settings = production(directory.path());
    files::create(&directory.path().join("keys"), Algorithm::EdDsa, true).unwrap();
    let public = keys::generate(&directory.path().join("other-keys"), Signature::EdDsa).unwrap();
    std::fs::write(directory.path().join("callers.json"), public).unwrap();
    keys::secret(&directory.path().join("secret")).unwrap();
    assert!(matches!(open(&settings), Err(OpenError::DevelopmentKeys("tokens.keys"))));
    assert!(matches!(config::check(&settings), Err(OpenError::DevelopmentKeys("tokens.keys"))));

    std::fs::remove_dir_all(directory.path().join("keys")).unwrap();
    keys::generate(&directory.path().join("keys"), Signature::EdDsa).unwrap();
    let ring = files::create(&directory.path().join("dev"), Algorithm::EdDsa, true).unwrap();
    let public = idgate::tokens::keys::jwks(ring.verifying(Timestamp::now()));
    std::fs::write(directory.path().join("callers.json"), public).unwrap();
    assert!(matches!(open(&settings), Err(OpenError::DevelopmentKeys("callers.trusted"))));
}

#[test]
fn production_refuses_a_development_sealing_key_wherever_it_stands() {
    let directory = TempDir::new().unwrap();
    let mut settings = production(directory.path());
    keys::generate(&directory.path().join("keys"), Signature::EdDsa).unwrap();
    let public = keys::generate(&directory.path().join("other-keys"), Signature::EdDsa).unwrap();
    std::fs::write(directory.path().join("callers.json"), public).unwrap();
    let (good, dev) = (directory.path().join("sealing"), directory.path().join("dev-sealing.secret"));
    for file in [&directory.path().join("secret"), &good, &dev] {
        keys::secret(file).unwrap();
    }
    open(&settings).unwrap();
    let (good, dev) = (Source::from(good), Source::from(dev));
    for sealing in [vec![dev.clone()], vec![good.clone(), dev.clone()]] {
        settings.store.sealing = sealing;
        assert!(matches!(open(&settings), Err(OpenError::DevelopmentKeys("store.sealing"))));
        assert!(matches!(config::check(&settings), Err(OpenError::DevelopmentKeys("store.sealing"))));
    }
}

#[test]
fn what_was_sealed_opens_after_a_restart_and_after_a_rotation() {
    let directory = TempDir::new().unwrap();
    let mut settings = Settings::load(None).unwrap();
    settings.data_dir = directory.path().join("data");
    let (own, plain) = (Sensitive::new([7; 32]), Sensitive::new(b"content".to_vec()));
    let sealed = open(&settings).unwrap().seal.seal(&own, b"place", &plain).unwrap();
    let app = open(&settings).unwrap();
    assert_eq!(app.seal.open(&own, b"place", &sealed).unwrap().expose(), plain.expose());
    assert!(!sealed.needs_reseal(&app.seal));
    drop(app);

    let (old, new) = (settings.data_dir.join("dev-sealing.secret"), directory.path().join("new"));
    keys::secret(&new).unwrap();
    settings.store.sealing = vec![new.into(), old.clone().into()];
    let app = open(&settings).unwrap();
    assert_eq!(app.seal.open(&own, b"place", &sealed).unwrap().expose(), plain.expose());
    assert!(sealed.needs_reseal(&app.seal));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&old).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn development_needs_nothing_and_keeps_its_keys() {
    let directory = TempDir::new().unwrap();
    let mut settings = Settings::load(None).unwrap();
    settings.data_dir = directory.path().join("data");
    let app = open(&settings).unwrap();
    let jwks = app.jwks();
    assert!(jwks.contains("\"dev-"), "marked");
    drop(app);
    assert_eq!(open(&settings).unwrap().jwks(), jwks);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&settings.data_dir).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}

#[test]
fn a_check_refuses_what_serving_refuses_and_makes_nothing() {
    let directory = TempDir::new().unwrap();
    let mut fresh = Settings::load(None).unwrap();
    fresh.data_dir = directory.path().join("data");
    let refused = |what: &str, set: &dyn Fn(&mut Settings)| {
        let mut settings = fresh.clone();
        set(&mut settings);
        let error = config::check(&settings).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
        assert!(open(&settings).is_err(), "{what}");
        drop(std::fs::remove_dir_all(&fresh.data_dir));
    };
    config::check(&fresh)
        .or_else(|error| if matches!(error, OpenError::Models(..)) { Ok(()) } else { Err(error) })
        .unwrap();
    assert!(!fresh.data_dir.exists(), "nothing was made");
    let trust = |file: std::path::PathBuf| config::TrustedKey { file, ..config::TrustedKey::default() };
    refused("nowhere.pem", &|settings| settings.callers.trusted = vec![trust("nowhere.pem".into())]);
    let twice = directory.path().join("twice");
    std::fs::write(&twice, keys::generate(&directory.path().join("keys"), Signature::EdDsa).unwrap()).unwrap();
    refused("same key id", &|settings| settings.callers.trusted = vec![trust(twice.clone()), trust(twice.clone())]);
    refused("no-secret", &|settings| settings.store.secret = Path::new("no-secret").to_owned().into());
    refused("no-sealing", &|settings| settings.store.sealing = vec![Path::new("no-sealing").to_owned().into()]);
    let (whole, short) = (directory.path().join("whole"), directory.path().join("short"));
    keys::secret(&whole).unwrap();
    std::fs::copy(&whole, &short).unwrap();
    std::fs::write(&short, "07").unwrap();
    refused("short: not a valid sealing key", &|settings| {
        settings.store.sealing = vec![whole.clone().into(), short.clone().into()];
    });
    refused("tokens", &|settings| settings.tokens.issuer = String::new());
    refused("callers", &|settings| settings.callers.audience = String::new());
    let file = directory.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    refused("a-file", &|settings| settings.data_dir = file.clone());
}

#[test]
fn a_callers_key_is_told_by_its_content_whatever_its_name() {
    let directory = TempDir::new().unwrap();
    let mut settings = Settings::load(None).unwrap();
    settings.data_dir = directory.path().join("data");
    // From RFC 8410, 10.1: a public key as PEM.
    let pem = "a remark\n-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let file = directory.path().join("shop.pub");
    std::fs::write(&file, pem).unwrap();
    settings.callers.trusted = vec![config::TrustedKey { file, ..config::TrustedKey::default() }];
    open(&settings).unwrap();
}

#[test]
fn no_token_is_minted_that_the_server_would_refuse() {
    let directory = TempDir::new().unwrap();
    let mut settings = Settings::load(None).unwrap();
    settings.data_dir = directory.path().join("data");
    let longest = settings.callers.longest_minutes;
    let minted = |minutes| {
        let bearer = Bearer { relying_party: "shop".parse().unwrap(), scopes: vec![], purposes: vec![], minutes };
        keys::mint(&settings, None, bearer)
    };
    let refused = minted(longest + 1).unwrap_err().to_string();
    assert!(refused.contains(&longest.to_string()), "{refused}");
    assert!(!settings.data_dir.exists(), "nor is a key made for it");
    minted(longest).unwrap();
}

#[test]
fn a_configuration_reads_back_as_it_is_shown() {
    let settings = Settings::load(None).unwrap();
    let shown = settings.to_toml().unwrap();
    assert_eq!(Settings::parse(&shown).unwrap().to_toml().unwrap(), shown);
}
