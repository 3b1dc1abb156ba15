//! Every kind of place is read, written and refused as it must be.

use super::*;
use std::collections::BTreeMap;

fn source(text: &str) -> Source {
    text.parse().unwrap()
}

#[test]
fn a_place_is_written_as_it_is_read() {
    for (text, expected) in [
        ("", Source::Unset),
        ("/etc/idgate/secret", Source::File("/etc/idgate/secret".into())),
        ("secret", Source::File("secret".into())),
        ("./odd:name", Source::File("./odd:name".into())),
        ("mounted:/etc/idgate/secret", Source::Mounted("/etc/idgate/secret".into())),
        ("env:IDGATE_STORE_SECRET", Source::Environment("IDGATE_STORE_SECRET".into())),
        ("credential:store-secret", Source::Credential("store-secret".into())),
    ] {
        assert_eq!(source(text), expected);
        assert_eq!(expected.to_string(), text);
    }
    assert_eq!(source("file:/a").to_string(), "/a");
    assert_eq!(source("file:env:A").to_string(), "file:env:A");
    for bad in [
        "env:",
        "env:lower",
        "env:A B",
        "env:A_FILE",
        "envv:A",
        "file:",
        "mounted:",
        "vault:x",
        "credential:",
        "credential:../x",
        "credential:a/b",
        "credential:.x",
    ] {
        assert!(bad.parse::<Source>().is_err(), "{bad}");
    }
}

#[test]
fn a_variable_holds_the_secret_or_names_its_file_and_not_both() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("secret");
    private(&file, "from the file", 0o600);
    let read = |variables: &[(&str, &str)]| {
        let variables: BTreeMap<String, OsString> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        let read = source("env:IDGATE_A").read_with(&|name| variables.get(name).cloned());
        read.map(|secret| String::from_utf8(secret.expose().clone()).unwrap())
    };
    let path = file.to_str().unwrap();
    assert_eq!(read(&[("IDGATE_A", "itself")]).unwrap(), "itself");
    assert_eq!(read(&[("IDGATE_A_FILE", path)]).unwrap(), "from the file");
    assert_eq!(read(&[("IDGATE_A", "itself"), ("IDGATE_A_FILE", path)]), Err(ReadError::Ambiguous));
    assert_eq!(read(&[("IDGATE_B", "another")]), Err(ReadError::NotSet));
    assert_eq!(read(&[("IDGATE_A_FILE", "/nowhere")]), Err(ReadError::File(std::io::ErrorKind::NotFound)));
}

#[cfg(unix)]
#[test]
fn a_file_is_read_only_if_nobody_else_can() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("secret");
    // What a platform mounts is often a link to where it lies now.
    let link = home.path().join("link");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let directory = OsString::from(home.path());
    let credentials = move |name: &str| (name == CREDENTIALS).then(|| directory.clone());
    for (mode, owner, group) in [
        (0o600, true, true),
        (0o400, true, true),
        (0o440, false, true),
        (0o640, false, true),
        (0o660, false, false),
        (0o644, false, false),
        (0o604, false, false),
        (0o444, false, false),
    ] {
        private(&file, "secret", mode);
        for path in [&file, &link] {
            let file = Source::File(path.clone()).read();
            assert_eq!(file.map(drop), if owner { Ok(()) } else { Err(ReadError::Permissions) }, "{mode:o}");
            let mounted = Source::Mounted(path.clone()).read();
            assert_eq!(mounted.is_ok(), group, "{mode:o}");
        }
        assert_eq!(source("credential:secret").read_with(&credentials).is_ok(), group, "{mode:o}");
        std::fs::remove_file(&file).unwrap();
    }
    assert_eq!(source("credential:secret").read_with(&|_| None).map(drop), Err(ReadError::NoCredentials));
    assert_eq!(Source::File(home.path().into()).read().map(drop), Err(ReadError::NoFile), "a directory");
    private(&file, &"x".repeat(usize::try_from(LONGEST).unwrap() + 1), 0o600);
    assert_eq!(Source::File(file).read().map(drop), Err(ReadError::TooLarge));
    assert!(Source::Unset.read().is_err());
}

#[test]
fn a_place_can_be_shown_and_what_lay_there_cannot() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("secret");
    private(&file, "hush", 0o600);
    let place = Source::File(file);
    assert_eq!(format!("{:?}", place.read().unwrap()), "[redacted]");
    assert!(!format!("{place:?} {place}").contains("hush"));
}

fn private(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    #[cfg(not(unix))]
    let _ = mode;
}
