//! What the operator asked for.
//!
//! Owns the values file (hot, one per model: schema `v1alpha1`), the settings (fixed at start), the access file and the
//! watching of the mounted file. It knows nothing of models, devices, routes or the network: it turns bytes into [`Values`]
//! that cannot be wrong, or into every [`Problem`] of the file at once.

#![forbid(unsafe_code)]

pub mod access;
mod decode;
mod document;
mod edit;
mod locate;
mod parse;
mod problem;
mod schema;
pub mod settings;
pub mod values;
pub mod watch;

pub use decode::scalars::duration;
pub use edit::{BumpError, BumpTarget, bump};
pub use locate::locate;
pub use parse::{Parsed, content_digest, parse};
pub use problem::{Problem, Problems};
pub use schema::{json_schema, values_reference};
pub use settings::{
    ClientAuth, Device, LogFormat, Port, Readiness, SETTINGS, Setting, Settings, SettingsLayer, TlsSettings,
    settings_reference,
};
pub use values::*;
pub use watch::{FileError, FileState, Observed, WatchOptions, WatchTask, watch};
