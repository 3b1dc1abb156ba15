//! What is posted: the event as JSON, with a type, a time and what it is about. The same for every attempt.

use crate::flows::events::{About, Event};
use crate::terms::EventKind;
use jiff::Timestamp;
use serde::Serialize;

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: EventKind,
    timestamp: Timestamp,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    event_id: String,
    #[serde(flatten)]
    about: &'a About,
}

/// The bytes that are posted and signed.
pub fn of(event: &Event) -> Vec<u8> {
    let happened = &event.happened;
    let data = Data { event_id: event.place.to_string(), about: &happened.about };
    let body = Body { kind: happened.kind, timestamp: happened.at, data };
    serde_json::to_vec(&body).expect("an event has only string keys and no fallible serializer")
}
