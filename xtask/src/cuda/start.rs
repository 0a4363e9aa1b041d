//! The program is started on machines that have CUDA and that have not. What differs between them is where the dynamic
//! linker is told to look.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{prepared, standin};
use crate::quickstart::quickstart_drive;
use crate::setup::{Need, Tools};
use crate::shell;

/// How long it may take until it serves.
const LIMIT: Duration = Duration::from_secs(60);

/// The server's cache folder.
const CACHE: &str = "cache";

/// What the stand-in writes when its process ends.
const REPORT: &str = "report.json";

/// A committed model.
const MODEL: &str = "models/zoo/artifacts/fraud-detection";

/// A machine to start on.
struct World {
    /// What it is like.
    name: &'static str,
    libraries: Libraries,
    /// Besides what every start is given.
    flags: &'static [&'static str],
    /// Faults that are planned.
    faults: Option<&'static str>,
    /// What its log must say of the device before it serves.
    says: &'static str,
}

/// Where the dynamic linker finds CUDA.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Libraries {
    Nowhere,
    /// Debian's package of NVIDIA's driver.
    Debian,
    Standin,
}

/// On each of these the program serves.
const WORLDS: &[World] = &[
    World {
        name: "no library",
        libraries: Libraries::Nowhere,
        flags: &["--device=auto"],
        faults: None,
        says: "libcuda.so.1: cannot open shared object file",
    },
    World {
        name: "NVIDIA's driver, no GPU",
        libraries: Libraries::Debian,
        flags: &["--device=auto"],
        faults: None,
        says: "the driver sees no GPU",
    },
    World {
        name: "a driver that is too old",
        libraries: Libraries::Standin,
        flags: &["--device=auto"],
        faults: Some("driver=12080"),
        says: "driver supports CUDA 12.8; sluice needs R580 or newer (CUDA 13.0)",
    },
    World {
        name: "a simulated device that is not allowed",
        libraries: Libraries::Standin,
        flags: &["--device=auto"],
        faults: None,
        says: "simulated",
    },
    World {
        name: "a simulated device",
        libraries: Libraries::Standin,
        flags: &["--device=cuda", "--allow-simulated-device"],
        faults: None,
        says: "simulated",
    },
];

/// Starts it everywhere.
pub(crate) fn check(root: &Path, tools: &mut Tools) -> Result<()> {
    tools.provide(&[Need::Libcuda])?;
    let (_, built) = prepared(root, tools)?;
    let standin = standin::folder(root)?;
    for world in WORLDS {
        let work = tempfile::tempdir().context("cannot make a temporary folder")?;
        let libraries = match world.libraries {
            Libraries::Nowhere => work.path().join("empty"),
            Libraries::Debian => PathBuf::from(tools.place(Need::Libcuda)?),
            Libraries::Standin => standin.clone(),
        };
        let said = serve(root, &built.program, world, &libraries, work.path())
            .with_context(|| format!("on a machine with {}", world.name))?;
        ensure!(said.contains(world.says), "on a machine with {}, nothing says `{}`:\n{said}", world.name, world.says);
        if world.libraries == Libraries::Standin {
            compiled_is_kept(work.path()).with_context(|| format!("on a machine with {}", world.name))?;
        }
        println!("{:40} serves, and says: {}", world.name, line_with(&said, world.says));
    }
    Ok(())
}

/// Starts the server, waits until it serves, stops it; what it has said until then.
fn serve(root: &Path, program: &Path, world: &World, libraries: &Path, work: &Path) -> Result<String> {
    let values = work.join("values.yaml");
    std::fs::write(&values, text_of_values(&root.join(MODEL)))?;
    let mut command = shell::program("sh", root);
    // One stream, in order.
    command.args(["-c", "exec \"$0\" \"$@\" 2>&1"]).arg(program).arg("serve").arg("--values").arg(&values);
    command.args(["--http=127.0.0.1:0", "--grpc=127.0.0.1:0", "--admin=127.0.0.1:0"]).args(world.flags);
    command.arg("--cache").arg(work.join(CACHE)).env("LD_LIBRARY_PATH", libraries);
    command.env("CUDA_STANDIN_REPORT", work.join(REPORT)).env_remove("CUDA_CACHE_PATH");
    planned(&mut command, world.faults);
    let mut said = Vec::new();
    quickstart_drive(&mut command, |server| {
        said = server.lines("that it serves", LIMIT, |line| line.contains("gates passed"))?;
        Ok(())
    })?;
    Ok(said.join("\n"))
}

/// The driver was told to keep what it compiles beside what the server keeps.
fn compiled_is_kept(work: &Path) -> Result<()> {
    let (told, right) = (standin::compiled_in(&work.join(REPORT))?, work.join(CACHE).join("cuda"));
    ensure!(told.as_ref() == Some(&right), "what is compiled is kept in {told:?}, not in {}", right.display());
    Ok(())
}

fn planned(command: &mut Command, faults: Option<&str>) {
    match faults {
        Some(faults) => command.env("CUDA_STANDIN_FAULTS", faults),
        None => command.env_remove("CUDA_STANDIN_FAULTS"),
    };
}

fn text_of_values(model: &Path) -> String {
    format!(
        "schemaVersion: v1alpha1\nmodel:\n  name: fraud-detection\n  version: v1.0.0\n  storageUri: file://{}/{{version}}\n",
        model.display()
    )
}

fn line_with<'a>(said: &'a str, words: &str) -> &'a str {
    said.lines().find(|line| line.contains(words)).unwrap_or_default()
}
