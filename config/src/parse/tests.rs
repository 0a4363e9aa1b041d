//! What is accepted and what it means, and a table of bad files with the exact words about them.

use std::fmt::Write as _;
use std::time::Duration;

use super::*;
use crate::values::*;

const MINIMAL: &str = "schemaVersion: v1alpha1\nmodel:\n  name: fraud-detection\n  version: \"v2.3.1\"\n  storageUri: gs://acme/models/{version}\n";
pub(crate) const FULL: &str = include_str!("full.yaml");

fn parsed(text: &str) -> Parsed {
    parse("values.yaml", text).unwrap_or_else(|problems| panic!("refused:\n{problems}\n{text}"))
}

fn with(extra: &str) -> Values {
    parsed(&format!("{MINIMAL}{extra}")).values
}

fn warnings(extra: &str) -> String {
    let warnings = parsed(&format!("{MINIMAL}{extra}")).warnings;
    warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// `=== name` opens a whole file, `=+= name` one that goes on after the smallest useful file.
fn cases() -> Vec<(&'static str, String)> {
    let mut cases: Vec<(&str, String)> = Vec::new();
    for line in include_str!("bad-values.txt").lines() {
        if let Some(name) = line.strip_prefix("=== ") {
            cases.push((name, String::new()));
        } else if let Some(name) = line.strip_prefix("=+= ") {
            cases.push((name, MINIMAL.to_owned()));
        } else {
            let (_, text) = cases.last_mut().expect("the file opens with a case");
            text.push_str(line);
            text.push('\n');
        }
    }
    cases
}

#[test]
fn every_bad_file_is_told_what_is_wrong_where_and_what_would_be_right() {
    let cases = cases();
    assert!(cases.len() >= 45, "only {} cases", cases.len());
    let mut told = String::new();
    for (name, text) in cases {
        let problems = parse("values.yaml", &text).expect_err(name);
        writeln!(told, "# {name}\n{problems}\n").unwrap();
    }
    insta::assert_snapshot!("bad_values", told);
}

#[test]
fn the_smallest_useful_file_means_the_defaults() {
    let Parsed { values, warnings, digest } = parsed(MINIMAL);
    assert_eq!(warnings, []);
    assert_eq!(digest, content_digest(MINIMAL.as_bytes()));
    assert_eq!(values.model.name.as_str(), "fraud-detection");
    assert_eq!(values.model.target.storage_uri.to_string(), "gs://acme/models/v2.3.1");
    assert_eq!(values.model.signing.policy, SigningPolicy::Warn);
    assert_eq!(values.model.signing.signature_path, "model.sig");
    assert_eq!(values.stable, None);
    let canary = values.strategy;
    assert_eq!((canary.steps.len(), canary.analysis, canary.rollback_window_revisions), (0, None, 3));
    assert_eq!(canary.progress_deadline, Duration::from_secs(600));
    assert_eq!(canary.scale_down_delay, Duration::from_secs(600));
    assert_eq!(canary.abort_scale_down_delay, Duration::from_secs(30));
    assert!(canary.progress_deadline_abort && !canary.skip_analysis);
    assert_eq!(canary.on_failure, OnFailure::Stable);
    assert_eq!((values.serving.max_batch_size, values.serving.queue_rows_max), (64, 1024));
    assert_eq!(values.retry, 0);
}

#[test]
fn stable_takes_its_uri_from_the_model_where_that_holds_the_version() {
    let stable = with("stable: {version: v2.3.0}\n").stable.unwrap();
    assert_eq!(stable.storage_uri.to_string(), "gs://acme/models/v2.3.0");
    assert_eq!(stable.digest, None);
}

#[test]
fn the_full_file_is_understood() {
    let values = parsed(FULL).values;
    let canary = values.strategy;
    assert_eq!(canary.steps[0], Step::SetWeight(Weight::from_bps(500).unwrap()));
    assert_eq!(canary.steps[1], Step::Pause(Some(Duration::from_secs(300))));
    assert_eq!(canary.steps[2], Step::SetWeight(Weight::from_bps(1250).unwrap()));
    assert_eq!(canary.steps[3], Step::Pause(None));
    assert_eq!(canary.steps[5], Step::Analysis(vec!["default".to_owned()]));
    assert_eq!(canary.session_affinity.unwrap().header, "x-entity-id");
    let analysis = canary.analysis.unwrap();
    assert_eq!((analysis.starting_step, analysis.confidence), (1, 0.995));
    let metrics = &values.analysis_templates["default"].metrics;
    assert_eq!(metrics[0].threshold_range, ThresholdRange { min: Some(99.5), max: None });
    assert_eq!(metrics[0].failure_limit, Some(2));
    assert_eq!(metrics[1].kind, MetricKind::Duration { quantile: 0.95 });
    assert_eq!(metrics[1].failure_limit, None, "-1 never aborts");
    assert_eq!(values.model.registry.unwrap().version, 17);
    assert_eq!(values.gate.metrics[0].min, Some(0.92));
    assert_eq!(values.serving.memory_policy, MemoryPolicy::Resource);
}

#[test]
fn weights_count_in_shares_of_the_whole() {
    let steps = |text: &str| with(&format!("strategy: {{canary: {text}}}\n")).strategy.steps;
    let weight = |bps| vec![Step::SetWeight(Weight::from_bps(bps).unwrap())];
    assert_eq!(steps("{steps: [{setWeight: 0.01}]}"), weight(1));
    assert_eq!(steps("{steps: [{setWeight: 33.33}]}"), weight(3333));
    assert_eq!(steps("{maxTrafficWeight: 1000, steps: [{setWeight: 1}]}"), weight(10));
    assert_eq!(steps("{steps: [{setWeight: 100}]}"), weight(10_000));
}

#[test]
fn durations_are_seconds_or_carry_a_unit() {
    let pause = |text: &str| with(&format!("strategy: {{canary: {{steps: [{{pause: {{duration: {text}}}}}]}}}}\n"));
    for (text, millis) in [("30", 30_000), ("0.5", 500), ("250ms", 250), ("\"45\"", 45_000), ("1h30m", 5_400_000)] {
        let expected = Step::Pause(Some(Duration::from_millis(millis)));
        assert_eq!(pause(text).strategy.steps, [expected], "{text}");
    }
}

#[test]
fn an_analysed_trial_is_guarded_against_nan_unless_what_judges_it_names_nan() {
    let guarded = |steps: &str, templates: &str| {
        let strategy = format!("strategy: {{canary: {{{steps}}}}}\n");
        with(&format!("{strategy}analysisTemplates: {{{templates}}}\n")).strategy.guard.is_some()
    };
    let success = "a: {metrics: [{name: request-success-rate, thresholdRange: {min: 99}}]}";
    let named = "a: {metrics: [{name: nan-share, thresholdRange: {max: 1}}]}";
    let inline = "steps: [{setWeight: 5}, {analysis: {templates: [{templateName: a}]}}]";
    let beside =
        "steps: [{setWeight: 5}, {setWeight: 50}], analysis: {startingStep: 1, templates: [{templateName: a}]}";
    let confidence = format!("{inline}, analysis: {{confidence: 0.999}}");
    for steps in [inline, beside, &confidence] {
        assert!(guarded(steps, success), "{steps}");
        assert!(!guarded(steps, named), "the bound of the file counts: {steps}");
        assert!(guarded(steps, &named.replace("nan-share,", "nan-share, dryRun: true,")), "a dry run: {steps}");
        let unused = format!("{success}, {}", named.replace("a:", "b:"));
        assert!(guarded(steps, &unused), "a template that nothing uses: {steps}");
    }
    assert!(!guarded("steps: [{setWeight: 5}]", success), "no analysis, no guard");

    let strategy = with(&format!("analysisTemplates: {{{success}}}\nstrategy: {{canary: {{{inline}}}}}\n")).strategy;
    let [metric] = &strategy.guard.unwrap().metrics[..] else { panic!("one metric") };
    assert_eq!((metric.kind, metric.threshold_range.max, metric.critical), (MetricKind::NanShare, Some(0.0), true));
}

#[test]
fn keys_of_the_chart_pass() {
    let keys: String = crate::decode::CHART_KEYS.iter().map(|key| format!("{key}: {{any: [thing]}}\n")).collect();
    assert_eq!(with(&keys), with(""));
}

#[test]
fn legal_files_that_were_probably_not_meant_are_warned_of() {
    let cases = [
        "  replicas: 3\n",
        "autoscaling: {enabled: true, maxReplicas: 10}\n",
        "strategy: {canary: {steps: [{setWeight: 50}, {setWeight: 20}]}}\n",
        "strategy: {canary: {steps: [{analysis: {templates: [{templateName: a}]}}]}}\nanalysisTemplates: {a: {metrics: [{name: nan-share}]}}\n",
        "analysisTemplates: {a: {metrics: [{name: nan-share}]}}\n",
        "strategy: {canary: {steps: [{setWeight: 50}, {pause: {duration: 10s}}]}}\n",
    ];
    let told: Vec<String> = cases.iter().map(|extra| warnings(extra)).collect();
    insta::assert_snapshot!("warnings", told.join("\n"));
    let quiet = [
        "autoscaling: {enabled: false, maxReplicas: 10}\n",
        "  replicas: 3\nstable: {version: v1}\n",
        "strategy: {canary: {steps: []}}\n",
        "strategy: {canary: {steps: [{setWeight: 50}, {pause: {}}]}}\n",
        "strategy: {canary: {skipAnalysis: true, steps: [{setWeight: 50}]}}\n",
        "strategy: {canary: {steps: [{setWeight: 50}], analysis: {templates: [{templateName: a}]}}}\nanalysisTemplates: {a: {metrics: [{name: nan-share}]}}\n",
    ];
    for quiet in quiet {
        assert_eq!(warnings(quiet), "", "{quiet}");
    }
}

#[test]
fn what_is_read_is_bounded() {
    let told = |text: &str| parse("v", text).unwrap_err().to_string();
    assert!(told(&" ".repeat((1 << 20) + 1)).contains("at most 1048576 are read"));
    assert!(told(&"[".repeat(40)).contains("nested more than 32 deep"));
    assert!(told(&format!("a: [{}]", "1,".repeat(30_000))).contains("more than 20000 keys and values"));
    let many: String = (0..500).map(|index| format!("key{index}: 1\n")).collect();
    assert_eq!(parse("v", &many).unwrap_err().as_slice().len(), 100);
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,400}") {
        let _ = parse("v", &text);
    }

    #[test]
    fn no_yaml_like_text_panics(text in "([a-zA-Z0-9 :{}\\[\\]&*!|>'\"%@#,?~<.\\-\n\té😀]|model|steps|canary|: |\n  |- ){0,120}") {
        let _ = parse("v", &text);
        let _ = parse("v", &format!("{MINIMAL}{text}"));
    }

    #[test]
    fn no_damage_to_a_good_file_panics(at in 0..FULL.len(), length in 0..40_usize, insert in "[ -~\n]{0,8}") {
        let mut text = FULL.to_owned();
        let end = (at + length).min(text.len());
        if text.is_char_boundary(at) && text.is_char_boundary(end) {
            text.replace_range(at..end, &insert);
        }
        let _ = parse("v", &text);
    }
}
