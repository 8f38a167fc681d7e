//! Batches: what changed between two states of the database, as one value for all who may see it.
//!
//! Owns their shape and their encoding, which is done once and shared by every channel. Knows
//! neither where changes come from nor who gets them.

use crate::{
    snapshot::{Position, Version},
    wire::{
        Events,
        event::{self, Actions, Op},
    },
};
use bytes::{Bytes, BytesMut};
use std::sync::{Arc, OnceLock};

/// One change of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The row's resource.
    pub resource: Arc<str>,
    /// The row's key as JSON: a number, a string, or an array for a composite key.
    pub key: Arc<str>,
    /// What happened to the row.
    pub op: Op,
    /// The state in which the row is as told.
    pub version: Version,
    /// Who did it.
    pub actions: Actions,
    /// The whole row as one JSON object without line breaks; `None` for a row that is not told.
    pub row: Option<Bytes>,
    /// The row came and went within the batch: a `delete` of what was not there at the start, for
    /// those who looked in between. Anybody may have, at a plain answer.
    pub transient: bool,
}

/// What a batch says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A row changed.
    Change(Arc<Change>),
    /// What the reader holds of a resource, or of everything, is void.
    Reset {
        /// Of which resource; `None`: of everything.
        resource: Option<Arc<str>>,
        /// A word of the protocol's, e.g. `truncated`.
        reason: &'static str,
        /// The actions that did all of it, where that is known: whoever knows what they did need not
        /// fetch it. Otherwise none.
        actions: Arc<[Arc<str>]>,
        /// Told only to channels whose readers may have seen what is void now: at a request, a replay
        /// or a plain answer whose snapshot lies inside the batch.
        transient: bool,
    },
}

impl Entry {
    /// The resource that it concerns; `None`: everything.
    pub fn resource(&self) -> Option<&Arc<str>> {
        match self {
            Entry::Change(change) => Some(&change.resource),
            Entry::Reset { resource, .. } => resource.as_ref(),
        }
    }

    pub(super) fn is_transient(&self) -> bool {
        match self {
            Entry::Change(_) => false,
            Entry::Reset { transient, .. } => *transient,
        }
    }

    /// Appends the event. Only a change carries the channel's cursor; a reset's own names the state
    /// that it belongs to.
    fn write(&self, out: &mut BytesMut, position: &Position, cursor: Option<&Position>) {
        match self {
            Entry::Change(change) => change.write(out, cursor),
            Entry::Reset {
                resource,
                reason,
                actions,
                ..
            } => {
                event::reset(out, resource.as_deref(), reason, actions, position);
            }
        }
    }
}

impl Change {
    fn write(&self, out: &mut BytesMut, cursor: Option<&Position>) {
        event::Change {
            op: self.op,
            resource: &self.resource,
            key: &self.key,
            version: self.version,
            actions: &self.actions,
            row: self.row.as_deref(),
            cursor: cursor.map(|it| &*it.cursor),
        }
        .write(out);
    }
}

/// The resources whose changes an attachment wants. Resets of everything pass always.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter(Arc<[Arc<str>]>);

impl Filter {
    pub(super) fn new(resources: Vec<Arc<str>>) -> Self {
        Self(resources.into())
    }

    pub(super) fn admits(&self, resource: Option<&Arc<str>>) -> bool {
        resource.is_none_or(|resource| self.0.contains(resource))
    }
}

/// Which of a batch's encodings a channel gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Variant {
    /// With the resets for those who looked meanwhile.
    pub(super) transients: bool,
    /// With the cursor: everything up to the batch's end was told.
    pub(super) cursor: bool,
}

/// The difference of two states of the database for one audience. Queued whole, never split.
#[derive(Debug)]
pub struct Batch {
    /// The state at its end.
    pub position: Position,
    /// The version of the state at its start.
    pub start: Version,
    /// What happened; resets come first, so that a change can carry the cursor last.
    pub entries: Vec<Entry>,
    /// Each resource once, `None` for a reset of everything.
    resources: Vec<Option<Arc<str>>>,
    has_transients: bool,
    /// Encoded when the first channel needs it, and the same bytes for all that follow.
    encoded: [OnceLock<Events>; 4],
}

impl Batch {
    /// All of its events, for one reader alone; `cursor`: the last change carries it. `false` if no
    /// event could.
    pub fn encoded(&self, cursor: bool) -> (Events, bool) {
        let variant = Variant {
            transients: true,
            cursor,
        };
        let told = cursor && matches!(self.entries.last(), Some(Entry::Change(_)));
        (self.encode(variant, |_| true), told)
    }

    /// Whether it says something that the log does not: that a shape has changed, or that something
    /// could not be read.
    pub(super) fn says_more_than_the_log(&self) -> bool {
        let beyond = |it: &Entry| match it {
            Entry::Reset { reason, .. } => is_beyond_log(reason),
            Entry::Change(_) => false,
        };
        self.entries.iter().any(beyond)
    }

