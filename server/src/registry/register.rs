//! What was pushed, made known to the registry: once, however often it is pushed, and never as something else.
//!
//! A version that a run registered is tagged and not doubled: training registers first and knows metrics and lineage, and
//! a push is of its bytes, signed. Only what nobody registered becomes a version of its own.

use super::{DIGEST_TAG, LABEL_TAG, Mlflow, ModelVersion, RegistryError, STORAGE_URI_TAG};

/// What was pushed.
#[derive(Debug, Clone, Copy)]
pub struct Release<'a> {
    /// The registered model.
    pub name: &'a str,
    /// The release label.
    pub label: &'a str,
    /// The root digest.
    pub digest: &'a str,
    /// Where it is.
    pub storage_uri: &'a str,
    /// The run that trained it, where that is known.
    pub run: Option<&'a str>,
}

/// What the registry knows now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registered {
    /// The registry's number.
    pub version: u64,
    /// How it came to be.
    pub how: How,
}

/// How a release came into the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// As a new version.
    Created,
    /// As tags of a version that was there.
    Tagged,
    /// It was there already.
    Unchanged,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Plan<'a> {
    Create,
    Tag { version: u64, tags: Vec<(&'static str, &'a str)> },
}

/// Makes `release` known.
///
/// # Errors
/// What the registry says, or that it knows the label as something else.
pub async fn register(mlflow: &Mlflow, release: Release<'_>) -> Result<Registered, RegistryError> {
    mlflow.create_model(release.name).await?;
    let labelled = mlflow.labelled(release.name, release.label).await?;
    let of_run = match release.run {
        Some(run) if labelled.is_empty() => {
            let versions = mlflow.versions(release.name).await?;
            versions.into_iter().filter(|version| version.run_id.as_deref() == Some(run)).collect()
        }
        _ => Vec::new(),
    };
    let plan = plan(release, &labelled, &of_run);
    let plan = plan.map_err(|message| RegistryError::Taken { model: release.name.to_owned(), message })?;
    let (name, tags) = (release.name, release.tags());
    match plan {
        Plan::Create => {
            let created = mlflow.create_version(name, release.storage_uri, release.run, &tags).await?;
            Ok(Registered { version: created.version, how: How::Created })
        }
        Plan::Tag { version, tags } => {
            for (key, value) in &tags {
                mlflow.set_tag(name, version, key, value).await?;
            }
            Ok(Registered { version, how: if tags.is_empty() { How::Unchanged } else { How::Tagged } })
        }
    }
}

/// What to do about `release` where these versions carry its label, or none does and these are of its run. Pure.
fn plan<'a>(release: Release<'a>, labelled: &[ModelVersion], of_run: &[ModelVersion]) -> Result<Plan<'a>, String> {
    let list = |versions: &[ModelVersion]| {
        let named: Vec<String> = versions.iter().map(ModelVersion::named).collect();
        named.join(", ")
    };
    let unlabelled: Vec<&ModelVersion> = of_run.iter().filter(|version| version.label().is_none()).collect();
    let version = match (labelled, unlabelled.as_slice()) {
        ([], []) => return Ok(Plan::Create),
        ([], [one]) => one,
        ([one], _) => one,
        ([], _) => {
            return Err(format!(
                "several versions are of run {} and have no label: {}; tag the right one with {LABEL_TAG}={}",
                release.run.unwrap_or_default(),
                list(of_run),
                release.label
            ));
        }
        (several, _) => {
            return Err(format!("several versions are labelled {}: {}; leave it to one", release.label, list(several)));
        }
    };
    let (number, label) = (version.version, release.label);
    if let (Some(wanted), Some(is)) = (release.run, version.run_id.as_deref())
        && wanted != is
    {
        return Err(format!("version {number} is labelled {label} and of run {is}, not of {wanted}"));
    }
    // Checked before anything is written, so that a refusal leaves no half of it.
    if let Some(other) = version.tags.get(DIGEST_TAG).filter(|digest| **digest != release.digest) {
        let digest = release.digest;
        return Err(format!(
            "version {number} is labelled {label} with digest {other}, and this is {digest}; a version never changes: \
             push it under another"
        ));
    }
    if let Some(other) = version.tags.get(STORAGE_URI_TAG).filter(|uri| **uri != release.storage_uri) {
        return Err(format!(
            "version {number} is labelled {label} and was pushed to {other}; use that, or another label"
        ));
    }
    let missing = release.tags().into_iter().filter(|(key, _)| !version.tags.contains_key(*key)).collect();
    Ok(Plan::Tag { version: number, tags: missing })
}

