//! The one way in which anything is written: begin with the caller's role, take the action, do every
//! step, record the action, commit, read again.
//!
//! Knows nothing of what the steps are.

use super::{
    Applied, Written,
    attempt::{Next, Stop},
    step::{Step, Telling},
};
use crate::{
    error::{Error, Kind, Result},
    identity::Identity,
    postgres::{
        actions::{self, Found, Record, Taking},
        database::Inner,
        lease::Lease,
        session::{self, Failure, Looked, Recording, Settings},
        sql::Rendered,
    },
    query::Action,
};

/// How often a transaction is tried: when its connection turns out to be dead before anything ran, a
/// plan to be out of date, or when a row that it replaces comes or goes at the same moment.
const ATTEMPTS: usize = 4;

/// Several things to be done together, or one.
#[derive(Clone, Copy)]
pub(super) struct Transaction<'a> {
    pub(super) database: &'a Inner,
    pub(super) identity: &'a Identity,
    /// Its id travels into the change log; it is recorded, and done once.
    pub(super) action: Option<&'a Action>,
    /// At least one.
    pub(super) steps: &'a [Step<'a>],
    /// Whether an error names the step.
    pub(super) is_batch: bool,
}

/// How a try ended, if not by an error.
enum Attempt {
    Done(Vec<Applied>, Looked),
    /// It was done before.
    Repeated(Vec<Applied>, Looked),
    /// It was done, and undone again, as the caller asked.
    Undone(Vec<Applied>),
    /// Nothing happened, and the same may go through now.
    Again,
}

impl<'a> Transaction<'a> {
    /// Does it, or answers what was done before.
    pub(super) async fn run(self) -> Result<Vec<Written>> {
        for (place, step) in self.steps.iter().enumerate() {
            step.admit().map_err(|error| self.at(place, error))?;
        }
        let mut number = 1;
        loop {
            let last = number == ATTEMPTS;
            match self.attempt(last).await? {
                Attempt::Done(applied, looked) => return self.answer(applied, looked, false).await,
                Attempt::Repeated(applied, looked) => {
                    return self.answer(applied, looked, true).await;
                }
                Attempt::Undone(applied) => {
                    let how = Telling {
                        repeated: false,
                        present_only: false,
                    };
                    let told = self.steps.iter().zip(applied);
                    let told = told.map(|(step, applied)| step.answer(applied, None, how));
                    return Ok(told.collect());
                }
                Attempt::Again => number += 1,
            }
        }
    }

    /// Tries once, from the beginning to the commit; the `last` time there is no other try.
    async fn attempt(self, last: bool) -> Result<Attempt> {
        let first = self.steps.first().map(|it| it.question()).transpose();
        let mut question = first.map_err(|error| self.at(0, error))?.flatten();
        let taking = match self.action {
            Some(action) => Some(Taking::new(self.database.signer()?, self.identity, action)),
            None => None,
        };
        let mut lease = self.database.lease(&self.database.plain, None).await?;
        let begun =
            session::begin_write(&mut lease, self.settings(), taking, question.as_ref()).await;
        let begun = match begun {
            Ok(begun) => begun,
            Err(Failure::Stale(_) | Failure::Outdated(_)) if !last => return Ok(Attempt::Again),
            Err(failure) => return Err(failure.into()),
        };
        match begun.found {
            Found::Free => {}
            found => {
                session::roll_back(&mut lease).await;
                return match found {
                    Found::Done(record) => self.repeat(lease, record).await,
                    Found::Another => Err(actions::another()),
                    Found::Free | Found::InFlight => Err(actions::in_flight()),
                };
            }
        }
        let mut answered = begun.answered;
        let mut applied = Vec::with_capacity(self.steps.len());
        for (place, step) in self.steps.iter().enumerate() {
            let done = async {
                if place > 0 {
                    question = step.question()?;
                }
                step.run(&lease, question.as_ref(), answered.take()).await
            };
            let stop = match done.await {
                Ok(done) => {
                    applied.push(done);
                    match self.too_much(&applied) {
                        None => continue,
                        Some(error) => Stop::Final(error),
                    }
                }
                Err(stop) => stop,
            };
            session::roll_back(&mut lease).await;
            // The connection is given back before another one may be asked for.
            drop(lease);
            let next = step.stopped(stop, last).await;
            return match next.map_err(|error| self.at(place, error))? {
                Next::Again => Ok(Attempt::Again),
            };
        }
        if self.steps.iter().any(|it| it.is_rehearsal()) {
            // What a commit would have refused is refused all the same.
            let checked = lease.batch_execute("set constraints all immediate").await;
            session::roll_back(&mut lease).await;
            drop(lease);
            return match checked {
                Ok(()) => Ok(Attempt::Undone(applied)),
                Err(error) => Err(self.explain(error).await),
            };
        }
        let queries = self.then(&applied)?;
        let written = self.record(&applied).text();
        let recording = taking
            .zip(begun.prepared.as_ref())
            .map(|(taking, prepared)| Recording {
                taking,
                prepared,
                written: &written,
            });
        let wake = || self.database.committed.notify_one();
        let settings = self.reading();
        match session::commit_and_read(&mut lease, settings, recording, &queries, wake).await {
            Ok(looked) => Ok(Attempt::Done(applied, looked)),
            Err(error) => {
                drop(lease);
                // A deferred constraint; or a connection that broke, and then nobody knows, unless
                // there is an action: asking again tells.
                Err(self.explain(error).await)
            }
        }
    }

