//! Distinguished log entries (section "Reasonable Monitoring Window") and walking them (section
//! "Walking Distinguished Heads").

use thiserror::Error;

use crate::combined::{Source, View};
use crate::implicit_tree::{left, path, right, root};
use crate::wire::HashValue;

impl<S: Source> View<'_, S> {
    /// The rightmost distinguished log entry; it is always on the frontier.
    pub fn rightmost_distinguished(&mut self) -> Result<Option<u64>, S::Error> {
        Ok(self
            .distinguished_path(self.size().saturating_sub(1))?
            .last()
            .copied())
    }

    /// The distinguished entries on the path from the root to and including `target`, from the
    /// root down. A parent of a distinguished entry is distinguished, so the rest of the path is
    /// not. Asks for the timestamp of each of them but `target`.
    pub fn distinguished_path(&mut self, target: u64) -> Result<Vec<u64>, S::Error> {
        let mut out = Vec::new();
        let (mut left, mut right) = (0, self.rightmost_timestamp());
        for position in path(target, self.size()) {
            if !self.config.is_distinguished_between(left, right) {
                break;
            }
            out.push(position);
            if position < target {
                left = self.timestamp(position)?;
            } else if position > target {
                right = self.timestamp(position)?;
            }
        }
        Ok(out)
    }

    /// Whether a log entry is distinguished.
    pub fn is_distinguished(&mut self, target: u64) -> Result<bool, S::Error> {
        Ok(self.distinguished_path(target)?.last() == Some(&target))
    }
}

/// What an application calls a "recent" distinguished log entry. It never includes expired ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recent {
    /// One of the rightmost so many; at most ten (section "Walking Distinguished Heads").
    Count(usize),
    /// Younger than so many milliseconds, measured from the rightmost log entry.
    Age(u64),
}

/// What this project's directories and clients call "recent".
pub const RECENT: Recent = Recent::Count(10);

/// Walks the recent distinguished log entries, from right to left. Returns them left to right.
pub fn walk<S: Source>(
    view: &mut View<'_, S>,
    recent: Recent,
    stop: Option<u64>,
) -> Result<Vec<u64>, S::Error> {
    let mut walk = Walk {
        view,
        recent,
        stop,
        found: Vec::new(),
        done: false,
    };
    let right = walk.view.rightmost_timestamp();
    let root = root(walk.view.size());
    walk.visit(root, 0, right)?;
    walk.found.reverse();
    Ok(walk.found)
}

/// Whether two lists of roots, each of the recent distinguished log entries at some time, left to
/// right, can be of one log: one is a prefix of the other's end, with at least one root in common
/// (section "Detecting Forks").
pub fn compare_roots(a: &[HashValue], b: &[HashValue]) -> Result<(), RootsError> {
    if a.len() != b.len() {
        return Err(RootsError::Length(a.len(), b.len()));
    }
    let overlaps = |earlier: &[HashValue], later: &[HashValue]| {
        (0..a.len()).any(
            |x| match (earlier.get(x..), later.get(..later.len().saturating_sub(x))) {
                (Some(end), Some(start)) => end == start,
                _ => false,
            },
        )
    };
    if overlaps(a, b) || overlaps(b, a) {
        Ok(())
    } else {
        Err(RootsError::NoOverlap)
    }
}

/// Why two lists of roots do not show that two users see one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RootsError {
    /// Lists of different lengths.
    #[error("the lists have {0} and {1} roots, they must have the same number")]
    Length(usize, usize),
    /// No end of one list is the beginning of the other.
    #[error("the lists of roots do not overlap")]
    NoOverlap,
}

struct Walk<'v, 'c, S> {
    view: &'v mut View<'c, S>,
    recent: Recent,
    stop: Option<u64>,
    /// From right to left.
    found: Vec<u64>,
    done: bool,
}

impl<S: Source> Walk<'_, '_, S> {
    fn visit(
        &mut self,
        entry: Option<u64>,
        left_time: u64,
        right_time: u64,
    ) -> Result<(), S::Error> {
        let Some(x) = entry else { return Ok(()) };
        let config = self.view.config;
        if self.done || !config.is_distinguished_between(left_time, right_time) {
            return Ok(());
        }
        let timestamp = self.view.timestamp(x)?;
        self.visit(right(x, self.view.size()), timestamp, right_time)?;
        let rightmost = self.view.rightmost_timestamp();
        let is_recent = !config.is_expired(timestamp, rightmost)
            && match self.recent {
                Recent::Count(n) => self.found.len() < n,
                Recent::Age(age) => rightmost.saturating_sub(timestamp) < age,
            };
        if self.done || self.stop.is_some_and(|stop| x <= stop) || !is_recent {
            // Everything that is still to come lies to the left.
            self.done = true;
            return Ok(());
        }
        self.found.push(x);
        self.visit(left(x), left_time, timestamp)
    }
}
