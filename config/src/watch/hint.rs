//! Hints from the kernel that something in a directory changed. They make a change show within a second; nothing
//! depends on them.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

/// A watch on one directory, set up again whenever it is another one.
#[derive(Debug)]
pub(super) struct Hint {
    wanted: bool,
    armed: Option<Armed>,
    failed: Option<String>,
    /// Keeps one permit: a hundred events are one hint.
    heard: Arc<Notify>,
}

#[derive(Debug)]
struct Armed {
    directory: PathBuf,
    /// Device and inode: a path may come to name another directory.
    identity: (u64, u64),
    /// The kernel has said that the directory itself went away. An inode number may be given out again at once.
    lost: Arc<AtomicBool>,
    /// Watches until it is dropped.
    _watcher: RecommendedWatcher,
}

impl Hint {
    pub(super) fn new(wanted: bool) -> Self {
        Self { wanted, armed: None, failed: None, heard: Arc::new(Notify::new()) }
    }

    /// Watches `directory` from now on. Where that fails, the next call tries again.
    pub(super) fn arm(&mut self, directory: PathBuf) {
        if !self.wanted {
            return;
        }
        let identity = std::fs::metadata(&directory).ok().filter(std::fs::Metadata::is_dir).map(|d| (d.dev(), d.ino()));
        let Some(identity) = identity else {
            // Nothing to watch; the reading says what is missing.
            self.armed = None;
            return;
        };
        let still = |armed: &Armed| {
            armed.directory == directory && armed.identity == identity && !armed.lost.load(Ordering::Acquire)
        };
        if self.armed.as_ref().is_some_and(still) {
            return;
        }
        self.armed = None;
        match self.watch(&directory) {
            Ok((watcher, lost)) => {
                self.armed = Some(Armed { directory, identity, lost, _watcher: watcher });
                self.failed = None;
            }
            Err(error) => self.failed = Some(error.to_string()),
        }
    }

    fn watch(&self, directory: &Path) -> notify::Result<(RecommendedWatcher, Arc<AtomicBool>)> {
        let lost = Arc::new(AtomicBool::new(false));
        let (heard, gone, own) = (Arc::clone(&self.heard), Arc::clone(&lost), directory.to_owned());
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if is_hint(&event) {
                let removed = event.is_ok_and(|event| event.kind.is_remove() && event.paths.contains(&own));
                gone.fetch_or(removed, Ordering::AcqRel);
                heard.notify_one();
            }
        })?;
        // Not recursive: the entries of the directory itself are what an update swaps.
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
        Ok((watcher, lost))
    }

    /// Waits for a hint; for ever where there are none.
    pub(super) async fn heard(&self) {
        self.heard.notified().await;
    }

    /// Why there are no hints, where there should be.
    pub(super) fn note(&self) -> Option<String> {
        self.failed.as_ref().map(|why| format!("no change notifications ({why}); changes are found by re-reading"))
    }
}

/// Reading the directory makes events of its own, which must not lead to the next reading.
fn is_hint(event: &notify::Result<Event>) -> bool {
    match event {
        Ok(event) => match event.kind {
            EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
            _ => true,
        },
        Err(_) => true,
    }
}
