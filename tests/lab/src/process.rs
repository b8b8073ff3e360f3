//! Programs beside a test, none of which outlives it.

use std::ops::{Deref, DerefMut};
use std::process::{Child, Command, Stdio};

/// A program that ends with this.
#[derive(Debug)]
pub struct Process(pub Child);

impl Process {
    /// Starts one that reads nothing, and of which nobody reads anything.
    ///
    /// # Panics
    ///
    /// Where it cannot be started: without it a test has nothing to look at.
    pub fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }
}

impl Deref for Process {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
