//! From facts to verdicts: one function for each check, in the order in which they are told. Pure.

use config::{GateMetric, Problem, SigningPolicy, StorageUri, Values};

use super::facts::{Facts, Measured, Place, RegistryFacts, Trouble};
use super::verdict::{Check, Finding, Verdict};
use crate::bringup::Answers;
use crate::registry::{DIGEST_TAG, LABEL_TAG, ModelVersion, Status};

use Verdict::{Failed, NotRun, Passed, Skipped, Unreachable};

/// What a registry's tag says of offline tests that passed.
const PASSED: &str = "passed";

const VALUES: &str = "values";
const TRUST: &str = "trust";
const VERSION: &str = "registry-version";
const LABEL: &str = "label";
const RUN: &str = "run";
const OFFLINE_TESTS: &str = "offline-tests";
const METRICS: &str = "metrics";
const STORAGE_URI: &str = "storage-uri";
const BYTES: &str = "bytes";
const DIGEST: &str = "digest";
const SIGNATURE: &str = "signature";
const MODEL: &str = "model";
const GOLDEN: &str = "golden";
const COMPATIBLE: &str = "compatible";
const STAGING: &str = "staging";

/// Every check but the first, which the others need.
const REST: [&str; 14] = [
    TRUST,
    VERSION,
    LABEL,
    RUN,
    OFFLINE_TESTS,
    METRICS,
    STORAGE_URI,
    BYTES,
    DIGEST,
    SIGNATURE,
    MODEL,
    GOLDEN,
    COMPATIBLE,
    STAGING,
];

/// What is told of a file that cannot be read: its problems, and that nothing else was looked at.
pub(super) fn unreadable<'a>(problems: impl IntoIterator<Item = &'a Problem>) -> Vec<Check> {
    let first = Check { name: VALUES, verdict: Failed(problems.into_iter().map(Finding::of).collect()) };
    let rest = REST.into_iter().map(|name| Check { name, verdict: NotRun(VALUES) });
    std::iter::once(first).chain(rest).collect()
}

/// Every check of a valid file.
pub(super) fn judge(values: &Values, facts: &Facts) -> Vec<Check> {
    let verdicts = [
        trust(values),
        registry_version(values, facts),
        label(values, facts),
        run(values, facts),
        offline_tests(values, facts),
        metrics(values, facts),
        storage_uri(values, facts),
        bytes(facts),
        digest(values, facts),
        signature(values, facts),
        model(facts),
        golden(facts),
        compatible(values, facts),
        staging(values, facts),
    ];
    let first = Check { name: VALUES, verdict: Passed("the file is valid".to_owned()) };
    let rest = REST.into_iter().zip(verdicts).map(|(name, verdict)| Check { name, verdict });
    std::iter::once(first).chain(rest).collect()
}

/// Of staging as of production: what passes here is what production gets next.
fn trust(values: &Values) -> Verdict {
    let model = &values.model;
    match (&model.target.digest, model.signing.policy) {
        (Some(_), SigningPolicy::Enforce) => Passed("model.digest pins the bytes, and they must be signed".to_owned()),
        (Some(_), _) => Passed("model.digest pins the bytes".to_owned()),
        (None, SigningPolicy::Enforce) => Passed("the bytes must be signed".to_owned()),
        (None, _) => Verdict::failed(
            "model.signing.policy",
            "nothing says which bytes are meant: there is no model.digest, and signing.policy is not enforce; write one \
             of them (`sluice bump --digest`, or a key and policy: enforce)",
        ),
    }
}

fn registry_version(values: &Values, facts: &Facts) -> Verdict {
    let (Some(registry), Some(RegistryFacts { version, .. })) = (&values.model.registry, &facts.registry) else {
        return Verdict::failed(
            "model",
            "model.registry is missing, so nothing can be looked up; write {type: mlflow, name: …, version: …}",
        );
    };
    let field = "model.registry.version";
    let (name, number) = (&registry.name, registry.version);
    match version {
        Err(trouble) => troubled(field, trouble),
        Ok(ModelVersion { status: Status::Ready, .. }) => Passed(format!("version {number} of {name} is READY")),
        Ok(ModelVersion { status: Status::Other(status), status_message, .. }) => {
            let why = if status_message.is_empty() { String::new() } else { format!(" ({status_message})") };
            Verdict::failed(field, format!("version {number} of {name} is {status}{why}; it must be READY"))
        }
    }
}

