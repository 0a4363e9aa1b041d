//! What `cargo tree` prints, as crates that need each other. Pure.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

/// How a line of it is asked for.
pub(super) const FORMAT: &str = "{p}|{l}";

/// Marks a crate whose needs were printed before.
const AGAIN: &str = " (*)";

/// A crate of one version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Crate {
    pub(super) name: String,
    pub(super) version: String,
}

/// What is known of a crate.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// An SPDX expression; empty where the crate names none.
    pub(super) licence: String,
    /// The crates that it needs.
    pub(super) needs: BTreeSet<Crate>,
}

/// The crates, and which of them everything else is there for.
#[derive(Debug)]
pub(super) struct Crates {
    pub(super) top: Crate,
    pub(super) all: BTreeMap<Crate, Known>,
}

/// Reads lines such as `2anstyle v1.0.14|MIT OR Apache-2.0`, where the number says how deep it stands below the top.
pub(super) fn parse(text: &str) -> Result<Crates> {
    let mut all: BTreeMap<Crate, Known> = BTreeMap::new();
    // The crates from the top down to the one before.
    let mut path: Vec<Crate> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (depth, found, licence) = parsed(line).with_context(|| format!("`cargo tree` prints `{line}`"))?;
        path.truncate(depth);
        if let Some(above) = path.last().and_then(|above| all.get_mut(above)) {
            above.needs.insert(found.clone());
        }
        all.entry(found.clone()).or_default().licence = licence;
        path.push(found);
    }
    let top = path.into_iter().next().context("`cargo tree` prints nothing")?;
    Ok(Crates { top, all })
}

fn parsed(line: &str) -> Option<(usize, Crate, String)> {
    let (package, licence) = line.strip_suffix(AGAIN).unwrap_or(line).split_once('|')?;
    let name_at = package.find(|c: char| !c.is_ascii_digit())?;
    let (depth, package) = package.split_at(name_at);
    let mut words = package.split(' ');
    let (name, version) = (words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned());
    Some((depth.parse().ok()?, Crate { name, version }, expression(licence)))
}

/// Old manifests write `MIT/Apache-2.0` for a choice.
fn expression(licence: &str) -> String {
    let choices: Vec<&str> = licence.split('/').map(str::trim).collect();
    choices.join(" OR ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "\
0server v0.1.0 (/src/server)|Apache-2.0
1axum v0.8.4|MIT
2bytes v1.10.0|MIT
1config v0.1.0 (/src/config)|Apache-2.0
2url v2.5.0|MIT/Apache-2.0
3axum v0.8.4|MIT (*)
1bytes v1.10.0|MIT
";

    fn of(name: &str, version: &str) -> Crate {
        Crate { name: name.to_owned(), version: version.to_owned() }
    }

    #[test]
    fn crates_stand_once_with_what_they_need() {
        let crates = parse(TREE).unwrap();
        assert_eq!(crates.top, of("server", "0.1.0"));
        assert_eq!(crates.all.len(), 5);
        let needs = |name, version| crates.all[&of(name, version)].needs.iter().map(|it| &*it.name).collect::<Vec<_>>();
        assert_eq!(needs("server", "0.1.0"), ["axum", "bytes", "config"]);
        assert_eq!(needs("axum", "0.8.4"), ["bytes"]);
        assert_eq!(needs("url", "2.5.0"), ["axum"]);
        assert_eq!(needs("bytes", "1.10.0"), [""; 0]);
    }

    #[test]
    fn an_old_choice_of_licences_becomes_an_expression() {
        let crates = parse(TREE).unwrap();
        assert_eq!(crates.all[&of("url", "2.5.0")].licence, "MIT OR Apache-2.0");
    }

    #[test]
    fn what_is_no_line_of_it_is_told() {
        for bad in ["0server|MIT", "server v0.1.0|MIT", "0server v0.1.0", "0|", "99999999999999999999a v1|MIT"] {
            assert_eq!(parse(bad).unwrap_err().to_string(), format!("`cargo tree` prints `{bad}`"));
        }
        assert_eq!(parse("").unwrap_err().to_string(), "`cargo tree` prints nothing");
    }
}
