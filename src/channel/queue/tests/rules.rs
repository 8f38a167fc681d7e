//! What depends on time, on room, and on the end.

use super::{
    super::*,
    channel::{batch, channel, channel_with, rows},
    model::{LIMITS, at, mark},
};
use crate::{channel::Attach, config::Limits};

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
    assert!(channel.failure(lane).is_none());
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
    assert_eq!(channel.failure(running), Some(Kind::DatabaseUnavailable));
    // It had counted its rows already, and says that all went well.
    channel.finish(running, "running");
    channel.push(51, "t", 10);
    assert_eq!(
        channel.read(100_000, 0),
        [
            "101 reset log-lost",
            "102 error running",
            "103 error finished"
        ]
    );
    let late = batch(21, "t", 10);
    channel.queue.push(&late, 1, true, 0, &bounds, &mut effects);
    assert_eq!(channel.read(100_000, 0), ["104 change t"]);
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
    assert_eq!(channel.failure(lane), Some(Kind::ShuttingDown));
    channel.finish(lane, "r");
    assert_eq!(channel.read(1_000, 0), ["102 done r"]);
    assert_eq!(channel.read(1_000, 0), ["close 4100"]);
    channel.detach(0);
    assert!(channel.queue.has_ended());
}

#[test]
fn what_was_signalled_before_a_reset_is_told_before_it() {
    let mut channel = channel();
    channel.attach(None, false);
    let (bounds, effects) = (&channel.bounds, &mut channel.effects);
    let signal = Arc::new(Events::one(b"{\"type\":\"signal\"}\n".as_slice()));
    let lost = || unreachable!("there is room");
    channel.queue.tell(&signal, lost, 0, bounds, effects);
    let mark = Mark {
        epoch: 1,
        position: at(20),
    };
    channel.queue.rewind(&mark, "log-lost", bounds, effects);
    // What confirmed the write that it announced is perhaps among what the reset stands for.
    assert_eq!(
        channel.read(1_000, 0),
        ["101 signal ", "102 reset log-lost"]
    );
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
