//! Reading a source at one moment. Where Kubernetes keeps it (a `..data` link to a dated directory), every file is
//! read under the directory that the link named once, so that all of them are of one update.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use super::mountinfo;
use crate::document::TEXT_BYTES_MAX;

/// Models of one directory.
const FILES_MAX: usize = 256;
/// The link may be swapped between reading it and opening what it named.
const READ_ATTEMPTS: usize = 4;
/// How far up from a file its mount is looked for.
const ANCESTORS_MAX: usize = 16;
const LINK: &str = "..data";

/// What a source held at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Snapshot {
    /// Each file's content, or why it could not be read.
    pub(super) files: BTreeMap<String, Result<Vec<u8>, String>>,
    /// Why the source as a whole could not be read.
    pub(super) error: Option<String>,
    /// Content is replaced by swapping a link, so it is never half of something.
    pub(super) atomic: bool,
    /// What an operator should know of the mount.
    pub(super) notes: Vec<String>,
}

impl Snapshot {
    pub(super) fn failed(error: String) -> Self {
        Self { error: Some(error), ..Self::default() }
    }

    /// Every file that is there was read, and there is one: what is not here was removed.
    pub(super) fn is_whole(&self) -> bool {
        self.error.is_none() && !self.files.is_empty() && self.files.values().all(Result::is_ok)
    }
}

/// A values file or a directory of them.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    mountinfo: PathBuf,
}

impl Source {
    pub(super) fn new(path: &Path, mountinfo: &Path) -> Self {
        Self { path: path.to_owned(), mountinfo: mountinfo.to_owned() }
    }

    /// The directory whose entries change at an update: the only one that is worth watching.
    pub(super) fn mount(&self) -> PathBuf {
        let itself = self.path.is_dir().then_some(self.path.as_path());
        let above = self.path.ancestors().skip(1).take(ANCESTORS_MAX);
        let linked = itself.into_iter().chain(above).find(|dir| dir.join(LINK).is_symlink());
        let plain = itself.or_else(|| self.path.parent());
        let mount = linked.or(plain).unwrap_or(&self.path);
        // A bare file name has the empty path as its parent.
        if mount.as_os_str().is_empty() { PathBuf::from(".") } else { mount.to_owned() }
    }

    fn notes(&self) -> Vec<String> {
        let alone = !self.path.is_dir() && mountinfo::lists(&self.mountinfo, &self.path);
        alone
            .then(|| {
                format!(
                    "{} is itself a mount point (subPath, or a single file mounted): an update that replaces the file \
                     never shows here; mount its directory instead",
                    self.path.display()
                )
            })
            .into_iter()
            .collect()
    }

    pub(super) fn read(&self) -> Snapshot {
        let mut snapshot = self.read_files();
        snapshot.notes.extend(self.notes());
        snapshot
    }

    fn read_files(&self) -> Snapshot {
        let mount = self.mount();
        let link = mount.join(LINK);
        for _ in 1..READ_ATTEMPTS {
            let before = fs::read_link(&link).ok();
            let snapshot = self.read_under(&mount, before.as_deref());
            if fs::read_link(&link).ok() == before {
                return snapshot;
            }
        }
        self.read_under(&mount, fs::read_link(&link).ok().as_deref())
    }

    fn read_under(&self, mount: &Path, link: Option<&Path>) -> Snapshot {
        let below = self.path.strip_prefix(mount).unwrap_or(Path::new(""));
        // A file beside the link that is no link itself is not part of the update.
        let own_file = self.path.symlink_metadata().is_ok_and(|data| data.is_file());
        let (place, atomic) = match link {
            Some(link) if !own_file && is_plain(link) => (mount.join(link).join(below), true),
            _ => (self.path.clone(), false),
        };
        match fs::metadata(&place) {
            Ok(data) if data.is_dir() => self.read_directory(&place, atomic),
            Ok(_) => self.read_one(&place, atomic),
            Err(error) => Snapshot {
                atomic,
                ..Snapshot::failed(format!("cannot read {}: {}", self.path.display(), kind(&error)))
            },
        }
    }

    fn read_one(&self, place: &Path, atomic: bool) -> Snapshot {
        let files = BTreeMap::from([(self.path.display().to_string(), content(place))]);
        Snapshot { files, atomic, ..Snapshot::default() }
    }

    fn read_directory(&self, place: &Path, atomic: bool) -> Snapshot {
        let names = match values_names(place) {
            Ok(names) => names,
            Err(error) => {
                let error = format!("cannot list {}: {error}", self.path.display());
                return Snapshot { atomic, ..Snapshot::failed(error) };
            }
        };
        let shown = |name: &String| self.path.join(name).display().to_string();
        let files = names.iter().map(|name| (shown(name), content(&place.join(name)))).collect();
        let empty = names
            .is_empty()
            .then(|| format!("{} holds no values file; each *.yaml or *.yml in it is one model", self.path.display()));
        Snapshot { files, atomic, notes: empty.into_iter().collect(), ..Snapshot::default() }
    }
}

/// A link's target that stays inside the mount, as kubelet writes it.
fn is_plain(target: &Path) -> bool {
    target.components().all(|part| matches!(part, Component::Normal(_)))
}

fn values_names(place: &Path) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(place).map_err(|error| kind(&error))? {
        let Ok(name) = entry.map_err(|error| kind(&error))?.file_name().into_string() else { continue };
        let yaml = Path::new(&name).extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if !yaml || name.starts_with('.') || place.join(&name).is_dir() {
            continue;
        }
        names.push(name);
        if names.len() > FILES_MAX {
            return Err(format!("it holds more than {FILES_MAX} values files"));
        }
    }
    Ok(names)
}

fn content(place: &Path) -> Result<Vec<u8>, String> {
    let too_large = || format!("the file is larger than {TEXT_BYTES_MAX} bytes");
    let data = fs::metadata(place).map_err(|error| kind(&error))?;
    // Opening a pipe would wait for its writer.
    if !data.is_file() {
        return Err("this is not a regular file".to_owned());
    }
    if data.len() > TEXT_BYTES_MAX as u64 {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    let file = File::open(place).map_err(|error| kind(&error))?;
    file.take(TEXT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|error| kind(&error))?;
    if bytes.len() > TEXT_BYTES_MAX { Err(too_large()) } else { Ok(bytes) }
}

fn kind(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string().to_lowercase(),
    }
}
