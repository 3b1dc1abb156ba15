//! What the services share: who calls, and flows that outlive a caller who leaves.

use super::budget::Held;
use super::proto;
use super::status::{self, Denied};
use crate::flows::{App, Call, Caller, Custody, Deadline, Error, Presence};
use crate::terms::{DisposalPath, RelyingParty, Scope};
use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;
use tonic::{Request, Status};

/// The call as the guard let it through; with the proof of presence that must live as long as the handler.
pub(super) struct Entered {
    pub call: Call,
    /// What holds the picture of the call. A copy must not go into the flow: the flow may outlive the caller.
    pub custody: Custody,
    scopes: BTreeSet<Scope>,
    held: Option<Held>,
    _presence: Presence,
}

/// Takes what the guard put into the request. A request without it did not pass the guard, and is not served.
pub(super) fn enter<T>(request: &mut Request<T>) -> Result<Entered, Status> {
    let extensions = request.extensions_mut();
    let caller: Caller = extensions.remove().ok_or_else(status::internal)?;
    let deadline: Deadline = extensions.remove().ok_or_else(status::internal)?;
    let custody = extensions.remove().unwrap_or_else(Custody::new);
    let presence = Presence::new();
    let call = Call { relying_party: caller.relying_party, deadline, watch: presence.watch() };
    Ok(Entered { call, custody, scopes: caller.scopes, held: extensions.remove(), _presence: presence })
}

/// How long an answer waits for its picture to be gone. When a flow has ended, it is.
pub(super) const DISPOSAL: Duration = Duration::from_secs(2);

/// The disposal receipt of a call that was answered.
pub(super) async fn receipt(
    app: &App,
    custody: &Custody,
    party: &RelyingParty,
    path: DisposalPath,
) -> Option<proto::DisposalReceipt> {
    app.disposal(custody, party, path, DISPOSAL).await.as_ref().map(super::convert::receipt)
}

impl Entered {
    /// Refuses a caller without a scope that a part of a call takes besides the call's own.
    pub fn must_have(&self, scope: Scope) -> Result<(), Status> {
        if self.scopes.contains(&scope) { Ok(()) } else { Err(Denied::MissingScope(scope).into()) }
    }

    /// Runs a flow to its end, whether or not the caller stays: what was begun is recorded or released, never left.
    pub async fn run<T, F>(self, flow: F) -> Result<T, Status>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let held = self.held;
        let running = tokio::spawn(async move {
            let result = flow.await;
            drop(held);
            result
        });
        Ok(running.await.map_err(|_| status::internal())??)
    }
}
