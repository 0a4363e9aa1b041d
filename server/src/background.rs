//! Threads for work that no request waits for: bringing a version up, and freeing one that is gone.
//!
//! The scheduler gives them what requests leave over, so a version that loads beside a live one costs its callers
//! little, on a machine of few cores too. Owns a runtime and a pool for parallel arithmetic; it must not know what runs
//! there. Low priority is asked of the system for each thread; one that refuses costs speed and nothing else.

use std::io;
use std::sync::Arc;

use rustix::process::setpriority_process;
use rustix::thread::gettid;
use tokio::runtime::Runtime;
use tokio_util::task::AbortOnDropHandle;

/// The nice value. At 10 the kernel weighs a thread as 110 beside the 1024 of one that serves: on a machine where
/// requests take every core a load takes about ten times its time, which is still far from `progressDeadlineSeconds`.
/// At 19 it would be seventy times, and a rollback to a version that is no longer resident has to come, too.
const NICENESS: i32 = 10;
/// Blocking calls under way at once: a pull writes its parts, a load reads and computes.
const BLOCKING_MAX: usize = 16;

/// A handle of the background; cheap to clone. The last clone ends it without waiting.
#[derive(Clone)]
pub struct Background(Arc<Inner>);

struct Inner {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    pool: Arc<rayon::ThreadPool>,
}

/// Work in the background panicked, or the process is ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the work in the background did not end")]
pub struct Lost;

impl Background {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(BLOCKING_MAX)
            .thread_name("background")
            .on_thread_start(yield_to_requests)
            .enable_all()
            .build()?;
        let pool = rayon::ThreadPoolBuilder::new()
            .thread_name(|index| format!("background-compute-{index}"))
            .start_handler(|_| yield_to_requests())
            .build()
            .map_err(io::Error::other)?;
        Ok(Self(Arc::new(Inner { runtime: Some(runtime), pool: Arc::new(pool) })))
    }

    /// Runs `work`, with all that it spawns, in the background. Dropping the future stops it.
    pub async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T, Lost> {
        AbortOnDropHandle::new(self.runtime().spawn(work)).await.map_err(|_| Lost)
    }

    /// Computes in the background: parallel arithmetic uses its pool and not the one of live batches. Dropping the
    /// future does not stop it.
    pub async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Lost> {
        let pool = Arc::clone(&self.0.pool);
        self.runtime().spawn_blocking(move || pool.install(work)).await.map_err(|_| Lost)
    }

    /// Drops `value` in the background: giving hundreds of megabytes back takes tens of milliseconds, and whoever let
    /// go last is often a thread that answers requests.
    pub fn discard(&self, value: impl Send + 'static) {
        drop(self.runtime().spawn_blocking(move || drop(value)));
    }

    fn runtime(&self) -> &Runtime {
        self.0.runtime.as_ref().expect("it is taken only by drop")
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl std::fmt::Debug for Background {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Background")
    }
}

/// Lowers the priority of this thread alone: on Linux each thread has a nice value of its own.
fn yield_to_requests() {
    if let Err(error) = setpriority_process(Some(gettid()), NICENESS) {
        tracing::debug!(%error, "the priority of a background thread was not lowered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn niceness() -> i32 {
        rustix::process::getpriority_process(Some(gettid())).unwrap()
    }

    #[tokio::test]
    async fn what_runs_there_has_low_priority_and_nothing_else_has() {
        let before = niceness();
        let background = Background::start().unwrap();
        let spawned = background.run(async {
            let blocking = tokio::task::spawn_blocking(niceness).await.unwrap();
            (niceness(), blocking)
        });
        assert_eq!(spawned.await, Ok((NICENESS, NICENESS)));
        assert_eq!(background.compute(niceness).await, Ok(NICENESS));
        assert_eq!(background.compute(|| rayon::join(niceness, niceness)).await, Ok((NICENESS, NICENESS)));
        assert_eq!(niceness(), before);
    }

    #[tokio::test]
    async fn a_panic_is_lost_work_and_the_next_work_runs() {
        let background = Background::start().unwrap();
        assert_eq!(background.compute(|| -> u8 { panic!("planted") }).await, Err(Lost));
        assert_eq!(background.run(async { if true { panic!("planted") } else { 0_u8 } }).await, Err(Lost));
        assert_eq!(background.compute(|| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn dropping_the_future_stops_the_work() {
        struct Told(Option<tokio::sync::oneshot::Sender<()>>);
        impl Drop for Told {
            fn drop(&mut self) {
                let _ = self.0.take().unwrap().send(());
            }
        }
        let background = Background::start().unwrap();
        let (sender, told) = tokio::sync::oneshot::channel();
        let guard = Told(Some(sender));
        let work = background.run(async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        });
        assert!(futures::FutureExt::now_or_never(work).is_none());
        told.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_discarded_is_dropped_elsewhere() {
        struct Where(tokio::sync::mpsc::UnboundedSender<i32>);
        impl Drop for Where {
            fn drop(&mut self) {
                let _ = self.0.send(niceness());
            }
        }
        let background = Background::start().unwrap();
        let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
        background.discard(Where(sender));
        assert_eq!(seen.recv().await, Some(NICENESS));
    }
}
