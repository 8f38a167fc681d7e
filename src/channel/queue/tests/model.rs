//! A database, a feed, producers and one reader who believes nothing: every step is checked.

mod reader;

use super::super::*;
use crate::channel::Priority;
use crate::{
    channel::{Attach, BatchBuilder, Change, Frame, Opened},
    config::Limits,
    wire::event::{Actions, Done, Op},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    task::Wake,
};

pub(super) const LIMITS: fn() -> Limits = || Limits {
    queue_bytes_max: 16_000,
    replay_bytes_max: 4_000,
    requests_per_identity: 4,
    ..Limits::default()
};

/// More than any end of a request in the model takes.
const TERMINAL_BYTES: usize = 200;

/// A row by resource and key.
type Row = (&'static str, u64);

pub(super) const RESOURCES: [&str; 2] = ["a", "b"];

/// Remembers that it was woken.
#[derive(Debug, Default)]
pub(super) struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

impl Bell {
    fn rang(&self) -> bool {
        self.0.swap(false, SeqCst)
    }
}

/// A request as its producer and its reader know it.
#[derive(Debug)]
struct Producer {
    name: String,
    urgency: u64,
    opened_at: u64,
    /// When the reader last got something of it.
    served_at: u64,
    cancelled: bool,
    lane: LaneId,
    bell: Arc<Bell>,
    /// Rows that it could not queue yet.
    rest: Events,
    blocked: bool,
    offered: u64,
    /// The state that its rows show.
    snapshot: Option<u64>,
    /// Rows and ends that the reader got.
    rows_read: u64,
    ends_read: usize,
    finished: bool,
    /// The channel lost the request, and so it gets no end.
    lost: bool,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) queue: Queue,
    bounds: Bounds,
    limits: Limits,
    now: u64,
    // The database.
    version: u64,
    rows: BTreeMap<Row, u64>,
    /// Every state of every row: version, and whether it is there.
    history: BTreeMap<Row, Vec<(u64, bool)>>,
    // Producers.
    producers: Vec<Producer>,
    requests_ended: usize,
    // The reader.
    generation: u64,
    pub(super) attached: bool,
    filter: Option<&'static str>,
    bell: Arc<Bell>,
    waiting: bool,
    /// When the reader was told to ask again.
    asks_at: Option<u64>,
    /// What the reader holds: the newest state that it was told of each row.
    store: BTreeMap<Row, (u64, bool)>,
    /// States that are older than this were swept away by a reset and fetched again.
    reset_at: BTreeMap<&'static str, u64>,
    /// The version of the last reset: older rows are discarded.
    reset_to: BTreeMap<&'static str, u64>,
    pub(super) last: u64,
    /// The highest number that it was ever told, of an event or where it begins.
    pub(super) highest: u64,
    acknowledged: u64,
    /// Everything that was ever handed out, by number, with the time.
    log: BTreeMap<u64, (Vec<u8>, u64)>,
    pub(super) losses: usize,
}

pub(super) fn at(version: u64) -> Position {
    Position {
        version: Version(version),
        cursor: format!("c{version}").into(),
    }
}

pub(super) fn mark(version: u64) -> Mark {
    Mark {
        epoch: 0,
        position: at(version),
    }
}

impl World {
    pub(super) fn new(filter: Option<&'static str>) -> Self {
        let limits = LIMITS();
        Self {
            queue: Queue::new(1_000, mark(10), false, 0),
            bounds: Bounds::new(&limits),
            limits,
            now: 0,
            version: 10,
            rows: BTreeMap::new(),
            history: BTreeMap::new(),
            producers: Vec::new(),
            requests_ended: 0,
            generation: 0,
            attached: false,
            filter,
            bell: Arc::default(),
            waiting: false,
            asks_at: None,
            store: BTreeMap::new(),
            reset_at: BTreeMap::new(),
            reset_to: BTreeMap::new(),
            last: 999,
            highest: 999,
            acknowledged: 999,
            log: BTreeMap::new(),
            losses: 0,
        }
    }

