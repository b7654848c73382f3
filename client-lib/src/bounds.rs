//! How long misbehaviour can go unnoticed: the formulas of `docs/threat-model.md`, with the numbers
//! of one directory and its user.

use overt_protocol::head_log::policy::Policy;
use overt_protocol::wire::{Configuration, DeploymentMode};

/// How often auditors look at a directory, and at each other, where nothing else is known: a minute,
/// thirty times what `overt-auditor` does by default. In milliseconds.
pub const AUDITOR_PERIOD: u64 = 60_000;

/// The times that bounds are made of, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// *MB*: how old a head may be.
    pub max_behind: u64,
    /// *MA*: how far in the future a head may be.
    pub max_ahead: u64,
    /// *RMW*: the reasonable monitoring window.
    pub window: u64,
    /// *ML*: the age at which log entries expire, if they do.
    pub maximum_lifetime: Option<u64>,
    /// *LAG*: how far the auditor may lag, in third-party auditing mode.
    pub max_auditor_lag: Option<u64>,
    /// *H*: the longest time between two log entries. A client knows no better bound than *MB*.
    pub silence: u64,
    /// *W*: how often this user monitors.
    pub monitoring: u64,
    /// *P*: how often an auditor looks at the directory.
    pub auditor: u64,
    /// *G*: how often auditors look at one another.
    pub gossip: u64,
    /// *Q*: how old a cosignature may be.
    pub cosignature: u64,
}

impl Times {
    /// Those of a directory whose user monitors once in its window, and whose auditors look every
    /// [`AUDITOR_PERIOD`].
    pub fn of(config: &Configuration) -> Self {
        let max_auditor_lag = match config.mode {
            DeploymentMode::ThirdPartyAuditing {
                max_auditor_lag, ..
            } => Some(max_auditor_lag),
            _ => None,
        };
        let max_behind = config.max_behind;
        Self {
            max_behind,
            max_ahead: config.max_ahead,
            window: config.reasonable_monitoring_window,
            maximum_lifetime: config.maximum_lifetime,
            max_auditor_lag,
            silence: max_behind,
            monitoring: config.reasonable_monitoring_window,
            auditor: AUDITOR_PERIOD,
            gossip: AUDITOR_PERIOD,
            cosignature: max_behind,
        }
    }

    /// What a formula such as `RMW + H + W` or `min(W, C)` comes to; none if a term has no bound here.
    ///
    /// # Errors
    /// The term that is not known.
    pub fn evaluate<'f>(&self, formula: &'f str) -> Result<Option<u64>, &'f str> {
        if let Some(terms) = formula.strip_prefix("min(") {
            let terms = terms.trim_end_matches(')').split(", ");
            let times: Vec<_> = terms
                .map(|term| self.evaluate(term))
                .collect::<Result<_, _>>()?;
            // What has no bound is never the smallest.
            return Ok(times.into_iter().flatten().min());
        }
        let mut sum = Some(0u64);
        for term in formula.split(" + ") {
            let time = self.term(term).ok_or(term)?;
            sum = sum.zip(time).map(|(sum, time)| sum.saturating_add(time));
        }
        Ok(sum)
    }

    fn term(&self, term: &str) -> Option<Option<u64>> {
        Some(match term {
            "MB" => Some(self.max_behind),
            "MA" => Some(self.max_ahead),
            "RMW" => Some(self.window),
            "ML" => self.maximum_lifetime,
            "LAG" => self.max_auditor_lag,
            "H" => Some(self.silence),
            "W" => Some(self.monitoring),
            "P" => Some(self.auditor),
            "G" => Some(self.gossip),
            "Q" => Some(self.cosignature),
            // It depends on the receipt, and on when somebody compares.
            "R" | "C" => None,
            _ => return None,
        })
    }

    /// What can go unnoticed in this directory, and for how long. `policy` is the user's own;
    /// `dishonest` of its witnesses may work for the directory.
    pub fn bounds(&self, policy: Option<&Policy>, dishonest: usize) -> Vec<Bound> {
        let is_audited = self.max_auditor_lag.is_some() || policy.is_some();
        let fork = match policy {
            Some(policy) if policy.excludes_fork(dishonest) => "0",
            _ if is_audited => "P + G",
            _ => "min(W, C)",
        };
        let stopped = match (policy, self.max_auditor_lag) {
            (_, Some(_)) => "LAG",
            (Some(_), None) => "Q",
            (None, None) => "MB",
        };
        let mut all = vec![
            ("a version of your label that is not yours", "RMW + H + W"),
            ("another log than others see", fork),
            ("a log that shows nothing new", "MB"),
            ("a log that nobody looks after any more", stopped),
            ("monitoring that is refused", "RMW"),
            ("a promise that is broken", "R + H + W"),
        ];
        if is_audited {
            all.push(("log entries that were altered", "P"));
        }
        if self.maximum_lifetime.is_some() {
            all.push(("what nobody can vouch for, if you are away longer", "ML"));
        }
        let bound = |(what, formula)| Bound {
            what,
            formula,
            milliseconds: match formula {
                "0" => Some(0),
                formula => self.evaluate(formula).unwrap_or_default(),
            },
        };
        all.into_iter().map(bound).collect()
    }
}

/// How long something can go unnoticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// What.
    pub what: &'static str,
    /// In the terms of `docs/threat-model.md`; `0` if it is refused from the beginning.
    pub formula: &'static str,
    /// With the numbers of the directory; none if it depends on what is not known here.
    pub milliseconds: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times = Times {
        max_behind: 1,
        max_ahead: 10,
        window: 100,
        maximum_lifetime: None,
        max_auditor_lag: Some(1_000),
        silence: 1,
        monitoring: 10_000,
        auditor: 100_000,
        gossip: 1_000_000,
        cosignature: 1,
    };

    #[test]
    fn formulas_are_sums_and_minima() {
        assert_eq!(TIMES.evaluate("RMW + H + W"), Ok(Some(10_101)));
        assert_eq!(TIMES.evaluate("P + G"), Ok(Some(1_100_000)));
        assert_eq!(TIMES.evaluate("min(W, C)"), Ok(Some(10_000)));
        assert_eq!(TIMES.evaluate("R + H + W"), Ok(None));
        assert_eq!(TIMES.evaluate("ML"), Ok(None));
        assert_eq!(TIMES.evaluate("RMW + X"), Err("X"));
    }

    #[test]
    fn every_bound_is_one_of_the_terms() {
        for bound in TIMES.bounds(None, 0) {
            if bound.formula != "0" {
                assert_eq!(TIMES.evaluate(bound.formula), Ok(bound.milliseconds));
            }
        }
        let fork = |times: &Times| times.bounds(None, 0)[1].formula;
        assert_eq!(fork(&TIMES), "P + G");
        let alone = Times {
            max_auditor_lag: None,
            ..TIMES
        };
        assert_eq!(fork(&alone), "min(W, C)");
    }
}
