//! Where signing keys lie, and what happens to them: found where platforms put them, rotated under servers that run, taken
//! out when stolen.

use crate::support::World;
use idgate::config::keys::{self, Standing};
use idgate::secret::Sensitive;
use idgate::source::Source;
use idgate::tokens::files::{self, load_from, rotate_when_known};
use idgate::tokens::keys::{Algorithm, KeyError, KeyRing};
use jiff::{SignedDuration, Timestamp};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn kids(ring: &KeyRing, now: Timestamp) -> Vec<String> {
    ring.verifying(now).map(|key| key.kid().to_owned()).collect()
}

fn signs(ring: &KeyRing) -> &str {
    ring.current().public().kid()
}

#[tokio::test]
async fn a_server_takes_up_a_rotation_while_it_runs_and_nothing_else() {
    let world = World::start().await;
    let directory = world.settings.data_dir.join("keys");
    let (app, now) = (&world.app, Timestamp::now());
    let before = app.jwks();
    assert_eq!(app.issuer.reload(), Ok(false), "nothing has changed");

    let rotated = files::rotate(&directory, now).unwrap();
    assert!(before.contains(signs(&rotated)), "what signs next was published before");
    let following = {
        let app = Arc::clone(app);
        tokio::spawn(async move { app.follow_keys(Duration::from_millis(5)).await })
    };
    let until = tokio::time::Instant::now() + Duration::from_secs(20);
    while app.jwks() == before {
        assert!(tokio::time::Instant::now() < until, "the rotation was not taken up");
        tokio::time::sleep_until(tokio::time::Instant::now() + Duration::from_millis(5)).await;
    }
    following.abort();
    assert!(following.await.unwrap_err().is_cancelled());
    assert_eq!(app.issuer.reload(), Ok(false));
    let after = app.jwks();
    assert!(kids(&rotated, now).iter().all(|kid| after.contains(kid)), "the old one still verifies");

    // What cannot be used changes nothing.
    let current = directory.join("dev-current.pem");
    let whole = std::fs::read(&current).unwrap();
    files::write_private(&current, &Sensitive::new(b"torn".to_vec())).unwrap();
    assert_eq!(app.issuer.reload(), Err(KeyError::Malformed));
    assert_eq!(app.jwks(), after);
    files::write_private(&current, &Sensitive::new(whole)).unwrap();
    assert_eq!(app.issuer.reload(), Ok(false));
    // Nor do keys of another kind.
    std::fs::remove_dir_all(&directory).unwrap();
    files::create(&directory, Algorithm::EdDsa, false).unwrap();
    assert_eq!(app.issuer.reload(), Err(KeyError::Occupied));
    assert_eq!(app.jwks(), after);
}

#[test]
fn a_key_signs_only_once_it_was_published_for_its_lead() {
    let home = TempDir::new().unwrap();
    let ring = files::create(home.path(), Algorithm::Es256, false).unwrap();
    let made = ring.next().unwrap().made().unwrap();
    assert_eq!(load_from(&home.path().to_owned().into()).unwrap().next().unwrap().made(), Some(made), "its file tells");
    let early = |from: Timestamp| Err::<(), _>(KeyError::TooEarly(from));
    let rotate = |now: Timestamp| rotate_when_known(home.path(), HOUR, now).map(drop);
    let ready = made.checked_add(HOUR).unwrap();
    assert_eq!(rotate(made), early(ready));
    assert_eq!(rotate(ready.checked_sub(SignedDuration::from_secs(1)).unwrap()), early(ready));
    assert_eq!(rotate(ready), Ok(()));
    // The one that is next now was made just now.
    assert!(matches!(rotate(Timestamp::now()), Err(KeyError::TooEarly(_))));
    // A key whose file does not tell counts from when the file was written.
    let next = home.path().join("next.pem");
    let pem = std::fs::read_to_string(&next).unwrap();
    let bare = pem.split_once('\n').unwrap().1.to_owned();
    assert!(pem.starts_with("Made: ") && bare.starts_with("-----BEGIN"));
    files::write_private(&next, &Sensitive::new(bare.into_bytes())).unwrap();
    assert!(matches!(rotate(Timestamp::now()), Err(KeyError::TooEarly(_))));
    assert_eq!(rotate(Timestamp::now().checked_add(HOUR).unwrap()), Ok(()));
}

#[test]
fn a_stolen_key_is_taken_out_at_once_whatever_its_part() {
    let home = TempDir::new().unwrap();
    let now = Timestamp::now();
    let ring = files::create(home.path(), Algorithm::EdDsa, false).unwrap();
    let [first, second] = kids(&ring, now).try_into().unwrap();
    let retire = |kid: &str| files::retire(home.path(), kid);
    assert_eq!(retire("../current").err(), Some(KeyError::Unknown));

    let ring = retire(&first).unwrap();
    assert_eq!(signs(&ring), second, "the next one signs");
    assert!(!ring.has(&first) && kids(&ring, now).len() == 2);
    let third = ring.next().unwrap().public().kid().to_owned();
    let ring = retire(&third).unwrap();
    assert!(signs(&ring) == second && !ring.has(&third) && ring.next().is_some(), "another is next");

    let ring = files::rotate(home.path(), now).unwrap();
    assert!(kids(&ring, now).contains(&second), "it verifies");
    let ring = retire(&second).unwrap();
    assert!(!ring.has(&second));
    std::fs::remove_file(home.path().join("next.pem")).unwrap();
    assert_eq!(retire(signs(&ring)).err(), Some(KeyError::NoNext), "the one key there is");
}

