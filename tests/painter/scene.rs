//! The photograph: a card lying on some ground, seen by a camera that does not quite face it, in light that is not even.

use super::canvas::{Area, Card, Ink, Type};
use super::degrade::Shot;
use super::fonts::Face;
use super::person::{between, chance, pick};
use fastrand::Rng;
use image::RgbImage;

/// A plane-to-plane mapping.
#[derive(Debug, Clone, Copy)]
struct Homography([f32; 9]);

impl Homography {
    /// Maps the unit square to a quadrilateral (top left, top right, bottom right, bottom left).
    fn to_quad(q: [(f32, f32); 4]) -> Self {
        let [(x0, y0), (x1, y1), (x2, y2), (x3, y3)] = q;
        let (dx1, dx2, sx) = (x1 - x2, x3 - x2, x0 - x1 + x2 - x3);
        let (dy1, dy2, sy) = (y1 - y2, y3 - y2, y0 - y1 + y2 - y3);
        let det = dx1 * dy2 - dx2 * dy1;
        let g = (sx * dy2 - dx2 * sy) / det;
        let h = (dx1 * sy - sx * dy1) / det;
        Self([x1 - x0 + g * x1, x3 - x0 + h * x3, x0, y1 - y0 + g * y1, y3 - y0 + h * y3, y0, g, h, 1.0])
    }

    /// The mapping back (up to scale, which does not matter).
    fn inverse(self) -> Self {
        let [a, b, c, d, e, f, g, h, i] = self.0;
        Self([
            e * i - f * h,
            c * h - b * i,
            b * f - c * e,
            f * g - d * i,
            a * i - c * g,
            c * d - a * f,
            d * h - e * g,
            b * g - a * h,
            a * e - b * d,
        ])
    }

    fn map(&self, x: f32, y: f32) -> (f32, f32) {
        let m = &self.0;
        let w = m[6] * x + m[7] * y + m[8];
        ((m[0] * x + m[1] * y + m[2]) / w, (m[3] * x + m[4] * y + m[5]) / w)
    }
}

/// Where the card's corners come to lie, and how large the frame is.
fn pose(rng: &mut Rng, card: &Card, shot: &Shot) -> ([(f32, f32); 4], (u32, u32)) {
    let (w, h) = (shot.card_px, shot.card_px * card.height / card.width);
    let p = shot.perspective * w;
    // A camera tilted about one axis makes one side shorter; each corner then errs a little on its own.
    let (key, axis) = (between(rng, 0.5, 1.0) * p, rng.u8(0..4));
    let mut q = [(-w / 2.0, -h / 2.0), (w / 2.0, -h / 2.0), (w / 2.0, h / 2.0), (-w / 2.0, h / 2.0)];
    let ends: [usize; 2] = [[0, 1], [1, 2], [2, 3], [3, 0]][usize::from(axis)];
    let r = h / w;
    for (i, corner) in q.iter_mut().enumerate() {
        if ends.contains(&i) {
            if axis % 2 == 0 { corner.0 -= corner.0.signum() * key } else { corner.1 -= corner.1.signum() * key * r }
        }
        corner.0 += between(rng, -0.3, 0.3) * p;
        corner.1 += between(rng, -0.3, 0.3) * p;
    }
    let (s, c) = shot.skew.to_radians().sin_cos();
    let q = q.map(|(x, y)| (x * c - y * s, x * s + y * c));
    let span = |f: fn(&(f32, f32)) -> f32| {
        let v = q.iter().map(f);
        (v.clone().fold(f32::MAX, f32::min), v.fold(f32::MIN, f32::max))
    };
    let ((x0, x1), (y0, y1)) = (span(|p| p.0), span(|p| p.1));
    let (bw, bh) = (x1 - x0, y1 - y0);
    let portrait = chance(rng, 0.25);
    let fw = if portrait { bw / shot.fill.max(0.45) } else { (bw / shot.fill).max(bh / shot.fill * 4.0 / 3.0) };
    let fh = if portrait { fw * 4.0 / 3.0 } else { fw * 0.75 };
    let (mx, my) = ((fw - bw) / 2.0, (fh - bh) / 2.0);
    let at = (fw / 2.0 + between(rng, -0.6, 0.6) * mx, fh / 2.0 + between(rng, -0.6, 0.6) * my);
    let mid = ((x0 + x1) / 2.0, (y0 + y1) / 2.0);
    (q.map(|(x, y)| (x - mid.0 + at.0, y - mid.1 + at.1)), (fw as u32, fh as u32))
}

