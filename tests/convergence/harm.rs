//! Harm that is done on purpose, to show that the checker sees it: which kinds there are, and which
//! invariant has to catch each. Done to what the server sends (here), and to what the feed announces
//! (`feed_harm`).

use super::{invariants::Invariant, wire::Tamper};
use serde_json::Value;
use std::collections::HashMap;

/// Of so many changes, one is harmed.
pub(super) const ONE_IN: u64 = 500;

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Harm {
    /// One change in 500 is dropped.
    Dropped,
    /// Two changes of one row are swapped, so that the older row has the newer version.
    Swapped,
    /// One change in 500 is told twice.
    Doubled,
    /// A change goes to the other organization as well.
    Misdirected,
    /// On the wire: `done` comes before the last row. In the feed: the cursor comes before the last
    /// changes that it stands for.
    DoneTooEarly,
    /// A change carries the row as it was before.
    Stale,
    /// Deletions are lost.
    DeleteLost,
}

impl Harm {
    pub(super) const ALL: [Self; 7] = [
        Self::Dropped,
        Self::Swapped,
        Self::Doubled,
        Self::Misdirected,
        Self::DoneTooEarly,
        Self::Stale,
        Self::DeleteLost,
    ];

    /// What has to be found when it is done to the wire.
    pub(super) fn found_on_the_wire(self) -> Invariant {
        match self {
            Self::DoneTooEarly => Invariant::RowsCounted,
            other => other.found_in_the_feed(),
        }
    }

    /// What has to be found when it is done to the feed.
    pub(super) fn found_in_the_feed(self) -> Invariant {
        match self {
            Self::Dropped | Self::Swapped | Self::Stale => Invariant::StoreCurrent,
            Self::Doubled => Invariant::ToldOnce,
            Self::Misdirected => Invariant::Isolation,
            Self::DoneTooEarly => Invariant::NothingAfterItsCursor,
            Self::DeleteLost => Invariant::NoGhosts,
        }
    }
}

/// Whether harm may be done to a row of this resource: a run ends by its marks.
pub(super) fn is_fair_game(resource: &str) -> bool {
    resource != "marks"
}

/// Does one kind of harm to events.
pub(super) struct WireHarm {
    armed: Option<Harm>,
    /// Where in each 500 the harm is done.
    offset: u64,
    changes: u64,
    /// Of each connection and row, the event before.
    before: HashMap<(u64, String), Value>,
    /// Of each connection, the row that waits for its request's end.
    last_row: HashMap<u64, Value>,
    /// A change of one organization, for a connection of another.
    strayed: Option<(String, String)>,
    /// How often harm was done.
    pub(super) done: u64,
}

impl WireHarm {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            armed: None,
            offset: seed % ONE_IN,
            changes: 0,
            before: HashMap::new(),
            last_row: HashMap::new(),
            strayed: None,
            done: 0,
        }
    }

    pub(super) fn arm(&mut self, harm: Option<Harm>) {
        *self = Self::new(self.offset);
        self.armed = harm;
    }

    fn change(&mut self, harm: Harm, connection: u64, event: &Value) -> Option<Vec<String>> {
        self.changes += 1;
        let turn = self.changes % ONE_IN == self.offset;
        let same = event.to_string();
        let row = event.get("row").cloned();
        let place = (connection, format!("{} {}", event["resource"], event["id"]));
        let before = match &row {
            Some(_) => self.before.insert(place.clone(), event.clone()),
            None => self.before.remove(&place),
        };
        match harm {
            Harm::Dropped if turn => Some(Vec::new()),
            Harm::Doubled if turn => Some(vec![same.clone(), same]),
            Harm::DeleteLost if event["op"] == "delete" => Some(Vec::new()),
            // What was told of the row before is told again as if it were new.
            Harm::Stale if event["op"] == "update" => {
                let mut stale = event.clone();
                stale["row"] = before?["row"].clone();
                // It stays the stale one.
                self.before.insert(place, stale.clone());
                Some(vec![stale.to_string()])
            }
            // The first of two waits for the second, and both go out with each other's row.
            Harm::Swapped if event["op"] == "update" && event["row"]["weight"] == 2 => {
                Some(Vec::new())
            }
            Harm::Swapped if event["op"] == "update" && event["row"]["weight"] == 3 => {
                let (mut first, mut second) = (before?, event.clone());
                let row = second["row"].take();
                second["row"] = std::mem::replace(&mut first["row"], row);
                Some(vec![first.to_string(), second.to_string()])
            }
            Harm::Misdirected => {
                let organization = row?["organization_id"].to_string();
                match &self.strayed {
                    Some((from, strayed)) if *from != organization => {
                        let events = vec![same, strayed.clone()];
                        self.strayed = None;
                        self.done += 1;
                        Some(events)
                    }
                    _ => {
                        self.strayed = Some((organization, same));
                        None
                    }
                }
            }
            _ => None,
        }
    }
}

impl Tamper for WireHarm {
    fn tamper(&mut self, connection: u64, event: &str) -> Vec<String> {
        let Some(harm) = self.armed else {
            return vec![event.to_owned()];
        };
        let parsed: Value = serde_json::from_str(event).expect("an event is JSON");
        let harmed = match parsed["type"].as_str() {
            Some("change") if is_fair_game(parsed["resource"].as_str().unwrap_or_default()) => {
                self.change(harm, connection, &parsed)
            }
            Some("row") if harm == Harm::DoneTooEarly => {
                // Each row waits for the next event, so that the last one can come after the end.
                let before = self.last_row.insert(connection, parsed);
                return before.iter().map(Value::to_string).collect();
            }
            Some(kind) if harm == Harm::DoneTooEarly => {
                let row = self.last_row.remove(&connection);
                let row = row.map(|it| it.to_string());
                let mut events: Vec<String> = row.into_iter().collect();
                let at = if kind == "done" { 0 } else { events.len() };
                self.done += u64::from(at < events.len());
                events.insert(at, event.to_owned());
                return events;
            }
            _ => None,
        };
        match harmed {
            Some(events) => {
                self.done += u64::from(harm != Harm::Misdirected);
                events
            }
            None => vec![event.to_owned()],
        }
    }
}
