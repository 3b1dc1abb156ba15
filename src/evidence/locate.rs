//! Where text of interest is: from the detector's boxes to upright, ordered strips.
//!
//! Pure geometry. A `Strip` is a rotated rectangle of the frame with a reading direction; the strips of a page share one
//! upright coordinate system (`Upright`), in which parsing sees them.

use super::frame::{Frame, Plane, Window};
use super::text::Place;
use std::f32::consts::{FRAC_PI_2, PI};

/// A rotated rectangle in pixels of the frame, holding one line of print.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Strip {
    /// Centre.
    pub centre: (f32, f32),
    /// Extent along the reading direction.
    pub width: f32,
    /// Extent across it.
    pub height: f32,
    /// Reading direction in radians, clockwise from rightwards (y grows downwards).
    pub angle: f32,
}

impl Strip {
    /// The same strip read upside down.
    pub fn flipped(self) -> Self {
        Self { angle: wrap(self.angle + PI), ..self }
    }

    /// The strip grown by `across` heights on its long sides and `along` heights at its ends.
    pub fn grown(self, along: f32, across: f32) -> Self {
        Self { width: self.width + 2.0 * along * self.height, height: self.height * (1.0 + 2.0 * across), ..self }
    }

    /// Samples the strip into an upright plane `height` pixels high, its width stretched by `stretch`.
    pub fn cut(&self, frame: &Frame, height: usize, stretch: f32) -> Plane {
        const WIDEST: f32 = 2400.0;
        let scale = height as f32 / self.height.max(1.0);
        let out_width = (self.width * scale * stretch).clamp(8.0, WIDEST).round();
        let (plane, own) = frame.level(scale);
        let (c, s) = (self.angle.cos(), self.angle.sin());
        let (dx, dy) = (self.width / out_width, self.height / height as f32);
        let (x0, y0) = (-self.width / 2.0 + dx / 2.0, -self.height / 2.0 + dy / 2.0);
        let origin = (self.centre.0 + x0 * c - y0 * s, self.centre.1 + x0 * s + y0 * c);
        let window = Window {
            origin: (origin.0 * own, origin.1 * own),
            along: (dx * c * own, dx * s * own),
            down: (-dy * s * own, dy * c * own),
        };
        // `out_width` is clamped above.
        plane.sample(&window, out_width as usize, height, None)
    }
}

/// An axis-aligned part of the frame, in its pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// Left edge.
    pub left: f32,
    /// Upper edge.
    pub top: f32,
    /// Right edge.
    pub right: f32,
    /// Lower edge.
    pub bottom: f32,
}

impl Region {
    /// The whole frame.
    pub fn whole(frame: &Frame) -> Self {
        Self { left: 0.0, top: 0.0, right: frame.width() as f32, bottom: frame.height() as f32 }
    }

    /// The part of `whole` that holds all boxes, with a margin of a quarter of its size on each side for print that was
    /// not found. `None` without boxes.
    pub fn around(boxes: &[Strip], whole: &Region) -> Option<Self> {
        const MARGIN: f32 = 0.25;
        let tight = boxes.iter().map(Self::of).reduce(|a, b| Self {
            left: a.left.min(b.left),
            top: a.top.min(b.top),
            right: a.right.max(b.right),
            bottom: a.bottom.max(b.bottom),
        })?;
        let (dx, dy) = (tight.width() * MARGIN, tight.height() * MARGIN);
        Some(Self {
            left: (tight.left - dx).max(whole.left),
            top: (tight.top - dy).max(whole.top),
            right: (tight.right + dx).min(whole.right),
            bottom: (tight.bottom + dy).min(whole.bottom),
        })
    }

    fn of(strip: &Strip) -> Self {
        let (c, s) = (strip.angle.cos().abs(), strip.angle.sin().abs());
        let (hw, hh) = ((strip.width * c + strip.height * s) / 2.0, (strip.width * s + strip.height * c) / 2.0);
        let (x, y) = strip.centre;
        Self { left: x - hw, top: y - hh, right: x + hw, bottom: y + hh }
    }

    /// Width in pixels.
    pub fn width(&self) -> f32 {
        self.right - self.left
    }

    /// Height in pixels.
    pub fn height(&self) -> f32 {
        self.bottom - self.top
    }

    /// Area in square pixels.
    pub fn area(&self) -> f32 {
        self.width() * self.height()
    }

