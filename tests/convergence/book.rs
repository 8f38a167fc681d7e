//! What one reader keeps: the store, the requests that are open, and what it was told before. Each
//! event is checked against that, then applied. Knows nothing of transports.

use super::{
    ears::{Ears, Roster},
    invariants::{Findings, Invariant},
    schema::{RESOURCES, key},
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

    /// The reader attached and hears this first.
    pub(super) fn opened(&mut self, open: &Value, began: &Beginning) {
        self.last = open.to_string();
        self.trace
            .add(format!("{:?} {:?} {open}", began.after, began.since));
        let (Some(sequence), Some(resumed)) =
            (open["sequence"].as_u64(), open["resumed"].as_bool())
        else {
            return self.finds(Invariant::WellFormed, open);
        };
        if resumed && began.after.is_some_and(|it| it != sequence) {
            let what = format!("resumed as {began:?} with {open}");
            self.finds(Invariant::SequenceUnbroken, what);
        }
        if !resumed {
            // They get no other end. What was asked for once the reader was attached, before it heard
            // of that, is not among them.
            let ends = |id: &String| began.asked.as_ref().is_none_or(|it| it.contains(id));
            let (ended, open) = std::mem::take(&mut self.requests)
                .into_iter()
                .partition(|it| ends(&it.0));
            self.requests = open;
            let ended: HashMap<String, Request> = ended;
            self.ended.extend(ended.into_keys());
        }
        let version = open["version"].as_u64().unwrap_or(0);
        let goes_on = resumed && began.after.is_some();
        if !goes_on {
            self.ears.takes_back();
        }
        match &began.since {
            Some(since) if !goes_on => {
                // What comes was committed after the cursor; it may have been told before.
                self.told.clear();
                self.must_reset = since.is_none();
                self.reached = since.unwrap_or(0).min(version);
                self.cursor = since.map(|it| (String::new(), it.min(version)));
            }
            None if !resumed && began.after.is_some() => {
                self.told.clear();
                self.must_reset = true;
                self.cursor = None;
            }
            _ => {
                self.cursor = Some((text(open, "cursor"), version));
                self.reached = version;
            }
        }
    }

    /// The reader goes to another channel, or back to before what it has taken: requests that are
    /// open or have ended may be told of again, or never more.
    pub(super) fn forgets_requests(&mut self) {
        let open = std::mem::take(&mut self.requests);
        self.doubtful.extend(open.into_keys());
        self.doubtful.extend(std::mem::take(&mut self.ended));
        self.ears.forget();
    }

    /// Checks and applies one event other than `open`.
    pub(super) fn take(&mut self, event: &Value) {
        self.last = event.to_string();
        self.events += 1;
        self.trace.add(format!("{} {}", self.events, self.last));
        let kind = text(event, "type");
        let of_rows = !matches!(&*kind, "ping" | "close" | "signal" | "void" | "presence");
        if self.must_reset && of_rows {
            self.must_reset = false;
            if kind != "reset" || event.get("resource").is_some() {
                self.finds(Invariant::LossIsSaid, format!("after a loss came {event}"));
            }
        }
        match &*kind {
            "row" => self.row(event),
            "done" | "error" => self.end(event, kind == "done"),
            "change" => self.change(event),
            "reset" => self.reset(event),
            "ping" => self.at_cursor(event),
            "close" => {}
            "signal" | "void" | "presence" => self.ears.take(&kind, event),
            _ => self.finds(Invariant::WellFormed, event),
        }
    }

    /// A plain answer: its rows are kept like those of a request.
    pub(super) fn shown(&mut self, resource: &'static str, version: u64, rows: &Value) {
        for row in rows.as_array().into_iter().flatten() {
            self.belongs(row, row);
            self.apply(resource, key(resource, row), version, Some(row.clone()));
        }
    }

    fn row(&mut self, event: &Value) {
        let id = text(event, "request_id");
        let version = event["version"].as_u64().unwrap_or(0);
        let row = &event["row"];
        if self.doubtful.contains(&id) {
            let name = text(event, "resource");
            if let Some(resource) = RESOURCES.into_iter().find(|it| *it == name) {
                self.belongs(row, event);
                self.apply(resource, key(resource, row), version, Some(row.clone()));
            }
            return;
        }
        if self.ended.contains(&id) {
            return self.finds(Invariant::OneEnd, format!("after the end came {event}"));
        }
        let Some(request) = self.requests.get_mut(&id) else {
            return self.finds(Invariant::OneEnd, format!("nobody asked for {event}"));
        };
        request.accepted = true;
        let key = key(request.resource, row);
        let known = *request.version.get_or_insert(version);
        let again = !request.rows.insert(key.clone());
        if let Some(collected) = &mut request.collected {
            collected.insert(key.clone(), row.clone());
        }
        let resource = request.resource;
        if known != version || again || event["resource"] != resource {
            let what = format!("version {known} before, the row came before: {again}: {event}");
            self.finds(Invariant::OneState, what);
        }
        self.belongs(row, event);
        self.apply(resource, key, version, Some(row.clone()));
    }

    fn end(&mut self, event: &Value, done: bool) {
        let id = text(event, "request_id");
        if id.is_empty() && !done {
            // A command that failed; or signals were lost, and perhaps a `void` with them.
            if text(&event["problem"], "type") == "signals-lost" {
                self.ears.takes_back();
            }
            *self.errors.entry(code(event)).or_default() += 1;
            return;
        }
        if self.doubtful.contains(&id) {
            return;
        }
        let Some(request) = self.requests.remove(&id) else {
            let ended = self.ended.contains(&id);
            let what = format!("it had ended before: {ended}: {event}");
            return self.finds(Invariant::OneEnd, what);
        };
        self.ended.insert(id.clone());
        if event["rows"].as_u64() != Some(request.rows.len() as u64) {
            let what = format!("{} rows came before {event}", request.rows.len());
            self.finds(Invariant::RowsCounted, what);
        }
        let version = event["version"].as_u64().unwrap_or(0);
        if !done {
            *self.errors.entry(code(event)).or_default() += 1;
        } else if request.version.is_some_and(|it| it != version) {
            let what = format!("the rows are of {:?}: {event}", request.version);
            self.finds(Invariant::OneState, what);
        }
        let (floor, resets) = self.floors.get(request.resource).copied().unwrap_or((0, 0));
        if done && request.whole == Some(resets) && version >= floor {
            self.needs.remove(request.resource);
        }
        if request.collected.is_some() {
            let rows = request.collected.filter(|_| done);
            self.collected.insert(id, rows.map(|it| (version, it)));
        }
    }

    fn change(&mut self, event: &Value) {
        let resource = text(event, "resource");
        let Some(resource) = RESOURCES.into_iter().find(|it| *it == resource) else {
            return self.finds(Invariant::WellFormed, event);
        };
        let op = text(event, "op");
        let version = event["version"].as_u64().unwrap_or(0);
        let row = event.get("row").cloned();
        let id = event["id"].to_string();
        let leaves = matches!(&*op, "insert" | "update");
        if leaves != row.is_some() || !(leaves || matches!(&*op, "delete" | "gone")) {
            self.finds(Invariant::WellFormed, event);
        }
        if let Some(row) = &row {
            self.belongs(row, event);
            if key(resource, row) != id {
                self.finds(Invariant::WellFormed, event);
            }
        }
        if let Some((cursor, at)) = &self.cursor
            && version <= *at
        {
            let what = format!("the cursor {cursor} of {at} was told before {event}");
            self.finds(Invariant::NothingAfterItsCursor, what);
        }
        let place = (resource, id.clone());
        if let Some((known, before, at)) = self.told.get(&place) {
            if *known == version {
                let now = self.events;
                let what = format!("event {at} and event {now}: {event}");
                self.finds(Invariant::ToldOnce, what);
            }
            let was_there = matches!(&**before, "insert" | "update");
            let fits = match &*op {
                "insert" => !was_there,
                "update" => was_there,
                _ => true,
            };
            if self.strict && !fits {
                let what = format!("the last of this row was {before} of {known}: {event}");
                self.finds(Invariant::OpFits, what);
            }
        }
        self.told.insert(place, (version, op, self.events));
        let several = event["action_ids"].as_array();
        let actions = several.into_iter().flatten().chain([&event["action_id"]]);
        for action in actions.filter_map(Value::as_str) {
            self.ears.acts(action);
        }
        self.apply(resource, id, version, row);
        self.at_cursor(event);
    }

    fn reset(&mut self, event: &Value) {
        let resource = text(event, "resource");
        let version = event["version"].as_u64().unwrap_or(0);
        *self.resets.entry(text(event, "reason")).or_default() += 1;
        if resource.is_empty() {
            // Versions from before may be void.
            self.cursor = None;
            self.cursors.clear();
            self.reached = 0;
            self.mark = -1;
        }
        if resource.is_empty() || resource == "entries" {
            // What confirms an announced entry is among what is fetched now.
            self.ears.takes_back();
        }
        let concerned = |it: &&str| resource.is_empty() || resource == **it;
        for resource in RESOURCES.into_iter().filter(concerned) {
            self.rows.retain(|row, _| row.0 != resource);
            self.told.retain(|row, _| row.0 != resource);
            let floor = self.floors.entry(resource).or_default();
            *floor = (version, floor.1 + 1);
            self.needs.insert(resource);
        }
    }

    fn at_cursor(&mut self, event: &Value) {
        let Some(cursor) = event["cursor"].as_str() else {
            return;
        };
        let version = event["version"].as_u64().unwrap_or(0);
        if let Some((_, before)) = &self.cursor
            && version < *before
        {
            self.finds(
                Invariant::CursorAdvances,
                format!("{before} before {event}"),
            );
        }
        if self.cursors.last().is_none_or(|it| it.1 != version) && self.cursors.len() < 1_000 {
            self.cursors.push((cursor.to_owned(), version));
        }
        self.cursor = Some((cursor.to_owned(), version));
        self.reached = version;
    }

    fn belongs(&self, row: &Value, event: &Value) {
        if row["organization_id"] != self.organization {
            self.finds(Invariant::Isolation, event);
        }
    }

    fn apply(&mut self, resource: &'static str, key: String, version: u64, row: Option<Value>) {
        if version < self.floors.get(resource).map_or(0, |it| it.0) {
            return;
        }
        if resource == "marks"
            && let Some(number) = row.as_ref().and_then(|it| it["number"].as_i64())
            && number > self.mark
        {
            self.mark = number;
            self.reached = 0;
        }
        let known = self.rows.entry((resource, key)).or_insert((0, None));
        if version >= known.0 {
            *known = (version, row);
        }
    }
}

fn text(event: &Value, field: &str) -> String {
    event[field].as_str().unwrap_or_default().to_owned()
}

fn code(event: &Value) -> String {
    text(&event["problem"], "code")
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
