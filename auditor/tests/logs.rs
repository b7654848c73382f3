//! Logs that are no directories: witnessed, compared with what others were shown, and refused once
//! they are proved dishonest.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, missing_docs)]

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use metrics_exporter_prometheus::PrometheusBuilder;
use overt_auditor::config::{Peer, Settings, Witnessed};
use overt_auditor::transport::{Pieces, Transport};
use overt_auditor::{Auditor, World};
use overt_protocol::clock::SystemClock;
use overt_protocol::evidence::Evidence;
use overt_protocol::head_log::checkpoint::{Checkpoint, SignedCheckpoint};
use overt_protocol::head_log::key::{SignatureType, SignerKey};
use overt_protocol::head_log::tile::{HashTile, Tile, TilePath};
use overt_protocol::head_log::tiled_tree::{TileHashes, append_to_tiles};
use overt_protocol::head_log::tree::{CompactRange, leaf_hash, prove_consistency};
use overt_protocol::head_log::witness::{AddCheckpoint, monitoring_path};
use overt_protocol::wire::HashValue;
use serde_json::Value;
use tower::ServiceExt;

const ORIGIN: &str = "log.example/one";
const LOG: &str = "http://log.test";
const PEER: &str = "http://peer.test";

/// What answers at which address.
#[derive(Clone, Default)]
struct Web(Arc<Mutex<HashMap<String, Vec<u8>>>>);

impl Web {
    fn put(&self, url: &str, body: impl Into<Vec<u8>>) {
        self.0.lock().unwrap().insert(url.to_owned(), body.into());
    }
}

impl Transport for Web {
    fn send(
        &self,
        request: Request<Vec<u8>>,
    ) -> BoxFuture<'static, anyhow::Result<Response<Pieces>>> {
        let body = self
            .0
            .lock()
            .unwrap()
            .get(&request.uri().to_string())
            .cloned();
        let status = match &body {
            Some(_) => StatusCode::OK,
            None => StatusCode::NOT_FOUND,
        };
        let pieces = stream::iter(body.into_iter().map(Ok)).boxed();
        Box::pin(async move { Ok(Response::builder().status(status).body(pieces)?) })
    }
}

/// A log whose leaves are numbers; `fork` makes those from 100 on different ones.
struct Log {
    leaves: Vec<HashValue>,
}

impl Log {
    fn new(fork: u8) -> Self {
        let leaf = |n: u32| {
            let fork = if n < 100 { 0 } else { fork };
            leaf_hash(&[&n.to_be_bytes()[..], &[fork]].concat())
        };
        let leaves = (0..600).map(leaf).collect();
        Self { leaves }
    }

    fn key() -> SignerKey {
        SignerKey::from_seed(ORIGIN, SignatureType::Ed25519, &[7; 32]).unwrap()
    }

    fn checkpoint(&self, size: usize) -> SignedCheckpoint {
        let mut range = CompactRange::default();
        for leaf in &self.leaves[..size] {
            range.push(*leaf);
        }
        let checkpoint = Checkpoint::new(ORIGIN, range.sized_root()).unwrap();
        SignedCheckpoint::sign(checkpoint, &[Self::key()]).unwrap()
    }

    fn tiles(&self, size: usize) -> Vec<HashTile> {
        let mut none = BTreeMap::<Tile, Vec<HashValue>>::new();
        append_to_tiles(&mut none, 0, &self.leaves[..size]).unwrap()
    }

    /// Shows the world a log of this size.
    fn serve(&self, web: &Web, size: usize) {
        web.put(
            &format!("{LOG}/checkpoint"),
            self.checkpoint(size).to_string(),
        );
        for tile in self.tiles(size) {
            let path = TilePath::Hashes(tile.at);
            web.put(&format!("{LOG}/{path}"), tile.hashes.concat());
        }
    }

    fn request(&self, old: usize, new: usize) -> Vec<u8> {
        let tiles = self.tiles(new).into_iter();
        let tiles: BTreeMap<_, _> = tiles.map(|tile| (tile.at, tile.hashes)).collect();
        let (old_size, size) = (old as u64, new as u64);
        let request = AddCheckpoint {
            old_size,
            consistency: prove_consistency(&mut TileHashes::new(tiles, size), old_size, size)
                .unwrap(),
            checkpoint: self.checkpoint(new),
        };
        request.to_string().into_bytes()
    }
}

/// An auditor that witnesses the log, and one of its peers.
struct Place {
    web: Web,
    auditor: Arc<Auditor>,
    app: Router,
    _home: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let (web, home) = (Web::default(), tempfile::tempdir().unwrap());
        let log = Witnessed {
            keys: vec![Log::key().verifier().to_string()],
            url: Some(LOG.to_owned()),
        };
        let toml = format!("data_dir = {:?}\nname = \"auditor.example\"", home.path());
        let settings = Settings {
            logs: vec![log],
            peers: vec![Peer {
                url: PEER.to_owned(),
            }],
            ..Settings::parse(&toml).unwrap()
        };
        let world = World {
            clock: Arc::new(SystemClock),
            transport: Arc::new(web.clone()),
            metrics: PrometheusBuilder::new().build_recorder().handle(),
        };
        let auditor = Auditor::open(&settings, world).unwrap();
        Self {
            app: auditor.router(),
            auditor: Arc::new(auditor),
            web,
            _home: home,
        }
    }

    async fn post(&self, path: &str, body: Vec<u8>) -> (StatusCode, String) {
        self.ask(Request::post(path).body(Body::from(body)).unwrap())
            .await
    }

    async fn ask(&self, request: Request<Body>) -> (StatusCode, String) {
        let answer = self.app.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn bring(&self, checkpoint: &SignedCheckpoint) -> (StatusCode, String) {
        let body = checkpoint.to_string().into_bytes();
        let (status, body) = self.post("/gossip/checkpoint", body).await;
        let verdict: Value = serde_json::from_str(&body).unwrap_or_default();
        (
            status,
            verdict["result"].as_str().unwrap_or_default().to_owned(),
        )
    }

    /// What it says of the log.
    async fn status(&self) -> Value {
        let request = Request::get("/status.json").body(Body::empty()).unwrap();
        let all: Value = serde_json::from_str(&self.ask(request).await.1).unwrap();
        all[0].clone()
    }

    fn peer_shows(&self, checkpoint: &SignedCheckpoint) {
        let path = monitoring_path(ORIGIN);
        self.web
            .put(&format!("{PEER}/witness/{path}"), checkpoint.to_string());
    }
}

