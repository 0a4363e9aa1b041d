//! Putting a plan together step by step. What depends on constants only is computed here, once.

use std::sync::Arc;

use super::op::Op;
use super::placement::Place;
use super::value::Value;
use crate::error::OpError;
use crate::tensor::Datatype;

/// Where an operand comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Arg {
    /// A constant of the plan.
    Constant(usize),
    /// An input or what an earlier step left.
    Slot(usize),
    /// An optional operand that is not given.
    Absent,
}

/// One op and where its operands and output are.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// The node it comes from.
    pub(crate) name: Arc<str>,
    pub(crate) op: Op,
    pub(crate) args: Vec<Arg>,
    pub(crate) output: usize,
    /// The model input whose numbers select rows here, where it reaches this step unchanged.
    pub(crate) indexed_by: Option<Arc<str>>,
    /// The host, until a plan is made for a device.
    pub(crate) place: Place,
}

/// Steps in the order in which they were added, which is one they can run in.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    pub(crate) constants: Vec<Value>,
    pub(crate) steps: Vec<Step>,
    pub(crate) slots: usize,
    pub(crate) inputs: Vec<Input>,
}

/// An input of the plan.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) name: Arc<str>,
    /// As it came.
    pub(crate) slot: usize,
    /// On the device, once something computes on it.
    uploaded: Option<usize>,
    pub(crate) datatype: Datatype,
}

impl Builder {
    /// Adds an input.
    pub(crate) fn input(&mut self, name: Arc<str>, datatype: Datatype) -> Arg {
        let slot = self.slot();
        self.inputs.push(Input { name, slot, uploaded: None, datatype });
        Arg::Slot(slot)
    }

    /// Adds a constant.
    pub(crate) fn constant(&mut self, value: Value) -> Arg {
        self.constants.push(value);
        Arg::Constant(self.constants.len() - 1)
    }

    /// A constant's value; `None` for what is only known when the plan runs.
    pub(crate) fn value(&self, arg: Arg) -> Option<&Value> {
        match arg {
            Arg::Constant(index) => self.constants.get(index),
            Arg::Slot(_) | Arg::Absent => None,
        }
    }

    /// Adds a step, or computes it now where every operand is a constant.
    pub(crate) fn push(&mut self, name: &Arc<str>, op: Op, args: &[Arg]) -> Result<Arg, OpError> {
        if args.iter().all(|arg| !matches!(arg, Arg::Slot(_))) {
            let operands: Vec<Option<&Value>> = args.iter().map(|arg| self.value(*arg)).collect();
            let value = op.run(&operands, None)?;
            return Ok(self.constant(value));
        }
        let args = args.iter().map(|arg| self.on_device(*arg)).collect::<Vec<_>>();
        let indexed_by = op.index_operand().and_then(|index| self.origin(*args.get(index)?));
        let output = self.slot();
        self.steps.push(Step { name: name.clone(), op, args, output, indexed_by, place: Place::Host });
        Ok(Arg::Slot(output))
    }

    fn slot(&mut self) -> usize {
        self.slots += 1;
        self.slots - 1
    }

    /// An input is uploaded once, by whichever step reads it first.
    fn on_device(&mut self, arg: Arg) -> Arg {
        let Arg::Slot(slot) = arg else { return arg };
        let Some(at) = self.inputs.iter().position(|input| input.slot == slot) else { return arg };
        if self.inputs[at].datatype == Datatype::Bytes {
            return arg;
        }
        if let Some(uploaded) = self.inputs[at].uploaded {
            return Arg::Slot(uploaded);
        }
        let output = self.slot();
        let name = self.inputs[at].name.clone();
        self.steps.push(Step { name, op: Op::Upload, args: vec![arg], output, indexed_by: None, place: Place::Host });
        self.inputs[at].uploaded = Some(output);
        Arg::Slot(output)
    }

    /// The input that a value is, but for its shape and datatype.
    fn origin(&self, arg: Arg) -> Option<Arc<str>> {
        let Arg::Slot(slot) = arg else { return None };
        if let Some(input) = self.inputs.iter().find(|input| input.slot == slot) {
            return Some(input.name.clone());
        }
        let step = self.steps.iter().find(|step| step.output == slot)?;
        match step.op {
            Op::Upload
            | Op::Cast { .. }
            | Op::Reshape { .. }
            | Op::Flatten { .. }
            | Op::Squeeze { .. }
            | Op::Unsqueeze { .. }
            | Op::Transpose { .. }
            | Op::Slice
            | Op::Part { .. } => self.origin(*step.args.first()?),
            _ => None,
        }
    }
}
