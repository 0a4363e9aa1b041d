//! A loaded model: its signature and its plan on a device.

use std::sync::Arc;

use bytes::Bytes;
use candle_core::Device;

use crate::artifact::Artifact;
use crate::error::{LoadError, RunError};
use crate::files::ModelFiles;
use crate::onnx;
use crate::plan::{Plan, Profile};
use crate::sample::{Pattern, sample};
use crate::signature::{Signature, TensorSpec};
use crate::tensor::{NamedTensor, Tensor};
use crate::trial::trial;

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
    let profile = trial(&mut signature, &plan)?;
    Ok(Inspection { signature: Arc::new(signature), format: "onnx", plan, profile })
}

/// [`inspect`], then the weights onto `device`.
///
/// # Errors
/// As [`inspect`], and what the device says.
pub fn load(files: &ModelFiles, device: &Device) -> Result<Model, LoadError> {
    inspect(files)?.load(device)
}

impl Inspection {
    /// The most bytes that the model takes on a device while it runs batches of `rows` rows. Axes of any size other
    /// than the batch are counted as 1.
    #[must_use]
    pub fn memory_bytes(&self, rows: usize) -> u64 {
        self.plan.constant_bytes().saturating_add(self.profile.peak_bytes(rows))
    }

    /// Puts the weights onto `device`.
    ///
    /// # Errors
    /// What the device says, such as being out of memory.
    pub fn load(self, device: &Device) -> Result<Model, LoadError> {
        let plan = if device.is_cpu() { self.plan } else { self.plan.to_device(device).map_err(LoadError::Device)? };
        Ok(Model { signature: self.signature, plan, profile: self.profile })
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
        "onnx_sluice"
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

    /// The plan, one line for each step.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for (what, specs) in [("input", &self.signature.inputs), ("output", &self.signature.outputs)] {
            for spec in specs {
                text.push_str(&format!("{what} `{}` {spec}\n", spec.name));
            }
        }
        let cost = self.cost(1);
        text.push_str(&format!(
            "batched {}; weights {} bytes; {} flops and {} bytes for one row\n",
            self.signature.batched,
            self.memory_bytes(),
            cost.flops,
            cost.bytes
        ));
        text + &self.plan.describe()
    }
}

#[cfg(test)]
mod tests;
