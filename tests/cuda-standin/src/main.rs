//! Lays the library out for programs: `cuda-standin FOLDER`. The folder is then their `LD_LIBRARY_PATH`.

use std::io;
use std::path::Path;

use cuda_standin::install;

fn main() -> io::Result<()> {
    let folder = std::env::args_os().nth(1).ok_or_else(|| io::Error::other("name the folder"))?;
    let library = install::beside(&std::env::current_exe()?);
    let library = library.ok_or_else(|| io::Error::other("cargo puts the library beside this program"))?;
    install::lay_out(&library, Path::new(&folder))
}
