//! A whole server on free ports, with a bucket, a mounted values file and a cache of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use config::{Settings, SettingsLayer};
use server::app::App;
use server::cluster::Place;
use server::rollout::Status;
use server::rollout::status::ModelStatus;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::kubelet::{Kubelet, LinkOrder};
use crate::zoo;

/// Nothing here takes longer; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Bucket, mount and cache, and how the server is to be started.
pub struct Sandbox {
    folder: TempDir,
    /// The mounted ConfigMap.
    pub kubelet: Kubelet,
    settings: Vec<(String, String)>,
}

/// A running server.
pub struct Running {
    /// The server itself.
    pub app: App,
}

impl Sandbox {
    /// An empty bucket and a mount with no keys.
    pub fn new() -> anyhow::Result<Self> {
        Self::with_links(LinkOrder::AfterRename)
    }

    /// The same with another order of links.
    pub fn with_links(order: LinkOrder) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let kubelet = Kubelet::new(folder.path().join("mount"), order)?;
        std::fs::create_dir(folder.path().join("bucket"))?;
        Ok(Self { folder, kubelet, settings: Vec::new() })
    }

    /// Adds a setting, as a flag without its dashes.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The folder of all of it.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// The bucket's folder.
    #[must_use]
    pub fn bucket(&self) -> PathBuf {
        self.folder.path().join("bucket")
    }

    /// The cache's folder.
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// Uploads a committed version under its own label.
    pub fn publish(&self, model: &str, version: &str) -> anyhow::Result<()> {
        self.publish_as(&zoo::artifact(model, version), model, version)
    }

    /// Uploads an artifact folder under a label.
    pub fn publish_as(&self, artifact: &Path, model: &str, version: &str) -> anyhow::Result<()> {
        zoo::publish(artifact, &self.bucket(), model, version)
            .with_context(|| format!("{model} {version} is committed"))
    }

    /// A values file for `model` in this bucket; `more` is appended, at the top level.
    #[must_use]
    pub fn values(&self, model: &str, version: &str, more: &str) -> String {
        let key = zoo::public_key();
        format!(
            "schemaVersion: v1alpha1\nmodel:\n  name: {model}\n  version: \"{version}\"\n  storageUri: file://{}/{model}/{{version}}\n  signing: {{policy: enforce, publicKeyRef: {{path: {}}}}}\n{more}",
            self.bucket().display(),
            key.canonicalize().unwrap_or(key).display(),
        )
    }

    /// Starts the server on the mount.
    pub async fn start(&self) -> anyhow::Result<Running> {
        Ok(Running { app: App::start(self.resolved()?).await? })
    }

    /// The same as a pod of a cluster.
    pub async fn start_in(&self, place: Place) -> anyhow::Result<Running> {
        Ok(Running { app: App::start_in(Some(place), self.resolved()?).await? })
    }

    fn resolved(&self) -> anyhow::Result<Settings> {
        let mut flags = SettingsLayer::new();
        flags.set("values", self.kubelet.mount().display().to_string());
        flags.set("cache", self.cache().display().to_string());
        flags.set("not-ready-wait", "0s");
        for name in ["http", "grpc", "admin"] {
            flags.set(name, "127.0.0.1:0");
        }
        for (name, value) in &self.settings {
            flags.set(name, value.clone());
        }
        Ok(Settings::resolve(&flags, std::iter::empty(), None)?)
    }
}

impl Running {
    /// Base URL of the HTTP front end.
    #[must_use]
    pub fn http(&self) -> String {
        format!("http://{}", self.app.addresses().http)
    }

    /// Base URL of the gRPC front end.
    #[must_use]
    pub fn grpc(&self) -> String {
        format!("http://{}", self.app.addresses().grpc)
    }

    /// Address of the admin front end.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.app.addresses().admin
    }

    /// Waits until the status of `model` is as `wanted` says, and returns it.
    pub async fn until(&self, model: &str, wanted: impl Fn(&ModelStatus) -> bool) -> anyhow::Result<ModelStatus> {
        let mut status = self.app.rollout().status();
        let found = |status: &Arc<Status>| status.models.iter().find(|candidate| candidate.name == model).cloned();
        let waited =
            timeout(PATIENCE, status.wait_for(|status| found(status).is_some_and(|model| wanted(&model)))).await;
        match waited {
            Ok(Ok(status)) => found(&status).context("the model was there a moment ago"),
            Ok(Err(_)) => bail!("the reconciler ended"),
            Err(_) => bail!("{model} did not get there: {:#?}", self.app.rollout().status().borrow()),
        }
    }

    /// Waits until `version` serves as stable and nothing is on trial.
    pub async fn promoted(&self, model: &str, version: &str) -> anyhow::Result<ModelStatus> {
        self.until(model, |model| {
            model.canary.is_none() && model.stable.as_ref().is_some_and(|stable| stable.version == version)
        })
        .await
    }

    /// Waits until `model` is not served any more.
    pub async fn removed(&self, model: &str) -> anyhow::Result<()> {
        let mut status = self.app.rollout().status();
        let gone = status.wait_for(|status| status.models.iter().all(|other| other.name != model));
        timeout(PATIENCE, gone).await.with_context(|| format!("{model} is still served"))?.map(drop)?;
        Ok(())
    }

    /// Stops as SIGTERM would; true when everything drained in time.
    pub async fn stop(self) -> bool {
        self.app.shut_down().await
    }
}
