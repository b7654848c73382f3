//! The directory's descriptor: the JSON document at `GET /v1/descriptor`.
//!
//! It tells a client what to pin. Authority lies in four fields, `origin`, `requires_signed_value`,
//! `configuration` and `log_keys`, and in nothing else; their [`Fingerprint`] is what people compare
//! or publish. `parameters` repeats the configuration for human readers and must
//! agree with it. `endpoints` says where to post requests, which needs no trust.
//!
//! ```text
//! struct {
//!   opaque context<1..2^8-1> = "overt.directory-fingerprint/v1";
//!   opaque origin<1..2^8-1>;
//!   uint8 requires_signed_value;       // 0 or 1
//!   opaque configuration<0..2^32-1>;   // the encoded Configuration
//!   LogKey log_keys[];                 // opaque vkey<1..2^16-1> each, up to the end
//! } DirectoryIdentity;                 // fingerprint = SHA-256 of this
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::codec::{Decode, DecodeError, Encode, EncodeError, Width, Writer};
use crate::head_log::key::{SignatureType, VerifierKey};
use crate::suite::sha256;
use crate::wire::{Configuration, DeploymentMode, HashValue};

/// `Descriptor::format` of this version.
pub const FORMAT: &str = "overt.directory/v1";
const CONTEXT: &[u8] = b"overt.directory-fingerprint/v1";
const MAX_ORIGIN: usize = 255;
const MAX_LOG_KEYS: usize = 8;

/// Names and usual paths of the operations.
pub const ENDPOINTS: [(&str, &str); 7] = [
    ("search", "/v1/search"),
    ("update", "/v1/update"),
    ("owner_init", "/v1/owner-init"),
    ("owner_monitor", "/v1/owner-monitor"),
    ("contact_monitor", "/v1/contact-monitor"),
    ("distinguished", "/v1/distinguished"),
    ("credential_update", "/v1/credential-update"),
];

/// Operations that a directory may offer besides, by name and usual path.
pub const EXTENSIONS: [(&str, &str); 1] = [("absence", "/v1/absence")];

/// What a directory says about itself. [`Descriptor::parse`] is the only way in from bytes that
/// checks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// [`FORMAT`].
    pub format: String,
    /// The directory's name, without a scheme, such as `keys.example.org/overt`.
    pub origin: String,
    /// The encoded `Configuration`, in lower-case hexadecimal.
    pub configuration: String,
    /// Whether every value is a [`SignedValue`](crate::signed_value::SignedValue).
    pub requires_signed_value: bool,
    /// The keys that sign the head log's checkpoints, as the vkeys of signed-note, named after the
    /// origin; none if the directory has no head log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log_keys: Vec<String>,
    /// The configuration for human readers.
    pub parameters: Parameters,
    /// Operation to path, as in [`ENDPOINTS`] and, where offered, [`EXTENSIONS`].
    pub endpoints: BTreeMap<String, String>,
}

/// The configuration's fields in words and numbers; durations in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// The cipher suite's name in the registry.
    pub suite: String,
    /// `contact-monitoring`, `third-party-management` or `third-party-auditing`.
    pub mode: String,
    /// `max_ahead`.
    pub max_ahead_ms: u64,
    /// `max_behind`.
    pub max_behind_ms: u64,
    /// `reasonable_monitoring_window`.
    pub reasonable_monitoring_window_ms: u64,
    /// `maximum_lifetime`, if entries expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum_lifetime_ms: Option<u64>,
    /// `max_auditor_lag`, in third-party auditing mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_auditor_lag_ms: Option<u64>,
}

