//! What files make a server, what is told of others, and what a port then speaks.

mod spoken;

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use config::access::CertificateName;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::testing::{Authority, Pair, settings};
use super::*;

/// The start of a year, near enough.
fn year(year: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs((year - 1970) * 31_556_952)
}

fn read(pair: &Pair, client_ca: Option<&str>, now: SystemTime) -> Result<Material, TlsFaults> {
    let mut contents = vec![pair.cert.clone().into_bytes(), pair.key.clone().into_bytes()];
    contents.extend(client_ca.map(|text| text.as_bytes().to_vec()));
    material(&settings(client_ca.is_some()), &contents, now)
}

#[test]
fn a_certificate_and_its_key_make_a_server() {
    let (authority, now) = (Authority::new(), year(2026));
    let pair = authority.issue(&["localhost"], "", (2025, 2030));
    let material = read(&pair, Some(&authority.pem()), now).unwrap();
    assert_eq!(humantime::format_rfc3339_seconds(material.expires()).to_string(), "2030-01-01T00:00:00Z");
    let both = format!("{}{}", pair.key, pair.cert);
    read(&Pair { cert: both.clone(), key: both }, None, now).expect("one file may hold both");
}

#[test]
fn all_that_is_wrong_with_the_files_is_told_at_once() {
    let (authority, now) = (Authority::new(), year(2026));
    let good = authority.issue(&["localhost"], "", (2025, 2030));
    let other = authority.issue(&["localhost"], "", (2025, 2030));
    let pair = |cert: &str, key: &str| Pair { cert: cert.to_owned(), key: key.to_owned() };
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cases = [
        ("nothing in them", pair("", ""), Some("")),
        ("the other's key", pair(&good.cert, &other.key), None),
        ("swapped", pair(&good.key, &good.cert), None),
        ("cut off", pair(&good.cert[..100], &good.key[..60]), None),
        ("no certificates", pair(no_certificate, &good.key), Some(no_certificate)),
        ("expired", authority.issue(&["localhost"], "", (2020, 2025)), None),
        ("not yet valid", authority.issue(&["localhost"], "", (2030, 2031)), None),
    ];
    let mut told = String::new();
    for (name, pair, client_ca) in cases {
        let faults = read(&pair, client_ca, now).expect_err(name);
        writeln!(told, "# {name}\n{faults}\n").unwrap();
    }
    insta::assert_snapshot!("bad_files", told);
}

#[test]
fn names_of_a_certificate_are_its_alternative_ones_or_else_the_common_one() {
    let authority = Authority::new();
    let has = |pair: &Pair, name: &str| {
        let der = CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap();
        PeerNames::of(&der).has(&CertificateName::new(name).unwrap())
    };
    let both = authority.issue(&["Scorer.Fraud.svc", "other"], "common", (2025, 2030));
    for (name, expected) in [("scorer.fraud.svc", true), ("OTHER", true), ("common", false), ("fraud.svc", false)] {
        assert_eq!(has(&both, name), expected, "{name}");
    }
    let old = authority.issue(&[], "Old Client", (2025, 2030));
    assert!(has(&old, "old client") && !has(&old, "client"));
    assert_eq!(PeerNames::of(b"no certificate"), PeerNames::default());
}
