//! `[memory]`: what keeps the memory of the process from being written anywhere.

use serde::{Deserialize, Serialize};

/// What keeps the memory of the process from being written anywhere.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Whether core files may be written and others of the same user may look into the process.
    pub core_dumps: bool,
    /// What keeps it out of swap.
    pub swap: Swap,
}

/// What keeps memory out of swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Swap {
    /// Memory is locked, or the server does not start.
    Lock,
    /// There is no swap, or memory is locked, or a production server does not start.
    Refuse,
    /// Nothing does.
    Allow,
}

impl Default for Memory {
    /// No core files; no swap.
    fn default() -> Self {
        Self { core_dumps: false, swap: Swap::Refuse }
    }
}
