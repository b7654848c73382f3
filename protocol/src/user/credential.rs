//! Making and verifying credentials (section "Credentials").
//!
//! Nothing here touches the state of the user's own interactions with the log: a credential is
//! judged against the *recent* distinguished log entries that the user retained, each as the
//! [`TreeView`] of the time when it was the rightmost entry.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::codec::{Decode, DecodeError, Encode, Reader, Width, Writer};
use crate::combined::Lookups;
use crate::error::VerifyError;
use crate::ladder::SearchLadder;
use crate::log_tree::BatchProof;
use crate::monitor::{MonitorMap, contact_monitor};
use crate::prefix_tree::Lookup;
use crate::search::greatest_version;
use crate::user::Verifier;
use crate::user::consume::{Known, evaluate_lookups};
use crate::user::search::VerifiedValue;
use crate::user::state::{TreeState, TreeView};
use crate::user::tree_head::{check_size, evaluate, view};
use crate::wire::{
    CombinedTreeProof, Credential, CredentialProof, CredentialUpdate, CredentialUpdateRequest,
    FullTreeHead, HashValue, InclusionProof, MonitorMapEntry, PrefixProof, SearchRequest,
    SearchResponse, decode_label, encode_label,
};

/// A credential whose contents an application may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialVerified {
    /// The value.
    pub value: VerifiedValue,
    /// Until final verification: what it will need. A standard credential needs none.
    pub provisional: Option<ProvisionalCredential>,
}

/// An initially verified provisional credential, retained until it is finally verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvisionalCredential {
    label: Vec<u8>,
    version: u32,
    terminal: u64,
    /// The log tree at `Credential.tree_head`.
    view: TreeView,
    /// Of the versions that monitoring looks up.
    known: BTreeMap<u32, (HashValue, HashValue)>,
}

/// A credential that was made, and the head that the log answered with if it was not the one that
/// the recent entry was the rightmost of.
#[derive(Debug, Clone)]
pub struct CredentialMade {
    /// To be sent to other users.
    pub credential: Credential,
    /// To be compared with the user's own view of the log.
    pub state: Option<TreeState>,
}

/// What final verification waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// The user knows of no distinguished log entry at or to the right of the terminal one yet.
    Distinguished,
    /// A `CredentialUpdate` that reaches this distinguished log entry.
    Update(u64),
    /// Nothing: the credential is finally verified.
    Nothing,
}

impl ProvisionalCredential {
    /// The label.
    pub fn label(&self) -> &[u8] {
        &self.label
    }

    /// The version of it that the credential shows.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The terminal log entry of its search.
    pub fn terminal(&self) -> u64 {
        self.terminal
    }

    /// `Credential.tree_head.tree_size`.
    pub fn tree_size(&self) -> u64 {
        self.view.size
    }

    /// Asks the log for the update that leads to the entry at `distinguished`.
    pub fn request(&self, distinguished: u64) -> CredentialUpdateRequest {
        CredentialUpdateRequest {
            label: self.label.clone(),
            entry: MonitorMapEntry {
                position: self.terminal,
                version: self.version,
            },
            tree_size: self.view.size,
            distinguished,
        }
    }

    /// Verifies finally where the user's own recent distinguished log entries suffice.
    ///
    /// That is so if the terminal entry has become distinguished, and, beyond the draft's text, if
    /// an entry to its right that the credential's own tree includes has: no update could lead
    /// from a larger tree to a smaller one, and none is needed, since a greatest-version search
    /// has shown the label at every such entry.
    pub fn await_final(&self, recent: &[TreeView]) -> Result<Awaited, VerifyError> {
        let Some(distinguished) = recent.iter().find(|v| v.position() >= self.terminal) else {
            return Ok(Awaited::Distinguished);
        };
        let position = distinguished.position();
        if position >= self.view.size {
            return Ok(Awaited::Update(position));
        }
        match self.view.when_rightmost(position) {
            Some(then) if then.root == distinguished.root => Ok(Awaited::Nothing),
            _ => Err(VerifyError::CredentialFork(position)),
        }
    }
}

