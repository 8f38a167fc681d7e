//! One queue with its surroundings, for tests of single rules.

use super::{
    super::*,
    model::{Bell, LIMITS, at, mark},
};
use crate::channel::Priority;
use crate::{
    channel::{Attach, BatchBuilder, Change, Opened},
    config::Limits,
    wire::event::{Actions, Op},
};
use serde_json::Value;
use std::task::Waker;

/// A queue with its surroundings.
pub(super) struct Channel {
    pub(super) queue: Queue,
    pub(super) bounds: Bounds,
    pub(super) effects: Effects,
    pub(super) generation: u64,
}

pub(super) fn channel_with(limits: &Limits, heir: bool) -> Channel {
    Channel {
        queue: Queue::new(101, mark(10), heir, 0),
        bounds: Bounds::new(limits),
        effects: Effects::default(),
        generation: 0,
    }
}

pub(super) fn channel() -> Channel {
    channel_with(&LIMITS(), false)
}

pub(super) fn waker() -> Waker {
    Arc::new(Bell::default()).into()
}

impl Channel {
    pub(super) fn attach_at(&mut self, attach: Attach, feed: u64, now: u64) -> Opened {
        let attached = self
            .queue
            .attach(attach, &mark(feed), now, &self.bounds, &mut self.effects);
        let (generation, opened) = attached.unwrap();
        self.generation = generation;
        opened
    }

    pub(super) fn attach(&mut self, after: Option<u64>, acknowledges: bool) -> Opened {
        let attach = Attach {
            after,
            acknowledges,
            ..Attach::default()
        };
        self.attach_at(attach, 10, 0)
    }

    pub(super) fn detach(&mut self, now: u64) {
        self.queue.detach(self.generation, now, &mut self.effects);
    }

    pub(super) fn step(&mut self, bytes: usize, now: u64) -> Step {
        let room = Room {
            bytes,
            events: usize::MAX,
        };
        let (bounds, effects) = (&self.bounds, &mut self.effects);
        self.queue
            .read(self.generation, room, now, bounds, &waker(), effects)
    }

    /// What is next, as number and type, with the resource or the row's number.
    pub(super) fn read(&mut self, bytes: usize, now: u64) -> Vec<String> {
        let frames = match self.step(bytes, now) {
            Step::Events(frames) => frames,
            Step::Close(close) => return vec![format!("close {}", close.code)],
            Step::Ping(position) => return vec![format!("ping {}", position.version)],
            Step::Wait { .. } => return Vec::new(),
        };
        let word = |(number, line): (u64, &[u8])| {
            let it: Value = serde_json::from_slice(line).unwrap();
            let what = ["resource", "request_id", "reason"].map(|field| it[field].as_str());
            let what: Vec<_> = what.into_iter().flatten().collect();
            let kind = it["type"].as_str().unwrap();
            format!("{number} {kind} {}", what.join(" "))
        };
        frames
            .iter()
            .flat_map(|it| it.numbered())
            .map(word)
            .collect()
    }

    pub(super) fn open(&mut self, request: &str, now: u64) -> LaneId {
        self.open_urgent(request, 3, now)
    }

    pub(super) fn open_urgent(&mut self, request: &str, urgency: u64, now: u64) -> LaneId {
        let id = RequestId::parse(request).unwrap();
        let priority = Priority::of_urgency(urgency).unwrap();
        let opened = self.queue.open_request(id, priority, now, &self.bounds);
        opened.unwrap()
    }

    pub(super) fn offer(&mut self, lane: LaneId, events: &mut Events, now: u64) -> Offer {
        let (bounds, effects) = (&self.bounds, &mut self.effects);
        self.queue
            .offer(lane, events, now, bounds, &waker(), effects)
    }

    pub(super) fn failure(&mut self, lane: LaneId) -> Option<Kind> {
        let (bounds, effects) = (&self.bounds, &mut self.effects);
        self.queue.failure(lane, &waker(), bounds, effects)
    }

    pub(super) fn finish(&mut self, lane: LaneId, request: &str) {
        let line = format!("{{\"type\":\"done\",\"request_id\":\"{request}\"}}\n");
        let (bounds, effects) = (&self.bounds, &mut self.effects);
        self.queue.finish(lane, line.into(), 0, bounds, effects);
    }

    pub(super) fn push(&mut self, version: u64, resource: &str, text_bytes: usize) {
        let batch = batch(version, resource, text_bytes);
        let (bounds, effects) = (&self.bounds, &mut self.effects);
        self.queue.push(&batch, 0, true, 0, bounds, effects);
    }
}

pub(super) fn batch(version: u64, resource: &str, text_bytes: usize) -> Arc<Batch> {
    let mut builder = BatchBuilder::new(Version(version - 1), at(version));
    builder.change(Change {
        resource: resource.into(),
        key: version.to_string().into(),
        op: Op::Insert,
        version: Version(version),
        actions: Actions::None,
        row: Some(format!("{{\"text\":\"{}\"}}", "x".repeat(text_bytes)).into()),
        transient: false,
    });
    builder.build()
}

pub(super) fn rows(count: u64, text_bytes: usize) -> Events {
    let (mut out, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let text = "x".repeat(text_bytes);
        out.extend_from_slice(
            format!("{{\"type\":\"row\",\"request_id\":\"r\",\"text\":\"{text}\"}}\n").as_bytes(),
        );
        ends.push(out.len() as u32);
    }
    Events::new(out, &ends)
}
