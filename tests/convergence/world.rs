//! A PostgreSQL of the run's own, which may crash, and `rowcast serve` as a process of its own, which
//! may be killed. Knows neither readers nor writers.

use super::schema;
use crate::{cli::Program, support::server::SECRET};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rowcast::postgres::local::{LocalServer, Options};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};
use tokio::time::Instant;
use tokio_postgres::{Client, NoTls};

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// The database of the run.
const DATABASE: &str = "convergence";

/// A PostgreSQL with durable data.
pub(super) struct Postgres {
    server: Option<LocalServer>,
    folder: PathBuf,
    pub(super) url: String,
    /// The socket that it listens on.
    pub(super) socket: PathBuf,
}

impl Postgres {
    pub(super) async fn start() -> Self {
        let folder = Options::throwaway().folder;
        let server = LocalServer::start(Options::durable(&folder)).await.unwrap();
        server.ensure_database(DATABASE).await.unwrap();
        let url = server.url(DATABASE);
        let host = url.split('@').nth(1).and_then(|it| it.split('/').next());
        let host = host.and_then(|it| it.split(':').next()).unwrap();
        let host = percent_encoding::percent_decode_str(host).decode_utf8();
        let postgres = Self {
            server: Some(server),
            folder,
            socket: Path::new(&*host.unwrap()).join(".s.PGSQL.5432"),
            url,
        };
        let sql = postgres.connect().await;
        sql.batch_execute(schema::SQL).await.unwrap();
        // Processes crash here, never the machine: what was written is read again without it.
        sql.batch_execute("alter system set fsync = off")
            .await
            .unwrap();
        sql.batch_execute("select pg_reload_conf()").await.unwrap();
        postgres
    }

    /// A connection past all proxies; waits until there is one.
    pub(super) async fn connect(&self) -> Client {
        connect(&self.url).await
    }

    fn postmaster(&self) -> Option<Pid> {
        let data = self.server.as_ref()?.data_folder();
        let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
        Some(Pid::from_raw(text.lines().next()?.trim().parse().ok()?))
    }

    /// As `pg_ctl restart -m immediate`: no checkpoint, so that it recovers from the log.
    pub(super) async fn restart_immediately(&mut self) {
        let postmaster = self.postmaster().expect("it runs");
        kill(postmaster, Signal::SIGQUIT).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while self.postmaster().is_some() {
            assert!(Instant::now() < deadline, "PostgreSQL does not stop");
            tokio::time::sleep(LOOK).await;
        }
        let server = self.server.take();
        tokio::task::spawn_blocking(move || drop(server))
            .await
            .unwrap();
        let server = LocalServer::start(Options::durable(&self.folder)).await;
        self.server = Some(server.unwrap());
    }

    /// Kills one of its processes, if there is one that serves a client.
    pub(super) async fn kill_backend(&self) {
        let sql = self.connect().await;
        let found = sql.query_opt(
            "select pid from pg_stat_activity where backend_type = 'client backend'
             and pid <> pg_backend_pid() order by random() limit 1",
            &[],
        );
        if let Ok(Some(row)) = found.await {
            let _ = kill(Pid::from_raw(row.get(0)), Signal::SIGKILL);
        }
    }

    /// Ends backends, the server's among them; how many.
    pub(super) async fn terminate_backends(&self) {
        let sql = self.connect().await;
        let _ = sql
            .batch_execute(
                "select pg_terminate_backend(pid) from pg_stat_activity
                 where backend_type = 'client backend' and pid <> pg_backend_pid()
                 and random() < 0.6",
            )
            .await;
    }

    /// Takes all connections that there are for a while.
    pub(super) async fn exhaust(&self, hold: Duration) {
        let mut held = Vec::new();
        let until = Instant::now() + hold;
        while Instant::now() < until {
            match tokio_postgres::connect(&self.url, NoTls).await {
                Ok((client, connection)) => {
                    tokio::spawn(connection);
                    held.push(client);
                }
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.server.take());
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Connects, and waits for a PostgreSQL that is coming up.
pub(super) async fn connect(url: &str) -> Client {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match tokio_postgres::connect(url, NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                return client;
            }
            Err(error) => {
                assert!(Instant::now() < deadline, "PostgreSQL is away: {error:?}");
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}

/// What a process holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) files: usize,
    pub(super) memory_kib: u64,
}

/// `rowcast serve`.
pub(super) struct Serve {
    child: Child,
    pub(super) address: SocketAddr,
    log: PathBuf,
}

impl Serve {
    /// Starts it in front of this database, again and again until it serves.
    pub(super) async fn start(database_url: &str, logs: &Path, number: usize) -> Self {
        let deadline = Instant::now() + PATIENCE;
        let log = logs.join(format!("server-{number}.log"));
        loop {
            let file = fs::File::options().create(true).append(true).open(&log);
            let begin = fs::metadata(&log).map_or(0, |it| it.len());
            let mut child = Program::new(&["serve", "--listen", "127.0.0.1:0"])
                .variable("DATABASE_URL", database_url)
                .variable("ROWCAST_JWT_SECRET", SECRET)
                .variable("ROWCAST_DATABASE_DEFAULT_ROLE", schema::ROLE)
                .variable("ROWCAST_LIMITS_PING_MS", "500")
                .variable("ROWCAST_LIMITS_SIGNAL_ACTION_MS", "3000")
                .variable("ROWCAST_LIMITS_REQUEST_STALL_MS", "8000")
                .variable("ROWCAST_LIMITS_WRITE_STALL_MS", "8000")
                .command()
                .stdout(Stdio::null())
                .stderr(file.unwrap())
                .spawn()
                .unwrap();
            loop {
                let said = fs::read(&log).unwrap_or_default();
                let said = String::from_utf8_lossy(&said[begin as usize..]).into_owned();
                let address = said.split_once("address=").and_then(|(_, rest)| {
                    let (address, _) = rest.split_once(char::is_whitespace)?;
                    address.parse().ok()
                });
                if let Some(address) = address {
                    return Self {
                        child,
                        address,
                        log,
                    };
                }
                assert!(
                    Instant::now() < deadline,
                    "the server does not start: {said}"
                );
                if child.try_wait().unwrap().is_some() {
                    break;
                }
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        let _ = kill(self.pid(), signal);
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Kills it as the system does when memory runs out.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Whether it has ended by itself, and what it said last.
    pub(super) fn has_ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().unwrap()?;
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let tail = said.len().saturating_sub(1_000);
        let tail = said.get(tail..).unwrap_or_default();
        Some(format!("{status}: {tail}"))
    }

    /// Asks it to end, and waits; its exit code, `None` if it had to be killed.
    pub(super) async fn end(&mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            if Instant::now() >= deadline {
                self.kill();
                return None;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What the process holds, where the system tells.
    pub(super) fn held(&self) -> Option<Held> {
        let process = PathBuf::from(format!("/proc/{}", self.child.id()));
        let files = fs::read_dir(process.join("fd")).ok()?.count();
        let status = fs::read_to_string(process.join("status")).ok()?;
        let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"))?;
        let memory_kib = line.trim().split(' ').next()?.parse().ok()?;
        Some(Held { files, memory_kib })
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        self.kill();
    }
}
