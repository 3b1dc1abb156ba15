//! `idgate scan`: what pictures show, one line a file, in the order given.

use super::{Outcome, Place, harden};
use crate::config;
use crate::flows::pool::ReadImage;
use crate::flows::scan::{Scanned, latest_date, scan};
use crate::secret::Sensitive;
use crate::terms::Reason;
use clap::Args;
use serde::Serialize;
use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(Args)]
pub(super) struct Arguments {
    /// One JSON object a line, for machines.
    #[arg(long)]
    json: bool,
    /// The directory with the models.
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Pictures: JPEG, PNG or WebP.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// One line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    outcome: &'static str,
    date_of_birth: Option<&'a str>,
    document_kind: Option<&'static str>,
    assurance: Option<&'static str>,
    reasons: Vec<&'static str>,
    signals: Vec<&'static str>,
    expiry_date: Option<String>,
    elapsed_ms: Elapsed,
}

#[derive(Serialize)]
struct Elapsed {
    decode: f64,
    locate: f64,
    read: f64,
    parse: f64,
    total: f64,
}

/// Milliseconds, to a hundredth.
fn ms(took: Duration) -> f64 {
    (took.as_secs_f64() * 100_000.0).round() / 100.0
}

impl<'a> Line<'a> {
    fn new(file: &'a str, scanned: &'a Scanned) -> Self {
        let t = &scanned.timings;
        Self {
            file,
            outcome: outcome(scanned),
            date_of_birth: scanned.date_of_birth.as_ref().map(|date| date.expose().as_str()),
            document_kind: scanned.document_kind.map(|kind| kind.as_str()),
            assurance: scanned.assurance.map(|level| level.as_str()),
            reasons: scanned.reasons.iter().map(|reason| reason.as_str()).collect(),
            signals: scanned.signals.iter().map(|signal| signal.as_str()).collect(),
            expiry_date: scanned.expiry.map(|date| date.to_string()),
            elapsed_ms: Elapsed {
                decode: ms(t.decode),
                locate: ms(t.locate),
                read: ms(t.read),
                parse: ms(t.parse),
                total: ms(t.total),
            },
        }
    }
}

fn outcome(scanned: &Scanned) -> &'static str {
    if scanned.date_of_birth.is_some() { "read" } else { "unreadable" }
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    harden::quietly();
    let place = Place { models: arguments.models.clone(), ..Place::default() };
    let read = config::reader(place.models.as_deref().unwrap_or(Path::new("")))?;
    let most = config::Settings::load(None)?.server.image_bytes;
    let scan = |file: &Path| scan_file(file, &*read, most);
    match scan_all(arguments, &scan, &mut std::io::stdout().lock()) {
        // Whoever read the lines has had enough of them.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error.into()),
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::FAILURE),
    }
}

/// Writes a line for each file, and says whether all of them could be opened.
fn scan_all(arguments: &Arguments, scan: &dyn Fn(&Path) -> Scanned, out: &mut dyn Write) -> std::io::Result<bool> {
    let progress = arguments.files.len() > 1 && std::io::stderr().is_terminal() && !std::io::stdout().is_terminal();
    let width = arguments.files.iter().map(|file| name(file).chars().count()).max().unwrap_or(0).clamp(4, 40);
    if !arguments.json {
        writeln!(out, "{}", header(width))?;
    }
    let (begun, mut found, mut all_opened) = (Instant::now(), 0usize, true);
    for (n, file) in arguments.files.iter().enumerate() {
        if progress {
            eprint!("\r{} of {} …", n + 1, arguments.files.len());
        }
        let scanned = scan(file);
        found += usize::from(scanned.date_of_birth.is_some());
        all_opened &= !scanned.reasons.contains(&Reason::UnreadableFile);
        let line = match arguments.json {
            true => serde_json::to_string(&Line::new(&file.to_string_lossy(), &scanned))?,
            false => row(&name(file), width, &scanned),
        };
        writeln!(out, "{line}")?;
        out.flush()?;
    }
    if progress {
        eprint!("\r{:30}\r", "");
    }
    if !arguments.json {
        let all = arguments.files.len();
        eprintln!(
            "\n{found} of {all} read in {:.1} s. Each picture was read into memory and overwritten there right after; nothing of it \
             was written, kept or sent.",
            begun.elapsed().as_secs_f64()
        );
    }
    Ok(all_opened)
}

/// Reads one file. One that cannot be opened has its line too.
fn scan_file(file: &Path, read: &ReadImage, most: usize) -> Scanned {
    match picture(file, most) {
        Ok(image) => scan(image, read, latest_date(), most),
        Err(error) => {
            eprintln!("idgate: {}: {error}", file.display());
            Scanned::nothing(Reason::UnreadableFile)
        }
    }
}

