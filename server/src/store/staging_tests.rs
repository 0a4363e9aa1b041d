use object_store::path::Path as ObjectPath;

use super::super::listing::{Limits, RemoteFile};
use super::*;

const A: &[u8] = b"the weights of the model";
const B: &[u8] = b"";

fn listing() -> Listing {
    let file = |name: &str, content: &[u8]| RemoteFile {
        name: name.to_owned(),
        location: ObjectPath::from(name),
        size: content.len() as u64,
        tag: None,
        modified_ms: 0,
        sha256: None,
    };
    Listing::check(vec![file("data/a", A), file("b", B)], &Limits::default()).unwrap()
}

/// Index of `data/a`; `b` sorts before it.
const INDEX: usize = 1;

fn open(folder: &Path) -> Staging {
    Staging::open(folder.to_path_buf(), "file:///m", &listing(), Box::new(())).unwrap()
}

#[test]
fn parts_become_files_with_their_hashes() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("s");
    let mut staging = open(&folder);
    assert!(staging.hashed().is_err(), "one file is not whole");
    staging.append(INDEX, &A[..10]).unwrap();
    staging.append(INDEX, &A[10..]).unwrap();
    let hashed = staging.hashed().unwrap();
    assert_eq!(hashed[INDEX].sha256, Sha256::of(A));
    assert_eq!(hashed[0].sha256, Sha256::of(B));
    staging.finish().unwrap();
    assert_eq!(fs::read(folder.join("files/data/a")).unwrap(), A);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "only the files are left");
}

#[test]
fn a_new_process_resumes_where_the_old_one_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("s");
    open(&folder).append(INDEX, &A[..10]).unwrap();
    let mut staging = open(&folder);
    assert_eq!((staging.written(INDEX), staging.total_written()), (10, 10));
    staging.append(INDEX, &A[10..]).unwrap();
    assert_eq!(staging.hashed().unwrap()[INDEX].sha256, Sha256::of(A));
    drop(staging);
    assert_eq!(open(&folder).hashed().unwrap()[INDEX].sha256, Sha256::of(A), "a whole file resumes too");
}

/// Writes two parts, lets `damage` at the folder, and returns how much a resume keeps.
fn kept_after(damage: impl FnOnce(&Path)) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("s");
    let mut staging = open(&folder);
    staging.append(INDEX, &A[..10]).unwrap();
    staging.append(INDEX, &A[10..15]).unwrap();
    drop(staging);
    damage(&folder);
    let mut staging = open(&folder);
    let kept = staging.written(INDEX);
    // Whatever was kept, the file can be completed and comes out right.
    staging.append(INDEX, &A[usize::try_from(kept).unwrap()..]).unwrap();
    assert_eq!(staging.hashed().unwrap()[INDEX].sha256, Sha256::of(A));
    assert_eq!(fs::read(folder.join("files/data/a")).unwrap(), A);
    kept
}

#[test]
fn what_a_crash_tore_is_downloaded_again() {
    let data = |folder: &Path| folder.join("files/data/a");
    let journal = |folder: &Path| folder.join(JOURNAL_NAME);
    let edit = |path: PathBuf, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    };
    assert_eq!(kept_after(|_| {}), 15);
    assert_eq!(kept_after(|folder| edit(data(folder), &|bytes| bytes[12] ^= 1)), 10, "a changed byte");
    assert_eq!(kept_after(|folder| edit(data(folder), &|bytes| bytes[3] ^= 1)), 0, "a changed byte at the start");
    assert_eq!(kept_after(|folder| edit(data(folder), &|bytes| bytes.truncate(13))), 10, "a short file");
    assert_eq!(kept_after(|folder| edit(data(folder), &|bytes| bytes.extend(b"zz"))), 15, "bytes without a line");
    assert_eq!(kept_after(|folder| edit(journal(folder), &|bytes| bytes.truncate(bytes.len() - 1))), 10, "a torn line");
    assert_eq!(kept_after(|folder| edit(journal(folder), &|bytes| bytes[0] = b'x')), 0, "a line of noise");
    assert_eq!(kept_after(|folder| fs::remove_file(journal(folder)).unwrap()), 0, "no journal");
    assert_eq!(kept_after(|folder| fs::remove_file(folder.join(PLAN_NAME)).unwrap()), 0, "no plan");
    assert_eq!(kept_after(|folder| fs::remove_file(data(folder)).unwrap()), 0, "no file");
}
