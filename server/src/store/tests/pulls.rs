//! Pulling through faults of the network and the bucket.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::faulty::{Fault, Request};
use super::*;

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_pull_ends_with_verified_files_and_full_progress() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    let (progress, mut seen) = watch::channel(Progress::default());
    let request = Fetch { model: &model(), spec: &spec("v1"), signing: &signing(SigningPolicy::Disabled) };
    let artifact = rig.store.fetch(request, &progress).await.unwrap();
    assert_seeded(&artifact);
    let total_bytes = (MLMODEL.len() + WEIGHTS.len()) as u64;
    assert_eq!(artifact.total_bytes(), total_bytes);
    let last = Progress { phase: ProgressPhase::Verifying, done_bytes: total_bytes, total_bytes };
    assert_eq!(*seen.borrow_and_update(), last);
    assert!(rig.bucket.unconditional().is_empty(), "every read names the object that was listed");
    assert!(rig.bucket.gets() >= 7, "files are read in parts of 16 bytes");
    assert!(rig.cache_names("staging").is_empty());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn empty_files_folders_markers_and_any_order_of_the_listing_are_fine() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    rig.bucket.put("m/v1/empty.txt", b"").await;
    rig.bucket.put("m/v1/data", b"").await;
    rig.bucket.on(|request| if *request == Request::List { Fault::Reverse } else { Fault::None });
    let artifact = rig.fetch(&spec("v1")).await.unwrap();
    let names: Vec<String> = artifact.files().unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["MLmodel", "data/model.onnx", "empty.txt"]);
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn truncated_bodies_storms_and_stalls_are_ridden_out() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    let count = AtomicUsize::new(0);
    rig.bucket.on(move |request| match (request, count.fetch_add(1, Ordering::Relaxed)) {
        (Request::List, 0) => Fault::Unavailable,
        (Request::List, 1) => Fault::Denied,
        (Request::List, 2) => Fault::Stall,
        (Request::Get(..), 4 | 9) => Fault::Truncate(3),
        (Request::Get(..), 5 | 6) => Fault::Unavailable,
        (Request::Get(..), 7) => Fault::Denied,
        (Request::Get(..), 8) => Fault::Stall,
        _ => Fault::None,
    });
    let started = tokio::time::Instant::now();
    assert_seeded(&rig.fetch(&spec("v1")).await.unwrap());
    let limits = &rig.options.limits;
    assert!(started.elapsed() >= limits.listing_deadline + limits.part_deadline, "both stalls ran into their deadline");
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_storm_that_does_not_end_is_reported_and_what_was_pulled_is_kept() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    rig.bucket.on(|request| match request {
        Request::Get(path, Some(range)) if path.ends_with("onnx") && range.start >= 32 => Fault::Unavailable,
        _ => Fault::None,
    });
    let error = rig.fetch(&spec("v1")).await.unwrap_err();
    assert!(matches!(&error, FetchError::Unreachable { attempts: 5, .. }) && !error.permanent(), "{error}");
    assert!(error.to_string().contains("s3://bucket/m/v1/data/model.onnx: "), "{error}");

    // Another process goes on where this one stopped.
    let rig = rig.restart().await;
    rig.bucket.behave();
    assert_seeded(&rig.fetch(&spec("v1")).await.unwrap());
    let again = |request: &Request| {
        matches!(request, Request::Get(path, range)
        if path.ends_with("MLmodel") || range.as_ref().is_none_or(|range| range.start < 32))
    };
    assert!(!rig.bucket.requests().iter().any(again), "{:?}", rig.bucket.requests());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn wrong_credentials_are_named_as_such() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    rig.bucket.on(|_| Fault::Denied);
    let error = rig.fetch(&spec("v1")).await.unwrap_err();
    assert!(matches!(&error, FetchError::Denied { attempts: 3, .. }) && !error.permanent(), "{error}");
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn an_object_that_changes_under_the_pull_is_never_mixed() {
    static OTHER: &[u8] = b"another set of weights that is as long as the first one was, to a byte!!";
    let rig = Rig::new().await;
    rig.seed("v1").await;
    let mut replaced = false;
    rig.bucket.on(move |request| match request {
        Request::Get(path, Some(range)) if path.ends_with("onnx") && range.start == 32 && !replaced => {
            replaced = true;
            Fault::Replace(OTHER)
        }
        _ => Fault::None,
    });
    let artifact = rig.fetch(&spec("v1")).await.unwrap();
    assert_eq!(artifact.files().unwrap()[1].1, OTHER);
    assert_eq!(artifact.digest(), root(&[file("MLmodel", MLMODEL), file("data/model.onnx", OTHER)]));
    assert!(rig.cache_names("staging").is_empty(), "the staging of the old listing is gone");
}

