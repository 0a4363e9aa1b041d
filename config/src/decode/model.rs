//! `model` and `stable`: which version, where its bytes are, and whom to believe.

use std::path::PathBuf;

use super::{Cursor, Map, Report};
use crate::problem::quoted;
use crate::values::{
    Digest, ModelName, ModelSpec, Refused, Registry, Signing, SigningPolicy, StorageUri, Version, VersionSpec, defaults,
};

const FORMATS: [(&str, &str); 1] = [("onnx", "onnx")];
/// Formats that an artifact may have and that nothing loads yet.
const FORMATS_LATER: [&str; 3] = ["safetensors", "xgboost", "lightgbm"];
const REPLICAS_MAX: u64 = 10_000;
const URI_BYTES_MAX: usize = 2048;

/// What `stable` may take from `model`: the URI as written, with its `{version}`.
#[derive(Debug)]
pub(super) struct UriTemplate(String);

/// `model`, and its URI template where it has one. The template survives a `model` that is otherwise wrong.
pub(super) fn model(here: &Cursor<'_>, report: &mut Report) -> (Option<ModelSpec>, Option<UriTemplate>) {
    let Some(mut map) = here.map(report, "Model") else { return (None, None) };
    let name = map.required("name", "write the name under which callers reach the model", report);
    let name = name.and_then(|cursor| cursor.parsed(report, ModelName::new));
    let version = version(&mut map, report);
    let uri = map.required("storageUri", "write where the artifact is, such as gs://bucket/dir/{version}", report);
    let template = uri.as_ref().and_then(|cursor| cursor.node.text()).and_then(template_of);
    let storage_uri = uri.and_then(|cursor| storage_uri(&cursor, version.as_ref(), report));
    let digest = optional(map.get("digest"), report, |cursor, report| cursor.parsed(report, Digest::parse));
    let registry = optional(map.get("registry"), report, registry);
    let format = optional(map.get("format"), report, format);
    let signing = match map.get("signing") {
        Some(cursor) => signing(&cursor, report),
        None => Some(unsigned()),
    };
    let replicas = optional(map.get("replicas"), report, |cursor, report| {
        cursor.whole(report, 0..=REPLICAS_MAX).and_then(|count| u32::try_from(count).ok())
    });
    map.finish(report);
    let spec = (|| {
        let target = VersionSpec { version: version?, digest: digest?, storage_uri: storage_uri? };
        let (registry, format, signing, replicas) = (registry?, format?, signing?, replicas?);
        Some(ModelSpec { name: name?, target, registry, format, signing, replicas })
    })();
    (spec, template)
}

/// `stable`; takes its URI from `model.storageUri` where that holds `{version}`.
pub(super) fn stable(here: &Cursor<'_>, template: Option<&UriTemplate>, report: &mut Report) -> Option<VersionSpec> {
    let mut map = here.map(report, "Stable")?;
    let version = version(&mut map, report);
    let digest = optional(map.get("digest"), report, |cursor, report| cursor.parsed(report, Digest::parse));
    let storage_uri = match (map.get("storageUri"), template) {
        (Some(cursor), _) => storage_uri(&cursor, version.as_ref(), report),
        (None, Some(UriTemplate(template))) => version.as_ref().and_then(|version| filled(template, version).ok()),
        (None, None) => {
            let hint = "write where stable is; only a model.storageUri with {version} serves both";
            map.required("storageUri", hint, report);
            None
        }
    };
    map.finish(report);
    Some(VersionSpec { version: version?, digest: digest?, storage_uri: storage_uri? })
}

/// `Some(None)` where the field is absent, `None` where it is wrong.
pub(super) fn optional<'a, T>(
    field: Option<Cursor<'a>>,
    report: &mut Report,
    decode: impl FnOnce(&Cursor<'a>, &mut Report) -> Option<T>,
) -> Option<Option<T>> {
    match field {
        None => Some(None),
        Some(cursor) => decode(&cursor, report).map(Some),
    }
}

fn version(map: &mut Map<'_>, report: &mut Report) -> Option<Version> {
    let cursor = map.required("version", "write the release label, such as \"v2.3.1\"", report)?;
    cursor.parsed(report, Version::new)
}

fn template_of(text: &str) -> Option<UriTemplate> {
    text.contains("{version}").then(|| UriTemplate(text.to_owned()))
}

fn storage_uri(cursor: &Cursor<'_>, version: Option<&Version>, report: &mut Report) -> Option<StorageUri> {
    // Without a version the shape is still checked, with a stand-in.
    let stand_in = Version::new("v0").ok();
    let known = version.or(stand_in.as_ref())?;
    let text = cursor.text(report)?;
    match filled(text, known) {
        Ok(uri) => version.map(|_| uri),
        Err(Refused(why)) => {
            cursor.wrong(report, format!("{} is refused: {why}", quoted(&without_secrets(text))));
            None
        }
    }
}

/// A URI for a message: a refused one may hold a password or a signed query, and messages are logged.
fn without_secrets(text: &str) -> String {
    let (shown, query) = match text.find(['?', '#']) {
        Some(at) => (&text[..at], "?…"),
        None => (text, ""),
    };
    match (shown.find("://"), shown.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}://…{}{query}", &shown[..scheme], &shown[at..]),
        _ => format!("{shown}{query}"),
    }
}

