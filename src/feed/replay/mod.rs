//! One replay: what an identity missed since the state that it holds, told in one later state.
//!
//! The state that it holds can no longer be read, so the log says which rows were touched, and what
//! is there of them now is read. A row that is gone is told as a deletion wherever the log says that
//! it was the organization's, also if it came after that state: somebody may have asked for it in
//! between, and to delete what one does not hold is nothing. Where row-level security hides rows, a
//! row that is not seen may have been deleted, hidden, or never seen: to say which would tell what the
//! identity may not know, so the resource is reset.
//!
//! Nothing here is larger than a page of keys with their rows (`page.rs`).

mod page;

use super::{
    replays::{Progress, Replays},
    rights::{allowed, readable},
    touched::reason,
};
use crate::{
    catalog::{Access, Announce, Oid, Resource, Tenancy},
    channel::{Batch, BatchBuilder, Change, ReplayLane},
    error::Result,
    identity::Identity,
    postgres::changelog::{
        Concern, Hint, Meaning, Missed, Moves, Owner, Plan, Readers, View, Wanted,
    },
    snapshot::{Position, Snapshot},
};
use page::Page;
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

/// Keys in the first page, and at least and at most in the following ones.
const KEYS_FIRST: usize = 50;
const KEYS: (usize, usize) = (4, 2_000);

/// Bytes of events that a page should have.
const PAGE_BYTES: usize = 256 << 10;

/// How many values are looked up to find out whom an entry concerns; beyond, everybody.
const LOOKED_UP_MAX: usize = 10_000;

/// How a replay went.
#[derive(Debug)]
pub(super) enum Outcome {
    /// All was told but this, which comes last.
    Told(Arc<Batch>),
    /// Everything that the reader holds is void, for this reason.
    Void(&'static str),
}

/// What is to be told of one resource.
#[derive(Debug, Clone)]
pub(super) enum Todo {
    /// The rows that entries of these relations name.
    Rows(Arc<Resource>, Vec<Oid>),
    /// To be fetched again, for this reason.
    Reset(Arc<Resource>, &'static str),
}

impl Todo {
    pub(super) fn name(&self) -> &Arc<str> {
        match self {
            Self::Rows(resource, _) | Self::Reset(resource, _) => &resource.name,
        }
    }
}

/// A replay that is being told.
pub(super) struct Replay<'a> {
    pub(super) replays: &'a Replays,
    pub(super) readers: &'a Arc<Readers>,
    pub(super) lane: &'a ReplayLane,
}

impl Replay<'_> {
    /// Tells all but the last, which is returned.
    ///
    /// # Errors
    /// `DatabaseUnavailable`; what ends the lane.
    pub(super) async fn tell(&self, progress: &mut Progress) -> Result<Outcome> {
        let wanted = Wanted {
            log: true,
            ..Wanted::default()
        };
        let view = Reading(self.readers.look(wanted).await?.view, false);
        let outcome = self.tell_in(&view.0, progress).await;
        view.done();
        outcome
    }

    async fn tell_in(&self, view: &View, progress: &mut Progress) -> Result<Outcome> {
        let replays = self.replays;
        let identity = self.lane.identity();
        let cursor = &self.lane.since().cursor;
        let Ok(since) = replays.signer.read(cursor, view.snapshot()) else {
            return Ok(Outcome::Void(reason::CURSOR_INVALID));
        };
        let organization = match identity.organization.is_none() {
            true => "",
            false => &*identity.organization.0,
        };
        let missed = view.missed(&since, organization);
        if !missed.is_whole().await? {
            return Ok(Outcome::Void(reason::CURSOR_EXPIRED));
        }
        let (plan, unsettled) = replays.current.get();
        let access = replays
            .database
            .access_to(plan.catalog(), &identity.role)
            .await?;
        let telling = Telling {
            lane: self.lane,
            identity,
            access: &access,
            plan: &plan,
            unsettled: &unsettled,
            view,
            missed: &missed,
            since: &since,
            position: replays.signer.position(view.snapshot()),
            policy_limit: Duration::from_millis(replays.config.feed.policy_timeout_ms),
        };
        let entries_max = replays.config.feed.replay_changes_max;
        let Some(todos) = telling.todos(entries_max).await? else {
            return Ok(Outcome::Void(reason::TOO_MANY));
        };
        progress.position = Some(telling.position.clone());
        progress.open = todos;
        let mut last = None;
        while let Some(todo) = progress.open.last().cloned() {
            progress.held = last.as_ref().map(|it: &Change| it.resource.clone());
            telling.todo(&todo, &mut last).await?;
            progress.open.pop();
        }
        let mut end = telling.batch();
        if let Some(change) = last {
            end.change(change);
        }
        Ok(Outcome::Told(end.build()))
    }
}

/// A view whose statement is ended if it is dropped while one runs.
struct Reading(View, bool);

impl Reading {
    fn done(mut self) {
        self.1 = true;
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if !self.1 {
            self.0.interrupt();
        }
    }
}

/// What telling takes.
struct Telling<'a> {
    lane: &'a ReplayLane,
    identity: &'a Arc<Identity>,
    access: &'a Access,
    plan: &'a Arc<Plan>,
    unsettled: &'a HashSet<Oid>,
    view: &'a View,
    missed: &'a Missed<'a>,
    since: &'a Snapshot,
    position: Position,
    policy_limit: Duration,
}

