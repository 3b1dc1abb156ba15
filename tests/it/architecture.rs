//! The rules about the code itself: who may import whom, which crate is named where, and what no file may contain.
//!
//! Every file under `src/` is split into tokens by the compiler's own lexer, so comments and strings cannot hide or fake
//! a finding. Code that is compiled for tests only is left out (but for `unsafe` and the opening comment). Each check is
//! proven to fail on a snippet that breaks it. To change the picture, change the tables here, with the reason.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Who may import whom. A module may always import itself.
const ARROWS: &[(&str, &[&str])] = &[
    ("terms", &[]),
    ("secret", &[]),
    ("telemetry", &[]),
    ("age", &["secret", "terms"]),
    ("evidence", &["age", "secret", "terms"]),
    ("policy", &["age", "evidence", "terms"]),
    ("consent", &["policy", "terms"]),
    ("rights", &["policy", "terms"]),
    ("audit", &["policy", "terms"]),
    // Where secrets come from: read in one place, whoever needs them.
    ("source", &["secret", "terms"]),
    ("tokens", &["policy", "secret", "source", "terms"]),
    ("seal", &["secret", "terms"]),
    ("store", &["audit", "consent", "rights", "secret", "source", "terms"]),
    (
        "flows",
        &[
            "age",
            "audit",
            "consent",
            "evidence",
            "policy",
            "rights",
            "seal",
            "secret",
            "source",
            "store",
            "telemetry",
            "terms",
            "tokens",
        ],
    ),
    ("server", &["consent", "flows", "rights", "secret", "telemetry", "terms"]),
    // Composes each module's Settings.
    (
        "config",
        &[
            "evidence",
            "flows",
            "policy",
            "rights",
            "seal",
            "secret",
            "server",
            "source",
            "store",
            "telemetry",
            "terms",
            "tokens",
        ],
    ),
    ("cli", &["config", "flows", "rights", "secret", "server", "source", "telemetry", "terms"]),
    ("main", &["cli", "config", "flows", "server", "telemetry"]),
    ("lib", &[]),
];

/// Rules: pure, synchronous, no clock, no log.
const PURE: &[&str] = &["terms", "secret", "age", "evidence", "policy", "consent", "rights", "audit"];

/// A crate that is named in one place only: the path under `src/` begins with one of these.
const CONFINED: &[(&str, &[&str])] = &[
    ("image", &["evidence/frame.rs", "evidence/frame/"]),
    ("ocrs", &["evidence/read.rs", "evidence/read/"]),
    ("rten", &["evidence/read.rs", "evidence/read/"]),
    ("rten_imageproc", &["evidence/read.rs", "evidence/read/"]),
    ("rten_tensor", &["evidence/read.rs", "evidence/read/"]),
    ("jsonwebtoken", &["tokens/"]),
    ("redis", &["store/shared.rs", "store/shared/"]),
    ("rayon", &["evidence/read/"]), // only to reach the engine's threads
    ("rustix", &["cli/harden.rs", "flows/pool/priority.rs"]),
    ("redb", &["store/embedded"]),
    ("rmp_serde", &["flows/records.rs"]),
    ("data_encoding", &["terms/text.rs"]),
    ("hyper", &["flows/outbound.rs"]),
    ("hyper_util", &["flows/outbound.rs"]),
    ("hyper_rustls", &["flows/outbound.rs"]),
    // TLS is spoken in two places: as a client to webhooks and to where callers' keys are, as a server to callers.
    ("rustls", &["flows/outbound.rs", "server/tls/"]),
    ("webpki", &["server/tls/"]),
    ("webpki_roots", &["flows/outbound.rs"]),
];

/// Where a gRPC `Status` is made.
const STATUS: &str = "server/status.rs";

/// Who may name a date of birth: personal data ends at `Decision`. A declared one comes in through `convert`.
const BIRTH_DATE: &[&str] = &["age.rs", "evidence/", "policy/", "flows/", "server/convert.rs"];

/// Macros that no file may call outside tests, and the modules that may after all.
const MACROS: &[(&str, &[&str])] = &[
    ("panic", &[]),
    ("todo", &[]),
    ("unimplemented", &[]),
    ("dbg", &[]),
    ("print", &["cli"]),
    ("println", &["cli"]),
    ("eprint", &["cli"]),
    ("eprintln", &["cli", "main"]),
];

const LONGEST: usize = 400;

