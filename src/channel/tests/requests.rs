//! Requests on a channel: their order, their one end, and how they share.

use super::*;
use crate::{
    channel::{Priority, RequestState},
    error::{Error, Kind},
};

#[tokio::test]
async fn rows_come_in_order_and_end_once_numbered_without_gaps() {
    let hub = hub(&Limits::default());
    let channel = channel(&hub);
    let mut reader = attach(&channel);
    let mut lane = channel
        .open_request(name("r"), Priority::default())
        .unwrap();
    lane.rows(rows("r", 0..3, 10)).await.unwrap();
    lane.rows(rows("r", 3..5, 10)).await.unwrap();
    assert_eq!(lane.rows_told(), 5);
    assert_eq!(channel.request(&name("r")).unwrap().rows_queued, 5);
    lane.finish(done("r", 5));
    let events = read(reader.next(1 << 20).await);
    let numbers: Vec<_> = events.iter().map(|it| it.0).collect();
    let first = reader.opened().sequence + 1;
    assert_eq!(numbers, (first..first + 6).collect::<Vec<_>>());
    assert_eq!(
        words(events),
        [
            "row r 0", "row r 1", "row r 2", "row r 3", "row r 4", "done r"
        ]
    );
}

#[tokio::test]
async fn a_reader_that_waits_is_woken_by_rows_changes_and_ends() {
    let hub = hub(&Limits::default());
    let channel = channel(&hub);
    let mut reader = attach(&channel);
    let mut lane = channel
        .open_request(name("r"), Priority::default())
        .unwrap();
    let task = tokio::spawn(async move {
        let mut all = Vec::new();
        while all.last().is_none_or(|it| it != "done r") {
            all.extend(next(&mut reader).await);
        }
        all
    });
    tokio::task::yield_now().await;
    lane.rows(rows("r", 0..1, 10)).await.unwrap();
    tokio::task::yield_now().await;
    announce(&hub, &update(11, 7));
    tokio::task::yield_now().await;
    lane.finish(done("r", 1));
    assert_eq!(task.await.unwrap(), ["row r 0", "update t 7", "done r"]);
}

#[tokio::test]
async fn rows_wait_for_the_first_reader() {
    let hub = hub(&Limits::default());
    let channel = channel(&hub);
    let mut lane = channel
        .open_request(name("r"), Priority::default())
        .unwrap();
    lane.rows(rows("r", 0..2, 10)).await.unwrap();
    lane.finish(done("r", 2));
    announce(&hub, &update(11, 1));
    let mut reader = attach(&channel);
    assert!(reader.opened().resumed);
    assert_eq!(reader.opened().position, at(10));
    let mut all = next(&mut reader).await;
    all.sort();
    assert_eq!(all, ["done r", "row r 0", "row r 1", "update t 1"]);
}

#[tokio::test]
async fn a_small_request_does_not_wait_for_a_large_one() {
    let hub = hub(&Limits::default());
    let channel = channel(&hub);
    let mut large = channel
        .open_request(name("large"), Priority::default())
        .unwrap();
    let task = tokio::spawn(async move {
        large.rows(rows("large", 0..20_000, 500)).await.unwrap();
        large.finish(done("large", 20_000));
    });
    let mut reader = attach(&channel);
    let mut before = 0;
    before += read(reader.next(64 << 10).await).len();
    let mut small = channel
        .open_request(name("small"), Priority::default())
        .unwrap();
    small.rows(rows("small", 0..25, 500)).await.unwrap();
    small.finish(done("small", 25));
    let mut between = 0;
    loop {
        let events = words(read(reader.next(64 << 10).await));
        between += events
            .iter()
            .filter(|it| it.starts_with("row large"))
            .count();
        if events.contains(&"done small".to_owned()) {
            break;
        }
    }
    assert!(between < 250, "{between} rows of the other came in between");
    let mut after = 0;
    loop {
        let events = words(read(reader.next(64 << 10).await));
        after += events
            .iter()
            .filter(|it| it.starts_with("row large"))
            .count();
        if events.contains(&"done large".to_owned()) {
            break;
        }
    }
    assert_eq!(before + between + after, 20_000);
    task.await.unwrap();
}

