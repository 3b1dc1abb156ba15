//! One look at where callers' keys lie: a file, or a JWKS document at a URL.

use crate::flows::outbound::{self, Client, ClientError, NoAnswer};
use crate::tokens::keys::{KeyError, VerifyingKey};
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::Full;
use std::path::PathBuf;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tonic::codegen::Bytes;

/// The longest time for one look.
const LONGEST: Duration = Duration::from_secs(5);
/// The largest document that is read.
const LARGEST: usize = 64 * 1024;
/// What is asked for.
const ACCEPTED: &str = "application/jwk-set+json, application/json";

/// Where keys lie.
pub enum Place {
    /// A file of public keys (PEM, JWK or JWKS).
    File(PathBuf),
    /// A URL with a JWKS document.
    Url(Box<Client>),
}

/// Keys that were found.
pub(super) struct Fetched {
    pub(super) keys: Vec<VerifyingKey>,
    /// For how long, if that was said.
    pub(super) good_for: Option<Duration>,
}

/// No keys were found. The variant's name is its label in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    /// The file cannot be read.
    File,
    /// No connection, no TLS, or it broke off.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// Another status than 200, for example a redirect, which is not followed.
    Status,
    /// The body is too large, or did not come whole.
    Body,
    /// What is there are no keys that can be used.
    Keys,
}

impl Failed {
    /// The name in metrics and logs.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Status => "status",
            Self::Body => "body",
            Self::Keys => "keys",
        }
    }
}

impl From<KeyError> for Failed {
    fn from(error: KeyError) -> Self {
        if matches!(error, KeyError::File(_)) { Self::File } else { Self::Keys }
    }
}

impl From<NoAnswer> for Failed {
    fn from(none: NoAnswer) -> Self {
        match none {
            NoAnswer::Unreachable => Self::Unreachable,
            NoAnswer::TimedOut => Self::TimedOut,
        }
    }
}

impl Place {
    /// A URL; trusts `ca` (PEM) instead of what browsers trust, if it is given.
    pub fn url(url: &str, ca: Option<&[u8]>) -> Result<Self, ClientError> {
        Client::new(url, ca).map(|client| Self::Url(Box::new(client)))
    }

    /// Whether keys may come from this address: https, or with `plain` also http on this machine.
    pub fn allowed(url: &str, plain: bool) -> bool {
        outbound::target(url).is_ok_and(|(uri, tls)| tls || (plain && outbound::is_loopback(&uri)))
    }

    /// What it is called in logs. Not the whole address: its path may be a secret.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::File(path) => path.to_str().unwrap_or("a file"),
            Self::Url(client) => client.host(),
        }
    }

    pub(super) async fn fetch(&self) -> Result<Fetched, Failed> {
        match self {
            Self::File(path) => {
                let path = path.clone();
                let keys = spawn_blocking(move || VerifyingKey::load(&path)).await.map_err(|_| Failed::File)??;
                // Looking at a file costs nothing: it is done as often as may be.
                Ok(Fetched { keys, good_for: Some(Duration::ZERO) })
            }
            Self::Url(client) => {
                let message = client.message().method(Method::GET).header(header::ACCEPT, ACCEPTED);
                let message = message.body(Full::new(Bytes::new())).map_err(|_| Failed::Unreachable)?;
                let answer = client.send(message, LARGEST, Instant::now() + LONGEST).await?;
                if answer.status != StatusCode::OK {
                    return Err(Failed::Status);
                }
                // None at all is an answer too: whoever takes the last key back means that it counts no more.
                let keys = VerifyingKey::published(&answer.body.ok_or(Failed::Body)?)?;
                Ok(Fetched { keys, good_for: good_for(&answer.headers) })
            }
        }
    }
}

/// For how long an answer says that it is good (RFC 9111, 5.2.2).
fn good_for(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut said = None;
    for directive in values.flat_map(|value| value.split(',')).map(str::trim) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
            return Some(Duration::ZERO);
        }
        if name.eq_ignore_ascii_case("max-age") {
            said = said.or(value.trim_matches('"').parse().ok().map(Duration::from_secs));
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_for_how_long_it_is_good() {
        let said = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CACHE_CONTROL, value.parse().unwrap());
            }
            good_for(&headers).map(|time| time.as_secs())
        };
        assert_eq!(said(&["public, max-age=300"]), Some(300));
        assert_eq!(said(&["public", "Max-Age=\"5\""]), Some(5));
        assert_eq!(said(&["max-age=300, no-store"]), Some(0));
        assert_eq!(said(&["no-cache"]), Some(0));
        assert_eq!(said(&["max-age=5, max-age=500"]), Some(5), "the first counts");
        for none in [&[][..], &["public"], &["max-age"], &["max-age=-1"], &["max-age=9999999999999999999999"]] {
            assert_eq!(said(none), None, "{none:?}");
        }
    }
}
