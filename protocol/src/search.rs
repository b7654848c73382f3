//! The search algorithms (sections "Greatest-Version Search" and "Fixed-Version Search").

use std::cmp::Ordering;

use crate::combined::{Source, View};
use crate::error::VerifyError;
use crate::implicit_tree::{left, right, rightward, root};

/// Where a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The terminal log entry.
    pub terminal: u64,
    /// Whether the terminal entry is to the right of the rightmost distinguished one. In Contact
    /// Monitoring mode the user then has to monitor the label.
    pub must_monitor: bool,
}

/// Searches for `version` as the greatest version of the label.
pub fn greatest_version<S: Source>(
    view: &mut View<'_, S>,
    version: u32,
) -> Result<Found, S::Error> {
    let size = view.size();
    let distinguished = view.rightmost_distinguished()?;
    let start = distinguished.or(root(size)).unwrap_or(0);
    let mut terminal = None;
    for position in rightward(start, size) {
        let outcome = view.search_ladder(position, version, true)?;
        let is_rightmost = position == size.saturating_sub(1);
        let consistent = match outcome {
            Ordering::Greater => false,
            Ordering::Equal => true,
            Ordering::Less => !is_rightmost,
        };
        if !consistent {
            let expected = Some(version);
            return Err(VerifyError::Ladder { position, expected }.into());
        }
        if outcome == Ordering::Equal {
            terminal.get_or_insert(position);
        }
    }
    found(terminal, distinguished).map_err(S::Error::from)
}

/// Shows that the label has no version, at every entry where a greatest-version search would look.
/// The draft defines no such result; this is the project's own extension, and an operation apart.
pub fn absence<S: Source>(view: &mut View<'_, S>) -> Result<(), S::Error> {
    let size = view.size();
    let distinguished = view.rightmost_distinguished()?;
    let start = distinguished.or(root(size)).unwrap_or(0);
    for position in rightward(start, size) {
        view.expect_greatest(position, None, false)?;
    }
    Ok(())
}

/// Searches for a fixed version of the label.
pub fn fixed_version<S: Source>(view: &mut View<'_, S>, version: u32) -> Result<Found, S::Error> {
    let size = view.size();
    let distinguished = view.rightmost_distinguished()?;
    let (mut left_time, mut right_time) = (0, view.rightmost_timestamp());
    let mut expired = false;
    // Unexpired distinguished entries among those inspected; the leftmost decides steps 5.2, 6.2.
    let mut leftmost_distinguished: Option<u64> = None;
    // The leftmost inspected entry with a version greater than the target.
    let mut greater: Option<u64> = None;
    let mut next = root(size);
    while let Some(position) = next {
        let timestamp = view.timestamp(position)?;
        // Step 1.
        if view.is_expired(position)? {
            expired = true;
            left_time = timestamp;
            next = right(position, size);
            continue;
        }
        if view.config.is_distinguished_between(left_time, right_time) {
            leftmost_distinguished =
                Some(leftmost_distinguished.map_or(position, |p| p.min(position)));
        }
        // Steps 2 to 5.
        match view.search_ladder(position, version, true)? {
            Ordering::Less => {
                left_time = timestamp;
                next = right(position, size);
            }
            Ordering::Greater => {
                greater = Some(greater.map_or(position, |p| p.min(position)));
                right_time = timestamp;
                next = left(position);
            }
            Ordering::Equal => {
                if expired && leftmost_distinguished.is_none_or(|p| p > position) {
                    return Err(VerifyError::VersionExpired.into());
                }
                return found(Some(position), distinguished).map_err(S::Error::from);
            }
        }
    }
    // Step 6.
    let Some(position) = greater else {
        return Err(VerifyError::VersionNotFound.into());
    };
    if expired && leftmost_distinguished.is_none_or(|p| p >= position) {
        return Err(VerifyError::VersionExpired.into());
    }
    let mut is_included = SingleLookup {
        version: Some(version),
        included: false,
    };
    view.lookups(position, &mut is_included)?;
    if !is_included.included {
        return Err(VerifyError::VersionNotFound.into());
    }
    found(Some(position), distinguished).map_err(S::Error::from)
}

fn found(terminal: Option<u64>, distinguished: Option<u64>) -> Result<Found, VerifyError> {
    let terminal = terminal.ok_or(VerifyError::VersionNotFound)?;
    Ok(Found {
        terminal,
        must_monitor: distinguished.is_none_or(|d| d < terminal),
    })
}

struct SingleLookup {
    version: Option<u32>,
    included: bool,
}

impl crate::combined::Lookups for SingleLookup {
    fn probe(&mut self) -> Option<u32> {
        self.version.take()
    }

    fn record(&mut self, _: u32, included: bool) -> Result<(), VerifyError> {
        self.included = included;
        Ok(())
    }
}
