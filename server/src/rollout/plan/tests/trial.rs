//! How a version gets all traffic, or none.

use config::{Step, Values};

use super::super::super::memory::Memory;
use super::super::super::testing::{digest, seconds, spec, values, weight};
use super::*;

#[test]
fn the_first_version_skips_steps_and_not_gates() {
    let mut world = World::start(values(1), Memory::default());
    assert_eq!((world.stable(), world.rest.phase), (None, Phase::Progressing));
    world.staged();
    assert_eq!((world.stable(), world.canary(), world.rest.phase), (Some("v1"), None, Phase::Healthy));
    assert_eq!(world.promotions(), [Why::First]);
}

#[test]
fn a_good_version_goes_through_its_steps_and_is_promoted() {
    let mut world = v2_on_trial();
    assert_eq!(world.rest.phase, Phase::Paused);
    healthy(&mut world, 59, 10);
    assert_eq!(world.canary(), Some(("v2", 5.0)));
    healthy(&mut world, 1, 10);
    assert_eq!(world.canary(), Some(("v2", 50.0)));
    healthy(&mut world, 60, 10);
    assert_eq!((world.stable(), world.canary(), world.rest.phase), (Some("v2"), None, Phase::Healthy));
    assert_eq!(world.promotions(), [Why::First, Why::TrialPassed]);
    assert_eq!(world.observed.saved.promoted()[0].digest, digest(2), "the promotion is remembered");
}

#[test]
fn a_bad_version_is_sent_away_at_the_next_measurement_and_remembered() {
    let mut world = v2_on_trial();
    world.traffic(BAD, 100);
    world.advance(seconds(10));
    assert_eq!((world.stable(), world.canary(), world.rest.phase), (Some("v1"), None, Phase::Degraded));
    assert!(world.rest.message.contains("request-success-rate"), "{}", world.rest.message);
    assert_eq!(world.observed.saved.rejected()[0].digest, Some(digest(2)));
    world.advance(seconds(7 * 24 * 3600));
    assert_eq!((world.stable(), world.rest.phase, world.running()), (Some("v1"), Phase::Degraded, None));
}

#[test]
fn failing_n_times_goes_on_and_once_more_aborts() {
    let mut world = World::settled(values(1));
    world.ask(|values| {
        values.analysis_templates.get_mut("default").unwrap().metrics[0].failure_limit = Some(2);
        values.model.target = spec(2);
    });
    world.staged();
    for failures in 1..=3 {
        assert!(world.canary().is_some(), "after {failures} failures");
        world.traffic(BAD, 100);
        world.advance(seconds(10));
    }
    assert_eq!((world.canary(), world.rest.phase), (None, Phase::Degraded));
}

#[test]
fn no_traffic_for_an_hour_waits_and_then_goes_on() {
    let mut world = v2_on_trial();
    healthy(&mut world, 3600, 0);
    assert_eq!((world.stable(), world.canary()), (Some("v1"), Some(("v2", 50.0))));
    assert_eq!(world.rest.phase, Phase::Progressing);
    assert!(world.rest.message.contains("no passing measurement"), "{}", world.rest.message);
    world.traffic(GOOD, 10);
    world.advance(seconds(10));
    assert_eq!(world.stable(), Some("v2"));
}

#[test]
fn what_stays_unclear_pauses_until_a_person_says_so() {
    let mut world = World::settled(values(1));
    world.ask(|values| {
        values.analysis_templates.get_mut("default").unwrap().metrics[0].inconclusive_limit = Some(2);
        values.model.target = spec(2);
    });
    world.staged();
    healthy(&mut world, 30, 0);
    assert_eq!((world.rest.phase, world.canary()), (Phase::Paused, Some(("v2", 5.0))));
    assert!(world.rest.message.contains("inconclusiveLimit"), "{}", world.rest.message);
    healthy(&mut world, 3600, 100);
    assert_eq!(world.canary(), Some(("v2", 5.0)), "data does not end a pause");
    world.command(Verb::Promote { full: false }).unwrap();
    assert_eq!(world.canary(), Some(("v2", 50.0)), "the step after the pause");
    healthy(&mut world, 120, 100);
    assert_eq!(world.stable(), Some("v2"));
}

