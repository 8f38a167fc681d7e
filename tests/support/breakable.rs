//! A PostgreSQL cluster of one test's own, to be killed, copied, restored and promoted.

use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User},
};
use tokio_postgres::{Client, NoTls};

use super::{Database, cluster, until};

/// Settings of every cluster: nothing survives the machine, everything survives the processes.
const SETTINGS: &str = "
listen_addresses = ''
fsync = off
shared_buffers = '16MB'
max_connections = 60
wal_level = replica
max_wal_senders = 4
restart_after_crash = on
";

/// A cluster in a folder of its own. Dropping it ends it at once.
pub struct Breakable {
    folder: tempfile::TempDir,
    data: PathBuf,
}

impl Breakable {
    /// A running cluster with these settings besides, and a database `app` in which this SQL has run.
    pub async fn start(settings: &str, sql: &str) -> Self {
        let folder = tempfile::tempdir_in("/tmp").expect("a folder");
        let user = account();
        nix::unistd::chown(folder.path(), Some(user.uid), Some(user.gid)).expect("handed over");
        let this = Self {
            data: folder.path().join("data"),
            folder,
        };
        let data = this.data.to_str().expect("a plain path");
        this.run(
            "initdb",
            &["-D", data, "-U", "postgres", "--auth", "trust", "--no-sync"],
        );
        let text = format!("{SETTINGS}{settings}");
        let path = this.data.join("postgresql.conf");
        std::fs::write(&path, text).expect("settings are written");
        this.up();
        this.database("postgres")
            .execute("create database app")
            .await;
        this.app().execute(sql).await;
        this
    }

    /// The database of the application.
    pub fn app(&self) -> Database {
        self.database("app")
    }

    fn database(&self, name: &str) -> Database {
        let socket = self.folder.path().to_str().expect("a plain path");
        Database {
            name: name.to_owned(),
            url: format!(
                "postgresql://postgres@{}/{name}",
                socket.replace('/', "%2F")
            ),
        }
    }

    /// Ends it as a power failure would, but for the machine.
    pub fn crash(&self) {
        self.ctl(&["stop", "-m", "immediate"]);
    }

    /// Ends it in order.
    pub fn down(&self) {
        self.ctl(&["stop", "-m", "fast"]);
    }

    /// Starts it, and waits until it answers.
    pub fn up(&self) {
        let socket = self.folder.path().display();
        let log = self.folder.path().join("log");
        let log = log.to_str().expect("a plain path");
        self.ctl(&["start", "-l", log, "-o", &format!("-k {socket}")]);
    }

    /// Kills one backend, a client's that does nothing, and waits until all are back.
    pub async fn kill_backend(&self) {
        let client = self.app().connect().await;
        let row = client
            .query_one("select pg_backend_pid()", &[])
            .await
            .expect("a pid");
        kill(Pid::from_raw(row.get(0)), Signal::SIGKILL).expect("it is killed");
        until("it comes back", async || {
            self.is_up().await.is_some() && client.is_closed()
        })
        .await;
    }

    async fn is_up(&self) -> Option<Client> {
        let (client, connection) = tokio_postgres::connect(&self.app().url, NoTls).await.ok()?;
        tokio::spawn(connection);
        client.simple_query("select 1").await.ok()?;
        Some(client)
    }

    /// A copy of the running cluster's data; `standby`: set up to follow it.
    pub fn back_up(&self, name: &str, standby: bool) -> PathBuf {
        let to = self.folder.path().join(name);
        let socket = self.folder.path().to_str().expect("a plain path");
        let path = to.to_str().expect("a plain path");
        let mut arguments = vec![
            "-h",
            socket,
            "-U",
            "postgres",
            "-D",
            path,
            "-c",
            "fast",
            "--no-sync",
        ];
        if standby {
            arguments.push("-R");
        }
        self.run("pg_basebackup", &arguments);
        to
    }

    /// Goes on with other data, in the same place. It is down meanwhile.
    pub fn replace(&mut self, data: PathBuf) {
        self.down();
        self.data = data;
        self.up();
    }

    /// Makes a standby the primary.
    pub fn promote(&self) {
        self.ctl(&["promote"]);
    }

    fn ctl(&self, arguments: &[&str]) {
        let data = self.data.to_str().expect("a plain path");
        let mut all = vec!["-D", data, "-w", "-t", "60", "-s"];
        all.extend(arguments);
        self.run("pg_ctl", &all);
    }

    #[track_caller]
    fn run(&self, program: &str, arguments: &[&str]) {
        let status = self.command(program, arguments).status().expect("it runs");
        assert!(status.success(), "{program} {arguments:?}: {}", self.log());
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(cluster::bin().join(program));
        let user = account();
        if nix::unistd::geteuid().is_root() {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
            .args(arguments)
            .current_dir(Path::new("/"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Breakable {
    fn drop(&mut self) {
        let data = self.data.to_str().expect("a plain path");
        let _ = self
            .command("pg_ctl", &["-D", data, "-s", "stop", "-m", "immediate"])
            .status();
    }
}

/// Who runs PostgreSQL: it refuses root.
pub fn account() -> User {
    let ours = User::from_uid(nix::unistd::geteuid()).ok().flatten();
    ours.filter(|it| !it.uid.is_root())
        .or_else(|| User::from_name("postgres").ok().flatten())
        .or_else(|| User::from_name("nobody").ok().flatten())
        .expect("somebody without privileges")
}
