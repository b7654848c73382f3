//! The client of a key directory: it believes nothing that it cannot verify.
//!
//! A [`Client`] talks to one directory whose configuration is pinned, checks every answer with
//! [`overt_protocol`]'s verifier, and remembers in a [`Store`] what it has seen, so that the
//! directory cannot show it another history later. What it returns has been proved; there is no
//! other way to a value.
//!
//! ```no_run
//! use overt_client::{Client, ClientError, HttpTransport, KeyRing, Directory, Store, SystemClock};
//! use std::path::Path;
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let home = Path::new("/var/lib/messenger");
//!     let url = "https://keys.example.org";
//!     let transport = HttpTransport::new(url, None)?;
//!     let store = Store::open(&home.join("overt.sqlite"))?;
//!
//!     // Once: pin the directory by the fingerprint that ships with the application.
//!     if store.directory(url)?.is_none() {
//!         let expected = "aaaa-bbbb-...".parse()?;
//!         store.pin(&Directory::fetch(&transport, url, Some(expected), 0).await?)?;
//!     }
//!     let directory = store.directory(url)?.ok_or("not pinned")?;
//!     let keys = KeyRing::open(&home.join("keys"), directory.fingerprint)?;
//!     let client = Client::new(transport, store, directory, SystemClock)?
//!         .with_keys(keys)
//!         .with_failures(home.join("failures"));
//!
//!     client.register("alice@example.org", b"Alice's public key").await?;
//!     match client.lookup("bob@example.org").await {
//!         Ok(bob) => println!("version {}: {} bytes", bob.version(), bob.value().len()),
//!         Err(ClientError::NotFound(problem)) => println!("not there, says the directory: {problem}"),
//!         Err(error) if error.is_misbehaviour() => println!("DO NOT TRUST: {error}"),
//!         Err(error) => println!("try again later: {error}"),
//!     }
//!     Ok(())
//! }
//! ```

pub mod alarm;
pub mod bounds;
pub mod client;
pub mod code;
pub mod error;
pub mod exchange;
pub mod failure;
pub mod kept;
pub mod keys;
pub mod operation;
pub mod roots;
pub mod store;
pub mod transport;
pub mod trust;

pub use alarm::State;
pub use client::{
    Client, Clock, Event, Lookup, Monitoring, Pace, Published, Standing, SystemClock,
};
pub use code::VerificationCode;
pub use error::ClientError;
pub use keys::{KeyRing, LabelKeys};
pub use operation::Operation;
pub use store::{Store, Vault, VaultError};
pub use transport::{HttpTransport, Transport};
pub use trust::{Directory, PinnedBy};
