//! Manifest and signature, on pull and on what is cached.

use super::super::oms::PrivateKey;
use super::faulty::{Fault, Request};
use super::*;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::prelude::{BASE64_STANDARD, Engine as _};

/// Writes a fresh key pair as `<name>.key` and `<name>.pub`.
pub(super) fn make_key(dir: &std::path::Path, name: &str) -> (PathBuf, PathBuf) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
    let pem = |label: &str, der: &[u8]| {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64_STANDARD.encode(der))
    };
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    let (key, public_key) = (dir.join(format!("{name}.key")), dir.join(format!("{name}.pub")));
    std::fs::write(&key, pem("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref())).unwrap();
    std::fs::write(&public_key, pem("PUBLIC KEY", public.as_ref())).unwrap();
    (key, public_key)
}

impl Rig {
    /// Signs what lies at `m/v1` and puts the signature beside it; returns the public key.
    async fn sign(&self, name: &str) -> PathBuf {
        let (key, public_key) = make_key(self.dir.path(), name);
        let key = PrivateKey::from_pem(&std::fs::read(key).unwrap()).unwrap();
        let files = [file("MLmodel", MLMODEL), file("data/model.onnx", WEIGHTS)];
        let signature = super::super::oms::sign(&key, "m", &files, SIGNATURE_NAME).unwrap();
        self.bucket.put("m/v1/model.sig", &signature).await;
        public_key
    }
}

pub(super) fn with_key(policy: SigningPolicy, key: &std::path::Path) -> Signing {
    Signing { public_key_path: Some(key.to_path_buf()), ..signing(policy) }
}

async fn put_manifest(rig: &Rig, files: Vec<FileDigest>) {
    rig.bucket.put("m/v1/manifest.json", &Manifest::new(seeded(), files).to_bytes()).await;
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_manifest_is_checked_and_is_no_part_of_the_model() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    put_manifest(&rig, vec![file("MLmodel", MLMODEL), file("data/model.onnx", WEIGHTS)]).await;
    assert_seeded(&rig.fetch(&pinned("v1", seeded())).await.unwrap());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn files_that_differ_from_the_manifest_are_all_named() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    put_manifest(&rig, vec![file("MLmodel", MLMODEL), file("data/model.onnx", b"longer"), file("gone", b"")]).await;
    let error = rig.fetch(&spec("v1")).await.unwrap_err();
    let text = error.to_string();
    assert!(error.permanent() && text.contains("data/model.onnx has 69 bytes, expected 6"), "{text}");
    assert!(text.contains("gone is missing"), "{text}");
    assert!(rig.cache_names("artifacts").is_empty() && rig.cache_names("staging").is_empty());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn enforce_takes_a_valid_signature_and_nothing_else() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    let missing = rig.fetch_signed(&spec("v1"), &signing(SigningPolicy::Enforce)).await.unwrap_err();
    assert!(!missing.permanent() && missing.to_string().contains("has no model.sig"), "it may still come: {missing}");
    put_manifest(&rig, vec![file("MLmodel", MLMODEL), file("data/model.onnx", WEIGHTS)]).await;
    let missing = rig.fetch_signed(&spec("v1"), &signing(SigningPolicy::Enforce)).await.unwrap_err();
    assert!(missing.permanent() && missing.to_string().contains("has no model.sig"), "{missing}");
    rig.bucket.delete("m/v1/manifest.json").await;

    let key = rig.sign("release").await;
    let (_, other) = make_key(rig.dir.path(), "other");
    let wrong = rig.fetch_signed(&spec("v1"), &with_key(SigningPolicy::Enforce, &other)).await.unwrap_err();
    assert!(wrong.permanent() && wrong.to_string().contains("it was signed with key"), "{wrong}");
    let nowhere = rig.dir.path().join("none.pub");
    let unread = rig.fetch_signed(&spec("v1"), &with_key(SigningPolicy::Enforce, &nowhere)).await.unwrap_err();
    assert!(matches!(unread, FetchError::Key { .. }) && !unread.permanent(), "{unread}");

    let artifact = rig.fetch_signed(&spec("v1"), &with_key(SigningPolicy::Enforce, &key)).await.unwrap();
    assert_seeded(&artifact);
    assert!(artifact.notes().is_empty());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn changed_bytes_do_not_pass_a_signature_and_extra_files_only_by_option() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    let key = rig.sign("release").await;
    rig.bucket.put("m/v1/extra.txt", b"x").await;
    let strict = with_key(SigningPolicy::Enforce, &key);
    let error = rig.fetch_signed(&spec("v1"), &strict).await.unwrap_err();
    assert!(error.to_string().contains("extra.txt is not signed"), "{error}");
    let lenient = Signing { ignore_unsigned_files: true, ..strict };
    let artifact = rig.fetch_signed(&spec("v1"), &lenient).await.unwrap();
    assert_eq!(artifact.notes(), ["not signed, so not loaded: extra.txt"]);
    let names = |artifact: &VerifiedArtifact| -> Vec<String> {
        artifact.files().unwrap().into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names(&artifact), ["MLmodel", "data/model.onnx"], "nobody signed extra.txt");
    assert_eq!(artifact.total_bytes(), (MLMODEL.len() + WEIGHTS.len()) as u64);
    // From the cache too; and a policy that demands no signature hands out everything.
    let cached = rig.fetch_signed(&spec("v1"), &lenient).await.unwrap();
    assert_eq!(names(&cached), ["MLmodel", "data/model.onnx"]);
    let warned = Signing { policy: SigningPolicy::Warn, ..lenient.clone() };
    assert_eq!(names(&rig.fetch_signed(&spec("v1"), &warned).await.unwrap()).len(), 3);

    rig.bucket.put("m/v1/MLmodel", b"flavors: {evil: {}}").await;
    let error = rig.fetch_signed(&VersionSpec { version: Version::new("v1x").unwrap(), ..spec("v1") }, &lenient).await;
    assert!(error.unwrap_err().to_string().contains("MLmodel has SHA-256"));
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn warn_serves_and_says_so_and_disabled_does_not_look() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    let warned = rig.fetch_signed(&spec("v1"), &signing(SigningPolicy::Warn)).await.unwrap();
    let note = "not signed; served because signing.policy is warn; to sign it, push it with `sluice push --key` under a \
                new version";
    assert_eq!(warned.notes(), [note]);
    assert!(warned.unverified());
    let (_, other) = make_key(rig.dir.path(), "other");
    rig.sign("release").await;
    let warned = rig.fetch_signed(&spec("v1"), &with_key(SigningPolicy::Warn, &other)).await.unwrap();
    let note = &warned.notes()[0];
    assert!(note.starts_with("signature not verified; served because signing.policy is warn: it was signed"), "{note}");
    let silent = rig.fetch_signed(&spec("v1"), &signing(SigningPolicy::Disabled)).await.unwrap();
    assert!(silent.notes().is_empty() && !silent.unverified());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_stricter_policy_applies_to_what_is_cached_and_a_newer_signature_is_found() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    assert_seeded(&rig.fetch(&pinned("v1", seeded())).await.unwrap());
    let missing = rig.fetch_signed(&pinned("v1", seeded()), &signing(SigningPolicy::Enforce)).await.unwrap_err();
    assert!(missing.to_string().contains("has no model.sig"), "{missing}");

    // Signed after it was pulled, then signed again with a new key: only the signature is read.
    for name in ["first", "second"] {
        let key = rig.sign(name).await;
        rig.bucket.behave();
        let enforce = with_key(SigningPolicy::Enforce, &key);
        assert_seeded(&rig.fetch_signed(&pinned("v1", seeded()), &enforce).await.unwrap());
        assert_eq!(rig.bucket.requests(), [Request::Get("m/v1/model.sig".to_owned(), None)]);
    }
    // It is kept: the next process needs no source.
    let rig = rig.restart().await;
    rig.bucket.behave();
    let enforce = with_key(SigningPolicy::Enforce, &rig.dir.path().join("second.pub"));
    assert_seeded(&rig.fetch_signed(&pinned("v1", seeded()), &enforce).await.unwrap());
    assert!(rig.bucket.requests().is_empty());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn files_that_are_not_there_yet_are_waited_for() {
    let rig = Rig::new().await;
    let enforce = with_key(SigningPolicy::Enforce, &rig.sign("release").await);
    // In the worst order: signature, manifest, a file, and the weights last.
    rig.bucket.put("m/v1/MLmodel", MLMODEL).await;
    let error = rig.fetch_signed(&spec("v1"), &enforce).await.unwrap_err();
    assert!(!error.permanent() && error.to_string().contains("data/model.onnx is signed and missing"), "{error}");
    let signature = file("model.sig", &rig.bucket.content("m/v1/model.sig").await);
    put_manifest(&rig, vec![file("MLmodel", MLMODEL), file("data/model.onnx", WEIGHTS), signature]).await;
    let error = rig.fetch_signed(&spec("v1"), &enforce).await.unwrap_err();
    assert!(!error.permanent() && error.to_string().contains("model.onnx is missing"), "{error}");
    // Nor is it loaded where nobody asks for a signature.
    let error = rig.fetch(&spec("v1")).await.unwrap_err();
    assert!(matches!(error, FetchError::Unfinished { .. }), "{error}");
    rig.bucket.delete("m/v1/manifest.json").await;
    rig.bucket.put("m/v1/data/model.onnx", WEIGHTS).await;
    assert_seeded(&rig.fetch_signed(&spec("v1"), &enforce).await.unwrap());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_signature_file_that_went_bad_costs_only_itself() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    let enforce = with_key(SigningPolicy::Enforce, &rig.sign("release").await);
    let live = rig.fetch_signed(&spec("v1"), &enforce).await.unwrap();
    let kept = rig.options.cache_dir.join("artifacts").join(seeded_folder()).join("files/model.sig");
    let good = std::fs::read(&kept).unwrap();

    // A crash between the replacement of the file and the note of it: the new signature is there, and it is right.
    let newer = with_key(SigningPolicy::Enforce, &rig.sign("newer").await);
    std::fs::write(&kept, &*rig.bucket.content("m/v1/model.sig").await).unwrap();
    drop(live);
    let rig = rig.restart().await;
    rig.bucket.on(|_| Fault::Unavailable);
    assert_seeded(&rig.fetch_signed(&pinned("v1", seeded()), &newer).await.unwrap());

    // Rot, under a live artifact and across a restart: the source has another one, and no other byte is read.
    rig.bucket.behave();
    let live = rig.fetch_signed(&spec("v1"), &newer).await.unwrap();
    for _ in 0..2 {
        std::fs::write(&kept, &good[..20]).unwrap();
        rig.bucket.behave();
        assert_seeded(&rig.fetch_signed(&pinned("v1", seeded()), &newer).await.unwrap());
        assert_eq!(rig.bucket.requests(), [Request::Get("m/v1/model.sig".to_owned(), None)]);
    }
    drop(live);
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_newer_signature_is_found_under_a_live_artifact() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    let first = with_key(SigningPolicy::Enforce, &rig.sign("first").await);
    let _live = rig.fetch_signed(&pinned("v1", seeded()), &first).await.unwrap();
    let second = with_key(SigningPolicy::Enforce, &rig.sign("second").await);
    rig.fetch_signed(&pinned("v1", seeded()), &second).await.unwrap();
    // It is kept, though the artifact was never let go of.
    rig.bucket.on(|_| Fault::Unavailable);
    assert_seeded(&rig.fetch_signed(&pinned("v1", seeded()), &second).await.unwrap());
    assert!(rig.bucket.requests().is_empty());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_signature_path_cannot_point_out_of_the_artifact() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    for path in ["../../outside.sig", "/outside.sig"] {
        let outside = Signing { signature_path: path.to_owned(), ..signing(SigningPolicy::Warn) };
        for _ in 0..2 {
            assert_seeded(&rig.fetch_signed(&spec("v1"), &outside).await.unwrap());
        }
        assert!(!rig.bucket.requests().iter().any(|r| matches!(r, Request::Get(name, _) if name.contains("outside"))));
    }
}
