//! What a field means when it is not written. The decoder and the schema's `default`s both read them here.

use std::time::Duration;

/// `strategy.canary.maxTrafficWeight`.
pub(crate) const MAX_TRAFFIC_WEIGHT: u32 = 100;
/// `strategy.canary.progressDeadlineSeconds`.
pub(crate) const PROGRESS_DEADLINE: Duration = Duration::from_secs(600);
/// `strategy.canary.progressDeadlineAbort`.
pub(crate) const PROGRESS_DEADLINE_ABORT: bool = true;
/// `strategy.canary.scaleDownDelaySeconds`.
pub(crate) const SCALE_DOWN_DELAY: Duration = Duration::from_secs(600);
/// `strategy.canary.abortScaleDownDelaySeconds`.
pub(crate) const ABORT_SCALE_DOWN_DELAY: Duration = Duration::from_secs(30);
/// `strategy.canary.rollbackWindow.revisions`.
pub(crate) const ROLLBACK_WINDOW_REVISIONS: u32 = 3;
/// `strategy.canary.analysis.confidence`.
pub(crate) const CONFIDENCE: f64 = 0.99;
/// `analysisTemplates.*.metrics[].interval`.
pub(crate) const INTERVAL: Duration = Duration::from_secs(60);
/// `analysisTemplates.*.metrics[].quantile`.
pub(crate) const QUANTILE: f64 = 0.99;
/// `analysisTemplates.*.metrics[].minSamples`.
pub(crate) const MIN_SAMPLES: u64 = 500;
/// `analysisTemplates.*.metrics[].failureLimit`.
pub(crate) const FAILURE_LIMIT: u32 = 0;
/// `analysisTemplates.*.metrics[].consecutiveErrorLimit`.
pub(crate) const CONSECUTIVE_ERROR_LIMIT: u32 = 4;
/// `model.signing.signaturePath`.
pub(crate) const SIGNATURE_PATH: &str = "model.sig";
/// `serving.maxBatchSize`.
pub(crate) const MAX_BATCH_SIZE: usize = 64;
/// `serving.queueRowsMax`, in batches of the largest size.
pub(crate) const QUEUE_BATCHES: usize = 16;
/// `serving.timeoutDefault`.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);
