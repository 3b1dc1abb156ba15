//! One grey plane of pixels and the only three things done with it: halve, sample, measure.

use crate::secret::Sensitive;

/// Grey pixels, row by row, 0 black to 255 white. Overwritten when dropped.
pub struct Plane {
    width: usize,
    height: usize,
    pixels: Sensitive<Vec<u8>>,
}

/// A parallelogram of the source that is sampled into an upright rectangle: output pixel (x, y) is taken from
/// `origin + x * along + y * down`, in pixels of the source.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Source position of the centre of output pixel (0, 0).
    pub origin: (f32, f32),
    /// Step in the source for one output pixel to the right.
    pub along: (f32, f32),
    /// Step in the source for one output pixel downwards.
    pub down: (f32, f32),
}

impl Plane {
    /// Takes `pixels` as `height` rows of `width`; a buffer of another length makes an empty plane.
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Self {
        let fits = width.checked_mul(height) == Some(pixels.len());
        let (width, height) = if fits { (width, height) } else { (0, 0) };
        Self { width, height, pixels: Sensitive::new(pixels) }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The pixels, row by row.
    pub fn pixels(&self) -> &[u8] {
        self.pixels.expose()
    }

    /// One row of pixels; empty when out of range.
    pub fn row(&self, y: usize) -> &[u8] {
        self.pixels().chunks_exact(self.width.max(1)).nth(y).unwrap_or_default()
    }

    /// The plane at half its size, each pixel the mean of four.
    pub fn halved(&self) -> Plane {
        let (w, h) = (self.width / 2, self.height / 2);
        let mut out = Vec::with_capacity(w * h);
        for rows in self.pixels().chunks_exact(self.width.max(1) * 2).take(h) {
            let (top, bottom) = rows.split_at(self.width);
            for (a, b) in top.chunks_exact(2).zip(bottom.chunks_exact(2)).take(w) {
                let sum: u16 = a.iter().chain(b).map(|p| u16::from(*p)).sum();
                out.push(u8::try_from((sum + 2) / 4).unwrap_or(u8::MAX));
            }
        }
        Plane::new(w, h, out)
    }

    /// Samples `window` into a plane of `width` x `height`, bilinear. What lies outside the source is `outside`, or the
    /// nearest edge pixel when `outside` is `None`.
    pub fn sample(&self, window: &Window, width: usize, height: usize, outside: Option<u8>) -> Plane {
        let mut out = Vec::with_capacity(width * height);
        for y in 0..height {
            let (ox, oy) = (window.origin.0 + y as f32 * window.down.0, window.origin.1 + y as f32 * window.down.1);
            for x in 0..width {
                let (sx, sy) = (ox + x as f32 * window.along.0, oy + x as f32 * window.along.1);
                out.push(self.at(sx, sy, outside));
            }
        }
        Plane::new(width, height, out)
    }

    fn at(&self, x: f32, y: f32, outside: Option<u8>) -> u8 {
        let (right, bottom) = (self.width as f32 - 1.0, self.height as f32 - 1.0);
        if let Some(fill) = outside
            && (x < -0.5 || y < -0.5 || x > right + 0.5 || y > bottom + 0.5)
        {
            return fill;
        }
        let (x, y) = (x.clamp(0.0, right.max(0.0)), y.clamp(0.0, bottom.max(0.0)));
        // Truncation is the floor here: both are clamped to be non-negative.
        let (x0, y0) = (x as usize, y as usize);
        let (x1, y1) = ((x0 + 1).min(self.width - 1), (y0 + 1).min(self.height - 1));
        let (fx, fy) = (x - x0 as f32, y - y0 as f32);
        let pixels = self.pixels();
        let px = |x: usize, y: usize| f32::from(pixels.get(y * self.width + x).copied().unwrap_or_default());
        let top = px(x0, y0) * (1.0 - fx) + px(x1, y0) * fx;
        let low = px(x0, y1) * (1.0 - fx) + px(x1, y1) * fx;
        // In 0..=255 by construction; `as` saturates.
        (top * (1.0 - fy) + low * fy + 0.5) as u8
    }

    /// Sharpness: the mean absolute second difference along rows over the mean absolute first difference. A sharp edge
    /// scores high, a ramp low; independent of contrast. `None` when there is nothing to measure.
    pub fn sharpness(&self) -> Option<f32> {
        let (mut first, mut second) = (0u64, 0u64);
        for row in self.pixels().chunks_exact(self.width.max(1)) {
            for w in row.windows(3) {
                let &[a, b, c] = w else { continue };
                let step = i32::from(b) - i32::from(a);
                if step.abs() < 6 {
                    continue;
                }
                first += u64::from(step.unsigned_abs());
                second += u64::from((i32::from(c) - 2 * i32::from(b) + i32::from(a)).unsigned_abs());
            }
        }
        (first > 2000).then(|| second as f32 / first as f32)
    }

    /// Share of pixels at or above `level`, 0 to 1.
    pub fn share_above(&self, level: u8) -> f32 {
        let n = self.pixels().iter().filter(|p| **p >= level).count();
        n as f32 / self.pixels().len().max(1) as f32
    }

    /// Mean grey value.
    pub fn mean(&self) -> f32 {
        let sum: u64 = self.pixels().iter().map(|p| u64::from(*p)).sum();
        sum as f32 / self.pixels().len().max(1) as f32
    }
}
