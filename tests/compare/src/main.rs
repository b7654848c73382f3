//! Overt and akd at the same work, in one process, taking turns: CPU time and bytes, medians, and
//! how many times more akd needs. Prints the table of `docs/performance.md`.
//!
//! akd keeps everything in memory. Overt keeps it in SQLite, durably.

mod akd_peer;
mod measure;
mod overt;

use akd_peer::Akd;
use anyhow::Context;
use clap::Parser;
use indicatif::ProgressBar;
use measure::{Pair, Samples, cpu};
use overt::Overt;
use overt_protocol::auditor::AuditorState;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A label and its new value.
type Change = (Vec<u8>, Vec<u8>);

/// Compares Overt with akd.
#[derive(Debug, Parser)]
struct Arguments {
    /// Labels in the directories before anything is measured.
    #[arg(long, default_value_t = 1_000_000)]
    labels: usize,
    /// Changes in a batch.
    #[arg(long, default_value_t = 1_000)]
    batch: usize,
    /// Batches of each kind that are measured.
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    /// Labels that are looked up in a round.
    #[arg(long, default_value_t = 50)]
    lookups: usize,
    /// Versions in the history of a label.
    #[arg(long, default_value_t = 100)]
    versions: usize,
    /// Changes in a day: how much time passes between log entries.
    #[arg(long, default_value_t = 10_000)]
    per_day: u64,
    /// Memory for Overt's caches, in MiB.
    #[arg(long, default_value_t = 192)]
    cache: u64,
}

fn label(number: usize) -> Vec<u8> {
    format!("someone-{number:08}@example.org").into_bytes()
}

/// A key's worth of bytes, another one for each round.
fn value(number: usize, round: usize) -> Vec<u8> {
    format!("{number:016}{round:016}").into_bytes()
}

fn changes(numbers: impl Iterator<Item = usize>, round: usize) -> Vec<Change> {
    numbers
        .map(|number| (label(number), value(number, round)))
        .collect()
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let folder = tempfile::tempdir()?;
    let cache = arguments.cache << 20;
    let mut overt = Overt::new(
        &runtime,
        folder.path(),
        arguments.batch,
        arguments.per_day,
        cache,
    )?;
    let mut akd = Akd::new(&runtime)?;

    fill(&arguments, &runtime, &mut overt, &mut akd)?;
    println!(
        "| {} labels | Overt | akd | akd / Overt |",
        arguments.labels
    );
    println!("|---|---|---|---|");
    updates(&arguments, &runtime, &mut overt, &mut akd)?;
    lookups(&arguments, &runtime, &mut overt, &mut akd)?;
    history(&arguments, &runtime, &mut overt, &mut akd)
}

fn fill(
    arguments: &Arguments,
    runtime: &tokio::runtime::Runtime,
    overt: &mut Overt,
    akd: &mut Akd<'_>,
) -> anyhow::Result<()> {
    let progress = ProgressBar::new(arguments.labels as u64);
    for first in (0..arguments.labels).step_by(arguments.batch) {
        let last = arguments.labels.min(first + arguments.batch);
        let new = changes(first..last, 0);
        overt.publish(runtime, &new)?;
        akd.publish(&new)?;
        progress.inc((last - first) as u64);
    }
    progress.finish_and_clear();
    Ok(())
}

