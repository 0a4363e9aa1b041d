//! Room, restarts and damage.

use std::fs;

use super::*;

/// Bytes of what [`Rig::seed`] puts.
const SIZE: u64 = (MLMODEL.len() + WEIGHTS.len()) as u64;

impl Rig {
    /// Puts a version with bytes of its own, as large as the seeded one, and pulls it.
    async fn pull(&self, version: &str) -> Result<VerifiedArtifact, FetchError> {
        let mut weights = WEIGHTS.to_vec();
        weights[..version.len()].copy_from_slice(version.as_bytes());
        self.bucket.put(&format!("m/{version}/MLmodel"), MLMODEL).await;
        self.bucket.put(&format!("m/{version}/data/model.onnx"), &weights).await;
        self.fetch(&spec(version)).await
    }
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn what_is_live_or_protected_stays_and_the_rest_makes_room() {
    let rig = Rig::with(|options| options.cache_limit_bytes = 3 * SIZE).await;
    let live = rig.pull("v1").await.unwrap();
    let good = rig.pull("v2").await.unwrap().digest();
    rig.store.protect(&HashSet::from([good]));
    let third = rig.pull("v3").await.unwrap().digest();
    let fourth = rig.pull("v4").await.unwrap();
    let mut expected = [live.digest().hex(), good.hex(), fourth.digest().hex()];
    expected.sort();
    assert_eq!(rig.cache_names("artifacts"), expected, "{} left", third.short());
    assert_eq!(rig.store.usage().artifact_bytes, 3 * SIZE);
    assert_eq!(rig.store.usage().pinned_bytes, 3 * SIZE);

    let error = rig.pull("v5").await.unwrap_err();
    assert!(
        matches!(error, FetchError::CacheFull { needed, held, .. } if needed == SIZE && held == 3 * SIZE),
        "{error}"
    );
    assert!(!error.permanent());
    assert_eq!(rig.cache_names("artifacts"), expected, "nothing left in vain");

    drop(live);
    rig.pull("v5").await.unwrap();
    assert!(rig.cache_names("artifacts").contains(&good.hex()));
    assert!(rig.cache_names("trash").is_empty());
    assert!(fourth.files().is_ok());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn idle_stagings_make_room_too() {
    let rig = Rig::with(|options| options.cache_limit_bytes = 2 * SIZE).await;
    rig.seed("v9").await;
    rig.bucket.on(|request| match request {
        super::faulty::Request::Get(path, _) if path.ends_with("onnx") => super::faulty::Fault::Unavailable,
        _ => super::faulty::Fault::None,
    });
    rig.fetch(&spec("v9")).await.unwrap_err();
    assert_eq!(rig.store.usage().staging_bytes, SIZE);
    rig.bucket.behave();
    let _live = (rig.pull("v1").await.unwrap(), rig.pull("v2").await.unwrap());
    assert!(rig.cache_names("staging").is_empty());
    assert_eq!(rig.store.usage().staging_bytes, 0);
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn bytes_that_went_bad_while_nobody_looked_are_pulled_again() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    rig.fetch(&spec("v1")).await.unwrap();
    let weights = rig.options.cache_dir.join("artifacts").join(seeded().hex()).join("files/data/model.onnx");
    let mut bytes = fs::read(&weights).unwrap();
    bytes[10] ^= 1;
    fs::write(&weights, bytes).unwrap();
    let rig = rig.restart().await;
    rig.bucket.behave();
    for spec in [pinned("v1", seeded()), spec("v1")] {
        assert_seeded(&rig.fetch(&spec).await.unwrap());
    }
    assert!(rig.bucket.gets() > 0);
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn bytes_that_go_bad_under_a_live_artifact_are_not_handed_out() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    let artifact = rig.fetch(&spec("v1")).await.unwrap();
    let weights = rig.options.cache_dir.join("artifacts").join(seeded().hex()).join("files/data/model.onnx");
    fs::write(&weights, [0; WEIGHTS.len()]).unwrap();
    assert_eq!(artifact.files().unwrap_err().kind(), std::io::ErrorKind::InvalidData);
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_cache_belongs_to_one_process() {
    let rig = Rig::new().await;
    let second = open(&rig.options, &rig.bucket).await;
    assert!(matches!(second, Err(StoreError::Locked { .. })));
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn leftovers_and_foreign_things_are_cleared_at_start() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    rig.fetch(&spec("v1")).await.unwrap();
    let cache = rig.options.cache_dir.clone();
    fs::create_dir_all(cache.join("trash/old/deep")).unwrap();
    fs::create_dir_all(cache.join("staging/without-a-plan/files")).unwrap();
    fs::create_dir_all(cache.join("artifacts").join("ab".repeat(32))).unwrap();
    fs::create_dir_all(cache.join("artifacts/what-is-this")).unwrap();
    fs::write(cache.join("artifacts/stray"), b"x").unwrap();
    // An entry whose names would lead outside.
    let evil = [file("../../../evil", b"x")];
    let folder = cache.join("artifacts").join(root(&evil).hex());
    fs::create_dir_all(&folder).unwrap();
    let entry = serde_json::json!({"files": evil, "loose": [], "listings": []});
    fs::write(folder.join("entry.json"), entry.to_string()).unwrap();
    let rig = rig.restart().await;
    assert_eq!(rig.cache_names("artifacts"), [seeded().hex()]);
    assert!(rig.cache_names("trash").is_empty() && rig.cache_names("staging").is_empty());
    assert_eq!(rig.store.usage().artifacts, 1);
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn the_order_of_use_survives_a_restart() {
    let rig = Rig::with(|options| options.cache_limit_bytes = 2 * SIZE).await;
    let first = rig.pull("v1").await.unwrap().digest();
    let second = rig.pull("v2").await.unwrap().digest();
    let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let entry = rig.options.cache_dir.join("artifacts").join(second.hex()).join("entry.json");
    fs::File::options().append(true).open(entry).unwrap().set_modified(long_ago).unwrap();
    let rig = rig.restart().await;
    rig.pull("v3").await.unwrap();
    assert!(rig.cache_names("artifacts").contains(&first.hex()));
    assert!(!rig.cache_names("artifacts").contains(&second.hex()));
}
