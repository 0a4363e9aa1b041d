//! What a source says it holds, bounded and named safely. Every name that reaches the disk has passed here.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use object_store::path::Path;

use super::digest::{Hasher, MANIFEST_NAME, MARKER_NAME, Sha256};

/// Most problems that one error lists.
const PROBLEMS_MAX: usize = 20;
/// Longest component and path, in bytes: what common file systems take, with room for the cache's own folders.
const COMPONENT_BYTES_MAX: usize = 200;
const NAME_BYTES_MAX: usize = 1024;
/// First components that Git tools leave behind. OMS signers skip them too, and they are never downloaded.
const GIT_NAMES: &[&str] = &[".git", ".gitattributes", ".github", ".gitignore"];

/// Bounds on an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Files of an artifact.
    pub files_max: usize,
    /// Bytes of one file.
    pub file_bytes_max: u64,
    /// Bytes of all files.
    pub total_bytes_max: u64,
    /// Components of a file's relative path.
    pub depth_max: usize,
    /// Wait for one listing attempt.
    pub listing_deadline: Duration,
    /// Wait for one part of a file.
    pub part_deadline: Duration,
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemoteFile {
    /// Path relative to the artifact.
    pub(super) name: String,
    /// Where the source keeps it.
    pub(super) location: Path,
    pub(super) size: u64,
    /// The source's entity tag, as it gave it.
    pub(super) tag: Option<String>,
    /// Milliseconds since the Unix epoch; tells contents apart where there is no tag.
    pub(super) modified_ms: i64,
    /// Known beforehand where the listing came from a manifest.
    pub(super) sha256: Option<Sha256>,
}

/// The files of an artifact, sorted by name; each name is safe to join to a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listing {
    files: Vec<RemoteFile>,
}

/// Why a listing was refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Bounds(Vec<String>),
    Pickle(Vec<String>),
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            files_max: 4096,
            file_bytes_max: 64 << 30,
            total_bytes_max: 128 << 30,
            depth_max: 16,
            listing_deadline: Duration::from_secs(60),
            part_deadline: Duration::from_secs(120),
        }
    }
}

impl Limits {
    /// Objects that are listed at most, with those that are no files of the artifact: Git's own and folder markers.
    pub(super) const fn objects_max(&self) -> usize {
        self.files_max.saturating_mul(4)
    }
}

impl Listing {
    /// Checks what a source listed. Directory markers and Git's own files are left out.
    pub(super) fn check(mut files: Vec<RemoteFile>, limits: &Limits) -> Result<Self, Refusal> {
        files.retain(|file| !skipped(&file.name));
        drop_directory_markers(&mut files);
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let mut problems = Vec::new();
        check_sizes(&files, limits, &mut problems);
        check_names(&files, limits, &mut problems);
        if !problems.is_empty() {
            return Err(Refusal::Bounds(shortened(problems)));
        }
        let pickles: Vec<String> = files.iter().filter(|f| is_pickle(&f.name)).map(|f| f.name.clone()).collect();
        if pickles.is_empty() { Ok(Self { files }) } else { Err(Refusal::Pickle(shortened(pickles))) }
    }

    pub(super) fn files(&self) -> &[RemoteFile] {
        &self.files
    }

    pub(super) fn total_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Identifies these bytes at this source, as well as the source itself can tell: 64 hex digits.
    pub(super) fn fingerprint(&self, uri: &str) -> String {
        let mut hasher = Hasher::new();
        field(&mut hasher, uri.as_bytes());
        for file in &self.files {
            field(&mut hasher, file.name.as_bytes());
            field(&mut hasher, &file.size.to_le_bytes());
            match (&file.sha256, &file.tag) {
                (Some(sha256), _) => field(&mut hasher, sha256.as_bytes()),
                (None, Some(tag)) => field(&mut hasher, tag.as_bytes()),
                (None, None) => field(&mut hasher, &file.modified_ms.to_le_bytes()),
            }
        }
        hasher.finish().to_string()
    }
}

/// Length first, so that no two lists of fields hash alike.
fn field(hasher: &mut Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

/// Whether `name` is left out of an artifact by everyone: Git's own files, the artifact's directory marker, and the mark
/// of a push.
pub(super) fn skipped(name: &str) -> bool {
    let first = name.split('/').next().unwrap_or_default();
    name.is_empty() || name == MARKER_NAME || GIT_NAMES.contains(&first)
}

/// Whether a push is under way here, or was cut off. Where the manifest is there too the upload is whole: a mark that
/// could not be deleted means nothing then.
pub(super) fn being_pushed(files: &[RemoteFile]) -> bool {
    let holds = |name: &str| files.iter().any(|file| file.name == name);
    holds(MARKER_NAME) && !holds(MANIFEST_NAME)
}

/// Console uploads leave empty objects named like directories; they are no files.
fn drop_directory_markers(files: &mut Vec<RemoteFile>) {
    let directories: std::collections::HashSet<String> =
        files.iter().flat_map(|file| parents(&file.name).map(str::to_owned)).collect();
    files.retain(|file| file.size > 0 || !directories.contains(&file.name));
}

/// `a/b/c` → `a`, `a/b`.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').map(|(at, _)| &name[..at])
}

