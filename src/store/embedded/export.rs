//! Everything that is kept, read in one state.

use super::{Embedded, corrupt, tables};
use crate::store::copy::Item;
use crate::store::{Key, Partition, Space, StoreError};
use jiff::Timestamp;
use redb::{Database, ReadTransaction, ReadableDatabase};
use std::sync::Arc;

/// What is given on in pages, until whoever takes it has enough.
struct Pages<G> {
    size: usize,
    page: Vec<Item>,
    give: G,
    wanted: bool,
}

impl<G: FnMut(Vec<Item>) -> bool> Pages<G> {
    /// True as long as more is wanted.
    fn add(&mut self, item: Item) -> bool {
        self.page.push(item);
        if self.page.len() >= self.size { self.flush() } else { true }
    }

    fn flush(&mut self) -> bool {
        let page = std::mem::take(&mut self.page);
        self.wanted = self.wanted && (page.is_empty() || (self.give)(page));
        self.wanted
    }
}

impl Embedded {
    /// Gives on everything that has not expired, in pages of up to `size`, until `give` says no. Blocks. Keys that can be
    /// destroyed are told in the state of their file at that moment.
    pub fn export(&self, size: usize, now: Timestamp, give: impl FnMut(Vec<Item>) -> bool) -> Result<(), StoreError> {
        let mut pages = Pages { size: size.max(1), page: Vec::new(), give, wanted: true };
        let read = self.base.with(|database| Ok(tell(database, now, &mut pages)))?;
        read?;
        if pages.wanted {
            self.keys.each(|id, key| pages.add(Item::ShredKey { id, key: Arc::new(key) }))?;
        }
        pages.flush();
        Ok(())
    }
}

fn tell<G>(database: &Database, now: Timestamp, pages: &mut Pages<G>) -> Result<(), StoreError>
where
    G: FnMut(Vec<Item>) -> bool,
{
    let state = database.begin_read().map_err(corrupt)?;
    values(&state, now, pages)?;
    filed(&state, pages)?;
    links(&state, pages)
}

fn key(bytes: &[u8; Key::LEN]) -> Result<Key, StoreError> {
    Key::read(bytes).ok_or(StoreError::Corrupt)
}

fn values<G>(state: &ReadTransaction, now: Timestamp, pages: &mut Pages<G>) -> Result<(), StoreError>
where
    G: FnMut(Vec<Item>) -> bool,
{
    let values = state.open_table(tables::VALUES).map_err(corrupt)?;
    for row in values.range::<&[u8; Key::LEN]>(..).map_err(corrupt)? {
        let (name, row) = row.map_err(corrupt)?;
        let (key, stored) = (key(name.value())?, tables::stored(row.value())?);
        if tables::expired(stored.expires_at, now) {
            continue;
        }
        let item = match key.space() {
            Space::Attempts => {
                let (times, rest) = stored.value.as_chunks::<8>();
                if !rest.is_empty() {
                    return Err(StoreError::Corrupt);
                }
                let mut times: Vec<i64> = times.iter().map(|time| i64::from_be_bytes(*time)).collect();
                times.sort_unstable();
                Item::Attempts { key, times, expires_at: stored.expires_at }
            }
            _ => Item::Value { key, value: stored.value, version: stored.version, expires_at: stored.expires_at },
        };
        if !pages.add(item) {
            return Ok(());
        }
    }
    Ok(())
}

fn filed<G>(state: &ReadTransaction, pages: &mut Pages<G>) -> Result<(), StoreError>
where
    G: FnMut(Vec<Item>) -> bool,
{
    let filed = state.open_table(tables::FILED).map_err(corrupt)?;
    for row in filed.range::<(&[u8; Key::LEN], &[u8; Key::LEN])>(..).map_err(corrupt)? {
        let (row, _) = row.map_err(corrupt)?;
        let (under, filed) = row.value();
        if !pages.add(Item::Filed { under: key(under)?, key: key(filed)? }) {
            return Ok(());
        }
    }
    Ok(())
}

fn links<G>(state: &ReadTransaction, pages: &mut Pages<G>) -> Result<(), StoreError>
where
    G: FnMut(Vec<Item>) -> bool,
{
    let links = state.open_table(tables::LINKS).map_err(corrupt)?;
    for row in links.range::<(u8, u64)>(..).map_err(corrupt)? {
        let (place, row) = row.map_err(corrupt)?;
        let (chain, seq) = place.value();
        let partition = Partition::new(chain).ok_or(StoreError::Corrupt)?;
        if !pages.add(Item::Link { partition, link: tables::link(seq, row.value()) }) {
            return Ok(());
        }
    }
    Ok(())
}
