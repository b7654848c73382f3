//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args as ClapArgs, Parser, Subcommand};
use overt_client::Operation;

/// Registers, looks up and verifies keys in a transparent key directory. Nothing is shown that
/// was not proved.
#[derive(Debug, Parser)]
#[command(
    name = "overt",
    version,
    after_help = "Exit codes: 0 verified, 1 refused or failed, 2 usage, 3 not found, \
                  4 directory not reachable, 5 NOT VERIFIED; of monitoring also 6 overdue, 7 clock, \
                  8 your key changed, 9 a contact's key changed, 10 the directory LIED, 11 what was \
                  remembered is damaged or gone."
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Global {
    /// Address of the directory; may be left out if exactly one is trusted.
    #[arg(long, global = true, env = "OVERT_DIRECTORY", value_name = "URL")]
    pub(crate) directory: Option<String>,
    /// Bearer token, if the directory wants one.
    #[arg(long, global = true, env = "OVERT_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Print one JSON document instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Where to remember what was verified [default: $XDG_STATE_HOME/overt].
    #[arg(long, global = true, env = "OVERT_STATE_DIR", value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Where private keys are [default: $XDG_DATA_HOME/overt/keys].
    #[arg(long, global = true, env = "OVERT_KEYS_DIR", value_name = "DIR")]
    pub(crate) keys_dir: Option<PathBuf>,
    /// Reach the directory through this proxy, such as socks5h://127.0.0.1:9050 for Tor.
    #[arg(long, global = true, env = "OVERT_PROXY", value_name = "URL")]
    pub(crate) proxy: Option<String>,
    /// Ask through this proxy what the directory must not connect with anybody: the proof that a
    /// received credential lacks, and what strangers are shown. Without it --proxy is used, and
    /// without either such a request goes straight, with no token and over its own connection.
    #[arg(long, global = true, env = "OVERT_ANONYMOUS_PROXY", value_name = "URL")]
    pub(crate) anonymous_proxy: Option<String>,
    /// No notices, no progress.
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Choose which directories to trust.
    Trust {
        #[command(subcommand)]
        command: TrustCommand,
    },
    /// Publish the first version of a label.
    Register(Target),
    /// Publish the next version of a label of yours.
    Update(Target),
    /// Look up a label and verify the answer.
    Lookup(LookupArgs),
    /// Compare what the directory shows with a key or a code that you have from elsewhere.
    Verify(VerifyArgs),
    /// Show every version of a label.
    History { label: String },
    /// Show what is trusted, owned and remembered, and bring the view of the log up to date.
    Status,
    /// Monitor your labels, those that you looked up, and credentials that you received.
    Monitor(MonitorArgs),
    /// Show alarms, and accept those that have an innocent reason.
    Alarms {
        #[command(subcommand)]
        command: AlarmsCommand,
    },
    /// Make proofs of a key that people send each other, and check them without asking the
    /// directory.
    Credential {
        #[command(subcommand)]
        command: CredentialCommand,
    },
    /// Compare the directory's log with what a friend sees of it.
    Gossip {
        #[command(subcommand)]
        command: GossipCommand,
    },
    /// Manage the private keys of your labels.
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Check stored requests and responses, with no network.
    Exchange {
        #[command(subcommand)]
        command: ExchangeCommand,
    },
    /// Witnesses and auditors that cosign the directory's heads.
    Witness {
        #[command(subcommand)]
        command: WitnessCommand,
    },
    /// Check proof of misbehaviour, with no network.
    Evidence {
        #[command(subcommand)]
        command: EvidenceCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TrustCommand {
    /// Pin a directory's configuration.
    Add {
        url: String,
        /// The fingerprint that you have from somewhere else. Without it, whatever answers first
        /// is trusted.
        #[arg(long)]
        fingerprint: Option<String>,
    },
    /// Choose the witnesses and auditors that must have cosigned every head that is believed.
    Policy {
        url: String,
        /// A tlog-policy (c2sp.org/tlog-policy): `witness`, `group` and `quorum` lines.
        #[arg(required_unless_present = "none")]
        file: Option<PathBuf>,
        /// How many of them may be dishonest, together with the directory.
        #[arg(long, default_value_t = 1)]
        dishonest: usize,
        /// Ask for no cosignatures any more.
        #[arg(long, conflicts_with = "file")]
        none: bool,
    },
    /// List trusted directories.
    List,
    /// Forget a directory and everything that was verified about it.
    Remove { url: String },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Target {
    /// The label, such as an e-mail address.
    #[arg(required_unless_present = "batch", requires = "file")]
    pub(crate) label: Option<String>,
    /// The value: a file, or - for standard input.
    pub(crate) file: Option<PathBuf>,
    /// Many at once: a file of JSON Lines {"label": "...", "value": BASE64}.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["label", "file"])]
    pub(crate) batch: Option<PathBuf>,
    /// Show the recovery phrase and the code as QR codes too.
    #[arg(long)]
    pub(crate) qr: bool,
    /// Do not wait until an update is in the log, if the directory signs a promise that it will be;
    /// `overt monitor` holds it to that.
    #[arg(long, conflicts_with = "batch")]
    pub(crate) no_wait: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LookupArgs {
    /// The label.
    #[arg(required_unless_present = "batch")]
    pub(crate) label: Option<String>,
    /// A version other than the greatest.
    #[arg(long)]
    pub(crate) version: Option<u32>,
    /// Write the proved value to this file, or to standard output (-).
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Many at once: a file with a label on each line, or JSON Lines with a "label".
    #[arg(long, value_name = "FILE", conflicts_with_all = ["label", "version", "output"])]
    pub(crate) batch: Option<PathBuf>,
    /// Show the verification code as a QR code too.
    #[arg(long)]
    pub(crate) qr: bool,
}

#[derive(Debug, ClapArgs)]
#[command(group(ArgGroup::new("with").required(true).args(["key", "code"])))]
pub(crate) struct VerifyArgs {
    /// The label.
    pub(crate) label: String,
    /// The key that you have from its owner.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// The sixty digits that its owner reads to you.
    #[arg(long)]
    pub(crate) code: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// List labels that this device holds keys of.
    List,
    /// Print the keys of a label. Whoever has them owns the label.
    Export {
        label: String,
        /// Only the recovery phrase.
        #[arg(long)]
        phrase: bool,
        /// The recovery phrase as a QR code too.
        #[arg(long, requires = "phrase")]
        qr: bool,
    },
    /// Take in exported keys.
    Import { file: PathBuf },
    /// Publish a new update key, signed with the old one.
    Rotate { label: String },
    /// Take a label back with its recovery phrase. Contacts are told.
    Recover {
        label: String,
        /// A file with the twenty-four words, or - for standard input. Without it the recovery
        /// key on this device is used.
        #[arg(long, value_name = "FILE")]
        phrase: Option<PathBuf>,
        /// A new value to publish at the same time.
        #[arg(long, value_name = "FILE")]
        value: Option<PathBuf>,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct MonitorArgs {
    /// Go on for ever, about once in the directory's reasonable monitoring window.
    #[arg(long)]
    pub(crate) watch: bool,
    /// Time between passes with --watch, such as 30m or 12h, instead of that window's.
    #[arg(long, value_name = "TIME", requires = "watch", value_parser = duration)]
    pub(crate) every: Option<Duration>,
    /// Also look up everybody who was looked up earlier, and tell whose key changed. This shows the
    /// directory who your contacts are, all at once and again each time.
    #[arg(long)]
    pub(crate) check_contacts: bool,
    /// Post each new alarm to this address as JSON, with its evidence.
    #[arg(
        long,
        value_name = "URL",
        env = "OVERT_WEBHOOK",
        hide_env_values = true
    )]
    pub(crate) webhook: Option<String>,
    /// Run this program for each new alarm, which is on its standard input as JSON. What cannot be
    /// delivered is tried again, so the same alarm (by its id) may come more than once.
    #[arg(long, value_name = "PROGRAM", env = "OVERT_ALARM_COMMAND")]
    pub(crate) exec: Option<PathBuf>,
    /// How long that program may take before it is killed.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(crate) exec_timeout: Duration,
    /// Show each new alarm as a desktop notification (by notify-send).
    #[arg(long)]
    pub(crate) notify: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits
        .parse()
        .map_err(|_| "a number and s, m, h or d".to_owned())?;
    let unit = match text.get(digits.len()..) {
        Some("s" | "") => 1,
        Some("m") => 60,
        Some("h") => 3600,
        Some("d") => 86_400,
        _ => return Err("a number and s, m, h or d".to_owned()),
    };
    match number.checked_mul(unit) {
        None | Some(0) => Err("out of range".to_owned()),
        Some(seconds) => Ok(Duration::from_secs(seconds)),
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum AlarmsCommand {
    /// List alarms; those that were accepted too with --all.
    List {
        #[arg(long)]
        all: bool,
    },
    /// Accept an alarm: you know its reason, and it is innocent.
    Accept { id: i64 },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CredentialCommand {
    /// Make a credential for the newest version of a label, usually yours.
    Make {
        label: String,
        /// Where to write it; otherwise it is printed as text.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Show it as a QR code, if it fits.
        #[arg(long)]
        qr: bool,
    },
    /// Check a credential that somebody sent: a file as made by `make`, binary or text, or - for
    /// standard input. The directory is not asked.
    Check {
        file: PathBuf,
        /// The update that they sent later.
        #[arg(long, value_name = "FILE")]
        update: Option<PathBuf>,
    },
    /// Make the update that lets receivers verify a provisional credential finally.
    Update {
        file: PathBuf,
        /// Where to write it; otherwise it is printed as text.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum GossipCommand {
    /// Ask the auditors of the policy what they were shown, and tell them what is shown here. `overt
    /// monitor` does this by itself; with --watch at random times.
    Auditors,
    /// Show the roots of the log at its recent distinguished entries, to send to a friend.
    Show {
        /// As a QR code too.
        #[arg(long)]
        qr: bool,
    },
    /// Compare them with what a friend's `show` printed.
    Compare {
        /// A file with it, or - for standard input.
        file: PathBuf,
    },
    /// Compare them with what the directory shows to a stranger: asked anew, with no token, over a
    /// connection of its own, through --anonymous-proxy or --proxy. `overt monitor --watch` does
    /// this by itself, at random times, where no third party looks after the log.
    Stranger,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExchangeCommand {
    /// Verify one exchange.
    Verify(ExchangeVerify),
}

#[derive(Debug, Subcommand)]
pub(crate) enum WitnessCommand {
    /// Ask each witness of the policy which head it cosigned last, and compare with the directory's.
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EvidenceCommand {
    /// Say what an evidence file proves, and of whom. Neither who found it nor who sent it need be
    /// trusted.
    Verify {
        /// The file, or - for standard input.
        file: PathBuf,
    },
}

/// Every operation but `credential`.
const REQUESTS: [(&str, &str); 8] = [
    ("op", "search"),
    ("op", "update"),
    ("op", "owner-init"),
    ("op", "owner-monitor"),
    ("op", "contact-monitor"),
    ("op", "distinguished"),
    ("op", "absence"),
    ("op", "credential-update"),
];

#[derive(Debug, ClapArgs)]
pub(crate) struct ExchangeVerify {
    /// search, update, owner-init, owner-monitor, contact-monitor, distinguished, absence,
    /// credential (which has no request) or credential-update.
    #[arg(long)]
    pub(crate) op: Operation,
    /// The encoded Configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The encoded request.
    #[arg(long, value_name = "FILE", required_if_eq_any = REQUESTS)]
    pub(crate) request: Option<PathBuf>,
    /// The encoded response; several for an update that has several.
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) response: Vec<PathBuf>,
    /// A receipt that the response is to prove broken; of a search or absence by a new client.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["state", "new_state", "now"])]
    pub(crate) receipt: Option<PathBuf>,
    /// What the client kept before; without it the client is new.
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// Where to write what the client keeps from then on.
    #[arg(long, value_name = "FILE")]
    pub(crate) new_state: Option<PathBuf>,
    /// The client's clock, in milliseconds since the Unix epoch, instead of this machine's.
    #[arg(long, value_name = "MILLISECONDS")]
    pub(crate) now: Option<u64>,
}
