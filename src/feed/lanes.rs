//! What is read for one identity only: rows behind row-level security.
//!
//! Each identity has a lane: a task that lives while there is something to read for it, so that it
//! hears of batches in order while everybody else goes on. [`Lanes::close`] ends them all. A lane
//! holds one piece of work besides the one that is being read: batches that come meanwhile are merged
//! into it, which is exact, since a batch is the difference of two states and two differences that
//! follow each other are one. What cannot be read in time becomes a `reset` of the resources
//! concerned, for this identity alone.

use super::{
    decide::belongs,
    touched::{TouchedKey, Writers, reason},
};
use crate::{
    catalog::Resource,
    channel::{BatchBuilder, Change, Hold},
    error::{Error, Kind, Result},
    identity::{Identity, IdentityKey},
    postgres::changelog::{
        Asked, Personal, PersonalReader, PersonalReaders, Plan, Seen, State, View,
    },
    snapshot::{Position, Version},
    wire::event::Op,
};
use bytes::Bytes;
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// Rows that wait in one lane; beyond, they are reset.
const ROWS_MAX: usize = 10_000;

/// Identities that were slow are remembered for so long, and share half of the connections.
const SLOW_FOR: Duration = Duration::from_secs(30);

/// All lanes.
#[derive(Debug)]
pub(super) struct Lanes {
    readers: Arc<PersonalReaders>,
    limit: Duration,
    // A std lock: held for a push or a pop.
    lanes: Mutex<HashMap<IdentityKey, Option<Job>>>,
    slow: Mutex<HashMap<IdentityKey, Instant>>,
    slow_permits: Semaphore,
    tasks: TaskTracker,
}

/// One batch for one identity.
#[derive(Debug)]
pub(super) struct Job {
    /// Keeps the identity's cursor where it is until this is told.
    pub(super) hold: Hold,
    pub(super) start: Version,
    pub(super) position: Position,
    pub(super) work: Work,
}

#[derive(Debug)]
pub(super) enum Work {
    /// To be read in these two states.
    Read {
        plan: Arc<Plan>,
        before: Arc<View>,
        after: Arc<View>,
        questions: Vec<Question>,
    },
    /// To be fetched again by the client.
    Reset(HashSet<Arc<str>>),
}

/// What is to be found out about one resource.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) resource: Arc<Resource>,
    /// The touched rows of the identity's organization.
    pub(super) rows: Arc<Vec<Known>>,
    /// The columns that the role may read; empty where rows are not told.
    pub(super) columns: Vec<usize>,
    /// Whether which other rows are seen may have changed, and if so, whether there was a state in
    /// between.
    pub(super) compare: Option<bool>,
}

/// A touched row, and what it was and is for those who see everything.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) touched: Arc<TouchedKey>,
    pub(super) before: State,
    pub(super) after: State,
}

impl Known {
    fn merge(&mut self, later: &Self) {
        let touched = Arc::make_mut(&mut self.touched);
        touched.actions = touched.actions.merged(&later.touched.actions);
        touched.writers = Writers::Several;
        self.after = later.after.clone();
    }
}