fn label(values: &Values, facts: &Facts) -> Verdict {
    let Some(version) = version(facts) else { return NotRun(VERSION) };
    let (wanted, number) = (values.model.target.version.as_str(), version.version);
    match version.label() {
        Some(label) if label == wanted => Passed(format!("version {number} is tagged {LABEL_TAG}={label}")),
        Some(label) => Verdict::failed(
            "model.version",
            format!(
                "this is {wanted}, and version {number} is tagged {LABEL_TAG}={label}; `sluice bump --registry` writes \
                 both as they belong together"
            ),
        ),
        None => Verdict::failed(
            "model.version",
            format!("version {number} has no tag {LABEL_TAG}; it must be tagged {LABEL_TAG}={wanted}"),
        ),
    }
}

fn run(values: &Values, facts: &Facts) -> Verdict {
    let Some(version) = version(facts) else { return NotRun(VERSION) };
    let wanted = values.model.registry.as_ref().and_then(|registry| registry.run_id.as_deref());
    match (wanted, version.run_id.as_deref()) {
        (None, _) => Skipped("the file has no model.registry.runId".to_owned()),
        (Some(wanted), Some(run)) if wanted == run => Passed(format!("run {run} made it")),
        (Some(wanted), run) => {
            let found = run.map_or_else(|| "no run made it".to_owned(), |run| format!("it was made by run {run}"));
            let message = format!("this is {wanted}, and of version {} the registry says: {found}", version.version);
            Verdict::failed("model.registry.runId", message)
        }
    }
}

fn offline_tests(values: &Values, facts: &Facts) -> Verdict {
    let Some(tag) = &values.gate.offline_tests_tag else {
        return Skipped("the file has no gate.offlineTestsTag".to_owned());
    };
    let Some(version) = version(facts) else { return NotRun(VERSION) };
    let (field, number) = ("gate.offlineTestsTag", version.version);
    match version.tags.get(tag) {
        Some(said) if said == PASSED => Passed(format!("version {number} is tagged {tag}={PASSED}")),
        Some(said) => {
            Verdict::failed(field, format!("version {number} is tagged {tag}={said}; it must be {tag}={PASSED}"))
        }
        None => Verdict::failed(
            field,
            format!("version {number} has no tag {tag}; run its offline tests, which set {tag}={PASSED}"),
        ),
    }
}

fn metrics(values: &Values, facts: &Facts) -> Verdict {
    let bounds = &values.gate.metrics;
    if bounds.is_empty() {
        return Skipped("the file has no gate.metrics".to_owned());
    }
    let measured = facts.registry.as_ref().and_then(|registry| registry.measured.as_ref());
    let measured = match measured {
        None => return NotRun(VERSION),
        Some(Err(trouble)) => return troubled("gate.metrics", trouble),
        Some(Ok(measured)) => measured,
    };
    let (mut held, mut findings) = (Vec::new(), Vec::new());
    for (index, bound) in bounds.iter().enumerate() {
        match metric(bound, measured) {
            Ok(said) => held.push(said),
            Err(message) => findings.push(Finding::new(&format!("gate.metrics[{index}]"), message)),
        }
    }
    if findings.is_empty() { Passed(held.join(", ")) } else { Failed(findings) }
}

/// The model's own account goes before its run's: a run may log several models. Of values for several datasets each must
/// hold. NaN counts in every account, since MLflow 3 keeps that of a logged model as 0 and that of a run as it was.
fn metric(bound: &GateMetric, measured: &[Measured]) -> Result<String, String> {
    let GateMetric { name, min, max } = bound;
    let account = measured.iter().find(|account| account.values.iter().any(|value| value.name == *name));
    let Some(Measured { of, values }) = account else {
        return Err(format!("{name} was not recorded; {}", recorded(measured)));
    };
    let is_nan = |account: &&Measured| account.values.iter().any(|value| value.name == *name && value.value.is_nan());
    if let Some(Measured { of, .. }) = measured.iter().find(is_nan) {
        return Err(format!("{name} of {of} is NaN; it must be {}", allowed(*min, *max)));
    }
    let (over, under) = (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY));
    for value in values.iter().filter(|value| value.name == *name).map(|value| value.value) {
        if value < over || under < value {
            return Err(format!("{name} of {of} is {value}; it must be {}", allowed(*min, *max)));
        }
    }
    let values = values.iter().filter(|value| value.name == *name).map(|value| value.value.to_string());
    Ok(format!("{name} {}", values.collect::<Vec<_>>().join(" and ")))
}

