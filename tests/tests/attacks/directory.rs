//! A directory in memory that does whatever a test makes it do. Its log is always a proper one:
//! what it lies about is what stands in it, or whether it answers.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use overt_client::transport::{Problem, TransportError};
use overt_client::{Clock, Operation, Transport};
use overt_protocol::codec::{Decode, Encode};
use overt_protocol::descriptor::Descriptor;
use overt_protocol::distinguished::RECENT;
use overt_protocol::provider::{self, Refusal};
use overt_protocol::suite::{CipherSuite, SigningKey, VrfSecretKey};
use overt_protocol::wire::*;

use crate::support::{MemoryError, MemoryLog, NewVersion};

/// The Reasonable Monitoring Window.
pub(crate) const RMW: u64 = 60_000;
const START: u64 = 1_700_000_000_000;

/// What happens to an answer on its way.
type Meddle = Box<dyn Fn(Operation, Vec<u8>) -> Vec<u8> + Send>;

/// Shared by all who talk to it. It is also everybody's clock.
#[derive(Clone)]
pub(crate) struct Directory(Arc<Mutex<Inner>>);

struct Inner {
    log: MemoryLog,
    now: u64,
    requires_signed_value: bool,
    /// What it says about itself, if that is not true.
    claimed: Option<Configuration>,
    refused: BTreeSet<&'static str>,
    meddle: Option<Meddle>,
    requests: usize,
}

/// How a log is set up that tests begin with: three entries, the first of them distinguished.
pub(crate) fn configuration(lifetime: Option<u64>) -> Configuration {
    let suite = CipherSuite::Kt128Sha256Ed25519;
    let log = MemoryLog::new(suite, [1; 32], [2; 32], RMW, lifetime);
    Configuration {
        max_ahead: 1_000,
        max_behind: 10 * RMW,
        ..log.config
    }
}

impl Directory {
    pub(crate) fn new(config: Configuration, requires_signed_value: bool) -> Self {
        let keys = ([1; 32], [2; 32]);
        Self::with_keys(config, keys, requires_signed_value)
    }

    pub(crate) fn with_keys(
        config: Configuration,
        (signing, vrf): ([u8; 32], [u8; 32]),
        requires_signed_value: bool,
    ) -> Self {
        let suite = config.ciphersuite;
        let signing = SigningKey::from_bytes(suite, &signing).unwrap();
        let vrf = VrfSecretKey::from_bytes(suite, &vrf).unwrap();
        let config = Configuration {
            signature_public_key: signing.public_key(),
            vrf_public_key: vrf.public_key(),
            ..config
        };
        let directory = Self(Arc::new(Mutex::new(Inner {
            log: MemoryLog::with_config(config, signing, vrf),
            now: START,
            requires_signed_value,
            claimed: None,
            refused: BTreeSet::new(),
            meddle: None,
            requests: 0,
        })));
        directory.passes(0);
        directory.passes(RMW);
        directory.passes(RMW);
        directory
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    /// Time passes, and the log gets an entry that says so.
    pub(crate) fn passes(&self, time: u64) {
        self.with(|inner| {
            inner.now += time;
            inner.log.push(inner.now, Vec::new());
        });
    }

    /// A new version of a label, whoever may have wanted it.
    pub(crate) fn publish(&self, label: &str, value: &[u8]) {
        self.with(|inner| inner.publish(label.as_bytes(), &[value.to_vec()]));
    }

    /// The value of the greatest version of a label.
    pub(crate) fn value(&self, label: &str) -> Vec<u8> {
        self.with(|inner| {
            let (.., update) = inner.log.labels[label.as_bytes()].last().unwrap();
            update.value.clone()
        })
    }

    pub(crate) fn config(&self) -> Configuration {
        self.with(|inner| inner.log.config.clone())
    }

    pub(crate) fn descriptor(&self) -> Vec<u8> {
        self.with(|inner| inner.descriptor().to_json().unwrap())
    }

    /// It says something about itself that is not so.
    pub(crate) fn claims(&self, config: Configuration) {
        self.with(|inner| inner.claimed = Some(config));
    }

    /// It refuses an operation from now on.
    pub(crate) fn refuses(&self, operation: Operation) {
        self.with(|inner| inner.refused.insert(operation.endpoint()));
    }

    pub(crate) fn meddles(&self, meddle: impl Fn(Operation, Vec<u8>) -> Vec<u8> + Send + 'static) {
        self.with(|inner| inner.meddle = Some(Box::new(meddle)));
    }

    pub(crate) fn is_honest_again(&self) {
        self.with(|inner| inner.meddle = None);
    }

    /// Requests so far, descriptor included.
    pub(crate) fn requests(&self) -> usize {
        self.with(|inner| inner.requests)
    }
}

impl Inner {
    fn publish(&mut self, label: &[u8], values: &[Vec<u8>]) {
        let version = |value: &Vec<u8>| NewVersion {
            label: label.to_vec(),
            value: value.clone(),
            opening: [3; 16],
        };
        // Not a moment passes without it.
        self.now += 1;
        self.log
            .push(self.now, values.iter().map(version).collect());
    }

