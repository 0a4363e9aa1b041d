//! The outer layers of a signature file: Sigstore bundle v0.3 around a DSSE envelope.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Deserialize, Serialize};

use super::{PrivateKey, PublicKey, SignatureError};

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    media_type: String,
    verification_material: VerificationMaterial,
    dsse_envelope: Envelope,
}

/// One of three, by method. Fields this server has no use for are left to the specification to extend.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct VerificationMaterial {
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<KeyHint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x509_certificate_chain: Option<serde_json::Value>,
    #[serde(default)]
    tlog_entries: Vec<serde_json::Value>,
}

#[derive(Serialize, Deserialize)]
struct KeyHint {
    #[serde(default)]
    hint: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Serialize, Deserialize)]
struct EnvelopeSignature {
    sig: String,
}

/// The signed payload of a bundle, once `key` has verified it. Nothing of the payload is parsed before.
pub(super) fn open(bytes: &[u8], key: &PublicKey) -> Result<Vec<u8>, SignatureError> {
    let malformed = |what: String| SignatureError::Malformed(what);
    let bundle: Bundle = serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
    if bundle.media_type != MEDIA_TYPE {
        return Err(malformed(format!("mediaType is {:?}, expected {MEDIA_TYPE:?}", bundle.media_type)));
    }
    check_material(&bundle.verification_material, key)?;
    let envelope = bundle.dsse_envelope;
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(malformed(format!("payloadType is {:?}, expected {PAYLOAD_TYPE:?}", envelope.payload_type)));
    }
    let [signature] = &envelope.signatures[..] else {
        return Err(malformed(format!("it holds {} signatures, expected one", envelope.signatures.len())));
    };
    let decode = |text: &str, what: &str| {
        BASE64_STANDARD.decode(text).map_err(|error| malformed(format!("{what} is not base64: {error}")))
    };
    let payload = decode(&envelope.payload, "payload")?;
    let signature = decode(&signature.sig, "sig")?;
    if key.verifies(&pre_authentication_encoding(&payload), &signature) {
        Ok(payload)
    } else {
        Err(SignatureError::Forged)
    }
}

fn check_material(material: &VerificationMaterial, key: &PublicKey) -> Result<(), SignatureError> {
    if material.x509_certificate_chain.is_some() {
        return Err(SignatureError::Unsupported("the certificate method".to_owned()));
    }
    if material.certificate.is_some() {
        return Err(SignatureError::Unsupported("the sigstore (keyless) method".to_owned()));
    }
    let Some(KeyHint { hint }) = &material.public_key else {
        return Err(SignatureError::Malformed("verificationMaterial names no publicKey".to_owned()));
    };
    // Signers before OMS 1.1 left the hint out; the hint only ever makes the message better.
    if hint.is_empty() || hint == key.hint() {
        return Ok(());
    }
    let signed_with = hint.chars().filter(char::is_ascii_graphic).take(64).collect();
    Err(SignatureError::OtherKey { signed_with, configured: key.hint().to_owned() })
}

/// A bundle around `payload`, signed with `key`.
pub(super) fn seal(payload: &[u8], key: &PrivateKey) -> Result<Vec<u8>, SignatureError> {
    let failed = || SignatureError::Malformed("the key cannot sign".to_owned());
    let signature = key.sign(&pre_authentication_encoding(payload)).ok_or_else(failed)?;
    let bundle = Bundle {
        media_type: MEDIA_TYPE.to_owned(),
        verification_material: VerificationMaterial {
            public_key: Some(KeyHint { hint: key.hint().to_owned() }),
            certificate: None,
            x509_certificate_chain: None,
            tlog_entries: Vec::new(),
        },
        dsse_envelope: Envelope {
            payload: BASE64_STANDARD.encode(payload),
            payload_type: PAYLOAD_TYPE.to_owned(),
            signatures: vec![EnvelopeSignature { sig: BASE64_STANDARD.encode(signature) }],
        },
    };
    serde_json::to_vec(&bundle).map_err(|error| SignatureError::Malformed(error.to_string()))
}

/// DSSE's framing of what is signed: type and payload, each with its length, so that neither can pass for the other.
fn pre_authentication_encoding(payload: &[u8]) -> Vec<u8> {
    let mut framed = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len()).into_bytes();
    framed.extend_from_slice(payload);
    framed
}
