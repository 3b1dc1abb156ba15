//! A card's surface, measured in millimetres: text, boxes, ellipses and strokes, blended with soft edges.
//! Everything outside the surface is ignored.

use super::fonts::Face;
use ab_glyph::{Font, PxScale, ScaleFont, point};
use image::RgbImage;

/// A colour.
pub type Ink = [u8; 3];

/// A box in millimetres: left, top, right, bottom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    pub left: f32,
    pub top: f32,
    pub right: f32,
    pub bottom: f32,
}

/// How a text is set.
#[derive(Debug, Clone, Copy)]
pub struct Type {
    pub face: Face,
    /// Size of the em square in millimetres.
    pub em: f32,
    pub ink: Ink,
    /// 0 to 1.
    pub alpha: f32,
    /// Extra space between letters, in em.
    pub track: f32,
    /// Width of the letters against their natural width.
    pub stretch: f32,
    /// Embossed: a light and a dark edge, as on laser-engraved cards.
    pub raised: bool,
}

impl Type {
    pub fn new(face: Face, em: f32, ink: Ink) -> Self {
        Self { face, em, ink, alpha: 0.95, track: 0.0, stretch: 1.0, raised: false }
    }

    pub fn track(self, track: f32) -> Self {
        Self { track, ..self }
    }

    pub fn alpha(self, alpha: f32) -> Self {
        Self { alpha, ..self }
    }

    pub fn raised(self, raised: bool) -> Self {
        Self { raised, ..self }
    }

    pub fn em(self, em: f32) -> Self {
        Self { em, ..self }
    }

    /// Width of `text` in millimetres.
    pub fn width(&self, text: &str) -> f32 {
        text.chars().map(|c| self.advance(c)).sum::<f32>() - self.track * self.em
    }

    fn advance(&self, c: char) -> f32 {
        let (font, id) = self.face.glyph(c);
        let upem = font.units_per_em().unwrap_or(1000.0);
        (font.h_advance_unscaled(id) / upem * self.stretch + self.track) * self.em
    }
}

/// The surface.
pub struct Card {
    pub img: RgbImage,
    /// Pixels per millimetre.
    pub ppm: f32,
    pub width: f32,
    pub height: f32,
    /// Where the number, the MRZ and the printed date of birth stand: glare must leave them legible.
    pub key: Vec<Area>,
    /// Height of a capital of the smallest text that matters, in millimetres.
    pub key_height: f32,
}

impl Card {
    pub fn new(width: f32, height: f32, ppm: f32) -> Self {
        let img = RgbImage::from_pixel((width * ppm) as u32, (height * ppm) as u32, image::Rgb([245, 245, 240]));
        Self { img, ppm, width, height, key: Vec::new(), key_height: f32::MAX }
    }

    /// Blends one pixel.
    pub fn blend(&mut self, x: i32, y: i32, ink: Ink, alpha: f32) {
        if x < 0 || y < 0 || x >= self.img.width() as i32 || y >= self.img.height() as i32 {
            return;
        }
        let p = self.img.get_pixel_mut(x as u32, y as u32);
        for (old, new) in p.0.iter_mut().zip(ink) {
            *old = (f32::from(*old) + (f32::from(new) - f32::from(*old)) * alpha.clamp(0.0, 1.0)) as u8;
        }
    }

    /// Sets `text` with its baseline at (x, y) and returns its width.
    pub fn text(&mut self, x: f32, y: f32, text: &str, t: &Type) -> f32 {
        if t.raised {
            let o = 0.12;
            self.run(x - o, y - o, text, &Type { ink: [255, 255, 255], alpha: t.alpha * 0.5, ..*t });
            self.run(x + o, y + o, text, &Type { ink: [60, 60, 60], alpha: t.alpha * 0.35, ..*t });
        }
        self.run(x, y, text, t)
    }

    /// As [`Card::text`], made narrower where it would be wider than `max`.
    pub fn fit(&mut self, x: f32, y: f32, max: f32, text: &str, t: &Type) -> f32 {
        let w = t.width(text);
        let stretch = if w > max { t.stretch * max / w } else { t.stretch };
        self.text(x, y, text, &Type { stretch, ..*t })
    }

    /// Sets `text` so that it is centred on `x`.
    pub fn centred(&mut self, x: f32, y: f32, text: &str, t: &Type) {
        self.text(x - t.width(text) / 2.0, y, text, t);
    }

