//! Rights requests, through the wire.

mod clocks;
mod edges;
mod guards;
mod mended;
mod replay;
mod stories;
mod traces;
