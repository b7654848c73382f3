//! Programs under test as real processes, and a bare user of the protocol for what the client
//! library would never do.

mod auditor;
mod server;
mod user;

pub use auditor::Auditor;
pub use server::{Server, binary};
pub use user::{Answer, User};
