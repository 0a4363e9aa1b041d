//! `strategy` as written.

use schemars::JsonSchema;

use super::DurationText;
use crate::values::defaults;

/// How a new version gets traffic.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Strategy {
    /// A share of the live traffic, step by step. Without steps a version that passed its gates is promoted at once.
    canary: Option<Canary>,
}

/// A trial: its steps, its judges, and what happens around it.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Canary {
    /// What a `setWeight` is a share of.
    #[schemars(default = "max_traffic_weight", range(min = 1, max = 1_000_000))]
    max_traffic_weight: u32,
    /// What the trial goes through, in order, at most 64 steps. After the last one the canary is promoted.
    #[schemars(length(max = 64))]
    steps: Option<Vec<Step>>,
    /// Analysis that runs beside the steps. Without it (and without an `analysis` step) nothing is judged: weights and pauses only.
    analysis: Option<BackgroundAnalysis>,
    /// Keeps a caller on one version.
    session_affinity: Option<SessionAffinity>,
    /// Limit for pull, verify, load, warm-up and gate. Pauses and waiting for traffic do not count.
    #[schemars(default = "progress_deadline")]
    progress_deadline_seconds: DurationText,
    /// Roll back when the deadline passes; `false` only reports it.
    #[schemars(default = "progress_deadline_abort")]
    progress_deadline_abort: bool,
    /// How long the old stable version stays resident after a promotion, for an instant way back.
    #[schemars(default = "scale_down_delay")]
    scale_down_delay_seconds: DurationText,
    /// How long a rejected canary stays resident; 0 keeps it until it is replaced.
    #[schemars(default = "abort_scale_down_delay")]
    abort_scale_down_delay_seconds: DurationText,
    /// Which older versions may come back at once.
    rollback_window: Option<RollbackWindow>,
    /// Promote after the gates only.
    #[schemars(default)]
    skip_analysis: bool,
    /// What a caller gets when the canary fails its request (an error, NaN or Inf, out of memory): `stable` answers it once more from stable and counts it against the canary, `return` returns the failure.
    #[schemars(default)]
    on_failure: OnFailure,
}

#[derive(JsonSchema, Default, serde::Serialize)]
#[schemars(inline, rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
enum OnFailure {
    #[default]
    Stable,
    Return,
}

/// Exactly one of its fields.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields, extend("minProperties" = 1, "maxProperties" = 1))]
struct Step {
    /// Send this share of live requests to the canary: 0 to `maxTrafficWeight`, in steps of a ten-thousandth of it.
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    set_weight: Option<f64>,
    /// Wait.
    pause: Option<Pause>,
    /// Wait for a verdict.
    analysis: Option<StepAnalysis>,
}

/// A wait.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Pause {
    /// How long, at most 30 days. Without it: until promoted by hand.
    duration: Option<DurationText>,
}

/// Analysis that the trial waits for.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct StepAnalysis {
    /// What judges the canary.
    #[schemars(length(min = 1, max = 16))]
    templates: Vec<TemplateRef>,
}

/// Analysis that runs beside the steps.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct BackgroundAnalysis {
    /// What judges the canary. May be absent where an `analysis` step names templates.
    #[schemars(length(min = 1, max = 16))]
    templates: Option<Vec<TemplateRef>>,
    /// Index of the first step, from 0, at which the analysis runs.
    #[schemars(default, range(max = 64))]
    starting_step: usize,
    /// The confidence of the whole trial's verdict, split over its metrics. There is none per metric.
    #[schemars(default = "confidence", range(min = 0.5, max = 0.999_999))]
    confidence: f64,
}

/// Names one of `analysisTemplates`.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct TemplateRef {
    /// The template's name.
    template_name: String,
}

/// Keeps a caller on one version.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct SessionAffinity {
    /// The HTTP header or gRPC metadata key that names a caller, such as `x-entity-id`. A raised weight never moves a caller back to stable.
    #[schemars(regex(pattern = r"^[A-Za-z0-9._-]{1,64}$"))]
    header: String,
}

/// Which older versions may come back at once.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct RollbackWindow {
    /// A version promoted within this many promotions comes back without steps or analysis (gates only).
    #[schemars(default = "rollback_window_revisions", range(max = 100))]
    revisions: u32,
}

const fn max_traffic_weight() -> u32 {
    defaults::MAX_TRAFFIC_WEIGHT
}

const fn progress_deadline() -> DurationText {
    DurationText(defaults::PROGRESS_DEADLINE)
}

const fn progress_deadline_abort() -> bool {
    defaults::PROGRESS_DEADLINE_ABORT
}

const fn scale_down_delay() -> DurationText {
    DurationText(defaults::SCALE_DOWN_DELAY)
}

const fn abort_scale_down_delay() -> DurationText {
    DurationText(defaults::ABORT_SCALE_DOWN_DELAY)
}

const fn rollback_window_revisions() -> u32 {
    defaults::ROLLBACK_WINDOW_REVISIONS
}

const fn confidence() -> f64 {
    defaults::CONFIDENCE
}
