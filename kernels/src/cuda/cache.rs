//! Where the driver keeps what it compiled. It reads that from the environment alone, once, when it starts.

use std::io;
use std::path::Path;

/// The driver's variable.
const CACHE_PATH: &str = "CUDA_CACHE_PATH";

/// Has the driver keep compiled kernels in `folder`, unless the environment says where: a container's home is empty at
/// each start, and compiling takes seconds for each module. Says whether `folder` is used.
///
/// # Errors
/// Other threads run already, so that the environment must not be changed any more; or the system does not tell.
pub fn keep_compiled_in(folder: &Path) -> io::Result<bool> {
    if std::env::var_os(CACHE_PATH).is_some() {
        return Ok(false);
    }
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("the environment cannot be changed once there are threads"));
    }
    // SAFETY: changing the environment is a data race with any thread that reads it. This is the only thread: it was
    // counted above, and only a thread starts another.
    unsafe { std::env::set_var(CACHE_PATH, folder) };
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_threads_about_the_environment_stays_as_it_is() {
        // A test is a thread beside the one that started it.
        let refused = keep_compiled_in(Path::new("/nowhere"));
        assert!(refused.is_err() || std::env::var_os(CACHE_PATH).is_some_and(|path| path != "/nowhere"));
        assert_ne!(std::env::var_os(CACHE_PATH).as_deref(), Some("/nowhere".as_ref()));
    }
}
