//! Settings: a file, then the environment, then flags, each overriding the one before.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use overt_protocol::suite::CipherSuite;
use overt_protocol::wire::DeploymentMode;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Who may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessPolicy {
    /// First come, first served; every value is signed by its label's own key.
    Open,
    /// Whoever has the operator's token may write any label.
    Token,
}

/// Who may look labels up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LookupPolicy {
    /// Everyone.
    Open,
    /// Whoever has the operator's token; others go on monitoring what they looked up before.
    Token,
}

/// The draft's deployment modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Users who looked up a label monitor it.
    ContactMonitoring,
    /// A third party keeps the tree, and the Service Operator authorizes what goes in.
    ThirdPartyManagement,
    /// A third party replays the log and signs its heads.
    ThirdPartyAuditing,
}

/// What this process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The whole directory; with `mode = "third-party-management"`, the manager's part.
    All,
    /// The Third-Party Manager: keeps the tree.
    Manager,
    /// The Service Operator in front of a manager: access control and signatures on values.
    Operator,
    /// One of the processes of a directory in a database that may be elected to write.
    Sequencer,
    /// One of the processes of a directory in a database that only answer lookups.
    Reader,
}

/// What becomes of a head that `witness_policy` is not met for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WithoutQuorum {
    /// It waits; users are served the last published head while its age allows, then none.
    Hold,
    /// It is published after `quorum_timeout`; users with a policy of their own refuse it.
    Degrade,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// All settings. In a file they have these names; in the environment `OVERT_SERVER_` and capitals.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Where the log is kept.
    pub data_dir: PathBuf,
    /// A PostgreSQL database that several processes share, such as `postgres://overt@db/overt`; absent:
    /// SQLite in `data_dir`. Better in the environment than in a file, if it has a password.
    pub database_url: Option<String>,
    /// How long the sequencer may be silent before another process takes over, with `database_url`.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    /// Name of the directory: a schema-less URL, such as `keys.example.org/overt`; default one that no
    /// other directory has. Fixed when the log is created.
    pub origin: Option<String>,
    /// `KT_128_SHA256_Ed25519` or `KT_128_SHA256_P256`. Fixed when the log is created.
    pub cipher_suite: String,
    /// What this process is.
    pub role: Role,
    /// The manager's address, for the operator.
    pub manager_url: Option<String>,
    /// The key that signs values, for the operator; default `keys/leaf` in the data directory.
    pub leaf_key_file: Option<PathBuf>,
    /// The Service Operator's public key, in hexadecimal, as `overt-server leaf-key` prints it, for
    /// the manager. Fixed when the log is created.
    pub leaf_public_key: Option<String>,
    /// How the log is deployed. Fixed when the log is created.
    pub mode: Mode,
    /// The auditor's public key, in hexadecimal, as `overt-auditor key` prints it. Fixed when the
    /// log is created.
    pub auditor_public_key: Option<String>,
    /// How far the auditor may lag behind. Fixed when the log is created.
    #[serde(with = "humantime_serde")]
    pub max_auditor_lag: Duration,
    /// The first log entry that the auditor processes. Fixed when the log is created.
    pub auditor_start_pos: u64,
    /// How far ahead of a user's clock a head may be. Fixed when the log is created.
    #[serde(with = "humantime_serde")]
    pub max_ahead: Duration,
    /// How far behind a user's clock a head may be. Fixed when the log is created.
    #[serde(with = "humantime_serde")]
    pub max_behind: Duration,
    /// How often label owners are expected to monitor. Fixed when the log is created.
    #[serde(with = "humantime_serde")]
    pub reasonable_monitoring_window: Duration,
    /// The age at which log entries expire; absent: never. Fixed when the log is created.
    #[serde(with = "humantime_serde")]
    pub maximum_lifetime: Option<Duration>,
    /// How long after a log entry expired its prefix tree is still there, for answers that were begun
    /// before; longer than `request_timeout`.
    #[serde(with = "humantime_serde")]
    pub prune_grace: Duration,
    /// How often the prefix trees of expired log entries are looked for and dropped.
    #[serde(with = "humantime_serde")]
    pub prune_interval: Duration,
    /// A log entry is added when none was for this fraction of the reasonable monitoring window.
    pub heartbeat_fraction: f64,
    /// Mean time between padding entries, which hide how many users there are and when they act;
    /// absent: none.
    #[serde(with = "humantime_serde")]
    pub padding: Option<Duration>,
    /// How soon an update is in the log that was acknowledged with a receipt instead, to clients that
    /// would rather not wait; absent: none is. A promise that is broken is evidence against the
    /// directory, so leave room for outages.
    #[serde(with = "humantime_serde")]
    pub receipts: Option<Duration>,
    /// Whether the directory proves that a label does not exist, to whoever asks.
    pub prove_absence: bool,
    /// Who may write.
    pub access: AccessPolicy,
    /// Who may look labels up.
    pub lookups: LookupPolicy,
    /// The operator's token, if `access` or `lookups` is `token`. Better in the environment than in
    /// a file.
    pub token: Option<String>,
    /// The signature key; default `keys/signature` in the data directory.
    pub signature_key_file: Option<PathBuf>,
    /// The VRF key; default `keys/vrf` in the data directory.
    pub vrf_key_file: Option<PathBuf>,
    /// The Ed25519 key that signs checkpoints; default `keys/head-log` in the data directory.
    pub head_log_key_file: Option<PathBuf>,
    /// The ML-DSA-44 key that signs checkpoints; default `keys/head-log-ml-dsa` in the data directory.
    pub head_log_ml_dsa_key_file: Option<PathBuf>,
    /// A tlog-policy: the witnesses, with their submission prefixes, and the quorum of them that must
    /// have cosigned before a head is published; absent: none.
    pub witness_policy: Option<PathBuf>,
    /// What becomes of heads that the policy is not met for.
    pub without_quorum: WithoutQuorum,
    /// How long a head waits for its quorum before that is said, or done.
    #[serde(with = "humantime_serde")]
    pub quorum_timeout: Duration,
    /// Time for a witness to answer.
    #[serde(with = "humantime_serde")]
    pub witness_timeout: Duration,
    /// A folder, or the URL of an object store such as `s3://bucket/folder`, that the published head
    /// log is copied to; absent: none. What the store needs besides (`AWS_ACCESS_KEY_ID`,
    /// `AWS_ENDPOINT`, …) is in the environment.
    pub mirror: Option<String>,
    /// Remembers the last signed head; default `keys/last-signed-head` in the data directory.
    pub guard_file: Option<PathBuf>,
    /// Certificate chain, PEM. With `tls_key`: HTTPS instead of HTTP.
    pub tls_certificate: Option<PathBuf>,
    /// Private key, PEM.
    pub tls_key: Option<PathBuf>,
    /// How long a batch waits for company.
    #[serde(with = "humantime_serde")]
    pub batch_interval: Duration,
    /// Updates that make a batch full.
    pub batch_size: usize,
    /// Leaves in one log entry; at most 255 where auditors follow.
    pub leaves_per_entry: usize,
    /// Updates that may wait.
    pub queue: usize,
    /// Requests answered at a time.
    pub concurrency: usize,
    /// Bytes of a request body.
    pub max_body: usize,
    /// Time to receive a request's headers.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    /// Time to answer a request, body included.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// Distinguished log entries in one owner monitoring response.
    pub owner_monitor_limit: usize,
    /// Memory for caches, in MiB.
    pub cache_mib: u64,
    /// How logs are written.
    pub log_format: LogFormat,
}

