//! What operators may say, and when.

use config::Step;

use super::super::super::memory::Memory;
use super::super::super::testing::{spec, values, weight};
use super::*;

#[test]
fn verbs_are_obeyed_where_they_make_sense() {
    const PROMOTE: Verb = Verb::Promote { full: false };
    const FULL: Verb = Verb::Promote { full: true };
    let legal: &[(&str, &[Verb])] = &[
        ("staging", &[Verb::Abort]),
        ("waiting to stage again", &[Verb::Abort, Verb::Retry]),
        ("first weight", &[PROMOTE, FULL, Verb::Abort, Verb::Pause]),
        ("second weight", &[PROMOTE, FULL, Verb::Abort, Verb::Pause]),
        ("waiting for data after all steps", &[PROMOTE, FULL, Verb::Abort, Verb::Pause]),
        ("held by hand", &[PROMOTE, FULL, Verb::Abort]),
        ("rejected on trial", &[Verb::Retry]),
        ("rejected while staging", &[Verb::Retry]),
    ];
    for ((name, sub_state), (legal_name, legal)) in SUB_STATES.iter().zip(legal) {
        assert_eq!(name, legal_name);
        for verb in [PROMOTE, FULL, Verb::Abort, Verb::Pause, Verb::Retry] {
            let answer = sub_state().command(verb);
            assert_eq!(answer.is_ok(), legal.contains(&verb), "{verb:?} while {name}: {answer:?}");
        }
    }
    for verb in [PROMOTE, FULL, Verb::Abort, Verb::Pause, Verb::Retry] {
        assert!(World::settled(values(1)).command(verb).is_err(), "{verb:?} while settled");
    }
    assert!(World::start(values(1), Memory::default()).command(Verb::Abort).is_err(), "nothing to abort to");
}

#[test]
fn promoting_by_hand_goes_step_by_step_or_all_the_way() {
    let mut world = World::settled(values(1));
    world.ask(|values| {
        values.strategy.steps =
            vec![Step::SetWeight(weight(5)), Step::Pause(None), Step::SetWeight(weight(25)), Step::Pause(None)];
        values.model.target = spec(2);
    });
    world.staged();
    healthy(&mut world, 3600, 10);
    assert_eq!((world.canary(), world.rest.phase), (Some(("v2", 5.0)), Phase::Paused));
    world.command(Verb::Promote { full: false }).unwrap();
    assert_eq!(world.canary(), Some(("v2", 25.0)));
    world.command(Verb::Promote { full: false }).unwrap();
    assert_eq!(world.stable(), Some("v2"), "the analysis has passed long ago");

    let mut world = v2_on_trial();
    world.command(Verb::Promote { full: true }).unwrap();
    assert_eq!((world.stable(), world.promotions().last()), (Some("v2"), Some(&Why::ByHand)));
}

#[test]
fn retry_by_hand_tries_a_rejected_version_again() {
    let mut world = v2_on_trial();
    world.command(Verb::Abort).unwrap();
    assert_eq!((world.canary(), world.rest.phase), (None, Phase::Degraded));
    world.command(Verb::Retry).unwrap();
    assert_eq!(world.canary(), Some(("v2", 5.0)), "it was still resident");
}
