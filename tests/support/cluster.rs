//! One PostgreSQL server for the whole test run, and a database of its own for each test, cloned
//! from a template.

use std::{
    path::Path,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use rowcast::postgres::local::{LocalServer, Options};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};

use super::PATIENCE;

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
        let output = tokio::process::Command::new(cluster().programs().join("psql"))
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

/// Waits until nobody is connected to this database: PostgreSQL takes a moment to see that a connection
/// was closed, and one that leaked stays.
pub async fn until_left(database: &Database) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let left = connections(database).await;
        if left.is_empty() {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "left: {left:?}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

async fn connections(database: &Database) -> Vec<String> {
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
    cluster().programs()
}

fn url_of(database: &str) -> String {
    cluster().url(database)
}

/// Started by whoever comes first. A static is never dropped: the server's watchdog stops it, and
/// removes its folder, when the test process ends, however it ends.
fn cluster() -> &'static LocalServer {
    static CLUSTER: OnceLock<LocalServer> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        // Each test has its own runtime, which ends with it; the server outlives them all.
        let start = || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime")
                .block_on(LocalServer::start(Options::throwaway()))
                .expect("PostgreSQL starts")
        };
        std::thread::spawn(start).join().expect("no panic")
    })
}
