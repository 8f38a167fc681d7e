//! Channels through their public interface. What depends on time is tested at the queue.
#![cfg_attr(
    feature = "shuttle",
    allow(dead_code, reason = "outside of shuttle, its locks cannot be used")
)]

#[cfg(not(feature = "shuttle"))]
mod groups;
#[cfg(feature = "shuttle")]
mod interleavings;
#[cfg(not(feature = "shuttle"))]
mod requests;

use super::{
    Attach, Attachment, Batch, BatchBuilder, Change, Channel, ChannelId, Delivery, Hub, RequestId,
};
use crate::{
    config::Limits,
    identity::{Identity, IdentityKey},
    snapshot::{Position, Version},
    wire::{
        Events,
        event::{self, Actions, Done, Op},
    },
};
use bytes::BytesMut;
use serde_json::Value;
use std::sync::Arc;

pub(super) fn at(version: u64) -> Position {
    Position {
        version: Version(version),
        cursor: format!("c{version}").into(),
    }
}

/// A hub whose feed stands at version 10.
pub(super) fn hub(limits: &Limits) -> Arc<Hub> {
    Hub::new(limits, at(10))
}

pub(super) fn identity(user: u8) -> Arc<Identity> {
    Arc::new(Identity {
        key: IdentityKey([user; 32]),
        organization: "1".into(),
        user: user.to_string().as_str().into(),
        role: "app".into(),
        claims: "{}".into(),
    })
}

pub(super) fn name(id: &str) -> RequestId {
    RequestId::parse(id).unwrap()
}

pub(super) fn channel(hub: &Hub) -> Arc<Channel> {
    hub.open(&identity(1), &ChannelId::default()).unwrap()
}

pub(super) fn change(resource: &str, key: u64, op: Op, version: u64) -> Change {
    Change {
        resource: resource.into(),
        key: key.to_string().into(),
        op,
        version: Version(version),
        actions: Actions::None,
        row: op
            .leaves_row()
            .then(|| format!("{{\"id\":{key},\"v\":{version}}}").into()),
        transient: false,
    }
}

/// A batch of the version before this one to this one.
pub(super) fn batch(version: u64, changes: impl IntoIterator<Item = Change>) -> Arc<Batch> {
    let mut builder = BatchBuilder::new(Version(version - 1), at(version));
    for change in changes {
        builder.change(change);
    }
    builder.build()
}

/// A batch in which row `key` of `t` is updated.
pub(super) fn update(version: u64, key: u64) -> Arc<Batch> {
    batch(version, [change("t", key, Op::Update, version)])
}

/// What the feed does with a batch that is for everybody.
pub(super) fn announce(hub: &Arc<Hub>, batch: &Arc<Batch>) {
    let audience = hub.advance(batch.position.clone());
    for group in audience.all() {
        group.push(batch);
    }
    hub.settle(batch.position.clone());
}

/// Rows `from..to` of a request, each with so many bytes of text.
pub(super) fn rows(request: &str, range: std::ops::Range<u64>, text_bytes: usize) -> Events {
    let prefix = event::row_prefix(request, "t", Version(20), false);
    let (mut out, mut ends) = (BytesMut::new(), Vec::new());
    for id in range {
        out.extend_from_slice(&prefix);
        let text = "x".repeat(text_bytes);
        out.extend_from_slice(format!("{{\"id\":{id},\"text\":\"{text}\"}}").as_bytes());
        out.extend_from_slice(event::ROW_SUFFIX);
        ends.push(out.len() as u32);
    }
    Events::new(out, &ends)
}

pub(super) fn done(request: &str, rows: u64) -> bytes::Bytes {
    Done {
        request_id: request,
        rows,
        position: &at(20),
        next: None,
        count: None,
    }
    .encode()
}

/// A delivery's events with their numbers; a ping or a close has number 0.
pub(super) fn read(delivery: Delivery) -> Vec<(u64, Value)> {
    let parse = |line: &[u8]| serde_json::from_slice::<Value>(line).unwrap();
    match delivery {
        Delivery::Events(frames) => frames
            .iter()
            .flat_map(|frame| frame.numbered())
            .map(|(number, line)| (number, parse(line)))
            .collect(),
        Delivery::Ping(position) => vec![(0, parse(&event::ping(&position)))],
        Delivery::Close(close) => vec![(0, parse(&close.encode()))],
    }
}

/// The next delivery as short words: `row r1 5`, `change t 3`, `done r1`, `ping c12`, `close 4001`.
pub(super) async fn next(attachment: &mut Attachment) -> Vec<String> {
    words(read(attachment.next(1 << 20).await))
}

pub(super) fn words(events: Vec<(u64, Value)>) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let word = |(_, it): (u64, Value)| match it["type"].as_str().unwrap() {
        "row" => format!("row {} {}", text(&it["request_id"]), it["row"]["id"]),
        kind @ ("done" | "error") => format!("{kind} {}", text(&it["request_id"])),
        "change" => format!("{} {} {}", text(&it["op"]), text(&it["resource"]), it["id"]),
        "reset" => format!("reset {} {}", text(&it["resource"]), text(&it["reason"])),
        "ping" => format!("ping {}", text(&it["cursor"])),
        "close" => format!("close {}", it["code"]),
        other => other.to_owned(),
    };
    events.into_iter().map(word).collect()
}

/// Everything that is there now, without waiting, as short words.
pub(super) async fn drain(attachment: &mut Attachment) -> Vec<String> {
    let values = drain_values(attachment).await;
    words(values.into_iter().map(|it| (0, it)).collect())
}

/// Everything that is there now, without waiting.
pub(super) async fn drain_values(attachment: &mut Attachment) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        tokio::select! {
            biased;
            delivery = attachment.next(1 << 20) => {
                all.extend(read(delivery).into_iter().map(|it| it.1));
            }
            () = std::future::ready(()) => return all,
        }
    }
}

pub(super) fn attach(channel: &Arc<Channel>) -> Attachment {
    channel.attach(Attach::default()).unwrap()
}
