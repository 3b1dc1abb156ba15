//! Guardian consent, through the wire.

mod clocks;
mod edges;
mod races;
mod random;
mod story;
mod traces;
