//! A PostgreSQL server of our own, for `rowcast dev`, the tests and the measurements: found among
//! the installed programs, set up in a folder, reached through a Unix socket only, and stopped with
//! this process, however it ends. Knows nothing of what the databases on it are for.
//!
//! The parts: `programs` finds initdb and postgres, `account` drops root's privileges,
//! `folder` decides where the data and the socket are and who may use them, `process` deals with
//! the running server and with those that earlier processes left behind.

mod account;
mod folder;
mod process;
mod programs;

use std::{
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tokio_postgres::{Client, NoTls};

use crate::error::{Error, Kind, Result};
use account::Account;
use folder::Folder;
use process::Process;
use programs::Programs;

/// The oldest PostgreSQL that rowcast works with.
pub const OLDEST_MAJOR: u32 = 15;

/// The one superuser of the server.
const SUPERUSER: &str = "postgres";

/// Recovery after a crash takes its time; anything longer than this is not coming up.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How often a server that is starting or stopping is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// How long to leave the sessions of a killed server before the next attempt to start one.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);

/// What the server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Data that is wanted tomorrow: every commit is on disk.
    Durable,
    /// Data of a test or a measurement: nothing is synced, there is room for many connections, and
    /// the folder goes when the server does.
    Throwaway,
}

/// How to start a [`LocalServer`].
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder that holds everything, created if need be.
    pub folder: PathBuf,
    /// The folder of PostgreSQL's programs; searched for when absent.
    pub programs: Option<PathBuf>,
    /// Whether to delete the data that are there and begin anew.
    pub fresh: bool,
    /// What the server is for.
    pub profile: Profile,
}

impl Options {
    /// A durable server in this folder.
    pub fn durable(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            programs: None,
            fresh: false,
            profile: Profile::Durable,
        }
    }

    /// A throwaway server in a new folder below the temporary one.
    pub fn throwaway() -> Self {
        // Root's own temporary folder may be closed to the user that the server runs as.
        let base = if nix::unistd::geteuid().is_root() {
            PathBuf::from("/tmp")
        } else {
            std::env::temp_dir()
        };
        Self {
            folder: base.join(format!("rowcast-{}", uuid::Uuid::new_v4().simple())),
            programs: None,
            fresh: false,
            profile: Profile::Throwaway,
        }
    }
}

/// A running server, owned: dropping it stops the server.
#[derive(Debug)]
pub struct LocalServer {
    // Fields are dropped in this order: the lock on the folder goes last.
    process: Process,
    folder: Folder,
    programs: Programs,
}

impl LocalServer {
    /// Starts the server and waits until it answers.
    ///
    /// A server that an earlier process left behind on the same folder is stopped first.
    ///
    /// # Errors
    /// [`Kind::CommandFailed`], with the way out where there is one: no programs of PostgreSQL 15
    /// or newer, a folder that is in use by another process, data of another major version, a
    /// folder that cannot be used, or a server that does not come up (with the end of its log).
    pub async fn start(options: Options) -> Result<Self> {
        let begun = Instant::now();
        let found = programs::find(options.programs.as_deref()).await?;
        let folder = Folder::claim(&options)?;
        process::make_way(&folder).await?;
        if options.fresh {
            folder.clear()?;
        }

        let programs = programs::choose(found, folder.major()?, folder.data())?;
        if folder.major()?.is_none() {
            tracing::info!(folder = %folder.data().display(), "creating a PostgreSQL database folder");
            initialize(&programs, &folder, options.profile).await?;
        }

        let process = bring_up(&programs, &folder, options.profile).await?;
        tracing::debug!(elapsed = ?begun.elapsed(), version = programs.version(), "PostgreSQL is up");
        Ok(Self {
            process,
            folder,
            programs,
        })
    }

    /// The URL of a database on this server, for the superuser, free of characters that a shell
    /// would take for its own.
    pub fn url(&self, database: &str) -> String {
        url(self.folder.socket(), database)
    }

    /// The folder that the data are in: where [`Options::folder`] says, or, when the server's user
    /// could not get there, below `/var/lib/rowcast`.
    pub fn data_folder(&self) -> &Path {
        self.folder.data()
    }

    /// The server's log.
    pub fn log_file(&self) -> &Path {
        self.folder.log()
    }

    /// The folder of the programs in use.
    pub fn programs(&self) -> &Path {
        self.programs.folder()
    }

    /// PostgreSQL's version, such as `15.18`.
    pub fn version(&self) -> &str {
        self.programs.version()
    }