    /// One batch of the feed: each row is flipped, touched, or comes and goes.
    pub(super) fn batch(&mut self, touched: &BTreeSet<(usize, u64, u8)>, text_bytes: usize) {
        let start = self.version;
        self.version += 10;
        let mut builder = BatchBuilder::new(Version(start), at(self.version));
        let mut seen = BTreeSet::new();
        for (resource, key, kind) in touched {
            let row = (RESOURCES[*resource], *key);
            if !seen.insert(row) {
                continue;
            }
            let there = self.rows.contains_key(&row);
            let (op, transient) = match (there, kind % 3) {
                (true, 0) => (Op::Delete, false),
                (true, _) => (Op::Update, false),
                (false, 0) => (Op::Delete, true),
                (false, _) => (Op::Insert, false),
            };
            match op.leaves_row() {
                true => self.rows.insert(row, self.version),
                false => self.rows.remove(&row),
            };
            let states = self.history.entry(row).or_default();
            if transient {
                states.push((start + 5, true));
            }
            states.push((self.version, op.leaves_row()));
            let json = format!("{{\"text\":\"{}\"}}", "x".repeat(text_bytes));
            builder.change(Change {
                resource: row.0.into(),
                key: row.1.to_string().into(),
                op,
                version: Version(self.version),
                actions: Actions::None,
                row: op.leaves_row().then(|| json.into()),
                transient,
            });
        }
        let batch = builder.build();
        let mut effects = Effects::default();
        let now = self.now;
        self.queue
            .push(&batch, 0, true, now, &self.bounds, &mut effects);
        self.after(effects);
    }

    /// A request begins.
    pub(super) fn open(&mut self, urgency: u64) {
        if self.producers.iter().filter(|it| !it.gone()).count() >= 4 {
            return;
        }
        let name = format!("r{}", self.producers.len());
        let id = RequestId::parse(&name).unwrap();
        let priority = Priority::of_urgency(urgency).unwrap();
        let opened = self
            .queue
            .open_request(id.clone(), priority, self.now, &self.bounds);
        let lane = opened.unwrap();
        let again = self
            .queue
            .open_request(id, priority, self.now, &self.bounds);
        assert_eq!(again.unwrap_err().kind(), Kind::RequestIdInUse);
        self.producers.push(Producer {
            name,
            urgency,
            opened_at: self.now,
            served_at: self.now,
            cancelled: false,
            lane,
            bell: Arc::default(),
            rest: Events::default(),
            blocked: false,
            offered: 0,
            snapshot: None,
            rows_read: 0,
            ends_read: 0,
            finished: false,
            lost: false,
        });
    }

    /// A producer takes its snapshot in the middle of the coming batch, where rows are there that come
    /// and go within it.
    pub(super) fn snapshot(&mut self, which: usize) {
        let Some(index) = self.running(which) else {
            return;
        };
        let producer = &mut self.producers[index];
        if producer.snapshot.is_none() && producer.offered == 0 {
            let version = self.version + 5;
            producer.snapshot = Some(version);
            self.queue.snapshot_taken(producer.lane, Version(version));
        }
    }

    /// A producer has rows, if it is not waiting with earlier ones.
    pub(super) fn rows(&mut self, which: usize, count: u64, text_bytes: usize) {
        let Some(index) = self.running(which) else {
            return;
        };
        let producer = &mut self.producers[index];
        if !producer.rest.is_empty() {
            return;
        }
        let (mut out, mut ends) = (Vec::new(), Vec::new());
        for number in producer.offered..producer.offered + count {
            let text = "x".repeat(text_bytes);
            let name = &producer.name;
            out.extend_from_slice(
                format!("{{\"type\":\"row\",\"request_id\":\"{name}\",\"n\":{number},\"text\":\"{text}\"}}\n")
                    .as_bytes(),
            );
            ends.push(out.len() as u32);
        }
        producer.offered += count;
        producer.rest = Events::new(out, &ends);
        producer.bell.0.store(true, SeqCst);
        self.offer(index);
    }

    /// A producer tries again, whether or not it was told to. Room that it was not told of is a
    /// wake-up that got lost.
    pub(super) fn retry(&mut self, which: usize) {
        if let Some(index) = self.running(which)
            && !self.producers[index].rest.is_empty()
        {
            self.offer(index);
        }
    }

    fn offer(&mut self, index: usize) {
        let producer = &mut self.producers[index];
        let told = producer.bell.rang() || !producer.blocked;
        let before = producer.rest.count();
        let mut effects = Effects::default();
        let offer = self.queue.offer(
            producer.lane,
            &mut producer.rest,
            self.now,
            &self.bounds,
            &producer.bell.clone().into(),
            &mut effects,
        );
        let moved = producer.rest.count() < before;
        assert!(told || !moved, "{} was not woken", producer.name);
        match offer {
            Offer::Done => assert!(producer.rest.is_empty()),
            Offer::Blocked { until } => {
                assert!(until > self.now);
                producer.blocked = true;
            }
            Offer::Failed(kind) => {
                let expected = match self.attached {
                    true => Kind::RequestStalled,
                    false => Kind::RequestUnread,
                };
                let cancelled = kind == Kind::RequestCancelled;
                assert!(cancelled || kind == expected, "{kind:?}");
                producer.rest = Events::default();
                self.after(effects);
                self.finish(index);
                return;
            }
        }
        if producer.rest.is_empty() {
            producer.blocked = false;
        }
        self.after(effects);
    }

