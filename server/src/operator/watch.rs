//! Following the manager's log, as any user does (draft-arch, section "Third-Party Management": the
//! Service Operator detects forks).
//!
//! Each look verifies that the newest head extends the last one that was seen, which is kept on
//! disk. A manager that forked or rolled back its log can never satisfy that again, so no update
//! reaches it from then on; one that is only unreachable changes nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use overt_protocol::clock::{Clock, SystemClock};
use overt_protocol::codec::{Decode, Encode};
use overt_protocol::distinguished::RECENT;
use overt_protocol::user::{TreeState, Verifier};
use overt_protocol::wire::{Configuration, DistinguishedRequest};

use super::{Operator, Signed};
use crate::http::{Code, Problem};

const PATH: &str = "/v1/distinguished";

/// What the operator knows of the manager's log.
pub(super) struct Watch {
    verifier: Verifier,
    view: Mutex<View>,
}

struct View {
    /// The last verified one.
    tree: Option<TreeState>,
    /// Why the newest answer does not go with it.
    trouble: Option<String>,
}

impl Watch {
    /// Goes on from what is kept.
    pub(super) fn open(config: &Configuration, kept: &Signed) -> anyhow::Result<Self> {
        let tree = match kept.view()? {
            None => None,
            Some(bytes) => Some(TreeState::from_bytes(&bytes, &()).context("the kept view")?),
        };
        let trouble = None;
        Ok(Self {
            verifier: Verifier::new(config.clone())?,
            view: Mutex::new(View { tree, trouble }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses if the manager's log does not go with what was seen of it.
    pub(super) fn check(&self) -> Result<(), Problem> {
        match &self.lock().trouble {
            None => Ok(()),
            Some(trouble) => Err(Problem::new(
                Code::Forked,
                format!("no update is given to a manager whose log does not verify: {trouble}"),
            )),
        }
    }

    fn verify(&self, request: &DistinguishedRequest, body: &[u8]) -> Result<TreeState, String> {
        let tree = self.lock().tree.clone();
        let done =
            self.verifier
                .distinguished(tree.as_ref(), request, RECENT, body, SystemClock.now());
        done.map(|done| done.state)
            .map_err(|error| format!("{}: {error}", error.check()))
    }
}

impl Operator {
    /// Looks for ever.
    pub(super) async fn watch(&self, period: Duration) {
        loop {
            if let Err(error) = self.look().await {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "the manager was not looked at"
                );
            }
            let trouble = self.watch.lock().trouble.is_some();
            metrics::gauge!("overt_manager_verified").set(f64::from(u8::from(!trouble)));
            tokio::time::sleep(period).await;
        }
    }

    /// Brings the view of the manager's log up to date. Errors are faults of the network or of this
    /// machine.
    pub(super) async fn look(&self) -> anyhow::Result<()> {
        let last = self.watch.lock().tree.as_ref().map(TreeState::tree_size);
        let request = DistinguishedRequest { last, stop: None };
        let answer = match self.ask(PATH, request.to_bytes()?).await {
            Ok(answer) => answer,
            Err(_) => bail!("it cannot be reached"),
        };
        // A log that says to be smaller than it was is as bad as one that proves another history.
        let verified = match answer.status.as_u16() {
            200 => self.watch.verify(&request, &answer.body),
            409 => Err("it says that its log is smaller than what it showed before".to_owned()),
            status => bail!("it answers {status}"),
        };
        match verified {
            Ok(tree) => {
                self.signed.put_view(&tree.to_bytes()?)?;
                let mut view = self.watch.lock();
                view.tree = Some(tree);
                view.trouble = None;
            }
            Err(trouble) => {
                tracing::error!(
                    trouble,
                    "THE MANAGER'S LOG DOES NOT GO WITH WHAT WAS SEEN OF IT"
                );
                self.watch.lock().trouble = Some(trouble);
            }
        }
        Ok(())
    }
}
