//! The bytes: pulled as a server pulls them, into a folder that is gone afterwards, and tried on the CPU.
//!
//! They are fetched twice, first without any demand and then as the file demands, so that a wrong digest or signature is
//! told as such and what else is wrong with the model is told too. The second time nothing is downloaded.

use std::path::Path;
use std::sync::Arc;

use config::{ModelName, Signing, SigningPolicy, Values, VersionSpec};
use tempfile::TempDir;
use tokio::sync::watch;

use super::facts::{ArtifactFacts, Found, Trouble};
use crate::bringup::{self, Rehearsal};
use crate::rollout::StageError;
use crate::store::{Fetch, FetchError, Progress, RetryPolicy, Store, StoreOptions, VerifiedArtifact};

/// Attempts of one request; somebody waits for the answer.
const ATTEMPTS: u32 = 4;

/// What to look at, and where to.
struct Examination<'a> {
    values: &'a Values,
    signing: Signing,
    store: Arc<Store>,
    progress: &'a watch::Sender<Progress>,
}

/// Pulls, verifies, loads and tries the version; `key` stands in for the file's own path of the public key.
pub(super) async fn examine(values: &Values, key: Option<&Path>, progress: &watch::Sender<Progress>) -> ArtifactFacts {
    let mut signing = values.model.signing.clone();
    if let Some(key) = key {
        signing.public_key_path = Some(key.to_path_buf());
    }
    match open().await {
        Ok((_folder, store)) => Examination { values, signing, store, progress }.all().await,
        Err(trouble) => ArtifactFacts::without_bytes(trouble),
    }
}

/// A cache for this one look.
async fn open() -> Result<(TempDir, Arc<Store>), Trouble> {
    let failed = |error: &dyn std::fmt::Display| Trouble::Unreachable(format!("no folder to pull it to: {error}"));
    let folder = TempDir::with_prefix("sluice-check-").map_err(|error| failed(&error))?;
    let retry = RetryPolicy { attempts_max: ATTEMPTS, ..RetryPolicy::default() };
    let options = StoreOptions { retry, ..StoreOptions::new(folder.path().to_path_buf(), u64::MAX) };
    let store = Store::open(options).await.map_err(|error| failed(&error))?;
    Ok((folder, store))
}

impl Examination<'_> {
    async fn all(&self) -> ArtifactFacts {
        let target = &self.values.model.target;
        let any = VersionSpec { digest: None, ..target.clone() };
        let unsigned = Signing { policy: SigningPolicy::Disabled, ..self.signing.clone() };
        let pulled = match self.fetch(&any, &unsigned).await {
            Ok(pulled) => pulled,
            Err(trouble) => return ArtifactFacts::without_bytes(trouble),
        };
        let signed = self.fetch(&any, &self.signing).await;
        // What a signature does not cover may be withheld from the loader.
        let loaded = self.load(signed.as_ref().unwrap_or(&pulled)).await;
        let mut facts = ArtifactFacts {
            bytes: Ok(pulled.digest()),
            signature: Some(signed.map(|artifact| artifact.notes().to_vec())),
            model: None,
            answers: None,
            compatible: None,
        };
        match loaded {
            Err(trouble) => facts.model = Some(Err(trouble)),
            Ok(rehearsal) => {
                facts.model = Some(Ok(()));
                facts.answers = Some(rehearsal.answers().await.map_err(|error| not_staged(&error)));
                facts.compatible = self.compatible(&rehearsal).await;
            }
        }
        facts
    }

    async fn load(&self, artifact: &VerifiedArtifact) -> Found<Rehearsal> {
        let rows_max = self.values.serving.max_batch_size;
        let format = self.values.model.format.as_deref();
        Rehearsal::of(artifact, format, rows_max).await.map_err(|error| not_staged(&error))
    }

    /// What does not fit stable, where that is another version.
    async fn compatible(&self, rehearsal: &Rehearsal) -> Option<Found<Vec<String>>> {
        let stable = self.values.stable.as_ref().filter(|stable| stable.version != self.values.model.target.version)?;
        let about = |trouble| match trouble {
            Trouble::Wrong(message) => Trouble::Wrong(format!("stable {}: {message}", stable.version)),
            Trouble::Unreachable(message) => Trouble::Unreachable(format!("stable {}: {message}", stable.version)),
        };
        let compared = async {
            let artifact = self.fetch(stable, &self.signing).await?;
            let theirs = bringup::signature(&artifact).await.map_err(|error| not_staged(&error))?;
            Ok(rehearsal.signature().compatible_with(&theirs).err().unwrap_or_default())
        };
        Some(compared.await.map_err(about))
    }

    async fn fetch(&self, spec: &VersionSpec, signing: &Signing) -> Found<VerifiedArtifact> {
        let model: &ModelName = &self.values.model.name;
        let fetched = self.store.fetch(Fetch { model, spec, signing }, self.progress).await;
        fetched.map_err(|error| not_fetched(&error))
    }
}

/// Whether the bucket was heard: what is not there, or is wrong, is its answer.
fn not_fetched(error: &FetchError) -> Trouble {
    let message = error.to_string();
    match error {
        // A folder that is not there is an answer; a cloud's client that cannot be made is none.
        FetchError::Source { uri, .. } if uri.starts_with("file:") => Trouble::Wrong(message),
        FetchError::Key { .. } => {
            Trouble::Wrong(format!("{message}; --public-key FILE says where it is on this machine"))
        }
        FetchError::Empty { .. } | FetchError::Unfinished { .. } => Trouble::Wrong(message),
        error if error.permanent() => Trouble::Wrong(message),
        _ => Trouble::Unreachable(message),
    }
}

fn not_staged(error: &StageError) -> Trouble {
    let message = error.reason.clone();
    if error.permanent { Trouble::Wrong(message) } else { Trouble::Unreachable(message) }
}
