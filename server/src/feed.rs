//! From watched values files to what the reconciler should reach.
//!
//! [`merge`] is pure: several sources, each with files of which some may be broken, become one set of models. The task
//! only waits for changes.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::{FileError, FileState, Observed};
use tokio::sync::watch;

use crate::rollout::{DesiredModel, DesiredModels};

/// What all sources together ask for. A model named by two files is served as the first file (by path) says; a file
/// that is gone says something only where no file that is there names its model, so that a renamed file is followed.
#[must_use]
pub fn merge<'a>(sources: impl IntoIterator<Item = &'a Observed>) -> DesiredModels {
    let mut desired = DesiredModels::default();
    let mut files = Vec::new();
    for source in sources {
        desired.problems.extend(source.error.clone());
        desired.notes.extend(source.notes.iter().cloned());
        files.extend(&source.files);
    }
    // Stable: files that are there keep their order among each other.
    files.sort_by_key(|(_, file)| is_gone(file));
    let mut owners = BTreeMap::new();
    let mut revisions = BTreeSet::new();
    for (path, file) in files {
        let problem = file.error.as_ref().map(ToString::to_string);
        let revision = file.revision.map(|revision| revision.to_string());
        let Some(parsed) = &file.last_good else {
            desired.problems.extend(problem);
            revisions.extend(revision);
            continue;
        };
        let name = parsed.values.model.name.clone();
        match desired.models.entry(name.clone()) {
            Entry::Occupied(_) if is_gone(file) => continue,
            Entry::Occupied(_) => desired.problems.push(format!(
                "{path}: model.name: `{name}` is declared by {} already; give each model one file",
                owners[&name]
            )),
            Entry::Vacant(vacant) => {
                let values = Arc::new(parsed.values.clone());
                vacant.insert(DesiredModel { values, revision: parsed.digest.to_string(), problem });
                owners.insert(name, path);
            }
        }
        revisions.extend(revision);
    }
    desired.revisions = revisions.into_iter().collect();
    desired
}

fn is_gone(file: &FileState) -> bool {
    file.error == Some(FileError::Gone)
}

/// Merges the sources at every change, until the reconciler or all watches are gone.
pub async fn run(mut sources: Vec<watch::Receiver<Arc<Observed>>>, desired: watch::Sender<Arc<DesiredModels>>) {
    let mut told = BTreeSet::new();
    loop {
        let now: Vec<Arc<Observed>> =
            sources.iter_mut().map(|source| Arc::clone(&source.borrow_and_update())).collect();
        if now.iter().all(|observed| observed.reads > 0) {
            let merged = merge(now.iter().map(AsRef::as_ref));
            let complaints = complaints(now.iter().map(AsRef::as_ref), &merged);
            for Complaint { about, text } in complaints.difference(&told) {
                tracing::warn!(problem = text, "{about}");
            }
            told = complaints;
            desired.send_replace(Arc::new(merged));
        }
        let changes = sources.iter_mut().map(|source| Box::pin(source.changed()));
        tokio::select! {
            (changed, _, _) = futures::future::select_all(changes) => if changed.is_err() { return },
            () = desired.closed() => return,
        }
    }
}

/// Something that the log says once, when it appears or changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Complaint {
    about: String,
    text: String,
}

