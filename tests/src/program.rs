//! Dishonest parties as processes of their own: the binaries of this package.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::Context;

use crate::binary;

/// A running program that has said on a line where it listens. Killed when dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    /// Its address.
    pub url: String,
}

impl Program {
    /// Starts it, and waits for the line.
    pub fn start(name: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        let mut child = Command::new(binary(name)?)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut program = Self {
            child,
            url: String::new(),
        };
        BufReader::new(stdout).read_line(&mut program.url)?;
        program.url.truncate(program.url.trim_end().len());
        anyhow::ensure!(!program.url.is_empty(), "{name} ended at once");
        Ok(program)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
