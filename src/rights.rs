//! Rights requests: what must be shown for which right, and until when it must be answered.

pub mod clock;
