//! Answering lookups from a store that another process writes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use overt_protocol::codec::Decode;
use overt_protocol::head_log::checkpoint::SignedCheckpoint;
use overt_protocol::head_log::key::VerifierKey;
use overt_protocol::suite::VrfSecretKey;
use overt_protocol::user::Verifier;
use overt_protocol::wire::{AuditorTreeHead, Configuration};

use crate::config::Settings;
use crate::directory::Shared;
use crate::keys;
use crate::open::{Ready, World, app, describe};
use crate::run::AbortOnDrop;
use crate::sequencer::Updates;
use crate::store::{PostgresStore, Published, Store};

/// How often to look for a new head when the database does not say that there is one.
const POLL: Duration = Duration::from_secs(1);

/// Opens what another process writes; none while nothing is published. Of the keys only that of the
/// VRF is needed.
pub async fn follow(
    settings: &Settings,
    world: World,
    store: PostgresStore,
) -> anyhow::Result<Option<Ready>> {
    let published = store.published()?;
    let Some(published) = published.filter(|one| one.head.tree_size > 0) else {
        return Ok(None);
    };
    let meta = |key: &'static str| {
        let stored = store.meta(key)?;
        stored.with_context(|| format!("the database has no {key:?}"))
    };
    let config = Configuration::from_bytes(&meta("configuration")?, &())?;
    Verifier::new(config.clone())?;
    let vrf = keys::load("OVERT_SERVER_VRF_KEY", &settings.vrf_key_file(), false)?;
    let vrf = VrfSecretKey::from_bytes(config.ciphersuite, &vrf).context("VRF key")?;
    ensure!(
        vrf.public_key() == config.vrf_public_key,
        "the VRF key is not that of the log in the database"
    );
    let signed = meta("requires_signed_value")? == [1];
    let named = String::from_utf8(meta("head_log")?)?;
    let (origin, vkeys) = named.split_once('\n').context("the head log has no keys")?;
    let log_keys = vkeys.lines().map(str::parse);
    let log_keys: Vec<VerifierKey> = log_keys.collect::<Result<_, _>>()?;
    let descriptor = describe(settings, origin, &config, signed, &log_keys)?;

    let cache = settings.cache_mib << 20;
    let shared = Shared::new(store, config, vrf, world.clock, cache).following();
    let shared = Arc::new(shared);
    show(&shared, published)?;
    refresh(&shared)?;
    let following = AbortOnDrop(tokio::spawn(watch(Arc::clone(&shared))));
    let app = app(
        settings,
        world.metrics,
        shared,
        Updates::elsewhere(),
        descriptor,
    )?;
    Ok(Some(Ready {
        app,
        updates: Updates::elsewhere(),
        writer: tokio::spawn(std::future::pending()),
        _background: vec![following],
        _lock: None,
    }))
}

/// Shows what is published, for ever: when the database says that there is something, and now and
/// then.
async fn watch(shared: Arc<Shared<PostgresStore>>) {
    loop {
        let mut heads = shared.store.heads().await.ok();
        loop {
            let task = Arc::clone(&shared);
            let done = tokio::task::spawn_blocking(move || refresh(&task)).await;
            shared.looked();
            if let Ok(Err(error)) = done {
                tracing::warn!("the database does not answer just now: {error:#}");
            }
            let Some(heads) = &mut heads else {
                tokio::time::sleep(POLL).await;
                break;
            };
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = shared.is_wanted() => {}
                heard = heads.next() => if heard.is_err() {
                    break;
                },
            }
        }
    }
}

/// Shows what is published now.
fn refresh(shared: &Shared<PostgresStore>) -> anyhow::Result<()> {
    if let Some(head) = shared.store.auditor_head()? {
        shared.publish_auditor_head(AuditorTreeHead::from_bytes(&head, &())?);
    }
    shared.drop_before(shared.store.retention()?.dropped);
    if let Some(published) = shared.store.published()? {
        show(shared, published)?;
    }
    Ok(())
}

fn show(shared: &Shared<PostgresStore>, published: Published) -> anyhow::Result<()> {
    let known = shared.published().map_or(0, |head| head.tree_size);
    if published.head.tree_size > known {
        shared.show_checkpoint(SignedCheckpoint::parse(&published.checkpoint)?);
        shared.publish(published.head);
    }
    Ok(())
}
