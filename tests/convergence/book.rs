//! What one reader keeps: the store, the requests that are open, and what it was told before. Each
//! event is checked against that, then applied. Knows nothing of transports.

mod events;

use super::{
    ears::{Ears, Roster},
    invariants::{Findings, Invariant},
    schema::RESOURCES,
    trace::Trace,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

/// A resource's row.
type Row = (&'static str, String);

/// An asynchronous GET that was asked for.
#[derive(Debug)]
struct Request {
    resource: &'static str,
    /// All rows of the resource, asked for after so many resets of it.
    whole: Option<u64>,
    rows: HashSet<String>,
    version: Option<u64>,
    /// The rows themselves, where somebody wants to compare them.
    collected: Option<BTreeMap<String, Value>>,
    /// Whether the 202 came; if the connection broke, nobody knows.
    accepted: bool,
}

/// How a reader attached.
#[derive(Debug, Clone, Default)]
pub(super) struct Beginning {
    /// The number of the last event that it has.
    pub(super) after: Option<u64>,
    /// The version of the cursor that it gave; of one that cannot count, nothing.
    pub(super) since: Option<Option<u64>>,
    /// What it had asked for by then; nothing: all that it has asked for.
    pub(super) asked: Option<HashSet<String>>,
}

/// The rows of a request that was to be collected, and their version.
pub(super) type Collected = (u64, BTreeMap<String, Value>);

/// The state of one reader.
#[derive(Debug)]
pub(super) struct Book {
    who: String,
    organization: i64,
    findings: Findings,
    /// Nothing is done to the connections and the database, so that ops can be compared.
    strict: bool,
    rows: HashMap<Row, (u64, Option<Value>)>,
    /// Of each resource, the version below which nothing counts any more, and how many resets there
    /// were.
    floors: BTreeMap<&'static str, (u64, u64)>,
    /// Resources that have to be fetched as a whole.
    needs: BTreeSet<&'static str>,
    requests: HashMap<String, Request>,
    ended: HashSet<String>,
    /// Requests of which nothing is expected and nothing counts but their rows.
    doubtful: HashSet<String>,
    collected: HashMap<String, Option<Collected>>,
    /// Of each row: version, op, and which event told it.
    told: HashMap<Row, (u64, String, u64)>,
    /// What the reader would resume from.
    cursor: Option<(String, u64)>,
    /// Cursors from before, which may be resumed from too.
    cursors: Vec<(String, u64)>,
    /// Something was lost and has to be said before anything else comes.
    must_reset: bool,
    mark: i64,
    /// The highest version at a cursor since the mark came.
    reached: u64,
    pub(super) events: u64,
    pub(super) resets: BTreeMap<String, u64>,
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) last: String,
    pub(super) ears: Ears,
    trace: Trace,
}

impl Book {
    pub(super) fn new(
        who: &str,
        organization: i64,
        findings: &Findings,
        strict: bool,
        roster: Option<Arc<Roster>>,
    ) -> Self {
        Self {
            who: who.to_owned(),
            organization,
            findings: findings.clone(),
            strict,
            rows: HashMap::new(),
            floors: BTreeMap::new(),
            needs: RESOURCES.into(),
            requests: HashMap::new(),
            ended: HashSet::new(),
            doubtful: HashSet::new(),
            collected: HashMap::new(),
            told: HashMap::new(),
            cursor: None,
            cursors: Vec::new(),
            must_reset: false,
            mark: -1,
            reached: 0,
            events: 0,
            resets: BTreeMap::new(),
            errors: BTreeMap::new(),
            last: String::new(),
            ears: Ears::new(who, organization, findings, roster),
            trace: Trace::default(),
        }
    }

    /// A GET is about to be asked for.
    pub(super) fn asks(&mut self, id: &str, resource: &'static str, whole: bool, collect: bool) {
        let resets = self.floors.get(resource).map_or(0, |it| it.1);
        self.requests.insert(
            id.to_owned(),
            Request {
                resource,
                whole: whole.then_some(resets),
                rows: HashSet::new(),
                version: None,
                collected: collect.then(BTreeMap::new),
                accepted: false,
            },
        );
    }

    /// What became of the asking: a 202, a refusal (`false`), or nobody knows.
    pub(super) fn answered(&mut self, id: &str, accepted: Option<bool>) {
        match accepted {
            Some(true) => {
                if let Some(request) = self.requests.get_mut(id) {
                    request.accepted = true;
                }
            }
            Some(false) => {
                self.requests.remove(id);
            }
            // If it is still to come, its events say so.
            None => {}
        }
    }

    /// Whether all accepted requests have ended, nothing is to be fetched, and everything up to this
    /// mark and this version was told.
    pub(super) fn is_settled(&self, mark: i64, version: u64) -> bool {
        self.open_requests() == 0
            && self.needs.is_empty()
            && !self.must_reset
            && self.mark >= mark
            && self.reached >= version
            && self.ears.misses().is_none()
            && (self.strict || self.unended().is_empty())
    }

    /// Announced writes that are shown still, though neither a change nor a `void` has come.
    fn unended(&self) -> Vec<&String> {
        let stored = self.rows.iter().filter(|it| it.0.0 == "entries");
        let stored: HashSet<&str> = stored
            .filter_map(|(_, (_, row))| row.as_ref()?["body"].as_str())
            .collect();
        self.ears.unended(|body| stored.contains(body))
    }

    /// At rest: what was announced has ended.
    pub(super) fn judge_announced(&self) {
        for action in self.unended() {
            let what = format!("{action} ended neither in a change nor in a void");
            self.finds(Invariant::AnnouncedEnds, what);
        }
    }

    /// What is missing for [`Book::is_settled`].
    pub(super) fn standing(&self) -> String {
        let open: Vec<_> = self.requests.iter().filter(|it| it.1.accepted).collect();
        format!(
            "mark {}, reached {}, to be fetched {:?}, reset expected {}, open {open:?}, last event {}, {:?}, drawn {:?}",
            self.mark,
            self.reached,
            self.needs,
            self.must_reset,
            self.last,
            self.ears.misses(),
            self.unended()
        )
    }

    pub(super) fn open_requests(&self) -> usize {
        self.requests.values().filter(|it| it.accepted).count()
    }

    pub(super) fn requests(&self) -> HashSet<String> {
        self.requests.keys().cloned().collect()
    }

    pub(super) fn some_request(&self) -> Option<&str> {
        self.requests.keys().next().map(String::as_str)
    }

    /// A resource that has to be fetched and that nobody fetches yet.
    pub(super) fn next_need(&self) -> Option<&'static str> {
        let resets = |it| self.floors.get(it).map_or(0, |it| it.1);
        self.needs.iter().copied().find(|&it| {
            let mut open = self.requests.values();
            !open.any(|open| open.resource == it && open.accepted && open.whole == Some(resets(it)))
        })
    }

    pub(super) fn cursor(&self) -> Option<&(String, u64)> {
        self.cursor.as_ref()
    }

    pub(super) fn older_cursors(&self) -> &[(String, u64)] {
        &self.cursors
    }

    pub(super) fn take_collected(&mut self, id: &str) -> Option<Option<Collected>> {
        self.collected.remove(id)
    }

    /// What the store holds of a resource.
    pub(super) fn store(&self, resource: &str) -> BTreeMap<String, Value> {
        let rows = self.rows.iter().filter(|it| it.0.0 == resource);
        rows.filter_map(|((_, key), (_, row))| Some((key.clone(), row.clone()?)))
            .collect()
    }

    pub(super) fn finds(&self, invariant: Invariant, what: impl std::fmt::Display) {
        self.findings.add(invariant, &self.who, what);
        self.trace.keep(&self.who);
    }

    /// Something that the reader did, to be read beside what it heard.
    pub(super) fn did(&mut self, what: String) {
        self.trace.add(what);
    }

    /// Compares the store with what PostgreSQL shows; how many rows there are.
    pub(super) fn compare(&self, resource: &str, truth: &BTreeMap<String, Value>) {
        let kept = self.store(resource);
        for (key, row) in truth {
            match kept.get(key) {
                None => self.finds(Invariant::StoreComplete, format!("{resource} {key}: {row}")),
                Some(kept) if kept != row => {
                    let what = format!("{resource} {key}: has {kept}, it is {row}");
                    self.finds(Invariant::StoreCurrent, what);
                }
                Some(_) => {}
            }
        }
        for (key, row) in kept.iter().filter(|it| !truth.contains_key(it.0)) {
            self.finds(Invariant::NoGhosts, format!("{resource} {key}: {row}"));
        }
    }
}

/// Whether bytes hold a value of another organization than this.
pub(super) fn foreign_value(bytes: &[u8], organization: i64) -> Option<String> {
    let own = organization.to_string();
    memchr::memmem::find_iter(bytes, b"org-").find_map(|at| {
        let digits = bytes[at + 4..].iter().take_while(|it| it.is_ascii_digit());
        let named: String = digits.map(|it| char::from(*it)).collect();
        (!named.is_empty() && named != own).then(|| {
            let around = &bytes[at.saturating_sub(100)..bytes.len().min(at + 60)];
            String::from_utf8_lossy(around).into_owned()
        })
    })
}
