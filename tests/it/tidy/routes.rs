//! Routers are made from the table of routes and from nothing else, so that no path lacks its group.

use super::lexemes::{Kind, production};
use super::tree::{Tree, Violation};

/// What adds a path to a router.
const ADDS: &[&str] = &["route", "route_service", "nest", "nest_service", "fallback_service"];
/// Where it may.
const TABLE: &str = "server/src/front/routes.rs";

/// No front end adds a path of its own.
pub(super) fn only_in_the_table(tree: &Tree) -> Vec<Violation> {
    let front = |path: &str| path.starts_with("server/src/front/") && path != TABLE;
    let judged = tree.sources.iter().filter(|source| front(&source.path) && !is_test_file(&source.path));
    let calls = judged.flat_map(|source| {
        let lexemes = production(&source.lexemes);
        let lines = lexemes.windows(3).filter_map(|window| match window {
            [dot, name, open] if dot.kind == Kind::Mark('.') && open.kind == Kind::Open('(') => {
                name.word().filter(|name| ADDS.contains(name)).map(|_| name.line)
            }
            _ => None,
        });
        let lines: Vec<usize> = lines.collect();
        lines.into_iter().map(|line| source.violation(line, format!("a path has its row in {TABLE}, with its group")))
    });
    calls.collect()
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("tests.rs") || path.contains("/tests/")
}

#[test]
fn a_path_of_its_own_fires() {
    let text = "//! .route(x)\nfn f() { Router::new()\n.route(\"/\", get(x))\n.nest(\"/a\", y)\n.fallback_service(z) }";
    let files = [
        ("server/src/front/http/mod.rs", text),
        (TABLE, text),
        ("server/src/front/listen/tests.rs", text),
        ("tests/it/x.rs", text),
        ("server/src/front/admin/mod.rs", "#[cfg(test)] mod tests { fn f() { x.route(y) } }"),
        ("server/src/front/grpc/mod.rs", "fn f() { routes::grpc(path); route(x) }"),
    ];
    let found = only_in_the_table(&Tree::of(&files));
    let places: Vec<_> = found.iter().map(|it| (it.path.as_str(), it.line)).collect();
    assert_eq!(places, [3, 4, 5].map(|line| ("server/src/front/http/mod.rs", line)));
}
