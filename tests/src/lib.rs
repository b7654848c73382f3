//! Programs under test as real processes, and a bare user of the protocol for what the client
//! library would never do; and the maker of the test vectors.

mod auditor;
mod head_log;
mod person;
mod postgres;
mod program;
mod server;
#[path = "../../protocol/tests/support/session.rs"]
mod session;
#[path = "../../protocol/tests/support/mod.rs"]
pub mod support;
#[path = "../../protocol/tests/simulation/truth.rs"]
mod truth;
mod user;
pub mod vectors;
mod witness;

pub use auditor::{Auditor, AuditorPlace};
pub use head_log::{HeadLog, log_keys, log_settings};
pub use person::Person;
pub use postgres::{database, restart_database};
pub use program::Program;
pub use server::{Server, binary, get, published_keys, wait_for};
pub use user::{Answer, User};
pub use witness::{Mood, Witness, witness_keys};
