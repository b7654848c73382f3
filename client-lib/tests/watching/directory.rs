//! A directory in memory, under a clock that tests set, whose answers tests may lose or replace.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use overt_client::transport::{Problem, Transport, TransportError};
use overt_client::{Client, Clock, Directory, KeyRing, PinnedBy, Store};
use overt_protocol::codec::{Decode, Encode};
use overt_protocol::descriptor::Descriptor;
use overt_protocol::distinguished::RECENT;
use overt_protocol::provider::{self, Refusal};
use overt_protocol::suite::{CipherSuite, SigningKey};
use overt_protocol::wire::*;

use crate::memory::{MemoryError, MemoryLog, NewVersion};

pub(crate) const URL: &str = "https://keys.example.org";
/// The reasonable monitoring window, in milliseconds.
pub(crate) const RMW: u64 = 1_000_000;
const START: u64 = 1_700_000_000_000;

pub(crate) type Answer = Result<Vec<u8>, TransportError>;
/// What becomes of a request to a path; the second argument acts on it and returns the answer.
pub(crate) type Meddle = Box<dyn FnMut(&str, &dyn Fn() -> Answer) -> Answer + Send>;

/// As the directory sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    User,
    Stranger,
}

pub(crate) type Asked = (String, Who);

/// The directory, its clock, and the one line that leads to it.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) log: Arc<Mutex<MemoryLog>>,
    pub(crate) now: Arc<AtomicU64>,
    pub(crate) meddle: Arc<Mutex<Meddle>>,
    /// The body of the request that is being carried.
    body: Arc<Mutex<Vec<u8>>>,
    /// Paths that were asked, and by whom.
    pub(crate) seen: Arc<Mutex<Vec<Asked>>>,
    who: Who,
    /// What strangers are shown, if it is something else.
    strangers: Arc<Mutex<Option<Box<World>>>>,
    pub(crate) url: String,
    signed: bool,
}

impl World {
    pub(crate) fn new(signed: bool) -> Self {
        let suite = CipherSuite::Kt128Sha256Ed25519;
        let log = MemoryLog::new(suite, [1; 32], [2; 32], RMW, None);
        Self::with_log(log, signed)
    }

    /// Another directory, with keys of its own.
    pub(crate) fn at(url: &str, seed: u8) -> Self {
        let suite = CipherSuite::Kt128Sha256Ed25519;
        let log = MemoryLog::new(suite, [seed; 32], [seed.wrapping_add(1); 32], RMW, None);
        Self {
            url: url.to_owned(),
            ..Self::with_log(log, true)
        }
    }

    /// Where log entries expire after so many milliseconds.
    pub(crate) fn with_lifetime(lifetime: u64) -> Self {
        let suite = CipherSuite::Kt128Sha256Ed25519;
        let log = MemoryLog::new(suite, [1; 32], [2; 32], RMW, Some(lifetime));
        Self::with_log(log, false)
    }

    /// In Third-Party Management mode.
    pub(crate) fn managed() -> Self {
        let suite = CipherSuite::Kt128Sha256Ed25519;
        let mut log = MemoryLog::new(suite, [1; 32], [2; 32], RMW, None);
        let leaf = SigningKey::from_bytes(suite, &[3; 32]).unwrap();
        let leaf_public_key = leaf.public_key();
        log.config.mode = DeploymentMode::ThirdPartyManagement { leaf_public_key };
        log.leaf_key = Some(leaf);
        Self::with_log(log, false)
    }

    pub(crate) fn with_log(mut log: MemoryLog, signed: bool) -> Self {
        log.config.max_behind = 2 * RMW;
        let world = Self {
            log: Arc::new(Mutex::new(log)),
            now: Arc::new(AtomicU64::new(START)),
            meddle: Arc::new(Mutex::new(Box::new(|_, act| act()))),
            body: Arc::default(),
            seen: Arc::default(),
            who: Who::User,
            strangers: Arc::default(),
            url: URL.to_owned(),
            signed,
        };
        world.grow(0);
        world
    }

