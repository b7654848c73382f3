//! Bytes of every operation's response and of what users keep, in directories of 10^4 and 10^6
//! labels, and what a person transfers in a month.

mod filled;

use filled::{Log, REPEATED, WINDOW, label, request};
use overt_protocol::codec::Encode;
use overt_protocol::distinguished::RECENT;
use overt_protocol::provider::{self, auditor_update};
use overt_protocol::user::{TreeState, TreeView};
use overt_protocol::wire::*;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let measuring = std::env::args().any(|arg| arg == "--bench");
    let counts = match measuring {
        true => [10_000, 1_000_000],
        false => [1_000, 4_000],
    };
    for count in counts {
        let log = Log::fill(folder.path(), count);
        println!("{count} labels");
        measure(&log);
    }
}

fn bytes(value: &impl Encode) -> usize {
    value.to_bytes().expect("it fits").len()
}

fn say(what: &str, bytes: usize) {
    println!("  {what:<60} {bytes:>7} bytes");
}

fn measure(log: &Log) {
    let mean = |last| {
        let all = (0..REPEATED).map(|number| log.respond(&request(number, last)).len());
        all.sum::<usize>() / REPEATED
    };
    let before = walk(log, None);
    let state = before.0.clone();
    let kept = Some(state.tree_size());
    let search = mean(kept);
    say("search, by a new client", mean(None));
    say("search, by a client that knows the head", search);

    let at = log.shared.snapshot().expect("published");
    let start = before.1.last().expect("distinguished").position();
    let init = OwnerInitRequest {
        last: kept,
        label: label(1),
        start,
    };
    let response = provider::owner_init(&at, &init).expect("stored");
    say("owner initialization", bytes(&response));
    let encoded = response.to_bytes().expect("it fits");
    let done = log
        .verifier
        .owner_init(Some(&state), &init, &encoded, log.now);
    let owner = done.expect("own response").owner;
    let absent = AbsenceRequest {
        last: kept,
        label: b"nobody@example.org".to_vec(),
    };
    let absent = provider::absence(&at, &absent).expect("absent");
    say("absence of a label", bytes(&absent));
    drop(at);

    // A day goes by, with an entry every ten minutes, and the label is updated in its middle.
    let day = WINDOW / filled::INTERVAL;
    for entry in 0..=day {
        let batch = match entry == day / 2 {
            true => log.second_version(1),
            false => log.next_batch(),
        };
        log.insert(batch);
    }
    log.publish();
    let now = log.tip().timestamp;
    let at = log.shared.snapshot().expect("published");
    let update = UpdateRequest {
        last: kept,
        label: label(1),
        greatest_version: Some(0),
        values: Vec::new(),
    };
    let responses = provider::update(&at, &update, None).expect("stored");
    let size: usize = responses.iter().map(bytes).sum();
    say("update, seen half a day later", size);
    let encoded: Vec<u8> = responses
        .iter()
        .flat_map(|r| r.to_bytes().expect("it fits"))
        .collect();
    let updated = log
        .verifier
        .update(Some(&state), &owner, &update, &encoded, now);
    let updated = updated.expect("own response");
    let (head, owner) = (updated.state, updated.owner);

    let entries = |owner: &overt_protocol::user::OwnerState| {
        let entry = |(position, version): (&u64, &u32)| MonitorMapEntry {
            position: *position,
            version: *version,
        };
        owner.map.iter().map(entry).collect::<Vec<_>>()
    };
    let monitor = OwnerMonitorRequest {
        last: Some(head.tree_size()),
        label: label(1),
        entries: entries(&owner),
        start: owner.progress.start,
        greatest_version: owner.progress.greatest_version(),
    };
    let response = provider::owner_monitor(&at, &monitor, 64).expect("stored");
    let owner_monitor = bytes(&response);
    say("owner monitoring, a day after the last", owner_monitor);
    let contact = ContactMonitorRequest {
        last: Some(head.tree_size()),
        label: label(1),
        entries: entries(&owner),
    };
    let contact_monitor = match contact.entries.is_empty() {
        true => 0,
        false => bytes(&provider::contact_monitor(&at, &contact).expect("stored")),
    };
    say(
        "contact monitoring of a version half a day old",
        contact_monitor,
    );
    let walked = DistinguishedRequest {
        last: kept,
        stop: Some(start),
    };
    let walk_bytes = bytes(&provider::distinguished(&at, &walked, RECENT).expect("walk"));
    say(
        "recent distinguished heads, a day after the last",
        walk_bytes,
    );
    let all = DistinguishedRequest {
        last: None,
        stop: None,
    };
    let all = bytes(&provider::distinguished(&at, &all, RECENT).expect("walk"));
    say("recent distinguished heads, all, by a new client", all);

    let (_, recent) = walk(log, None);
    let base = recent.last().expect("distinguished");
    let asked = request(2, Some(base.size));
    let response = log.respond(&asked);
    let made = log.verifier.make_credential(base, &asked, &response, now);
    let credential = bytes(&made.expect("own response").credential);
    say("credential for version 0", credential);
    let asked = request(1, Some(base.size));
    let response = log.respond(&asked);
    let made = log.verifier.make_credential(base, &asked, &response, now);
    say(
        "credential for a version half a day old",
        bytes(&made.expect("own response").credential),
    );
    let alone = state.tree_size() + day / 2;
    let audit = auditor_update(&at, alone).expect("stored");
    say("auditor update of one new version", bytes(&audit));

    say("kept of the log", bytes(&head));
    say("kept of an owned label", bytes(&owner));
    say(
        "kept of ten recent distinguished heads",
        recent.iter().map(bytes).sum(),
    );
    let month = 30 * (walk_bytes + owner_monitor) + 200 * (search + contact_monitor);
    println!(
        "  a month with 1 label and 200 contacts, each looked up once and monitored once: {} kB",
        month / 1000
    );
}

fn walk(log: &Log, last: Option<u64>) -> (TreeState, Vec<TreeView>) {
    let at = log.shared.snapshot().expect("published");
    let request = DistinguishedRequest { last, stop: None };
    let response = provider::distinguished(&at, &request, RECENT).expect("walk");
    let bytes = response.to_bytes().expect("it fits");
    let now = log.tip().timestamp;
    let done = log
        .verifier
        .distinguished(None, &request, RECENT, &bytes, now);
    let done = done.expect("own response");
    (done.state, done.recent)
}
