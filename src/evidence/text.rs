//! Text as it was read from a picture, with its place: what `read` gives and `documents` takes.

use crate::secret::Sensitive;
use crate::terms::DocumentKind;

/// Where a line lies, in pixels of the upright, deskewed page. `left < right`, `top < bottom`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Left edge.
    pub left: f32,
    /// Upper edge.
    pub top: f32,
    /// Right edge.
    pub right: f32,
    /// Lower edge.
    pub bottom: f32,
}

impl Place {
    /// Height of the line in pixels.
    pub fn height(&self) -> f32 {
        self.bottom - self.top
    }

    /// Width of the line in pixels.
    pub fn width(&self) -> f32 {
        self.right - self.left
    }

    /// The middle, as (x, y).
    pub fn centre(&self) -> (f32, f32) {
        ((self.left + self.right) / 2.0, (self.top + self.bottom) / 2.0)
    }

    /// Whether two places lie on one line of print: their heights overlap by half of the smaller one.
    pub fn same_row(&self, other: &Place) -> bool {
        let overlap = self.bottom.min(other.bottom) - self.top.max(other.top);
        overlap > 0.5 * self.height().min(other.height())
    }
}

/// Which recogniser gave a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Alphabet {
    /// Printable ASCII: numbers, dates, Latin labels.
    Ascii,
    /// `A-Z 0-9 <` only.
    Mrz,
    /// Everything the full model knows: Latin with accents, Cyrillic, Greek, CJK. No Hangul.
    Full,
}

/// One line of print as one pass read it.
#[derive(Debug)]
pub struct Line {
    /// The characters, left to right. May hold spaces.
    pub text: Sensitive<String>,
    /// Where the line lies.
    pub place: Place,
    /// The recogniser.
    pub alphabet: Alphabet,
    /// Which pass over the picture this was, from 0. Two passes see the same print through different pixels (another
    /// scale, crop or model), so that the same answer twice is a second reading.
    pub pass: u8,
}

/// All text of one page in its upright orientation: lines of every pass, in reading order within a pass.
#[derive(Debug, Default)]
pub struct Page {
    /// The lines of every pass.
    pub lines: Vec<Line>,
    /// What the title reader made of the heading, if it was sure: one of the Korean cards.
    pub title: Option<DocumentKind>,
    /// Size of the page in pixels: width, height.
    pub size: (f32, f32),
}
