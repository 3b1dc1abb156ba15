//! A disk that fills up, and has room again.

mod crash;
mod life;
mod recorder;

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
    let room = Arc::clone(&full);
    let base = Base::open(Ground {
        file: Box::new(move || {
            let file = FileBackend::new(place::private_file(&path, FILE)?).map_err(opened)?;
            Ok(Box::new(Disk { file, full: Arc::clone(&switch) }))
        }),
        room: Box::new(
            move || {
                if room.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
            },
        ),
        cache_bytes: 1 << 20,
    });
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
        while store.get(&key("before"), now).await.is_err() {
            tokio::task::yield_now().await; // for the moment in which it is opened for reading
        }
        assert!(store.get(&key("before"), now).await.unwrap().is_some(), "reads go on");
        assert!(store.get(&key("during"), now).await.unwrap().is_none(), "nothing refused is seen");
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

/// What an open database lies on when the process is killed while it is being made.
#[tokio::test]
async fn a_store_whose_making_was_cut_off_is_made_anew() {
    for left in [vec![], vec![0; 4096], vec![0xA5; 100_000]] {
        let directory = tempfile::TempDir::new().unwrap();
        let home = directory.path().join("store");
        drop(place::private_file(&home, place::FRESH).unwrap());
        std::fs::write(home.join(place::FRESH), left).unwrap();
        let store = Embedded::open(&Settings { directory: home.clone(), ..Settings::default() }).unwrap();
        assert_eq!(store.health().await, Ok(()));
        assert!(is_there(&home) && !home.join(place::FRESH).exists());
    }
}
