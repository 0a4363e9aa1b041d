//! What is inside the binary: four signed versions of a real model, the key that signed them, and real requests.
//! `models/zoo` says where they come from.

macro_rules! zoo {
    ($($path:literal),+) => {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../models/zoo/", $($path),+)
    };
}

macro_rules! file {
    ($version:literal, $name:literal) => {
        ($name, include_bytes!(zoo!("artifacts/fraud-detection/", $version, "/", $name)).as_slice())
    };
}

macro_rules! files {
    ($version:literal) => {
        [
            file!($version, "MLmodel"),
            file!($version, "golden/batch.json"),
            file!($version, "golden/legitimate.json"),
            file!($version, "golden/phishing.json"),
            file!($version, "model.onnx"),
            file!($version, "model.sig"),
            file!($version, "manifest.json"),
        ]
    };
}

/// The model's name, in the bucket and in the values file.
pub(in crate::cli) const MODEL: &str = "fraud-detection";
/// The version that is served at first.
pub(in crate::cli) const FIRST: &str = "v1.0.0";
/// A better one.
pub(in crate::cli) const BETTER: &str = "v1.1.0";
/// Passes every gate, and answers part of the live traffic with NaN.
pub(in crate::cli) const BAD: &str = "v1.2.0";
/// Changed after it was signed.
pub(in crate::cli) const TAMPERED: &str = "v1.3.0";

/// The public key of the demo. It protects nothing: its private half is published.
pub(in crate::cli) const PUBLIC_KEY: &[u8] = include_bytes!(zoo!("keys/zoo.pub"));
/// `[[9 numbers], …]`: real rows, in JSON.
pub(in crate::cli) const ROWS: &str = include_str!(zoo!("traffic/fraud-detection.json"));

/// A file of an artifact: its name inside, and its bytes.
type File = (&'static str, &'static [u8]);

/// The versions and their files. The manifest is last, as `push` writes it.
pub(in crate::cli) const VERSIONS: [(&str, [File; 7]); 4] =
    [(FIRST, files!("v1.0.0")), (BETTER, files!("v1.1.0")), (BAD, files!("v1.2.0")), (TAMPERED, files!("v1.3.0"))];
