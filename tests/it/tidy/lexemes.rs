//! Rust text as a flat list of lexemes: comments gone, strings told apart from code, so that a rule never fires on a
//! word in a sentence.

use std::str::FromStr;

use proc_macro2::{Delimiter, LexError, TokenStream, TokenTree};

/// One lexeme and its line, counted from 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lexeme {
    pub(super) kind: Kind,
    pub(super) line: usize,
}

/// What a lexeme is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// An identifier or keyword.
    Word(String),
    /// One character of punctuation.
    Mark(char),
    /// A literal as written, quotes included.
    Literal(String),
    /// `(`, `[` or `{`.
    Open(char),
    /// `)`, `]` or `}`.
    Close(char),
}

/// A path such as `std::fs::read`, in code or spelled out of a `use` tree.
#[derive(Debug, PartialEq)]
pub(super) struct Path {
    pub(super) segments: Vec<String>,
    pub(super) line: usize,
    /// Named by a `use`, where one segment alone means a crate.
    pub(super) imported: bool,
}

impl Lexeme {
    /// Whether it is this identifier or keyword.
    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(&self.kind, Kind::Word(it) if it == word)
    }

    /// The identifier or keyword, if it is one.
    pub(super) fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }
}

/// The lexemes of a file. Documentation comments become `#[doc = "…"]`, as the language has it.
pub(super) fn lex(text: &str) -> Result<Vec<Lexeme>, LexError> {
    let mut lexemes = Vec::new();
    flatten(TokenStream::from_str(text)?, &mut lexemes);
    Ok(lexemes)
}

fn flatten(tokens: TokenStream, lexemes: &mut Vec<Lexeme>) {
    for token in tokens {
        let line = token.span().start().line;
        let mut add = |kind, line| lexemes.push(Lexeme { kind, line });
        match token {
            TokenTree::Ident(word) => add(Kind::Word(word.to_string()), line),
            TokenTree::Punct(mark) => add(Kind::Mark(mark.as_char()), line),
            TokenTree::Literal(literal) => add(Kind::Literal(literal.to_string()), line),
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ('(', ')'),
                    Delimiter::Bracket => ('[', ']'),
                    Delimiter::Brace | Delimiter::None => ('{', '}'),
                };
                add(Kind::Open(open), line);
                let end = group.span_close().start().line;
                flatten(group.stream(), lexemes);
                lexemes.push(Lexeme { kind: Kind::Close(close), line: end });
            }
        }
    }
}

/// The index just after the group that opens at `open`.
pub(super) fn after_group(lexemes: &[Lexeme], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, lexeme) in lexemes.iter().enumerate().skip(open) {
        match lexeme.kind {
            Kind::Open(_) => depth += 1,
            Kind::Close(_) if depth == 1 => return index + 1,
            Kind::Close(_) => depth -= 1,
            _ => {}
        }
    }
    lexemes.len()
}

/// Whether `lexemes` go on with `pattern` at `index`; the pattern is itself Rust text.
pub(super) fn follows(lexemes: &[Lexeme], index: usize, pattern: &[Lexeme]) -> bool {
    lexemes
        .get(index..index + pattern.len())
        .is_some_and(|these| these.iter().zip(pattern).all(|(a, b)| a.kind == b.kind))
}

/// The lexemes without `#[cfg(test)] mod NAME { … }`.
pub(super) fn production(lexemes: &[Lexeme]) -> Vec<Lexeme> {
    let marker = lex("#[cfg(test)] mod").expect("a constant");
    let mut kept = Vec::new();
    let mut index = 0;
    while let Some(lexeme) = lexemes.get(index) {
        let body = index + marker.len() + 1;
        if follows(lexemes, index, &marker) && lexemes.get(body).is_some_and(|it| it.kind == Kind::Open('{')) {
            index = after_group(lexemes, body);
        } else {
            kept.push(lexeme.clone());
            index += 1;
        }
    }
    kept
}

/// Every path that the lexemes name.
pub(super) fn paths(lexemes: &[Lexeme]) -> Vec<Path> {
    let mut paths = Vec::new();
    let mut index = 0;
    while let Some(lexeme) = lexemes.get(index) {
        if lexeme.is_word("use") {
            index = use_tree(lexemes, index + 1, &[], &mut paths);
        } else if lexeme.word().is_some() {
            let mut segments = Vec::new();
            index = chain(lexemes, index, &mut segments);
            paths.push(Path { segments, line: lexeme.line, imported: false });
        } else {
            index += 1;
        }
    }
    paths
}

/// Reads `a::b::c` into `segments`; returns the index after the last segment (before a `::{` or `::*`).
fn chain(lexemes: &[Lexeme], mut index: usize, segments: &mut Vec<String>) -> usize {
    while let Some(word) = lexemes.get(index).and_then(Lexeme::word) {
        segments.push(word.to_owned());
        index += 1;
        let joined = double_colon(lexemes, index) && lexemes.get(index + 2).is_some_and(|it| it.word().is_some());
        if !joined {
            break;
        }
        index += 2;
    }
    index
}

/// Reads one `use` tree that starts at `index`, and returns the index after it.
fn use_tree(lexemes: &[Lexeme], mut index: usize, prefix: &[String], paths: &mut Vec<Path>) -> usize {
    let line = lexemes.get(index).map_or(0, |it| it.line);
    if double_colon(lexemes, index) {
        index += 2;
    }
    let mut segments = prefix.to_vec();
    index = chain(lexemes, index, &mut segments);
    if double_colon(lexemes, index) {
        index += 2;
    }
    if lexemes.get(index).is_some_and(|it| it.kind == Kind::Open('{')) {
        let end = after_group(lexemes, index);
        index += 1;
        while index + 1 < end {
            index = use_tree(lexemes, index, &segments, paths);
        }
        return end;
    }
    paths.push(Path { segments, line, imported: true });
    // Over `as name`, `*` and the comma or semicolon, to the next tree.
    while let Some(lexeme) = lexemes.get(index) {
        match lexeme.kind {
            Kind::Mark(',' | ';') => return index + 1,
            Kind::Close(_) => return index,
            _ => index += 1,
        }
    }
    index
}

fn double_colon(lexemes: &[Lexeme], index: usize) -> bool {
    let colon = |index: usize| lexemes.get(index).is_some_and(|it| it.kind == Kind::Mark(':'));
    colon(index) && colon(index + 1)
}

#[test]
fn use_trees_are_spelled_out() {
    let text = "use std::{fs, io::{self, Read as R}}; use tokio::*; fn f() { std::net::lookup(notify) }";
    let named: Vec<String> = paths(&lex(text).unwrap()).iter().map(|path| path.segments.join("::")).collect();
    for expected in ["std::fs", "std::io::self", "std::io::Read", "tokio", "std::net::lookup", "notify"] {
        assert!(named.iter().any(|it| it == expected), "{expected} is missing in {named:?}");
    }
}

#[test]
fn test_modules_are_no_production_code() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests { use std::fs; }\nfn b() {}";
    let words: Vec<Lexeme> = production(&lex(text).unwrap());
    assert!(!words.iter().any(|it| it.is_word("fs")));
    assert!(words.iter().any(|it| it.is_word("b") && it.line == 4));
}
