//! What depends on time, and what a reader is told when it begins.

use super::{
    super::*,
    model::{Bell, LIMITS, at, mark},
};
use crate::{
    channel::{Attach, BatchBuilder, Change, Opened},
    config::Limits,
    wire::event::{Actions, Op},
};
use serde_json::Value;

/// A queue with its surroundings.
struct Channel {
    queue: Queue,
    bounds: Bounds,
    effects: Effects,
    generation: u64,
}

fn channel_with(limits: &Limits, heir: bool) -> Channel {
    Channel {
        queue: Queue::new(101, mark(10), heir, 0),
        bounds: Bounds::new(limits),
        effects: Effects::default(),
        generation: 0,
    }
}

fn channel() -> Channel {
    channel_with(&LIMITS(), false)
}

fn waker() -> Waker {
    Arc::new(Bell::default()).into()
}

impl Channel {
    fn attach_at(&mut self, attach: Attach, feed: u64, now: u64) -> Opened {
        let attached = self
            .queue
            .attach(attach, &mark(feed), now, &self.bounds, &mut self.effects);
        let (generation, opened) = attached.unwrap();
        self.generation = generation;
        opened
    }

    fn attach(&mut self, after: Option<u64>, acknowledges: bool) -> Opened {
        let attach = Attach {
            after,
            acknowledges,
            resources: None,
        };
        self.attach_at(attach, 10, 0)
    }

    fn detach(&mut self, now: u64) {
        self.queue.detach(self.generation, now, &mut self.effects);
    }

    fn step(&mut self, bytes: usize, now: u64) -> Step {
        let room = Room {
            bytes,
            events: usize::MAX,
        };
        let (bounds, effects) = (&self.bounds, &mut self.effects);
        self.queue
            .read(self.generation, room, now, bounds, &waker(), effects)
    }

