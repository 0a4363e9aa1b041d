//! A reconciler with everything around it faked: what a test drives, and what it looks at.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use config::{ModelName, Values, Version};
use futures::FutureExt;
use futures::future::BoxFuture;
use models::{Datatype, Signature, TensorSpec};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::super::super::analysis::{Evidence, Outcome};
use super::super::super::desired::{DesiredModel, DesiredModels};
use super::super::super::memory::MemoryDir;
use super::super::super::plan::Phase;
use super::super::super::port::{Resident, RouteUpdate, Routes, StageError, StagePhase, StageRequest, Staged, Stager};
use super::super::super::status::ModelStatus;
use super::super::super::testing::{digest, model};
use super::super::{Parts, Reconciler, RolloutHandle};

/// How long an attempt takes.
pub(super) const STAGE_SECONDS: u64 = 2;

/// Counts what is there for as long as it is there.
struct Count(Arc<AtomicUsize>);

impl Count {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

pub(super) struct FakeLive {
    version: String,
    evidence: Arc<Evidence>,
    signature: Arc<Signature>,
    /// Shared by all labels of the same resident bytes.
    bytes: Arc<Count>,
}

impl Resident for FakeLive {
    fn evidence(&self) -> &Arc<Evidence> {
        &self.evidence
    }

    fn signature(&self) -> &Arc<Signature> {
        &self.signature
    }

    fn relabeled(&self, version: &Version) -> Arc<Self> {
        Arc::new(Self {
            version: version.to_string(),
            evidence: Arc::clone(&self.evidence),
            signature: Arc::clone(&self.signature),
            bytes: Arc::clone(&self.bytes),
        })
    }
}

/// What a test says to the stager and asks it afterwards.
#[derive(Default)]
struct Script {
    failures: HashMap<u8, VecDeque<StageError>>,
    panics: HashSet<u8>,
    bytes: HashMap<u8, u8>,
    begun: Vec<Instant>,
    /// The version that the signature to be compatible with came from.
    compatible_with: Vec<Option<usize>>,
}

#[derive(Clone, Default)]
struct FakeStager {
    script: Arc<Mutex<Script>>,
    resident: Arc<AtomicUsize>,
    under_way: Arc<AtomicUsize>,
}

impl Stager for FakeStager {
    type Live = FakeLive;

    fn stage(
        &self,
        request: StageRequest,
        phase: watch::Sender<StagePhase>,
    ) -> BoxFuture<'static, Result<Staged<FakeLive>, StageError>> {
        let number: u8 = request.spec.version.as_str()[1..].parse().unwrap();
        let mut script = self.script.lock();
        script.begun.push(Instant::now());
        script.compatible_with.push(request.compatible_with.map(|signature| signature.inputs.len()));
        assert!(!script.panics.contains(&number), "as scripted");
        let failure = script.failures.get_mut(&number).and_then(VecDeque::pop_front);
        let bytes = script.bytes.get(&number).copied().unwrap_or(number);
        drop(script);
        let (resident, under_way) = (Arc::clone(&self.resident), Count::new(&self.under_way));
        async move {
            let _under_way = under_way;
            for step in [StagePhase::Verifying, StagePhase::Gating] {
                sleep(Duration::from_secs(STAGE_SECONDS) / 2 - Duration::from_millis(5)).await;
                phase.send_replace(step);
            }
            if let Some(error) = failure {
                return Err(error);
            }
            // As many inputs as its number says, so that a test sees whose signature it was.
            let input = TensorSpec { name: "x".into(), datatype: Datatype::Fp32, shape: vec![] };
            let signature = Signature { inputs: vec![input; number.into()], outputs: vec![], batched: false };
            let live = FakeLive {
                version: request.spec.version.to_string(),
                evidence: Arc::default(),
                signature: Arc::new(signature),
                bytes: Arc::new(Count::new(&resident)),
            };
            Ok(Staged { digest: digest(bytes), live: Arc::new(live), notes: vec![] })
        }
        .boxed()
    }
}

#[derive(Clone, Default)]
struct FakeRoutes(Arc<Mutex<HashMap<ModelName, RouteUpdate<FakeLive>>>>);

impl Routes for FakeRoutes {
    type Live = FakeLive;

    fn publish(&self, update: RouteUpdate<FakeLive>) {
        self.0.lock().insert(update.model.clone(), update);
    }

    fn remove(&self, model: &ModelName) {
        self.0.lock().remove(model);
    }
}

/// A pipe in the place of a file: opening it waits for the other end.
pub(super) struct HangingDisk(std::path::PathBuf);

impl HangingDisk {
    pub(super) fn go_on(self) {
        let _other_end = std::fs::File::open(&self.0).unwrap();
        std::fs::remove_file(&self.0).unwrap();
    }
}

pub(super) struct Node {
    pub(super) handle: RolloutHandle,
    desired: watch::Sender<Arc<DesiredModels>>,
    stager: FakeStager,
    routes: FakeRoutes,
    shutdown: CancellationToken,
    task: Option<JoinHandle<()>>,
    cache: Arc<tempfile::TempDir>,
    revision: u64,
}

impl Node {
    pub(super) async fn start(values: Values) -> Self {
        Self::with_cache(values, Arc::new(tempfile::tempdir().unwrap())).await
    }

