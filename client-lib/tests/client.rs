//! The client over a transport that replays another implementation's answers.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use overt_client::client::Clock;
use overt_client::error::Reason;
use overt_client::failure::Kept;
use overt_client::kept::{Contact, KeptState};
use overt_client::store::{Change, Committed};
use overt_client::transport::{Problem, Transport, TransportError};
use overt_client::{Client, ClientError, Directory, Operation, PinnedBy, Store};
use overt_protocol::codec::Decode;
use overt_protocol::descriptor::Descriptor;
use overt_protocol::user::{TreeState, Verifier};
use overt_protocol::wire::Configuration;
use serde_json::Value;

const URL: &str = "https://keys.example.org";

/// What happens to an answer on its way.
type Meddle = Arc<dyn Fn(Vec<u8>) -> Result<Vec<u8>, TransportError> + Send + Sync>;

/// A path and the body posted to it.
type Sent = (String, Vec<u8>);

struct Replay {
    answers: HashMap<Vec<u8>, Vec<u8>>,
    seen: Arc<Mutex<Vec<Sent>>>,
    meddle: Meddle,
}

fn problem(code: &str, status: u16) -> TransportError {
    Problem {
        status,
        code: code.to_owned(),
        title: String::new(),
        detail: String::new(),
    }
    .into()
}

impl Transport for Replay {
    async fn get(&self, _: &str) -> Result<Vec<u8>, TransportError> {
        Err(problem("not-found", 404))
    }

    async fn post(&self, path: &str, body: Vec<u8>) -> Result<Vec<u8>, TransportError> {
        self.seen
            .lock()
            .unwrap()
            .push((path.to_owned(), body.clone()));
        match self.answers.get(&body) {
            None => Err(problem("not-found", 404)),
            Some(answer) => (self.meddle)(answer.clone()),
        }
    }

    fn anonymous(&self) -> Result<Self, TransportError> {
        Err(problem("not-found", 404))
    }
}

struct At(u64);

impl Clock for At {
    fn now(&self) -> u64 {
        self.0
    }
}

fn vectors() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/vectors/suite2-mode1.json"
    );
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

struct Scene {
    home: tempfile::TempDir,
    config: Configuration,
    answers: HashMap<Vec<u8>, Vec<u8>>,
    now: u64,
    seen: Arc<Mutex<Vec<Sent>>>,
}

impl Scene {
    /// The answers of a session, and the time of its first step.
    fn new(session: &str) -> Self {
        let vectors = vectors();
        let sessions = vectors["sessions"].as_array().unwrap();
        let session = sessions.iter().find(|s| s["name"] == session).unwrap();
        let steps = session["steps"].as_array().unwrap();
        let answer = |step: &Value| {
            let responses = step["responses"].as_array().unwrap().iter();
            (bytes(&step["request"]), responses.flat_map(bytes).collect())
        };
        let scene = Self {
            home: tempfile::tempdir().unwrap(),
            config: Configuration::from_bytes(&bytes(&vectors["configuration"]), &()).unwrap(),
            answers: steps.iter().map(answer).collect(),
            now: steps[0]["now_ms"].as_u64().unwrap(),
            seen: Arc::default(),
        };
        scene.store().pin(&scene.directory()).unwrap();
        scene
    }

    fn directory(&self) -> Directory {
        let descriptor = Descriptor::new("keys.example.org/overt", &self.config, false).unwrap();
        let json = descriptor.to_json().unwrap();
        Directory::from_descriptor(URL, &json, PinnedBy::Fingerprint, 0).unwrap()
    }

    fn store(&self) -> Store {
        Store::open(&self.home.path().join("state.sqlite")).unwrap()
    }

    fn client(&self, meddle: Meddle) -> Client<Replay> {
        let transport = Replay {
            answers: self.answers.clone(),
            seen: self.seen.clone(),
            meddle,
        };
        Client::new(transport, self.store(), self.directory(), At(self.now))
            .unwrap()
            .with_failures(self.home.path().join("failures"))
    }

