//! What the tests need besides Rust: found, or installed once into the cache, or a failure that says what to do.

mod cuda;
mod debian;
mod deny;
mod libcuda;
mod node;
mod package;
mod promtool;
mod python;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use self::python::Brought;
use crate::cache::Cache;
use crate::shell;

/// The pinned Python and Node packages.
const LISTS: &str = "tests/python";

/// The pinned packages that read the deploy tree.
const DEPLOY_LISTS: &str = "tests/deploy";

/// How long one installation may take, with a slow registry in mind.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// A tool that a step cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// The Python environment of the real clients, in `XTASK_PYTHON`.
    Python,
    /// KServe's own environment, in `XTASK_PYTHON_KSERVE`: its pins contradict those of the other clients.
    /// Asked for only where the repository holds its list.
    PythonKserve,
    /// The environment of the checks of the deploy tree, in `XTASK_PYTHON_DEPLOY`: its pins contradict the clients'.
    Deploy,
    /// A real MLflow server and its client, in `XTASK_PYTHON_MLFLOW`: its pins contradict both of the others'.
    Mlflow,
    /// Node packages that read Terraform's files, and Postgres, in `XTASK_NODE_MODULES_DEPLOY`.
    DeployNode,
    /// Prometheus' own checker of rules and metrics, in `XTASK_PROMTOOL`.
    Promtool,
    /// Node packages (the Azure storage emulator), in `XTASK_NODE_MODULES`.
    Node,
    /// Shared libraries that the clients load.
    Libraries,
    /// What makes certificates, on the system's `PATH`.
    Certificates,
    /// `cargo deny`, on the `PATH` of the step.
    Deny,
    /// What builds an image and starts it, on the system's `PATH`.
    Containers,
    /// The pinned CUDA toolkit, in `XTASK_CUDA`. It has a compiler and no driver.
    Cuda,
    /// The library that compiles CUDA while a program runs, in the folder `XTASK_NVRTC`.
    Nvrtc,
    /// The wheels of the CUDA libraries that ship, unpacked in the folder `XTASK_CUDA_LIBRARIES`.
    CudaLibraries,
    /// Debian's own driver library, in the folder `XTASK_LIBCUDA`. It is not installed.
    Libcuda,
}

/// The tools set up so far, and the variables by which steps find them.
pub(crate) struct Tools {
    root: PathBuf,
    cache: Cache,
    variables: BTreeMap<Need, (&'static str, OsString)>,
}

impl Tools {
    /// None yet.
    pub(crate) fn new(root: &Path) -> Result<Self> {
        Ok(Self { root: root.to_path_buf(), cache: Cache::open()?, variables: BTreeMap::new() })
    }

    /// Sets up what is needed and not there yet.
    pub(crate) fn provide(&mut self, needs: &[Need]) -> Result<()> {
        for need in needs {
            if !self.variables.contains_key(need)
                && let Some(variable) = self.set_up(*need)?
            {
                self.variables.insert(*need, variable);
            }
        }
        Ok(())
    }

    /// Tells a program where the tools are.
    pub(crate) fn export(&self, command: &mut Command) {
        command.envs(self.variables.values().map(|(name, value)| (name, value)));
    }

    /// Where something that was set up is: an interpreter (programs of its environment are beside it), a folder, a
    /// program.
    pub(crate) fn place(&self, need: Need) -> Result<&OsString> {
        let found = self.variables.get(&need).with_context(|| format!("the step does not list Need::{need:?}"))?;
        Ok(&found.1)
    }

    fn set_up(&self, need: Need) -> Result<Option<(&'static str, OsString)>> {
        let lists = self.root.join(LISTS);
        Ok(match need {
            Need::Python => {
                let lists = python::client_lists(&lists)?;
                Some(("XTASK_PYTHON", python::environment(&self.cache, "python", &lists, Brought::Too)?.into()))
            }
            Need::PythonKserve => match python::kserve_list(&lists) {
                Some(list) => {
                    let python = python::environment(&self.cache, "python-kserve", &[list], Brought::Too)?;
                    Some(("XTASK_PYTHON_KSERVE", python.into()))
                }
                None => None,
            },
            Need::Deploy => {
                let list = self.root.join(DEPLOY_LISTS).join("requirements.txt");
                let python = python::environment(&self.cache, "python-deploy", &[list], Brought::Too)?;
                Some(("XTASK_PYTHON_DEPLOY", python.into()))
            }
            Need::Mlflow => {
                let list = self.root.join(DEPLOY_LISTS).join("requirements-mlflow.txt");
                let python = python::environment(&self.cache, "python-mlflow", &[list], Brought::Listed)?;
                Some(("XTASK_PYTHON_MLFLOW", python.into()))
            }
            Need::DeployNode => {
                let lists = self.root.join(DEPLOY_LISTS);
                Some(("XTASK_NODE_MODULES_DEPLOY", node::modules(&self.cache, "node-deploy", &lists)?.into()))
            }
            Need::Promtool => Some(("XTASK_PROMTOOL", promtool::program(&self.cache)?.into())),
            Need::Node => Some(("XTASK_NODE_MODULES", node::modules(&self.cache, "node", &lists)?.into())),
            Need::Libraries => {
                debian::ensure(debian::LIBRARIES)?;
                None
            }
            Need::Certificates => {
                debian::ensure(debian::CERTIFICATES)?;
                None
            }
            Need::Containers => {
                debian::ensure(debian::CONTAINERS)?;
                None
            }
            Need::Cuda => Some(("XTASK_CUDA", cuda::toolkit(&self.cache, &self.root)?.into())),
            Need::Nvrtc => Some(("XTASK_NVRTC", cuda::nvrtc(&self.cache, &self.root)?.into())),
            Need::CudaLibraries => Some(("XTASK_CUDA_LIBRARIES", cuda::libraries(&self.cache, &self.root)?.into())),
            Need::Libcuda => Some(("XTASK_LIBCUDA", libcuda::folder(&self.cache)?.into())),
            Need::Deny => Some(("PATH", path_with(&deny::folder(&self.cache)?)?)),
        })
    }
}

/// This process's `PATH` with one more folder in front.
fn path_with(folder: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_path_buf()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).context("a folder on the PATH cannot be passed on")
}

/// The text of a file that the repository must hold.
fn list(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Runs an installer within its time limit.
fn install(command: &mut Command) -> Result<()> {
    shell::run(command, LIMIT)
}