    /// Samples the region into a canvas of `width` x `height`, keeping its aspect, at the top left; the rest is grey.
    /// Gives the canvas and how many of its pixels one pixel of the frame became.
    pub fn canvas(&self, frame: &Frame, width: usize, height: usize) -> (Plane, f32) {
        const GREY: u8 = 127;
        let scale = (width as f32 / self.width().max(1.0)).min(height as f32 / self.height().max(1.0));
        let (plane, own) = frame.level(scale);
        let step = own / scale;
        let origin = (self.left * own + step / 2.0 - 0.5, self.top * own + step / 2.0 - 0.5);
        let window = Window { origin, along: (step, 0.0), down: (0.0, step) };
        (plane.sample(&window, width, height, Some(GREY)), scale)
    }
}

/// Strips with a common reading direction, in reading order.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// The strips, top to bottom, left to right.
    pub strips: Vec<Strip>,
    /// The common reading direction, radians.
    pub angle: f32,
}

impl Layout {
    /// Gives boxes a common reading direction (of the two possible ones, the one nearer to upright), joins the pieces
    /// of broken lines and puts them in order.
    pub fn arrange(boxes: Vec<Strip>) -> Self {
        let angle = dominant_angle(&boxes);
        let aligned = boxes.into_iter().map(|b| align(b, angle)).collect();
        let mut layout = Self { strips: join_broken_lines(aligned, angle), angle };
        layout.sort();
        layout
    }

    /// The same strips read upside down.
    pub fn flipped(&self) -> Self {
        let mut out = Self { strips: self.strips.iter().map(|s| s.flipped()).collect(), angle: wrap(self.angle + PI) };
        out.sort();
        out
    }

    /// Where a strip lies on the upright page.
    pub fn place(&self, strip: &Strip) -> Place {
        let (x, y) = self.upright(strip.centre);
        let off = wrap(strip.angle - self.angle);
        let (hw, hh) = (strip.width / 2.0 * off.cos().abs(), strip.height / 2.0);
        Place { left: x - hw, top: y - hh, right: x + hw, bottom: y + hh }
    }

    /// The strip that covers a place of the upright page.
    pub fn strip_at(&self, place: &Place) -> Strip {
        let (x, y) = place.centre();
        let (c, s) = (self.angle.cos(), self.angle.sin());
        Strip {
            centre: (x * c - y * s, x * s + y * c),
            width: place.width(),
            height: place.height(),
            angle: self.angle,
        }
    }

    /// Size of the smallest upright page that holds every strip: width, height; and its left top corner.
    pub fn extent(&self) -> Option<Place> {
        self.strips.iter().map(|s| self.place(s)).reduce(|a, b| Place {
            left: a.left.min(b.left),
            top: a.top.min(b.top),
            right: a.right.max(b.right),
            bottom: a.bottom.max(b.bottom),
        })
    }

    fn upright(&self, p: (f32, f32)) -> (f32, f32) {
        let (c, s) = (self.angle.cos(), self.angle.sin());
        (p.0 * c + p.1 * s, -p.0 * s + p.1 * c)
    }

    /// The `most` widest strips, in reading order.
    pub fn widest(&self, most: usize) -> Vec<Strip> {
        let mut widths: Vec<f32> = self.strips.iter().map(|s| s.width).collect();
        widths.sort_by(|a, b| b.total_cmp(a));
        let bar = most.checked_sub(1).and_then(|last| widths.get(last)).copied().unwrap_or_default();
        self.strips.iter().copied().filter(|s| s.width >= bar).take(most).collect()
    }

    /// Rows by overlap of their heights, then left to right: a plain sort by the top would mix the words of one row.
    fn sort(&mut self) {
        let mut placed: Vec<(Place, Strip)> = self.strips.iter().map(|s| (self.place(s), *s)).collect();
        placed.sort_by(|a, b| a.0.top.total_cmp(&b.0.top));
        let mut rows: Vec<Vec<(Place, Strip)>> = Vec::new();
        for item in placed {
            match rows.iter_mut().find(|r| r.first().is_some_and(|first| first.0.same_row(&item.0))) {
                Some(row) => row.push(item),
                None => rows.push(vec![item]),
            }
        }
        for row in &mut rows {
            row.sort_by(|a, b| a.0.left.total_cmp(&b.0.left));
        }
        self.strips = rows.into_iter().flatten().map(|(_, s)| s).collect();
    }
}

