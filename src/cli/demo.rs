//! `rowcast demo`: the help desk in a database of one's own.

use super::{ConnectionArguments, Outcome, terminal};
use clap::{Args, ValueEnum};
use rowcast::{
    error::Result,
    postgres::helpdesk::{self, DefaultRole, ROLE},
};

const HELP: &str = "\
The tables are made in the schema public. Nothing is overwritten: a database
that has one of them already is left as it is.

  createdb helpdesk
  rowcast demo --database-url postgres://localhost/helpdesk";

/// Where to, and how much.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Demo {
    #[command(flatten)]
    connection: ConnectionArguments,
    /// How many rows
    #[arg(long, value_enum, default_value_t = Size::S)]
    size: Size,
}

/// How much of a help desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Size {
    /// 3 organizations, the first with 1,600 tickets: a few seconds
    S,
    /// 20 organizations, 100,000 tickets: a minute
    M,
}

impl From<Size> for helpdesk::Size {
    fn from(size: Size) -> Self {
        match size {
            Size::S => Self::S,
            Size::M => Self::M,
        }
    }
}

impl Demo {
    pub(super) async fn run(self) -> Result<Outcome> {
        let config = self.connection.load(None)?;
        let url = config.database_url()?;
        let role = helpdesk::load_into(url, self.size.into(), |step| {
            eprintln!("loading the help desk: {step}");
        })
        .await?;
        let serve = match role {
            DefaultRole::Set => "rowcast serve".to_owned(),
            DefaultRole::ForTheSettings => {
                format!("ROWCAST_DATABASE_DEFAULT_ROLE={ROLE} rowcast serve")
            }
        };
        terminal::print(&format!(
            "The help desk is loaded. Now, with DATABASE_URL and ROWCAST_JWT_SECRET set:\n  {serve}\n"
        ));
        Ok(Outcome::Done)
    }
}
