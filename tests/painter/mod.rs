//! Paints synthetic identity documents and photographs them badly, so that the reader can be measured on thousands of
//! pictures whose truth is known. The same seed gives the same picture; nobody shown exists.
//!
//! `paint(seed, kind, quality)` is the short way; a [`Spec`] fixes the birth date, the mask or the degradations as well.
#![allow(dead_code)] // Shared by several binaries, none of which uses all of it.

mod alien;
mod canvas;
mod decor;
mod degrade;
mod fonts;
mod icao;
mod korean;
mod labels;
mod mrz;
mod person;
mod scene;

pub use degrade::{Degradation, Quality};
pub use person::TODAY;

use fastrand::Rng;
use jiff::civil::Date;

macro_rules! kinds {
    ($($(#[$meta:meta])* $name:ident = $text:literal => $document:literal,)+) => {
        /// What can be painted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum CardKind { $($(#[$meta])* $name),+ }

        impl CardKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The painter's own name, for tables.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $text),+ } }

            /// The document kind as idgate spells it.
            pub const fn document(self) -> &'static str { match self { $(Self::$name => $document),+ } }
        }
    };
}

kinds! {
    /// 주민등록증.
    KrResident = "kr_resident" => "kr_resident_card",
    /// Alien card of 2011 to 2020: ALIEN REGISTRATION CARD, grey photo at the left, sex printed.
    KrAlien2011 = "kr_alien_2011" => "kr_alien_card",
    /// Alien card of 2021 to March 2023: RESIDENCE CARD, otherwise as before.
    KrAlien2021 = "kr_alien_2021" => "kr_alien_card",
    /// Alien card since April 2023: colour photo at the right, no sex, QR code.
    KrAlien2023 = "kr_alien_2023" => "kr_alien_card",
    /// 자동차운전면허증.
    KrLicence = "kr_licence" => "kr_driver_licence",
    /// 청소년증.
    KrYouth = "kr_youth" => "kr_youth_card",
    /// A card with three lines of 30: back with the zone only, or all on one side.
    Td1 = "td1" => "td1",
    /// A card with two lines of 36.
    Td2 = "td2" => "td2",
    /// A passport's data page.
    Td3 = "td3" => "td3",
    /// A visa with two lines of 44.
    MrvA = "mrva" => "mrva",
    /// A visa with two lines of 36.
    MrvB = "mrvb" => "mrvb",
    /// A card without MRZ: a labelled, printed date of birth.
    OtherId = "other_id" => "other_id",
}

/// What the picture shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    pub date_of_birth: Date,
    /// The document kind as idgate spells it.
    pub kind: &'static str,
    /// The day the document says it ends, where it says so. All end after [`TODAY`].
    pub expiry: Option<Date>,
    /// Whether the Korean number's checksum holds; `None` where there is no number or its back is masked.
    pub number_checksum_valid: Option<bool>,
    /// The back of the Korean number is masked.
    pub masked: bool,
    /// What is unusual about this one: `mrz_only` (no printed birth date), `printed_date_only` (no number), or empty.
    pub variant: &'static str,
}

impl Truth {
    pub(crate) fn born(&mut self, date: Date) {
        self.date_of_birth = date;
    }
}

/// What the layouts note down while they print.
pub(crate) struct Draft {
    truth: Truth,
    male: bool,
}

/// A picture and what it shows.
#[derive(Debug)]
pub struct Painted {
    /// JPEG, or PNG now and then.
    pub file: Vec<u8>,
    /// `jpg` or `png`.
    pub extension: &'static str,
    pub truth: Truth,
    /// What was done to it: the drawn degradations, and for good pictures the harmless turns.
    pub degradations: Vec<&'static str>,
}