impl Default for Settings {
    fn default() -> Self {
        let hours = |n: u64| Duration::from_secs(n * 3600);
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8443)),
            data_dir: default_data_dir(),
            database_url: None,
            lease: Duration::from_secs(10),
            origin: None,
            cipher_suite: CipherSuite::Kt128Sha256Ed25519.name().to_owned(),
            role: Role::All,
            manager_url: None,
            leaf_key_file: None,
            leaf_public_key: None,
            mode: Mode::ContactMonitoring,
            auditor_public_key: None,
            max_auditor_lag: hours(1),
            auditor_start_pos: 0,
            max_ahead: hours(24),
            max_behind: hours(24),
            reasonable_monitoring_window: hours(24),
            maximum_lifetime: None,
            prune_grace: Duration::from_secs(120),
            prune_interval: Duration::from_secs(10),
            heartbeat_fraction: 1.0 / 24.0,
            padding: None,
            receipts: None,
            prove_absence: true,
            access: AccessPolicy::Open,
            lookups: LookupPolicy::Open,
            token: None,
            signature_key_file: None,
            vrf_key_file: None,
            head_log_key_file: None,
            head_log_ml_dsa_key_file: None,
            witness_policy: None,
            without_quorum: WithoutQuorum::Hold,
            quorum_timeout: Duration::from_secs(10),
            witness_timeout: Duration::from_secs(5),
            mirror: None,
            guard_file: None,
            tls_certificate: None,
            tls_key: None,
            batch_interval: Duration::from_millis(500),
            batch_size: 2_000,
            leaves_per_entry: 255,
            queue: 10_000,
            concurrency: 1024,
            max_body: 1 << 20,
            header_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(60),
            owner_monitor_limit: 64,
            cache_mib: 192,
            log_format: LogFormat::Text,
        }
    }
}

