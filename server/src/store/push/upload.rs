//! The destination of a push: what is there, and how it is added to without ever overwriting anything.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use config::Digest;
use futures::StreamExt;
use object_store::buffered::BufWriter;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::digest::{FileDigest, Hasher, MANIFEST_NAME, MARKER_NAME, SIGNATURE_NAME, Sha256, covered};
use super::super::listing::{Limits, RemoteFile};
use super::super::manifest::{MANIFEST_BYTES_MAX, Manifest};
use super::super::oms::{self, SIGNATURE_BYTES_MAX, Scope};
use super::super::retry::{Attempt, Class, RetryPolicy};
use super::prepare::{Prepared, Signer, Upload};
use super::{FetchError, PushError, Pushed, Source};

/// Bytes held of each file that is uploaded. Larger files go in parts.
const BUFFER_BYTES: usize = 8 << 20;
/// Largest mark that is read.
const MARKER_BYTES_MAX: u64 = 4 << 10;
/// How often the mark is tried while other pushes take theirs away.
const MARKS_MAX: usize = 3;

/// Where a push goes.
pub(super) struct Destination(Source);

/// What is there.
pub(super) enum Vacancy {
    /// Nothing, or the start of this very push: files by name.
    Free(HashMap<String, RemoteFile>),
    /// This very artifact, whole.
    Pushed(Pushed),
}

/// What is under the name of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum There {
    Nothing,
    /// The file: it was compared.
    Same,
    /// Who knows.
    Something,
}

/// What came of creating an object.
#[derive(PartialEq, Eq)]
enum Created {
    New,
    /// Something is there, and stays.
    Exists,
}

impl Destination {
    pub(super) const fn new(source: Source) -> Self {
        Self(source)
    }

    /// Whether `prepared` may be uploaded, by names and sizes; contents are compared as each file's turn comes.
    pub(super) async fn vacancy(&self, prepared: &Prepared) -> Result<Vacancy, PushError> {
        if let Some(bytes) = self.read(MANIFEST_NAME, MANIFEST_BYTES_MAX).await? {
            return self.same_artifact(&bytes, prepared).await.map(Vacancy::Pushed);
        }
        let there = self.list().await?;
        let ours: HashMap<&str, u64> =
            prepared.uploads.iter().map(|upload| (upload.digest.name.as_str(), upload.digest.size)).collect();
        // The same push, elsewhere, may be writing both at this moment; they are compared when their turn comes.
        let later = |name: &str| name == MANIFEST_NAME || (prepared.signer.is_some() && name == SIGNATURE_NAME);
        let foreign = |file: &&RemoteFile| !later(&file.name) && ours.get(file.name.as_str()) != Some(&file.size);
        match there.values().filter(foreign).min_by(|a, b| a.name.cmp(&b.name)) {
            Some(file) => Err(self.foreign(&file.name, file.size)),
            None => Ok(Vacancy::Free(there)),
        }
    }

    async fn same_artifact(&self, manifest: &[u8], prepared: &Prepared) -> Result<Pushed, PushError> {
        let bytes = manifest.len() as u64;
        let manifest =
            Manifest::parse(manifest).map_err(|problem| self.occupied(format!("a manifest.json: {problem}")))?;
        let (files, digest) = (prepared.digests(), prepared.digest);
        match manifest.digest() {
            Some(there) if there == digest && same_but_signature(&manifest.files, &files) => {
                self.as_signed(&manifest, prepared).await?;
                let bytes = manifest.files.iter().fold(bytes, |sum, file| sum.saturating_add(file.size));
                Ok(Pushed { digest, files: manifest.files.len() + 1, bytes, unchanged: true })
            }
            Some(there) => Err(self.occupied(format!("an artifact with digest {there}, this one has {digest}"))),
            None => Err(self.occupied("a manifest.json without a digest".to_owned())),
        }
    }

    /// Refuses an artifact that lacks the signature that this push brings, or has one that its key did not make.
    async fn as_signed(&self, there: &Manifest, prepared: &Prepared) -> Result<(), PushError> {
        let signed = |files: &[FileDigest]| files.iter().any(|file| file.name == SIGNATURE_NAME);
        match &prepared.signer {
            Some(signer) if signed(&there.files) => self.signature(signer, prepared).await.map(drop),
            None if signed(&there.files) || !signed(&prepared.digests()) => Ok(()),
            _ => Err(PushError::Unsigned { url: self.0.uri().to_owned() }),
        }
    }

    /// Says that an upload of `digest` is under way. Of pushes of other bytes only one gets here at a time; the same push
    /// may have left its mark before. Says whether the mark is new.
    pub(super) async fn mark(&self, digest: Digest) -> Result<bool, PushError> {
        let text = format!(
            "{digest}\nAn upload by `sluice push` is under way here, or was cut off. The same push again completes it.\n"
        );
        for _ in 0..MARKS_MAX {
            if self.create(MARKER_NAME, text.clone().into()).await? == Created::New {
                return Ok(true);
            }
            // Nothing there means that the other push has just ended.
            let Some(mark) = self.read(MARKER_NAME, MARKER_BYTES_MAX).await? else { continue };
            let text = String::from_utf8_lossy(&mark);
            let whose = text.lines().next().unwrap_or_default();
            return if whose == digest.to_string() {
                Ok(false)
            } else {
                let found = format!("an unfinished push of {whose:?} ({MARKER_NAME}), and this one has {digest}");
                Err(self.occupied(found))
            };
        }
        Err(self.occupied("pushes that come and go".to_owned()))
    }

