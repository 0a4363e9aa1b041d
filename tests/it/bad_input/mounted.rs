//! Bad values files and bad artifacts: one model for each case, all in one mount, so that they fail side by side.
//!
//! Every model first serves a good version. Then one swap of the mount brings all that is bad.

use server::rollout::status::ModelStatus;
use tests::sandbox::{Running, Sandbox};

use super::artifacts::{self, Artifact};
use super::values::{self, Mistake};
use super::{GOOD, Table, answered_by, complaint};

/// Brings up a server on good files, swaps bad ones in, and tells what each model says. The server is returned; its
/// model `good` was left alone.
pub(super) async fn files(sandbox: &mut Sandbox, table: &mut Table) -> Running {
    let mistakes = values::mistakes();
    let artifacts = artifacts::bad(sandbox);
    sandbox.publish(super::MODEL, GOOD).unwrap();
    let names = || artifacts.iter().map(|it| it.model.clone()).chain(mistakes.iter().map(Mistake::model));
    let mut good: Vec<(String, String)> =
        names().map(|model| (file(&model), artifacts::good(sandbox, &model))).collect();
    good.push((file("good"), artifacts::good(sandbox, "good")));
    swap(sandbox, &good);
    let running = sandbox.start().await.unwrap();
    for model in names().chain(["good".to_owned()]) {
        running.promoted(&model, GOOD).await.unwrap();
    }

    let mut bad = vec![good.pop().unwrap()];
    bad.extend(mistakes.iter().map(|it| (file(&it.model()), it.text(&artifacts::good(sandbox, &it.model())))));
    bad.extend(artifacts.iter().map(|it| (file(&it.model), it.values.clone())));
    swap(sandbox, &bad);

    table.kind("values files");
    for mistake in &mistakes {
        let status = running.until(&mistake.model(), |model| model.values_error.is_some()).await.unwrap();
        table.case(mistake.name, status.values_error.as_deref().unwrap());
        assert_eq!(answered_by(&running, &mistake.model()).await, GOOD, "{}", mistake.name);
    }
    table.kind("artifacts");
    for Artifact { name, model, .. } in &artifacts {
        let status = running.until(model, refused).await.unwrap();
        table.case(name, &complaint(&status));
        assert_eq!(answered_by(&running, model).await, GOOD, "{name}");
    }
    assert_eq!(answered_by(&running, "good").await, GOOD);
    running
}

/// Rejected for good, or given up for now.
fn refused(status: &ModelStatus) -> bool {
    let waits = status.canary.as_ref().is_some_and(|canary| canary.version.state == "Waiting");
    (waits || !status.rejected.is_empty()) && status.stable.is_some()
}

fn file(model: &str) -> String {
    format!("{model}.yaml")
}

fn swap(sandbox: &mut Sandbox, files: &[(String, String)]) {
    let keys: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    sandbox.kubelet.swap(&keys).unwrap();
}
