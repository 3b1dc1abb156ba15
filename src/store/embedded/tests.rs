//! A disk that fills up, and has room again.

use super::*;
use crate::store::{Expect, Handles, Space};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug)]
struct Disk {
    file: FileBackend,
    full: Arc<AtomicBool>,
}

impl Disk {
    fn room(&self) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.room()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.room()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.room()?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

#[tokio::test]
async fn a_full_disk_makes_the_store_unhealthy_until_there_is_room_again() {
    let (directory, full) = (tempfile::TempDir::new().unwrap(), Arc::new(AtomicBool::new(false)));
    let (path, switch) = (directory.path().to_owned(), Arc::clone(&full));
    let base = Base::open(Box::new(move || {
        let file = FileBackend::new(place::private_file(&path, FILE)?).map_err(opened)?;
        let disk = Disk { file, full: Arc::clone(&switch) };
        Database::builder().create_with_backend(disk).map_err(opened)
    }));
    let keys = FileBackend::new(place::locked_file(directory.path(), KEYS).unwrap()).unwrap();
    let keys = Disk { file: keys, full: Arc::clone(&full) };
    let store = Embedded::start(base.unwrap().impatient(), None, keys, 16).unwrap();
    let forged = store.forge().await.unwrap().0;

    let handles = Handles::new(crate::secret::Sensitive::new([7; 32]));
    let partition = Partition::new(0).unwrap();
    let key = |name: &str| handles.key(Space::Decision, partition, &"shop".parse().unwrap(), name);
    let put = |name: &str| Batch::new(partition).require(key(name), Expect::Absent).put(key(name), b"v".to_vec(), None);
    let now = Timestamp::UNIX_EPOCH;
    store.commit(put("before"), now).await.unwrap();
    assert_eq!(store.health().await, Ok(()));

    full.store(true, Ordering::SeqCst);
    let refused = Err(CommitError::Store(StoreError::Unavailable));
    assert_eq!(store.commit(put("during"), now).await, refused);
    for _ in 0..3 {
        assert_eq!(store.health().await, Err(StoreError::Unavailable), "for as long as the disk is full");
        assert_eq!(store.commit(put("during"), now).await, refused);
        assert_eq!(store.get(&key("before"), now).await, Err(StoreError::Unavailable));
        assert_eq!(store.forge().await.map(drop), Err(StoreError::Unavailable));
        assert_eq!(store.shred(forged).await, Err(StoreError::Unavailable));
    }

    full.store(false, Ordering::SeqCst);
    while store.health().await.is_err() {
        tokio::task::yield_now().await; // asking is what makes the writer try
    }
    assert!(store.get(&key("before"), now).await.unwrap().is_some(), "what was answered is there");
    store.commit(put("after"), now).await.unwrap();
    assert!(store.find_key(forged).await.unwrap().is_none(), "what was asked for is done when there is room");
    assert!(store.forge().await.is_ok());
    drop(store);
    let settings = Settings { directory: directory.path().to_owned(), ..Settings::default() };
    let again = Embedded::open(&settings).unwrap();
    assert!(again.get(&key("after"), now).await.unwrap().is_some());
}
