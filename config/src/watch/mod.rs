//! Watching a values file, or a directory of them, that something else replaces: kubelet, git-sync, an editor.
//!
//! Owns when to look. Events of the kernel are only hints, since on a Kubernetes mount they end silently (every watch
//! but one on the mount directory dies at the first update, and none says so); the content decides, and it is read
//! again without any hint every few seconds. Knows nothing of what the values mean to a server.

mod hint;
mod mountinfo;
mod observed;
mod source;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

pub use observed::{FileError, FileState, Observed};

use hint::Hint;
use source::{Snapshot, Source};

/// How often a file that is written in place is read again until two readings agree.
const SETTLE_READS_MAX: usize = 10;
/// While the source cannot be read at all it is looked for more often than it is re-read.
const MISSING_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// What to watch, and how closely.
#[derive(Debug, Clone)]
pub struct WatchOptions {
    /// A values file, or a directory in which every `*.yaml` and `*.yml` (but dot files) is the values of one model.
    pub source: PathBuf,
    /// Re-read this often without any hint. Default 15 s.
    pub interval: Duration,
    /// Wait this long after a hint, since writers do several things in a row. Default 200 ms.
    pub debounce: Duration,
    /// Ask the kernel for hints. Without them only the interval finds a change.
    pub notify: bool,
    /// Where the kernel lists the mounts of this process; tests name another file.
    pub(crate) mountinfo: PathBuf,
}

impl WatchOptions {
    /// The defaults for `source`.
    #[must_use]
    pub fn new(source: impl Into<PathBuf>) -> Self {
        Self {
            source: source.into(),
            interval: Duration::from_secs(15),
            debounce: Duration::from_millis(200),
            notify: true,
            mountinfo: PathBuf::from("/proc/self/mountinfo"),
        }
    }
}

/// The task behind a watch. It ends when this is dropped, and when the last receiver is.
#[derive(Debug)]
pub struct WatchTask {
    handle: JoinHandle<()>,
}

impl WatchTask {
    /// Stops watching and waits until it has stopped.
    pub async fn stop(mut self) {
        self.handle.abort();
        // The only errors are "was cancelled", which was asked for, and a panic, which the runtime has reported.
        let _ = (&mut self.handle).await;
    }
}

impl Drop for WatchTask {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

/// Watches one source. The receiver starts with [`Observed::reads`] 0, hears of the first reading, and from then on
/// only of changes of content, errors or notes. Must be called inside a tokio runtime.
#[must_use]
pub fn watch(options: WatchOptions) -> (Receiver<Arc<Observed>>, WatchTask) {
    let (sender, receiver) = channel(Arc::new(Observed::default()));
    let handle = tokio::spawn(run(options, sender));
    (receiver, WatchTask { handle })
}

async fn run(options: WatchOptions, sender: Sender<Arc<Observed>>) {
    let source = Arc::new(Source::new(&options.source, &options.mountinfo));
    let mut hint = Hint::new(options.notify);
    loop {
        // Armed before the reading: a change between the two is then seen by one of them.
        if let Some(mount) = blocking(&source, Source::mount).await {
            hint.arm(mount);
        }
        let current = Arc::clone(&sender.borrow());
        let snapshot = settled(&source, &current, options.debounce).await;
        let wait = if snapshot.error.is_some() { options.interval.min(MISSING_INTERVAL_MAX) } else { options.interval };
        let note = hint.note();
        let next = blocking(&source, move |_| current.after(snapshot, note)).await;
        if let Some(next) = next {
            publish(&sender, next);
        }
        tokio::select! {
            biased;
            () = sender.closed() => return,
            () = hint.heard() => tokio::time::sleep(options.debounce).await,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Reads the source. New content of a file that is written in place is believed when two readings agree, at the start
/// too: half a file may be valid YAML, and lack the `stable` of the whole one. The same goes for a file that is not
/// there any more, since some writers remove it first. Kubernetes swaps a link instead, and one reading does.
async fn settled(source: &Arc<Source>, current: &Observed, debounce: Duration) -> Snapshot {
    let mut snapshot = read(source).await;
    for _ in 0..SETTLE_READS_MAX {
        if snapshot.atomic || !current.is_changed_by(&snapshot) {
            break;
        }
        tokio::time::sleep(debounce).await;
        let again = read(source).await;
        let same = again == snapshot;
        snapshot = again;
        if same {
            break;
        }
    }
    snapshot
}

async fn read(source: &Arc<Source>) -> Snapshot {
    let failed = || Snapshot::failed("the reading did not finish".to_owned());
    blocking(source, Source::read).await.unwrap_or_else(failed)
}

/// Files may be on a slow disk, and a large file takes a while to parse: neither belongs on the runtime's threads.
async fn blocking<T: Send + 'static>(
    source: &Arc<Source>,
    work: impl FnOnce(&Source) -> T + Send + 'static,
) -> Option<T> {
    let source = Arc::clone(source);
    match tokio::task::spawn_blocking(move || work(&source)).await {
        Ok(done) => Some(done),
        Err(error) => {
            tracing::error!(%error, "reading values did not finish");
            None
        }
    }
}

fn publish(sender: &Sender<Arc<Observed>>, next: Observed) {
    sender.send_if_modified(|current| {
        let changed = current.reads == 0 || !next.says_the_same_as(current);
        *current = Arc::new(next);
        changed
    });
}
