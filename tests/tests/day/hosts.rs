//! The hosts: directories and auditors, which can crash, and people.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use overt_auditor::config::{Followed, Peer};
use overt_auditor::cosign::Role;
use overt_auditor::keys;
use overt_auditor::store::Store as AuditorStore;
use overt_auditor::{Auditor, World as AuditorWorld};
use overt_client::transport::Transport as _;
use overt_client::trust::{Directory as Trusted, PinnedBy};
use overt_client::{Client, KeyRing, State, Store};
use overt_protocol::clock::Clock;
use overt_protocol::descriptor::Descriptor;
use overt_protocol::suite::{CipherSuite, SigningKey};
use overt_server::config::{Mode, Settings};
use overt_server::open::{Ready, World, open};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::net::{Link, Net, Phone, Skewed};

/// How often auditors look.
pub(crate) const POLL: Duration = Duration::from_secs(60);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// An auditor, whether it runs or not.
pub(crate) struct AuditorHost {
    pub(crate) name: String,
    net: Arc<Net>,
    settings: overt_auditor::config::Settings,
    clock: Skewed,
    running: Option<JoinHandle<anyhow::Result<()>>>,
    backed_up: Option<Instant>,
}

impl AuditorHost {
    pub(crate) fn new(net: &Arc<Net>, name: &str, data_dir: PathBuf, clock: Skewed) -> Self {
        let settings = overt_auditor::config::Settings {
            data_dir,
            listen: None,
            name: Some(name.to_owned()),
            key_command: None,
            poll: POLL,
            catch_up: Duration::from_secs(4),
            proxy: None,
            webhook: None,
            directories: Vec::new(),
            logs: Vec::new(),
            peers: Vec::new(),
        };
        Self {
            name: name.to_owned(),
            net: Arc::clone(net),
            settings,
            clock,
            running: None,
            backed_up: None,
        }
    }

    /// Whom it follows, and with whom it compares.
    pub(crate) fn knows(&mut self, directories: &[&str], peers: &[String]) {
        let followed = directories.iter().map(|name| Followed {
            url: format!("http://{name}"),
            fingerprint: None,
            start: None,
        });
        self.settings.directories = followed.collect();
        let others = peers.iter().filter(|name| **name != self.name);
        let url = |name| Peer {
            url: format!("http://{name}"),
        };
        self.settings.peers = others.map(url).collect();
    }

    /// The key that directories in third-party auditing mode name, in hexadecimal.
    pub(crate) fn public_key(&self) -> String {
        let seed = keys::load(&self.settings, keys::AUDITOR).unwrap();
        let key = SigningKey::from_bytes(CipherSuite::Kt128Sha256Ed25519, &seed).unwrap();
        hex::encode(key.public_key())
    }

    /// Its lines in a tlog-policy.
    pub(crate) fn policy(&self) -> String {
        let name = &self.name;
        let keys = keys::cosigner(&self.settings, Role::Auditor).unwrap();
        let (first, second) = (keys[0].verifier(), keys[1].verifier());
        format!(
            "witness {name}-1 {first} http://{name}/auditor\n\
             witness {name}-2 {second} http://{name}/auditor\n\
             group {name} all {name}-1 {name}-2\n"
        )
    }

    pub(crate) fn is_up(&self) -> bool {
        self.running.is_some()
    }

    pub(crate) fn start(&mut self) {
        let world = AuditorWorld {
            clock: Arc::new(self.clock),
            transport: Arc::new(Link::new(&self.net, &self.name)),
            metrics: PrometheusBuilder::new().build_recorder().handle(),
        };
        let auditor = Auditor::open(&self.settings, world).unwrap();
        self.net.up(&self.name, auditor.router());
        self.running = Some(tokio::spawn(auditor.work()));
    }

    /// Ends it wherever it is.
    pub(crate) async fn crash(&mut self) {
        self.net.down(&self.name);
        if let Some(running) = self.running.take() {
            assert!(!running.is_finished(), "{} failed: {running:?}", self.name);
            running.abort();
            let _ = running.await;
        }
        // Whoever was just being answered notices.
        sleep(Duration::from_secs(1)).await;
    }