#[test]
fn the_list_tells_who_signs_and_nothing_secret() {
    let home = TempDir::new().unwrap();
    let place = Source::from(home.path().to_owned());
    files::create(home.path(), Algorithm::EdDsa, false).unwrap();
    let now = Timestamp::now();
    let ring = files::rotate(home.path(), now).unwrap();
    let listed = keys::list(&place, now).unwrap();
    assert_eq!(listed[0].kid, signs(&ring));
    let standings: Vec<Standing> = listed.iter().map(|one| one.standing).collect();
    let [Standing::Signs, Standing::Next, Standing::Retired { until }] = standings[..] else {
        panic!("{standings:?}");
    };
    assert_eq!(keys::list(&place, until).unwrap().len(), 2, "what has ended is not listed");

    let output = idgate(&["keys", "list", home.path().to_str().unwrap()], None);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.lines().count() == 3, "{text}");
    assert!(text.contains("signs") && text.contains("next") && text.contains("verifies until"), "{text}");
    for pem in ["current.pem", "next.pem"] {
        let pem = std::fs::read_to_string(home.path().join(pem)).unwrap();
        assert!(pem.lines().filter(|line| line.len() > 40).all(|line| !text.contains(line)));
    }
}

/// Runs the program, with credentials as systemd would pass them on.
fn idgate(arguments: &[&str], credentials: Option<&Path>) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_idgate"));
    command.args(arguments).env_remove("CREDENTIALS_DIRECTORY");
    if let Some(directory) = credentials {
        command.env("CREDENTIALS_DIRECTORY", directory);
    }
    command.output().unwrap()
}

#[test]
fn a_ring_is_found_where_a_platform_puts_it() {
    let home = TempDir::new().unwrap();
    let (own, credentials) = (home.path().join("own"), home.path().join("credentials"));
    let now = Timestamp::now();
    files::create(&own, Algorithm::EdDsa, false).unwrap();
    let ring = files::rotate(&own, now).unwrap();
    let expected = keys::jwks(&own.clone().into()).unwrap();

    // `LoadCredential=signing:/etc/idgate/keys`: systemd makes one credential of each file.
    std::fs::create_dir(&credentials).unwrap();
    for entry in std::fs::read_dir(&own).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("signing_{}", path.file_name().unwrap().to_str().unwrap());
        std::fs::copy(&path, credentials.join(name)).unwrap();
    }
    let shown = idgate(&["keys", "jwks", "credential:signing"], Some(&credentials));
    assert_eq!(String::from_utf8(shown.stdout).unwrap().trim_end(), expected);
    assert!(!idgate(&["keys", "jwks", "credential:signing"], None).status.success(), "no service manager");
    assert!(!idgate(&["keys", "jwks", "credential:other"], Some(&credentials)).status.success());

    // One text with all of them, in a variable or a file.
    let read = |name: &str| std::fs::read_to_string(own.join(name)).unwrap();
    let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let text = format!("{}{}{public}", read("current.pem"), read("next.pem"));
    let file = home.path().join("bundle.pem");
    files::write_private(&file, &Sensitive::new(text.clone().into_bytes())).unwrap();
    let bundle = load_from(&file.clone().into()).unwrap();
    assert_eq!(signs(&bundle), signs(&ring));
    assert_eq!(kids(&bundle, now)[..2], kids(&ring, now)[..2]);
    assert_eq!(kids(&bundle, now).len(), 3, "the public key verifies");
    let bundled = keys::jwks(&file.into()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_idgate"));
    let shown = command.args(["keys", "jwks", "env:IDGATE_TEST_KEYS"]).env("IDGATE_TEST_KEYS", &text).output().unwrap();
    assert_eq!(String::from_utf8(shown.stdout).unwrap().trim_end(), bundled);
    for wrong in [format!("{text}{}", read("current.pem").replace("Made", "Was")), public.to_owned(), String::new()] {
        assert!(KeyRing::from_bundle(&Sensitive::new(wrong.into_bytes())).is_err());
    }
}

#[cfg(unix)]
#[test]
fn a_mounted_ring_may_be_read_by_the_group_and_follows_its_links() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let home = TempDir::new().unwrap();
    let volume = home.path().join("volume");
    let version = |name: &str| {
        let directory = volume.join(name);
        files::create(&directory, Algorithm::EdDsa, false).unwrap();
        for file in ["current.pem", "next.pem"] {
            std::fs::set_permissions(directory.join(file), std::fs::Permissions::from_mode(0o440)).unwrap();
        }
        directory
    };
    // As Kubernetes lays it out: files are links into `..data`, which is a link to the version that holds.
    let (first, second) = (version("..2026_1"), version("..2026_2"));
    symlink(&first, volume.join("..data")).unwrap();
    for file in ["current.pem", "next.pem"] {
        symlink(Path::new("..data").join(file), volume.join(file)).unwrap();
    }
    let mounted = Source::Mounted(volume.clone());
    let before = load_from(&mounted).unwrap();
    assert_eq!(load_from(&volume.clone().into()).err(), Some(KeyError::Permissions), "not as a directory of our own");
    symlink(&second, volume.join("..new")).unwrap();
    std::fs::rename(volume.join("..new"), volume.join("..data")).unwrap();
    assert!(!files::load_steadily(&mounted).unwrap().same(&before), "the new version holds");
}
