//! What is kept, and who is asked (rows F4 and F7).

use overt_client::{Event, Operation, State};

use crate::directory::{Directory, RMW, configuration};
use crate::person::{Person, URL, about, judged};

/// One byte of every answer to an operation is another, so many eighths from its beginning.
fn spoil(directory: &Directory, spoilt: Operation, eighths: usize) {
    directory.meddles(move |operation, mut answer| {
        let at = answer.len() * eighths / 8;
        if operation == spoilt {
            answer[at] ^= 1;
        }
        answer
    });
}

/// Somebody who owns a label, and looked up another that is to be monitored still.
async fn alice(directory: &Directory) -> Person {
    let [alice, bob] = [(); 2].map(|()| Person::new(directory));
    alice
        .client
        .register("alice", b"alice's key")
        .await
        .unwrap();
    directory.passes(RMW);
    bob.client.register("bob", b"bob's key").await.unwrap();
    bob.client.update("bob", b"another").await.unwrap();
    alice.client.lookup("bob").await.unwrap();
    let contact = alice.client.store().contact(URL, b"bob");
    assert!(!contact.unwrap().unwrap().map.is_empty());
    alice
}

#[tokio::test]
async fn a_failed_answer_changes_no_byte_of_what_is_kept() {
    let directory = Directory::new(configuration(None), false);
    let alice = alice(&directory).await;
    directory.passes(1_000);
    let kept = alice.kept();
    for eighths in 0..8 {
        spoil(&directory, Operation::Search, eighths);
        let (check, _) = judged(alice.client.lookup("bob").await);
        assert!(check != "none" && alice.kept() == kept, "{check}");

        spoil(&directory, Operation::Distinguished, eighths);
        let done = alice.client.monitor().await;
        assert!(done.state() > State::NotCheckable && alice.kept() == kept);

        spoil(&directory, Operation::Update, eighths);
        let (check, _) = judged(alice.client.update("alice", b"new").await);
        assert!(check != "none" && alice.kept() == kept, "{check}");
    }
    directory.is_honest_again();
    assert_eq!(alice.client.lookup("bob").await.unwrap().version(), 1);
    assert!(alice.kept() != kept);
}

#[tokio::test]
async fn failed_monitoring_changes_nothing_about_the_label() {
    for (operation, label) in [
        (Operation::OwnerMonitor, "alice"),
        (Operation::ContactMonitor, "bob"),
    ] {
        let directory = Directory::new(configuration(None), false);
        let alice = alice(&directory).await;
        // What is monitored gets further with time.
        directory.passes(RMW);
        let kept = || {
            let store = alice.client.store();
            let owned = store.owned(URL, label.as_bytes()).unwrap();
            let contact = store.contact(URL, label.as_bytes()).unwrap();
            (owned, contact, store.monitored_at(URL).unwrap())
        };
        let before = kept();
        for eighths in 0..8 {
            spoil(&directory, operation, eighths);
            let done = alice.client.monitor().await;
            assert_eq!(done.state(), State::InvalidProof);
            let [Event::Failed { .. }] = about(&done, label)[..] else {
                panic!("{done:?}");
            };
            assert_eq!(kept(), before);
        }
        directory.is_honest_again();
        assert_eq!(alice.client.monitor().await.state(), State::Verified);
        assert_ne!(kept(), before);
    }
}

#[tokio::test]
async fn a_credential_makes_nobody_ask_the_directory() {
    let directory = Directory::new(configuration(None), false);
    let [alice, bob] = [(); 2].map(|()| Person::new(&directory));
    alice
        .client
        .register("alice", b"alice's key")
        .await
        .unwrap();
    bob.client.monitor().await;
    directory.passes(RMW);
    directory.passes(RMW);
    // It rests on a log entry that Bob does not know of.
    let credential = alice.client.make_credential("alice").await.unwrap();
    let (asked, kept) = (directory.requests(), bob.kept());
    let early = bob.client.check_credential(&credential, None);
    assert!(
        matches!(early, Err(overt_client::ClientError::CredentialTooNew)),
        "{early:?}"
    );
    // Nor does a false one.
    for at in (0..credential.len()).step_by(11) {
        let mut forged = credential.clone();
        forged[at] ^= 1;
        bob.client.check_credential(&forged, None).unwrap_err();
    }
    assert_eq!(directory.requests(), asked);
    assert!(bob.kept() == kept);
    bob.client.monitor().await;
    let asked = directory.requests();
    bob.client.check_credential(&credential, None).unwrap();
    assert_eq!(directory.requests(), asked);
}
