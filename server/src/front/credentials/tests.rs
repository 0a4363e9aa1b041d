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
async fn new_content_is_in_force_after_the_interval() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "a").unwrap();
    let credentials = load(&[&path]).unwrap();
    let (mut current, stop) = (credentials.subscribe(), CancellationToken::new());
    let followed = tokio::spawn(credentials.follow(Duration::from_secs(15), stop.clone()));
    assert_eq!(**current.borrow_and_update(), "a");
    let asked = tokio::time::Instant::now();
    fs::write(&path, "b").unwrap();
    current.changed().await.unwrap();
    assert_eq!((&***current.borrow_and_update(), asked.elapsed().as_secs()), ("b", 15));
    stop.cancel();
    followed.await.unwrap();
}

#[test]
fn what_is_refused_changes_nothing_and_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    fs::write(&one, "a").unwrap();
    fs::write(&two, "b").unwrap();
    let mut credentials = load(&[&one, &two]).unwrap();
    let (current, health) = (credentials.subscribe(), credentials.health());
    let mut look = || {
        // Twice, as a timer does that hears of no change.
        for _ in 0..2 {
            let contents = settled(&credentials.files).map_err(|error| error.to_string());
            credentials.look(contents, SystemTime::now());
        }
        let counts = (health.reloads.load(Relaxed), health.failures.load(Relaxed), health.refused.load(Relaxed));
        (String::clone(&current.borrow()), counts)
    };
    let is = |text: &str, counts| (text.to_owned(), counts);
    assert_eq!(look(), is("ab", (0, 0, false)));
    fs::write(&two, "c").unwrap();
    assert_eq!(look(), is("ac", (1, 0, false)));
    fs::write(&one, "bad").unwrap();
    assert_eq!(look(), is("ac", (1, 1, true)));
    fs::remove_file(&two).unwrap();
    assert_eq!(look(), is("ac", (1, 2, true)));
    fs::write(&one, "a").unwrap();
    fs::write(&two, "c").unwrap();
    assert_eq!(look(), is("ac", (1, 2, false)), "what is in force is back");
    fs::write(&two, "d").unwrap();
    assert_eq!(look(), is("ad", (2, 2, false)));
}

#[test]
fn what_time_makes_bad_stays_in_force_and_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "a").unwrap();
    let valid_to = SystemTime::now() + Duration::from_secs(100);
    let make = move |contents: &[Vec<u8>], _: Option<&String>, now| {
        if now > valid_to && contents[0] == b"a" { Err("it is over".to_owned()) } else { text(contents) }
    };
    let mut credentials = Credentials::load("test", vec![file(&path)], make).unwrap();
    let (current, health) = (credentials.subscribe(), credentials.health());
    let mut at = |content: &[u8], seconds| {
        credentials.look(Ok(vec![content.to_vec()]), valid_to + Duration::from_secs(seconds));
        (String::clone(&current.borrow()), health.failures.load(Relaxed), health.refused.load(Relaxed))
    };
    let is = |text: &str, failures, refused| (text.to_owned(), failures, refused);
    assert_eq!(at(b"a", 0), is("a", 0, false));
    assert_eq!([at(b"a", 1), at(b"a", 99)], [is("a", 1, true), is("a", 1, true)]);
    assert_eq!(at(b"b", 100), is("b", 1, false), "a new one ends it");
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
