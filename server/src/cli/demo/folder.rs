//! A working folder: a bucket, a key and a values file. Made once, and kept from then on.

use std::io;
use std::path::{Path, PathBuf};

use super::content::{MODEL, PUBLIC_KEY, VERSIONS};
use crate::cli::exit::Failure;
use crate::cli::files;

/// What such a folder holds, and nothing else.
const ENTRIES: [&str; 4] = ["bucket", "keys", "values", "cache"];

/// A folder that is ready to be served from.
#[derive(Debug)]
pub(in crate::cli) struct Folder {
    /// As it was named, for commands that are typed where it was named.
    named: PathBuf,
    /// The same, from the root.
    absolute: PathBuf,
    /// Whether the values file was there before.
    pub(in crate::cli) reused: bool,
}

impl Folder {
    /// Makes the folder, or completes one that is there; a values file that is there is kept as it is. A new one is
    /// `values`, which has `@…@` where paths of this machine go.
    pub(in crate::cli) fn prepare(named: &Path, values: &str) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            Failure::failed(format_args!("cannot make {}: {error}", named.display()))
                .hint("--dir DIR names another folder")
        };
        std::fs::create_dir_all(named).map_err(failed)?;
        if let Some(other) = foreign(named).map_err(failed)? {
            let failure =
                Failure::input(format_args!("{} holds {other:?}, so it is no quickstart folder", named.display()));
            return Err(failure.hint("--dir DIR names another folder; it is made"));
        }
        let absolute = named.canonicalize().map_err(failed)?;
        let reused = absolute.join("values").join(file_name()).exists();
        let folder = Self { named: named.to_owned(), absolute, reused };
        folder.fill().map_err(failed)?;
        if !reused {
            folder.write_values(values)?;
        }
        Ok(folder)
    }

    fn fill(&self) -> io::Result<()> {
        for entry in ENTRIES {
            std::fs::create_dir_all(self.absolute.join(entry))?;
        }
        for (version, files) in VERSIONS {
            for (name, bytes) in files {
                write_new(&self.bucket().join(version).join(name), bytes)?;
            }
        }
        write_new(&self.absolute.join("keys").join("zoo.pub"), PUBLIC_KEY)
    }

    fn write_values(&self, template: &str) -> Result<(), Failure> {
        let path = self.absolute.join("values").join(file_name());
        let text = values(template, &self.bucket(), &self.absolute.join("keys").join("zoo.pub"))?;
        write_new(&path, text.as_bytes())
            .map_err(|error| Failure::failed(format_args!("cannot write {}: {error}", path.display())))
    }

    /// The versions.
    pub(in crate::cli) fn bucket(&self) -> PathBuf {
        self.absolute.join("bucket").join(MODEL)
    }

    /// The directory that is watched.
    pub(in crate::cli) fn values_dir(&self) -> PathBuf {
        self.absolute.join("values")
    }

    /// What was pulled and decided.
    pub(in crate::cli) fn cache(&self) -> PathBuf {
        self.absolute.join("cache")
    }

    /// The values file as it can be typed.
    pub(in crate::cli) fn values_file(&self) -> PathBuf {
        self.named.join("values").join(file_name())
    }

    /// Why a values file of an earlier day will not work, where that can be told.
    pub(in crate::cli) fn complaint(&self) -> Option<String> {
        let file = self.values_file();
        let text = match files::read_text(&file, files::VALUES_MAX) {
            Ok(text) => text,
            Err(failure) => return Some(failure.message),
        };
        let values = match config::parse(&file.display().to_string(), &text) {
            Ok(parsed) => parsed.values,
            Err(problems) => return Some(problems.to_string()),
        };
        let place = values.model.target.storage_uri.url().to_file_path().ok()?;
        let gone = !place.exists();
        gone.then(|| format!("{} points to {}, which is not there", file.display(), place.display()))
    }
}

fn file_name() -> String {
    format!("{MODEL}.yaml")
}

/// The values file for a bucket and a key on this machine.
fn values(template: &str, bucket: &Path, key: &Path) -> Result<String, Failure> {
    let unusable = || Failure::input(format_args!("{} cannot be written in a file: URI", bucket.display()));
    let uri = reqwest::Url::from_directory_path(bucket).map_err(|()| unusable())?;
    let key = key.to_str().ok_or_else(unusable)?;
    // A string of JSON is a string of YAML too, whatever it holds.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    Ok(template.replace("@STORAGE_URI@", &quoted(&format!("{uri}{{version}}"))).replace("@PUBLIC_KEY@", &quoted(key)))
}

/// An entry that is not ours.
fn foreign(dir: &Path) -> io::Result<Option<String>> {
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !ENTRIES.contains(&name.as_str()) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Writes a file that is not there; whole or not at all, since what is there is believed to be whole.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::NotADirectory)?;
    if path.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(folder)?;
    let mut new = tempfile::Builder::new().prefix(".sluice-").tempfile_in(folder)?;
    io::Write::write_all(&mut new, bytes)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        new.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    new.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Exit;
    use crate::cli::quickstart::VALUES;

    #[test]
    fn the_values_file_is_valid_wherever_the_folder_is() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["plain", "with blank", "quote\"and'more", "per%20cent", "{version}", "zoé"] {
            let folder = Folder::prepare(&dir.path().join(name), VALUES).unwrap();
            assert!(!folder.reused);
            assert_eq!(folder.complaint(), None, "{name}");
            let text = std::fs::read_to_string(folder.values_file()).unwrap();
            let parsed = config::parse("values.yaml", &text).unwrap();
            assert_eq!(parsed.values.model.signing.public_key_path, Some(folder.absolute.join("keys/zoo.pub")));
            assert_eq!(parsed.warnings, [], "{name}");
        }
    }

    #[test]
    fn a_second_start_keeps_the_values_and_completes_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let first = Folder::prepare(dir.path(), VALUES).unwrap();
        std::fs::write(first.values_file(), "mine").unwrap();
        let model = first.bucket().join("v1.0.0/model.onnx");
        std::fs::remove_file(&model).unwrap();
        let second = Folder::prepare(dir.path(), VALUES).unwrap();
        assert!(second.reused);
        assert!(model.exists());
        assert_eq!(std::fs::read_to_string(second.values_file()).unwrap(), "mine");
        assert!(second.complaint().is_some());
    }

    #[test]
    fn somebody_elses_folder_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("thesis.tex"), "").unwrap();
        let failure = Folder::prepare(dir.path(), VALUES).unwrap_err();
        assert_eq!(failure.exit, Exit::BadInput);
        assert!(failure.message.contains("thesis.tex"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn every_version_has_the_files_that_its_manifest_lists() {
        for (version, files) in VERSIONS {
            let manifest = files.iter().find(|(name, _)| *name == "manifest.json").unwrap().1;
            let manifest: serde_json::Value = serde_json::from_slice(manifest).unwrap();
            let mut listed: Vec<&str> =
                manifest["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect();
            listed.sort_unstable();
            let here: Vec<&str> = files.iter().map(|(name, _)| *name).filter(|name| *name != "manifest.json").collect();
            assert_eq!(listed, here, "{version}");
        }
    }
}
