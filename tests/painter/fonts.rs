//! The typefaces the painter prints with: small subsets that travel with the tests (see `tests/fonts/README.md`), so that
//! a machine without any installed font paints the same pictures.

use ab_glyph::{Font, FontRef, GlyphId};
use std::sync::LazyLock;

/// A typeface the painter knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Face {
    /// Korean gothic.
    Gothic,
    /// Korean gothic, bold.
    GothicBold,
    /// Korean serif.
    Myeongjo,
    /// A wider Korean sans.
    NotoKr,
    /// A wider Korean sans, bold.
    NotoKrBold,
    /// The rounded face of older cards.
    Gulim,
    /// Grotesque for Latin, Greek and Cyrillic.
    Sans,
    /// The same, bold.
    SansBold,
    /// Latin serif.
    Serif,
    /// Latin, fixed pitch.
    Mono,
    /// A humanist condensed sans.
    Condensed,
    /// OCR-B, the face of machine-readable zones.
    OcrB,
}

static FILES: [&[u8]; 12] = [
    include_bytes!("../fonts/gothic.ttf"),
    include_bytes!("../fonts/gothic-bold.ttf"),
    include_bytes!("../fonts/myeongjo.ttf"),
    include_bytes!("../fonts/noto-kr.otf"),
    include_bytes!("../fonts/noto-kr-bold.otf"),
    include_bytes!("../fonts/gulim.ttf"),
    include_bytes!("../fonts/sans.ttf"),
    include_bytes!("../fonts/sans-bold.ttf"),
    include_bytes!("../fonts/serif.ttf"),
    include_bytes!("../fonts/mono.ttf"),
    include_bytes!("../fonts/dejavu.ttf"),
    include_bytes!("../fonts/ocrb.otf"),
];

static FACES: LazyLock<Vec<FontRef<'static>>> = LazyLock::new(|| {
    FILES.iter().map(|f| FontRef::try_from_slice(f).expect("the shipped font files are well formed")).collect()
});

impl Face {
    /// The parsed font.
    pub fn font(self) -> &'static FontRef<'static> {
        &FACES[self as usize]
    }

    /// The glyph for `c`, from this face or, where it lacks it, from the widest ones.
    pub fn glyph(self, c: char) -> (&'static FontRef<'static>, GlyphId) {
        let found =
            [self, Self::NotoKr, Self::Sans].iter().map(|f| (f.font(), f.font().glyph_id(c))).find(|g| g.1.0 != 0);
        debug_assert!(found.is_some() || c.is_whitespace(), "{c:?} is in no subset");
        found.unwrap_or((self.font(), GlyphId(0)))
    }
}
