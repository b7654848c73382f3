//! CPU time of the whole process, all threads: what is compared does not depend on how many cores
//! there are, and little on what else runs on them.

use std::time::Duration;

use cpu_time::ProcessTime;

/// Runs `work`; the CPU time that it took, and what came of it.
pub fn cpu<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let started = ProcessTime::now();
    let done = work();
    (started.elapsed(), done)
}

/// Amounts of one kind, one from each round.
#[derive(Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Adds the time of one of `count` pieces of work, in microseconds.
    pub fn time(&mut self, took: Duration, count: usize) {
        self.0.push(took.as_secs_f64() * 1e6 / count as f64);
    }

    /// Adds the size of one of `count` pieces, in bytes.
    pub fn size(&mut self, bytes: usize, count: usize) {
        self.0.push(bytes as f64 / count as f64);
    }

    /// The middle one.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.get(sorted.len() / 2) {
            Some(middle) => *middle,
            None => f64::NAN,
        }
    }
}

/// The same work, done by both.
#[derive(Debug, Default)]
pub struct Pair {
    /// By Overt.
    pub overt: Samples,
    /// By akd.
    pub akd: Samples,
}

impl Pair {
    /// A line of the table: both medians, and how many times more akd needs.
    pub fn print(&self, what: &str, unit: &str) {
        let (overt, akd) = (self.overt.median(), self.akd.median());
        println!(
            "| {what} | {overt:.0} {unit} | {akd:.0} {unit} | {:.2} |",
            akd / overt
        );
    }
}
