//! The program as a person or a script runs it: what it prints where, and how it ends.

mod check;
mod demo;
mod dev;
pub(crate) mod serve;
mod settings;
mod token;
mod types;
mod uninstall;

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A run of the program in a folder of its own, without what the environment of the tests says.
pub(crate) struct Program {
    command: Command,
}

impl Program {
    pub(crate) fn new(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rowcast"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("ROWCAST_") || name.starts_with("PG") || name == "DATABASE_URL" {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .current_dir("/")
            .stdin(Stdio::null());
        Self { command }
    }

    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn run(mut self) -> Ended {
        Ended(self.command.output().expect("the program runs"))
    }

    pub(crate) fn command(self) -> Command {
        self.command
    }
}

/// How a run ended.
pub(crate) struct Ended(Output);

impl Ended {
    pub(crate) fn code(&self) -> Option<i32> {
        self.0.status.code()
    }

    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// Asserts the exit code and that standard error says this.
    #[track_caller]
    pub(crate) fn says(&self, code: i32, text: &str) {
        let err = self.err();
        assert_eq!(self.code(), Some(code), "{err}");
        assert!(err.contains(text), "{text:?} is not in: {err}");
    }
}

#[test]
fn help_and_version_are_told_on_standard_output() {
    for (arguments, expected) in [
        (&["--help"][..], "rowcast serve"),
        (&["-h"], "Exit codes"),
        (&["serve", "--help"], "ROWCAST_JWT_SECRET"),
        (&["dev", "--help"], "--fresh"),
        (&["demo", "--help"], "createdb"),
        (&["token", "--help"], "TOKEN=$(rowcast token"),
        (&["check", "--help"], "exit code"),
        (&["uninstall", "--help"], "stay as they are"),
        (
            &["--version"],
            concat!("rowcast ", env!("CARGO_PKG_VERSION")),
        ),
    ] {
        let ended = Program::new(arguments).run();
        assert_eq!(ended.code(), Some(0), "{arguments:?}");
        assert!(
            ended.out().contains(expected),
            "{arguments:?}: {}",
            ended.out()
        );
        assert_eq!(ended.err(), "", "{arguments:?}");
        assert!(!ended.out().contains('\u{1b}'), "colours are for terminals");
    }
}

#[test]
fn wrong_usage_ends_with_2_and_nothing_on_standard_output() {
    for arguments in [
        &[][..],
        &["serv"],
        &["serve", "--lisen", "x"],
        &["token"],
        &["token", "--user", "1", "--ttl", "1w"],
        &["demo", "--size", "xl"],
        &["uninstall", "now"],
    ] {
        let ended = Program::new(arguments).run();
        assert_eq!(ended.code(), Some(2), "{arguments:?}: {}", ended.err());
        assert_eq!(ended.out(), "", "{arguments:?}");
    }
    let misspelt = Program::new(&["serve", "--lisen", "x"]).run();
    misspelt.says(2, "--listen");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = Program::new(&["token", "--org", "1", "--user", "1", "--secret", SECRET])
        .command()
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
