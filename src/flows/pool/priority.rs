//! How urgent a thread is to the system.

/// The niceness of what gives way to everything.
#[cfg(target_os = "linux")]
const LEAST: i32 = 19;

/// Makes this thread, and those that it starts, give way to the others that want a core: by so many steps of niceness.
/// Does nothing where threads have none of their own (all but Linux), or where the system does not allow it.
pub fn give_way(steps: u8) {
    #[cfg(target_os = "linux")]
    if steps > 0 {
        // For Linux "the calling process" is the calling thread here.
        let own = rustix::process::getpriority_process(None).unwrap_or(0);
        rustix::process::setpriority_process(None, own.saturating_add(steps.into()).min(LEAST)).ok();
    }
    #[cfg(not(target_os = "linux"))]
    let _ = steps;
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::process::getpriority_process;

    #[test]
    fn a_thread_and_those_that_it_starts_give_way_and_no_other() {
        let before = getpriority_process(None).unwrap();
        let niceness = || getpriority_process(None).unwrap();
        let inherited = std::thread::spawn(move || {
            give_way(3);
            let nicer = std::thread::spawn(niceness).join().unwrap();
            give_way(LEAST as u8);
            (nicer, niceness())
        });
        assert_eq!(inherited.join().unwrap(), ((before + 3).min(LEAST), LEAST));
        assert_eq!(niceness(), before, "the thread that serves the network is as it was");
    }
}