impl Lanes {
    pub(super) fn new(
        readers: Arc<PersonalReaders>,
        limit: Duration,
        slow_max: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            readers,
            limit,
            lanes: Mutex::default(),
            slow: Mutex::default(),
            slow_permits: Semaphore::new(slow_max),
            tasks: TaskTracker::new(),
        })
    }

    /// Takes a batch for an identity, behind what waits for it already.
    pub(super) fn push(self: &Arc<Self>, job: Job) {
        let key = job.hold.group().identity().key;
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        match lanes.get_mut(&key) {
            Some(pending) => {
                *pending = Some(match pending.take() {
                    Some(earlier) => earlier.merged(job),
                    None => job,
                });
            }
            None => {
                lanes.insert(key, Some(job));
                self.tasks.spawn(self.clone().run(key));
            }
        }
    }

    /// Gives back the views that waiting work keeps open: it becomes resets.
    pub(super) fn relieve(&self) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        for job in lanes.values_mut().flatten() {
            job.work.give_up();
        }
    }

    /// Waits until all lanes are empty, or drops what is in them at the end of the time.
    pub(super) async fn close(&self, limit: Duration) {
        self.tasks.close();
        let _ = tokio::time::timeout(limit, self.tasks.wait()).await;
        let lanes = self.lanes.lock();
        lanes.unwrap_or_else(PoisonError::into_inner).clear();
        self.readers.close(Duration::ZERO).await;
    }

    async fn run(self: Arc<Self>, key: IdentityKey) {
        // What waits may still grow or be given up while a connection is waited for.
        while let Some(needs_reader) = self.waiting(&key) {
            let slow = match needs_reader && self.is_slow(&key) {
                true => self.slow_permits.acquire().await.ok(),
                false => None,
            };
            let reader = match needs_reader {
                true => self.readers.reader().await.map(Some),
                false => Ok(None),
            };
            if let Some(job) = self.take(&key) {
                self.work(&key, job, reader).await;
            }
            drop(slow);
        }
    }

    /// Whether the work that waits has to be read; forgets the lane when there is none.
    fn waiting(&self, key: &IdentityKey) -> Option<bool> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let job = lanes.get(key).and_then(Option::as_ref);
        let needs_reader = job.map(|it| matches!(it.work, Work::Read { .. }));
        if needs_reader.is_none() {
            lanes.remove(key);
        }
        needs_reader
    }

    fn take(&self, key: &IdentityKey) -> Option<Job> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.get_mut(key).and_then(Option::take)
    }

    async fn work(&self, key: &IdentityKey, job: Job, reader: Result<Option<PersonalReader>>) {
        let identity = job.hold.group().identity().clone();
        let version = job.position.version;
        let mut batch = BatchBuilder::new(job.start, job.position);
        let (plan, before, after, questions) = match job.work {
            Work::Read {
                plan,
                before,
                after,
                questions,
            } => (plan, before, after, questions),
            Work::Reset(resources) => {
                for resource in resources {
                    batch.reset(Some(resource), reason::UNREADABLE);
                }
                job.hold.complete(&batch.build());
                return;
            }
        };
        let asked: Vec<Personal> = questions.iter().map(Question::asked).collect();
        let begun = Instant::now();
        let answers = match reader {
            Ok(Some(reader)) => {
                reader
                    .see(&plan, &identity, (before, after), &asked, self.limit)
                    .await
            }
            // A reset that became work again does not happen; nobody reads without a reader.
            Ok(None) => Err(Error::internal("a lane read without a connection")),
            Err(error) => Err(error),
        };
        self.judge(key, begun.elapsed());
        let answers = answers.unwrap_or_else(|error| {
            if error.kind() != Kind::StatementTimeout {
                tracing::warn!(%error, "rows of one identity could not be read again");
            }
            questions.iter().map(|_| None).collect()
        });
        for (question, answer) in questions.iter().zip(answers) {
            question.tell(answer, &identity, version, &mut batch);
        }
        if batch.is_empty() {
            drop(job.hold);
        } else {
            job.hold.complete(&batch.build());
        }
    }

    fn is_slow(&self, key: &IdentityKey) -> bool {
        let slow = self.slow.lock().unwrap_or_else(PoisonError::into_inner);
        slow.get(key).is_some_and(|until| *until > Instant::now())
    }

    fn judge(&self, key: &IdentityKey, took: Duration) {
        let mut slow = self.slow.lock().unwrap_or_else(PoisonError::into_inner);
        if took > self.limit / 8 {
            let now = Instant::now();
            slow.retain(|_, until| *until > now);
            slow.insert(*key, now + SLOW_FOR);
        }
    }
}

impl Job {
    /// This job and one that follows it, as one. The earlier hold stays, so that no cursor passes what
    /// has not been told.
    fn merged(self, later: Self) -> Self {
        let mut work = match (self.work, later.work) {
            (
                Work::Read {
                    plan,
                    before,
                    questions,
                    ..
                },
                Work::Read {
                    plan: later_plan,
                    after,
                    questions: later_questions,
                    ..
                },
            ) if Arc::ptr_eq(&plan, &later_plan) => Work::Read {
                plan,
                before,
                after,
                questions: merged(questions, later_questions),
            },
            (earlier, later) => Work::Reset(&earlier.resources() | &later.resources()),
        };
        if work.rows() > ROWS_MAX {
            work.give_up();
        }
        Self {
            hold: self.hold,
            start: self.start,
            position: later.position,
            work,
        }
    }
}

