use std::time::{Duration, UNIX_EPOCH};

use super::super::testing::{at_one_place, digest, model, spec, unpinned};
use super::*;

fn release(n: u8) -> Release {
    Release { spec: spec(n), digest: digest(n) }
}

fn rejection(spec: VersionSpec, digest: Option<Digest>, retry: u64) -> Rejection {
    let at = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    Rejection { target: Target { spec, retry }, digest, reason: "nan-share failed".to_owned(), at }
}

#[test]
fn a_rejection_holds_for_the_bytes_and_for_the_place_until_retry_changes() {
    let mut memory = Memory::default();
    memory.reject(rejection(unpinned(2), Some(digest(2)), 0));
    let rejected = |spec, retry, resolved| memory.rejection(&Target { spec, retry }, resolved).is_some();
    assert!(rejected(unpinned(2), 0, None), "same place");
    assert!(rejected(spec(2), 0, None), "same bytes, now pinned");
    assert!(rejected(unpinned(3), 0, Some(digest(2))), "same bytes at another place, once known");
    assert!(!rejected(unpinned(2), 1, None), "retry was bumped");
    assert!(!rejected(unpinned(3), 0, None));
}

#[test]
fn a_place_that_holds_one_version_after_the_other_condemns_none_for_another() {
    let mut memory = Memory::default();
    memory.reject(rejection(at_one_place(2), None, 0));
    memory.promote(Release { spec: at_one_place(1), digest: digest(1) });
    let rejected = |n| memory.rejection(&Target { spec: at_one_place(n), retry: 0 }, None).is_some();
    assert_eq!([1, 2, 3].map(rejected), [false, true, false]);
    let resolved = [1, 2, 3].map(|n| memory.resolve(&at_one_place(n)));
    assert_eq!(resolved, [Some(digest(1)), None, None]);
    assert_eq!([1, 2].map(|n| memory.recently_promoted(&at_one_place(n), 3).is_some()), [true, false]);
}

#[test]
fn correcting_a_wrong_pin_is_not_held_back() {
    let mut memory = Memory::default();
    let wrong = VersionSpec { digest: Some(digest(9)), ..spec(2) };
    memory.reject(rejection(wrong, Some(digest(9)), 0));
    assert!(memory.rejection(&Target { spec: spec(2), retry: 0 }, None).is_none());
}

#[test]
fn the_window_counts_the_promotions_before_the_last() {
    let mut memory = Memory::default();
    (1..=4).for_each(|n| memory.promote(release(n)));
    for (window, expect) in [(0, [4].as_slice()), (1, &[4, 3]), (2, &[4, 3, 2]), (u32::MAX, &[4, 3, 2, 1])] {
        let inside: Vec<u8> = (1..=4).rev().filter(|n| memory.recently_promoted(&spec(*n), window).is_some()).collect();
        assert_eq!(inside, expect, "window {window}");
    }
}

#[test]
fn memory_is_bounded() {
    let mut memory = Memory::default();
    for n in 0..=255 {
        memory.promote(release(n));
        memory.reject(Rejection { reason: "é".repeat(1_000), ..rejection(spec(n ^ 0x80), None, 0) });
    }
    assert_eq!((memory.promoted().len(), memory.rejected().len()), (PROMOTED_MAX, REJECTED_MAX));
    assert!(memory.rejected().iter().all(|rejection| rejection.reason.len() <= REASON_MAX));
}

#[test]
fn what_is_saved_is_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let files = MemoryDir::new(dir.path().join("rollout"));
    assert_eq!(files.load(&model()), Memory::default(), "no file is no memory");

    let mut memory = Memory::default();
    memory.promote(release(1));
    memory.reject(rejection(unpinned(2), Some(digest(2)), 7));
    memory.reject(rejection(unpinned(3), None, 0));
    files.save(&model(), &memory).unwrap();
    files.save(&model(), &memory).unwrap();
    assert_eq!(files.load(&model()), memory);
}

#[test]
fn the_newest_promotion_of_every_model_is_found_without_knowing_the_models() {
    let dir = tempfile::tempdir().unwrap();
    let files = MemoryDir::new(dir.path().join("rollout"));
    assert!(files.last_known_good().is_empty());
    let mut memory = Memory::default();
    (1..=2).for_each(|n| memory.promote(release(n)));
    files.save(&model(), &memory).unwrap();
    std::fs::write(dir.path().join("rollout/broken.json"), "{").unwrap();
    assert_eq!(files.last_known_good().into_iter().collect::<Vec<_>>(), [(model().to_string(), digest(2))]);
}

#[test]
fn an_unreadable_file_is_kept_aside_and_counts_as_none() {
    let dir = tempfile::tempdir().unwrap();
    let files = MemoryDir::new(dir.path().to_owned());
    let path = dir.path().join(format!("{}.json", model()));
    let large = " ".repeat(2 << 20);
    let newer = r#"{"formatVersion":2,"model":"fraud","promoted":[],"rejected":[]}"#;
    let other = r#"{"formatVersion":1,"model":"other","promoted":[],"rejected":[]}"#;
    let digest = r#"{"formatVersion":1,"model":"fraud","promoted":[{"version":"v1","digest":"md5:0","uri":"file:///m"}],"rejected":[]}"#;
    for text in ["", "{", newer, other, digest, &large, "\u{0}\u{0}"] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(files.load(&model()), Memory::default());
        assert!(!path.exists(), "{text:?} would be read again");
        assert_eq!(std::fs::read_to_string(path.with_extension("json.unreadable")).unwrap(), text);
    }
}
