//! What is left of a slow reader's changes: the newest state of each row, then one `reset` per
//! resource.
//!
//! Owns how changes of one row become one. Knows nothing of readers and numbers.

use crate::{
    channel::batch::{self, Batch, Change, Entry, Filter, Variant},
    snapshot::{Position, Version},
    wire::{Events, event::Op},
};
use std::{collections::HashMap, sync::Arc};

/// Why a resource is reset when its changes outgrew the queue.
const LAGGED: &str = "lagged";

/// Why everything is reset for a reader that missed events.
pub(super) const GAP: &str = "gap";

/// What a change costs beside its texts, in the queue and on the wire alike.
const CHANGE_BYTES: usize = 192;

/// What a reset costs.
const RESET_BYTES: usize = 256;

/// Several batches as one: what changed between the start of the first and the end of the last.
#[derive(Debug)]
pub(super) struct Squashed {
    /// In the order of their last change; a change that was superseded leaves a hole.
    changes: Vec<Option<Arc<Change>>>,
    /// Where in `changes` a row is.
    rows: HashMap<(Arc<str>, Arc<str>), usize>,
    /// The bytes of each resource's changes.
    resources: HashMap<Arc<str>, usize>,
    /// Resources whose changes are void, and so are those that follow: the reset takes their version.
    resets: Vec<(Arc<str>, &'static str)>,
    /// Everything is void.
    everything: Option<&'static str>,
    bytes: usize,
    /// The end of the last batch.
    position: Position,
    /// The end of the last batch that told everything up to there.
    cursor: Option<Position>,
}

impl Squashed {
    /// Nothing yet, at this state.
    pub(super) fn new(position: Position) -> Self {
        Self {
            changes: Vec::new(),
            rows: HashMap::new(),
            resources: HashMap::new(),
            resets: Vec::new(),
            everything: None,
            bytes: 0,
            position,
            cursor: None,
        }
    }

    /// At most the bytes that it will have on the wire, and about those that it has in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The end of the last batch in it.
    pub(super) fn position(&self) -> &Position {
        &self.position
    }

    /// Whether it says nothing beyond this state, and resets nothing.
    pub(super) fn is_over_at(&self, version: Version) -> bool {
        self.position.version <= version && self.resets.is_empty() && self.everything.is_none()
    }

    /// Drops the changes if they say nothing beyond this state.
    pub(super) fn forget(&mut self, told: Version) {
        if self.position.version > told {
            return;
        }
        self.bytes -= self.resources.values().sum::<usize>();
        self.changes.clear();
        self.rows.clear();
        self.resources.clear();
        self.cursor = None;
    }

    /// Keeps only resets for reasons that no log tells; whether there are some.
    pub(super) fn keep_beyond_log(&mut self) -> bool {
        self.everything.take_if(|it| !batch::is_beyond_log(it));
        self.resets.retain(|it| batch::is_beyond_log(it.1));
        let everything = usize::from(self.everything.is_some()) * RESET_BYTES;
        let resets = self.resets.iter();
        let resets: usize = resets.map(|it| reset_bytes(&it.0)).sum();
        let changes: usize = self.resources.values().sum();
        self.bytes = everything + resets + changes;
        self.everything.is_some() || !self.resets.is_empty()
    }

    /// Adds a batch that follows the others.
    pub(super) fn add(&mut self, batch: &Batch, variant: Variant) {
        for entry in &batch.entries {
            match entry {
                _ if entry.is_transient() && !variant.transients => {}
                Entry::Reset {
                    resource: None,
                    reason,
                    ..
                } => self.reset_everything(reason),
                Entry::Reset {
                    resource: Some(resource),
                    reason,
                    ..
                } => self.reset(resource, reason),
                Entry::Change(change) => self.change(change),
            }
        }
        if batch.position.version >= self.position.version {
            self.position = batch.position.clone();
        }
        let newer = |it: &Position| it.version <= batch.position.version;
        if variant.cursor && self.cursor.as_ref().is_none_or(newer) {
            self.cursor = Some(batch.position.clone());
        }
    }

    /// Replaces changes by resets, the largest resource first, until no more than `bytes_max` are
    /// left.
    pub(super) fn shrink(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max && self.everything.is_none() {
            let largest = self.resources.iter().max_by_key(|(_, bytes)| **bytes);
            match largest.map(|(resource, _)| resource.clone()) {
                Some(resource) => self.reset(&resource, LAGGED),
                None => self.reset_everything(LAGGED),
            }
        }
    }