/// Files that may be longer, and why.
const LONG: &[(&str, &str)] = &[("terms.rs", "the closed enums of the whole vocabulary, most of it documentation")];

// -- reading the sources ------------------------------------------------------------------------------------------------

struct Source {
    /// Below `src/`, with forward slashes.
    path: String,
    text: String,
    all: Vec<Token>,
    /// Without what is compiled for tests only.
    tokens: Vec<Token>,
    lines: usize,
    /// Modules that are declared here for tests only and lie in a file of their own.
    test_modules: Vec<String>,
}

#[derive(Clone, Debug)]
struct Token {
    text: String,
    line: usize,
}

impl Source {
    fn parse(path: &str, text: &str) -> Self {
        let stream: TokenStream = text.parse().unwrap_or_else(|e| panic!("{path}: {e}"));
        let mut all = Vec::new();
        flatten(stream, &mut all);
        let (tokens, test_lines, test_modules) = without_tests(&all);
        let lines = text.lines().count() - test_lines;
        Self { path: path.to_owned(), text: text.to_owned(), all, tokens, lines, test_modules }
    }

    /// The modules from the crate's root down to this file: `policy/rules.rs` is `[policy, rules]`.
    fn modules(&self) -> Vec<&str> {
        let path = self.path.strip_suffix(".rs").unwrap();
        let path = path.strip_suffix("/mod").unwrap_or(path);
        if path == "lib" || path == "main" { Vec::new() } else { path.split('/').collect() }
    }

    fn module(&self) -> &str {
        self.modules().first().copied().unwrap_or(if self.path == "main.rs" { "main" } else { "lib" })
    }

    fn is(&self, at: usize, pattern: &[&str]) -> bool {
        matches_at(&self.tokens, at, pattern)
    }

    fn text_at(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.text.as_str())
    }

    fn before(&self, at: usize) -> &str {
        at.checked_sub(1).map_or("", |at| self.text_at(at))
    }

    /// Whether the token is not the continuation of a path. `::a` begins one, `b::a` and `<T>::a` do not.
    fn begins_path(&self, at: usize) -> bool {
        let after_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '>';
        self.before(at) != "::" || !at.checked_sub(2).is_some_and(|at| self.text_at(at).ends_with(after_name))
    }

    fn finding(&self, at: usize, what: &str) -> String {
        format!("src/{}:{}: {what}", self.path, self.tokens.get(at).map_or(0, |token| token.line))
    }

    fn lies_in(&self, prefixes: &[&str]) -> bool {
        prefixes.iter().any(|prefix| self.path.starts_with(prefix))
    }
}

fn flatten(stream: TokenStream, out: &mut Vec<Token>) {
    let mut colon = false;
    for tree in stream {
        let line = tree.span().start().line;
        let mut push = |text: String, line| out.push(Token { text, line });
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                push(open.to_owned(), line);
                let end = group.span_close().end().line;
                flatten(group.stream(), out);
                out.push(Token { text: close.to_owned(), line: end });
                colon = false;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' && colon => {
                out.last_mut().unwrap().text.push(':');
                colon = false;
            }
            TokenTree::Punct(punct) => {
                colon = punct.as_char() == ':' && punct.spacing() == Spacing::Joint;
                push(punct.to_string(), line);
            }
            TokenTree::Ident(ident) => {
                colon = false;
                push(ident.to_string().trim_start_matches("r#").to_owned(), line);
            }
            TokenTree::Literal(_) => {
                colon = false;
                push("\"\"".to_owned(), line);
            }
        }
    }
}

fn matches_at(tokens: &[Token], at: usize, pattern: &[&str]) -> bool {
    let found = tokens.get(at..).unwrap_or_default().iter().map(|token| token.text.as_str());
    found.take(pattern.len()).eq(pattern.iter().copied())
}

/// The index after the delimiter that closes the one at `open`.
fn after_group(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0usize;
    for (i, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "(" | "{" | "[" => depth += 1,
            ")" | "}" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i + 1;
        }
    }
    tokens.len()
}

/// The end of the item at `start`: after its braces or its semicolon, or before what closes its parent.
fn after_item(tokens: &[Token], start: usize) -> usize {
    let mut i = start;
    while let Some(token) = tokens.get(i) {
        match token.text.as_str() {
            "{" => return after_group(tokens, i),
            "(" | "[" => i = after_group(tokens, i),
            ";" | "," => return i + 1,
            ")" | "}" | "]" => return i,
            _ => i += 1,
        }
    }
    i
}

