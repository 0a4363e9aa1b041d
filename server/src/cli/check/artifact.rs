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
        let any = VersionSpec { digest: None, ..self.values.model.target.clone() };
        let pulled = match self.pull(&any).await {
            Ok(pulled) => pulled,
            Err(trouble) => return ArtifactFacts::without_bytes(trouble),
        };
        let signed = self.fetch(&any, &self.signing).await;
        // What a signature does not cover may be withheld from the loader.
        let loaded = self.load(signed.as_ref().unwrap_or(&pulled)).await;
        let stable = match self.other_stable() {
            Some(spec) => Some((spec, self.pull(spec).await)),
            None => None,
        };
        let mut facts = ArtifactFacts {
            bytes: Ok(pulled.digest()),
            signature: Some(signed.map(|artifact| artifact.notes().to_vec())),
            stable_signature: None,
            model: None,
            answers: None,
            compatible: None,
        };
        if let Some((spec, Ok(_))) = &stable {
            let signed = self.fetch(spec, &self.signing).await;
            facts.stable_signature = Some(signed.map(|artifact| artifact.notes().to_vec()));
        }
        match loaded {
            Err(trouble) => facts.model = Some(Err(trouble)),
            Ok(rehearsal) => {
                facts.model = Some(Ok(()));
                facts.answers = Some(rehearsal.answers().await.map_err(|error| not_staged(&error)));
                if let Some((spec, stable)) = stable {
                    let compared = compare(&rehearsal, stable).await;
                    facts.compatible =
                        Some(compared.map_err(|trouble| trouble.of(&format!("stable {}", spec.version))));
                }
            }
        }
        facts
    }

    /// What the file falls back to, where that is another version.
    fn other_stable(&self) -> Option<&VersionSpec> {
        let target = &self.values.model.target;
        self.values.stable.as_ref().filter(|stable| stable.version != target.version)
    }

    /// The bytes, whoever signed them.
    async fn pull(&self, spec: &VersionSpec) -> Found<VerifiedArtifact> {
        let unsigned = Signing { policy: SigningPolicy::Disabled, ..self.signing.clone() };
        self.fetch(spec, &unsigned).await
    }

    async fn load(&self, artifact: &VerifiedArtifact) -> Found<Rehearsal> {
        let rows_max = self.values.serving.max_batch_size;
        let format = self.values.model.format.as_deref();
        Rehearsal::of(artifact, format, rows_max).await.map_err(|error| not_staged(&error))
    }

    async fn fetch(&self, spec: &VersionSpec, signing: &Signing) -> Found<VerifiedArtifact> {
        let model: &ModelName = &self.values.model.name;
        let fetched = self.store.fetch(Fetch { model, spec, signing }, self.progress).await;
        fetched.map_err(|error| not_fetched(&error))
    }
}

/// What of `rehearsal` does not fit stable.
async fn compare(rehearsal: &Rehearsal, stable: Found<VerifiedArtifact>) -> Found<Vec<String>> {
    let theirs = bringup::signature(&stable?).await.map_err(|error| not_staged(&error))?;
    Ok(rehearsal.signature().compatible_with(&theirs).err().unwrap_or_default())
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
