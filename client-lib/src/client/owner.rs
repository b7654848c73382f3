//! Becoming the owner of labels (section "Owner Initialization"), and learning of versions that
//! others created.

use overt_protocol::codec::Encode;
use overt_protocol::user::{OwnerMonitored, OwnerState, TreeState, UpdateVerified};
use overt_protocol::wire::{MonitorMapEntry, OwnerInitRequest, OwnerMonitorRequest, UpdateRequest};

use crate::client::wave::Ask;
use crate::client::{Client, Cost};
use crate::error::ClientError;
use crate::operation::Operation;
use crate::store::Owned;
use crate::transport::Transport;

/// What is known of a label that is to be changed.
pub(super) struct Holding {
    /// As it is kept; none if the label is new to this device.
    pub(super) kept: Option<Owned>,
    /// The state to go on from.
    pub(super) state: OwnerState,
    pub(super) cost: Cost,
}

impl<T: Transport> Client<T> {
    /// The owner state of each label, initialized where this device has none. `tree` moves on;
    /// nothing is kept yet.
    pub(super) async fn hold(
        &self,
        tree: &mut Option<TreeState>,
        labels: &[Vec<u8>],
    ) -> Result<Vec<Result<Holding, ClientError>>, ClientError> {
        let mut out: Vec<Option<Result<Holding, ClientError>>> = Vec::new();
        let mut missing = Vec::new();
        for label in labels {
            let kept = self.store.owned(self.url(), label)?;
            if kept.is_none() {
                missing.push(label);
            }
            out.push(kept.map(|kept| {
                Ok(Holding {
                    state: kept.state.clone(),
                    kept: Some(kept),
                    cost: Cost::default(),
                })
            }));
        }
        if !missing.is_empty() {
            let start = self.starting_position(tree).await?;
            let asks = missing
                .into_iter()
                .map(|label| self.owner_init(tree.as_ref(), label, start))
                .collect::<Result<Vec<_>, _>>()?;
            let mut told = self.ask_all(tree, asks).await?.into_iter();
            for slot in &mut out {
                if slot.is_none() {
                    *slot = told.next().map(|told| {
                        told.map(|told| Holding {
                            kept: None,
                            state: told.outcome,
                            cost: told.cost,
                        })
                    });
                }
            }
        }
        let held = |slot: Option<_>| slot.unwrap_or(Err(ClientError::Unsettled));
        Ok(out.into_iter().map(held).collect())
    }

    /// The rightmost distinguished entry of an up-to-date view.
    async fn starting_position(&self, tree: &mut Option<TreeState>) -> Result<u64, ClientError> {
        let config = &self.directory.config;
        // Distinguished entries stay so while the log grows, but they may expire.
        let is_fresh = |tree: &TreeState| {
            let age = |timestamp| self.clock.now().saturating_sub(timestamp);
            config.maximum_lifetime.is_none()
                || tree
                    .rightmost()
                    .is_some_and(|entry| age(entry.timestamp) < config.reasonable_monitoring_window)
        };
        let view = match tree.take().filter(is_fresh) {
            Some(view) => view,
            None => self.advance(self.tree()?).await?,
        };
        let start = view.view.rightmost_distinguished(config);
        *tree = Some(view);
        start.ok_or(ClientError::NoDistinguished)
    }

    fn owner_init(
        &self,
        tree: Option<&TreeState>,
        label: &[u8],
        start: u64,
    ) -> Result<Ask<'_, OwnerState>, ClientError> {
        if label.len() > 255 {
            return Err(ClientError::LabelLength);
        }
        let request = OwnerInitRequest {
            last: tree.map(TreeState::tree_size),
            label: label.to_vec(),
            start,
        };
        Ok(Ask {
            operation: Operation::OwnerInit,
            openings: Vec::new(),
            label: label.to_vec(),
            owner: None,
            request: request.to_bytes()?,
            verify: Box::new(move |tree, response, now| {
                let done = self.verifier.owner_init(tree, &request, response, now)?;
                Ok((done.state, done.owner))
            }),
        })
    }

    /// Asks for proof at the distinguished log entries to the right of those verified before.
    pub(super) fn owner_monitor_request(
        &self,
        tree: Option<&TreeState>,
        label: &[u8],
        owner: &OwnerState,
    ) -> Result<Ask<'_, OwnerMonitored>, ClientError> {
        let entry = |(position, version): (&u64, &u32)| MonitorMapEntry {
            position: *position,
            version: *version,
        };
        let request = OwnerMonitorRequest {
            last: tree.map(TreeState::tree_size),
            label: label.to_vec(),
            entries: owner.map.iter().map(entry).collect(),
            start: owner.progress.start,
            greatest_version: owner.progress.greatest_version(),
        };
        let owner = owner.clone();
        Ok(Ask {
            operation: Operation::OwnerMonitor,
            openings: Vec::new(),
            label: label.to_vec(),
            owner: Some(owner.clone()),
            request: request.to_bytes()?,
            verify: Box::new(move |tree, response, now| {
                let done = self
                    .verifier
                    .owner_monitor(tree, &owner, &request, response, now)?;
                Ok((done.state.clone(), done))
            }),
        })
    }

    /// Asks for a version with this value; without one, for the versions that others created.
    pub(super) fn update_request(
        &self,
        tree: Option<&TreeState>,
        label: &[u8],
        owner: &OwnerState,
        value: Option<&[u8]>,
    ) -> Result<Ask<'_, UpdateVerified>, ClientError> {
        let request = UpdateRequest {
            last: tree.map(TreeState::tree_size),
            label: label.to_vec(),
            greatest_version: owner.progress.greatest_version(),
            values: value.map(<[u8]>::to_vec).into_iter().collect(),
        };
        let owner = owner.clone();
        Ok(Ask {
            operation: Operation::Update,
            openings: Vec::new(),
            label: label.to_vec(),
            owner: Some(owner.clone()),
            request: request.to_bytes()?,
            verify: Box::new(move |tree, response, now| {
                let done = self
                    .verifier
                    .update(tree, &owner, &request, response, now)?;
                Ok((done.state.clone(), done))
            }),
        })
    }
}
