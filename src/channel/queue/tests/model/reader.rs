//! What the reader of the model makes of each event, and what it must never see.

use super::*;

impl World {
    /// The reader begins: after what it has, after something earlier, or without saying.
    pub(in super::super) fn attach(&mut self, after: Option<u64>, acknowledges: bool) {
        let mut effects = Effects::default();
        let attached = self.queue.attach(
            Attach {
                lingers_ms: 0,
                after,
                resources: self.filter.map(|it| vec![it.into()]),
                acknowledges,
                since: None,
            },
            &mark(self.version),
            self.now,
            &self.bounds,
            &mut effects,
        );
        self.after(effects);
        let (generation, opened) = attached.unwrap();
        let Opened {
            sequence,
            resumed,
            position,
            ..
        } = opened;
        if !resumed {
            self.losses += 1;
            for producer in &mut self.producers {
                producer.lost |= producer.ends_read == 0;
            }
            // The numbers go on, one left out; what the reader has is void.
            assert!(sequence > self.highest);
            self.forget(None, 0);
        } else if let Some(after) = after {
            assert_eq!(sequence, after);
        }
        if let Some(after) = after {
            assert!(resumed || !self.surely_kept(after), "{after} was kept");
        }
        self.generation = generation;
        self.attached = true;
        self.waiting = false;
        self.last = sequence;
        self.highest = self.highest.max(sequence);
        if resumed {
            self.check_cursor(position.version.0);
        }
    }

    pub(in super::super) fn detach(&mut self) {
        let mut effects = Effects::default();
        self.queue.detach(self.generation, self.now, &mut effects);
        self.after(effects);
        self.attached = false;
    }

    /// The reader takes what there is; whether there was something.
    pub(in super::super) fn read(&mut self, bytes: usize, events: usize) -> bool {
        if !self.attached {
            return false;
        }
        let asked = self.asks_at.is_some_and(|it| it <= self.now);
        let told = self.bell.rang() || !self.waiting || asked;
        let room = Room { bytes, events };
        let mut effects = Effects::default();
        let step = self.queue.read(
            self.generation,
            room,
            self.now,
            &self.bounds,
            &self.bell.clone().into(),
            &mut effects,
        );
        self.after(effects);
        let frames = match step {
            Step::Events(frames) => frames,
            Step::Ping(_) => panic!("nothing was replayed"),
            Step::Wait { until } => {
                self.waiting = true;
                self.asks_at = until;
                if let Some(until) = until {
                    let now = self.now;
                    assert!(now < until && until <= now + self.bounds.hold_ms);
                    let holds = |it: &Producer| it.may_hold(now, &self.bounds);
                    assert!(self.producers.iter().any(holds));
                    return false;
                }
                let ping = self.queue.ping(self.generation, &mark(self.version));
                let ping = ping.expect("nothing waits");
                self.check_cursor(ping.version.0);
                return false;
            }
            Step::Close(close) => panic!("{close:?}"),
        };
        assert!(told, "the reader was not woken");
        self.waiting = false;
        let total: usize = frames.iter().map(|it| it.bytes().len()).sum();
        let count: usize = frames.iter().map(|it| it.events.count()).sum();
        assert!(count == 1 || (total <= bytes && count <= events));
        for frame in frames.iter() {
            self.check_hold(frame);
            for (number, line) in frame.numbered() {
                assert_eq!(number, self.last + 1, "numbers have no gaps");
                self.last = number;
                self.highest = self.highest.max(number);
                let known = self.log.insert(number, (line.to_vec(), self.now));
                if let Some((known, at)) = known {
                    assert_eq!(known, line, "what was sent never changes");
                    self.log.get_mut(&number).unwrap().1 = at;
                    self.hear(line, true);
                } else {
                    self.hear(line, false);
                }
            }
        }
        true
    }

    /// What was handed out for the first time did not overtake what is more urgent, unless it had
    /// waited for long.
    fn check_hold(&mut self, frame: &Frame) {
        let event: Value = serde_json::from_slice(frame.events.iter().next().unwrap()).unwrap();
        let request = event["request_id"].as_str();
        let again = self.log.contains_key(&frame.first_sequence);
        let Some(request) = request.filter(|_| !again) else {
            return;
        };
        let now = self.now;
        let this = self.producers.iter().position(|it| it.name == request);
        let this = this.unwrap();
        let urgency = self.producers[this].urgency;
        let waits = self.producers[this].served_at + self.bounds.hold_ms > now;
        let overtakes = |it: &Producer| it.urgency < urgency && it.holds(now, &self.bounds);
        let overtaken = self.producers.iter().find(|it| waits && overtakes(it));
        assert!(overtaken.is_none(), "{request} overtook {overtaken:?}");
        self.producers[this].served_at = now;
    }

