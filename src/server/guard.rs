//! What every call passes first: its row in the access table, its token and rate, its deadline, its share of memory.
//!
//! A call that is denied never reaches a service, and its body is never read. The caller's own deadline, or the longest
//! time for a call if that is shorter, holds for everything that follows; when it passes, or the caller leaves, the call
//! is dropped, and with it every claim on a place in the queue. A request must keep coming, and a picture that would not
//! be read is not received. A message that cannot be decoded never reaches a service
//! either; that refusal, which the machinery below makes, is given a reason here like every other.

use super::Settings;
use super::access::{self, Needs, Row};
use super::budget::{ANONYMOUS_BYTES, Budget, Counted, Held, Meter};
use super::pace::{Obstacle, Pace, Paced};
use super::quota::{Class, Quotas};
use super::service::{Admitted, DISPOSAL};
use super::status::{self, Denied};
use super::streams::{Ending, Side};
use super::tls::ClientCertificate;
use crate::flows::callers::Unknown;
use crate::flows::{App, Caller, Certificate, Custody, Deadline, Error};
use crate::telemetry::Metrics;
use crate::terms::{DisposalPath, RelyingParty};
use http::{HeaderMap, Request, Response, header};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

/// The header that names the encodings that are accepted instead of one that is not.
const ACCEPT_ENCODING: &str = "grpc-accept-encoding";

/// The life of a stream that was opened with a token whose time is over but for the difference between clocks.
const SHORTEST_STREAM: Duration = Duration::from_secs(1);

/// What the guard knows; one for the server.
pub struct Gate {
    app: Arc<App>,
    metrics: Arc<Metrics>,
    budget: Arc<Budget>,
    quotas: Quotas,
    longest: Duration,
    longest_stream: Duration,
    pace: Pace,
    draining: AtomicBool,
    closing: watch::Sender<bool>,
}

impl Gate {
    /// A gate before `app`, as wide as the settings say.
    pub fn new(app: Arc<App>, settings: &Settings) -> Self {
        let metrics = Arc::clone(&app.metrics);
        let budget = Budget::new(settings.bytes_in_flight, settings.caller_bytes(), Arc::clone(&metrics));
        Self {
            app,
            metrics,
            budget: Arc::new(budget),
            quotas: Quotas::new(settings.quotas, Instant::now()),
            longest: Duration::from_secs(settings.call_seconds.into()),
            longest_stream: Duration::from_secs(settings.stream_seconds.into()),
            pace: settings.pace(),
            draining: AtomicBool::new(false),
            closing: watch::Sender::new(false),
        }
    }

    /// From now on says that the server is stopping. Calls are still taken: whoever sends one has not heard of it yet, and
    /// connections end by themselves (GOAWAY) without a call being lost.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Ends the streams that nobody has to end.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Whether the server is stopping.
    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Who calls, if the row allows it; `None` where nobody needs to say.
    async fn admit(
        &self,
        row: Option<&Row>,
        headers: &HeaderMap,
        certificate: Option<&ClientCertificate>,
        deadline: Deadline,
    ) -> Result<Option<Caller>, Denied> {
        let row = row.ok_or(Denied::UnknownRpc)?;
        let (scope, purpose) = match row.needs {
            Needs::Nothing => return Ok(None),
            Needs::Scope(scope) => (scope, None),
            Needs::ScopeAndPurpose(scope, purpose) => (scope, Some(purpose)),
        };
        let shown = certificate.map(|shown| Certificate { sha256: &shown.sha256, names: &shown.names });
        let caller = self.app.caller(bearer(headers)?, shown, deadline).await.map_err(|unknown| match unknown {
            Unknown::Rejected(rejected) => Denied::BadToken(rejected),
            Unknown::KeysAway { retry_after } => Denied::KeysAway(retry_after),
        })?;
        let class = if row.pictures { Class::Pictures } else { Class::Others };
        // Before the scope is looked at: whoever may not make a call may not make it often either.
        self.quotas.take(&caller.relying_party, class, Instant::now()).map_err(|retry| {
            self.metrics.refused(class.label());
            Denied::TooFast(class, retry)
        })?;
        if !caller.scopes.contains(&scope) {
            return Err(Denied::MissingScope(scope));
        }
        if let Some(missing) = purpose.filter(|purpose| !caller.purposes.contains(purpose)) {
            return Err(Denied::MissingPurpose(missing));
        }
        Ok(Some(caller))
    }

