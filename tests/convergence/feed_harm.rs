//! Harm done between the feed and the channels: a broker that changes what is announced before it
//! passes it on.

use super::harm::{Harm, ONE_IN, is_fair_game};
use bytes::Bytes;
use rowcast::{
    broker::{Address, Broker, Local},
    channel::{Batch, BatchBuilder, Change, Entry, Hub},
    identity::OrganizationId,
    wire::event::Op,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

/// A broker that does one kind of harm while it is armed.
#[derive(Debug)]
pub(super) struct HarmfulBroker {
    local: Local,
    state: Arc<Mutex<State>>,
}

/// What is to be done, and what was seen for that. Audiences are told apart, since each has its own
/// batches.
#[derive(Debug, Default)]
pub(super) struct State {
    armed: Option<Harm>,
    offset: u64,
    changes: u64,
    /// Of each audience and row, the last row that was told.
    before: HashMap<(String, String), Bytes>,
    /// What waits to be swapped, by audience.
    waiting: HashMap<String, Arc<Batch>>,
    /// How often harm was done.
    pub(super) done: u64,
    /// How many changes of each resource the feed has announced.
    announced: HashMap<Arc<str>, usize>,
}

impl State {
    pub(super) fn arm(&mut self, harm: Option<Harm>, seed: u64) {
        *self = Self {
            armed: harm,
            offset: seed % ONE_IN,
            announced: std::mem::take(&mut self.announced),
            ..Self::default()
        };
    }

    /// How many changes of a resource the feed has announced so far.
    pub(super) fn announced(&self, resource: &str) -> usize {
        self.announced.get(resource).copied().unwrap_or(0)
    }
}

impl HarmfulBroker {
    pub(super) fn new(hub: Arc<Hub>, state: &Arc<Mutex<State>>) -> Self {
        Self {
            local: Local::new(hub),
            state: state.clone(),
        }
    }
}

impl Broker for HarmfulBroker {
    fn publish(&self, to: &Address, batch: &Arc<Batch>) {
        let batches = {
            let mut state = self.state.lock().unwrap();
            for entry in &batch.entries {
                if let Entry::Change(change) = entry {
                    *state.announced.entry(change.resource.clone()).or_default() += 1;
                }
            }
            state.harm(to, batch)
        };
        for (to, batch) in batches {
            self.local.publish(&to, &batch);
        }
    }
}

impl State {
    fn harm(&mut self, to: &Address, batch: &Arc<Batch>) -> Vec<(Address, Arc<Batch>)> {
        let unharmed = || vec![(to.clone(), batch.clone())];
        let Some(harm) = self.armed else {
            return unharmed();
        };
        match harm {
            Harm::Misdirected => {
                let mut all = unharmed();
                if let Address::Role(organization, role) = to {
                    let other = if &*organization.0 == "1" { "2" } else { "1" };
                    let other = Address::Role(OrganizationId::from(other), role.clone());
                    self.done += 1;
                    all.push((other, batch.clone()));
                }
                all
            }
            Harm::DoneTooEarly if batch.entries.len() > 1 => {
                self.done += 1;
                let half = batch.entries.len() / 2;
                [&batch.entries[..half], &batch.entries[half..]]
                    .map(|entries| (to.clone(), rebuilt(batch, entries.iter().cloned())))
                    .into()
            }
            Harm::Swapped => self.swap(to, batch),
            _ => {
                let mut entries = Vec::new();
                for entry in &batch.entries {
                    match entry {
                        Entry::Change(change) if is_fair_game(&change.resource) => {
                            entries.extend(self.change(harm, to, change));
                        }
                        other => entries.push(other.clone()),
                    }
                }
                vec![(to.clone(), rebuilt(batch, entries.into_iter()))]
            }
        }
    }

    /// What is told instead of this change.
    fn change(&mut self, harm: Harm, to: &Address, change: &Arc<Change>) -> Vec<Entry> {
        self.changes += 1;
        let turn = self.changes % ONE_IN == self.offset;
        let same = Entry::Change(change.clone());
        let place = (
            format!("{to:?}"),
            format!("{} {}", change.resource, change.key),
        );
        let harmed = match harm {
            Harm::Dropped if turn => Vec::new(),
            Harm::Doubled if turn => vec![same.clone(), same],
            Harm::DeleteLost if change.op == Op::Delete => Vec::new(),
            Harm::Stale if change.op == Op::Update && self.before.contains_key(&place) => {
                vec![Entry::Change(Arc::new(Change {
                    row: Some(self.before[&place].clone()),
                    ..Change::clone(change)
                }))]
            }
            _ => {
                if let Some(row) = &change.row {
                    self.before.insert(place, row.clone());
                }
                return vec![same];
            }
        };
        self.done += 1;
        harmed
    }

    /// Batches of one change each, an update to weight 2 and one to weight 3, go out with each
    /// other's row.
    fn swap(&mut self, to: &Address, batch: &Arc<Batch>) -> Vec<(Address, Arc<Batch>)> {
        let unharmed = vec![(to.clone(), batch.clone())];
        let [Entry::Change(change)] = &batch.entries[..] else {
            return unharmed;
        };
        let text = String::from_utf8_lossy(change.row.as_deref().unwrap_or_default()).into_owned();
        let audience = format!("{to:?}");
        if text.contains("\"weight\":2,") {
            self.waiting.insert(audience, batch.clone());
            return Vec::new();
        }
        let waiting = self.waiting.remove(&audience);
        match waiting.as_ref().map(|it| &it.entries[..]) {
            Some([Entry::Change(first)]) if text.contains("\"weight\":3,") => {
                self.done += 1;
                let with = |change: &Change, row: &Change| {
                    Entry::Change(Arc::new(Change {
                        row: row.row.clone(),
                        ..change.clone()
                    }))
                };
                let waiting = waiting.as_ref().expect("just looked at");
                let one = rebuilt(waiting, [with(first, change)].into_iter());
                let two = rebuilt(batch, [with(change, first)].into_iter());
                vec![(to.clone(), one), (to.clone(), two)]
            }
            _ => unharmed,
        }
    }
}

fn rebuilt(batch: &Batch, entries: impl Iterator<Item = Entry>) -> Arc<Batch> {
    let mut builder = BatchBuilder::new(batch.start, batch.position.clone());
    for entry in entries {
        match entry {
            Entry::Change(change) => {
                builder.change(change);
            }
            Entry::Reset {
                resource, reason, ..
            } => {
                builder.reset(resource, reason);
            }
        }
    }
    builder.build()
}
