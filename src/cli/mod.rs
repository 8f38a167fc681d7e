//! The commands: what they are called, what they take, and how they end.
//!
//! Owns everything that a person at a terminal sees. Each command lives in its own file and returns
//! an [`Outcome`] or an error; here alone it becomes an exit code.

mod check;
mod demo;
mod dev;
mod duration;
mod serve;
mod terminal;
mod token;
mod types;
mod uninstall;

use clap::{Args, Parser, Subcommand};
use rowcast::{
    config::{Config, Flag, Sources, load},
    error::{Kind, Result},
};
use std::{path::PathBuf, process::ExitCode};

/// The arguments of the program.
#[derive(Debug, Parser)]
#[command(
    name = "rowcast",
    version,
    about = "A server in front of PostgreSQL: REST, rows streamed as they come, and every change announced.",
    after_help = HELP,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const HELP: &str = "\
Try it:
  rowcast dev                     a private PostgreSQL with a help desk in it

Put it in front of your database:
  export DATABASE_URL=postgres://app:password@localhost/app
  export ROWCAST_JWT_SECRET=$(openssl rand -base64 32)
  rowcast check                   what would be exposed, and what would not
  rowcast serve
  rowcast token --org 1 --user 1  a token for curl

Settings: flags, then the environment (DATABASE_URL, ROWCAST_…), then rowcast.toml;
docs/CONFIGURATION.md lists them.

Exit codes: 0 done, 1 failed or something found, 2 wrong usage or settings,
130 ended by ctrl-c.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a database
    Serve(serve::Serve),
    /// Try rowcast: start a private PostgreSQL with a help desk in it, and serve that
    Dev(dev::Dev),
    /// Load the help desk into a database
    Demo(demo::Demo),
    /// Print a token, and nothing else, on standard output
    Token(token::Token),
    /// Show what would be exposed, what not and why; exit 1 if something is wrong
    Check(check::Check),
    /// Write the types of what is exposed, for callers in TypeScript
    Types(types::Types),
    /// Remove everything of rowcast's from a database
    Uninstall(uninstall::Uninstall),
}

/// Where settings come from, for every command that reads them.
#[derive(Debug, Args)]
struct ConfigFile {
    /// The settings' file [default: rowcast.toml in the working folder, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// All settings, with these given on the command line.
    fn load(&self, flags: impl IntoIterator<Item = Flag>) -> Result<Config> {
        load(&Sources::of_process(
            self.config.clone(),
            flags.into_iter().collect(),
        ))
    }
}

/// The file, and the database to work on.
#[derive(Debug, Args)]
struct ConnectionArguments {
    #[command(flatten)]
    file: ConfigFile,
    /// The database [default: $DATABASE_URL, then the settings' file]
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
}

impl ConnectionArguments {
    fn load(&self, more: impl IntoIterator<Item = Flag>) -> Result<Config> {
        let url = flag("--database-url", "database.url", self.database_url.as_ref());
        let config = self.file.load(url.into_iter().chain(more))?;
        config.database_url()?;
        Ok(config)
    }
}

/// A setting given by a flag, if it was given.
fn flag(flag: &'static str, setting: &'static str, value: Option<&String>) -> Option<Flag> {
    value.map(|value| Flag {
        flag,
        setting,
        value: value.clone(),
    })
}

/// How a command ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It did what it was asked to.
    Done,
    /// It found something wrong and has said what.
    Found,
    /// Ctrl-c ended it, in good order.
    Interrupted,
}

/// Runs one command to its end.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let outcome = match arguments.command {
        Command::Serve(command) => on_runtime(command.run()),
        Command::Dev(command) => on_runtime(command.run()),
        Command::Demo(command) => on_runtime(command.run()),
        Command::Token(command) => command.run(),
        Command::Check(command) => on_runtime(command.run()),
        Command::Types(command) => on_runtime(command.run()),
        Command::Uninstall(command) => on_runtime(command.run()),
    };
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Found) => ExitCode::FAILURE,
        Ok(Outcome::Interrupted) => ExitCode::from(130),
        Err(error) => {
            terminal::complain(&error);
            match error.kind() {
                Kind::ConfigurationInvalid => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn on_runtime(command: impl Future<Output = Result<Outcome>>) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            rowcast::error::Error::new(Kind::CommandFailed, "the runtime does not start")
                .with_source(error)
        })?;
    runtime.block_on(command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
