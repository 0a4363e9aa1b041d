//! What starts a trial and what does not; changes and reverts while one is under way; rollbacks.

use std::time::Duration;

use config::{Step, VersionSpec};

use super::super::super::testing::{at_one_place, digest, seconds, spec, unpinned, values, weight};
use super::*;

#[test]
fn nothing_but_the_version_or_retry_starts_a_trial() {
    let mut world = World::settled(values(1));
    let staged = world.log.len();
    world.ask(|values| values.model.replicas = Some(7));
    world.ask(|values| values.strategy.steps.clear());
    world.ask(|values| values.retry = 3);
    world.ask(|values| values.serving.max_batch_size = 8);
    assert!(
        world.log[staged..].iter().all(|action| matches!(action, Action::Publish(_))),
        "{:?}",
        &world.log[staged..]
    );
    assert_eq!(world.rest.phase, Phase::Healthy);
}

#[test]
fn a_strategy_edit_applies_to_the_next_trial() {
    let mut world = v2_on_trial();
    world.ask(|values| values.strategy.steps = vec![Step::SetWeight(weight(90)), Step::Pause(None)]);
    assert_eq!(world.canary(), Some(("v2", 5.0)));
    world.ask(|values| values.model.target = spec(3));
    world.staged();
    assert_eq!(world.canary(), Some(("v3", 90.0)));
}

#[test]
fn the_same_bytes_under_another_label_need_no_trial() {
    // Known beforehand through the pin.
    let mut world = World::settled(values(1));
    let relabeled = VersionSpec { digest: Some(digest(1)), ..spec(9) };
    world.ask(|values| values.model.target = relabeled);
    assert_eq!((world.stable(), world.rest.phase, world.promotions().len()), (Some("v9"), Phase::Healthy, 1));

    // Known only once staged.
    let mut world = World::settled(values(1));
    world.ask(|values| values.model.target = unpinned(9));
    world.staged_as(digest(1));
    assert_eq!((world.stable(), world.rest.phase, world.promotions().len()), (Some("v9"), Phase::Healthy, 1));

    // During a trial: it goes on.
    let mut world = v2_on_trial();
    world.advance(seconds(60));
    world.ask(|values| values.model.target = VersionSpec { digest: Some(digest(2)), ..spec(9) });
    assert_eq!((world.stable(), world.canary()), (Some("v1"), Some(("v9", 50.0))));
}

#[test]
fn another_label_at_the_same_place_is_another_version() {
    let settled = || {
        let mut asked = values(1);
        asked.model.target = at_one_place(1);
        World::settled(asked)
    };
    let mut world = settled();
    world.ask(|values| values.model.target = at_one_place(2));
    assert_eq!((world.stable(), world.running()), (Some("v1"), Some(at_one_place(2))));
    world.staged_as(digest(2));
    assert_eq!((world.stable(), world.canary()), (Some("v1"), Some(("v2", 5.0))));
    world.command(Verb::Abort).unwrap();
    world.ask(|values| values.model.target = at_one_place(3));
    assert_eq!(world.running(), Some(at_one_place(3)), "what v2 was rejected for says nothing of v3");

    let mut world = settled();
    world.ask(|values| values.model.target = at_one_place(2));
    world.staged_as(digest(1));
    assert_eq!((world.stable(), world.rest.phase, world.promotions().len()), (Some("v2"), Phase::Healthy, 1));
    world.restart();
    world.staged();
    assert_eq!((world.stable(), world.rest.phase), (Some("v2"), Phase::Healthy), "the new label is remembered");

    let mut world = settled();
    world.ask(|values| values.model.target = at_one_place(2));
    world.restart();
    world.staged();
    assert_eq!(world.stable(), Some("v1"), "v2 was not promoted before the restart");
    world.staged_as(digest(2));
    assert_eq!((world.stable(), world.canary()), (Some("v1"), Some(("v2", 5.0))));
}