/// New labels and changed ones, and what an auditor makes of them.
fn updates(
    arguments: &Arguments,
    runtime: &tokio::runtime::Runtime,
    overt: &mut Overt,
    akd: &mut Akd<'_>,
) -> anyhow::Result<()> {
    let batch = arguments.batch;
    let mut state = overt.replay(
        &AuditorState::empty(),
        &overt.auditor_updates(0, overt.size()?)?,
    )?;
    for is_new in [true, false] {
        let what = if is_new { "new" } else { "changed" };
        let [mut update, mut bytes, mut prove, mut verify]: [Pair; 4] = Default::default();
        let mut vrf = Samples::default();
        for round in 1..=arguments.rounds {
            let changes = match is_new {
                true => {
                    let first = arguments.labels + round * batch;
                    changes(first..first + batch, round)
                }
                // Spread over the whole directory.
                false => {
                    let step = (arguments.labels / batch).max(1);
                    changes((0..batch).map(|n| n * step + round % step), round)
                }
            };
            vrf.time(cpu(|| overt.vrf_outputs(&changes)).0, batch);
            let submissions = overt.submissions(&changes);
            let (took, done) = cpu(|| overt.submit(runtime, submissions));
            done?;
            update.overt.time(took, batch);
            let (took, done) = cpu(|| akd.publish(&changes));
            done?;
            update.akd.time(took, batch);

            let (took, updates) = cpu(|| overt.auditor_updates(state.size, overt.size()?));
            let updates = updates?;
            prove.overt.time(took, 1);
            bytes.overt.size(updates.iter().map(Vec::len).sum(), 1);
            let (took, next) = cpu(|| overt.replay(&state, &updates));
            state = next?;
            verify.overt.time(took, 1);

            let (took, proof) = cpu(|| akd.audit());
            let proof = proof?;
            prove.akd.time(took, 1);
            bytes.akd.size(Akd::audit_size(&proof)?, 1);
            let (took, done) = cpu(|| akd.verify_audit(proof));
            done?;
            verify.akd.time(took, 1);
        }
        update.print(&format!("{what} label"), "µs");
        let alone = vrf.median();
        println!(
            "| {what} label: over its VRF output ({alone:.0} µs) | {:.2} | | |",
            update.overt.median() / alone
        );
        bytes.print(&format!("audit of {batch} {what} labels"), "bytes");
        prove.print(&format!("audit of {batch} {what} labels: made"), "µs");
        verify.print(&format!("audit of {batch} {what} labels: verified"), "µs");
    }
    Ok(())
}

/// Lookups of users who know the head, at another size of the tree in each round: how many log entries
/// are searched depends on it.
fn lookups(
    arguments: &Arguments,
    runtime: &tokio::runtime::Runtime,
    overt: &mut Overt,
    akd: &mut Akd<'_>,
) -> anyhow::Result<()> {
    let [
        mut first,
        mut again,
        mut verify,
        mut verify_new,
        mut bytes,
        mut zstd,
    ]: [Pair; 6] = Default::default();
    let count = arguments.lookups;
    for round in 0..arguments.rounds {
        let from = 2 * arguments.labels + round * arguments.batch;
        let new = changes(from..from + arguments.batch, 0);
        overt.publish(runtime, &new)?;
        akd.publish(&new)?;
        let known = overt.verify(None, &overt.respond(&label(0), None, None)?)?;
        let last = Some(known.tree_size());
        // Labels of one version, spread over the directory: none was changed or looked up.
        let step = arguments.labels / count / arguments.rounds;
        let labels: Vec<_> = (0..count)
            .map(|n| label((n * arguments.rounds + round) * step + step / 2))
            .collect();
        for pair in [&mut first, &mut again] {
            let (took, done) = cpu(|| {
                labels
                    .iter()
                    .try_for_each(|l| overt.respond(l, None, last).map(drop))
            });
            done?;
            pair.overt.time(took, count);
            let (took, done) = cpu(|| labels.iter().try_for_each(|l| akd.lookup(l).map(drop)));
            done?;
            pair.akd.time(took, count);
        }
        let ours = |last| {
            labels
                .iter()
                .map(|l| overt.respond(l, None, last))
                .collect::<anyhow::Result<Vec<_>>>()
        };
        let (new, responses) = (ours(None)?, ours(last)?);
        let proofs = labels
            .iter()
            .map(|l| akd.lookup(l))
            .collect::<anyhow::Result<Vec<_>>>()?;
        bytes
            .overt
            .size(responses.iter().map(|(_, bytes)| bytes.len()).sum(), count);
        let sizes = proofs
            .iter()
            .map(|(proof, _)| Ok(Akd::bytes(proof)?.len()))
            .sum::<anyhow::Result<usize>>();
        bytes.akd.size(sizes?, count);
        let ours = responses.iter().map(|(_, bytes)| compressed(bytes));
        zstd.overt.size(ours.sum::<anyhow::Result<usize>>()?, count);
        let theirs = proofs.iter().map(|(p, _)| compressed(&Akd::bytes(p)?));
        zstd.akd.size(theirs.sum::<anyhow::Result<usize>>()?, count);
        let (took, done) = cpu(|| {
            responses
                .iter()
                .try_for_each(|r| overt.verify(Some(&known), r).map(drop))
        });
        done?;
        verify.overt.time(took, count);
        let (took, done) = cpu(|| new.iter().try_for_each(|r| overt.verify(None, r).map(drop)));
        done?;
        verify_new.overt.time(took, count);
        let (took, done) = cpu(|| {
            labels
                .iter()
                .zip(proofs)
                .try_for_each(|(l, proof)| akd.verify(l, proof))
        });
        done?;
        verify.akd.time(took, count);
        verify_new.akd.time(took, count);
    }
    first.print("lookup, made the first time", "µs");
    again.print("lookup, made again", "µs");
    bytes.print("lookup, user who knows the head", "bytes");
    zstd.print("lookup, user who knows the head, zstd", "bytes");
    verify.print("lookup, verified by a user who knows the head", "µs");
    verify_new.print("lookup, verified by a new user", "µs");
    Ok(())
}