#[tokio::test]
async fn the_urgent_come_first_and_nobody_starves() {
    let hub = hub(&Limits::default());
    let channel = channel(&hub);
    let mut lanes = Vec::new();
    for urgency in [7, 1, 3] {
        let id = format!("u{urgency}");
        let priority = Priority::of_urgency(urgency).unwrap();
        let mut lane = channel.open_request(name(&id), priority).unwrap();
        lane.rows(rows(&id, 0..400, 500)).await.unwrap();
        lanes.push((id, lane));
    }
    let mut reader = attach(&channel);
    let mut seen = Vec::new();
    while seen.len() < 400 {
        seen.extend(words(read(reader.next(16 << 10).await)));
    }
    let count = |id: &str| {
        seen.iter()
            .filter(|it| it.starts_with(&format!("row {id}")))
            .count()
    };
    assert!(
        count("u1") > 4 * count("u3"),
        "{} {}",
        count("u1"),
        count("u3")
    );
    assert!(count("u7") > 0, "the least urgent gets something");
}

#[tokio::test(start_paused = true)]
async fn what_is_less_urgent_waits_for_a_request_that_was_just_opened() {
    let hub = hub(&Limits::default());
    let channel = channel(&hub);
    let open = |id, urgency| {
        let priority = Priority::of_urgency(urgency).unwrap();
        channel.open_request(name(id), priority).unwrap()
    };
    let mut reader = attach(&channel);
    let begin = tokio::time::Instant::now();
    let urgent = open("urgent", 0);
    let mut bulk = open("bulk", 3);
    bulk.rows(rows("bulk", 0..1, 10)).await.unwrap();
    // The timer wakes the reader by itself, and the rows are there before the request has ended.
    assert_eq!(next(&mut reader).await, ["row bulk 0"]);
    assert_eq!(begin.elapsed().as_millis(), 250);
    urgent.finish(done("urgent", 0));
    assert_eq!(next(&mut reader).await, ["done urgent"]);

    let urgent = open("urgent2", 0);
    bulk.rows(rows("bulk", 1..2, 10)).await.unwrap();
    let waits = next(&mut reader);
    let ends = async {
        tokio::task::yield_now().await;
        urgent.finish(done("urgent2", 0));
    };
    let (told, ()) = tokio::join!(waits, ends);
    assert_eq!(told, ["done urgent2"]);
    assert_eq!(next(&mut reader).await, ["row bulk 1"]);
    assert_eq!(begin.elapsed().as_millis(), 250, "nobody waited for time");
    bulk.finish(done("bulk", 2));
}

#[tokio::test]
async fn changes_neither_wait_for_rows_nor_starve_them() {
    let hub = hub(&Limits::default());
    let channel = channel(&hub);
    let mut lane = channel
        .open_request(name("r"), Priority::default())
        .unwrap();
    lane.rows(rows("r", 0..1500, 500)).await.unwrap();
    let mut reader = attach(&channel);
    let mut version = 10;
    let (mut changes, mut told) = (0, 0);
    while told < 1500 {
        for _ in 0..50 {
            version += 1;
            announce(&hub, &update(version, version));
        }
        let events = words(read(reader.next(32 << 10).await));
        let of = |kind: &str| events.iter().filter(|it| it.starts_with(kind)).count();
        assert!(of("update") > 0 || changes > version as usize - 60);
        changes += of("update");
        told += of("row");
        assert!(version < 20_000, "rows starve");
    }
}

