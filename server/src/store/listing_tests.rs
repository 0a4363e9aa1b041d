use std::path::{Component, Path as FsPath};

use proptest::prelude::*;

use super::*;

fn file(name: &str, size: u64) -> RemoteFile {
    RemoteFile { name: name.to_owned(), location: Path::default(), size, tag: None, modified_ms: 0, sha256: None }
}

fn check(names: &[&str]) -> Result<Vec<String>, Refusal> {
    let files = names.iter().map(|name| file(name, 1)).collect();
    Listing::check(files, &Limits::default()).map(|listing| listing.files.into_iter().map(|f| f.name).collect())
}

fn problems(names: &[&str]) -> String {
    match check(names) {
        Err(Refusal::Bounds(problems)) => problems.join("; "),
        other => panic!("expected problems, got {other:?}"),
    }
}

#[test]
fn what_mlflow_and_plain_directories_hold_is_accepted() {
    let names = ["MLmodel", "conda.yaml", "data/model.onnx", "golden/0001.json", "model.safetensors", "my code/a b.py"];
    assert_eq!(check(&names).unwrap(), names);
}

#[test]
fn unsafe_names_are_refused_with_a_reason() {
    for (name, reason) in [
        ("../x", "not a plain relative path"),
        ("a/../../x", "not a plain relative path"),
        ("/etc/passwd", "not a plain relative path"),
        ("a//b", "not a plain relative path"),
        ("a/./b", "not a plain relative path"),
        ("a\\b", "holds '\\\\'"),
        ("a\0b", "holds '\\0'"),
        ("a\nb", "holds '\\n'"),
        ("é", "holds 'é'"),
        ("%2e%2e/x", "holds '%'"),
        ("a./b", "ends with a space or dot"),
        (" a", "starts with a space"),
        ("1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", "deeper than 16"),
    ] {
        assert!(problems(&[name]).contains(reason), "{name:?}: {}", problems(&[name]));
    }
    assert!(problems(&[&"x".repeat(201)]).contains("component longer"));
}

#[test]
fn names_that_collide_on_some_disk_are_refused() {
    assert!(problems(&["Model.onnx", "model.onnx"]).contains("differ only in case"));
    assert!(problems(&["Data/a", "data/b"]).contains("differ only in case"));
    assert!(problems(&["a", "a"]).contains("listed 2 times"));
    assert!(problems(&["a", "a/b"]).contains("is a file and the folder of"));
}

#[test]
fn every_problem_is_reported_up_to_a_limit() {
    let names: Vec<String> = (0..30).map(|n| format!("bad:{n:02}")).collect();
    let text = problems(&names.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(text.contains("bad:00") && text.contains("bad:19") && text.ends_with("and 10 more"), "{text}");
}

#[test]
fn sizes_and_counts_are_bounded_without_overflow() {
    let limits = Limits { files_max: 2, file_bytes_max: 10, total_bytes_max: 15, ..Limits::default() };
    let refused = |sizes: &[u64]| {
        let files = sizes.iter().enumerate().map(|(n, &size)| file(&format!("f{n}"), size)).collect();
        Listing::check(files, &limits).is_err()
    };
    assert!(!refused(&[10, 5]));
    assert!(refused(&[10, 6]) && refused(&[11]) && refused(&[1, 1, 1]) && refused(&[u64::MAX, u64::MAX]));
}

#[test]
fn directory_markers_and_git_files_are_left_out() {
    let files = vec![file("", 0), file("data", 0), file("data/m.onnx", 5), file(".gitattributes", 9), file("e", 0)];
    let listing = Listing::check(files, &Limits::default()).unwrap();
    let names: Vec<&str> = listing.files().iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["data/m.onnx", "e"]);
}

#[test]
fn pickles_are_refused_by_name_in_any_wrapping() {
    for name in ["model.pkl", "a/B.PKL", "m.joblib.gz", "x.pickle.bz2", "data/model.pth", "pytorch_model.bin", "w.ckpt"]
    {
        assert_eq!(check(&["MLmodel", name]), Err(Refusal::Pickle(vec![name.to_owned()])));
    }
    for name in ["model.onnx", "model.bin", "pickle.txt", "model.ubj", "pkl"] {
        assert!(check(&[name]).is_ok(), "{name}");
    }
}

#[test]
fn a_fingerprint_tells_tags_sizes_names_and_places_apart() {
    let listing = |name: &str, size, tag: Option<&str>| Listing {
        files: vec![RemoteFile { tag: tag.map(str::to_owned), ..file(name, size) }],
    };
    let prints = [
        listing("a", 1, Some("t")).fingerprint("u"),
        listing("a", 1, Some("T")).fingerprint("u"),
        listing("a", 2, Some("t")).fingerprint("u"),
        listing("b", 1, Some("t")).fingerprint("u"),
        listing("a", 1, None).fingerprint("u"),
        listing("a", 1, Some("t")).fingerprint("w"),
    ];
    let distinct: std::collections::HashSet<_> = prints.iter().collect();
    assert_eq!(distinct.len(), prints.len());
    assert_eq!(prints[0], listing("a", 1, Some("t")).fingerprint("u"));
}

/// Names an attacker would try, mixed with plain ones.
fn names() -> impl Strategy<Value = Vec<String>> {
    let part = prop_oneof![
        Just("..".to_owned()),
        Just(".".to_owned()),
        Just(String::new()),
        Just("~".to_owned()),
        Just("C:".to_owned()),
        "[a-zA-Z0-9._-]{1,8}",
        "\\PC{0,6}",
        any::<String>(),
    ];
    let name = (prop::collection::vec(part, 1..6), prop::sample::select(vec!["/", "\\", "//", "%2f"]))
        .prop_map(|(parts, separator)| parts.join(separator));
    prop::collection::vec(name, 1..8)
}

proptest! {
    /// Invariant: no path that passes the check leaves the folder it is joined to, and no two share a place on a disk
    /// that ignores case.
    #[test]
    fn no_accepted_path_leaves_the_staging_folder(names in names()) {
        let files = names.iter().map(|name| file(name, 1)).collect();
        let Ok(listing) = Listing::check(files, &Limits::default()) else { return Ok(()) };
        let mut places = std::collections::HashSet::new();
        for file in listing.files() {
            let normal = FsPath::new(&file.name).components().all(|part| matches!(part, Component::Normal(_)));
            prop_assert!(normal && FsPath::new("/staging").join(&file.name).starts_with("/staging"));
            prop_assert!(file.name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '));
            prop_assert!(places.insert(file.name.to_ascii_lowercase()));
        }
    }
}
