//! Kubelet's way of updating a mount, editors' ways of writing a file, and everything in between. Tests with hints run
//! on real time and could only fail by waiting; tests without them run on paused time.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::time::timeout;

use super::*;

const BOUND: Duration = Duration::from_secs(20);

fn values(version: &str) -> String {
    format!("schemaVersion: v1alpha1\nmodel: {{name: m, version: {version}, storageUri: \"gs://b/{{version}}\"}}\n")
}

/// Updates a directory as kubelet's AtomicWriter does.
struct Kubelet {
    directory: PathBuf,
    updates: usize,
}

#[derive(Clone, Copy)]
enum Order {
    /// Links of new keys appear before the swap, dangling for a moment (older kubelets).
    LinksFirst,
    /// Links of new keys appear after the swap.
    SwapFirst,
}

impl Kubelet {
    fn new(directory: &Path) -> Self {
        fs::create_dir_all(directory).unwrap();
        Self { directory: directory.to_owned(), updates: 0 }
    }

    fn update(&mut self, order: Order, files: &[(&str, &str)]) {
        let at = |name: &str| self.directory.join(name);
        self.updates += 1;
        let dated = format!("..2026_01_01_00_00_{:02}.1", self.updates);
        let old = fs::read_link(at("..data")).ok();
        fs::create_dir(at(&dated)).unwrap();
        for (name, text) in files {
            fs::write(at(&dated).join(name), text).unwrap();
        }
        let links = || {
            for (name, _) in files {
                let _ = symlink(Path::new("..data").join(name), at(name));
            }
        };
        if matches!(order, Order::LinksFirst) {
            links();
        }
        symlink(&dated, at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        if matches!(order, Order::SwapFirst) {
            links();
        }
        if let Some(old) = old {
            fs::remove_dir_all(at(old.to_str().unwrap())).unwrap();
        }
    }
}

/// Where no list of mounts is.
const NO_MOUNTS: &str = "/nonexistent";

/// Reads `source` once more, as one reading of the task would.
fn reread(source: &Source, known: &Observed) -> Observed {
    known.after(source.read(), None)
}

/// The files that are known, each with what is wrong with it.
fn known(observed: &Observed) -> Vec<String> {
    let name = |path: &String| path.rsplit('/').next().unwrap().to_owned();
    let wrong = |file: &FileState| file.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    observed.files.iter().map(|(path, file)| name(path) + &wrong(file)).collect()
}

fn with_hints(source: &Path) -> WatchOptions {
    // An interval of an hour: only a hint can bring the change within the bound.
    WatchOptions {
        interval: Duration::from_secs(3600),
        debounce: Duration::from_millis(20),
        ..WatchOptions::new(source)
    }
}

fn without_hints(source: &Path) -> WatchOptions {
    WatchOptions { notify: false, ..WatchOptions::new(source) }
}

type Watched = Receiver<Arc<Observed>>;

async fn until(watched: &mut Watched, what: &str, holds: impl Fn(&Observed) -> bool) -> Arc<Observed> {
    // On paused time the bound is virtual, and longer than any interval.
    let bound = BOUND.max(Duration::from_secs(60));
    let shown = timeout(bound, watched.wait_for(|observed| holds(observed))).await.is_ok();
    let observed = Arc::clone(&watched.borrow());
    assert!(shown, "{what} never showed: {observed:#?}");
    observed
}

fn state<'a>(observed: &'a Observed, name: &str) -> Option<&'a FileState> {
    observed.files.iter().find(|(path, _)| path.ends_with(name)).map(|(_, state)| state)
}

fn serves(observed: &Observed, name: &str, version: &str) -> bool {
    let good = state(observed, name).and_then(|state| state.last_good.as_ref());
    good.is_some_and(|parsed| parsed.values.model.target.version.as_str() == version)
}

fn error(observed: &Observed, name: &str) -> String {
    state(observed, name).and_then(|state| state.error.as_ref()).map(ToString::to_string).unwrap_or_default()
}

/// Ten updates, the last of them back to what the ninth replaced.
async fn follows_ten_updates(options: WatchOptions, mount: &Path, order: Order) {
    let mut kubelet = Kubelet::new(mount);
    kubelet.update(order, &[("values.yaml", &values("v0"))]);
    let (mut watched, task) = watch(options);
    until(&mut watched, "v0", |observed| serves(observed, "values.yaml", "v0")).await;
    for version in ["v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v8"] {
        kubelet.update(order, &[("values.yaml", &values(version))]);
        let observed = until(&mut watched, version, |observed| serves(observed, "values.yaml", version)).await;
        assert_eq!(error(&observed, "values.yaml"), "");
        assert_eq!((observed.error.as_deref(), observed.notes.len()), (None, 0));
    }
    task.stop().await;
}

