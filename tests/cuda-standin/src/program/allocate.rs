//! Many registers onto few: what is never needed at the same time shares a slot, so that a warp's registers stay in the
//! processor's cache.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::flow::Lives;
use super::instruction::Instruction;

/// Renumbers all registers; answers how many rows and predicates are left.
pub(super) fn allocate(code: &mut [Instruction], rows: u32, lives: &Lives) -> (u32, u32) {
    let (row_spans, predicate_spans) = lives.spans.split_at(rows as usize);
    let (row_slots, row_count) = slots(row_spans);
    let (predicate_slots, predicate_count) = slots(predicate_spans);
    for instruction in code {
        instruction.registers(|slot, _| *slot = row_slots[*slot as usize]);
        instruction.predicates(|slot, _| *slot = predicate_slots[*slot as usize]);
    }
    (row_count, predicate_count)
}

/// A slot for each span: the lowest that is free from its beginning on.
fn slots(spans: &[Option<(u32, u32)>]) -> (Vec<u32>, u32) {
    let mut order: Vec<(u32, u32, usize)> =
        spans.iter().enumerate().filter_map(|(register, span)| span.map(|(from, to)| (from, to, register))).collect();
    order.sort_unstable();
    let mut slots = vec![0; spans.len()];
    let (mut free, mut taken) = (BinaryHeap::new(), BinaryHeap::new());
    let mut count = 0;
    for (from, to, register) in order {
        while let Some(Reverse((end, slot))) = taken.peek().copied()
            && end < from
        {
            taken.pop();
            free.push(Reverse(slot));
        }
        let slot = free.pop().map_or_else(
            || {
                count += 1;
                count - 1
            },
            |Reverse(slot)| slot,
        );
        slots[register] = slot;
        taken.push(Reverse((to, slot)));
    }
    (slots, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_that_do_not_meet_share_a_slot() {
        let (found, count) = slots(&[Some((0, 4)), Some((1, 2)), Some((3, 5)), None, Some((4, 6)), Some((5, 7))]);
        assert_eq!(count, 3);
        assert_eq!(found, [0, 1, 1, 0, 2, 0]);
    }
}
