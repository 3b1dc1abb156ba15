//! TLS: who this server is, and who may connect.
//!
//! TLS 1.3 and 1.2, HTTP/2 only. Where a client CA is set, every client must show a certificate of it that is valid now
//! and, where revocation lists are set, is known not to be revoked. Sessions are not resumed: connections are few and
//! long, and so no certificate outlives a reload. Files are looked at again and again; what cannot be used changes
//! nothing.

mod certificate;
mod files;
mod keeper;
mod stream;

pub use certificate::{ClientCertificate, NamesLayer, Peer};
pub use files::{Loaded, load};
pub use keeper::{Current, Keeper};
pub use stream::TlsStream;

use std::path::PathBuf;

/// With which files TLS is spoken.
#[derive(Debug, Clone, Default, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The server's certificate and those between it and its authority, in PEM; empty for no TLS.
    pub certificate: PathBuf,
    /// Its private key, in PEM, in a file that only its owner can read.
    pub key: PathBuf,
    /// The authorities of clients, in PEM; empty to ask no client for a certificate.
    pub client_ca: PathBuf,
    /// Their revocation lists, in PEM.
    pub client_crl: Vec<PathBuf>,
    /// How often the files are looked at, in seconds.
    pub reload_seconds: u32,
}

impl Settings {
    /// Whether TLS is spoken.
    pub fn used(&self) -> bool {
        !self.certificate.as_os_str().is_empty()
    }

    /// What does not go together, if anything.
    pub fn check(&self) -> Result<(), &'static str> {
        let set = |path: &PathBuf| !path.as_os_str().is_empty();
        let rules = [
            (set(&self.certificate) != set(&self.key), "server.tls: certificate and key go together"),
            (set(&self.client_ca) && !self.used(), "server.tls.client_ca needs server.tls.certificate"),
            (!self.client_crl.is_empty() && !set(&self.client_ca), "server.tls.client_crl needs server.tls.client_ca"),
            (!(1..=3600).contains(&self.reload_seconds), "server.tls.reload_seconds must be 1 to 3600"),
        ];
        rules.into_iter().find(|(broken, _)| *broken).map_or(Ok(()), |(_, message)| Err(message))
    }
}

/// The files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// Others than its owner can read the private key.
    #[error("{0}: only its owner may be able to read a private key (chmod 600)")]
    Permissions(PathBuf),
    /// It holds nothing of the kind.
    #[error("{0}: holds no {1} in PEM")]
    Content(PathBuf, &'static str),
    /// Certificate and key do not belong together, or are of a kind that cannot be used.
    #[error("{0}: the certificate cannot be used with its key: {1}")]
    Certificate(PathBuf, rustls::Error),
    /// The certificate is not valid now.
    #[error("{0}: the certificate is not valid now: it is from {1} to {2}")]
    Validity(PathBuf, jiff::Timestamp, jiff::Timestamp),
    /// The client CA or its revocation lists cannot be used.
    #[error("{0}: cannot be used to check clients: {1}")]
    ClientCa(PathBuf, rustls::server::VerifierBuilderError),
    /// The TLS library refused its own defaults.
    #[error("TLS cannot be set up: {0}")]
    Library(#[from] rustls::Error),
}

/// Why a client got no TLS. The name is its label in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It showed no certificate, or none that is accepted.
    Certificate,
    /// It does not speak HTTP/2.
    Protocol,
    /// It left, or the connection broke.
    Left,
    /// Anything else that makes no TLS, such as plain text.
    Failed,
}

impl Refusal {
    /// The name in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "tls_certificate",
            Self::Protocol => "tls_protocol",
            Self::Left => "tls_left",
            Self::Failed => "tls_failed",
        }
    }
}

impl From<&rustls::Error> for Refusal {
    fn from(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::NoCertificatesPresented
            | rustls::Error::InvalidCertificate(_)
            | rustls::Error::InvalidCertRevocationList(_) => Self::Certificate,
            rustls::Error::NoApplicationProtocol => Self::Protocol,
            _ => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests;
