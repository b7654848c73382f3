//! A user's device: what it keeps, its view of the log, and what it does when something is wrong.

use std::collections::BTreeMap;
use std::rc::Rc;

use overt_protocol::distinguished::compare_roots;
use overt_protocol::error::VerifyError;
use overt_protocol::implicit_tree::frontier;
use overt_protocol::monitor::MonitorMap;
use overt_protocol::provider::Refusal;
use overt_protocol::receipt::Receipt;
use overt_protocol::user::{OwnerState, ProvisionalCredential, TreeState, TreeView, Verifier};
use overt_protocol::wire::*;

use crate::server::{MAX_RECENT, RECENT, Server};
use crate::support::MemoryError;

/// Something is wrong with the log: who found it, by which check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alarm {
    pub(crate) detector: &'static str,
    pub(crate) check: String,
    pub(crate) detail: String,
}

/// What a user does either works or gives an alarm.
pub(crate) type Done<T = ()> = Result<T, Alarm>;

pub(crate) fn alarm(detector: &'static str, check: &str, detail: String) -> Alarm {
    Alarm {
        detector,
        check: check.to_owned(),
        detail,
    }
}

pub(crate) fn rejected(detector: &'static str) -> impl Fn(VerifyError) -> Alarm {
    move |error| alarm(detector, error.check(), error.to_string())
}

/// The log does not answer where an honest one would.
pub(crate) fn no_answer(detector: &'static str) -> impl Fn(MemoryError) -> Alarm {
    move |error| {
        let check = match error {
            MemoryError::Refusal(Refusal::LastAhead { .. }) => "last-ahead",
            _ => "no answer",
        };
        alarm(detector, check, error.to_string())
    }
}

pub(crate) fn is_refusal(error: &MemoryError, wanted: &[Refusal]) -> bool {
    match error {
        MemoryError::Refusal(refusal) => wanted.contains(refusal),
        MemoryError::Verify(error) => wanted.contains(&Refusal::from(error)),
        _ => false,
    }
}

/// Values that the owner's devices made, by version.
pub(crate) type Made = BTreeMap<String, Vec<Vec<u8>>>;

/// What is kept about a label that was looked up.
#[derive(Debug, Default)]
pub(crate) struct Contact {
    pub(crate) greatest: Option<u32>,
    pub(crate) map: MonitorMap,
    pub(crate) vrf_outputs: BTreeMap<u32, HashValue>,
    pub(crate) commitments: BTreeMap<u32, HashValue>,
}

pub(crate) struct User {
    pub(crate) number: usize,
    pub(crate) verifier: Rc<Verifier>,
    /// How far the clock is ahead.
    pub(crate) skew: i64,
    pub(crate) state: Option<TreeState>,
    /// The recent distinguished log entries.
    pub(crate) recent: Vec<TreeView>,
    /// The label that this user owns.
    pub(crate) label: Option<String>,
    pub(crate) owner: Option<OwnerState>,
    pub(crate) contacts: BTreeMap<String, Contact>,
    pub(crate) credentials: Vec<ProvisionalCredential>,
    /// Promises about the own label that are not known to be kept.
    pub(crate) receipts: Vec<Receipt>,
    /// When this user next monitors everything, and how often.
    pub(crate) due: u64,
    pub(crate) period: u64,
    /// Goes offline in the middle of things at times.
    pub(crate) is_flighty: bool,
    /// The largest monitoring map after monitoring.
    pub(crate) largest_map: usize,
}

impl User {
    pub(crate) fn new(
        number: usize,
        verifier: Rc<Verifier>,
        skew: i64,
        label: Option<String>,
    ) -> Self {
        Self {
            number,
            verifier,
            skew,
            state: None,
            recent: Vec::new(),
            label,
            owner: None,
            contacts: BTreeMap::new(),
            credentials: Vec::new(),
            receipts: Vec::new(),
            due: 0,
            period: 1,
            is_flighty: true,
            largest_map: 0,
        }
    }

    pub(crate) fn clock(&self, time: u64) -> u64 {
        time.saturating_add_signed(self.skew)
    }

    pub(crate) fn last(&self) -> Option<u64> {
        self.state.as_ref().map(TreeState::tree_size)
    }

    /// Walks the recent distinguished log entries.
    pub(crate) fn walk(&mut self, server: &dyn Server, time: u64) -> Done {
        self.recent = self.walk_from(None, server, time)?;
        Ok(())
    }

    /// Walks those that came since the last time, and forgets those that are not recent any more.
    pub(crate) fn walk_on(&mut self, server: &dyn Server, time: u64) -> Done {
        let stop = self.recent.last().map(TreeView::position);
        let new = self.walk_from(stop, server, time)?;
        self.recent.extend(new);
        let config = self.verifier.config();
        let now = self.state.as_ref().unwrap().rightmost().unwrap().timestamp;
        let is_expired = |view: &TreeView| {
            let entry = view.rightmost().unwrap();
            config.is_expired(entry.timestamp, now)
        };
        self.recent.retain(|view| !is_expired(view));
        let surplus = self.recent.len().saturating_sub(MAX_RECENT);
        self.recent.drain(..surplus);
        Ok(())
    }

    fn walk_from(
        &mut self,
        stop: Option<u64>,
        server: &dyn Server,
        time: u64,
    ) -> Done<Vec<TreeView>> {
        let who = "user walking";
        let request = DistinguishedRequest {
            last: self.last(),
            stop,
        };
        let answer = server.distinguished(self.number, &request);
        let answer = answer.map_err(no_answer(who))?;
        let (state, now) = (self.state.as_ref(), self.clock(time));
        let done = self
            .verifier
            .distinguished(state, &request, RECENT, &answer, now)
            .map_err(rejected(who))?;
        self.state = Some(done.state);
        Ok(done.recent)
    }

    pub(crate) fn roots(&self) -> Vec<HashValue> {
        self.recent.iter().map(|view| view.root).collect()
    }

    /// Compares the roots at the recent distinguished entries with another user's (section
    /// "Detecting Forks"): as many as both have. Fewer than two say nothing.
    pub(crate) fn compare(&self, other: &Self, who: &'static str) -> Done<bool> {
        let (a, b) = (self.roots(), other.roots());
        let n = a.len().min(b.len());
        if n < 2 {
            return Ok(false);
        }
        let compared = compare_roots(&a[a.len() - n..], &b[b.len() - n..]);
        compared.map_err(|error| alarm(who, "compare-roots", error.to_string()))?;
        Ok(true)
    }

    /// After monitoring, a map holds log entries on the frontier, to the right of the rightmost
    /// distinguished one, which are logarithmic in number (section "Contact Algorithm").
    pub(crate) fn check_map(&mut self, map: &MonitorMap) {
        let view = &self.state.as_ref().unwrap().view;
        let distinguished = view.rightmost_distinguished(self.verifier.config());
        let to_the_right = view.size - distinguished.map_or(0, |position| position + 1);
        let bound = (u64::BITS - to_the_right.leading_zeros()) as usize;
        assert!(map.len() <= bound, "{map:?} has more than {bound} entries");
        for position in map.keys() {
            let is_right = distinguished.is_none_or(|d| *position > d);
            let on_frontier = frontier(view.size).any(|p| p == *position);
            assert!(is_right && on_frontier, "{position} stays in {map:?}");
        }
        self.largest_map = self.largest_map.max(map.len());
    }

    pub(crate) fn entries(map: &MonitorMap) -> Vec<MonitorMapEntry> {
        let entry = |(position, version): (&u64, &u32)| MonitorMapEntry {
            position: *position,
            version: *version,
        };
        map.iter().map(entry).collect()
    }
}
