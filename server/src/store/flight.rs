//! One pull at a time for the same digest, source or version, however many ask.
//!
//! A flight is a set of locks, not a shared future: when the asker in front goes away, the next one takes over and
//! resumes from what is staged. Those who wait see the progress of the one who works.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{OwnedMutexGuard, watch};

use super::Progress;

/// Every flight that is under way.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<String, Weak<Lane>>>);

struct Lane {
    gate: Arc<tokio::sync::Mutex<()>>,
    progress: watch::Sender<Progress>,
}

/// The right to pull. Blocking work holds a clone, so that an abandoned pull stays exclusive until its last write.
pub(super) struct Flight {
    lanes: Vec<(Arc<Lane>, OwnedMutexGuard<()>)>,
}

impl Flights {
    /// Waits for the lanes of `keys`, in this order; all callers must order keys alike, by kind.
    pub(super) async fn join(&self, keys: &[String], progress: &watch::Sender<Progress>) -> Arc<Flight> {
        let mut lanes = Vec::with_capacity(keys.len());
        for key in keys {
            let lane = self.lane(key);
            let guard = enter(&lane, progress).await;
            lanes.push((lane, guard));
        }
        Arc::new(Flight { lanes })
    }

    fn lane(&self, key: &str) -> Arc<Lane> {
        let mut lanes = self.0.lock();
        if let Some(lane) = lanes.get(key).and_then(Weak::upgrade) {
            return lane;
        }
        lanes.retain(|_, lane| lane.strong_count() > 0);
        let (progress, _) = watch::channel(Progress::default());
        let lane = Arc::new(Lane { gate: Arc::default(), progress });
        lanes.insert(key.to_owned(), Arc::downgrade(&lane));
        lane
    }
}

async fn enter(lane: &Lane, progress: &watch::Sender<Progress>) -> OwnedMutexGuard<()> {
    let mut others = lane.progress.subscribe();
    let gate = Arc::clone(&lane.gate).lock_owned();
    tokio::pin!(gate);
    loop {
        tokio::select! {
            biased;
            guard = &mut gate => return guard,
            // The lane is borrowed, so its sender lives and `changed` cannot fail.
            _ = others.changed() => { progress.send_replace(*others.borrow_and_update()); }
        }
    }
}

impl Flight {
    /// Tells everyone who waits for this flight.
    pub(super) fn report(&self, progress: Progress) {
        for (lane, _) in &self.lanes {
            lane.progress.send_replace(progress);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn the_second_waits_sees_progress_and_takes_over() {
        let flights = Flights::default();
        let (mine, _) = watch::channel(Progress::default());
        let first = flights.join(&keys(&["digest:a", "source:s"]), &mine).await;
        let (theirs, seen) = watch::channel(Progress::default());
        let waiting = keys(&["source:s"]);
        let second = flights.join(&waiting, &theirs);
        tokio::pin!(second);
        assert!(futures::poll!(&mut second).is_pending());
        first.report(Progress { done_bytes: 7, ..Progress::default() });
        assert!(futures::poll!(&mut second).is_pending());
        assert_eq!(seen.borrow().done_bytes, 7);
        drop(first);
        second.await;
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn different_keys_do_not_wait_and_lanes_are_forgotten() {
        let flights = Flights::default();
        let (progress, _) = watch::channel(Progress::default());
        let a = flights.join(&keys(&["source:a"]), &progress).await;
        let b = flights.join(&keys(&["source:b"]), &progress).await;
        drop((a, b));
        let _c = flights.join(&keys(&["source:c"]), &progress).await;
        assert_eq!(flights.0.lock().len(), 1);
    }
}
