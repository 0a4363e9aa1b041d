//! A half-made artifact on disk: files that grow from the front, hashed as they grow, and a journal from which a
//! restarted process resumes. Blocking; knows nothing of networks.
//!
//! The journal has one line for each part: file index, offset of its end, SHA-256 of the part. On resume every part is
//! read back and hashed; from the first that differs on, the file is downloaded again. So no fsync is needed before
//! the end, and neither a torn write nor a torn journal line can get into an artifact.

use std::any::Any;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::FetchError;
use super::digest::{FileDigest, Hasher, Sha256};
use super::failpoint::{self, pass};
use super::files::{sync_folder, write_whole};
use super::listing::Listing;

const PLAN_NAME: &str = "plan.json";
const JOURNAL_NAME: &str = "journal";
/// Holds the artifact's files, in a staging and in an artifact folder alike.
pub(super) const FILES_NAME: &str = "files";
/// Longest journal line: two numbers and a hash.
const LINE_BYTES_MAX: u64 = 128;
/// Most journal lines that are read; more can only come from a damaged file.
const LINES_MAX: usize = 1 << 22;

/// `plan.json`: what a restarted process needs to know of a staging before its source is listed again.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Plan {
    uri: String,
    total_bytes: u64,
}

/// Files under way, in the order of the listing.
pub(super) struct Staging {
    folder: PathBuf,
    targets: Vec<Target>,
    /// Index of the file that is open, and the file.
    open: Option<(usize, File)>,
    journal: File,
    /// What must not be released before the last write: the flight and the reserved room.
    _hold: Box<dyn Any + Send>,
}

struct Target {
    name: String,
    size: u64,
    written: u64,
    hasher: Hasher,
    sha256: Option<Sha256>,
}

/// One line of the journal.
struct Part {
    index: usize,
    end: u64,
    sha256: Sha256,
}

/// The folder name of a staging: the source, then the listing, so that a changed listing never resumes.
pub(super) fn name(uri: &str, fingerprint: &str) -> String {
    format!("{}-{}", &Sha256::of(uri.as_bytes()).to_string()[..16], &fingerprint[..32.min(fingerprint.len())])
}

/// The part of a staging's name that tells sources apart.
pub(super) fn source_part(name: &str) -> &str {
    name.split('-').next().unwrap_or(name)
}

/// What a staging found on disk set aside; `None` where it cannot be resumed.
pub(super) fn planned_bytes(folder: &Path) -> Option<u64> {
    let bytes = fs::read(folder.join(PLAN_NAME)).ok()?;
    Some(serde_json::from_slice::<Plan>(&bytes).ok()?.total_bytes)
}

impl Staging {
    /// Makes the folder, or takes up what an earlier attempt at the same listing left there.
    pub(super) fn open(
        folder: PathBuf,
        uri: &str,
        listing: &Listing,
        hold: Box<dyn Any + Send>,
    ) -> Result<Self, FetchError> {
        let failed = |error: io::Error| FetchError::io(&folder, &error);
        let mut targets: Vec<Target> = listing.files().iter().map(|file| Target::new(&file.name, file.size)).collect();
        let kept = if planned_bytes(&folder).is_some() { resume(&folder, &mut targets) } else { String::new() };
        let plan = Plan { uri: uri.to_owned(), total_bytes: listing.total_bytes() };
        let journal = prepare(&folder, &plan, &kept, &targets).map_err(failed)?;
        let mut staging = Self { folder, targets, open: None, journal, _hold: hold };
        for index in 0..staging.targets.len() {
            // Empty files are whole at once, and resumed ones may never have been synced.
            if staging.targets[index].written == staging.targets[index].size {
                staging.complete(index)?;
            }
        }
        pass(failpoint::STAGED)?;
        Ok(staging)
    }

    /// Bytes of file `index` that are there.
    pub(super) fn written(&self, index: usize) -> u64 {
        self.targets[index].written
    }

    /// Bytes of all files that are there.
    pub(super) fn total_written(&self) -> u64 {
        self.targets.iter().map(|target| target.written).sum()
    }

    /// Appends the next part of file `index`.
    pub(super) fn append(&mut self, index: usize, bytes: &[u8]) -> Result<(), FetchError> {
        let failed = |folder: &Path, error: io::Error| FetchError::io(folder, &error);
        self.write(index, bytes).map_err(|error| failed(&self.folder, error))?;
        if self.targets[index].written == self.targets[index].size {
            self.complete(index)?;
        }
        pass(failpoint::PART)
    }

    fn write(&mut self, index: usize, bytes: &[u8]) -> io::Result<()> {
        let target = &mut self.targets[index];
        if self.open.as_ref().is_none_or(|(open, _)| *open != index) {
            let path = self.folder.join(FILES_NAME).join(&target.name);
            self.open = Some((index, File::options().append(true).open(path)?));
        }
        let Some((_, file)) = &mut self.open else { return Err(io::Error::other("the file was just opened")) };
        file.write_all(bytes)?;
        target.hasher.update(bytes);
        target.written += bytes.len() as u64;
        let part = Part { index, end: target.written, sha256: Sha256::of(bytes) };
        self.journal.write_all(part.line().as_bytes())
    }

