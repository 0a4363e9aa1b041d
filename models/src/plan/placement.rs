//! Which steps of a plan run on a device and which on the host, and the copies between them.
//!
//! Decided when a model is loaded, from what each value is; nothing is found out at a caller's request. Floats live on
//! the device. Whole numbers, the truths made of them and `BYTES` live on the host: the device has no kernels for their
//! arithmetic, or such as differ from the host's at the ends. What costs next to nothing runs where its operands are.

use std::collections::HashMap;

use super::builder::{Arg, Input, Step};
use super::op::{Binary, Op};
use super::value::{Value, is_float};
use crate::tensor::Datatype;

/// Where a step runs, and where its output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Host,
    Device,
}

/// The steps of a plan with the copies among them.
pub(crate) struct Placed {
    pub(crate) steps: Vec<Step>,
    pub(crate) slots: usize,
    pub(crate) constants: Vec<Value>,
    /// Constants that steps on the device read.
    pub(crate) on_device: Vec<usize>,
}

/// What is known of an operand before anything runs.
#[derive(Debug, Clone, Copy)]
struct Operand {
    datatype: Datatype,
    /// `None` for a constant, which can be in both.
    place: Option<Place>,
}

/// Where a step runs, and which of its operands are on the host whatever that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Decision {
    place: Place,
    on_host: OnHost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnHost {
    /// All are where the step runs.
    None,
    /// Those after the first are: shapes, axes, row numbers.
    Rest,
    /// The step reads no elements, so each stays where it is.
    Anywhere,
}

/// Places each of `steps`; `made` tells the datatype of each one's output.
pub(crate) fn place(steps: &[Step], made: &[Datatype], inputs: &[Input], slots: usize, constants: &[Value]) -> Placed {
    let mut placer = Placer {
        placed: Placed {
            steps: Vec::with_capacity(steps.len()),
            slots,
            constants: constants.to_vec(),
            on_device: vec![],
        },
        known: HashMap::new(),
        copies: HashMap::new(),
    };
    for input in inputs {
        placer.known.insert(input.slot, (input.datatype, Place::Host));
    }
    for (step, datatype) in steps.iter().zip(made) {
        placer.step(step, *datatype);
    }
    placer.placed
}

struct Placer {
    placed: Placed,
    /// What is in a slot and where that is.
    known: HashMap<usize, (Datatype, Place)>,
    /// Copies that were made already: of a slot on the other side, and of a constant on the device.
    copies: HashMap<Arg, Arg>,
}

impl Placer {
    fn step(&mut self, step: &Step, datatype: Datatype) {
        let operands: Vec<Option<Operand>> = step.args.iter().map(|arg| self.operand(*arg)).collect();
        let decision = decide(&step.op, &operands);
        let args = step.args.iter().enumerate().map(|(index, arg)| match decision.on_host {
            OnHost::Anywhere => *arg,
            OnHost::Rest if index > 0 => self.at(*arg, Place::Host),
            // Told to go to the device by the op itself.
            OnHost::None | OnHost::Rest if matches!(step.op, Op::Upload) => *arg,
            OnHost::None | OnHost::Rest => self.at(*arg, decision.place),
        });
        let args = args.collect();
        let op = match step.op {
            Op::Upload if decision.place == Place::Device => Op::ToDevice,
            ref op => op.clone(),
        };
        self.known.insert(step.output, (datatype, decision.place));
        self.placed.steps.push(Step { op, args, place: decision.place, ..step.clone() });
    }

    fn operand(&self, arg: Arg) -> Option<Operand> {
        match arg {
            Arg::Constant(index) => {
                let datatype = self.placed.constants.get(index)?.datatype();
                Some(Operand { datatype, place: None })
            }
            Arg::Slot(slot) => {
                let (datatype, place) = *self.known.get(&slot)?;
                Some(Operand { datatype, place: Some(place) })
            }
            Arg::Absent => None,
        }
    }

