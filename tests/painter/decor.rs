//! What makes a card look like a card: tinted line patterns, holograms, a drawn face, seals, signatures, QR codes.

use super::canvas::{Area, Card, Ink, Type};
use super::fonts::Face;
use super::person::{between, chance, pick};
use fastrand::Rng;
use std::f32::consts::TAU;

/// Fills the surface with a tint that drifts between two colours and three families of waving lines.
pub fn guilloche(card: &mut Card, from: Ink, to: Ink, line: Ink, strength: f32, rng: &mut Rng) {
    let table: Vec<f32> = (0..1024).map(|i| (i as f32 / 1024.0 * TAU).sin()).collect();
    let sine = |turns: f32| table[((turns * 1024.0) as i32 & 1023) as usize];
    let (w, h) = card.img.dimensions();
    let waves: Vec<(f32, f32, f32, f32)> = (0..3)
        .map(|_| {
            (between(rng, 0.55, 1.3), between(rng, 0.8, 3.5), between(rng, 0.008, 0.035), between(rng, -0.35, 0.35))
        })
        .collect();
    // Per column: how far each family is displaced; lines then only depend on y plus that.
    let shift: Vec<[f32; 3]> = (0..w)
        .map(|x| {
            let mm = x as f32 / card.ppm;
            [0, 1, 2].map(|i| {
                let (_, depth, turn, slope) = waves[i];
                depth * sine(mm * turn + i as f32 * 0.3) + slope * mm
            })
        })
        .collect();
    for y in 0..h {
        let mm = y as f32 / card.ppm;
        for x in 0..w {
            let mix = (x as f32 / w as f32 * 0.6 + y as f32 / h as f32 * 0.4).clamp(0.0, 1.0);
            let mut dark = 0.0;
            for (i, wave) in waves.iter().enumerate() {
                let s = sine((mm + shift[x as usize][i]) * wave.0);
                dark += ((s - 0.72) * 3.6).max(0.0);
            }
            let p = card.img.get_pixel_mut(x, y);
            for c in 0..3 {
                let base = f32::from(from[c]) + (f32::from(to[c]) - f32::from(from[c])) * mix;
                p.0[c] = (base + (f32::from(line[c]) - base) * (dark * strength).min(0.6)) as u8;
            }
        }
    }
}

/// A rosette of turned curves around a point.
pub fn rosette(card: &mut Card, c: (f32, f32), r: f32, ink: Ink, alpha: f32, rng: &mut Rng) {
    let petals = rng.u8(5..13);
    for ring in 0..5 {
        let phase = ring as f32 * 0.22;
        let points: Vec<(f32, f32)> = (0..=240)
            .map(|i| {
                let a = i as f32 / 240.0 * TAU;
                let d = r * (0.62 + 0.38 * (a * f32::from(petals) + phase * TAU).sin()) * (1.0 - ring as f32 * 0.1);
                (c.0 + d * a.cos(), c.1 + d * a.sin())
            })
            .collect();
        card.stroke(&points, 0.12, ink, alpha);
    }
}

/// A foil that shifts its colour: overlapping tinted discs.
pub fn hologram(card: &mut Card, c: (f32, f32), r: f32, rng: &mut Rng) {
    for _ in 0..5 {
        let hue: Ink = [rng.u8(120..255), rng.u8(120..255), rng.u8(120..255)];
        let at = (c.0 + between(rng, -0.4, 0.4) * r, c.1 + between(rng, -0.4, 0.4) * r);
        card.ellipse(at, (r * between(rng, 0.4, 1.0), r * between(rng, 0.4, 1.0)), hue, between(rng, 0.05, 0.13), None);
    }
    rosette(card, c, r, [rng.u8(150..230), rng.u8(150..230), rng.u8(150..230)], 0.22, rng);
}

/// The two-coloured circle at the top left of Korean cards.
pub fn taegeuk(card: &mut Card, c: (f32, f32), r: f32, alpha: f32) {
    card.ellipse(c, (r, r), [214, 110, 120], alpha, None);
    let lower = Area { left: 0.0, top: c.1, right: card.width, bottom: card.height };
    card.ellipse(c, (r, r), [110, 130, 200], alpha, Some(lower));
    card.ellipse((c.0 - r / 2.0, c.1), (r / 2.0, r / 2.0), [214, 110, 120], alpha, None);
    card.ellipse((c.0 + r / 2.0, c.1), (r / 2.0, r / 2.0), [110, 130, 200], alpha, None);
}

