//! A workspace of the registry's sources of candle and cudarc, as they are. Tests of a dependency can only be built where
//! it is a member.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cuda::toolkit::Toolkit;
use crate::cuda::traps::{self, Traps};
use crate::shell;

/// On a machine with one core.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// Whose tests are run. The last is no dependency of sluice, and has the version of the first.
const PACKAGES: [&str; 3] = ["candle-core", "cudarc", "candle-nn"];

/// The sources, and what is made for them.
pub(super) struct Workspace {
    folder: PathBuf,
    target: PathBuf,
    pub(super) traps: Traps,
}

impl Workspace {
    /// Copies the sources of the versions that sluice is built with.
    pub(super) fn lay_out(root: &Path) -> Result<Self> {
        let target = std::path::absolute(shell::target(root))?;
        let folder = target.join("cuda-suites");
        fs::create_dir_all(&folder)?;
        for (name, source) in sources(root, &folder)? {
            copy(&source, &folder.join(&name)).with_context(|| format!("cannot copy the sources of {name}"))?;
        }
        write(&folder.join("Cargo.toml"), &manifest())?;
        let traps = traps::make(&folder.join("cudarc"), &folder.join("traps"))?;
        // With the versions of the root, so that what both need is compiled once; cargo adds what tests need besides.
        if !folder.join("Cargo.lock").exists() {
            fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock"))?;
        }
        Ok(Self { folder, target, traps })
    }

    /// Where a package is.
    pub(super) fn package(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Builds tests; answers the programs by the names of their targets.
    pub(super) fn build(&self, toolkit: &Toolkit, what: &[&str]) -> Result<BTreeMap<String, PathBuf>> {
        let mut cargo = shell::cargo(&self.folder);
        toolkit.export(&mut cargo)?;
        // Not below the root, whose settings are not found from here.
        cargo.env("CUDA_COMPUTE_CAP", "75").env("CUDARC_CUDA_VERSION", "13000");
        // Linked as CUDA's users link, against libraries by name.
        cargo.env("CUDA_HOME", &self.traps.home).env("CARGO_TARGET_DIR", &self.target);
        cargo.args(["test", "--no-run", "--message-format=json-render-diagnostics"]).args(what);
        let (said, status) = shell::read(&mut cargo, LIMIT)?;
        if !status.success() {
            bail!("cargo ended with {status}");
        }
        Ok(programs(&said))
    }
}

/// Where cargo has unpacked the packages: fetched, and checked, by their checksums.
fn sources(root: &Path, folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let lock = fs::read_to_string(root.join("Cargo.lock"))?;
    let candle = version(&lock, "candle-core").context("Cargo.lock has no candle-core")?;
    let cudarc = version(&lock, "cudarc").context("Cargo.lock has no cudarc")?;
    let seed = folder.join("seed");
    fs::create_dir_all(seed.join("src"))?;
    fs::write(seed.join("src/lib.rs"), "")?;
    write(&seed.join("Cargo.toml"), &seed_manifest(&candle, &cudarc))?;
    let mut metadata = shell::cargo(&seed);
    let said = shell::text(metadata.args(["metadata", "--format-version=1", "--quiet"]))?;
    let metadata: Value = serde_json::from_str(&said).context("cargo metadata prints no JSON")?;
    let found = |name: &str| {
        let packages = metadata["packages"].as_array()?;
        let manifest = packages.iter().find(|it| it["name"] == name)?["manifest_path"].as_str()?;
        Path::new(manifest).parent().map(Path::to_path_buf)
    };
    let place = |name: &&str| Ok(((*name).to_owned(), found(name).with_context(|| format!("cargo has no {name}"))?));
    PACKAGES.iter().map(place).collect()
}

/// The version of a package, where a lock file has one of it.
fn version(lock: &str, name: &str) -> Option<String> {
    let after = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?.1;
    Some(after.split_once('"')?.0.to_owned())
}

fn seed_manifest(candle: &str, cudarc: &str) -> String {
    format!(
        "[package]\nname = \"seed\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n\
         candle-core = \"={candle}\"\ncandle-nn = \"={candle}\"\n\
         cudarc = {{ version = \"={cudarc}\", default-features = false, features = [\"std\", \"driver\", \"cuda-13000\", \"dynamic-linking\"] }}\n"
    )
}

/// The profile is the root's, so that what both need is compiled once.
fn manifest() -> String {
    let members: Vec<String> = PACKAGES.iter().map(|name| format!("\"{name}\"")).collect();
    let patches: String = PACKAGES.iter().map(|name| format!("{name} = {{ path = \"{name}\" }}\n")).collect();
    format!(
        "[workspace]\nresolver = \"3\"\nmembers = [{}]\nexclude = [\"seed\"]\n\n[patch.crates-io]\n{patches}\n\
         [profile.dev]\ndebug = false\nincremental = false\n\n[profile.dev.package.gemm-f32]\nopt-level = 2\n",
        members.join(", ")
    )
}

/// Leaves a file that is already right alone: its time decides what is compiled again.
fn write(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Copies a folder, file by file, and leaves what is already right alone.
pub(in crate::cuda) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        // It pins what its authors had, and is not read where the folder is a member.
        if entry.file_name() == "Cargo.lock" || entry.file_name() == ".cargo-ok" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            let bytes = fs::read(entry.path())?;
            if fs::read(&target).is_ok_and(|there| there == bytes) {
                continue;
            }
            fs::write(&target, bytes)?;
        }
    }
    Ok(())
}

fn programs(said: &str) -> BTreeMap<String, PathBuf> {
    let messages = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let built = messages.filter(|it| it["reason"] == "compiler-artifact" && it["profile"]["test"] == true);
    let place = |it: Value| Some((it["target"]["name"].as_str()?.to_owned(), it["executable"].as_str()?.into()));
    built.filter_map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locked_version_is_read() {
        let lock = "[[package]]\nname = \"cudarc\"\nversion = \"0.19.10\"\nsource = \"x\"\n";
        assert_eq!(version(lock, "cudarc").as_deref(), Some("0.19.10"));
        assert_eq!(version(lock, "candle-core"), None);
    }

    #[test]
    fn test_programs_are_found_among_what_cargo_built() {
        let said = r#"{"reason":"compiler-artifact","profile":{"test":true},"target":{"name":"ops"},"executable":"/t/ops-1"}
{"reason":"compiler-artifact","profile":{"test":false},"target":{"name":"build-script-build"},"executable":"/t/b"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(programs(said), BTreeMap::from([("ops".to_owned(), PathBuf::from("/t/ops-1"))]));
    }

    #[test]
    fn what_is_right_already_keeps_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("src")).unwrap();
        fs::write(from.join("src/lib.rs"), "one").unwrap();
        copy(&from, &to).unwrap();
        let time = || fs::metadata(to.join("src/lib.rs")).unwrap().modified().unwrap();
        let first = time();
        copy(&from, &to).unwrap();
        assert_eq!(time(), first);
        fs::write(to.join("src/lib.rs"), "changed by hand").unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("src/lib.rs")).unwrap(), "one");
    }
}
