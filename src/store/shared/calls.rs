//! One call to Redis: in time, counted, and with one meaning for each way in which it can fail.

use super::connect::{Connection, Connector};
use super::link::{Lanes, Link, elsewhere};
use super::names::{Names, slot};
use super::{OpenError, Settings};
use crate::store::{Partition, StoreError};
use redis::{Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ToRedisArgs, Value};
use redis::{cmd, from_redis_value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

/// The most calls at once; one more is told that the store is busy.
const AT_ONCE: usize = 8192;
/// How often a call is sent anew that a server of a Cluster refused because another one is to be asked.
const ELSEWHERE: u32 = 8;

/// A script, as text and as what Redis knows it by.
pub(super) struct Script {
    text: &'static str,
    hash: String,
}

impl Script {
    pub(super) fn new(text: &'static str) -> Self {
        Self { text, hash: redis::Script::new(text).get_hash().to_owned() }
    }

    /// A call of it, without keys and arguments yet.
    pub(super) fn call(&self) -> ScriptCall<'_> {
        ScriptCall { script: self, keys: Vec::new(), args: Vec::new() }
    }
}

/// A call of a script.
pub(super) struct ScriptCall<'s> {
    script: &'s Script,
    keys: Vec<String>,
    args: Vec<Vec<u8>>,
}

impl ScriptCall<'_> {
    pub(super) fn key(&mut self, name: String) -> &mut Self {
        self.keys.push(name);
        self
    }

    pub(super) fn arg(&mut self, arg: impl ToRedisArgs) -> &mut Self {
        arg.write_redis_args(&mut self.args);
        self
    }
}

/// Something that changes the store.
pub(super) enum Change<'s> {
    Command(Cmd),
    Script(ScriptCall<'s>),
}

impl Change<'_> {
    /// What is sent: a script by its hash, or as a whole to a server that does not know it yet.
    fn command(&self, whole: bool) -> Cmd {
        let call = match self {
            Self::Command(command) => return command.clone(),
            Self::Script(call) => call,
        };
        let mut command = cmd(if whole { "EVAL" } else { "EVALSHA" });
        command.arg(if whole { call.script.text } else { &call.script.hash });
        command.arg(call.keys.len()).arg(&call.keys).arg(&call.args);
        command
    }
}

/// Makes calls.
pub(super) struct Calls {
    link: Arc<Link>,
    at_once: Semaphore,
    /// How many replicas must have a change, and how many milliseconds they may take.
    acknowledged: Option<(u8, u32)>,
    longest: Duration,
}

impl Calls {
    pub(super) fn new(settings: &Settings, names: &Arc<Names>, format: &'static str) -> Result<Self, OpenError> {
        let connector = Connector::new(settings)?;
        let replicas = settings.acknowledged_replicas;
        Ok(Self {
            link: Arc::new(Link::new(connector, names.format(), settings, format)),
            at_once: Semaphore::new(AT_ONCE),
            acknowledged: (replicas > 0).then_some((replicas, settings.acknowledge_ms)),
            longest: settings.longest(),
        })
    }

    /// Whether calls can be made and changes are taken.
    pub(super) async fn health(&self) -> Result<(), StoreError> {
        self.link.health().await
    }

    /// Asks something that changes nothing.
    pub(super) async fn read<T: FromRedisValue>(&self, command: Cmd, partition: Partition) -> Result<T, StoreError> {
        let _call = self.at_once.try_acquire().map_err(|_| StoreError::Busy)?;
        let lanes = self.link.lanes().await?;
        let mut tries = 0;
        let result = loop {
            let mut connection = lanes.read()?;
            let result = self.in_time(connection.send(&command, slot(partition))).await;
            if !again(&result, &mut tries).await {
                break result;
            }
        };
        self.meaning(&lanes, result)
    }

    /// Makes a change, once, and waits until as many replicas have it as must.
    pub(super) async fn change<T: FromRedisValue>(
        &self,
        what: Change<'_>,
        partition: Partition,
    ) -> Result<T, StoreError> {
        let _call = self.at_once.try_acquire().map_err(|_| StoreError::Busy)?;
        let lanes = self.link.lanes().await?;
        let (mut tries, mut whole) = (0, false);
        let result = loop {
            let mut connection = lanes.change()?;
            let command = what.command(whole);
            let result = self.in_time(self.send_change(&mut connection, command, slot(partition))).await;
            // The server does not know the script yet, and has done nothing.
            if !whole && matches!(&result, Err(error) if error.code() == Some("NOSCRIPT")) {
                whole = true;
            } else if !again(&result, &mut tries).await {
                break result;
            }
        };
        self.meaning(&lanes, result)
    }

    async fn send_change(&self, connection: &mut Connection, command: Cmd, slot: u16) -> RedisResult<Value> {
        let Some((replicas, patience)) = self.acknowledged else { return connection.send(&command, slot).await };
        let mut both = Pipeline::with_capacity(2);
        both.add_command(command).cmd("WAIT").arg(replicas).arg(patience);
        let mut answers = connection.send_all(both, slot).await?;
        let have: u32 = answers.pop().map(from_redis_value).transpose()?.unwrap_or_default();
        if have < u32::from(replicas) {
            return Err((ErrorKind::Io, "too few replicas have the change").into());
        }
        answers.pop().ok_or_else(|| (ErrorKind::UnexpectedReturnType, "no answer to the change").into())
    }

    async fn in_time(&self, call: impl Future<Output = RedisResult<Value>>) -> RedisResult<Value> {
        let late = || RedisError::from((ErrorKind::Io, "no answer in time"));
        tokio::time::timeout(self.longest, call).await.unwrap_or_else(|_| Err(late()))
    }

    /// What an answer means. The server's own words are not passed on: they may name keys.
    fn meaning<T: FromRedisValue>(&self, lanes: &Lanes, result: RedisResult<Value>) -> Result<T, StoreError> {
        match result {
            Ok(value) => from_redis_value(value).map_err(|_| StoreError::Corrupt),
            Err(error) => {
                tracing::debug!(kind = error.category(), "a call to Redis failed");
                self.link.failed(lanes, &error);
                Err(if error.code() == Some("WRONGTYPE") { StoreError::Corrupt } else { StoreError::Unavailable })
            }
        }
    }
}

/// Whether a call is to be sent anew, after a while: the server that was asked did nothing, another one is to be asked.
async fn again(result: &RedisResult<Value>, tries: &mut u32) -> bool {
    if *tries == ELSEWHERE || !elsewhere(result) {
        return false;
    }
    *tries += 1;
    sleep_until(Instant::now() + Duration::from_millis(5 << *tries)).await;
    true
}
