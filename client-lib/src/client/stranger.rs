//! Comparing what the directory shows to a stranger with what it shows here (section "Detecting
//! Forks"). It cannot tell which of its users the stranger is, so it cannot know which of several
//! logs to show.

use overt_protocol::user::{TreeState, TreeView};

use crate::alarm::State;
use crate::client::Client;
use crate::client::event::Event;
use crate::client::wave::Told;
use crate::error::{ClientError, Reason};
use crate::kept::KeptState;
use crate::operation::Operation;
use crate::roots::{Comparison, compare};
use crate::transport::Transport;

impl<T: Transport> Client<T> {
    /// Asks for the recent distinguished log entries anew and as a stranger, and compares their
    /// roots with those that are kept. Nothing is learnt from the answer. If it shows another log
    /// the alarm is raised, with what was shown to each.
    pub async fn compare_as_stranger(&self) -> Event {
        let now = self.clock.now();
        let event = match self.compare_roots().await {
            Ok(roots) => match self.store.set_compared_at(self.url(), now) {
                Ok(()) => return Event::Compared { roots },
                Err(error) => self.failed(error.into()),
            },
            Err(error) => match self.store.uncompared_since(self.url(), now) {
                Ok(since) => self.uncompared(since, error),
                Err(error) => self.failed(error.into()),
            },
        };
        if let Some(alarm) = event.alarm(now)
            && let Err(error) = self.store.raise(self.url(), &alarm)
        {
            return self.failed(error.into());
        }
        event
    }

    fn failed(&self, error: ClientError) -> Event {
        let label = Vec::new();
        Event::Failed { label, error }
    }

    /// Comparisons are up to one and a half windows apart (see [`Client::watch`]).
    fn uncompared(&self, since: u64, error: ClientError) -> Event {
        let elapsed = self.clock.now().saturating_sub(since);
        match State::of(&error) {
            State::NotCheckable if elapsed > self.patience(&error).saturating_mul(2) => {
                Event::Uncompared { since, error }
            }
            _ => self.failed(error),
        }
    }

    /// How many roots a stranger has in common with this user.
    async fn compare_roots(&self) -> Result<usize, ClientError> {
        if self.recent()?.is_empty() {
            self.refresh_recent().await?;
        }
        let (tree, mine) = (self.tree()?, self.recent()?);
        let stranger = self.transport.anonymous()?;
        self.directory.check(&stranger).await?;
        let told = self
            .ask_over(&stranger, None, &self.walk(None, None)?)
            .await?;
        let is_forked = |tree: &TreeState| {
            tree.tree_size() == told.head.tree_size() && tree.view.root != told.head.view.root
        };
        match compare(&mine, &told.outcome) {
            _ if tree.as_ref().is_some_and(is_forked) => Err(self.split(tree, mine, &told).await),
            Comparison::Split => Err(self.split(tree, mine, &told).await),
            Comparison::Same(common) => Ok(common),
            Comparison::Apart => Err(ClientError::Apart),
        }
    }

    /// Two views that are not of one log. For the record this user asks anew too, so that either
    /// log is shown by one signed answer that stands alone.
    async fn split(
        &self,
        tree: Option<TreeState>,
        recent: Vec<TreeView>,
        told: &Told<Vec<TreeView>>,
    ) -> ClientError {
        let mine = KeptState {
            tree,
            recent,
            ..KeptState::default()
        };
        let mut exchange = self.told_exchange(Operation::Distinguished, &[], told);
        let state = mine.to_bytes().unwrap_or_default();
        exchange.files.push(("own-state.bin", state));
        if let Ok(walk) = self.walk(None, None)
            && let Ok(own) = self.ask(None, &walk).await
        {
            exchange.files.push(("own-response.bin", own.response));
        }
        self.not_verified(Reason::Split, exchange)
    }
}
