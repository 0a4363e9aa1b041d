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

/// v2 serves, v1 is there for a rollback, and v3 is asked for.
fn v3_asked(policy: MemoryPolicy) -> World {
    let mut world = v2_on_trial();
    healthy(&mut world, 120, 10);
    world.ask(|values| {
        values.serving.memory_policy = policy;
        values.model.target = spec(3);
    });
    assert!(world.observed.needs(digest(1)));
    world
}

/// v2 is asked for and does not fit beside v1.
fn without_room(policy: MemoryPolicy) -> World {
    let mut world = v2_asked();
    world.ask(|values| values.serving.memory_policy = policy);
    world.failed(false, true);
    assert_eq!((world.stable(), world.running(), world.rejections()), (Some("v1"), None, 0), "{policy:?}: not at once");
    world.advance(seconds(1));
    assert_eq!(world.running(), Some(spec(2)), "{policy:?}");
    world.failed(false, true);
    world
}

const POLICIES: [MemoryPolicy; 3] = [MemoryPolicy::Availability, MemoryPolicy::Resource, MemoryPolicy::Refuse];

#[test]
fn what_does_not_fit_first_takes_the_room_of_versions_without_a_role() {
    for policy in POLICIES {
        let mut world = v3_asked(policy);
        world.failed(false, true);
        assert!(!world.observed.needs(digest(1)), "{policy:?}: v1 was only there for a rollback");
        assert_eq!((world.stable(), world.running()), (Some("v2"), Some(spec(3))), "{policy:?}: tried at once");
        world.staged();
        assert_eq!((world.stable(), world.canary()), (Some("v2"), Some(("v3", 5.0))), "{policy:?}");
    }
}

#[test]
fn room_that_was_made_may_come_a_moment_later() {
    for policy in POLICIES {
        let mut world = v3_asked(policy);
        world.failed(false, true);
        world.failed(false, true);
        assert_eq!((world.stable(), world.running(), world.rejections()), (Some("v2"), None, 0), "{policy:?}");
        world.advance(seconds(1));
        world.staged();
        assert_eq!((world.stable(), world.canary()), (Some("v2"), Some(("v3", 5.0))), "{policy:?}");
    }
}

#[test]
fn memory_policy_refuse_sends_away_what_does_not_fit_and_availability_waits_for_room() {
    let outcome = |world: World| (world.stable().map(str::to_owned), world.rest.phase, world.rejections());
    let refused = outcome(without_room(MemoryPolicy::Refuse));
    assert_eq!(refused, (Some("v1".to_owned()), Phase::Degraded, 1));
    let waits = outcome(without_room(MemoryPolicy::Availability));
    assert_eq!(waits, (Some("v1".to_owned()), Phase::Progressing, 0));
}

/// v1 made room for v2.
fn unloaded() -> World {
    let world = without_room(MemoryPolicy::Resource);
    assert_eq!((world.stable(), world.running()), (None, Some(spec(2))), "a gap, announced");
    assert!(!world.observed.needs(digest(1)));
    world
}

/// v2 was given up, and v1 serves again once it is staged.
fn comes_back(mut world: World, phase: Phase) {
    assert_eq!(world.running(), Some(spec(1)), "{}", world.rest.message);
    world.staged();
    assert_eq!((world.stable(), world.rest.phase), (Some("v1"), phase));
}

#[test]
fn memory_policy_resource_unloads_first_and_comes_back_on_failure() {
    let mut world = unloaded();
    world.staged();
    assert_eq!((world.stable(), world.promotions().last()), (Some("v2"), Some(&Why::NoRoom)));

    let mut world = unloaded();
    world.failed(true, false);
    comes_back(world, Phase::Degraded);

    let mut world = unloaded();
    world.ask(|values| values.model.target = spec(1));
    comes_back(world, Phase::Healthy);
}

#[test]
fn what_can_never_fit_takes_nobodys_room() {
    for policy in POLICIES {
        let mut world = v3_asked(policy);
        world.failed(true, false);
        assert_eq!((world.stable(), world.rest.phase, world.rejections()), (Some("v2"), Phase::Degraded, 1));
        assert!(world.observed.needs(digest(1)), "{policy:?}");
    }
}

#[test]
fn nothing_serves_for_two_failures_and_the_deadline_at_most() {
    for abort in [true, false] {
        for no_room in [true, false] {
            let mut world = unloaded();
            world.ask(|values| values.strategy.progress_deadline_abort = abort);
            world.failed(false, no_room);
            assert_eq!(world.running(), None, "what was freed may come a moment later");
            world.advance(seconds(1));
            assert_eq!(world.running(), Some(spec(2)));
            world.failed(false, no_room);
            comes_back(world, Phase::Degraded);
        }
        // It hangs: what counts is when v2 was asked for, one second before room was made.
        let mut world = unloaded();
        world.ask(|values| values.strategy.progress_deadline_abort = abort);
        world.advance(seconds(599));
        comes_back(world, Phase::Degraded);
    }
}

#[test]
fn after_its_deadline_nothing_makes_room_for_a_version() {
    let mut world = v2_asked();
    world.ask(|values| {
        values.serving.memory_policy = MemoryPolicy::Resource;
        values.strategy.progress_deadline_abort = false;
    });
    world.advance(seconds(600));
    for _ in 0..5 {
        world.failed(false, true);
        assert_eq!((world.stable(), world.rest.phase), (Some("v1"), Phase::Degraded));
        world.advance(seconds(1));
    }
}

#[test]
fn another_version_gets_no_room_that_was_made_for_this_one() {
    let mut world = unloaded();
    world.ask(|values| values.model.target = spec(3));
    assert_eq!(world.running(), Some(spec(1)), "v3 would have to be pulled first");
    world.staged();
    assert_eq!((world.stable(), world.running()), (Some("v1"), Some(spec(3))));
}

#[test]
fn an_evicted_version_that_is_gone_gives_way() {
    let mut world = unloaded();
    world.failed(true, false);
    world.failed(true, false);
    world.ask(|values| values.model.target = spec(3));
    world.staged();
    assert_eq!((world.stable(), world.rest.phase), (Some("v3"), Phase::Healthy));
}