#[tokio::test]
async fn an_id_is_in_use_until_its_end_was_acknowledged_or_left_the_window() {
    let hub = hub(&Limits::default());
    let channel = channel(&hub);
    let open = |id| channel.open_request(name(id), Priority::default());
    let lane = open("r").unwrap();
    assert_eq!(open("r").unwrap_err().kind(), Kind::RequestIdInUse);
    let status = || channel.request(&name("r")).map(|it| it.state);
    assert_eq!(status(), Some(RequestState::Running));
    lane.finish(done("r", 0));
    assert_eq!(status(), Some(RequestState::Finished));
    assert_eq!(open("r").unwrap_err().kind(), Kind::RequestIdInUse);
    let mut reader = attach(&channel);
    let told = read(reader.next(1 << 20).await);
    assert_eq!(status(), Some(RequestState::Delivered));
    assert_eq!(open("r").unwrap_err().kind(), Kind::RequestIdInUse);
    channel.acknowledge(told[0].0).unwrap();
    assert_eq!(status(), None);
    open("r").unwrap().finish(done("r", 0));
}

#[tokio::test]
async fn newer_events_push_an_id_out_of_the_window() {
    let limits = Limits {
        replay_bytes_max: 10_000,
        ..Limits::default()
    };
    let hub = hub(&limits);
    let channel = channel(&hub);
    let open = |id| channel.open_request(name(id), Priority::default());
    let mut reader = attach(&channel);
    open("r").unwrap().finish(done("r", 0));
    next(&mut reader).await;
    assert!(open("r").is_err());
    let mut other = open("other").unwrap();
    other.rows(rows("other", 0..1, 10_000)).await.unwrap();
    next(&mut reader).await;
    assert!(open("r").is_ok());
}

#[tokio::test]
async fn a_dropped_request_ends_with_an_error_and_its_count_of_rows() {
    let hub = hub(&Limits::default());
    let channel = channel(&hub);
    let mut reader = attach(&channel);
    let mut lane = channel
        .open_request(name("r"), Priority::default())
        .unwrap();
    lane.rows(rows("r", 0..2, 10)).await.unwrap();
    drop(lane);
    let events = read(reader.next(1 << 20).await);
    assert_eq!(events[2].1["type"], "error");
    assert_eq!(events[2].1["rows"], 2);
    assert_eq!(events[2].1["problem"]["type"], "internal");
    assert_eq!(hub.stats().requests, 0);
}

#[tokio::test]
async fn a_cancel_reaches_the_producer_and_drops_what_waits() {
    let hub = hub(&Limits::default());
    let channel = channel(&hub);
    let mut lane = channel
        .open_request(name("r"), Priority::default())
        .unwrap();
    lane.rows(rows("r", 0..5, 10)).await.unwrap();
    assert!(channel.cancel(&name("r")));
    assert_eq!(lane.cancelled().await.kind(), Kind::RequestCancelled);
    let error = lane.rows(rows("r", 5..6, 10)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::RequestCancelled);
    assert_eq!(lane.rows_told(), 0);
    lane.fail(&error);
    assert!(!channel.cancel(&name("r")), "it has ended");
    let mut reader = attach(&channel);
    let events = read(reader.next(1 << 20).await);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].1["rows"], 0);
    assert_eq!(events[0].1["problem"]["type"], "request-cancelled");
}

#[tokio::test]
async fn a_producer_that_waits_for_room_hears_of_a_cancel() {
    let hub = hub(&Limits::default());
    let channel = channel(&hub);
    let mut lane = channel
        .open_request(name("r"), Priority::default())
        .unwrap();
    let task = tokio::spawn(async move {
        let error = lane.rows(rows("r", 0..20_000, 500)).await.unwrap_err();
        lane.fail(&error);
        error.kind()
    });
    tokio::task::yield_now().await;
    assert!(channel.cancel(&name("r")));
    assert_eq!(task.await.unwrap(), Kind::RequestCancelled);
}

#[tokio::test]
async fn a_command_that_fails_is_told_without_a_request() {
    let hub = hub(&Limits::default());
    let channel = channel(&hub);
    let mut reader = attach(&channel);
    let problem = Error::new(Kind::CommandMalformed, "What?");
    assert!(channel.error(&crate::wire::problem::document(&problem, None)));
    let events = read(reader.next(1 << 20).await);
    assert_eq!(events[0].1["problem"]["type"], "command-malformed");
    assert!(events[0].1.get("request_id").is_none());
}