    /// The batch without its changes.
    pub(super) fn resets_only(&self) -> Arc<Batch> {
        let mut builder = BatchBuilder::new(self.start, self.position.clone());
        let resets = self.entries.iter();
        builder.resets = resets
            .filter(|it| matches!(it, Entry::Reset { .. }))
            .cloned()
            .collect();
        builder.build()
    }

    /// The events of this variant, encoded once.
    pub(super) fn events(&self, variant: Variant) -> &Events {
        let transients = variant.transients && self.has_transients;
        let slot = usize::from(transients) * 2 + usize::from(variant.cursor);
        self.encoded[slot].get_or_init(|| self.encode(variant, |_| true))
    }

    /// Whether all, some or none of the entries pass the filter.
    pub(super) fn matching(&self, filter: &Filter) -> Matching {
        let admitted = |it: &&Option<Arc<str>>| filter.admits(it.as_ref());
        match self.resources.iter().filter(admitted).count() {
            0 => Matching::None,
            all if all == self.resources.len() => Matching::All,
            _ => Matching::Some,
        }
    }

    /// The events that pass the filter, the last change among them carrying the cursor.
    pub(super) fn filtered(&self, variant: Variant, filter: &Filter) -> Events {
        self.encode(variant, |entry| filter.admits(entry.resource()))
    }

    fn encode(&self, variant: Variant, wanted: impl Fn(&Entry) -> bool) -> Events {
        let passes =
            |entry: &&Entry| (variant.transients || !entry.is_transient()) && wanted(entry);
        let cursor = variant.cursor.then_some(&self.position);
        encode(self.entries.iter().filter(passes), &self.position, cursor)
    }
}

/// Encodes entries, the last of them carrying the cursor if it is a change. Resets name the state
/// `position`.
pub(super) fn encode<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    position: &Position,
    cursor: Option<&Position>,
) -> Events {
    let mut out = BytesMut::new();
    let mut ends = Vec::new();
    let mut entries = entries.peekable();
    while let Some(entry) = entries.next() {
        let last = entries.peek().is_none();
        entry.write(&mut out, position, cursor.filter(|_| last));
        ends.push(u32::try_from(out.len()).expect("a batch of fewer than 4 GiB"));
    }
    // An allocation of the exact size: it may stay for as long as the slowest replay window.
    Events::new(Bytes::from(out.to_vec().into_boxed_slice()), &ends)
}

/// Why something is reset of which the log may say nothing, so that no replay tells of it.
const REASONS_BEYOND_LOG: [&str; 2] = ["schema", "unreadable"];

/// Whether a reset for this reason may be for something of which the log says nothing.
pub(super) fn is_beyond_log(reason: &str) -> bool {
    REASONS_BEYOND_LOG.contains(&reason)
}

/// How much of a batch passes a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Matching {
    None,
    Some,
    All,
}

/// Collects a batch.
#[derive(Debug)]
pub struct BatchBuilder {
    start: Version,
    position: Position,
    resets: Vec<Entry>,
    changes: Vec<Entry>,
}

impl BatchBuilder {
    /// A batch from the state of version `start` to `position`.
    pub fn new(start: Version, position: Position) -> Self {
        Self {
            start,
            position,
            resets: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// Adds a change; each row at most once.
    pub fn change(&mut self, change: impl Into<Arc<Change>>) -> &mut Self {
        self.changes.push(Entry::Change(change.into()));
        self
    }

    /// Adds a reset of a resource, or of everything.
    pub fn reset(&mut self, resource: Option<Arc<str>>, reason: &'static str) -> &mut Self {
        self.resets.push(Entry::Reset {
            resource,
            reason,
            actions: Arc::default(),
            transient: false,
        });
        self
    }

    /// Adds a reset of a resource that names the actions by which it changed, all of them.
    pub fn reset_by(
        &mut self,
        resource: Arc<str>,
        reason: &'static str,
        actions: Arc<[Arc<str>]>,
    ) -> &mut Self {
        self.resets.push(Entry::Reset {
            resource: Some(resource),
            reason,
            actions,
            transient: false,
        });
        self
    }

    /// Adds a reset for those only who may have seen what was there within the batch, where a
    /// deletion would tell of a row that they may not know of.
    pub fn transient_reset(&mut self, resource: Arc<str>, reason: &'static str) -> &mut Self {
        self.resets.push(Entry::Reset {
            resource: Some(resource),
            reason,
            actions: Arc::default(),
            transient: true,
        });
        self
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.resets.is_empty() && self.changes.is_empty()
    }

    /// The batch, to be pushed to as many groups as it is for.
    pub fn build(self) -> Arc<Batch> {
        let mut entries = self.resets;
        entries.extend(self.changes);
        let mut resources: Vec<_> = Vec::new();
        for entry in &entries {
            let resource = entry.resource().cloned();
            if !resources.contains(&resource) {
                resources.push(resource);
            }
        }
        Arc::new(Batch {
            has_transients: entries.iter().any(Entry::is_transient),
            position: self.position,
            start: self.start,
            entries,
            resources,
            encoded: Default::default(),
        })
    }
}

#[cfg(test)]
mod tests;