fn filled(template: &str, version: &Version) -> Result<StorageUri, Refused> {
    if template.len() > URI_BYTES_MAX {
        return Err(Refused(format!("a URI has at most {URI_BYTES_MAX} characters")));
    }
    let text = template.replace("{version}", version.as_str());
    if let Some(open) = text.find(['{', '}']) {
        let brace = text[open..].split_inclusive('}').next().unwrap_or_default();
        return Err(Refused(format!("{} is not filled in; only {{version}} is", quoted(brace))));
    }
    if text.contains(char::is_whitespace) {
        return Err(Refused("a URI has no blanks; write %20".to_owned()));
    }
    StorageUri::new(&text)
}

fn registry(here: &Cursor<'_>, report: &mut Report) -> Option<Registry> {
    let mut map = here.map(report, "Registry")?;
    let kind = optional(map.get("type"), report, |cursor, report| cursor.choice(report, &[("mlflow", ())]));
    let name = map.required("name", "write the registered model's name", report);
    let name = name.and_then(|cursor| cursor.parsed(report, short));
    let version = map.required("version", "write the registry's version number, such as 17", report);
    let version = version.and_then(|cursor| cursor.quotable_whole(report, 1..=u64::MAX));
    let run_id = optional(map.get("runId"), report, |cursor, report| cursor.parsed(report, run_id));
    map.finish(report);
    kind?;
    Some(Registry { name: name?, version: version?, run_id: run_id? })
}

fn short(text: &str) -> Result<String, Refused> {
    let fits = !text.trim().is_empty() && text.len() <= 256 && !text.chars().any(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err(Refused("use 1 to 256 printable characters".to_owned())) }
}

fn run_id(text: &str) -> Result<String, Refused> {
    let fits = !text.is_empty() && text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if fits { Ok(text.to_owned()) } else { Err(Refused("use 1 to 64 letters, digits or '-'".to_owned())) }
}

/// `onnx`, or `{name: onnx, version: "1"}` as KServe writes it. The version is for people; the artifact says its own.
fn format(here: &Cursor<'_>, report: &mut Report) -> Option<String> {
    if here.node.text().is_some() {
        return format_name(here, report).map(str::to_owned);
    }
    let mut map = here.map(report, "Format")?;
    let name = map.required("name", "write onnx", report);
    let name = name.and_then(|cursor| format_name(&cursor, report));
    let version = map.get("version").is_none_or(|cursor| {
        cursor.node.text().is_some() || {
            cursor.wrong(report, format!("{} is not a version; write it quoted", cursor.node.found()));
            false
        }
    });
    map.finish(report);
    name.filter(|_| version).map(str::to_owned)
}

fn format_name(cursor: &Cursor<'_>, report: &mut Report) -> Option<&'static str> {
    if let Some(later) = cursor.node.text().filter(|text| FORMATS_LATER.contains(text)) {
        cursor.wrong(report, format!("format {later} is not built yet; export the model to ONNX and write onnx"));
        return None;
    }
    cursor.choice(report, &FORMATS)
}

/// What the absence of `model.signing` means.
fn unsigned() -> Signing {
    Signing {
        policy: SigningPolicy::Warn,
        signature_path: defaults::SIGNATURE_PATH.to_owned(),
        public_key_path: None,
        ignore_unsigned_files: false,
    }
}

fn signing(here: &Cursor<'_>, report: &mut Report) -> Option<Signing> {
    const POLICIES: [(&str, SigningPolicy); 3] =
        [("enforce", SigningPolicy::Enforce), ("warn", SigningPolicy::Warn), ("disabled", SigningPolicy::Disabled)];
    let mut map = here.map(report, "Signing")?;
    let policy = optional(map.get("policy"), report, |cursor, report| cursor.choice(report, &POLICIES));
    let policy = policy.map(|policy| policy.unwrap_or(SigningPolicy::Warn));
    let method = optional(map.get("method"), report, method);
    let signature = optional(map.get("signaturePath"), report, |cursor, report| cursor.parsed(report, inside));
    let key = optional(map.get("publicKeyRef"), report, public_key);
    let ignore = optional(map.get("ignoreUnsignedFiles"), report, |cursor, report| cursor.flag(report));
    if policy == Some(SigningPolicy::Enforce) && key == Some(None) {
        let path = format!("{}.publicKeyRef.path", here.path);
        report.wrong(here.node.start, &path, "this is missing; policy enforce needs the PEM file of the public key");
    }
    map.finish(report);
    method?;
    let signature_path = signature?.unwrap_or_else(|| defaults::SIGNATURE_PATH.to_owned());
    let ignore_unsigned_files = ignore?.unwrap_or(false);
    Some(Signing { policy: policy?, signature_path, public_key_path: key?, ignore_unsigned_files })
}

fn method(cursor: &Cursor<'_>, report: &mut Report) -> Option<()> {
    if let Some(later @ ("certificate" | "sigstore")) = cursor.node.text() {
        cursor.wrong(report, format!("method {later} is not built yet; write key"));
        return None;
    }
    cursor.choice(report, &[("key", ())])
}

fn public_key(here: &Cursor<'_>, report: &mut Report) -> Option<PathBuf> {
    let mut map = here.map(report, "PublicKeyRef")?;
    let path = map.required("path", "write the PEM file of the public key", report);
    let path = path.and_then(|cursor| cursor.parsed(report, short));
    map.finish(report);
    path.map(PathBuf::from)
}

/// A path inside the artifact directory, and nowhere else.
fn inside(text: &str) -> Result<String, Refused> {
    let refused = || Refused("write a path inside the artifact, such as model.sig".to_owned());
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let fits = text.len() <= 256 && text.split('/').all(plain) && !text.contains('\\');
    if fits { short(text).map_err(|_| refused()) } else { Err(refused()) }
}
