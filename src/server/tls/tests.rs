//! What the files must be, and what a change of them does.

use super::certificate::validity;
use super::files::Contents;
use super::*;
use crate::telemetry::Metrics;
use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType, date_time_ymd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// A certificate and its key, valid from the first day of one year to that of another.
fn certificate(years: [i32; 2]) -> (rcgen::Certificate, String) {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.distinguished_name.push(DnType::CommonName, "authority");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(vec!["Shop.Example".to_owned(), "*.shop.example".to_owned()]).unwrap();
    params.subject_alt_names.push(SanType::URI("spiffe://example/Shop".try_into().unwrap()));
    [params.not_before, params.not_after] = years.map(|year| date_time_ymd(year, 1, 1));
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, &root).unwrap(), key.serialize_pem())
}

fn settings(directory: &Path, years: [i32; 2]) -> Settings {
    let (certificate, key) = certificate(years);
    Settings {
        certificate: write(directory, "server.pem", &certificate.pem()),
        key: write(directory, "server.key", &key),
        reload_seconds: 1,
        ..Settings::default()
    }
}

#[test]
fn a_certificate_tells_its_names_and_its_bounds() {
    let (certificate, _) = certificate([2020, 2031]);
    let read = ClientCertificate::read(certificate.der());
    assert_eq!(read.names, ["shop.example", "*.shop.example", "spiffe://example/Shop"]);
    let (from, until) = validity(certificate.der()).unwrap();
    assert_eq!((from.to_string(), until.to_string()), ("2020-01-01T00:00:00Z".into(), "2031-01-01T00:00:00Z".into()));
    assert_eq!(validity(&vec![1, 2, 3].into()), None);
}

#[test]
fn files_that_do_not_fit_are_refused_with_the_reason() {
    let directory = TempDir::new().unwrap();
    let good = settings(directory.path(), [2020, 2100]);
    assert!(load(&good).unwrap().is_some());
    assert!(load(&Settings::default()).unwrap().is_none(), "no TLS");
    let refused = |what: &str, settings: Settings| {
        let error = load(&settings).map(drop).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    let other = TempDir::new().unwrap();
    refused("nowhere.pem", Settings { certificate: "nowhere.pem".into(), ..good.clone() });
    refused("cannot be used with its key", Settings { key: settings(other.path(), [2020, 2100]).key, ..good.clone() });
    refused("holds no private key", Settings { key: good.certificate.clone(), ..good.clone() });
    refused("holds no certificate", Settings { certificate: good.key.clone(), ..good.clone() });
    refused("not valid now", settings(other.path(), [2020, 2021]));
    refused("not valid now", settings(other.path(), [2090, 2100]));
    refused("holds no certificate", Settings { client_ca: good.key.clone(), ..good.clone() });
    let crl =
        Settings { client_ca: good.certificate.clone(), client_crl: vec![good.certificate.clone()], ..good.clone() };
    refused("holds no revocation list", crl);
    std::fs::set_permissions(&good.key, std::fs::Permissions::from_mode(0o640)).unwrap();
    refused("chmod 600", good);
}

#[tokio::test]
async fn new_files_are_taken_and_bad_ones_change_nothing() {
    let directory = TempDir::new().unwrap();
    let set = settings(directory.path(), [2020, 2100]);
    let metrics = Arc::<Metrics>::default();
    let mut keeper = Keeper::open(&set, Arc::clone(&metrics)).unwrap().unwrap();
    let current = keeper.current();
    let now = Timestamp::now();
    let look = |keeper: &mut Keeper| {
        let before = current.config();
        keeper.look(Contents::read(&set), now);
        !Arc::ptr_eq(&before, &current.config())
    };
    assert!(!look(&mut keeper), "the same");
    settings(directory.path(), [2020, 2101]);
    assert!(look(&mut keeper), "new");
    write(directory.path(), "server.pem", "cut off while it was written");
    assert!(!look(&mut keeper) && !look(&mut keeper), "bad");
    settings(directory.path(), [2020, 2021]);
    assert!(!look(&mut keeper), "expired");
    std::fs::remove_file(&set.key).unwrap();
    assert!(!look(&mut keeper), "gone");
    settings(directory.path(), [2020, 2102]);
    assert!(look(&mut keeper), "good again");
    let text = metrics.render();
    assert!(text.contains(r#"idgate_tls_reloads_total{came_to="loaded"} 2"#), "{text}");
    assert!(text.contains(r#"idgate_tls_reloads_total{came_to="refused"} 3"#), "each told once: {text}");
    assert!(text.contains("idgate_tls_valid_until_seconds 4165516800"), "{text}");
}
