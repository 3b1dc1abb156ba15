//! The transport.

pub mod proto;
