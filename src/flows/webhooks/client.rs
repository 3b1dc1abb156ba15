//! Posts one message: what an attempt is and what it came to. How it travels: [`outbound`].
//!
//! The answer's body is read up to a bound, for the connection's sake, and not looked at.

use crate::flows::outbound::{self, ClientError, NoAnswer};
use http::{Method, StatusCode, header};
use http_body_util::Full;
use std::time::Duration;
use tokio::time::Instant;
use tonic::codegen::Bytes;

/// The longest time for one attempt, from looking up the name to the end of the answer.
pub const LONGEST: Duration = Duration::from_secs(10);
/// The most of an answer that is read.
const ANSWER: usize = 16 * 1024;

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

/// A message's headers, besides what every message has.
pub type Headers<'a> = [(&'static str, &'a str); 3];

/// Posts to one address.
pub struct Client(outbound::Client);

impl Client {
    /// Posts to `url`; trusts `ca` (PEM) instead of what browsers trust, if it is given.
    pub fn new(url: &str, ca: Option<&[u8]>) -> Result<Self, ClientError> {
        outbound::Client::new(url, ca).map(Self)
    }

    /// The other side's name, for logs. Not the whole address: its path may be a secret.
    pub fn host(&self) -> &str {
        self.0.host()
    }

    /// Posts once.
    pub async fn post(&self, headers: Headers<'_>, body: &[u8]) -> Attempt {
        let message = self.0.message().method(Method::POST).header(header::CONTENT_TYPE, "application/json");
        let message = headers.into_iter().fold(message, |message, (name, value)| message.header(name, value));
        let Ok(message) = message.body(Full::new(Bytes::copy_from_slice(body))) else { return Attempt::Unexpected };
        // What becomes of the rest of an answer does not change what its status said.
        match self.0.send(message, ANSWER, Instant::now() + LONGEST).await {
            Ok(answer) => Attempt::of(answer.status),
            Err(NoAnswer::TimedOut) => Attempt::TimedOut,
            Err(NoAnswer::Unreachable) => Attempt::Unreachable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_understood() {
        let of = |code: u16| Attempt::of(StatusCode::from_u16(code).unwrap());
        assert_eq!([of(200), of(204)], [Attempt::Delivered; 2]);
        assert_eq!([of(410), of(404), of(429)], [Attempt::Gone, Attempt::Refused, Attempt::Refused]);
        assert_eq!([of(500), of(301), of(101)], [Attempt::Failing, Attempt::Unexpected, Attempt::Unexpected]);
    }
}
