//! A server's surroundings: bucket, mounted values file, cache; and what it says of itself.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, bail};
use config::StorageUri;
use serde_json::Value;
use server::store::{Environment, Progress, PushOptions, push};
use tempfile::TempDir;
use tests::kubelet::{Kubelet, LinkOrder};
use tests::zoo;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::process::Process;

/// Nothing a bench waits for takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// One bucket, one mount, one cache.
pub(crate) struct World {
    folder: TempDir,
    kubelet: Kubelet,
    model: String,
}

/// One client for all questions: making one reads every root certificate, which would be the loudest part of a swap.
pub(crate) fn client() -> &'static reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    CLIENT.get_or_init(reqwest::Client::new)
}

/// Signs the files of `source` as the committed artifacts are signed, into the folder `artifact`.
pub(crate) async fn sign(source: &Path, artifact: &Path) -> anyhow::Result<()> {
    let url = StorageUri::new(&format!("file://{}", artifact.display()))?;
    let (progress, _) = watch::channel(Progress::default());
    let key = Some(zoo::folder().join("keys/zoo.demo-key.pem"));
    push(PushOptions { dir: source.to_owned(), url, key, environment: Environment::from_process(), progress }).await?;
    Ok(())
}

/// Where a started server listens.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    pub(crate) http: String,
    pub(crate) grpc: String,
    pub(crate) admin: String,
}

impl World {
    /// An empty bucket for `model`, and no values file yet.
    pub(crate) fn new(model: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let kubelet = Kubelet::new(folder.path().join("mount"), LinkOrder::AfterRename)?;
        std::fs::create_dir(folder.path().join("bucket"))?;
        Ok(Self { folder, kubelet, model: model.to_owned() })
    }

    /// The committed identity model, declared and ready to serve.
    pub(crate) fn with_identity(model: &str) -> anyhow::Result<Self> {
        let mut world = Self::new(model)?;
        world.publish(&zoo::artifact(model, "v1"), "v1")?;
        world.declare("v1")?;
        Ok(world)
    }

    /// Uploads an artifact under a label.
    pub(crate) fn publish(&self, artifact: &Path, version: &str) -> anyhow::Result<()> {
        zoo::publish(artifact, &self.bucket(), &self.model, version)
            .with_context(|| format!("publish {}", artifact.display()))
    }

    /// Uploads an artifact of [`World::shelf`] under a label without moving its bytes.
    pub(crate) fn link(&self, artifact: &Path, version: &str) -> anyhow::Result<()> {
        zoo::link(artifact, &self.bucket(), &self.model, version)
            .with_context(|| format!("link {}", artifact.display()))
    }

    /// Puts a copy of an artifact beside the bucket, on the same disk.
    pub(crate) fn shelf(&self, artifact: &Path, name: &str) -> anyhow::Result<PathBuf> {
        zoo::publish(artifact, self.folder.path(), "shelf", name)?;
        Ok(self.folder.path().join("shelf").join(name))
    }

    /// Removes a label from the bucket.
    pub(crate) fn unpublish(&self, version: &str) -> anyhow::Result<()> {
        Ok(std::fs::remove_dir_all(self.uploaded(version))?)
    }

    /// Swaps the mounted values file to `version`: no steps, and the old version leaves at once, so that every
    /// promotion pulls, verifies, loads, warms and gates.
    pub(crate) fn declare(&mut self, version: &str) -> anyhow::Result<()> {
        self.declare_with(version, "steps: []")
    }

    /// [`World::declare`], with `steps` of the canary.
    pub(crate) fn declare_with(&mut self, version: &str, steps: &str) -> anyhow::Result<()> {
        let values = format!(
            "schemaVersion: v1alpha1\nmodel:\n  name: {}\n  version: \"{version}\"\n  storageUri: file://{}/{}/{{version}}\n  signing: {{policy: enforce, publicKeyRef: {{path: {}}}}}\nstrategy:\n  canary: {{scaleDownDelaySeconds: 0, rollbackWindow: {{revisions: 0}}, {steps}}}\n",
            self.model,
            self.bucket().display(),
            self.model,
            zoo::public_key().canonicalize()?.display(),
        );
        self.kubelet.swap(&[("values.yaml", &values)])?;
        Ok(())
    }

    /// Where a label's artifact lies in the bucket.
    pub(crate) fn uploaded(&self, version: &str) -> PathBuf {
        self.bucket().join(&self.model).join(version)
    }

    fn bucket(&self) -> PathBuf {
        self.folder.path().join("bucket")
    }

    /// The server's cache folder.
    pub(crate) fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// How to start the server in this world, on free ports.
    pub(crate) fn serve_arguments(&self) -> Vec<String> {
        let path = |path: &Path| path.display().to_string();
        let mut arguments = vec!["serve".to_owned()];
        for (flag, value) in [
            ("--values", path(self.kubelet.mount())),
            ("--cache", path(&self.cache())),
            ("--http", "127.0.0.1:0".to_owned()),
            ("--grpc", "127.0.0.1:0".to_owned()),
            ("--admin", "127.0.0.1:0".to_owned()),
            ("--log", "error".to_owned()),
        ] {
            arguments.extend([flag.to_owned(), value]);
        }
        arguments
    }

    /// Reads where a started server listens, without waiting until it is ready.
    pub(crate) async fn addresses(process: &mut Process) -> anyhow::Result<Addresses> {
        let line = process.line("listening ").await?;
        let field = |name: &str| {
            let found = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            found.map(str::to_owned).with_context(|| format!("`{line}` names {name}"))
        };
        Ok(Addresses { http: field("http")?, grpc: field("grpc")?, admin: field("admin")? })
    }

    /// Waits until a started server is ready.
    pub(crate) async fn ready(&self, process: &mut Process) -> anyhow::Result<Addresses> {
        let addresses = Self::addresses(process).await?;
        addresses.wait_ready().await?;
        Ok(addresses)
    }
}

impl Addresses {
    /// Waits until readiness is true.
    pub(crate) async fn wait_ready(&self) -> anyhow::Result<()> {
        let url = format!("http://{}/v2/health/ready", self.http);
        let until = Instant::now() + PATIENCE;
        while !client().get(&url).send().await.is_ok_and(|response| response.status().is_success()) {
            if Instant::now() > until {
                bail!("the server was not ready within {PATIENCE:?}: {}", self.status().await?);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// `/status` of the admin port.
    pub(crate) async fn status(&self) -> anyhow::Result<Value> {
        let response = client().get(format!("http://{}/status", self.admin)).send().await?;
        Ok(serde_json::from_slice(&response.bytes().await?)?)
    }

    /// The version that is stable now, of the only model.
    pub(crate) async fn stable(&self) -> anyhow::Result<Option<String>> {
        let status = self.status().await?;
        Ok(status.pointer("/models/0/stable/version").and_then(Value::as_str).map(str::to_owned))
    }

    /// Waits until `version` is stable.
    pub(crate) async fn promoted(&self, version: &str) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        while self.stable().await?.as_deref() != Some(version) {
            if Instant::now() > until {
                bail!("{version} was not promoted within {PATIENCE:?}: {}", self.status().await?);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}