/// Light on the scene: falls off to one side, may be cut by a soft shadow.
struct Light {
    gain: f32,
    slope: (f32, f32),
    tint: [f32; 3],
    /// A line (a, b, c) in pixels; on its positive side lies the shadow.
    edge: (f32, f32, f32),
    soft: f32,
    shadow: f32,
}

impl Light {
    fn draw(rng: &mut Rng, shot: &Shot, (w, h): (u32, u32), middle: (f32, f32)) -> Self {
        let a = between(rng, 0.0, std::f32::consts::TAU);
        let e = between(rng, 0.0, std::f32::consts::TAU);
        let reach = shot.card_px * 0.25;
        let through = (middle.0 + between(rng, -reach, reach), middle.1 + between(rng, -reach, reach) * 0.6);
        let warm = between(rng, -0.05, 0.05);
        Self {
            gain: shot.gain,
            slope: (a.cos() * shot.fall_off * 2.0 / w as f32, a.sin() * shot.fall_off * 2.0 / h as f32),
            tint: [1.0 + warm, 1.0, 1.0 - warm],
            edge: (e.cos(), e.sin(), -(e.cos() * through.0 + e.sin() * through.1)),
            soft: shot.card_px * between(rng, 0.03, 0.2),
            shadow: shot.shadow,
        }
    }

    fn at(&self, x: f32, y: f32, (w, h): (f32, f32)) -> f32 {
        let fall = 1.0 + (x - w / 2.0) * self.slope.0 + (y - h / 2.0) * self.slope.1;
        if self.shadow >= 1.0 {
            return self.gain * fall;
        }
        let side = ((self.edge.0 * x + self.edge.1 * y + self.edge.2) / self.soft + 0.5).clamp(0.0, 1.0);
        let smooth = side * side * (3.0 - 2.0 * side);
        self.gain * fall * (1.0 + (self.shadow - 1.0) * smooth)
    }
}

/// A reflection, in millimetres on the card.
struct Glare {
    centre: (f32, f32),
    radius: (f32, f32),
    strength: f32,
}

impl Glare {
    /// Draws one that is at most 40 % white over the places that must stay legible.
    fn draw(rng: &mut Rng, card: &Card, strength: f32) -> Self {
        let mut scale = 1.0;
        loop {
            let radius =
                (card.width * between(rng, 0.10, 0.22) * scale, card.height * between(rng, 0.10, 0.26) * scale);
            let centre = (between(rng, 0.05, 0.95) * card.width, between(rng, 0.05, 0.95) * card.height);
            let g = Self { centre, radius, strength };
            let clear = card.key.iter().all(|a| {
                let (x, y) = (centre.0.clamp(a.left, a.right), centre.1.clamp(a.top, a.bottom));
                g.at(x, y) <= 0.40
            });
            if clear {
                return g;
            }
            scale *= 0.96;
        }
    }

    fn at(&self, x: f32, y: f32) -> f32 {
        let (dx, dy) = ((x - self.centre.0) / self.radius.0, (y - self.centre.1) / self.radius.1);
        let d = 1.0 + dx * dx + dy * dy;
        (self.strength * 1.25 / (d * d) - 0.02).clamp(0.0, 1.0)
    }
}

/// What the card lies on, at a fraction of the frame's resolution.
struct Ground {
    img: RgbImage,
    scale: f32,
}

impl Ground {
    fn draw(rng: &mut Rng, (w, h): (u32, u32), busy: bool) -> Self {
        if busy {
            return Self { img: desk(rng, w / 2 + 2, h / 2 + 2), scale: 0.5 };
        }
        Self { img: surface(rng, w / 4 + 2, h / 4 + 2), scale: 0.25 }
    }

    fn at(&self, x: f32, y: f32) -> [f32; 3] {
        bilinear(&self.img, x * self.scale, y * self.scale)
    }
}

