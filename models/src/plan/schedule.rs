//! A finished plan: which values each step is the last to read, and running it.

use std::fmt::Write as _;
use std::sync::Arc;

use candle_core::Device;

use super::builder::{Arg, Builder, Input, Step};
use super::op::Op;
use super::passes;
use super::value::Value;
use crate::error::{OpError, RunError};
use crate::tensor::Tensor;

/// A model ready to run: immutable, so that any number of batches may run through it.
#[derive(Debug)]
pub(crate) struct Plan {
    constants: Vec<Value>,
    steps: Vec<Step>,
    /// For each step, the slots that nobody reads after it.
    last_reads: Vec<Vec<usize>>,
    slots: usize,
    inputs: Vec<Input>,
    outputs: Vec<(Arc<str>, Arg)>,
    device: Device,
}

/// What is told about each step while a plan runs.
pub(crate) trait Observer {
    /// Whether what runs is made up.
    const SAMPLES: bool;

    /// After a step: its operands, its output, and on demand the bytes of all values that are alive.
    fn step(&mut self, op: &Op, args: &[Option<&Value>], out: &Value, live_bytes: impl FnOnce() -> u64);
}

/// Tells nobody.
struct Unobserved<const SAMPLES: bool>;

impl<const SAMPLES: bool> Observer for Unobserved<SAMPLES> {
    const SAMPLES: bool = SAMPLES;

    #[inline]
    fn step(&mut self, _: &Op, _: &[Option<&Value>], _: &Value, _: impl FnOnce() -> u64) {}
}

impl Plan {
    /// Optimises and schedules what was built.
    pub(crate) fn new(mut builder: Builder, outputs: Vec<(Arc<str>, Arg)>) -> Self {
        let read: Vec<Arg> = outputs.iter().map(|(_, arg)| *arg).collect();
        passes::optimise(&mut builder, &read);
        let last_reads = last_reads(&builder, &read);
        let mut plan = Self {
            last_reads,
            constants: builder.constants,
            steps: builder.steps,
            slots: builder.slots,
            inputs: builder.inputs,
            outputs,
            device: Device::Cpu,
        };
        plan.forget_unread_constants();
        plan
    }

    /// The same plan with its constants on `device`.
    pub(crate) fn to_device(&self, device: &Device) -> candle_core::Result<Self> {
        let mut constants = Vec::with_capacity(self.constants.len());
        for constant in &self.constants {
            constants.push(match constant {
                // Shapes and axes are read by the host.
                Value::Engine { tensor, datatype } if tensor.elem_count() > 64 || !is_shape(tensor) => {
                    Value::engine(tensor.to_device(device)?, *datatype)
                }
                other => other.clone(),
            });
        }
        let steps = self.steps.iter().map(|step| Ok(Step { op: step.op.to_device(device)?, ..step.clone() }));
        Ok(Self {
            constants,
            steps: steps.collect::<candle_core::Result<_>>()?,
            last_reads: self.last_reads.clone(),
            slots: self.slots,
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            device: device.clone(),
        })
    }

    /// Bytes of every constant.
    pub(crate) fn constant_bytes(&self) -> u64 {
        self.constants.iter().map(Value::bytes).sum::<u64>()
            + self.steps.iter().map(|step| step.op.constant_bytes()).sum::<u64>()
    }

    /// Sizes that some axis of an input may be bound to by the constants it meets, in the order of the steps.
    pub(crate) fn widths(&self) -> Vec<usize> {
        let constant = |arg: &Arg| match arg {
            Arg::Constant(index) => self.constants.get(index.to_owned()).and_then(|value| value.dims().last()).copied(),
            Arg::Slot(_) | Arg::Absent => None,
        };
        let mut widths: Vec<usize> = Vec::new();
        for step in &self.steps {
            for width in step.op.width().into_iter().chain(step.args.iter().filter_map(constant)) {
                if width > 1 && !widths.contains(&width) {
                    widths.push(width);
                }
            }
        }
        widths
    }

    /// Runs tensors, one for each input in the plan's order.
    pub(crate) fn run(&self, inputs: Vec<Tensor>) -> Result<Vec<(Arc<str>, Tensor)>, RunError> {
        self.run_observed(inputs, &mut Unobserved::<false>)
    }

    /// Runs made-up tensors: whether it can, and not what comes of them.
    pub(crate) fn run_samples(&self, inputs: Vec<Tensor>) -> Result<Vec<(Arc<str>, Tensor)>, RunError> {
        self.run_observed(inputs, &mut Unobserved::<true>)
    }