    /// Asks whether a picture of this caller would be read.
    fn obstacle(&self, caller: &Caller, deadline: Deadline) -> Obstacle {
        let (app, party) = (Arc::clone(&self.app), caller.relying_party.clone());
        Box::new(move || app.pool.refuses(&party, deadline).map(|why| Error::from(why).into()))
    }

    /// One side of a stream that nobody has to end.
    fn ending(&self, body: Body, side: Side, longest: Duration) -> Body {
        Ending::body(body, side, longest, self.closing.subscribe())
    }

    /// The longest life of such a stream: it outlives the token that opened it by no more than clocks may be apart, so
    /// that whoever may not call any more is soon told nothing more.
    fn longest_stream(&self, caller: Option<&Caller>) -> Duration {
        let left = |caller: &Caller| Duration::try_from(caller.expires_at.duration_since(self.app.now()));
        let left = caller.map_or(self.longest_stream, |caller| left(caller).unwrap_or_default().max(SHORTEST_STREAM));
        left.min(self.longest_stream)
    }

    /// Until when the caller waits, and how much longer a refusal may take then. A little of its time is left for the
    /// answer to travel.
    fn deadline(&self, headers: &HeaderMap, begun: Instant) -> (Deadline, Duration) {
        let asked = headers.get("grpc-timeout").and_then(|value| value.to_str().ok()).and_then(timeout);
        let Some(asked) = asked else { return (Deadline::of(begun, self.longest), DISPOSAL) };
        let travel = (asked / 20).min(Duration::from_millis(20));
        let wait = asked.saturating_sub(travel).min(self.longest);
        let more = asked.saturating_sub(wait).saturating_sub(travel / 2);
        (Deadline::of(begun, wait), more.min(DISPOSAL))
    }

    /// A refusal, with the receipt for the picture that the call took, if it took one. An answer has it already.
    async fn receipted(&self, refused: Response<Body>, of: Taken, bound: Duration) -> Response<Body> {
        let path = match code(&refused) {
            Code::Ok => return refused,
            Code::DeadlineExceeded => DisposalPath::TimedOut,
            Code::Internal | Code::Unknown | Code::Unavailable | Code::DataLoss => DisposalPath::Failed,
            Code::Cancelled
            | Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Unauthenticated => DisposalPath::Refused,
        };
        let receipt = self.app.disposal(&of.custody, &of.party, of.custody.refused(path), bound).await;
        match receipt {
            Some(receipt) => status::with_receipt(refused, &super::convert::receipt(&receipt)),
            None => refused,
        }
    }
}

/// What a call may have taken: kept by the guard, which outlives the service.
struct Taken {
    custody: Custody,
    party: RelyingParty,
    /// The picture's share of the memory bound, until the picture is gone.
    _held: Held,
}

/// The one bearer token of a call.
fn bearer(headers: &HeaderMap) -> Result<&str, Denied> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Denied::NoToken) };
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Denied::NoToken)?;
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() { Ok(token) } else { Err(Denied::NoToken) }
}

/// Reads a `grpc-timeout`: up to eight digits and a unit.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let n: u64 = digits.parse().ok()?;
    match unit {
        "H" => n.checked_mul(3600).map(Duration::from_secs),
        "M" => n.checked_mul(60).map(Duration::from_secs),
        "S" => Some(Duration::from_secs(n)),
        "m" => Some(Duration::from_millis(n)),
        "u" => Some(Duration::from_micros(n)),
        "n" => Some(Duration::from_nanos(n)),
        _ => None,
    }
}

/// Puts the gate before every service.
#[derive(Clone)]
pub struct GuardLayer(pub Arc<Gate>);

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { inner, gate: Arc::clone(&self.0) }
    }
}

/// A service behind the gate.
#[derive(Clone)]
pub struct Guard<S> {
    inner: S,
    gate: Arc<Gate>,
}

impl<S> Service<Request<Body>> for Guard<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let ready = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, ready);
        let gate = Arc::clone(&self.gate);
        Box::pin(pass(gate, inner, request))
    }
}

