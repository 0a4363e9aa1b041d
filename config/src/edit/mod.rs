//! Changing a values file in place, for `sluice bump`: the version lines change, every other byte stays. Pure: text
//! in, text out. What comes out is read again and must mean exactly what was asked for, so no layout of YAML can make
//! an edit say something else.

mod splice;
#[cfg(test)]
mod tests;

use crate::document::{self, Kind, Node};
use crate::parse::parse;
use crate::problem::Problems;
use crate::values::{Digest, StorageUri, Values, Version, VersionSpec};
use splice::Splices;

/// The version that should be served from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BumpTarget {
    /// Its release label.
    pub version: Version,
    /// Its digest. Without one the version keeps the digest that the file has for it, under `model` or `stable`; a digest
    /// of another version is removed, since it names other bytes.
    pub digest: Option<Digest>,
    /// Where it is; needed where `model.storageUri` holds no `{version}`.
    pub storage_uri: Option<StorageUri>,
    /// The registry's version number and run, where they are known. Written only where the file has `model.registry`.
    pub registry: Option<(u64, Option<String>)>,
}

/// Why a file could not be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BumpError {
    /// The file is not valid before the change.
    #[error("{0}")]
    Invalid(Problems),
    /// The new version's place is unknown.
    #[error(
        "model.storageUri holds no {{version}}; give the URI of {version}, or write {{version}} into model.storageUri"
    )]
    NoUri {
        /// The version that was asked for.
        version: Version,
    },
    /// The file is laid out in a way that cannot be edited safely.
    #[error("the file cannot be changed safely; write it by hand: {reason}")]
    Layout {
        /// What the edited text would have been wrong about.
        reason: String,
    },
}

/// Sets `model` to `target`, and `stable` where it is given; otherwise `stable` stays as it is. Keeps comments, quotes,
/// order, indentation and line ends.
///
/// # Errors
/// See [`BumpError`]; the text is then unchanged.
pub fn bump(text: &str, target: &BumpTarget, stable: Option<&VersionSpec>) -> Result<String, BumpError> {
    let before = parse("values", text).map_err(BumpError::Invalid)?.values;
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let layout = |reason: &str| BumpError::Layout { reason: reason.to_owned() };
    let (Some(root), _) = document::read(body) else { return Err(layout("it cannot be read again")) };
    let target = &BumpTarget { digest: pin(&before, target), ..target.clone() };
    let mut splices = Splices::new(body);
    let template = set_model(&root, target, &mut splices)?;
    if let Some(stable) = stable {
        set_stable(&root, stable, template.as_deref(), &mut splices);
    }
    let edited = text[..text.len() - body.len()].to_owned() + &splices.apply();
    let expected = expected(before, target, stable, &edited)?;
    match parse("values", &edited) {
        Ok(parsed) if parsed.values == expected => Ok(edited),
        Ok(_) => Err(layout("the edited text would mean something else")),
        Err(problems) => Err(BumpError::Layout { reason: problems.to_string() }),
    }
}

/// What the new version is pinned to: one label names one set of bytes, so what the file says of it stays true.
fn pin(before: &Values, target: &BumpTarget) -> Option<Digest> {
    let known = std::iter::once(&before.model.target).chain(&before.stable);
    let pinned = known.filter(|spec| spec.version == target.version).find_map(|spec| spec.digest);
    target.digest.or(pinned)
}

/// Edits `model`; returns the URI as it will be written.
fn set_model(root: &Node, target: &BumpTarget, splices: &mut Splices<'_>) -> Result<Option<String>, BumpError> {
    let Some(model) = root.entry("model").map(|entry| &entry.value) else { return Ok(None) };
    splices.set(model, "version", target.version.as_str(), "version");
    let digest = target.digest.map(|digest| digest.to_string());
    splices.set_or_remove(model, "digest", digest.as_deref(), "storageUri");
    if let (Some((version, run)), Some(registry)) = (&target.registry, model.entry("registry")) {
        splices.set(&registry.value, "version", &version.to_string(), "name");
        splices.set_or_remove(&registry.value, "runId", run.as_deref(), "version");
    }
    let uri = model.entry("storageUri").and_then(|entry| entry.value.text()).unwrap_or_default();
    let fills = |given: &StorageUri| {
        StorageUri::new(&uri.replace("{version}", target.version.as_str())).ok().as_ref() == Some(given)
    };
    match &target.storage_uri {
        None if uri.contains("{version}") => Ok(Some(uri.to_owned())),
        None => Err(BumpError::NoUri { version: target.version.clone() }),
        Some(given) if fills(given) => Ok(Some(uri.to_owned())),
        Some(given) => {
            splices.set(model, "storageUri", &given.to_string(), "version");
            Ok(None)
        }
    }
}

/// Edits or adds `stable`. Its URI is written only where the model's does not lead to it.
fn set_stable(root: &Node, stable: &VersionSpec, template: Option<&str>, splices: &mut Splices<'_>) {
    let filled = template.filter(|template| template.contains("{version}"));
    let filled =
        filled.and_then(|template| StorageUri::new(&template.replace("{version}", stable.version.as_str())).ok());
    let uri = (filled.as_ref() != Some(&stable.storage_uri)).then(|| stable.storage_uri.to_string());
    let digest = stable.digest.map(|digest| digest.to_string());
    match root.entry("stable").map(|entry| &entry.value) {
        Some(node) if matches!(node.kind, Kind::Map(_)) => {
            splices.set(node, "version", stable.version.as_str(), "version");
            splices.set_or_remove(node, "digest", digest.as_deref(), "version");
            splices.set_or_remove(node, "storageUri", uri.as_deref(), "version");
        }
        _ => {
            let mut fields = vec![("version", stable.version.as_str())];
            fields.extend(digest.as_deref().map(|digest| ("digest", digest)));
            fields.extend(uri.as_deref().map(|uri| ("storageUri", uri)));
            splices.add_map(root, "stable", &fields, "model");
        }
    }
}

/// What the edited text must mean: what the text meant, but for what was asked.
fn expected(
    before: Values,
    target: &BumpTarget,
    stable: Option<&VersionSpec>,
    edited: &str,
) -> Result<Values, BumpError> {
    let mut after = before;
    after.model.target.version = target.version.clone();
    after.model.target.digest = target.digest;
    after.model.target.storage_uri = match &target.storage_uri {
        Some(given) => given.clone(),
        // The template is unchanged, so the URI is what it says now.
        None => match parse("values", edited) {
            Ok(parsed) => parsed.values.model.target.storage_uri,
            Err(problems) => return Err(BumpError::Layout { reason: problems.to_string() }),
        },
    };
    if let (Some((version, run)), Some(registry)) = (&target.registry, &mut after.model.registry) {
        registry.version = *version;
        registry.run_id.clone_from(run);
    }
    if let Some(stable) = stable {
        after.stable = Some(stable.clone());
    }
    Ok(after)
}
