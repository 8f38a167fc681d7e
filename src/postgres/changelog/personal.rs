//! Reading as one identity, in the states of two views: which of the touched rows it saw before, which
//! it sees now, and whether what it sees has changed otherwise.
//!
//! Row-level security may run anything, for any time, so this happens on connections of its own,
//! each identity under its own time limit, while the feed goes on. A reader is a pair of connections,
//! one for each state, and gives the views back as soon as its two transactions have found their
//! snapshots.

use super::{
    flight::{Sent, in_order},
    plan::Plan,
    states::{Asked, Rows, encoded, rows_statement, unreadable},
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

/// A connection for the state before, and one for the state after.
type Pair = [Connection; 2];

/// The connections on which is read as one identity or another.
#[derive(Debug)]
pub struct PersonalReaders {
    database: Database,
    // A std lock: held for a push or a pop.
    idle: Mutex<Vec<Pair>>,
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
        let pair = loop {
            match idle() {
                Some(pair) if pair.iter().any(|it| it.is_closed()) => {}
                Some(pair) => break pair,
                None => break [self.open().await?, self.open().await?],
            }
        };
        Ok(PersonalReader {
            pair: Some(pair),
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

/// A pair of connections on which is read as one identity.
#[derive(Debug)]
pub struct PersonalReader {
    pair: Option<Pair>,
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
        (before, after): (Arc<View>, Arc<View>),
        questions: &[Personal],
        limit: Duration,
    ) -> Result<Vec<Option<Seen>>> {
        let pair = self.pair.take().expect("it is there until it is used");
        let cancels = pair.each_ref().map(|it| it.cancel_token());
        let seeing = async {
            let half = |connection, view, state| Half {
                connection,
                plan,
                identity,
                view,
                state,
                limit,
            };
            let one = half(&pair[0], before, When::Before).see(questions);
            let other = half(&pair[1], after, When::After).see(questions);
            tokio::try_join!(one, other)
        };
        match tokio::time::timeout(limit + GRACE, seeing).await {
            Ok(Ok((before, after))) => {
                self.pair = Some(pair);
                let both = before.into_iter().zip(after);
                Ok(both.map(|(before, after)| seen(before?, after?)).collect())
            }
            Ok(Err(error)) => Err(error),
            Err(_) => {
                // The connections go; what runs on them in PostgreSQL is ended.
                let [one, other] = cancels;
                let cancelled =
                    async { tokio::join!(one.cancel_query(NoTls), other.cancel_query(NoTls)) };
                let _ = tokio::time::timeout(GRACE, cancelled).await;
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
        if let Some(pair) = self.pair.take() {
            let idle = self.readers.idle.lock();
            idle.unwrap_or_else(PoisonError::into_inner).push(pair);
        }
    }
}

/// Which of the two states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Before,
    After,
}

/// The reading in one of the two states.
struct Half<'a> {
    connection: &'a Connection,
    plan: &'a Plan,
    identity: &'a Identity,
    view: Arc<View>,
    state: When,
    limit: Duration,
}

/// The prepared statements of one question.
struct Prepared {
    keys: Statement,
    digest: Option<Statement>,
    encoder: RowEncoder,
}

/// What one half found: the rows, without their contents for the state before, and the digest.
struct Found {
    rows: Rows,
    digest: Digest,
}

impl Half<'_> {
    async fn see(self, questions: &[Personal]) -> Result<Vec<Option<Found>>> {
        let connection = self.connection;
        let settings = connection
            .statement(SETTINGS)
            .await
            .map_err(fault::unavailable)?;
        let mut prepared = Vec::with_capacity(questions.len());
        for question in questions {
            prepared.push(self.prepare(question).await?);
        }
        let timeout = self.limit.as_millis().to_string();
        let identity = self.identity;
        let session: [&(dyn ToSql + Sync); 4] =
            [&&*identity.role.0, &&*identity.claims, &timeout, &""];
        // No parameter can hold the organization of nobody, and no row is nobody's.
        let organization = match identity.organization.is_none() {
            true => "",
            false => &*identity.organization.0,
        };
        let parts: Vec<_> = questions.iter().map(|it| it.asked.parameters()).collect();
        let parameters: Vec<Parameters<'_>> = questions
            .iter()
            .zip(&parts)
            .map(|(it, parts)| Parameters::new(self.plan, it, parts, &organization))
            .collect();
        let name = self.view.exported().unwrap_or_default();
        let begin = format!(
            "begin isolation level repeatable read read only; set transaction snapshot '{name}'"
        );

        let entering = vec![
            simple(connection, &begin),
            query(connection, &settings, &session),
        ];
        let mut reading: Vec<Sent<'_, _>> = Vec::new();
        for (it, parameters) in prepared.iter().zip(&parameters) {
            let Some(it) = it else { continue };
            reading.push(simple(connection, MARK));
            reading.push(query(connection, &it.keys, &parameters.keys));
            reading.push(simple(connection, RELEASE));
            if let Some(digest) = &it.digest {
                reading.push(simple(connection, MARK));
                reading.push(query(connection, digest, &parameters.digest));
                reading.push(simple(connection, RELEASE));
            }
        }
        reading.push(simple(connection, "rollback"));
        let view = self.view;
        let entered = async {
            let answers = in_order(entering).await;
            // The snapshot has been found or never will be.
            drop(view);
            answers
        };
        let (entered, answers) = tokio::join!(biased; entered, in_order(reading));
        check(entered, identity)?;
        let mut answers = Answers(answers.into_iter());
        prepared
            .iter()
            .map(|it| answers.read(it.as_ref()))
            .collect()
    }

    /// `None`: the schema has moved on.
    async fn prepare(&self, question: &Personal) -> Result<Option<Prepared>> {
        let resource = &question.asked.resource;
        let texts = self.plan.texts(resource);
        let columns: &[usize] = match self.state {
            When::Before => &[],
            When::After => &question.columns,
        };
        let (sql, encoder) = rows_statement(self.plan, resource, columns, true);
        let statement = async |sql: &str| match self.connection.statement(sql).await {
            Ok(statement) => Ok(Some(statement)),
            Err(error) => unreadable(error).map(|()| None),
        };
        let digest = match question.compare {
            true => statement(&texts.digest).await?,
            false => None,
        };
        let fits = |it: &Statement| encoder.check(it.columns()).is_ok();
        let mut keys = statement(&sql).await?.filter(fits);
        if keys.is_none() {
            // Prepared for the table as it was before.
            self.connection.forget(&sql);
            keys = statement(&sql).await?.filter(fits);
        }
        let complete = question.compare == digest.is_some();
        Ok(keys.filter(|_| complete).map(|keys| Prepared {
            keys,
            digest,
            encoder,
        }))
    }
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

/// Whether the transaction is in its state and has the identity's role.
fn check(entered: Vec<Answer>, identity: &Identity) -> Result<()> {
    let mut entered = entered.into_iter();
    let mut next = || entered.next().unwrap_or(Ok(Vec::new()));
    next().map_err(fault::unavailable)?;
    let settings = next().map_err(refused)?;
    let role = settings.first().map(|row| row.get::<_, &str>("role"));
    match role == Some(&*identity.role.0) {
        true => Ok(()),
        false => Err(role_not_allowed()),
    }
}

/// The answers of a flight, in the order in which its statements were sent.
struct Answers(std::vec::IntoIter<Answer>);

impl Answers {
    fn next(&mut self) -> Answer {
        self.0.next().unwrap_or(Ok(Vec::new()))
    }

    /// What was found for one question; `None` if it could not be.
    fn read(&mut self, it: Option<&Prepared>) -> Result<Option<Found>> {
        let Some(it) = it else { return Ok(None) };
        let rows = self.one()?;
        let digest = match it.digest {
            Some(_) => self.one()?,
            None => Some(Vec::new()),
        };
        let (Some(rows), Some(digests)) = (rows, digest) else {
            return Ok(None);
        };
        let rows = encoded(&rows, &it.encoder);
        Ok(rows.map(|rows| Found {
            rows,
            digest: digest_of(&digests),
        }))
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

fn seen(before: Found, after: Found) -> Option<Seen> {
    Some(Seen {
        before: before.rows.into_iter().map(|(number, _)| number).collect(),
        after: after.rows,
        changed: before.digest != after.digest,
    })
}

type Digest = Option<(i64, Option<String>, Option<String>)>;

fn digest_of(rows: &[Row]) -> Digest {
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
