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
        let spread = f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX);
        pause.mul_f64(0.9 + 0.2 * spread)
    }
}

/// Whether a pass left something to be tried again soon.
fn is_unproved(done: &Monitoring) -> bool {
    matches!(done.state(), State::NotCheckable | State::Overdue)
}

impl<T: Transport> Client<T> {
    /// Monitors at once and then at this pace, for as long as the stream is polled. Needs a tokio
    /// runtime with time; nothing runs in between.
    pub fn watch(&self, pace: Pace) -> impl Stream<Item = Monitoring> + '_ {
        let start = (Duration::ZERO, 0u32);
        stream::unfold(start, move |(pause, failures)| async move {
            tokio::time::sleep(pause).await;
            let done = self.monitor().await;
            let failures = match is_unproved(&done) {
                true => failures.saturating_add(1),
                false => 0,
            };
            let pause = pace.after(&done, failures.saturating_sub(1));
            Some((done, (pause, failures)))
        })
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
}
