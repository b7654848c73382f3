//! Files of `tests/vectors`.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used
)]

use std::collections::BTreeSet;

use serde_json::Value;

/// A file, by its path below `tests/vectors`.
pub fn vectors(name: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/");
    let text = std::fs::read(format!("{folder}{name}")).expect(name);
    serde_json::from_slice(&text).expect(name)
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

pub fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(text(value)).unwrap()
}

pub fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

pub fn numbers(value: &Value) -> Vec<u64> {
    list(value).iter().map(number).collect()
}

pub fn version(value: &Value) -> u32 {
    u32::try_from(number(value)).unwrap()
}

/// What stands for nothing is `null` or missing.
pub fn optional<'v, T>(value: &'v Value, read: impl FnOnce(&'v Value) -> T) -> Option<T> {
    (!value.is_null()).then(|| read(value))
}

/// The stable names that the function `check` of a source can return.
pub fn check_names(source: &str) -> BTreeSet<String> {
    let (_, body) = source.split_once("pub fn check(").unwrap();
    let (body, _) = body.split_once("\n    }\n").unwrap();
    let quoted = body.split('"').skip(1).step_by(2);
    quoted.map(str::to_owned).collect()
}
