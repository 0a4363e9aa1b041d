//! One task that makes what is there follow what is asked for, and the only writer of routes.
//!
//! Everything that can happen is an event of one closed enum in one loop: nothing here is called back, and no lock is
//! held. Each event changes the state of a model; then the model asks the planner and does what it says until there
//! is nothing left to do, and the status is published.

mod attempt;
mod handle;
mod model;
mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use config::ModelName;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::desired::DesiredModels;
use super::memory::{MemoryDir, Writer, Written};
use super::plan::{Verb, VerbError};
use super::port::{Routes, StageError, StagePhase, Staged, Stager};
use super::status::Status;
use model::{Model, Shell};

pub use handle::RolloutHandle;

/// Results and progress of attempts that wait to be looked at.
const EVENTS_MAX: usize = 64;
/// Verbs that wait to be obeyed.
const COMMANDS_MAX: usize = 16;

/// What the reconciler works with.
pub struct Parts<S: Stager, R: Routes<Live = S::Live>> {
    /// Makes versions resident.
    pub stager: S,
    /// Routes requests.
    pub routes: R,
    /// Decisions that survive a restart.
    pub memory: MemoryDir,
    /// What is asked for.
    pub desired: watch::Receiver<Arc<DesiredModels>>,
    /// Uniform in `0..1`, for backoff.
    pub jitter: Box<dyn FnMut() -> f64 + Send>,
    /// Ends the task. Routes stay as they are, so that what is under way can drain.
    pub shutdown: CancellationToken,
}

/// The task. See [`Reconciler::run`].
pub struct Reconciler<S: Stager, R: Routes<Live = S::Live>> {
    models: BTreeMap<ModelName, Model<S::Live>>,
    shell: Shell<S, R>,
    desired: watch::Receiver<Arc<DesiredModels>>,
    desired_open: bool,
    /// What the models were last told of it.
    seen: Arc<DesiredModels>,
    events: mpsc::Receiver<AttemptEvent<S::Live>>,
    commands: mpsc::Receiver<Command>,
    written: mpsc::Receiver<Written>,
    status: watch::Sender<Arc<Status>>,
    shutdown: CancellationToken,
}

/// Everything that can happen.
enum Event<L> {
    /// The values changed, or a file of them broke.
    Values,
    /// An attempt got further or ended.
    Attempt(AttemptEvent<L>),
    /// An operator said something.
    Command(Command),
    /// Decisions are on disk, or are not.
    Written(Written),
    /// A wait is over.
    Tick,
    /// The process is to end.
    Shutdown,
}

/// What an attempt to stage a version reports.
struct AttemptEvent<L> {
    model: ModelName,
    /// Which attempt: one that was superseded meanwhile is not listened to.
    number: u64,
    progress: Progress<L>,
}

enum Progress<L> {
    Phase(StagePhase),
    Done(Result<Staged<L>, StageError>),
}

struct Command {
    model: String,
    verb: Verb,
    reply: oneshot::Sender<Result<String, VerbError>>,
}

// === impl Reconciler ===

impl<S: Stager, R: Routes<Live = S::Live>> Reconciler<S, R> {
    /// The task, not yet running, and the handle to it.
    #[must_use]
    pub fn new(parts: Parts<S, R>) -> (Self, RolloutHandle) {
        let (events_sender, events) = mpsc::channel(EVENTS_MAX);
        let (commands_sender, commands) = mpsc::channel(COMMANDS_MAX);
        let (written_sender, written) = mpsc::channel(EVENTS_MAX);
        let (status, status_receiver) = watch::channel(Arc::default());
        let mut desired = parts.desired;
        desired.mark_changed();
        let reconciler = Self {
            models: BTreeMap::new(),
            shell: Shell {
                stager: Arc::new(parts.stager),
                routes: parts.routes,
                memory: Writer::new(parts.memory, written_sender),
                jitter: parts.jitter,
                events: events_sender,
                attempts: 0,
            },
            desired,
            desired_open: true,
            seen: Arc::default(),
            events,
            commands,
            written,
            status,
            shutdown: parts.shutdown,
        };
        (reconciler, RolloutHandle::new(commands_sender, status_receiver))
    }

