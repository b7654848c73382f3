//! An open loop: requests start when they are due, whatever became of earlier ones, and their latency
//! counts from then. So a server that stalls is charged with everything that had to wait for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Microseconds, the most that is told apart.
const LONGEST: u64 = 600_000_000;

/// How requests follow each other.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Requests a second.
    pub rate: f64,
    /// How long.
    pub duration: Duration,
    /// Requests under way at most; one that would be more is not sent, and an error.
    pub in_flight: usize,
}

/// Why a request came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum Failure {
    /// Too many were under way when it was due.
    #[error("too many under way")]
    InFlight,
    /// No connection, or it broke, or nothing came in time.
    #[error("no answer")]
    NoAnswer,
    /// A status other than 200.
    #[error("status {0}")]
    Status(u16),
    /// The verifier refuses the answer.
    #[error("not verified")]
    NotVerified,
}

/// What became of all requests.
#[derive(Debug, Clone)]
pub struct Measured<K> {
    empty: Histogram<u64>,
    /// From due to answered, in microseconds, of requests that were answered.
    latencies: BTreeMap<K, Histogram<u64>>,
    /// The others, and answers that do not verify.
    pub errors: BTreeMap<Failure, u64>,
}

impl<K: Ord> Measured<K> {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            empty: Histogram::new_with_max(LONGEST, 3)?,
            latencies: BTreeMap::new(),
            errors: BTreeMap::new(),
        })
    }

    fn answered(&mut self, kind: K, latency: Duration) {
        let histogram = self.latencies.entry(kind);
        let histogram = histogram.or_insert_with(|| self.empty.clone());
        let micros = u64::try_from(latency.as_micros()).unwrap_or(LONGEST);
        histogram.saturating_record(micros);
    }

    fn failed(&mut self, failure: Failure) {
        *self.errors.entry(failure).or_default() += 1;
    }

    /// Kinds of requests that were answered.
    pub fn kinds(&self) -> impl Iterator<Item = &K> {
        self.latencies.keys()
    }

    /// Requests of a kind that were answered.
    pub fn count(&self, kind: &K) -> u64 {
        self.latencies.get(kind).map_or(0, Histogram::len)
    }

    /// A quantile of their latencies, in milliseconds.
    pub fn milliseconds(&self, kind: &K, quantile: f64) -> f64 {
        let histogram = self.latencies.get(kind);
        histogram.map_or(0.0, |h| h.value_at_quantile(quantile) as f64 / 1000.0)
    }
}

/// Waits for a moment, to some microseconds.
pub async fn until(due: Instant) {
    async_io::Timer::at(due.into_std()).await;
}

/// Asks at this pace. `wait` waits for a moment. `ask` makes a request of its number, from 0, and says
/// of what kind it is; the answer comes with how to check it, which is not part of the latency.
pub async fn run<K, A, C>(
    pace: &Pace,
    wait: impl AsyncFn(Instant),
    mut ask: impl FnMut(u64) -> (K, A),
    bar: &ProgressBar,
) -> anyhow::Result<Measured<K>>
where
    K: Ord + Clone + Send + 'static,
    A: Future<Output = Result<C, Failure>> + Send + 'static,
    C: FnOnce() -> Result<(), Failure> + Send + 'static,
{
    let measured = Arc::new(Mutex::new(Measured::new()?));
    let free = Arc::new(Semaphore::new(pace.in_flight));
    let began = Instant::now();
    let total = (pace.rate * pace.duration.as_secs_f64()) as u64;
    bar.set_length(total);
    for number in 0..total {
        let due = began + Duration::from_secs_f64(number as f64 / pace.rate);
        wait(due).await;
        bar.set_position(number);
        let Ok(permit) = free.clone().try_acquire_owned() else {
            lock(&measured).failed(Failure::InFlight);
            continue;
        };
        let (kind, answer) = ask(number);
        let measured = measured.clone();
        tokio::spawn(async move {
            let answer = answer.await;
            let latency = due.elapsed();
            let checked = answer.and_then(|check| {
                lock(&measured).answered(kind, latency);
                check()
            });
            if let Err(failure) = checked {
                lock(&measured).failed(failure);
            }
            drop(permit);
        });
    }
    let _all = free.acquire_many(u32::try_from(pace.in_flight)?).await?;
    let measured = lock(&measured).clone();
    Ok(measured)
}

/// A task that panicked leaves nothing half done.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep_until;

    use super::*;

    const PACE: Pace = Pace {
        rate: 100.0,
        duration: Duration::from_secs(10),
        in_flight: 1000,
    };

    type Checked = fn() -> Result<(), Failure>;
    const FINE: Checked = || Ok(());

    async fn measure<A>(pace: &Pace, ask: impl Fn(u64) -> A) -> Measured<&'static str>
    where
        A: Future<Output = Result<Checked, Failure>> + Send + 'static,
    {
        let bar = ProgressBar::hidden();
        let ask = |n| ("kind", ask(n));
        run(pace, sleep_until, ask, &bar).await.unwrap()
    }

    /// A server that answers nothing for a second: whoever comes meanwhile waits for the rest of it.
    #[tokio::test(start_paused = true)]
    async fn everybody_who_waits_for_a_stall_counts() {
        let began = Instant::now();
        let stall = Duration::from_secs(5)..Duration::from_secs(6);
        let measured = measure(&PACE, move |_| {
            let stall = stall.clone();
            async move {
                if stall.contains(&began.elapsed()) {
                    sleep_until(began + stall.end).await;
                }
                Ok(FINE)
            }
        })
        .await;
        assert_eq!(measured.count(&"kind"), 1000);
        assert!(measured.errors.is_empty());
        // 100 of 1,000 waited: half of them for half a second and more.
        assert!(measured.milliseconds(&"kind", 0.89) < 20.0);
        let half = measured.milliseconds(&"kind", 0.95);
        assert!((450.0..550.0).contains(&half), "{half}");
        let all = measured.milliseconds(&"kind", 1.0);
        assert!((980.0..1020.0).contains(&all), "{all}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_much_is_not_sent_and_an_error() {
        let pace = Pace {
            in_flight: 10,
            ..PACE
        };
        let sleep = |_| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(FINE)
        };
        let measured = measure(&pace, sleep).await;
        let refused = measured.errors[&Failure::InFlight];
        assert_eq!(measured.count(&"kind") + refused, 1000);
        // Ten a second of the hundred.
        assert!((890..=910).contains(&refused), "{refused}");
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_counted_by_what_they_are() {
        const WRONG: Checked = || Err(Failure::NotVerified);
        let measured = measure(&PACE, |n| async move {
            match n % 4 {
                0 => Err(Failure::Status(503)),
                1 => Ok(WRONG),
                _ => Ok(FINE),
            }
        })
        .await;
        let expected = [(Failure::Status(503), 250), (Failure::NotVerified, 250)];
        assert_eq!(measured.errors, BTreeMap::from(expected));
        // What came and was wrong came nevertheless.
        assert_eq!(measured.count(&"kind"), 750);
    }
}
