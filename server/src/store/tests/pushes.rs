//! Pushes that are cut off, race, or meet what is there already.

use super::super::push::push_to;
use super::faulty::{Fault, Request};
use super::trust::{make_key, with_key};
use super::*;

const MARK: &str = "m/v1/.push-unfinished";

impl Rig {
    /// Writes a model directory of the seeded names and sizes.
    fn directory(&self, name: &str, weights: &[u8]) -> PathBuf {
        let dir = self.dir.path().join(name);
        std::fs::create_dir_all(dir.join("data")).unwrap();
        std::fs::write(dir.join("MLmodel"), MLMODEL).unwrap();
        std::fs::write(dir.join("data/model.onnx"), weights).unwrap();
        dir
    }

    async fn push(&self, dir: PathBuf, key: Option<PathBuf>) -> Result<Pushed, PushError> {
        let prefix = ObjectPath::from("m/v1");
        let source =
            Source::new("s3://bucket/m/v1".to_owned(), Arc::clone(&self.bucket) as Arc<_>, prefix, Kind::Listed);
        push_to(source, dir, key, &watch::channel(Progress::default()).0).await
    }

    async fn names(&self) -> Vec<String> {
        use futures::TryStreamExt;
        use object_store::ObjectStore;
        let listed: Vec<_> = self.bucket.inner.list(None).try_collect().await.unwrap();
        let mut names: Vec<String> = listed.into_iter().map(|object| object.location.to_string()).collect();
        names.sort();
        names
    }
}

fn occupied(error: &PushError, what: &str) {
    assert!(matches!(error, PushError::Occupied { found, .. } if found.contains(what)), "{error}");
}

/// Answers 503 to every write of `name`.
fn refuse_writes(rig: &Rig, name: &'static str) {
    rig.bucket.on(move |request| match request {
        Request::Put(path) if path.ends_with(name) => Fault::Unavailable,
        _ => Fault::None,
    });
}

#[tokio::test]
async fn a_push_is_never_read_half_and_the_same_push_completes_it() {
    for cut_off_at in ["MLmodel", "model.onnx", "manifest.json"] {
        let rig = Rig::new().await;
        let (dir, other) = (rig.directory("dir", WEIGHTS), rig.directory("other", &[0; WEIGHTS.len()]));
        refuse_writes(&rig, cut_off_at);
        assert!(matches!(rig.push(dir.clone(), None).await, Err(PushError::Store { .. })));
        rig.bucket.behave();
        let error = rig.fetch(&spec("v1")).await.unwrap_err();
        assert!(matches!(error, FetchError::Unfinished { .. }) && !error.permanent(), "{error}");
        let why = if cut_off_at == "model.onnx" { "an unfinished push" } else { "" };
        occupied(&rig.push(other, None).await.unwrap_err(), why);

        let pushed = rig.push(dir, None).await.unwrap();
        assert_eq!(pushed.digest, seeded());
        assert_seeded(&rig.fetch(&spec("v1")).await.unwrap());
        assert_eq!(rig.names().await, ["m/v1/MLmodel", "m/v1/data/model.onnx", "m/v1/manifest.json"]);
    }
}

#[tokio::test]
async fn the_mark_comes_first_and_the_manifest_last() {
    let rig = Rig::new().await;
    rig.bucket.behave();
    rig.push(rig.directory("dir", WEIGHTS), None).await.unwrap();
    let written = |request: Request| match request {
        Request::Put(path) => Some(path),
        _ => None,
    };
    let written: Vec<String> = rig.bucket.requests().into_iter().filter_map(written).collect();
    assert_eq!(written.first().map(String::as_str), Some(MARK));
    assert_eq!(written.last().map(String::as_str), Some("m/v1/manifest.json"));
}

#[tokio::test]
async fn other_bytes_of_the_same_name_and_size_are_not_overwritten_nor_marked() {
    for there in ["data/model.onnx", "MLmodel"] {
        let rig = Rig::new().await;
        let size = if there == "MLmodel" { MLMODEL.len() } else { WEIGHTS.len() };
        rig.bucket.put(&format!("m/v1/{there}"), &vec![7; size]).await;
        occupied(&rig.push(rig.directory("dir", WEIGHTS), None).await.unwrap_err(), "with other bytes");
        assert_eq!(rig.bucket.content(&format!("m/v1/{there}")).await, vec![7; size]);
        assert!(!rig.names().await.contains(&"m/v1/manifest.json".to_owned()));
    }
    // Not even a mark where it is plain at once that something else is there.
    let rig = Rig::new().await;
    rig.bucket.put("m/v1/MLmodel", b"somebody else's").await;
    occupied(&rig.push(rig.directory("dir", WEIGHTS), None).await.unwrap_err(), "not part of this");
    assert_eq!(rig.names().await, ["m/v1/MLmodel"]);
}