/// The tokens without items under `#[cfg(test)]` or `#[test]`; how many lines those took; the modules in other files.
fn without_tests(all: &[Token]) -> (Vec<Token>, usize, Vec<String>) {
    let (mut kept, mut lines, mut modules) = (Vec::new(), 0, Vec::new());
    let mut i = 0;
    while i < all.len() {
        let end = if matches_at(all, i, &["#", "["]) { after_group(all, i + 1) } else { i };
        let attribute: Vec<&str> = all[i..end].iter().map(|token| token.text.as_str()).collect();
        let only_tests = match attribute.get(2) {
            Some(&"cfg") => attribute.contains(&"test") && !attribute.contains(&"not"),
            Some(&"test") => true,
            _ => false,
        };
        if !only_tests {
            kept.push(all[i].clone());
            i += 1;
            continue;
        }
        let mut item = end;
        while matches_at(all, item, &["#", "["]) {
            item = after_group(all, item + 1);
        }
        let after = after_item(all, item);
        if let Some(at) = (item..after).find(|at| all[*at].text == "mod" && matches_at(all, at + 2, &[";"])) {
            modules.push(all[at + 1].text.clone());
        }
        lines += all[after - 1].line - all[i].line + 1;
        i = after;
    }
    (kept, lines, modules)
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let parse = |file: &PathBuf| {
        let path = file.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
        Source::parse(&path, &std::fs::read_to_string(file).unwrap())
    };
    files.iter().map(parse).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// The beginnings of the paths of files that are compiled for tests only.
fn test_files(sources: &[Source]) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for source in sources {
        let folder = match source.modules().join("/") {
            root if root.is_empty() => root,
            modules => modules + "/",
        };
        for module in &source.test_modules {
            files.extend([format!("{folder}{module}.rs"), format!("{folder}{module}/")]);
        }
    }
    files
}

// -- the checks: each gives its findings --------------------------------------------------------------------------------

/// Every module of the crate that this file names, with the place where it does.
fn imports(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut depth = source.modules().len();
    let mut inline_modules = Vec::new();
    for at in 0..source.tokens.len() {
        if source.is(at, &["mod"]) && source.text_at(at + 2) == "{" {
            inline_modules.push(after_group(&source.tokens, at + 2));
            depth += 1;
        }
        while inline_modules.last().is_some_and(|end| *end <= at) {
            inline_modules.pop();
            depth -= 1;
        }
        if !source.begins_path(at) {
            continue;
        }
        match source.text_at(at) {
            "crate" => first_names(source, at + 1, &mut found),
            "idgate" if source.path == "main.rs" => first_names(source, at + 1, &mut found),
            "super" => {
                let mut next = at + 1;
                let mut supers = 1;
                while source.is(next, &["::", "super"]) {
                    supers += 1;
                    next += 2;
                }
                if supers >= depth {
                    first_names(source, next, &mut found);
                }
            }
            _ => {}
        }
    }
    found
}

/// The names right after a path's beginning: `::a`, or `::{a::b, c}`. Anything else that hides them is named as it is.
fn first_names(source: &Source, at: usize, found: &mut Vec<(usize, String)>) {
    if source.text_at(at) != "::" {
        // `pub(crate)`, `pub(in crate::…)` and `pub(super)` name no module; `use crate as x` would hide all of them.
        if source.text_at(at) == "as" || source.text_at(at) == ";" {
            found.push((at, String::from("*")));
        }
        return;
    }
    if source.text_at(at + 1) != "{" {
        found.push((at + 1, source.text_at(at + 1).to_owned()));
        return;
    }
    let end = after_group(&source.tokens, at + 1) - 1;
    let mut next = at + 2;
    while next < end {
        found.push((next, source.text_at(next).to_owned()));
        while next < end && source.text_at(next) != "," {
            next = if source.text_at(next) == "{" { after_group(&source.tokens, next) } else { next + 1 };
        }
        next += 1;
    }
}

fn check_arrows(source: &Source) -> Vec<String> {
    let module = source.module();
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == module) else {
        return vec![format!("src/{}: the module {module} has no row in ARROWS", source.path)];
    };
    let foreign = imports(source).into_iter().filter(|(_, name)| name != module && !allowed.contains(&name.as_str()));
    foreign.map(|(at, name)| source.finding(at, &format!("{module} may not import {name}"))).collect()
}

