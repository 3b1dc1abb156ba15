//! Everything that this process logs, at the most verbose level that an operator can set, is looked through for what is
//! about people or opens doors; so are the metrics of every world when it ends. A world that ends after something was
//! found fails its test, and so does every one after it.
//!
//! What is looked for: every text in every message that tests send with a token, every date in such a text in the forms
//! in which dates of birth are written, codes that were issued, the names that painted documents may carry, and, whoever
//! made them, tokens and numbers in the form of a resident number.

use idgate::telemetry::{self, LogFormat, Metrics, Settings};
use idgate::terms::Reason;
use std::collections::{HashMap, HashSet, VecDeque};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use tracing::Dispatch;

/// The shortest text that is looked for: a shorter one is found by chance.
const SHORTEST: usize = 6;
/// Shorter ones than this are found only as words of their own.
const SURE: usize = 9;
/// How much of the log is kept to look at.
const KEPT: usize = 16 * 1024 * 1024;

/// What is the same in every test.
const CONSTANT: &[&str] =
    &["Bearer ", "bearer ", "-----BEGIN", "\"sub\":", "홍길동", "UTOPIA", "ERIKSSON", "MUSTERMANN"];

/// Words of the protocol that tests send and that say nothing of anybody.
const HARMLESS: &[&str] = &["idgate"];

