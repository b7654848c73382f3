//! Test vectors for other implementations, made from fixed seeds: `tests/vectors/README.md` says
//! what they hold, `make-vectors` writes them.

mod crypto;
mod examples;
mod fields;
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

/// JSON with a line for each member, but lists of numbers and short strings on one.
fn text(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, 1);
    out.push('\n');
    out
}

fn write(out: &mut String, value: &Value, depth: usize) {
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', depth));
    };
    let comma = |out: &mut String, index: usize| {
        if index > 0 {
            out.push(',');
        }
    };
    match value {
        Value::Object(members) if !members.is_empty() => {
            out.push('{');
            for (i, (name, member)) in members.iter().enumerate() {
                comma(out, i);
                line(out, depth);
                out.push_str(&format!("{}: ", json!(name)));
                write(out, member, depth + 1);
            }
            line(out, depth - 1);
            out.push('}');
        }
        Value::Array(items) if items.iter().any(|item| !item.is_number()) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                comma(out, i);
                line(out, depth);
                write(out, item, depth + 1);
            }
            line(out, depth - 1);
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}
