//! Replays: what a reader missed comes first, and no cursor before its end.

use super::{
    channel::{Channel, channel, rows, waker},
    model::{at, mark},
};
use crate::channel::{
    Attach, BatchBuilder, Since,
    queue::{Offer, ReplayId},
};
use crate::{channel::hub::Mark, error::Kind, wire::Events};

fn since(version: u64) -> Attach {
    Attach {
        since: Some(Since::State(at(version))),
        ..Attach::default()
    }
}

impl Channel {
    fn replay(&mut self, version: u64) -> ReplayId {
        let opened = self.attach_at(since(version), 10, 0);
        assert_eq!(
            opened.position,
            at(version),
            "it repeats what the reader said"
        );
        self.queue.replay().unwrap()
    }

    fn offer_replay(&mut self, id: ReplayId, events: &mut Events, now: u64) -> Offer {
        let (bounds, effects) = (&self.bounds, &mut self.effects);
        self.queue
            .offer_replay(id, events, now, bounds, &waker(), effects)
    }

    fn finish_replay(&mut self, id: ReplayId, events: Events, version: u64, told: bool) {
        let end = (at(version), told);
        self.queue
            .finish_replay(id, events, end, 0, &mut self.effects);
    }
}

/// A change that carries the cursor of this version.
fn last(version: u64) -> Events {
    super::channel::batch(version, "last", 10).encoded(true).0
}

#[test]
fn what_was_missed_comes_before_what_happens_and_the_cursor_at_its_end() {
    let mut channel = channel();
    let id = channel.replay(5);
    channel.push(11, "told", 10);
    channel.push(14, "live", 10);
    assert!(channel.read(1_000, 0).is_empty(), "what happens waits");
    assert_eq!(channel.offer_replay(id, &mut rows(2, 10), 0), Offer::Done);
    assert_eq!(channel.read(1_000, 0), ["102 row r", "103 row r"]);
    assert_eq!(channel.queue.ping(channel.generation, &mark(14)), None);
    channel.finish_replay(id, last(12), 12, true);
    // What the replay has told already is not told again.
    assert_eq!(
        channel.read(1_000, 0),
        ["104 change last", "105 change live"]
    );
    assert_eq!(
        channel.queue.ping(channel.generation, &mark(15)),
        Some(at(15))
    );
    channel.push(12, "late", 10);
    assert!(channel.read(1_000, 0).is_empty());
}

#[test]
fn a_replay_without_changes_ends_with_a_ping_at_once() {
    let mut channel = channel();
    let id = channel.replay(5);
    channel.finish_replay(id, Events::default(), 12, false);
    assert_eq!(channel.read(1_000, 0), ["ping 12"]);
    assert!(channel.read(1_000, 0).is_empty(), "once");
}

#[test]
fn a_reset_that_no_log_tells_of_outlives_the_replay() {
    let mut channel = channel();
    let id = channel.replay(5);
    for (version, reason) in [(11, "schema"), (12, "truncated")] {
        let mut batch = BatchBuilder::new(at(version - 1).version, at(version));
        batch.reset(Some("t".into()), reason);
        let (bounds, effects) = (&channel.bounds, &mut channel.effects);
        let batch = batch.build();
        channel.queue.push(&batch, 0, true, 0, bounds, effects);
    }
    channel.finish_replay(id, last(13), 13, true);
    assert_eq!(
        channel.read(1_000, 0),
        ["102 change last", "103 reset t schema"]
    );
}

#[test]
fn a_replay_waits_for_its_reader_and_ends_with_it() {
    let mut channel = channel();
    let id = channel.replay(5);
    let mut events = rows(100, 1_000);
    let until = match channel.offer_replay(id, &mut events, 0) {
        Offer::Blocked { until } => until,
        other => panic!("{other:?}"),
    };
    assert!(channel.queue.sizes().0 <= channel.bounds.replay_queue_bytes);
    let stalled = channel.offer_replay(id, &mut events, until);
    assert_eq!(stalled, Offer::Failed(Kind::RequestStalled));
    let effects = &mut channel.effects;
    channel.queue.void_replay(id, &mark(20), "lagged", effects);
    assert_eq!(channel.read(1_000_000, 0), ["102 reset lagged"]);
    assert_eq!(channel.read(1_000_000, 0), ["ping 20"]);
}

#[test]
fn a_reader_that_comes_again_goes_on_or_begins_anew() {
    let mut channel = channel();
    let first = channel.replay(5);
    channel.offer_replay(first, &mut rows(3, 10), 0);
    assert_eq!(channel.read(1, 0), ["102 row r"]);
    channel.detach(0);
    // After a number, the replay goes on, and still no cursor but the reader's own is told.
    let again = Attach {
        after: Some(102),
        ..since(7)
    };
    let opened = channel.attach_at(again, 30, 0);
    assert_eq!((opened.resumed, opened.position), (true, at(5)));
    assert_eq!(channel.queue.replay(), Some(first));
    assert_eq!(channel.read(1_000, 0), ["103 row r", "104 row r"]);
    // Without one, another begins, and the first one is of no more use.
    let second = channel.replay(6);
    assert_ne!(first, second);
    let refused = channel.offer_replay(first, &mut rows(1, 10), 0);
    assert_eq!(refused, Offer::Failed(Kind::RequestCancelled));
    channel.finish_replay(first, last(40), 40, true);
    channel.finish_replay(second, last(41), 41, true);
    assert_eq!(channel.read(1_000, 0).last().unwrap(), "106 change last");
}

