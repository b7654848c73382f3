//! What the fuzz targets do.
#![allow(missing_docs, clippy::missing_panics_doc)]

#[path = "../../protocol/tests/support/mod.rs"]
pub mod support;
pub mod world;

use std::fmt::Debug;
use std::sync::OnceLock;

use overt_protocol::auditor::{AuditError, AuditorState};
use overt_protocol::codec::{Decode, Encode};
use overt_protocol::descriptor::{Descriptor, Fingerprint};
use overt_protocol::distinguished::RECENT;
use overt_protocol::evidence::{Accused, Evidence};
use overt_protocol::prefix_tree::PageRecord;
use overt_protocol::provider;
use overt_protocol::signed_value::{SignedValue, Signer};
use overt_protocol::suite::{CipherSuite, SigningKey};
use overt_protocol::user::{
    Awaited, OwnerState, ProvisionalCredential, TreeState, TreeView, Verifier,
};
use overt_protocol::wire::*;
use world::{Case, Outcome};

const SUITE: CipherSuite = CipherSuite::Kt128Sha256Ed25519;

fn cases() -> &'static [(Case, Outcome)] {
    static CASES: OnceLock<Vec<(Case, Outcome)>> = OnceLock::new();
    CASES.get_or_init(|| {
        let mut out = Vec::new();
        for lifetime in [None, Some(30_000)] {
            for case in world::cases(&world::log(SUITE, lifetime)) {
                let outcome = case.run(&case.honest).expect("an honest response verifies");
                out.push((case, outcome));
            }
        }
        out
    })
}

/// A response to one of the prepared requests of a kind. The first byte says how the rest is used:
/// even, as the response; odd, as edits to the honest response, three bytes each (offset, what is
/// XORed there), where an offset past the end cuts the response or, at the end, adds a byte.
/// The second byte picks the request.
///
/// Nothing may verify but the honest response, and an incomplete one where the protocol lets the
/// log leave the rest for the next request; nothing may panic.
pub fn response(kind: &str, data: &[u8]) {
    let [how, which, rest @ ..] = data else {
        return;
    };
    let cases: Vec<_> = cases().iter().filter(|(c, _)| c.kind() == kind).collect();
    let (case, honest) = cases[(usize::from(*which) + usize::from(*how >> 1) * 256) % cases.len()];
    let response = match how % 2 {
        0 => rest.to_vec(),
        _ => edited(&case.honest, rest),
    };
    let Ok(outcome) = case.run(&response) else {
        return;
    };
    if case.is_honest(&response) {
        assert_eq!(&outcome, honest, "{}", case.name);
    } else {
        // A log may also go on using the head that the user has: then nothing new is learnt.
        let is_same = case.state.as_ref() == Some(&outcome.state);
        assert!(outcome.partial || is_same, "{}: {response:02x?}", case.name);
    }
}

fn edited(honest: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut out = honest.to_vec();
    for edit in edits.chunks_exact(3) {
        let offset = usize::from(u16::from_be_bytes([edit[0], edit[1]]));
        let length = out.len();
        match out.get_mut(offset) {
            Some(byte) => *byte ^= edit[2],
            None if offset == length => out.push(edit[2]),
            None => out.truncate(offset % (length + 1)),
        }
    }
    out
}

fn round_trip<C: ?Sized, T: Decode<C> + Encode + Debug>(bytes: &[u8], context: &C) {
    if let Ok(value) = T::from_bytes(bytes, context) {
        assert_eq!(
            value.to_bytes().expect("it was encoded"),
            bytes,
            "{value:?}"
        );
    }
}