    /// Takes the mark away. It stays where the account may not delete, as `deploy/` has it, and means nothing beside a
    /// manifest: nobody need hear of it.
    pub(super) async fn unmark(&self) {
        let Ok(location) = self.0.location(MARKER_NAME) else { return };
        let _stays = self.0.store().delete(&location).await;
    }

    /// Refuses what is there and is not the start of this very push, by content.
    pub(super) async fn compare_all(
        &self,
        prepared: &Prepared,
        there: &HashMap<String, RemoteFile>,
    ) -> Result<(), PushError> {
        for upload in prepared.uploads.iter().filter(|upload| there.contains_key(&upload.digest.name)) {
            self.compare(&upload.digest).await?;
        }
        match &prepared.signer {
            Some(signer) if there.contains_key(SIGNATURE_NAME) => self.signature(signer, prepared).await.map(drop),
            _ => Ok(()),
        }
    }

    /// Puts the signature there, or takes the one that an earlier attempt with this key left: ECDSA signs the same bytes
    /// differently each time, and the manifest names one of them.
    pub(super) async fn sign(&self, prepared: &Prepared) -> Result<Option<FileDigest>, PushError> {
        let Some(signer) = &prepared.signer else { return Ok(None) };
        let signature = Bytes::from(oms::sign(&signer.key, &signer.model, &prepared.digests(), SIGNATURE_NAME)?);
        match self.create(SIGNATURE_NAME, signature.clone()).await? {
            Created::New => Ok(Some(described(SIGNATURE_NAME, &signature))),
            Created::Exists => self.signature(signer, prepared).await.map(Some),
        }
    }

    /// The signature that is there, which must be by this key for these files.
    async fn signature(&self, signer: &Signer, prepared: &Prepared) -> Result<FileDigest, PushError> {
        let no_public =
            || PushError::Key { path: signer.path.clone(), reason: "its public half is missing".to_owned() };
        let public = signer.key.public().ok_or_else(no_public)?;
        let scope = Scope { signature_path: SIGNATURE_NAME, ignore_unsigned_files: false };
        match self.read(SIGNATURE_NAME, SIGNATURE_BYTES_MAX).await? {
            Some(signature) if oms::verify(&signature, &public, &prepared.digests(), scope).is_ok() => {
                Ok(described(SIGNATURE_NAME, &signature))
            }
            _ => Err(self.occupied(format!("{SIGNATURE_NAME}, which this key did not make for these files"))),
        }
    }

    /// Puts one file there, unless it is there.
    pub(super) async fn upload(&self, upload: &Upload, there: There, report: &impl Fn(u64)) -> Result<(), PushError> {
        let FileDigest { name, size, .. } = &upload.digest;
        if there != There::Nothing {
            if there == There::Something {
                self.compare(&upload.digest).await?;
            }
            report(*size);
        } else if *size > BUFFER_BYTES as u64 {
            // No store creates an object in parts only where there is none. The mark keeps other pushes out.
            self.upload_parts(upload, report).await?;
        } else {
            let bytes = tokio::fs::read(&upload.path).await;
            let bytes = bytes.map_err(|source| PushError::Read { path: upload.path.clone(), source })?;
            if Sha256::of(&bytes) != upload.digest.sha256 {
                return Err(PushError::FileChanged { path: upload.path.clone() });
            }
            if self.create(name, bytes.into()).await? == Created::Exists {
                self.compare(&upload.digest).await?;
            }
            report(*size);
        }
        Ok(())
    }

    /// Uploads a file in bounded pieces and compares what was read with what was hashed before.
    async fn upload_parts(&self, upload: &Upload, report: &impl Fn(u64)) -> Result<(), PushError> {
        let Upload { digest: FileDigest { name, sha256, .. }, path } = upload;
        let unread = |source| PushError::Read { path: path.clone(), source };
        let failed = |error: std::io::Error| self.failed(name, error);
        let mut file = tokio::fs::File::open(path).await.map_err(unread)?;
        let mut writer = BufWriter::with_capacity(Arc::clone(self.0.store()), self.location(name)?, BUFFER_BYTES);
        let mut hasher = Hasher::new();
        let mut piece = vec![0; 1 << 20];
        loop {
            let count = file.read(&mut piece).await.map_err(unread)?;
            if count == 0 {
                break;
            }
            hasher.update(&piece[..count]);
            writer.write_all(&piece[..count]).await.map_err(failed)?;
            report(count as u64);
        }
        if hasher.finish() != *sha256 {
            if let Err(error) = writer.abort().await {
                tracing::debug!(%error, "could not abort an upload");
            }
            return Err(PushError::FileChanged { path: path.clone() });
        }
        writer.shutdown().await.map_err(failed)
    }

