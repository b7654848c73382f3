//! Bulk load: interrupted by `kill -9` and run again, all of it is there, and everybody can verify it.
//! `OVERT_IMPORT` sets how many labels (20,000), `OVERT_VERIFY` how many are verified (200).
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};
use overt_tests::{Server, User, binary};
use rand::RngExt;
use serde_json::Value;

const TOKEN: &str = "a token for the import test";

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |n| n.parse().unwrap())
}

fn label(n: usize) -> String {
    format!("someone-{n:07}@example.org")
}

fn value(n: usize) -> Vec<u8> {
    format!("the key of {n}").into_bytes()
}

fn row(n: usize) -> String {
    let value = BASE64_STANDARD.encode(value(n));
    format!("{{\"label\": \"{}\", \"value\": \"{value}\"}}\n", label(n))
}

fn command(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("overt-server").unwrap());
    command
        .args(["import", "--json", "--access", "token", "--data-dir"])
        .arg(data)
        .args(arguments)
        .env("OVERT_SERVER_TOKEN", TOKEN)
        .env("OVERT_SERVER_BATCH_SIZE", "500")
        .env("RUST_LOG", "warn");
    command
}

/// Feeds rows into standard input. Killed after `patience`, if that is given and not long enough.
fn import(data: &Path, count: usize, patience: Option<Duration>) -> Output {
    let mut child = command(data, &["-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || {
        for n in 0..count {
            // It may be killed meanwhile.
            if input.write_all(row(n).as_bytes()).is_err() {
                break;
            }
        }
    });
    if let Some(patience) = patience {
        std::thread::sleep(patience);
        let _ = child.kill();
    }
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    output
}

fn summary(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_three_times_and_all_of_it_is_there() {
    let (count, verified) = (number("OVERT_IMPORT", 20_000), number("OVERT_VERIFY", 200));
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut killed = 0;
    let began = Instant::now();
    for _ in 0..3 {
        let share = Duration::from_micros(20) * u32::try_from(count).unwrap();
        let patience = rand::rng().random_range(share / 2..share * 2);
        let output = import(&data, count, Some(patience));
        killed += usize::from(output.status.code().is_none());
    }
    let output = import(&data, count, None);
    assert!(output.status.success(), "{output:?}");
    let summary = summary(&output);
    let created = summary["created"].as_u64().unwrap();
    assert_eq!(created + summary["present"].as_u64().unwrap(), count as u64);
    assert_eq!(summary["rejected"], 0);
    println!(
        "{count} rows, {killed} kills: {created} created by the last run, {:.1?} in all",
        began.elapsed()
    );
    assert!(killed > 0, "it was never interrupted");
    assert!(created < count as u64, "nothing was there to go on from");

    let arguments = ["--access", "token"];
    let server = Server::start(&data, &arguments, &[("OVERT_SERVER_TOKEN", TOKEN)]).unwrap();
    let mut user = User::new(&server.url, None).await.unwrap();
    for _ in 0..verified {
        let n = rand::rng().random_range(0..count);
        let found = user.search(&server.url, &label(n), None).await.unwrap();
        assert_eq!((found.value(), found.version()), (&value(n)[..], 0));
    }
}

/// Bad rows are named and leave nothing behind; changed values are for who says so.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_cannot_be_taken_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("rows.csv"));
    let rejects = folder.path().join("rejects");
    let run = |rows: &str, more: &[&str]| {
        std::fs::write(&file, rows).unwrap();
        let file = file.display().to_string();
        let rejects = rejects.display().to_string();
        let arguments = [&[file.as_str(), "--rejects", &rejects], more].concat();
        command(&data, &arguments).output().unwrap()
    };
    let long = "x".repeat(256);
    let rows = format!(
        "label,value\nalice,{}\nbob,no base64\n{long},AAAA\ncarol\nalice,{}\n",
        BASE64_STANDARD.encode("one"),
        BASE64_STANDARD.encode("one"),
    );
    let output = run(&rows, &[]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let counts = summary(&output);
    assert_eq!(
        (&counts["created"], &counts["present"]),
        (&1.into(), &1.into())
    );
    let text = std::fs::read_to_string(&rejects).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let numbers: Vec<u64> = lines.iter().map(|l| l["line"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [3, 4, 5], "{text}");
    for (line, what) in lines.iter().zip(["base64", "256 bytes", "record"]) {
        assert!(line["problem"].as_str().unwrap().contains(what), "{line}");
    }

    let changed = format!("label,value\nalice,{}\n", BASE64_STANDARD.encode("two"));
    let output = run(&changed, &[]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        std::fs::read_to_string(&rejects)
            .unwrap()
            .contains("another value")
    );
    let output = run(&changed, &["--update"]);
    assert_eq!(summary(&output)["created"], 1);
    let output = run("name,key\nalice,AAAA\n", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("label,value"),
        "{output:?}"
    );

    let arguments = ["--access", "token"];
    let server = Server::start(&data, &arguments, &[("OVERT_SERVER_TOKEN", TOKEN)]).unwrap();
    let mut user = User::new(&server.url, None).await.unwrap();
    let found = user.search(&server.url, "alice", None).await.unwrap();
    assert_eq!((found.value(), found.version()), (&b"two"[..], 1));
    assert!(user.search(&server.url, "bob", None).await.is_err());
    // Not while the directory runs.
    let output = run(&changed, &[]);
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("in use"),
        "{output:?}"
    );
}