#[test]
fn pinning_what_serves_changes_nothing() {
    let mut values_unpinned = values(1);
    values_unpinned.model.target = unpinned(1);
    let mut world = World::settled(values_unpinned);
    world.ask(|values| values.model.target = spec(1));
    assert_eq!((world.stable(), world.rest.phase, world.promotions().len()), (Some("v1"), Phase::Healthy, 1));
}

#[test]
fn a_revert_ends_on_stable_at_once_from_every_sub_state() {
    for (name, sub_state) in SUB_STATES {
        let mut world = sub_state();
        world.ask(|values| values.model.target = spec(1));
        assert_eq!((world.stable(), world.canary(), world.rest.phase), (Some("v1"), None, Phase::Healthy), "{name}");
        assert_eq!((world.running(), world.promotions().len()), (None, 1), "{name}: nothing was loaded for it");
    }
}

#[test]
fn the_newest_version_takes_over_from_every_sub_state() {
    for (name, sub_state) in SUB_STATES {
        let mut world = sub_state();
        world.ask(|values| values.model.target = spec(3));
        assert_eq!((world.stable(), world.canary()), (Some("v1"), None), "{name}: weight 0 at once");
        assert_eq!(world.running(), Some(spec(3)), "{name}");
        world.staged();
        assert_eq!((world.stable(), world.canary()), (Some("v1"), Some(("v3", 5.0))), "{name}");
    }
}

#[test]
fn a_retry_bump_starts_over_from_every_sub_state() {
    for (name, sub_state) in SUB_STATES {
        let mut world = sub_state();
        world.ask(|values| values.retry = 1);
        world.staged();
        assert_eq!((world.stable(), world.canary()), (Some("v1"), Some(("v2", 5.0))), "{name}");
        healthy(&mut world, 120, 10);
        assert_eq!(world.stable(), Some("v2"), "{name}");
    }
}

#[test]
fn a_rollback_within_the_window_is_a_pointer_swap_while_resident() {
    let mut world = v2_on_trial();
    healthy(&mut world, 120, 10);
    world.ask(|values| values.model.target = spec(1));
    assert_eq!((world.stable(), world.rest.phase, world.running()), (Some("v1"), Phase::Healthy, None));
    assert_eq!(world.promotions(), [Why::First, Why::TrialPassed, Why::Rollback]);
}

#[test]
fn a_rollback_after_the_old_version_left_goes_through_the_gates_only() {
    let mut world = v2_on_trial();
    healthy(&mut world, 120, 10);
    assert!(world.observed.needs(digest(1)));
    world.advance(seconds(300));
    assert!(!world.observed.needs(digest(1)), "scaleDownDelay is over");
    world.ask(|values| values.model.target = spec(1));
    assert_eq!((world.stable(), world.running()), (Some("v2"), Some(spec(1))));
    world.staged();
    assert_eq!((world.stable(), world.canary()), (Some("v1"), None));
}

#[test]
fn outside_the_window_it_is_a_trial_again() {
    let mut world = v2_on_trial();
    healthy(&mut world, 120, 10);
    world.ask(|values| values.strategy.rollback_window_revisions = 0);
    world.ask(|values| values.model.target = spec(1));
    world.staged();
    assert_eq!((world.stable(), world.canary()), (Some("v2"), Some(("v1", 5.0))));
}

#[test]
fn a_rejected_canary_is_kept_for_a_while_without_traffic() {
    let mut world = v2_on_trial();
    world.command(Verb::Abort).unwrap();
    assert!(world.observed.needs(digest(2)));
    world.advance(seconds(30));
    assert!(!world.observed.needs(digest(2)));

    let mut world = World::settled(values(1));
    world.ask(|values| {
        values.strategy.abort_scale_down_delay = Duration::ZERO;
        values.model.target = spec(2);
    });
    world.staged();
    world.command(Verb::Abort).unwrap();
    world.advance(seconds(24 * 3600));
    assert!(world.observed.needs(digest(2)), "zero keeps it");
    world.ask(|values| values.model.target = spec(3));
    assert!(!world.observed.needs(digest(2)), "until it is replaced");
}