    /// Creates the database if there is none of that name; whether it did.
    ///
    /// # Errors
    /// [`Kind::CommandFailed`] when PostgreSQL refuses.
    pub async fn ensure_database(&self, name: &str) -> Result<bool> {
        let failed = |error: tokio_postgres::Error| {
            Error::new(
                Kind::CommandFailed,
                format!("the database {name} could not be created"),
            )
            .with_source(error)
        };
        let client = connect(self.folder.socket()).await.map_err(failed)?;
        let known = client
            .query_opt("select from pg_database where datname = $1", &[&name])
            .await
            .map_err(failed)?;
        if known.is_some() {
            return Ok(false);
        }
        let quoted = name.replace('"', "\"\"");
        client
            .batch_execute(&format!("create database \"{quoted}\""))
            .await
            .map_err(failed)?;
        Ok(true)
    }

    /// Stops the server, ending the sessions on it, and waits until it is down. A throwaway
    /// server's folder is gone afterwards.
    ///
    /// # Errors
    /// [`Kind::CommandFailed`] when the server had to be killed, in which case its next start
    /// begins with a recovery, or when a throwaway server's folder cannot be removed.
    pub async fn stop(mut self) -> Result<()> {
        self.process.stop().await
    }
}

/// Makes the folder of a new server. It gets its final name only once it is complete, so that an
/// interrupted attempt is never taken for a server's data.
async fn initialize(programs: &Programs, folder: &Folder, profile: Profile) -> Result<()> {
    // Bytewise order that knows the letters of all languages; not every system has it.
    let mut failure = String::new();
    for locale in ["C.UTF-8", "C"] {
        let unfinished = folder.begin()?;
        let mut command = folder.account().command(programs.initdb());
        command
            .arg("--pgdata")
            .arg(&unfinished)
            .args(["--username", SUPERUSER, "--encoding", "UTF8"])
            .args(["--locale", locale])
            // The socket's folder is closed to everybody else, see `folder`.
            .args(["--auth-local", "trust", "--auth-host", "reject"]);
        if profile == Profile::Throwaway {
            command.arg("--no-sync");
        }
        // Whoever waits may lose patience; a half-made folder is removed by the next attempt.
        let output = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| failed("initdb does not run", error))?;
        if output.status.success() {
            return folder.complete(&unfinished);
        }
        failure = last_lines(&String::from_utf8_lossy(&output.stderr));
    }
    Err(Error::new(
        Kind::CommandFailed,
        format!("initdb failed: {failure}"),
    ))
}

/// Starts the server and waits until it answers.
async fn bring_up(programs: &Programs, folder: &Folder, profile: Profile) -> Result<Process> {
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        let mut process = Process::spawn(programs, folder, profile)?;
        while !process.has_ended() && Instant::now() < deadline {
            if connect(folder.socket()).await.is_ok() {
                return Ok(process);
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        let log = process.log_since_start();
        // The sessions of a server that was killed notice it, but not at once.
        if log.contains("pre-existing shared memory block") && Instant::now() < deadline {
            tokio::time::sleep(RETRY_INTERVAL).await;
            continue;
        }
        return Err(Error::new(
            Kind::CommandFailed,
            format!("PostgreSQL does not come up: {}", last_lines(&log)),
        )
        .with_hint(format!("the whole log is in {}", folder.log().display())));
    }
}

/// Connects to the maintenance database. The connection ends when the client is dropped.
async fn connect(socket: &Path) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(&url(socket, "postgres"), NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A URL in which everything but plain characters is percent-encoded, the socket's path included.
fn url(socket: &Path, database: &str) -> String {
    use std::os::unix::ffi::OsStrExt;
    let encode = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut text, &byte| {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                    text.push(char::from(byte));
                }
                _ => write!(text, "%{byte:02X}").expect("a string takes everything"),
            }
            text
        })
    };
    format!(
        "postgresql://{SUPERUSER}@{}/{}",
        encode(socket.as_os_str().as_bytes()),
        encode(database.as_bytes())
    )
}

/// The end of a program's messages, in one line that fits an error.
fn last_lines(text: &str) -> String {
    const LINES: usize = 6;
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|it| !it.is_empty())
        .collect();
    lines[lines.len().saturating_sub(LINES)..].join("; ")
}

/// An error of the operating system, with what was tried.
fn failed(what: impl std::fmt::Display, error: io::Error) -> Error {
    Error::new(Kind::CommandFailed, format!("{what}: {error}")).with_source(error)
}
