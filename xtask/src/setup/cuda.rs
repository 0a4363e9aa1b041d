//! The CUDA compiler, out of NVIDIA's wheels: laid out as the toolkit that they come from.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{list, python};
use crate::cache::{Cache, Key};

/// The wheels' common folder.
const HOME: &str = "nvidia/cu13";

/// The toolkit's folder, as `CUDA_HOME` would name it.
pub(super) fn toolkit(cache: &Cache, root: &Path) -> Result<PathBuf> {
    let wheels = root.join("tests/cuda/toolkit.txt");
    let entry = cache.entry("cuda", &Key::new().with(list(&wheels)?), |folder| {
        python::unpack(&wheels, folder)?;
        complete(&folder.join(HOME))
    })?;
    Ok(entry.join(HOME))
}

/// The folder of `libnvrtc.so.13` and what it loads.
pub(super) fn nvrtc(cache: &Cache, root: &Path) -> Result<PathBuf> {
    let wheels = root.join("tests/cuda/nvrtc.txt");
    let entry = cache.entry("nvrtc", &Key::new().with(list(&wheels)?), |folder| python::unpack(&wheels, folder))?;
    Ok(entry.join(HOME).join("lib"))
}

/// The folder of the wheels of what ships, and of their licences.
pub(super) fn libraries(cache: &Cache, root: &Path) -> Result<PathBuf> {
    let wheels = root.join("image/cuda-libraries.txt");
    cache.entry("cuda-libraries", &Key::new().with(list(&wheels)?), |folder| python::unpack(&wheels, folder))
}

/// What wheels leave out: programs may be executed, and there are names without versions to link by.
fn complete(home: &Path) -> Result<()> {
    for folder in ["bin", "nvvm/bin"] {
        for file in fs::read_dir(home.join(folder)).with_context(|| format!("the wheels hold no {folder}"))? {
            let file = file?;
            if file.file_type()?.is_file() {
                fs::set_permissions(file.path(), fs::Permissions::from_mode(0o755))?;
            }
        }
    }
    symlink("lib", home.join("lib64"))?;
    Ok(symlink("libcudart.so.13", home.join("lib/libcudart.so"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_made_executable_and_names_are_linked() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["bin/nvcc", "bin/crt/link.stub", "nvvm/bin/cicc", "lib/libcudart.so.13"] {
            let file = folder.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, "").unwrap();
            fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
        }
        complete(folder.path()).unwrap();
        let mode = |file| fs::metadata(folder.path().join(file)).unwrap().permissions().mode() & 0o777;
        assert_eq!(["bin/nvcc", "nvvm/bin/cicc", "bin/crt/link.stub"].map(mode), [0o755, 0o755, 0o644]);
        assert!(folder.path().join("lib64/libcudart.so").exists());
    }

    #[test]
    fn what_the_wheels_lack_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(format!("{:#}", complete(folder.path()).unwrap_err()).starts_with("the wheels hold no bin"));
    }
}
