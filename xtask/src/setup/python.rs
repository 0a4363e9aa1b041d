//! Python environments, one for each set of pinned packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::debian::{Package, ensure, runs};
use super::{install, list};
use crate::cache::{Cache, Key};
use crate::shell;

/// The pins are resolved for this one; another may have no wheel of a pinned package.
const VERSION: &str = "Python 3.11.";

/// What the lists say with `-c`: the versions of everything that the pinned packages bring.
const CONSTRAINTS: &str = "constraints.txt";

const KSERVE: &str = "requirements-kserve.txt";

const PYTHON: &[Package] = &[Package {
    name: "python3",
    reason: "python3 is missing (3.11 is needed)",
    present: || runs("python3", "--version") || runs("python3.11", "--version"),
}];

/// Debian splits the standard library: `venv` cannot bring pip without this.
const ENSUREPIP: &[Package] = &[Package {
    name: "python3-venv",
    reason: "python3 cannot make virtual environments",
    present: || {
        interpreter().is_ok_and(|python| shell::text(Command::new(python).args(["-c", "import ensurepip"])).is_ok())
    },
}];

/// What is installed of what the packages of a list ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Brought {
    /// All of it.
    Too,
    /// What the list names itself, and nothing else: half of what MLflow brings is for training, and takes most of a
    /// gigabyte.
    Listed,
}

/// Every `requirements*.txt` that goes into the common environment, in order of name.
pub(super) fn client_lists(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut lists = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("requirements") && name.ends_with(".txt") && name != KSERVE {
            lists.push(folder.join(&*name));
        }
    }
    if lists.is_empty() {
        bail!("{} holds no requirements.txt", folder.display());
    }
    lists.sort();
    Ok(lists)
}

/// The list of KServe's environment, where the repository has one.
pub(super) fn kserve_list(folder: &Path) -> Option<PathBuf> {
    Some(folder.join(KSERVE)).filter(|list| list.is_file())
}

/// The interpreter of an environment that holds what `lists` pin.
pub(super) fn environment(cache: &Cache, name: &str, lists: &[PathBuf], brought: Brought) -> Result<PathBuf> {
    ensure(PYTHON)?;
    ensure(ENSUREPIP)?;
    let base = interpreter()?;
    let mut key = Key::new().with(shell::text(Command::new(base).args(["-c", "import sys; print(sys.version)"]))?);
    for path in lists {
        key = key.with(list(path)?);
        // Named inside the list, so pip finds it by itself; an entry must not outlive a change of it all the same.
        let constraints = path.with_file_name(CONSTRAINTS);
        if constraints.is_file() {
            key = key.with(list(&constraints)?);
        }
    }
    let entry = cache.entry(name, &key, |folder| {
        install(shell::program(base, folder).args(["-m", "venv"]).arg(folder))?;
        let mut pip = shell::program(folder.join("bin/python"), folder);
        pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]);
        for path in lists {
            pip.arg("--requirement").arg(path);
        }
        if brought == Brought::Listed {
            pip.arg("--no-deps");
        }
        install(&mut pip)
    })?;
    Ok(entry.join("bin/python"))
}

/// Leaves what wheels hold in `folder`, as pip unpacks them: of exactly the lines of `list`, hashes included.
pub(super) fn unpack(list: &Path, folder: &Path) -> Result<()> {
    ensure(PYTHON)?;
    ensure(ENSUREPIP)?;
    // An environment of its own: the system's Python may come without pip.
    let environment = folder.join("pip");
    install(shell::program(interpreter()?, folder).args(["-m", "venv"]).arg(&environment))?;
    let mut pip = shell::program(environment.join("bin/python"), folder);
    pip.args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--no-deps", "--no-compile"]);
    pip.args(["--require-hashes", "--only-binary", ":all:", "--requirement"]).arg(list);
    install(pip.arg("--target").arg(folder))?;
    Ok(std::fs::remove_dir_all(environment)?)
}

/// The first interpreter of the right version on the `PATH`.
fn interpreter() -> Result<&'static str> {
    let version = |name: &&str| shell::text(Command::new(name).arg("--version")).unwrap_or_default();
    let names = ["python3.11", "python3"];
    match names.iter().find(|name| version(name).starts_with(VERSION)) {
        Some(name) => Ok(name),
        None => bail!("the pinned packages need {VERSION}x, and `python3` is {}", version(&names[1])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kserve_is_kept_out_of_the_common_environment() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["requirements.txt", "requirements-kserve.txt", "requirements-ml.txt", "package.json"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let lists = client_lists(folder.path()).unwrap();
        let names: Vec<_> = lists.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["requirements-ml.txt", "requirements.txt"]);
        assert_eq!(kserve_list(folder.path()), Some(folder.path().join("requirements-kserve.txt")));
    }

    #[test]
    fn a_missing_list_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(kserve_list(folder.path()), None);
        assert!(client_lists(folder.path()).unwrap_err().to_string().contains("holds no requirements.txt"));
    }
}
