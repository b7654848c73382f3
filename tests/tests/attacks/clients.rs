//! A client that asks the auditors of its choice itself.

use std::path::Path;
use std::time::Instant;

use overt_protocol::evidence::Evidence;
use overt_tests::{AuditorPlace, Person, Program, witness_keys};

use crate::fork::{TOKEN, copy, free_address, publish, start_at, wait_until_published};
use crate::{Noticed, prove};

const CARELESS: &str = "careless.example";

/// One person is shown a fork, which a dishonest auditor cosigned. Another auditor of that person's
/// policy, which would have let the fork pass, was shown the log of all others. The fork has `more`
/// entries more.
async fn asked(more: usize, code: &str, attack: &'static str) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let careless = Program::start("careless-auditor", &[CARELESS]).unwrap();
    let place = AuditorPlace::new("honest.example", &path("auditor")).unwrap();
    let honest = place.policy_lines().unwrap();
    let key = witness_keys(CARELESS).unwrap()[0].verifier().clone();
    let dishonest = format!("witness careless {key} {}\n", careless.url);
    let write = |name: &str, text: String| {
        std::fs::write(path(name), text).unwrap();
        path(name).display().to_string()
    };
    let of_one = write("one.policy", format!("{honest}quorum honest.example\n"));
    let of_other = write("other.policy", format!("{dishonest}quorum careless\n"));
    let either = format!("{honest}{dishonest}group any any honest.example careless\nquorum any\n");
    let of_person = write("person.policy", either);

    let (here, there) = (path("one"), path("other"));
    let address = free_address();
    let policy = [("OVERT_SERVER_WITNESS_POLICY", of_one.as_str())];
    let before = start_at(&address, &here, &policy);
    let auditor = place.start(&before.url).unwrap();
    wait_until_published(&before.url).await;
    publish(&before.url, "alice", &["common"]).await;
    before.stop().unwrap();
    copy(&here, &there);
    let one = start_at(&address, &here, &policy);
    let policy = [("OVERT_SERVER_WITNESS_POLICY", of_other.as_str())];
    let other = start_at(&free_address(), &there, &policy);
    publish(&one.url, "alice", &["hers"]).await;
    let mut user = publish(&other.url, "alice", &["theirs"]).await;
    for n in 0..more {
        let value = format!("theirs {n}");
        user.update(&other.url, "alice", value.as_bytes())
            .await
            .unwrap();
    }
    let well = |said: &serde_json::Value| said["state"] == "followed";
    auditor.status(well).await.unwrap();

    let since = Instant::now();
    let person = Person::new(&other.url, TOKEN);
    person.verified(&["trust", "add", &other.url]);
    person.verified(&["trust", "policy", &other.url, &of_person]);
    // What is shown passes the policy.
    person.verified(&["lookup", "alice"]);
    let (status, said) = person.run(&["gossip", "auditors"]);
    assert_eq!((status, &said["result"]), (10, &"lied".into()), "{said}");
    let (_, alarms) = person.run(&["alarms", "list"]);
    let kept = alarms[0]["evidence"].as_str().unwrap();
    let file = std::fs::read(Path::new(kept).join("evidence.json")).unwrap();
    let file = Evidence::parse(&file).unwrap();
    assert_eq!(file.verify().unwrap().code, code);
    prove(&Noticed {
        row: "E1",
        attack,
        by: "that person, who asks an auditor",
        since,
        files: vec![file],
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_in_a_fork_asks_an_auditor() {
    let attack = "one person is shown a fork that a dishonest auditor cosigned";
    asked(0, "two-checkpoints", attack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_in_a_longer_fork_asks_an_auditor() {
    let attack = "one person is shown a longer fork that a dishonest auditor cosigned";
    asked(3, "two-leaves", attack).await;
}
