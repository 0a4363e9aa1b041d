//! What a machine with a GPU and its driver needs besides: the program, and the libraries of CUDA that it opens.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::program::Built;
use crate::setup::{Need, Tools};

/// Opened by the program, and what the first of them is linked with.
const LIBRARIES: [&str; 3] = ["libcublas.so.13", "libcublasLt.so.13", "libcurand.so.10"];

/// Lays it out: `sluice`, `lib/` and NVIDIA's licences in `licenses/`.
pub(super) fn lay_out(folder: &Path, built: &Built, tools: &mut Tools) -> Result<()> {
    tools.provide(&[Need::CudaLibraries])?;
    let wheels = Path::new(tools.place(Need::CudaLibraries)?);
    let (lib, licenses) = (folder.join("lib"), folder.join("licenses"));
    for made in [&lib, &licenses] {
        fs::create_dir_all(made).with_context(|| format!("cannot make {}", made.display()))?;
    }
    copy(&built.program, &folder.join("sluice"))?;
    for name in LIBRARIES {
        copy(&wheels.join("nvidia/cu13/lib").join(name), &lib.join(name))?;
    }
    for (package, license) in licences(wheels)? {
        copy(&license, &licenses.join(package))?;
    }
    Ok(())
}

/// The licence of each wheel, by its package and version.
fn licences(wheels: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(wheels).with_context(|| format!("cannot read {}", wheels.display()))? {
        let folder = entry?.path();
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(package) = name.strip_suffix(".dist-info") else { continue };
        let places = ["licenses/License.txt", "License.txt"].map(|place| folder.join(place));
        let license = places.into_iter().find(|place| place.is_file());
        found.push((package.to_owned(), license.with_context(|| format!("{package} has no licence"))?));
    }
    Ok(found)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display())).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wheel_brings_its_licence() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("nvidia")).unwrap();
        for place in ["nvidia_cublas-13.1.dist-info/licenses", "nvidia_curand-10.4.dist-info"] {
            fs::create_dir_all(folder.path().join(place)).unwrap();
        }
        fs::write(folder.path().join("nvidia_cublas-13.1.dist-info/licenses/License.txt"), "").unwrap();
        let error = licences(folder.path()).unwrap_err().to_string();
        assert_eq!(error, "nvidia_curand-10.4 has no licence");
        fs::write(folder.path().join("nvidia_curand-10.4.dist-info/License.txt"), "").unwrap();
        let mut names: Vec<String> = licences(folder.path()).unwrap().into_iter().map(|(name, _)| name).collect();
        names.sort();
        assert_eq!(names, ["nvidia_cublas-13.1", "nvidia_curand-10.4"]);
    }
}
