//! Writes `tests/vectors/overt`: `cargo run -p overt-tests --bin make-vectors`.

use std::path::Path;

fn main() -> anyhow::Result<()> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/overt"));
    std::fs::create_dir_all(folder)?;
    for (name, contents) in overt_tests::vectors::files() {
        std::fs::write(folder.join(&name), &contents)?;
        println!("{name}: {} bytes", contents.len());
    }
    Ok(())
}