    /// The events for a reader, and up to where everything is told with the last of them.
    pub(super) fn encode(self, filter: Option<&Filter>) -> (Events, Option<Position>) {
        let resets = self
            .resets
            .into_iter()
            .map(|(resource, reason)| Entry::Reset {
                resource: Some(resource),
                reason,
                actions: Arc::default(),
                transient: false,
            });
        let everything = self.everything.map(|reason| Entry::Reset {
            resource: None,
            reason,
            actions: Arc::default(),
            transient: false,
        });
        let changes = self.changes.into_iter().flatten().map(Entry::Change);
        let admitted = |it: &Entry| filter.is_none_or(|filter| filter.admits(it.resource()));
        let entries: Vec<_> = everything
            .into_iter()
            .chain(resets)
            .chain(changes)
            .filter(admitted)
            .collect();
        let events = batch::encode(entries.iter(), &self.position, self.cursor.as_ref());
        (events, self.cursor)
    }

    fn change(&mut self, change: &Arc<Change>) {
        if self.everything.is_some() || self.resets.iter().any(|it| it.0 == change.resource) {
            return;
        }
        let row = (change.resource.clone(), change.key.clone());
        let at = self.changes.len();
        let merged = match self.rows.insert(row, at) {
            None => change.clone(),
            Some(before) => match self.changes[before].take() {
                None => change.clone(),
                Some(earlier) => {
                    self.discount(&earlier);
                    merged(&earlier, change)
                }
            },
        };
        let bytes = bytes(&merged);
        self.bytes += bytes;
        *self.resources.entry(merged.resource.clone()).or_default() += bytes;
        self.changes.push(Some(merged));
        self.compact();
    }

    fn discount(&mut self, change: &Change) {
        let bytes = bytes(change);
        self.bytes -= bytes;
        if let Some(of_resource) = self.resources.get_mut(&change.resource) {
            *of_resource -= bytes;
        }
    }

    fn reset(&mut self, resource: &Arc<str>, reason: &'static str) {
        if self.everything.is_some() || self.resets.iter().any(|it| it.0 == *resource) {
            return;
        }
        self.bytes -= self.resources.remove(resource).unwrap_or(0);
        self.rows.retain(|(of, _), _| of != resource);
        for slot in &mut self.changes {
            slot.take_if(|it| it.resource == *resource);
        }
        self.resets.push((resource.clone(), reason));
        self.bytes += reset_bytes(resource);
        self.compact();
    }

    fn reset_everything(&mut self, reason: &'static str) {
        self.changes.clear();
        self.rows.clear();
        self.resources.clear();
        self.resets.clear();
        self.everything.get_or_insert(reason);
        self.bytes = RESET_BYTES;
    }