    /// Lets time pass, and the log grow by an entry without changes.
    pub(crate) fn grow(&self, milliseconds: u64) {
        let now = self.wait(milliseconds);
        self.log.lock().unwrap().push(now, Vec::new());
    }

    /// Lets time pass, and nothing else.
    pub(crate) fn wait(&self, milliseconds: u64) -> u64 {
        self.now.fetch_add(milliseconds, Ordering::SeqCst) + milliseconds
    }

    /// Adds a version that nobody asked for.
    pub(crate) fn slip_in(&self, label: &str, value: &[u8]) {
        self.slip_in_after_skipping(label, 0, value);
    }

    /// The same, after skipping so many.
    pub(crate) fn slip_in_after_skipping(&self, label: &str, skipped: u32, value: &[u8]) {
        let new = vec![new_version(label.as_bytes(), value)];
        let now = self.now.load(Ordering::SeqCst);
        let mut log = self.log.lock().unwrap();
        log.push_after_skipping(now, &[(label, skipped)], new);
    }

    pub(crate) fn meddle(
        &self,
        meddle: impl FnMut(&str, &dyn Fn() -> Answer) -> Answer + Send + 'static,
    ) {
        *self.meddle.lock().unwrap() = Box::new(meddle);
    }

    /// Acts on what is asked at this path, and loses the answers.
    pub(crate) fn lose(&self, path: &'static str) {
        self.meddle(move |asked, act| {
            let answer = act();
            match asked == path {
                true => unreachable(),
                false => answer,
            }
        });
    }

    /// Answers so at these paths, and does nothing else.
    pub(crate) fn refuse(&self, paths: &'static [&'static str], answer: fn() -> Answer) {
        self.meddle(move |asked, act| match paths.contains(&asked) {
            true => answer(),
            false => act(),
        });
    }

    /// Gives everybody the answers of another directory.
    pub(crate) fn show_everybody(&self, other: &World) {
        let (body, other) = (self.body.clone(), other.clone());
        self.meddle(move |path, _| Ok(other.answer(path, &body.lock().unwrap()).unwrap()));
    }

    /// Shows strangers another world.
    pub(crate) fn show_strangers(&self, other: &World) {
        *self.strangers.lock().unwrap() = Some(Box::new(other.clone()));
    }

    /// What the one who asks is shown.
    fn shown(&self) -> World {
        let other = self.strangers.lock().unwrap().clone();
        let other = other.filter(|_| self.who == Who::Stranger);
        other.map_or_else(|| self.clone(), |other| *other)
    }

    /// Who asked at this path.
    pub(crate) fn asked(&self, path: &str) -> Vec<Who> {
        let seen = self.seen.lock().unwrap();
        let at_path = seen.iter().filter(|(asked, _)| asked == path);
        at_path.map(|(_, who)| *who).collect()
    }

    /// The body of the request that is being carried.
    pub(crate) fn body<R: Decode<()>>(&self) -> R {
        request(&self.body.lock().unwrap())
    }

    pub(crate) fn behave(&self) {
        self.meddle(|_, act| act());
    }

    pub(crate) fn directory(&self) -> Directory {
        let config = self.log.lock().unwrap().config.clone();
        let descriptor = Descriptor::new("keys.example.org", &config, self.signed).unwrap();
        let json = descriptor.to_json().unwrap();
        Directory::from_descriptor(&self.url, &json, PinnedBy::Fingerprint, 0).unwrap()
    }

    fn carry(&self, path: &str, body: &[u8], act: &dyn Fn() -> Answer) -> Answer {
        *self.body.lock().unwrap() = body.to_owned();
        self.seen.lock().unwrap().push((path.to_owned(), self.who));
        (self.meddle.lock().unwrap())(path, act)
    }

    fn answer(&self, path: &str, body: &[u8]) -> Result<Vec<u8>, MemoryError> {
        let mut log = self.log.lock().unwrap();
        if path == "/v1/update" {
            return self.update(&mut log, &request(body));
        }
        let at = log.published();
        Ok(match path {
            "/v1/search" => provider::search(&at, &request(body))?.to_bytes(),
            "/v1/owner-init" => provider::owner_init(&at, &request(body))?.to_bytes(),
            "/v1/owner-monitor" => provider::owner_monitor(&at, &request(body), 16)?.to_bytes(),
            "/v1/contact-monitor" => provider::contact_monitor(&at, &request(body))?.to_bytes(),
            "/v1/distinguished" => provider::distinguished(&at, &request(body), RECENT)?.to_bytes(),
            "/v1/credential-update" => provider::credential_update(&at, &request(body))?.to_bytes(),
            _ => return Err(Refusal::NotFound.into()),
        }?)
    }

    fn update(&self, log: &mut MemoryLog, request: &UpdateRequest) -> Result<Vec<u8>, MemoryError> {
        let count = log.labels.get(&request.label).map_or(0, Vec::len);
        let greatest = count.checked_sub(1).map(|version| version as u32);
        let mut created = None;
        if !request.values.is_empty() && request.greatest_version == greatest {
            created = Some(log.tip.size);
            let new = |value: &Vec<u8>| new_version(&request.label, value);
            let new = request.values.iter().map(new).collect();
            log.push(self.now.load(Ordering::SeqCst), new);
        }
        let mut out = Vec::new();
        for response in provider::update(&log.published(), request, created)? {
            out.extend(response.to_bytes()?);
        }
        Ok(out)
    }
}