/// Looks through lines.
#[derive(Default)]
pub struct Scanner {
    /// Each text by its first bytes.
    sought: Mutex<HashMap<[u8; SHORTEST], HashSet<Box<str>>>>,
    registered: AtomicUsize,
    logged: AtomicUsize,
    metrics: AtomicUsize,
    bytes: AtomicUsize,
    found: Mutex<Vec<String>>,
    log: Mutex<VecDeque<u8>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scanner {
    pub fn new() -> Self {
        let scanner = Self::default();
        CONSTANT.iter().for_each(|text| scanner.add(text));
        scanner
    }

    /// Looks for this text from now on, and for its bytes in hexadecimal.
    pub fn add(&self, text: &str) {
        // A scripted picture may say nothing but why it cannot be read, and that is counted by its name.
        if text.len() < SHORTEST || HARMLESS.contains(&text) || text.parse::<Reason>().is_ok() {
            return;
        }
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        let mut sought = locked(&self.sought);
        for form in [text, &hex] {
            let start = form.as_bytes()[..SHORTEST].try_into().unwrap();
            if sought.entry(start).or_default().insert(form.into()) {
                self.registered.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Looks for a date of birth in every form.
    pub fn add_date(&self, date: jiff::civil::Date) {
        let (year, month, day) = (date.year(), date.month(), date.day());
        let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let name = names[usize::from(month.unsigned_abs()) - 1];
        for form in [
            format!("{year:04}-{month:02}-{day:02}"),
            format!("{year:04}/{month:02}/{day:02}"),
            format!("{year:04}.{month:02}.{day:02}"),
            format!("{year:04}{month:02}{day:02}"),
            format!("{:02}{month:02}{day:02}", year % 100),
            format!("{day:02}.{month:02}.{year:04}"),
            format!("{day:02}/{month:02}/{year:04}"),
            format!("{month:02}/{day:02}/{year:04}"),
            format!("{day:02} {name} {year:04}"),
            format!("{year}년 {month}월 {day}일"),
        ] {
            self.add(&form);
        }
    }

    /// Looks for every text in a message, and for every date in those.
    pub fn add_message(&self, encoded: &[u8]) {
        texts(encoded, &mut |text| {
            self.add(text);
            for start in (0..text.len()).filter(|start| text.is_char_boundary(*start)) {
                let date = text.get(start..start + 10).filter(|part| part.as_bytes()[4] == b'-');
                if let Some(date) = date.and_then(|part| part.parse().ok()) {
                    self.add_date(date);
                }
            }
        });
    }

    /// Looks through a line of the log.
    fn scan_log(&self, line: &str) {
        self.logged.fetch_add(1, Ordering::Relaxed);
        self.scan("the log", without_time(line));
    }

    /// Looks through all metrics.
    pub fn scan_metrics(&self, text: &str) {
        for line in text.lines() {
            self.metrics.fetch_add(1, Ordering::Relaxed);
            self.scan("the metrics", line);
        }
    }

    fn scan(&self, place: &str, text: &str) {
        self.bytes.fetch_add(text.len(), Ordering::Relaxed);
        if let Some(what) = self.tells(text) {
            locked(&self.found).push(format!("{place}: {what}: {text}"));
        }
    }

    /// What a text tells that it must not.
    pub fn tells(&self, text: &str) -> Option<String> {
        let bytes = text.as_bytes();
        if let Some(what) = token(bytes).or_else(|| resident_number(bytes)) {
            return Some(what);
        }
        let sought = locked(&self.sought);
        for (at, window) in bytes.windows(SHORTEST).enumerate() {
            let Some(texts) = sought.get(window) else { continue };
            let word = |text: &str| {
                let inside = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
                let before = at.checked_sub(1).and_then(|at| bytes.get(at));
                let longer = inside(before) && inside(text.as_bytes().first());
                let goes_on = inside(bytes.get(at + text.len())) && inside(text.as_bytes().last());
                text.len() >= SURE || !(longer || goes_on)
            };
            let hit = texts.iter().find(|text| bytes[at..].starts_with(text.as_bytes()) && word(text));
            if let Some(text) = hit {
                return Some(format!("{text:?}"));
            }
        }
        None
    }

    /// What was found so far.
    pub fn found(&self) -> Vec<String> {
        locked(&self.found).clone()
    }

    /// How many texts are looked for.
    pub fn texts(&self) -> usize {
        self.registered.load(Ordering::Relaxed)
    }

    /// In how many lines of the log it was looked.
    pub fn logged(&self) -> usize {
        self.logged.load(Ordering::Relaxed)
    }

    /// What was looked through so far.
    fn report(&self) -> String {
        let count = |number: &AtomicUsize| number.load(Ordering::Relaxed);
        let (log, metrics, bytes) = (count(&self.logged), count(&self.metrics), count(&self.bytes));
        let (texts, found) = (self.texts(), self.found().len());
        format!("{log} lines of the log and {metrics} of metrics ({bytes} bytes) for {texts} texts: {found} found")
    }

    /// The end of the log.
    pub fn log(&self) -> Vec<u8> {
        locked(&self.log).iter().copied().collect()
    }

    /// A log at the most verbose level, as the product sets it up, into a scanner.
    pub fn dispatch(self: &Arc<Self>) -> Dispatch {
        let verbose = Settings { format: LogFormat::Text, filter: "trace".to_owned() };
        let scanner = Arc::clone(self);
        telemetry::log_into(&verbose, move || Line(Arc::clone(&scanner)), false).unwrap()
    }
}

/// One line of the log.
struct Line(Arc<Scanner>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.scan_log(&String::from_utf8_lossy(bytes));
        let mut log = locked(&self.0.log);
        log.extend(bytes);
        let over = log.len().saturating_sub(KEPT);
        log.drain(..over);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A line of the log without the time, which comes first and whose digits mean nothing.
pub fn without_time(line: &str) -> &str {
    line.split_once("Z ").map_or(line, |(_, said)| said)
}

/// A signed token, whoever made it: `{"` in base64 and more of it.
fn token(line: &[u8]) -> Option<String> {
    let of_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let found = line.windows(24).any(|window| window.starts_with(b"eyJ") && window.iter().all(of_token));
    found.then(|| "a token".to_owned())
}

/// Six digits and seven, with or without a dash, that are not part of a longer number.
fn resident_number(line: &[u8]) -> Option<String> {
    let mut run = 0usize;
    let mut dash = None;
    for (at, byte) in line.iter().chain(b" ").enumerate() {
        match byte {
            b'0'..=b'9' => run += 1,
            b'-' if run == 6 && dash.is_none() && line.get(at + 1).is_some_and(u8::is_ascii_digit) => dash = Some(at),
            _ => {
                if run == 13 && !byte.is_ascii_alphanumeric() && *byte != b'-' {
                    return Some("a number like a resident's".to_owned());
                }
                (run, dash) = (0, None);
            }
        }
    }
    None
}

/// Every text in an encoded message.
fn texts(mut message: &[u8], tell: &mut impl FnMut(&str)) {
    while let Some((tag, rest)) = varint(message) {
        let rest = match tag & 7 {
            0 => varint(rest).map(|(_, rest)| rest),
            1 => rest.get(8..),
            5 => rest.get(4..),
            2 => varint(rest).and_then(|(length, rest)| {
                let (field, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                match std::str::from_utf8(field) {
                    Ok(text) if !text.chars().any(char::is_control) => tell(text),
                    // A message in it: its tags and lengths are control characters.
                    _ => texts(field, tell),
                }
                Some(rest)
            }),
            _ => None,
        };
        let Some(rest) = rest else { return };
        message = rest;
    }
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = bytes.iter().position(|byte| byte & 0x80 == 0)?;
    let value = bytes[..=length]
        .iter()
        .rev()
        .try_fold(0u64, |value, byte| (value.leading_zeros() >= 7).then(|| (value << 7) | u64::from(byte & 0x7f)))?;
    Some((value, &bytes[length + 1..]))
}

/// The scanner of this process; the log begins with the first use.
pub fn scanner() -> &'static Arc<Scanner> {
    static SCANNER: LazyLock<Arc<Scanner>> = LazyLock::new(|| {
        let scanner = Arc::new(Scanner::new());
        tracing::dispatcher::set_global_default(scanner.dispatch()).unwrap();
        scanner
    });
    &SCANNER
}

/// Belongs to a world; when that ends, nothing may have been found.
pub struct Watch(pub Arc<Metrics>);

impl Drop for Watch {
    fn drop(&mut self) {
        let scanner = scanner();
        scanner.scan_metrics(&self.0.render());
        // The last of these lines is the whole run's.
        if std::env::var_os("IDGATE_TEST_SCAN").is_some() {
            println!("scanned {}", scanner.report());
        }
        if !std::thread::panicking() {
            assert_eq!(scanner.found(), [""; 0], "what must not be told was told");
        }
    }
}
