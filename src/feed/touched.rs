//! What the log says was touched, by resource: the keys to read again, and what has to be reset
//! without reading.
//!
//! Pure. Knows neither what the rows are now nor who is told.

use super::holders::Holders;
use crate::{
    catalog::{Announce, Oid, Resource},
    postgres::changelog::{Concern, Entry, Hint, Meaning, News, Owner},
    snapshot::Xid,
    wire::event::Actions,
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// Reasons of a reset, as they stand in the event.
pub(super) mod reason {
    /// The relation was truncated.
    pub(crate) const TRUNCATED: &str = "truncated";
    /// The schema changed, or the relation was not logged before.
    pub(crate) const SCHEMA: &str = "schema";
    /// Something changed in a resource of which single changes are not told.
    pub(crate) const CHANGED: &str = "changed";
    /// More rows changed at once than a batch holds.
    pub(crate) const TOO_MANY: &str = "too_many";
    /// Which rows this identity sees has changed.
    pub(crate) const VISIBILITY: &str = "visibility";
    /// Row-level security could not be asked in time, or failed.
    pub(crate) const UNREADABLE: &str = "unreadable";
    /// The rows' organization changed with the row that they belong to.
    pub(crate) const MOVED: &str = "moved";
    /// What happened since then is not in the log any more.
    pub(crate) const RETENTION: &str = "retention";
    /// Cursors and versions from before are void.
    pub(crate) const LOG_LOST: &str = "log_lost";
    /// The cursor is none of this database as it is now.
    pub(crate) const CURSOR_INVALID: &str = "cursor_invalid";
    /// The cursor is from before what the log still has.
    pub(crate) const CURSOR_EXPIRED: &str = "cursor_expired";
    /// What was missed could not be told in time.
    pub(crate) const LAGGED: &str = "lagged";
}

/// What happened to one resource.
#[derive(Debug)]
pub(super) struct Touch {
    pub(super) resource: Arc<Resource>,
    /// The keys to read again, each once.
    pub(super) keys: Vec<Arc<TouchedKey>>,
    places: HashMap<Vec<Arc<str>>, usize>,
    /// Who has to fetch everything again, and why.
    pub(super) reset: Option<(Whose, &'static str)>,
    /// By which actions, where that is the reason.
    acted: Acted,
    /// Whose view of the resource may have changed, and how many transactions may have changed it.
    pub(super) visibility: Option<(Whose, Writers)>,
}

/// By which actions a resource changed of which single changes are not told.
#[derive(Debug, Default)]
struct Acted {
    /// It was reset for other reasons too, or nobody knows whose the rows were.
    untold: bool,
    /// For each organization its actions, each with the one row that it touched; `None` where something
    /// was done by no action, or one touched more rows than one: who did it knows only the row that was
    /// written, not what else followed.
    by: HashMap<Arc<str>, Option<ByAction>>,
}

type ByAction = BTreeMap<Arc<str>, Option<Vec<Arc<str>>>>;

/// Actions that a reset names; where there are more, it names none.
const ACTIONS_MAX: usize = 100;

/// A key that was written.
#[derive(Debug, Clone)]
pub(super) struct TouchedKey {
    pub(super) key: Vec<Arc<str>>,
    /// Whose the row was after any of the writes, as far as it is known.
    pub(super) owners: Whose,
    pub(super) actions: Actions,
    /// The first entry says that it was inserted.
    pub(super) inserted: bool,
    pub(super) writers: Writers,
    pub(super) holders: Holders,
}

/// How many transactions wrote something: between two of them, somebody may have looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writers {
    One(Xid),
    Several,
}

impl Writers {
    fn add(&mut self, xid: Xid) {
        if *self != Self::One(xid) {
            *self = Self::Several;
        }
    }
}

/// A set of organizations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Whose {
    pub(super) everybody: bool,
    pub(super) organizations: HashSet<Arc<str>>,
    /// Those of the rows that have these values in these columns; to be looked up.
    pub(super) references: HashSet<Referred>,
    /// Those of the rows that all entries of a relation refer to; to be looked up.
    pub(super) logged: HashSet<Logged>,
}