/// What to paint. Everything left open is drawn from the seed.
#[derive(Debug, Clone)]
pub struct Spec {
    pub seed: u64,
    pub kind: CardKind,
    pub quality: Quality,
    /// The holder's birth date; the caller sees to it that such a holder can have such a card.
    pub birth: Option<Date>,
    /// Whether the back of a Korean number is masked.
    pub masked: Option<bool>,
    /// Exactly these degradations in place of drawn ones.
    pub degradations: Option<Vec<Degradation>>,
}

impl Spec {
    /// Everything else drawn from the seed.
    pub fn new(seed: u64, kind: CardKind, quality: Quality) -> Self {
        Self { seed, kind, quality, birth: None, masked: None, degradations: None }
    }

    /// Paints it.
    pub fn paint(&self) -> Painted {
        // Neighbouring seeds and kinds must not share their random numbers.
        let mix =
            self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ ((self.kind as u64) << 56) ^ ((self.quality as u64) << 48);
        let mut rng = Rng::with_seed(mix);
        let wide = if matches!(self.kind, CardKind::Td2 | CardKind::Td3 | CardKind::MrvA | CardKind::MrvB) {
            icao::width(self.kind)
        } else {
            korean::ID1.0
        };
        let shot = degrade::Shot::draw(&mut rng, self.quality, self.degradations.as_deref(), wide);
        let truth = Truth {
            date_of_birth: TODAY,
            kind: self.kind.document(),
            expiry: None,
            number_checksum_valid: None,
            masked: false,
            variant: "",
        };
        let mut draft = Draft { truth, male: false };
        // Printed a little finer than photographed, so that the camera's sampling is the limit, not the print.
        let ppm = shot.card_px / wide * 1.15;
        let card = self.print(&mut rng, ppm, &mut draft);
        let frame = scene::photograph(&mut rng, &card, &shot);
        let (file, extension) = shot.develop(&mut rng, frame, &card);
        Painted { file, extension, truth: draft.truth, degradations: shot.names() }
    }

    fn print(&self, rng: &mut Rng, ppm: f32, d: &mut Draft) -> canvas::Card {
        match self.kind {
            CardKind::KrResident => korean::resident(rng, self, ppm, d),
            CardKind::KrAlien2011 => alien::card(rng, self, ppm, alien::Era::Y2011, d),
            CardKind::KrAlien2021 => alien::card(rng, self, ppm, alien::Era::Y2021, d),
            CardKind::KrAlien2023 => alien::card(rng, self, ppm, alien::Era::Y2023, d),
            CardKind::KrLicence => korean::licence(rng, self, ppm, d),
            CardKind::KrYouth => korean::youth(rng, self, ppm, d),
            CardKind::OtherId => icao::other(rng, self, ppm, d),
            CardKind::Td1 | CardKind::Td2 | CardKind::Td3 | CardKind::MrvA | CardKind::MrvB => {
                icao::document(rng, self, ppm, d)
            }
        }
    }
}

/// Paints a document of this kind; the same arguments always give the same picture.
pub fn paint(seed: u64, kind: CardKind, quality: Quality) -> Painted {
    Spec::new(seed, kind, quality).paint()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_picture_and_another_seed_another() {
        let [a, b, c] = [7, 7, 8].map(|s| paint(s, CardKind::KrResident, Quality::Poor));
        assert_eq!(a.file, b.file);
        assert_eq!(a.truth, b.truth);
        assert_ne!(a.file, c.file);
        assert!((1..=3).contains(&a.degradations.len()));
    }

    #[test]
    fn a_fixed_birth_date_and_mask_are_kept() {
        let birth = jiff::civil::date(1988, 2, 29);
        let degradations = Some(vec![Degradation::LowResolution]);
        let spec = Spec {
            birth: Some(birth),
            masked: Some(true),
            degradations,
            ..Spec::new(3, CardKind::KrResident, Quality::Poor)
        };
        let p = spec.paint();
        assert_eq!((p.truth.date_of_birth, p.truth.masked, p.truth.number_checksum_valid), (birth, true, None));
        assert_eq!(p.degradations, ["low_resolution"]);
    }
}
