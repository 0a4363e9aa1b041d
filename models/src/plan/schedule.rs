//! A finished plan: which values each step is the last to read, and running it.

use std::fmt::Write as _;
use std::sync::Arc;

use kernels::cuda::Gpu;

use super::builder::{Arg, Builder, Input, Step};
use super::op::Op;
use super::passes;
use super::placement::{self, Place};
use super::value::Value;
use crate::error::{OpError, RunError};
use crate::tensor::{Datatype, Tensor};

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
    /// Where the steps run that are not on the host.
    gpu: Option<Gpu>,
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
        let last_reads = last_reads(&builder.steps, builder.slots, &read);
        let mut plan = Self {
            last_reads,
            constants: builder.constants,
            steps: builder.steps,
            slots: builder.slots,
            inputs: builder.inputs,
            outputs,
            gpu: None,
        };
        plan.forget_unread_constants();
        plan
    }

    /// The same plan for a device, where `made` is the datatype of what each step makes: each step has its place, and
    /// the constants of those on the device, which are told, are still in host memory.
    pub(crate) fn placed(&self, made: &[Datatype]) -> (Self, Vec<usize>) {
        let placed = placement::place(&self.steps, made, &self.inputs, self.slots, &self.constants);
        let read: Vec<Arg> = self.outputs.iter().map(|(_, arg)| *arg).collect();
        let mut plan = Self {
            last_reads: last_reads(&placed.steps, placed.slots, &read),
            constants: placed.constants,
            steps: placed.steps,
            slots: placed.slots,
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            gpu: None,
        };
        plan.forget_unread_constants();
        (plan, placed.on_device)
    }

    /// How many steps there are, and how many of them are on a device.
    pub(crate) fn steps_on_device(&self) -> (usize, usize) {
        let there = self.steps.iter().filter(|step| step.place == Place::Device);
        (self.steps.len(), there.count())
    }

    /// What is moved when the plan goes to a device: constants of the plan, and those inside steps.
    pub(super) fn parts_mut(&mut self) -> (&mut [Value], &mut [Step]) {
        (&mut self.constants, &mut self.steps)
    }

    /// From now on the steps on the device run on `gpu`, where their constants are.
    pub(super) fn is_on(&mut self, gpu: Gpu) {
        self.gpu = Some(gpu);
    }

    /// The device, where it runs on one.
    pub(crate) const fn gpu(&self) -> Option<&Gpu> {
        self.gpu.as_ref()
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
            let out = run(&step.op, &args, self.gpu.as_ref()).map_err(|error| self.failed(step, error))?;
            observer.step(&step.op, &args, &out, || live_bytes(&values) + out.bytes());
            values[step.output] = Some(out);
            for slot in last_reads {
                values[*slot] = None;
            }
        }
        let output = |(name, arg): &(Arc<str>, Arg)| {
            let tensor = match self.value(*arg, &values) {
                Some(value) => value.download(self.gpu.as_ref()),
                None => Err(OpError::Value("nothing was computed")),
            };
            tensor.map(|tensor| (name.clone(), tensor)).map_err(|error| not_downloaded(name, error))
        };
        let finite = match &self.gpu {
            Some(gpu) => self.finite_outputs(gpu, &values)?,
            None => return self.outputs.iter().map(output).collect(),
        };
        let told = |(tensor, finite): (Result<(Arc<str>, Tensor), RunError>, bool)| {
            tensor.map(|(name, tensor)| (name, if finite { tensor.known_finite() } else { tensor }))
        };
        self.outputs.iter().map(output).zip(finite).map(told).collect()
    }

    /// For each output, whether the device counted it and found numbers only. What is narrowed on its way to the caller,
    /// and may become infinite there, is not counted.
    fn finite_outputs(&self, gpu: &Gpu, values: &[Option<Value>]) -> Result<Vec<bool>, RunError> {
        let floats: Vec<Option<&candle_core::Tensor>> = self
            .outputs
            .iter()
            .map(|(_, arg)| match self.value(*arg, values)? {
                Value::Engine { tensor, datatype: Datatype::Fp32 | Datatype::Fp64 } if !tensor.device().is_cpu() => {
                    Some(tensor)
                }
                _ => None,
            })
            .collect();
        let counted: Vec<&candle_core::Tensor> = floats.iter().copied().flatten().collect();
        let counts = gpu.non_finite(&counted);
        let mut counts = counts.map_err(|error| not_downloaded(&"outputs".into(), error.into()))?.into_iter();
        Ok(floats.iter().map(|float| float.is_some() && counts.next() == Some(0)).collect())
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

    /// One line for each step; with the place of each where there are two.
    pub(crate) fn describe(&self) -> String {
        let mut text = String::new();
        let two_places = self.steps_on_device().1 > 0;
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
            let place = match step.place {
                _ if !two_places => "",
                Place::Device => "device  ",
                Place::Host => "host    ",
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{place}%{} = {}{detail}({args})  # {}", step.output, step.op.name(), step.name);
        }
        for (name, arg) in &self.outputs {
            let _ = writeln!(text, "`{name}` = {}", place(arg));
        }
        text
    }
}

fn not_downloaded(name: &Arc<str>, source: OpError) -> RunError {
    RunError::Step { step: name.clone(), op: "download", source }
}

fn live_bytes(values: &[Option<Value>]) -> u64 {
    values.iter().flatten().map(Value::bytes).sum()
}

fn last_reads(steps: &[Step], slots: usize, outputs: &[Arg]) -> Vec<Vec<usize>> {
    // Read by the caller, or already counted for a later step.
    let mut settled = vec![false; slots];
    for arg in outputs {
        if let Arg::Slot(slot) = arg {
            settled[*slot] = true;
        }
    }
    let mut last_reads = vec![Vec::new(); steps.len()];
    for (step, last) in steps.iter().zip(&mut last_reads).rev() {
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