/// A drawn face with shoulders. `colour` false gives the grey of older cards; `alpha` below 1 a ghost image.
pub fn portrait(card: &mut Card, a: Area, colour: bool, alpha: f32, rng: &mut Rng) {
    let grey = |c: Ink| -> Ink {
        if colour {
            return c;
        }
        let l = (u32::from(c[0]) * 3 + u32::from(c[1]) * 6 + u32::from(c[2])) / 10;
        [l as u8; 3]
    };
    let skin =
        grey(*pick(rng, &[&[236, 205, 180], &[222, 184, 150], &[198, 150, 116], &[150, 105, 78], &[244, 218, 200]]));
    let hair = grey(*pick(rng, &[&[28, 24, 22], &[60, 40, 28], &[110, 80, 50], &[150, 150, 150], &[20, 20, 30]]));
    let coat = grey([rng.u8(20..150), rng.u8(20..150), rng.u8(40..170)]);
    let back = grey(*pick(rng, &[&[250, 250, 250], &[214, 226, 240], &[232, 232, 226]]));
    let (w, h) = (a.right - a.left, a.bottom - a.top);
    let (cx, cy) = ((a.left + a.right) / 2.0 + between(rng, -0.03, 0.03) * w, a.top + h * between(rng, 0.40, 0.45));
    let (rx, ry) = (w * between(rng, 0.20, 0.24), h * between(rng, 0.22, 0.26));
    let clip = Some(a);
    card.fill(a, back, alpha);
    let long = chance(rng, 0.5);
    if long {
        card.ellipse((cx, cy + ry * 0.35), (rx * 1.35, ry * 1.5), hair, alpha, clip);
    }
    card.ellipse((cx, a.bottom + h * 0.06), (w * 0.46, h * 0.30), coat, alpha, clip);
    card.ellipse(
        (cx, cy + ry * 1.05),
        (rx * 0.48, ry * 0.55),
        grey([skin[0].saturating_sub(16), skin[1].saturating_sub(18), skin[2].saturating_sub(18)]),
        alpha,
        clip,
    );
    card.ellipse((cx, cy - ry * 0.18), (rx * 1.13, ry * 1.08), hair, alpha, clip);
    card.ellipse((cx, cy + ry * 0.12), (rx, ry * 0.95), skin, alpha, clip);
    for side in [-1.0, 1.0] {
        card.ellipse((cx + side * rx * 0.42, cy), (rx * 0.17, ry * 0.065), [250, 250, 250], alpha, clip);
        card.ellipse((cx + side * rx * 0.42, cy), (rx * 0.08, ry * 0.065), [30, 26, 24], alpha, clip);
        let brow = [(cx + side * rx * 0.22, cy - ry * 0.17), (cx + side * rx * 0.62, cy - ry * 0.19)];
        card.stroke(&brow, w * 0.014, hair, alpha * 0.8);
    }
    card.stroke(
        &[(cx, cy + ry * 0.05), (cx + rx * 0.08, cy + ry * 0.34), (cx - rx * 0.05, cy + ry * 0.36)],
        w * 0.008,
        grey([150, 110, 90]),
        alpha * 0.6,
    );
    card.ellipse((cx, cy + ry * 0.60), (rx * 0.30, ry * 0.06), grey([176, 92, 86]), alpha * 0.85, clip);
}

/// A square red seal with a few syllables in it.
pub fn seal(card: &mut Card, c: (f32, f32), size: f32, rng: &mut Rng) {
    let ink = [rng.u8(190..225), rng.u8(30..60), rng.u8(30..60)];
    let a = Area { left: c.0 - size / 2.0, top: c.1 - size / 2.0, right: c.0 + size / 2.0, bottom: c.1 + size / 2.0 };
    let alpha = between(rng, 0.55, 0.85);
    card.frame(a, size * 0.07, ink, alpha);
    let t = Type::new(Face::Myeongjo, size * 0.4, ink).alpha(alpha);
    for (i, s) in pick(rng, &["가상관인", "시험관인", "모의장인", "예시장인"]).chars().enumerate() {
        let (col, row) = (1 - i / 2, i % 2);
        card.text(
            a.left + size * (0.09 + 0.42 * col as f32),
            a.top + size * (0.45 + 0.42 * row as f32),
            &s.to_string(),
            &t,
        );
    }
}

/// A pen stroke that looks like a signature.
pub fn signature(card: &mut Card, a: Area, rng: &mut Rng) {
    let n = rng.usize(7..13);
    let corners: Vec<(f32, f32)> = (0..n)
        .map(|i| {
            let x = a.left + (a.right - a.left) * (i as f32 + between(rng, -0.6, 0.9)) / n as f32;
            (x, between(rng, a.top, a.bottom))
        })
        .collect();
    let curve: Vec<(f32, f32)> = corners
        .windows(3)
        .flat_map(|p| {
            let mid = |a: (f32, f32), b: (f32, f32)| ((a.0 + b.0) / 2.0, (a.1 + b.1) / 2.0);
            let (s, e) = (mid(p[0], p[1]), mid(p[1], p[2]));
            let c = p[1];
            (0..12).map(move |i| {
                let t = i as f32 / 12.0;
                let u = 1.0 - t;
                (u * u * s.0 + 2.0 * u * t * c.0 + t * t * e.0, u * u * s.1 + 2.0 * u * t * c.1 + t * t * e.1)
            })
        })
        .collect();
    card.stroke(&curve, 0.35, [30, 30, 70], 0.8);
}

/// Something that looks like a QR code (it says nothing).
pub fn qr(card: &mut Card, at: (f32, f32), size: f32, rng: &mut Rng) {
    const N: usize = 29;
    let cell = size / N as f32;
    let quiet = cell * 2.0;
    card.fill(
        Area { left: at.0 - quiet, top: at.1 - quiet, right: at.0 + size + quiet, bottom: at.1 + size + quiet },
        [252, 252, 252],
        1.0,
    );
    for y in 0..N {
        for x in 0..N {
            let finder = [(0, 0), (N - 7, 0), (0, N - 7)].iter().find_map(|&(fx, fy)| {
                let (dx, dy) = (x.wrapping_sub(fx), y.wrapping_sub(fy));
                if dx < 7 && dy < 7 {
                    let edge = dx.min(dy).min(6 - dx).min(6 - dy);
                    return Some(edge != 1);
                }
                None
            });
            if finder.unwrap_or_else(|| rng.bool()) {
                let (l, t) = (at.0 + x as f32 * cell, at.1 + y as f32 * cell);
                card.fill(Area { left: l, top: t, right: l + cell * 1.05, bottom: t + cell * 1.05 }, [25, 25, 25], 1.0);
            }
        }
    }
}