    /// A node on which the version of `values` is stable.
    pub(super) async fn settled(values: Values) -> Self {
        let mut node = Self::start(values).await;
        node.elapse(STAGE_SECONDS).await;
        assert_eq!(node.phase(), Phase::Healthy);
        node
    }

    async fn with_cache(values: Values, cache: Arc<tempfile::TempDir>) -> Self {
        let (desired, desired_receiver) = watch::channel(Arc::default());
        let (stager, routes, shutdown) = (FakeStager::default(), FakeRoutes::default(), CancellationToken::new());
        let (reconciler, handle) = Reconciler::new(Parts {
            stager: stager.clone(),
            routes: routes.clone(),
            memory: MemoryDir::new(cache.path().join("rollout")),
            desired: desired_receiver,
            jitter: Box::new(|| 0.0),
            shutdown: shutdown.clone(),
        });
        let task = Some(tokio::spawn(reconciler.run()));
        let mut node = Self { handle, desired, stager, routes, shutdown, task, cache, revision: 0 };
        node.ask(values);
        node.settle().await;
        node
    }

    /// The process ends and another starts with the same cache.
    pub(super) async fn restart(mut self, values: Values) -> Self {
        self.stop().await;
        Self::with_cache(values, Arc::clone(&self.cache)).await
    }

    pub(super) async fn stop(&mut self) {
        self.shutdown.cancel();
        if let Some(task) = self.task.take() {
            task.await.unwrap();
        }
    }

    // What a test does.

    pub(super) fn ask(&mut self, values: Values) {
        self.desired(|desired| desired.models.clear());
        self.add(values);
    }

    pub(super) fn add(&mut self, values: Values) {
        self.revision += 1;
        let revision = format!("sha256:{}", self.revision);
        let name = values.model.name.clone();
        let asked = DesiredModel { values: Arc::new(values), revision, problem: None };
        self.desired(|desired| {
            desired.models.insert(name, asked);
        });
    }

    pub(super) fn breaks(&self, problem: &str) {
        self.desired(|desired| desired.models.get_mut(&model()).unwrap().problem = Some(problem.to_owned()));
    }

    pub(super) fn desired(&self, change: impl FnOnce(&mut DesiredModels)) {
        self.desired.send_modify(|desired| change(Arc::make_mut(desired)));
    }

    pub(super) fn script(&self, version: u8, failures: impl IntoIterator<Item = StageError>) {
        self.stager.script.lock().failures.insert(version, failures.into_iter().collect());
    }

    pub(super) fn panics(&self, version: u8) {
        self.stager.script.lock().panics.insert(version);
    }

    /// `version` has the bytes of another one.
    pub(super) fn bytes(&self, version: u8, of: u8) {
        self.stager.script.lock().bytes.insert(version, of);
    }

    /// From now on nothing can be written where decisions are remembered.
    pub(super) fn spoil_memory(&self) {
        let dir = self.cache.path().join("rollout");
        std::fs::remove_dir_all(&dir).unwrap();
        std::fs::write(&dir, "a file where a directory should be").unwrap();
    }

    /// From now on writing decisions blocks, as on a disk that does not answer.
    pub(super) fn hang_memory(&self) -> HangingDisk {
        let pipe = self.cache.path().join("rollout").join(format!("{}.json.partial", model()));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        HangingDisk(pipe)
    }

    pub(super) async fn elapse(&mut self, seconds: u64) {
        sleep(Duration::from_secs(seconds)).await;
        self.settle().await;
    }

    /// Lets everything happen that needs no time, the writing of decisions included.
    pub(super) async fn settle(&mut self) {
        sleep(Duration::from_millis(1)).await;
    }

    /// The canary answers `per_second` requests like this, for so many seconds.
    pub(super) async fn serve(&mut self, outcome: Outcome, per_second: u64, seconds: u64) {
        for _ in 0..seconds {
            if let Some(canary) = self.routes.0.lock().get(&model()).and_then(|routes| routes.canary.as_ref()) {
                (0..per_second).for_each(|_| canary.evidence.record(outcome, Duration::from_millis(1)));
            }
            self.elapse(1).await;
        }
    }

    // What a test sees.

    /// Such as `v1 + v2 5%`; `-` while not ready.
    pub(super) fn routes(&self) -> String {
        let table = self.routes.0.lock();
        let Some(routes) = table.get(&model()) else { return "gone".to_owned() };
        let stable = routes.stable.as_ref().map_or("-", |live| live.version.as_str());
        match &routes.canary {
            Some(canary) => format!("{stable} + {} {}", canary.version, routes.canary_weight),
            None => stable.to_owned(),
        }
    }

    pub(super) fn status(&self) -> ModelStatus {
        self.handle.status().borrow().models[0].clone()
    }

    pub(super) fn phase(&self) -> Phase {
        self.status().phase
    }

    /// When each attempt began.
    pub(super) fn attempts(&self) -> Vec<Instant> {
        self.stager.script.lock().begun.clone()
    }

    pub(super) fn compatible_with(&self) -> Vec<Option<usize>> {
        self.stager.script.lock().compatible_with.clone()
    }

    /// How many versions hold device memory.
    pub(super) fn resident(&self) -> usize {
        self.stager.resident.load(SeqCst)
    }

    /// How many attempts are under way.
    pub(super) fn under_way(&self) -> usize {
        self.stager.under_way.load(SeqCst)
    }
}
