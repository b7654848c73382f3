//! Every dependency comes under a licence that `deny.toml` allows; checked offline.
#![allow(clippy::unwrap_used, missing_docs)]

use std::process::Command;

use serde_json::Value;

#[test]
fn every_dependency_has_an_allowed_licence() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let deny = std::fs::read_to_string(format!("{root}/deny.toml")).unwrap();
    let list = deny
        .split_once("allow = [")
        .unwrap()
        .1
        .split_once(']')
        .unwrap()
        .0;
    let allowed: Vec<&str> = list
        .split(',')
        .map(|l| l.trim().trim_matches('"'))
        .collect();

    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    // Only this platform's packages: the build has fetched those, so no network is needed.
    let version = Command::new("rustc").arg("-vV").output().unwrap().stdout;
    let version = String::from_utf8(version).unwrap();
    let host = version.lines().find_map(|l| l.strip_prefix("host: "));
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", host.unwrap()])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut refused = Vec::new();
    let packages = metadata["packages"].as_array().unwrap();
    for package in packages {
        let licence = package["license"].as_str().unwrap_or("none given");
        // SPDX expressions, and the older `A/B` for `A OR B`.
        let expression = licence.replace('/', " OR ").replace(['(', ')'], " ");
        // "+": that version or a later one, as one likes.
        let is_allowed = |one: &str| allowed.contains(&one.trim().trim_end_matches('+'));
        let any = |all: &str| all.split(" AND ").all(is_allowed);
        let conjunctions = licence.contains(") AND") || licence.contains("AND (");
        let fine = if conjunctions {
            // (A OR B) AND C: each part needs one allowed alternative.
            expression
                .split(" AND ")
                .all(|part| part.split(" OR ").any(is_allowed))
        } else {
            expression.split(" OR ").any(any)
        };
        if !fine {
            refused.push(format!(
                "{} {}: {licence}",
                package["name"], package["version"]
            ));
        }
    }
    println!("{} packages", packages.len());
    assert!(
        refused.is_empty(),
        "licences not allowed by deny.toml: {refused:#?}"
    );
}
