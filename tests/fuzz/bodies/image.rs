//! Any bytes as a picture: decoded within the limits or refused, and never larger than the limits say.

use idgate::evidence::frame::{self, Limits};
use idgate::evidence::numbers::ResidentNumbers;
use idgate::secret::Sensitive;

/// Small, so that a picture within the limits is decoded at once; the same checks as at any size.
const LIMITS: Limits = Limits {
    max_bytes: 128 * 1024,
    max_pixels: 1 << 18,
    min_side: 8,
    deadline: None,
    resident_numbers: ResidentNumbers::MaskInMemory,
};

pub fn run(data: &[u8]) {
    if let Ok(frame) = frame::decode(Sensitive::new(data.to_vec()), &LIMITS) {
        let (width, height) = (frame.width(), frame.height());
        assert!(u64::try_from(width * height).unwrap() <= LIMITS.max_pixels, "{width} x {height}");
        assert!(width.min(height) >= 8, "{width} x {height}");
        assert_eq!(frame.base().pixels().len(), width * height);
        assert!(data.len() <= LIMITS.max_bytes);
        // Any plane of it can be sampled.
        let (plane, _) = frame.level(0.3);
        assert!(plane.mean().is_finite());
    }
}
