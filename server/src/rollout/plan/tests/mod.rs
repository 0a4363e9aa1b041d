//! One test per promise. Those of a change while something is under way go through every sub-state.

mod change;
mod cold;
mod staging;
mod trial;
mod verbs;

use super::super::analysis::Outcome;
use super::super::testing::{seconds, spec, values};
use super::executor::World;
use super::*;

const BAD: Outcome = Outcome::ModelError;
const GOOD: Outcome = Outcome::Success;

/// v1 serves and v2 is asked for.
fn v2_asked() -> World {
    let mut world = World::settled(values(1));
    world.ask(|values| values.model.target = spec(2));
    world
}

/// v1 serves and v2 is on trial at 5 %.
fn v2_on_trial() -> World {
    let mut world = v2_asked();
    world.staged();
    assert_eq!((world.stable(), world.canary()), (Some("v1"), Some(("v2", 5.0))));
    world
}

/// Lets time pass in seconds, with this many good requests each.
fn healthy(world: &mut World, duration: u64, per_second: u64) {
    for _ in 0..duration {
        world.traffic(GOOD, per_second);
        world.advance(seconds(1));
    }
}

type SubState = (&'static str, fn() -> World);

/// Every state that v2 can be in, with v1 as stable.
const SUB_STATES: &[SubState] = &[
    ("staging", v2_asked),
    ("waiting to stage again", || {
        let mut world = v2_asked();
        world.failed(false, false);
        world
    }),
    ("first weight", v2_on_trial),
    ("second weight", || {
        let mut world = v2_on_trial();
        world.advance(seconds(60));
        world
    }),
    ("waiting for data after all steps", || {
        let mut world = v2_on_trial();
        healthy(&mut world, 300, 0);
        world
    }),
    ("held by hand", || {
        let mut world = v2_on_trial();
        world.command(Verb::Pause).unwrap();
        world
    }),
    ("rejected on trial", || {
        let mut world = v2_on_trial();
        world.command(Verb::Abort).unwrap();
        world
    }),
    ("rejected while staging", || {
        let mut world = v2_asked();
        world.failed(true, false);
        world
    }),
];