impl Telling<'_> {
    fn batch(&self) -> BatchBuilder {
        BatchBuilder::new(self.since.version(), self.position.clone())
    }

    /// Whether the reader is to hear of the resource.
    fn concerns(&self, resource: &Arc<Resource>) -> bool {
        self.lane.wants(&resource.name) && allowed(self.access, resource).is_some()
    }

    /// What is to be told, the last first; `None` if it is too much.
    async fn todos(&self, entries_max: u64) -> Result<Option<Vec<Todo>>> {
        let followed = self.plan.followed();
        let relations: Vec<Oid> = followed
            .filter(|(_, concerns)| concerns.iter().any(|it| self.concerns(&it.resource)))
            .map(|(relation, _)| relation)
            .collect();
        let kinds = self.missed.kinds(&relations, entries_max + 1).await?;
        if kinds.entries > entries_max {
            return Ok(None);
        }
        let mut todos: BTreeMap<Arc<str>, Todo> = BTreeMap::new();
        for (relation, hint) in kinds.kinds {
            for concern in self.plan.concerns(relation) {
                if !self.concerns(&concern.resource) {
                    continue;
                }
                let resource = concern.resource.clone();
                let name = resource.name.clone();
                match self.reset_by(relation, hint, concern).await? {
                    Some(reason) => {
                        todos.insert(name, Todo::Reset(resource, reason));
                    }
                    None if concern.meaning == Meaning::Row => {
                        let todo = todos
                            .entry(name)
                            .or_insert_with(|| Todo::Rows(resource, Vec::new()));
                        if let Todo::Rows(_, relations) = todo
                            && !relations.contains(&relation)
                        {
                            relations.push(relation);
                        }
                    }
                    None => {}
                }
            }
        }
        let mut todos: Vec<Todo> = todos.into_values().collect();
        // Rows that belong to an organization through others come after those, which may have moved.
        todos.sort_by_key(|it| match it {
            Todo::Rows(resource, _) if matches!(resource.tenancy, Tenancy::Via { .. }) => 0,
            Todo::Rows(..) => 1,
            Todo::Reset(..) => 2,
        });
        Ok(Some(todos))
    }

    /// Whether entries of this kind mean that the resource has to be fetched again.
    async fn reset_by(
        &self,
        relation: Oid,
        hint: Hint,
        concern: &Concern,
    ) -> Result<Option<&'static str>> {
        let resource = &concern.resource;
        if hint == Hint::Shape || self.unsettled.contains(&relation) {
            return Ok(Some(reason::SCHEMA));
        }
        let told_by_rows = concern.meaning == Meaning::Row
            && resource.announce != Announce::Resource
            && hint.is_of_a_row()
            && allowed(self.access, resource).is_some_and(|it| readable(resource, it));
        if told_by_rows {
            return Ok(None);
        }
        let reason = match (concern.meaning, hint) {
            // What it saw before can no longer be compared with what it sees now.
            (Meaning::Visibility, _) => reason::VISIBILITY,
            (_, Hint::Truncate) => reason::TRUNCATED,
            _ => reason::CHANGED,
        };
        let ours = match concern.owner {
            Owner::Reference { target, column } if hint != Hint::Truncate => {
                self.refers_to_ours(relation, target, column).await?
            }
            // Entries of other organizations were left out.
            _ => true,
        };
        Ok(ours.then_some(reason))
    }

    /// Whether some entry of the relation refers to a row of the organization's.
    async fn refers_to_ours(&self, relation: Oid, target: Oid, column: i16) -> Result<bool> {
        let values = self.missed.references(&[relation], LOOKED_UP_MAX).await?;
        let Some(values) = values else {
            return Ok(true);
        };
        let owners = self.owners(target, column, values).await?;
        let own = &*self.identity.organization.0;
        Ok(owners.values().flatten().any(|it| **it == *own))
    }

    /// Tells what is to be told of one resource; the last change is held back in `last`.
    async fn todo(&self, todo: &Todo, last: &mut Option<Change>) -> Result<()> {
        let (resource, relations) = match todo {
            Todo::Rows(resource, relations) => (resource, relations),
            Todo::Reset(resource, reason) => return self.reset(resource, reason).await,
        };
        let by_column = matches!(resource.tenancy, Tenancy::Column(_));
        let moves = match by_column {
            true => self.missed.moves(relations, LOOKED_UP_MAX).await?,
            false => Some(Moves::new()),
        };
        if moves.as_ref().is_none_or(|it| !it.is_empty()) {
            for dependent in self.plan.dependents(resource) {
                if self.concerns(dependent) {
                    self.reset(dependent, reason::MOVED).await?;
                }
            }
        }
        let moves = moves.unwrap_or_default();
        self.missed.open_keys(relations).await?;
        let mut count = KEYS_FIRST;
        loop {
            let keys = self.missed.keys(count).await?;
            if keys.is_empty() {
                break;
            }
            let changes = match self.page(resource, keys, &moves).await? {
                Page::Changes(changes) => changes,
                Page::Reset(reason) => {
                    self.reset(resource, reason).await?;
                    break;
                }
            };
            let mut page = self.batch();
            for change in changes {
                if let Some(earlier) = last.replace(change) {
                    page.change(earlier);
                }
            }
            if !page.is_empty() {
                let (events, _) = page.build().encoded(false);
                let each = events.bytes().len() / events.count().max(1);
                count = (PAGE_BYTES / each.max(1)).clamp(KEYS.0, KEYS.1);
                self.lane.send(events).await?;
            }
        }
        self.missed.close_keys().await
    }

    async fn reset(&self, resource: &Arc<Resource>, reason: &'static str) -> Result<()> {
        let mut batch = self.batch();
        batch.reset(Some(resource.name.clone()), reason);
        self.lane.send(batch.build().encoded(false).0).await
    }
}
