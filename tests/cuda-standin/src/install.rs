//! Puts the library where a program finds it in place of the real ones.

use std::io;
use std::path::{Path, PathBuf};

/// The names by which programs ask for the driver, cuBLAS and cuRAND of CUDA 13. All are one file, so that the loader
/// takes them for one library with one state.
pub const NAMES: [&str; 3] = ["libcuda.so.1", "libcublas.so.13", "libcurand.so.10"];

/// Makes `folder` with a link to `library` under each name. `LD_LIBRARY_PATH` is then that folder.
pub fn lay_out(library: &Path, folder: &Path) -> io::Result<()> {
    let library = library.canonicalize()?;
    std::fs::create_dir_all(folder)?;
    for name in NAMES {
        let link = folder.join(name);
        match std::fs::remove_file(&link) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
            _ => std::os::unix::fs::symlink(&library, link)?,
        }
    }
    Ok(())
}

/// Where cargo puts the library that belongs to a program or a test of this crate: beside it. A copy one folder up from a test
/// is of the last `cargo build`, which may be older.
pub fn beside(program: &Path) -> Option<PathBuf> {
    let library = program.with_file_name("libcuda_standin.so");
    library.is_file().then_some(library)
}
