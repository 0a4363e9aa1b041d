//! Documents drift unless something reads them: every path they name is there.

use std::path::Path;

use super::tree::{Tree, Violation};

/// Documents that describe this repository. The others name the reader's files, or the past.
const DESCRIBING: &[&str] = &["ARCHITECTURE.md", "CONTRIBUTING.md"];

/// Every path in backquotes in a describing document exists under `root`.
pub(super) fn paths_exist(tree: &Tree, root: &Path) -> Vec<Violation> {
    let mut found = Vec::new();
    for document in tree.documents.iter().filter(|document| DESCRIBING.contains(&document.name.as_str())) {
        for (index, line) in document.text.lines().enumerate() {
            for path in quoted(line).filter(|text| is_path(text) && !root.join(text).exists()) {
                let message = format!("`{path}` does not exist");
                found.push(Violation { path: document.name.clone(), line: index + 1, message });
            }
        }
    }
    found
}

/// What stands in backquotes on a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Whether a word in code type means a file or folder of the repository: a relative path, or a source file's name.
fn is_path(text: &str) -> bool {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    let named = [".rs", ".toml", ".md"].iter().any(|end| text.ends_with(end));
    plain && !text.starts_with('/') && (text.contains('/') || named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("server/src")).unwrap();
        std::fs::write(root.path().join("server/src/app.rs"), "").unwrap();
        let tree = Tree::of(&[("ARCHITECTURE.md", text), ("CHANGELOG.md", "`gone/away.rs`")]);
        paths_exist(&tree, root.path()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_path_that_is_gone_fires() {
        let text = "Look at `server/src/app.rs`\nand `server/src/registry.rs` or `lib.rs`.";
        let gone =
            ["`server/src/registry.rs`", "`lib.rs`"].map(|path| format!("ARCHITECTURE.md:2: {path} does not exist"));
        assert_eq!(check(text), gone);
    }

    #[test]
    fn other_words_in_code_type_are_no_paths() {
        assert_eq!(check("`server/src/`, `GET /v2/models`, `/metrics`, `cargo xtask test`, `std::fs`"), [""; 0]);
    }
}
