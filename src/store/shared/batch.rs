//! A batch as one script.

use super::calls::{Change, ScriptCall};
use super::{GRACE, Shared, head};
use crate::audit::{Entry, Head, Link};
use crate::store::{Batch, CommitError, Expect, Partition, Receipt, StoreError, Version, Write};
use jiff::Timestamp;
use redis::{FromRedisValue as _, Value};

/// How often a batch is sent anew because another process recorded in the same chain first.
const RACES: u32 = 256;

/// What became of a batch that was sent.
enum Sent {
    /// A precondition does not hold.
    Conflict,
    /// The chain has gone on meanwhile; nothing was done.
    Raced(Head),
    /// It is applied.
    Done(Receipt),
}

impl Shared {
    /// Applies a batch that was checked.
    pub(super) async fn apply(&self, batch: &Batch, now: Timestamp) -> Result<Receipt, CommitError> {
        if batch.entries.is_empty() {
            return match self.send(batch, now, Head::GENESIS).await? {
                Sent::Done(receipt) => Ok(receipt),
                Sent::Conflict => Err(CommitError::Conflict),
                Sent::Raced(_) => Err(StoreError::Corrupt.into()),
            };
        }
        let known = self.heads.get(usize::from(batch.partition.number())).ok_or(StoreError::Corrupt)?;
        let mut known = known.lock().await;
        for _ in 0..RACES {
            match self.send(batch, now, *known).await? {
                Sent::Done(receipt) => {
                    *known = receipt.head;
                    return Ok(receipt);
                }
                Sent::Conflict => return Err(CommitError::Conflict),
                Sent::Raced(head) => *known = head,
            }
        }
        // Every time somebody else was first; nothing was done.
        Err(StoreError::Busy.into())
    }

    /// Sends a batch once, its entries after a head of the chain.
    async fn send(&self, batch: &Batch, now: Timestamp, after: Head) -> Result<Sent, CommitError> {
        let mut call = self.commit.call();
        let partition = batch.partition;
        call.key(self.names.version(partition)).key(self.names.head(partition)).key(self.names.audit(partition));
        call.arg(now.as_microsecond()).arg(batch.expects.len());
        for (key, expect) in &batch.expects {
            call.key(self.names.value(key));
            match expect {
                Expect::Absent => call.arg(""),
                Expect::Version(version) => call.arg(version.0.to_string()),
            };
        }
        call.arg(batch.writes.len());
        for (key, write) in &batch.writes {
            match write {
                Write::Put(value, expires_at) => {
                    let (header, life) = expiry(*expires_at, now);
                    call.key(self.names.value(key)).arg("p").arg([&header, value.as_slice()].concat()).arg(life);
                }
                Write::Delete => drop(call.key(self.names.value(key)).arg("d")),
                Write::File(filed) => drop(call.key(self.names.filed(key)).arg("f").arg(&filed.bytes()[..])),
                Write::Unfile(filed) => drop(call.key(self.names.filed(key)).arg("u").arg(&filed.bytes()[..])),
            }
        }
        record(&mut call, partition, after, &batch.entries);
        let answer: Vec<Value> = self.calls.change(Change::Script(call), partition).await?;
        Ok(sent(&answer).ok_or(StoreError::Corrupt)?)
    }
}

/// The expiry as it stands before a value, and for how long Redis keeps the value, in milliseconds, or nothing for always.
/// Redis' clock need not be ours, so it is told a span.
pub(super) fn expiry(expires_at: Option<Timestamp>, now: Timestamp) -> ([u8; 8], String) {
    let Some(time) = expires_at else { return (i64::MAX.to_be_bytes(), String::new()) };
    let left = time.as_millisecond().saturating_sub(now.as_millisecond()).max(0);
    (time.as_microsecond().to_be_bytes(), left.saturating_add(GRACE).to_string())
}

/// The links that the entries make after a head.
fn record(call: &mut ScriptCall<'_>, partition: Partition, after: Head, entries: &[Entry]) {
    let (mut links, mut end): (Vec<Link>, Head) = (Vec::with_capacity(entries.len()), after);
    for entry in entries {
        let link = end.append(partition.number(), entry);
        end = Head { seq: link.seq, hash: link.hash };
        links.push(link);
    }
    call.arg(links.len());
    if !links.is_empty() {
        call.arg(written(after)).arg(written(end));
    }
    for link in &links {
        call.arg(format!("{}-0", link.seq)).arg(&link.prev.0[..]).arg(&link.hash.0[..]).arg(&link.body);
    }
}

/// A head as it lies in Redis; nothing for a chain that has not begun.
fn written(head: Head) -> Vec<u8> {
    if head == Head::GENESIS { Vec::new() } else { [&head.seq.to_be_bytes()[..], &head.hash.0].concat() }
}

fn sent(answer: &[Value]) -> Option<Sent> {
    let bytes = |value: &Value| Vec::<u8>::from_redis_value_ref(value).ok();
    match answer {
        [Value::Int(0)] => Some(Sent::Conflict),
        [Value::Int(2), end] => Some(Sent::Raced(head(&bytes(end)?)?)),
        [Value::Int(1), version, end] => {
            let version = String::from_utf8(bytes(version)?).ok()?.parse().ok()?;
            Some(Sent::Done(Receipt { version: Version(version), head: head(&bytes(end)?)? }))
        }
        _ => None,
    }
}
