//! Programs under test as real processes, and a bare user of the protocol for what the client
//! library would never do.

mod auditor;
mod person;
mod server;
mod user;

pub use auditor::Auditor;
pub use person::Person;
pub use server::{Server, binary};
pub use user::{Answer, User};
