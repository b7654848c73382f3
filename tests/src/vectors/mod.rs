//! Test vectors for other implementations, made from fixed seeds: `tests/vectors/README.md` says
//! what they hold, `make-vectors` writes them.

mod crypto;
mod examples;
mod extensions;
mod fields;
mod negatives;
mod prefix_tree;
mod script;
mod sessions;
mod setting;
mod structures;
mod trees;
mod world;

use overt_protocol::codec::Encode;
use overt_protocol::suite::sha256;
use serde_json::{Value, json};
use setting::Setting;

/// The draft that the vectors follow.
const DRAFT: &str = "526cc8a (2026-08-18)";

/// Every file: its name and contents. The same each time.
pub fn files() -> Vec<(String, String)> {
    let mut files = vec![
        ("crypto".to_owned(), crypto::file()),
        ("extensions".to_owned(), extensions::file()),
        ("structures".to_owned(), structures::file()),
        ("trees".to_owned(), trees::file()),
    ];
    let settings = Setting::all().into_iter();
    files.extend(settings.map(|setting| (setting.name(), sessions::file(setting))));
    files
        .iter()
        .map(|(name, contents)| (format!("{name}.json"), text(contents)))
        .collect()
}

/// What all keys, openings and other random bytes are made of.
fn seed(what: &str) -> [u8; 32] {
    sha256(&[b"overt.vectors/v1 ", what.as_bytes()])
}

fn hexed<T: Encode>(value: &T) -> Value {
    json!(hex::encode(value.to_bytes().unwrap()))
}

/// JSON with a line for each member, but what is short or a list of numbers on one line.
fn text(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, 1);
    out.push('\n');
    out
}

fn write(out: &mut String, value: &Value, depth: usize) {
    let compact = value.to_string();
    let is_numbers = |items: &Vec<Value>| items.iter().all(Value::is_number);
    if compact.len() <= 100 || value.as_array().is_some_and(is_numbers) {
        out.push_str(&compact);
        return;
    }
    let line = |out: &mut String, index: usize| {
        out.push_str(if index > 0 { ",\n" } else { "\n" });
        out.extend(std::iter::repeat_n(' ', depth));
    };
    let close = |out: &mut String, bracket: char| {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', depth - 1));
        out.push(bracket);
    };
    match value {
        Value::Object(members) => {
            out.push('{');
            for (i, (name, member)) in members.iter().enumerate() {
                line(out, i);
                out.push_str(&format!("{}: ", json!(name)));
                write(out, member, depth + 1);
            }
            close(out, '}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                line(out, i);
                write(out, item, depth + 1);
            }
            close(out, ']');
        }
        _ => out.push_str(&compact),
    }
}
