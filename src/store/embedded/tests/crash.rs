//! The power goes: whatever chance leaves of what was not synced, nothing that was answered is lost.

use super::life::{Life, open};
use super::recorder::{Fault, Recorder};
use crate::store::Store as _;
use std::sync::Arc;

/// Opens what the power cut left, checks it, lets the power go once more while it is opened, and checks that.
async fn survives(life: &Life, position: usize, random: &mut fastrand::Rng) {
    let image = life.disks.after_power_cut(position, random);
    let disks = Recorder::holding(image.clone());
    match open(&disks) {
        Ok(store) => life.check(&store, position, &image).await,
        Err(error) => panic!("does not open after a power cut at {position}: {error}"),
    }
    let again = disks.after_power_cut(random.usize(0..=disks.position()), random);
    let store = open(&Recorder::holding(again.clone())).unwrap();
    life.check(&store, position, &again).await;
}

#[tokio::test]
async fn nothing_answered_is_lost_when_the_power_goes() {
    let (mut images, mut writes) = (0, 0);
    for seed in 0..4 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut life = Life::begin(Recorder::default());
        for _ in 0..40 {
            life.go_on(&mut random).await;
        }
        let end = life.disks.position();
        for _ in 0..50 {
            let position = random.usize(life.begun..=end);
            survives(&life, position, &mut random).await;
            images += 2;
        }
        writes += end;
    }
    println!("{images} crash images of {writes} writes and syncs: nothing answered was lost");
}

#[tokio::test]
async fn a_full_disk_loses_nothing_reads_go_on_and_so_do_changes_when_there_is_room() {
    let mut images = 0;
    for seed in 0..30 {
        let mut random = fastrand::Rng::with_seed(1000 + seed);
        let mut life = Life::begin(Recorder::default());
        for _ in 0..random.usize(1..8) {
            life.go_on(&mut random).await;
        }
        for _ in 0..2 {
            let fault = if random.bool() { Fault::NoRoom } else { Fault::NoSync };
            life.disks.fail(random.usize(..40), fault);
            while !life.disks.failing() {
                life.go_on(&mut random).await;
            }
            for _ in 0..4 {
                let told = life.go_on(&mut random).await;
                assert!(!told.is_empty());
                life.reads_go_on().await;
            }
            // The power may go before there is room.
            let position = life.disks.position();
            survives(&life, position, &mut random).await;
            life.disks.repair();
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
            while life.store.health().await.is_err() {
                assert!(std::time::Instant::now() < deadline, "not back");
                tokio::task::yield_now().await; // asking is what makes the writer try
            }
            for _ in 0..6 {
                let told = life.go_on(&mut random).await;
                assert!(!told.contains(&super::life::Told::Unknown), "{told:?} with room");
            }
        }
        let end = life.disks.position();
        for _ in 0..6 {
            let position = random.usize(life.begun..=end);
            survives(&life, position, &mut random).await;
            images += 2;
        }
        survives(&life, end, &mut random).await;
        assert_eq!(Arc::strong_count(&life.store), 1);
    }
    println!("30 stores filled up twice each, {images} crash images: nothing answered was lost");
}
