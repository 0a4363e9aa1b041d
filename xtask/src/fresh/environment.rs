//! What a fresh machine shares with this one: how programs are found and how registries are reached.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// Variables carried over by name.
const NAMES: &[&str] = &[
    "PATH",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    // Certificates, as the several clients call them.
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];

/// Variables carried over by the start of their name.
const PREFIXES: &[&str] =
    &["CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTRIES_", "CARGO_REGISTRY_", "CARGO_SOURCE_", "PIP_", "NPM_"];

/// Tables of cargo's configuration that say how registries are reached.
const TABLES: &[&str] = &["source", "registries", "registry", "http", "net"];

/// The part of a configuration file that a fresh machine needs too.
pub(crate) struct Settings {
    /// The file it was read from.
    pub(crate) source: PathBuf,
    /// Its tables on registries.
    pub(crate) text: String,
}

/// This environment's variables that are carried over.
pub(super) fn carried() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_carried))
}

fn is_carried(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    NAMES.contains(&&*upper) || PREFIXES.iter().any(|prefix| upper.starts_with(prefix))
}

/// Where the compiler is. It is the one thing that a fresh machine has already, so its real place is named.
pub(super) fn rustup_home() -> Result<PathBuf> {
    folder("RUSTUP_HOME", ".rustup")
}

/// The registry part of cargo's own configuration, where there is one.
pub(crate) fn registry_settings() -> Result<Option<Settings>> {
    let folder = folder("CARGO_HOME", ".cargo")?;
    // cargo prefers the name without an extension where both exist.
    let Some(source) = ["config", "config.toml"].map(|name| folder.join(name)).into_iter().find(|path| path.is_file())
    else {
        return Ok(None);
    };
    let all = std::fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
    let text = registry_tables(&all);
    Ok((!text.is_empty()).then_some(Settings { source, text }))
}

fn folder(variable: &str, within_home: &str) -> Result<PathBuf> {
    match std::env::var_os(variable) {
        Some(folder) => Ok(folder.into()),
        None => {
            let home = std::env::home_dir().with_context(|| format!("neither {variable} nor HOME is set"))?;
            Ok(home.join(within_home))
        }
    }
}

/// The lines of every table whose name starts with one of [`TABLES`].
fn registry_tables(config: &str) -> String {
    let mut kept = String::new();
    let mut keep = false;
    for line in config.lines() {
        if let Some(header) = line.trim_start().strip_prefix('[') {
            let first = header.trim_start_matches('[').split(['.', ']']).next().unwrap_or_default();
            keep = TABLES.contains(&first.trim().trim_matches('"'));
        }
        if keep {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_registries_is_carried_and_nothing_else() {
        for name in ["PATH", "https_proxy", "PIP_INDEX_URL", "npm_config_registry", "CARGO_HTTP_CAINFO"] {
            assert!(is_carried(name), "{name}");
        }
        for name in ["HOME", "CARGO_HOME", "CARGO_TARGET_DIR", "XTASK_CACHE", "RUSTFLAGS", "PYTHONPATH", "CI"] {
            assert!(!is_carried(name), "{name}");
        }
    }

    #[test]
    fn only_tables_on_registries_are_kept() {
        let config = "\
[build]
jobs = 4

[source.crates-io]
replace-with = \"mirror\"
[source.mirror]
registry = \"sparse+https://mirror.example/\"
[target.x86_64-unknown-linux-gnu]
linker = \"mold\"
[http]
cainfo = \"ca.pem\"
";
        assert_eq!(
            registry_tables(config),
            "[source.crates-io]\nreplace-with = \"mirror\"\n[source.mirror]\n\
             registry = \"sparse+https://mirror.example/\"\n[http]\ncainfo = \"ca.pem\"\n"
        );
    }
}