    /// Sets a text that carries the date of birth, and remembers where.
    pub fn key_text(&mut self, x: f32, y: f32, text: &str, t: &Type) -> f32 {
        let w = self.text(x, y, text, t);
        self.mark(Area { left: x, top: y - t.em * 0.8, right: x + w, bottom: y + t.em * 0.1 }, t.em * 0.72);
        w
    }

    /// Remembers an area that must stay legible, with the height of its capitals.
    pub fn mark(&mut self, area: Area, height: f32) {
        self.key.push(area);
        self.key_height = self.key_height.min(height);
    }

    fn run(&mut self, x: f32, y: f32, text: &str, t: &Type) -> f32 {
        let mut pen = x;
        for c in text.chars() {
            self.glyph(pen, y, c, t);
            pen += t.advance(c);
        }
        pen - x - t.track * t.em
    }

    fn glyph(&mut self, x: f32, y: f32, c: char, t: &Type) {
        let (font, id) = t.face.glyph(c);
        let upem = font.units_per_em().unwrap_or(1000.0);
        let px = t.em * self.ppm * font.height_unscaled() / upem;
        let scale = PxScale { x: px * t.stretch, y: px };
        let glyph = id.with_scale_and_position(scale, point(x * self.ppm, y * self.ppm));
        debug_assert!(font.as_scaled(scale).height() > 0.0);
        let Some(outline) = font.outline_glyph(glyph) else { return };
        let at = outline.px_bounds().min;
        outline.draw(|gx, gy, cover| {
            self.blend(at.x as i32 + gx as i32, at.y as i32 + gy as i32, t.ink, cover * t.alpha);
        });
    }

    /// Fills a box.
    pub fn fill(&mut self, a: Area, ink: Ink, alpha: f32) {
        let p = self.ppm;
        for y in (a.top * p) as i32..(a.bottom * p) as i32 {
            for x in (a.left * p) as i32..(a.right * p) as i32 {
                self.blend(x, y, ink, alpha);
            }
        }
    }

    /// Draws the outline of a box, `w` millimetres wide.
    pub fn frame(&mut self, a: Area, w: f32, ink: Ink, alpha: f32) {
        self.fill(Area { bottom: a.top + w, ..a }, ink, alpha);
        self.fill(Area { top: a.bottom - w, ..a }, ink, alpha);
        self.fill(Area { right: a.left + w, ..a }, ink, alpha);
        self.fill(Area { left: a.right - w, ..a }, ink, alpha);
    }

    /// Fills an ellipse, clipped to `clip`.
    pub fn ellipse(&mut self, c: (f32, f32), r: (f32, f32), ink: Ink, alpha: f32, clip: Option<Area>) {
        let p = self.ppm;
        let clip = clip.unwrap_or(Area { left: 0.0, top: 0.0, right: self.width, bottom: self.height });
        let soft = r.0.min(r.1) * p;
        let rows = ((c.1 - r.1).max(clip.top) * p) as i32..((c.1 + r.1).min(clip.bottom) * p) as i32;
        for y in rows {
            for x in ((c.0 - r.0).max(clip.left) * p) as i32..((c.0 + r.0).min(clip.right) * p) as i32 {
                let (dx, dy) = ((x as f32 / p - c.0) / r.0, (y as f32 / p - c.1) / r.1);
                let edge = (1.0 - (dx * dx + dy * dy).sqrt()) * soft;
                if edge > 0.0 {
                    self.blend(x, y, ink, alpha * edge.min(1.0));
                }
            }
        }
    }

    /// Draws a line through `points`, `w` millimetres wide, by stamping dots.
    pub fn stroke(&mut self, points: &[(f32, f32)], w: f32, ink: Ink, alpha: f32) {
        let p = self.ppm;
        let r = (w * p / 2.0).max(0.5);
        for pair in points.windows(2) {
            let (a, b) = (pair[0], pair[1]);
            let n = ((((b.0 - a.0).powi(2) + (b.1 - a.1).powi(2)).sqrt() * p / r).ceil() as i32).max(1);
            for i in 0..n {
                let f = i as f32 / n as f32;
                self.dot((a.0 + (b.0 - a.0) * f) * p, (a.1 + (b.1 - a.1) * f) * p, r, ink, alpha);
            }
        }
    }

    fn dot(&mut self, x: f32, y: f32, r: f32, ink: Ink, alpha: f32) {
        for py in (y - r) as i32..=(y + r) as i32 {
            for px in (x - r) as i32..=(x + r) as i32 {
                let d = ((px as f32 - x).powi(2) + (py as f32 - y).powi(2)).sqrt();
                self.blend(px, py, ink, alpha * (r + 0.5 - d).clamp(0.0, 1.0));
            }
        }
    }
}
