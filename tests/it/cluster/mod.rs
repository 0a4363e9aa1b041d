//! What a server says of its rollouts on its own ConfigMap, against an API server of our own (`api`): there is no cluster
//! here. What Argo CD makes of the annotations is `tests/deploy/lua_health.py`'s.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world fails there")]

mod api;

use std::sync::Arc;

use server::cluster::{Place, Reporter};
use server::rollout::{Phase, Status, Verb};
use server::telemetry::AnnotationMetrics;
use tests::sandbox::{Running, Sandbox};
use tests::traffic::Traffic;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use api::{Cluster, NAME, Told};

const MODEL: &str = "fraud-detection";

/// On trial until a verdict on real evidence is there.
const JUDGED: &str = "\
strategy: {canary: {steps: [{setWeight: 50}, {analysis: {templates: [{templateName: live}]}}]}}
analysisTemplates: {live: {metrics: [{name: nan-share, interval: 1s, thresholdRange: {max: 0}, minSamples: 20}]}}
";
const HELD: &str = "strategy: {canary: {steps: [{setWeight: 10}, {pause: {}}]}}\n";

fn revision(values: &str) -> String {
    config::content_digest(values.as_bytes()).to_string()
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new().unwrap().setting("status-configmap", NAME);
    for version in ["v1.0.0", "v1.1.0", "v1.3.0"] {
        sandbox.publish(MODEL, version).unwrap();
    }
    sandbox
}

fn mount(sandbox: &mut Sandbox, values: &str) {
    sandbox.kubelet.swap(&[("values.yaml", values)]).unwrap();
}

/// Changes the object as Argo CD does, and then the mount as the kubelet does.
fn commit(cluster: &Cluster, sandbox: &mut Sandbox, values: &str) -> String {
    cluster.apply(values);
    mount(sandbox, values);
    revision(values)
}

/// A pod that serves v1.0.0, and its cluster.
async fn pod(more: &str) -> (Cluster, Sandbox, Running) {
    let mut sandbox = sandbox();
    let values = sandbox.values(MODEL, "v1.0.0", more);
    mount(&mut sandbox, &values);
    let cluster = Cluster::new(&values).await;
    let running = sandbox.start_in(cluster.seen_by("fraud-0")).await.unwrap();
    cluster.says("Healthy", &revision(&values)).await;
    (cluster, sandbox, running)
}

