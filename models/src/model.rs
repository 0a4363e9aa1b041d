//! A loaded model: its signature and its plan on a device.

use std::sync::Arc;

use bytes::Bytes;
use kernels::cuda::Gpu;

use crate::artifact::Artifact;
use crate::error::{LoadError, RunError};
use crate::files::ModelFiles;
use crate::onnx;
use crate::plan::{Plan, PlanPlacing, Profile};
use crate::sample::{Pattern, sample};
use crate::signature::{Signature, TensorSpec};
use crate::tensor::{Datatype, NamedTensor, Tensor};
use crate::trial::trial;

const PLATFORM: &str = "onnx_sluice";
/// What a device gives at a time.
const DEVICE_BLOCK_BYTES: u64 = 32 << 20;

/// A model on a device. Immutable: any number of batches may run at once.
#[derive(Debug)]
pub struct Model {
    signature: Arc<Signature>,
    plan: Plan,
    profile: Profile,
}

/// What a model is and needs, found out on the CPU before any device memory is taken.
#[derive(Debug)]
pub struct Inspection {
    /// Inputs and outputs.
    pub signature: Arc<Signature>,
    /// Such as `onnx`.
    pub format: &'static str,
    plan: Plan,
    profile: Profile,
    /// The datatype of what each step makes.
    made: Vec<Datatype>,
}

/// A model whose weights are on their way to a device.
#[derive(Debug)]
pub struct Placing {
    signature: Arc<Signature>,
    plan: PlanPlacing,
    profile: Profile,
}

/// What one batch costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Additions and multiplications.
    pub flops: u64,
    /// Bytes read and written, weights included.
    pub bytes: u64,
}

/// Parses the artifact, compiles its plan and runs it on samples in host memory: one row, and two rows joined.
///
/// # Errors
/// Everything that is wrong with the artifact; all unsupported ops at once.
pub fn inspect(files: &ModelFiles) -> Result<Inspection, LoadError> {
    let artifact = Artifact::find(files)?;
    let data = files.get(&artifact.file).cloned().unwrap_or_else(Bytes::new);
    let (mut signature, plan) = onnx::load(files, &artifact.file, &data)?;
    if let Some(mlmodel) = &artifact.mlmodel {
        mlmodel.refine(&mut signature)?;
    }
    let (profile, made) = trial(&mut signature, &plan)?;
    Ok(Inspection { signature: Arc::new(signature), format: "onnx", plan, profile, made })
}

/// [`inspect`], to be run on the host.
///
/// # Errors
/// As [`inspect`].
pub fn load(files: &ModelFiles) -> Result<Model, LoadError> {
    Ok(inspect(files)?.load())
}

impl Inspection {
    /// The most bytes that the model takes on the host while it runs batches of `rows` rows. Axes of any size other than
    /// the batch are counted as 1.
    #[must_use]
    pub fn memory_bytes(&self, rows: usize) -> u64 {
        self.plan.constant_bytes().saturating_add(self.profile.peak_bytes(rows))
    }

    /// The same on a device, where an op may keep one value more beside its output, and memory comes in blocks.
    #[must_use]
    pub fn device_memory_bytes(&self, rows: usize) -> u64 {
        let values = self.profile.peak_bytes(rows).saturating_mul(2);
        let bytes = self.plan.constant_bytes().saturating_add(values);
        bytes.checked_next_multiple_of(DEVICE_BLOCK_BYTES).unwrap_or(u64::MAX)
    }

    /// To be run on the host.
    #[must_use]
    pub fn load(self) -> Model {
        Model { signature: self.signature, plan: self.plan, profile: self.profile }
    }

    /// To be run on a device, which takes its weights piece by piece.
    #[must_use]
    pub fn placing(self) -> Placing {
        let (plan, on_device) = self.plan.placed(&self.made);
        Placing { signature: self.signature, plan: PlanPlacing::new(plan, on_device), profile: self.profile }
    }

    /// As model metadata will name it.
    #[must_use]
    pub const fn platform(&self) -> &'static str {
        PLATFORM
    }

    /// What [`Model::describe`] says, for a model on the host.
    #[must_use]
    pub fn describe(&self) -> String {
        describe(&self.signature, &self.plan, &self.profile)
    }

    /// The same for a CUDA device: which steps run there, which on the host, and the copies between.
    #[must_use]
    pub fn describe_on_device(&self) -> String {
        describe(&self.signature, &self.plan.placed(&self.made).0, &self.profile)
    }
}

