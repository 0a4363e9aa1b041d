//! What holds whatever happens, in whatever order. The executor checks every published route as well: nothing
//! unverified, nothing rejected and nothing that is not resident gets traffic, and weights come from steps only.

use config::{MemoryPolicy, Step, Values};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::super::analysis::Outcome;
use super::super::memory::Memory;
use super::super::testing::{at_one_place, seconds, spec, unpinned, values, weight};
use super::executor::World;
use super::*;

#[derive(Debug, Clone)]
enum Happening {
    Target(u8),
    Unpinned(u8),
    AtOnePlace(u8),
    Stable(Option<u8>),
    Retry(u64),
    Steps(u8),
    Policy(MemoryPolicy),
    Staged,
    StagedAs(u8),
    Failed { permanent: bool, no_room: bool },
    Wait(u64),
    Good(u64),
    Bad(u64),
    Say(Verb),
    Restart,
}

use Happening::{
    AtOnePlace, Bad, Failed, Good, Policy, Restart, Retry, Say, Stable, Staged, StagedAs, Steps, Target, Unpinned, Wait,
};

/// What happens to a version without a person and without a request.
fn quiet() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => (1..5u8).prop_map(Target),
        1 => (1..5u8).prop_map(Unpinned),
        2 => (1..5u8).prop_map(AtOnePlace),
        1 => proptest::option::of(1..5u8).prop_map(Stable),
        1 => (0..3u64).prop_map(Retry),
        1 => (0..4u8).prop_map(Steps),
        1 => policy().prop_map(Policy),
        8 => Just(Staged),
        1 => (1..5u8).prop_map(StagedAs),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(permanent, no_room)| Failed { permanent, no_room }),
        6 => prop_oneof![1..100u64, Just(700), Just(10_000)].prop_map(Wait),
        1 => Just(Restart),
    ]
}

fn policy() -> impl Strategy<Value = MemoryPolicy> {
    prop_oneof![Just(MemoryPolicy::Resource), Just(MemoryPolicy::Availability), Just(MemoryPolicy::Refuse)]
}

fn anything() -> impl Strategy<Value = Happening> {
    let verb = prop_oneof![
        any::<bool>().prop_map(|full| Verb::Promote { full }),
        Just(Verb::Abort),
        Just(Verb::Pause),
        Just(Verb::Retry)
    ];
    prop_oneof![
        4 => quiet(),
        1 => prop_oneof![1..20u64, Just(1_000)].prop_map(Good),
        1 => prop_oneof![1..20u64, Just(1_000)].prop_map(Bad),
        1 => verb.prop_map(Say),
    ]
}

fn steps(values: &mut Values, n: u8) {
    let steps = match n {
        0 => vec![],
        1 => vec![Step::SetWeight(weight(5)), Step::Pause(None), Step::SetWeight(weight(100))],
        2 => vec![Step::SetWeight(weight(20)), Step::Analysis(vec!["default".to_owned()]), Step::SetWeight(weight(0))],
        _ => super::super::testing::values(1).strategy.steps,
    };
    values.strategy.steps = steps;
    values.strategy.progress_deadline_abort = n != 1;
}

fn happen(world: &mut World, happening: &Happening) {
    match *happening {
        Target(n) => world.ask(|values| values.model.target = spec(n)),
        Unpinned(n) => world.ask(|values| values.model.target = unpinned(n)),
        AtOnePlace(n) => world.ask(|values| values.model.target = at_one_place(n)),
        Stable(n) => world.ask(|values| values.stable = n.map(spec)),
        Retry(n) => world.ask(|values| values.retry = n),
        Steps(n) => world.ask(|values| steps(values, n)),
        Policy(policy) => world.ask(|values| values.serving.memory_policy = policy),
        Staged => world.staged(),
        // Bytes are those of the pin; only without one can they be anything.
        StagedAs(n) if world.running().is_some_and(|spec| spec.digest.is_none()) => {
            world.staged_as(super::super::testing::digest(n));
        }
        StagedAs(_) => {}
        Failed { permanent, no_room } => world.failed(permanent, no_room),
        Wait(n) => world.advance(seconds(n)),
        Good(n) => world.traffic(Outcome::Success, n),
        Bad(n) => world.traffic(Outcome::NonFinite, n),
        Say(verb) => {
            let obeyed = world.command(verb).is_ok();
            if obeyed && verb == Verb::Abort {
                assert_eq!(world.canary(), None, "an abort takes all traffic at once");
            }
        }
        Restart => world.restart(),
    }
}