    fn honest(&self) -> Client<Replay> {
        self.client(Arc::new(Ok))
    }
}

fn check(error: &ClientError) -> &'static str {
    error.check().unwrap_or("none")
}

#[tokio::test]
async fn lookups_are_verified_and_remembered() {
    let scene = Scene::new("searcher");
    let alice = scene.honest().lookup("alice").await.unwrap();
    assert!(alice.value().starts_with(b"alice"));
    let tree = scene.store().tree(URL).unwrap().unwrap();
    assert_eq!(tree.tree_size(), 13);
    let contact = scene.store().contact(URL, b"alice").unwrap().unwrap();
    assert_eq!(contact.greatest, Some(alice.version()));

    // The next request, of another process, starts from there.
    let bob = scene.honest().lookup("bob").await.unwrap();
    assert_eq!(bob.label(), b"bob");
    let missing = scene.honest().lookup("nobody").await;
    assert!(matches!(missing, Err(ClientError::NotFound(_))));
}

#[tokio::test]
async fn a_changed_byte_teaches_nothing_and_is_kept() {
    let scene = Scene::new("searcher");
    let length = scene.answers.values().map(Vec::len).min().unwrap();
    for at in (0..length).step_by(7) {
        let meddle = move |mut answer: Vec<u8>| {
            answer[at] ^= 1;
            Ok(answer)
        };
        let result = scene.client(Arc::new(meddle)).lookup("alice").await;
        let Err(ClientError::NotVerified { reason, kept }) = result else {
            panic!("byte {at}: {result:?}");
        };
        assert_eq!(scene.store().tree(URL).unwrap(), None);
        assert_eq!(scene.store().contact(URL, b"alice").unwrap(), None);
        let Kept::At(dir) = kept else {
            panic!("byte {at}: {kept}")
        };
        assert_eq!(replayed(&dir, scene.now), reason.check(), "byte {at}");
    }
}

