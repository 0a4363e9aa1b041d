//! Edits as text before and after, and the property that nothing else moves.

use proptest::prelude::*;

use super::*;
use crate::parse::tests::FULL;

fn target(version: &str) -> BumpTarget {
    BumpTarget { version: Version::new(version).unwrap(), digest: None, storage_uri: None, registry: None }
}

fn spec(version: &str, digest: Option<Digest>, uri: &str) -> VersionSpec {
    VersionSpec { version: Version::new(version).unwrap(), digest, storage_uri: StorageUri::new(uri).unwrap() }
}

fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

/// The lines that differ, as `-old` and `+new`.
fn changed(before: &str, after: &str) -> String {
    let (before, after): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let gone = before.iter().filter(|line| !after.contains(line)).map(|line| format!("-{line}"));
    let new = after.iter().filter(|line| !before.contains(line)).map(|line| format!("+{line}"));
    gone.chain(new).collect::<Vec<_>>().join("\n")
}

const SHORT: &str = "\
schemaVersion: v1alpha1 # schema
model:
  name: m   # the name
  version: \"v1\"   # bump me
  storageUri: gs://b/{version}
# what comes next
retry: 0
";

#[test]
fn the_usual_change_is_one_line() {
    let after = bump(SHORT, &target("v2"), None).unwrap();
    assert_eq!(after, SHORT.replace("\"v1\"", "\"v2\""));
}

#[test]
fn the_promoted_version_becomes_stable() {
    let after = bump(SHORT, &target("v2"), Some(&spec("v1", None, "gs://b/v1"))).unwrap();
    let expected =
        SHORT.replace("\"v1\"", "\"v2\"").replace("# what comes next", "stable:\n  version: \"v1\"\n# what comes next");
    assert_eq!(after, expected);
    let again = bump(&after, &target("v3"), Some(&spec("v2", Some(digest(7)), "gs://b/v2"))).unwrap();
    assert_eq!(
        changed(&after, &again),
        format!(
            "-  version: \"v2\"   # bump me\n-  version: \"v1\"\n+  version: \"v3\"   # bump me\n+  version: \"v2\"\n+  digest: {}",
            digest(7)
        )
    );
}

#[test]
fn the_full_file_changes_where_it_must() {
    let next = BumpTarget {
        digest: Some(digest(9)),
        storage_uri: Some(StorageUri::new("gs://acme/other/v3").unwrap()),
        registry: Some((18, None)),
        ..target("v3")
    };
    let stable = spec("v2.3.1", None, "gs://acme-ml-artifacts/fraud-detection/v2.3.1");
    let after = bump(FULL, &next, Some(&stable)).unwrap();
    insta::assert_snapshot!("full_file", changed(FULL, &after));
}

#[test]
fn flow_style_and_json_keep_their_style() {
    let flow = "schemaVersion: v1alpha1\nmodel: {name: m, digest: \"sha256:0000000000000000000000000000000000000000000000000000000000000000\", version: v1, storageUri: 'gs://b/{version}'} # c\nstable: {version: 'v0'}\n";
    let after = bump(flow, &target("v2"), Some(&spec("v1", Some(digest(0)), "gs://b/v1"))).unwrap();
    assert_eq!(
        after,
        format!(
            "schemaVersion: v1alpha1\nmodel: {{name: m, version: v2, storageUri: 'gs://b/{{version}}'}} # c\nstable: {{version: 'v1', digest: {}}}\n",
            digest(0)
        )
    );
    let json =
        r#"{"schemaVersion":"v1alpha1","model":{"name":"m","version":"v1","storageUri":"gs://b/{version}"},"retry":1}"#;
    let after = bump(json, &target("v2"), Some(&spec("v1", None, "gs://b/v1"))).unwrap();
    assert_eq!(
        after,
        r#"{"schemaVersion":"v1alpha1","model":{"name":"m","version":"v2","storageUri":"gs://b/{version}"}, "stable": {"version": "v1"},"retry":1}"#
    );
}

#[test]
fn a_version_that_looks_like_a_number_is_quoted() {
    let plain = SHORT.replace("\"v1\"", "v1");
    for version in ["1.10", "2026-01-01", "on", "1e3", "null"] {
        let after = bump(&plain, &target(version), None).unwrap();
        assert_eq!(changed(&plain, &after).lines().last(), Some(&*format!("+  version: \"{version}\"   # bump me")));
    }
    assert!(bump(&plain, &target("v2"), None).unwrap().contains("version: v2   #"), "others stay plain");
}

#[test]
fn line_ends_and_the_lack_of_a_last_one_are_kept() {
    let windows = SHORT.replace('\n', "\r\n");
    let after = bump(&windows, &target("v2"), Some(&spec("v1", None, "gs://b/v1"))).unwrap();
    assert_eq!(after.matches('\n').count(), after.matches("\r\n").count());
    let unended = "\u{feff}schemaVersion: v1alpha1\nmodel:\n    version: v1\n    name: é\u{308}\n    storageUri: gs://b/{version}";
    let unended = unended.replace("é\u{308}", "m # é😀");
    let after = bump(&unended, &target("v2"), Some(&spec("v1", None, "gs://b/v1"))).unwrap();
    assert_eq!(after, unended.replace("version: v1\n", "version: v2\n") + "\nstable:\n    version: \"v1\"");
}