fn configurations() -> &'static [Configuration] {
    static CONFIGS: OnceLock<Vec<Configuration>> = OnceLock::new();
    CONFIGS.get_or_init(|| {
        let mut out = Vec::new();
        for suite in CipherSuite::ALL {
            let config = world::empty_log(suite, None).config;
            let key = config.signature_public_key.clone();
            let managed = DeploymentMode::ThirdPartyManagement {
                leaf_public_key: key.clone(),
            };
            let audited = DeploymentMode::ThirdPartyAuditing {
                max_auditor_lag: 1,
                auditor_start_pos: 2,
                auditor_public_key: key,
            };
            for mode in [config.mode.clone(), managed, audited] {
                out.push(Configuration {
                    mode,
                    ..config.clone()
                });
            }
        }
        out
    })
}

/// The first byte picks a structure and a configuration; the rest is decoded.
pub fn decode(data: &[u8]) {
    let [which, bytes @ ..] = data else { return };
    let configs = configurations();
    let c = &configs[usize::from(which / 32) % configs.len()];
    match which % 32 {
        0 => round_trip::<_, Configuration>(bytes, &()),
        1 => round_trip::<_, Credential>(bytes, c),
        2 => round_trip::<_, CredentialUpdate>(bytes, &()),
        3 => round_trip::<_, ContactMonitorRequest>(bytes, &()),
        4 => round_trip::<_, OwnerInitRequest>(bytes, &()),
        5 => round_trip::<_, OwnerInitResponse>(bytes, c),
        6 => round_trip::<_, OwnerMonitorRequest>(bytes, &()),
        7 => round_trip::<_, DistinguishedRequest>(bytes, &()),
        8 => round_trip::<_, MonitorResponse>(bytes, c),
        9 => round_trip::<_, DistinguishedHead>(bytes, &()),
        10 => round_trip::<_, LogEntry>(bytes, &()),
        11 => round_trip::<_, InclusionProof>(bytes, &()),
        12 => round_trip::<_, PrefixLeaf>(bytes, &()),
        13 => round_trip::<_, PrefixSearchResult>(bytes, &()),
        14 => round_trip::<_, PrefixProof>(bytes, &()),
        15 => round_trip::<_, CombinedTreeProof>(bytes, &()),
        16 => round_trip::<_, BinaryLadderStep>(bytes, c),
        17 => round_trip::<_, SearchRequest>(bytes, &()),
        18 | 19 => {
            let request = SearchRequest {
                last: None,
                label: Vec::new(),
                version: (which % 32 == 19).then_some(0),
            };
            round_trip::<_, SearchResponse>(bytes, &(c, &request));
        }
        20 => round_trip::<_, AuditorUpdate>(bytes, &()),
        21 => round_trip::<_, ManagerUpdateRequest>(bytes, c),
        22 => round_trip::<_, TreeHead>(bytes, &()),
        23 => round_trip::<_, AuditorTreeHead>(bytes, &()),
        24 => round_trip::<_, FullTreeHead>(bytes, c),
        25 => round_trip::<_, UpdateValue>(bytes, c),
        26 => round_trip::<_, UpdateRequest>(bytes, &()),
        27 => round_trip::<_, UpdateInfo>(bytes, c),
        28 => round_trip::<_, UpdateResponse>(bytes, c),
        29 => round_trip::<_, TreeState>(bytes, &()),
        30 => round_trip::<_, PageRecord>(bytes, &()),
        31 => match bytes.split_first() {
            Some((0, bytes)) => round_trip::<_, CredentialUpdateRequest>(bytes, &()),
            Some((1, bytes)) => round_trip::<_, AbsenceRequest>(bytes, &()),
            Some((2, bytes)) => round_trip::<_, AbsenceResponse>(bytes, c),
            Some((3, bytes)) => round_trip::<_, TreeView>(bytes, &()),
            Some((4, bytes)) => round_trip::<_, AuditorState>(bytes, &()),
            Some((_, bytes)) => own_state(bytes),
            None => {}
        },
        _ => {}
    }
}

/// Maps: an order that is not canonical, or a repeated key, is not kept.
fn own_state(bytes: &[u8]) {
    if let Ok(state) = <OwnerState as Decode<()>>::from_bytes(bytes, &()) {
        let again = state.to_bytes().expect("it was encoded");
        assert_eq!(OwnerState::from_bytes(&again, &()), Ok(state));
    }
}