/// Turns a box so that its reading direction is the one nearest to `angle`; boxes too square to tell take `angle`.
fn align(b: Strip, angle: f32) -> Strip {
    let off = wrap(b.angle - angle);
    let mut out = b;
    if off.abs() > 3.0 * FRAC_PI_2 / 2.0 {
        out = out.flipped();
    } else if off.abs() > FRAC_PI_2 / 2.0 {
        // The box stands across the page's direction: keep its outline, swap its sides.
        let turn = if off > 0.0 { -FRAC_PI_2 } else { FRAC_PI_2 };
        out = Strip { width: b.height, height: b.width, angle: wrap(b.angle + turn), ..b };
    }
    // A box with few characters gives a poor angle of its own.
    if out.width < 2.5 * out.height {
        out.angle = angle;
    }
    out
}

/// The direction of most print, as the median over the long boxes weighted by their length, within a quarter turn of
/// rightwards. Boxes across it are left out by looking for the best supported direction first.
fn dominant_angle(boxes: &[Strip]) -> f32 {
    let long: Vec<(f32, f32)> =
        boxes.iter().filter(|b| b.width > 2.5 * b.height).map(|b| (half_turn(b.angle), b.width)).collect();
    let support = |a: f32| -> f32 { long.iter().filter(|(b, _)| half_turn(b - a).abs() < 0.14).map(|(_, w)| *w).sum() };
    let Some(best) = long.iter().map(|(a, _)| *a).max_by(|a, b| support(*a).total_cmp(&support(*b))) else {
        return 0.0;
    };
    let mut near: Vec<(f32, f32)> =
        long.iter().map(|(a, w)| (half_turn(a - best), *w)).filter(|(d, _)| d.abs() < 0.14).collect();
    near.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: f32 = near.iter().map(|n| n.1).sum();
    let mut seen = 0.0;
    for (d, w) in near {
        seen += w;
        if seen >= total / 2.0 {
            return half_turn(best + d);
        }
    }
    best
}

/// Joins boxes of one row that nearly touch: the detector breaks long MRZ lines and spaced numbers.
fn join_broken_lines(strips: Vec<Strip>, angle: f32) -> Vec<Strip> {
    let frame = Layout { strips: Vec::new(), angle };
    let mut placed: Vec<(Place, Strip)> = strips.into_iter().map(|s| (frame.place(&s), s)).collect();
    placed.sort_by(|a, b| a.0.left.total_cmp(&b.0.left));
    let mut out: Vec<(Place, Strip)> = Vec::with_capacity(placed.len());
    for (place, strip) in placed {
        let touching = out.iter_mut().find(|(last, kept)| joins(last, kept, &place, &strip));
        match touching {
            Some(entry) => {
                entry.1 = union(&entry.1, &strip);
                entry.0 = frame.place(&entry.1);
            }
            None => out.push((place, strip)),
        }
    }
    out.into_iter().map(|(_, s)| s).collect()
}

fn joins(last: &Place, kept: &Strip, next: &Place, strip: &Strip) -> bool {
    let (small, large) = (kept.height.min(strip.height), kept.height.max(strip.height));
    // The row of `kept` continued to where `next` begins, along its own slope.
    let slope = wrap(strip.angle - kept.angle).abs();
    let gap = next.left - last.right;
    let overlap = last.bottom.min(next.bottom) - last.top.max(next.top);
    large < 1.5 * small && gap < 0.7 * small && gap > -1.2 * small && overlap > 0.6 * small && slope < 0.12
}

/// The smallest strip in the direction of the longer one that holds both.
fn union(a: &Strip, b: &Strip) -> Strip {
    let lead = if a.width >= b.width { a } else { b };
    let axis = Layout { strips: Vec::new(), angle: lead.angle };
    let (pa, pb) = (axis.place(a), axis.place(b));
    let both = Place {
        left: pa.left.min(pb.left),
        top: pa.top.min(pb.top),
        right: pa.right.max(pb.right),
        bottom: pa.bottom.max(pb.bottom),
    };
    axis.strip_at(&both)
}

/// An angle in (-pi, pi].
fn wrap(a: f32) -> f32 {
    let a = a % (2.0 * PI);
    if a > PI {
        a - 2.0 * PI
    } else if a <= -PI {
        a + 2.0 * PI
    } else {
        a
    }
}

