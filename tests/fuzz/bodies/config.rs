//! Any text as a configuration: refused, or understood in such a way that what is shown of it means the same.

use idgate::config::Settings;

pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(settings) = Settings::parse(text) {
        let shown = settings.to_toml().expect("what was read can be shown");
        let again = Settings::parse(&shown).expect("what is shown can be read");
        assert_eq!(again.to_toml().unwrap(), shown);
        assert!(settings.server.bytes_in_flight >= settings.server.image_bytes);
        if settings.production() {
            assert!(!settings.callers.trusted.is_empty() && !settings.checks.accept_specimens);
        }
    }
}
