//! Reading as one identity, in the states of two views: which of the touched rows it saw before, which
//! it sees now, and whether what it sees has changed otherwise.
//!
//! Row-level security may run anything, for any time, so this happens on connections of its own,
//! each identity under its own time limit, while the feed goes on. The views only have to stay open
//! until the transactions here have found their snapshots.

use super::{
    flight::{Sent, in_order},
    plan::Plan,
    states::{Asked, Rows, encoded, number, rows_statement, unreadable},
    view::{View, query, simple},
};
use crate::{
    error::{Error, Kind, Result},
    identity::Identity,
    postgres::{Database, connection::Connection, encode::RowEncoder, fault},
};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::{NoTls, Row, Statement, types::ToSql};

const SETTINGS: &str = include_str!("../../../sql/session/begin.sql");
const MARK: &str = "savepoint one";
const RELEASE: &str = "rollback to savepoint one; release savepoint one";

/// What PostgreSQL is given beyond our own clock, so that it ends by itself what we gave up.
const GRACE: Duration = Duration::from_millis(100);

/// The connections on which is read as one identity or another.
#[derive(Debug)]
pub struct PersonalReaders {
    database: Database,
    // A std lock: held for a push or a pop.
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
    max: usize,
}

/// What is asked about one resource.
#[derive(Debug, Clone)]
pub struct Personal {
    /// The touched keys.
    pub asked: Asked,
    /// The columns that the identity's role may read; empty: which keys are seen is enough.
    pub columns: Vec<usize>,
    /// Whether to compare all that is seen of the resource besides those keys.
    pub compare: bool,
}

/// The answer.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The keys that were seen before, by number.
    pub before: HashSet<usize>,
    /// The rows that are seen now.
    pub after: Rows,
    /// All that is seen of the resource besides those keys has changed.
    pub changed: bool,
}

impl PersonalReaders {
    /// At most `max` identities at once.
    pub fn new(database: &Database, max: usize) -> Arc<Self> {
        Arc::new(Self {
            database: database.clone(),
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(max)),
            max,
        })
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// `ShuttingDown` once these readers were closed; `DatabaseUnavailable`.
    pub async fn reader(self: &Arc<Self>) -> Result<PersonalReader> {
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| Error::new(Kind::ShuttingDown, "the feed has ended"))?;
        let idle = || {
            let idle = self.idle.lock();
            idle.unwrap_or_else(PoisonError::into_inner).pop()
        };
        let connection = loop {
            match idle() {
                Some(connection) if connection.is_closed() => {}
                Some(connection) => break connection,
                None => break self.open().await?,
            }
        };
        Ok(PersonalReader {
            connection: Some(connection),
            readers: self.clone(),
            _permit: permit,
        })
    }

    /// Waits until everybody has come back, within a limit, and closes the connections.
    pub async fn close(&self, limit: Duration) {
        let all = u32::try_from(self.max).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(limit, self.permits.acquire_many(all)).await;
        self.permits.close();
        let idle = self.idle.lock();
        idle.unwrap_or_else(PoisonError::into_inner).clear();
    }

    async fn open(&self) -> Result<Connection> {
        let connection = self.database.dedicated().await?;
        connection
            .batch_execute(
                "set plan_cache_mode = force_generic_plan; set application_name = 'rowcast feed'",
            )
            .await
            .map_err(fault::unavailable)?;
        Ok(connection)
    }
}

/// A connection on which is read as one identity.
#[derive(Debug)]
pub struct PersonalReader {
    connection: Option<Connection>,
    readers: Arc<PersonalReaders>,
    _permit: OwnedSemaphorePermit,
}

