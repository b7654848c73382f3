//! Keeping watch for as long as the application likes.

use std::time::Duration;

use futures_util::Stream;
use futures_util::stream;

use crate::alarm::State;
use crate::client::{Client, Monitoring};
use crate::transport::Transport;

/// How often to monitor.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Time between passes; each differs from it by up to a tenth, so that clients spread.
    pub every: Duration,
    /// Time to the next pass after one in which the directory could not be reached or did not prove
    /// what it should; doubled until it is [`Pace::every`].
    pub retry: Duration,
}

impl Pace {
    /// About once in a reasonable monitoring window, which is what the draft asks of owners; a
    /// little more often, so that lateness does not add up.
    pub fn of_window(window: Duration) -> Self {
        Self {
            every: window.mul_f64(0.9),
            retry: (window / 64).max(Duration::from_secs(1)),
        }
    }

    /// The pause after a pass.
    fn after(self, done: &Monitoring, failures: u32) -> Duration {
        let pause = match is_unproved(done) {
            true => self
                .retry
                .saturating_mul(1 << failures.min(16))
                .min(self.every),
            false => self.every,
        };
        pause.mul_f64(0.9 + 0.2 * random())
    }

    /// The pause before the first comparison with what strangers are shown, so long after the last
    /// one. Its time says nothing of the times of passes: who asks must not be guessed from it.
    fn first_comparison(self, elapsed: Duration) -> Duration {
        let due = self.every.mul_f64(0.5 + random()).saturating_sub(elapsed);
        due.max(self.every.mul_f64(random() / 8.0))
    }

    /// The pause after a comparison.
    fn after_comparison(self, done: &Monitoring) -> Duration {
        let pause = match is_unproved(done) {
            true => self.every / 8,
            false => self.every,
        };
        pause.mul_f64(0.5 + random())
    }
}

/// From zero to one.
fn random() -> f64 {
    f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX)
}

/// Time to what is to be done next.
struct Plan {
    pass: Duration,
    /// Passes that proved nothing, since the last that did.
    failures: u32,
    /// Of a comparison with what strangers are shown; none unless the log is in Contact Monitoring mode.
    comparison: Option<Duration>,
    /// Of asking the auditors; none without a policy.
    audit: Option<Duration>,
}

/// Whether a pass left something to be tried again soon.
fn is_unproved(done: &Monitoring) -> bool {
    matches!(done.state(), State::NotCheckable | State::Overdue)
}

impl<T: Transport> Client<T> {
    /// Monitors at once and then at this pace, for as long as the stream is polled. In Contact
    /// Monitoring mode it also compares what is known here with what strangers are shown, and with a
    /// policy it asks the auditors, each at random times, about as often. Needs a tokio runtime with time; nothing runs in between.
    pub fn watch(&self, pace: Pace) -> impl Stream<Item = Monitoring> + '_ {
        stream::unfold(self.plan(pace), move |mut plan| async move {
            let others = [plan.comparison, plan.audit].into_iter().flatten();
            let wait = others.fold(plan.pass, Duration::min);
            tokio::time::sleep(wait).await;
            plan.pass = plan.pass.saturating_sub(wait);
            for due in [&mut plan.comparison, &mut plan.audit]
                .into_iter()
                .flatten()
            {
                *due = due.saturating_sub(wait);
            }
            if plan.pass.is_zero() {
                let done = self.monitor().await;
                plan.pass = pace.after(&done, plan.failures);
                plan.failures = match is_unproved(&done) {
                    true => plan.failures.saturating_add(1),
                    false => 0,
                };
                return Some((done, plan));
            }
            let is_audit = plan.audit.is_some_and(|due| due.is_zero());
            let events = match is_audit {
                true => self.ask_auditors().await.into_iter().collect(),
                false => vec![self.compare_as_stranger().await],
            };
            let done = Monitoring { events, tree: None };
            let next = Some(pace.after_comparison(&done));
            match is_audit {
                true => plan.audit = next,
                false => plan.comparison = next,
            }
            Some((done, plan))
        })
    }

    fn plan(&self, pace: Pace) -> Plan {
        let now = self.clock.now();
        let since = self.store.uncompared_since(self.url(), now);
        let elapsed = since.map_or(0, |since| now.saturating_sub(since));
        let has_policy = self
            .store
            .policy(self.url())
            .is_ok_and(|policy| policy.is_some());
        let is_compared = self.directory.config.is_contact_monitoring();
        Plan {
            pass: Duration::ZERO,
            failures: 0,
            comparison: is_compared.then(|| pace.first_comparison(Duration::from_millis(elapsed))),
            audit: has_policy.then(|| pace.first_comparison(Duration::from_millis(elapsed))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Event;
    use crate::error::ClientError;

    #[test]
    fn about_once_in_a_window() {
        let window = Duration::from_secs(24 * 3600);
        let pace = Pace::of_window(window);
        let well = Monitoring::default();
        let (label, error) = (Vec::new(), ClientError::Unsettled);
        let unreachable = Event::Failed { label, error };
        let (label, error) = (Vec::new(), ClientError::Unsettled);
        let since = 0;
        let overdue = Event::Overdue {
            label,
            since,
            error,
        };
        for unproved in [unreachable, overdue] {
            let unproved = Monitoring {
                events: vec![unproved],
                tree: None,
            };
            for _ in 0..100 {
                let pause = pace.after(&well, 0);
                assert!(pause > window / 2 && pause <= window, "{pause:?}");
                let first = pace.after(&unproved, 0);
                assert!(first < window / 32, "{first:?}");
                let later = pace.after(&unproved, 3);
                assert!(later > first * 4 && later <= window, "{later:?}");
            }
        }
    }

    #[test]
    fn comparisons_come_about_once_in_a_window_and_nobody_knows_when() {
        let every = Duration::from_secs(24 * 3600);
        let retry = every / 64;
        let pace = Pace { every, retry };
        let spread = |pause: &dyn Fn() -> Duration| {
            let mut all: Vec<f64> = (0..200).map(|_| pause().div_duration_f64(every)).collect();
            all.sort_by(f64::total_cmp);
            (all[0], all[100], all[199])
        };
        let done = Monitoring::default();
        for (least, middle, greatest) in [
            spread(&|| pace.after_comparison(&done)),
            spread(&|| pace.first_comparison(Duration::ZERO)),
        ] {
            assert!((0.5..0.6).contains(&least), "{least}");
            assert!((0.8..1.2).contains(&middle), "{middle}");
            assert!((1.4..=1.5).contains(&greatest), "{greatest}");
        }
        // Whoever was away for long does not ask at once either.
        let (least, _, greatest) = spread(&|| pace.first_comparison(every * 9));
        assert!(least < 0.02 && (0.1..=0.125).contains(&greatest));
    }
}
