//! Artifacts that must not serve: each is a good one with one thing done to it.

use std::fs;
use std::path::{Path, PathBuf};

use tests::sandbox::Sandbox;
use tests::zoo;

use super::{GOOD, MODEL};

/// A key that signed none of the committed artifacts.
const OTHER_KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEXtzGEHJXsKONVuNIvXHh8aChXgwT
ALMB7kx+ERf/AeBpfDOTfHEpt5qoay19Ed4ulNw4OoReCySdJBpTtJqjQQ==
-----END PUBLIC KEY-----
";

/// The version of every candidate.
const BAD: &str = "v2.0.0";

/// One bad candidate.
pub(super) struct Artifact {
    pub(super) name: &'static str,
    /// The model it is a candidate of.
    pub(super) model: String,
    /// The values that ask for it.
    pub(super) values: String,
}

/// What is done to the artifact of a good version.
type Damage = fn(&Path);

/// Damage that a signature would find first, so these are served unsigned.
const UNSIGNED: &[(&str, Damage)] = &[
    ("no model", |dir| {
        remove(dir, "MLmodel");
        remove(dir, "model.onnx");
    }),
    ("nothing at all", |dir| fs::remove_dir_all(dir).unwrap()),
    ("a pickle", |dir| write(dir, "model.pkl", b"\x80\x04.")),
    ("two models", |dir| {
        remove(dir, "MLmodel");
        write(dir, "a.onnx", &read(dir, "model.onnx"));
        fs::rename(dir.join("model.onnx"), dir.join("b.onnx")).unwrap();
    }),
    ("a format that is not run", |dir| {
        remove(dir, "MLmodel");
        fs::rename(dir.join("model.onnx"), dir.join("model.ubj")).unwrap();
    }),
    ("a file that MLmodel names is missing", |dir| remove(dir, "model.onnx")),
    ("truncated onnx", |dir| write(dir, "model.onnx", &read(dir, "model.onnx")[..5000])),
    ("not onnx", |dir| write(dir, "model.onnx", b"<html>404</html>")),
    ("empty onnx", |dir| write(dir, "model.onnx", b"")),
    ("unknown op", |dir| replace(dir, "model.onnx", b"\x07Sigmoid", b"\x07Sigmund")),
    ("op that is not run", |dir| replace(dir, "model.onnx", b"\x04Relu", b"\x04Loop")),
    ("signature in MLmodel with other columns", |dir| replace(dir, "MLmodel", b"[-1, 9]", b"[-1, 8]")),
    ("signature in MLmodel of another datatype", |dir| replace(dir, "MLmodel", b"float32", b"float64")),
    ("signature in MLmodel that is not JSON", |dir| replace(dir, "MLmodel", b"'[{", b"'[")),
    ("MLmodel that is not YAML", |dir| write(dir, "MLmodel", b"flavors: [")),
    ("golden answer is wrong", |dir| replace(dir, "golden/legitimate.json", b"0.680629", b"0.780629")),
    ("golden answer is NaN", |dir| replace(dir, "golden/legitimate.json", b"0.6806294918060303", b"NaN")),
    ("golden request without an input", |dir| replace(dir, "golden/phishing.json", b"\"features\"", b"\"feature\"")),
    ("golden request of another shape", |dir| replace(dir, "golden/phishing.json", b"     9\n", b"     8\n")),
    ("golden file is cut off", |dir| write(dir, "golden/batch.json", &read(dir, "golden/batch.json")[..100])),
    ("name that leaves the folder", |dir| write(dir, "golden/..\\..\\etc", b"x")),
    ("names that differ in case", |dir| write(dir, "mlmodel", b"x")),
];

/// Damage that is found under `enforce`.
const SIGNED: &[(&str, Damage)] = &[
    ("flipped byte", |dir| {
        replace(dir, "model.onnx", b"dense1.bias", b"dense1.bjas");
        remove(dir, "manifest.json");
    }),
    ("manifest of other bytes", |dir| replace(dir, "model.onnx", b"dense1.bias", b"dense1.bjas")),
    ("manifest that names a file outside", |dir| replace(dir, "manifest.json", b"\"MLmodel\"", b"\"../MLmodel\"")),
    ("manifest of the future", |dir| replace(dir, "manifest.json", b"v1alpha1", b"v9")),
    ("no signature", |dir| {
        remove(dir, "model.sig");
        remove(dir, "manifest.json");
    }),
    ("signature is not a bundle", |dir| {
        write(dir, "model.sig", b"{}");
        remove(dir, "manifest.json");
    }),
    ("a file that nobody signed", |dir| {
        write(dir, "extra.txt", b"x");
        remove(dir, "manifest.json");
    }),
];

