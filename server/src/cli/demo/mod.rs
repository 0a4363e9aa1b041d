//! The bundled versions of a real model, a folder to serve them from, and callers: what `quickstart` shows and
//! `gpu-selftest` checks with.

pub(super) mod content;
pub(super) mod folder;
pub(super) mod replay;
