//! Custody: whoever comes first, a reader, an answer or a caller who leaves.

use super::*;
use crate::terms::DisposalPath;
use proptest::prelude::*;
use std::sync::Barrier;

const SOON: Duration = Duration::from_secs(20);
const AT: Timestamp = Timestamp::UNIX_EPOCH;

fn bytes_in(custody: &Custody) -> bool {
    matches!(custody.0.0.state().stage, Stage::Held(_))
}

#[tokio::test]
async fn bytes_that_nobody_took_out_are_overwritten_when_the_receipt_is_asked_for() {
    for length in [0, 1, AT_ONCE, AT_ONCE + 1] {
        let custody = Custody::new();
        let picture = custody.take(vec![7; length], AT);
        drop(picture);
        assert!(bytes_in(&custody));
        let (_, commitment, opening) = custody.emptied(SOON).await.unwrap();
        assert!(!bytes_in(&custody));
        assert_eq!(commitment, Commitment::again(&opening, &vec![7; length]));
        assert_eq!(custody.refused(DisposalPath::Refused), DisposalPath::Refused);
        assert_eq!(custody.answered(true), DisposalPath::NotRead);
        assert!(custody.emptied(SOON).await.is_none(), "an opening is given once");
    }
}

#[tokio::test]
async fn there_is_no_receipt_while_somebody_reads_and_one_as_soon_as_they_have_let_go() {
    let custody = Custody::new();
    let (bytes, reading) = custody.take(vec![1, 2, 3], AT).open().unwrap();
    assert!(custody.emptied(Duration::from_millis(20)).await.is_none());
    let waiting = tokio::spawn({
        let custody = custody.clone();
        async move { custody.emptied(SOON).await }
    });
    drop(bytes);
    drop(reading);
    let (_, commitment, opening) = waiting.await.unwrap().unwrap();
    assert_eq!(commitment, Commitment::again(&opening, &[1, 2, 3]));
    assert_eq!((custody.answered(true), custody.answered(false)), (DisposalPath::Answered, DisposalPath::Unreadable));
}

#[tokio::test]
async fn a_panic_while_reading_lets_go_too() {
    let custody = Custody::new();
    let picture = custody.take(vec![1], AT);
    let read = move || {
        let (bytes, _reading) = picture.open().unwrap();
        assert_eq!(bytes.expose().len(), 2, "a fault in reading");
    };
    assert!(std::thread::spawn(read).join().is_err());
    assert!(custody.emptied(SOON).await.is_some());
}

#[test]
fn when_the_caller_leaves_the_bytes_go_at_once_and_nothing_is_committed_to() {
    let custody = Custody::new();
    let picture = custody.take(vec![1; 10], AT);
    let other = custody.clone();
    drop(custody);
    assert_eq!(picture.len(), 10, "somebody still answers");
    drop(other);
    assert!(picture.is_empty() && picture.with(<[u8]>::len).is_none());
    assert!(picture.open().is_none());

    let custody = Custody::new();
    let picture = custody.take(vec![1; 10], AT);
    drop(custody.clone());
    let (_, reading) = picture.open().unwrap();
    drop(custody);
    let shared = Arc::clone(&reading.shared);
    drop(reading);
    assert!(matches!(shared.state().stage, Stage::Gone(_)));

    let alone = Picture::unattended(Sensitive::new(vec![1]), AT);
    assert!(alone.open().unwrap().1.sealed.is_none());
}

#[tokio::test]
async fn a_picture_that_did_not_come_whole_is_gone_too_and_said_to_be_incomplete() {
    let custody = Custody::new();
    let mut picture = custody.expect(4, AT);
    assert!(picture.append(&[1, 2]) && !picture.append(&[3, 4, 5]), "never grows: growing leaves copies behind");
    assert_eq!(custody.refused(DisposalPath::Refused), DisposalPath::Incomplete);
    assert!(picture.append(&[3, 4]));
    picture.complete(AT);
    assert_eq!(custody.refused(DisposalPath::Refused), DisposalPath::Refused);
    drop(picture);
    let (_, commitment, opening) = custody.emptied(SOON).await.unwrap();
    assert_eq!(commitment, Commitment::again(&opening, &[1, 2, 3, 4]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whoever comes first: a reader, an answer that waits, or the caller leaving. The bytes are never seen after a
    /// receipt, and a receipt is never for anything else.
    #[test]
    fn however_they_meet_a_receipt_means_that_nothing_is_left(length in 0usize..2000, leaves in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let custody = Custody::new();
        let picture = custody.take(vec![9; length], AT);
        let (start, held) = (Arc::new(Barrier::new(2)), Arc::new(Mutex::new(false)));
        let reader = {
            let (start, held) = (Arc::clone(&start), Arc::clone(&held));
            std::thread::spawn(move || {
                start.wait();
                let Some((bytes, reading)) = picture.open() else { return };
                *held.lock().unwrap() = true;
                assert!(bytes.expose().iter().all(|byte| *byte == 9));
                drop(bytes);
                *held.lock().unwrap() = false;
                drop(reading);
            })
        };
        start.wait();
        if leaves {
            drop(custody);
        } else {
            let (_, commitment, opening) = runtime.block_on(custody.emptied(SOON)).unwrap();
            prop_assert!(!*held.lock().unwrap());
            prop_assert!(!bytes_in(&custody));
            prop_assert_eq!(commitment, Commitment::again(&opening, &vec![9; length]));
        }
        reader.join().unwrap();
    }
}
