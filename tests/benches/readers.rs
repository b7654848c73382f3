//! Lookups from one, two and three readers of one PostgreSQL database, as processes beside it:
//! `cargo build --release --bins && tests/with-postgres cargo bench -p overt-tests --bench readers`
//! (a minute). Clients ask again as soon as they have an answer; who took how much of the cores is told.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};
use overt_protocol::codec::Encode;
use overt_protocol::wire::SearchRequest;
use overt_tests::{Server, User, binary, database};
use rand::RngExt;

const TOKEN: &str = "a token for the readers";
const LABELS: usize = 50_000;
const CLIENTS: usize = 12;
const READERS: usize = 3;
/// Clock ticks in a second, as /proc counts them.
const TICKS: f64 = 100.0;

fn main() {
    // Run by `cargo test --benches` too, where there may be no database.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(measure());
}

fn label(n: usize) -> String {
    format!("someone-{n:07}@example.org")
}

async fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let url = database(folder.path()).unwrap();
    let key = |name: &str| folder.path().join(name).display().to_string();
    let keys = ["signature", "vrf", "head-log", "head-log-ml-dsa"].map(key);
    let [signature, vrf, head_log, ml_dsa] = &keys;
    let common = [
        ("OVERT_SERVER_DATABASE_URL", url.as_str()),
        ("OVERT_SERVER_TOKEN", TOKEN),
        ("OVERT_SERVER_ACCESS", "token"),
        ("OVERT_SERVER_VRF_KEY_FILE", vrf),
        ("OVERT_SERVER_SIGNATURE_KEY_FILE", signature),
        ("OVERT_SERVER_HEAD_LOG_KEY_FILE", head_log),
        ("OVERT_SERVER_HEAD_LOG_ML_DSA_KEY_FILE", ml_dsa),
        ("RUST_LOG", "warn"),
    ];
    fill(&folder.path().join("import"), &common);
    let start = |name: &str, role| {
        let environment: Vec<_> = common
            .into_iter()
            .chain([("OVERT_SERVER_ROLE", role)])
            .collect();
        Server::start(&folder.path().join(name), &[], &environment).unwrap()
    };
    let _sequencer = start("sequencer", "sequencer");
    let readers: Vec<_> = (0..READERS)
        .map(|n| start(&format!("reader-{n}"), "reader"))
        .collect();
    let mut user = User::new(&readers[0].url, Some(TOKEN)).await.unwrap();
    for n in [0, LABELS / 2, LABELS - 1] {
        user.search(&readers[0].url, &label(n), None).await.unwrap();
    }
    println!("| readers | lookups a second | cores: readers | database | clients |");
    println!("|---|---:|---:|---:|---:|");
    for count in 1..=READERS {
        let urls: Vec<_> = readers.iter().take(count).map(|r| r.url.clone()).collect();
        // The first look warms caches.
        lookups(&urls, Duration::from_secs(3)).await;
        let used = || {
            let readers = readers
                .iter()
                .map(|reader| ticks(reader.pid()))
                .sum::<f64>();
            [readers, named("postgres"), ticks(std::process::id())]
        };
        let (before, started) = (used(), Instant::now());
        let done = lookups(&urls, Duration::from_secs(10)).await;
        let took = started.elapsed().as_secs_f64();
        let cores = used().into_iter().zip(before);
        let cores: Vec<_> = cores
            .map(|(a, b)| format!("{:.2}", (a - b) / TICKS / took))
            .collect();
        println!(
            "| {count} | {:.0} | {} |",
            done as f64 / took,
            cores.join(" | ")
        );
    }
}

fn fill(data: &Path, environment: &[(&str, &str)]) {
    let mut import = Command::new(binary("overt-server").unwrap())
        .args(["import", "--json", "--data-dir"])
        .arg(data)
        .arg("-")
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = std::io::BufWriter::new(import.stdin.take().unwrap());
    for n in 0..LABELS {
        let value = BASE64_STANDARD.encode([7; 32]);
        writeln!(input, r#"{{"label": "{}", "value": "{value}"}}"#, label(n)).unwrap();
    }
    drop(input);
    assert!(import.wait().unwrap().success());
}

/// Lookups that were answered within a time.
async fn lookups(urls: &[String], time: Duration) -> u64 {
    let done = Arc::new(AtomicU64::new(0));
    let until = Instant::now() + time;
    let clients = (0..CLIENTS).map(|client| {
        let (url, done) = (urls[client % urls.len()].clone(), Arc::clone(&done));
        tokio::spawn(async move {
            let http = reqwest::Client::new();
            while Instant::now() < until {
                let request = SearchRequest {
                    last: None,
                    label: label(rand::rng().random_range(0..LABELS)).into_bytes(),
                    version: None,
                };
                let answer = http
                    .post(format!("{url}/v1/search"))
                    .bearer_auth(TOKEN)
                    .body(request.to_bytes().unwrap())
                    .send()
                    .await
                    .unwrap();
                assert_eq!(answer.status(), 200);
                answer.bytes().await.unwrap();
                done.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    done.load(Ordering::Relaxed)
}

/// CPU time of a process, in ticks.
fn ticks(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Behind the name, which may hold anything.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let times = rest.split_whitespace().skip(11).take(2);
    times.filter_map(|time| time.parse::<f64>().ok()).sum()
}

/// CPU time of all processes of a name.
fn named(name: &str) -> f64 {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| {
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm"));
        comm.is_ok_and(|comm| comm.trim() == name)
    })
    .map(ticks)
    .sum()
}
