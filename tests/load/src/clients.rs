//! People who look labels up and change theirs. All of them know a head that is a little old, as
//! people do who come back; some of what they are answered is verified.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::ensure;
use overt_protocol::codec::Encode;
use overt_protocol::descriptor::Descriptor;
use overt_protocol::error::VerifyError;
use overt_protocol::user::{OwnerState, TreeState, Verifier};
use overt_protocol::wire::{OwnerInitRequest, SearchRequest, UpdateRequest};
use rand::RngExt;
use serde::Serialize;

use crate::directory::{TOKEN, label, value};
use crate::generator::{Failure, lock};

const TIMEOUT: Duration = Duration::from_secs(60);
/// One of so many lookups is verified.
const VERIFIED: u32 = 100;
/// One of so many updates is preceded by an owner initialization, without which it cannot be verified.
const PREPARED: u32 = 20;
/// In place of the version of a label that someone is changing, or failed to.
const TAKEN: u32 = u32::MAX;
/// Labels that are tried until one is not taken.
const TRIED: u32 = 100;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The greatest version of a label.
    Lookup,
    /// A label's first value.
    New,
    /// A label's next value.
    Changed,
    /// What owners begin with.
    OwnerInit,
    /// What is new about a label, to its owner.
    CatchUp,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Lookup => "lookup",
            Self::New => "new label",
            Self::Changed => "changed value",
            Self::OwnerInit => "owner initialization",
            Self::CatchUp => "owner catches up",
        })
    }
}

/// A label and its greatest version, none if it is to be created.
#[derive(Debug, Clone, Copy)]
struct Owned {
    number: u64,
    greatest: Option<u32>,
}

impl Owned {
    fn next(self) -> u32 {
        self.greatest.map_or(0, |version| version + 1)
    }
}

/// A request.
#[derive(Debug)]
enum Task {
    Lookup(u64),
    OwnerInit(Owned),
    /// The owner learns of what is later than the log entries that an initialization covers.
    CatchUp(Owned, OwnerState),
    /// Verified if the owner has a state.
    Update(Owned, Option<OwnerState>),
}

impl Task {
    fn kind(&self) -> Kind {
        match self {
            Self::Lookup(_) => Kind::Lookup,
            Self::OwnerInit(_) => Kind::OwnerInit,
            Self::CatchUp(..) => Kind::CatchUp,
            Self::Update(Owned { greatest: None, .. }, _) => Kind::New,
            Self::Update(..) => Kind::Changed,
        }
    }
}

/// How an answer is verified.
type Check = Box<dyn FnOnce() -> Result<(), Failure> + Send>;

/// All of them.
pub struct Clients {
    http: reqwest::Client,
    url: String,
    verifier: Verifier,
    /// The greatest head that was verified.
    state: RwLock<Arc<TreeState>>,
    /// Greatest versions of the labels that were there at the beginning, by number.
    versions: Vec<AtomicU32>,
    next_new: AtomicU64,
    next_changed: AtomicU64,
    /// Owners who can verify what they are answered next.
    owners: Mutex<VecDeque<(Owned, OwnerState)>>,
    verified: AtomicU64,
}

impl Clients {
    /// Clients of a directory of so many labels, at their first version.
    pub async fn new(url: &str, labels: u64) -> anyhow::Result<Arc<Self>> {
        ensure!(labels > 0, "there must be a label");
        let http = reqwest::Client::builder().timeout(TIMEOUT).build()?;
        let json = http.get(format!("{url}/v1/descriptor")).send().await?;
        let (_, config) = Descriptor::parse(&json.bytes().await?)?;
        let verifier = Verifier::new(config)?;
        let request = SearchRequest {
            last: None,
            label: label(0),
            version: None,
        };
        let body = post(&http, url, "search", &request).await?;
        let first = verifier.search(None, &request, &body, now())?;
        Ok(Arc::new(Self {
            http,
            url: url.to_owned(),
            verifier,
            state: RwLock::new(Arc::new(first.state)),
            versions: (0..labels).map(|_| AtomicU32::new(0)).collect(),
            next_new: AtomicU64::new(labels),
            next_changed: AtomicU64::new(0),
            owners: Mutex::default(),
            verified: AtomicU64::new(0),
        }))
    }

