use std::fs;

use config::{ModelName, Signing, SigningPolicy, Version, VersionSpec};
use tempfile::TempDir;

use super::super::digest::{MANIFEST_NAME, SIGNATURE_NAME};
use super::super::{Fetch, Store, StoreOptions};
use super::*;

struct Rig {
    dir: TempDir,
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("model/data")).unwrap();
        fs::write(dir.path().join("model/MLmodel"), "flavors: {}\n").unwrap();
        fs::write(dir.path().join("model/data/model.onnx"), vec![7; 3_000_000]).unwrap();
        Self { dir }
    }

    fn url(&self) -> StorageUri {
        StorageUri::new(&format!("file://{}/bucket/v1", self.dir.path().display())).unwrap()
    }

    async fn push(&self) -> Result<Pushed, PushError> {
        self.push_with(None, watch::channel(Progress::default()).0).await
    }

    async fn push_with(&self, key: Option<PathBuf>, progress: watch::Sender<Progress>) -> Result<Pushed, PushError> {
        let (dir, url, environment) = (self.dir.path().join("model"), self.url(), Environment::default());
        push(PushOptions { dir, url, key, environment, progress }).await
    }

    async fn fetch(&self, digest: Digest) -> super::super::VerifiedArtifact {
        let store = Store::open(StoreOptions::new(self.dir.path().join("cache"), 1 << 30)).await.unwrap();
        let spec = VersionSpec { version: Version::new("v1").unwrap(), digest: Some(digest), storage_uri: self.url() };
        let signing = Signing {
            policy: SigningPolicy::Disabled,
            signature_path: SIGNATURE_NAME.to_owned(),
            public_key_path: None,
            ignore_unsigned_files: false,
        };
        let model = ModelName::new("m").unwrap();
        let (progress, _) = watch::channel(Progress::default());
        store.fetch(Fetch { model: &model, spec: &spec, signing: &signing }, &progress).await.unwrap()
    }

    fn there(&self) -> PathBuf {
        self.dir.path().join("bucket/v1")
    }
}

#[tokio::test]
async fn what_is_pushed_can_be_fetched_by_its_digest() {
    let rig = Rig::new();
    let (progress, seen) = watch::channel(Progress::default());
    let pushed = rig.push_with(None, progress).await.unwrap();
    assert_eq!(pushed.files, 3);
    let last = *seen.borrow();
    assert_eq!((last.done_bytes, last.total_bytes), (pushed.bytes, pushed.bytes));
    assert_eq!(rig.fetch(pushed.digest).await.files().unwrap().len(), 2);
    let manifest = Manifest::parse(&fs::read(rig.there().join(MANIFEST_NAME)).unwrap()).unwrap();
    assert_eq!(manifest.digest(), Some(pushed.digest));
}

#[tokio::test]
async fn the_same_push_again_changes_nothing() {
    let rig = Rig::new();
    let pushed = rig.push().await.unwrap();
    let manifest = rig.there().join(MANIFEST_NAME);
    let before = fs::metadata(&manifest).unwrap().modified().unwrap();
    assert_eq!(rig.push().await.unwrap(), Pushed { unchanged: true, ..pushed });
    assert_eq!(fs::metadata(&manifest).unwrap().modified().unwrap(), before);
}

#[tokio::test]
async fn other_bytes_never_overwrite() {
    let rig = Rig::new();
    let pushed = rig.push().await.unwrap();
    fs::write(rig.dir.path().join("model/MLmodel"), "flavors: {x: 1}\n").unwrap();
    let error = rig.push().await.unwrap_err();
    assert!(
        matches!(&error, PushError::Occupied { found, .. } if found.contains(&pushed.digest.to_string())),
        "{error}"
    );
    assert_eq!(fs::read(rig.there().join("MLmodel")).unwrap(), b"flavors: {}\n");
}