/// The size as HTTP sends it to whoever accepts `zstd`.
fn compressed(bytes: &[u8]) -> anyhow::Result<usize> {
    Ok(zstd::bulk::compress(bytes, 1)?.len())
}

/// All versions of a label: akd proves them at once, Overt each by a search.
fn history(
    arguments: &Arguments,
    runtime: &tokio::runtime::Runtime,
    overt: &mut Overt,
    akd: &mut Akd<'_>,
) -> anyhow::Result<()> {
    let someone = b"someone with many keys".to_vec();
    for round in 0..arguments.versions {
        let change = [(someone.clone(), value(0, round))];
        overt.publish(runtime, &change)?;
        akd.publish(&change)?;
    }
    let [mut made, mut bytes, mut verify]: [Pair; 3] = Default::default();
    let known = overt.verify(None, &overt.respond(&someone, None, None)?)?;
    let greatest = u32::try_from(arguments.versions)?
        .checked_sub(1)
        .context("no versions")?;
    for _ in 0..3 {
        let (took, responses) = cpu(|| {
            (0..=greatest)
                .map(|version| overt.respond(&someone, Some(version), Some(known.tree_size())))
                .collect::<anyhow::Result<Vec<_>>>()
        });
        let responses = responses?;
        made.overt.time(took, 1);
        bytes
            .overt
            .size(responses.iter().map(|(_, bytes)| bytes.len()).sum(), 1);
        let (took, done) = cpu(|| {
            responses
                .iter()
                .try_for_each(|r| overt.verify(Some(&known), r).map(drop))
        });
        done?;
        verify.overt.time(took, 1);
        let (took, proof) = cpu(|| akd.history(&someone));
        let proof = proof?;
        made.akd.time(took, 1);
        bytes.akd.size(Akd::history_size(&proof.0)?, 1);
        let (took, done) = cpu(|| akd.verify_history(&someone, proof));
        anyhow::ensure!(
            done? == arguments.versions,
            "akd proved another number of versions"
        );
        verify.akd.time(took, 1);
    }
    let what = format!("history of {} versions", arguments.versions);
    bytes.print(&what, "bytes");
    made.print(&format!("{what}: made"), "µs");
    verify.print(&format!("{what}: verified"), "µs");
    Ok(())
}
