//! Files that a command is given: read whole within a bound, written whole or not at all.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use super::exit::Failure;

/// Bytes of a values file; a ConfigMap holds no more.
pub(crate) const VALUES_MAX: u64 = 1 << 20;

/// Reads a text file of at most `max` bytes.
pub(crate) fn read_text(path: &Path, max: u64) -> Result<String, Failure> {
    let unreadable = |error| Failure::reading(path, &error);
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(Failure::input(format_args!("{} is a directory; name a file", path.display())));
    }
    bounded(file, max).map_err(unreadable)?.map_err(|why| Failure::input(format_args!("{} {why}", path.display())))
}

/// Reads standard input, at most `max` bytes of text.
pub(crate) fn read_stdin(max: u64) -> Result<String, Failure> {
    let read = bounded(std::io::stdin().lock(), max);
    let read = read.map_err(|error| Failure::failed(format_args!("cannot read standard input: {error}")))?;
    read.map_err(|why| Failure::input(format_args!("standard input {why}")))
}

fn bounded(source: impl Read, max: u64) -> std::io::Result<Result<String, String>> {
    let mut bytes = Vec::new();
    source.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Ok(Err(format!("is too big: at most {max} bytes are read")));
    }
    Ok(String::from_utf8(bytes).map_err(|error| format!("is not UTF-8 text: {}", error.utf8_error())))
}

/// Puts `text` in place of the file at `path`: readers see the old text or the new text, never a part of either.
pub(crate) fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    // Through a link, so that the link stays a link.
    let path = path.canonicalize()?;
    let folder = path.parent().ok_or(std::io::ErrorKind::NotADirectory)?;
    let mut new = tempfile::Builder::new().prefix(".sluice-").tempfile_in(folder)?;
    new.write_all(text.as_bytes())?;
    new.as_file().set_permissions(std::fs::metadata(&path)?.permissions())?;
    new.as_file().sync_all()?;
    new.persist(&path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Exit;

    #[test]
    fn a_file_is_read_within_its_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read_text(&path, 5).unwrap(), "12345");
        assert_eq!(read_text(&path, 4).unwrap_err().exit, Exit::BadInput);
        std::fs::write(&path, [0xff]).unwrap();
        assert!(read_text(&path, 5).unwrap_err().message.contains("UTF-8"));
        assert!(read_text(dir.path(), 5).unwrap_err().message.contains("directory"));
        assert!(read_text(&dir.path().join("none"), 5).unwrap_err().message.contains("cannot read"));
    }

    #[cfg(unix)]
    #[test]
    fn replacing_keeps_links_and_permissions_and_leaves_nothing_behind() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        std::fs::write(&real, "old").unwrap();
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        replace(&link, "new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read_to_string(&real).unwrap(), "new");
        assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
