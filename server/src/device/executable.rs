//! A loaded model on its device: running batches of it, and letting go of it where it may be freed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use models::{Dim, Model, NamedTensor, RunError, Signature, TensorSpec};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{Device, ExecuteError, Reservation};

/// Batches cheaper than this run on the calling thread: handing one over costs two thread switches, some tens of
/// microseconds, which is more than this work takes (about 1 FLOP per 0.1 ns on one core).
const INLINE_FLOPS_MAX: u64 = 400_000;
/// The same bound in bytes read and written.
const INLINE_BYTES_MAX: u64 = 512 * 1024;

/// A loaded model on its device. When its `Arc`'s last clone is gone, the weights are freed and then the reservation.
pub struct Executable {
    /// `None` only while it is dropped.
    loaded: Option<Loaded>,
    device: Device,
    /// Batches of fewer rows are cheap.
    inline_rows_below: usize,
    /// Some axis besides the batch may have any size, so a request says how large it is.
    stretches: bool,
}

/// Weights, and the memory that was set aside for them: dropped in this order.
pub(super) struct Loaded {
    model: Model,
    _reservation: Reservation,
    /// That a GPU still has it.
    _token: Option<TaskTrackerToken>,
}

impl Drop for Executable {
    /// The last owner is often a thread that has just answered a request; freeing large weights would hold it up.
    fn drop(&mut self) {
        self.device.discard(self.loaded.take());
    }
}

impl Executable {
    /// Binds a loaded model to its device; `rows_max` is the largest batch it will see.
    #[must_use]
    pub fn new(model: Model, device: Device, reservation: Reservation, rows_max: usize) -> Self {
        Self::on_gpu(model, device, reservation, rows_max, None)
    }

    pub(super) fn on_gpu(
        model: Model,
        device: Device,
        reservation: Reservation,
        rows_max: usize,
        token: Option<TaskTrackerToken>,
    ) -> Self {
        let cheap = |rows: &usize| {
            let cost = model.cost(*rows);
            cost.flops <= INLINE_FLOPS_MAX && cost.bytes <= INLINE_BYTES_MAX
        };
        // A GPU belongs to its thread, however little there is to do: no rows at all, too.
        let inline_rows_below = if device.is_gpu() { 0 } else { (1..=rows_max).take_while(cheap).count() + 1 };
        let stretches = model.signature().inputs.iter().any(|spec| free_axes(model.signature(), spec).next().is_some());
        let loaded = Some(Loaded { model, _reservation: reservation, _token: token });
        Self { loaded, device, inline_rows_below, stretches }
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.loaded.as_ref().expect("it is taken only by drop").model
    }

    /// Whether `inputs`, in the signature's order, are cheap enough for the calling thread.
    #[must_use]
    pub fn runs_inline(&self, rows: usize, inputs: &[NamedTensor]) -> bool {
        if !self.stretches || rows >= self.inline_rows_below {
            return rows < self.inline_rows_below;
        }
        // The estimate is for free axes of size 1. Attention grows with the square of an axis, little grows faster.
        let stretch = stretch(self.model().signature(), inputs);
        let square = stretch.saturating_mul(stretch);
        let cost = self.model().cost(rows);
        cost.flops.saturating_mul(square) <= INLINE_FLOPS_MAX && cost.bytes.saturating_mul(square) <= INLINE_BYTES_MAX
    }

    /// Computes on the calling thread, which is the device's own where that is a GPU. `inputs` are in the signature's order, and were checked against it.
    pub fn run_inline(&self, inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>, ExecuteError> {
        // A panic in a model is that model's failure, not the process's: the plan holds no state between runs.
        match catch_unwind(AssertUnwindSafe(|| self.model().run_checked(inputs))) {
            Ok(Ok(outputs)) => Ok(outputs),
            Ok(Err(error)) => Err(self.execute_error(&error)),
            Err(_) => Err(ExecuteError::Model("the model panicked".to_owned())),
        }
    }

    /// Does `job` on the device's thread, when its turn has come.
    pub async fn on_device<R: Send + 'static>(
        &self,
        job: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, ExecuteError> {
        self.device.run(job).await
    }

    /// Computes beside the live batches, which go first: for trying a model out before it has callers.
    pub async fn run_aside(self: &Arc<Self>, inputs: Vec<NamedTensor>) -> Result<Vec<NamedTensor>, ExecuteError> {
        let executable = Arc::clone(self);
        self.device.aside(move || executable.run_inline(&inputs)).await?
    }

    /// The largest batches that were not seen until a caller made them could cost him the device's first time with them.
    #[must_use]
    pub fn specialises(&self) -> bool {
        self.device.is_gpu()
    }

    fn execute_error(&self, error: &RunError) -> ExecuteError {
        let text = error.to_string();
        match error {
            error if error.is_callers() => ExecuteError::Input(text),
            error if error.is_non_finite() => ExecuteError::NonFinite(text),
            // What ended the device shows as the failure of whatever runs then.
            _ if self.model().device_fault().is_some() => ExecuteError::DeviceGone,
            _ => ExecuteError::Model(text),
        }
    }
}

/// Positions of the axes that may have any size, the batch aside.
fn free_axes<'a>(signature: &Signature, spec: &'a TensorSpec) -> impl Iterator<Item = usize> + use<'a> {
    let first = usize::from(signature.batched);
    spec.shape.iter().enumerate().skip(first).filter(|(_, dim)| **dim == Dim::Any).map(|(axis, _)| axis)
}

/// How much larger the largest of `inputs` is than a sample whose free axes are 1.
fn stretch(signature: &Signature, inputs: &[NamedTensor]) -> u64 {
    let sizes = signature.inputs.iter().zip(inputs).map(|(spec, input)| {
        let sizes = free_axes(signature, spec).filter_map(|axis| input.tensor.shape().get(axis));
        sizes.fold(1_u64, |product, size| product.saturating_mul(*size as u64))
    });
    sizes.max().unwrap_or(1)
}