struct Credentials {
    verifier: Verifier,
    /// Known when the credentials were made, and when they are updated.
    recent: [Vec<TreeView>; 2],
    /// Encoded: provisional, standard.
    made: [Vec<u8>; 2],
    provisional: ProvisionalCredential,
    update: Vec<u8>,
}

fn recent(log: &support::MemoryLog, verifier: &Verifier, size: u64) -> Vec<TreeView> {
    let request = DistinguishedRequest {
        last: None,
        stop: None,
    };
    let response = provider::distinguished(&log.at(size), &request, RECENT).expect("honest");
    let bytes = response.to_bytes().expect("it fits");
    let now = world::START + size * world::STEP;
    let done = verifier.distinguished(None, &request, RECENT, &bytes, now);
    done.expect("honest").recent
}

fn credentials() -> &'static Credentials {
    static CREDENTIALS: OnceLock<Credentials> = OnceLock::new();
    CREDENTIALS.get_or_init(|| {
        let log = world::log(SUITE, None);
        let verifier = Verifier::new(log.config.clone()).expect("a configuration");
        let make = |size: u64, label: &str| {
            let known = recent(&log, &verifier, size);
            let base = known.last().expect("there is one").clone();
            let request = SearchRequest {
                last: Some(base.size),
                label: label.into(),
                version: None,
            };
            let response = provider::search(&log.at(size), &request).ok()?;
            let bytes = response.to_bytes().expect("it fits");
            let now = world::START + size * world::STEP;
            let made = verifier.make_credential(&base, &request, &bytes, now);
            let bytes = made.ok()?.credential.to_bytes().expect("it fits");
            let done = verifier.credential(&known, &bytes).expect("honest");
            Some((known, bytes, done.provisional))
        };
        let later = recent(&log, &verifier, world::SIZE);
        let sizes = (20..world::SIZE).rev();
        let mut labels = sizes.flat_map(|size| ["alice", "bob", "carol"].map(|l| (size, l)));
        let found = labels.find_map(|(size, label)| {
            let (known, bytes, provisional) = make(size, label)?;
            let provisional = provisional?;
            let Ok(Awaited::Update(to)) = provisional.await_final(&later) else {
                return None;
            };
            let update = provider::credential_update(&log.published(), &provisional.request(to));
            let update = update.expect("honest").to_bytes().expect("it fits");
            let standard = make(size, "dave").or_else(|| make(size, "erin"))?.1;
            Some((known, [bytes, standard], provisional, update))
        });
        let (known, made, provisional, update) = found.expect("one such label");
        Credentials {
            verifier,
            recent: [known, later],
            made,
            provisional,
            update,
        }
    })
}

/// A credential or an update as it is, or edits to an honest one: only the honest one verifies.
pub fn credential(data: &[u8]) {
    let [how, rest @ ..] = data else { return };
    let prepared = credentials();
    let honest = match how / 2 % 3 {
        0 => &prepared.made[0],
        1 => &prepared.made[1],
        _ => &prepared.update,
    };
    let bytes = match how % 2 {
        0 => rest.to_vec(),
        _ => edited(honest, rest),
    };
    let verifier = &prepared.verifier;
    let verified = match how / 2 % 3 {
        2 => verifier
            .credential_update(&prepared.recent[1], &prepared.provisional, &bytes)
            .is_ok(),
        _ => verifier.credential(&prepared.recent[0], &bytes).is_ok(),
    };
    let is_honest = prepared.made.contains(&bytes) || bytes == prepared.update;
    assert!(is_honest || !verified, "{bytes:02x?}");
    assert!(verified || bytes != *honest);
}

