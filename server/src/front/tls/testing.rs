//! Certificates made for a test.

use std::path::PathBuf;
use std::time::SystemTime;

use config::{ClientAuth, TlsSettings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::Material;

/// An authority, and what it issues.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate with these DNS names and common name, valid from the start of one year to that of the other.
    pub(crate) fn issue(&self, names: &[&str], common: &str, years: (i32, i32)) -> Pair {
        self.issue_for(&KeyPair::generate().unwrap(), names, common, years)
    }

    pub(crate) fn issue_for(&self, key: &KeyPair, names: &[&str], common: &str, (from, to): (i32, i32)) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, common);
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        Pair { cert: params.signed_by(key, &self.0).unwrap().pem(), key: key.serialize_pem() }
    }
}

/// What a certificate of `localhost` makes.
pub(crate) fn material() -> Material {
    let Pair { cert, key } = Authority::new().issue(&["localhost"], "", (2020, 2100));
    super::material(&settings(false), &[cert.into_bytes(), key.into_bytes()], SystemTime::now()).unwrap()
}

pub(crate) fn settings(client_ca: bool) -> TlsSettings {
    TlsSettings {
        cert: PathBuf::from("/tls/tls.crt"),
        key: PathBuf::from("/tls/tls.key"),
        client_ca: client_ca.then(|| PathBuf::from("/tls/ca.crt")),
        client_auth: ClientAuth::Required,
        ports: [config::Port::Http].into(),
    }
}

/// A key of the kind that older clients take.
pub(crate) fn rsa() -> KeyPair {
    KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap()
}