/// The rows that the entries of a relation refer to in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Logged {
    pub(super) relation: Oid,
    pub(super) target: Oid,
    pub(super) column: i16,
}

/// A row through which another belongs to an organization.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Referred {
    pub(super) target: Oid,
    pub(super) column: i16,
    pub(super) value: Arc<str>,
}

impl Whose {
    pub(super) fn everybody() -> Self {
        Self {
            everybody: true,
            ..Self::default()
        }
    }

    /// Whose the row of this entry is. A row whose organization column is null is nobody's.
    fn of(entry: &Entry, owner: Owner) -> Self {
        let mut whose = Self::default();
        match owner {
            Owner::Unknown => whose.everybody = true,
            Owner::Organization => whose.organizations.extend(entry.organization.clone()),
            Owner::Reference { target, column } if entry.refers => {
                whose.logged.insert(Logged {
                    relation: entry.relation,
                    target,
                    column,
                });
            }
            Owner::Reference { target, column } => {
                whose
                    .references
                    .extend(entry.reference.clone().map(|value| Referred {
                        target,
                        column,
                        value,
                    }));
            }
        }
        whose
    }

    pub(super) fn add(&mut self, other: Self) {
        self.everybody |= other.everybody;
        self.organizations.extend(other.organizations);
        self.references.extend(other.references);
        self.logged.extend(other.logged);
    }

    pub(super) fn contains(&self, organization: &str) -> bool {
        self.everybody || self.organizations.contains(organization)
    }
}

/// Everything that was touched, by resource name.
#[derive(Debug, Default)]
pub(super) struct Touched {
    pub(super) resources: BTreeMap<Arc<str>, Touch>,
    /// An entry says that a relation's shape changed, or may have.
    pub(super) shapes: bool,
}

impl Touched {
    /// What this news means, given what an entry of each relation means.
    pub(super) fn by<'a>(news: &News, concerns: impl Fn(Oid) -> &'a [Concern]) -> Self {
        let mut touched = Self::default();
        let (entries, summary) = match news {
            News::Entries(entries) => (entries, &Vec::new()),
            News::Summary { few, whole } => (few, whole),
            News::Flood | News::Outdated => {
                touched.shapes = true;
                return touched;
            }
        };
        let one_by_one = entries.iter().map(|it| (it, None));
        let whole = summary.iter().map(|it| (it, Some(reason::TOO_MANY)));
        for (entry, whole) in one_by_one.chain(whole) {
            touched.shapes |= matches!(entry.hint, Hint::Shape | Hint::Truncate);
            if entry.hint != Hint::Shape {
                for concern in concerns(entry.relation) {
                    touched.touch(&concern.resource).add(entry, concern, whole);
                }
            }
        }
        touched
    }

    pub(super) fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }

    /// Everybody has to fetch this resource again.
    pub(super) fn reset(&mut self, resource: &Arc<Resource>, whose: Whose, reason: &'static str) {
        self.touch(resource).reset(whose, reason);
    }

    fn touch(&mut self, resource: &Arc<Resource>) -> &mut Touch {
        self.resources
            .entry(resource.name.clone())
            .or_insert_with(|| Touch {
                resource: resource.clone(),
                keys: Vec::new(),
                places: HashMap::new(),
                reset: None,
                acted: Acted::default(),
                visibility: None,
            })
    }
}

impl Acted {
    fn add(&mut self, entry: &Entry, whose: &Whose) {
        self.untold |= whose.everybody || !whose.references.is_empty() || !whose.logged.is_empty();
        for organization in &whose.organizations {
            let known = self.by.entry(organization.clone());
            let known = known.or_insert_with(|| Some(ByAction::new()));
            let is_one = match (&entry.action, known.as_mut()) {
                (Some(action), Some(known)) => {
                    let row = known
                        .entry(action.clone())
                        .or_insert_with(|| entry.key.clone());
                    entry.key.is_some() && *row == entry.key
                }
                _ => false,
            };
            if !is_one {
                *known = None;
            }
        }
    }
}

