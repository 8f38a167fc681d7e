//! The help desk: a realistic database to try rowcast on, which the tests and the measurements use
//! as well. Owns the order in which the files of `sql/helpdesk/` run; knows nothing of what the
//! server makes of the tables.

use std::{fmt, str::FromStr, time::Instant};

use tokio_postgres::{Client, NoTls, error::SqlState};

use crate::{
    config::Secret,
    error::{DatabaseFault, Error, Kind, Result},
};

/// The role that requests of the help desk run as.
pub const ROLE: &str = "helpdesk_agent";

/// The tables, each below those it refers to.
pub const TABLES: [&str; 12] = [
    "organizations",
    "users",
    "mailboxes",
    "contacts",
    "tickets",
    "messages",
    "comments",
    "notes",
    "events",
    "labels",
    "ticket_labels",
    "ticket_members",
];

const CREATE_ROLE: &str = include_str!("../../sql/helpdesk/1_role.sql");

/// What runs in one transaction, with what a waiting person is told meanwhile.
const STEPS: [(&str, &str); 6] = [
    ("tables", include_str!("../../sql/helpdesk/2_tables.sql")),
    ("texts", include_str!("../../sql/helpdesk/3_texts.sql")),
    ("rows", include_str!("../../sql/helpdesk/4_rows.sql")),
    (
        "references and indexes",
        include_str!("../../sql/helpdesk/5_references.sql"),
    ),
    (
        "triggers",
        include_str!("../../sql/helpdesk/6_triggers.sql"),
    ),
    ("access", include_str!("../../sql/helpdesk/7_access.sql")),
];

/// How many rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Size {
    /// 2,240 tickets of 3 organizations, the first with 1,600: two seconds, 26 MB.
    #[default]
    S,
    /// 100,000 tickets of 20 organizations, the first with 24,000: half a minute, 700 MB.
    M,
}

impl Size {
    /// The number of organizations, whose ids begin at 1.
    pub fn organizations(self) -> i64 {
        match self {
            Self::S => 3,
            Self::M => 20,
        }
    }
}

impl FromStr for Size {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "s" | "S" => Ok(Self::S),
            "m" | "M" => Ok(Self::M),
            _ => Err(Error::new(
                Kind::ConfigurationInvalid,
                "the size of the help desk is s or m",
            )),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::S => "s",
            Self::M => "m",
        })
    }
}

/// The first user of an organization, an admin. The users of organization n are numbered from
/// (n − 1) · 100 + 1.
pub fn first_user(organization: i64) -> i64 {
    (organization - 1) * 100 + 1
}

/// The help desk's tables that exist in the schema `public`: all of them, none, or those of
/// somebody else who used the same names.
pub async fn tables_present(client: &Client) -> Result<Vec<String>> {
    let rows = client
        .query(
            "select relname::text from pg_class join pg_namespace on pg_namespace.oid = relnamespace
             where nspname = 'public' and relname = any($1)
             order by relname",
            &[&TABLES.as_slice()],
        )
        .await
        .map_err(|error| failed("looking for existing tables", error))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// What [`load_into`] leaves to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultRole {
    /// The database says itself that requests run as [`ROLE`].
    Set,
    /// Only a superuser may make a database say so; the server's settings have to.
    ForTheSettings,
}

/// Connects to a database and loads the help desk into it, as [`load`] does. Then makes the database
/// name [`ROLE`] as the role of requests (`rowcast.default_role`), where that is allowed.
///
/// # Errors
/// As [`load`]; [`Kind::ConfigurationInvalid`] for a URL that cannot be read, and
/// [`Kind::DatabaseUnavailable`].
pub async fn load_into(
    url: &Secret,
    size: Size,
    progress: impl FnMut(&str),
) -> Result<DefaultRole> {
    let mut client = connect(url).await?;
    load(&mut client, size, progress).await?;
    let statement = format!(
        "do $$ begin
           execute format('alter database %I set rowcast.default_role = {ROLE}', current_database());
         end $$"
    );
    match client.batch_execute(&statement).await {
        Ok(()) => Ok(DefaultRole::Set),
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            Ok(DefaultRole::ForTheSettings)
        }
        Err(error) => Err(failed("naming the role of requests", error)),
    }
}

/// Takes back what [`load_into`] has made the database name as the role of requests, if it still does
/// and we may say so.
///
/// # Errors
/// [`Kind::ConfigurationInvalid`] for a URL that cannot be read, and [`Kind::DatabaseUnavailable`].
pub async fn forget_default_role(url: &Secret) -> Result<()> {
    let statement = format!(
        "do $$ begin
           if exists (
               select from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase
               where d.datname = current_database() and s.setrole = 0
                   and 'rowcast.default_role={ROLE}' = any (s.setconfig)
           ) then
               execute format('alter database %I reset rowcast.default_role', current_database());
           end if;
         end $$"
    );
    match connect(url).await?.batch_execute(&statement).await {
        Err(error) if error.code() != Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            Err(failed("taking back the role of requests", error))
        }
        _ => Ok(()),
    }
}