    /// Runs until shutdown. Attempts under way are given up then, and decisions get a moment to be written.
    pub async fn run(mut self) {
        loop {
            match self.next_event().await {
                Event::Values => self.observe_values().await,
                Event::Attempt(event) => self.attempt(event),
                Event::Command(command) => self.command(command),
                Event::Written(written) => self.written(written),
                Event::Tick => self.settle_due(),
                Event::Shutdown => break,
            }
            self.report();
        }
        let Self { models, shell, written, .. } = self;
        drop((models, written));
        shell.memory.finish().await;
    }

    async fn next_event(&mut self) -> Event<S::Live> {
        let wake_at = self.models.values().filter_map(Model::wake_at).min();
        let tick = async {
            match wake_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        // What ends something comes before what begins something: a verb or a new target makes the result of an
        // attempt obsolete, never the other way round.
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Event::Shutdown,
            Some(command) = self.commands.recv() => Event::Command(command),
            changed = self.desired.changed(), if self.desired_open => {
                self.desired_open = changed.is_ok();
                Event::Values
            }
            Some(event) = self.events.recv() => Event::Attempt(event),
            Some(written) = self.written.recv() => Event::Written(written),
            () = tick => Event::Tick,
        }
    }

    async fn observe_values(&mut self) {
        let desired = Arc::clone(&self.desired.borrow_and_update());
        self.seen = Arc::clone(&desired);
        self.models.retain(|name, _| {
            let removed = desired.removes(name);
            if removed {
                tracing::info!(model = %name, "its values file was removed, the model is not served any more");
                self.shell.routes.remove(name);
            }
            !removed
        });
        for (name, asked) in &desired.models {
            match self.models.get_mut(name) {
                Some(model) => model.observe(asked),
                None => {
                    let memory = self.shell.memory.load(name).await;
                    self.models.insert(name.clone(), Model::new(name.clone(), asked, memory));
                }
            }
        }
        for (name, model) in &mut self.models {
            model.set_missing(!desired.models.contains_key(name));
            model.settle(&mut self.shell);
        }
    }

    fn attempt(&mut self, event: AttemptEvent<S::Live>) {
        let Some(model) = self.models.get_mut(&event.model) else { return };
        match event.progress {
            Progress::Phase(phase) => model.set_phase(event.number, phase),
            Progress::Done(result) => {
                if model.finish(event.number, result, (self.shell.jitter)()) {
                    model.settle(&mut self.shell);
                }
            }
        }
    }

    fn written(&mut self, Written { model, problem }: Written) {
        if let Some(model) = self.models.get_mut(&model) {
            model.unwritten = problem;
        }
    }

    fn command(&mut self, Command { model: name, verb, reply }: Command) {
        let model = ModelName::new(&name).ok().and_then(|name| self.models.get_mut(&name));
        let answer = match model {
            Some(model) => model.command(verb, &mut self.shell),
            None => Err(VerbError::UnknownModel(name)),
        };
        // Whoever asked may be gone; it is done all the same.
        let _ = reply.send(answer);
    }

    fn settle_due(&mut self) {
        let now = Instant::now();
        for model in self.models.values_mut().filter(|model| model.wake_at().is_some_and(|at| at <= now)) {
            model.settle(&mut self.shell);
        }
    }

    fn report(&self) {
        let models = self.models.values().map(Model::status).collect();
        let DesiredModels { problems, revisions, notes, .. } = &*self.seen;
        let (problems, revisions, notes) = (problems.clone(), revisions.clone(), notes.clone());
        self.status.send_replace(Arc::new(Status { models, problems, revisions, notes }));
    }
}