/// The direction of an undirected line, in (-pi/2, pi/2].
fn half_turn(a: f32) -> f32 {
    let a = wrap(a);
    if a > FRAC_PI_2 {
        a - PI
    } else if a <= -FRAC_PI_2 {
        a + PI
    } else {
        a
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip(x: f32, y: f32, width: f32, height: f32, degrees: f32) -> Strip {
        Strip { centre: (x, y), width, height, angle: degrees.to_radians() }
    }

    /// Boxes of an upright page of three lines, turned about the origin as a camera would turn the page.
    fn turned_page(degrees: f32) -> Vec<Strip> {
        let (c, s) = (degrees.to_radians().cos(), degrees.to_radians().sin());
        [(100.0, 50.0), (100.0, 100.0), (100.0, 150.0)]
            .into_iter()
            .map(|(x, y)| strip(x * c - y * s, x * s + y * c, 160.0, 20.0, degrees))
            .collect()
    }

    #[test]
    fn a_turned_page_comes_out_in_reading_order() {
        for degrees in [-80.0f32, -35.0, -4.0, 0.0, 12.0, 45.0, 89.0] {
            let mut boxes = turned_page(degrees);
            boxes.reverse();
            let layout = Layout::arrange(boxes);
            assert!((layout.angle.to_degrees() - degrees).abs() < 1.0, "{degrees}");
            let tops: Vec<f32> = layout.strips.iter().map(|s| layout.place(s).top).collect();
            assert!(tops.windows(2).all(|w| w[1] - w[0] > 40.0), "{degrees}: {tops:?}");
        }
    }

    #[test]
    fn flipping_reverses_the_order_and_flipping_twice_restores_it() {
        let layout = Layout::arrange(turned_page(7.0));
        let back = layout.flipped().flipped();
        for (a, b) in layout.strips.iter().zip(&back.strips) {
            assert!((a.centre.0 - b.centre.0).abs() < 0.01 && (wrap(a.angle - b.angle)).abs() < 0.001);
        }
        let flipped = layout.flipped();
        assert_eq!(flipped.strips.first().map(|s| s.centre), layout.strips.last().map(|s| s.centre));
    }

    #[test]
    fn pieces_of_a_line_are_joined_and_columns_are_not() {
        let joined = Layout::arrange(vec![strip(100.0, 50.0, 180.0, 20.0, 0.0), strip(295.0, 51.0, 190.0, 20.0, 0.0)]);
        assert_eq!(joined.strips.len(), 1);
        assert!((joined.strips[0].width - 380.0).abs() < 3.0);
        let columns = Layout::arrange(vec![strip(100.0, 50.0, 180.0, 20.0, 0.0), strip(330.0, 50.0, 180.0, 20.0, 0.0)]);
        assert_eq!(columns.strips.len(), 2);
        let sizes = Layout::arrange(vec![strip(100.0, 50.0, 180.0, 20.0, 0.0), strip(240.0, 50.0, 90.0, 40.0, 0.0)]);
        assert_eq!(sizes.strips.len(), 2);
    }

    #[test]
    fn a_place_of_the_page_leads_back_to_the_picture() {
        let layout = Layout::arrange(turned_page(30.0));
        for s in &layout.strips {
            let back = layout.strip_at(&layout.place(s));
            assert!((back.centre.0 - s.centre.0).abs() < 0.5 && (back.centre.1 - s.centre.1).abs() < 0.5);
        }
    }

    #[test]
    fn a_strip_is_cut_upright_at_any_angle() {
        // A white page with a black bar over the left half of a turned strip.
        for degrees in [0.0f32, 30.0, 90.0, 180.0, -120.0] {
            let target = strip(200.0, 200.0, 120.0, 24.0, degrees);
            let (c, s) = (target.angle.cos(), target.angle.sin());
            let mut pixels = vec![255u8; 400 * 400];
            for (i, px) in pixels.iter_mut().enumerate() {
                let (dx, dy) = ((i % 400) as f32 - 200.0, (i / 400) as f32 - 200.0);
                let (along, across) = (dx * c + dy * s, -dx * s + dy * c);
                if (-60.0..0.0).contains(&along) && across.abs() < 12.0 {
                    *px = 0;
                }
            }
            let frame = Frame::new(Plane::new(400, 400, pixels)).expect("not empty");
            let cut = target.cut(&frame, 48, 1.0);
            assert_eq!((cut.width(), cut.height()), (240, 48));
            let row = cut.row(24);
            assert!(row[60] < 40 && row[180] > 215, "{degrees}: {} {}", row[60], row[180]);
        }
    }
}