/// An `AuditorUpdate` as it is, or edits to an honest one: only the honest one leads to the head
/// that the log signed.
pub fn audit(data: &[u8]) {
    type Prepared = (Configuration, TreeHead, AuditorState, Vec<u8>);
    static PREPARED: OnceLock<Vec<Prepared>> = OnceLock::new();
    let prepared = PREPARED.get_or_init(|| {
        let log = world::log(SUITE, None);
        let mut state = AuditorState::empty();
        let mut out = Vec::new();
        for position in 0..log.tip.size {
            let update = provider::auditor_update(&log.published(), position).expect("honest");
            let head = log.heads[position as usize].clone();
            let bytes = update.to_bytes().expect("it fits");
            out.push((log.config.clone(), head, state.clone(), bytes));
            state = replay(&state, &log.config, &update).expect("honest");
        }
        out
    });
    let [how, which, rest @ ..] = data else {
        return;
    };
    let (config, head, state, honest) = &prepared[usize::from(*which) % prepared.len()];
    let bytes = match how % 2 {
        0 => rest.to_vec(),
        _ => edited(honest, rest),
    };
    let Ok(update) = AuditorUpdate::from_bytes(&bytes, &()) else {
        return;
    };
    let next = replay(state, config, &update);
    let agreed = next.is_ok_and(|next| next.check_head(config, head).is_ok());
    assert_eq!(agreed, bytes == *honest, "{bytes:02x?}");
}

/// As an auditor to whom every leaf is new: the log removes none.
fn replay(
    state: &AuditorState,
    config: &Configuration,
    update: &AuditorUpdate,
) -> Result<AuditorState, AuditError> {
    state.apply(config, update, |_, _| Ok::<_, AuditError>(true))
}

/// Proof that a label does not exist, as it is, or edits to an honest one.
pub fn absence(data: &[u8]) {
    type Prepared = (Verifier, AbsenceRequest, Vec<u8>, u64);
    static PREPARED: OnceLock<Prepared> = OnceLock::new();
    let (verifier, request, honest, now) = PREPARED.get_or_init(|| {
        let log = world::log(SUITE, None);
        let request = AbsenceRequest {
            last: None,
            label: b"nobody".to_vec(),
        };
        let response = provider::absence(&log.published(), &request).expect("honest");
        let bytes = response.to_bytes().expect("it fits");
        let verifier = Verifier::new(log.config.clone()).expect("a configuration");
        let now = world::START + world::SIZE * world::STEP;
        (verifier, request, bytes, now)
    });
    let [how, rest @ ..] = data else { return };
    let bytes = match how % 2 {
        0 => rest.to_vec(),
        _ => edited(honest, rest),
    };
    let verified = verifier.absence(None, request, &bytes, *now).is_ok();
    assert_eq!(verified, bytes == *honest, "{bytes:02x?}");
}

struct Signed {
    config: HashValue,
    previous: Vec<u8>,
    honest: Vec<u8>,
}

fn signed() -> &'static Signed {
    static SIGNED: OnceLock<Signed> = OnceLock::new();
    SIGNED.get_or_init(|| {
        let key = |n| SigningKey::from_bytes(SUITE, &[n; 32]).expect("a key");
        let public = |n| key(n).public_key().try_into().expect("32 bytes");
        let config = [3; 32];
        let previous = SignedValue::new(b"one".to_vec(), public(1), Some(public(2)));
        let previous = previous.encode().expect("it fits");
        let mut next = SignedValue::new(b"two".to_vec(), public(4), Some(public(5)));
        next.sign(&config, b"label", 7, &previous, Signer::UpdateKey, &key(1))
            .expect("the named key");
        Signed {
            config,
            honest: next.encode().expect("it fits"),
            previous,
        }
    })
}