fn bilinear(img: &RgbImage, x: f32, y: f32) -> [f32; 3] {
    let (w, h) = (img.width() as usize, img.height() as usize);
    let (x, y) = (x.clamp(0.0, w as f32 - 1.0), y.clamp(0.0, h as f32 - 1.0));
    let (ix, iy) = ((x as usize).min(w - 2), (y as usize).min(h - 2));
    let (fx, fy) = (x - ix as f32, y - iy as f32);
    let i = (iy * w + ix) * 3;
    let (upper, lower) = (&img.as_raw()[i..i + 6], &img.as_raw()[i + w * 3..i + w * 3 + 6]);
    std::array::from_fn(|c| {
        let top = f32::from(upper[c]) * (1.0 - fx) + f32::from(upper[c + 3]) * fx;
        let low = f32::from(lower[c]) * (1.0 - fx) + f32::from(lower[c + 3]) * fx;
        top * (1.0 - fy) + low * fy
    })
}

/// A calm surface: plain, wood, cloth or tiles.
fn surface(rng: &mut Rng, w: u32, h: u32) -> RgbImage {
    let base = *pick(
        rng,
        &[
            &[236.0, 236.0, 234.0],
            &[186.0, 150.0, 112.0],
            &[92.0, 70.0, 52.0],
            &[60.0, 64.0, 70.0],
            &[128.0, 134.0, 140.0],
            &[70.0, 90.0, 120.0],
            &[214.0, 204.0, 186.0f32],
        ],
    );
    let kind = rng.u8(0..4);
    let (a, b, c) = (between(rng, 0.01, 0.03), between(rng, 0.15, 0.4), between(rng, 0.0, 6.0));
    let depth = between(rng, 4.0, 16.0);
    let tile = between(rng, 40.0, 90.0);
    let mut blot = rng.u32(..) | 1;
    RgbImage::from_fn(w, h, |x, y| {
        let (x, y) = (x as f32, y as f32);
        let v = match kind {
            0 => 0.0,
            1 => {
                ((y * b + (x * a + c).sin() * 4.0).sin() + (y * b * 2.7 + (x * a * 1.7).sin() * 3.0).sin() * 0.6)
                    * depth
                    * 0.6
            }
            2 => ((x * 1.3).sin() + (y * 1.3).sin()) * depth * 0.4,
            _ => {
                if x % tile < 1.5 || y % tile < 1.5 {
                    -2.5 * depth
                } else {
                    0.0
                }
            }
        };
        blot = blot.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let grain = (blot >> 24) as f32 / 64.0 - 2.0;
        image::Rgb(base.map(|b| (b + v + grain).clamp(0.0, 255.0) as u8))
    })
}

/// A desk full of print: sheets, receipts, boxes and pens, with text that is nobody's identity.
fn desk(rng: &mut Rng, w: u32, h: u32) -> RgbImage {
    let mut c = Card::new(w as f32, h as f32, 1.0);
    c.img = surface(rng, w, h);
    let (w, h) = (w as f32, h as f32);
    for _ in 0..rng.u8(6..14) {
        let (x, y) = (between(rng, -0.2, 0.9) * w, between(rng, -0.2, 0.9) * h);
        let a = Area { left: x, top: y, right: x + between(rng, 0.1, 0.5) * w, bottom: y + between(rng, 0.1, 0.5) * h };
        let ink: Ink = [rng.u8(40..255), rng.u8(40..255), rng.u8(40..255)];
        match rng.u8(0..4) {
            0 => c.ellipse(
                ((a.left + a.right) / 2.0, (a.top + a.bottom) / 2.0),
                (between(rng, 0.03, 0.12) * w, between(rng, 0.03, 0.12) * w),
                ink,
                0.9,
                None,
            ),
            1 => c.fill(a, ink, 0.9),
            2 => c.stroke(&[(a.left, a.top), (a.right, a.bottom)], between(rng, 3.0, 10.0), ink, 0.9),
            _ => sheet(&mut c, rng, a),
        }
    }
    c.img
}

fn sheet(c: &mut Card, rng: &mut Rng, a: Area) {
    c.fill(a, [246, 246, 242], 1.0);
    let em = between(rng, 7.0, 14.0);
    let t = Type::new(*pick(rng, &[&Face::Sans, &Face::Serif, &Face::Gothic, &Face::Mono]), em, [40, 40, 44]);
    let words = [
        "total",
        "coffee",
        "4,500",
        "무지개로",
        "page 12",
        "meeting",
        "2024.05.17",
        "보기",
        "8,200",
        "notes",
        "시험",
        "No. 3021",
        "list",
        "tea x 2",
        "A-114",
    ];
    let mut y = a.top + em * 1.5;
    while y < a.bottom - em * 0.5 {
        let line = (0..rng.u8(1..5)).map(|_| words[rng.usize(..words.len())]).collect::<Vec<_>>().join("  ");
        c.fit(a.left + em, y, (a.right - a.left - 2.0 * em).max(em), &line, &t);
        y += em * between(rng, 1.4, 2.2);
    }
}