fn allowed(min: Option<f64>, max: Option<f64>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("{min} or more"),
        (None, Some(max)) => format!("{max} or less"),
        (None, None) => "a number".to_owned(),
    }
}

/// What is there in place of what was looked for.
fn recorded(measured: &[Measured]) -> String {
    const NAMES_MAX: usize = 20;
    if measured.is_empty() {
        return "the version is of no run and no logged model, so nothing was".to_owned();
    }
    let accounts = measured.iter().map(|Measured { of, values }| {
        let names: Vec<&str> = values.iter().take(NAMES_MAX).map(|value| value.name.as_str()).collect();
        let more = if values.len() > NAMES_MAX { ", …" } else { "" };
        let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        format!("{of} has {names}{more}")
    });
    accounts.collect::<Vec<_>>().join("; ")
}

fn storage_uri(values: &Values, facts: &Facts) -> Verdict {
    const FIELD: &str = "model.storageUri";
    let Place { uri, source } = match facts.registry.as_ref().and_then(|registry| registry.place.as_ref()) {
        None => return NotRun(VERSION),
        Some(Err(trouble)) => return troubled(FIELD, trouble),
        Some(Ok(place)) => place,
    };
    let ours = values.model.target.storage_uri.to_string();
    if same_place(&ours, uri) {
        return Passed(format!("{source} says so too"));
    }
    if uri.starts_with("mlflow-artifacts:") {
        return Verdict::failed(
            FIELD,
            format!(
                "{source} says {uri}, which only MLflow's own proxy can read; start its server with \
                 --default-artifact-root gs://…, or publish the version with `sluice push --registry`"
            ),
        );
    }
    Verdict::failed(FIELD, format!("this is {ours}, and {source} says {uri}; `sluice bump --registry` writes that"))
}

/// Whether two URIs name one directory, however they are spelt. MLflow writes a local place as a path.
fn same_place(ours: &str, theirs: &str) -> bool {
    let theirs = if theirs.starts_with('/') { format!("file://{theirs}") } else { theirs.to_owned() };
    let theirs = StorageUri::new(&theirs).map_or(theirs, |uri| uri.to_string());
    ours.trim_end_matches('/') == theirs.trim_end_matches('/')
}

fn bytes(facts: &Facts) -> Verdict {
    match &facts.artifact.bytes {
        Err(trouble) => troubled("model.storageUri", trouble),
        Ok(digest) => Passed(format!("they are there and whole: {digest}")),
    }
}

fn digest(values: &Values, facts: &Facts) -> Verdict {
    let Ok(digest) = &facts.artifact.bytes else { return NotRun(BYTES) };
    let digest = digest.to_string();
    let pinned = values.model.target.digest.map(|digest| digest.to_string());
    let tagged = version(facts).and_then(|version| version.tags.get(DIGEST_TAG)).cloned();
    let tag = format!("the registry's tag {DIGEST_TAG}");
    let said = [("model.digest", pinned), (tag.as_str(), tagged)];
    let said: Vec<(&str, String)> = said.into_iter().filter_map(|(who, said)| Some((who, said?))).collect();
    if said.is_empty() {
        return Skipped("neither the file nor the registry names one".to_owned());
    }
    let others = said.iter().filter(|(_, said)| *said != digest);
    let findings: Vec<Finding> = others
        .map(|(who, said)| {
            Finding::new("model.digest", format!("{who} is {said}, and what is in the bucket is {digest}"))
        })
        .collect();
    let who: Vec<&str> = said.iter().map(|(who, _)| *who).collect();
    if findings.is_empty() { Passed(format!("the same as {}", who.join(" and "))) } else { Failed(findings) }
}

