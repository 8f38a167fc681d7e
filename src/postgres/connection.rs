//! One connection to PostgreSQL: how it is opened, what it has to be, and the task that drives it.
//!
//! Knows nothing of pools and of what runs on it.

use super::{fault, statements::Statements};
use crate::{
    config,
    error::{Error, Kind, Result},
};
use deadpool_postgres::ClientWrapper;
use std::{ops::Deref, str::FromStr, time::Duration};
use tokio_postgres::{
    Client, NoTls, Statement,
    config::{Host, SslMode},
    types::Type,
};

/// The oldest version that has everything we use (`security_invoker` views, `merge`).
const VERSION_MIN: i32 = 150_000;

/// After how much silence a server is probed, and after how much more it is given up.
const VANISHED_AFTER: Duration = Duration::from_secs(30);

/// What tokio-postgres does when the URL does not say how long a connection may be idle.
const KEEPALIVES_IDLE_DEFAULT: Duration = Duration::from_secs(2 * 60 * 60);

const OPEN: &str = include_str!("../../sql/session/open.sql");

/// How to connect: the URL with our own settings, read and checked once.
#[derive(Debug, Clone)]
pub(super) struct Address {
    config: tokio_postgres::Config,
    search_path: String,
    statement_timeout: String,
    connect_timeout: Duration,
}

impl Address {
    /// Reads the settings.
    ///
    /// # Errors
    /// `ConfigurationInvalid` for a URL that is missing, malformed, or asks for what we lack.
    pub(super) fn new(settings: &config::Database) -> Result<Self> {
        let invalid = |detail: &str| Error::new(Kind::ConfigurationInvalid, detail.to_owned());
        let url = settings
            .url
            .as_ref()
            .filter(|url| !url.expose().trim().is_empty())
            .ok_or_else(|| invalid("database.url is not set: give --database-url or DATABASE_URL"))?
            .expose();
        // The library's message may quote the URL with its password, so it stays unsaid.
        let mut config = tokio_postgres::Config::from_str(url)
            .map_err(|_| invalid("database.url is not a PostgreSQL connection string"))?;
        if config.get_ssl_mode() == SslMode::Require {
            return Err(invalid(
                "database.url asks for TLS, which is not supported yet",
            ));
        }
        if config.get_application_name().is_none() {
            config.application_name("rowcast");
        }
        let connect_timeout = Duration::from_millis(settings.connect_timeout_ms);
        config.connect_timeout(connect_timeout);
        config.ssl_mode(SslMode::Disable);
        // A server that vanishes without a word is missed within a minute, unless the URL says more.
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(VANISHED_AFTER);
        }
        if config.get_keepalives_idle() == KEEPALIVES_IDLE_DEFAULT {
            config
                .keepalives_idle(VANISHED_AFTER)
                .keepalives_interval(VANISHED_AFTER / 6)
                .keepalives_retries(6);
        }
        let search_path: Vec<String> = settings
            .schemas
            .iter()
            .map(|schema| super::sql::identifier(schema))
            .collect();
        Ok(Self {
            config,
            search_path: search_path.join(", "),
            statement_timeout: settings.statement_timeout_ms.to_string(),
            connect_timeout,
        })
    }

    /// Opens a connection, and sees to it that it is a primary of a version that we know.
    ///
    /// # Errors
    /// `DatabaseUnavailable`; `ConfigurationInvalid` for a server that is too old.
    pub(super) async fn open(&self) -> Result<Connection> {
        let opening = async {
            let (client, driver) = self
                .config
                .connect(NoTls)
                .await
                .map_err(|error| self.unreachable().with_source(error))?;
            let driver = tokio::spawn(async move {
                if let Err(error) = driver.await {
                    tracing::debug!(%error, "a connection to PostgreSQL ended");
                }
            });
            // Owns the task from here on, and ends it when it is dropped.
            let client = ClientWrapper::new(client, driver);
            let facts = self.prepare(&client).await?;
            Ok(Connection {
                client,
                facts,
                statements: Statements::default(),
            })
        };
        tokio::time::timeout(self.connect_timeout, opening)
            .await
            .unwrap_or_else(|_| {
                let limit = Error::internal("it took longer than `database.connect_timeout_ms`");
                Err(self.unreachable().with_source(limit))
            })
    }

    /// Says where PostgreSQL was looked for, for the log: what is wrong is mostly one of these.
    fn unreachable(&self) -> Error {
        let ports = self.config.get_ports();
        let hosts = self.config.get_hosts().iter().enumerate();
        let hosts = hosts.map(|(place, host)| {
            let port = ports.get(place).or(ports.first()).unwrap_or(&5432);
            match host {
                Host::Tcp(name) => format!("{name}:{port}"),
                Host::Unix(folder) => format!("{}, port {port}", folder.display()),
            }
        });
        let hosts: Vec<String> = hosts.collect();
        let named = [
            ("database", self.config.get_dbname()),
            ("user", self.config.get_user()),
        ];
        let mut detail = format!("cannot connect to PostgreSQL at {}", hosts.join(" or "));
        for (what, name) in named {
            if let Some(name) = name {
                detail.push_str(&format!(", {what} {name:?}"));
            }
        }
        Error::new(Kind::DatabaseUnavailable, detail)
    }

    async fn prepare(&self, client: &Client) -> Result<Facts> {
        let row = client
            .query_typed_one(
                OPEN,
                &[
                    (&self.search_path, Type::TEXT),
                    (&self.statement_timeout, Type::TEXT),
                ],
            )
            .await
            .map_err(fault::unavailable)?;
        let version: i32 = row.get("version");
        if version < VERSION_MIN {
            return Err(Error::new(
                Kind::ConfigurationInvalid,
                format!(
                    "PostgreSQL {}.{} is too old: rowcast needs 15 or newer",
                    version / 10_000,
                    version % 10_000
                ),
            ));
        }
        // Transaction ids, and with them versions and cursors, are given out on the primary only; a
        // standby's snapshots look different.
        if row.get::<_, bool>("in_recovery") {
            return Err(Error::new(
                Kind::DatabaseUnavailable,
                "the PostgreSQL server is a standby; rowcast reads and writes on the primary",
            ));
        }
        let default_role: Option<String> = row.get("default_role");
        Ok(Facts {
            default_role: default_role.filter(|it| !it.is_empty()),
            login: row.get("login"),
        })
    }
}

/// What a server says of itself and of us.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// The database's own setting `rowcast.default_role`.
    pub(super) default_role: Option<String>,
    /// The role that we are connected as.
    pub(super) login: String,
}

/// An open connection. Dropping it closes the socket; what runs on it in PostgreSQL runs on until
/// it notices.
pub struct Connection {
    client: ClientWrapper,
    facts: Facts,
    statements: Statements,
}

impl Connection {
    pub(super) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The prepared statement of this text, if this connection has it.
    pub(super) fn prepared(&self, sql: &str) -> Option<Statement> {
        self.statements.find(sql)
    }

    /// Prepares a statement, or finds it prepared.
    pub(super) async fn statement(
        &self,
        sql: &str,
    ) -> std::result::Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.statements.find(sql) {
            return Ok(statement);
        }
        let statement = self.client.prepare(sql).await?;
        self.statements.keep(sql, &statement);
        Ok(statement)
    }

    /// Forgets a prepared statement.
    pub(super) fn forget(&self, sql: &str) {
        self.statements.forget(sql);
    }
}

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
