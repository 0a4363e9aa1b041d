//! What a process serves that starts on a changed values file: a real store, a real memory file, and a cache that is
//! there or not.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world fails there")]

use server::rollout::status::ModelStatus;
use server::rollout::{Phase, Verb};
use tests::sandbox::Sandbox;
use tests::zoo;

use super::{MODEL, bump, started};

const HELD: &str = "strategy: {canary: {steps: [{setWeight: 10}, {pause: {}}]}}\n";
const STABLE: &str = "stable: {version: v1.0.0}\n";

/// What the first process knew of the candidate, v1.1.0.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Candidate {
    Untested,
    Promoted,
    Rejected,
}

use Candidate::{Promoted, Rejected, Untested};

/// The first process, which ends: v1.0.0 was promoted, and the candidate as said.
async fn known(candidate: Candidate) -> Sandbox {
    let (mut sandbox, running) = started(HELD).await.unwrap();
    if candidate != Untested {
        bump(&mut sandbox, "v1.1.0", HELD).unwrap();
        running.until(MODEL, |model| model.phase == Phase::Paused).await.unwrap();
        let verb = if candidate == Promoted { Verb::Promote { full: true } } else { Verb::Abort };
        running.app.rollout().command(MODEL, verb).await.unwrap();
    }
    assert!(running.stop().await);
    sandbox
}

fn serves(model: &ModelStatus) -> (Option<&str>, Option<&str>, Phase) {
    let stable = model.stable.as_ref().map(|stable| stable.version.as_str());
    (stable, model.canary.as_ref().map(|canary| canary.version.version.as_str()), model.phase)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_of_what_a_cold_server_serves() {
    let (new, old) = (Some("v1.1.0"), Some("v1.0.0"));
    // Candidate, cache kept, stable declared → stable, canary, phase.
    for (candidate, kept, declared, expected) in [
        (Untested, true, false, (old, new, Phase::Paused)),
        (Untested, true, true, (old, new, Phase::Paused)),
        (Untested, false, false, (new, None, Phase::Healthy)),
        (Untested, false, true, (old, new, Phase::Paused)),
        (Promoted, true, false, (new, None, Phase::Healthy)),
        (Promoted, true, true, (new, None, Phase::Healthy)),
        (Promoted, false, false, (new, None, Phase::Healthy)),
        (Promoted, false, true, (old, new, Phase::Paused)),
        (Rejected, true, false, (old, None, Phase::Degraded)),
        (Rejected, true, true, (old, None, Phase::Degraded)),
        // Nobody remembers, and nothing is declared: this is why `stable` is.
        (Rejected, false, false, (new, None, Phase::Healthy)),
        (Rejected, false, true, (old, new, Phase::Paused)),
    ] {
        let mut sandbox = known(candidate).await;
        if !kept {
            std::fs::remove_dir_all(sandbox.cache()).unwrap();
        }
        let more = if declared { format!("{HELD}{STABLE}") } else { HELD.to_owned() };
        bump(&mut sandbox, "v1.1.0", &more).unwrap();
        let running = sandbox.start().await.unwrap();
        let status = running.until(MODEL, |model| serves(model) == expected).await;
        let status = status.unwrap_or_else(|error| panic!("{candidate:?} kept={kept} declared={declared}: {error}"));
        let tried = status.history.iter().any(|event| event.event == "staging" && event.version == "v1.1.0");
        assert_eq!(tried, (candidate, kept) != (Rejected, true), "{candidate:?} kept={kept} declared={declared}");
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_promoted_serves_after_a_restart_whatever_became_of_the_bucket() {
    let mut sandbox = known(Promoted).await;
    bump(&mut sandbox, "v1.1.0", HELD).unwrap();
    let place = sandbox.bucket().join(MODEL).join("v1.1.0");
    std::fs::remove_dir_all(&place).unwrap();
    sandbox.publish_as(&zoo::artifact(MODEL, "v1.0.0"), MODEL, "v1.1.0").unwrap();
    std::fs::write(place.join("stray.txt"), "uploaded by mistake").unwrap();
    let running = sandbox.start().await.unwrap();
    let status = running.promoted(MODEL, "v1.1.0").await.unwrap();
    assert_eq!((status.phase, status.rejected), (Phase::Healthy, vec![]));
    running.stop().await;
}