    /// Answers that were verified so far.
    pub fn verified(&self) -> u64 {
        self.verified.load(Ordering::Relaxed)
    }

    /// A random request, of which `updates` of one are updates.
    pub fn any(
        self: &Arc<Self>,
        updates: f64,
    ) -> (Kind, impl Future<Output = Result<Check, Failure>> + use<>) {
        let mut rng = rand::rng();
        let task = match rng.random_bool(updates) {
            true if rng.random_ratio(1, PREPARED) => Task::OwnerInit(self.someone(rng.random())),
            true => self.an_update(rng.random()),
            false => Task::Lookup(rng.random_range(0..self.versions.len() as u64)),
        };
        self.clone().perform(task)
    }

    /// Looks a label up.
    pub fn lookup(
        self: &Arc<Self>,
        number: u64,
    ) -> (Kind, impl Future<Output = Result<Check, Failure>> + use<>) {
        self.clone().perform(Task::Lookup(number))
    }

    /// The owner of a label, which nobody else changes meanwhile.
    fn someone(&self, is_new: bool) -> Owned {
        let old = if is_new { None } else { self.take() };
        old.unwrap_or_else(|| Owned {
            number: self.next_new.fetch_add(1, Ordering::Relaxed),
            greatest: None,
        })
    }

    fn take(&self) -> Option<Owned> {
        (0..TRIED).find_map(|_| {
            let turn = self.next_changed.fetch_add(1, Ordering::Relaxed);
            let number = turn % self.versions.len() as u64;
            let greatest = self.version(number)?.swap(TAKEN, Ordering::Relaxed);
            let greatest = Some(greatest).filter(|version| *version != TAKEN);
            greatest.map(|_| Owned { number, greatest })
        })
    }

    /// The greatest version of a label that was there at the beginning.
    fn version(&self, number: u64) -> Option<&AtomicU32> {
        self.versions.get(usize::try_from(number).ok()?)
    }

    fn an_update(&self, is_new: bool) -> Task {
        let prepared = lock(&self.owners).pop_front();
        match prepared {
            Some((owned, state)) if state.progress.greatest_version() != owned.greatest => {
                Task::CatchUp(owned, state)
            }
            Some((owned, state)) => Task::Update(owned, Some(state)),
            None => Task::Update(self.someone(is_new), None),
        }
    }

    fn perform(
        self: Arc<Self>,
        task: Task,
    ) -> (Kind, impl Future<Output = Result<Check, Failure>>) {
        let answer = async move |task| match task {
            Task::Lookup(number) => self.search(number).await,
            Task::OwnerInit(owned) => self.owner_init(owned).await,
            Task::CatchUp(owned, owner) => self.catch_up(owned, owner).await,
            Task::Update(owned, owner) => self.update(owned, owner).await,
        };
        (task.kind(), answer(task))
    }

    async fn search(self: Arc<Self>, number: u64) -> Result<Check, Failure> {
        let state = self.state();
        let request = SearchRequest {
            last: Some(state.tree_size()),
            label: label(number),
            version: None,
        };
        let body = self.post("search", &request).await?;
        if !rand::rng().random_ratio(1, VERIFIED) {
            return Ok(Box::new(|| Ok(())));
        }
        Ok(Box::new(move || {
            let done = self.verifier.search(Some(&state), &request, &body, now());
            let done = self.accepted(done)?;
            let expected = value(number, done.value.version());
            self.keep(done.state, done.value.value() == expected)
        }))
    }

