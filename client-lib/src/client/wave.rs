//! Asking the directory: one request, or many at once that all start from one view of the log.
//!
//! Answers of one wave may show heads of different sizes. Each is consistent with the view that
//! the wave started from, which does not make them consistent with each other; so before anything
//! is kept they are all brought to one size and must have one root there.

use std::time::Instant;

use futures_util::stream::{self, StreamExt};
use overt_protocol::codec::Encode;
use overt_protocol::error::VerifyError;
use overt_protocol::user::{OwnerState, TreeState};
use overt_protocol::wire::Opening;

use crate::client::{Client, Cost};
use crate::error::{ClientError, Reason};
use crate::failure::Exchange;
use crate::kept::KeptState;
use crate::operation::Operation;
use crate::transport::{Posted, Transport, TransportError};

/// Requests in flight.
const WAVE: usize = 64;
/// Attempts to bring views to one size, while other people's updates move the log.
const ROUNDS: usize = 24;

type Verify<'a, O> = dyn Fn(Option<&TreeState>, &[u8], u64) -> Result<(TreeState, O), VerifyError>
    + Send
    + Sync
    + 'a;

/// A request and how to verify its response.
pub(super) struct Ask<'a, O> {
    pub(super) operation: Operation,
    pub(super) label: Vec<u8>,
    /// What the response is checked against besides the view, if it is about an owned label.
    pub(super) owner: Option<OwnerState>,
    pub(super) request: Vec<u8>,
    /// What shows that what is asked about was looked up once.
    pub(super) openings: Vec<Opening>,
    pub(super) verify: Box<Verify<'a, O>>,
}

/// A verified answer.
pub(super) struct Told<O> {
    /// The view of the log that the request started from.
    from: Option<TreeState>,
    /// The view of the log that it leads to.
    pub(super) head: TreeState,
    pub(super) outcome: O,
    pub(super) cost: Cost,
    /// For the record, should what was proved turn out to be wrong.
    owner: Option<OwnerState>,
    now: u64,
    request: Vec<u8>,
    pub(super) response: Vec<u8>,
}

impl<T: Transport> Client<T> {
    /// Asks one thing.
    pub(super) async fn ask<O>(
        &self,
        tree: Option<&TreeState>,
        ask: &Ask<'_, O>,
    ) -> Result<Told<O>, ClientError> {
        self.ask_over(&self.transport, tree, ask).await
    }

    /// Asks one thing over another transport to the directory.
    pub(super) async fn ask_over<O>(
        &self,
        transport: &T,
        tree: Option<&TreeState>,
        ask: &Ask<'_, O>,
    ) -> Result<Told<O>, ClientError> {
        let endpoint = ask.operation.endpoint();
        let path = self.directory.descriptor.path(endpoint).unwrap_or_default();
        let sent = match self.takes_receipts && ask.operation == Operation::Update {
            true => transport.post_soon(path, ask.request.clone()).await,
            false => {
                let done = transport.post_entitled(path, ask.request.clone(), &ask.openings);
                done.await.map(Posted::Done)
            }
        };
        let response = match sent {
            Err(TransportError::Problem(problem)) if problem.code == "last-ahead" => {
                let reason = Reason::RolledBack {
                    last: tree.map_or(0, TreeState::tree_size),
                };
                let says = problem.to_string().into_bytes();
                return Err(self.reject(reason, tree, ask, says, self.clock.now()));
            }
            sent => match sent? {
                Posted::Done(response) => response,
                Posted::Promised(receipts) => return Err(self.promised(tree, ask, receipts)),
            },
        };
        let now = self.clock.now();
        let start = Instant::now();
        match (ask.verify)(tree, &response, now) {
            Err(error) => Err(self.reject(error.into(), tree, ask, response, now)),
            Ok((head, outcome)) => Ok(Told {
                from: tree.cloned(),
                head,
                outcome,
                cost: Cost {
                    bytes: response.len(),
                    verify: start.elapsed(),
                },
                owner: ask.owner.clone(),
                now,
                request: ask.request.clone(),
                response,
            }),
        }
    }