    /// `arg` where it is wanted, copied there once.
    fn at(&mut self, arg: Arg, wanted: Place) -> Arg {
        let there = match arg {
            Arg::Constant(_) => wanted == Place::Host,
            Arg::Slot(slot) => self.known.get(&slot).is_none_or(|(_, place)| *place == wanted),
            Arg::Absent => true,
        };
        if there {
            return arg;
        }
        if let Some(copy) = self.copies.get(&arg) {
            return *copy;
        }
        let copy = match arg {
            Arg::Constant(index) => self.constant(index),
            Arg::Slot(slot) => self.copy(slot, wanted),
            Arg::Absent => arg,
        };
        self.copies.insert(arg, copy);
        copy
    }

    fn constant(&mut self, index: usize) -> Arg {
        let constants = &mut self.placed.constants;
        constants.push(constants[index].clone());
        self.placed.on_device.push(constants.len() - 1);
        Arg::Constant(constants.len() - 1)
    }

    fn copy(&mut self, slot: usize, wanted: Place) -> Arg {
        let output = self.placed.slots;
        self.placed.slots += 1;
        let op = if wanted == Place::Device { Op::ToDevice } else { Op::ToHost };
        let name = self.placed.steps.iter().rev().find(|step| step.output == slot).map(|step| step.name.clone());
        let (name, args) = (name.unwrap_or_else(|| "input".into()), vec![Arg::Slot(slot)]);
        self.placed.steps.push(Step { name, op, args, output, indexed_by: None, place: wanted });
        if let Some((datatype, _)) = self.known.get(&slot) {
            self.known.insert(output, (*datatype, wanted));
        }
        Arg::Slot(output)
    }
}

fn decide(op: &Op, operands: &[Option<Operand>]) -> Decision {
    let first = operands.first().copied().flatten();
    let place_of_first = first.and_then(|operand| operand.place).unwrap_or(Place::Host);
    let any_on_device = operands.iter().flatten().any(|operand| operand.place == Some(Place::Device));
    let together = if any_on_device { Place::Device } else { Place::Host };
    let at = |place, on_host| Decision { place, on_host };
    match op {
        Op::Upload => {
            let float = first.is_some_and(|operand| is_float(operand.datatype));
            at(if float { Place::Device } else { Place::Host }, OnHost::None)
        }
        // They have weights, which are on the device.
        Op::Dense(_) | Op::MatMul | Op::Channels { .. } | Op::ToDevice => at(Place::Device, OnHost::None),
        // A table of floats is a constant nearly always. Row numbers are checked before the device sees them.
        Op::Gather { .. } | Op::TakeLast => {
            let table = first.is_some_and(|table| is_float(table.datatype) && table.place != Some(Place::Host));
            at(if table { Place::Device } else { Place::Host }, OnHost::Rest)
        }
        // Of equal elements the device's kernel takes any, and whole numbers come of both.
        Op::ArgMax { .. } | Op::Labels { .. } | Op::ToHost => at(Place::Host, OnHost::None),
        Op::Shape { .. } => at(Place::Host, OnHost::Anywhere),
        Op::Cast { to } => at(if stays(*to) { place_of_first } else { Place::Host }, OnHost::None),
        Op::Reshape { .. } | Op::Expand | Op::Slice => at(place_of_first, OnHost::Rest),
        // Its exponent is a number that the host reads.
        Op::Binary(Binary::Pow) => at(place_of_first, OnHost::Rest),
        Op::Where => {
            let branch = operands.get(1).copied().flatten();
            let whole = branch.is_some_and(|branch| !is_float(branch.datatype) && branch.datatype != Datatype::Bool);
            at(if whole { Place::Host } else { together }, OnHost::None)
        }
        Op::Activate(_)
        | Op::Scale(_)
        | Op::Unary(_)
        | Op::Binary(_)
        | Op::Clip { .. }
        | Op::Softmax { .. }
        | Op::Normalise(_)
        | Op::Width(_)
        | Op::Concat { .. }
        | Op::Flatten { .. }
        | Op::Squeeze { .. }
        | Op::Unsqueeze { .. }
        | Op::Transpose { .. }
        | Op::Part { .. }
        | Op::Reduce { .. } => at(together, OnHost::None),
    }
}

