//! The process dies at every fail point; the next one finds a sound cache and completes.

#[cfg(feature = "failpoints")]
mod armed {
    use std::process::Command;

    use super::super::*;

    const CACHE: &str = "SLUICE_CRASH_CACHE";
    const BUCKET: &str = "SLUICE_CRASH_BUCKET";

    /// A limit that holds two versions, so that the second fetch has to evict the first.
    async fn run(cache: PathBuf, bucket: PathBuf) -> Result<Vec<VerifiedArtifact>, FetchError> {
        let mut options = StoreOptions { part_bytes: 16, ..StoreOptions::new(cache, 150) };
        options.retry.attempts_max = 1;
        let store = Store::open(options).await.unwrap();
        let mut artifacts = Vec::new();
        for version in ["v0", "v1"] {
            artifacts.clear();
            let uri = format!("file://{}/{version}", bucket.display());
            let spec = VersionSpec { storage_uri: StorageUri::new(&uri).unwrap(), ..spec(version) };
            let (progress, _) = watch::channel(Progress::default());
            let signing = signing(SigningPolicy::Disabled);
            artifacts.push(store.fetch(Fetch { model: &model(), spec: &spec, signing: &signing }, &progress).await?);
        }
        Ok(artifacts)
    }

    /// Not a test of its own: the process that dies, started by the test below with `FAILPOINTS` set.
    #[tokio::test]
    #[ignore = "the child process of a_crash_at_any_point_leaves_a_sound_cache"]
    async fn child() {
        let _armed = fail::FailScenario::setup();
        run(std::env::var_os(CACHE).unwrap().into(), std::env::var_os(BUCKET).unwrap().into()).await.unwrap();
    }

    #[tokio::test]
    async fn a_crash_at_any_point_leaves_a_sound_cache() {
        for &point in FAIL_POINTS {
            // Some points are passed many times: die at the first and at a later pass.
            for times in ["", "3*off->"] {
                let dir = tempfile::tempdir().unwrap();
                let (cache, bucket) = (dir.path().join("cache"), dir.path().join("bucket"));
                for version in ["v0", "v1"] {
                    std::fs::create_dir_all(bucket.join(version).join("data")).unwrap();
                    std::fs::write(bucket.join(version).join("MLmodel"), MLMODEL).unwrap();
                    let weights = if version == "v1" { WEIGHTS.to_vec() } else { [b'0'; WEIGHTS.len()].to_vec() };
                    std::fs::write(bucket.join(version).join("data/model.onnx"), weights).unwrap();
                }
                let status = Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "--ignored", "store::tests::crash::armed::child"])
                    .env("FAILPOINTS", format!("{point}={times}return(abort)"))
                    .env(CACHE, &cache)
                    .env(BUCKET, &bucket)
                    .output()
                    .unwrap()
                    .status;
                assert!(!status.success() || !times.is_empty(), "{point} was never reached");
                assert!(status.success() || status.code().is_none(), "{point}: the child must die of the abort");
                let artifacts = run(cache.clone(), bucket).await.unwrap_or_else(|error| panic!("{point}: {error}"));
                assert_seeded(&artifacts[0]);
                for leftover in ["staging", "trash"] {
                    let left = std::fs::read_dir(cache.join(leftover)).unwrap().count();
                    assert_eq!(left, 0, "{point}: {leftover} is not empty");
                }
            }
        }
    }
}

#[test]
fn fail_points_have_distinct_names() {
    let distinct: std::collections::HashSet<_> = super::FAIL_POINTS.iter().collect();
    assert_eq!(distinct.len(), super::FAIL_POINTS.len());
    assert!(super::FAIL_POINTS.iter().all(|name| name.starts_with("store::")));
}
