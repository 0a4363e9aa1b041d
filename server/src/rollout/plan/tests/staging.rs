//! What happens when a version cannot be made resident.

use config::MemoryPolicy;

use super::super::super::testing::{digest, seconds, spec};
use super::*;

#[test]
fn a_transient_failure_is_tried_again_until_the_progress_deadline() {
    let mut world = v2_asked();
    for _ in 0..500 {
        world.failed(false, false);
        assert_eq!((world.running(), world.rest.phase), (None, Phase::Progressing));
        world.advance(seconds(1));
        assert_eq!(world.running(), Some(spec(2)));
    }
    world.failed(false, false);
    world.advance(seconds(200));
    assert_eq!((world.stable(), world.rest.phase), (Some("v1"), Phase::Degraded));
    assert!(world.rest.message.contains("deadline") && world.rest.message.contains("no such object"));
    assert_eq!(world.rejections(), 1);
}

#[test]
fn a_staging_that_hangs_meets_the_deadline() {
    let mut world = v2_asked();
    world.advance(seconds(600));
    assert_eq!((world.running(), world.rest.phase, world.rejections()), (None, Phase::Degraded, 1));
}

#[test]
fn without_progress_deadline_abort_it_only_reports() {
    let mut world = v2_asked();
    world.ask(|values| values.strategy.progress_deadline_abort = false);
    world.advance(seconds(601));
    assert_eq!((world.running(), world.rest.phase), (Some(spec(2)), Phase::Degraded));
    world.failed(false, false);
    world.advance(seconds(1));
    world.staged();
    assert_eq!(world.canary(), Some(("v2", 5.0)));
}

#[test]
fn a_permanent_failure_rejects_at_once_and_does_not_storm() {
    let mut world = v2_asked();
    world.failed(true, false);
    assert_eq!((world.stable(), world.rest.phase, world.running()), (Some("v1"), Phase::Degraded, None));
    assert_eq!(world.rest.wake_at, None);
}

#[test]
fn what_does_not_fit_first_takes_the_room_of_versions_without_a_role() {
    let mut world = v2_on_trial();
    healthy(&mut world, 120, 10);
    world.ask(|values| values.model.target = spec(3));
    world.failed(false, true);
    assert!(!world.observed.needs(digest(1)), "v1 was only there for a rollback");
    assert_eq!(world.stable(), Some("v2"));
    world.advance(seconds(1));
    world.staged();
    assert_eq!(world.canary(), Some(("v3", 5.0)));
}

#[test]
fn memory_policy_refuse_sends_away_what_does_not_fit_and_availability_waits_for_room() {
    let without_room = |policy| {
        let mut world = v2_asked();
        world.ask(|values| values.serving.memory_policy = policy);
        world.failed(false, true);
        (world.stable().map(str::to_owned), world.rest.phase, world.rejections())
    };
    assert_eq!(without_room(MemoryPolicy::Refuse), (Some("v1".to_owned()), Phase::Degraded, 1));
    assert_eq!(without_room(MemoryPolicy::Availability), (Some("v1".to_owned()), Phase::Progressing, 0));
}

#[test]
fn memory_policy_resource_unloads_first_and_comes_back_on_failure() {
    let unloaded = || {
        let mut world = v2_asked();
        world.ask(|values| values.serving.memory_policy = MemoryPolicy::Resource);
        world.failed(false, true);
        assert_eq!((world.stable(), world.running()), (None, Some(spec(2))), "a gap, announced");
        assert!(!world.observed.needs(digest(1)));
        world
    };
    let mut world = unloaded();
    world.staged();
    assert_eq!((world.stable(), world.promotions().last()), (Some("v2"), Some(&Why::NoRoom)));

    let mut world = unloaded();
    world.failed(true, false);
    assert_eq!(world.running(), Some(spec(1)));
    world.staged();
    assert_eq!((world.stable(), world.rest.phase), (Some("v1"), Phase::Degraded));

    let mut world = unloaded();
    world.ask(|values| values.model.target = spec(1));
    world.staged();
    assert_eq!((world.stable(), world.rest.phase), (Some("v1"), Phase::Healthy));
}