/// The file's bytes, at most one more than are looked at, in memory that was taken once.
pub(super) fn picture(file: &Path, most: usize) -> std::io::Result<Sensitive<Vec<u8>>> {
    let file = File::open(file)?;
    let most = most.saturating_add(1);
    let size = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX).saturating_add(1).min(most);
    let mut image = Sensitive::new(Vec::with_capacity(size));
    file.take(u64::try_from(most).unwrap_or(u64::MAX)).read_to_end(image.expose_mut())?;
    Ok(image)
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

fn header(width: usize) -> String {
    format!(
        "{:width$}  {:10}  {:13}  {:17}  {:12}  {:>7}  NOTES",
        "FILE", "OUTCOME", "DATE OF BIRTH", "DOCUMENT", "ASSURANCE", "MS"
    )
}

fn row(name: &str, width: usize, scanned: &Scanned) -> String {
    let notes = scanned.reasons.iter().map(|r| r.as_str()).chain(scanned.signals.iter().map(|s| s.as_str()));
    let short: String = match name.chars().count() > width {
        true => name.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        false => name.to_owned(),
    };
    format!(
        "{short:width$}  {:10}  {:13}  {:17}  {:12}  {:>7.0}  {}",
        outcome(scanned),
        scanned.date_of_birth.as_ref().map_or("-", |date| date.expose().as_str()),
        scanned.document_kind.map_or("-", |kind| kind.as_str()),
        scanned.assurance.map_or("-", |level| level.as_str()),
        ms(scanned.timings.total),
        notes.collect::<Vec<_>>().join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::scan::Timings;
    use crate::terms::{AssuranceLevel, DocumentKind, Signal};

    fn line(scanned: &Scanned) -> String {
        serde_json::to_string(&Line::new("a b.jpg", scanned)).unwrap()
    }

    #[test]
    fn the_json_line_is_pinned() {
        let found = Scanned {
            date_of_birth: Some(Sensitive::new("1990-01-01".to_owned())),
            document_kind: Some(DocumentKind::Td3),
            assurance: Some(AssuranceLevel::Checked),
            reasons: vec![],
            signals: vec![Signal::Expired],
            expiry: Some("2020-02-03".parse().unwrap()),
            timings: Timings { decode: Duration::from_micros(1234), ..Timings::default() },
        };
        assert_eq!(
            line(&found),
            concat!(
                r#"{"file":"a b.jpg","outcome":"read","date_of_birth":"1990-01-01","document_kind":"td3","#,
                r#""assurance":"checked","reasons":[],"signals":["expired"],"expiry_date":"2020-02-03","#,
                r#""elapsed_ms":{"decode":1.23,"locate":0.0,"read":0.0,"parse":0.0,"total":0.0}}"#
            )
        );
        assert_eq!(
            line(&Scanned::nothing(Reason::EmptyFile)),
            concat!(
                r#"{"file":"a b.jpg","outcome":"unreadable","date_of_birth":null,"document_kind":null,"#,
                r#""assurance":null,"reasons":["empty_file"],"signals":[],"expiry_date":null,"#,
                r#""elapsed_ms":{"decode":0.0,"locate":0.0,"read":0.0,"parse":0.0,"total":0.0}}"#
            )
        );
    }

    fn arguments(files: &[&str]) -> Arguments {
        Arguments { json: true, models: None, files: files.iter().map(PathBuf::from).collect() }
    }

    #[test]
    fn a_missing_file_and_a_directory_have_their_line_and_are_not_passed_over() {
        let unread = |_: Sensitive<Vec<u8>>, _: jiff::civil::Date, _: &crate::evidence::Limits| -> _ {
            panic!("there is nothing to read")
        };
        let scan = |file: &Path| scan_file(file, &unread, 10);
        let mut out = Vec::new();
        let all_opened = scan_all(&arguments(&["/nonexistent/picture.jpg", "/"]), &scan, &mut out).unwrap();
        let lines = String::from_utf8(out).unwrap();
        assert_eq!((lines.lines().count(), all_opened), (2, false));
        assert!(lines.lines().all(|line| line.contains(r#""reasons":["unreadable_file"]"#)), "{lines}");
        let scan = |_: &Path| Scanned::nothing(Reason::EmptyFile);
        assert!(scan_all(&arguments(&["a"]), &scan, &mut Vec::new()).unwrap(), "it was opened");
    }

    #[test]
    fn a_reader_of_lines_who_leaves_is_told_apart_from_other_errors() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let scan = |_: &Path| Scanned::nothing(Reason::EmptyFile);
        let error = scan_all(&arguments(&["a"]), &scan, &mut Gone).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }
}