#[test]
fn of_what_was_handed_out_a_replay_repeats_what_is_not_about_changes() {
    let begin = || {
        let mut channel = channel();
        channel.attach(None, true);
        let lane = channel.open("r", 0);
        channel.push(11, "t", 10);
        assert_eq!(channel.read(1_000, 0), ["101 change t"]);
        channel.offer(lane, &mut rows(2, 10), 0);
        assert_eq!(channel.read(1_000, 0), ["102 row r", "103 row r"]);
        channel.push(12, "t", 10);
        channel.finish(lane, "r");
        assert_eq!(channel.read(1_000, 0).len(), 2);
        channel
    };
    // It names no number and neither of the cursors that it was sent: whatever of the changes it has,
    // the replay tells what came after its state, and nothing from before it.
    let attach = |state| Attach {
        acknowledges: true,
        ..since(state)
    };
    let mut channel = begin();
    let opened = channel.attach_at(attach(5), 12, 0);
    assert_eq!((opened.resumed, &opened.position), (true, &at(5)));
    // None of the numbers that were given before is given again, or taken for a place to go on from.
    assert_eq!(opened.sequence, 106);
    let again = ["107 row r", "108 row r", "109 done r"];
    assert_eq!(channel.read(1_000, 0), again);
    let id = channel.queue.replay().unwrap();
    channel.finish_replay(id, last(12), 12, true);
    assert_eq!(channel.read(1_000, 0), ["110 change last"]);
    let goes_on = Attach {
        after: Some(108),
        ..Attach::default()
    };
    assert_eq!(channel.attach_at(goes_on, 12, 0).sequence, 108);
    assert_eq!(channel.read(1_000, 0), ["109 done r", "110 change last"]);
    let before = Attach {
        after: Some(105),
        ..Attach::default()
    };
    assert!(!channel.attach_at(before, 12, 0).resumed);

    // Part of the rows is acknowledged.
    let mut channel = begin();
    channel.queue.acknowledge(102).unwrap();
    channel.attach_at(attach(5), 12, 0);
    assert_eq!(channel.read(1_000, 0), ["107 row r", "108 done r"]);
    assert!(channel.queue.acknowledge(108).is_ok());
    assert_eq!(channel.queue.sizes().1, 0);

    // A cursor that this channel sent says what the reader has of everything.
    let mut channel = begin();
    channel.attach_at(attach(11), 12, 0);
    assert_eq!(channel.read(1_000, 0).len(), 3);
    let mut channel = begin();
    channel.attach_at(attach(12), 12, 0);
    assert_eq!(channel.read(1_000, 0), ["107 done r"]);

    // One that is none of the database's resets all, so that changes need not come again either.
    let mut channel = begin();
    let unknown = Attach {
        since: Some(Since::Unknown("cursor_invalid")),
        acknowledges: true,
        ..Attach::default()
    };
    channel.attach_at(unknown, 12, 0);
    let told = channel.read(1_000, 0);
    let expected = [&again[..], &["110 reset cursor_invalid"]].concat();
    assert_eq!(told, expected);
}

#[test]
fn a_database_that_went_back_ends_the_replay() {
    let mut channel = channel();
    let id = channel.replay(5);
    channel.offer_replay(id, &mut rows(2, 10), 0);
    let mark = Mark {
        epoch: 1,
        position: at(3),
    };
    let (bounds, effects) = (&channel.bounds, &mut channel.effects);
    channel.queue.rewind(&mark, "log_lost", bounds, effects);
    channel.finish_replay(id, last(12), 12, true);
    assert_eq!(channel.read(1_000, 0), ["102 reset log_lost"]);
    assert_eq!(channel.queue.ping(channel.generation, &mark), Some(at(3)));
}

#[test]
fn a_cursor_that_is_none_resets_and_begins_where_the_feed_is() {
    let mut channel = channel();
    let attach = Attach {
        since: Some(Since::Unknown("cursor_invalid")),
        ..Attach::default()
    };
    let opened = channel.attach_at(attach, 20, 0);
    assert_eq!((opened.resumed, opened.position), (true, at(20)));
    assert_eq!(channel.queue.replay(), None);
    channel.push(21, "t", 10);
    assert_eq!(
        channel.read(1_000, 0),
        ["102 reset cursor_invalid", "103 change t"]
    );
}