/// Of stable too: a key that did not sign it would keep it from a pod that starts.
fn signature(values: &Values, facts: &Facts) -> Verdict {
    if values.model.signing.policy == SigningPolicy::Disabled {
        return Skipped("signing.policy is disabled".to_owned());
    }
    let Some(of_target) = &facts.artifact.signature else { return NotRun(BYTES) };
    let of_stable = values.stable.as_ref().zip(facts.artifact.stable_signature.as_ref());
    let of_stable = of_stable.map(|(stable, found)| ("stable", format!("stable {}: ", stable.version), found));
    let (mut findings, mut notes) = (Vec::new(), Vec::new());
    for (field, about, found) in std::iter::once(("model.signing", String::new(), of_target)).chain(of_stable) {
        match found {
            Ok(said) => notes.extend(said.iter().map(|note| format!("{about}{note}"))),
            Err(Trouble::Wrong(message)) => findings.push(Finding::new(field, format!("{about}{message}"))),
            Err(Trouble::Unreachable(message)) => {
                return Unreachable(Finding::new(field, format!("{about}{message}")));
            }
        }
    }
    match (findings.is_empty(), notes.is_empty()) {
        (false, _) => Failed(findings),
        (true, true) => Passed("every file is signed by the key".to_owned()),
        (true, false) => Passed(notes.join("; ")),
    }
}

fn model(facts: &Facts) -> Verdict {
    match &facts.artifact.model {
        None => NotRun(BYTES),
        Some(Err(trouble)) => troubled("model.storageUri", trouble),
        Some(Ok(())) => Passed("it loads on the CPU and takes its batches".to_owned()),
    }
}

fn golden(facts: &Facts) -> Verdict {
    let field = "model.storageUri";
    match &facts.artifact.answers {
        None => NotRun(MODEL),
        Some(Err(trouble)) => troubled(field, trouble),
        Some(Ok(Answers::Wrong(problems))) => {
            Failed(problems.iter().map(|problem| Finding::new(field, problem.clone())).collect())
        }
        Some(Ok(Answers::Right { requests })) => Passed(format!("{requests} answered right")),
        Some(Ok(Answers::Unknown)) => {
            Skipped("the artifact has no golden requests, so nobody knows whether its answers are right".to_owned())
        }
    }
}

fn compatible(values: &Values, facts: &Facts) -> Verdict {
    let stable = values.stable.as_ref().filter(|stable| stable.version != values.model.target.version);
    let Some(stable) = stable else { return Skipped("the file has no other stable".to_owned()) };
    let version = &stable.version;
    match &facts.artifact.compatible {
        None => NotRun(MODEL),
        Some(Err(trouble)) => troubled("stable", trouble),
        Some(Ok(problems)) if problems.is_empty() => {
            Passed(format!("it takes what stable {version} takes, and returns what it returns"))
        }
        Some(Ok(problems)) => Failed(problems.iter().map(|problem| Finding::new("stable", problem.clone())).collect()),
    }
}

fn staging(values: &Values, facts: &Facts) -> Verdict {
    let found = match &facts.staging {
        None if facts.merged => return Skipped("the version is merged already, and was in staging before".to_owned()),
        None => return Skipped("--staging was not given".to_owned()),
        Some(Err(trouble)) => return troubled("model.version", trouble),
        Some(Ok(found)) => found,
    };
    let wanted = values.model.target.version.as_str();
    let mut findings = Vec::new();
    match &found.stable {
        Ok(version) if version == wanted => {}
        Ok(version) => findings.push(format!(
            "staging serves {version} as stable, and not {wanted}; merge it there first, and wait until it is promoted"
        )),
        Err(said) => findings.push(format!("staging has no stable version of it: {said}")),
    }
    if !found.ready {
        findings.push("staging says that the model is not ready".to_owned());
    }
    if findings.is_empty() {
        return Passed(format!("{wanted} is stable there, and ready"));
    }
    Failed(findings.into_iter().map(|message| Finding::new("model.version", message)).collect())
}

/// The registered version, where there is one.
fn version(facts: &Facts) -> Option<&ModelVersion> {
    facts.registry.as_ref()?.version.as_ref().ok()
}

fn troubled(field: &str, trouble: &Trouble) -> Verdict {
    match trouble {
        Trouble::Wrong(message) => Verdict::failed(field, message.clone()),
        Trouble::Unreachable(message) => Unreachable(Finding::new(field, message.clone())),
    }
}
