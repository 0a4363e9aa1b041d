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
    let good = rig.pull("v2").await.unwrap().key();
    rig.store.protect(&HashSet::from([good.digest]));
    let third = rig.pull("v3").await.unwrap().digest();
    let fourth = rig.pull("v4").await.unwrap();
    let mut expected = [live.key().to_string(), good.to_string(), fourth.key().to_string()];
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
    assert!(rig.cache_names("artifacts").contains(&good.to_string()));
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
    let weights = rig.cached_weights();
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
async fn bytes_that_go_bad_under_a_live_artifact_are_not_handed_out_and_are_pulled_again() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    let artifact = rig.fetch(&spec("v1")).await.unwrap();
    fs::write(rig.cached_weights(), [0; WEIGHTS.len()]).unwrap();
    assert_eq!(artifact.files().unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    // Somebody holds it still.
    let healed = rig.fetch(&spec("v1")).await.unwrap();
    assert_seeded(&healed);
    drop(artifact);
    // Whoever could not load it has let go of it.
    fs::write(rig.cached_weights(), [0; WEIGHTS.len()]).unwrap();
    healed.files().unwrap_err();
    drop(healed);
    assert_seeded(&rig.fetch(&spec("v1")).await.unwrap());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_read_that_failed_once_costs_a_hash_and_no_download() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    let artifact = rig.fetch(&spec("v1")).await.unwrap();
    fs::write(rig.cached_weights(), [0; WEIGHTS.len()]).unwrap();
    artifact.files().unwrap_err();
    fs::write(rig.cached_weights(), WEIGHTS).unwrap();
    rig.bucket.behave();
    assert_seeded(&rig.fetch(&spec("v1")).await.unwrap());
    assert_eq!(rig.bucket.gets(), 0);
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn the_same_contents_under_other_names_are_another_artifact() {
    let rig = Rig::new().await;
    for (version, name) in [("v1", "notes.txt"), ("v2", "zebra.txt")] {
        rig.seed(version).await;
        rig.bucket.put(&format!("m/{version}/{name}"), b"hello").await;
    }
    let fetched = [rig.fetch(&spec("v1")).await.unwrap(), rig.fetch(&spec("v2")).await.unwrap()];
    assert_eq!(fetched[0].digest(), fetched[1].digest(), "OMS hashes no names");
    let last = |artifact: &VerifiedArtifact| artifact.files().unwrap().pop().unwrap().0;
    assert_eq!(fetched.each_ref().map(last), ["notes.txt", "zebra.txt"]);
    let digest = fetched[0].digest();
    drop(fetched);
    // Each version stays what it was, pinned or not, in the next process too.
    let rig = rig.restart().await;
    for (version, name) in [("v1", "notes.txt"), ("v2", "zebra.txt")] {
        assert_eq!(last(&rig.fetch(&pinned(version, digest)).await.unwrap()), name);
        assert_eq!(last(&rig.fetch(&spec(version)).await.unwrap()), name);
    }
    // A third one, pinned: only the source can say which it is.
    rig.seed("v3").await;
    rig.bucket.put("m/v3/other.txt", b"hello").await;
    assert_eq!(last(&rig.fetch(&pinned("v3", digest)).await.unwrap()), "other.txt");
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_cache_belongs_to_one_process() {
    let rig = Rig::new().await;
    let second = open(&rig.options, &rig.bucket, rig.kind).await;
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
    let folder = cache.join("artifacts").join(CacheKey::of(&evil).to_string());
    fs::create_dir_all(&folder).unwrap();
    let entry = serde_json::json!({"files": evil, "loose": [], "listings": []});
    fs::write(folder.join("entry.json"), entry.to_string()).unwrap();
    let rig = rig.restart().await;
    assert_eq!(rig.cache_names("artifacts"), [seeded_folder()]);
    assert!(rig.cache_names("trash").is_empty() && rig.cache_names("staging").is_empty());
    assert_eq!(rig.store.usage().artifacts, 1);
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn the_order_of_use_survives_a_restart() {
    let rig = Rig::with(|options| options.cache_limit_bytes = 2 * SIZE).await;
    let first = rig.pull("v1").await.unwrap().key().to_string();
    let second = rig.pull("v2").await.unwrap().key().to_string();
    let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let entry = rig.options.cache_dir.join("artifacts").join(&second).join("entry.json");
    fs::File::options().append(true).open(entry).unwrap().set_modified(long_ago).unwrap();
    let rig = rig.restart().await;
    rig.pull("v3").await.unwrap();
    assert!(rig.cache_names("artifacts").contains(&first));
    assert!(!rig.cache_names("artifacts").contains(&second));
}
