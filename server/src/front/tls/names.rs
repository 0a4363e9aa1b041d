//! What a client's certificate says of its owner. It was verified in the handshake: what is here is what it may say.

use config::access::CertificateName;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Names of one certificate; more are nobody's.
const NAMES_MAX: usize = 64;

/// The DNS names and URIs of a certificate; only where it has neither, its common name: that is how clients were named
/// before there were such names, and an authority that gives out such names need not look at it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeerNames(Vec<CertificateName>);

impl PeerNames {
    /// The names of a certificate; none where it cannot be read.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Self::default() };
        // One that cannot be read is not one that is not there.
        let Ok(alternative) = certificate.subject_alternative_name() else { return Self::default() };
        let general = alternative.iter().flat_map(|extension| &extension.value.general_names);
        let names: Vec<&str> = general
            .filter_map(|name| match name {
                // An access file tells them apart by how they look.
                GeneralName::DNSName(name) if !name.contains("://") => Some(*name),
                GeneralName::URI(name) if name.contains("://") => Some(*name),
                _ => None,
            })
            .collect();
        let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        let names = if alternative.is_some() { names } else { common.collect() };
        Self(names.into_iter().take(NAMES_MAX).filter_map(|name| CertificateName::new(name).ok()).collect())
    }

    /// These names, for tests.
    #[cfg(test)]
    pub(crate) fn fixed(names: &[&str]) -> Self {
        Self(names.iter().map(|name| CertificateName::new(name).unwrap()).collect())
    }

    /// Whether it has this one.
    #[must_use]
    pub fn has(&self, name: &CertificateName) -> bool {
        self.0.contains(name)
    }
}
