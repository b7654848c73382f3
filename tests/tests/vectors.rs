//! The committed vectors are what the maker makes.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;

#[test]
fn the_files_are_those_of_the_maker() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/overt");
    let committed: BTreeMap<String, String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    let made = BTreeMap::from_iter(overt_tests::vectors::files());
    assert!(committed.keys().eq(made.keys()), "{:?}", committed.keys());
    for (name, contents) in made {
        assert!(
            committed[&name] == contents,
            "{name} differs: cargo run -p overt-tests --bin make-vectors"
        );
    }
}