impl<'a> Release<'a> {
    const fn tags(&self) -> [(&'static str, &'a str); 3] {
        [(LABEL_TAG, self.label), (DIGEST_TAG, self.digest), (STORAGE_URI_TAG, self.storage_uri)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    const RELEASE: Release<'_> =
        Release { name: "m", label: "v2", digest: "sha256:aa", storage_uri: "s3://b/m/v2", run: Some("r1") };

    fn version(version: u64, run: &str, tags: &[(&str, &str)]) -> ModelVersion {
        ModelVersion {
            version,
            status: Status::Ready,
            status_message: String::new(),
            run_id: Some(run.to_owned()).filter(|run| !run.is_empty()),
            source: "models:/m-1".to_owned(),
            tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        }
    }

    fn keys(plan: Result<Plan<'_>, String>) -> (u64, Vec<&'static str>) {
        match plan.unwrap() {
            Plan::Create => (0, Vec::new()),
            Plan::Tag { version, tags } => (version, tags.iter().map(|(key, _)| *key).collect()),
        }
    }

    #[test]
    fn a_release_is_known_once() {
        let all = [("version", "v2"), ("sluice.digest", "sha256:aa"), ("sluice.storageUri", "s3://b/m/v2")];
        let of_run = [version(7, "r1", &[]), version(6, "r1", &[("version", "v1")])];
        for (labelled, of_run, expected) in [
            (&[][..], &[][..], (0, vec![])),
            (&[version(8, "r1", &all)], &[], (8, vec![])),
            (&[version(8, "r1", &all[..1])], &[], (8, vec!["sluice.digest", "sluice.storageUri"])),
            // A version without a run takes any.
            (&[version(8, "", &all[..2])], &[], (8, vec!["sluice.storageUri"])),
            // Training registered it, and left the label to whoever publishes.
            (&[], &of_run, (7, vec!["version", "sluice.digest", "sluice.storageUri"])),
            (&[], &of_run[1..], (0, vec![])),
        ] {
            assert_eq!(keys(plan(RELEASE, labelled, of_run)), expected, "{labelled:?} {of_run:?}");
        }
    }

    #[test]
    fn a_label_is_never_given_to_something_else() {
        let told = |labelled: &[ModelVersion], of_run: &[ModelVersion]| plan(RELEASE, labelled, of_run).unwrap_err();
        let other = told(&[version(8, "r1", &[("version", "v2"), ("sluice.digest", "sha256:bb")])], &[]);
        assert!(other.contains("with digest sha256:bb, and this is sha256:aa"), "{other}");
        let moved = told(&[version(8, "r1", &[("version", "v2"), ("sluice.storageUri", "s3://b/x")])], &[]);
        assert!(moved.contains("was pushed to s3://b/x"), "{moved}");
        let run = told(&[version(8, "r9", &[("version", "v2")])], &[]);
        assert!(run.contains("of run r9, not of r1"), "{run}");
        let label = [("version", "v2")];
        let several = told(&[version(8, "r1", &label), version(9, "r1", &label)], &[]);
        assert!(several.contains("8 (version=v2), 9 (version=v2)"), "{several}");
        let unlabelled = told(&[], &[version(8, "r1", &[]), version(9, "r1", &[])]);
        assert!(unlabelled.contains("8 (no tag version), 9 (no tag version)"), "{unlabelled}");
    }
}