#[tokio::test]
async fn a_checkpoint_that_anybody_saw_is_compared_through_the_tiles() {
    let (place, log, fork) = (Place::new(), Log::new(0), Log::new(1));
    log.serve(&place.web, 300);
    // Nothing of it is known yet.
    let later = (StatusCode::ACCEPTED, "later".to_owned());
    assert_eq!(place.bring(&log.checkpoint(40)).await, later);
    let (status, _) = place
        .post("/witness/add-checkpoint", log.request(0, 300))
        .await;
    assert_eq!(status, StatusCode::OK);
    let agrees = (StatusCode::OK, "agrees".to_owned());
    for size in [1, 40, 256, 299, 300] {
        assert_eq!(place.bring(&log.checkpoint(size)).await, agrees, "{size}");
    }
    // The log has not grown so far, as far as its tiles show.
    assert_eq!(place.bring(&log.checkpoint(512)).await, later);
    log.serve(&place.web, 512);
    assert_eq!(place.bring(&log.checkpoint(512)).await, agrees);
    // Another log, which its tiles contradict: said, and no proof.
    let differs = (StatusCode::CONFLICT, "differs".to_owned());
    assert_eq!(place.bring(&fork.checkpoint(200)).await, differs);
    let status = place.status().await;
    assert_eq!(
        (&status["state"], &status["witnessed_size"]),
        (&"witnessed".into(), &300.into())
    );
    assert_eq!(status["evidence"], Value::Array(Vec::new()));
}

#[tokio::test]
async fn only_what_a_known_log_signed_is_looked_at() {
    let (place, log) = (Place::new(), Log::new(0));
    let sign = |origin: &str, seed: u8| {
        let tree = log.checkpoint(40).checkpoint().tree();
        let key = SignerKey::from_seed(origin, SignatureType::Ed25519, &[seed; 32]).unwrap();
        SignedCheckpoint::sign(Checkpoint::new(origin, tree).unwrap(), &[key]).unwrap()
    };
    let unknown = place.bring(&sign("log.example/two", 7)).await;
    assert_eq!(unknown.0, StatusCode::NOT_FOUND);
    let forged = place.bring(&sign(ORIGIN, 8)).await;
    assert_eq!(forged.0, StatusCode::FORBIDDEN);
    let (status, _) = place.post("/gossip/checkpoint", b"no note".to_vec()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_log_that_shows_a_peer_another_tree_is_refused() {
    let (place, log, fork) = (Place::new(), Log::new(0), Log::new(1));
    log.serve(&place.web, 300);
    let (status, _) = place
        .post("/witness/add-checkpoint", log.request(0, 300))
        .await;
    assert_eq!(status, StatusCode::OK);
    place.peer_shows(&log.checkpoint(200));
    place.auditor.look().await.unwrap();
    let agreement = |status: Value| status["peers"][PEER]["result"].clone();
    assert_eq!(agreement(place.status().await), "agrees");

    place.peer_shows(&fork.checkpoint(300));
    place.auditor.look().await.unwrap();
    let status = place.status().await;
    assert_eq!(agreement(status.clone()), "contradicts");
    assert_eq!(status["state"], "refused");
    let id = status["evidence"][0]["id"].as_str().unwrap().to_owned();
    let request = Request::get(format!("/gossip/evidence/{id}")).body(Body::empty());
    let (_, file) = place.ask(request.unwrap()).await;
    let finding = Evidence::parse(file.as_bytes()).unwrap().verify().unwrap();
    assert_eq!(finding.code, "two-checkpoints");

    let (status, why) = place
        .post("/witness/add-checkpoint", log.request(300, 512))
        .await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{why}");
    assert!(why.contains(&id), "{why}");
    let page = place
        .ask(Request::get("/").body(Body::empty()).unwrap())
        .await
        .1;
    assert!(page.contains("REFUSED") && page.contains(&id), "{page}");
}

/// However many checkpoints come, what was cosigned is remembered.
#[tokio::test]
async fn a_flood_does_not_hide_a_fork() {
    let (place, log, fork) = (Place::new(), Log::new(0), Log::new(1));
    let (status, _) = place
        .post("/witness/add-checkpoint", log.request(0, 300))
        .await;
    assert_eq!(status, StatusCode::OK);
    let gossip = place.auditor.gossip();
    let known = gossip.log(ORIGIN).unwrap().unwrap();
    for n in 0..1200_u64 {
        let mut tree = log.checkpoint(1).checkpoint().tree();
        tree.size = 1_000 + n;
        let flood = Checkpoint::new(ORIGIN, tree).unwrap();
        let flood = SignedCheckpoint::sign(flood, &[Log::key()]).unwrap();
        gossip.see(&known, &flood).unwrap();
    }
    let (status, verdict) = place.bring(&fork.checkpoint(300)).await;
    assert_eq!(
        (status, &verdict[..]),
        (StatusCode::CONFLICT, "contradicts")
    );
}
