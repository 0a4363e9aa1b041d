//! `model` and `stable` as written.

use schemars::JsonSchema;

use crate::values::defaults;

/// Identity, source and trust of the version that should be served.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Model {
    /// The name under which callers reach the model: 1 to 63 lower-case letters, digits, `-`, `_` or `.`.
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$"))]
    name: String,
    /// The release label, such as `v2.3.1` (not the registry's number). Quote it where it looks like a number.
    #[schemars(regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9._+-]{0,126}[A-Za-z0-9])?$"))]
    version: String,
    /// The artifact directory: `file`, `gs`, `s3`, `az`, `http` or `https`. `{version}` is filled in with the version.
    #[schemars(length(min = 1, max = 2048))]
    storage_uri: String,
    /// The OMS root digest of the artifact, where it is pinned: `sha256:` and 64 hex digits.
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    digest: Option<String>,
    /// Where the version is registered; `sluice check` looks it up.
    registry: Option<Registry>,
    /// The artifact's format, which must agree with what the artifact holds: `onnx`, or a map with `name`. Others are not built yet. Found in the artifact when absent.
    format: Option<Format>,
    /// Whether and how the artifact's OMS signature is checked, for every version of the model.
    signing: Option<Signing>,
    /// Replicas of the deployment, or the least number of them under autoscaling. The chart reads it, the server does not; a change of it never starts a trial.
    #[schemars(range(min = 0, max = 10_000))]
    replicas: Option<u32>,
}

/// A version known to be good.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Stable {
    /// Its release label.
    #[schemars(regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9._+-]{0,126}[A-Za-z0-9])?$"))]
    version: String,
    /// Its OMS root digest, where it is pinned.
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    digest: Option<String>,
    /// Its artifact directory. May be absent where `model.storageUri` holds `{version}`.
    #[schemars(length(min = 1, max = 2048))]
    storage_uri: Option<String>,
}

/// The registry's identity of the version.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Registry {
    /// The kind of registry.
    #[schemars(default, rename = "type")]
    kind: RegistryType,
    /// Name of the registered model.
    #[schemars(length(min = 1, max = 256))]
    name: String,
    /// The registry's version number, an integer (not the release label).
    version: WholeText,
    /// The run that produced it.
    #[schemars(regex(pattern = r"^[A-Za-z0-9-]{1,64}$"))]
    run_id: Option<String>,
}

#[derive(JsonSchema, Default, serde::Serialize)]
#[schemars(inline, rename_all = "camelCase")]
#[serde(rename_all = "camelCase")]
enum RegistryType {
    #[default]
    Mlflow,
}

#[derive(JsonSchema)]
#[schemars(inline, untagged)]
enum WholeText {
    Number(#[schemars(range(min = 1))] u64),
    Text(#[schemars(regex(pattern = r"^[0-9]+$"))] String),
}

#[derive(JsonSchema)]
#[schemars(inline, untagged)]
enum Format {
    Name(FormatName),
    Named(NamedFormat),
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "lowercase")]
enum FormatName {
    Onnx,
}

/// The artifact's format as KServe writes it.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields, rename = "Format")]
struct NamedFormat {
    /// The format.
    name: FormatName,
    /// For people: the artifact says which version of the format it is.
    version: Option<TextOrNumber>,
}

#[derive(JsonSchema)]
#[schemars(inline, untagged)]
enum TextOrNumber {
    Text(String),
    Number(f64),
}

/// How the artifact's OMS signature is checked.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Signing {
    /// `enforce` refuses an artifact whose signature is missing or wrong, `warn` serves it and says so, `disabled` does not look.
    #[schemars(default)]
    policy: SigningPolicy,
    /// How the artifact was signed. Certificates and sigstore are not built yet.
    #[schemars(default)]
    method: SigningMethod,
    /// The signature file inside the artifact.
    #[schemars(default = "signature_path", length(min = 1, max = 256))]
    signature_path: String,
    /// Where the public key is; policy `enforce` needs it.
    public_key_ref: Option<PublicKeyRef>,
    /// Take an artifact though it holds files that the signature does not list. Under `enforce` such files are not loaded.
    #[schemars(default)]
    ignore_unsigned_files: bool,
}

/// A public key.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct PublicKeyRef {
    /// PEM file with the public key.
    #[schemars(length(min = 1, max = 256))]
    path: String,
}

#[derive(JsonSchema, Default, serde::Serialize)]
#[schemars(inline, rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
enum SigningPolicy {
    Enforce,
    #[default]
    Warn,
    Disabled,
}

#[derive(JsonSchema, Default, serde::Serialize)]
#[schemars(inline, rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
enum SigningMethod {
    #[default]
    Key,
}

fn signature_path() -> String {
    defaults::SIGNATURE_PATH.to_owned()
}
