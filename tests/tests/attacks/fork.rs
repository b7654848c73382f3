//! A directory that went two ways: one log up to some entry, and two from there.

use std::path::Path;

use overt_protocol::codec::Encode;
use overt_protocol::descriptor::Descriptor;
use overt_protocol::evidence::{
    Evidence, EvidenceError, Exchange, Head, Operation, prove_difference,
};
use overt_protocol::head_log::checkpoint::SignedCheckpoint;
use overt_protocol::head_log::key::VerifierKey;
use overt_protocol::wire::{Configuration, SearchRequest};
use overt_tests::{HeadLog, Server, User, log_settings};

pub(crate) const TOKEN: &str = "a token for these tests";
pub(crate) const SEED: u8 = 7;
pub(crate) const ORIGIN: &str = "fork.example/overt";

/// Two directories with the same keys.
pub(crate) struct Fork {
    pub(crate) one: Server,
    pub(crate) other: Server,
    pub(crate) _folder: tempfile::TempDir,
    pub(crate) config: Configuration,
    /// The head log's.
    pub(crate) keys: Vec<VerifierKey>,
}

/// Starts a directory, with a tlog-policy or none.
pub(crate) fn start(folder: &Path, policy: Option<&str>) -> Server {
    let policy = policy.map(|policy| ("OVERT_SERVER_WITNESS_POLICY", policy));
    start_at(&free_address(), folder, policy.as_slice())
}

/// Starts a directory at an address, with more settings.
pub(crate) fn start_at(address: &str, folder: &Path, more: &[(&str, &str)]) -> Server {
    let settings = log_settings(ORIGIN, SEED);
    let mut environment = vec![
        ("OVERT_SERVER_TOKEN", TOKEN),
        ("OVERT_SERVER_RECEIPTS", "1s"),
        ("OVERT_SERVER_REQUEST_TIMEOUT", "2s"),
    ];
    environment.extend(settings.iter().map(|(name, value)| (*name, value.as_str())));
    environment.extend(more);
    let arguments = ["--access", "token", "--batch-interval", "1ms"];
    Server::start_at(address, folder, &arguments, &environment).unwrap()
}

pub(crate) fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// Publishes so many values of a label.
pub(crate) async fn publish(url: &str, label: &str, values: &[&str]) -> User {
    let mut user = User::new(url, Some(TOKEN)).await.unwrap();
    user.own(url, label).await.unwrap();
    for value in values {
        user.update(url, label, value.as_bytes()).await.unwrap();
    }
    user
}

pub(crate) async fn get(http: &reqwest::Client, url: String) -> Vec<u8> {
    let answer = http.get(&url).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{url}");
    answer.bytes().await.unwrap().to_vec()
}

pub(crate) async fn checkpoint(http: &reqwest::Client, url: &str) -> SignedCheckpoint {
    let note = get(http, format!("{url}/checkpoint")).await;
    SignedCheckpoint::parse(&note).unwrap()
}

pub(crate) async fn descriptor(url: &str) -> (Descriptor, Configuration) {
    let json = get(&reqwest::Client::new(), format!("{url}/v1/descriptor")).await;
    Descriptor::parse(&json).unwrap()
}

impl Fork {
    /// Alice has one value in both, and then another in each; the other log has `more` entries more.
    pub(crate) async fn new(policy: Option<&str>, more: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (folder.path().join("one"), folder.path().join("other"));
        let before = start(&here, policy);
        wait_until_published(&before.url).await;
        publish(&before.url, "alice", &["common"]).await;
        let (descriptor, config) = descriptor(&before.url).await;
        before.stop().unwrap();
        copy(&here, &there);
        let fork = Self {
            one: start(&here, policy),
            other: start(&there, policy),
            _folder: folder,
            config,
            keys: descriptor.verifier_keys().unwrap(),
        };
        publish(&fork.one.url, "alice", &["hers"]).await;
        publish(&fork.other.url, "alice", &["theirs"]).await;
        fork.level(more).await;
        fork
    }

    /// Adds entries to the smaller log until the other has just so many more.
    async fn level(&self, more: usize) {
        let http = reqwest::Client::new();
        let size = async |url: &str| checkpoint(&http, url).await.checkpoint().tree().size;
        let mut bob = publish(&self.one.url, "bob", &[]).await;
        let mut carol = publish(&self.other.url, "carol", &[]).await;
        let (one, other) = (&self.one.url, &self.other.url);
        for n in 0..100u32 {
            let value = n.to_be_bytes();
            let wanted = size(one).await + more as u64;
            match size(other).await.cmp(&wanted) {
                std::cmp::Ordering::Equal => return,
                std::cmp::Ordering::Less => drop(carol.update(other, "carol", &value).await),
                std::cmp::Ordering::Greater => drop(bob.update(one, "bob", &value).await),
            }
        }
        panic!("the logs do not stand still");
    }
}

/// The first head may have to wait for witnesses.
pub(crate) async fn wait_until_published(url: &str) {
    for _ in 0..500 {
        let answer = reqwest::get(format!("{url}/checkpoint")).await.unwrap();
        if answer.status() == 200 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("nothing is published");
}

/// What two people do who compare, each with their own way to the directory.
pub(crate) async fn compare(
    sides: [(&reqwest::Client, &str); 2],
    keys: &[VerifierKey],
) -> Result<Vec<Evidence>, EvidenceError> {
    let [(a, url_a), (b, url_b)] = sides;
    let (of_a, of_b) = (checkpoint(a, url_a).await, checkpoint(b, url_b).await);
    difference((a, url_a, &of_a), (b, url_b, &of_b), keys).await
}

/// Evidence of two checkpoints, of any sizes, and the tiles that go with them.
pub(crate) async fn difference(
    (a, url_a, of_a): (&reqwest::Client, &str, &SignedCheckpoint),
    (b, url_b, of_b): (&reqwest::Client, &str, &SignedCheckpoint),
    keys: &[VerifierKey],
) -> Result<Vec<Evidence>, EvidenceError> {
    let size = |of: &SignedCheckpoint| of.checkpoint().tree().size;
    if size(of_a) == size(of_b) {
        return Evidence::checkpoints(of_a, of_b, keys);
    }
    let mut log_a = HeadLog::read(a, url_a, size(of_a)).await.unwrap();
    let mut log_b = HeadLog::read(b, url_b, size(of_b)).await.unwrap();
    let leaves = prove_difference((&mut log_a, of_a), (&mut log_b, of_b)).unwrap();
    let [a, b] = leaves.ok_or(EvidenceError::NoContradiction("the logs agree"))?;
    Evidence::leaves(&a, &b, keys)
}

/// The head that somebody has verified.
pub(crate) fn head(user: &User) -> Head {
    let tree = user.tree.as_ref().unwrap();
    Head::of_directory(&tree.tree_head, tree.view.root)
}

/// Looks a label up as somebody new, and keeps what was said.
pub(crate) async fn search(url: &str, label: &str, version: Option<u32>) -> Exchange {
    let user = User::new(url, None).await.unwrap();
    let request = SearchRequest {
        last: None,
        label: label.into(),
        version,
    };
    let request = request.to_bytes().unwrap();
    let answer = user.post(url, "search", request.clone()).await.unwrap();
    assert_eq!(answer.status, 200);
    Exchange::new(Operation::Search, request, answer.body)
}
