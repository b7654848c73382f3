//! Which directory is trusted: its configuration is pinned at first contact, and any later
//! difference is an error of its own.

use overt_protocol::descriptor::{Descriptor, DescriptorError, Fingerprint};
use overt_protocol::wire::Configuration;
use thiserror::Error;

use crate::transport::{Transport, TransportError};

/// Where every directory describes itself.
pub const DESCRIPTOR_PATH: &str = "/v1/descriptor";

/// A directory whose configuration is pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Its address, normalized.
    pub url: String,
    /// What it said about itself when it was pinned.
    pub descriptor: Descriptor,
    /// The configuration in `descriptor`.
    pub config: Configuration,
    /// Of `descriptor`.
    pub fingerprint: Fingerprint,
    /// How it came to be trusted.
    pub pinned_by: PinnedBy,
    /// When, in milliseconds since the Unix epoch.
    pub pinned_at: u64,
}

/// How a directory came to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinnedBy {
    /// A person gave its fingerprint.
    Fingerprint,
    /// It was the first that answered at its address.
    FirstUse,
}

/// Why a directory is not trusted.
#[derive(Debug, Error)]
pub enum TrustError {
    /// What is there is not the directory whose fingerprint was given.
    #[error("the directory's fingerprint is {found}, not the expected {expected}")]
    Fingerprint {
        /// As given.
        expected: Fingerprint,
        /// As fetched.
        found: Fingerprint,
    },
    /// Another configuration than the pinned one: another log under the same address.
    #[error("the directory was pinned as {pinned} but now says that it is {found}")]
    Changed {
        /// As pinned.
        pinned: Fingerprint,
        /// As fetched.
        found: Fingerprint,
    },
    /// The descriptor contradicts itself.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// The configuration cannot be used.
    #[error("configuration: {0}")]
    Configuration(#[from] overt_protocol::wire::ConfigurationError),
    /// The descriptor could not be fetched.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

impl Directory {
    /// Fetches what the directory at `url` says about itself, and trusts it if its fingerprint is
    /// the `expected` one. Without an expectation this is trust on first use.
    pub async fn fetch<T: Transport>(
        transport: &T,
        url: &str,
        expected: Option<Fingerprint>,
        now: u64,
    ) -> Result<Self, TrustError> {
        let json = transport.get(DESCRIPTOR_PATH).await?;
        let directory = Self::from_descriptor(url, &json, PinnedBy::FirstUse, now)?;
        match expected {
            None => Ok(directory),
            Some(expected) if expected == directory.fingerprint => Ok(Self {
                pinned_by: PinnedBy::Fingerprint,
                ..directory
            }),
            Some(expected) => Err(TrustError::Fingerprint {
                expected,
                found: directory.fingerprint,
            }),
        }
    }

    /// Checks a descriptor and the keys in its configuration.
    pub fn from_descriptor(
        url: &str,
        json: &[u8],
        pinned_by: PinnedBy,
        pinned_at: u64,
    ) -> Result<Self, TrustError> {
        let (descriptor, config) = Descriptor::parse(json)?;
        overt_protocol::user::Verifier::new(config.clone())?;
        Ok(Self {
            url: url.to_owned(),
            fingerprint: descriptor.fingerprint()?,
            descriptor,
            config,
            pinned_by,
            pinned_at,
        })
    }

    /// Compares with what the directory says about itself now.
    pub async fn check<T: Transport>(&self, transport: &T) -> Result<(), TrustError> {
        let now = Self::fetch(transport, &self.url, None, 0).await?;
        if now.fingerprint == self.fingerprint {
            Ok(())
        } else {
            Err(TrustError::Changed {
                pinned: self.fingerprint,
                found: now.fingerprint,
            })
        }
    }
}

impl PinnedBy {
    /// As the store and `--json` have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fingerprint => "fingerprint",
            Self::FirstUse => "first-use",
        }
    }
}
