//! From the tree of a values file to the domain types, collecting every problem on the way. Each file here decodes
//! one section; [`cursor`] and [`scalars`] know how to read and say nothing about any field.

mod analysis;
mod checks;
mod cursor;
mod model;
pub(crate) mod scalars;
mod serving;
mod strategy;
mod values;

pub(crate) use cursor::{Cursor, Map, Report};
pub(crate) use values::{CHART_KEYS, values};