fn check_confined_crates(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    for at in (0..source.tokens.len()).filter(|at| source.begins_path(*at)) {
        let used_whole = ["use", "crate"].contains(&source.before(at)) && [";", "as"].contains(&source.text_at(at + 1));
        if source.text_at(at + 1) != "::" && !used_whole {
            continue;
        }
        let strayed = CONFINED.iter().filter(|(name, places)| source.text_at(at) == *name && !source.lies_in(places));
        findings.extend(
            strayed.map(|(name, places)| source.finding(at, &format!("{name} is named only in {}", places.join(", ")))),
        );
    }
    findings
}

fn check_status(source: &Source) -> Vec<String> {
    if source.path == STATUS {
        return Vec::new();
    }
    // `Status::from` runs a conversion that is written in status.rs, because one written elsewhere is found as well.
    let made = |at: &usize| {
        let called = source.text_at(at + 2).starts_with(|c: char| c.is_ascii_lowercase());
        let converted = source.is(*at, &["Status", "{"]) && ["for", "::"].contains(&source.before(*at));
        converted || (source.is(*at, &["Status", "::"]) && called && source.text_at(at + 2) != "from")
    };
    let found = (0..source.tokens.len()).filter(made);
    found.map(|at| source.finding(at, "a Status is made only in server/status.rs")).collect()
}

fn check_purity(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    for at in 0..source.tokens.len() {
        // A variant that only names the kind of data is no date of birth.
        let kind_only = at >= 2 && source.is(at - 2, &["DataKind", "::"]);
        if source.text_at(at) == "BirthDate" && !kind_only && !source.lies_in(BIRTH_DATE) {
            findings.push(source.finding(at, "personal data ends at Decision: BirthDate cannot be named here"));
        }
        if !PURE.contains(&source.module()) {
            continue;
        }
        let clock =
            ["Timestamp", "Zoned", "SystemTime"].contains(&source.text_at(at)) && source.is(at + 1, &["::", "now"]);
        let outside = ["tracing", "log", "tokio"].contains(&source.text_at(at));
        if clock || (outside && source.begins_path(at) && source.text_at(at + 1) == "::") {
            findings.push(source.finding(at, "rules have no clock, no log and no I/O: take `now` as an argument"));
        }
    }
    findings
}

fn check_bans(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    for at in 0..source.tokens.len() {
        if source.is(at, &[".", "unwrap", "("]) {
            findings.push(source.finding(at, "unwrap: use expect(\"why it cannot happen\") or an error"));
        }
        for (name, modules) in MACROS {
            if source.is(at, &[name, "!"]) && source.text_at(at + 2) != "=" && !modules.contains(&source.module()) {
                findings.push(source.finding(at, &format!("{name}! outside tests")));
            }
        }
    }
    findings
}

fn check_unsafe(source: &Source) -> Vec<String> {
    let found = source.all.iter().filter(|token| token.text == "unsafe");
    found.map(|token| format!("src/{}:{}: unsafe", source.path, token.line)).collect()
}

fn check_opening(source: &Source) -> Vec<String> {
    let says_something = source.text.lines().next().is_some_and(|line| line.len() > 10 && line.starts_with("//! "));
    if says_something { Vec::new() } else { vec![format!("src/{}:1: must open with a //! comment", source.path)] }
}

fn check_length(source: &Source) -> Vec<String> {
    if source.lines <= LONGEST || LONG.iter().any(|(path, _)| *path == source.path) {
        return Vec::new();
    }
    vec![format!("src/{}: {} lines without tests, at most {LONGEST}: split it by concept", source.path, source.lines)]
}

// -- the tests ----------------------------------------------------------------------------------------------------------