fn new_version(label: &[u8], value: &[u8]) -> NewVersion {
    NewVersion {
        label: label.to_vec(),
        value: value.to_vec(),
        opening: [7; 16],
    }
}

fn request<R: Decode<()>>(body: &[u8]) -> R {
    R::from_bytes(body, &()).unwrap()
}

pub(crate) fn unreachable() -> Answer {
    Err(TransportError::Unreachable("nobody there".into()))
}

pub(crate) fn problem(status: u16, code: &str) -> TransportError {
    Problem {
        status,
        code: code.to_owned(),
        title: String::new(),
        detail: String::new(),
    }
    .into()
}

impl Transport for World {
    async fn get(&self, path: &str) -> Answer {
        self.carry(path, &[], &|| {
            Ok(self.shown().directory().descriptor.to_json().unwrap())
        })
    }

    async fn post(&self, path: &str, body: Vec<u8>) -> Answer {
        self.carry(path, &body, &|| {
            self.shown()
                .answer(path, &body)
                .map_err(|error| match error {
                    MemoryError::Refusal(Refusal::NotFound) => problem(404, "not-found"),
                    MemoryError::Refusal(Refusal::Expired) => problem(410, "expired"),
                    MemoryError::Refusal(_) => problem(409, "version-conflict"),
                    error => panic!("{error}"),
                })
        })
    }

    fn anonymous(&self) -> Result<Self, TransportError> {
        Ok(Self {
            who: Who::Stranger,
            ..self.clone()
        })
    }
}

pub(crate) struct At(pub(crate) Arc<AtomicU64>);

impl Clock for At {
    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A person whose memory is in a folder.
pub(crate) struct Person {
    pub(crate) home: tempfile::TempDir,
}

impl Person {
    /// Trusts these directories.
    pub(crate) fn new(worlds: &[&World]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let person = Self { home };
        for world in worlds {
            person.store().pin(&world.directory()).unwrap();
        }
        person
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.home.path().join("state.sqlite")).unwrap()
    }

    pub(crate) fn failures(&self) -> PathBuf {
        self.home.path().join("failures")
    }

    /// Another process of this person.
    pub(crate) fn client(&self, world: &World) -> Client<World> {
        let directory = world.directory();
        let keys = KeyRing::open(&self.home.path().join("keys"), directory.fingerprint).unwrap();
        let clock = At(world.now.clone());
        Client::new(world.clone(), self.store(), directory, clock)
            .unwrap()
            .with_keys(keys)
            .with_failures(self.failures())
    }
}