/// The same cases on every machine, unless somebody asks for more: those differ each time.
fn config() -> ProptestConfig {
    let asked = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() {
        return asked;
    }
    ProptestConfig { cases: 256, rng_seed: RngSeed::Fixed(1), ..asked }
}

/// Everything ends: what made room for another version can be had again, and nothing else comes up.
fn end_badly(world: &mut World, hangs: bool) {
    for _ in 0..64 {
        match &world.observed.evicted {
            Some(evicted) if world.running().is_some_and(|spec| spec.digest == Some(evicted.digest)) => world.staged(),
            _ if !hangs => world.failed(false, true),
            _ => {}
        }
        world.advance(seconds(61));
    }
}

proptest! {
    #![proptest_config(config())]

    /// A revert to what serves ends there, at once, without loading anything.
    #[test]
    fn a_revert_ends_on_stable(happenings in proptest::collection::vec(anything(), 0..60)) {
        let mut world = World::start(values(1), Memory::default());
        happenings.iter().for_each(|happening| happen(&mut world, happening));
        if let Some(stable) = world.observed.stable.clone() {
            world.ask(|values| values.model.target = stable.spec.clone());
            prop_assert_eq!(world.stable(), Some(stable.spec.version.as_str()));
            prop_assert_eq!((world.canary(), world.running(), world.rest.phase), (None, None, Phase::Healthy));
        }
    }

    /// Without a judged request no trial ends by itself, well or badly.
    #[test]
    fn no_data_never_promotes_and_never_rolls_back(happenings in proptest::collection::vec(quiet(), 0..60)) {
        let mut world = World::start(values(1), Memory::default());
        let (mut passed, mut rejected) = (0, 0);
        for happening in &happenings {
            // A restart empties the world's log, so it is looked at before.
            passed += world.promotions().iter().filter(|why| **why == Why::TrialPassed).count();
            rejected += world.rejected_on_trial;
            happen(&mut world, happening);
        }
        passed += world.promotions().iter().filter(|why| **why == Why::TrialPassed).count();
        prop_assert_eq!((passed, rejected + world.rejected_on_trial), (0, 0));
    }

    /// From anywhere, good traffic and a person who says yes lead to the version that is asked for, unless it was
    /// rejected before.
    #[test]
    fn every_rollout_ends(happenings in proptest::collection::vec(anything(), 0..60)) {
        let mut world = World::start(values(1), Memory::default());
        happenings.iter().for_each(|happening| happen(&mut world, happening));
        for _ in 0..64 {
            world.staged();
            world.traffic(Outcome::Success, 100_000);
            world.advance(seconds(61));
            if world.rest.phase == Phase::Paused {
                let _ = world.command(Verb::Promote { full: false });
            }
        }
        let target = super::super::release::Target::of(&world.values);
        let serves = world.observed.stable.as_ref().is_some_and(|stable| stable.is(&target.spec));
        let resolved = world.observed.memory.resolve(&target.spec);
        let rejected = world.observed.memory.rejection(&target, resolved).is_some();
        prop_assert!(serves || rejected, "{}", &world.rest.message);
        prop_assert_eq!(world.rest.phase, if serves { Phase::Healthy } else { Phase::Degraded });
        prop_assert_eq!(world.canary(), None);
    }

    /// Whoever made room comes back, whether its successor fails or hangs, and whatever the values say meanwhile.
    #[test]
    fn making_room_never_leaves_nothing_serving(
        happenings in proptest::collection::vec(anything(), 0..60),
        hangs in any::<bool>(),
    ) {
        let mut world = World::start(values(1), Memory::default());
        world.ask(|values| values.serving.memory_policy = MemoryPolicy::Resource);
        happenings.iter().for_each(|happening| happen(&mut world, happening));
        let served = world.observed.stable.is_some() || world.observed.evicted.is_some();
        end_badly(&mut world, hangs);
        prop_assert_eq!(world.stable().is_some(), served, "{}", &world.rest.message);
    }
}