impl PersonalReader {
    /// Answers, in the order of the questions; `None` where row-level security failed. All within
    /// `limit`, or none.
    ///
    /// # Errors
    /// `StatementTimeout`; `RoleNotAllowed`; `DatabaseUnavailable`.
    pub async fn see(
        mut self,
        plan: &Plan,
        identity: &Identity,
        before: &View,
        after: &View,
        questions: &[Personal],
        limit: Duration,
    ) -> Result<Vec<Option<Seen>>> {
        let connection = self
            .connection
            .take()
            .expect("it is there until it is used");
        let cancel = connection.cancel_token();
        let seeing = see(&connection, plan, identity, before, after, questions, limit);
        match tokio::time::timeout(limit + GRACE, seeing).await {
            Ok(Ok(seen)) => {
                self.connection = Some(connection);
                Ok(seen)
            }
            Ok(Err(error)) => Err(error),
            Err(_) => {
                // The connection goes; what runs on it in PostgreSQL is ended.
                let _ = tokio::time::timeout(GRACE, cancel.cancel_query(NoTls)).await;
                Err(Error::new(
                    Kind::StatementTimeout,
                    "row-level security took too long",
                ))
            }
        }
    }
}

impl Drop for PersonalReader {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take().filter(|it| !it.is_closed()) {
            let idle = self.readers.idle.lock();
            idle.unwrap_or_else(PoisonError::into_inner)
                .push(connection);
        }
    }
}

/// The prepared statements of one question.
struct Prepared {
    visible: Statement,
    rows: Statement,
    digest: Option<Statement>,
    encoder: RowEncoder,
}

async fn see(
    connection: &Connection,
    plan: &Plan,
    identity: &Identity,
    before: &View,
    after: &View,
    questions: &[Personal],
    limit: Duration,
) -> Result<Vec<Option<Seen>>> {
    let settings = connection
        .statement(SETTINGS)
        .await
        .map_err(fault::unavailable)?;
    let mut prepared = Vec::with_capacity(questions.len());
    for question in questions {
        prepared.push(prepare(connection, plan, question).await?);
    }
    let timeout = limit.as_millis().to_string();
    let session: [&(dyn ToSql + Sync); 4] = [&&*identity.role.0, &&*identity.claims, &timeout, &""];
    // No parameter can hold the organization of nobody, and no row is nobody's.
    let organization = match identity.organization.is_none() {
        true => "",
        false => &*identity.organization.0,
    };
    let parts: Vec<Vec<Vec<&str>>> = questions.iter().map(|it| it.asked.parameters()).collect();
    let parameters: Vec<Parameters<'_>> = questions
        .iter()
        .zip(&parts)
        .map(|(it, parts)| Parameters::new(plan, it, parts, &organization))
        .collect();
    let begin = [before, after].map(|view| {
        let name = view.exported().unwrap_or_default();
        format!(
            "begin isolation level repeatable read read only; set transaction snapshot '{name}'"
        )
    });

    let mut flight: Vec<Sent<'_, _>> = Vec::new();
    for (half, begin) in begin.iter().enumerate() {
        flight.push(simple(connection, begin));
        flight.push(query(connection, &settings, &session));
        for (it, parameters) in prepared.iter().zip(&parameters) {
            let Some(it) = it else { continue };
            let keys = if half == 0 { &it.visible } else { &it.rows };
            flight.push(simple(connection, MARK));
            flight.push(query(connection, keys, &parameters.keys));
            flight.push(simple(connection, RELEASE));
            if let Some(digest) = &it.digest {
                flight.push(simple(connection, MARK));
                flight.push(query(connection, digest, &parameters.digest));
                flight.push(simple(connection, RELEASE));
            }
        }
        flight.push(simple(connection, "rollback"));
    }
    let answers = in_order(flight).await;
    Answers(answers.into_iter()).read(identity, &prepared)
}

/// `None`: the schema has moved on.
async fn prepare(
    connection: &Connection,
    plan: &Plan,
    question: &Personal,
) -> Result<Option<Prepared>> {
    let resource = &question.asked.resource;
    let texts = plan.texts(resource);
    let (sql, encoder) = rows_statement(plan, resource, &question.columns);
    let statement = async |sql: &str| match connection.statement(sql).await {
        Ok(statement) => Ok(Some(statement)),
        Err(error) => unreadable(error).map(|()| None),
    };
    let digest = match question.compare {
        true => statement(&texts.digest).await?,
        false => None,
    };
    let (visible, rows) = (statement(&texts.visible).await?, statement(&sql).await?);
    let rows = rows.filter(|it| encoder.check(it.columns()).is_ok());
    if rows.is_none() {
        connection.forget(&sql);
    }
    Ok(match (visible, rows) {
        (Some(visible), Some(rows)) if question.compare == digest.is_some() => Some(Prepared {
            visible,
            rows,
            digest,
            encoder,
        }),
        _ => None,
    })
}