    /// Makes a whole file durable and fixes its hash.
    fn complete(&mut self, index: usize) -> Result<(), FetchError> {
        pass(failpoint::BEFORE_FSYNC)?;
        let target = &mut self.targets[index];
        let path = self.folder.join(FILES_NAME).join(&target.name);
        let file = match self.open.take() {
            Some((open, file)) if open == index => Ok(file),
            _ => File::open(&path),
        };
        file.and_then(|file| file.sync_all()).map_err(|error| FetchError::io(&path, &error))?;
        target.sha256 = Some(std::mem::take(&mut target.hasher).finish());
        Ok(())
    }

    /// The files and their hashes, once all of them are whole.
    pub(super) fn hashed(&self) -> Result<Vec<FileDigest>, FetchError> {
        let whole = |target: &Target| {
            let sha256 = target.sha256.ok_or_else(|| {
                let reason = format!("{} has {} of {} bytes", target.name, target.written, target.size);
                FetchError::Io { path: self.folder.display().to_string(), reason }
            })?;
            Ok(FileDigest { name: target.name.clone(), size: target.size, sha256 })
        };
        self.targets.iter().map(whole).collect()
    }

    /// The folder that holds the files.
    pub(super) fn files(&self) -> PathBuf {
        self.folder.join(FILES_NAME)
    }

    /// Removes what only a resume needs and makes every name durable: the folder is ready to be renamed.
    pub(super) fn finish(&self) -> Result<(), FetchError> {
        let failed = |error: io::Error| FetchError::io(&self.folder, &error);
        pass(failpoint::BEFORE_SEAL)?;
        for name in [PLAN_NAME, JOURNAL_NAME] {
            fs::remove_file(self.folder.join(name)).map_err(failed)?;
        }
        sync_tree(&self.folder).map_err(failed)
    }
}

impl Target {
    fn new(name: &str, size: u64) -> Self {
        Self { name: name.to_owned(), size, written: 0, hasher: Hasher::new(), sha256: None }
    }
}

impl Part {
    fn line(&self) -> String {
        format!("{} {} {}\n", self.index, self.end, self.sha256)
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.strip_suffix('\n')?.split(' ');
        let part = Self {
            index: fields.next()?.parse().ok()?,
            end: fields.next()?.parse().ok()?,
            sha256: Sha256::parse(fields.next()?)?,
        };
        fields.next().is_none().then_some(part)
    }
}

/// Lays out the folder for `targets`: plan, journal with the `kept` lines, and files cut to what is known to be right.
fn prepare(folder: &Path, plan: &Plan, kept: &str, targets: &[Target]) -> io::Result<File> {
    fs::create_dir_all(folder.join(FILES_NAME))?;
    write_whole(&folder.join(JOURNAL_NAME), kept.as_bytes())?;
    write_whole(&folder.join(PLAN_NAME), &serde_json::to_vec(plan).map_err(io::Error::other)?)?;
    for target in targets {
        let path = folder.join(FILES_NAME).join(&target.name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        File::options().create(true).write(true).truncate(false).open(&path)?.set_len(target.written)?;
    }
    File::options().append(true).open(folder.join(JOURNAL_NAME))
}

/// Reads back what the journal lists, up to the first part of each file that is not what it was; returns the journal's
/// lines that hold. Whatever cannot be read is downloaded again, so nothing here fails.
fn resume(folder: &Path, targets: &mut [Target]) -> String {
    let mut kept = String::new();
    let mut damaged = vec![false; targets.len()];
    for part in journal(&folder.join(JOURNAL_NAME)) {
        let Some(target) = targets.get_mut(part.index) else { break };
        if damaged[part.index] || part.end <= target.written || part.end > target.size {
            damaged[part.index] = true;
            continue;
        }
        match read_part(&folder.join(FILES_NAME).join(&target.name), target, &part) {
            Some(hasher) => {
                target.hasher = hasher;
                target.written = part.end;
                kept.push_str(&part.line());
            }
            None => damaged[part.index] = true,
        }
    }
    kept
}

fn journal(path: &Path) -> Vec<Part> {
    let Ok(file) = File::open(path) else { return Vec::new() };
    let mut reader = BufReader::new(file);
    let mut parts = Vec::new();
    let mut line = String::new();
    while parts.len() < LINES_MAX {
        line.clear();
        match (&mut reader).take(LINE_BYTES_MAX).read_line(&mut line).ok().and_then(|_| Part::parse(&line)) {
            Some(part) => parts.push(part),
            None => break,
        }
    }
    parts
}

/// The file's hasher after `part`, if the part on disk is the one that the journal lists.
fn read_part(path: &Path, target: &Target, part: &Part) -> Option<Hasher> {
    use std::os::unix::fs::FileExt;
    let file = File::open(path).ok()?;
    let mut whole = target.hasher.clone();
    let mut this = Hasher::new();
    let mut piece = vec![0; 1 << 20];
    let mut at = target.written;
    while at < part.end {
        let want = piece.len().min(usize::try_from(part.end - at).unwrap_or(usize::MAX));
        let got = file.read_at(&mut piece[..want], at).ok().filter(|&got| got > 0)?;
        whole.update(&piece[..got]);
        this.update(&piece[..got]);
        at += got as u64;
    }
    (this.finish() == part.sha256).then_some(whole)
}

fn sync_tree(folder: &Path) -> io::Result<()> {
    for item in fs::read_dir(folder)? {
        let item = item?;
        if item.file_type()?.is_dir() {
            sync_tree(&item.path())?;
        }
    }
    sync_folder(folder)
}

#[cfg(test)]
#[path = "staging_tests.rs"]
mod tests;