    fn database(&self) -> PathBuf {
        self.settings.data_dir.join("auditor.sqlite3")
    }

    fn backup(&self) -> PathBuf {
        self.settings.data_dir.join("backup.sqlite3")
    }

    /// Copies the state of an auditor that does not run.
    pub(crate) fn back_up(&mut self) {
        assert!(!self.is_up());
        self.checkpoint_wal();
        self.backed_up = Some(Instant::now());
        std::fs::copy(self.database(), self.backup()).unwrap();
    }

    /// Goes back to the copy, if there is one and it is not too old to be of use.
    pub(crate) fn restore(&self) -> bool {
        assert!(!self.is_up());
        self.checkpoint_wal();
        let is_useful = self.backed_up.is_some_and(|at| at.elapsed() < 3 * HOUR);
        is_useful && std::fs::copy(self.backup(), self.database()).is_ok()
    }

    /// Begins at this log entry from the next start on.
    pub(crate) fn begin_at(&mut self, position: u64) {
        for followed in &mut self.settings.directories {
            followed.start = Some(position);
        }
    }

    /// All of the state is in one file afterwards.
    fn checkpoint_wal(&self) {
        let connection = rusqlite::Connection::open(self.database()).unwrap();
        connection
            .pragma_update(None, "journal_mode", "DELETE")
            .unwrap();
    }

    /// What an auditor that does not run remembers.
    pub(crate) fn store(&self) -> AuditorStore {
        assert!(!self.is_up());
        AuditorStore::open(&self.settings.data_dir).unwrap()
    }
}

/// A directory, whether it runs or not.
pub(crate) struct DirectoryHost {
    pub(crate) name: String,
    net: Arc<Net>,
    settings: Settings,
    clock: Skewed,
    running: Option<Ready>,
}

impl DirectoryHost {
    /// A directory whose heads need the cosignatures that `policy` asks for.
    pub(crate) fn new(
        net: &Arc<Net>,
        name: &str,
        data_dir: PathBuf,
        policy: &str,
        clock: Skewed,
    ) -> Self {
        std::fs::create_dir_all(&data_dir).unwrap();
        let file = data_dir.join("policy");
        std::fs::write(&file, policy).unwrap();
        let settings = Settings {
            origin: Some(format!("{name}/overt")),
            data_dir,
            reasonable_monitoring_window: 2 * HOUR,
            max_ahead: 10 * MINUTE,
            max_behind: HOUR,
            witness_policy: Some(file),
            witness_timeout: Duration::from_secs(8),
            batch_interval: Duration::from_secs(2),
            cache_mib: 16,
            ..Settings::default()
        };
        Self {
            name: name.to_owned(),
            net: Arc::clone(net),
            settings,
            clock,
            running: None,
        }
    }

    /// Names an auditor in its configuration.
    pub(crate) fn with_auditor(mut self, public_key: String) -> Self {
        self.settings.mode = Mode::ThirdPartyAuditing;
        self.settings.auditor_public_key = Some(public_key);
        self
    }