/// What is wrong with the values alone: `from` in them is replaced by `to`.
const ASKED_WRONG: &[(&str, &str, &str)] = &[
    ("signed with another key", "[key]", "[root]/other.pub"),
    ("no key at its path", "[key]", "[root]/none.pub"),
    ("a key that is none", "[key]", "[root]/none.txt"),
    (
        "another digest is pinned",
        "  signing:",
        "  digest: sha256:0000000000000000000000000000000000000000000000000000000000000000\n  signing:",
    ),
];

/// Puts every bad candidate into the bucket.
pub(super) fn bad(sandbox: &Sandbox) -> Vec<Artifact> {
    write(sandbox.root(), "other.pub", OTHER_KEY.as_bytes());
    write(sandbox.root(), "none.txt", b"not a key\n");
    let unsigned = UNSIGNED.iter().map(|(name, damage)| {
        let model = copied(sandbox, name);
        let dir = folder(sandbox, &model);
        remove(&dir, "manifest.json");
        damage(&dir);
        Artifact { name, values: values(sandbox, &model, &model, BAD, "disabled"), model }
    });
    let signed = SIGNED.iter().map(|(name, damage)| {
        let model = copied(sandbox, name);
        damage(&folder(sandbox, &model));
        Artifact { name, values: values(sandbox, &model, &model, BAD, "enforce"), model }
    });
    let asked_wrong = ASKED_WRONG.iter().map(|(name, from, to)| {
        let model = copied(sandbox, name);
        let resolved =
            |text: &str| text.replace("[key]", &key()).replace("[root]", &sandbox.root().display().to_string());
        let values = values(sandbox, &model, &model, BAD, "enforce").replace(&resolved(from), &resolved(to));
        Artifact { name, values, model }
    });
    unsigned.chain(signed).chain(asked_wrong).chain([incompatible(sandbox), changed(sandbox)]).collect()
}

/// A good artifact, but callers of stable could not call it.
fn incompatible(sandbox: &Sandbox) -> Artifact {
    let name = "not compatible with stable";
    let model = slug(name);
    sandbox.publish_as(&zoo::artifact("identity-int64", "v1"), &model, BAD).unwrap();
    Artifact { name, values: values(sandbox, &model, &model, BAD, "enforce"), model }
}

/// The good version's own label, at a place with other bytes.
fn changed(sandbox: &Sandbox) -> Artifact {
    let name = "other bytes under the same version";
    let model = slug(name);
    sandbox.publish_as(&zoo::artifact(MODEL, "v1.1.0"), &model, GOOD).unwrap();
    Artifact { name, values: values(sandbox, &model, &model, GOOD, "enforce"), model }
}

/// The values of `model` at the good version.
pub(super) fn good(sandbox: &Sandbox, model: &str) -> String {
    values(sandbox, model, MODEL, GOOD, "enforce")
}

/// The values of `model` at `version` in `folder` of the bucket.
fn values(sandbox: &Sandbox, model: &str, folder: &str, version: &str, policy: &str) -> String {
    format!(
        "schemaVersion: v1alpha1\nmodel:\n  name: {model}\n  version: \"{version}\"\n  \
         storageUri: file://{}/{folder}/{{version}}\n  \
         signing: {{policy: {policy}, publicKeyRef: {{path: {}}}}}\n",
        sandbox.bucket().display(),
        key()
    )
}

fn key() -> String {
    zoo::public_key().canonicalize().unwrap().display().to_string()
}

/// The artifact that a case damages, as the candidate of the case's own model, which is returned.
fn copied(sandbox: &Sandbox, name: &str) -> String {
    let model = slug(name);
    sandbox.publish_as(&zoo::artifact(MODEL, "v1.1.0"), &model, BAD).unwrap();
    model
}

fn folder(sandbox: &Sandbox, model: &str) -> PathBuf {
    sandbox.bucket().join(model).join(BAD)
}

fn slug(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

fn read(dir: &Path, name: &str) -> Vec<u8> {
    fs::read(dir.join(name)).unwrap()
}

fn write(dir: &Path, name: &str, bytes: &[u8]) {
    fs::write(dir.join(name), bytes).unwrap();
}

fn remove(dir: &Path, name: &str) {
    fs::remove_file(dir.join(name)).unwrap();
}

/// Replaces the first `from`.
fn replace(dir: &Path, name: &str, from: &[u8], to: &[u8]) {
    let bytes = read(dir, name);
    let at = bytes.windows(from.len()).position(|window| window == from);
    let at = at.unwrap_or_else(|| panic!("{name} does not hold {:?}", String::from_utf8_lossy(from)));
    write(dir, name, &[&bytes[..at], to, &bytes[at + from.len()..]].concat());
}