impl Placing {
    /// Copies the next piece, of at most [`kernels::cuda::PIECE_BYTES`], or says that all are there. For the thread that
    /// owns `gpu`; dropped there, it gives back what it took.
    ///
    /// # Errors
    /// What the device says, such as being out of memory.
    pub fn step(&mut self, gpu: &Gpu) -> Result<bool, LoadError> {
        self.plan.step(gpu).map_err(LoadError::Device)
    }

    /// The model, once every piece is on `gpu`.
    #[must_use]
    pub fn finish(self, gpu: &Gpu) -> Model {
        Model { signature: self.signature, plan: self.plan.finish(gpu), profile: self.profile }
    }
}

impl Model {
    /// Inputs and outputs.
    #[must_use]
    pub const fn signature(&self) -> &Arc<Signature> {
        &self.signature
    }

    /// As model metadata names it.
    #[must_use]
    pub const fn platform(&self) -> &'static str {
        PLATFORM
    }

    /// Bytes of the weights.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.plan.constant_bytes()
    }

    /// What a batch of `rows` rows costs. Axes of any size other than the batch are counted as 1.
    #[must_use]
    pub fn cost(&self, rows: usize) -> Cost {
        Cost { flops: self.profile.flops(rows), bytes: self.profile.moved_bytes(rows) }
    }

    /// Runs one batch; inputs may be in any order. The outputs are in the signature's order.
    ///
    /// # Errors
    /// Inputs that do not fit the signature, an index out of range, or a step that failed.
    pub fn run(&self, inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>, RunError> {
        self.signature.check(inputs).map_err(RunError::Inputs)?;
        // Each name is there exactly once, as checked.
        let ordered =
            self.signature.inputs.iter().filter_map(|spec| inputs.iter().find(|input| input.name == spec.name));
        self.run_plan(ordered.map(|input| input.tensor.clone()).collect())
    }

    /// [`run`](Self::run) for inputs that [`Signature::check`] has accepted, in the signature's order.
    ///
    /// # Errors
    /// An index out of range, or a step that failed, as one does whose inputs were not checked.
    pub fn run_checked(&self, inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>, RunError> {
        self.run_plan(inputs.iter().map(|input| input.tensor.clone()).collect())
    }

    fn run_plan(&self, inputs: Vec<Tensor>) -> Result<Vec<NamedTensor>, RunError> {
        let outputs = self.plan.run(inputs)?;
        Ok(outputs.into_iter().map(|(name, tensor)| NamedTensor { name, tensor }).collect())
    }

    /// Valid inputs of `rows` rows for warming up: floats are 1, whole numbers 0, texts empty; axes of any size other
    /// than the batch are 1.
    #[must_use]
    pub fn sample_inputs(&self, rows: usize) -> Vec<NamedTensor> {
        self.samples(rows, Pattern::Plain)
    }

    /// The same with floats that differ from one to the next, between 0.5 and 1.
    #[must_use]
    pub fn varied_inputs(&self, rows: usize) -> Vec<NamedTensor> {
        self.samples(rows, Pattern::VariedFloats)
    }

    fn samples(&self, rows: usize, pattern: Pattern) -> Vec<NamedTensor> {
        let rows = if self.signature.batched { rows } else { 1 };
        let named =
            |spec: &TensorSpec| Some(NamedTensor { name: spec.name.clone(), tensor: sample(spec, rows, 1, pattern)? });
        self.signature.inputs.iter().filter_map(named).collect()
    }

    /// What ended the device that it runs on, if it does and something did. For the device's thread, after an error.
    #[must_use]
    pub fn device_fault(&self) -> Option<String> {
        self.plan.gpu().and_then(Gpu::ask).map(ToString::to_string)
    }

    /// The plan, one line for each step.
    #[must_use]
    pub fn describe(&self) -> String {
        describe(&self.signature, &self.plan, &self.profile)
    }
}

fn describe(signature: &Signature, plan: &Plan, profile: &Profile) -> String {
    let mut text = String::new();
    for (what, specs) in [("input", &signature.inputs), ("output", &signature.outputs)] {
        for spec in specs {
            text.push_str(&format!("{what} `{}` {spec}\n", spec.name));
        }
    }
    text.push_str(&format!(
        "batched {}; weights {} bytes; {} flops and {} bytes for one row\n",
        signature.batched,
        plan.constant_bytes(),
        profile.flops(1),
        profile.moved_bytes(1)
    ));
    let (steps, there) = plan.steps_on_device();
    if there > 0 {
        text.push_str(&format!("{there} of {steps} steps on the device\n"));
    }
    text + &plan.describe()
}

#[cfg(test)]
mod tests;
