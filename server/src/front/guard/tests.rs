//! Who is let in, and how much.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use config::access::Right;

use super::testing::{ALL, Door as World, bearer, clients};
use super::*;

const PREDICT: Group = Group::Predict;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

fn refused(admitted: Result<Caller, Refused>) -> Refused {
    admitted.err().expect("not let in")
}

fn names(names: &[&str]) -> Option<Arc<PeerNames>> {
    Some(Arc::new(PeerNames::fixed(names)))
}

#[test]
fn without_a_file_everybody_is_let_in() {
    let caller = Guard::open().caller(None);
    for group in [Group::Health, Group::Metadata, Group::Predict, Group::Admin] {
        assert!(caller.admit(group, &HeaderMap::new()).is_ok());
    }
    assert_eq!(caller.client(), "");
}

#[test]
fn the_unknown_and_the_forbidden_are_told_apart() {
    let world = World::new(&[("scorer", "may: [predict]"), ("reader", "may: [metadata]")]);
    let caller = world.caller(None);
    let admit = |group, headers: &HeaderMap| caller.admit(group, headers);
    assert!(admit(Group::Health, &HeaderMap::new()).is_ok(), "open to everybody");
    assert_eq!(refused(admit(PREDICT, &HeaderMap::new())), Refused::Unknown);
    assert_eq!(refused(admit(PREDICT, &headers(&[("authorization", "Basic c2NvcmVy")]))), Refused::Unknown);
    assert_eq!(refused(admit(PREDICT, &bearer("scorer2"))), Refused::TokenUnknown);
    assert_eq!(refused(admit(PREDICT, &bearer(""))), Refused::TokenUnknown);
    assert_eq!(refused(admit(PREDICT, &bearer("reader"))), Refused::Forbidden(Right::Predict));
    assert_eq!(admit(PREDICT, &bearer("scorer")).unwrap().client(), "scorer");
    assert_eq!(refused(admit(Group::Metadata, &bearer("scorer"))), Refused::Forbidden(Right::Metadata));
    assert_eq!(world.common.strangers(), 4);
    let counts = |name| world.count(name, |counts| (counts.admitted.load(Relaxed), counts.forbidden.load(Relaxed)));
    assert_eq!((counts("scorer"), counts("reader")), ((1, 1), (0, 1)));
}

#[test]
fn no_refusal_names_anybody() {
    let wait = Duration::from_micros(1500);
    for refused in [
        Refused::Unknown,
        Refused::TokenUnknown,
        Refused::Forbidden(Right::Predict),
        Refused::AtOnce { retry_after: wait },
        Refused::TooOften { retry_after: wait },
    ] {
        let text = refused.to_string();
        assert!(!text.contains("scorer") && !text.contains("clients"), "{text}");
    }
    let text = Refused::TooOften { retry_after: wait }.to_string();
    assert_eq!(text, "this caller asks more often than it may; try again in 2 ms");
}

#[test]
fn a_certificate_is_enough_and_a_token_goes_before_it() {
    let world = World::new(&[("scorer", "certificate: Scorer.svc, may: [predict]"), ("reader", "may: [metadata]")]);
    let caller = world.caller(names(&["other.svc", "scorer.svc"]));
    for _ in 0..2 {
        assert_eq!(caller.admit(PREDICT, &HeaderMap::new()).unwrap().client(), "scorer");
    }
    assert_eq!(refused(caller.admit(PREDICT, &bearer("reader"))), Refused::Forbidden(Right::Predict));
    assert_eq!(refused(caller.admit(PREDICT, &bearer("nobody"))), Refused::TokenUnknown);
    assert_eq!(refused(world.caller(names(&["svc"])).admit(PREDICT, &HeaderMap::new())), Refused::Unknown);
    assert_eq!(refused(world.caller(names(&[])).admit(PREDICT, &HeaderMap::new())), Refused::Unknown);
}