/// Runs a check over every file; files for tests only are left out unless `tests_too`.
fn enforce(check: fn(&Source) -> Vec<String>, tests_too: bool) {
    let sources = sources();
    assert!(sources.len() > 5, "the sources were not found");
    let only_tests = test_files(&sources);
    let only_tests: Vec<&str> = only_tests.iter().map(String::as_str).collect();
    let judged = sources.iter().filter(|source| tests_too || !source.lies_in(&only_tests));
    let findings: Vec<String> = judged.flat_map(check).collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn modules_import_only_what_lies_above_them() {
    enforce(check_arrows, false);
}

#[test]
fn confined_crates_are_named_in_one_place() {
    enforce(check_confined_crates, false);
}

#[test]
fn a_grpc_status_is_made_in_one_place() {
    enforce(check_status, false);
}

#[test]
fn rules_are_pure_and_personal_data_ends_at_the_decision() {
    enforce(check_purity, false);
}

#[test]
fn nothing_panics_or_prints_outside_tests() {
    enforce(check_bans, false);
}

#[test]
fn there_is_no_unsafe_code() {
    enforce(check_unsafe, true);
}

#[test]
fn every_file_opens_by_saying_what_it_promises() {
    enforce(check_opening, true);
}

#[test]
fn files_are_small() {
    enforce(check_length, false);
    for (path, reason) in LONG {
        let source = sources().into_iter().find(|source| source.path == *path);
        assert!(!reason.is_empty() && source.is_some_and(|s| s.lines > LONGEST), "{path} need not be in LONG any more");
    }
}

// -- proof that each check can fail -------------------------------------------------------------------------------------

fn findings(check: fn(&Source) -> Vec<String>, path: &str, text: &str) -> usize {
    check(&Source::parse(path, text)).len()
}

#[test]
fn an_arrow_against_the_picture_is_found_in_every_spelling() {
    for (path, text) in [
        ("policy/mod.rs", "use crate::flows::App;"),
        ("policy/rules.rs", "use crate::{age::LeapDay, store, terms::{Purpose, RuleId}};"),
        ("policy/rules.rs", "fn f() { let x = crate::tokens::issue(); }"),
        ("policy/rules.rs", "use super::super::store::Store;"),
        ("age.rs", "use super::policy::Rule;"),
        ("age.rs", "mod inner { use super::super::policy; }"),
        ("age.rs", "use super::{terms::Purpose, evidence};"),
        ("policy/mod.rs", "use crate as everything;"),
        ("policy/mod.rs", "use crate::*;"),
        ("tokens/keys.rs", "type T = crate::age::BirthDate;"),
        ("main.rs", "fn main() { idgate::store::open(); }"),
        ("new_module.rs", ""),
    ] {
        assert_eq!(findings(check_arrows, path, text), 1, "{path}: {text}");
    }
    for (path, text) in [
        ("policy/mod.rs", "use crate::{age, evidence::validate::Evidence, terms::{self, Purpose}};"),
        (
            "policy/rules.rs",
            "use super::table::Table; use crate::policy::Rule; pub(crate) fn f() {} pub(super) fn g() {}",
        ),
        ("policy/rules.rs", "mod inner { use super::super::Rule; }"),
        ("policy/mod.rs", "// use crate::flows;\nconst S: &str = \"crate::flows::x\"; /* crate::store */"),
        ("policy/mod.rs", "#[cfg(test)] mod tests { use crate::flows::App; }"),
        ("policy/mod.rs", "mod a { fn f() {} } fn g() { super::terms::x(); }"),
        ("main.rs", "use idgate::{cli, config};"),
    ] {
        assert_eq!(findings(check_arrows, path, text), 0, "{path}: {text}");
    }
}

#[test]
fn a_confined_crate_elsewhere_is_found() {
    for text in [
        "use image::DynamicImage;",
        "use image;",
        "use image as picture;",
        "fn f() -> image::Rgb<u8> { todo() }",
        "use { std::fmt, image::Rgb };",
        "extern crate image;",
        "fn f() { ::image::load(); }",
    ] {
        assert_eq!(findings(check_confined_crates, "evidence/locate.rs", text), 1, "{text}");
        assert_eq!(findings(check_confined_crates, "evidence/frame.rs", text), 0, "{text}");
    }
    for text in ["fn f(image: u8) -> u8 { image }", "use crate::image::X;", "/// image::Rgb\nstruct S;"] {
        assert_eq!(findings(check_confined_crates, "evidence/locate.rs", text), 0, "{text}");
    }
    assert_eq!(findings(check_confined_crates, "evidence/read/models.rs", "use rten::Model; use ocrs::X;"), 0);
    assert_eq!(findings(check_confined_crates, "store/embedded/keys.rs", "use redb::Database;"), 0);
    assert_eq!(findings(check_confined_crates, "store/mod.rs", "use redb::Database; use redis::Client;"), 2);
    assert_eq!(findings(check_confined_crates, "server/access.rs", "use jsonwebtoken::decode;"), 1);
}

#[test]
fn a_status_made_elsewhere_is_found() {
    let text = "fn f() -> Result<(), tonic::Status> { Err(tonic::Status::internal(\"x\")) }";
    assert_eq!(findings(check_status, "server/age.rs", text), 1);
    assert_eq!(findings(check_status, "server/status.rs", text), 0);
    let conversion = "impl From<Denied> for tonic::Status { fn from(_: Denied) -> Self { todo!() } }";
    assert_eq!(findings(check_status, "server/age.rs", conversion), 1);
    assert_eq!(findings(check_status, "server/status.rs", conversion), 0);
    for text in ["fn f(s: Status) -> bool { s == Status::Ok }", "fn f() { Status::from(Denied::Late); }"] {
        assert_eq!(findings(check_status, "server/age.rs", text), 0, "{text}");
    }
}

#[test]
fn a_clock_a_log_and_a_leaked_birth_date_are_found() {
    for text in ["fn f() { Timestamp::now(); }", "fn f() { jiff::Zoned::now(); }", "fn f() { tracing::info!(\"\"); }"] {
        assert_eq!(findings(check_purity, "policy/mod.rs", text), 1, "{text}");
        assert_eq!(findings(check_purity, "flows/mod.rs", text), 0, "{text}");
    }
    assert_eq!(findings(check_purity, "tokens/mod.rs", "use crate::policy::BirthDate;"), 1);
    assert_eq!(findings(check_purity, "server/steps.rs", "fn f(b: BirthDate) {}"), 1);
    assert_eq!(findings(check_purity, "server/steps.rs", "const K: DataKind = DataKind::BirthDate;"), 0);
    assert_eq!(findings(check_purity, "policy/mod.rs", "use crate::age::BirthDate;"), 0);
}

#[test]
fn what_panics_or_prints_is_found() {
    for text in [
        "fn f() { x.unwrap(); }",
        "fn f() { x\n  . unwrap ( ); }",
        "fn f() { panic!(\"x\") }",
        "fn f() { std::todo!() }",
        "fn f() { unimplemented! {} }",
        "fn f() { dbg!(1); }",
        "fn f() { vec![y.unwrap()]; }",
        "fn f() { println!(); }",
        "#[cfg(not(test))] fn f() { println!(); }",
        "#[cfg(test)] mod tests { fn g() { x.unwrap() } } fn f() { eprintln!(); }",
        "struct S { #[cfg(test)] a: u8, b: u8 } fn f() { x.unwrap() }",
    ] {
        assert_eq!(findings(check_bans, "flows/mod.rs", text), 1, "{text}");
    }
    for text in [
        "fn f() { x.unwrap_or_default(); x.expect(\"why\"); }",
        "// x.unwrap()\nconst S: &str = r#\"panic!()\"#; const C: char = '\"'; /// todo!()\nfn f() {}",
        "#[cfg(test)] #[allow(x)] mod tests { #[test] fn f() { x.unwrap(); panic!() } }",
        "#[test] fn f() { x.unwrap() }",
        "fn f() { let panic = 1; panic != 2; }",
    ] {
        assert_eq!(findings(check_bans, "flows/mod.rs", text), 0, "{text}");
    }
    assert_eq!(findings(check_bans, "cli.rs", "fn f() { println!(); }"), 0);
}

#[test]
fn unsafe_code_is_found_in_tests_too() {
    let text = "#[cfg(test)] mod tests { fn f() { unsafe { g() } } }";
    assert_eq!(findings(check_unsafe, "age.rs", text), 1);
    assert_eq!(findings(check_unsafe, "age.rs", "// unsafe\n#![forbid(unsafe_code)] const S: &str = \"unsafe\";"), 0);
}

#[test]
fn a_missing_opening_and_a_long_file_are_found() {
    assert_eq!(findings(check_opening, "age.rs", "use std::fmt;\n//! late"), 1);
    assert_eq!(findings(check_opening, "age.rs", "//!\nuse std::fmt;"), 1);
    assert_eq!(findings(check_opening, "age.rs", "//! What it promises.\nuse std::fmt;"), 0);
    let long = "fn f() {}\n".repeat(LONGEST);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{long}}}\n");
    assert_eq!(findings(check_length, "age.rs", &long), 0);
    assert_eq!(findings(check_length, "age.rs", &format!("{long}{tests}")), 0);
    assert_eq!(findings(check_length, "age.rs", &format!("{tests}{long}fn g() {{}}\n")), 1);
}

#[test]
fn a_file_for_tests_only_is_told_by_its_declaration() {
    let parent = Source::parse("policy/mod.rs", "mod rules; #[cfg(test)] mod tests;");
    assert!(test_files(&[parent]).contains("policy/tests.rs"));
    let parent = Source::parse("age.rs", "mod tests;");
    assert!(test_files(&[parent]).is_empty());
}
