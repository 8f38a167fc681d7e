//! One PostgreSQL server for the whole test run, and a database of its own for each test, cloned
//! from a template. A watchdog process stops the server when the test process ends, however it ends.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};

/// The settings of a server whose data nobody needs tomorrow.
const SETTINGS: &[&str] = &[
    "listen_addresses=",
    "fsync=off",
    "full_page_writes=off",
    "max_connections=500",
    "shared_buffers=256MB",
    "max_prepared_transactions=8",
    "autovacuum_naptime=10s",
    "log_min_messages=fatal",
];

/// A database of one test's own.
pub struct Database {
    pub name: String,
    pub url: String,
}

impl Database {
    /// An empty database.
    pub async fn empty() -> Self {
        Self::cloned_from("template1").await
    }

    /// A database with the help desk of size S.
    pub async fn helpdesk() -> Self {
        static TEMPLATE: OnceCell<()> = OnceCell::const_new();
        TEMPLATE
            .get_or_init(|| async {
                admin()
                    .await
                    .batch_execute("create database helpdesk_template")
                    .await
                    .expect("create");
                super::load_helpdesk(&url_of("helpdesk_template")).await;
            })
            .await;
        Self::cloned_from("helpdesk_template").await
    }

    /// An empty database in which this SQL has run.
    pub async fn with(sql: &str) -> Self {
        let database = Self::empty().await;
        database.execute(sql).await;
        database
    }

    async fn cloned_from(template: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let statement = format!("create database {name} template {template}");
        admin()
            .await
            .batch_execute(&statement)
            .await
            .expect("create");
        Self {
            url: url_of(&name),
            name,
        }
    }

    /// A connection as the superuser, as another program would have it.
    pub async fn connect(&self) -> Client {
        connect(&self.url).await
    }

    /// Runs statements as another program would.
    #[track_caller]
    pub fn execute(&self, sql: &str) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            let done = self.connect().await.batch_execute(sql).await;
            done.unwrap_or_else(|error| panic!("at {place}: {error:?}: {sql}"));
        }
    }

    /// One value of one row, as text.
    pub async fn value(&self, sql: &str) -> String {
        let rows = self
            .connect()
            .await
            .simple_query(sql)
            .await
            .expect("a query");
        rows.iter()
            .find_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            })
            .unwrap_or_default()
    }

    /// Runs statements through psql, the program.
    pub async fn psql(&self, sql: &str) -> String {
        let output = tokio::process::Command::new(cluster().bin.join("psql"))
            .args([
                "-X",
                "-q",
                "-t",
                "-A",
                "-v",
                "ON_ERROR_STOP=1",
                "-d",
                &self.url,
                "-c",
                sql,
            ])
            .output()
            .await
            .expect("psql runs");
        assert!(
            output.status.success(),
            "{sql}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Drops the database; asserts first that nobody else is connected to it.
    pub async fn finish(self) {
        let statement = format!("drop database {} (force)", self.name);
        admin().await.batch_execute(&statement).await.expect("drop");
    }
}

/// The connections to this database other than this one, for assertions that none leaks.
pub async fn connections(database: &Database) -> Vec<String> {
    let rows = admin()
        .await
        .query(
            "select format('%s: %s: %s', application_name, state, query) from pg_stat_activity
             where datname = $1 and backend_type = 'client backend' and pid <> pg_backend_pid()",
            &[&database.name],
        )
        .await
        .expect("a query");
    rows.iter().map(|row| row.get(0)).collect()
}

/// A superuser's connection to the maintenance database.
pub async fn admin() -> Client {
    connect(&url_of("postgres")).await
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .expect("PostgreSQL is up");
    tokio::spawn(connection);
    client
}

/// The folder of PostgreSQL's programs.
pub fn bin() -> &'static Path {
    &cluster().bin
}

fn url_of(database: &str) -> String {
    let folder = cluster()
        .folder
        .to_str()
        .expect("UTF-8")
        .replace('/', "%2F");
    format!("postgresql://postgres@{folder}/{database}")
}

struct Cluster {
    folder: PathBuf,
    bin: PathBuf,
    _server: Child,
    /// Its standard input is the life line: when this process ends, the watchdog reads the end.
    _watchdog: Child,
}

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(start)
}

fn start() -> Cluster {
    let bin = rowcast_bin();
    let folder = std::env::temp_dir().join(format!("rowcast-test-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a temporary folder");
    let data = folder.join("data");
    if nix::unistd::geteuid().is_root() {
        let user = server_user();
        nix::unistd::chown(&folder, Some(user.uid), Some(user.gid)).expect("chown");
    }
    let quiet = |command: &mut Command| {
        let output = command.output().expect("a program of PostgreSQL runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    quiet(
        unprivileged(bin.join("initdb"))
            .args([
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
                "-D",
            ])
            .arg(&data),
    );
    let mut server = unprivileged(bin.join("postgres"));
    server.arg("-D").arg(&data).arg("-k").arg(&folder);
    for setting in SETTINGS {
        server.args(["-c", setting]);
    }
    let log = fs::File::create(folder.join("log")).expect("a log file");
    let server = server
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("postgres starts");
    let script = format!(
        "cat >/dev/null; kill -QUIT $(head -1 '{0}/data/postmaster.pid'); \
         while [ -e '{0}/data/postmaster.pid' ]; do sleep 0.05; done; rm -rf '{0}'",
        folder.display()
    );
    let watchdog = std::os::unix::process::CommandExt::process_group(&mut Command::new("sh"), 0)
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell");
    let deadline = Instant::now() + Duration::from_secs(60);
    let ready = || {
        let mut probe = Command::new(bin.join("pg_isready"));
        probe
            .arg("-q")
            .arg("-h")
            .arg(&folder)
            .status()
            .is_ok_and(|status| status.success())
    };
    while !ready() {
        assert!(
            Instant::now() < deadline,
            "PostgreSQL does not start; see {}/log",
            folder.display()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    Cluster {
        folder,
        bin,
        _server: server,
        _watchdog: watchdog,
    }
}

fn server_user() -> nix::unistd::User {
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| nix::unistd::User::from_name(name).ok().flatten())
        .expect("an unprivileged user")
}

/// PostgreSQL refuses to run as root.
fn unprivileged(program: PathBuf) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(program);
    if nix::unistd::geteuid().is_root() {
        let user = server_user();
        command
            .uid(user.uid.as_raw())
            .gid(user.gid.as_raw())
            .current_dir("/");
    }
    command
}

fn rowcast_bin() -> PathBuf {
    let output = Command::new("pg_config").arg("--bindir").output();
    let configured = output
        .ok()
        .and_then(|it| String::from_utf8(it.stdout).ok())
        .map(|it| PathBuf::from(it.trim()));
    let debian = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|it| it.path().join("bin"));
    let mut found: Vec<_> = configured
        .into_iter()
        .chain(debian)
        .filter(|it| it.join("initdb").exists())
        .collect();
    found.sort();
    found
        .pop()
        .expect("PostgreSQL's server programs are installed")
}
