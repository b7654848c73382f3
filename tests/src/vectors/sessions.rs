//! The files of sessions: a log, and users who ask it everything that users ask.

use overt_protocol::provider;
use serde_json::{Value, json};

use super::fields::Fields;
use super::script::{Audit, Script};
use super::setting::Setting;
use super::world::{SIZE, World};
use super::{DRAFT, hexed, negatives};

/// The file of a setting.
pub(super) fn file(setting: Setting) -> Value {
    let world = World::new(setting);
    json!({
        "format": "overt-sessions-1",
        "draft_commit": DRAFT,
        "cipher_suite": setting.suite.to_u16(),
        "mode": setting.mode,
        "configuration": hexed(&world.log.config),
        "configuration_fields": world.log.config.fields(),
        "private_keys": setting.private_keys(),
        "log": world.entries(),
        "sessions": sessions(&world),
    })
}

fn sessions(w: &World) -> Vec<Value> {
    let mut out = vec![
        searcher(w),
        owner_of_existing_label(w),
        owner_of_new_label(w),
        walker(w),
        credentials(w),
        absence(w),
    ];
    if w.setting.is_plain() {
        out.push(owner_of_busy_label(w));
    }
    match w.setting.mode {
        1 => out.push(contact(w)),
        3 => out.push(auditor(w)),
        _ => {}
    }
    out.extend(negatives::sessions(w));
    out
}

fn searcher(w: &World) -> Value {
    let mut s = Script::new(w, "searches");
    for (size, label, version) in [
        (13, "bob", None),
        (13, "alice", None),
        (13, "alice", Some(4)),
        (20, "alice", None),
        (20, "carol", Some(3)),
        (SIZE, "dave", Some(0)),
        (SIZE, "erin", Some(2)),
        (SIZE, "bob", None),
    ] {
        s.honest(size, &s.search_request(label, version));
    }
    s.finish()
}

/// Looks up what is so new that it must be monitored, and does.
fn contact(w: &World) -> Value {
    let mut s = Script::new(w, "contact monitoring");
    let mut looked_up = Vec::new();
    for (size, label) in [
        (13, "alice"),
        (16, "alice"),
        (18, "dave"),
        (21, "alice"),
        (24, "carol"),
    ] {
        s.honest(size, &s.search_request(label, None));
        if !looked_up.contains(&label) {
            looked_up.push(label);
        }
        for label in &looked_up {
            if !s.user.map(label.as_bytes()).is_empty() {
                s.honest(size + 1, &s.contact_request(label));
            }
        }
    }
    for label in looked_up {
        s.honest(SIZE, &s.contact_request(label));
    }
    s.finish()
}
/// Owns a label that others have written to, and writes to it as well.
fn owner_of_existing_label(w: &World) -> Value {
    let mut s = Script::new(w, "owner of an existing label");
    s.honest(14, &s.distinguished_request(None));
    own(&mut s, 14, "alice");
    s.honest(14, &s.update_request("alice", Vec::new()));
    write(&mut s, 16, "alice");
    s.honest(17, &s.owner_request("alice"));
    write(&mut s, 21, "alice");
    s.honest(22, &s.owner_request("alice"));
    s.honest(SIZE, &s.update_request("alice", Vec::new()));
    // In parts, as a log may that limits its answers.
    let request = s.owner_request("alice");
    let part = provider::owner_monitor(&w.at(SIZE), &request, 1).unwrap();
    s.accept(SIZE, &request, &part);
    s.note("ladders", json!(1));
    s.honest(SIZE, &s.owner_request("alice"));
    s.finish()
}

/// Owns a label before its first version, and learns of one that is not the owner's.
fn owner_of_new_label(w: &World) -> Value {
    let mut s = Script::new(w, "owner of a new label");
    s.honest(16, &s.distinguished_request(None));
    own(&mut s, 16, "dave");
    write(&mut s, 18, "dave");
    s.honest(19, &s.owner_request("dave"));
    s.honest(22, &s.update_request("dave", Vec::new()));
    write(&mut s, 26, "dave");
    s.honest(27, &s.owner_request("dave"));
    s.honest(SIZE, &s.owner_request("dave"));
    s.finish()
}

/// Owns a label that changes often.
fn owner_of_busy_label(w: &World) -> Value {
    let mut s = Script::new(w, "owner of a label with many updates close together");
    s.honest(8, &s.distinguished_request(None));
    own(&mut s, 8, "carol");
    s.honest(12, &s.update_request("carol", Vec::new()));
    write(&mut s, 19, "carol");
    s.honest(20, &s.owner_request("carol"));
    write(&mut s, 23, "carol");
    s.honest(SIZE, &s.update_request("carol", Vec::new()));
    s.honest(SIZE, &s.owner_request("carol"));
    s.finish()
}

/// Begins to own a label at the rightmost distinguished entry.
fn own(s: &mut Script<'_>, size: u64, label: &str) {
    let start = s.user.recent.last().unwrap().position();
    s.honest(size, &s.owner_init_request(label, start));
}

/// Creates the versions of a label that the rightmost log entry holds.
fn write(s: &mut Script<'_>, size: u64, label: &str) {
    let versions = s.world.log.labels[label.as_bytes()].iter();
    let new = versions.filter(|(stored, ..)| stored.position + 1 == size && !stored.is_skipped());
    let values = new.map(|(_, _, update)| update.value.clone()).collect();
    s.honest(size, &s.update_request(label, values));
}

fn walker(w: &World) -> Value {
    let mut s = Script::new(w, "distinguished log entries");
    for (size, stop) in [(10, None), (20, Some(7)), (SIZE, Some(19)), (SIZE, None)] {
        s.honest(size, &s.distinguished_request(stop));
    }
    s.finish()
}

/// Makes credentials, and receives them.
fn credentials(w: &World) -> Value {
    let mut s = Script::new(w, "credentials");
    s.honest(20, &s.distinguished_request(None));
    for (size, label) in [(20, "bob"), (21, "alice"), (22, "dave")] {
        let newest = s.user.recent.len() - 1;
        let request = s.credential_request(label, newest);
        s.honest(size, &request);
        s.receive(size, label);
    }
    s.honest(24, &s.distinguished_request(Some(19)));
    let alice = s.user.credential(b"alice").unwrap();
    s.honest(24, &alice.request(21));
    s.finish()
}

fn absence(w: &World) -> Value {
    let mut s = Script::new(w, "absence");
    for size in [13, 20] {
        s.honest(size, &s.absence_request("nobody"));
    }
    s.finish()
}

fn auditor(w: &World) -> Value {
    let mut s = Script::new(w, "auditor");
    for position in 0..SIZE {
        if w.setting.lifetime && position == 23 {
            negatives::removals(w, &mut s, position);
        }
        s.honest(position + 1, &Audit(position));
    }
    s.finish()
}
