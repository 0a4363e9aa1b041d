//! Which crate may depend on which, read from cargo itself.

use std::process::Command;

use serde_json::Value;

use super::tree::root;

/// A crate of this repository and what its manifest names, build and test dependencies included.
pub(super) struct Package {
    pub(super) name: String,
    pub(super) dependencies: Vec<String>,
}

/// One row for each crate, lowest first: what it may use of the house, and what it must never reach.
struct Layer {
    name: &'static str,
    may_use: &'static [&'static str],
    never: &'static [&'static str],
}

const NETWORK: &[&str] = &["axum", "tonic", "hyper", "reqwest", "object_store", "tower"];
const WAITING: &[&str] = &["tokio", "notify", "axum", "tonic", "hyper", "reqwest", "object_store", "tower"];

const LAYERS: &[Layer] = &[
    Layer { name: "cuda-lazy", may_use: &[], never: WAITING },
    Layer { name: "kernels", may_use: &["cuda-lazy"], never: WAITING },
    Layer { name: "models", may_use: &["kernels"], never: WAITING },
    Layer { name: "config", may_use: &[], never: NETWORK },
    Layer { name: "server", may_use: &["config", "models"], never: &[] },
    Layer { name: "benches", may_use: &["config", "kernels", "models", "server", "tests"], never: &[] },
    Layer { name: "tests", may_use: &["config", "kernels", "models", "server"], never: &[] },
    Layer { name: "cuda-standin", may_use: &[], never: WAITING },
    Layer { name: "xtask", may_use: &[], never: &["tokio"] },
    Layer { name: "driver-facts", may_use: &[], never: WAITING },
];

/// Dependencies point one way, and config and models do not know each other.
pub(super) fn one_way(packages: &[Package]) -> Vec<String> {
    let house: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    packages
        .iter()
        .flat_map(|package| match LAYERS.iter().find(|layer| layer.name == package.name) {
            Some(layer) => wrong_edges(package, layer, &house),
            None => vec![format!("the crate {} has no row in {}: say what it may use", package.name, file!())],
        })
        .collect()
}

fn wrong_edges(package: &Package, layer: &Layer, house: &[&str]) -> Vec<String> {
    let wrong = |name: &str| (house.contains(&name) && !layer.may_use.contains(&name)) || layer.never.contains(&name);
    let edges = package.dependencies.iter().filter(|name| wrong(name));
    edges.map(|name| format!("{} may not depend on {name}", package.name)).collect()
}

/// The manifests of the workspaces: the root's, and of those that it excludes because they stand by themselves.
const WORKSPACES: &[&str] = &["Cargo.toml", "tests/cuda-standin/driver-facts/Cargo.toml"];

/// The crates of this repository.
pub(super) fn packages() -> Vec<Package> {
    let name = |value: &Value| value["name"].as_str().expect("cargo names it").to_owned();
    let read = |package: &Value| Package {
        name: name(package),
        dependencies: items(&package["dependencies"]).iter().map(name).collect(),
    };
    crates().iter().map(read).collect()
}

/// The root files of every crate, library, program, test and build script, relative to the repository.
pub(super) fn targets() -> Vec<String> {
    let root = root();
    crates()
        .iter()
        .flat_map(|package| items(&package["targets"]))
        .map(|target| {
            let path = std::path::Path::new(target["src_path"].as_str().expect("a target has a file"));
            let path = path.strip_prefix(&root).expect("a crate of ours lies in the repository");
            path.to_str().expect("paths of the repository are UTF-8").to_owned()
        })
        .collect()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().expect("cargo lists them")
}

/// What cargo says of every crate.
fn crates() -> Vec<Value> {
    WORKSPACES.iter().flat_map(|manifest| items(&metadata(manifest)["packages"]).to_vec()).collect()
}

/// `--no-deps` reads manifests only: no network, no lock file.
fn metadata(manifest: &str) -> Value {
    let cargo = std::env::var_os("CARGO").expect("cargo runs the tests");
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version=1", "--manifest-path", manifest])
        .current_dir(root())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[&str]) -> Package {
        Package { name: name.to_owned(), dependencies: dependencies.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn an_edge_the_wrong_way_fires() {
        let packages = [package("config", &["serde", "models"]), package("models", &["kernels", "tokio"])];
        assert_eq!(one_way(&packages), ["config may not depend on models", "models may not depend on tokio"]);
    }

    #[test]
    fn a_crate_without_a_row_fires() {
        let found = one_way(&[package("sidecar", &[])]);
        assert!(found[0].starts_with("the crate sidecar has no row"), "{found:?}");
    }
}
