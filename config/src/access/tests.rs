//! What an access file may say, and a table of bad ones with the exact words about them.

use std::fmt::Write as _;

use super::*;

const SHA: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn good(text: &str) -> AccessFile {
    parse("access.yaml", text, true).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn a_whole_file_is_understood() {
    let text = format!(
        "clients:\n\
         - name: scorer\n  tokenSha256: {SHA}\n  may: [predict, metadata]\n  requestsMax: 32\n  requestsPerSecond: 0.5\n\
         - {{name: mesh, certificate: Scorer.Fraud.SVC, may: [predict], requestsPerSecond: 10, burst: 40}}\n\
         - {{name: spire, certificate: 'spiffe://Domain/ns/Fraud', may: [admin]}}\n"
    );
    let AccessFile { clients } = good(&text);
    let [scorer, mesh, spire] = &clients[..] else { panic!("{clients:?}") };
    assert_eq!(scorer.token, Some(TokenDigest::parse(SHA).unwrap()));
    assert_eq!(scorer.may, [Right::Predict, Right::Metadata].into());
    assert_eq!(scorer.limits.requests_max, NonZeroU32::new(32));
    assert_eq!(scorer.limits.rate, Some(Rate { per_second: 0.5, burst: NonZeroU32::MIN }));
    assert_eq!(mesh.certificate.as_ref().unwrap().as_str(), "scorer.fraud.svc");
    assert_eq!(mesh.limits.rate.unwrap().burst.get(), 40);
    assert_eq!(spire.certificate.as_ref().unwrap().as_str(), "spiffe://Domain/ns/Fraud");
    assert_eq!(spire.limits, ClientLimits::default());
}

#[test]
fn a_digest_is_not_shown() {
    assert_eq!(format!("{:?}", TokenDigest::parse(SHA).unwrap()), "TokenDigest(…)");
}

#[test]
fn every_bad_file_is_told_with_its_places() {
    let one = |more: &str| format!("clients:\n- name: a\n  tokenSha256: {SHA}\n  may: [predict]\n{more}");
    let cases = [
        ("empty", String::new(), true),
        ("not YAML", "clients: [\n".to_owned(), true),
        ("nobody", "clients: []\n".to_owned(), true),
        ("misspelt", "client: []\n".to_owned(), true),
        (
            "all wrong at once",
            "clients:\n- {name: A b, tokenSha256: 12, may: [predikt]}\n- {may: [], requestsMax: 0, requestsPerSecond: 0}\n"
                .to_owned(),
            true,
        ),
        ("a token in clear", "clients:\n- {name: a, token: s3cret, may: [admin]}\n".to_owned(), true),
        ("a token in place of its digest", "clients:\n- {name: a, tokenSha256: s3cret, may: [admin]}\n".to_owned(), true),
        ("shows nothing", "clients:\n- {name: a, may: [admin]}\n".to_owned(), true),
        ("a burst of nothing", one("  burst: 3\n"), true),
        ("twice", one(&format!("- {{name: a, tokenSha256: {SHA}, may: [admin]}}\n")), true),
        ("a wildcard", "clients:\n- {name: a, certificate: '*.svc', may: [admin]}\n".to_owned(), true),
        ("no authority", "clients:\n- {name: a, certificate: a.svc, may: [admin]}\n".to_owned(), false),
    ];
    let mut told = String::new();
    for (name, text, certificates) in cases {
        let problems = parse("access.yaml", &text, certificates).expect_err(name);
        writeln!(told, "# {name}\n{problems}\n").unwrap();
    }
    assert!(!told.contains("s3cret"), "{told}");
    insta::assert_snapshot!("bad_access_files", told);
}
