//! What users talk to. Answers are bytes, as on the wire.

use overt_protocol::codec::Encode;
use overt_protocol::distinguished::Recent;
use overt_protocol::provider::{self, Directory};
use overt_protocol::wire::*;

use crate::settings::Settings;
use crate::support::{MemoryError, MemoryLog, NewVersion};

/// An answer, or why there is none.
pub(crate) type Answer = Result<Vec<u8>, MemoryError>;

/// What all users call recent: so many distinguished log entries.
pub(crate) const MAX_RECENT: usize = 6;
pub(crate) const RECENT: Recent = Recent::Count(MAX_RECENT);

/// Of every value that is in the log as it should be.
pub(crate) const OPENING: Opening = [9; 16];

/// New values of labels, in one log entry.
pub(crate) type Values = Vec<(String, Vec<u8>)>;

/// A directory, honest or not. Users are told apart by their numbers.
pub(crate) trait Server {
    /// The log that most users see.
    fn log(&self) -> &MemoryLog;
    /// Appends a log entry.
    fn push(&mut self, timestamp: u64, new: &Values);
    fn search(&self, user: usize, request: &SearchRequest) -> Answer;
    /// `created` is the log entry that holds the request's own values.
    fn update(&self, user: usize, request: &UpdateRequest, created: Option<u64>) -> Answer;
    fn owner_init(&self, user: usize, request: &OwnerInitRequest) -> Answer;
    fn owner_monitor(&self, user: usize, request: &OwnerMonitorRequest, limit: usize) -> Answer;
    fn contact_monitor(&self, user: usize, request: &ContactMonitorRequest) -> Answer;
    fn distinguished(&self, user: usize, request: &DistinguishedRequest) -> Answer;
    fn credential_update(&self, user: usize, request: &CredentialUpdateRequest) -> Answer;
}

pub(crate) fn bytes<T: Encode>(answer: Result<T, MemoryError>) -> Answer {
    Ok(answer?.to_bytes()?)
}

/// The responses to an update, back to back.
pub(crate) fn update<D: Directory<Error = MemoryError>>(
    directory: &D,
    request: &UpdateRequest,
    created: Option<u64>,
) -> Answer {
    let mut out = Vec::new();
    for response in provider::update(directory, request, created)? {
        out.extend(response.to_bytes()?);
    }
    Ok(out)
}

pub(crate) fn new_versions(new: &Values) -> Vec<NewVersion> {
    new.iter()
        .map(|(label, value)| NewVersion {
            label: label.as_bytes().to_vec(),
            value: value.clone(),
            opening: OPENING,
        })
        .collect()
}

/// A server that does nothing wrong, and drops what has expired now and then.
pub(crate) struct Honest(MemoryLog);

impl Honest {
    pub(crate) fn new(settings: &Settings) -> Self {
        let mut log = settings.empty_log();
        log.removes = true;
        Self(log)
    }
}

impl Server for Honest {
    fn log(&self) -> &MemoryLog {
        &self.0
    }
    fn push(&mut self, timestamp: u64, new: &Values) {
        self.0.push(timestamp, new_versions(new));
        if self.0.config.maximum_lifetime.is_some() {
            // As irregular as time: nothing, some, or all that may be dropped.
            self.0.drop_expired(timestamp as usize % 5 * 3);
        }
    }
    fn search(&self, _: usize, request: &SearchRequest) -> Answer {
        bytes(provider::search(&self.0.published(), request))
    }
    fn update(&self, _: usize, request: &UpdateRequest, created: Option<u64>) -> Answer {
        update(&self.0.published(), request, created)
    }
    fn owner_init(&self, _: usize, request: &OwnerInitRequest) -> Answer {
        bytes(provider::owner_init(&self.0.published(), request))
    }
    fn owner_monitor(&self, _: usize, request: &OwnerMonitorRequest, limit: usize) -> Answer {
        bytes(provider::owner_monitor(&self.0.published(), request, limit))
    }
    fn contact_monitor(&self, _: usize, request: &ContactMonitorRequest) -> Answer {
        bytes(provider::contact_monitor(&self.0.published(), request))
    }
    fn distinguished(&self, _: usize, request: &DistinguishedRequest) -> Answer {
        bytes(provider::distinguished(
            &self.0.published(),
            request,
            RECENT,
        ))
    }
    fn credential_update(&self, _: usize, request: &CredentialUpdateRequest) -> Answer {
        bytes(provider::credential_update(&self.0.published(), request))
    }
}
