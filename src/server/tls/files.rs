//! From files to a configuration that can be served with, or the reason why not.

use super::certificate::validity;
use super::{Settings, TlsError};
use crate::secret::Sensitive;
use jiff::Timestamp;
use rustls::crypto::aws_lc_rs;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest file that is read. A long revocation list takes some megabytes.
const LARGEST: u64 = 32 * 1024 * 1024;
/// The only protocol that is spoken over TLS.
const ALPN: &[u8] = b"h2";

/// What the files came to.
#[derive(Debug)]
pub struct Loaded {
    /// How TLS is spoken.
    pub config: Arc<ServerConfig>,
    /// Until when the server's certificate is valid.
    pub until: Timestamp,
}

/// What lies in the files.
pub struct Contents {
    certificate: Vec<u8>,
    key: Sensitive<Vec<u8>>,
    client_ca: Option<Vec<u8>>,
    client_crl: Vec<Vec<u8>>,
}

impl Contents {
    /// Reads the files. Blocks.
    pub fn read(settings: &Settings) -> Result<Self, TlsError> {
        let client_ca = (!settings.client_ca.as_os_str().is_empty()).then(|| read(&settings.client_ca)).transpose()?;
        Ok(Self {
            certificate: read(&settings.certificate)?,
            key: read_private(&settings.key)?,
            client_ca,
            client_crl: settings.client_crl.iter().map(|path| read(path)).collect::<Result<_, _>>()?,
        })
    }

    /// By which the same contents are told from others.
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        let parts = [Some(&self.certificate), Some(self.key.expose()), self.client_ca.as_ref()];
        for part in parts.into_iter().chain(self.client_crl.iter().map(Some)) {
            digest.update(Sha256::digest(part.map_or(&[][..], |part| part)));
        }
        digest.finalize().into()
    }

    /// The configuration that they make, as of `now`.
    pub fn load(&self, settings: &Settings, now: Timestamp) -> Result<Loaded, TlsError> {
        let path = &settings.certificate;
        let chain: Vec<CertificateDer<'static>> = all(&self.certificate, path, "certificate")?;
        let until = chain.first().and_then(validity).map_or_else(
            || Err(TlsError::Content(path.clone(), "certificate")),
            |(from, until)| match (from..=until).contains(&now) {
                true => Ok(until),
                false => Err(TlsError::Validity(path.clone(), from, until)),
            },
        )?;
        let key = PrivateKeyDer::from_pem_slice(self.key.expose())
            .map_err(|_| TlsError::Content(settings.key.clone(), "private key"))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let refused = |error| TlsError::ClientCa(settings.client_ca.clone(), error);
                let roots = Arc::new(self.roots(pem, &settings.client_ca)?);
                let mut lists = Vec::<CertificateRevocationListDer<'static>>::new();
                for (pem, path) in self.client_crl.iter().zip(&settings.client_crl) {
                    lists.extend(all::<CertificateRevocationListDer<'static>>(pem, path, "revocation list")?);
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).with_crls(lists);
                // An old list says nothing of those revoked since.
                let verifier = verifier.enforce_revocation_expiration();
                builder.with_client_cert_verifier(verifier.build().map_err(refused)?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|e| TlsError::Certificate(path.clone(), e))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Loaded { config: Arc::new(config), until })
    }

    fn roots(&self, pem: &[u8], path: &Path) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in all::<CertificateDer<'static>>(pem, path, "certificate")? {
            roots.add(certificate).map_err(|_| TlsError::Content(path.to_owned(), "certificate"))?;
        }
        Ok(roots)
    }
}

/// Loads what the settings name, which must be valid now; `None` where no TLS is set. Blocks.
pub fn load(settings: &Settings) -> Result<Option<Loaded>, TlsError> {
    match settings.used() {
        false => Ok(None),
        true => Contents::read(settings)?.load(settings, Timestamp::now()).map(Some),
    }
}

/// Everything of a kind in a file, of which there must be some.
fn all<T: PemObject>(pem: &[u8], path: &Path, kind: &'static str) -> Result<Vec<T>, TlsError> {
    let found = T::pem_slice_iter(pem).collect::<Result<Vec<T>, _>>();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| TlsError::Content(path.to_owned(), kind))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    read_all(path, File::open(path))
}

/// Reads a file that only its owner can read.
fn read_private(path: &Path) -> Result<Sensitive<Vec<u8>>, TlsError> {
    let file = File::open(path);
    #[cfg(unix)]
    if let Ok(file) = &file {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = file.metadata().map_err(|error| TlsError::File(path.to_owned(), error))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(TlsError::Permissions(path.to_owned()));
        }
    }
    read_all(path, file).map(Sensitive::new)
}

fn read_all(path: &Path, file: std::io::Result<File>) -> Result<Vec<u8>, TlsError> {
    let bytes = file.and_then(|file| {
        let length = file.metadata()?.len();
        if length > LARGEST {
            return Err(ErrorKind::FileTooLarge.into());
        }
        // Room for all of it at once: a vector that grows leaves copies behind.
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default().saturating_add(1));
        file.take(LARGEST).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    bytes.map_err(|error| TlsError::File(PathBuf::from(path), error))
}