#[test]
fn a_paused_trial_still_fails() {
    let mut world = v2_on_trial();
    world.command(Verb::Pause).unwrap();
    world.traffic(BAD, 100);
    world.advance(seconds(10));
    assert_eq!((world.canary(), world.rest.phase), (None, Phase::Degraded));
}

#[test]
fn an_analysis_step_waits_for_its_own_verdict() {
    let mut world = World::settled(values(1));
    world.ask(|values| {
        values.strategy.analysis = None;
        values.strategy.steps = vec![Step::SetWeight(weight(5)), Step::Analysis(vec!["default".to_owned()])];
        values.model.target = spec(2);
    });
    world.staged();
    healthy(&mut world, 600, 0);
    assert_eq!(world.canary(), Some(("v2", 5.0)));
    world.traffic(GOOD, 10);
    world.advance(seconds(10));
    assert_eq!(world.stable(), Some("v2"));
}

/// The built-in bound on NaN.
fn guard() -> Option<config::AnalysisTemplate> {
    let metric = config::Metric {
        critical: true,
        min_samples: 1,
        ..super::super::super::analysis::testing::metric(config::MetricKind::NanShare, None, Some(0.0))
    };
    Some(config::AnalysisTemplate { metrics: vec![metric] })
}

#[test]
fn the_guard_judges_from_the_first_step_on_where_the_analysis_starts_later() {
    let trial = || {
        let mut world = v2_asked();
        world.ask(|values| {
            values.strategy.guard = guard();
            values.strategy.analysis.as_mut().unwrap().starting_step = 2;
        });
        world.staged();
        world
    };
    let mut world = trial();
    world.traffic(Outcome::NonFinite, 1);
    world.advance(seconds(10));
    assert_eq!((world.stable(), world.canary(), world.rest.phase), (Some("v1"), None, Phase::Degraded));
    // What the analysis looks at is not held against the canary before it starts.
    let mut world = trial();
    world.traffic(BAD, 100);
    world.advance(seconds(20));
    assert_eq!(world.canary(), Some(("v2", 5.0)));
    healthy(&mut world, 200, 10);
    assert_eq!(world.stable(), Some("v2"));
}

#[test]
fn a_confidence_alone_is_nothing_to_wait_for_and_a_guard_is() {
    for (guard, promoted) in [(None, "v2"), (guard(), "v1")] {
        let mut world = v2_asked();
        world.ask(|values| {
            values.strategy.guard = guard.clone();
            values.strategy.analysis.as_mut().unwrap().templates.clear();
        });
        world.staged();
        healthy(&mut world, 300, 0);
        assert_eq!(world.stable(), Some(promoted));
        healthy(&mut world, 20, 10);
        assert_eq!(world.stable(), Some("v2"), "the guard has seen answers");
    }
}

#[test]
fn an_analysis_without_metrics_does_not_pass() {
    let mut world = World::settled(values(1));
    world.ask(|values| {
        values.analysis_templates.clear();
        values.model.target = spec(2);
    });
    world.staged();
    healthy(&mut world, 600, 100);
    assert_eq!((world.stable(), world.canary()), (Some("v1"), Some(("v2", 50.0))));
}

#[test]
fn no_steps_or_skip_analysis_promotes_after_the_gates() {
    let changes: [fn(&mut Values); 2] =
        [|values| values.strategy.steps.clear(), |values| values.strategy.skip_analysis = true];
    for change in changes {
        let mut world = v2_asked();
        world.ask(change);
        assert_eq!(world.stable(), Some("v1"));
        world.staged();
        assert_eq!((world.stable(), world.promotions()), (Some("v2"), vec![Why::First, Why::NoTrial]));
    }
}