#[tokio::test]
async fn a_push_that_was_cut_off_is_completed_and_foreign_files_are_not_covered_up() {
    let rig = Rig::new();
    fs::create_dir_all(rig.there()).unwrap();
    fs::write(rig.there().join("MLmodel"), "flavors: {}\n").unwrap();
    let pushed = rig.push().await.unwrap();
    rig.fetch(pushed.digest).await;

    let rig = Rig::new();
    fs::create_dir_all(rig.there()).unwrap();
    fs::write(rig.there().join("someone.txt"), "hello").unwrap();
    let error = rig.push().await.unwrap_err();
    assert!(matches!(&error, PushError::Occupied { found, .. } if found.contains("someone.txt")), "{error}");
    assert!(!rig.there().join(MANIFEST_NAME).exists());
}

#[tokio::test]
async fn directories_that_are_no_artifact_are_refused_with_everything_wrong() {
    let rig = Rig::new();
    let model = rig.dir.path().join("model");
    fs::write(model.join("model.pkl"), "x").unwrap();
    assert!(rig.push().await.unwrap_err().to_string().contains("model.pkl is a pickle"));
    fs::remove_file(model.join("model.pkl")).unwrap();
    fs::write(model.join("a:b"), "x").unwrap();
    fs::write(model.join("mlMODEL"), "x").unwrap();
    let error = rig.push().await.unwrap_err().to_string();
    assert!(error.contains("\"a:b\" holds ':'") && error.contains("differ only in case"), "{error}");
    fs::remove_file(model.join("a:b")).unwrap();
    fs::remove_file(model.join("mlMODEL")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", model.join("link")).unwrap();
    assert!(rig.push().await.unwrap_err().to_string().contains("link is neither a file nor a folder"));
    fs::remove_dir_all(&model).unwrap();
    fs::create_dir(&model).unwrap();
    assert!(rig.push().await.unwrap_err().to_string().contains("it holds no files"));
    assert!(!rig.dir.path().join("bucket").exists(), "a refused push leaves nothing behind");
}

#[tokio::test]
async fn web_servers_and_bad_keys_are_refused() {
    let rig = Rig::new();
    let url = StorageUri::new("https://models.example/m/v1").unwrap();
    let (dir, environment) = (rig.dir.path().join("model"), Environment::default());
    let progress = watch::channel(Progress::default()).0;
    let error = push(PushOptions { dir, url, key: None, environment, progress }).await.unwrap_err();
    assert!(matches!(error, PushError::ReadOnly { .. }));
    let key = rig.dir.path().join("model/MLmodel");
    let error = rig.push_with(Some(key), watch::channel(Progress::default()).0).await.unwrap_err();
    assert!(matches!(error, PushError::Key { .. }), "{error}");
    assert!(!rig.dir.path().join("bucket").exists(), "a refused push leaves nothing behind");
}

#[tokio::test]
async fn what_is_too_deep_or_too_much_is_refused_and_not_left_out() {
    let rig = Rig::new();
    let model = rig.dir.path().join("model");
    let deep = model.join("d/".repeat(18));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("weights"), "x").unwrap();
    assert!(rig.push().await.unwrap_err().to_string().contains("is deeper than 16 folders"));
    fs::remove_dir_all(model.join("d")).unwrap();

    // The manifest and the signature in the directory are none of the files that are counted.
    fs::write(model.join("manifest.json"), "{}").unwrap();
    for n in 0..4094 {
        fs::write(model.join(format!("f{n}")), "").unwrap();
    }
    fs::write(model.join("one-too-many"), "").unwrap();
    assert!(rig.push().await.unwrap_err().to_string().contains("it holds more than 4096 files"));
    fs::remove_file(model.join("one-too-many")).unwrap();
    assert_eq!(rig.push().await.unwrap().files, 4097, "with the manifest");
}

#[tokio::test]
async fn a_copy_of_an_unfinished_upload_is_refused() {
    let rig = Rig::new();
    fs::write(rig.dir.path().join("model/.push-unfinished"), "sha256:x").unwrap();
    assert!(rig.push().await.unwrap_err().to_string().contains("a copy of an unfinished upload"));
}