/// Takes the picture.
pub fn photograph(rng: &mut Rng, card: &Card, shot: &Shot) -> RgbImage {
    let (quad, size) = pose(rng, card, shot);
    let back = Homography::to_quad(quad).inverse();
    let middle = Homography::to_quad(quad).map(0.5, 0.5);
    let ground = Ground::draw(rng, size, shot.busy);
    let light = Light::draw(rng, shot, size, middle);
    let glare = (shot.glare > 0.0).then(|| Glare::draw(rng, card, shot.glare));
    let depth = between(rng, 0.4, 2.5);
    let cast = (between(rng, -1.5, 1.5), between(rng, 0.3, 1.8));
    let round = if card.width < 90.0 { 3.2 } else { between(rng, 0.1, 3.0) };
    let stage = Stage { card, ground, glare, back, round, cast, depth };
    let frame = (size.0 as f32, size.1 as f32);
    // Outside this box there is neither card nor shadow, only ground.
    let reach = 5.0 * shot.card_px / card.width;
    let least = |f: fn(&(f32, f32)) -> f32| quad.iter().map(f).fold(f32::MAX, f32::min) - reach;
    let most = |f: fn(&(f32, f32)) -> f32| quad.iter().map(f).fold(f32::MIN, f32::max) + reach;
    let (left, right, top, bottom) = (least(|p| p.0), most(|p| p.0), least(|p| p.1), most(|p| p.1));
    let mut out = RgbImage::new(size.0, size.1);
    for (py, row) in out.chunks_exact_mut(size.0 as usize * 3).enumerate() {
        let y = py as f32;
        for (px, pixel) in row.chunks_exact_mut(3).enumerate() {
            let x = px as f32;
            let near = x > left && x < right && y > top && y < bottom;
            let c = if near { stage.at(x, y) } else { stage.ground.at(x, y) };
            let l = light.at(x, y, frame);
            for i in 0..3 {
                pixel[i] = (c[i] * l * light.tint[i]) as u8;
            }
        }
    }
    out
}

/// The card on its ground.
struct Stage<'a> {
    card: &'a Card,
    ground: Ground,
    glare: Option<Glare>,
    /// From the frame to the card as a unit square.
    back: Homography,
    /// Radius of the card's corners, in millimetres.
    round: f32,
    /// Where the card's shadow falls, and how soft it is.
    cast: (f32, f32),
    depth: f32,
}

impl Stage<'_> {
    /// The colour at a point of the frame, before light.
    fn at(&self, x: f32, y: f32) -> [f32; 3] {
        let card = self.card;
        let (u, v) = self.back.map(x, y);
        let (u, v) = (u * card.width, v * card.height);
        let edge = outside(card, self.round, u, v);
        let inside = (0.5 - edge * card.ppm / 1.15).clamp(0.0, 1.0);
        let mut c = if inside > 0.0 { bilinear(&card.img, u * card.ppm, v * card.ppm) } else { [0.0; 3] };
        if let (Some(g), true) = (&self.glare, inside > 0.0) {
            let white = g.at(u, v);
            c = c.map(|v| v + (262.0 - v) * white);
        }
        if inside < 1.0 {
            let near = outside(card, self.round, u - self.cast.0, v - self.cast.1) / self.depth;
            let dark = 0.5 + 0.5 * near.clamp(0.0, 1.0);
            let g = self.ground.at(x, y);
            c = std::array::from_fn(|i| c[i] * inside + g[i] * dark * (1.0 - inside));
        }
        c
    }
}

/// Distance in millimetres to the card's rounded outline; negative inside.
fn outside(card: &Card, round: f32, u: f32, v: f32) -> f32 {
    let (x, y) = (
        (u - card.width / 2.0).abs() - card.width / 2.0 + round,
        (v - card.height / 2.0).abs() - card.height / 2.0 + round,
    );
    if x <= 0.0 || y <= 0.0 { x.max(y) - round } else { (x * x + y * y).sqrt() - round }
}
