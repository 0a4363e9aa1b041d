//! Files that change under a running server.

use std::sync::atomic::Ordering::Relaxed;

use super::*;

fn text(contents: &[Vec<u8>]) -> Result<String, String> {
    let text = String::from_utf8(contents.concat()).map_err(|_| "not text".to_owned())?;
    if text.contains("bad") { Err(format!("{text} is bad")) } else { Ok(text) }
}

fn file(path: &Path) -> CredentialFile {
    CredentialFile { flag: "--file", path: path.to_owned() }
}

fn load(files: &[&Path]) -> Result<Credentials<String>, String> {
    let files = files.iter().map(|path| file(path)).collect();
    Credentials::load("test", files, |contents, _, _| text(contents))
}

#[test]
fn what_is_wrong_at_the_start_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let refused = |path: &Path| load(&[path]).err().unwrap();
    assert!(refused(&path).starts_with(&format!("--file {}: ", path.display())));
    fs::write(&path, "bad").unwrap();
    assert_eq!(refused(&path), "bad is bad");
    fs::write(&path, vec![b'x'; (1 << 20) + 1]).unwrap();
    assert!(refused(&path).ends_with("the file is larger than 1048576 bytes"));
    assert!(refused(folder.path()).ends_with("this is not a regular file"));
}

#[tokio::test(start_paused = true)]
async fn new_content_is_in_force_within_an_interval_and_bad_content_never() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let write = |first: &str, second: &str| {
        fs::write(&one, first).unwrap();
        fs::write(&two, second).unwrap();
    };
    write("a", "b");
    let credentials = load(&[&one, &two]).unwrap();
    let (mut current, health, stop) = (credentials.subscribe(), credentials.health(), CancellationToken::new());
    let followed = tokio::spawn(credentials.follow(Duration::from_secs(15), stop.clone()));
    assert_eq!(**current.borrow_and_update(), "ab");

    write("a", "c");
    let asked = tokio::time::Instant::now();
    current.changed().await.unwrap();
    assert_eq!((&***current.borrow_and_update(), asked.elapsed().as_secs()), ("ac", 15));

    write("bad", "c");
    let ticks = async |seconds| tokio::time::sleep(Duration::from_secs(seconds)).await;
    ticks(50).await;
    let counts = || (health.reloads.load(Relaxed), health.failures.load(Relaxed), health.refused.load(Relaxed));
    assert_eq!((counts(), current.has_changed().unwrap()), ((1, 1, true), false), "told once");
    fs::remove_file(&two).unwrap();
    ticks(50).await;
    assert_eq!((counts(), current.has_changed().unwrap()), ((1, 2, true), false));

    write("a", "c");
    ticks(20).await;
    assert_eq!((counts(), current.has_changed().unwrap()), ((1, 2, false), false), "what is in force is back");
    write("a", "d");
    current.changed().await.unwrap();
    assert_eq!((&***current.borrow(), counts()), ("ad", (2, 2, false)));
    stop.cancel();
    followed.await.unwrap();
}

#[test]
fn what_only_time_makes_good_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "a").unwrap();
    let valid_from = SystemTime::now() + Duration::from_secs(100);
    let make = move |contents: &[Vec<u8>], before: Option<&String>, now| {
        if before.is_some() && now < valid_from { Err("too early".to_owned()) } else { text(contents) }
    };
    let mut credentials = Credentials::load("test", vec![file(&path)], make).unwrap();
    let current = credentials.subscribe();
    let mut at = |seconds| {
        credentials.look(Ok(vec![b"b".to_vec()]), valid_from - Duration::from_secs(seconds));
        String::clone(&current.borrow())
    };
    assert_eq!([at(50), at(10), at(0)], ["a", "a", "b"]);
}
