//! The committed models, and buckets made of them.

use std::io;
use std::path::{Path, PathBuf};

/// The folder of the committed models.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/zoo")
}

/// The artifact of one committed version.
#[must_use]
pub fn artifact(model: &str, version: &str) -> PathBuf {
    folder().join("artifacts").join(model).join(version)
}

/// The public key that the committed artifacts are signed for.
#[must_use]
pub fn public_key() -> PathBuf {
    folder().join("keys/zoo.pub")
}

/// Every committed model with its versions.
pub fn all() -> io::Result<Vec<(String, Vec<String>)>> {
    let mut models = Vec::new();
    for model in names(&folder().join("artifacts"))? {
        let versions = names(&folder().join("artifacts").join(&model))?;
        models.push((model, versions));
    }
    Ok(models)
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries: io::Result<Vec<_>> = std::fs::read_dir(folder)?.collect();
    let mut names: Vec<String> =
        entries?.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// Copies an artifact folder into a bucket folder under another label.
pub fn publish(artifact: &Path, bucket: &Path, model: &str, version: &str) -> io::Result<()> {
    place(artifact, &bucket.join(model).join(version), &|from, to| std::fs::copy(from, to).map(drop))
}

/// [`publish`] by hard links: it moves no bytes, so it takes nothing from what is being measured. The artifact has to be
/// on the bucket's disk.
pub fn link(artifact: &Path, bucket: &Path, model: &str, version: &str) -> io::Result<()> {
    place(artifact, &bucket.join(model).join(version), &|from, to| std::fs::hard_link(from, to))
}

fn place(from: &Path, to: &Path, file: &dyn Fn(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            place(&entry.path(), &target, file)?;
        } else {
            file(&entry.path(), &target)?;
        }
    }
    Ok(())
}

/// The rows that the quickstart replays: real ones, nine features each.
pub fn fraud_rows() -> io::Result<Vec<Vec<f32>>> {
    let text = std::fs::read_to_string(folder().join("traffic/fraud-detection.json"))?;
    Ok(serde_json::from_str(&text)?)
}
