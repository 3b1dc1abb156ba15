//! One exchange with one address out there, and nothing else: the only file that names the HTTP client and its TLS.
//!
//! No redirect is followed and no proxy used, so a message goes to the configured address or nowhere. What is read of the
//! answer has a bound, and so has the time. Certificates are always checked, against those that browsers trust or against
//! the configured ones instead.

use http::{HeaderMap, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tonic::codegen::Bytes;

/// How long a connection is kept for the next message.
const IDLE: Duration = Duration::from_secs(30);
/// Who asks.
const AGENT: &str = concat!("idgate/", env!("CARGO_PKG_VERSION"));

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

/// There was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// No connection, no TLS, or it broke off.
    Unreachable,
    /// Not in time.
    TimedOut,
}

/// An answer.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, if it came whole, in time and within the bound.
    pub body: Option<Bytes>,
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

/// Whether an address is on this machine.
pub fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Talks to one address.
pub struct Client {
    http: Http<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
}

impl Client {
    /// Talks to `url`; trusts `ca` (PEM) instead of what browsers trust, if it is given.
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

    /// A message to the address.
    pub fn message(&self) -> http::request::Builder {
        Request::builder().uri(&self.uri).header(header::USER_AGENT, AGENT)
    }

    /// Sends a message and reads at most `most` bytes of the answer's body, until `deadline`.
    pub async fn send(
        &self,
        message: Request<Full<Bytes>>,
        most: usize,
        deadline: Instant,
    ) -> Result<Answer, NoAnswer> {
        match timeout_at(deadline, self.http.request(message)).await {
            Err(_) => Err(NoAnswer::TimedOut),
            Ok(Err(_)) => Err(NoAnswer::Unreachable),
            Ok(Ok(answer)) => {
                let (head, body) = answer.into_parts();
                let read = timeout_at(deadline, Limited::new(body, most).collect()).await;
                let body = read.ok().and_then(Result::ok).map(|body| body.to_bytes());
                Ok(Answer { status: head.status, headers: head.headers, body })
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
    fn what_is_on_this_machine_is_told() {
        let local = |url: &str| is_loopback(&url.parse().unwrap());
        for here in ["http://127.0.0.1:80/", "http://127.9.9.9/", "http://[::1]:8080/x", "http://localhost/"] {
            assert!(local(here), "{here}");
        }
        for there in ["http://192.0.2.1/", "http://localhost.example/", "http://127.0.0.1.example/", "http://[::2]/"] {
            assert!(!local(there), "{there}");
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
}
