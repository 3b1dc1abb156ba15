//! What every process that holds pictures does first: no core files, no looking in from outside, no swap, and no message
//! of a panic, which may quote what the program was working on.
//!
//! Linux only, but for the message. What the system does not allow is refused in production and told in development.

use crate::config::memory::{Memory, Swap};
use std::panic::PanicHookInfo;

/// Memory could be written where it would stay.
#[derive(Debug, thiserror::Error)]
pub enum HardenError {
    /// Core files could not be turned off.
    #[error("core files cannot be turned off: {0}")]
    Core(std::io::Error),
    /// Memory must be locked and cannot be.
    #[error("memory.swap is \"lock\", and memory cannot be locked: {0}")]
    Unlocked(&'static str),
    /// Memory may be swapped.
    #[error(
        "this machine swaps, so pictures could be written to disk: {0}. Turn swap off, or for this process only (cgroup \
         memory.swap.max 0: MemorySwapMax=0, or docker --memory N --memory-swap N), or let it lock memory \
         (LimitMEMLOCK=infinity, or docker --ulimit memlock=-1), or, where swap is encrypted, set memory.swap to \"allow\""
    )]
    Swaps(&'static str),
}

/// Hardens a server. `production` refuses where development only warns.
pub fn harden(memory: &Memory, production: bool) -> Result<(), HardenError> {
    std::panic::set_hook(Box::new(tell_place));
    if memory.core_dumps {
        tracing::warn!("memory.core_dumps is on: a core file would hold whatever is in memory");
    } else {
        system::no_core_files().map_err(HardenError::Core)?;
    }
    let kept = match memory.swap {
        Swap::Allow => Ok(()),
        Swap::Lock => return system::lock().map_err(HardenError::Unlocked),
        Swap::Refuse if !system::swaps() => Ok(()),
        Swap::Refuse => system::lock().map_err(HardenError::Swaps),
    };
    match kept {
        Err(error) if !production => {
            tracing::warn!("{error}");
            Ok(())
        }
        kept => kept,
    }
}

/// Hardens a command that reads pictures of whoever runs it: as far as the system allows, and without a word.
pub(super) fn quietly() {
    std::panic::set_hook(Box::new(tell_place));
    let _ = system::no_core_files();
    if system::swaps() {
        let _ = system::lock();
    }
}

/// Tells where a panic happened. Never its message: slicing text quotes the text.
fn tell_place(panic: &PanicHookInfo<'_>) {
    let (file, line) = panic.location().map_or(("?", 0), |place| (place.file(), place.line()));
    if tracing::dispatcher::has_been_set() {
        tracing::error!(file, line, "the program panicked; its message is withheld");
    } else {
        eprintln!("idgate: the program panicked at {file}:{line}; its message is withheld");
    }
}

#[cfg(target_os = "linux")]
mod system {
    //! What Linux offers.

    use rustix::mm::{MlockAllFlags, mlockall};
    use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
    use std::fs;
    use std::io;
    use std::path::Path;

    /// The bit of CAP_IPC_LOCK among the capabilities.
    const IPC_LOCK: u64 = 1 << 14;

    /// No core file, whatever its pattern says (a pipe ignores the limit, so the process is no longer dumpable either,
    /// which also keeps others of the same user out of its memory).
    pub fn no_core_files() -> io::Result<()> {
        setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
            .and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable))
            .map_err(|error| io::Error::from_raw_os_error(error.raw_os_error()))
    }

    /// Whether memory of this process may be written to swap: there is some, and the process is not kept out of it.
    pub fn swaps() -> bool {
        // Without an answer, it may.
        let there = fs::read_to_string("/proc/swaps").map_or(true, |swaps| swaps.lines().nth(1).is_some());
        there && !kept_out()
    }

    /// Whether the process's cgroup, or one around it, has a swap limit of 0.
    fn kept_out() -> bool {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        keeps_out(&groups, Path::new("/sys/fs/cgroup"))
    }

    /// The same for these cgroups, mounted there.
    pub fn keeps_out(groups: &str, mounted: &Path) -> bool {
        let Some(own) = groups.lines().find_map(|line| line.strip_prefix("0::/")) else { return false };
        Path::new(own).ancestors().any(|group| {
            let limit = mounted.join(group).join("memory.swap.max");
            fs::read_to_string(limit).is_ok_and(|limit| limit.trim() == "0")
        })
    }

    /// Keeps all memory, now and later, where it is, page by page as it is used. Only without a limit: with one, taking
    /// memory would fail once it is reached.
    pub fn lock() -> Result<(), &'static str> {
        let limit = getrlimit(Resource::Memlock);
        if limit.current.is_some() && limit.maximum.is_none() {
            setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None })
                .map_err(|_| "the limit of locked memory cannot be raised")?;
        }
        if getrlimit(Resource::Memlock).current.is_some() && !may_lock_without_limit() {
            return Err("the limit of locked memory (RLIMIT_MEMLOCK) is not \"unlimited\"");
        }
        mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)
            .map_err(|_| "the system refuses to lock memory")
    }

    fn may_lock_without_limit() -> bool {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        effective.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).is_some_and(|set| set & IPC_LOCK != 0)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    //! Elsewhere nothing of this is offered in the same words.

    pub fn no_core_files() -> std::io::Result<()> {
        Ok(())
    }

    pub fn swaps() -> bool {
        true
    }

    pub fn lock() -> Result<(), &'static str> {
        Err("memory is locked on Linux only")
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::system::keeps_out;
    use std::path::Path;

    #[test]
    fn a_swap_limit_of_nothing_counts_wherever_around_the_process_it_is_set() {
        let mounted = tempfile::TempDir::new().unwrap();
        let inner = mounted.path().join("kubepods/pod/container");
        std::fs::create_dir_all(&inner).unwrap();
        let set = |group: &Path, limit: &str| std::fs::write(group.join("memory.swap.max"), limit).unwrap();
        let groups = "1:name=systemd:/x\n0::/kubepods/pod/container\n";
        assert!(!keeps_out(groups, mounted.path()), "no limit is set");
        set(&inner, "max\n");
        assert!(!keeps_out(groups, mounted.path()));
        set(inner.parent().unwrap(), "0\n");
        assert!(keeps_out(groups, mounted.path()), "around it");
        assert!(!keeps_out("0::/other\n", mounted.path()));
        set(mounted.path(), "0\n");
        assert!(keeps_out("0::/\n", mounted.path()), "as a container sees its own");
        assert!(!keeps_out("1:memory:/x\n", mounted.path()), "without the unified hierarchy nothing is known");
    }
}