    async fn owner_init(self: Arc<Self>, owned: Owned) -> Result<Check, Failure> {
        let state = self.state();
        let start = state.view.rightmost_distinguished(self.verifier.config());
        let request = OwnerInitRequest {
            last: Some(state.tree_size()),
            label: label(owned.number),
            start: start.unwrap_or_default(),
        };
        let body = self.post("owner-init", &request).await?;
        Ok(Box::new(move || {
            let done = self
                .verifier
                .owner_init(Some(&state), &request, &body, now());
            let done = self.accepted(done)?;
            // It may be behind, and not ahead.
            let is_right = done.owner.progress.greatest_version() <= owned.greatest;
            self.keep(done.state, is_right)?;
            lock(&self.owners).push_back((owned, done.owner));
            Ok(())
        }))
    }

    async fn catch_up(self: Arc<Self>, owned: Owned, owner: OwnerState) -> Result<Check, Failure> {
        let state = self.state();
        let request = UpdateRequest {
            last: Some(state.tree_size()),
            label: label(owned.number),
            greatest_version: owner.progress.greatest_version(),
            values: Vec::new(),
        };
        let body = self.post("update", &request).await?;
        Ok(Box::new(move || {
            let done = self
                .verifier
                .update(Some(&state), &owner, &request, &body, now());
            let done = self.accepted(done)?;
            let is_right = done.owner.progress.greatest_version() == owned.greatest;
            self.keep(done.state, is_right)?;
            lock(&self.owners).push_back((owned, done.owner));
            Ok(())
        }))
    }

    async fn update(
        self: Arc<Self>,
        owned: Owned,
        owner: Option<OwnerState>,
    ) -> Result<Check, Failure> {
        let state = self.state();
        let request = UpdateRequest {
            last: Some(state.tree_size()),
            label: label(owned.number),
            greatest_version: owned.greatest,
            values: vec![value(owned.number, owned.next())],
        };
        let body = self.post("update", &request).await?;
        if let Some(version) = self.version(owned.number) {
            version.store(owned.next(), Ordering::Relaxed);
        }
        let Some(owner) = owner else {
            return Ok(Box::new(|| Ok(())));
        };
        Ok(Box::new(move || {
            let done = self
                .verifier
                .update(Some(&state), &owner, &request, &body, now());
            let done = self.accepted(done)?;
            let is_right = done.updates.iter().all(|update| update.requested);
            self.keep(done.state, is_right)
        }))
    }

    fn state(&self) -> Arc<TreeState> {
        self.state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn accepted<T>(&self, done: Result<T, VerifyError>) -> Result<T, Failure> {
        done.map_err(|error| {
            eprintln!("an answer does not verify: {error}");
            Failure::NotVerified
        })
    }

    /// Remembers what was verified, if it also says what it should.
    fn keep(&self, new: TreeState, is_right: bool) -> Result<(), Failure> {
        if !is_right {
            eprintln!("an answer verifies, and says something else than was registered");
            return Err(Failure::NotVerified);
        }
        self.verified.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if new.tree_size() > state.tree_size() {
            *state = Arc::new(new);
        }
        Ok(())
    }

    async fn post(&self, operation: &str, request: &impl Encode) -> Result<Vec<u8>, Failure> {
        post(&self.http, &self.url, operation, request).await
    }
}

async fn post(
    http: &reqwest::Client,
    url: &str,
    operation: &str,
    request: &impl Encode,
) -> Result<Vec<u8>, Failure> {
    // What is asked for here can be encoded.
    let body = request.to_bytes().unwrap_or_default();
    let request = http.post(format!("{url}/v1/{operation}")).body(body);
    let answer = request.bearer_auth(TOKEN).send().await;
    let answer = answer.map_err(|_| Failure::NoAnswer)?;
    let status = answer.status().as_u16();
    let body = answer.bytes().await.map_err(|_| Failure::NoAnswer)?;
    match status {
        200 => Ok(body.to_vec()),
        _ => Err(Failure::Status(status)),
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
