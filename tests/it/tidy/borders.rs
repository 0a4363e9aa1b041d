//! Which part of the tree may name which library.

use super::lexemes::{Path, paths, production};
use super::tree::{Source, Tree, Violation};

/// A library that is used in one place, so that the rest need not change with it.
struct Border {
    /// Paths that start with one of these are judged.
    names: &'static [&'static str],
    /// Files judged: those whose path starts with one of these.
    within: &'static [&'static str],
    /// Files that may: those whose path starts with one of these.
    only: &'static [&'static str],
    /// Test code may, too.
    tests_may: bool,
    /// Why the border is there.
    reason: &'static str,
}

const BORDERS: &[Border] = &[
    Border {
        names: &["axum", "tonic", "tonic_health", "tonic_reflection"],
        within: &["server/src/"],
        only: &["server/src/front/", "server/src/app.rs", "server/src/cli/", "server/src/telemetry/"],
        tests_may: false,
        reason: "the request path is protocol-free: wire types are converted in server/src/front",
    },
    Border {
        names: &["tokio", "notify", "axum", "tonic", "hyper", "reqwest", "object_store"],
        within: &["models/", "kernels/"],
        only: &[],
        tests_may: false,
        reason: "models and kernels compute: they wait for nothing and reach nothing",
    },
    Border {
        names: &["std::fs", "std::net", "std::path", "std::env"],
        within: &["models/src/"],
        only: &[],
        tests_may: true,
        reason: "models get named bytes: where those come from is the store's business",
    },
    Border {
        names: &["arc_swap"],
        within: &[""],
        only: &["server/src/route/"],
        tests_may: false,
        reason: "facts that change together are in one snapshot, the routing table",
    },
    Border {
        names: &["kube", "k8s_openapi"],
        within: &[""],
        only: &["server/src/cluster/"],
        tests_may: false,
        reason: "a server that is in no cluster is the same server: one part knows the Kubernetes API",
    },
    Border {
        names: &["notify"],
        within: &[""],
        only: &["config/src/watch"],
        tests_may: false,
        reason: "how the mounted file is watched is known in one place",
    },
];

/// Where `unsafe` may be written: what runs on a device, what stands in for its driver, and what asks a real one.
const UNSAFE_ONLY: &[&str] = &["kernels/", "tests/cuda-standin/"];

/// Every [`Border`] is kept.
pub(super) fn within_borders(tree: &Tree) -> Vec<Violation> {
    BORDERS.iter().flat_map(|border| tree.sources.iter().flat_map(|source| crossings(border, source))).collect()
}

/// `unsafe` is written only where every block is argued for.
pub(super) fn unsafe_where_argued(tree: &Tree) -> Vec<Violation> {
    let judged = tree.sources.iter().filter(|source| !starts_with_any(&source.path, UNSAFE_ONLY));
    judged
        .flat_map(|source| {
            let blocks = source.lexemes.iter().filter(|lexeme| lexeme.is_word("unsafe"));
            blocks.map(|lexeme| {
                source.violation(lexeme.line, "`unsafe` may be written in kernels and for the stand-in driver only")
            })
        })
        .collect()
}

fn crossings(border: &Border, source: &Source) -> Vec<Violation> {
    let judged = starts_with_any(&source.path, border.within) && !starts_with_any(&source.path, border.only);
    if !judged || (border.tests_may && is_test_file(&source.path)) {
        return Vec::new();
    }
    let named = if border.tests_may { paths(&production(&source.lexemes)) } else { paths(&source.lexemes) };
    named
        .iter()
        .filter_map(|path| {
            let name = border.names.iter().find(|name| names(path, name))?;
            Some(source.violation(path.line, format!("`{name}` may not be used here: {}", border.reason)))
        })
        .collect()
}

/// Whether `path` leads into the library or module `name`. A single word in code is a variable of that name.
fn names(path: &Path, name: &str) -> bool {
    let wanted: Vec<&str> = name.split("::").collect();
    let leads = path.segments.len() >= wanted.len() && path.segments.iter().zip(&wanted).all(|(a, b)| a == b);
    leads && (path.imported || path.segments.len() > 1)
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("tests.rs") || path.contains("/tests/")
}

fn starts_with_any(path: &str, starts: &[&str]) -> bool {
    starts.iter().any(|start| path.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, text: &str, expected: usize) {
        let found = within_borders(&Tree::of(&[(path, text)]));
        assert_eq!(found.len(), expected, "{path}: {text}: {found:?}");
    }

    #[test]
    fn a_crossing_fires() {
        check("server/src/infer.rs", "use axum::Json;", 1);
        check("server/src/batch/worker.rs", "fn f(s: tonic::Status) {}", 1);
        check("models/src/plan/mod.rs", "use {std::sync::Arc, tokio::sync};", 1);
        check("kernels/src/gemm/mod.rs", "fn f() { tokio::spawn(async {}); }", 1);
        check("models/src/onnx/mod.rs", "use std::{fs, sync::Arc};", 1);
        check("server/src/rollout/reconcile.rs", "use arc_swap::ArcSwap;", 1);
        check("server/src/store/pull.rs", "fn f() -> notify::Result<()> {}", 1);
        check("server/src/rollout/mod.rs", "use notify;", 1);
        check("server/src/app.rs", "fn f(client: kube::Client) {}", 1);
    }

    #[test]
    fn what_is_inside_passes() {
        check("server/src/front/http.rs", "use axum::Json;", 0);
        check("server/src/app.rs", "use tonic::transport::Server;", 0);
        check("server/src/route/table.rs", "use arc_swap::ArcSwap;", 0);
        check("config/src/watch.rs", "use notify::Watcher;", 0);
        check("config/src/watch/mount.rs", "use notify::Watcher;", 0);
        check("tests/it/infer.rs", "use tonic::Request;", 0);
    }

    #[test]
    fn a_word_is_not_a_library() {
        check("server/src/infer.rs", "//! Knows no axum::Json.\nfn f(notify: u8) { g(notify, \"use axum::Json\") }", 0);
    }

    #[test]
    fn tests_of_models_may_read_files() {
        check("models/src/onnx/mod.rs", "#[cfg(test)]\nmod tests { use std::fs; }", 0);
        check("models/src/onnx/tests.rs", "use std::fs;", 0);
    }

    #[test]
    fn unsafe_elsewhere_fires() {
        let text = "#![forbid(unsafe_code)]\n// unsafe\nfn f() { unsafe { g() } }";
        let files =
            ["server/src/device.rs", "tests/it/serving.rs", "kernels/src/cuda.rs", "tests/cuda-standin/src/lib.rs"];
        let found = unsafe_where_argued(&Tree::of(&files.map(|path| (path, text))));
        let places: Vec<(&str, usize)> = found.iter().map(|it| (it.path.as_str(), it.line)).collect();
        assert_eq!(places, [("server/src/device.rs", 3), ("tests/it/serving.rs", 3)]);
    }
}
