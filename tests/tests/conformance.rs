//! The tables in `docs/conformance.md` and `docs/attacks.md` name code and tests that exist, and none
//! of the tests is ignored; `docs/threat-model.md` has the same attacks.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use overt_client::bounds::Times;
use overt_protocol::evidence::Evidence;

const STRENGTHS: &str = "MUST, MUST NOT, SHOULD, SHOULD NOT, RECOMMENDED, REQUIRED, step";
const ITEMS: &str = "fn struct enum trait const type mod";
/// Why there is no test, or what one does not cover.
const REASONS: [&str; 2] = ["n/a: ", "open: "];
const MISDEEDS: &str = "protocol/tests/simulation/misdeed.rs";

/// Source files by their path from the top of the repository.
#[derive(Default)]
struct Sources(BTreeMap<String, String>);

impl Sources {
    fn get(&mut self, path: &str) -> Result<&str, String> {
        if !self.0.contains_key(path) {
            let top = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
            let text = std::fs::read_to_string(top.join(path));
            let text = text.map_err(|_| format!("{path}: no such file"))?;
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

/// The misdeeds that the simulation does.
fn misdeeds(text: &str) -> impl Iterator<Item = &str> {
    let all = text.split("const ALL").nth(1).unwrap_or_default();
    let all = all.split("];").next().unwrap_or_default();
    all.lines()
        .filter_map(|line| line.trim().strip_prefix("Self::")?.strip_suffix(','))
}

/// What is wrong with the test `name` in `text`, if anything is.
fn check_test(text: &str, name: &str) -> Result<(), &'static str> {
    if name.starts_with(char::is_uppercase) {
        let is_done = misdeeds(text).any(|misdeed| misdeed == name);
        return is_done.then_some(()).ok_or("not a misdeed that is done");
    }
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

/// What a cell names, as paths and items.
fn names(cell: &str) -> Result<Vec<(&str, &str)>, String> {
    let all: Option<Vec<_>> = cell.split(", ").map(name).collect();
    all.ok_or(format!("{cell:?} does not name items"))
}

fn name(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('`')?.strip_suffix('`')?.split_once("::")
}

/// A cell of tests, a reason why there are none, or tests and what they do not cover. Says whether
/// it is a reason only.
fn check_tests(cell: &str, sources: &mut Sources) -> Result<bool, String> {
    let reason = |text: &str| {
        REASONS
            .iter()
            .find_map(|r| Some(text.strip_prefix(r)?.len()))
    };
    let (tests, rest) = match (reason(cell), cell.split_once("; ")) {
        (Some(length), _) => return (length > 0).then_some(true).ok_or("no reason".to_owned()),
        (None, Some((tests, rest))) => (tests, Some(rest)),
        (None, None) => (cell, None),
    };
    if rest.is_some_and(|rest| reason(rest).is_none_or(|length| length == 0)) {
        return Err("what is not covered begins with a word for why".to_owned());
    }
    for (path, test) in names(tests)? {
        let text = sources.get(path)?;
        check_test(text, test).map_err(|e| format!("{path}::{test}: {e}"))?;
    }
    Ok(false)
}

/// A row of `docs/conformance.md`, after its id.
fn check_requirement(cells: &[&str], sources: &mut Sources) -> Result<(), String> {
    let &[section, requirement, strength, code, tests] = cells else {
        return Err(format!("{} cells", cells.len()));
    };
    if section.is_empty() || requirement.is_empty() || !STRENGTHS.split(", ").any(|s| s == strength)
    {
        return Err("an empty cell, or an unknown strength".to_owned());
    }
    let is_untested = check_tests(tests, sources)?;
    if code == "-" && is_untested {
        return Ok(());
    }
    for (path, item) in names(code)? {
        let text = sources.get(path)?;
        if !text.lines().any(|line| defines(line, item)) {
            return Err(format!("{path} does not define {item}"));
        }
    }
    Ok(())
}

/// A row of `docs/attacks.md`, after its id.
fn check_attack(cells: &[&str], sources: &mut Sources) -> Result<(), String> {
    let &[misdeed, who, soon, tests, evidence] = cells else {
        return Err(format!("{} cells", cells.len()));
    };
    if [misdeed, who, soon, evidence].contains(&"") {
        return Err("an empty cell".to_owned());
    }
    check_tests(tests, sources).map(|_| ())
}

/// Checks the rows of a document, each of which begins with one of these letters and a number that
/// no other row has. Returns the document.
fn check_table(
    path: &str,
    letters: &[char],
    least: usize,
    check: impl Fn(&[&str], &mut Sources) -> Result<(), String>,
    sources: &mut Sources,
) -> String {
    let table = sources.get(path).unwrap().to_owned();
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let is_head = |row: &&str| row.starts_with("| id ") || row.starts_with("| row ");
    let rows: Vec<&str> = rows.filter(|row| !is_head(row)).collect();
    let mut ids = BTreeSet::new();
    let mut wrong = Vec::new();
    for row in &rows {
        let cells: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
        let number = cells[0].strip_prefix(letters).unwrap_or_default();
        let result = match number.parse::<u32>().is_ok() && ids.insert(cells[0]) {
            true => check(&cells[1..], sources),
            false => Err("the id is not one, or not the only one".to_owned()),
        };
        if let Err(error) = result {
            wrong.push(format!("{row}\n  {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows.len() >= least, "{} rows", rows.len());
    table
}

#[test]
fn every_requirement_names_code_and_tests_that_exist() {
    let path = "docs/conformance.md";
    let mut sources = Sources::default();
    check_table(path, &['P', 'A'], 100, check_requirement, &mut sources);
}

#[test]
fn every_attack_names_tests_that_exist_and_every_misdeed_is_there() {
    let mut sources = Sources::default();
    let letters = ['A', 'B', 'C', 'D', 'E', 'F'];
    let path = "docs/attacks.md";
    let table = check_table(path, &letters, 60, check_attack, &mut sources);
    let all = sources.get(MISDEEDS).unwrap();
    let is_missing = |name: &&str| !table.contains(&format!("`{MISDEEDS}::{name}`"));
    let missing: Vec<_> = misdeeds(all).filter(is_missing).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(misdeeds(all).count() > 30);
}

/// The ids of a document's rows.
fn ids(text: &str) -> BTreeSet<&str> {
    let is_id = |id: &str| {
        let number = id.get(1..).unwrap_or_default();
        id.starts_with(['A', 'B', 'C', 'D', 'E', 'F']) && number.parse::<u32>().is_ok()
    };
    let rows = text.lines().filter_map(|line| line.strip_prefix("| "));
    let first = rows.filter_map(|row| row.split_once(" |").map(|(id, _)| id));
    first.filter(|id| is_id(id)).collect()
}

/// What evidence files may prove, by the codes of the stored ones, of which there is one of a kind.
fn evidence_codes() -> BTreeSet<String> {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../protocol/tests/evidence/vectors"
    );
    let code = |entry: std::io::Result<std::fs::DirEntry>| {
        let file = std::fs::read(entry.unwrap().path()).unwrap();
        let finding = Evidence::parse(&file).and_then(|file| file.verify());
        finding.unwrap().code.to_owned()
    };
    std::fs::read_dir(folder).unwrap().map(code).collect()
}

#[test]
fn the_threat_model_has_every_attack_and_names_evidence_that_exists() {
    let mut sources = Sources::default();
    let attacks = sources.get("docs/attacks.md").unwrap().to_owned();
    let model = sources.get("docs/threat-model.md").unwrap().to_owned();
    let codes = evidence_codes();
    assert_eq!(ids(&attacks), ids(&model));
    let mut named = BTreeSet::new();
    for id in ids(&model) {
        let row = model
            .lines()
            .find(|line| line.starts_with(&format!("| {id} |")));
        let cells: Vec<&str> = row.unwrap().trim_matches(['|', ' ']).split(" | ").collect();
        assert_eq!(cells.len(), 4, "{id}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{id}");
        let quoted = cells[3].split('`').skip(1).step_by(2);
        named.extend(quoted.map(str::to_owned));
    }
    assert_eq!(named, codes);
}

/// `overt status` can give numbers for every bound in the threat model.
#[test]
fn every_bound_is_a_formula_that_the_client_knows() {
    let text = Sources::default()
        .get("docs/threat-model.md")
        .unwrap()
        .to_owned();
    let table = text.split("## Who finds out, and when").nth(1).unwrap();
    let table = table.split("\n## ").next().unwrap();
    let times = Times {
        max_behind: 1,
        max_ahead: 1,
        window: 1,
        maximum_lifetime: Some(1),
        max_auditor_lag: Some(1),
        silence: 1,
        monitoring: 1,
        auditor: 1,
        gossip: 1,
        cosignature: 1,
    };
    // A term is in capitals and stands alone; formulas are sums and minima of terms.
    let is_term = |word: &str| word.bytes().all(|b| b.is_ascii_uppercase()) && word != "A";
    let mut known = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| ")) {
        let within = row.split('|').nth(3).unwrap().replace("2k - n", "");
        let words = within.split(|c: char| !c.is_ascii_alphanumeric() && !"+(),".contains(c));
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let bare = |word: &str| word.trim_matches(|c| "(),".contains(c)).replace("min(", "");
        for word in &words {
            let word = bare(word);
            if !word.is_empty() && word != "+" && is_term(&word) {
                let value = times.evaluate(&word);
                assert!(value.is_ok(), "{word:?} is not known, in {row}");
                known.insert(word);
            }
        }
    }
    for term in ["RMW", "H", "W", "P", "G", "C", "MB", "LAG", "Q", "R"] {
        assert!(known.contains(term), "{term} is in no row: {known:?}");
    }
    // And what is printed is what the table says.
    for bound in times.bounds(None, 0) {
        let is_there = bound.formula == "0" || table.contains(bound.formula);
        assert!(is_there, "{bound:?} is not in the table");
    }
}