impl Verifier {
    /// Verifies a credential, initially if it is provisional. `recent` holds the recent
    /// distinguished log entries that the user knows of, left to right.
    ///
    /// A failure must not prompt a request to the log: it could reveal the sender.
    pub fn credential(
        &self,
        recent: &[TreeView],
        credential: &[u8],
    ) -> Result<CredentialVerified, VerifyError> {
        let credential = Credential::from_bytes(credential, &self.config)?;
        let Credential {
            label,
            version,
            position,
            ..
        } = &credential;
        // Step 1.
        let from = recent.iter().find(|view| view.position() == *position);
        let from = from.ok_or(VerifyError::UnknownDistinguished(*position))?;
        // Steps 2 to 4.
        let (commitment, known) = self.target(
            label,
            (*version, true),
            (&credential.opening, &credential.value),
            &credential.binary_ladder,
        )?;
        let provisional = match &credential.proof {
            CredentialProof::Standard(proof) => {
                verify_standard(from, *version, proof, &known)?;
                None
            }
            CredentialProof::Provisional { tree_head, search } => {
                check_size(tree_head.tree_size, Some(from))?;
                let (found, mut inspected) =
                    self.inspect(Some(from), tree_head.tree_size, search, &known, |view| {
                        greatest_version(view, *version)
                    })?;
                if found.terminal <= *position {
                    return Err(VerifyError::NotProvisional(*position));
                }
                let evaluated = evaluate(&mut inspected, search, Some(from), None)?;
                self.check_signature(tree_head, evaluated.root)?;
                Some(ProvisionalCredential {
                    label: label.clone(),
                    version: *version,
                    terminal: found.terminal,
                    view: view(inspected.size, &inspected, &evaluated)?,
                    known: monitored(&known, *version),
                })
            }
        };
        Ok(CredentialVerified {
            value: VerifiedValue::new(
                &credential.label,
                *version,
                credential.opening,
                credential.value.clone(),
                commitment,
            ),
            provisional,
        })
    }

    /// Verifies a `CredentialUpdate`, which finally verifies `provisional`.
    pub fn credential_update(
        &self,
        recent: &[TreeView],
        provisional: &ProvisionalCredential,
        update: &[u8],
    ) -> Result<(), VerifyError> {
        let CredentialUpdate { monitor } = CredentialUpdate::from_bytes(update, &())?;
        // Step 1.
        let terminal = provisional.terminal;
        let position = match provisional.await_final(recent)? {
            Awaited::Distinguished => return Err(VerifyError::UnknownDistinguished(terminal)),
            Awaited::Nothing => {
                return Err(VerifyError::Request("the credential needs no update"));
            }
            Awaited::Update(position) => position,
        };
        let retained = recent.iter().find(|view| view.position() == position);
        let retained = retained.ok_or(VerifyError::UnknownDistinguished(position))?;
        // Step 2.
        let known: Known = provisional
            .known
            .iter()
            .map(|(version, (vrf_output, commitment))| {
                let lookup = Lookup {
                    vrf_output: *vrf_output,
                    commitment: Some(*commitment),
                };
                (*version, lookup)
            })
            .collect();
        let from = Some(&provisional.view);
        let (_, mut inspected) = self.inspect(from, retained.size, &monitor, &known, |view| {
            if self.config.is_contact_monitoring() {
                let map = MonitorMap::from([(terminal, provisional.version)]);
                contact_monitor(view, &map, None)?;
            }
            Ok(())
        })?;
        // Step 3.
        let evaluated = evaluate(&mut inspected, &monitor, from, None)?;
        if evaluated.root == retained.root {
            Ok(())
        } else {
            Err(VerifyError::CredentialFork(position))
        }
    }

