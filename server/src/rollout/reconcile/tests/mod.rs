//! The whole reconciler in paused time, with a stager that takes two seconds and does what the test says.

mod node;

use config::Values;
use tokio::time::Instant;

use super::super::analysis::Outcome;
use super::super::plan::{Phase, Verb, VerbError};
use super::super::port::StageError;
use super::super::testing::{spec, unpinned, values};
use node::{Node, STAGE_SECONDS};

const GOOD: Outcome = Outcome::Success;
const BAD: Outcome = Outcome::NonFinite;

fn error(permanent: bool) -> StageError {
    let reason = "no such object".to_owned();
    StageError { phase: "pull", reason, permanent, no_room: false, digest: None }
}

/// v1 serves and v2 is on trial at 5 %.
async fn on_trial() -> Node {
    let mut node = Node::settled(values(1)).await;
    node.ask(values(2));
    node.elapse(STAGE_SECONDS).await;
    assert_eq!(node.routes(), "v1 + v2 5%");
    node
}

#[tokio::test(start_paused = true)]
async fn a_good_version_is_promoted_and_the_old_one_freed() {
    let mut node = on_trial().await;
    node.serve(GOOD, 10, 59).await;
    assert_eq!(node.routes(), "v1 + v2 5%");
    node.serve(GOOD, 10, 2).await;
    assert_eq!(node.routes(), "v1 + v2 50%");
    node.serve(GOOD, 10, 60).await;
    assert_eq!((node.routes(), node.phase()), ("v2".to_owned(), Phase::Healthy));
    assert_eq!(node.resident(), 2, "v1 is kept for a rollback");
    node.elapse(301).await;
    assert_eq!(node.resident(), 1, "and freed after scaleDownDelay");
}

#[tokio::test(start_paused = true)]
async fn a_bad_version_is_rolled_back_and_freed() {
    let mut node = on_trial().await;
    node.serve(BAD, 10, 11).await;
    assert_eq!((node.routes(), node.phase()), ("v1".to_owned(), Phase::Degraded));
    assert_eq!(node.status().rejected[0].version, "v2");
    node.elapse(31).await;
    assert_eq!(node.resident(), 1);
    node.elapse(24 * 3600).await;
    assert_eq!((node.routes(), node.attempts().len()), ("v1".to_owned(), 2), "it is not tried again");
}

#[tokio::test(start_paused = true)]
async fn no_traffic_for_an_hour_waits() {
    let mut node = on_trial().await;
    node.elapse(3600).await;
    assert_eq!((node.routes(), node.phase()), ("v1 + v2 50%".to_owned(), Phase::Progressing));
    node.serve(GOOD, 10, 11).await;
    assert_eq!(node.routes(), "v2");
}

#[tokio::test(start_paused = true)]
async fn a_revert_is_at_once_in_every_sub_state() {
    for after in [0, 1, STAGE_SECONDS, 30, 62, 90, 200] {
        let mut node = Node::settled(values(1)).await;
        node.ask(values(2));
        node.elapse(after).await;
        node.ask(values(1));
        node.settle().await;
        assert_eq!((node.routes(), node.phase()), ("v1".to_owned(), Phase::Healthy), "after {after} s");
        assert_eq!((node.resident(), node.under_way()), (1, 0), "after {after} s: v2 is freed, its attempt given up");
    }
}

#[tokio::test(start_paused = true)]
async fn the_result_of_a_superseded_attempt_is_not_used() {
    let mut node = Node::settled(values(1)).await;
    node.ask(values(2));
    node.elapse(1).await;
    node.ask(values(3));
    node.elapse(1).await;
    assert_eq!((node.routes(), node.under_way()), ("v1".to_owned(), 1));
    node.elapse(STAGE_SECONDS).await;
    assert_eq!((node.routes(), node.resident()), ("v1 + v3 5%".to_owned(), 2));
}

