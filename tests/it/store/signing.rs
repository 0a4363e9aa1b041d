//! Signatures both ways between sluice and the reference tool, `model-signing`.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use config::{ModelName, Signing, SigningPolicy, StorageUri, Version, VersionSpec};
use server::store::{
    Environment, Fetch, FetchError, Progress, PushOptions, Store, StoreOptions, VerifiedArtifact, push,
};
use tokio::sync::watch;

use super::process::{python, run};

/// PEM key pairs: PKCS#8 and SEC1, on the three curves.
const MAKE_KEYS: &str = r"
import sys
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import ec
for name, curve, form in [('p256', ec.SECP256R1(), s.PrivateFormat.PKCS8),
                          ('p384', ec.SECP384R1(), s.PrivateFormat.TraditionalOpenSSL),
                          ('p521', ec.SECP521R1(), s.PrivateFormat.PKCS8)]:
    key = ec.generate_private_key(curve)
    open(f'{sys.argv[1]}/{name}.key', 'wb').write(key.private_bytes(s.Encoding.PEM, form, s.NoEncryption()))
    open(f'{sys.argv[1]}/{name}.pub', 'wb').write(
        key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo))
";
const CURVES: [&str; 3] = ["p256", "p384", "p521"];

fn model_signing(arguments: &[&str], model: &Path) -> Command {
    let mut command = Command::new(python());
    command.args(["-m", "model_signing"]).args(&arguments[..2]).arg(model).args(&arguments[2..]);
    command
}

fn make_model(dir: &Path) {
    std::fs::create_dir_all(dir.join("data")).unwrap();
    for (name, content) in [("MLmodel", "flavors: {}\n"), ("data/model.onnx", "weights"), ("data-notes.txt", "notes")] {
        std::fs::write(dir.join(name), content).unwrap();
    }
}

async fn fetch(store: &Arc<Store>, version: &str, bucket: &Path, key: &Path) -> Result<VerifiedArtifact, FetchError> {
    let uri = StorageUri::new(&format!("file://{}", bucket.display())).unwrap();
    let spec = VersionSpec { version: Version::new(version).unwrap(), digest: None, storage_uri: uri };
    let signing = Signing {
        policy: SigningPolicy::Enforce,
        signature_path: "model.sig".to_owned(),
        public_key_path: Some(key.to_path_buf()),
        ignore_unsigned_files: false,
    };
    let (progress, _) = watch::channel(Progress::default());
    store.fetch(Fetch { model: &ModelName::new("m").unwrap(), spec: &spec, signing: &signing }, &progress).await
}

#[tokio::test]
async fn what_the_reference_tool_signs_we_verify_and_what_we_sign_it_verifies() {
    let dir = tempfile::tempdir().unwrap();
    run(Command::new(python()).args(["-c", MAKE_KEYS]).arg(dir.path()));
    let store = Store::open(StoreOptions::new(dir.path().join("cache"), 1 << 30)).await.unwrap();
    for curve in CURVES {
        let path = |name: &str| dir.path().join(format!("{curve}{name}"));
        let text = |name: &str| path(name).display().to_string();

        // Theirs, verified by us; and not once a byte has changed.
        let theirs = path("-theirs");
        make_model(&theirs);
        let signature = theirs.join("model.sig").display().to_string();
        run(&mut model_signing(&["sign", "key", "--private_key", &text(".key"), "--signature", &signature], &theirs));
        let verified = fetch(&store, &format!("{curve}-theirs"), &theirs, &path(".pub")).await.unwrap();
        assert!(verified.notes().is_empty());
        std::fs::write(theirs.join("data/model.onnx"), "weighty").unwrap();
        let error = fetch(&store, &format!("{curve}-changed"), &theirs, &path(".pub")).await.unwrap_err();
        assert!(matches!(error, FetchError::Signature { .. }), "{error}");

        // Ours, as pushed, verified by them with the manifest beside it; and by us.
        let (source, ours) = (path("-source"), path("-ours"));
        make_model(&source);
        let pushed = push(PushOptions {
            dir: source,
            url: StorageUri::new(&format!("file://{}", ours.display())).unwrap(),
            key: Some(path(".key")),
            environment: Environment::default(),
            progress: watch::channel(Progress::default()).0,
        })
        .await
        .unwrap();
        let signature = ours.join("model.sig").display().to_string();
        run(&mut model_signing(&["verify", "key", "--public_key", &text(".pub"), "--signature", &signature], &ours));
        let verified = fetch(&store, &format!("{curve}-ours"), &ours, &path(".pub")).await.unwrap();
        assert_eq!(verified.digest(), pushed.digest);
        std::fs::write(ours.join("MLmodel"), "flavors: {x: {}}\n").unwrap();
        let tampered =
            model_signing(&["verify", "key", "--public_key", &text(".pub"), "--signature", &signature], &ours).output();
        assert!(!tampered.unwrap().status.success(), "the reference tool accepts a changed file");
    }
}
