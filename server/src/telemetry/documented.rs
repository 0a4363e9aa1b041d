//! `docs/metrics.md` and the exposition say the same: every metric, its type and its labels.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Metrics;
use super::front::FrontCollector;
use super::reload::ReloadResult;
use super::rollout::RolloutCollector;
use crate::background::Background;
use crate::device::Device;
use crate::front::guard::testing::{ALL, clients};
use crate::front::secured::Seen;
use crate::front::tls::testing::material;
use crate::identity::Identity;
use crate::rollout::analysis::{Conclusion, Tally};
use crate::rollout::status::{MetricStatus, ModelStatus};
use crate::rollout::{Phase, Status};

/// Type and label names by metric.
type Families = BTreeMap<String, (String, BTreeSet<String>)>;

/// The exposition of a process in which each part has something to say.
fn exposition() -> String {
    let metrics = Metrics::new(&Device::cpu(1 << 30, Background::start().unwrap()).unwrap());
    let identity = Identity { model: "m".into(), version: "v1".into(), digest: config::Digest::from_bytes([0; 32]) };
    let _version = metrics.version(&identity);
    metrics.reload.finished("m", ReloadResult::Success);
    metrics.reload.failed("m", "pull");
    metrics.reload.phase("m", "pull", Duration::from_secs(1));
    let status = Status { models: vec![model()], ..Status::default() };
    let (_sender, status) = watch::channel(Arc::new(status));
    metrics.register(Box::new(RolloutCollector::new(status)));
    let ((_tls, material), (_access, clients)) =
        (watch::channel(Arc::new(material())), watch::channel(Arc::new(clients(ALL, None))));
    metrics.register(Box::new(FrontCollector::new(Seen {
        material: Some(material),
        clients: Some(clients),
        files: vec![("tls", Arc::default()), ("access", Arc::default())],
        handshakes: Arc::default(),
        common: Arc::default(),
    })));
    metrics.exposition()
}

fn model() -> ModelStatus {
    let metric = MetricStatus {
        name: "nan-share".to_owned(),
        value: None,
        samples: 0,
        measurement: None,
        verdict: Conclusion::Running,
        reason: String::new(),
        dry_run: false,
        counts: Tally::default(),
    };
    ModelStatus {
        name: "m".to_owned(),
        phase: Phase::Healthy,
        message: String::new(),
        observed_revision: String::new(),
        values_error: None,
        notes: Vec::new(),
        desired_version: "v1".to_owned(),
        stable: None,
        canary: None,
        analysis: vec![metric],
        rejected: Vec::new(),
        promoted: Vec::new(),
        history: Vec::new(),
    }
}

/// What the exposition's own `# TYPE` lines and series say.
fn exposed(text: &str) -> Families {
    let mut families = Families::new();
    let mut current = None;
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let total = if kind == "counter" { "_total" } else { "" };
            let family = families.entry(format!("{name}{total}")).or_default();
            kind.clone_into(&mut family.0);
            current = Some(&mut family.1);
        } else if let (Some(labels), Some((_, series))) = (&mut current, line.split_once('{')) {
            let keys = series.split('}').next().unwrap_or_default().split(',').filter_map(|pair| pair.split_once('='));
            labels.extend(keys.map(|(key, _)| key.to_owned()).filter(|key| key != "le"));
        }
    }
    families
}

/// What the rows of the page's tables say: metric, type, labels, meaning.
fn documented(page: &str) -> Families {
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = page.lines().filter(|line| line.starts_with("| `")).map(|line| line.split('|').collect::<Vec<_>>());
    rows.filter(|cells| cells.len() == 6)
        .map(|cells| (names(cells[1])[0].clone(), (cells[2].trim().to_owned(), names(cells[3]).into_iter().collect())))
        .collect()
}

#[tokio::test]
async fn every_metric_is_documented_and_every_documented_metric_is_there() {
    let exposed = exposed(&exposition());
    assert!(exposed.len() > 20, "{exposed:?}");
    assert_eq!(documented(include_str!("../../../docs/metrics.md")), exposed);
}

#[test]
fn a_label_that_is_not_documented_is_seen() {
    let text = "# TYPE a counter\na_total{model=\"m\",code=\"ok\"} 1\n# TYPE b gauge\nb 1\n";
    let page = "| `a_total` | counter | `model` | x |\n| `b` | gauge |  | x |\n| `when` | not a metric |";
    assert_ne!(documented(page), exposed(text));
    assert_eq!(documented(&page.replace("`model`", "`code`, `model`")), exposed(text));
}
