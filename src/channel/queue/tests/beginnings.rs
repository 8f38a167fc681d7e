//! Where a reader begins, what it is told then, and what it gets again.

use super::{
    super::*,
    channel::{channel, channel_with, rows},
    model::{LIMITS, at, mark},
};
use crate::channel::{Attach, Since};

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
                ..Attach::default()
            },
            15,
            0,
        );
        assert_eq!(opened.resumed, !lost, "after {after:?}");
        let told = channel.read(10_000, 0);
        if lost {
            // One number is left out, see the next test.
            assert_eq!(opened.sequence, 104);
            assert_eq!(opened.position, at(15));
            assert_eq!(told, ["105 reset gap"]);
            assert_eq!(channel.failure(lane), Some(Kind::RequestCancelled));
            channel.finish(lane, "r");
            assert!(channel.read(10_000, 0).is_empty(), "no other end");
            assert_eq!(channel.open("r", 0), LaneId::nth(2));
        } else {
            assert!(told.last().unwrap().starts_with("106 "));
            assert!(told.iter().all(|it| !it.contains("reset")));
        }
    }
}

/// A poll that was sent first may arrive last, from a client that has given it up: what it loses of
/// the channel is lost for the reader too that has gone on meanwhile, and was not told.
#[test]
fn a_loss_that_another_reader_was_told_of_is_said_to_whoever_has_not_heard_of_it() {
    let mut channel = channel();
    channel.attach(None, false);
    channel.push(11, "t", 10);
    channel.push(12, "t", 10);
    assert_eq!(channel.read(1_000, 0).len(), 2);
    assert!(channel.attach(Some(102), true).resumed);
    let lane = channel.open("r", 0);

    let overtaken = Attach {
        after: Some(101),
        since: Some(Since::State(at(10))),
        ..Attach::default()
    };
    let opened = channel.attach_at(overtaken, 12, 0);
    assert!(!opened.resumed, "101 is acknowledged and gone");
    assert_eq!(channel.failure(lane), Some(Kind::RequestCancelled));

    let goes_on = |after| Attach {
        after: Some(after),
        acknowledges: true,
        ..Attach::default()
    };
    let opened = channel.attach_at(goes_on(102), 12, 0);
    assert!(!opened.resumed, "the request has ended");
    assert_eq!(opened.position, at(12), "not where the other one stood");
    let told = channel.read(1_000, 0);
    assert_eq!(told, [format!("{} reset gap", opened.sequence + 1)]);
    let opened = channel.attach_at(goes_on(opened.sequence + 1), 12, 0);
    assert!(opened.resumed);
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
    assert_eq!(channel.read(1_000, 0), ["102 reset gap"]);
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
