//! The heads of HTTP/2 frames (RFC 9113, 4.1 and 6), as far as it matters which of them carry pictures and end streams.

/// The bytes of a frame's head.
pub const HEAD: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const PUSH_PROMISE: u8 = 5;
const CONTINUATION: u8 = 9;
/// On DATA and HEADERS: nothing more comes of this stream.
const END_STREAM: u8 = 1;
/// On HEADERS, PUSH_PROMISE and CONTINUATION: no CONTINUATION follows.
const END_HEADERS: u8 = 4;

/// A frame's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The bytes that follow the head.
    pub length: usize,
    kind: u8,
    flags: u8,
    /// The stream that it belongs to; 0 for the connection.
    pub stream: u32,
}

impl Head {
    /// Reads a head.
    pub fn parse(head: [u8; HEAD]) -> Self {
        let [a, b, c, kind, flags, s, t, u, v] = head;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        Self { length, kind, flags, stream: u32::from_be_bytes([s & 0x7F, t, u, v]) }
    }

    fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether what follows belongs to a message.
    pub fn is_data(self) -> bool {
        self.kind == DATA
    }

    /// Whether a block of headers begins.
    pub fn begins_block(self) -> bool {
        matches!(self.kind, HEADERS | PUSH_PROMISE)
    }

    /// Whether the block of headers goes on after this frame, if `open` tells whether it did before.
    pub fn leaves_open(self, open: bool) -> bool {
        match self.kind {
            HEADERS | PUSH_PROMISE => !self.has(END_HEADERS),
            CONTINUATION => open && !self.has(END_HEADERS),
            _ => open,
        }
    }

    /// Whether the sender breaks the stream off.
    pub fn resets(self) -> bool {
        self.kind == RST_STREAM
    }

    /// Whether nothing more comes of its stream.
    pub fn ends_stream(self) -> bool {
        self.resets() || (matches!(self.kind, DATA | HEADERS) && self.has(END_STREAM))
    }
}

/// The frames that are sent, read from the bytes as they go.
#[derive(Default)]
pub struct Sent {
    head: [u8; HEAD],
    have: usize,
    left: usize,
}

impl Sent {
    /// These bytes were sent. Tells which streams ended with them.
    pub fn pass(&mut self, mut bytes: &[u8], mut ended: impl FnMut(u32)) {
        while !bytes.is_empty() {
            let passed = self.left.min(bytes.len());
            self.left -= passed;
            bytes = &bytes[passed..];
            let taken = (HEAD - self.have).min(bytes.len());
            self.head[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == HEAD {
                let head = Head::parse(self.head);
                (self.have, self.left) = (0, head.length);
                if head.ends_stream() {
                    ended(head.stream);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, length: usize) -> Vec<u8> {
        let mut bytes = u32::try_from(length).unwrap().to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.resize(HEAD + length, 0xAA);
        bytes
    }

    #[test]
    fn the_end_of_a_stream_is_seen_however_the_bytes_are_split() {
        let frames = [
            frame(4, 0, 0, 18),
            frame(HEADERS, END_HEADERS, 1, 40),
            frame(DATA, 0, 1, 300),
            frame(HEADERS, END_HEADERS | END_STREAM, 1, 0),
            frame(6, 1, 0, 8),
            frame(RST_STREAM, 0, 3, 4),
            frame(DATA, END_STREAM, 5, 1),
        ];
        let bytes = frames.concat();
        for at in 0..=bytes.len() {
            for step in [1, 7, 4096] {
                let (mut sent, mut ended) = (Sent::default(), Vec::new());
                sent.pass(&bytes[..at], |stream| ended.push(stream));
                for part in bytes[at..].chunks(step) {
                    sent.pass(part, |stream| ended.push(stream));
                }
                assert_eq!(ended, [1, 3, 5], "split at {at}, then by {step}");
            }
        }
    }

    #[test]
    fn a_head_is_read_as_the_protocol_says() {
        let head = Head::parse([0x01, 0x02, 0x03, DATA, END_STREAM, 0x80, 0, 0, 7]);
        assert_eq!((head.length, head.stream), (0x01_02_03, 7), "the reserved bit is no part of the stream");
        assert!(head.is_data() && head.ends_stream() && !head.resets());
    }
}