    /// Makes a credential of the response to a greatest-version search that advertised the size of
    /// `recent`, which is what the user retained of a recent distinguished log entry: a standard
    /// credential if the greatest version is in a distinguished log entry, otherwise a provisional
    /// one.
    pub fn make_credential(
        &self,
        recent: &TreeView,
        request: &SearchRequest,
        response: &[u8],
        now: u64,
    ) -> Result<CredentialMade, VerifyError> {
        let response = SearchResponse::from_bytes(response, &(&self.config, request))?;
        let Some(version) = response.version else {
            return Err(VerifyError::Request("a credential is for the greatest"));
        };
        if request.last != Some(recent.size) {
            return Err(VerifyError::Request("`last` is not the recent entry's"));
        }
        let (_, known) = self.target(
            &request.label,
            (version, true),
            (&response.opening, &response.value),
            &response.binary_ladder,
        )?;
        let (tree_head, auditor_size) = match &response.full_tree_head {
            FullTreeHead::Same => (None, None),
            FullTreeHead::Updated {
                tree_head,
                auditor_tree_head,
            } => {
                check_size(tree_head.tree_size, Some(recent))?;
                let auditor = auditor_tree_head.as_ref();
                (Some(tree_head), auditor.map(|head| head.tree_size))
            }
        };
        let size = tree_head.map_or(recent.size, |head| head.tree_size);
        if auditor_size.is_some_and(|auditor| auditor == 0 || auditor > size) {
            let auditor = auditor_size.unwrap_or_default();
            return Err(VerifyError::AuditorTreeSize { auditor, size });
        }
        let (found, mut inspected) =
            self.inspect(Some(recent), size, &response.search, &known, |view| {
                greatest_version(view, version)
            })?;
        let evaluated = evaluate(&mut inspected, &response.search, Some(recent), auditor_size)?;
        match tree_head {
            Some(head) => self.check_signature(head, evaluated.root)?,
            None if evaluated.root == recent.root => {}
            None => return Err(VerifyError::CredentialFork(recent.position())),
        }
        self.check_clock(inspected.rightmost, now)?;
        let new_view = view(size, &inspected, &evaluated)?;
        let state = tree_head.map(|tree_head| TreeState {
            tree_head: tree_head.clone(),
            auditor_tree_head: None,
            view: new_view,
        });

        let (position, proof) = match (found.must_monitor, tree_head) {
            (true, Some(tree_head)) => {
                // What an auditor's size added to the proof is of no use to the receiver.
                let plan = BatchProof::plan(size, &inspected.proved, inspected.last, None);
                let elements = plan.elements().map(|s| evaluated.heads.get(&s).copied());
                let missing = VerifyError::Request("the proof cannot be passed on");
                let search = CombinedTreeProof {
                    inclusion: InclusionProof {
                        elements: elements.collect::<Option<_>>().ok_or(missing)?,
                    },
                    ..response.search
                };
                let tree_head = tree_head.clone();
                let proof = CredentialProof::Provisional { tree_head, search };
                (recent.position(), proof)
            }
            (true, None) => return Err(VerifyError::UnknownDistinguished(found.terminal)),
            // The search begins at the rightmost distinguished entry with a ladder that omits
            // nothing.
            (false, _) => {
                let first = response.search.prefix_proofs.into_iter().next();
                let first = first.ok_or(VerifyError::PrefixProofMissing(found.terminal))?;
                (found.terminal, CredentialProof::Standard(first))
            }
        };
        let credential = Credential {
            label: request.label.clone(),
            version,
            opening: response.opening,
            value: response.value,
            binary_ladder: response.binary_ladder,
            position,
            proof,
        };
        Ok(CredentialMade { credential, state })
    }
}

/// Section "Standard".
fn verify_standard(
    distinguished: &TreeView,
    version: u32,
    proof: &PrefixProof,
    known: &Known,
) -> Result<(), VerifyError> {
    let position = distinguished.position();
    let mut ladder = Ladder(SearchLadder::new(version));
    let root = evaluate_lookups(position, proof, known, &mut ladder)?;
    if ladder.0.outcome() != Ordering::Equal {
        let expected = Some(version);
        return Err(VerifyError::Ladder { position, expected });
    }
    match distinguished.rightmost() {
        Some(entry) if entry.prefix_tree == root => Ok(()),
        _ => Err(VerifyError::CredentialFork(position)),
    }
}

/// What monitoring `version` looks up: its ladder, up to itself.
fn monitored(known: &Known, version: u32) -> BTreeMap<u32, (HashValue, HashValue)> {
    known
        .range(..=version)
        .filter_map(|(version, lookup)| Some((*version, (lookup.vrf_output, lookup.commitment?))))
        .collect()
}

/// A search ladder without omissions.
struct Ladder(SearchLadder);

impl Lookups for Ladder {
    fn probe(&mut self) -> Option<u32> {
        self.0.probe()
    }

    fn record(&mut self, version: u32, included: bool) -> Result<(), VerifyError> {
        self.0.record(version, included);
        Ok(())
    }
}

impl Encode for ProvisionalCredential {
    fn encode(&self, w: &mut Writer) {
        encode_label(w, &self.label);
        w.u32(self.version);
        w.u64(self.terminal);
        self.view.encode(w);
        let known: Vec<_> = self.known.iter().collect();
        w.vector(Width::One, &known, "known", |w, (version, lookup)| {
            w.u32(**version);
            w.bytes(&lookup.0);
            w.bytes(&lookup.1);
        });
    }
}

impl Decode<()> for ProvisionalCredential {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        Ok(Self {
            label: decode_label(r)?,
            version: r.u32("version")?,
            terminal: r.u64("terminal")?,
            view: TreeView::decode(r, &())?,
            known: r
                .vector(Width::One, "known", |r| {
                    let version = r.u32("version")?;
                    Ok((version, (r.array("vrf_output")?, r.array("commitment")?)))
                })?
                .into_iter()
                .collect(),
        })
    }
}
