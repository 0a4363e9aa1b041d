//! Moving a plan to a device a piece at a time.

use std::fmt;

use kernels::cuda::{Gpu, Transfer};

use super::schedule::Plan;
use super::value::Value;

/// A plan whose constants are on their way to a device.
pub(crate) struct PlanPlacing {
    plan: Plan,
    left: std::vec::IntoIter<Spot>,
    under_way: Option<(Spot, Transfer)>,
}

/// Where a constant is.
#[derive(Debug, Clone, Copy)]
enum Spot {
    Plan(usize),
    Step { step: usize, index: usize },
}

impl PlanPlacing {
    /// `on_device` are the constants of the plan that steps on the device read.
    pub(crate) fn new(mut plan: Plan, on_device: Vec<usize>) -> Self {
        let (_, steps) = plan.parts_mut();
        let mut all: Vec<Spot> = on_device.into_iter().map(Spot::Plan).collect();
        for (step, it) in steps.iter_mut().enumerate() {
            all.extend((0..it.op.tensors_mut().len()).map(|index| Spot::Step { step, index }));
        }
        Self { plan, left: all.into_iter(), under_way: None }
    }

    /// Moves one piece to `gpu`, or says that all of it is there.
    pub(crate) fn step(&mut self, gpu: &Gpu) -> candle_core::Result<bool> {
        if self.under_way.is_none() {
            let Some(spot) = self.left.next() else { return Ok(true) };
            let Some(tensor) = self.tensor(spot) else { return Ok(false) };
            self.under_way = Some((spot, Transfer::start(tensor, gpu)?));
        }
        if let Some((spot, transfer)) = &mut self.under_way
            && let Some(moved) = transfer.step(gpu)?
        {
            let spot = *spot;
            self.under_way = None;
            if let Some(tensor) = self.tensor(spot) {
                *tensor = moved;
            }
        }
        Ok(false)
    }

    /// The plan, which runs on `gpu` now.
    pub(crate) fn finish(mut self, gpu: &Gpu) -> Plan {
        self.plan.is_on(gpu.clone());
        self.plan
    }

    fn tensor(&mut self, spot: Spot) -> Option<&mut candle_core::Tensor> {
        let (constants, steps) = self.plan.parts_mut();
        match spot {
            Spot::Plan(index) => match constants.get_mut(index)? {
                Value::Engine { tensor, .. } => Some(tensor),
                Value::Host(_) => None,
            },
            Spot::Step { step, index } => steps.get_mut(step)?.op.tensors_mut().into_iter().nth(index),
        }
    }
}

impl fmt::Debug for PlanPlacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlanPlacing({} constants left)", self.left.len())
    }
}
