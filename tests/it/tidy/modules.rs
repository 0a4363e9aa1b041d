//! A file that no `mod` declares is compiled by nobody: its tests never run, and it rots unseen.

use std::collections::BTreeSet;

use super::lexemes::{Kind, Lexeme, after_group};
use super::tree::{Source, Tree, Violation};

/// Every Rust file is reached from a root file of some crate.
pub(super) fn all_declared(tree: &Tree, roots: &[String]) -> Vec<Violation> {
    let mut reached = BTreeSet::new();
    for root in roots {
        let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
        reach(tree, root, folder, &mut reached);
    }
    let orphans = tree.sources.iter().filter(|source| !reached.contains(source.path.as_str()));
    orphans.map(|source| source.violation(1, "no `mod` declares this file: declare it or remove it")).collect()
}

/// Marks a file and, through its `mod`s, the files below it. `folder` is where its children lie.
fn reach<'a>(tree: &'a Tree, path: &str, folder: &str, reached: &mut BTreeSet<&'a str>) {
    let Some(source) = tree.sources.iter().find(|source| source.path == path) else { return };
    if !reached.insert(&source.path) {
        return;
    }
    for child in children(source, folder) {
        for (file, folder) in child.candidates() {
            reach(tree, &file, &folder, reached);
        }
    }
}

/// A `mod name;`, and where to look for it.
struct Child {
    folder: String,
    name: String,
    /// `#[path = "…"]`, relative to the folder of the declaring file.
    path: Option<String>,
}

impl Child {
    /// The files it may mean, each with the folder of that file's own children.
    fn candidates(&self) -> Vec<(String, String)> {
        let Self { folder, name, path } = self;
        match path {
            Some(path) => vec![(path.clone(), path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned())],
            None => vec![
                (format!("{folder}/{name}.rs"), format!("{folder}/{name}")),
                (format!("{folder}/{name}/mod.rs"), format!("{folder}/{name}")),
            ],
        }
    }
}

fn children(source: &Source, folder: &str) -> Vec<Child> {
    let beside = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut found = Vec::new();
    collect(&source.lexemes, folder, beside, &mut found);
    found
}

fn collect(lexemes: &[Lexeme], folder: &str, beside: &str, found: &mut Vec<Child>) {
    let mut index = 0;
    while let Some(lexeme) = lexemes.get(index) {
        index += 1;
        let Some(name) = lexeme.is_word("mod").then(|| lexemes.get(index)?.word()).flatten() else { continue };
        match lexemes.get(index + 1).map(|it| &it.kind) {
            Some(Kind::Mark(';')) => {
                let path = path_attribute(&lexemes[..index - 1]).map(|path| format!("{beside}/{path}"));
                found.push(Child { folder: folder.to_owned(), name: name.to_owned(), path });
            }
            Some(Kind::Open('{')) => {
                let end = after_group(lexemes, index + 1);
                collect(&lexemes[index + 2..end], &format!("{folder}/{name}"), beside, found);
                index = end;
            }
            _ => {}
        }
    }
}

/// The value of a `#[path = "…"]` that ends `before`, whatever visibility stands between.
fn path_attribute(before: &[Lexeme]) -> Option<String> {
    let item =
        before.iter().rposition(|it| matches!(it.kind, Kind::Mark(';') | Kind::Close('}'))).map_or(0, |at| at + 1);
    let attribute = before[item..].iter().skip_while(|it| !it.is_word("path")).nth(2)?;
    match &attribute.kind {
        Kind::Literal(text) => Some(text.trim_matches('"').to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[(&str, &str)], orphans: &[&str]) {
        let found = all_declared(&Tree::of(files), &["server/src/lib.rs".to_owned(), "tests/it/main.rs".to_owned()]);
        assert_eq!(found.iter().map(|it| it.path.as_str()).collect::<Vec<_>>(), orphans);
    }

    #[test]
    fn an_orphan_fires() {
        check(&[("server/src/lib.rs", "// mod a;"), ("server/src/a.rs", "")], &["server/src/a.rs"]);
        check(&[("server/src/lib.rs", "mod a;"), ("server/src/a/b.rs", "")], &["server/src/a/b.rs"]);
    }

    #[test]
    fn declared_files_pass() {
        let deep = [
            ("server/src/lib.rs", "pub mod a; #[cfg(test)] mod tests;"),
            ("server/src/a.rs", "mod b;"),
            ("server/src/a/b/mod.rs", "pub(crate) mod c { mod d; }"),
            ("server/src/a/b/c/d.rs", ""),
            ("server/src/tests.rs", ""),
        ];
        check(&deep, &[]);
        check(
            &[("tests/it/main.rs", "mod tidy;"), ("tests/it/tidy.rs", "mod tree;"), ("tests/it/tidy/tree.rs", "")],
            &[],
        );
    }

    #[test]
    fn a_path_attribute_is_followed() {
        let files =
            [("server/src/lib.rs", "mod x; #[path = \"other/y.rs\"] pub mod y;"), ("server/src/other/y.rs", "")];
        check(&files, &[]);
    }
}