    /// Closes the holes once they are as many as the changes.
    fn compact(&mut self) {
        if self.changes.len() < 16 || self.changes.len() < 2 * self.rows.len() {
            return;
        }
        self.changes.retain(Option::is_some);
        for (at, change) in self.changes.iter().flatten().enumerate() {
            let row = (change.resource.clone(), change.key.clone());
            self.rows.insert(row, at);
        }
    }
}

/// Two changes of one row as one, from the state before the earlier to the state of the newer.
fn merged(earlier: &Arc<Change>, later: &Arc<Change>) -> Arc<Change> {
    // What was read late may come late: the version decides which state is the newer one.
    let (earlier, later) = match later.version >= earlier.version {
        true => (earlier, later),
        false => (later, earlier),
    };
    let absent_before = earlier.op == Op::Insert || earlier.transient;
    let op = match later.op {
        Op::Insert | Op::Update if absent_before => Op::Insert,
        Op::Insert | Op::Update => Op::Update,
        // Told although the row was not there before: a request may have seen it in between.
        Op::Delete => Op::Delete,
        Op::Gone => Op::Gone,
    };
    Arc::new(Change {
        op,
        actions: earlier.actions.merged(&later.actions),
        transient: absent_before && !op.leaves_row(),
        resource: later.resource.clone(),
        key: later.key.clone(),
        version: later.version,
        row: later.row.clone(),
    })
}

/// At most the bytes of a reset of this resource; its name may have to be escaped.
fn reset_bytes(resource: &str) -> usize {
    RESET_BYTES + 2 * resource.len()
}

/// At most the bytes of the event; names and ids may have to be escaped.
fn bytes(change: &Change) -> usize {
    CHANGE_BYTES
        + 2 * change.resource.len()
        + change.key.len()
        + 2 * change.actions.bytes()
        + change.row.as_ref().map_or(0, |row| row.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{channel::batch::BatchBuilder, snapshot::Version, wire::event::Actions};
    use serde_json::Value;

    const TOLD: Variant = Variant {
        transients: true,
        cursor: true,
    };

    fn change(key: &str, op: Op, version: u64, transient: bool) -> Arc<Change> {
        Arc::new(Change {
            resource: "t".into(),
            key: key.into(),
            op,
            version: Version(version),
            actions: Actions::None,
            row: op
                .leaves_row()
                .then(|| format!("{{\"v\":{version}}}").into()),
            transient,
        })
    }

    fn at(version: u64) -> Position {
        Position {
            version: Version(version),
            cursor: format!("c{version}").into(),
        }
    }

    fn told(squashed: Squashed) -> Vec<Value> {
        let (events, _) = squashed.encode(None);
        events
            .iter()
            .map(|it| serde_json::from_slice(it).unwrap())
            .collect()
    }

    #[test]
    fn changes_of_one_row_become_the_difference_of_the_outer_states() {
        use Op::{Delete, Gone, Insert, Update};
        for (ops, expected) in [
            (&[Insert, Update][..], Insert),
            (&[Insert, Delete], Delete),
            (&[Insert, Delete, Insert], Insert),
            (&[Update, Update], Update),
            (&[Update, Delete], Delete),
            (&[Update, Gone], Gone),
            (&[Delete, Insert], Update),
            (&[Gone, Insert], Update),
            (&[Gone, Insert, Gone], Gone),
            (&[Gone, Delete], Delete),
        ] {
            let steps = ops
                .iter()
                .zip(1..)
                .map(|(op, v)| change("1", *op, v, false));
            let one = steps.reduce(|a, b| merged(&a, &b)).unwrap();
            assert_eq!(one.op, expected, "{ops:?}");
            assert_eq!(one.version, Version(ops.len() as u64));
            assert_eq!(one.row.is_some(), expected.leaves_row());
        }
        let came_back = merged(
            &change("1", Delete, 1, true),
            &change("1", Insert, 2, false),
        );
        assert_eq!(came_back.op, Insert);
    }

    #[test]
    fn a_state_that_was_read_late_does_not_overwrite_a_newer_one() {
        let late = merged(
            &change("1", Op::Update, 5, false),
            &change("1", Op::Insert, 3, false),
        );
        assert_eq!((late.op, late.version), (Op::Insert, Version(5)));
        assert_eq!(late.row.as_deref(), Some(&b"{\"v\":5}"[..]));
    }

    #[test]
    fn one_row_written_often_stays_one_change_with_the_last_cursor() {
        let mut squashed = Squashed::new(at(0));
        for version in 1..=1000 {
            let mut batch = BatchBuilder::new(Version(version - 1), at(version));
            batch.change(change("1", Op::Update, version, false));
            batch.change(change("2", Op::Update, version, false));
            squashed.add(&batch.build(), TOLD);
        }
        assert!(squashed.bytes() < 1000);
        assert!(squashed.changes.capacity() < 100);
        let told = told(squashed);
        assert_eq!(told.len(), 2);
        assert_eq!(told[1]["version"], 1000);
        assert_eq!(told[1]["cursor"], "c1000");
        assert!(told[0].get("cursor").is_none());
    }

    #[test]
    fn beyond_the_limit_the_largest_resource_is_reset_and_swallows_what_follows() {
        let mut squashed = Squashed::new(at(0));
        let mut batch = BatchBuilder::new(Version(0), at(1));
        for key in 0..100 {
            batch.change(change(&key.to_string(), Op::Update, 1, false));
        }
        batch.change(Change {
            resource: "small".into(),
            ..(*change("1", Op::Insert, 1, false)).clone()
        });
        squashed.add(&batch.build(), TOLD);
        squashed.shrink(1000);
        assert!(squashed.bytes() <= 1000);
        let mut batch = BatchBuilder::new(Version(1), at(2));
        batch.change(change("1", Op::Update, 2, false));
        squashed.add(&batch.build(), TOLD);
        let told = told(squashed);
        assert_eq!(told.len(), 2);
        assert_eq!(told[0]["type"], "reset");
        assert_eq!(told[0]["resource"], "t");
        assert_eq!(told[0]["reason"], "lagged");
        assert_eq!(told[0]["version"], 2);
        assert_eq!(told[1]["resource"], "small");
        assert_eq!(told[1]["cursor"], "c2");
    }
}
