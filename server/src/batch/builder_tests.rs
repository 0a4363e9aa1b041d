//! The batch builder against its promises, for any order of arrivals and cuts.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Event {
    Push { rows: usize, shape_key: u64, patience_ms: u64 },
    Cancel(usize),
    Advance(u64),
    Cut,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => (1_usize..=8, 0_u64..3, 1_u64..200).prop_map(|(rows, shape_key, patience_ms)| Event::Push { rows, shape_key, patience_ms }),
        1 => (0_usize..50).prop_map(Event::Cancel),
        2 => (0_u64..50).prop_map(Event::Advance),
        3 => Just(Event::Cut),
    ];
    prop::collection::vec(event, 0..120)
}

struct Model {
    now: Instant,
    next: usize,
    cancelled: Vec<bool>,
    accepted: Vec<(usize, u64, Instant)>,
    served: Vec<usize>,
}

proptest! {
    #[test]
    fn every_batch_keeps_the_promises(events in events(), batch_rows_max in 8_usize..=16, queue_rows_max in 8_usize..=40, delay_ms in 0_u64..30) {
        let limits = Limits { batch_rows_max, queue_rows_max, delay_max: Duration::from_millis(delay_ms) };
        let mut builder = Builder::new(limits);
        let mut model = Model { now: Instant::now(), next: 0, cancelled: vec![], accepted: vec![], served: vec![] };
        for event in events {
            step(&mut builder, &mut model, limits, event)?;
            prop_assert!(builder.rows() <= queue_rows_max);
        }
    }
}

fn step(builder: &mut Builder<usize>, model: &mut Model, limits: Limits, event: Event) -> Result<(), TestCaseError> {
    match event {
        Event::Advance(ms) => model.now += Duration::from_millis(ms),
        Event::Cancel(id) => {
            if let Some(cancelled) = model.cancelled.get_mut(id) {
                *cancelled = true;
            }
        }
        Event::Push { rows, shape_key, patience_ms } => {
            let deadline = model.now + Duration::from_millis(patience_ms);
            let before = builder.rows();
            let pending = Pending { rows, shape_key, arrived: model.now, deadline, work: model.next };
            let accepted = builder.push(pending).is_ok();
            prop_assert_eq!(accepted, before + rows <= limits.queue_rows_max, "refused only when full");
            if accepted {
                model.accepted.push((rows, shape_key, deadline));
                model.cancelled.push(false);
                model.next += 1;
            }
        }
        Event::Cut => check_cut(builder, model, limits)?,
    }
    Ok(())
}

fn check_cut(builder: &mut Builder<usize>, model: &mut Model, limits: Limits) -> Result<(), TestCaseError> {
    let cancelled = model.cancelled.clone();
    let Cut::Batch(batch) = builder.cut(model.now, |id| !cancelled[*id]) else { return Ok(()) };
    prop_assert!(!batch.is_empty());
    let rows: usize = batch.iter().map(|pending| pending.rows).sum();
    prop_assert!(batch.len() == 1 || rows <= limits.batch_rows_max, "rows within the limit");
    prop_assert!(batch.iter().all(|pending| pending.shape_key == batch[0].shape_key), "one shape");
    for pending in &batch {
        prop_assert!(!cancelled[pending.work], "no work for a caller that left");
        prop_assert!(pending.deadline > model.now, "no work past its deadline");
        prop_assert!(!model.served.contains(&pending.work), "served once");
        model.served.push(pending.work);
    }
    let key = batch[0].shape_key;
    let waits = |id: &usize| !model.served.contains(id) && !cancelled[*id] && model.accepted[*id].2 > model.now;
    let youngest = batch.last().map_or(0, |pending| pending.work);
    let overtaken = (0..youngest).filter(|id| model.accepted[*id].1 == key).find(waits);
    prop_assert!(overtaken.is_none(), "arrival order is kept within a shape");
    let oldest = (0..model.next).find(waits);
    prop_assert!(oldest.is_none_or(|id| id > batch[0].work), "the oldest request leads");
    Ok(())
}

#[test]
fn without_a_delay_whatever_waits_is_cut_at_once() {
    let now = Instant::now();
    let mut builder = Builder::new(Limits { batch_rows_max: 4, queue_rows_max: 10, delay_max: Duration::ZERO });
    for id in 0..3 {
        builder.push(pending(now, 1, id)).unwrap();
    }
    assert!(matches!(builder.cut(now, |_| true), Cut::Batch(batch) if batch.len() == 3));
    assert!(matches!(builder.cut(now, |_| true), Cut::Empty));
}

#[test]
fn a_delay_waits_for_company_but_not_when_the_batch_is_full() {
    let now = Instant::now();
    let delay_max = Duration::from_millis(5);
    let mut builder = Builder::new(Limits { batch_rows_max: 2, queue_rows_max: 10, delay_max });
    builder.push(pending(now, 1, 0)).unwrap();
    assert!(matches!(builder.cut(now, |_| true), Cut::Wait(at) if at == now + delay_max));
    builder.push(pending(now, 1, 1)).unwrap();
    assert!(matches!(builder.cut(now, |_| true), Cut::Batch(batch) if batch.len() == 2));
}

fn pending(now: Instant, rows: usize, work: u32) -> Pending<u32> {
    Pending { rows, shape_key: 0, arrived: now, deadline: now + Duration::from_secs(60), work }
}
