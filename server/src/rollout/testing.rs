//! What the tests of this folder share: one model, versions by number, and small values.

use std::collections::BTreeMap;
use std::time::Duration;

use config::{
    AnalysisRef, AnalysisTemplate, CanaryStrategy, Digest, Gate, MemoryPolicy, MetricKind, ModelName, ModelSpec,
    OnFailure, Serving, Signing, SigningPolicy, Step, StorageUri, Values, Version, VersionSpec, Weight,
};

use super::analysis::testing::metric;

pub(crate) fn model() -> ModelName {
    ModelName::new("fraud").unwrap()
}

pub(crate) fn digest(n: u8) -> Digest {
    Digest::from_bytes([n; 32])
}

/// Version `n`, pinned to its digest.
pub(crate) fn spec(n: u8) -> VersionSpec {
    VersionSpec { digest: Some(digest(n)), ..unpinned(n) }
}

/// Version `n`, named by its place only.
pub(crate) fn unpinned(n: u8) -> VersionSpec {
    VersionSpec {
        version: Version::new(&format!("v{n}")).unwrap(),
        digest: None,
        storage_uri: StorageUri::new(&format!("file:///models/v{n}")).unwrap(),
    }
}

/// Version `n`, named by its label at a place that all versions share.
pub(crate) fn at_one_place(n: u8) -> VersionSpec {
    VersionSpec { storage_uri: StorageUri::new("file:///models/prod").unwrap(), ..unpinned(n) }
}

pub(crate) fn weight(percent: u16) -> Weight {
    Weight::from_bps(percent * 100).unwrap()
}

pub(crate) const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// 5 % for a minute, 50 % for a minute; background analysis every 10 s: at least 99 % of at least 10 answered.
pub(crate) fn values(n: u8) -> Values {
    Values {
        model: ModelSpec {
            name: model(),
            target: spec(n),
            registry: None,
            format: None,
            signing: Signing {
                policy: SigningPolicy::Disabled,
                signature_path: "model.sig".to_owned(),
                public_key_path: None,
                ignore_unsigned_files: false,
            },
            replicas: None,
        },
        stable: None,
        strategy: CanaryStrategy {
            steps: vec![
                Step::SetWeight(weight(5)),
                Step::Pause(Some(seconds(60))),
                Step::SetWeight(weight(50)),
                Step::Pause(Some(seconds(60))),
            ],
            analysis: Some(AnalysisRef { templates: vec!["default".to_owned()], starting_step: 0, confidence: 0.99 }),
            guard: None,
            session_affinity: None,
            progress_deadline: seconds(600),
            progress_deadline_abort: true,
            scale_down_delay: seconds(300),
            abort_scale_down_delay: seconds(30),
            rollback_window_revisions: 3,
            skip_analysis: false,
            on_failure: OnFailure::Stable,
        },
        analysis_templates: BTreeMap::from([(
            "default".to_owned(),
            AnalysisTemplate { metrics: vec![metric(MetricKind::SuccessRate, Some(99.0), None)] },
        )]),
        serving: Serving {
            max_batch_size: 64,
            queue_delay_max: Duration::ZERO,
            queue_rows_max: 1024,
            timeout_default: seconds(30),
            memory_policy: MemoryPolicy::Availability,
        },
        gate: Gate::default(),
        retry: 0,
    }
}