fn check_sizes(files: &[RemoteFile], limits: &Limits, problems: &mut Vec<String>) {
    if files.len() > limits.files_max {
        problems.push(format!("it holds more than {} files", limits.files_max));
    }
    for file in files.iter().filter(|file| file.size > limits.file_bytes_max) {
        problems.push(format!("{} has {} bytes, more than {}", file.name, file.size, limits.file_bytes_max));
    }
    let total = files.iter().try_fold(0_u64, |sum, file| sum.checked_add(file.size));
    if total.is_none_or(|total| total > limits.total_bytes_max) {
        problems.push(format!("its files have more than {} bytes together", limits.total_bytes_max));
    }
}

fn check_names(files: &[RemoteFile], limits: &Limits, problems: &mut Vec<String>) {
    // The lower-case form of each file and folder, so that names differing only in case are found on both levels.
    let mut seen: HashMap<String, &str> = HashMap::new();
    let names: BTreeMap<&str, usize> = files.iter().fold(BTreeMap::new(), |mut names, file| {
        *names.entry(file.name.as_str()).or_insert(0) += 1;
        names
    });
    for (&name, &count) in &names {
        if let Some(problem) = name_problem(name, limits.depth_max) {
            problems.push(format!("{name:?} {problem}"));
            continue;
        }
        if count > 1 {
            problems.push(format!("{name} is listed {count} times"));
        }
        for path in parents(name).chain([name]) {
            match seen.insert(path.to_ascii_lowercase(), path) {
                Some(other) if other != path => problems.push(format!("{other} and {path} differ only in case")),
                _ => {}
            }
        }
        if let Some(file) = parents(name).find(|parent| names.contains_key(parent)) {
            problems.push(format!("{file} is a file and the folder of {name}"));
        }
    }
}

/// What is wrong with a relative path, if anything. The grammar is an allow-list: components of ASCII letters,
/// digits, `.`, `_`, `-`, `+`, `=`, `@`, `,` and inner spaces, joined by `/`.
pub(super) fn name_problem(name: &str, depth_max: usize) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '=' | '@' | ',' | ' ');
    if name.len() > NAME_BYTES_MAX {
        return Some(format!("is longer than {NAME_BYTES_MAX} bytes"));
    }
    if name.split('/').count() > depth_max {
        return Some(format!("is deeper than {depth_max} folders"));
    }
    for part in name.split('/') {
        if part.is_empty() || part == "." || part == ".." {
            return Some("is not a plain relative path".to_owned());
        }
        if part.len() > COMPONENT_BYTES_MAX {
            return Some(format!("has a component longer than {COMPONENT_BYTES_MAX} bytes"));
        }
        if let Some(bad) = part.chars().find(|&c| !allowed(c)) {
            return Some(format!("holds {bad:?}; use letters, digits and ._-+=@, or spaces"));
        }
        if part.starts_with(' ') || part.ends_with([' ', '.']) {
            return Some("has a component that starts with a space or ends with a space or dot".to_owned());
        }
    }
    None
}

/// Whether a file's name says that it is a Python pickle, in any of the wrappings frameworks give it.
pub(super) fn is_pickle(name: &str) -> bool {
    const EXTENSIONS: &[&str] = &["pkl", "pickle", "p", "joblib", "dill", "cloudpickle", "pt", "pth", "ckpt", "mar"];
    let file = name.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    // Compressed pickles: model.pkl.gz and the like.
    let plain = ["gz", "bz2", "xz", "lz4", "zst", "z", "lzma"]
        .iter()
        .find_map(|extension| file.strip_suffix(extension)?.strip_suffix('.'))
        .unwrap_or(&file);
    let extension = plain.rsplit_once('.').map(|(_, extension)| extension);
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension)) || plain == "pytorch_model.bin"
}

fn shortened(mut problems: Vec<String>) -> Vec<String> {
    let more = problems.len().saturating_sub(PROBLEMS_MAX);
    if more > 0 {
        problems.truncate(PROBLEMS_MAX);
        problems.push(format!("and {more} more"));
    }
    problems
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;
