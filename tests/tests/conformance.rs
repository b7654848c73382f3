//! `docs/conformance.md` names code and tests that exist, and none of the tests is ignored.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const STRENGTHS: &str = "MUST, MUST NOT, SHOULD, SHOULD NOT, RECOMMENDED, REQUIRED, step";
const ITEMS: &str = "fn struct enum trait const type mod";

/// Source files by their path from the top of the repository.
#[derive(Default)]
struct Sources(BTreeMap<String, String>);

impl Sources {
    fn get(&mut self, path: &str) -> Result<&str, String> {
        if !self.0.contains_key(path) {
            let top = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
            let text = std::fs::read_to_string(top.join(path)).map_err(|_| "no such file")?;
            self.0.insert(path.to_owned(), text);
        }
        Ok(&self.0[path])
    }
}

/// Whether `line` defines `name`: as an item, or as a field of a structure.
fn defines(line: &str, name: &str) -> bool {
    let words: Vec<&str> = line
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .collect();
    let is_item = words
        .windows(2)
        .any(|pair| ITEMS.split(' ').any(|item| item == pair[0]) && pair[1] == name);
    is_item && !line.trim_start().starts_with("//")
        || line.trim_start().starts_with(&format!("pub {name}: "))
}

/// What is wrong with the test `name` in `text`, if anything is.
fn check_test(text: &str, name: &str) -> Result<(), &'static str> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let at = lines
        .iter()
        .position(|line| !line.starts_with("//") && line.contains(&format!("fn {name}(")))
        .ok_or("no such function")?;
    // Attributes and comments right above it; in `proptest!` they look the same.
    let above = lines[..at].iter().rev();
    let above: Vec<_> = above
        .take_while(|line| line.starts_with("#[") || line.starts_with("//"))
        .collect();
    if above.iter().any(|line| line.starts_with("#[ignore")) {
        return Err("the test is ignored");
    }
    let is_test = |line: &str| line == "#[test]" || line.starts_with("#[tokio::test");
    match above.iter().any(|line| is_test(line)) {
        true => Ok(()),
        false => Err("not a test"),
    }
}

/// A row of a table, checked.
fn check_row(row: &str, ids: &mut BTreeSet<String>, sources: &mut Sources) -> Result<(), String> {
    let cells: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
    let &[id, section, requirement, strength, code, tests] = cells.as_slice() else {
        return Err(format!("{} cells", cells.len()));
    };
    let number = id.strip_prefix(['P', 'A']).unwrap_or_default();
    if number.parse::<u32>().is_err() || !ids.insert(id.to_owned()) {
        return Err("the id is not one, or not the only one".to_owned());
    }
    if section.is_empty() || requirement.is_empty() || !STRENGTHS.split(", ").any(|s| s == strength)
    {
        return Err("an empty cell, or an unknown strength".to_owned());
    }
    let names = |cell: &str| -> Result<Vec<(String, String)>, String> {
        let name = |name: &str| -> Option<(String, String)> {
            let (path, item) = name
                .strip_prefix('`')?
                .strip_suffix('`')?
                .split_once("::")?;
            Some((path.to_owned(), item.to_owned()))
        };
        let all: Option<Vec<_>> = cell.split(", ").map(name).collect();
        all.ok_or(format!("{cell:?} does not name items"))
    };
    let reason = tests.strip_prefix("n/a: ").or(tests.strip_prefix("open: "));
    if code != "-" || reason.is_none() {
        for (path, item) in names(code)? {
            let text = sources.get(&path).map_err(|e| format!("{path}: {e}"))?;
            if !text.lines().any(|line| defines(line, &item)) {
                return Err(format!("{path} does not define {item}"));
            }
        }
    }
    match reason {
        Some("") => Err("no reason".to_owned()),
        Some(_) => Ok(()),
        None => names(tests)?.iter().try_for_each(|(path, test)| {
            let text = sources.get(path).map_err(|e| format!("{path}: {e}"))?;
            check_test(text, test).map_err(|e| format!("{path}::{test}: {e}"))
        }),
    }
}

#[test]
fn every_row_names_code_and_tests_that_exist() {
    let mut sources = Sources::default();
    let table = sources.get("docs/conformance.md").unwrap().to_owned();
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let rows: Vec<&str> = rows.filter(|row| !row.starts_with("| id ")).collect();
    let mut ids = BTreeSet::new();
    let mut wrong = Vec::new();
    for row in &rows {
        if let Err(error) = check_row(row, &mut ids, &mut sources) {
            wrong.push(format!("{row}\n  {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows.len() > 100, "{} rows", rows.len());
}
