//! `structures.json`: every structure with its encoding and its fields, and encodings that must be
//! refused.

use std::fmt::Debug;

use overt_protocol::codec::{Decode, DecodeError, Encode};
use overt_protocol::wire::{Configuration, SearchRequest};
use serde_json::{Value, json};

use super::fields::Fields;
use super::{DRAFT, examples, hexed};

/// The file.
pub(super) fn file() -> Value {
    let mut all = Structures::default();
    examples::add(&mut all);
    all.0.sort_by_key(|entry| entry["structure"].to_string());
    json!({"format": "overt-structures-1", "draft_commit": DRAFT, "structures": all.0})
}

#[derive(Default)]
pub(super) struct Structures(Vec<Value>);

impl Structures {
    /// A structure that decodes by itself.
    pub(super) fn add<T>(&mut self, name: &str, value: &T)
    where
        T: Encode + Decode<()> + Fields + PartialEq + Debug,
    {
        self.decodable(name, value, &());
    }

    /// A structure that decodes with the log's configuration.
    pub(super) fn with<T>(&mut self, name: &str, value: &T, config: &Configuration)
    where
        T: Encode + Decode<Configuration> + Fields + PartialEq + Debug,
    {
        let entry = self.decodable(name, value, config);
        entry["configuration"] = hexed(config);
    }

    /// A structure that decodes with the log's configuration and the request.
    pub(super) fn answer<T>(
        &mut self,
        name: &str,
        value: &T,
        config: &Configuration,
        request: &SearchRequest,
    ) where
        T: Encode + for<'a> Decode<(&'a Configuration, &'a SearchRequest)>,
        T: Fields + PartialEq + Debug,
    {
        let entry = self.decodable(name, value, &(config, request));
        entry["configuration"] = hexed(config);
        entry["request"] = hexed(request);
    }

    /// A structure that is hashed or signed, and never decoded.
    pub(super) fn hashed<T>(&mut self, name: &str, value: &T, config: Option<&Configuration>)
    where
        T: Encode + Fields,
    {
        let entry = self.entry(name, value);
        entry["decoded"] = json!(false);
        if let Some(config) = config {
            entry["configuration"] = hexed(config);
        }
    }

    fn decodable<T, C>(&mut self, name: &str, value: &T, context: &C) -> &mut Value
    where
        T: Encode + Decode<C> + Fields + PartialEq + Debug,
    {
        let is_first = self.0.iter().all(|entry| entry["structure"] != name);
        let bytes = value.to_bytes().unwrap();
        assert_eq!(&T::from_bytes(&bytes, context).unwrap(), value, "{name}");
        let entry = self.entry(name, value);
        if is_first {
            entry["rejected"] = refused(&bytes, |wrong| T::from_bytes(wrong, context).err());
        }
        entry
    }

    fn entry<T: Encode + Fields>(&mut self, name: &str, value: &T) -> &mut Value {
        self.0.push(json!({
            "structure": name,
            "encoding": hexed(value),
            "fields": renamed(name, value.fields()),
        }));
        self.0.last_mut().unwrap()
    }
}

/// The three responses that are alike on the wire differ in the name of their proof.
fn renamed(name: &str, mut fields: Value) -> Value {
    let proof = match name {
        "ContactMonitorResponse" | "OwnerMonitorResponse" => "monitor",
        "DistinguishedResponse" => "distinguished",
        _ => return fields,
    };
    let object = fields.as_object_mut().unwrap();
    let value = object.remove("proof").unwrap();
    object.insert(proof.to_owned(), value);
    fields
}

/// The first encoding for each kind of refusal: cut in half, with a byte too many, and with one byte
/// changed to what may stand in no enumeration or presence octet and is a large count.
fn refused(bytes: &[u8], error: impl Fn(&[u8]) -> Option<DecodeError>) -> Value {
    let cut = bytes[..bytes.len() / 2].to_vec();
    let long = [bytes, &[0]].concat();
    let changed = (0..bytes.len()).map(|at| {
        let mut wrong = bytes.to_vec();
        wrong[at] = 0xff;
        wrong
    });
    let mut out: Vec<Value> = Vec::new();
    for wrong in [cut, long].into_iter().chain(changed) {
        let Some(error) = error(&wrong) else {
            continue;
        };
        let kind = match error {
            DecodeError::UnexpectedEnd(_) => "unexpected-end",
            DecodeError::TrailingBytes(_) => "trailing-bytes",
            DecodeError::Presence(_) => "presence",
            DecodeError::Enumeration { .. } => "enumeration",
            DecodeError::Bounds { .. } => "bounds",
        };
        if out.iter().all(|earlier| earlier["error"] != kind) {
            let encoding = hex::encode(wrong);
            out.push(json!({"encoding": encoding, "error": kind, "why": error.to_string()}));
        }
    }
    out.into()
}