    pub(in super::super) fn acknowledge(&mut self, back: u64) {
        let sequence = self.last.saturating_sub(back).max(999);
        self.queue.acknowledge(sequence).unwrap();
        self.acknowledged = self.acknowledged.max(sequence);
        let beyond = self.highest + 1;
        assert!(self.queue.acknowledge(beyond).is_err());
    }

    /// Acknowledges all that it ever got, also what it is being told again.
    pub(in super::super) fn acknowledge_all(&mut self) {
        self.queue.acknowledge(self.highest).unwrap();
        self.acknowledged = self.highest;
    }

    /// Whether events after this number must be kept still.
    fn surely_kept(&self, after: u64) -> bool {
        let since = self.log.range(after + 1..);
        let bytes: usize = since.clone().map(|it| it.1.0.len() + 64).sum();
        let young = |at: u64| at + self.limits.replay_ms > self.now;
        let range = self.acknowledged.max(999)..=self.highest;
        range.contains(&after)
            && bytes <= self.limits.replay_bytes_max
            && since.clone().all(|it| young(it.1.1))
            && self.losses == 0
    }

    pub(super) fn hear(&mut self, line: &[u8], again: bool) {
        let event: Value = serde_json::from_slice(line).unwrap();
        let text = |field: &str| event[field].as_str().map(str::to_owned);
        let resource = |name: &str| *RESOURCES.iter().find(|it| **it == name).unwrap();
        match event["type"].as_str().unwrap() {
            "row" | "done" if again => {}
            "row" => {
                let producer = self.producer(&text("request_id").unwrap());
                assert!(!producer.lost && producer.ends_read == 0);
                assert_eq!(event["n"], producer.rows_read, "rows keep their order");
                producer.rows_read += 1;
                if let Some(snapshot) = producer.snapshot {
                    self.see(snapshot);
                }
            }
            "done" => {
                let producer = self.producer(&text("request_id").unwrap());
                assert!(!producer.lost);
                producer.ends_read += 1;
                assert_eq!(producer.ends_read, 1, "one end");
                assert_eq!(event["rows"], producer.rows_read, "the end knows its rows");
            }
            "change" => {
                let row = (
                    resource(&text("resource").unwrap()),
                    event["id"].as_u64().unwrap(),
                );
                assert!(self.filter.is_none_or(|it| it == row.0), "a filter holds");
                let version = event["version"].as_u64().unwrap();
                let there = event.get("row").is_some();
                let known = self.store.entry(row).or_insert((0, false));
                if version >= known.0 {
                    *known = (version, there);
                }
                if let Some(cursor) = text("cursor") {
                    self.check_cursor(cursor[1..].parse().unwrap());
                }
            }
            "reset" => {
                let version = event["version"].as_u64().unwrap();
                assert!(version <= self.version);
                self.forget(text("resource").as_deref(), version);
            }
            other => panic!("{other}"),
        }
    }

    /// The reader gets rows that show this state; those that came and went just then are all that
    /// matters here.
    pub(super) fn see(&mut self, snapshot: u64) {
        for (row, states) in &self.history {
            let reset = self.reset_to.get(row.0).is_some_and(|it| *it > snapshot);
            let wanted = self.filter.is_none_or(|it| it == row.0);
            if wanted && !reset && states.contains(&(snapshot, true)) {
                let known = self.store.entry(*row).or_insert((0, false));
                *known = (*known).max((snapshot, true));
            }
        }
    }

    /// The reader fetches again, and sees the database as it is now.
    pub(super) fn forget(&mut self, which: Option<&str>, version: u64) {
        for resource in RESOURCES {
            if which.is_none_or(|it| it == resource) {
                self.store.retain(|row, _| row.0 != resource);
                self.reset_at.insert(resource, self.version);
                let reset_to = self.reset_to.entry(resource).or_default();
                *reset_to = version.max(*reset_to);
            }
        }
    }

    /// Everything up to this version has been told: of each row, the newest state by then, or one
    /// that is newer.
    pub(super) fn check_cursor(&self, version: u64) {
        for (row, states) in &self.history {
            if self.filter.is_some_and(|it| it != row.0) {
                continue;
            }
            let told = states.iter().rev().find(|it| it.0 <= version);
            let fetched = self.reset_at.get(row.0).copied().unwrap_or(10);
            if let Some((newest, _)) = told
                && *newest > fetched
            {
                let known = self.store.get(row).copied();
                assert!(
                    known.is_some_and(|it| it.0 >= *newest),
                    "{row:?} at {newest} was not told by {version}: {known:?}"
                );
            }
        }
    }
}