    /// Asks many things at once, all from the view `tree`, which moves on to where the verified
    /// answers lead together.
    pub(super) async fn ask_all<O>(
        &self,
        tree: &mut Option<TreeState>,
        asks: Vec<Ask<'_, O>>,
    ) -> Result<Vec<Result<Told<O>, ClientError>>, ClientError> {
        let start = tree.as_ref();
        // No closure: with one, no caller could move the future to another thread.
        let mut asked = Vec::new();
        for ask in &asks {
            asked.push(self.ask(start, ask));
        }
        let answers: Vec<_> = stream::iter(asked).buffered(WAVE).collect().await;
        let heads = answers
            .iter()
            .filter_map(|answer| Some(answer.as_ref().ok()?.head.clone()))
            .collect();
        if let Some(head) = self.reconcile(heads).await? {
            *tree = Some(head);
        }
        Ok(answers)
    }

    /// Brings views of the log to one size, where they must be the same.
    pub(super) async fn reconcile(
        &self,
        mut views: Vec<TreeState>,
    ) -> Result<Option<TreeState>, ClientError> {
        for _ in 0..ROUNDS {
            views.sort_by_key(TreeState::tree_size);
            for pair in views.windows(2) {
                if let [a, b] = pair
                    && a.tree_size() == b.tree_size()
                    && a.view.root != b.view.root
                {
                    return Err(self.forked(a, b));
                }
            }
            views.dedup_by_key(|view| view.tree_size());
            let Some(greatest) = views.pop() else {
                return Ok(None);
            };
            if views.is_empty() {
                return Ok(Some(greatest));
            }
            let mut extended = vec![greatest];
            for view in views {
                extended.push(self.advance(Some(view)).await?);
            }
            views = extended;
        }
        Err(ClientError::Unsettled)
    }

    /// Two signed heads that cannot both be true.
    fn forked(&self, a: &TreeState, b: &TreeState) -> ClientError {
        let kept = |tree: &TreeState| {
            let state = KeptState {
                tree: Some(tree.clone()),
                ..KeptState::default()
            };
            state.to_bytes().unwrap_or_default()
        };
        let reason = Reason::Forked {
            size: a.tree_size(),
        };
        let exchange = Exchange {
            files: vec![("state.bin", kept(a)), ("other-state.bin", kept(b))],
            ..Exchange::default()
        };
        self.not_verified(reason, exchange)
    }

    /// The answer does not verify.
    pub(super) fn reject<O>(
        &self,
        reason: Reason,
        tree: Option<&TreeState>,
        ask: &Ask<'_, O>,
        response: Vec<u8>,
        now: u64,
    ) -> ClientError {
        let mut state = self.kept(tree, &ask.label);
        if let Some(owner) = &ask.owner {
            state.owners.insert(ask.label.clone(), owner.clone());
        }
        let exchange = Exchange {
            operation: Some(ask.operation),
            label: &ask.label,
            now,
            files: vec![
                ("request.bin", ask.request.clone()),
                ("response.bin", response),
                ("state.bin", Encode::to_bytes(&state).unwrap_or_default()),
            ],
            ..Exchange::default()
        };
        self.not_verified(reason, exchange)
    }

    /// The answer verifies, but contradicts an earlier one or the rules for values.
    pub(super) fn reject_told<O>(
        &self,
        reason: Reason,
        operation: Operation,
        label: &[u8],
        told: &Told<O>,
    ) -> ClientError {
        let exchange = self.told_exchange(operation, label, told);
        self.not_verified(reason, exchange)
    }

    /// An exchange that verified, to be kept as evidence of what it shows.
    pub(super) fn told_exchange<'a, O>(
        &'a self,
        operation: Operation,
        label: &'a [u8],
        told: &Told<O>,
    ) -> Exchange<'a> {
        let mut state = self.kept(told.from.as_ref(), label);
        if let Some(owner) = &told.owner {
            state.owners.insert(label.to_vec(), owner.clone());
        }
        Exchange {
            operation: Some(operation),
            label,
            now: told.now,
            files: vec![
                ("request.bin", told.request.clone()),
                ("response.bin", told.response.clone()),
                ("state.bin", Encode::to_bytes(&state).unwrap_or_default()),
            ],
            ..Exchange::default()
        }
    }

    fn kept(&self, tree: Option<&TreeState>, label: &[u8]) -> KeptState {
        let mut state = KeptState {
            tree: tree.cloned(),
            ..KeptState::default()
        };
        if let Ok(Some(owned)) = self.store.owned(self.url(), label) {
            state.owners.insert(label.to_vec(), owned.state);
        }
        if let Ok(Some(contact)) = self.store.contact(self.url(), label) {
            state.contacts.insert(label.to_vec(), contact);
        }
        state
    }
}
