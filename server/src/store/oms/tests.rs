use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

use super::super::digest::{MANIFEST_NAME, SIGNATURE_NAME, Sha256, hash_file, root};
use super::*;

const SCOPE: Scope<'static> = Scope { signature_path: SIGNATURE_NAME, ignore_unsigned_files: false };

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/testdata/oms")
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(testdata().join(name)).unwrap()
}

fn key(name: &str) -> PublicKey {
    PublicKey::from_pem(&read(name)).unwrap()
}

fn model_files() -> Vec<FileDigest> {
    ["MLmodel", "data/model.onnx", "data-notes.txt", "input_example.json"]
        .map(|name| {
            let (size, sha256) = hash_file(&testdata().join("model").join(name)).unwrap();
            FileDigest { name: name.to_owned(), size, sha256 }
        })
        .to_vec()
}

fn file(name: &str, content: &[u8]) -> FileDigest {
    FileDigest { name: name.to_owned(), size: content.len() as u64, sha256: Sha256::of(content) }
}

/// A fresh key pair on P-256.
fn fresh() -> (PrivateKey, PublicKey) {
    pair_of(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
}

fn pair_of(pair: EcdsaKeyPair) -> (PrivateKey, PublicKey) {
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    let pem = |label: &str, der: &[u8]| {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64_STANDARD.encode(der))
    };
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    let public = PublicKey::from_pem(pem("PUBLIC KEY", public.as_ref()).as_bytes()).unwrap();
    let private = pem("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref());
    (PrivateKey::from_pem(private.as_bytes()).unwrap(), public)
}

/// Signs a payload edited by `edit`, validly.
fn resigned(edit: impl FnOnce(&mut Value)) -> (Vec<u8>, PublicKey) {
    let (private, public) = fresh();
    let mut payload: Value = serde_json::from_slice(&statement::make("m", &model_files(), SIGNATURE_NAME)).unwrap();
    edit(&mut payload);
    (bundle::seal(&serde_json::to_vec(&payload).unwrap(), &private).unwrap(), public)
}

#[test]
fn signatures_of_the_reference_tool_verify_on_each_curve() {
    for curve in ["p256", "p384", "p521"] {
        let unsigned = verify(&read(&format!("{curve}.sig")), &key(&format!("{curve}.pub")), &model_files(), SCOPE);
        assert_eq!(unsigned, Ok(vec![]), "{curve}");
    }
}

#[test]
fn missing_changed_and_extra_files_are_all_named() {
    let mut files = model_files();
    files.retain(|file| file.name != "MLmodel");
    files[0].sha256 = Sha256::of(b"other weights");
    files.push(file("extra.bin", b"?"));
    let Err(SignatureError::Files(problems)) = verify(&read("p256.sig"), &key("p256.pub"), &files, SCOPE) else {
        panic!("must be refused")
    };
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert_eq!(problems[0], "MLmodel is signed and missing");
    assert!(problems[1].starts_with("data/model.onnx has SHA-256"));
    assert_eq!(problems[2], "extra.bin is not signed");
}

#[test]
fn extra_files_pass_only_where_the_option_says_so_and_are_reported() {
    let mut files = model_files();
    files.extend([file("extra.bin", b"?"), file(MANIFEST_NAME, b"{}")]);
    let lenient = Scope { ignore_unsigned_files: true, ..SCOPE };
    assert_eq!(verify(&read("p256.sig"), &key("p256.pub"), &files, lenient), Ok(vec!["extra.bin".to_owned()]));
    files[0].sha256 = Sha256::of(b"tampered");
    assert!(matches!(verify(&read("p256.sig"), &key("p256.pub"), &files, lenient), Err(SignatureError::Files(_))));
}

#[test]
fn another_key_is_named_and_a_forged_hint_does_not_help() {
    let error = verify(&read("p384.sig"), &key("other.pub"), &model_files(), SCOPE).unwrap_err();
    assert!(matches!(&error, SignatureError::OtherKey { configured, .. } if configured == key("other.pub").hint()));
    let mut bundle: Value = serde_json::from_slice(&read("p384.sig")).unwrap();
    bundle["verificationMaterial"]["publicKey"]["hint"] = json!(key("other.pub").hint());
    let forged = verify(&serde_json::to_vec(&bundle).unwrap(), &key("other.pub"), &model_files(), SCOPE);
    assert_eq!(forged, Err(SignatureError::Forged));
}

#[test]
fn a_changed_payload_is_forged() {
    let mut bundle: Value = serde_json::from_slice(&read("p256.sig")).unwrap();
    let payload = BASE64_STANDARD.decode(bundle["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
    let edited = String::from_utf8(payload).unwrap().replace("MLmodel", "MLmodeL");
    bundle["dsseEnvelope"]["payload"] = json!(BASE64_STANDARD.encode(edited));
    let result = verify(&serde_json::to_vec(&bundle).unwrap(), &key("p256.pub"), &model_files(), SCOPE);
    assert_eq!(result, Err(SignatureError::Forged));
}

#[test]
fn leaving_out_real_files_is_suspicious_even_when_signed() {
    // Made by the reference tool with --ignore-paths input_example.json.
    for lenient in [false, true] {
        let scope = Scope { ignore_unsigned_files: lenient, ..SCOPE };
        let error = verify(&read("ignoring.sig"), &key("p256.pub"), &model_files(), scope).unwrap_err();
        assert!(
            error.to_string().contains("ignore_paths") && error.to_string().contains("input_example.json"),
            "{error}"
        );
    }
}

#[test]
fn what_oms_allows_and_we_do_not_is_refused_by_name() {
    let check = |edit: &dyn Fn(&mut Value), expected: &str| {
        let (bundle, public) = resigned(|payload| edit(payload));
        let error = verify(&bundle, &public, &model_files(), SCOPE).unwrap_err();
        assert!(matches!(error, SignatureError::Unsupported(_)) && error.to_string().contains(expected), "{error}");
    };
    check(&|p| p["predicate"]["serialization"]["method"] = json!("shards"), "\"shards\"");
    check(&|p| p["predicate"]["serialization"]["hash_type"] = json!("blake3"), "\"blake3\"");
    check(&|p| p["predicate"]["resources"][0]["algorithm"] = json!("blake2b"), "\"blake2b\"");
    check(&|p| p["predicateType"] = json!("https://model_signing/Digests/v0.1"), "Digests/v0.1");
    check(&|p| p["_type"] = json!("https://in-toto.io/Statement/v0.1"), "Statement/v0.1");
    let material = |field: &str| {
        let mut bundle: Value = serde_json::from_slice(&read("p256.sig")).unwrap();
        bundle["verificationMaterial"] = json!({ field: {}, "tlogEntries": [] });
        verify(&serde_json::to_vec(&bundle).unwrap(), &key("p256.pub"), &model_files(), SCOPE).unwrap_err().to_string()
    };
    assert!(
        material("certificate").contains("keyless") && material("x509CertificateChain").contains("certificate method")
    );
}

#[test]
fn a_statement_that_disagrees_with_itself_is_malformed() {
    let check = |edit: &dyn Fn(&mut Value), expected: &str| {
        let (bundle, public) = resigned(|payload| edit(payload));
        let error = verify(&bundle, &public, &model_files(), SCOPE).unwrap_err();
        assert!(matches!(error, SignatureError::Malformed(_)) && error.to_string().contains(expected), "{error}");
    };
    check(&|p| p["subject"][0]["digest"]["sha256"] = json!("0".repeat(64)), "subject is another digest");
    check(&|p| p["predicate"]["resources"] = json!([]), "lists no files");
    check(&|p| p["subject"] = json!([]), "0 subjects");
    check(&|p| p["predicate"]["resources"][1] = p["predicate"]["resources"][0].clone(), "listed twice");
    check(&|p| p["predicate"]["resources"][0]["digest"] = json!("xyz"), "not a SHA-256");
}

#[test]
fn malformed_bundles_are_refused_without_panic() {
    let signature = read("p256.sig");
    for end in 0..signature.len() {
        assert!(verify(&signature[..end], &key("p256.pub"), &model_files(), SCOPE).is_err());
    }
    let mut bundle: Value = serde_json::from_slice(&signature).unwrap();
    bundle["dsseEnvelope"]["signatures"] = json!([]);
    let none = verify(&serde_json::to_vec(&bundle).unwrap(), &key("p256.pub"), &model_files(), SCOPE);
    assert!(none.unwrap_err().to_string().contains("0 signatures"));
}

#[test]
fn our_signature_verifies_and_carries_the_root_digest() {
    for pair in [&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P521_SHA512_ASN1_SIGNING] {
        let (private, public) = pair_of(EcdsaKeyPair::generate(pair).unwrap());
        let signature = sign(&private, "fraud-detection", &model_files(), SIGNATURE_NAME).unwrap();
        assert_eq!(verify(&signature, &public, &model_files(), SCOPE), Ok(vec![]));
        let bundle: Value = serde_json::from_slice(&signature).unwrap();
        let payload = BASE64_STANDARD.decode(bundle["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
        let payload: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(payload["subject"][0]["digest"]["sha256"], json!(root(&model_files()).hex()));
    }
}

#[test]
fn keys_that_are_not_ec_keys_are_refused_with_a_reason() {
    assert!(PublicKey::from_pem(b"hello").unwrap_err().contains("not a public key"));
    assert!(PrivateKey::from_pem(&read("p256.pub")).unwrap_err().contains("not a private key"));
    let ed25519 = b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    assert_eq!(PublicKey::from_pem(ed25519).unwrap_err(), "not an EC key on P-256, P-384 or P-521");
}
