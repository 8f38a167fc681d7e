//! A reader that comes back with a cursor, and what it is told until it is up to date.

use crate::support::{Channel, Client, Transport};
use serde_json::Value;
use std::collections::BTreeSet;

/// What a reader was told of what it missed.
#[derive(Debug)]
pub(crate) struct Told {
    /// The `open` event.
    pub(crate) open: Value,
    /// Everything up to the event that says that it is up to date.
    pub(crate) events: Vec<Value>,
    /// The cursor at which it is up to date.
    pub(crate) cursor: String,
}

impl Told {
    /// The changes and resets in words, in no particular order: `op resource id`, `reset resource
    /// reason`.
    pub(crate) fn words(&self) -> BTreeSet<String> {
        let words: Vec<String> = self.events.iter().map(spell).collect();
        let set: BTreeSet<String> = words.iter().cloned().collect();
        assert_eq!(set.len(), words.len(), "something is told twice: {words:?}");
        set
    }

    /// The row of this change.
    #[track_caller]
    pub(crate) fn row(&self, resource: &str, id: &Value) -> &Value {
        let found = self
            .events
            .iter()
            .find(|it| it["resource"] == *resource && it["id"] == *id);
        &found.unwrap_or_else(|| panic!("{resource} {id} was not told: {self:?}"))["row"]
    }
}

/// An event in words.
pub(crate) fn spell(event: &Value) -> String {
    let text = |name: &str| event[name].as_str().unwrap_or("-");
    match text("type") {
        "change" => format!("{} {} {}", text("op"), text("resource"), event["id"]),
        "reset" => format!("reset {} {}", text("resource"), text("reason")),
        other => other.to_owned(),
    }
}

/// Attaches with a cursor.
pub(crate) async fn attach(
    client: &Client,
    transport: Transport,
    id: &str,
    query: &str,
) -> (Channel, Value) {
    let mut channel = client.channel_with(transport, id, query).await;
    let open = channel.expect("open").await;
    (channel, open)
}

/// Attaches with a cursor, and reads until everything that was missed has been told.
pub(crate) async fn missed(
    client: &Client,
    transport: Transport,
    id: &str,
    cursor: &str,
) -> (Channel, Told) {
    let (mut channel, open) = attach(client, transport, id, &format!("since={cursor}")).await;
    let told = up_to_date(&mut channel, open).await;
    (channel, told)
}

/// Reads until an event says that everything has been told.
pub(crate) async fn up_to_date(channel: &mut Channel, open: Value) -> Told {
    let mut events = Vec::new();
    loop {
        let event = channel.next().await;
        let cursor = event["cursor"].as_str().map(str::to_owned);
        let is_ping = event["type"] == "ping";
        let ends = is_ping || event["type"] == "change" && cursor.is_some();
        if !is_ping {
            events.push(event);
        }
        if ends {
            return Told {
                open,
                events,
                cursor: cursor.expect("it has one"),
            };
        }
    }
}
