//! Where the Redis server is that tests start; installed from Debian's package if there is none.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

const NAMES: [&str; 2] = ["redis-server", "valkey-server"];

/// The program: `$IDGATE_TEST_REDIS`, or the first of its names that is found.
pub fn program() -> PathBuf {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| set().or_else(found).or_else(installed).expect(MISSING)).clone()
}

const MISSING: &str = "these tests need a Redis 7 or Valkey server and could not install one: \
     `apt-get install redis-server`, or name the program in $IDGATE_TEST_REDIS";

fn set() -> Option<PathBuf> {
    std::env::var_os("IDGATE_TEST_REDIS").map(PathBuf::from)
}

fn found() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let places: Vec<PathBuf> =
        std::env::split_paths(&path).chain(["/usr/bin".into(), "/usr/local/bin".into()]).collect();
    let candidates = NAMES.iter().flat_map(|name| places.iter().map(move |place| place.join(name)));
    candidates.into_iter().find(|file| file.is_file())
}

/// As root, or with a sudo that asks nothing.
fn installed() -> Option<PathBuf> {
    let apt = |prefix: &[&str], arguments: &[&str]| {
        let mut words =
            prefix.iter().chain(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]).chain(arguments);
        let Some(program) = words.next() else { return false };
        Command::new(program).args(words).status().is_ok_and(|status| status.success())
    };
    let install = ["install", "--yes", "--no-install-recommends", "redis-server"];
    [&[][..], &["sudo", "-n"]].into_iter().find_map(|prefix| {
        let done = apt(prefix, &install) || (apt(prefix, &["update"]) && apt(prefix, &install));
        done.then(found).flatten()
    })
}
