//! Rules about the source itself that neither the compiler nor clippy can hold: who may use what, and how files look.
//!
//! A rule is a function from a [`Tree`] to its [`Violation`]s. Each is run on this repository, and each has a test in
//! its own file that it fires on a planted violation.

mod borders;
mod documents;
mod files;
mod lexemes;
mod manifests;
mod messages;
mod modules;
mod routes;
mod tree;

use std::sync::LazyLock;

use tree::{Tree, Violation};

static REPOSITORY: LazyLock<Tree> = LazyLock::new(|| Tree::read(&tree::root()));

#[track_caller]
fn assert_holds(rule: impl Fn(&Tree) -> Vec<Violation>) {
    let violations = rule(&REPOSITORY);
    let report: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(report.is_empty(), "{} to put right:\n{}", report.len(), report.join("\n"));
}

#[test]
fn the_repository_was_read() {
    for crate_folder in ["config", "models", "kernels", "server", "tests", "xtask"] {
        assert!(REPOSITORY.sources.iter().any(|source| source.path.starts_with(crate_folder)), "{crate_folder}");
    }
}

#[test]
fn crates_depend_one_way() {
    let violations = manifests::one_way(&manifests::packages());
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn each_library_stays_within_its_border() {
    assert_holds(borders::within_borders);
}

#[test]
fn every_path_is_in_the_table_of_routes() {
    assert_holds(routes::only_in_the_table);
}

#[test]
fn unsafe_stays_where_it_is_argued() {
    assert_holds(borders::unsafe_where_argued);
}

#[test]
fn every_file_is_a_module_of_some_crate() {
    let roots = manifests::targets();
    assert_holds(|tree| modules::all_declared(tree, &roots));
}

#[test]
fn every_module_says_what_it_owns() {
    assert_holds(files::open_with_documentation);
}

#[test]
fn files_hold_one_idea() {
    assert_holds(files::short);
}

#[test]
fn nothing_is_left_for_later() {
    assert_holds(messages::nothing_ignored_or_unfinished);
}

#[test]
fn messages_have_one_form() {
    assert_holds(messages::lower_case_without_full_stop);
}

#[test]
fn documents_name_what_exists() {
    assert_holds(|tree| documents::paths_exist(tree, &tree::root()));
}
