//! What operators see: metrics with closed labels, and logs without personal data.
//!
//! A label value is a `&'static str` ([`Label`]), so nothing from a request can become one: the number of series is
//! bounded by the source code. Logs go to standard error; standard output belongs to the commands.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram};
use prometheus_client::registry::{Registry, Unit};
use std::fmt::{self, Write as _};
use std::time::Duration;
use tracing::Dispatch;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

/// The value of a label: text that the program was compiled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Label(pub &'static str);

impl EncodeLabelValue for Label {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(self.0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    rpc: Label,
    code: Label,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RpcLabel {
    rpc: Label,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: Label,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: Label,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PathLabel {
    path: Label,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabel {
    came_to: Label,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabel {
    step: Label,
}

/// Every metric there is.
pub struct Metrics {
    registry: Registry,
    calls: Family<CallLabels, Counter>,
    call_seconds: Family<RpcLabel, Histogram>,
    decisions: Family<OutcomeLabel, Counter>,
    unreadable: Family<ReasonLabel, Counter>,
    read_seconds: Family<StepLabel, Histogram>,
    waiting: Gauge,
    reading: Gauge,
    refusals: Family<ReasonLabel, Counter>,
    disposals: Family<PathLabel, Counter>,
    connections: Gauge,
    connections_ended: Family<ReasonLabel, Counter>,
    image_bytes: Gauge,
    watches: Gauge,
    events_streamed: Counter,
    webhook_attempts: Family<AttemptLabel, Counter>,
    webhooks_behind: Gauge,
    webhooks_failing: Gauge,
    opt_outs_journalled: Counter,
    opt_outs_delivered: Counter,
    tls_valid_until: Gauge,
    tls_reloads: Family<AttemptLabel, Counter>,
    caller_keys: Family<AttemptLabel, Counter>,
    caller_keys_failing: Gauge,
}

/// From a millisecond to about half a minute.
fn seconds() -> Histogram {
    Histogram::new([0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6])
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("idgate"),
            calls: Family::default(),
            call_seconds: Family::new_with_constructor(seconds),
            decisions: Family::default(),
            unreadable: Family::default(),
            read_seconds: Family::new_with_constructor(seconds),
            waiting: Gauge::default(),
            reading: Gauge::default(),
            refusals: Family::default(),
            disposals: Family::default(),
            connections: Gauge::default(),
            connections_ended: Family::default(),
            image_bytes: Gauge::default(),
            watches: Gauge::default(),
            events_streamed: Counter::default(),
            webhook_attempts: Family::default(),
            webhooks_behind: Gauge::default(),
            webhooks_failing: Gauge::default(),
            opt_outs_journalled: Counter::default(),
            opt_outs_delivered: Counter::default(),
            tls_valid_until: Gauge::default(),
            tls_reloads: Family::default(),
            caller_keys: Family::default(),
            caller_keys_failing: Gauge::default(),
        };
        let r = &mut metrics.registry;
        r.register("calls", "Calls that ended, by RPC and status code", metrics.calls.clone());
        r.register_with_unit("call", "How long calls took", Unit::Seconds, metrics.call_seconds.clone());
        r.register("decisions", "Decisions, by outcome", metrics.decisions.clone());
        r.register("unreadable", "Reasons why no date of birth was accepted", metrics.unreadable.clone());
        r.register_with_unit("read", "How long reading took, by step", Unit::Seconds, metrics.read_seconds.clone());
        r.register("reads_waiting", "Pictures that wait to be read", metrics.waiting.clone());
        r.register("reads_running", "Pictures being read", metrics.reading.clone());
        r.register("refusals", "Calls refused to bear the load, by reason", metrics.refusals.clone());
        r.register("disposals", "Pictures answered for, by the path on the receipt", metrics.disposals.clone());
        r.register("connections", "Connections that are open", metrics.connections.clone());
        r.register("connections_ended", "Connections refused or cut off, by reason", metrics.connections_ended.clone());
        r.register_with_unit("images_held", "Picture bytes held for calls", Unit::Bytes, metrics.image_bytes.clone());
        r.register("watches", "Streams of events that are open", metrics.watches.clone());
        r.register("events_streamed", "Events handed to streams", metrics.events_streamed.clone());
        r.register("webhook_attempts", "Posts of events, by what they came to", metrics.webhook_attempts.clone());
        r.register("webhooks_behind", "Log entries not passed, over all webhooks", metrics.webhooks_behind.clone());
        r.register("webhooks_failing", "Webhooks whose last post failed", metrics.webhooks_failing.clone());
        let journalled = "Opt-outs taken into the journal while the store was away";
        r.register("opt_outs_journalled", journalled, metrics.opt_outs_journalled.clone());
        let delivered = "Opt-outs of the journal that were recorded in the store";
        r.register("opt_outs_delivered", delivered, metrics.opt_outs_delivered.clone());
        let until = "When the certificate of this server ends, in Unix time; 0 without TLS";
        r.register_with_unit("tls_valid_until", until, Unit::Seconds, metrics.tls_valid_until.clone());
        r.register("tls_reloads", "Changes of the files for TLS, by what they came to", metrics.tls_reloads.clone());
        let looked = "Looks at where callers' keys lie, by what they came to";
        r.register("caller_keys_looks", looked, metrics.caller_keys.clone());
        let failing = "Sources of callers' keys whose last look failed";
        r.register("caller_keys_failing", failing, metrics.caller_keys_failing.clone());
        metrics
    }
}

impl Metrics {
    /// A call has ended.
    pub fn call_ended(&self, rpc: &'static str, code: &'static str, took: Duration) {
        self.calls.get_or_create(&CallLabels { rpc: Label(rpc), code: Label(code) }).inc();
        self.call_seconds.get_or_create(&RpcLabel { rpc: Label(rpc) }).observe(took.as_secs_f64());
    }

    /// A picture was disposed of and the caller told by a receipt with this path, or `no_receipt` was given.
    pub fn disposal(&self, path: &'static str) {
        self.disposals.get_or_create(&PathLabel { path: Label(path) }).inc();
    }

    /// A decision was recorded.
    pub fn decided(&self, outcome: &'static str) {
        self.decisions.get_or_create(&OutcomeLabel { outcome: Label(outcome) }).inc();
    }

    /// No date of birth was accepted, for this reason.
    pub fn unreadable(&self, reason: &'static str) {
        self.unreadable.get_or_create(&ReasonLabel { reason: Label(reason) }).inc();
    }

    /// A step of reading took this long.
    pub fn read_step(&self, step: &'static str, took: Duration) {
        self.read_seconds.get_or_create(&StepLabel { step: Label(step) }).observe(took.as_secs_f64());
    }

    /// How many pictures wait, and how many are being read.
    pub fn reads(&self, waiting: usize, running: usize) {
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.reading.set(i64::try_from(running).unwrap_or(i64::MAX));
    }

    /// A call was refused so that the others can be answered.
    pub fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&ReasonLabel { reason: Label(reason) }).inc();
    }

    /// That many connections more, or less, are open.
    pub fn connections(&self, by: i64) {
        self.connections.inc_by(by);
    }

    /// A connection was refused, or cut off.
    pub fn connection_ended(&self, reason: &'static str) {
        self.connections_ended.get_or_create(&ReasonLabel { reason: Label(reason) }).inc();
    }

    /// How many bytes of pictures are held for calls.
    pub fn images_held(&self, bytes: usize) {
        self.image_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// That many streams of events more, or less, are open.
    pub fn watches(&self, by: i64) {
        self.watches.inc_by(by);
    }

    /// An event was handed to a stream.
    pub fn event_streamed(&self) {
        self.events_streamed.inc();
    }

    /// An event was posted, or not.
    pub fn webhook_attempt(&self, came_to: &'static str) {
        self.webhook_attempts.get_or_create(&AttemptLabel { came_to: Label(came_to) }).inc();
    }

    /// A webhook is that many entries more, or less, behind the end of the log.
    pub fn webhook_behind(&self, by: i64) {
        self.webhooks_behind.inc_by(by);
    }

    /// That many webhooks more, or less, fail.
    pub fn webhooks_failing(&self, by: i64) {
        self.webhooks_failing.inc_by(by);
    }

    /// An opt-out was taken while the store was away.
    pub fn opt_out_journalled(&self) {
        self.opt_outs_journalled.inc();
    }

    /// One of them is in the store.
    pub fn opt_out_delivered(&self) {
        self.opt_outs_delivered.inc();
    }

    /// Until when the certificate that is served is valid, in Unix time.
    pub fn tls_valid_until(&self, seconds: i64) {
        self.tls_valid_until.set(seconds);
    }

    /// The files for TLS have changed.
    pub fn tls_reloaded(&self, came_to: &'static str) {
        self.tls_reloads.get_or_create(&AttemptLabel { came_to: Label(came_to) }).inc();
    }

    /// It was looked where callers' keys lie.
    pub fn caller_keys_looked_at(&self, came_to: &'static str) {
        self.caller_keys.get_or_create(&AttemptLabel { came_to: Label(came_to) }).inc();
    }

    /// That many sources of callers' keys more, or less, fail.
    pub fn caller_keys_failing(&self, by: i64) {
        self.caller_keys_failing.inc_by(by);
    }

    /// Everything in the text format of Prometheus.
    pub fn render(&self) -> String {
        let mut text = String::new();
        if prometheus_client::encoding::text::encode(&mut text, &self.registry).is_err() {
            text.clear();
        }
        text
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged and how.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Text or JSON.
    pub format: LogFormat,
    /// Levels by module, for example `info` or `warn,idgate=debug`.
    pub filter: String,
}

/// The filter is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("log.filter must be a level, or a list such as `warn,idgate=debug`")]
pub struct BadFilter;

impl Settings {
    /// The filter, if it is one.
    pub fn filter(&self) -> Result<Targets, BadFilter> {
        self.filter.parse().map_err(|_| BadFilter)
    }
}

/// What libraries may log at most, whatever the filter says. Below that, HTTP/2 prints headers as it decodes them, and
/// bearer tokens with them.
const LIBRARIES: LevelFilter = LevelFilter::INFO;

/// Starts logging to standard error. A second call changes nothing.
pub fn start(settings: &Settings) -> Result<(), BadFilter> {
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let log = log_into(settings, std::io::stderr, colours)?;
    drop(tracing::dispatcher::set_global_default(log)); // already started: the first one stays
    Ok(())
}

/// A log that is written to `writer`, in colours if `ansi`.
pub fn log_into<W>(settings: &Settings, writer: W, ansi: bool) -> Result<Dispatch, BadFilter>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let bound = Targets::new().with_default(LIBRARIES).with_target("idgate", LevelFilter::TRACE);
    let registry = tracing_subscriber::registry().with(settings.filter()?).with(bound);
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    Ok(match settings.format {
        LogFormat::Text => Dispatch::new(registry.with(layer.with_target(false).with_ansi(ansi))),
        LogFormat::Json => Dispatch::new(registry.with(layer.json())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_render_with_closed_labels() {
        let metrics = Metrics::default();
        metrics.call_ended("CheckAge", "ok", Duration::from_millis(30));
        metrics.decided("allowed");
        metrics.reads(3, 2);
        let text = metrics.render();
        assert!(text.contains(r#"idgate_calls_total{rpc="CheckAge",code="ok"} 1"#), "{text}");
        assert!(text.contains(r#"idgate_decisions_total{outcome="allowed"} 1"#));
        assert!(text.contains("idgate_reads_waiting 3"));
        assert!(text.contains("# UNIT idgate_call_seconds seconds"));
    }
}