impl Work {
    fn give_up(&mut self) {
        *self = Self::Reset(self.resources());
    }

    fn resources(&self) -> HashSet<Arc<str>> {
        match self {
            Self::Reset(resources) => resources.clone(),
            Self::Read { questions, .. } => questions
                .iter()
                .map(|it| it.resource.name.clone())
                .collect(),
        }
    }

    fn rows(&self) -> usize {
        match self {
            Self::Reset(_) => 0,
            Self::Read { questions, .. } => questions.iter().map(|it| it.rows.len()).sum(),
        }
    }
}

fn merged(mut questions: Vec<Question>, later: Vec<Question>) -> Vec<Question> {
    for question in later {
        let same = |it: &&mut Question| it.resource.relation == question.resource.relation;
        match questions.iter_mut().find(same) {
            Some(earlier) => earlier.merge(question),
            None => questions.push(question),
        }
    }
    questions
}

impl Question {
    /// Takes in what was to be found out about the same resource a batch later. A row that is in one
    /// of the two only was the same at the other's ends.
    fn merge(&mut self, later: Self) {
        let mut places: HashMap<Vec<Arc<str>>, usize> = HashMap::new();
        for (place, known) in self.rows.iter().enumerate() {
            places.insert(known.touched.key.clone(), place);
        }
        let rows = Arc::make_mut(&mut self.rows);
        for known in later.rows.iter() {
            match places.get(&known.touched.key) {
                Some(place) => rows[*place].merge(known),
                None => rows.push(known.clone()),
            }
        }
        self.columns = later.columns;
        self.compare = match (self.compare, later.compare) {
            // Between the two batches there was a state.
            (Some(_), Some(_)) => Some(true),
            (one, other) => one.or(other),
        };
    }

    fn asked(&self) -> Personal {
        let keys = self.rows.iter().map(|it| it.touched.key.as_slice());
        Personal {
            asked: Asked::new(&self.resource, keys),
            columns: self.columns.clone(),
            compare: self.compare.is_some(),
        }
    }

    /// Adds what the identity is to hear.
    fn tell(
        &self,
        answer: Option<Seen>,
        identity: &Identity,
        version: Version,
        batch: &mut BatchBuilder,
    ) {
        let name = &self.resource.name;
        let Some(seen) = answer else {
            batch.reset(Some(name.clone()), reason::UNREADABLE);
            return;
        };
        if seen.changed {
            batch.reset(Some(name.clone()), reason::VISIBILITY);
            return;
        }
        let mut after: HashMap<usize, Bytes> = seen.after.into_iter().collect();
        let mut passed = self.compare == Some(true);
        for (number, known) in self.rows.iter().enumerate() {
            // Policies know nothing of organizations unless somebody wrote them so.
            let own = |state| belongs(&self.resource, state, &identity.organization.0);
            let saw = own(&known.before) && seen.before.contains(&number);
            let row = after.remove(&number).filter(|_| own(&known.after));
            let op = match (saw, row.is_some()) {
                (false, true) => Some(Op::Insert),
                (true, true) => Some(Op::Update),
                (true, false) if own(&known.after) => Some(Op::Gone),
                (true, false) => Some(Op::Delete),
                (false, false) => None,
            };
            match op {
                Some(op) => {
                    batch.change(Change {
                        resource: name.clone(),
                        key: known.after.id.clone(),
                        op,
                        version,
                        actions: known.touched.actions.clone(),
                        row: row.filter(|_| !self.columns.is_empty()),
                        transient: false,
                    });
                }
                None => passed |= known.touched.writers == Writers::Several,
            }
        }
        if passed {
            batch.transient_reset(name.clone(), reason::VISIBILITY);
        }
    }
}