/// The phases that were told about `revision`, one after the other.
fn phases(cluster: &Cluster, revision: &str) -> Vec<String> {
    let mut phases: Vec<String> =
        cluster.written().into_iter().filter(|told| told.revision == revision).map(|told| told.phase).collect();
    phases.dedup();
    phases
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_told_as_progressing_and_then_healthy() {
    let (cluster, mut sandbox, running) = pod(JUDGED).await;
    let values = sandbox.values(MODEL, "v1.1.0", JUDGED);
    let revision = commit(&cluster, &mut sandbox, &values);
    cluster.says("Progressing", &revision).await;
    let traffic = Traffic::start(&running.http()).unwrap();
    let told = cluster.says("Healthy", &revision).await;
    assert_eq!(traffic.stop().await.unwrap().failures, Vec::<String>::new());
    assert_eq!(told.reports.keys().collect::<Vec<_>>(), ["fraud-0"]);
    assert_eq!(phases(&cluster, &revision), ["Progressing", "Healthy"]);
    let annotations = cluster.annotations();
    assert_eq!(annotations["argocd.argoproj.io/tracking-id"], "fraud", "what others wrote stays");
    let metrics = metrics(&running).await;
    assert!(metrics.contains("sluice_status_annotations_total{result=\"refused\"} 0"), "{metrics}");
    assert!(!metrics.contains("sluice_status_annotations_total{result=\"written\"} 0"), "{metrics}");
    running.stop().await;
}

async fn metrics(running: &Running) -> String {
    reqwest::get(format!("http://{}/metrics", running.admin())).await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_version_and_a_bad_file_are_degraded_and_a_revert_is_healthy() {
    let (cluster, mut sandbox, running) = pod("").await;
    let good = sandbox.values(MODEL, "v1.0.0", "");
    let bad = sandbox.values(MODEL, "v1.3.0", "");
    let revision = commit(&cluster, &mut sandbox, &bad);
    let told = cluster.says("Degraded", &revision).await;
    assert!(told.message.contains("model.onnx") && !told.message.contains('\n'), "{}", told.message);
    let revision = commit(&cluster, &mut sandbox, &good);
    cluster.says("Healthy", &revision).await;
    // A file that is refused was seen, and its revision is that of the commit.
    let broken = commit(&cluster, &mut sandbox, &good.replace("v1.0.0", "not a version!"));
    let told = cluster.says("Degraded", &broken).await;
    assert!(told.message.contains("the values file is refused"), "{}", told.message);
    let revision = commit(&cluster, &mut sandbox, &good);
    cluster.says("Healthy", &revision).await;
    assert!(running.app.catalog().ready());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_servers_say_one_thing_and_the_worst_of_it() {
    let (cluster, mut first, one) = pod(HELD).await;
    let mut second = sandbox();
    // Each has a bucket of its own, and so values of its own: the object is what the first has.
    let values = first.values(MODEL, "v1.0.0", HELD);
    mount(&mut second, &values);
    let two = second.start_in(cluster.seen_by("fraud-1")).await.unwrap();
    cluster.until(|told| told.phase == "Healthy" && told.reports.len() == 2).await;

    // The second reads the commit later, and is waited for.
    let next = first.values(MODEL, "v1.1.0", HELD);
    let revision = commit(&cluster, &mut first, &next);
    one.until(MODEL, |model| model.phase == Phase::Paused).await.unwrap();
    one.app.rollout().command(MODEL, Verb::Promote { full: true }).await.unwrap();
    let told = cluster.until(|told| told.reports["fraud-0"] == "Healthy" && told.revision == revision).await;
    assert_eq!((&*told.phase, &*told.message), ("Progressing", "1 of 2 servers have read this content"));
    mount(&mut second, &next);
    let told = cluster.says("Paused", &revision).await;
    assert!(told.message.starts_with("1 of 2 servers: "), "{}", told.message);
    // What one of them rejects is Degraded, whatever the other says.
    two.app.rollout().command(MODEL, Verb::Abort).await.unwrap();
    let told = cluster.says("Degraded", &revision).await;
    assert_eq!(told.reports["fraud-0"], "Healthy");
    assert_eq!(phases(&cluster, &revision), ["Progressing", "Paused", "Degraded"], "nothing was taken back");
    // A server that ends is not spoken for any more.
    assert!(two.stop().await);
    let told = cluster.until(|told| told.reports.len() == 1).await;
    assert_eq!((&*told.phase, &*told.revision), ("Healthy", &*revision));
    assert!(one.stop().await);
    let told = cluster.until(|told| told.reports.is_empty()).await;
    assert_eq!((&*told.phase, &*told.revision), ("Healthy", &*revision), "the last word stays");
}

/// A reporter that is given its status by the test.
struct Lone {
    status: watch::Sender<Arc<Status>>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Lone {
    fn start(cluster: &Cluster, name: &str) -> Self {
        Self::start_at(&cluster.seen_by(name))
    }

    fn start_at(place: &Place) -> Self {
        let (status, receiver) = watch::channel(Arc::default());
        let stop = CancellationToken::new();
        // No luck: the longest waits that chance can give after a conflict.
        let jitter = Box::new(|| 1.0);
        let reporter = Reporter::new(place, NAME, AnnotationMetrics::default(), jitter);
        let task = tokio::spawn(reporter.run(receiver, stop.clone()));
        Self { status, stop, task }
    }

    /// A problem is the shortest status that says something.
    fn says(&self, problem: &str, values: &str) {
        let status =
            Status { problems: vec![problem.to_owned()], revisions: vec![revision(values)], ..Status::default() };
        self.status.send_replace(Arc::new(status));
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

fn message(problem: &'static str) -> impl Fn(&Told) -> bool {
    move |told| told.message == format!("values: {problem}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_cluster_refuses_or_fails_is_tried_again() {
    let cluster = Cluster::new("a").await;
    // A server that has read nothing says nothing, at its end too, when it has had all the time it wants.
    let silent = Lone::start(&cluster, "fraud-1");
    silent.end().await;
    assert_eq!(cluster.written(), []);
    cluster.fail(&[403, 500]);
    let lone = Lone::start(&cluster, "fraud-0");
    lone.says("first", "a");
    cluster.until(message("first")).await;
    assert_eq!((cluster.calls("GET", 403), cluster.calls("GET", 500)), (1, 1));
    // Somebody else writes at the same moment, three times.
    cluster.interfere(3);
    lone.says("second", "b");
    cluster.until(message("second")).await;
    assert_eq!(cluster.calls("PATCH", 409), 3);
    // A token that has become void is read again.
    cluster.rotate("second");
    cluster.mount("second");
    lone.says("third", "c");
    cluster.until(message("third")).await;
    lone.end().await;
    assert_eq!(cluster.until(|told| told.reports.is_empty()).await.reports.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_is_known_by_its_own_ca_and_by_no_other() {
    let cluster = Cluster::with_tls("a").await;
    let lone = Lone::start(&cluster, "fraud-0");
    lone.says("first", "a");
    cluster.until(message("first")).await;
    lone.end().await;
    let other = Cluster::with_tls("a").await;
    let place = Place { account: cluster.seen_by("").account, ..other.seen_by("fraud-0") };
    let lone = Lone::start_at(&place);
    lone.says("first", "a");
    other.hung_up().await;
    lone.end().await;
    assert_eq!(other.asked(), 0, "not even the token was told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_write_at_once_all_get_their_word_in() {
    let cluster = Cluster::new("a").await;
    let names: Vec<String> = (0..8).map(|index| format!("fraud-{index}")).collect();
    let all: Vec<Lone> = names.iter().map(|name| Lone::start(&cluster, name)).collect();
    for lone in &all {
        lone.says("same", "a");
    }
    let told = cluster.until(|told| told.reports.len() == names.len()).await;
    assert!(told.reports.keys().eq(&names));
    let said: Vec<_> = cluster.written().into_iter().map(|told| (told.phase, told.revision)).collect();
    assert!(said.iter().all(|said| *said == ("Degraded".to_owned(), revision("a"))), "{said:?}");
    for lone in all {
        lone.end().await;
    }
    assert!(cluster.written().last().unwrap().reports.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_cannot_be_reached_disturbs_nobody() {
    let (cluster, mut sandbox, running) = pod("").await;
    cluster.fail(&[500; 1000]);
    let mut traffic = Traffic::start(&running.http()).unwrap();
    let values = sandbox.values(MODEL, "v1.1.0", "");
    commit(&cluster, &mut sandbox, &values);
    running.promoted(MODEL, "v1.1.0").await.unwrap();
    traffic.answered_by("v1.1.0").await.unwrap();
    cluster.answered("GET", 500, 1).await;
    assert_eq!(traffic.stop().await.unwrap().failures, Vec::<String>::new());
    assert!(!metrics(&running).await.contains("sluice_status_annotations_total{result=\"failed\"} 0"));
    assert!(running.stop().await, "it ends in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outside_a_cluster_the_setting_does_nothing() {
    let mut sandbox = sandbox();
    let values = sandbox.values(MODEL, "v1.0.0", "");
    mount(&mut sandbox, &values);
    let running = sandbox.start().await.unwrap();
    running.promoted(MODEL, "v1.0.0").await.unwrap();
    assert!(metrics(&running).await.contains("sluice_status_annotations_total{result=\"failed\"} 0"));
    assert!(running.stop().await);
}
