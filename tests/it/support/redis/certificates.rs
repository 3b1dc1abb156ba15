//! Certificates for a Redis with TLS on both sides, made anew for each test.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

/// PEM files.
pub struct Certificates {
    pub ca: PathBuf,
    pub server: PathBuf,
    pub server_key: PathBuf,
    pub client: PathBuf,
    pub client_key: PathBuf,
}

impl Certificates {
    pub fn make(directory: &Path) -> Self {
        let mut root = CertificateParams::new(Vec::new()).unwrap();
        // Without names of their own all would look as if they had signed themselves.
        root.distinguished_name.push(DnType::CommonName, "authority");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let write = |name: &str, text: &str| {
            let file = directory.join(name);
            std::fs::write(&file, text).unwrap();
            private(&file);
            file
        };
        let signed = |name: &str| {
            let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
            params.distinguished_name.push(DnType::CommonName, name);
            let key = KeyPair::generate().unwrap();
            let certificate = params.signed_by(&key, &root).unwrap();
            (write(&format!("{name}.pem"), &certificate.pem()), write(&format!("{name}.key"), &key.serialize_pem()))
        };
        let (server, server_key) = signed("server");
        let (client, client_key) = signed("client");
        Self { ca: write("ca.pem", &root.pem()), server, server_key, client, client_key }
    }
}

/// Only its owner may read it.
pub fn private(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}