/// The parameters of one question's statements.
struct Parameters<'a> {
    keys: Vec<&'a (dyn ToSql + Sync)>,
    digest: Vec<&'a (dyn ToSql + Sync)>,
}

impl<'a> Parameters<'a> {
    fn new(
        plan: &Plan,
        question: &Personal,
        parts: &'a [Vec<&'a str>],
        organization: &'a &'a str,
    ) -> Self {
        let mut keys: Vec<&(dyn ToSql + Sync)> = Vec::new();
        let mut digest: Vec<&(dyn ToSql + Sync)> = vec![organization];
        for part in parts {
            keys.push(part);
            digest.push(part);
        }
        if plan.texts(&question.asked.resource).fenced {
            keys.push(organization);
        }
        Self { keys, digest }
    }
}

type Answer = Result<Vec<Row>, tokio_postgres::Error>;

/// The answers of a flight, in the order in which its statements were sent.
struct Answers(std::vec::IntoIter<Answer>);

impl Answers {
    fn next(&mut self) -> Answer {
        self.0.next().unwrap_or(Ok(Vec::new()))
    }

    fn read(
        mut self,
        identity: &Identity,
        prepared: &[Option<Prepared>],
    ) -> Result<Vec<Option<Seen>>> {
        let mut halves = Vec::with_capacity(2);
        for _ in 0..2 {
            self.next().map_err(fault::unavailable)?;
            let settings = self.next().map_err(refused)?;
            let role = settings.first().map(|row| row.get::<_, &str>("role"));
            if role != Some(&*identity.role.0) {
                return Err(role_not_allowed());
            }
            let mut half = Vec::with_capacity(prepared.len());
            for it in prepared {
                half.push(match it {
                    None => None,
                    Some(it) => {
                        let keys = self.one()?;
                        let digest = match it.digest {
                            Some(_) => self.one()?,
                            None => Some(Vec::new()),
                        };
                        keys.zip(digest)
                    }
                });
            }
            self.next().map_err(fault::unavailable)?;
            halves.push(half);
        }
        let after = halves.pop().unwrap_or_default();
        let before = halves.pop().unwrap_or_default();
        let pairs = before.into_iter().zip(after).zip(prepared);
        Ok(pairs
            .map(|((before, after), it)| seen(before?, after?, it.as_ref()?))
            .collect())
    }

    /// The rows of one statement behind its savepoint; `None` if it failed.
    fn one(&mut self) -> Result<Option<Vec<Row>>> {
        self.next().map_err(fault::unavailable)?;
        let rows = match self.next() {
            Ok(rows) => Some(rows),
            Err(error) => unreadable(error).map(|()| None)?,
        };
        self.next().map_err(fault::unavailable)?;
        Ok(rows)
    }
}

fn seen(before: (Vec<Row>, Vec<Row>), after: (Vec<Row>, Vec<Row>), it: &Prepared) -> Option<Seen> {
    Some(Seen {
        before: before
            .0
            .iter()
            .map(|row| number(row, 0))
            .collect::<Option<_>>()?,
        after: encoded(&after.0, &it.encoder)?,
        changed: digest(&before.1) != digest(&after.1),
    })
}

type Digest = Option<(i64, Option<String>, Option<String>)>;

fn digest(rows: &[Row]) -> Digest {
    let row = rows.first()?;
    Some((row.get(0), row.get(1), row.get(2)))
}

fn refused(error: tokio_postgres::Error) -> Error {
    match error.code() {
        Some(_) => role_not_allowed().with_source(error),
        None => fault::unavailable(error),
    }
}

fn role_not_allowed() -> Error {
    Error::new(Kind::RoleNotAllowed, "the role cannot be used any more")
}