/// Whether a database holds the help desk already, whole; `false` where it holds none of it.
///
/// # Errors
/// [`Kind::CommandFailed`] where it holds some of the tables only.
pub async fn is_loaded(url: &Secret) -> Result<bool> {
    let client = connect(url).await?;
    match tables_present(&client).await?.len() {
        0 => Ok(false),
        count if count == TABLES.len() => Ok(true),
        _ => Err(Error::new(
            Kind::CommandFailed,
            "some of the help desk's tables are missing",
        )),
    }
}

/// The connection ends when the client is dropped.
async fn connect(url: &Secret) -> Result<Client> {
    let config: tokio_postgres::Config = url.expose().parse().map_err(|error| {
        // The parser's message names the part that is wrong and does not quote it.
        Error::new(
            Kind::ConfigurationInvalid,
            "the database's URL cannot be read",
        )
        .with_source(error)
    })?;
    let (client, connection) = config.connect(NoTls).await.map_err(|error| {
        Error::new(Kind::DatabaseUnavailable, "the database cannot be reached").with_source(error)
    })?;
    tokio::spawn(connection);
    Ok(client)
}

/// Creates the help desk in the schema `public`, whole or not at all, and its role. `progress` is
/// told each step when it begins.
///
/// # Errors
/// [`Kind::CommandFailed`] when one of the tables exists already, when the caller may not create
/// roles and the role is missing, and when PostgreSQL fails.
pub async fn load(client: &mut Client, size: Size, mut progress: impl FnMut(&str)) -> Result<()> {
    let present = tables_present(client).await?;
    if !present.is_empty() {
        return Err(Error::new(
            Kind::CommandFailed,
            format!(
                "the database has tables named {} already; nothing was changed",
                present.join(", ")
            ),
        )
        .with_hint("name an empty database"));
    }

    let begun = Instant::now();
    client
        .batch_execute(CREATE_ROLE)
        .await
        .map_err(|error| match error.code() {
            Some(&SqlState::INSUFFICIENT_PRIVILEGE) => failed("creating its role", error)
                .with_hint(format!(
                    "connect as a role with the attribute CREATEROLE, or have a superuser run: \
                     create role {ROLE} nologin; grant {ROLE} to the role that you connect as"
                )),
            _ => failed("creating its role", error),
        })?;

    let transaction = client
        .transaction()
        .await
        .map_err(|error| failed("beginning", error))?;
    // Neither a time-out meant for requests nor a schema of the caller's path may get in the way.
    let settings = format!(
        "set local search_path = public;
         set local statement_timeout = 0;
         set local idle_in_transaction_session_timeout = 0;
         set local client_min_messages = warning;
         set local maintenance_work_mem = '128MB';
         set local helpdesk.size = '{size}'"
    );
    transaction
        .batch_execute(&settings)
        .await
        .map_err(|error| failed("beginning", error))?;
    for (step, sql) in STEPS {
        progress(step);
        transaction
            .batch_execute(sql)
            .await
            .map_err(|error| failed(step, error))?;
    }
    transaction
        .commit()
        .await
        .map_err(|error| failed("committing", error))?;

    // Plans need statistics, and scans of an index alone need the visibility map. Without either
    // the help desk is slower but whole, so that this may follow the commit.
    progress("statistics");
    client
        .batch_execute(&format!("vacuum (analyze) {}", TABLES.join(", ")))
        .await
        .map_err(|error| failed("gathering statistics", error))?;
    tracing::debug!(%size, elapsed = ?begun.elapsed(), "the help desk is loaded");
    Ok(())
}

fn failed(step: &str, error: tokio_postgres::Error) -> Error {
    let detail = match error.as_db_error() {
        Some(fault) => format!("loading the help desk failed ({step}): {}", fault.message()),
        None => format!("loading the help desk failed ({step}): {error}"),
    };
    let failure = Error::new(Kind::CommandFailed, detail);
    match error.as_db_error() {
        Some(fault) => failure.with_database(DatabaseFault {
            sqlstate: fault.code().code().to_owned(),
            message: fault.message().to_owned(),
            details: fault.detail().map(str::to_owned),
            hint: fault.hint().map(str::to_owned),
            constraint: fault.constraint().map(str::to_owned),
            status: None,
        }),
        None => failure,
    }
    .with_source(error)
}
