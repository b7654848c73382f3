//! The head log against the texts of RFC 6962 and C2SP, and against deliberately naive models.

mod model;
mod note;
mod policy;
mod proof;
mod record;
mod signed;
mod tile;
mod tree;
mod witness;