/// Whether a value on the device can be cast to it there. Casts to whole numbers differ at the ends and for NaN; a T4 has
/// nothing of bfloat16.
const fn stays(to: Datatype) -> bool {
    matches!(to, Datatype::Fp16 | Datatype::Fp32 | Datatype::Fp64 | Datatype::Bool)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOAT_THERE: Option<Operand> = Some(Operand { datatype: Datatype::Fp32, place: Some(Place::Device) });
    const FLOAT_HERE: Option<Operand> = Some(Operand { datatype: Datatype::Fp32, place: Some(Place::Host) });
    const WEIGHTS: Option<Operand> = Some(Operand { datatype: Datatype::Fp32, place: None });
    const IDS: Option<Operand> = Some(Operand { datatype: Datatype::Int64, place: Some(Place::Host) });
    const TRUTH_THERE: Option<Operand> = Some(Operand { datatype: Datatype::Bool, place: Some(Place::Device) });
    const TRUTH_HERE: Option<Operand> = Some(Operand { datatype: Datatype::Bool, place: Some(Place::Host) });
    const WORDS: Option<Operand> = Some(Operand { datatype: Datatype::Bytes, place: Some(Place::Host) });

    #[test]
    fn each_op_runs_where_its_operands_and_kernels_are() {
        use Place::{Device, Host};
        let add = Op::Binary(Binary::Add);
        let table: &[(Op, &[Option<Operand>], Place, OnHost)] = &[
            (Op::Upload, &[FLOAT_HERE], Device, OnHost::None),
            (Op::Upload, &[IDS], Host, OnHost::None),
            (Op::Upload, &[TRUTH_HERE], Host, OnHost::None),
            (Op::MatMul, &[FLOAT_HERE, WEIGHTS], Device, OnHost::None),
            (Op::Gather { axis: 0 }, &[WEIGHTS, IDS], Device, OnHost::Rest),
            (Op::Gather { axis: 0 }, &[FLOAT_THERE, IDS], Device, OnHost::Rest),
            (Op::Gather { axis: 0 }, &[FLOAT_HERE, IDS], Host, OnHost::Rest),
            (Op::Gather { axis: 0 }, &[IDS, IDS], Host, OnHost::Rest),
            (Op::Gather { axis: 0 }, &[WORDS, IDS], Host, OnHost::Rest),
            (Op::ArgMax { axis: 0, keep: false }, &[FLOAT_THERE], Host, OnHost::None),
            (Op::Shape { start: 0, end: None }, &[FLOAT_THERE], Host, OnHost::Anywhere),
            (add.clone(), &[FLOAT_THERE, FLOAT_HERE], Device, OnHost::None),
            (add.clone(), &[FLOAT_HERE, WEIGHTS], Host, OnHost::None),
            (add, &[IDS, IDS], Host, OnHost::None),
            (Op::Binary(Binary::Pow), &[FLOAT_THERE, WEIGHTS], Device, OnHost::Rest),
            (Op::Binary(Binary::And), &[TRUTH_THERE, TRUTH_HERE], Device, OnHost::None),
            (Op::Where, &[TRUTH_HERE, FLOAT_THERE, WEIGHTS], Device, OnHost::None),
            (Op::Where, &[TRUTH_THERE, IDS, IDS], Host, OnHost::None),
            (Op::Where, &[TRUTH_HERE, FLOAT_HERE, WEIGHTS], Host, OnHost::None),
            (Op::Cast { to: Datatype::Fp16 }, &[FLOAT_THERE], Device, OnHost::None),
            (Op::Cast { to: Datatype::Bf16 }, &[FLOAT_THERE], Host, OnHost::None),
            (Op::Cast { to: Datatype::Int64 }, &[FLOAT_THERE], Host, OnHost::None),
            (Op::Cast { to: Datatype::Fp32 }, &[IDS], Host, OnHost::None),
            (Op::Cast { to: Datatype::Fp32 }, &[TRUTH_THERE], Device, OnHost::None),
            (Op::Reshape { zero_copies: true }, &[FLOAT_THERE, IDS], Device, OnHost::Rest),
            (Op::Reshape { zero_copies: true }, &[WORDS, IDS], Host, OnHost::Rest),
            (Op::Concat { axis: 0 }, &[FLOAT_HERE, FLOAT_THERE, None], Device, OnHost::None),
        ];
        for (op, operands, place, on_host) in table {
            let decided = decide(op, operands);
            assert_eq!(decided, Decision { place: *place, on_host: *on_host }, "{} of {operands:?}", op.name());
        }
    }
}
