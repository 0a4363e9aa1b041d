//! The signed payload: an in-toto statement whose predicate lists the files and their hashes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::super::digest::{FileDigest, Hasher, MANIFEST_NAME, Sha256, root};
use super::super::listing::skipped;
use super::{Scope, SignatureError};

const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE: &str = "https://model_signing/signature/v1.0";
const SHA256: &str = "sha256";
const FILES_METHOD: &str = "files";
/// What the reference signer leaves out by default.
const GIT_PATHS: [&str; 4] = [".git", ".gitattributes", ".github", ".gitignore"];
/// Most differences that one error lists.
const PROBLEMS_MAX: usize = 20;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Serialize, Deserialize)]
struct Subject {
    #[serde(default)]
    name: String,
    digest: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct Predicate {
    serialization: Serialization,
    resources: Vec<Resource>,
}

#[derive(Serialize, Deserialize)]
struct Serialization {
    method: String,
    hash_type: String,
    allow_symlinks: bool,
    #[serde(default)]
    ignore_paths: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Resource {
    name: String,
    algorithm: String,
    digest: String,
}

/// Only the type, so that a statement of another shape is named and not called malformed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatementType {
    #[serde(rename = "_type")]
    kind: String,
    predicate_type: String,
}

/// Checks the payload and what it says about `files`; returns the files it says nothing about.
pub(super) fn check(payload: &[u8], files: &[FileDigest], scope: Scope<'_>) -> Result<Vec<String>, SignatureError> {
    let statement = parse(payload)?;
    check_serialization(&statement.predicate.serialization, scope)?;
    let signed = signed_files(&statement)?;
    let held: BTreeMap<&str, &FileDigest> = files.iter().map(|file| (file.name.as_str(), file)).collect();
    let mut problems: Vec<String> = signed
        .iter()
        .filter_map(|(name, sha256)| match held.get(name) {
            None => Some(format!("{name} is signed and missing")),
            Some(file) if file.sha256 != *sha256 => {
                Some(format!("{name} has SHA-256 {}, signed was {sha256}", file.sha256))
            }
            Some(_) => None,
        })
        .collect();
    let missing = signed.keys().filter(|name| !held.contains_key(*name)).count();
    let outside = |name: &str| name == scope.signature_path || name == MANIFEST_NAME || signed.contains_key(name);
    let unsigned: Vec<String> = held.keys().filter(|name| !outside(name)).map(|&name| name.to_owned()).collect();
    if !scope.ignore_unsigned_files {
        problems.extend(unsigned.iter().map(|name| format!("{name} is not signed")));
    }
    let only_missing = problems.len() == missing;
    problems.truncate(PROBLEMS_MAX);
    if problems.is_empty() {
        Ok(unsigned)
    } else if only_missing {
        Err(SignatureError::FilesMissing(problems))
    } else {
        Err(SignatureError::Files(problems))
    }
}

fn parse(payload: &[u8]) -> Result<Statement, SignatureError> {
    let malformed = |error: serde_json::Error| SignatureError::Malformed(format!("payload: {error}"));
    let StatementType { kind, predicate_type } = serde_json::from_slice(payload).map_err(malformed)?;
    if kind != STATEMENT_TYPE {
        return Err(SignatureError::Unsupported(format!("statement type {kind:?}")));
    }
    if predicate_type != PREDICATE_TYPE {
        return Err(SignatureError::Unsupported(format!("predicate type {predicate_type:?}")));
    }
    serde_json::from_slice(payload).map_err(malformed)
}

fn check_serialization(serialization: &Serialization, scope: Scope<'_>) -> Result<(), SignatureError> {
    let Serialization { method, hash_type, allow_symlinks: _, ignore_paths } = serialization;
    if method != FILES_METHOD {
        return Err(SignatureError::Unsupported(format!("serialization method {method:?}")));
    }
    if hash_type != SHA256 {
        return Err(SignatureError::Unsupported(format!("hash type {hash_type:?}")));
    }
    // A signer that left out a weights file signed nothing of worth: only what is never loaded may be left out.
    let harmless = |path: &&String| skipped(path) || *path == scope.signature_path || *path == MANIFEST_NAME;
    match ignore_paths.iter().find(|path| !harmless(path)) {
        Some(path) => Err(SignatureError::Files(vec![format!("the signature leaves out {path:?} (ignore_paths)")])),
        None => Ok(()),
    }
}

/// The signed names and hashes, after checking that the statement agrees with itself.
fn signed_files(statement: &Statement) -> Result<BTreeMap<&str, Sha256>, SignatureError> {
    let malformed = |what: String| SignatureError::Malformed(what);
    let mut signed = BTreeMap::new();
    let mut hasher = Hasher::new();
    for resource in &statement.predicate.resources {
        if resource.algorithm != SHA256 {
            return Err(SignatureError::Unsupported(format!("hash algorithm {:?}", resource.algorithm)));
        }
        let sha256 = Sha256::parse(&resource.digest)
            .ok_or_else(|| malformed(format!("the digest of {} is not a SHA-256", resource.name)))?;
        hasher.update(sha256.as_bytes());
        if signed.insert(resource.name.as_str(), sha256).is_some() {
            return Err(malformed(format!("{} is listed twice", resource.name)));
        }
    }
    let [subject] = &statement.subject[..] else {
        return Err(malformed(format!("it has {} subjects, expected one", statement.subject.len())));
    };
    if signed.is_empty() {
        return Err(malformed("it lists no files".to_owned()));
    }
    // In the order of the list: signers sort by name or by path component, and both are in use.
    let root = hasher.finish().to_string();
    match subject.digest.get(SHA256) {
        Some(digest) if *digest == root => Ok(signed),
        _ => Err(malformed(format!("its files hash to {root}, its subject is another digest"))),
    }
}

/// The payload that signs `files`.
pub(super) fn make(model: &str, files: &[FileDigest], signature_path: &str) -> Vec<u8> {
    let mut sorted: Vec<&FileDigest> = files.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let resource = |file: &&FileDigest| Resource {
        name: file.name.clone(),
        algorithm: SHA256.to_owned(),
        digest: file.sha256.to_string(),
    };
    let ignored: BTreeSet<&str> = GIT_PATHS.into_iter().chain([signature_path, MANIFEST_NAME]).collect();
    let statement = Statement {
        kind: STATEMENT_TYPE.to_owned(),
        subject: vec![Subject {
            name: model.to_owned(),
            digest: BTreeMap::from([(SHA256.to_owned(), root(files).hex())]),
        }],
        predicate_type: PREDICATE_TYPE.to_owned(),
        predicate: Predicate {
            serialization: Serialization {
                method: FILES_METHOD.to_owned(),
                hash_type: SHA256.to_owned(),
                allow_symlinks: false,
                ignore_paths: ignored.into_iter().map(str::to_owned).collect(),
            },
            resources: sorted.iter().map(resource).collect(),
        },
    };
    serde_json::to_vec(&statement).expect("strings and lists always make JSON")
}