/// `$STATE_DIRECTORY` (which systemd sets), else `$XDG_STATE_HOME/overt-server`, else below the
/// home directory.
fn default_data_dir() -> PathBuf {
    let from = |name| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    if let Some(state) = from("STATE_DIRECTORY") {
        return state;
    }
    let base = from("XDG_STATE_HOME").or_else(|| Some(from("HOME")?.join(".local/state")));
    base.unwrap_or_default().join("overt-server")
}

/// Why settings cannot be used.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// A file or variable does not parse.
    #[error("{0}")]
    Parse(Box<figment::Error>),
    /// A value is out of range or contradicts another.
    #[error("{setting}: {problem}")]
    Invalid {
        /// The setting.
        setting: &'static str,
        /// What is wrong and what is expected.
        problem: String,
    },
}

impl Settings {
    /// Reads the file (if given), the environment, and `flags`, in this order.
    pub fn load(
        file: Option<&std::path::Path>,
        flags: impl Serialize,
    ) -> Result<Self, SettingsError> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = file {
            figment = figment.merge(Toml::file_exact(file));
        }
        // Keys and the path of the file itself are read elsewhere.
        let env = Env::prefixed("OVERT_SERVER_").ignore(&[
            "config",
            "signature_key",
            "vrf_key",
            "leaf_key",
            "head_log_key",
            "head_log_ml_dsa_key",
        ]);
        figment
            .merge(env)
            .merge(Serialized::defaults(flags))
            .extract()
            .map_err(|error| SettingsError::Parse(Box::new(error)))
            .and_then(Self::validated)
    }

    fn validated(self) -> Result<Self, SettingsError> {
        let invalid = |setting, problem: &str| {
            let problem = problem.to_owned();
            Err(SettingsError::Invalid { setting, problem })
        };
        if CipherSuite::from_name(&self.cipher_suite).is_none() {
            return invalid(
                "cipher_suite",
                "expected KT_128_SHA256_Ed25519 or KT_128_SHA256_P256",
            );
        }
        let is_name = |origin: &String| {
            !origin.is_empty()
                && !origin.contains("://")
                && !origin.contains([' ', '\t', '\n', '+'])
        };
        if !self.origin.as_ref().is_none_or(is_name) {
            return invalid(
                "origin",
                "expected a URL without its schema, such as keys.example.org/overt",
            );
        }
        if self.reasonable_monitoring_window.is_zero() {
            return invalid("reasonable_monitoring_window", "must be longer than zero");
        }
        if let Some(lifetime) = self.maximum_lifetime
            && lifetime <= self.reasonable_monitoring_window + self.max_ahead + self.max_behind
        {
            return invalid(
                "maximum_lifetime",
                "must be longer than reasonable_monitoring_window, with room for max_ahead and \
                 max_behind (clock skew and outages)",
            );
        }
        if self.prune_grace <= self.request_timeout {
            return invalid("prune_grace", "must be longer than request_timeout");
        }
        if !(self.heartbeat_fraction > 0.0 && self.heartbeat_fraction <= 1.0) {
            return invalid("heartbeat_fraction", "expected a number above 0, at most 1");
        }
        if self.heartbeat() >= self.max_behind {
            return invalid(
                "heartbeat_fraction",
                "an idle log would look stale: heartbeat_fraction × reasonable_monitoring_window \
                 must be shorter than max_behind",
            );
        }
        if (self.mode == Mode::ThirdPartyAuditing) != self.auditor_public_key.is_some() {
            return invalid(
                "auditor_public_key",
                "goes with mode = \"third-party-auditing\", which needs it",
            );
        }
        let is_manager = self.role == Role::Manager;
        if (self.mode == Mode::ThirdPartyManagement) != is_manager
            || is_manager != self.leaf_public_key.is_some()
        {
            return invalid(
                "role, mode, leaf_public_key",
                "role = \"manager\", mode = \"third-party-management\" and leaf_public_key go \
                 together",
            );
        }
        if (self.role == Role::Operator) != self.manager_url.is_some() {
            return invalid(
                "manager_url",
                "goes with role = \"operator\", which needs it",
            );
        }
        if self.role == Role::Operator && self.access != AccessPolicy::Token {
            return invalid(
                "access",
                "an operator needs access = \"token\": a version that the manager skipped would \
                 break the signatures that access = \"open\" asks of users",
            );
        }
        let is_shared = self.database_url.is_some();
        if matches!(self.role, Role::Sequencer | Role::Reader) && !is_shared {
            return invalid(
                "role",
                "\"sequencer\" and \"reader\" are for processes that share a database: set \
                 database_url",
            );
        }
        if self.role == Role::Operator && is_shared {
            return invalid("database_url", "an operator keeps no log");
        }
        if self.lease < Duration::from_secs(1) {
            return invalid("lease", "expected at least 1s");
        }
        for (setting, key) in [
            ("auditor_public_key", &self.auditor_public_key),
            ("leaf_public_key", &self.leaf_public_key),
        ] {
            if key.as_ref().is_some_and(|key| hex::decode(key).is_err()) {
                return invalid(setting, "expected hexadecimal");
            }
        }
        if self.mode == Mode::ThirdPartyAuditing && self.leaves_per_entry > 255 {
            return invalid(
                "leaves_per_entry",
                "at most 255 where an auditor follows: its proofs have no room for more",
            );
        }
        let needs_token = self.access == AccessPolicy::Token || self.lookups == LookupPolicy::Token;
        if needs_token && self.token.as_ref().is_none_or(|t| t.len() < 16) {
            return invalid(
                "token",
                "with access or lookups = \"token\", a token of at least 16 characters is needed",
            );
        }
        if self
            .padding
            .is_some_and(|mean| mean < Duration::from_millis(10))
        {
            return invalid("padding", "expected at least 10ms between padding entries");
        }
        if self.tls_certificate.is_some() != self.tls_key.is_some() {
            return invalid("tls_certificate", "tls_certificate and tls_key go together");
        }
        if !(1..=65_535).contains(&self.leaves_per_entry) {
            return invalid(
                "leaves_per_entry",
                "expected 1 to 65535 (255 where auditors follow)",
            );
        }
        if self.batch_size == 0 || self.queue == 0 || self.concurrency == 0 || self.max_body < 1024
        {
            return invalid(
                "batch_size, queue, concurrency, max_body",
                "must not be zero; max_body at least 1024",
            );
        }
        Ok(self)
    }

    /// The longest time without a new log entry.
    pub fn heartbeat(&self) -> Duration {
        self.reasonable_monitoring_window
            .mul_f64(self.heartbeat_fraction)
    }

    /// The deployment mode with its parameters.
    pub fn deployment(&self) -> DeploymentMode {
        let key = self.auditor_public_key.as_ref();
        let key = key.or(self.leaf_public_key.as_ref());
        match (self.mode, key.map(hex::decode)) {
            (Mode::ThirdPartyManagement, Some(Ok(leaf_public_key))) => {
                DeploymentMode::ThirdPartyManagement { leaf_public_key }
            }
            (Mode::ThirdPartyAuditing, Some(Ok(auditor_public_key))) => {
                DeploymentMode::ThirdPartyAuditing {
                    max_auditor_lag: u64::try_from(self.max_auditor_lag.as_millis())
                        .unwrap_or(u64::MAX),
                    auditor_start_pos: self.auditor_start_pos,
                    auditor_public_key,
                }
            }
            _ => DeploymentMode::ContactMonitoring,
        }
    }

    /// The cipher suite.
    pub fn suite(&self) -> CipherSuite {
        CipherSuite::from_name(&self.cipher_suite).unwrap_or(CipherSuite::Kt128Sha256Ed25519)
    }

    /// Where the signature key is.
    pub fn signature_key_file(&self) -> PathBuf {
        self.signature_key_file
            .clone()
            .unwrap_or_else(|| self.data_dir.join("keys/signature"))
    }

    /// Where the key that signs values is.
    pub fn leaf_key_file(&self) -> PathBuf {
        self.leaf_key_file
            .clone()
            .unwrap_or_else(|| self.data_dir.join("keys/leaf"))
    }

    /// Where the VRF key is.
    pub fn vrf_key_file(&self) -> PathBuf {
        self.vrf_key_file
            .clone()
            .unwrap_or_else(|| self.data_dir.join("keys/vrf"))
    }

    /// Where the Ed25519 key is that signs checkpoints.
    pub fn head_log_key_file(&self) -> PathBuf {
        self.head_log_key_file
            .clone()
            .unwrap_or_else(|| self.data_dir.join("keys/head-log"))
    }

    /// Where the ML-DSA-44 key is that signs checkpoints.
    pub fn head_log_ml_dsa_key_file(&self) -> PathBuf {
        self.head_log_ml_dsa_key_file
            .clone()
            .unwrap_or_else(|| self.data_dir.join("keys/head-log-ml-dsa"))
    }

    /// Where the last signed head is remembered.
    pub fn guard_file(&self) -> PathBuf {
        self.guard_file
            .clone()
            .unwrap_or_else(|| self.data_dir.join("keys/last-signed-head"))
    }
}