    /// A producer ends its request, giving up rows that it could not queue.
    pub(super) fn end(&mut self, which: usize) {
        if let Some(index) = self.running(which) {
            self.finish(index);
        }
    }

    fn finish(&mut self, index: usize) {
        let rows = self.queue.rows_told(self.producers[index].lane);
        self.finish_with(index, rows);
    }

    fn finish_with(&mut self, index: usize, rows: u64) {
        let producer = &mut self.producers[index];
        let terminal = Done {
            request_id: &producer.name,
            rows,
            position: &at(0),
            next: None,
            count: None,
        };
        producer.finished = true;
        producer.rest = Events::default();
        let mut effects = Effects::default();
        self.queue.finish(
            producer.lane,
            terminal.encode(),
            self.now,
            &self.bounds,
            &mut effects,
        );
        self.after(effects);
    }

    /// A producer has counted its rows when the cancel comes, and ends well.
    pub(super) fn cancel_late(&mut self, which: usize) {
        if let Some(index) = self.running(which) {
            let rows = self.queue.rows_told(self.producers[index].lane);
            self.cancel(which);
            self.finish_with(index, rows);
        }
    }

    pub(super) fn cancel(&mut self, which: usize) {
        if let Some(index) = self.running(which) {
            let id = RequestId::parse(&self.producers[index].name).unwrap();
            let mut effects = Effects::default();
            let cancelled = self.queue.cancel(&id, &self.bounds, &mut effects);
            self.producers[index].cancelled = true;
            assert_eq!(cancelled, !self.producers[index].lost);
            self.after(effects);
        }
    }

    pub(super) fn wait(&mut self, ms: u64) {
        self.now += ms;
        let mut effects = Effects::default();
        if self.attached {
            let ended = self.queue.sweep(self.now, &self.bounds, &mut effects);
            assert!(!ended, "a channel that is read is not idle");
        }
        self.after(effects);
    }

    /// Everybody finishes, and the reader reads to the end.
    pub(super) fn settle(mut self) {
        for which in 0..self.producers.len() {
            if !self.producers[which].finished {
                self.finish(which);
            }
        }
        self.attach(Some(self.last.max(999)), true);
        while self.read(1_000, 10) {}
        for producer in &self.producers {
            let ends = usize::from(!producer.lost);
            assert_eq!(producer.ends_read, ends, "{} ends once", producer.name);
        }
        self.check_cursor(self.version);
        for (row, (_, there)) in &self.store {
            assert_eq!(*there, self.rows.contains_key(row), "{row:?}");
        }
        let (queued, _, requests) = self.queue.sizes();
        assert_eq!((queued, requests), (0, 0), "nothing is left");
        assert_eq!(self.requests_ended, self.producers.len());
    }

    /// What holds after each step.
    fn after(&mut self, effects: Effects) {
        self.requests_ended += effects.requests_ended;
        effects.wake();
        let (queued, kept, requests) = self.queue.sizes();
        let ends = requests * TERMINAL_BYTES;
        assert!(queued <= self.limits.queue_bytes_max + ends, "{queued}");
        assert!(kept <= self.limits.replay_bytes_max, "{kept}");
        assert_eq!(self.requests_ended + requests, self.producers.len());
    }

    fn producer(&mut self, name: &str) -> &mut Producer {
        self.producers
            .iter_mut()
            .find(|it| it.name == name)
            .unwrap()
    }

    fn running(&self, which: usize) -> Option<usize> {
        let running = |it: &usize| !self.producers[*it].finished;
        let all: Vec<_> = (0..self.producers.len()).filter(running).collect();
        all.get(which % all.len().max(1)).copied()
    }
}

impl Producer {
    /// Whether it may keep what is less urgent waiting.
    fn may_hold(&self, now: u64, bounds: &Bounds) -> bool {
        let over = self.finished || self.lost || self.cancelled;
        !over && now < self.opened_at + bounds.hold_ms
    }

    /// Whether it does, having nothing to say and waiting for no room.
    fn holds(&self, now: u64, bounds: &Bounds) -> bool {
        let queued = self.offered - self.rest.count() as u64;
        self.may_hold(now, bounds) && !self.blocked && queued == self.rows_read
    }

    fn gone(&self) -> bool {
        self.lost || self.ends_read > 0
    }
}
