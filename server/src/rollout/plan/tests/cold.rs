//! Nothing serves yet: the matrix, restarts, and what is remembered.

use config::Values;

use super::super::super::memory::{Memory, Rejection};
use super::super::super::release::{Release, Target};
use super::super::super::testing::{digest, seconds, spec, unpinned, values};
use super::*;

fn remembers(promoted: &[u8], rejected: &[u8]) -> Memory {
    let mut memory = Memory::default();
    for n in promoted {
        memory.promote(Release { spec: spec(*n), digest: digest(*n) });
    }
    for n in rejected {
        let target = Target { spec: spec(*n), retry: 0 };
        let at = std::time::UNIX_EPOCH;
        memory.reject(Rejection { target, digest: Some(digest(*n)), reason: "it was bad".to_owned(), at });
    }
    memory
}

#[test]
fn the_matrix_of_what_a_cold_process_serves() {
    // stable declared, promoted here, rejected here → first served, then on trial, then the phase.
    type Row = (Option<u8>, &'static [u8], &'static [u8], Option<&'static str>, Option<&'static str>, Phase);
    let rows: &[Row] = &[
        // The candidate is untested.
        (None, &[], &[], Some("v2"), None, Phase::Healthy),
        (Some(1), &[], &[], Some("v1"), Some("v2"), Phase::Paused),
        (None, &[1], &[], Some("v1"), Some("v2"), Phase::Paused),
        (Some(1), &[1], &[], Some("v1"), Some("v2"), Phase::Paused),
        (Some(1), &[3], &[], Some("v1"), Some("v2"), Phase::Paused),
        (Some(2), &[], &[], Some("v2"), None, Phase::Healthy),
        // The candidate was promoted here: whatever is declared is older.
        (None, &[1, 2], &[], Some("v2"), None, Phase::Healthy),
        (Some(1), &[1, 2], &[], Some("v2"), None, Phase::Healthy),
        (Some(1), &[2, 1], &[], Some("v2"), None, Phase::Healthy),
        // The candidate was rejected here.
        (None, &[], &[2], None, None, Phase::Degraded),
        (Some(1), &[], &[2], Some("v1"), None, Phase::Degraded),
        (None, &[1], &[2], Some("v1"), None, Phase::Degraded),
        (Some(1), &[1], &[2], Some("v1"), None, Phase::Degraded),
        (Some(2), &[], &[2], None, None, Phase::Degraded),
        // So was the declared stable version.
        (Some(1), &[], &[1], Some("v2"), None, Phase::Healthy),
        (Some(1), &[3], &[1, 2], Some("v3"), None, Phase::Degraded),
        (Some(1), &[], &[1, 2], None, None, Phase::Degraded),
    ];
    for row in rows {
        let (declared, promoted, rejected, serves, tried, phase) = row;
        let asked = Values { stable: declared.map(spec), ..values(2) };
        let mut world = World::start(asked, remembers(promoted, rejected));
        assert_eq!(world.stable(), None);
        world.staged();
        assert_eq!(world.stable(), *serves, "{row:?}");
        world.staged();
        assert_eq!(world.stable(), *serves, "{row:?}");
        assert_eq!((world.canary().map(|(version, _)| version), world.rest.phase), (*tried, *phase), "{row:?}");
    }
}

#[test]
fn a_retry_bump_tries_a_rejected_version_on_a_cold_process() {
    let mut world = World::start(Values { retry: 1, ..values(2) }, remembers(&[], &[2]));
    world.staged();
    assert_eq!(world.stable(), Some("v2"));
}

#[test]
fn a_declared_stable_that_cannot_be_staged_is_tried_again_and_nothing_takes_its_place() {
    for permanent in [false, true] {
        let mut world = World::start(Values { stable: Some(spec(1)), ..values(2) }, Memory::default());
        for _ in 0..100 {
            world.failed(permanent, false);
            assert_eq!((world.stable(), world.rest.phase, world.rejections()), (None, Phase::Degraded, 0));
            world.advance(seconds(10));
            assert_eq!(world.running(), Some(spec(1)));
        }
        world.staged();
        world.staged();
        assert_eq!((world.stable(), world.canary()), (Some("v1"), Some(("v2", 5.0))));
    }
}

#[test]
fn a_remembered_version_that_is_gone_gives_way() {
    let mut world = World::start(values(2), remembers(&[3, 1], &[]));
    assert_eq!(world.running(), Some(spec(1)));
    world.failed(true, false);
    assert_eq!(world.running(), Some(spec(3)));
    world.failed(true, false);
    world.staged();
    assert_eq!((world.stable(), world.promotions()), (Some("v2"), vec![Why::First]));
}

#[test]
fn a_first_version_that_fails_its_gates_is_not_served() {
    let mut world = World::start(values(1), Memory::default());
    world.failed(true, false);
    assert_eq!((world.stable(), world.rest.phase), (None, Phase::Degraded));
    world.ask(|values| values.model.target = spec(2));
    world.staged();
    assert_eq!((world.stable(), world.rest.phase), (Some("v2"), Phase::Healthy));
}

#[test]
fn other_bytes_that_turn_out_to_be_rejected_ones_are_rejected_too() {
    let mut world = World::settled(values(1));
    world.observed.memory = remembers(&[1], &[2]);
    world.ask(|values| values.model.target = unpinned(7));
    world.staged_as(digest(2));
    assert_eq!((world.canary(), world.rest.phase, world.running()), (None, Phase::Degraded, None));
}

#[test]
fn a_restart_keeps_decisions() {
    let mut world = v2_on_trial();
    world.restart();
    world.staged();
    world.staged();
    assert_eq!((world.stable(), world.canary()), (Some("v1"), Some(("v2", 5.0))), "no decision yet: tried again");
    healthy(&mut world, 120, 10);
    world.restart();
    world.staged();
    assert_eq!((world.stable(), world.rest.phase), (Some("v2"), Phase::Healthy), "promoted before");

    world.ask(|values| values.model.target = spec(3));
    world.staged();
    world.command(Verb::Abort).unwrap();
    world.restart();
    world.staged();
    assert_eq!((world.stable(), world.canary(), world.rest.phase), (Some("v2"), None, Phase::Degraded));
}
