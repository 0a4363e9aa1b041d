//! EC keys in PEM: P-256, P-384 and P-521, each with the hash that OMS ties to it.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_ASN1_SIGNING,
    ECDSA_P521_SHA512_ASN1, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey,
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};

use super::super::digest::Sha256;

/// Verifies signatures.
#[derive(Clone)]
pub(in super::super) struct PublicKey {
    parsed: ParsedPublicKey,
    hint: String,
}

/// Makes signatures.
pub(in super::super) struct PrivateKey {
    pair: EcdsaKeyPair,
    hint: String,
}

impl PublicKey {
    /// Parses a `PUBLIC KEY` PEM; says what is wrong with it otherwise.
    pub(in super::super) fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem)
            .map_err(|error| format!("not a public key: {error}; write one in PEM"))?;
        Self::from_der(der.as_ref()).ok_or_else(|| "not an EC key on P-256, P-384 or P-521".to_owned())
    }

    fn from_der(der: &[u8]) -> Option<Self> {
        [&ECDSA_P256_SHA256_ASN1, &ECDSA_P384_SHA384_ASN1, &ECDSA_P521_SHA512_ASN1]
            .into_iter()
            .find_map(|algorithm| ParsedPublicKey::new(algorithm, der).ok())
            .map(|parsed| Self { parsed, hint: hint(der) })
    }

    /// What names this key in a signature: the SHA-256 of its PEM text, in hex.
    pub(super) fn hint(&self) -> &str {
        &self.hint
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(message, signature).is_ok()
    }
}

impl PrivateKey {
    /// Parses an unencrypted `PRIVATE KEY` (PKCS#8) or `EC PRIVATE KEY` (SEC1) PEM; says what is wrong otherwise.
    pub(in super::super) fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|error| format!("not a private key: {error}"))?;
        let pair = [&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1_SIGNING, &ECDSA_P521_SHA512_ASN1_SIGNING]
            .into_iter()
            .find_map(|algorithm| EcdsaKeyPair::from_private_key_der(algorithm, der.secret_der()).ok())
            .ok_or("not an EC key on P-256, P-384 or P-521")?;
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| "its public half is missing")?;
        let hint = hint(public.as_ref());
        Ok(Self { pair, hint })
    }

    /// Its public half.
    pub(in super::super) fn public(&self) -> Option<PublicKey> {
        let der: PublicKeyX509Der<'_> = self.pair.public_key().as_der().ok()?;
        PublicKey::from_der(der.as_ref())
    }

    /// The hint of its public half.
    pub(super) fn hint(&self) -> &str {
        &self.hint
    }

    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        Some(self.pair.sign(&SystemRandom::new(), message).ok()?.as_ref().to_vec())
    }
}

/// The SHA-256 of the key's PEM text as every tool writes it: 64 columns and a line feed at the end.
fn hint(spki: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(spki);
    let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END PUBLIC KEY-----\n");
    Sha256::of(pem.as_bytes()).to_string()
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.hint)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {})", self.hint)
    }
}
