//! What the thread of a GPU does next.
//!
//! Live batches go first. Everything else (a piece of a load, a rehearsal, a free) goes between them, one piece at a
//! time, so that a caller never waits for more than one piece. Knows nothing of devices: the state that pieces get is
//! of any type.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::mpsc;

use super::Job;

/// Live batches in a row, while something else waits. Without it a load would never end on a device that is always busy.
const LIVE_IN_A_ROW_MAX: u32 = 8;

/// Work that is done a piece at a time.
pub(super) type Piecework<T> = Box<dyn FnMut(&T) -> Turn + Send>;

/// How a piece ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// There are more pieces of this work.
    More,
    /// It was the last one of this work.
    Done,
    /// It was the last one of all.
    Last,
}

/// The two lanes, as the thread sees them.
pub(super) struct Lanes<T> {
    live: mpsc::Receiver<Job>,
    /// Unbounded, since a drop cannot wait: one entry for each version that is brought up or freed, and one look at memory.
    aside: mpsc::UnboundedReceiver<Piecework<T>>,
    /// Work of which some pieces are done.
    begun: Option<Piecework<T>>,
    in_a_row: u32,
}

enum Next<T> {
    Live(Job),
    Aside(Piecework<T>),
}

impl<T> Lanes<T> {
    pub(super) fn new(live: mpsc::Receiver<Job>, aside: mpsc::UnboundedReceiver<Piecework<T>>) -> Self {
        Self { live, aside, begun: None, in_a_row: 0 }
    }

    /// Works until nobody can ask for anything any more, the last piece is done, or `ended` says so of the state. What
    /// waits then is dropped, and whoever waits for it hears of that.
    pub(super) fn work(mut self, state: &T, ended: impl Fn(&T) -> bool) {
        futures::executor::block_on(async {
            while let Some(next) = self.next().await {
                let turn = match next {
                    Next::Live(job) => {
                        job();
                        Turn::Done
                    }
                    Next::Aside(work) => self.piece(work, state),
                };
                if turn == Turn::Last || ended(state) {
                    return;
                }
            }
        });
    }

    fn piece(&mut self, mut work: Piecework<T>, state: &T) -> Turn {
        // What breaks one piece must not take the thread from the others.
        let turn = catch_unwind(AssertUnwindSafe(|| work(state))).unwrap_or(Turn::Done);
        if turn == Turn::More {
            self.begun = Some(work);
        }
        turn
    }

    async fn next(&mut self) -> Option<Next<T>> {
        let aside_waits = self.begun.is_some() || !self.aside.is_empty();
        if aside_waits && self.in_a_row >= LIVE_IN_A_ROW_MAX {
            return self.aside();
        }
        if let Ok(job) = self.live.try_recv() {
            self.in_a_row += 1;
            return Some(Next::Live(job));
        }
        if aside_waits {
            return self.aside();
        }
        self.in_a_row = 0;
        tokio::select! {
            biased;
            Some(job) = self.live.recv() => Some(Next::Live(job)),
            Some(work) = self.aside.recv() => Some(Next::Aside(work)),
            else => None,
        }
    }

    /// The work that has begun, else the one that waits longest.
    fn aside(&mut self) -> Option<Next<T>> {
        self.in_a_row = 0;
        self.begun.take().or_else(|| self.aside.try_recv().ok()).map(Next::Aside)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    type Log = Mutex<Vec<String>>;

    struct Rig {
        live: mpsc::Sender<Job>,
        aside: mpsc::UnboundedSender<Piecework<Log>>,
        lanes: Lanes<Log>,
    }

    fn rig() -> Rig {
        let (live, live_queue) = mpsc::channel(64);
        let (aside, aside_queue) = mpsc::unbounded_channel();
        Rig { live, aside, lanes: Lanes::new(live_queue, aside_queue) }
    }

    /// A load of so many pieces, each written down.
    fn load(name: &'static str, pieces: usize) -> Piecework<Log> {
        let mut done = 0;
        Box::new(move |log: &Log| {
            done += 1;
            log.lock().push(format!("{name}{done}"));
            if done < pieces { Turn::More } else { Turn::Done }
        })
    }

    fn worked(Rig { live, aside, lanes }: Rig, log: &Log) -> Vec<String> {
        drop((live, aside));
        lanes.work(log, |_| false);
        log.lock().clone()
    }

    #[test]
    fn a_live_batch_goes_between_two_pieces_of_a_load() {
        let (rig, log) = (rig(), Log::default());
        let (live, seen) = (rig.live.clone(), Arc::new(Mutex::new(0)));
        let (mut pieces, seen_by_batch) = (0, Arc::clone(&seen));
        rig.aside
            .send(Box::new(move |log: &Log| {
                pieces += 1;
                log.lock().push(format!("piece {pieces}, {} batches", *seen.lock()));
                let seen = Arc::clone(&seen_by_batch);
                assert!(live.try_send(Box::new(move || *seen.lock() += 1)).is_ok());
                if pieces < 3 { Turn::More } else { Turn::Done }
            }))
            .unwrap_or_else(|_| panic!("the lane is open"));
        assert_eq!(worked(rig, &log), ["piece 1, 0 batches", "piece 2, 1 batches", "piece 3, 2 batches"]);
    }

    #[test]
    fn work_aside_is_done_in_order_and_one_at_a_time() {
        let (rig, log) = (rig(), Log::default());
        for (name, pieces) in [("a", 2), ("b", 1), ("c", 2)] {
            assert!(rig.aside.send(load(name, pieces)).is_ok());
        }
        assert_eq!(worked(rig, &log), ["a1", "a2", "b1", "c1", "c2"]);
    }

    #[test]
    fn a_load_ends_on_a_device_that_is_always_busy() {
        let (rig, log) = (rig(), Arc::new(Log::default()));
        assert!(rig.aside.send(load("piece", 2)).is_ok());
        for batch in 0..20 {
            let log = Arc::clone(&log);
            assert!(rig.live.try_send(Box::new(move || log.lock().push(format!("batch{batch}")))).is_ok());
        }
        let done = worked(rig, &log);
        let at = |what: &str| done.iter().position(|it| it == what);
        assert_eq!((at("piece1"), at("piece2")), (Some(8), Some(17)), "{done:?}");
    }

    #[test]
    fn a_panic_is_the_end_of_its_work_alone() {
        let (rig, log) = (rig(), Log::default());
        assert!(rig.aside.send(Box::new(|_| panic!("planted"))).is_ok());
        assert!(rig.aside.send(load("after", 1)).is_ok());
        assert_eq!(worked(rig, &log), ["after1"]);
    }

    #[test]
    fn nothing_runs_after_the_last_piece_or_the_end_of_the_device() {
        let (rig, log) = (rig(), Log::default());
        assert!(rig.aside.send(Box::new(|_| Turn::Last)).is_ok());
        assert!(rig.aside.send(load("never", 1)).is_ok());
        let kept = rig.live.clone();
        rig.lanes.work(&log, |_| false);
        assert!(log.lock().is_empty());
        assert!(kept.is_closed(), "who asks now hears that nobody answers");

        let (live, live_queue) = mpsc::channel(64);
        let (aside, aside_queue) = mpsc::unbounded_channel();
        assert!(aside.send(load("first", 1)).is_ok() && aside.send(load("never", 1)).is_ok());
        Lanes::new(live_queue, aside_queue).work(&log, |log| !log.lock().is_empty());
        assert_eq!(*log.lock(), ["first1"]);
        drop(live);
    }
}
