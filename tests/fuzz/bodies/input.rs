//! An input as a row of small choices: what is not there any more is zero.

use idgate::terms::DocumentKind;

/// What is left of an input.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub fn short(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// The next bytes: as many as are there, at most `most`.
    pub fn take(&mut self, most: usize) -> &'a [u8] {
        let (some, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        some
    }

    /// Up to the next line break or the end; `None` when nothing is left.
    pub fn line(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = self.0.iter().position(|byte| *byte == b'\n').unwrap_or(self.0.len());
        let line = self.take(end);
        self.byte();
        Some(line)
    }
}

/// A kind of document, or none, from one choice.
pub fn kind(choice: u8) -> Option<DocumentKind> {
    DocumentKind::ALL.get(usize::from(choice).checked_sub(1)?).copied()
}
