//! `rm`: away with a file of the server's.

use crate::Server;
use clap::Args;

/// Remove a file from the server.
#[derive(Args)]
pub struct Remove {
    /// Its name there
    name: String,
}

impl Remove {
    pub fn run(self, server: &Server) -> Result<(), String> {
        server.connect()?.destroy(&self.name).map_err(|error| format!("{}: {error}", self.name))
    }
}
