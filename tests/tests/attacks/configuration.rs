//! Another configuration than the one that was pinned (rows B10, D1 to D5).

use overt_client::trust::TrustError;
use overt_client::{Directory as Pinned, Event, State};
use overt_protocol::suite::CipherSuite;
use overt_protocol::wire::{Configuration, DeploymentMode};

use crate::directory::{Directory, RMW, configuration};
use crate::person::{Person, URL, about, judged};

const KEYS: ([u8; 32], [u8; 32]) = ([1; 32], [2; 32]);

/// Directories that differ from what people pinned in one respect each.
fn others() -> Vec<(&'static str, Directory)> {
    let pinned = configuration(None);
    let with = |config: Configuration| Directory::with_keys(config, KEYS, false);
    let keys = |keys| Directory::with_keys(pinned.clone(), keys, false);
    vec![
        ("signature key", keys(([3; 32], KEYS.1))),
        ("VRF key", keys((KEYS.0, [3; 32]))),
        (
            "suite",
            with(Configuration {
                ciphersuite: CipherSuite::Kt128Sha256P256,
                ..pinned.clone()
            }),
        ),
        (
            "max_behind",
            with(Configuration {
                max_behind: 10 * pinned.max_behind,
                ..pinned.clone()
            }),
        ),
        (
            "window",
            with(Configuration {
                reasonable_monitoring_window: 10 * RMW,
                ..pinned.clone()
            }),
        ),
        (
            "lifetime",
            with(Configuration {
                maximum_lifetime: Some(20 * RMW),
                ..pinned.clone()
            }),
        ),
    ]
}

#[tokio::test]
async fn another_log_under_the_pinned_address_is_refused() {
    let honest = Directory::new(configuration(None), false);
    for (what, other) in others() {
        other.publish("alice", b"the directory's key");
        other.passes(RMW);
        // It says that it is what people know it as.
        let says = other.config();
        other.claims(honest.config());
        let bob = Person::new(&other);
        let before = bob.kept();
        let (check, state) = judged(bob.client.lookup("alice").await);
        assert_ne!(check, "none", "{what}");
        assert_eq!(state, State::InvalidProof, "{what}: {check}");
        let done = bob.client.monitor().await;
        assert_eq!(done.state(), State::InvalidProof, "{what}: {done:?}");
        assert!(bob.kept() == before, "{what}: something was learnt from it");

        // It says what it is.
        other.claims(says);
        let done = bob.client.monitor().await;
        let [Event::Failed { error, .. }] = about(&done, "")[..] else {
            panic!("{what}: {done:?}");
        };
        assert_eq!(error.check(), Some("directory-changed"), "{what}");
        assert!(error.is_misbehaviour());

        // A new user has the fingerprint from elsewhere.
        let honest = Pinned::fetch(&honest, URL, None, 0).await.unwrap();
        let fetched = Pinned::fetch(&other, URL, Some(honest.fingerprint), 0).await;
        assert!(
            matches!(fetched, Err(TrustError::Fingerprint { .. })),
            "{what}"
        );
    }
}

/// People expect an auditor's signature, and the directory does without.
#[tokio::test]
async fn auditing_cannot_be_given_up() {
    let honest = configuration(None);
    let directory = Directory::new(honest.clone(), false);
    directory.publish("alice", b"alice's key");
    let auditor_public_key = directory.config().signature_public_key;
    directory.claims(Configuration {
        mode: DeploymentMode::ThirdPartyAuditing {
            max_auditor_lag: 10 * RMW,
            auditor_start_pos: 0,
            auditor_public_key,
        },
        ..directory.config()
    });
    let bob = Person::new(&directory);
    let (check, state) = judged(bob.client.lookup("alice").await);
    assert_eq!((check, state), ("encoding", State::InvalidProof));
    assert_eq!(bob.client.monitor().await.state(), State::InvalidProof);
}