/// Why a descriptor is not usable.
#[derive(Debug, Error)]
pub enum DescriptorError {
    /// Not the JSON document that is due.
    #[error("not a directory descriptor: {0}")]
    Json(#[from] serde_json::Error),
    /// Another version.
    #[error("descriptor format is {0:?}, expected {FORMAT:?}")]
    Format(String),
    /// An empty or long origin, or one with control characters, spaces or a scheme.
    #[error("not an origin: {0:?}")]
    Origin(String),
    /// `configuration` is not hexadecimal.
    #[error("configuration is not lower-case hexadecimal")]
    Hexadecimal,
    /// `configuration` is not an encoded `Configuration`.
    #[error("configuration: {0}")]
    Configuration(#[from] DecodeError),
    /// A configuration that has no encoding.
    #[error("configuration: {0}")]
    Encode(#[from] EncodeError),
    /// A log key that is no vkey, is not named after the origin, or is a witness's; or too many.
    #[error("log key {0:?}: expected at most 8 vkeys that are named after the origin")]
    LogKey(String),
    /// `parameters` says something else than `configuration`.
    #[error("parameters do not agree with the encoded configuration")]
    Parameters,
    /// An operation without a path, or a path that leaves the directory's own.
    #[error("endpoint {0:?} is missing or not an absolute path")]
    Endpoint(String),
}

impl Descriptor {
    /// Describes a directory with the usual endpoints.
    pub fn new(
        origin: &str,
        config: &Configuration,
        requires_signed_value: bool,
    ) -> Result<Self, DescriptorError> {
        check_origin(origin)?;
        Ok(Self {
            format: FORMAT.to_owned(),
            origin: origin.to_owned(),
            configuration: to_hex(&config.to_bytes()?),
            requires_signed_value,
            log_keys: Vec::new(),
            parameters: Parameters::of(config),
            endpoints: ENDPOINTS
                .iter()
                .map(|(name, path)| ((*name).to_owned(), (*path).to_owned()))
                .collect(),
        })
    }

    /// Adds an operation of [`EXTENSIONS`].
    pub fn offer(&mut self, extension: &str) {
        let known = EXTENSIONS.iter().find(|(name, _)| *name == extension);
        let offered = known.map(|(name, path)| ((*name).to_owned(), (*path).to_owned()));
        self.endpoints.extend(offered);
    }

    /// Adds keys that sign checkpoints.
    pub fn sign_checkpoints_with<'k>(&mut self, keys: impl IntoIterator<Item = &'k VerifierKey>) {
        self.log_keys
            .extend(keys.into_iter().map(ToString::to_string));
    }

    /// The keys that sign checkpoints.
    pub fn verifier_keys(&self) -> Result<Vec<VerifierKey>, DescriptorError> {
        let wrong = |vkey: &String| DescriptorError::LogKey(vkey.chars().take(80).collect());
        if let Some(surplus) = self.log_keys.get(MAX_LOG_KEYS) {
            return Err(wrong(surplus));
        }
        let key = |vkey: &String| {
            let key: Option<VerifierKey> = vkey.parse().ok();
            let is_log = |key: &VerifierKey| {
                key.name() == self.origin && key.kind() != SignatureType::Ed25519Cosignature
            };
            key.filter(is_log).ok_or_else(|| wrong(vkey))
        };
        self.log_keys.iter().map(key).collect()
    }

    /// Parses and checks a document. Unknown members are ignored.
    pub fn parse(json: &[u8]) -> Result<(Self, Configuration), DescriptorError> {
        let descriptor: Self = serde_json::from_slice(json)?;
        if descriptor.format != FORMAT {
            return Err(DescriptorError::Format(descriptor.format));
        }
        check_origin(&descriptor.origin)?;
        let encoded = from_hex(&descriptor.configuration).ok_or(DescriptorError::Hexadecimal)?;
        let config = Configuration::from_bytes(&encoded, &())?;
        if descriptor.parameters != Parameters::of(&config) {
            return Err(DescriptorError::Parameters);
        }
        descriptor.verifier_keys()?;
        let optional = EXTENSIONS
            .iter()
            .filter(|(name, _)| descriptor.endpoints.contains_key(*name));
        for (name, _) in ENDPOINTS.iter().chain(optional) {
            let path = descriptor.endpoints.get(*name);
            if !path.is_some_and(|path| is_path(path)) {
                return Err(DescriptorError::Endpoint((*name).to_owned()));
            }
        }
        Ok((descriptor, config))
    }

    /// The document.
    pub fn to_json(&self) -> Result<Vec<u8>, DescriptorError> {
        Ok(serde_json::to_vec_pretty(self)?)
    }

    /// The path of an operation of [`ENDPOINTS`].
    pub fn path(&self, operation: &str) -> Option<&str> {
        self.endpoints.get(operation).map(String::as_str)
    }

    /// What identifies the directory.
    pub fn fingerprint(&self) -> Result<Fingerprint, DescriptorError> {
        let config = from_hex(&self.configuration).ok_or(DescriptorError::Hexadecimal)?;
        let mut w = Writer::default();
        w.opaque(Width::One, CONTEXT, "context");
        w.opaque(Width::One, self.origin.as_bytes(), "origin");
        w.u8(u8::from(self.requires_signed_value));
        w.opaque(Width::Four, &config, "configuration");
        for key in &self.log_keys {
            w.opaque(Width::Two, key.as_bytes(), "log_keys");
        }
        Ok(Fingerprint(sha256(&[&w.finish()?])))
    }
}

impl Parameters {
    /// What `config` says.
    pub fn of(config: &Configuration) -> Self {
        let (mode, max_auditor_lag_ms) = match config.mode {
            DeploymentMode::ContactMonitoring => ("contact-monitoring", None),
            DeploymentMode::ThirdPartyManagement { .. } => ("third-party-management", None),
            DeploymentMode::ThirdPartyAuditing {
                max_auditor_lag, ..
            } => ("third-party-auditing", Some(max_auditor_lag)),
        };
        Self {
            suite: config.ciphersuite.name().to_owned(),
            mode: mode.to_owned(),
            max_ahead_ms: config.max_ahead,
            max_behind_ms: config.max_behind,
            reasonable_monitoring_window_ms: config.reasonable_monitoring_window,
            maximum_lifetime_ms: config.maximum_lifetime,
            max_auditor_lag_ms,
        }
    }
}

/// Printable ASCII, so that two origins that look alike are alike.
fn check_origin(origin: &str) -> Result<(), DescriptorError> {
    let printable = origin.bytes().all(|b| b.is_ascii_graphic());
    if origin.is_empty() || origin.len() > MAX_ORIGIN || !printable || origin.contains("://") {
        return Err(DescriptorError::Origin(origin.chars().take(80).collect()));
    }
    Ok(())
}

fn is_path(path: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-_.~".contains(&b);
    path.len() <= 255
        && path.starts_with('/')
        && path.bytes().all(plain)
        && !path.split('/').any(|part| part == ".." || part == ".")
        && !path.starts_with("//")
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: &u8| match b {
        b'0'..=b'9' => b.checked_sub(b'0'),
        b'a'..=b'f' => b.checked_sub(b'a')?.checked_add(10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| Some(digit(high)?.checked_shl(4)? | digit(low)?))
        .collect()
}

/// Identifies a directory: 256 bits, shown as thirteen groups of four letters and digits
/// (base32 of RFC 4648 in lower case, without padding).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(HashValue);

/// Not a [`Fingerprint`]: a typing error, or cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a fingerprint is thirteen groups of four letters or digits 2-7")]
pub struct FingerprintError;

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const LETTERS: usize = 52;

impl Fingerprint {
    /// The hash.
    pub fn as_bytes(&self) -> &HashValue {
        &self.0
    }
}

impl From<HashValue> for Fingerprint {
    fn from(hash: HashValue) -> Self {
        Self(hash)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bits = self.0.iter().flat_map(|byte| {
            (0..8u32)
                .rev()
                .map(move |i| byte.checked_shr(i).unwrap_or(0) & 1)
        });
        for letter in 0..LETTERS {
            if letter > 0 && letter % 4 == 0 {
                f.write_str("-")?;
            }
            let index = (0..5).fold(0u8, |n, _| (n << 1) | bits.next().unwrap_or(0));
            let letter = BASE32.get(usize::from(index)).copied().unwrap_or(b'?');
            write!(f, "{}", char::from(letter))?;
        }
        Ok(())
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Accepts either case, and any spaces or hyphens between the letters.
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let mut bits = Vec::with_capacity(260);
        for c in text.bytes().filter(|c| !matches!(c, b' ' | b'-' | b'\n')) {
            let c = c.to_ascii_lowercase();
            let index = BASE32.iter().position(|l| *l == c);
            let index = index.ok_or(FingerprintError)?;
            bits.extend(
                (0..5u32)
                    .rev()
                    .map(|i| index.checked_shr(i).unwrap_or(0) & 1 == 1),
            );
        }
        let (bytes, padding) = bits.split_at_checked(256).ok_or(FingerprintError)?;
        if padding != [false; 4] {
            return Err(FingerprintError);
        }
        let mut hash = HashValue::default();
        for (byte, bits) in hash.iter_mut().zip(bytes.chunks(8)) {
            *byte = bits.iter().fold(0, |n, bit| (n << 1) | u8::from(*bit));
        }
        Ok(Self(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head_log::key::SignerKey;
    use crate::suite::CipherSuite;

    fn config() -> Configuration {
        Configuration {
            ciphersuite: CipherSuite::Kt128Sha256Ed25519,
            mode: DeploymentMode::ContactMonitoring,
            signature_public_key: vec![1; 32],
            vrf_public_key: vec![2; 32],
            max_ahead: 1000,
            max_behind: 2000,
            reasonable_monitoring_window: 3000,
            maximum_lifetime: None,
        }
    }

    const ORIGIN: &str = "keys.example.org/overt";

    fn vkey(name: &str, kind: SignatureType) -> String {
        let key = SignerKey::from_seed(name, kind, &[3; 32]).unwrap();
        key.verifier().to_string()
    }

    fn descriptor() -> Descriptor {
        Descriptor::new(ORIGIN, &config(), true).unwrap()
    }

    #[test]
    fn a_descriptor_survives_the_wire() {
        let json = descriptor().to_json().unwrap();
        let (parsed, configuration) = Descriptor::parse(&json).unwrap();
        assert_eq!(parsed, descriptor());
        assert_eq!(configuration, config());
    }

    #[test]
    fn what_contradicts_the_configuration_is_refused() {
        type Change = fn(&mut Descriptor);
        let changes: [Change; 13] = [
            |d| d.format = "overt.directory/v2".into(),
            |d| d.origin = "https://keys.example.org".into(),
            |d| d.origin = String::new(),
            |d| d.origin = "a b".into(),
            |d| d.configuration.push('0'),
            |d| d.configuration.push_str("00"),
            |d| d.parameters.max_behind_ms = 1,
            |d| drop(d.endpoints.remove("search")),
            |d| drop(d.endpoints.insert("update".into(), "//evil/x".into())),
            |d| d.log_keys.push("no vkey".into()),
            |d| {
                d.log_keys
                    .push(vkey("other.example.org", SignatureType::Ed25519))
            },
            |d| {
                d.log_keys
                    .push(vkey(ORIGIN, SignatureType::Ed25519Cosignature))
            },
            |d| d.log_keys = vec![vkey(ORIGIN, SignatureType::Ed25519); 9],
        ];
        for (i, change) in changes.iter().enumerate() {
            let mut bad = descriptor();
            change(&mut bad);
            assert!(
                Descriptor::parse(&bad.to_json().unwrap()).is_err(),
                "change {i}"
            );
        }
        assert!(Descriptor::parse(b"{}").is_err());
    }

    #[test]
    fn the_fingerprint_covers_what_has_authority_and_only_that() {
        let print = |d: &Descriptor| d.fingerprint().unwrap();
        let base = print(&descriptor());
        let mut other = descriptor();
        other.origin.push('2');
        assert_ne!(print(&other), base);
        let mut other = descriptor();
        other.requires_signed_value = false;
        assert_ne!(print(&other), base);
        let mut config = config();
        config.max_ahead = 1;
        let other = Descriptor::new("keys.example.org/overt", &config, true).unwrap();
        assert_ne!(print(&other), base);
        let mut other = descriptor();
        other.log_keys = vec![vkey(ORIGIN, SignatureType::Ed25519)];
        assert_ne!(print(&other), base);
        assert!(Descriptor::parse(&other.to_json().unwrap()).is_ok());
        let mut other = descriptor();
        other.endpoints.insert("search".into(), "/x".into());
        assert_eq!(print(&other), base);
    }

    #[test]
    fn fingerprints_are_read_back_as_people_type_them() {
        let print = descriptor().fingerprint().unwrap();
        let text = print.to_string();
        assert_eq!(text.len(), 64);
        assert_eq!(text.split('-').count(), 13);
        assert_eq!(text.parse(), Ok(print));
        assert_eq!(text.to_uppercase().replace('-', " ").parse(), Ok(print));
        assert_eq!(text[1..].parse::<Fingerprint>(), Err(FingerprintError));
        assert_eq!(
            format!("{text}a").parse::<Fingerprint>(),
            Err(FingerprintError)
        );
        assert_eq!("".parse::<Fingerprint>(), Err(FingerprintError));
        let last_bit = format!("{}7", &text[..63]);
        assert_eq!(last_bit.parse::<Fingerprint>(), Err(FingerprintError));
        assert_eq!(
            Fingerprint::from([0; 32]).to_string(),
            ["aaaa"; 13].join("-")
        );
    }
}
