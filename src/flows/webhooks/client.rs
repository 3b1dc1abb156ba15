//! Posts one message, and nothing else: the only file that names the HTTP client and TLS.
//!
//! No redirect is followed and no proxy used, so a message goes to the configured address or nowhere. The answer's body
//! is read up to a bound, for the connection's sake, and not looked at. Certificates are always checked, against those
//! that browsers trust or against the configured ones instead.

use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tonic::codegen::Bytes;

/// The longest time for one attempt, from looking up the name to the end of the answer.
pub const LONGEST: Duration = Duration::from_secs(10);
/// The most of an answer that is read.
const ANSWER: usize = 16 * 1024;
/// How long a connection is kept for the next message.
const IDLE: Duration = Duration::from_secs(30);

/// The address or the certificates cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// No address of the form that is needed.
    #[error("the url must be `https://host[:port]/path` (http only in development), without a user or a fragment")]
    Url,
    /// No certificates in PEM.
    #[error("the ca file must hold certificates in PEM")]
    Certificates,
    /// The TLS library refused its configuration.
    #[error("TLS cannot be set up")]
    Tls,
}

/// What an attempt came to. The variant's name is its label in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// 2xx.
    Delivered,
    /// 410: the other side says that there is nobody any more.
    Gone,
    /// 4xx otherwise.
    Refused,
    /// 5xx.
    Failing,
    /// Any other status, for example a redirect, which is not followed.
    Unexpected,
    /// No connection, no TLS, or it broke off.
    Unreachable,
    /// No answer in time.
    TimedOut,
}

impl Attempt {
    /// The name in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Gone => "gone",
            Self::Refused => "refused",
            Self::Failing => "failing",
            Self::Unexpected => "unexpected",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
        }
    }

    fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::GONE => Self::Gone,
            status if status.is_success() => Self::Delivered,
            status if status.is_client_error() => Self::Refused,
            status if status.is_server_error() => Self::Failing,
            _ => Self::Unexpected,
        }
    }
}

/// The address, and whether TLS is used.
pub fn target(url: &str) -> Result<(Uri, bool), ClientError> {
    let uri: Uri = url.parse().map_err(|_| ClientError::Url)?;
    let authority = uri.authority().ok_or(ClientError::Url)?;
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(ClientError::Url),
    };
    // A user would be dropped in silence, and a fragment is never sent.
    if authority.as_str().contains('@') || url.contains('#') || authority.host().is_empty() {
        return Err(ClientError::Url);
    }
    Ok((uri, tls))
}

/// A message's headers, besides what every message has.
pub type Headers<'a> = [(&'static str, &'a str); 3];

/// Posts to one address.
pub struct Client {
    http: Http<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
}

impl Client {
    /// Posts to `url`; trusts `ca` (PEM) instead of what browsers trust, if it is given.
    pub fn new(url: &str, ca: Option<&[u8]>) -> Result<Self, ClientError> {
        let (uri, _) = target(url)?;
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| ClientError::Tls)?
            .with_root_certificates(roots(ca)?)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let mut http = Http::builder(TokioExecutor::new());
        http.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).pool_max_idle_per_host(1);
        Ok(Self { http: http.build(connector), uri })
    }

    /// The other side's name, for logs. Not the whole address: its path may be a secret.
    pub fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    /// Posts once.
    pub async fn post(&self, headers: Headers<'_>, body: &[u8]) -> Attempt {
        let message = Request::post(&self.uri)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("idgate/", env!("CARGO_PKG_VERSION")));
        let message = headers.into_iter().fold(message, |message, (name, value)| message.header(name, value));
        let Ok(message) = message.body(Full::new(Bytes::copy_from_slice(body))) else { return Attempt::Unexpected };
        let deadline = Instant::now() + LONGEST;
        match timeout_at(deadline, self.http.request(message)).await {
            Err(_) => Attempt::TimedOut,
            Ok(Err(_)) => Attempt::Unreachable,
            Ok(Ok(answer)) => {
                let attempt = Attempt::of(answer.status());
                // What becomes of the rest does not change what the status said.
                drop(timeout_at(deadline, Limited::new(answer.into_body(), ANSWER).collect()).await);
                attempt
            }
        }
    }
}

fn roots(ca: Option<&[u8]>) -> Result<RootCertStore, ClientError> {
    let mut roots = RootCertStore::empty();
    match ca {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|_| ClientError::Certificates)?;
                roots.add(certificate).map_err(|_| ClientError::Certificates)?;
            }
        }
    }
    if roots.is_empty() { Err(ClientError::Certificates) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_addresses_are_taken() {
        assert!(target("https://shop.example/hooks?x=1").is_ok_and(|(_, tls)| tls));
        assert!(target("http://127.0.0.1:8080/hooks").is_ok_and(|(_, tls)| !tls));
        for bad in ["", "shop.example", "/hooks", "ftp://shop.example/", "https://a:b@shop.example/", "https://x/#y"] {
            assert_eq!(target(bad), Err(ClientError::Url), "{bad}");
        }
    }

    #[test]
    fn certificates_must_be_some() {
        assert!(Client::new("https://shop.example/", None).is_ok());
        for bad in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let error = Client::new("https://shop.example/", Some(bad.as_bytes())).map(drop);
            assert_eq!(error, Err(ClientError::Certificates), "{bad}");
        }
    }

    #[test]
    fn a_status_is_understood() {
        let of = |code: u16| Attempt::of(StatusCode::from_u16(code).unwrap());
        assert_eq!([of(200), of(204)], [Attempt::Delivered; 2]);
        assert_eq!([of(410), of(404), of(429)], [Attempt::Gone, Attempt::Refused, Attempt::Refused]);
        assert_eq!([of(500), of(301), of(101)], [Attempt::Failing, Attempt::Unexpected, Attempt::Unexpected]);
    }
}
