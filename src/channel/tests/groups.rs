//! Who is told: groups, organizations, the moment of registration, holds, limits.

use super::*;
use crate::{channel::Priority, error::Kind};

fn queued(channel: &Arc<Channel>) -> bool {
    channel.bytes().0 > 0
}

#[test]
fn who_comes_after_the_snapshot_is_not_told_what_was_before() {
    let hub = hub(&Limits::default());
    let early = channel(&hub);
    let audience = hub.advance(at(11));
    let late = hub
        .open(&identity(1), &ChannelId::parse("late").unwrap())
        .unwrap();
    for group in audience.of(&"1".into()).iter() {
        group.push(&update(11, 1));
    }
    assert!(queued(&early));
    assert!(!queued(&late));
    assert_eq!(
        late.attach(Attach::default()).unwrap().opened().position,
        at(11)
    );
    announce(&hub, &update(12, 1));
    assert!(queued(&late));
}

#[tokio::test]
async fn while_a_group_is_held_its_cursor_stands_still() {
    let hub = hub(&Limits::default());
    let channel = channel(&hub);
    let mut reader = attach(&channel);
    let group = hub.groups().remove(0);
    let mut cursors = async || {
        let told = drain_values(&mut reader).await;
        told.into_iter()
            .map(|it| it["cursor"].clone())
            .collect::<Vec<_>>()
    };
    // Part of 11 is still being read while 12 comes.
    hub.advance(at(11));
    let eleven = group.hold();
    group.push(&update(11, 1));
    hub.settle(at(11));
    hub.advance(at(12));
    let twelve = group.hold();
    group.push(&update(12, 2));
    hub.settle(at(12));
    assert_eq!(cursors().await, [Value::Null, Value::Null]);
    assert_eq!(group.position().position, at(10));
    eleven.complete(&update(11, 3));
    assert_eq!(cursors().await, ["c11"]);
    assert_eq!(group.position().position, at(11));
    twelve.complete(&update(12, 4));
    assert_eq!(cursors().await, ["c12"]);
    assert_eq!(group.position().position, at(12));
}

#[tokio::test]
async fn a_hold_from_before_the_database_went_back_tells_nothing() {
    let hub = hub(&Limits::default());
    let channel = channel(&hub);
    let mut reader = attach(&channel);
    let hold = hub.groups().remove(0).hold();
    hub.rewind(at(5), "log-lost");
    hold.complete(&update(11, 1));
    announce(&hub, &update(6, 2));
    assert_eq!(drain(&mut reader).await, ["reset  log-lost", "update t 2"]);
    assert_eq!(attach(&channel).opened().position, at(6));
}

#[test]
fn channels_and_requests_are_limited_per_identity() {
    let limits = Limits {
        channels_per_identity: 2,
        requests_per_identity: 2,
        ..Limits::default()
    };
    let hub = hub(&limits);
    let open = |user, id| hub.open(&identity(user), &ChannelId::parse(id).unwrap());
    let (one, two) = (open(1, "a").unwrap(), open(1, "b").unwrap());
    assert_eq!(open(1, "c").unwrap_err().kind(), Kind::TooManyChannels);
    assert!(Arc::ptr_eq(&open(1, "a").unwrap(), &one));
    let request = |channel: &Arc<Channel>, id| channel.open_request(name(id), Priority::default());
    let _first = request(&one, "r1").unwrap();
    let second = request(&two, "r1").unwrap();
    assert_eq!(
        request(&one, "r2").unwrap_err().kind(),
        Kind::TooManyRequests
    );
    let _others = request(&open(2, "a").unwrap(), "r1").unwrap();
    // A request counts until its end was handed out.
    second.finish(done("r1", 0));
    assert_eq!(
        request(&one, "r2").unwrap_err().kind(),
        Kind::TooManyRequests
    );
    assert!(hub.end(&identity(1).key, &ChannelId::parse("b").unwrap()));
    assert!(request(&one, "r2").is_ok());
    assert!(open(1, "c").is_ok());
    assert!(!hub.end(&identity(1).key, &ChannelId::parse("b").unwrap()));
}

#[tokio::test]
async fn nothing_is_left_of_those_who_have_gone() {
    let hub = hub(&Limits::default());
    let channel = channel(&hub);
    let reader = attach(&channel);
    let lane = channel
        .open_request(name("r"), Priority::default())
        .unwrap();
    announce(&hub, &update(11, 1));
    let stats = hub.stats();
    assert_eq!(
        (stats.channels, stats.attachments, stats.requests),
        (1, 1, 1)
    );
    assert!(stats.queued_bytes > 0);
    hub.clear();
    drop((channel, reader, lane));
    assert_eq!(hub.stats(), Default::default());
    assert!(hub.advance(at(12)).is_empty());
    assert!(hub.organizations().is_empty());
}

#[tokio::test]
async fn an_idle_channel_is_swept_and_its_reader_told_when_it_comes_back() {
    let limits = Limits {
        channel_idle_ms: 20,
        ..Limits::default()
    };
    let hub = hub(&limits);
    hub.start_sweeper();
    let first = channel(&hub);
    let lane = first.open_request(name("r"), Priority::default()).unwrap();
    // The sweep itself tells the request, which is what this waits for.
    assert_eq!(lane.cancelled().await.kind(), Kind::ChannelEnded);
    drop(lane);
    assert_eq!(
        first.attach(Attach::default()).unwrap_err().kind(),
        Kind::ChannelEnded
    );
    let mut reader = hub
        .attach(&identity(1), &ChannelId::default(), Attach::default())
        .unwrap();
    assert!(!reader.opened().resumed);
    assert_eq!(next(&mut reader).await, ["reset  gap"]);
}

#[tokio::test]
async fn time_limits_end_producers_that_wait() {
    let limits = Limits {
        request_grace_ms: 20,
        request_stall_ms: 20,
        ..Limits::default()
    };
    let hub = hub(&limits);
    let channel = channel(&hub);
    let mut unread = channel
        .open_request(name("r1"), Priority::default())
        .unwrap();
    let error = unread.rows(rows("r1", 0..20_000, 500)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::RequestUnread);
    unread.fail(&error);
    let _reader = attach(&channel);
    let mut stalled = channel
        .open_request(name("r2"), Priority::default())
        .unwrap();
    let error = stalled.rows(rows("r2", 0..20_000, 500)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::RequestStalled);
}

#[tokio::test]
async fn a_quiet_reader_hears_a_ping() {
    let limits = Limits {
        ping_ms: 20,
        ..Limits::default()
    };
    let hub = hub(&limits);
    let channel = channel(&hub);
    let mut reader = attach(&channel);
    hub.advance(at(11));
    hub.settle(at(11));
    assert_eq!(next(&mut reader).await, ["ping c11"]);
    announce(&hub, &update(12, 1));
    assert_eq!(next(&mut reader).await, ["update t 1"]);
    assert_eq!(next(&mut reader).await, ["ping c12"]);
}