/// An envelope as it is, or edits to an honest one: only the honest one is a successor.
pub fn signed_value(data: &[u8]) {
    let [how, rest @ ..] = data else { return };
    let signed = signed();
    let bytes = match how % 2 {
        0 => rest.to_vec(),
        _ => edited(&signed.honest, rest),
    };
    let Ok(value) = SignedValue::decode(&bytes) else {
        return;
    };
    assert_eq!(value.encode().expect("it was encoded"), bytes);
    if value.verify_first().is_ok() {
        assert!(value.signature.is_none());
    }
    let label = b"label";
    let verified = value.verify_successor(&signed.config, label, 7, &signed.previous);
    assert_eq!(verified.is_ok(), bytes == signed.honest);
    // As a previous version it has signed nothing that is known here.
    let honest = SignedValue::decode(&signed.honest).expect("honest");
    if bytes != signed.previous {
        let after = honest.verify_successor(&signed.config, label, 7, &bytes);
        assert!(after.is_err());
    }
}

macro_rules! stored_evidence {
    ($($name:literal),*) => {
        [$(include_str!(concat!("../../protocol/tests/evidence/vectors/", $name, ".json"))),*]
    };
}

/// One file of every kind.
const EVIDENCE: [&str; 15] = stored_evidence![
    "auditor-heads",
    "checkpoints-ML-DSA",
    "checkpoints",
    "cosigned-checkpoints",
    "head-and-record",
    "leaves",
    "promise-to-nobody",
    "promise",
    "roots",
    "times",
    "tree-heads-P-256",
    "tree-heads",
    "update",
    "values",
    "versions"
];

/// Evidence as it is, or edits to a file that proves something: nobody is accused but those who
/// signed two things in the files at hand, and edits prove nothing.
pub fn evidence(data: &[u8]) {
    static HONEST: OnceLock<Vec<(Evidence, Vec<Accused>)>> = OnceLock::new();
    let honest = HONEST.get_or_init(|| {
        let read = |json: &&str| {
            let file = Evidence::parse(json.as_bytes()).expect("stored");
            let accused = file.verify().expect("stored").accused;
            (file, accused)
        };
        EVIDENCE.iter().map(read).collect()
    });
    let [how, which, rest @ ..] = data else {
        return;
    };
    let which = usize::from(*which) % EVIDENCE.len();
    let bytes = match how % 2 {
        0 => rest.to_vec(),
        _ => edited(EVIDENCE[which].as_bytes(), rest),
    };
    let Ok(file) = Evidence::parse(&bytes) else {
        return;
    };
    assert_eq!(
        Evidence::parse(file.to_json().as_bytes()).as_ref(),
        Ok(&file)
    );
    if let Ok(finding) = file.verify() {
        let is_known = |who: &Accused| honest.iter().any(|(_, all)| all.contains(who));
        assert!(finding.accused.iter().all(is_known), "{finding:?}");
        assert!(how % 2 == 0 || file == honest[which].0, "{bytes:02x?}");
    }
}

/// A document as it is, or edits to an honest one: what parses says what its configuration says.
pub fn descriptor(data: &[u8]) {
    let [how, rest @ ..] = data else { return };
    static HONEST: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let honest = HONEST.get_or_init(|| {
        let describe = |c| Descriptor::new("keys.example.org/overt", c, true)?.to_json();
        let all = configurations().iter().map(describe);
        all.collect::<Result<_, _>>().expect("honest")
    });
    let bytes = match how % 2 {
        0 => rest.to_vec(),
        _ => edited(&honest[usize::from(how / 2) % honest.len()], rest),
    };
    if let Ok(text) = std::str::from_utf8(rest)
        && let Ok(fingerprint) = text.parse::<Fingerprint>()
    {
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
    }
    let Ok((parsed, config)) = Descriptor::parse(&bytes) else {
        return;
    };
    let again = parsed.to_json().expect("it was JSON");
    let (same, same_config) = Descriptor::parse(&again).expect("it parsed");
    assert_eq!((&same, &same_config), (&parsed, &config));
    let fresh = Descriptor::new(&parsed.origin, &config, parsed.requires_signed_value);
    let fresh = fresh.expect("an origin that parses");
    assert_eq!(fresh.parameters, parsed.parameters);
    assert_eq!(
        fresh.fingerprint().expect("it fits"),
        parsed.fingerprint().expect("it fits")
    );
}
