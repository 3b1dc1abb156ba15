//! Bytes that wait in order, in memory that is overwritten as they leave.
//!
//! What a client sends passes through buffers that live as long as its connection. Here nothing stays in one: whatever
//! was taken is overwritten at once, what is moved is overwritten where it lay, and the rest when the buffer is dropped.

use crate::secret::Sensitive;

/// A queue of bytes. Takes no memory until something is put into it.
pub struct Wiped {
    bytes: Sensitive<Vec<u8>>,
    start: usize,
    end: usize,
    /// The most bytes that it has room for.
    most: usize,
}

impl Wiped {
    /// Room for at most so many bytes.
    pub fn new(most: usize) -> Self {
        Self { bytes: Sensitive::new(Vec::new()), start: 0, end: 0, most }
    }

    /// What waits.
    pub fn waiting(&self) -> &[u8] {
        &self.bytes.expose()[self.start..self.end]
    }

    /// What waits, for changing it in place.
    pub fn waiting_mut(&mut self) -> &mut [u8] {
        &mut self.bytes.expose_mut()[self.start..self.end]
    }

    /// All the memory that it has.
    #[cfg(test)]
    pub fn memory(&self) -> &[u8] {
        self.bytes.expose()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// All the room behind what waits: at least `least` bytes where the most allows it, none where it is full.
    pub fn room(&mut self, least: usize) -> &mut [u8] {
        if self.bytes.expose().len() - self.end < least {
            self.make_room(least);
        }
        &mut self.bytes.expose_mut()[self.end..]
    }

    /// Moves what waits to the front, of more memory if that is needed and allowed.
    fn make_room(&mut self, least: usize) {
        let (waits, size) = (self.end - self.start, self.bytes.expose().len());
        let wanted = waits.saturating_add(least).min(self.most);
        if wanted > size {
            let size = wanted.max(size.saturating_mul(2)).min(self.most);
            let mut larger = Sensitive::new(vec![0; size]);
            larger.expose_mut()[..waits].copy_from_slice(self.waiting());
            self.bytes = larger; // the old memory is overwritten as it is dropped
        } else {
            let (start, end, bytes) = (self.start, self.end, self.bytes.expose_mut());
            bytes.copy_within(start..end, 0);
            bytes[waits..end].fill(0);
        }
        (self.start, self.end) = (0, waits);
    }

    /// So many bytes were written to the room.
    pub fn put(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.bytes.expose().len());
    }

    /// Takes so many of the bytes that wait: they are overwritten.
    pub fn take(&mut self, count: usize) {
        let until = self.start.saturating_add(count).min(self.end);
        self.bytes.expose_mut()[self.start..until].fill(0);
        self.start = until;
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(queue: &mut Wiped, bytes: &[u8]) {
        queue.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        queue.put(bytes.len());
    }

    #[test]
    fn bytes_leave_in_order_and_nothing_of_them_stays() {
        let mut queue = Wiped::new(64);
        write(&mut queue, b"first second");
        queue.take(6);
        assert_eq!(queue.waiting(), b"second");
        assert_eq!(queue.bytes.expose()[..6], [0; 6]);
        // Moved to the front: nothing may be left where it lay.
        write(&mut queue, b" third");
        assert_eq!(queue.waiting(), b"second third");
        queue.take(100);
        assert!(queue.is_empty());
        assert!(queue.bytes.expose().iter().all(|byte| *byte == 0));
    }

    #[test]
    fn it_grows_up_to_its_bound() {
        let mut queue = Wiped::new(10);
        write(&mut queue, b"12345678");
        queue.take(3);
        assert_eq!(queue.room(5).len(), 5);
        write(&mut queue, b"abcde");
        assert_eq!(queue.waiting(), b"45678abcde");
        assert!(queue.room(1).is_empty(), "full");
        queue.take(1);
        assert_eq!(queue.room(1).len(), 1);
    }
}