    /// Before the manifest says that this is all: it is, and nothing came beside it.
    pub(super) async fn confirm(&self, files: &[FileDigest]) -> Result<(), PushError> {
        let mut there = self.list().await?;
        there.remove(MANIFEST_NAME);
        for file in files {
            match there.remove(&file.name) {
                Some(found) if found.size == file.size => {}
                Some(found) => return Err(self.foreign(&found.name, found.size)),
                None => return Err(self.failed(&file.name, "it was uploaded and is gone")),
            }
        }
        match there.values().next() {
            Some(file) => Err(self.foreign(&file.name, file.size)),
            None => Ok(()),
        }
    }

    /// The manifest makes the artifact whole.
    pub(super) async fn put_manifest(&self, bytes: Bytes) -> Result<(), PushError> {
        let size = bytes.len() as u64;
        if self.create(MANIFEST_NAME, bytes.clone()).await? == Created::New {
            return Ok(());
        }
        match self.read(MANIFEST_NAME, size).await? {
            Some(there) if there == bytes => Ok(()),
            _ => Err(self.occupied("a manifest.json that another push just wrote".to_owned())),
        }
    }

    /// Creates an object where there is none. A store that cannot do that in one step is asked first.
    async fn create(&self, name: &str, bytes: Bytes) -> Result<Created, PushError> {
        use object_store::Error;
        let (store, location) = (self.0.store(), self.location(name)?);
        match store.put_opts(&location, bytes.clone().into(), PutOptions::from(PutMode::Create)).await {
            Ok(_) => return Ok(Created::New),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => return Ok(Created::Exists),
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => {}
            Err(error) => return Err(self.failed(name, error)),
        }
        match store.head(&location).await {
            Ok(_) => Ok(Created::Exists),
            Err(Error::NotFound { .. }) => {
                store.put(&location, bytes.into()).await.map_err(|error| self.failed(name, error))?;
                Ok(Created::New)
            }
            Err(error) => Err(self.failed(name, error)),
        }
    }

    /// Refuses an object that is not `expected`, by its content.
    async fn compare(&self, expected: &FileDigest) -> Result<(), PushError> {
        let name = &expected.name;
        let failed = |error: object_store::Error| self.failed(name, error);
        let answer = self.0.store().get(&self.location(name)?).await.map_err(failed)?;
        let (mut body, mut hasher, mut size) = (answer.into_stream(), Hasher::new(), 0);
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(failed)?;
            size += piece.len() as u64;
            if size > expected.size {
                break;
            }
            hasher.update(&piece);
        }
        if size == expected.size && hasher.finish() == expected.sha256 {
            Ok(())
        } else {
            Err(self.occupied(format!("{name} with other bytes")))
        }
    }

    async fn list(&self) -> Result<HashMap<String, RemoteFile>, PushError> {
        match self.0.list_unfinished(&Limits::default(), &RetryPolicy::default()).await {
            Ok(listing) => Ok(listing.files().iter().map(|file| (file.name.clone(), file.clone())).collect()),
            Err(FetchError::Empty { .. }) => Ok(HashMap::new()),
            Err(error @ (FetchError::Bounds { .. } | FetchError::Pickle { .. })) => {
                Err(self.occupied(error.to_string()))
            }
            Err(error) => Err(PushError::Store { object: self.0.uri().to_owned(), reason: error.to_string() }),
        }
    }

    /// A whole small file, if it is there.
    async fn read(&self, name: &str, bytes_max: u64) -> Result<Option<Bytes>, PushError> {
        match self.0.get_small(name, bytes_max).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Attempt { class: Class::Missing, .. }) => Ok(None),
            Err(Attempt { reason, .. }) => Err(self.failed(name, reason)),
        }
    }

    fn location(&self, name: &str) -> Result<ObjectPath, PushError> {
        self.0.location(name).map_err(|error| self.failed(name, error))
    }

    fn failed(&self, name: &str, reason: impl ToString) -> PushError {
        PushError::Store { object: format!("{}/{name}", self.0.uri()), reason: reason.to_string() }
    }

    fn foreign(&self, name: &str, size: u64) -> PushError {
        self.occupied(format!("{name} ({size} bytes), which is not part of this"))
    }

    fn occupied(&self, found: String) -> PushError {
        PushError::Occupied { url: self.0.uri().to_owned(), found }
    }
}

fn described(name: &str, bytes: &[u8]) -> FileDigest {
    FileDigest { name: name.to_owned(), size: bytes.len() as u64, sha256: Sha256::of(bytes) }
}

/// Signatures of the same files differ, so they are not compared.
fn same_but_signature(there: &[FileDigest], files: &[FileDigest]) -> bool {
    let unsigned = |files: &[FileDigest]| -> Vec<FileDigest> {
        let mut files: Vec<FileDigest> =
            files.iter().filter(|file| covered(&file.name, SIGNATURE_NAME)).cloned().collect();
        files.sort_by(|a, b| a.name.cmp(&b.name));
        files
    };
    unsigned(there) == unsigned(files)
}
