//! Which cached artifacts a restart would need: the newest promotion of every model stays in the cache, whether or not
//! anybody uses it now.
//!
//! [`digests`] decides (pure); the task tells the store whenever the answer changes.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use config::Digest;
use tokio::sync::watch;

use crate::rollout::Status;
use crate::store::Store;

/// The newest promotion of each model, by the model's name.
pub type LastKnownGood = BTreeMap<String, Digest>;

/// The digests to keep: what `status` knows, and what was `remembered` at the start of models that may still come. Once
/// every values file was read without a problem, a model that is not among them is gone, and so is its claim.
#[must_use]
pub fn digests(remembered: &LastKnownGood, status: &Status) -> HashSet<Digest> {
    let complete = !status.models.is_empty() && status.problems.is_empty();
    let mut kept = if complete { LastKnownGood::new() } else { remembered.clone() };
    for model in &status.models {
        let newest = model.promoted.first().and_then(|promoted| Digest::parse(promoted.digest.as_deref()?).ok());
        match newest {
            Some(digest) => kept.insert(model.name.clone(), digest),
            None => kept.remove(&model.name),
        };
    }
    kept.into_values().collect()
}

/// Protects what was remembered, then follows `status` until the reconciler ends. The first protection happens before
/// this returns, so that it comes before the first fetch.
pub fn protect(
    store: Arc<Store>,
    remembered: LastKnownGood,
    mut status: watch::Receiver<Arc<Status>>,
) -> impl Future<Output = ()> {
    let mut kept = digests(&remembered, &status.borrow_and_update());
    store.protect(&kept);
    async move {
        while status.changed().await.is_ok() {
            let now = digests(&remembered, &status.borrow_and_update());
            if now != kept {
                store.protect(&now);
                kept = now;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::Phase;
    use crate::rollout::status::{ModelStatus, VersionStatus};

    fn digest(n: u8) -> Digest {
        Digest::from_bytes([n; 32])
    }

    fn model(name: &str, promoted: &[u8]) -> ModelStatus {
        let promoted = promoted.iter().map(|n| VersionStatus {
            version: format!("v{n}"),
            digest: Some(digest(*n).to_string()),
            state: "Promoted".to_owned(),
        });
        ModelStatus {
            name: name.to_owned(),
            phase: Phase::Healthy,
            message: String::new(),
            observed_revision: String::new(),
            values_error: None,
            notes: Vec::new(),
            desired_version: "v9".to_owned(),
            stable: None,
            canary: None,
            analysis: Vec::new(),
            rejected: Vec::new(),
            promoted: promoted.collect(),
            history: Vec::new(),
        }
    }

    #[test]
    fn the_newest_promotion_of_each_model_stays_and_only_a_read_mount_gives_one_up() {
        let remembered = LastKnownGood::from([("a".to_owned(), digest(1)), ("b".to_owned(), digest(2))]);
        let check = |models: Vec<ModelStatus>, problems: &[&str], expected: &[u8]| {
            let problems = problems.iter().map(ToString::to_string).collect();
            let kept = digests(&remembered, &Status { models, problems, ..Status::default() });
            assert_eq!(kept, expected.iter().map(|n| digest(*n)).collect());
        };
        check(vec![], &[], &[1, 2]);
        check(vec![model("a", &[3, 1])], &["b.yaml is broken"], &[3, 2]);
        check(vec![model("a", &[3, 1])], &[], &[3]);
        check(vec![model("a", &[]), model("b", &[2])], &[], &[2]);
    }
}
