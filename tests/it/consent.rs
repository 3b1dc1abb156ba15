//! Guardian consent, through the wire.

mod clocks;
mod edges;
mod races;
mod story;
mod traces;
