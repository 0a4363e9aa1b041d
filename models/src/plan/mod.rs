//! The engine's own form of a model: ops over tensors in the order they run, every constant prepared.
//!
//! Formats are lowered into it and devices run it. It knows no file format, no names of callers but those of inputs
//! and outputs, and no versions.

mod builder;
mod op;
mod ops;
mod passes;
mod placement;
mod placing;
mod schedule;
mod trial;
mod value;

pub(crate) use builder::{Arg, Builder};
pub(crate) use op::{Binary, LabelKeys, Norm, Op, Parts, Reduce, Unary};
pub(crate) use ops::matrix::Dense;
pub(crate) use placing::PlanPlacing;
pub(crate) use schedule::Plan;
pub(crate) use trial::{Profile, profile, rows_are_independent};
pub(crate) use value::Value;

/// Elements that one value may have: what a shape computed from a request can make us allocate.
pub(crate) const ELEMENTS_MAX: usize = 1 << 28;
