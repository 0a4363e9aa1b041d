//! Which CUDA compiler builds the kernels, and how cargo is told.
//!
//! A user's own toolkit comes first: one in `$CUDA_HOME`, or an nvcc on the `PATH`. Cargo hears of it through the `PATH`
//! alone. Build scripts watch variables such as `CUDA_HOME` and `NVCC`, and a toolkit that is somewhere else compiles the
//! same kernels.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cache::{Cache, Key};
use crate::setup::{Need, Tools};
use crate::shell;

/// The release whose PTX every driver from R580 on reads. PTX of a later one asks for a later driver.
const RELEASE: &str = "13.0";

/// Stands in front of nvcc on the `PATH`.
const FRONT: &str = include_str!("nvcc.sh");

/// Watched by build scripts of cudarc and candle; what they would say is said by the `PATH`.
const LEFT_OUT: [&str; 6] = ["CUDA_HOME", "CUDA_PATH", "CUDA_ROOT", "CUDA_TOOLKIT_ROOT_DIR", "CUDNN_LIB", "NVCC"];

/// A compiler of the right release.
pub(crate) struct Toolkit {
    /// The folder of `nvcc`, `ptxas` and `fatbinary`.
    bin: PathBuf,
    /// `13.0.88`.
    pub(crate) version: String,
    /// The folder of the program that leaves candle's library for GGUF out, unless that is wanted.
    front: Option<PathBuf>,
}

impl Toolkit {
    /// The user's own, unless there is none or `pinned` asks for the cache's.
    pub(crate) fn provide(tools: &mut Tools, cache: &Cache, pinned: bool, gguf: bool) -> Result<Self> {
        let own = if pinned { None } else { own(std::env::var_os("CUDA_HOME"), std::env::var_os("PATH"))? };
        let bin = match own {
            Some(bin) => bin,
            None => {
                tools.provide(&[Need::Cuda])?;
                Path::new(tools.place(Need::Cuda)?).join("bin")
            }
        };
        let nvcc = bin.join("nvcc");
        let said = shell::text(Command::new(&nvcc).arg("--version"))?;
        let version = supported(&said).with_context(|| format!("{} cannot be used", nvcc.display()))?;
        let front = if gguf { None } else { Some(front(cache)?) };
        Ok(Self { bin, version, front })
    }

    /// Makes cargo and its build scripts compile with it.
    pub(crate) fn export(&self, command: &mut Command) -> Result<()> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = self.front.iter().chain([&self.bin]).cloned().chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(folders).context("a folder on the PATH cannot be passed on")?);
        LEFT_OUT.iter().for_each(|name| {
            command.env_remove(name);
        });
        command.env("XTASK_NVCC", self.bin.join("nvcc"));
        // Every core: half of them is its own choice.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        command.env("CUDAFORGE_THREADS", cores.to_string());
        Ok(())
    }

    /// A program of it.
    pub(crate) fn program(&self, name: &str, folder: &Path) -> Command {
        shell::program(self.bin.join(name), folder)
    }
}

/// The folder of the user's own nvcc.
fn own(home: Option<OsString>, path: Option<OsString>) -> Result<Option<PathBuf>> {
    if let Some(home) = home.filter(|home| !home.is_empty()) {
        let bin = Path::new(&home).join("bin");
        if !bin.join("nvcc").is_file() {
            bail!("CUDA_HOME is {}, and there is no bin/nvcc in it", Path::new(&home).display());
        }
        return Ok(Some(bin));
    }
    let path = path.unwrap_or_default();
    Ok(std::env::split_paths(&path).find(|folder| folder.join("nvcc").is_file()))
}

/// The version, out of what `nvcc --version` says, where it is of the right release.
fn supported(said: &str) -> Result<String> {
    let line = said.lines().find(|line| line.contains("release")).context("it does not say its release")?;
    let version = line.rsplit(", V").next().unwrap_or_default().trim();
    if version.strip_prefix(RELEASE).is_some_and(|rest| rest.starts_with('.')) {
        return Ok(version.to_owned());
    }
    bail!(
        "it is nvcc {version}, and CUDA {RELEASE} is needed: kernels of an older one do not compile, and those of a newer \
         one ask for a newer driver than R580. Give `--pinned` to take the one that sluice is tested with"
    )
}

fn front(cache: &Cache) -> Result<PathBuf> {
    cache.entry("nvcc-front", &Key::new().with(FRONT), |folder| {
        let program = folder.join("nvcc");
        fs::write(&program, FRONT)?;
        Ok(fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_release_that_every_needed_driver_reads_is_taken() {
        let said = |version: &str, release: &str| {
            format!(
                "nvcc: NVIDIA (R) Cuda compiler driver\nCuda compilation tools, release {release}, V{version}\nBuild x\n"
            )
        };
        assert_eq!(supported(&said("13.0.88", "13.0")).unwrap(), "13.0.88");
        for (version, release) in [("12.9.86", "12.9"), ("13.1.0", "13.1"), ("13.01.2", "13.01")] {
            let error = supported(&said(version, release)).unwrap_err().to_string();
            assert!(error.starts_with(&format!("it is nvcc {version}, and CUDA 13.0 is needed")), "{error}");
        }
        assert!(supported("gcc 12").unwrap_err().to_string().contains("does not say its release"));
    }

    #[test]
    fn a_users_own_toolkit_is_found_and_a_wrong_variable_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        let home = || Some(folder.path().as_os_str().to_owned());
        assert!(own(home(), None).unwrap_err().to_string().contains("there is no bin/nvcc in it"));
        fs::create_dir(&bin).unwrap();
        fs::write(bin.join("nvcc"), "").unwrap();
        assert_eq!(own(home(), None).unwrap(), Some(bin.clone()));
        assert_eq!(own(None, Some(bin.clone().into())).unwrap(), Some(bin));
        assert_eq!(own(Some("".into()), Some("/nowhere".into())).unwrap(), None);
    }

    #[test]
    fn the_front_makes_empty_files_of_the_gguf_library_and_passes_the_rest_on() {
        let folder = tempfile::tempdir().unwrap();
        let cache = tempfile::tempdir().unwrap();
        let script = folder.path().join("front.sh");
        fs::write(&script, FRONT).unwrap();
        let run = |arguments: &str| {
            let mut command = Command::new("sh");
            command.arg(&script).args(arguments.split(' ')).current_dir(cache.path()).env("XTASK_NVCC", "echo");
            shell::text(&mut command).unwrap()
        };
        let flags = "-gencode=arch=compute_75,code=sm_75 -c -o out.o --default-stream per-thread";
        assert_eq!(run(&format!("{flags} src/mmq_gguf/mmq_instance_q4_1.cu")), "");
        assert_eq!(run(&format!("{flags} src/moe/moe_gguf.cu")), "");
        assert_eq!(fs::read(cache.path().join("out.o")).unwrap(), b"");
        let archive = cache.path().join("libmoe.a");
        assert_eq!(run(&format!("--lib -o {} out.o", archive.display())), "");
        assert_eq!(fs::read(archive).unwrap(), b"!<arch>\n");
        for passed in ["-V", "-c -o other.o src/other.cu", "--lib -o libother.a out.o", "--ptx src/unary.cu"] {
            assert_eq!(run(passed), passed);
        }
    }
}