#[tokio::test]
async fn hints_show_every_update_of_a_mounted_file() {
    for order in [Order::LinksFirst, Order::SwapFirst] {
        let dir = TempDir::new().unwrap();
        follows_ten_updates(with_hints(&dir.path().join("values.yaml")), dir.path(), order).await;
    }
}

#[tokio::test]
async fn hints_show_every_update_of_a_mounted_directory() {
    let dir = TempDir::new().unwrap();
    follows_ten_updates(with_hints(dir.path()), dir.path(), Order::SwapFirst).await;
}

#[tokio::test(start_paused = true)]
async fn without_hints_the_interval_shows_every_update() {
    for order in [Order::LinksFirst, Order::SwapFirst] {
        let dir = TempDir::new().unwrap();
        follows_ten_updates(without_hints(&dir.path().join("values.yaml")), dir.path(), order).await;
        let dir = TempDir::new().unwrap();
        follows_ten_updates(without_hints(dir.path()), dir.path(), order).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_update_keeps_the_last_good_values() {
    let dir = TempDir::new().unwrap();
    let mut kubelet = Kubelet::new(dir.path());
    kubelet.update(Order::SwapFirst, &[("values.yaml", &values("v1"))]);
    let (mut watched, _task) = watch(without_hints(&dir.path().join("values.yaml")));
    let good = until(&mut watched, "v1", |observed| serves(observed, "values.yaml", "v1")).await;
    let bad = "schemaVersion: v1alpha1\nmodel: {name: m, version: ../etc, storageUri: gs://b/m}\n";
    for (text, told) in [(bad, "model.version"), ("model: {", "this is not YAML"), ("", "the file is empty")] {
        kubelet.update(Order::SwapFirst, &[("values.yaml", text)]);
        let observed = until(&mut watched, told, |observed| error(observed, "values.yaml").contains(told)).await;
        assert!(serves(&observed, "values.yaml", "v1"));
        let state = state(&observed, "values.yaml").unwrap();
        assert_eq!(state.revision, Some(crate::content_digest(text.as_bytes())), "the revision is what was read");
    }
    kubelet.update(Order::SwapFirst, &[("values.yaml", &values("v1"))]);
    let back = until(&mut watched, "no error", |observed| error(observed, "values.yaml").is_empty()).await;
    let (good, back) = (state(&good, "values.yaml").unwrap(), state(&back, "values.yaml").unwrap());
    assert!(Arc::ptr_eq(good.last_good.as_ref().unwrap(), back.last_good.as_ref().unwrap()), "the same values");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_being_written_is_not_believed() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("values.yaml");
    fs::write(&file, values("v1")).unwrap();
    let source = Arc::new(Source::new(&file, Path::new(NO_MOUNTS)));
    let whole = format!("{}retry: 10\n", values("v2"));
    let half = &whole[..whole.len() - 2];
    assert!(crate::parse("half", half).is_ok(), "half of this file is valid, and says something else");
    let debounce = Duration::from_millis(200);
    // At the start and later: the first reading can meet a writer too.
    for current in [Observed::default(), reread(&source, &Observed::default())] {
        fs::write(&file, half).unwrap();
        let settled = settled(&source, &current, debounce);
        let writer = async {
            tokio::time::sleep(debounce / 2).await;
            fs::write(&file, &whole).unwrap();
        };
        let (snapshot, ()) = tokio::join!(settled, writer);
        let next = current.after(snapshot, None);
        assert_eq!(next.files.values().next().unwrap().last_good.as_ref().unwrap().values.retry, 10);
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_a_writer_removes_first_is_not_taken_for_removed() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("a.yaml"), values("v1")).unwrap();
    fs::write(at("b.yaml"), values("v1")).unwrap();
    let source = Arc::new(Source::new(dir.path(), Path::new(NO_MOUNTS)));
    let current = reread(&source, &Observed::default());
    fs::remove_file(at("a.yaml")).unwrap();
    let debounce = Duration::from_millis(200);
    let writer = async {
        tokio::time::sleep(debounce / 2).await;
        fs::write(at("a.yaml"), values("v2")).unwrap();
    };
    let (snapshot, ()) = tokio::join!(settled(&source, &current, debounce), writer);
    let next = current.after(snapshot, None);
    assert!(serves(&next, "a.yaml", "v2") && serves(&next, "b.yaml", "v1"), "{next:#?}");
}

#[test]
fn an_empty_folder_is_told_and_is_no_error() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("notes.txt"), "x").unwrap();
    let source = Source::new(directory.path(), Path::new(NO_MOUNTS));
    let empty = reread(&source, &Observed::default());
    let [note] = &empty.notes[..] else { panic!("{empty:?}") };
    assert!(note.contains("holds no values file"), "{note}");
    assert_eq!((&empty.error, empty.files.len()), (&None, 0));
    fs::write(directory.path().join("a.yaml"), values("v1")).unwrap();
    assert_eq!(reread(&source, &empty).notes, Vec::<String>::new());
}