    /// Drops what expired.
    pub(crate) fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.maximum_lifetime = Some(lifetime);
        self.settings.prune_interval = 5 * MINUTE;
        self
    }

    /// Another directory with the same keys, of which nobody knows and whose heads nobody cosigns.
    pub(crate) fn twin(&self, name: &str) -> Self {
        let of = &self.settings;
        let settings = Settings {
            data_dir: of.data_dir.with_file_name(name),
            signature_key_file: Some(of.signature_key_file()),
            vrf_key_file: Some(of.vrf_key_file()),
            head_log_key_file: Some(of.head_log_key_file()),
            head_log_ml_dsa_key_file: Some(of.head_log_ml_dsa_key_file()),
            witness_policy: None,
            ..of.clone()
        };
        Self {
            name: name.to_owned(),
            net: Arc::clone(&self.net),
            settings,
            clock: self.clock,
            running: None,
        }
    }

    pub(crate) async fn start(&mut self) {
        let world = World {
            clock: Arc::new(self.clock),
            transport: Arc::new(Link::new(&self.net, &self.name)),
            metrics: PrometheusBuilder::new().build_recorder().handle(),
        };
        let (ready, _) = open(&self.settings, world).await.unwrap();
        self.net.up(&self.name, ready.app.clone());
        self.running = Some(ready);
    }

    pub(crate) async fn crash(&mut self) {
        self.net.down(&self.name);
        if let Some(ready) = self.running.take() {
            assert!(!ready.writer.is_finished(), "{} failed", self.name);
            ready.writer.abort();
            drop(ready.app);
            let _ = ready.writer.await;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Somebody with one label in a directory, who looks the others up.
pub(crate) struct Person {
    label: String,
    client: Client<Phone>,
    clock: Skewed,
    rng: StdRng,
    _home: tempfile::TempDir,
}

/// What somebody did.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) updates: u32,
    pub(crate) lookups: u32,
    pub(crate) passes: u32,
    pub(crate) failures: u32,
}

impl Person {
    /// Trusts what answers at the directory's address, if these cosigned it.
    pub(crate) async fn new(
        net: &Arc<Net>,
        number: u64,
        directory: &str,
        policy: &str,
        clock: Skewed,
    ) -> Self {
        let phone = Phone {
            link: Link::new(net, &format!("phone-{number}")),
            url: format!("http://{directory}"),
        };
        let json = phone.get("/v1/descriptor").await.unwrap();
        let (descriptor, config) = Descriptor::parse(&json).unwrap();
        let trusted = Trusted {
            url: phone.url.clone(),
            fingerprint: descriptor.fingerprint().unwrap(),
            descriptor,
            config,
            pinned_by: PinnedBy::Fingerprint,
            pinned_at: clock.now(),
        };
        let home = tempfile::tempdir().unwrap();
        let keys = KeyRing::open(home.path(), trusted.fingerprint).unwrap();
        let store = Store::in_memory().unwrap();
        store.pin(&trusted).unwrap();
        store
            .set_policy(&phone.url, Some(policy.as_bytes()))
            .unwrap();
        let client = Client::new(phone, store, trusted, clock).unwrap();
        Self {
            label: label(number),
            client: client.with_keys(keys),
            clock,
            rng: StdRng::seed_from_u64(number),
            _home: home,
        }
    }

    /// Lives until the end. Whatever fails is somebody's outage, never anybody's lie.
    pub(crate) async fn live(mut self, others: Vec<u64>, end: Instant) -> Done {
        let mut done = Done::default();
        let mut is_registered = false;
        let mut monitored = Instant::now();
        while Instant::now() < end {
            let pause = self.rng.random_range(60.0..900.0);
            sleep(Duration::from_secs_f64(pause)).await;
            let result = match self.rng.random_range(0..3) {
                _ if monitored.elapsed() > HOUR => {
                    monitored = Instant::now();
                    self.monitor().await;
                    done.passes += 1;
                    Ok(())
                }
                0 => {
                    let value = self.rng.random::<[u8; 32]>();
                    let published = match is_registered {
                        false => self.client.register(&self.label, &value).await,
                        true => self.client.update(&self.label, &value).await,
                    };
                    done.updates += u32::from(published.is_ok());
                    is_registered |= published.is_ok();
                    published.map(drop)
                }
                _ => {
                    let other = others[self.rng.random_range(0..others.len())];
                    let found = self.client.lookup(&label(other)).await;
                    done.lookups += u32::from(found.is_ok());
                    found.map(drop)
                }
            };
            if let Err(error) = result {
                done.failures += 1;
                let state = State::of(&error);
                assert!(state < State::ContactKeyChanged, "{}: {error}", self.label);
            }
        }
        done
    }

    async fn monitor(&self) {
        let pass = self.client.monitor().await;
        for event in &pass.events {
            let alarm = event.alarm(self.clock.now());
            let state = event.state();
            assert!(
                state < State::ContactKeyChanged,
                "{}: {alarm:?}",
                self.label
            );
        }
    }
}

fn label(number: u64) -> String {
    format!("person-{number}@example.org")
}
