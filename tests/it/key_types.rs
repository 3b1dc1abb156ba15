//! No type that holds a key or a secret can be shown, copied, compared or written down by accident: told from the sources,
//! so that a new one is judged too.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::path::Path;

/// Types that hold keys or secrets. Whoever has a field of one of them holds them too.
const HOLDERS: &[&str] = &[
    "Sensitive",
    "ShredKey",
    "SigningKey",
    "KeyRing",
    "EncodingKey",
    "SealRing",
    "RingKey",
    "LessSafeKey",
    "Secrets",
    "Handles",
    "PrivatePkcs8KeyDer",
    "PrivateKeyDer",
    "Account",
];
/// Those of other crates, whose own `Debug` may show them.
const FOREIGN: &[&str] = &["EncodingKey", "LessSafeKey", "PrivatePkcs8KeyDer", "PrivateKeyDer"];
/// What must not be derived over a holder: each would let a copy or a text of it come about unseen.
const FORBIDDEN: &[&str] = &["Clone", "Copy", "PartialEq", "Hash", "Serialize"];

/// What is wrong with the types of one file.
fn findings(path: &str, text: &str) -> Vec<String> {
    let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut found = Vec::new();
    walk(path, stream, &mut found);
    found
}

fn walk(path: &str, stream: TokenStream, found: &mut Vec<String>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let mut derived: Vec<String> = Vec::new();
    let mut at = 0;
    while at < trees.len() {
        match &trees[at] {
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                if let Some(TokenTree::Group(attribute)) = trees.get(at + 1) {
                    let words = names(attribute.stream());
                    if words.first().is_some_and(|word| word == "derive") {
                        derived.extend(words);
                    }
                    at += 1;
                }
            }
            TokenTree::Ident(word) if *word == "struct" || *word == "enum" => {
                let name = trees.get(at + 1).map(ToString::to_string).unwrap_or_default();
                // Up to its fields, or to the semicolon of one that has none.
                let end = (at..trees.len()).find(|at| match &trees[*at] {
                    TokenTree::Group(group) => group.delimiter() != Delimiter::Bracket,
                    TokenTree::Punct(punct) => punct.as_char() == ';',
                    _ => false,
                });
                if let Some(TokenTree::Group(fields)) = end.and_then(|end| trees.get(end)) {
                    judge(path, &name, &derived, &types(fields.stream()), found);
                }
                at = end.unwrap_or(trees.len());
                derived.clear();
            }
            TokenTree::Group(group) => {
                walk(path, group.stream(), found);
                // `pub(crate)` stands between what is derived and for what.
                if group.delimiter() == Delimiter::Brace {
                    derived.clear();
                }
            }
            _ => {}
        }
        at += 1;
    }
}

fn judge(path: &str, name: &str, derived: &[String], fields: &[String], found: &mut Vec<String>) {
    // What is shared is not copied.
    let shared = |at: usize| at > 0 && fields[at - 1] == "Arc";
    let among = |list: &[&str]| {
        let mut named = fields.iter().enumerate();
        named.find(|(at, field)| list.contains(&field.as_str()) && !shared(*at)).map(|(_, field)| field.clone())
    };
    if let Some(held) = among(HOLDERS) {
        for one in derived.iter().filter(|one| FORBIDDEN.contains(&one.as_str())) {
            found.push(format!("{path}: {name} holds {held} and derives {one}"));
        }
    }
    if let Some(held) = among(FOREIGN)
        && derived.iter().any(|one| one == "Debug")
    {
        found.push(format!("{path}: {name} holds {held} and derives Debug"));
    }
}

/// Every name in a stream, however deep.
fn names(stream: TokenStream) -> Vec<String> {
    let mut names = Vec::new();
    for tree in stream {
        match tree {
            TokenTree::Group(group) => names.extend(self::names(group.stream())),
            TokenTree::Ident(name) => names.push(name.to_string()),
            _ => {}
        }
    }
    names
}

/// The same without the names of variants that hold something, which may be called like a type.
fn types(stream: TokenStream) -> Vec<String> {
    let mut names = Vec::new();
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let holds =
            |next: &TokenTree| matches!(next, TokenTree::Group(group) if group.delimiter() != Delimiter::Bracket);
        match tree {
            TokenTree::Group(group) => names.extend(types(group.stream())),
            TokenTree::Ident(name) if !trees.peek().is_some_and(holds) => names.push(name.to_string()),
            _ => {}
        }
    }
    names
}

#[test]
fn no_type_with_a_key_can_be_copied_compared_or_written_down() {
    let (mut files, mut holders) = (0, 0);
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                files += 1;
                holders += usize::from(text.contains("Sensitive<"));
                found.extend(findings(&path.display().to_string(), &text));
            }
        }
    }
    assert!(files > 100 && holders > 10, "the sources were not found");
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn what_could_leak_is_found() {
    for (text, count) in [
        ("#[derive(Clone)] struct A { key: Sensitive<[u8; 32]> }", 1),
        ("#[derive(Debug)] struct A { key: EncodingKey }", 1),
        ("#[derive(Debug, Clone, serde::Serialize)] pub struct A(jsonwebtoken::EncodingKey);", 3),
        ("mod a { #[derive(PartialEq)] enum A { B(Option<ShredKey>), C } }", 1),
        ("#[derive(Debug)] struct A { key: Sensitive<String> }", 0),
        ("#[derive(Clone)] struct A { name: String } struct B { key: Sensitive<String> }", 0),
        ("#[derive(Clone)] struct A { key: Arc<ShredKey> }", 0),
        ("#[derive(Clone)] enum A { ShredKey { key: Arc<ShredKey> }, Secrets(u8) }", 0),
        ("#[derive(Clone)] enum A { ShredKey { key: ShredKey } }", 1),
        ("#[derive(Clone)] struct A; struct B(Sensitive<u8>);", 0),
        ("#[derive(Clone)] #[serde(x)] pub(crate) struct A<T> where T: Copy { key: Vec<SigningKey>, t: T }", 1),
    ] {
        assert_eq!(findings("a.rs", text).len(), count, "{text}");
    }
}

#[test]
fn no_key_is_shown() {
    use idgate::seal::SealRing;
    use idgate::secret::Sensitive;
    let bytes = || Sensitive::new([0x5a; 32]);
    let shown = format!("{:?} {:?}", bytes(), SealRing::new(bytes(), vec![bytes()]));
    assert!(!shown.contains("90") && !shown.to_lowercase().contains("5a"), "{shown}");
}