#[test]
fn a_changed_file_is_in_force_on_connections_that_are_open() {
    let world = World::new(&[("scorer", "certificate: scorer.svc, may: [predict], requestsMax: 1")]);
    let caller = world.caller(names(&["scorer.svc"]));
    let at_work = caller.admit(PREDICT, &HeaderMap::new()).unwrap();
    assert!(matches!(refused(caller.admit(PREDICT, &bearer("scorer"))), Refused::AtOnce { .. }));

    world.change(&[("scorer", "certificate: scorer.svc, may: [predict], requestsMax: 2")]);
    let second = caller.admit(PREDICT, &bearer("scorer")).expect("the limit is another now");
    assert!(matches!(refused(caller.admit(PREDICT, &HeaderMap::new())), Refused::AtOnce { .. }), "what was at work is");
    drop((at_work, second));
    assert_eq!(world.count("scorer", |counts| (counts.at_work.load(Relaxed), counts.limited.load(Relaxed))), (0, 2));

    world.change(&[("other", "may: [predict]")]);
    assert_eq!(refused(caller.admit(PREDICT, &bearer("scorer"))), Refused::TokenUnknown);
    assert_eq!(refused(caller.admit(PREDICT, &HeaderMap::new())), Refused::Unknown);
    assert!(caller.admit(PREDICT, &bearer("other")).is_ok());
}

#[tokio::test(start_paused = true)]
async fn another_rate_is_in_force_for_who_has_used_up_the_old_one() {
    let slow = ("scorer", "may: [predict], requestsPerSecond: 0.001, burst: 2");
    let world = World::new(&[slow]);
    let caller = world.caller(None);
    let ask = || caller.admit(PREDICT, &bearer("scorer")).map(drop);
    assert!([ask(), ask()].iter().all(Result::is_ok) && ask().is_err());
    world.change(&[slow, ("other", "may: [predict]")]);
    assert!(ask().is_err(), "a file that says the same gives nothing back");
    world.change(&[("scorer", "may: [predict], requestsPerSecond: 100, burst: 1")]);
    assert!(ask().is_ok() && ask().is_err());
    tokio::time::advance(Duration::from_millis(10)).await;
    assert!(ask().is_ok());
}

#[test]
fn a_request_is_at_work_until_every_copy_of_its_caller_is_gone() {
    let world = World::new(&[("scorer", "may: [predict], requestsMax: 1")]);
    let caller = world.caller(None);
    let admitted = caller.admit(PREDICT, &bearer("scorer")).unwrap();
    let copy = admitted.clone();
    drop(admitted);
    assert!(caller.admit(PREDICT, &bearer("scorer")).is_err());
    assert!(caller.may(PREDICT, &bearer("scorer")).is_ok(), "to be allowed is no request");
    drop(copy);
    assert!(caller.admit(PREDICT, &bearer("scorer")).is_ok());
}

#[tokio::test(start_paused = true)]
async fn over_the_rate_a_caller_is_told_how_long_to_wait() {
    let world = World::new(&[("scorer", "may: [predict], requestsPerSecond: 4, burst: 2")]);
    let caller = world.caller(None);
    let admit = || caller.admit(PREDICT, &bearer("scorer"));
    assert!(admit().is_ok() && admit().is_ok());
    let Refused::TooOften { retry_after } = refused(admit()) else { panic!("another reason") };
    assert_eq!(retry_after, Duration::from_millis(250));
    tokio::time::advance(retry_after).await;
    assert!(admit().is_ok());
    assert!(admit().is_err());
}

#[test]
fn the_admin_ports_own_token_goes_beside_the_file() {
    let (_sender, receiver) = watch::channel(Arc::new(clients(ALL, None)));
    let guard = Guard::file(receiver, Token::new("root"), Arc::default());
    let caller = guard.caller(None);
    assert!(caller.admit(Group::Admin, &bearer("root")).is_ok());
    assert!(caller.admit(Group::Metadata, &bearer("root")).is_ok());
    assert!(caller.admit(Group::Admin, &bearer("admin")).is_ok());
    assert_eq!(refused(caller.admit(Group::Admin, &bearer("predict"))), Refused::Forbidden(Right::Admin));
    assert_eq!(refused(caller.admit(Group::Admin, &HeaderMap::new())), Refused::Unknown);
}
