//! The list in CycloneDX's JSON. Pure: the same crates give the same bytes, so there is no date and no serial number.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::tree::{Crate, Crates, Known};

/// What the crates are linked into.
const PROGRAM: &str = "sluice";

/// The document; `checksums` are of the crates that come from a registry.
pub(super) fn document(crates: &Crates, checksums: &BTreeMap<Crate, String>) -> Value {
    let reference = |it: &Crate| reference(it, &crates.top, checksums);
    let others = || crates.all.iter().filter(|(it, _)| **it != crates.top);
    let components: Vec<Value> = others().map(|(it, known)| component(it, known, &reference(it), checksums)).collect();
    let dependencies: Vec<Value> = crates
        .all
        .iter()
        .map(|(it, known)| {
            let needs: Vec<String> = known.needs.iter().map(reference).collect();
            json!({ "ref": reference(it), "dependsOn": needs })
        })
        .collect();
    let licence = crates.all.get(&crates.top).map(|top| top.licence.as_str()).unwrap_or_default();
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": reference(&crates.top),
                "name": PROGRAM,
                "version": crates.top.version,
                "licenses": [{ "expression": licence }],
            },
        },
        "components": components,
        "dependencies": dependencies,
    })
}

fn component(it: &Crate, known: &Known, reference: &str, checksums: &BTreeMap<Crate, String>) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": reference,
        "name": it.name,
        "version": it.version,
    });
    if !known.licence.is_empty() {
        component["licenses"] = json!([{ "expression": known.licence }]);
    }
    if let Some(checksum) = checksums.get(it) {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
        component["purl"] = json!(reference);
    }
    component
}

/// What the document calls a crate: its address in the registry. A crate of this repository has none, since a crate of
/// the same name in the registry is somebody else's.
fn reference(it: &Crate, top: &Crate, checksums: &BTreeMap<Crate, String>) -> String {
    let Crate { name, version } = it;
    if it == top {
        return format!("{PROGRAM}@{version}");
    }
    if checksums.contains_key(it) {
        format!("pkg:cargo/{name}@{version}")
    } else {
        format!("{PROGRAM}/{name}@{version}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;

    fn written() -> Value {
        let text = "0server v0.1.0 (/src)|Apache-2.0\n1config v0.1.0 (/src/config)|Apache-2.0\n2url v2.5.0|MIT\n";
        let url = Crate { name: "url".to_owned(), version: "2.5.0".to_owned() };
        document(&tree::parse(text).unwrap(), &BTreeMap::from([(url, "00ff".to_owned())]))
    }

    #[test]
    fn it_is_about_the_program() {
        let about = &written()["metadata"]["component"];
        assert_eq!((&about["name"], &about["version"]), (&json!("sluice"), &json!("0.1.0")));
        assert_eq!(about["licenses"], json!([{ "expression": "Apache-2.0" }]));
    }

    #[test]
    fn a_crate_of_the_registry_has_an_address_and_a_digest_and_one_of_ours_has_neither() {
        let components = &written()["components"];
        assert_eq!(
            components[1],
            json!({
                "type": "library", "bom-ref": "pkg:cargo/url@2.5.0", "name": "url", "version": "2.5.0",
                "licenses": [{ "expression": "MIT" }],
                "hashes": [{ "alg": "SHA-256", "content": "00ff" }],
                "purl": "pkg:cargo/url@2.5.0",
            })
        );
        assert_eq!(components[0]["name"], "config");
        assert_eq!((components[0].get("purl"), components[0].get("hashes")), (None, None));
        assert_eq!(components.as_array().unwrap().len(), 2);
    }

    #[test]
    fn who_needs_whom_is_told() {
        assert_eq!(
            written()["dependencies"],
            json!([
                { "ref": "sluice/config@0.1.0", "dependsOn": ["pkg:cargo/url@2.5.0"] },
                { "ref": "sluice@0.1.0", "dependsOn": ["sluice/config@0.1.0"] },
                { "ref": "pkg:cargo/url@2.5.0", "dependsOn": [] },
            ])
        );
    }
}
