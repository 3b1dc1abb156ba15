//! When a webhook that failed is tried again: twice as late each time, from a second to an hour, and never given up.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3600);

/// How long to wait after so many failures in a row. `random` moves it within its second half, so that many webhooks
/// that failed together do not come back together.
pub fn wait(failures: u32, random: u16) -> Duration {
    let doubled = 2u32.checked_pow(failures.saturating_sub(1)).and_then(|times| FIRST.checked_mul(times));
    let whole = doubled.unwrap_or(LONGEST).min(LONGEST);
    whole / 2 + whole / 2 * u32::from(random) / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_from_a_second_to_an_hour_and_stays_there() {
        let longest: Vec<u64> = (1..=14).map(|failures| wait(failures, u16::MAX).as_secs()).collect();
        assert_eq!(longest, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]);
        for failures in [0, 1, 5, 13, 32, 33, u32::MAX] {
            let (least, most) = (wait(failures, 0), wait(failures, u16::MAX));
            assert!(least * 2 == most && wait(failures, 30_000) > least && wait(failures, 30_000) < most);
        }
        assert_eq!(wait(u32::MAX, u16::MAX), LONGEST);
    }
}
