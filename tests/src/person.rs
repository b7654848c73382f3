//! A person with the `overt` command. What must not fail fails the test.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::binary;

/// A person with a state of their own.
#[derive(Debug)]
pub struct Person {
    home: TempDir,
    /// The directory's address.
    pub url: String,
    token: String,
}

impl Person {
    /// A new user of the directory at `url`.
    pub fn new(url: &str, token: &str) -> Self {
        Self {
            home: TempDir::new().expect("a temporary folder"),
            url: url.to_owned(),
            token: token.to_owned(),
        }
    }

    /// A path in the person's home.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The command, about to speak JSON.
    pub fn command(&self) -> Command {
        let mut command = Command::new(binary("overt").expect("overt"));
        command
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", "/usr/bin:/bin")
            .env("OVERT_TOKEN", &self.token)
            .args(["--json", "--quiet", "--directory", &self.url]);
        command
    }

    /// The exit code and what was reported.
    pub fn run(&self, arguments: &[&str]) -> (i32, Value) {
        let output = self.command().args(arguments).output().expect("overt");
        let Output {
            status,
            stdout,
            stderr,
        } = &output;
        let json = serde_json::from_slice(stdout).unwrap_or_else(|_| {
            let error = String::from_utf8_lossy(stderr);
            panic!("{arguments:?}: {status}: {error}")
        });
        (status.code().expect("not killed"), json)
    }

    /// What was reported, of a command that must end well.
    pub fn verified(&self, arguments: &[&str]) -> Value {
        let (code, json) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {json}");
        json
    }
}
