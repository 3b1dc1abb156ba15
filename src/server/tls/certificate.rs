//! Certificates: until when they are valid, and what a client's says of it.

use super::TlsStream;
use http::Request;
use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, UnixTime};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tower::{Layer, Service};
use webpki::{EndEntityCert, KeyUsage};

/// The certificate that a client showed, which was checked. Lies in the extensions of every request on its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The SHA-256 of the certificate's DER, as `x5t#S256` has it (RFC 8705).
    pub sha256: [u8; 32],
    /// Its alternative names: those of DNS in lower case, and URIs.
    pub names: Vec<String>,
}

impl ClientCertificate {
    /// Reads a certificate that was checked.
    pub fn read(certificate: &CertificateDer<'_>) -> Self {
        let names = EndEntityCert::try_from(certificate).map_or_else(
            |_| Vec::new(),
            |parsed| {
                let dns = parsed.valid_dns_names().map(str::to_ascii_lowercase);
                dns.chain(parsed.valid_uri_names().map(str::to_owned)).collect()
            },
        );
        Self { sha256: Sha256::digest(certificate).into(), names }
    }
}

/// Who is at the other end of a connection, as far as its certificate says.
#[derive(Debug, Clone, Default)]
pub struct Peer(Option<Arc<ClientCertificate>>);

impl Peer {
    /// Who is at the other end of this one.
    pub fn of<S>(stream: &TlsStream<S>) -> Self {
        Self(stream.client().map(|certificate| Arc::new(ClientCertificate::read(certificate))))
    }
}

/// When a certificate begins and ends to be valid, if it can be read.
pub fn validity(certificate: &CertificateDer<'_>) -> Option<(Timestamp, Timestamp)> {
    let parsed = EndEntityCert::try_from(certificate).ok()?;
    // The library tells the bounds to whoever asks at a time outside them, before it looks at anything else.
    let asked = |seconds| {
        let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        parsed.verify_for_usage(&[], &[], &[], at, KeyUsage::server_auth(), None, None).err()
    };
    let time = |at: UnixTime| Timestamp::from_second(i64::try_from(at.as_secs()).ok()?).ok();
    let from = match asked(0) {
        Some(webpki::Error::CertNotValidYet { not_before, .. }) => time(not_before)?,
        _ => Timestamp::UNIX_EPOCH,
    };
    let Some(webpki::Error::CertExpired { not_after, .. }) = asked(u64::MAX) else { return None };
    Some((from, time(not_after)?))
}

/// Gives every request the [`ClientCertificate`] of its connection, and none where there is none.
#[derive(Debug, Clone, Copy)]
pub struct NamesLayer;

/// What [`NamesLayer`] makes.
#[derive(Debug, Clone)]
pub struct Names<S>(S);

impl<S> Layer<S> for NamesLayer {
    type Service = Names<S>;

    fn layer(&self, inner: S) -> Names<S> {
        Names(inner)
    }
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for Names<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let shown = request.extensions().get::<Peer>().and_then(|peer| peer.0.as_deref().cloned());
        if let Some(certificate) = shown {
            request.extensions_mut().insert(certificate);
        }
        self.0.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_is_given_the_certificate_of_its_connection_and_none_otherwise() {
        let certificate = ClientCertificate { sha256: [7; 32], names: vec!["shop.example".to_owned()] };
        let mut service = NamesLayer.layer(tower::service_fn(|request: Request<()>| {
            std::future::ready(Ok::<_, ()>(request.extensions().get::<ClientCertificate>().cloned()))
        }));
        for (peer, seen) in [(Peer(Some(Arc::new(certificate.clone()))), Some(certificate)), (Peer::default(), None)] {
            let mut request = Request::new(());
            request.extensions_mut().insert(peer);
            assert_eq!(service.call(request).await, Ok(seen));
        }
        assert_eq!(service.call(Request::new(())).await, Ok(None), "whatever a client sends, it is no extension");
    }
}
