//! What the services share: who calls, and flows that outlive a caller who leaves.

use super::budget::Held;
use super::proto;
use super::status::{self, Denied};
use crate::flows::{App, Call, Caller, Custody, Deadline, Error, Presence};
use crate::terms::{DisposalPath, RelyingParty, Scope};
use std::collections::BTreeSet;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tonic::{Request, Status};

/// The call as the guard let it through; with the proof of presence that must live as long as the handler.
pub(super) struct Entered {
    pub call: Call,
    custody: Option<Custody>,
    scopes: Arc<BTreeSet<Scope>>,
    held: Held,
    presence: Presence,
}

/// What the guard puts into the request of a caller.
#[derive(Clone)]
pub(super) struct Admitted {
    pub caller: Caller,
    pub deadline: Deadline,
    /// Where the RPC takes pictures.
    pub custody: Option<Custody>,
    pub held: Held,
}

/// Takes what the guard put into the request. A request without it did not pass the guard, and is not served.
pub(super) fn enter<T>(request: &mut Request<T>) -> Result<Entered, Status> {
    let Admitted { caller, deadline, custody, held } =
        request.extensions_mut().remove().ok_or_else(status::internal)?;
    let presence = Presence::new();
    let call = Call { relying_party: caller.relying_party, deadline, watch: presence.watch() };
    Ok(Entered { call, custody, scopes: caller.scopes, held, presence })
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
    /// What holds the picture of the call. A copy must not go into the flow: the flow may outlive the caller. An RPC that
    /// the access table knows as one without pictures has none: no receipt would be given.
    pub fn custody(&self) -> Result<Custody, Status> {
        self.custody.clone().ok_or_else(status::internal)
    }

    /// Refuses a caller without a scope that a part of a call takes besides the call's own.
    pub fn must_have(&self, scope: Scope) -> Result<(), Status> {
        if self.scopes.contains(&scope) { Ok(()) } else { Err(Denied::MissingScope(scope).into()) }
    }

    /// Runs a flow to its end, whether or not the caller stays: what was begun is recorded or released, never left.
    pub fn run<T, F>(self, flow: F) -> impl Future<Output = Result<T, Status>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        // Where it stays: a flow is large, and each time it is handed on it would be copied.
        let running = Outliving { flow: Some(Box::pin(flow)), held: Some(self.held), presence: Some(self.presence) };
        async move { Ok(running.await.ok_or_else(status::internal)??) }
    }
}

/// A flow that goes on as a task of its own when nobody waits for it any more. One that is waited for until its end costs
/// no task.
struct Outliving<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    flow: Option<Pin<Box<F>>>,
    /// The share of memory that is given back when it has ended.
    held: Option<Held>,
    presence: Option<Presence>,
}

impl<F> Future for Outliving<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    /// `None` for one that panicked: whoever waits gets an answer all the same.
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let Some(flow) = &mut self.flow else { return Poll::Ready(None) };
        let output = match catch_unwind(AssertUnwindSafe(|| flow.as_mut().poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Some(output),
            Err(_) => None,
        };
        // What is left of one that panicked may panic once more.
        let ended = self.flow.take();
        drop(catch_unwind(AssertUnwindSafe(|| drop(ended))));
        self.held = None;
        Poll::Ready(output)
    }
}

impl<F> Drop for Outliving<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    fn drop(&mut self) {
        // Before the flow goes on: it shall see that nobody is there.
        drop(self.presence.take());
        if let (Some(flow), Ok(runtime)) = (self.flow.take(), Handle::try_current()) {
            let held = self.held.take();
            runtime.spawn(async move {
                drop(flow.await);
                drop(held);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::budget::Budget;
    use super::*;
    use tokio::sync::{mpsc, oneshot};

    fn outliving<F: Future<Output: Send> + Send + 'static>(flow: F) -> Outliving<F> {
        Outliving { flow: Some(Box::pin(flow)), held: None, presence: None }
    }

    #[tokio::test]
    async fn who_left_is_known_to_have_left_and_their_share_of_memory_is_held_to_the_end() {
        let budget = Arc::new(Budget::new(100, 100, Arc::default()));
        let held = || Held::nothing(&budget, "shop".parse().unwrap());
        let (presence, (go, wait)) = (Presence::new(), oneshot::channel::<()>());
        let (watch, (done, told)) = (presence.watch(), oneshot::channel());
        let mut left = outliving(async move {
            wait.await.unwrap();
            done.send(watch.gone()).unwrap();
        });
        let own = held();
        own.take(100).unwrap();
        (left.held, left.presence) = (Some(own), Some(presence));
        assert!(Pin::new(&mut left).poll(&mut Context::from_waker(std::task::Waker::noop())).is_pending());
        drop(left);
        tokio::task::yield_now().await;
        assert!(held().take(1).is_err());
        go.send(()).unwrap();
        assert!(told.await.unwrap());
        tokio::task::yield_now().await;
        assert!(held().take(100).is_ok());
    }

    #[tokio::test]
    async fn a_flow_ends_whether_or_not_it_is_waited_for() {
        assert_eq!(outliving(async { 7 }).await, Some(7));
        let (go, wait) = oneshot::channel::<()>();
        let (done, mut told) = mpsc::channel(1);
        let mut left = outliving(async move {
            wait.await.unwrap();
            done.send(()).await.unwrap();
        });
        // It was begun, then whoever waited left.
        assert!(Pin::new(&mut left).poll(&mut Context::from_waker(std::task::Waker::noop())).is_pending());
        drop(left);
        assert!(told.try_recv().is_err());
        go.send(()).unwrap();
        assert_eq!(told.recv().await, Some(()));
    }

    #[tokio::test]
    async fn one_that_panics_ends_alone_and_lets_go_of_what_it_held() {
        struct Bomb(Arc<()>);
        impl Drop for Bomb {
            fn drop(&mut self) {
                assert!(std::thread::panicking() || Arc::strong_count(&self.0) == 0, "once more");
            }
        }
        let held = Arc::new(());
        let inside = Arc::clone(&held);
        let flow = async move {
            let _held = inside;
            tokio::task::yield_now().await;
            panic!("in the middle");
        };
        assert_eq!(outliving(flow).await, None::<()>);
        assert_eq!(Arc::strong_count(&held), 1);
        let bomb = Bomb(Arc::clone(&held));
        let broken = outliving(std::future::poll_fn(move |_| -> Poll<()> {
            let _inside = &bomb;
            panic!("and again when dropped");
        }));
        assert_eq!(broken.await, None);
    }
}