impl Touch {
    /// Forgets the keys that nobody is to hear of.
    pub(super) fn keep(&mut self, anybody: impl Fn(&Whose) -> bool) {
        self.keys.retain(|it| anybody(&it.owners));
        let places = self.keys.iter().enumerate();
        self.places = places.map(|(place, it)| (it.key.clone(), place)).collect();
    }

    pub(super) fn find(&self, key: &[Arc<str>]) -> Option<&TouchedKey> {
        self.places.get(key).map(|place| &*self.keys[*place])
    }

    fn add(&mut self, entry: &Entry, concern: &Concern, whole: Option<&'static str>) {
        if entry.hint == Hint::Truncate {
            return match concern.meaning {
                Meaning::Visibility => self.see(Whose::everybody(), entry.xid),
                _ => self.reset(Whose::everybody(), reason::TRUNCATED),
            };
        }
        let whose = Whose::of(entry, concern.owner);
        match (concern.meaning, &entry.key) {
            (Meaning::Visibility, _) => self.see(whose, entry.xid),
            (Meaning::Row, Some(key))
                if whole.is_none() && concern.resource.announce != Announce::Resource =>
            {
                self.key(entry, key, whose);
            }
            // A key with a part that was not there: the schema has changed.
            (Meaning::Row, None) if entry.hint != Hint::Anything && whole.is_none() => {
                self.reset(Whose::everybody(), reason::SCHEMA);
            }
            (Meaning::Row, _)
                if whole.is_none() && concern.resource.announce == Announce::Resource =>
            {
                self.acted.add(entry, &whose);
                self.add_reset(whose, reason::CHANGED);
            }
            _ => self.reset(whose, whole.unwrap_or(reason::CHANGED)),
        }
    }

    /// The actions that did all for which an organization has to fetch the resource again; none if
    /// something else did some of it.
    pub(super) fn actions(&self, organization: &str) -> Arc<[Arc<str>]> {
        let by = self.acted.by.get(organization);
        let actions = by.and_then(Option::as_ref);
        let actions = actions.filter(|it| !self.acted.untold && it.len() <= ACTIONS_MAX);
        actions.map_or_else(Arc::default, |it| it.keys().cloned().collect())
    }

    fn key(&mut self, entry: &Entry, key: &[Arc<str>], whose: Whose) {
        let action = entry.action.clone().map_or(Actions::None, Actions::One);
        if let Some(place) = self.places.get(key) {
            let known = Arc::make_mut(&mut self.keys[*place]);
            known.holders.add(entry.xid, &whose, entry.hint);
            known.owners.add(whose);
            known.actions = known.actions.merged(&action);
            known.writers.add(entry.xid);
            return;
        }
        let mut holders = Holders::default();
        holders.add(entry.xid, &whose, entry.hint);
        self.places.insert(key.to_vec(), self.keys.len());
        self.keys.push(Arc::new(TouchedKey {
            key: key.to_vec(),
            owners: whose,
            actions: action,
            inserted: entry.hint == Hint::Insert,
            writers: Writers::One(entry.xid),
            holders,
        }));
    }

    fn see(&mut self, whose: Whose, xid: Xid) {
        match &mut self.visibility {
            Some((known, writers)) => {
                known.add(whose);
                writers.add(xid);
            }
            // A summary does not say which transactions there were.
            none if xid == 0 => *none = Some((whose, Writers::Several)),
            none => *none = Some((whose, Writers::One(xid))),
        }
    }

    fn reset(&mut self, whose: Whose, reason: &'static str) {
        self.acted.untold = true;
        self.add_reset(whose, reason);
    }

    fn add_reset(&mut self, whose: Whose, reason: &'static str) {
        match &mut self.reset {
            Some((known, _)) => known.add(whose),
            none => *none = Some((whose, reason)),
        }
    }
}
