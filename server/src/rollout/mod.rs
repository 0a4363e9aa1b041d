//! The life of a version: from a line in a values file to all of a model's traffic, or back out.
//!
//! ```text
//! values ──► reconcile ──► plan::next_actions ──► Stage, Publish, Promote, Reject, …
//!               ▲  │            (pure)                │
//!   staged, ────┘  └── routes, memory, status ◄───────┘
//!   tick, verb
//! ```
//!
//! [`reconcile`] is one task and the only writer of routes. It decides nothing: [`plan`] does, as a pure function of
//! the values, the [`plan::Observed`] state, the [`analysis`] verdict and `now`. [`memory`] is what survives a restart.
//!
//! What an edit of the values takes effect on: `model` and `retry` on the next round; `stable` on the next cold start;
//! `timeoutDefault` at once; `strategy` and `analysisTemplates` on the next trial; `signing`, `format` and the rest of
//! `serving` on the next attempt to stage a version.
//!
//! It must not know protocols, buckets, formats or devices: it asks for them through the traits of [`port`].

pub mod analysis;
pub mod backoff;
pub mod desired;
pub mod memory;
pub mod plan;
pub mod port;
pub mod reconcile;
pub mod release;
pub mod status;

pub use desired::{DesiredModel, DesiredModels};
pub use memory::MemoryDir;
pub use plan::{Phase, Verb, VerbError};
pub use port::{Resident, RouteUpdate, Routes, StageError, StagePhase, StageRequest, Staged, Stager};
pub use reconcile::{Parts, Reconciler, RolloutHandle};
pub use status::Status;

/// Where a test can stop or kill the process inside a rollout (`FAILPOINTS=name=abort`, feature `failpoints`).
pub const FAIL_POINTS: &[&str] = &[
    "rollout::before_stage",
    "rollout::after_staged",
    "rollout::before_publish",
    "rollout::after_publish",
    "rollout::after_promote",
    "rollout::after_reject",
    "rollout::before_remember",
    "rollout::memory_before_rename",
    "rollout::after_remember",
];

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    /// A name in one place only would be a crash test that kills nothing.
    #[test]
    fn the_fail_points_are_the_ones_in_the_code() {
        let sources =
            [include_str!("reconcile/model.rs"), include_str!("memory/file.rs"), include_str!("memory/writer.rs")];
        let calls = sources.iter().flat_map(|source| source.split("fail_point!(\"").skip(1));
        let mut named: Vec<_> = calls.map(|rest| rest.split('"').next().unwrap()).collect();
        let mut listed = super::FAIL_POINTS.to_vec();
        named.sort_unstable();
        listed.sort_unstable();
        assert_eq!(named, listed);
    }
}