    /// Reads again what was done before.
    async fn repeat(self, mut lease: Lease, record: Record) -> Result<Attempt> {
        let mut applied: Vec<Applied> = record.writes.into_iter().map(Applied::from).collect();
        applied.resize_with(self.steps.len(), Applied::default);
        let queries = self.then(&applied)?;
        let looked = session::read_each(&mut lease, self.reading(), &queries).await;
        Ok(Attempt::Repeated(applied, looked))
    }

    /// What the caller is told. What fails here no longer undoes anything: the answer is then the rows
    /// as they were written, without a position.
    async fn answer(
        self,
        applied: Vec<Applied>,
        looked: Looked,
        repeated: bool,
    ) -> Result<Vec<Written>> {
        let looked = match looked {
            Err(Failure::Stale(_) | Failure::Outdated(_)) => self.look(&applied).await,
            looked => looked,
        };
        // Planned before the schema changed, and read behind it: such rows must not have a version, by
        // which they would win over right ones. The write stands, so they are told as they were written.
        let current = || self.steps.iter().try_for_each(|it| it.is_current());
        let looked = looked.and_then(|seen| current().map_err(Failure::Final).map(|()| seen));
        let seen = match looked {
            Ok((snapshot, rows)) => Some((self.database.signer()?.position(&snapshot), rows)),
            Err(failure) if repeated => return Err(failure.into()),
            Err(failure) => {
                let error = Error::from(failure);
                tracing::warn!(%error, "rows that were written could not be read again");
                None
            }
        };
        let (position, rows) = seen.unzip();
        let mut rows = rows.unwrap_or_default().into_iter();
        let how = Telling {
            repeated,
            present_only: repeated || self.is_batch,
        };
        let answers = self.steps.iter().zip(applied).map(|(step, applied)| {
            let seen = position.clone().zip(rows.next());
            step.answer(applied, seen, how)
        });
        Ok(answers.collect())
    }

    /// Reads again on another connection.
    async fn look(self, applied: &[Applied]) -> Looked {
        let queries = self.then(applied).map_err(Failure::Final)?;
        let lease = self.database.lease(&self.database.plain, None).await;
        let mut lease = lease.map_err(Failure::Final)?;
        session::read_each(&mut lease, self.reading(), &queries).await
    }

    /// What is to be read once everything is committed.
    fn then(self, applied: &[Applied]) -> Result<Vec<Rendered>> {
        let steps = self.steps.iter().zip(applied);
        steps.map(|(step, applied)| step.then(applied)).collect()
    }

    /// What is recorded with the action; nothing without one.
    fn record(self, applied: &[Applied]) -> Record {
        let steps = self.steps.iter().zip(applied);
        let did = steps.filter(|_| self.action.is_some());
        Record {
            writes: did.map(|(step, applied)| step.did(applied)).collect(),
        }
    }

    /// Whether the steps together wrote more than an answer may hold; each by itself has seen to that.
    fn too_much(self, applied: &[Applied]) -> Option<Error> {
        let rows = applied.iter().filter_map(|it| it.rows.as_ref()).flatten();
        let bytes_max = self.database.answer_bytes_max;
        let is_more = self.is_batch && rows.map(String::len).sum::<usize>() > bytes_max;
        is_more.then(|| super::refusal::answer_too_large(bytes_max))
    }

    /// What an error of the commit's means.
    async fn explain(self, error: tokio_postgres::Error) -> Error {
        let concerned = error.as_db_error().and_then(|database| {
            let mut steps = self.steps.iter();
            steps.position(|step| step.concerns(database))
        });
        let Some(step) = self.steps.get(concerned.unwrap_or(0)) else {
            return Error::internal("a transaction without a step");
        };
        let error = step.explain(error).await;
        match concerned {
            Some(place) => self.at(place, error),
            None => error,
        }
    }

    /// An error of one step's.
    fn at(self, place: usize, error: Error) -> Error {
        match self.is_batch && error.kind() != Kind::Internal {
            true => error.with_index(place),
            false => error,
        }
    }

    fn settings(self) -> Settings<'a> {
        Settings {
            identity: self.identity,
            statement_timeout: self.database.statement_timeout,
            action: self.action.map_or("", |it| it.id.as_str()),
            time_zone: None,
        }
    }

    /// The settings of the transaction behind the commit.
    fn reading(self) -> Settings<'a> {
        Settings {
            action: "",
            ..self.settings()
        }
    }
}
