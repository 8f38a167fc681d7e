//! `rowcast check`: the catalog as a table for people.

use super::{ConnectionArguments, Outcome};
use clap::Args;
use rowcast::error::Result;

/// Which database.
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    connection: ConnectionArguments,
}

impl Check {
    pub(super) async fn run(self) -> Result<Outcome> {
        let _ = self.connection.load(None)?;
        Ok(Outcome::Found)
    }
}