    /// Runs and tells about each step.
    pub(crate) fn run_observed<O: Observer>(
        &self,
        inputs: Vec<Tensor>,
        observer: &mut O,
    ) -> Result<Vec<(Arc<str>, Tensor)>, RunError> {
        let mut values: Vec<Option<Value>> = vec![None; self.slots];
        for (input, tensor) in self.inputs.iter().zip(inputs) {
            values[input.slot] = Some(Value::Host(tensor));
        }
        for (step, last_reads) in self.steps.iter().zip(&self.last_reads) {
            let args: Vec<Option<&Value>> = step.args.iter().map(|arg| self.value(*arg, &values)).collect();
            let run = if O::SAMPLES { Op::run_on_samples } else { Op::run };
            let out = run(&step.op, &args, &self.device).map_err(|error| self.failed(step, error))?;
            observer.step(&step.op, &args, &out, || live_bytes(&values) + out.bytes());
            values[step.output] = Some(out);
            for slot in last_reads {
                values[*slot] = None;
            }
        }
        let output = |(name, arg): &(Arc<str>, Arg)| {
            let tensor = match self.value(*arg, &values) {
                Some(value) => value.download(),
                None => Err(OpError::Value("nothing was computed")),
            };
            let step = name.clone();
            tensor.map(|tensor| (name.clone(), tensor)).map_err(|source| RunError::Step {
                step,
                op: "download",
                source,
            })
        };
        self.outputs.iter().map(output).collect()
    }

    fn value<'a>(&'a self, arg: Arg, values: &'a [Option<Value>]) -> Option<&'a Value> {
        match arg {
            Arg::Constant(index) => self.constants.get(index),
            Arg::Slot(slot) => values.get(slot)?.as_ref(),
            Arg::Absent => None,
        }
    }

    fn failed(&self, step: &Step, error: OpError) -> RunError {
        let uploaded = || self.inputs.iter().find(|input| step.args.contains(&Arg::Slot(input.slot)));
        match (error, &step.indexed_by) {
            (OpError::Index { index, size }, Some(input)) => RunError::Index { input: input.clone(), index, size },
            (problem @ OpError::Unsigned, _) if let Some(input) = uploaded() => {
                RunError::Number { input: input.name.clone(), problem }
            }
            (source, _) => RunError::Step { step: step.name.clone(), op: step.op.name(), source },
        }
    }

    /// Constants that were folded into other steps only take memory.
    fn forget_unread_constants(&mut self) {
        let mut read = vec![false; self.constants.len()];
        let args = self.steps.iter().flat_map(|step| &step.args).chain(self.outputs.iter().map(|(_, arg)| arg));
        for arg in args {
            if let Arg::Constant(index) = arg {
                read[*index] = true;
            }
        }
        for (constant, read) in self.constants.iter_mut().zip(read) {
            if !read && let Ok(nothing) = Value::ints(Vec::new()) {
                *constant = nothing;
            }
        }
    }

    /// One line for each step.
    pub(crate) fn describe(&self) -> String {
        let mut text = String::new();
        let place = |arg: &Arg| match arg {
            Arg::Constant(index) => {
                format!("const{:?}", self.constants.get(*index).map_or(&[][..], Value::dims))
            }
            Arg::Slot(slot) => match self.inputs.iter().find(|input| input.slot == *slot) {
                Some(input) => format!("`{}`", input.name),
                None => format!("%{slot}"),
            },
            Arg::Absent => "-".to_owned(),
        };
        for step in &self.steps {
            let args = step.args.iter().map(place).collect::<Vec<_>>().join(", ");
            let detail = step.op.detail();
            let detail = if detail.is_empty() { detail } else { format!(" {detail}") };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "%{} = {}{detail}({args})  # {}", step.output, step.op.name(), step.name);
        }
        for (name, arg) in &self.outputs {
            let _ = writeln!(text, "`{name}` = {}", place(arg));
        }
        text
    }
}

fn is_shape(tensor: &candle_core::Tensor) -> bool {
    tensor.dtype() == candle_core::DType::I64 && tensor.rank() <= 1
}

fn live_bytes(values: &[Option<Value>]) -> u64 {
    values.iter().flatten().map(Value::bytes).sum()
}

fn last_reads(builder: &Builder, outputs: &[Arg]) -> Vec<Vec<usize>> {
    // Read by the caller, or already counted for a later step.
    let mut settled = vec![false; builder.slots];
    for arg in outputs {
        if let Arg::Slot(slot) = arg {
            settled[*slot] = true;
        }
    }
    let mut last_reads = vec![Vec::new(); builder.steps.len()];
    for (step, last) in builder.steps.iter().zip(&mut last_reads).rev() {
        for arg in &step.args {
            if let Arg::Slot(slot) = arg
                && !std::mem::replace(&mut settled[*slot], true)
            {
                last.push(*slot);
            }
        }
    }
    last_reads
}