/// Everything that is wrong or odd now. What `merged` adds is about no single file: a source that cannot be read, or
/// two files of one model.
fn complaints<'a>(sources: impl IntoIterator<Item = &'a Observed>, merged: &DesiredModels) -> BTreeSet<Complaint> {
    let mut complaints = BTreeSet::new();
    let mut of_files = BTreeSet::new();
    let mut add = |about: String, text| complaints.insert(Complaint { about, text });
    for source in sources {
        for note in &source.notes {
            add("about the values source".to_owned(), note.clone());
        }
        for (path, file) in &source.files {
            if let Some(error) = &file.error {
                of_files.insert(error.to_string());
                // What is wrong inside a file has its path already.
                let text =
                    if matches!(error, FileError::Invalid(_)) { error.to_string() } else { format!("{path}: {error}") };
                let kept = if file.last_good.is_some() { ", the last good one stays in force" } else { "" };
                add(format!("values file is refused{kept}"), text);
            }
            for warning in file.last_good.iter().flat_map(|parsed| &parsed.warnings) {
                add("about the values file".to_owned(), warning.to_string());
            }
        }
    }
    for problem in merged.problems.iter().filter(|problem| !of_files.contains(*problem)) {
        add("values are not usable".to_owned(), problem.clone());
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(model: &str, error: Option<&str>) -> FileState {
        version(model, "v1", error)
    }

    fn version(model: &str, version: &str, error: Option<&str>) -> FileState {
        let text = format!(
            "schemaVersion: v1alpha1\nmodel: {{name: {model}, version: {version}, storageUri: \"file:///m\"}}\n"
        );
        let parsed = Arc::new(config::parse("values.yaml", &text).expect("valid values"));
        FileState {
            revision: Some(parsed.digest),
            last_good: Some(parsed),
            error: error.map(|error| FileError::Read(error.to_owned())),
        }
    }

    fn source(files: &[(&str, FileState)]) -> Observed {
        let files = files.iter().map(|(path, file)| ((*path).to_owned(), file.clone())).collect();
        Observed { files, reads: 1, ..Observed::default() }
    }

    #[test]
    fn each_file_is_a_model_and_a_broken_one_keeps_its_last_good_state() {
        let desired = merge([&source(&[("a.yaml", file("a", None)), ("b.yaml", file("b", Some("half written")))])]);
        let problems: Vec<_> =
            desired.models.iter().map(|(name, model)| (name.as_str(), model.problem.as_deref())).collect();
        assert_eq!(problems, [("a", None), ("b", Some("half written"))]);
        assert!(desired.problems.is_empty());
    }

    #[test]
    fn a_file_that_was_never_good_is_a_problem_and_no_model() {
        let never = FileState { last_good: None, ..file("a", Some("not YAML")) };
        let desired = merge([&source(&[("a.yaml", never)])]);
        assert!(desired.models.is_empty());
        assert_eq!(desired.problems, ["not YAML"]);
    }

    #[test]
    fn the_revision_of_a_file_is_that_of_its_last_content_in_force_or_not() {
        let text = |content: &str| config::content_digest(content.as_bytes());
        let read = |name, revision| {
            let state = FileState { revision: Some(text(revision)), ..file(name, Some("not valid")) };
            merge([&source(&[("a.yaml", state)])]).revisions
        };
        assert_eq!(read("a", "refused"), [text("refused").to_string()]);
        let never = FileState { last_good: None, revision: Some(text("x")), error: None };
        assert_eq!(merge([&source(&[("a.yaml", never)])]).revisions, [text("x").to_string()]);
        let both = [("a.yaml", version("m", "v1", None)), ("b.yaml", version("n", "v1", None))];
        let mut revisions: Vec<String> = both.iter().map(|(_, file)| file.revision.unwrap().to_string()).collect();
        revisions.sort();
        assert_eq!(merge([&source(&both)]).revisions, revisions);
        // A file that was renamed is read under its new name.
        let gone = FileState { error: Some(FileError::Gone), ..version("m", "v1", None) };
        let renamed = merge([&source(&[("a.yaml", gone), ("b.yaml", version("m", "v2", None))])]);
        assert_eq!(renamed.revisions, [version("m", "v2", None).revision.unwrap().to_string()]);
    }

    #[test]
    fn a_file_that_is_gone_gives_way_to_one_that_is_there() {
        let gone = |model| FileState { error: Some(FileError::Gone), ..file(model, None) };
        let newer = version("m", "v2", None);
        // Renamed, in one folder or from one to another.
        let in_one = [source(&[("a.yaml", gone("m")), ("b.yaml", newer.clone())])];
        let in_two = [source(&[("a.yaml", gone("m"))]), source(&[("b.yaml", newer)])];
        for sources in [&in_one[..], &in_two[..]] {
            let desired = merge(sources);
            let [(_, model)] = desired.models.iter().collect::<Vec<_>>()[..] else { panic!("{desired:?}") };
            assert_eq!((model.values.model.target.version.as_str(), &model.problem), ("v2", &None));
            assert!(desired.problems.is_empty(), "{:?}", desired.problems);
        }
        // Nothing took its place.
        let desired = merge([&source(&[("a.yaml", gone("m"))])]);
        let problems: Vec<_> = desired.models.values().map(|model| model.problem.as_deref()).collect();
        assert_eq!(problems, [Some("the file is gone")]);
    }

    #[test]
    fn what_is_wrong_with_a_mount_is_passed_on_beside_what_it_holds() {
        let stuck = Observed { notes: vec!["never updates".to_owned()], ..source(&[("a.yaml", file("a", None))]) };
        let desired = merge([&stuck]);
        assert_eq!((desired.models.len(), &desired.notes[..]), (1, &["never updates".to_owned()][..]));
        assert!(desired.problems.is_empty(), "a note removes nothing and keeps nothing");
    }

    #[test]
    fn a_model_declared_twice_is_served_as_the_first_file_says() {
        let desired = merge([&source(&[("a.yaml", file("m", None)), ("b.yaml", file("m", None))])]);
        assert_eq!(desired.models.len(), 1);
        assert_eq!(
            desired.problems,
            ["b.yaml: model.name: `m` is declared by a.yaml already; give each model one file"]
        );
    }

    #[test]
    fn the_log_says_what_is_wrong_once_for_a_file_and_once_for_the_whole() {
        let told = |sources: &[Observed]| {
            let complaints = complaints(sources, &merge(sources));
            complaints.into_iter().map(|complaint| complaint.about + " | " + &complaint.text).collect::<Vec<_>>()
        };
        let missing =
            Observed { error: Some("cannot read nope.yaml: not found".to_owned()), reads: 1, ..Observed::default() };
        assert_eq!(told(&[missing]), ["values are not usable | cannot read nope.yaml: not found"]);
        let twice = source(&[("a.yaml", file("m", None)), ("b.yaml", file("m", None))]);
        let both = "b.yaml: model.name: `m` is declared by a.yaml already; give each model one file";
        assert_eq!(told(&[twice]), [format!("values are not usable | {both}")]);
        // A file that was never good is a problem of the whole too, and is told as a file.
        let never = FileState { last_good: None, ..file("a", Some("is a directory")) };
        let kept = file("b", Some("is a directory"));
        assert_eq!(
            told(&[source(&[("a.yaml", never), ("b.yaml", kept)])]),
            [
                "values file is refused | a.yaml: is a directory",
                "values file is refused, the last good one stays in force | b.yaml: is a directory",
            ]
        );
        assert_eq!(told(&[source(&[("a.yaml", file("a", None))])]), [""; 0]);
    }
}