    fn descriptor(&self) -> Descriptor {
        let config = self.claimed.as_ref().unwrap_or(&self.log.config);
        Descriptor::new("keys.example.org/overt", config, self.requires_signed_value).unwrap()
    }

    fn answer(&mut self, operation: Operation, body: &[u8]) -> Result<Vec<u8>, MemoryError> {
        if operation == Operation::Update {
            return self.update(body);
        }
        let published = self.log.published();
        Ok(match operation {
            Operation::Search => provider::search(&published, &decode(body))?.to_bytes()?,
            Operation::OwnerInit => provider::owner_init(&published, &decode(body))?.to_bytes()?,
            Operation::OwnerMonitor => {
                provider::owner_monitor(&published, &decode(body), 64)?.to_bytes()?
            }
            Operation::ContactMonitor => {
                provider::contact_monitor(&published, &decode(body))?.to_bytes()?
            }
            Operation::Distinguished => {
                provider::distinguished(&published, &decode(body), RECENT)?.to_bytes()?
            }
            _ => provider::credential_update(&published, &decode(body))?.to_bytes()?,
        })
    }

    fn update(&mut self, body: &[u8]) -> Result<Vec<u8>, MemoryError> {
        let request: UpdateRequest = decode(body);
        let greatest = self.log.labels.get(&request.label);
        let greatest = greatest.map_or(0, Vec::len).checked_sub(1);
        let is_next = request.greatest_version.map(|v| v as usize) == greatest;
        let mut created = None;
        if is_next && !request.values.is_empty() {
            self.publish(&request.label, &request.values);
            created = Some(self.log.tip.size - 1);
        }
        let responses = provider::update(&self.log.published(), &request, created)?;
        let mut out = Vec::new();
        for response in responses {
            out.extend(response.to_bytes()?);
        }
        Ok(out)
    }
}

fn decode<T: Decode<()>>(body: &[u8]) -> T {
    T::from_bytes(body, &()).unwrap()
}

fn problem(status: u16, code: &str) -> TransportError {
    Problem {
        status,
        code: code.to_owned(),
        title: String::new(),
        detail: String::new(),
    }
    .into()
}

fn refusal(error: &MemoryError) -> TransportError {
    match error {
        MemoryError::Refusal(Refusal::LastAhead { .. }) => problem(409, "last-ahead"),
        MemoryError::Refusal(Refusal::VersionConflict) => problem(409, "version-conflict"),
        MemoryError::Refusal(Refusal::NotFound) => problem(404, "not-found"),
        MemoryError::Refusal(Refusal::Expired) => problem(410, "expired"),
        error => panic!("{error}"),
    }
}

impl Transport for Directory {
    async fn get(&self, _: &str) -> Result<Vec<u8>, TransportError> {
        self.with(|inner| inner.requests += 1);
        Ok(self.descriptor())
    }

    async fn post(&self, path: &str, body: Vec<u8>) -> Result<Vec<u8>, TransportError> {
        self.with(|inner| {
            inner.requests += 1;
            let name = path.strip_prefix("/v1/").unwrap();
            let operation: Operation = name.parse().unwrap();
            if inner.refused.contains(operation.endpoint()) {
                return Err(problem(403, "forbidden"));
            }
            let answer = inner.answer(operation, &body).map_err(|e| refusal(&e))?;
            Ok(match &inner.meddle {
                None => answer,
                Some(meddle) => meddle(operation, answer),
            })
        })
    }
}

impl Clock for Directory {
    fn now(&self) -> u64 {
        self.with(|inner| inner.now)
    }
}
