//! Promises: taking receipts, and holding the directory to them.

use overt_protocol::codec::{Decode, Encode};
use overt_protocol::receipt::{Broken, Receipt, ReceiptError};
use overt_protocol::user::TreeState;
use overt_protocol::wire::{AbsenceRequest, SearchRequest, UpdateRequest};

use crate::client::Client;
use crate::client::event::Event;
use crate::client::wave::Ask;
use crate::error::{ClientError, Reason};
use crate::failure::Exchange;
use crate::operation::Operation;
use crate::transport::{Transport, TransportError};

impl<T: Transport> Client<T> {
    /// What an update comes to that was answered with receipts.
    pub(super) fn promised<O>(
        &self,
        tree: Option<&TreeState>,
        ask: &Ask<'_, O>,
        receipts: Vec<u8>,
    ) -> ClientError {
        let now = self.clock.now();
        let verified = UpdateRequest::from_bytes(&ask.request, &())
            .map_err(ReceiptError::from)
            .and_then(|request| self.verifier.receipts(&request, &receipts, now));
        let promised = match verified {
            Ok(promised) => promised,
            Err(error) => return self.reject(error.into(), tree, ask, receipts, now),
        };
        let receipts: Vec<Receipt> = promised.into_iter().map(|p| p.receipt).collect();
        if let Err(error) = self.store.add_receipts(self.url(), &receipts) {
            return error.into();
        }
        match receipts.last() {
            Some(last) => ClientError::Promised {
                version: last.version,
                deadline: last.deadline,
            },
            None => ClientError::Unsettled,
        }
    }

    /// Looks into every promise whose deadline has passed in the log's own time.
    pub(super) async fn check_promises(
        &self,
        tree: &TreeState,
        events: &mut Vec<Event>,
    ) -> Result<(), ClientError> {
        let rightmost = tree.rightmost().map_or(0, |entry| entry.timestamp);
        for receipt in self.store.receipts(self.url())? {
            if receipt.deadline >= rightmost {
                continue;
            }
            let label = receipt.label.clone();
            match self.check_promise(&receipt).await {
                Ok(true) => self.store.remove_receipt(self.url(), &receipt)?,
                Ok(false) => {}
                Err(error) => {
                    let event = Event::Failed { label, error };
                    // The alarm comes first: a crash must not lose it.
                    if let Some(alarm) = event.alarm(self.clock.now()) {
                        self.store.raise(self.url(), &alarm)?;
                    }
                    if matches!(&event, Event::Failed { error, .. } if error.is_misbehaviour()) {
                        self.store.remove_receipt(self.url(), &receipt)?;
                    }
                    events.push(event);
                }
            }
        }
        Ok(())
    }

    /// Whether a promise was kept; an error with the evidence if it was not. It is asked as a new
    /// user would, so that anyone can check the answer.
    async fn check_promise(&self, receipt: &Receipt) -> Result<bool, ClientError> {
        let label = receipt.label.clone();
        let version = receipt.version;
        let mut says = String::new();
        for wanted in [Some(version), None] {
            let request = SearchRequest {
                last: None,
                label: label.clone(),
                version: wanted,
            };
            let request_bytes = request.to_bytes()?;
            let response = match self
                .post_new(Operation::Search, request_bytes.clone())
                .await
            {
                Ok(response) => response,
                // So it says; the search for the greatest version shows it.
                Err(TransportError::Problem(problem)) if problem.status == 404 => {
                    says = problem.to_string();
                    continue;
                }
                // It was in the log long enough.
                Err(TransportError::Problem(problem)) if problem.status == 410 => return Ok(true),
                Err(error) => return Err(error.into()),
            };
            let judged = self.verifier.broken_promise(receipt, &request, &response);
            let exchange = (Operation::Search, request_bytes, response);
            return self.judge_promise(receipt, judged, exchange);
        }
        if self.directory.descriptor.path("absence").is_none() {
            let exchange = Exchange {
                label: &label,
                now: self.clock.now(),
                files: vec![("receipt.bin", receipt.to_bytes()?)],
                ..Exchange::default()
            };
            return Err(self.not_verified(Reason::Withheld { version, says }, exchange));
        }
        let request = AbsenceRequest { last: None, label };
        let bytes = request.to_bytes()?;
        let response = self.post_new(Operation::Absence, bytes.clone()).await?;
        let judged = self
            .verifier
            .promise_to_nobody(receipt, &request, &response);
        self.judge_promise(receipt, judged, (Operation::Absence, bytes, response))
    }

    async fn post_new(
        &self,
        operation: Operation,
        request: Vec<u8>,
    ) -> Result<Vec<u8>, TransportError> {
        let path = self.directory.descriptor.path(operation.endpoint());
        self.transport.post(path.unwrap_or_default(), request).await
    }

    fn judge_promise(
        &self,
        receipt: &Receipt,
        judged: Result<Broken, ReceiptError>,
        (operation, request, response): (Operation, Vec<u8>, Vec<u8>),
    ) -> Result<bool, ClientError> {
        let version = receipt.version;
        let reason = match judged {
            Err(ReceiptError::NotBroken) => return Ok(true),
            // The head that was seen is newer than this answer's: another time.
            Err(ReceiptError::Early { .. }) => return Ok(false),
            Err(error) => Reason::Receipt(error),
            Ok(_) => Reason::PromiseBroken { version },
        };
        let receipt_bytes = receipt.to_bytes()?;
        let exchange = Exchange {
            operation: Some(operation),
            label: &receipt.label,
            now: self.clock.now(),
            files: vec![
                ("request.bin", request),
                ("response.bin", response),
                ("receipt.bin", receipt_bytes),
            ],
            ..Exchange::default()
        };
        Err(self.not_verified(reason, exchange))
    }
}