/// Puts a model and the manifest that lists `weights` for it.
async fn seed_web(rig: &Rig, weights: &[u8]) {
    rig.seed("v1").await;
    let files = vec![file("MLmodel", MLMODEL), file("data/model.onnx", weights)];
    rig.bucket.put("m/v1/manifest.json", &Manifest::new(root(&files), files).to_bytes()).await;
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_file_that_a_manifest_lists_otherwise_is_read_once_and_refused() {
    let rig = Rig::web().await;
    seed_web(&rig, WEIGHTS).await;
    assert_seeded(&rig.fetch(&spec("v1")).await.unwrap());
    let rig = Rig::web().await;
    let other = WEIGHTS.to_ascii_uppercase();
    seed_web(&rig, &other).await;
    let error = rig.fetch(&spec("v1")).await.unwrap_err();
    assert!(matches!(&error, FetchError::Manifest { problems, .. } if problems.len() == 1), "{error}");
    assert!(error.permanent() && error.to_string().contains("data/model.onnx has SHA-256"), "{error}");
    let manifests = 2;
    let parts = MLMODEL.len().div_ceil(16) + WEIGHTS.len().div_ceil(16);
    assert_eq!(rig.bucket.gets(), parts + manifests);
    assert!(rig.cache_names("staging").is_empty());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_manifest_that_is_replaced_under_the_pull_is_read_again() {
    let rig = Rig::web().await;
    let other = WEIGHTS.to_ascii_uppercase();
    seed_web(&rig, &other).await;
    let files = vec![file("MLmodel", MLMODEL), file("data/model.onnx", WEIGHTS)];
    let right: &'static [u8] = Manifest::new(root(&files), files).to_bytes().leak();
    let mut reads = 0;
    rig.bucket.on(move |request| match request {
        Request::Get(path, _) if path.ends_with("manifest.json") => {
            reads += 1;
            if reads == 2 { Fault::Replace(right) } else { Fault::None }
        }
        _ => Fault::None,
    });
    assert_seeded(&rig.fetch(&spec("v1")).await.unwrap());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn an_object_that_keeps_changing_is_given_up() {
    static OTHERS: [&[u8]; 2] = [&[1; 40], &[2; 40]];
    let rig = Rig::new().await;
    rig.seed("v1").await;
    let mut turn = 0;
    rig.bucket.on(move |request| match request {
        Request::Get(path, _) if path.ends_with("onnx") => {
            turn += 1;
            Fault::Replace(OTHERS[turn % 2])
        }
        _ => Fault::None,
    });
    let error = rig.fetch(&spec("v1")).await.unwrap_err();
    assert!(matches!(error, FetchError::Changed { .. }) && !error.permanent());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn many_askers_share_one_download() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    // The same bytes under two versions, by pin; and the same source without a pin.
    let specs =
        [spec("v1"), pinned("v1", seeded()), VersionSpec { version: Version::new("v1b").unwrap(), ..spec("v1") }];
    let asks = specs.iter().cycle().take(12).map(|spec| rig.fetch(spec));
    for artifact in futures::future::try_join_all(asks).await.unwrap() {
        assert_seeded(&artifact);
    }
    let parts = MLMODEL.len().div_ceil(16) + WEIGHTS.len().div_ceil(16);
    assert_eq!(rig.bucket.gets(), parts, "each part was read once");
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn the_next_asker_takes_over_from_one_who_left() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    rig.bucket.on(|request| match request {
        Request::Get(_, Some(range)) if range.start >= 48 => Fault::Stall,
        _ => Fault::None,
    });
    let gone = tokio::time::timeout(Duration::from_secs(60), rig.fetch(&spec("v1"))).await;
    assert!(gone.is_err(), "the first asker left");
    rig.bucket.behave();
    assert_seeded(&rig.fetch(&spec("v1")).await.unwrap());
    assert!(rig.bucket.gets() <= 2, "only what was missing was read: {:?}", rig.bucket.requests());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn bounds_and_pickles_are_refused_before_a_byte_is_read() {
    let rig = Rig::with(|options| options.limits.files_max = 3).await;
    rig.seed("v1").await;
    rig.bucket.put("m/v1/model.pkl", b"cos\nsystem\n").await;
    let error = rig.fetch(&spec("v1")).await.unwrap_err();
    assert!(matches!(&error, FetchError::Pickle { files, .. } if files == &["model.pkl"]) && error.permanent());

    rig.seed("v2").await;
    for name in ["a:b", "c", "d"] {
        rig.bucket.put(&format!("m/v2/{name}"), b"x").await;
    }
    let error = rig.fetch(&spec("v2")).await.unwrap_err();
    let text = error.to_string();
    assert!(error.permanent() && text.contains("more than 3 files") && text.contains("\"a:b\" holds ':'"), "{text}");
    assert_eq!(rig.bucket.gets(), 0);
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn what_is_no_file_takes_no_files_place_and_a_listing_is_never_cut_short_in_silence() {
    let rig = Rig::with(|options| options.limits.files_max = 3).await;
    rig.seed("v1").await;
    for name in [".git/a", ".git/b", ".git/c", ".git/d", ".git/e", ".git/f", ".gitattributes"] {
        rig.bucket.put(&format!("m/v1/{name}"), b"x").await;
    }
    assert_seeded(&rig.fetch(&spec("v1")).await.unwrap());
    for n in 0..4 {
        rig.bucket.put(&format!("m/v1/.git/{n}"), b"x").await;
    }
    let other = VersionSpec { version: Version::new("v2").unwrap(), ..spec("v1") };
    let error = rig.fetch(&other).await.unwrap_err();
    assert!(error.permanent() && error.to_string().contains("it lists more than 12 objects"), "{error}");
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_fetch_that_is_dropped_anywhere_leaves_a_cache_that_completes() {
    use std::future::Future;
    use std::task::Poll;
    let mut finished = false;
    for polls in 1.. {
        let rig = Rig::new().await;
        rig.seed("v1").await;
        let spec = spec("v1");
        {
            let mut left = polls;
            let fetch = rig.fetch(&spec);
            tokio::pin!(fetch);
            std::future::poll_fn(|context| {
                if left == 0 {
                    return Poll::Ready(());
                }
                left -= 1;
                fetch.as_mut().poll(context).map(|done| {
                    assert_seeded(&done.unwrap());
                    finished = true;
                })
            })
            .await;
        }
        let rig = if polls % 2 == 0 { rig } else { settle(rig).await.restart().await };
        assert_seeded(&rig.fetch(&spec).await.unwrap());
        assert!(rig.cache_names("staging").is_empty() && rig.cache_names("trash").is_empty());
        if finished {
            return;
        }
        assert!(polls < 1000, "a small pull takes few polls");
    }
}

/// Waits until blocking work that a dropped fetch left behind has let go of the cache.
async fn settle(rig: Rig) -> Rig {
    while Arc::strong_count(&rig.store.cache) > 1 {
        tokio::task::yield_now().await;
    }
    rig
}