#[test]
fn only_a_whole_folder_that_holds_other_values_says_that_a_file_was_removed() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    let source = Source::new(dir.path(), Path::new(NO_MOUNTS));
    let both = || {
        fs::write(at("a.yaml"), values("v1")).unwrap();
        fs::write(at("b.yaml"), values("v1")).unwrap();
        reread(&source, &Observed::default())
    };
    let start = both();
    assert_eq!(known(&start), ["a.yaml", "b.yaml"]);
    fs::remove_file(at("a.yaml")).unwrap();
    assert_eq!(known(&reread(&source, &start)), ["b.yaml"]);
    // Another file is there and cannot be read, so the folder was not read whole.
    symlink("nowhere", at("c.yaml")).unwrap();
    let unsure = reread(&source, &start);
    let unread = "c.yaml: there is no such file or directory";
    assert_eq!(known(&unsure), ["a.yaml: the file is gone", "b.yaml", unread]);
    assert!(serves(&unsure, "a.yaml", "v1"), "what was known stays");
    // It comes back as it was.
    fs::remove_file(at("c.yaml")).unwrap();
    fs::write(at("a.yaml"), values("v1")).unwrap();
    assert_eq!(known(&reread(&source, &unsure)), known(&start));
    // An empty folder is a mount that is gone.
    fs::remove_file(at("a.yaml")).unwrap();
    fs::remove_file(at("b.yaml")).unwrap();
    let empty = reread(&source, &start);
    assert_eq!(known(&empty), ["a.yaml: the file is gone", "b.yaml: the file is gone"]);
    assert!(serves(&empty, "a.yaml", "v1") && serves(&empty, "b.yaml", "v1"));
}

#[tokio::test(start_paused = true)]
async fn the_same_content_again_is_no_change() {
    let dir = TempDir::new().unwrap();
    let mut kubelet = Kubelet::new(dir.path());
    kubelet.update(Order::SwapFirst, &[("values.yaml", &values("v1"))]);
    let (mut watched, _task) = watch(without_hints(dir.path()));
    let first = until(&mut watched, "v1", |observed| serves(observed, "values.yaml", "v1")).await;
    watched.mark_unchanged();
    kubelet.update(Order::SwapFirst, &[("values.yaml", &values("v1"))]);
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(!watched.has_changed().unwrap());
    assert!(watched.borrow().reads >= first.reads + 3, "it was read again: {}", watched.borrow().reads);
}

#[tokio::test]
async fn a_directory_that_vanishes_and_comes_back_is_watched_again() {
    let parent = TempDir::new().unwrap();
    let mount = parent.path().join("mount");
    let mut kubelet = Kubelet::new(&mount);
    kubelet.update(Order::SwapFirst, &[("values.yaml", &values("v1"))]);
    let (mut watched, _task) = watch(with_hints(&mount));
    until(&mut watched, "v1", |observed| serves(observed, "values.yaml", "v1")).await;
    fs::remove_dir_all(&mount).unwrap();
    let gone = until(&mut watched, "the loss", |observed| observed.error.is_some()).await;
    assert!(serves(&gone, "values.yaml", "v1"), "what was known stays");
    assert!(error(&gone, "values.yaml").contains("there is no such file or directory"));
    let mut kubelet = Kubelet::new(&mount);
    for version in ["v2", "v3", "v4"] {
        kubelet.update(Order::SwapFirst, &[("values.yaml", &values(version))]);
        let observed = until(&mut watched, version, |observed| serves(observed, "values.yaml", version)).await;
        assert_eq!(observed.error, None);
    }
}

