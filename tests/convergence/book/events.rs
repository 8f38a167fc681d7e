//! What a reader is told, event by event: each is checked against what it was told before, then
//! applied.

use super::{Beginning, Book, Request};
use crate::convergence::{
    invariants::Invariant,
    schema::{RESOURCES, key},
};
use serde_json::Value;
use std::collections::HashMap;

impl Book {
    /// The reader attached and hears this first.
    pub(in crate::convergence) fn opened(&mut self, open: &Value, began: &Beginning) {
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
    pub(in crate::convergence) fn forgets_requests(&mut self) {
        let open = std::mem::take(&mut self.requests);
        self.doubtful.extend(open.into_keys());
        self.doubtful.extend(std::mem::take(&mut self.ended));
        self.ears.forget();
    }

    /// Checks and applies one event other than `open`.
    pub(in crate::convergence) fn take(&mut self, event: &Value) {
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
    pub(in crate::convergence) fn shown(
        &mut self,
        resource: &'static str,
        version: u64,
        rows: &Value,
    ) {
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
