//! Nothing serves yet: the matrix, restarts, and what is remembered.

use config::{Values, VersionSpec};

use super::super::super::memory::{Memory, Rejection};
use super::super::super::release::{Release, Target};
use super::super::super::testing::{digest, seconds, spec, unpinned, values};
use super::*;

/// How the values and the memory name a version.
const WRITTEN: [fn(u8) -> VersionSpec; 2] = [spec, unpinned];

fn remembers(promoted: &[u8], rejected: &[u8]) -> Memory {
    remembers_as(spec, promoted, rejected)
}

fn remembers_as(spec: fn(u8) -> VersionSpec, promoted: &[u8], rejected: &[u8]) -> Memory {
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
    for (row, written) in rows.iter().flat_map(|row| WRITTEN.map(|written| (row, written))) {
        let (declared, promoted, rejected, serves, tried, phase) = row;
        let mut world = World::start(asked(written, *declared), remembers_as(written, promoted, rejected));
        assert_eq!(world.stable(), None);
        world.staged();
        assert_eq!(world.stable(), *serves, "{row:?}");
        world.staged();
        assert_eq!(world.stable(), *serves, "{row:?}");
        assert_eq!((world.canary().map(|(version, _)| version), world.rest.phase), (*tried, *phase), "{row:?}");
    }
}

/// v2 is asked for, and perhaps another declared stable.
fn asked(written: fn(u8) -> VersionSpec, declared: Option<u8>) -> Values {
    let mut asked = Values { stable: declared.map(written), ..values(2) };
    asked.model.target = written(2);
    asked
}

#[test]
fn what_was_promoted_is_staged_by_its_bytes_however_it_is_written() {
    for written in WRITTEN {
        for (declared, promoted, staged) in
            [(None, [1, 2], 2), (Some(1), [1, 2], 2), (None, [2, 1], 2), (Some(1), [3, 1], 1)]
        {
            let world = World::start(asked(written, declared), remembers_as(written, &promoted, &[]));
            assert_eq!(world.running(), Some(spec(staged)), "{declared:?} {promoted:?}");
        }
    }
}

#[test]
fn the_matrix_where_the_wanted_version_was_promoted_and_its_bytes_cannot_be_had() {
    // stable declared, promoted here → served instead, then what becomes of v2: on trial, or bad for good.
    type Row = (Option<u8>, &'static [u8], Option<&'static str>);
    let rows: &[Row] = &[
        (None, &[2], None),
        (Some(2), &[2], None),
        (None, &[1, 2], Some("v1")),
        (None, &[2, 1], Some("v1")),
        (Some(1), &[2], Some("v1")),
        (Some(1), &[1, 2], Some("v1")),
        (Some(3), &[1, 2], Some("v3")),
    ];
    for (row, written) in rows.iter().flat_map(|row| WRITTEN.map(|written| (row, written))) {
        let (declared, promoted, instead) = *row;
        let start = || {
            let mut world = World::start(asked(written, declared), remembers_as(written, promoted, &[]));
            assert_eq!(world.running(), Some(spec(2)), "{row:?}");
            world.failed(true, false);
            if instead.is_some() {
                world.staged();
            }
            assert_eq!((world.stable(), world.running()), (instead, Some(written(2))), "{row:?}: v2 as if it was new");
            world
        };
        let mut world = start();
        world.staged();
        let canary = world.canary().map(|(version, _)| version);
        let expected = if instead.is_some() { (instead, Some("v2")) } else { (Some("v2"), None) };
        assert_eq!((world.stable(), canary), expected, "{row:?}: other bytes of that label are tried, or come first");

        let mut world = start();
        world.failed(true, false);
        assert_eq!((world.stable(), world.rest.phase), (instead, Phase::Degraded), "{row:?}");
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
        for seconds_gone in (0..1000).step_by(10) {
            world.failed(permanent, false);
            let hopeful = !permanent && seconds_gone < 600;
            let phase = if hopeful { Phase::Progressing } else { Phase::Degraded };
            assert_eq!((world.stable(), world.rest.phase, world.rejections()), (None, phase, 0), "{seconds_gone}");
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
fn a_first_deployment_is_on_its_way_until_its_deadline_and_waits_for_a_bucket_after_it() {
    let mut world = World::start(values(1), Memory::default());
    world.failed(false, false);
    assert_eq!((world.stable(), world.rest.phase), (None, Phase::Progressing), "one 503 is not the end");
    assert!(world.rest.message.contains("no such object"), "{}", world.rest.message);
    world.advance(seconds(600));
    world.failed(false, false);
    assert_eq!((world.stable(), world.rest.phase, world.rejections()), (None, Phase::Degraded, 0));
    world.advance(seconds(1));
    world.staged();
    assert_eq!((world.stable(), world.rest.phase), (Some("v1"), Phase::Healthy));
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
