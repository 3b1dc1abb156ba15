//! That nothing of a picture stays in the buffer that HTTP/2 is read into.
//!
//! That buffer lives as long as its connection and keeps what was last read into it: it is overwritten only by what
//! comes next, and on an idle connection nothing does. So this does: after a stream that carried a picture, when it ends,
//! is answered or falls silent, frames without meaning are put between those of the client. A receiver must ignore frames
//! of a kind that it does not know (RFC 9113, 4.1 and 5.5), and reads them into the same memory as all others.
//!
//! How much is needed follows from how that buffer (`BytesMut`, read by `tokio_util::codec::FramedRead`) grows. Its room
//! always reaches to the end of its memory. Once that is full it goes on at the beginning of the same memory if nothing
//! else refers to it; otherwise it takes new memory and the old is freed with the last frame in it (the allocator
//! overwrites what is freed). Frames of [`FRAME`] bytes, less than half of its smallest memory, never make it grow. So
//! whoever fills it to the end twice has overwritten all that it keeps: once what was left, once from the beginning.
//!
//! One thing else refers to that memory for long: texts of headers which the table of HPACK keeps lie where they were
//! read. So pictures and headers never share memory: before a picture the memory with headers is filled to its end, and
//! before headers what a picture left is overwritten.

use super::frames::{HEAD, Head};
use tokio::io::ReadBuf;

/// The bytes of the preface of HTTP/2.
const PREFACE: usize = 24;
/// The size of one frame without meaning: less than half the smallest memory of the buffer (8 KiB), and a prime, so that
/// the memory hardly ever ends where a frame does. There the buffer would take new memory for no reason.
const FRAME: usize = 4093;
/// What follows its head.
const PAYLOAD: u16 = 4084;
/// A frame without meaning: of a kind that is kept for experiments, on the connection, and all zeros.
static NOTHING: [u8; FRAME] = {
    let mut frame = [0; FRAME];
    [frame[1], frame[2]] = PAYLOAD.to_be_bytes();
    frame[3] = 0xFB;
    frame
};
/// Fills that leave memory which headers may hold.
const LEAVE: u8 = 1;
/// Fills that overwrite all.
const OVERWRITE: u8 = 2;
/// A request with fewer bytes carries no picture: with the names that must stand beside it, none that shows anything would
/// fit. The calls that are made most, which look something up by its name, are smaller, and pay nothing.
const SMALL: usize = 64;
/// Streams that are watched at once. More than any client can have open; were it not, all would be overwritten at once.
const WATCHED: usize = 1024;

/// A request that has not ended.
struct Upload {
    stream: u32,
    bytes: usize,
    /// Whether some of it may still be in the buffer.
    kept: bool,
}

/// Follows what is handed up and decides what is put between.
pub struct Wash {
    /// What is left of the frame, or of the preface, that is handed up.
    left: usize,
    /// Whether a block of headers goes on with the next frame: nothing may come between.
    in_block: bool,
    /// Whether memory may be held by headers.
    headers: bool,
    uploads: Vec<Upload>,
    /// Whether all must be overwritten as soon as the frame is over.
    due: bool,
    /// How often the buffer has yet to be filled to its end.
    fills: u8,
    /// Where in a frame without meaning it stands.
    at: usize,
}

impl Wash {
    /// For a connection of which nothing has come.
    pub fn new() -> Self {
        Self { left: PREFACE, in_block: false, headers: false, uploads: Vec::new(), due: false, fills: 0, at: 0 }
    }

    /// Whether something has to be put between before anything more is handed up.
    pub fn washing(&self) -> bool {
        self.fills > 0 || self.at > 0
    }

    /// Whether something of a picture is in the buffer, and waits to be overwritten.
    pub fn waits(&self) -> bool {
        self.due || self.uploads.iter().any(|upload| upload.kept)
    }

    /// Fills the buffer, or finishes the last frame without meaning.
    pub fn fill(&mut self, buffer: &mut ReadBuf<'_>) {
        loop {
            let part = &NOTHING[self.at..];
            let part = &part[..part.len().min(buffer.remaining())];
            buffer.put_slice(part);
            self.at = (self.at + part.len()) % FRAME;
            if buffer.remaining() == 0 || (self.fills == 0 && self.at == 0) {
                break;
            }
        }
        self.fills = self.fills.saturating_sub(1);
    }

    /// How many of these bytes, which came next, are handed up now; no more than there is room for. None if something
    /// has to be put between first, or if they are too few to tell.
    pub fn hand_up(&mut self, bytes: &[u8], room: usize) -> usize {
        let most = bytes.len().min(room);
        let mut handed = 0;
        loop {
            if self.due && self.left == 0 && !self.in_block {
                self.wash(OVERWRITE);
                break;
            }
            if handed == most {
                break;
            }
            if self.left > 0 {
                let part = self.left.min(most - handed);
                self.left -= part;
                handed += part;
            } else {
                let Some(head) = bytes.get(handed..).and_then(|rest| rest.first_chunk()) else { break };
                if !self.begin(Head::parse(*head)) {
                    break;
                }
            }
        }
        handed
    }

    /// A frame begins, unless something has to be put before it.
    fn begin(&mut self, head: Head) -> bool {
        let first = match head {
            _ if self.in_block => None,
            head if head.begins_block() => self.waits().then_some(OVERWRITE),
            head if head.is_data() && self.headers && head.length > 0 => {
                (head.length >= SMALL || !head.ends_stream()).then_some(LEAVE)
            }
            _ => None,
        };
        if let Some(fills) = first {
            self.wash(fills);
            return false;
        }
        self.left = HEAD + head.length;
        self.in_block = head.leaves_open(self.in_block);
        self.headers |= head.begins_block();
        self.follow(head);
        true
    }

    /// Counts what streams carry.
    fn follow(&mut self, head: Head) {
        let at = self.uploads.iter().position(|upload| upload.stream == head.stream);
        let carried = if head.is_data() { head.length } else { 0 };
        if head.ends_stream() {
            let before = at.map(|at| self.uploads.swap_remove(at));
            let kept = carried > 0 || before.as_ref().is_some_and(|before| before.kept);
            let bytes = before.map_or(0, |before| before.bytes).saturating_add(carried);
            // What was broken off may have been meant to be larger.
            self.due |= kept && (bytes >= SMALL || head.resets());
        } else if carried > 0 {
            match at {
                Some(at) => {
                    let upload = &mut self.uploads[at];
                    (upload.bytes, upload.kept) = (upload.bytes.saturating_add(carried), true);
                }
                None if self.uploads.len() < WATCHED => {
                    self.uploads.push(Upload { stream: head.stream, bytes: carried, kept: true });
                }
                None => self.due = true,
            }
        }
    }

    /// A stream was answered to its end, or broken off from this side. Whether that makes it due to overwrite what came
    /// of it.
    pub fn answered(&mut self, stream: u32) -> bool {
        let kept = self.uploads.iter().any(|upload| upload.stream == stream && upload.kept);
        self.due |= kept;
        kept
    }

    /// Nothing comes for now. Whether something is put in now; not where a frame has only half come.
    pub fn rest(&mut self) -> bool {
        let now = self.waits() && self.left == 0 && !self.in_block;
        if now {
            self.wash(OVERWRITE);
        }
        now
    }

    fn wash(&mut self, fills: u8) {
        self.fills = fills;
        self.headers = false;
        if fills == OVERWRITE {
            self.due = false;
            self.uploads.iter_mut().for_each(|upload| upload.kept = false);
        }
    }
}

#[cfg(test)]
mod tests;
