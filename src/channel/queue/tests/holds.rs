//! What is less urgent waits for what was just opened and is more urgent, and never for long.

use super::{
    super::*,
    channel::{Channel, channel, channel_with, rows},
};
use crate::{channel::Attach, config::Limits};

const HOLD_MS: u64 = 250;

/// A channel that is read, on which `bulk` (3) has rows and `urgent` (0) runs still, both opened at
/// 1,000.
fn held() -> (Channel, LaneId, LaneId) {
    let mut channel = channel();
    channel.attach(None, false);
    let bulk = channel.open("bulk", 1_000);
    let urgent = channel.open_urgent("urgent", 0, 1_000);
    assert_eq!(channel.bounds.hold_ms, HOLD_MS);
    assert_eq!(channel.offer(bulk, &mut rows(2, 10), 1_005), Offer::Done);
    assert_eq!(waits(&mut channel, 1_010), Some(1_000 + HOLD_MS));
    (channel, bulk, urgent)
}

/// Until when the reader, who gets nothing, is to wait.
fn waits(channel: &mut Channel, now: u64) -> Option<u64> {
    match channel.step(1_000, now) {
        Step::Wait { until } => until,
        other => panic!("{other:?}"),
    }
}

/// Whether the reader was woken since it was last asked.
fn woken(channel: &mut Channel) -> bool {
    std::mem::take(&mut channel.effects).reader.is_some()
}

#[test]
fn rows_wait_for_the_end_of_what_is_more_urgent() {
    let (mut channel, bulk, urgent) = held();
    channel.finish(bulk, "bulk");
    assert_eq!(waits(&mut channel, 1_020), Some(1_250), "an end waits too");
    assert!(woken(&mut channel));
    // What comes of it goes out, and the others wait on: there may be more.
    channel.offer(urgent, &mut rows(1, 10), 1_030);
    assert!(woken(&mut channel));
    assert_eq!(channel.read(1_000, 1_030), ["101 row r"]);
    assert_eq!(waits(&mut channel, 1_030), Some(1_250));
    channel.finish(urgent, "urgent");
    assert!(woken(&mut channel));
    // What is unpacked as a whole has nothing less urgent behind.
    assert_eq!(channel.read(1_000, 1_040), ["102 done urgent"]);
    let told = channel.read(1_000, 1_040);
    assert_eq!(told, ["103 row r", "104 row r", "105 done bulk"]);
}

#[test]
fn rows_wait_no_longer_than_the_bound() {
    let (mut channel, ..) = held();
    assert_eq!(waits(&mut channel, 1_249), Some(1_250));
    assert_eq!(channel.read(1_000, 1_250), ["101 row r", "102 row r"]);
    assert_eq!(waits(&mut channel, 1_250), None);
}

#[test]
fn a_request_that_is_told_to_stop_keeps_nobody_waiting() {
    let (mut channel, ..) = held();
    let urgent = RequestId::parse("urgent").unwrap();
    let (bounds, effects) = (&channel.bounds, &mut channel.effects);
    assert!(channel.queue.cancel(&urgent, bounds, effects));
    assert!(woken(&mut channel));
    assert_eq!(channel.read(1_000, 1_020).len(), 2);
}

#[test]
fn changes_errors_and_signals_wait_for_nobody() {
    let (mut channel, ..) = held();
    channel.push(11, "t", 10);
    assert!(woken(&mut channel));
    assert_eq!(channel.read(1_000, 1_020), ["101 change t"]);
    let (bounds, effects) = (&channel.bounds, &mut channel.effects);
    assert!(channel.queue.error(b"{}", 1_020, bounds, effects));
    assert_eq!(channel.read(1_000, 1_020), ["102 error "]);
    channel.queue.close(Close::REPLACED, &mut channel.effects);
    assert_eq!(channel.read(1_000, 1_020), ["close 4001"]);
}

#[test]
fn nobody_waits_for_what_is_as_urgent_or_less() {
    for urgency in [3, 4] {
        let mut channel = channel();
        channel.attach(None, false);
        let bulk = channel.open("bulk", 1_000);
        channel.open_urgent("other", urgency, 1_000);
        channel.offer(bulk, &mut rows(2, 10), 1_000);
        assert_eq!(channel.read(1_000, 1_000).len(), 2);
    }
}

#[test]
fn what_is_more_urgent_and_found_no_room_keeps_nobody_waiting() {
    let (mut channel, bulk, urgent) = held();
    let mut more = rows(100, 100);
    assert_ne!(channel.offer(bulk, &mut more, 1_010), Offer::Done);
    assert_eq!(waits(&mut channel, 1_010), Some(1_250));
    woken(&mut channel);
    let mut large = rows(1, 10_000);
    let blocked = channel.offer(urgent, &mut large, 1_010);
    assert!(matches!(blocked, Offer::Blocked { .. }));
    assert!(woken(&mut channel), "the reader has to make room");
    while channel.offer(urgent, &mut large, 1_010) != Offer::Done {
        assert!(!channel.read(1_000, 1_010).is_empty());
    }
}

#[test]
fn however_many_urgent_ones_follow_one_another_the_others_get_portions() {
    let mut channel = channel_with(&Limits::default(), false);
    channel.attach(None, false);
    let bulk = channel.open("bulk", 0);
    let mut all = rows(1_000, 500);
    channel.offer(bulk, &mut all, 0);
    let mut told = 0;
    for turn in 0..100 {
        let now = turn * 50;
        let urgent = channel.open_urgent(&format!("u{turn}"), 0, now);
        told += channel.read(1 << 20, now).len();
        // The next one is there before this one has ended.
        if turn > 0 {
            channel.open_urgent(&format!("v{turn}"), 0, now + 49);
        }
        channel.finish(urgent, &format!("u{turn}"));
        let ends = channel.read(1 << 20, now + 49).len();
        told += ends - 1;
    }
    // In 5 s, 20 portions of 16 KiB.
    let expected = 20 * (16 << 10) / 550;
    assert!((expected / 2..=expected * 2).contains(&told), "{told} rows");
}

#[test]
fn waiting_for_what_is_more_urgent_is_no_standstill_of_the_readers() {
    let mut channel = channel_with(
        &Limits {
            queue_bytes_max: 16_000,
            requests_per_identity: 4,
            request_stall_ms: 100,
            ..Limits::default()
        },
        false,
    );
    channel.attach_at(Attach::default(), 10, 1_000);
    let bulk = channel.open("bulk", 1_000);
    channel.open_urgent("urgent", 0, 1_000);
    let mut events = rows(200, 100);
    channel.offer(bulk, &mut events, 1_000);
    assert_eq!(waits(&mut channel, 1_001), Some(1_250));
    // The reader gets what waits at 1,250; if it does not take it, the clock runs from then on.
    let until = |at| Offer::Blocked { until: at };
    assert_eq!(channel.offer(bulk, &mut events, 1_100), until(1_350));
    assert_eq!(channel.offer(bulk, &mut events, 1_349), until(1_350));
    let stalled = Offer::Failed(Kind::RequestStalled);
    assert_eq!(channel.offer(bulk, &mut events, 1_350), stalled);
}