#[tokio::test(start_paused = true)]
async fn a_transient_failure_is_tried_again_with_growing_waits() {
    let mut node = Node::settled(values(1)).await;
    node.script(2, [error(false), error(false), error(false)]);
    node.ask(values(2));
    node.elapse(60).await;
    let begun = node.attempts();
    let between = |pair: &[Instant]| (pair[1] - pair[0]).as_secs_f64().round() as u64;
    let waits: Vec<u64> = begun[1..].windows(2).map(|pair| between(pair) - STAGE_SECONDS).collect();
    assert_eq!(waits, [1, 2, 4]);
    assert_eq!(node.routes(), "v1 + v2 5%");
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_and_a_panic_are_rejected() {
    let mut node = Node::settled(values(1)).await;
    node.script(2, [error(true)]);
    node.ask(values(2));
    node.elapse(600).await;
    assert_eq!((node.routes(), node.phase(), node.attempts().len()), ("v1".to_owned(), Phase::Degraded, 2));
    assert!(node.status().message.contains("no such object"));

    node.panics(3);
    node.ask(values(3));
    node.elapse(600).await;
    assert_eq!((node.routes(), node.phase(), node.attempts().len()), ("v1".to_owned(), Phase::Degraded, 3));
    assert!(node.status().message.contains("panic"));
}

#[tokio::test(start_paused = true)]
async fn a_retry_bump_tries_a_rejected_version_again() {
    let mut node = on_trial().await;
    node.serve(BAD, 10, 11).await;
    node.ask(Values { retry: 1, ..values(2) });
    node.settle().await;
    assert_eq!(node.routes(), "v1 + v2 5%", "it was still resident");
    node.serve(GOOD, 10, 122).await;
    assert_eq!(node.routes(), "v2", "what it did on its first trial is not held against it");
}

#[tokio::test(start_paused = true)]
async fn a_restart_remembers_what_was_promoted_and_rejected() {
    let mut node = on_trial().await;
    node.serve(GOOD, 10, 122).await;
    let mut node = node.restart(values(2)).await;
    node.elapse(STAGE_SECONDS).await;
    assert_eq!((node.routes(), node.phase()), ("v2".to_owned(), Phase::Healthy));

    node.ask(values(3));
    node.elapse(STAGE_SECONDS).await;
    node.serve(BAD, 10, 11).await;
    let mut node = node.restart(values(3)).await;
    node.elapse(60).await;
    assert_eq!((node.routes(), node.phase()), ("v2".to_owned(), Phase::Degraded));
    assert_eq!(node.attempts().len(), 1, "v3 is not even pulled");
    assert!(node.status().message.contains("nan-share") || node.status().message.contains("request-success-rate"));
}

#[tokio::test(start_paused = true)]
async fn a_restart_without_memory_serves_the_declared_stable() {
    let mut node = Node::start(Values { stable: Some(spec(1)), ..values(2) }).await;
    assert_eq!(node.routes(), "-");
    node.elapse(STAGE_SECONDS).await;
    assert_eq!(node.routes(), "v1");
    node.elapse(STAGE_SECONDS).await;
    assert_eq!(node.routes(), "v1 + v2 5%");
}

#[tokio::test(start_paused = true)]
async fn the_same_bytes_under_another_label_are_loaded_once() {
    let mut node = Node::settled(values(1)).await;
    node.bytes(9, 1);
    let mut asked = values(9);
    asked.model.target = unpinned(9);
    node.ask(asked);
    node.elapse(STAGE_SECONDS).await;
    assert_eq!((node.routes(), node.phase()), ("v9".to_owned(), Phase::Healthy));
    assert_eq!(node.resident(), 1, "the second copy is freed");
}

#[tokio::test(start_paused = true)]
async fn a_candidate_is_held_against_the_signature_of_stable_and_a_rollback_is_not() {
    let mut node = on_trial().await;
    assert_eq!(node.compatible_with(), [None, Some(1)]);
    node.serve(GOOD, 10, 122).await;
    node.elapse(301).await;
    node.ask(values(1));
    node.elapse(STAGE_SECONDS).await;
    assert_eq!((node.routes(), node.compatible_with()), ("v1".to_owned(), vec![None, Some(1), None]));
}

#[tokio::test(start_paused = true)]
async fn a_broken_values_file_leaves_the_last_good_state() {
    let mut node = Node::settled(values(1)).await;
    node.breaks("values.yaml:3:7: model.version: write a label");
    node.settle().await;
    assert_eq!((node.routes(), node.phase()), ("v1".to_owned(), Phase::Degraded));
    assert!(node.status().message.contains("values.yaml:3:7"));
    assert_eq!(node.status().history.iter().filter(|event| event.event == "valuesRefused").count(), 1);
    node.ask(values(1));
    node.settle().await;
    assert_eq!((node.phase(), node.status().values_error), (Phase::Healthy, None));
}

#[tokio::test(start_paused = true)]
async fn several_problems_are_counted_in_the_message_and_listed_in_the_error() {
    let mut node = Node::settled(values(1)).await;
    let both = "values.yaml:3:7: model.version: write a label\nvalues.yaml:4:1: `modle` is not known";
    node.breaks(both);
    node.settle().await;
    let status = node.status();
    assert!(status.message.starts_with("the values file is refused: 2 problems; "), "{}", status.message);
    assert_eq!(status.values_error.as_deref(), Some(both));
    let refused: Vec<_> = status.history.iter().filter(|event| event.event == "valuesRefused").collect();
    assert_eq!(refused.iter().map(|event| event.reason.as_str()).collect::<Vec<_>>(), ["2 problems"]);
}

#[tokio::test(start_paused = true)]
async fn a_model_goes_only_when_its_file_was_removed_on_purpose() {
    let mut node = Node::settled(values(1)).await;
    node.desired(|desired| desired.models.clear());
    node.settle().await;
    assert_eq!((node.routes(), node.phase()), ("v1".to_owned(), Phase::Degraded), "an empty listing");

    let mut other = values(1);
    other.model.name = config::ModelName::new("other").unwrap();
    node.add(other);
    node.desired(|desired| desired.problems.push("cannot read fraud.yaml".to_owned()));
    node.settle().await;
    assert_eq!(node.routes(), "v1", "a file that cannot be read");

    node.desired(|desired| desired.problems.clear());
    node.elapse(STAGE_SECONDS).await;
    assert_eq!((node.routes(), node.resident()), ("gone".to_owned(), 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_the_way_files_are_watched_is_in_the_status() {
    let mut node = Node::settled(values(1)).await;
    node.desired(|desired| desired.notes.push("values.yaml is itself a mount point".to_owned()));
    node.settle().await;
    assert_eq!(node.handle.status().borrow().notes, ["values.yaml is itself a mount point"]);
    assert_eq!(node.phase(), Phase::Healthy);
}

#[tokio::test(start_paused = true)]
async fn verbs_answer_once_routes_are_as_they_say() {
    let mut node = on_trial().await;
    let say = |model: &'static str, verb| {
        let handle = node.handle.clone();
        async move { handle.command(model, verb).await }
    };
    assert_eq!(say("nothing", Verb::Abort).await, Err(VerbError::UnknownModel("nothing".to_owned())));
    assert_eq!(say("../..", Verb::Abort).await, Err(VerbError::UnknownModel("../..".to_owned())));
    assert!(matches!(say("fraud", Verb::Retry).await, Err(VerbError::NotNow(_))));
    say("fraud", Verb::Pause).await.unwrap();
    node.serve(GOOD, 100, 600).await;
    assert_eq!((node.routes(), node.phase()), ("v1 + v2 5%".to_owned(), Phase::Paused));
    assert!(node.handle.command("fraud", Verb::Abort).await.unwrap().contains("v2 is rejected"));
    assert_eq!(node.routes(), "v1");
    node.handle.command("fraud", Verb::Retry).await.unwrap();
    assert_eq!(node.routes(), "v1 + v2 5%");
    node.handle.command("fraud", Verb::Promote { full: true }).await.unwrap();
    assert_eq!(node.routes(), "v2");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_down_is_done_all_the_same() {
    let mut node = on_trial().await;
    node.spoil_memory();
    node.serve(GOOD, 10, 122).await;
    assert_eq!((node.routes(), node.phase()), ("v2".to_owned(), Phase::Healthy));
    let notes = node.status().notes;
    assert!(notes.iter().any(|note| note.contains("decisions are not on disk")), "{notes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_holds_up_no_rollback_and_is_told() {
    let node = on_trial().await;
    let told = |notes: &[String]| notes.iter().any(|note| note.contains("decisions are not on disk"));
    let disk = node.hang_memory();
    node.handle.command("fraud", Verb::Abort).await.unwrap();
    assert_eq!((node.routes(), told(&node.status().notes)), ("v1".to_owned(), false));
    // A thread that is blocked stops the paused clock, which is moved by hand instead.
    tokio::time::advance(std::time::Duration::from_secs(11)).await;
    let mut status = node.handle.status();
    status.wait_for(|status| told(&status.models[0].notes)).await.unwrap();

    disk.go_on();
    node.handle.command("fraud", Verb::Retry).await.unwrap();
    status.wait_for(|status| !told(&status.models[0].notes)).await.unwrap();
    assert_eq!(node.routes(), "v1 + v2 5%");
}

#[tokio::test(start_paused = true)]
async fn shutdown_gives_up_attempts_and_leaves_routes() {
    let mut node = Node::settled(values(1)).await;
    node.ask(values(2));
    node.elapse(1).await;
    assert_eq!(node.under_way(), 1);
    node.stop().await;
    assert_eq!((node.under_way(), node.routes()), (0, "v1".to_owned()));
    assert!(matches!(node.handle.command("fraud", Verb::Pause).await, Err(VerbError::NotNow(_))));
}

#[tokio::test(start_paused = true)]
async fn the_status_document() {
    let mut node = on_trial().await;
    node.serve(GOOD, 10, 11).await;
    let status = serde_json::to_value(&**node.handle.status().borrow()).unwrap();
    let model = &status["models"][0];
    assert_eq!(model["name"], "fraud");
    assert_eq!(model["phase"], "Paused");
    assert_eq!(model["stable"]["version"], "v1");
    assert_eq!(model["canary"]["version"], "v2");
    assert_eq!((&model["canary"]["weightPercent"], &model["canary"]["step"]), (&5.0.into(), &2.into()));
    assert!(humantime::parse_rfc3339(model["canary"]["nextAt"].as_str().unwrap()).is_ok());
    let metric = &model["analysis"][0];
    assert_eq!((&metric["verdict"], &metric["counts"]["successful"]), (&"Successful".into(), &1.into()));
    let events: Vec<&str> =
        model["history"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(
        events,
        ["staging", "staged", "promoted", "valuesObserved", "staging", "staged", "trialStarted", "step"]
    );
}