/// One call, from its headers to the head of its answer.
async fn pass<S>(gate: Arc<Gate>, mut inner: S, request: Request<Body>) -> Result<Response<Body>, S::Error>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    let begun = Instant::now();
    let row = access::row(request.uri().path());
    let (deadline, more) = gate.deadline(request.headers(), begun);
    let certificate = request.extensions().get::<ClientCertificate>();
    let response = match gate.admit(row, request.headers(), certificate, deadline).await {
        Err(denied) => Ok(status::denied(denied).into_http()),
        Ok(caller) => {
            let endless = row.is_some_and(|row| !row.bounded);
            let pictures = row.is_some_and(|row| row.pictures);
            let obstacle = caller.as_ref().filter(|_| pictures).map(|caller| gate.obstacle(caller, deadline));
            let longest = endless.then(|| gate.longest_stream(caller.as_ref()));
            let (request, (meter, taken)) = equip(&gate, request, caller, deadline, pictures);
            let request = request.map(|body| match longest {
                Some(longest) => Counted::body(gate.ending(body, Side::Request, longest), meter),
                None => Counted::body(Paced::new(body, gate.pace, obstacle, Arc::clone(&gate.metrics)), meter),
            });
            let answer = inner.call(request);
            let response = tokio::time::timeout_at(deadline.instant().into(), answer)
                .await
                .unwrap_or_else(|_| Ok(status::denied(Denied::Late).into_http()))
                .map(|response| match longest {
                    Some(longest) => response.map(|body| gate.ending(body, Side::Response, longest)),
                    None => response,
                })
                .map(explained);
            // By now the service and all that it held are gone.
            match (response, taken) {
                (Ok(response), Some(taken)) => Ok(gate.receipted(response, taken, more).await),
                (response, _) => response,
            }
        }
    };
    if let Ok(response) = &response {
        let label = row.map_or("other", |row| row.label);
        let (code, took) = (status::code_label(code(response)), begun.elapsed());
        gate.metrics.call_ended(label, code, took);
        tracing::info!(rpc = label, code, ms = took.as_millis(), "call");
    }
    response
}

/// Gives the request what its service needs: the caller and the deadline. With it comes what its body is counted against.
fn equip(
    gate: &Gate,
    mut request: Request<Body>,
    caller: Option<Caller>,
    deadline: Deadline,
    pictures: bool,
) -> (Request<Body>, (Meter, Option<Taken>)) {
    let counted = match caller {
        None => (Meter::Alone(ANONYMOUS_BYTES), None),
        Some(caller) => {
            let held = Held::nothing(&gate.budget, caller.relying_party.clone());
            let custody = pictures.then(Custody::new);
            let party = caller.relying_party.clone();
            let taken = custody.clone().map(|custody| Taken { custody, party, _held: held.clone() });
            request.extensions_mut().insert(Admitted { caller, deadline, custody, held: held.clone() });
            (Meter::Shared(held), taken)
        }
    };
    (request, counted)
}

/// A refusal that the machinery between the socket and the services made gets a reason; every other has one.
fn explained(response: Response<Body>) -> Response<Body> {
    if response.headers().contains_key(Status::GRPC_STATUS_DETAILS) {
        return response;
    }
    let Some(status) = status::undecoded(code(&response)) else { return response };
    let accepted = response.headers().get(ACCEPT_ENCODING).cloned();
    let mut explained: Response<Body> = status.into_http();
    if let Some(accepted) = accepted {
        explained.headers_mut().insert(ACCEPT_ENCODING, accepted);
    }
    explained
}

/// The status code that an answer's head already tells; a stream's end is not seen here.
fn code(response: &Response<Body>) -> Code {
    response.headers().get("grpc-status").map_or(Code::Ok, |value| Code::from_bytes(value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_parse_as_the_protocol_says() {
        assert_eq!(timeout("100m"), Some(Duration::from_millis(100)));
        assert_eq!(timeout("2S"), Some(Duration::from_secs(2)));
        assert_eq!(timeout("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for bad in ["", "S", "1", "1s", "-1S", "123456789S", "1 S", "１S"] {
            assert_eq!(timeout(bad), None, "{bad}");
        }
    }

    #[test]
    fn one_bearer_token_and_nothing_else_is_taken() {
        let headers = |values: &[&str]| {
            let mut map = HeaderMap::new();
            for v in values {
                map.append(header::AUTHORIZATION, v.parse().unwrap());
            }
            map
        };
        assert_eq!(bearer(&headers(&["Bearer abc"])), Ok("abc"));
        assert_eq!(bearer(&headers(&["bearer abc"])), Ok("abc"));
        for bad in [&[][..], &["abc"], &["Basic abc"], &["Bearer "], &["Bearer a", "Bearer b"]] {
            assert_eq!(bearer(&headers(bad)), Err(Denied::NoToken));
        }
    }
}
