//! Proof that a label does not exist, where a directory offers it.

use overt_protocol::codec::Encode;
use overt_protocol::user::TreeState;
use overt_protocol::wire::AbsenceRequest;

use crate::client::Client;
use crate::client::wave::Ask;
use crate::error::{ClientError, Reason};
use crate::operation::Operation;
use crate::store::Change;
use crate::transport::Transport;

impl<T: Transport> Client<T> {
    /// Has the directory prove that a label does not exist, if it offers that; otherwise what it
    /// says stands as what it says.
    pub(super) async fn prove_absence(&self, label: &str, said: ClientError) -> ClientError {
        if self.directory.descriptor.path("absence").is_none() {
            return said;
        }
        match self.proved_absent(label.as_bytes()).await {
            Ok(tree_size) => ClientError::Absent { tree_size },
            Err(error) if error.is_misbehaviour() => error,
            Err(_) => said,
        }
    }

    async fn proved_absent(&self, label: &[u8]) -> Result<u64, ClientError> {
        let from = self.tree()?;
        let request = AbsenceRequest {
            last: from.as_ref().map(TreeState::tree_size),
            label: label.to_vec(),
        };
        let ask = Ask {
            operation: Operation::Absence,
            openings: Vec::new(),
            label: label.to_vec(),
            owner: None,
            request: request.to_bytes()?,
            verify: Box::new(move |tree, response, now| {
                let head = self.verifier.absence(tree, &request, response, now)?;
                Ok((head, ()))
            }),
        };
        let told = self.ask(from.as_ref(), &ask).await?;
        if let Some(version) = self.greatest_seen(label)? {
            let reason = Reason::Vanished(version);
            return Err(self.reject_told(reason, Operation::Absence, label, &told));
        }
        let tree = self
            .settle(Change {
                from,
                to: Some(told.head),
                ..Change::default()
            })
            .await?;
        Ok(tree.tree_size())
    }
}