    /// What is next, as number and type, with the resource or the row's number.
    fn read(&mut self, bytes: usize, now: u64) -> Vec<String> {
        let frames = match self.step(bytes, now) {
            Step::Events(frames) => frames,
            Step::Close(close) => return vec![format!("close {}", close.code)],
            Step::Wait => return Vec::new(),
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

    fn open(&mut self, request: &str, now: u64) -> LaneId {
        let id = RequestId::parse(request).unwrap();
        let opened = self
            .queue
            .open_request(id, Priority::default(), now, &self.bounds);
        opened.unwrap()
    }

    fn offer(&mut self, lane: LaneId, events: &mut Events, now: u64) -> Offer {
        let (bounds, effects) = (&self.bounds, &mut self.effects);
        self.queue
            .offer(lane, events, now, bounds, &waker(), effects)
    }

    fn finish(&mut self, lane: LaneId, request: &str) {
        let line = format!("{{\"type\":\"done\",\"request_id\":\"{request}\"}}\n");
        let (bounds, effects) = (&self.bounds, &mut self.effects);
        self.queue.finish(lane, line.into(), 0, bounds, effects);
    }

    fn push(&mut self, version: u64, resource: &str, text_bytes: usize) {
        let batch = batch(version, resource, text_bytes);
        let (bounds, effects) = (&self.bounds, &mut self.effects);
        self.queue.push(&batch, 0, true, 0, bounds, effects);
    }
}

fn batch(version: u64, resource: &str, text_bytes: usize) -> Arc<Batch> {
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

fn rows(count: u64, text_bytes: usize) -> Events {
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

#[test]
fn a_request_that_nobody_reads_ends_after_the_grace_time() {
    let mut channel = channel();
    let lane = channel.open("r", 5_000);
    let mut events = rows(200, 100);
    let blocked = Offer::Blocked { until: 35_000 };
    assert_eq!(channel.offer(lane, &mut events, 6_000), blocked);
    assert_eq!(channel.offer(lane, &mut events, 34_999), blocked);
    let unread = Offer::Failed(Kind::RequestUnread);
    assert_eq!(channel.offer(lane, &mut events, 35_000), unread);
    assert_eq!(channel.offer(lane, &mut rows(1, 1), 35_000), unread);
}

#[test]
fn the_grace_time_begins_anew_when_the_reader_leaves() {
    let mut channel = channel();
    let lane = channel.open("r", 0);
    let mut events = rows(200, 100);
    channel.offer(lane, &mut events, 0);
    channel.attach_at(Attach::default(), 10, 29_000);
    assert_eq!(
        channel.offer(lane, &mut events, 31_000),
        Offer::Blocked { until: 59_000 }
    );
    channel.detach(40_000);
    assert_eq!(
        channel.offer(lane, &mut events, 69_999),
        Offer::Blocked { until: 70_000 }
    );
    assert_eq!(
        channel.offer(lane, &mut events, 70_000),
        Offer::Failed(Kind::RequestUnread)
    );
}

#[test]
fn the_stall_clock_runs_only_while_the_whole_channel_stands_still() {
    let mut channel = channel();
    channel.attach(None, false);
    // The channel was quiet for long: that is no standstill.
    let lane = channel.open("r", 500_000);
    let mut events = rows(200, 100);
    let until = |at| Offer::Blocked { until: at };
    assert_eq!(channel.offer(lane, &mut events, 500_000), until(530_000));
    // Whatever is taken, by whichever lane, is progress.
    let other = channel.open("other", 500_000);
    channel.finish(other, "other");
    assert!(!channel.read(1, 529_000).is_empty());
    assert_eq!(channel.offer(lane, &mut events, 558_999), until(559_000));
    // So is part of what was taken going out.
    channel.queue.progressed(channel.generation, 558_999);
    assert_eq!(channel.offer(lane, &mut events, 559_000), until(588_999));
    assert_eq!(
        channel.offer(lane, &mut events, 588_999),
        Offer::Failed(Kind::RequestStalled)
    );
}

#[test]
fn a_request_that_has_room_is_left_alone_however_long_it_takes() {
    let mut channel = channel();
    let lane = channel.open("r", 0);
    assert_eq!(channel.offer(lane, &mut rows(1, 10), 0), Offer::Done);
    assert_eq!(channel.offer(lane, &mut rows(1, 10), 900_000), Offer::Done);
    assert!(channel.queue.failure(lane, &waker()).is_none());
}

#[test]
fn a_channel_that_nobody_reads_ends_and_frees_everything() {
    let mut channel = channel();
    channel.attach(None, false);
    channel.push(11, "t", 10);
    channel.read(1_000, 0);
    channel.push(12, "t", 10);
    let lane = channel.open("r", 0);
    channel.offer(lane, &mut rows(3, 10), 0);
    let (bounds, mut effects) = (Bounds::new(&LIMITS()), Effects::default());
    assert!(!channel.queue.sweep(900_000, &bounds, &mut effects));
    channel.detach(900_000);
    assert!(!channel.queue.sweep(1_019_999, &bounds, &mut effects));
    assert!(channel.queue.sweep(1_020_000, &bounds, &mut effects));
    assert_eq!(effects.requests_ended, 1);
    assert_eq!(channel.queue.sizes(), (0, 0, 0));
    assert_eq!(
        channel.offer(lane, &mut rows(1, 10), 0),
        Offer::Failed(Kind::ChannelEnded)
    );
    let again = channel
        .queue
        .attach(Attach::default(), &mark(12), 0, &bounds, &mut effects);
    assert_eq!(again.unwrap_err().kind(), Kind::ChannelEnded);
}

#[test]
fn a_reader_begins_where_the_last_one_stopped_writing_or_acknowledging() {
    let mut channel = channel();
    channel.attach(None, false);
    for version in 11..=13 {
        channel.push(version, "t", 10);
        assert_eq!(channel.read(1, 0).len(), 1);
    }
    // The third was handed out, and nobody asked for more: it may not have been written.
    let opened = channel.attach(None, false);
    assert_eq!((opened.sequence, opened.resumed), (102, true));
    assert_eq!(opened.position, at(12));
    assert_eq!(channel.read(1_000, 0), ["103 change t"]);
    assert!(channel.read(1_000, 0).is_empty());
    let opened = channel.attach(None, false);
    assert_eq!((opened.sequence, opened.position), (103, at(13)));

    channel.queue.acknowledge(101).unwrap();
    let opened = channel.attach(None, true);
    assert_eq!((opened.sequence, opened.position), (101, at(11)));
    assert_eq!(channel.read(1_000, 0), ["102 change t", "103 change t"]);
}

#[test]
fn what_is_gone_is_said_and_ends_every_request() {
    for (after, acknowledges, lost) in [
        (Some(103), true, false),
        (Some(102), true, false),
        (Some(100), false, true),
        (Some(101), false, false),
        (Some(99), false, true),
        (Some(104), false, true),
        (Some(0), false, true),
        (None, true, true),
        (None, false, false),
    ] {
        let mut channel = channel();
        channel.attach(None, false);
        channel.push(11, "t", 3_000);
        channel.read(1, 0);
        for version in 12..=13 {
            channel.push(version, "t", 1_500);
            channel.read(1, 0);
        }
        // The window holds 4,000 bytes: event 101 is gone, 102 and 103 are there.
        assert!(channel.read(1, 0).is_empty());
        let lane = channel.open("r", 0);
        channel.offer(lane, &mut rows(2, 10), 0);
        channel.push(14, "t", 10);
        let opened = channel.attach_at(
            Attach {
                after,
                acknowledges,
                resources: None,
            },
            15,
            0,
        );
        assert_eq!(opened.resumed, !lost, "after {after:?}");
        let told = channel.read(10_000, 0);
        if lost {
            assert_eq!(opened.sequence, 103);
            assert_eq!(opened.position, at(15));
            assert_eq!(told, ["104 reset gap"]);
            assert_eq!(
                channel.queue.failure(lane, &waker()),
                Some(Kind::RequestCancelled)
            );
            channel.finish(lane, "r");
            assert!(channel.read(10_000, 0).is_empty(), "no other end");
            assert_eq!(channel.open("r", 0), LaneId::nth(2));
        } else {
            assert!(told.last().unwrap().starts_with("106 "));
            assert!(told.iter().all(|it| !it.contains("reset")));
        }
    }
}

#[test]
fn events_are_kept_for_their_time() {
    for (now, kept) in [(120_000, true), (120_300, false)] {
        let mut channel = channel();
        channel.attach(None, false);
        channel.push(11, "t", 10);
        channel.read(1_000, 0);
        channel.detach(0);
        let opened = channel.attach_at(
            Attach {
                after: Some(100),
                ..Attach::default()
            },
            11,
            now,
        );
        assert_eq!(opened.resumed, kept);
    }
}

#[test]
fn a_fresh_channel_has_lost_nothing_and_keeps_its_requests() {
    let mut channel = channel();
    let lane = channel.open("r", 0);
    channel.offer(lane, &mut rows(1, 10), 0);
    channel.finish(lane, "r");
    let opened = channel.attach_at(Attach::default(), 17, 0);
    assert_eq!((opened.sequence, opened.resumed), (100, true));
    assert_eq!(opened.position, at(17));
    assert_eq!(channel.read(1_000, 0), ["101 row r", "102 done r"]);
}

#[test]
fn a_channel_whose_forerunner_was_idle_says_what_is_gone() {
    let mut channel = channel_with(&LIMITS(), true);
    assert!(!channel.attach(None, false).resumed);
    assert_eq!(channel.read(1_000, 0), ["101 reset gap"]);
    assert!(channel.attach(None, false).resumed, "it is said once");

    // Requests of the new channel live on.
    let mut channel = channel_with(&LIMITS(), true);
    let lane = channel.open("r", 0);
    channel.finish(lane, "r");
    assert!(channel.attach(None, false).resumed);
    assert_eq!(channel.read(1_000, 0), ["101 reset gap", "102 done r"]);
}

#[test]
fn no_cursor_runs_ahead_of_what_was_handed_out() {
    let mut channel = channel();
    channel.push(11, "t", 10);
    channel.push(12, "t", 10);
    // The feed has settled 12, but nothing of it was handed out yet.
    assert_eq!(channel.attach_at(Attach::default(), 12, 0).position, at(10));
    assert_eq!(channel.queue.ping(channel.generation, &mark(12)), None);
    assert_eq!(channel.read(1, 0), ["101 change t"]);
    let opened = channel.attach_at(
        Attach {
            after: Some(101),
            ..Attach::default()
        },
        12,
        0,
    );
    assert_eq!(opened.position, at(11));
    assert_eq!(channel.read(1_000, 0), ["102 change t"]);
    let ping = channel.queue.ping(channel.generation, &mark(15));
    assert_eq!(ping, Some(at(15)));
}

#[test]
fn a_reader_that_wants_no_changes_gets_none_but_its_cursor_moves() {
    let mut channel = channel();
    channel.push(11, "t", 10);
    let attach = Attach {
        resources: Some(Vec::new()),
        ..Attach::default()
    };
    channel.attach_at(attach, 10, 0);
    channel.push(12, "t", 10);
    assert!(channel.read(1_000, 0).is_empty());
    assert_eq!(channel.queue.sizes(), (0, 0, 0));
    let ping = channel.queue.ping(channel.generation, &mark(12));
    assert_eq!(ping, Some(at(12)));
}

#[test]
fn a_slow_reader_gets_a_reset_in_place_of_what_outgrew_the_queue() {
    let mut channel = channel();
    channel.attach(None, false);
    for version in 11..200 {
        let resource = if version % 10 == 0 { "small" } else { "large" };
        channel.push(version, resource, 300);
        assert!(channel.queue.sizes().0 <= LIMITS().queue_bytes_max);
    }
    let told = channel.read(100_000, 0);
    assert_eq!(told[0], "101 reset large lagged");
    assert_eq!(told.len(), 19);
    assert_eq!(told[18], "119 change small");
}

#[test]
fn a_database_that_went_back_resets_everybody() {
    let mut channel = channel();
    channel.attach(None, false);
    channel.push(50, "t", 10);
    let running = channel.open("running", 0);
    channel.offer(running, &mut rows(2, 10), 0);
    let finished = channel.open("finished", 0);
    channel.offer(finished, &mut rows(2, 10), 0);
    channel.finish(finished, "finished");
    let mark = Mark {
        epoch: 1,
        position: at(20),
    };
    let (bounds, mut effects) = (Bounds::new(&LIMITS()), Effects::default());
    channel
        .queue
        .rewind(&mark, "log-lost", &bounds, &mut effects);
    assert_eq!(
        channel.queue.failure(running, &waker()),
        Some(Kind::DatabaseUnavailable)
    );
    channel.push(51, "t", 10);
    assert_eq!(
        channel.read(100_000, 0),
        ["101 reset log-lost", "102 error finished"]
    );
    let late = batch(21, "t", 10);
    channel.queue.push(&late, 1, true, 0, &bounds, &mut effects);
    assert_eq!(channel.read(100_000, 0), ["103 change t"]);
    let old = super::model::mark(60);
    assert_eq!(channel.queue.ping(channel.generation, &old), Some(at(21)));
}

#[test]
fn a_channel_that_drains_says_everything_and_closes() {
    let mut channel = channel();
    channel.attach(None, false);
    channel.push(11, "t", 10);
    let lane = channel.open("r", 0);
    channel.queue.drain(&mut channel.effects);
    channel.push(12, "t", 10);
    assert_eq!(channel.read(1_000, 0), ["101 change t"]);
    assert!(channel.read(1_000, 0).is_empty(), "a request runs still");
    assert_eq!(
        channel.queue.failure(lane, &waker()),
        Some(Kind::ShuttingDown)
    );
    channel.finish(lane, "r");
    assert_eq!(channel.read(1_000, 0), ["102 done r"]);
    assert_eq!(channel.read(1_000, 0), ["close 4100"]);
    channel.detach(0);
    assert!(channel.queue.has_ended());
}

#[test]
fn one_request_leaves_room_for_the_next() {
    let limits = Limits::default();
    let mut channel = channel_with(&limits, false);
    let mut left = Vec::new();
    for number in 0..limits.requests_per_identity {
        let lane = channel.open(&format!("r{number}"), 0);
        let mut events = rows(10_000, 500);
        let all = events.count();
        assert_ne!(channel.offer(lane, &mut events, 0), Offer::Done);
        left.push((all - events.count()) * 500);
        assert!(channel.queue.sizes().0 <= limits.queue_bytes_max);
    }
    assert!(left[0] > 800 << 10, "a lone request gets much: {}", left[0]);
    assert!(left[63] > 8 << 10, "the last one gets some: {}", left[63]);
    // Changes have room still.
    for version in 11..1_000 {
        channel.push(version, "t", 700);
    }
    channel.attach(None, false);
    let told = channel.read(2 << 20, 0);
    assert!(told.iter().all(|it| !it.contains("lagged")));
}