#[test]
fn a_version_keeps_the_pin_that_the_file_has_for_it() {
    let text = format!(
        "schemaVersion: v1alpha1\nmodel:\n  name: m\n  version: v2\n  storageUri: gs://b/{{version}}\n  digest: {}\nstable: {{version: v1, digest: \"{}\"}}\n",
        digest(2),
        digest(1)
    );
    assert_eq!(bump(&text, &target("v2"), None).unwrap(), text, "the same version");
    let back = text.replace("version: v2", "version: v1").replace(&digest(2).to_string(), &digest(1).to_string());
    assert_eq!(bump(&text, &target("v1"), None).unwrap(), back, "a rollback to stable");
    let next = text.replace("version: v2", "version: v3").replace(&format!("  digest: {}\n", digest(2)), "");
    assert_eq!(bump(&text, &target("v3"), None).unwrap(), next, "no pin is known");
    // What is asked for goes before what is known, and cannot make one label mean two sets of bytes.
    let other = BumpTarget { digest: Some(digest(3)), ..target("v2") };
    assert_eq!(bump(&text, &other, None).unwrap(), text.replace(&digest(2).to_string(), &digest(3).to_string()));
    let other = BumpTarget { digest: Some(digest(3)), ..target("v1") };
    assert!(matches!(bump(&text, &other, None), Err(BumpError::Layout { .. })));
    // Only stable has one.
    let unpinned = next.replace("version: v3", "version: v1");
    let pinned = bump(&unpinned, &target("v1"), None).unwrap();
    assert_eq!(pinned, unpinned.replace("{version}\n", &format!("{{version}}\n  digest: {}\n", digest(1))));
}

#[test]
fn sections_that_stand_apart_stay_apart() {
    let apart = SHORT.replace("# what comes next", "\n# what comes next");
    for text in [apart.clone(), apart.replace('\n', "\r\n")] {
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let after = bump(&text, &target("v2"), Some(&spec("v1", None, "gs://b/v1"))).unwrap();
        let added = format!("{newline}stable:{newline}  version: \"v1\"{newline}{newline}# what");
        assert_eq!(after, text.replace("\"v1\"", "\"v2\"").replace(&format!("{newline}# what"), &added));
    }
}

#[test]
fn an_empty_stable_is_filled() {
    let text = format!("{SHORT}stable:   # none yet\n");
    let after = bump(&text, &target("v2"), Some(&spec("v1", None, "gs://b/v1"))).unwrap();
    assert!(after.ends_with("stable: {version: \"v1\"}   # none yet\n"), "{after}");
}

#[test]
fn a_version_without_a_place_is_refused() {
    let fixed = SHORT.replace("{version}", "v1");
    let error = bump(&fixed, &target("v2"), None).unwrap_err();
    assert_eq!(error, BumpError::NoUri { version: Version::new("v2").unwrap() });
    let given = BumpTarget { storage_uri: Some(StorageUri::new("gs://b/v2").unwrap()), ..target("v2") };
    let after = bump(&fixed, &given, Some(&spec("v1", None, "gs://b/v1"))).unwrap();
    assert!(after.contains("stable:\n  version: \"v1\"\n  storageUri: gs://b/v1\n"), "{after}");
    assert!(matches!(bump("model: 1", &target("v2"), None), Err(BumpError::Invalid(_))));
}

proptest! {
    #[test]
    fn nothing_but_the_version_lines_moves(
        keys in Just(["name: m", "version: v1", "storageUri: gs://b/{version}", "replicas: 3", "format: onnx"]).prop_shuffle(),
        comments in prop::collection::vec("( *# [a-zé😀:{}\"' -]{0,12})?", 8),
        blanks in prop::collection::vec(any::<bool>(), 8),
        indent in 1..5_usize,
        with_digest in any::<bool>(),
        windows in any::<bool>(),
        new_digest in any::<bool>(),
        stable in any::<bool>(),
    ) {
        let mut lines = vec!["schemaVersion: v1alpha1".to_owned(), "model:".to_owned()];
        lines.extend(keys.iter().map(|key| format!("{}{key}", " ".repeat(indent))));
        if with_digest {
            lines.push(format!("{}digest: {}", " ".repeat(indent), digest(1)));
        }
        lines.push("retry: 4".to_owned());
        let lines: Vec<String> = lines
            .iter()
            .enumerate()
            .map(|(index, line)| {
                let comment = comments.get(index).map_or("", String::as_str);
                let comment = if comment.starts_with('#') { format!(" {comment}") } else { comment.to_owned() };
                let blank = if blanks.get(index) == Some(&true) { "\n  # alone\n" } else { "" };
                format!("{line}{comment}{blank}")
            })
            .collect();
        let newline = if windows { "\r\n" } else { "\n" };
        let text = (lines.join("\n") + "\n").replace('\n', newline);
        let next = BumpTarget { digest: new_digest.then(|| digest(2)), ..target("v2") };
        let old = spec("v1", with_digest.then(|| digest(1)), "gs://b/v1");
        let after = bump(&text, &next, stable.then_some(&old)).unwrap();
        let touched = |line: &&str| ["version:", "digest:", "stable:"].iter().any(|key| line.trim_start().starts_with(key));
        let rest = |text: &str| text.split_inclusive('\n').filter(|line| !touched(line)).map(str::to_owned).collect::<Vec<_>>();
        prop_assert_eq!(rest(&text), rest(&after));
    }
}
