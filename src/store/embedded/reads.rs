//! What is read in ranges.

use super::base::Base;
use super::tables;
use crate::audit::Link;
use crate::store::{Key, StoreError};
use redb::ReadableDatabase;
use std::ops::Bound;

/// Up to `at_most` links of a chain after number `after`.
pub(super) fn trail(base: &Base, chain: u8, after: u64, at_most: usize) -> Result<Vec<Link>, StoreError> {
    let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
    base.with(|database| {
        let links = database.begin_read()?.open_table(tables::LINKS)?;
        let range = links.range((chain, first)..=(chain, u64::MAX))?;
        let read = |item: Result<_, redb::StorageError>| item.map_err(redb::Error::from);
        range.take(at_most).map(|item| read(item).map(|(key, row)| tables::link(key.value().1, row.value()))).collect()
    })
}

/// Up to `at_most` of the keys filed under a key, after `after`.
pub(super) fn filed(base: &Base, under: &Key, after: Option<&Key>, at_most: usize) -> Result<Vec<Key>, StoreError> {
    let (under, last) = (under.bytes(), [u8::MAX; Key::LEN]);
    let after = after.map(Key::bytes);
    let first = after.as_ref().map_or(Bound::Included((&under, &[0; Key::LEN])), |key| Bound::Excluded((&under, key)));
    let found: Vec<[u8; Key::LEN]> = base.with(|database| {
        let filed = database.begin_read()?.open_table(tables::FILED)?;
        let range = filed.range::<(&[u8; Key::LEN], &[u8; Key::LEN])>((first, Bound::Included((&under, &last))))?;
        range.take(at_most).map(|item| Ok(*item?.0.value().1)).collect()
    })?;
    found.iter().map(|bytes| Key::read(bytes).ok_or(StoreError::Corrupt)).collect()
}
