//! Tasks that run as long as the process: each has a name, and the end of one is news.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use tokio::task::JoinSet;

/// Named tasks; dropping it ends them.
#[derive(Default)]
pub struct Tasks(JoinSet<Ended>);

/// A task that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its name.
    pub task: &'static str,
    /// Whether a panic ended it.
    pub panicked: bool,
}

// === impl Tasks ===

impl Tasks {
    /// Runs `work` as `task`.
    pub fn spawn(&mut self, task: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(async move {
            let panicked = AssertUnwindSafe(work).catch_unwind().await.is_err();
            Ended { task, panicked }
        });
    }

    /// The next task that ends; never, where there is none.
    pub async fn ended(&mut self) -> Ended {
        while let Some(joined) = self.0.join_next().await {
            // A task that was aborted had no say, and nobody aborts one.
            if let Ok(ended) = joined {
                return ended;
            }
        }
        std::future::pending().await
    }

    /// Returns when every task has ended.
    pub async fn all_ended(&mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_task_is_told_with_its_name_and_a_panic_as_one() {
        let mut tasks = Tasks::default();
        tasks.spawn("lives", std::future::pending());
        assert_eq!(tasks.ended().now_or_never(), None);
        tasks.spawn("panics", async { panic!("planted") });
        assert_eq!(tasks.ended().await, Ended { task: "panics", panicked: true });
        tasks.spawn("returns", async {});
        assert_eq!(tasks.ended().await, Ended { task: "returns", panicked: false });
        assert_eq!(tasks.ended().now_or_never(), None, "the other one lives");
    }
}
