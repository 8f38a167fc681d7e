//! `rowcast uninstall`: a database as if rowcast had never been there.

use super::{ConnectionArguments, Outcome, terminal};
use clap::Args;
use rowcast::{
    error::Result,
    postgres::{Database, changelog::Keeper, helpdesk},
};

const HELP: &str = "\
Removes rowcast's triggers from the tables, and the schema rowcast with the
change log. The tables and their rows stay as they are. Stop the servers first:
a server that starts afterwards installs everything again. The role of requests that
`rowcast demo` made the database name goes too; other settings of yours
(`alter database … set rowcast.…`) stay.

  rowcast uninstall --database-url postgres://app:password@localhost/app";

/// Which database.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Uninstall {
    #[command(flatten)]
    connection: ConnectionArguments,
}

impl Uninstall {
    pub(super) async fn run(self) -> Result<Outcome> {
        let config = self.connection.load(None)?;
        let database = Database::connect(&config).await?;
        let removed = Keeper::uninstall(&database).await;
        database.close().await;
        helpdesk::forget_default_role(config.database_url()?).await?;
        let tables = removed?;
        terminal::print(&format!(
            "rowcast is gone: its schema, and its triggers on {tables} tables.\n"
        ));
        Ok(Outcome::Done)
    }
}