#[tokio::test(start_paused = true)]
async fn keys_of_a_directory_are_models_and_losing_all_of_them_loses_none() {
    let dir = TempDir::new().unwrap();
    let mut kubelet = Kubelet::new(dir.path());
    let (a, b) = (values("v1"), values("v2"));
    kubelet.update(Order::LinksFirst, &[("a.yaml", &a), ("values-b.yaml", &b), ("notes.txt", "x"), (".c.yaml", "x")]);
    let (mut watched, _task) = watch(without_hints(dir.path()));
    let both = until(&mut watched, "two models", |observed| observed.files.len() == 2).await;
    assert!(serves(&both, "a.yaml", "v1") && serves(&both, "values-b.yaml", "v2"));
    // All keys leave: nothing is unloaded.
    kubelet.update(Order::LinksFirst, &[]);
    let none = until(&mut watched, "no key", |observed| !error(observed, "values-b.yaml").is_empty()).await;
    assert!(serves(&none, "a.yaml", "v1") && serves(&none, "values-b.yaml", "v2"));
    assert_eq!(error(&none, "a.yaml"), "the file is gone");
    // One of them is in the map again, the other was removed; its link dangles.
    kubelet.update(Order::LinksFirst, &[("values-b.yaml", &values("v3"))]);
    let one = until(&mut watched, "v3", |observed| serves(observed, "values-b.yaml", "v3")).await;
    assert_eq!(known(&one), ["values-b.yaml"]);
}

#[tokio::test(start_paused = true)]
async fn a_source_may_appear_later() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("later/values.yaml");
    let (mut watched, _task) = watch(without_hints(&file));
    let missing = until(&mut watched, "the first reading", |observed| observed.reads > 0).await;
    assert!(missing.error.as_ref().unwrap().contains("there is no such file or directory"));
    Kubelet::new(file.parent().unwrap()).update(Order::SwapFirst, &[("values.yaml", &values("v1"))]);
    let observed = until(&mut watched, "v1", |observed| serves(observed, "values.yaml", "v1")).await;
    assert_eq!(observed.error, None);
}

#[tokio::test]
async fn a_plain_file_is_followed_whether_rewritten_or_replaced() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("values.yaml");
    fs::write(&file, values("v1")).unwrap();
    let (mut watched, _task) = watch(with_hints(&file));
    until(&mut watched, "v1", |observed| serves(observed, "values.yaml", "v1")).await;
    fs::write(&file, values("v2")).unwrap();
    until(&mut watched, "v2", |observed| serves(observed, "values.yaml", "v2")).await;
    fs::write(dir.path().join("values.yaml~"), values("v3")).unwrap();
    fs::rename(dir.path().join("values.yaml~"), &file).unwrap();
    until(&mut watched, "v3", |observed| serves(observed, "values.yaml", "v3")).await;
    fs::write(&file, "\u{feff}".to_owned() + &values("v4")).unwrap();
    until(&mut watched, "v4", |observed| serves(observed, "values.yaml", "v4")).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_values_is_refused_with_the_reason() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("large.yaml"), vec![b' '; (1 << 20) + 1]).unwrap();
    fs::write(at("binary.yaml"), [b'a', 0xff, 0xfe]).unwrap();
    symlink("nowhere", at("dangling.yaml")).unwrap();
    fs::create_dir(at("directory.yaml")).unwrap();
    let (mut watched, _task) = watch(without_hints(dir.path()));
    let observed = until(&mut watched, "three files", |observed| observed.files.len() == 3).await;
    assert_eq!(error(&observed, "large.yaml"), "the file is larger than 1048576 bytes");
    assert!(error(&observed, "binary.yaml").contains("not UTF-8 text after byte 1"));
    assert_eq!(error(&observed, "dangling.yaml"), "there is no such file or directory");
}

#[tokio::test(start_paused = true)]
async fn a_mount_that_can_never_update_is_told() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("values.yaml");
    let mountinfo = dir.path().join("mountinfo");
    fs::write(&file, values("v1")).unwrap();
    fs::write(&mountinfo, format!("41 36 0:5 /b {} ro - ext4 /dev/root rw\n", file.display())).unwrap();
    let (mut watched, _task) = watch(WatchOptions { mountinfo, ..without_hints(&file) });
    let observed = until(&mut watched, "v1", |observed| serves(observed, "values.yaml", "v1")).await;
    assert!(observed.notes[0].contains("subPath"), "{:?}", observed.notes);
}

#[tokio::test]
async fn the_task_ends_with_its_last_receiver() {
    let dir = TempDir::new().unwrap();
    let (watched, mut task) = watch(with_hints(dir.path()));
    drop(watched);
    timeout(BOUND, &mut task.handle).await.expect("it ends").expect("it does not panic");
}