#[tokio::test]
async fn an_object_that_appears_under_the_push_is_compared_and_not_overwritten() {
    static SAME: &[u8] = MLMODEL;
    static OTHER: &[u8] = &[7; MLMODEL.len()];
    for (appears, fine) in [(SAME, true), (OTHER, false)] {
        let rig = Rig::new().await;
        rig.bucket.on(move |request| match request {
            Request::Put(path) if path.ends_with("MLmodel") => Fault::Replace(appears),
            _ => Fault::None,
        });
        let pushed = rig.push(rig.directory("dir", WEIGHTS), None).await;
        assert_eq!(pushed.is_ok(), fine, "{pushed:?}");
        assert_eq!(rig.bucket.content("m/v1/MLmodel").await, appears);
    }
}

#[tokio::test]
async fn of_two_pushes_at_once_one_wins_whole() {
    let rig = Rig::new().await;
    let (one, two) = (rig.directory("one", WEIGHTS), rig.directory("two", &[0; WEIGHTS.len()]));
    let (one, two) = tokio::join!(rig.push(one, None), rig.push(two, None));
    let (winner, loser) = if one.is_ok() { (one, two) } else { (two, one) };
    occupied(&loser.unwrap_err(), "");
    let artifact = rig.fetch(&pinned("v1", winner.unwrap().digest)).await.unwrap();
    assert_eq!(artifact.files().unwrap().len(), 2);
    assert!(!rig.names().await.contains(&MARK.to_owned()));

    // The same bytes twice: both are right, and signed once.
    let rig = Rig::new().await;
    let (key, public) = make_key(rig.dir.path(), "release");
    let dir = rig.directory("dir", WEIGHTS);
    let (one, two) = tokio::join!(rig.push(dir.clone(), Some(key.clone())), rig.push(dir, Some(key)));
    assert_eq!(one.unwrap().digest, two.unwrap().digest);
    assert_seeded(&rig.fetch_signed(&spec("v1"), &with_key(SigningPolicy::Enforce, &public)).await.unwrap());
}

#[tokio::test]
async fn a_push_that_goes_on_keeps_the_signature_that_is_there() {
    let rig = Rig::new().await;
    let ((key, public), (other, _)) = (make_key(rig.dir.path(), "release"), make_key(rig.dir.path(), "other"));
    let dir = rig.directory("dir", WEIGHTS);
    refuse_writes(&rig, "manifest.json");
    rig.push(dir.clone(), Some(key.clone())).await.unwrap_err();
    let signature = rig.bucket.content("m/v1/model.sig").await;
    rig.bucket.behave();
    occupied(&rig.push(dir.clone(), Some(other)).await.unwrap_err(), "model.sig, which this key did not make");
    let pushed = rig.push(dir.clone(), Some(key.clone())).await.unwrap();
    assert_eq!(rig.bucket.content("m/v1/model.sig").await, signature);
    assert_seeded(&rig.fetch_signed(&spec("v1"), &with_key(SigningPolicy::Enforce, &public)).await.unwrap());
    let again = rig.push(dir, Some(key)).await.unwrap();
    assert_eq!(again, Pushed { unchanged: true, ..pushed }, "what is there is what is told");
}

#[tokio::test]
async fn what_is_whole_is_not_signed_afterwards() {
    let rig = Rig::new().await;
    let ((key, _), (other, _)) = (make_key(rig.dir.path(), "release"), make_key(rig.dir.path(), "other"));
    let (dir, signed) = (rig.directory("dir", WEIGHTS), rig.directory("signed", WEIGHTS));
    std::fs::write(signed.join("model.sig"), "{}").unwrap();
    rig.push(dir.clone(), None).await.unwrap();
    let names = rig.names().await;
    // Neither with a key, nor with a signature that somebody else made.
    for refused in [rig.push(dir.clone(), Some(key.clone())).await, rig.push(signed, None).await] {
        let error = refused.unwrap_err();
        assert!(matches!(error, PushError::Unsigned { .. }), "{error}");
        assert!(error.to_string().contains("is there without a signature"), "{error}");
        assert_eq!(rig.names().await, names);
    }

    // What is signed is there, signed, for whoever pushes it without a key; another key would sign nothing.
    let rig = Rig::new().await;
    let dir = rig.directory("dir", WEIGHTS);
    rig.push(dir.clone(), Some(key)).await.unwrap();
    rig.bucket.behave();
    assert!(rig.push(dir.clone(), None).await.unwrap().unchanged);
    occupied(&rig.push(dir, Some(other)).await.unwrap_err(), "model.sig, which this key did not make");
    assert!(!rig.bucket.requests().iter().any(|request| matches!(request, Request::Put(_))), "nothing is uploaded");
}

#[tokio::test]
async fn a_store_that_cannot_create_conditionally_is_asked_first() {
    let rig = Rig::new().await;
    rig.bucket.on(|_| Fault::Unconditional);
    let dir = rig.directory("dir", WEIGHTS);
    rig.push(dir, None).await.unwrap();
    assert_seeded(&rig.fetch(&spec("v1")).await.unwrap());
    let other = rig.directory("other", &[0; WEIGHTS.len()]);
    occupied(&rig.push(other, None).await.unwrap_err(), "an artifact with digest");
}
