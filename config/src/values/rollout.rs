//! `strategy.canary`: how a new version gets traffic, and what happens to it.

use std::time::Duration;

use super::{AnalysisTemplate, Weight};

/// `strategy.canary`. With no steps a version that passed its gates is promoted at once.
#[derive(Debug, Clone, PartialEq)]
pub struct CanaryStrategy {
    /// What the trial goes through, in order; after the last step the canary is promoted.
    pub steps: Vec<Step>,
    /// Background analysis, from `starting_step` on.
    pub analysis: Option<AnalysisRef>,
    /// Judges beside the steps from the first one on, whenever `analysis` starts: the built-in bound on NaN. Here where
    /// a trial is analysed and no template that judges it names `nan-share`.
    pub guard: Option<AnalysisTemplate>,
    /// The request header whose value keeps a caller on one version.
    pub session_affinity: Option<SessionAffinity>,
    /// Limit for pull, verify, load, warm-up and gate; pauses and waiting for traffic do not count.
    pub progress_deadline: Duration,
    /// Roll back when the deadline passes (otherwise only report it).
    pub progress_deadline_abort: bool,
    /// How long the old stable stays resident after a promotion.
    pub scale_down_delay: Duration,
    /// How long a rejected canary stays resident; zero keeps it until it is replaced.
    pub abort_scale_down_delay: Duration,
    /// A version promoted within this many promotions comes back without steps or analysis.
    pub rollback_window_revisions: u32,
    /// Promote after the gates only.
    pub skip_analysis: bool,
    /// What a caller gets when the canary fails its request.
    pub on_failure: OnFailure,
}

impl CanaryStrategy {
    /// Whether anything judges beside the steps, so that a promotion waits for its verdict.
    #[must_use]
    pub fn is_judged_beside_its_steps(&self) -> bool {
        self.guard.is_some() || self.analysis.as_ref().is_some_and(|analysis| !analysis.templates.is_empty())
    }

    /// The confidence of the whole trial's verdict, whether it is analysed beside the steps, among them or both.
    #[must_use]
    pub fn confidence(&self) -> f64 {
        self.analysis.as_ref().map_or(super::defaults::CONFIDENCE, |analysis| analysis.confidence)
    }
}

/// One entry of `strategy.canary.steps`.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Send this share of live requests to the canary.
    SetWeight(Weight),
    /// Wait; `None` waits until promoted by hand.
    Pause(Option<Duration>),
    /// Wait until these templates' metrics have a verdict.
    Analysis(Vec<String>),
}

/// `strategy.canary.analysis`: background analysis.
#[derive(Debug, Clone, PartialEq)]
pub struct AnalysisRef {
    /// Names of [`crate::Values::analysis_templates`]. Empty where the file only sets the confidence of the analyses
    /// among the steps.
    pub templates: Vec<String>,
    /// Index of the first step at which the analysis runs.
    pub starting_step: usize,
    /// The confidence of the whole trial, split over its metrics.
    pub confidence: f64,
}

/// `strategy.canary.sessionAffinity`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionAffinity {
    /// Lower-case header (HTTP) or metadata key (gRPC).
    pub header: String,
}

/// `strategy.canary.onFailure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Answer the request once more from stable, and count it against the canary. The default.
    Stable,
    /// Return the canary's error.
    Return,
}