/// What a stored failure says when it is verified again from its files alone.
fn replayed(dir: &Path, now: u64) -> &'static str {
    let read = |name: &str| std::fs::read(dir.join(name)).unwrap();
    let config = Configuration::from_bytes(&read("configuration.bin"), &()).unwrap();
    let report: Value = serde_json::from_slice(&read("report.json")).unwrap();
    assert_eq!(report["now_ms"], now);
    let result = overt_client::exchange::verify(
        &Verifier::new(config).unwrap(),
        &KeptState::from_bytes(&read("state.bin")).unwrap(),
        report["operation"]
            .as_str()
            .unwrap()
            .parse::<Operation>()
            .unwrap(),
        &read("request.bin"),
        &read("response.bin"),
        now,
    );
    match result {
        Err(overt_client::exchange::ExchangeError::Response(error)) => error.check(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_smaller_greatest_version_is_misbehaviour() {
    let scene = Scene::new("searcher");
    let contact = Contact {
        greatest: Some(99),
        ..Contact::default()
    };
    let change = Change {
        contacts: vec![(b"alice".to_vec(), contact)],
        ..Change::default()
    };
    scene.store().commit(URL, &change).unwrap();
    let error = scene.honest().lookup("alice").await.unwrap_err();
    assert_eq!(check(&error), "version-regressed");
    assert!(error.is_misbehaviour());
    assert_eq!(scene.store().tree(URL).unwrap(), None);
}

#[tokio::test]
async fn another_value_for_a_checked_version_is_misbehaviour() {
    let scene = Scene::new("searcher");
    let version = scene.honest().lookup("alice").await.unwrap().version();
    let scene = Scene::new("searcher");
    let contact = Contact {
        anchor: Some((version, b"another".to_vec())),
        ..Contact::default()
    };
    let change = Change {
        contacts: vec![(b"alice".to_vec(), contact)],
        ..Change::default()
    };
    scene.store().commit(URL, &change).unwrap();
    let error = scene.honest().lookup("alice").await.unwrap_err();
    assert_eq!(check(&error), "value-changed");
}

#[tokio::test]
async fn a_directory_that_went_back_is_misbehaviour() {
    let scene = Scene::new("searcher");
    scene.honest().lookup("alice").await.unwrap();
    let meddle = |_| Err(problem("last-ahead", 409));
    let error = scene.client(Arc::new(meddle)).lookup("bob").await;
    let Err(ClientError::NotVerified { reason, .. }) = error else {
        panic!("{error:?}");
    };
    assert_eq!(reason, Reason::RolledBack { last: 13 });
}

/// The state that a first lookup of alice leads to.
async fn after_alice() -> TreeState {
    let scene = Scene::new("searcher");
    scene.honest().lookup("alice").await.unwrap();
    scene.store().tree(URL).unwrap().unwrap()
}

/// Looks alice up while another process moves the view of the log to `tree`.
async fn overtaken_by(tree: TreeState) -> (Scene, Result<u32, ClientError>) {
    let scene = Scene::new("searcher");
    let other = Mutex::new(scene.store());
    let meddle = move |answer| {
        let to = Some(tree.clone());
        let change = Change {
            to,
            ..Change::default()
        };
        let committed = other.lock().unwrap().commit(URL, &change).unwrap();
        assert_eq!(committed, Committed::Done);
        Ok(answer)
    };
    let found = scene.client(Arc::new(meddle)).lookup("alice").await;
    let version = found.map(|found| found.version());
    (scene, version)
}

#[tokio::test]
async fn another_process_on_the_same_log_is_no_obstacle() {
    let tree = after_alice().await;
    let (scene, found) = overtaken_by(tree.clone()).await;
    found.unwrap();
    assert_eq!(scene.store().tree(URL).unwrap(), Some(tree));
    assert!(scene.store().contact(URL, b"alice").unwrap().is_some());
}

#[tokio::test]
async fn another_process_on_another_log_reveals_a_fork() {
    let mut tree = after_alice().await;
    tree.view.root[0] ^= 1;
    let (scene, found) = overtaken_by(tree).await;
    assert_eq!(check(&found.unwrap_err()), "forked");
    assert_eq!(scene.store().contact(URL, b"alice").unwrap(), None);
}

#[tokio::test]
async fn the_view_moves_by_compare_and_set() {
    let scene = Scene::new("searcher");
    let (first, second) = (scene.store(), scene.store());
    let tree = after_alice().await;
    let to = |from: Option<&TreeState>, to: &TreeState| Change {
        from: from.cloned(),
        to: Some(to.clone()),
        ..Change::default()
    };
    let done = first.commit(URL, &to(None, &tree)).unwrap();
    assert_eq!(done, Committed::Done);
    let overtaken = second.commit(URL, &to(None, &tree)).unwrap();
    assert_eq!(overtaken, Committed::Overtaken(Some(tree.clone())));
    let mut next = tree.clone();
    next.tree_head.tree_size += 1;
    let done = second.commit(URL, &to(Some(&tree), &next)).unwrap();
    assert_eq!(done, Committed::Done);
    assert_eq!(first.tree(URL).unwrap(), Some(next));
}

#[tokio::test]
async fn ownership_starts_at_the_rightmost_distinguished_entry() {
    let scene = Scene::new("owner of new label nina");
    scene.honest().lookup("alice").await.unwrap();
    // The rest of the session is about other values; what matters is what is asked first.
    let _ = scene.honest().update("nina", b"value").await;
    let seen = scene.seen.lock().unwrap();
    let asked = seen.iter().find(|(path, _)| path == "/v1/owner-init");
    let (_, request) = asked.unwrap();
    assert!(
        scene.answers.contains_key(request),
        "the same start as the other implementation"
    );
}
