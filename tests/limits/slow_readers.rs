//! Readers that stand still: what they hold, whom they hold up, and what they learn afterwards.

use super::{SCHEMA, attached, mark, server, until_mark};
use crate::support::{Database, TestServer, Transport, soon, until};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const QUEUE: usize = 128 << 10;

#[tokio::test]
async fn a_frozen_reader_holds_up_nobody_else_and_loses_nothing() {
    let server = server(|config| config.limits.queue_bytes_max = QUEUE).await;
    let client = server.client(1, 1);
    for transport in [Transport::WebSocket, Transport::Sse, Transport::Ndjson] {
        let name = format!("tab-{transport:?}");
        let mut frozen = attached(&client, transport, &name).await;
        let call = client.get("/wide").header("request-id", "r1");
        call.header("channel-id", &name).expect(202).await;
        // Nobody reads it: it fills what may be filled, and then stands still.
        let mut seen = (0, 0);
        until("it stands still", async || {
            let held = server.running.stats().channels.queued_bytes;
            let times = if held > 0 && held == seen.0 {
                seen.1 + 1
            } else {
                0
            };
            seen = (held, times);
            times == 20
        })
        .await;
        // The same identity's other channel, a colleague's, and another organization's.
        for (caller, rows) in [
            (client.clone(), 40),
            (server.client(1, 2), 40),
            (server.client(2, 1), 40),
        ] {
            let mut channel = attached(&caller, transport, "other").await;
            caller
                .get("/tickets")
                .header("request-id", &name)
                .header("channel-id", "other")
                .expect(202)
                .await;
            let (before, done) = channel.until("done").await;
            assert_eq!((before.len(), &done["rows"]), (rows, &json!(rows)));
            let organization = caller.get("/tickets?limit=1").expect(200).await.json();
            assert!(before.iter().all(|event| {
                event["row"]["organization_id"] == organization[0]["organization_id"]
            }));
            channel.leave().await;
        }
        let held = server.running.stats().channels.queued_bytes;
        assert!(held < QUEUE + (64 << 10), "{transport:?}: {held} bytes");
        assert_eq!(server.running.stats().requests, 1, "it waits");
        // Read on, it has missed nothing.
        let (rows, done) = frozen.until("done").await;
        assert_eq!((rows.len(), &done["rows"]), (20_000, &json!(20_000)));
        frozen.leave().await;
    }
    server.finish().await;
}

/// What a client holds: per row whatever has the highest version.
fn apply(held: &mut BTreeMap<u64, (u64, Value)>, event: &Value) {
    let version = event["version"].as_u64().unwrap();
    if event["type"] == "reset" {
        held.retain(|_, (at, _)| *at >= version);
        return;
    }
    let id = event["id"].as_u64().unwrap();
    if held.get(&id).is_none_or(|(at, _)| *at <= version) {
        held.insert(id, (version, event["row"].clone()));
    }
}

#[tokio::test]
async fn changes_squash_to_the_newest_of_each_row() {
    let server = server(|config| config.limits.queue_bytes_max = QUEUE).await;
    let client = server.client(1, 1);
    let mut witness = attached(&server.client(1, 2), Transport::WebSocket, "witness").await;
    let mut other = attached(&server.client(2, 1), Transport::WebSocket, "other").await;
    let away = attached(&client, Transport::WebSocket, "away").await;
    let query = format!("after={}", away.sequence);
    drop(away);
    // Four rows of 10 kB, rewritten until they are many times what the queue holds.
    for round in 1..=12 {
        let text = format!("{round} {}", "x".repeat(10_000));
        let update =
            format!("update tickets set subject = '{text}' where id between 1001 and 1004");
        server.database.execute(&update).await;
        mark(&server, 1, round).await;
        let told = until_mark(&mut witness).await;
        assert_eq!(told.len(), 4, "{:.300}", json!(told).to_string());
    }
    let held = server.running.stats().channels.queued_bytes;
    assert!(held <= QUEUE + (16 << 10), "{held} bytes");
    let mut back = client
        .channel_with(Transport::WebSocket, "away", &query)
        .await;
    assert_eq!(back.expect("open").await["resumed"], true);
    let mut rows = BTreeMap::new();
    let mut count = 0;
    let mut last = false;
    loop {
        let event = back.next().await;
        match event["type"].as_str().unwrap() {
            "ping" => continue,
            kind => assert_eq!(kind, "change", "nothing is so much that it needs a reset"),
        }
        if event["resource"] == "marks" {
            last |= event["id"] == 1012;
        } else {
            count += 1;
            apply(&mut rows, &event);
        }
        if last && event["cursor"].is_string() {
            break;
        }
    }
    assert!(count < 12 * 4, "{count} changes of four rows");
    for id in 1001..=1004 {
        let subject = rows[&id].1["subject"].as_str().unwrap();
        assert!(subject.starts_with("12 "), "{id}: {}", &subject[..3]);
    }
    mark(&server, 2, 1).await;
    assert_eq!(until_mark(&mut other).await, Vec::<Value>::new());
    server.finish().await;
}

#[tokio::test]
async fn a_reader_that_stands_still_is_reset_and_then_up_to_date() {
    let server = server(|config| config.limits.queue_bytes_max = QUEUE).await;
    let client = server.client(1, 1);
    let mut witness = attached(&server.client(1, 2), Transport::WebSocket, "witness").await;
    let mut other = attached(&server.client(2, 1), Transport::WebSocket, "other").await;
    let mut frozen = attached(&client, Transport::WebSocket, "frozen").await;
    // More than the queue holds of different rows, again and again, until the kernel takes no more.
    for round in 1..=14 {
        let update =
            format!("update wide set filling = '{round} ' || repeat('x', 2000) where id <= 600");
        server.database.execute(&update).await;
        mark(&server, 1, round).await;
        until_mark(&mut witness).await;
        let held = server.running.stats().channels.queued_bytes;
        assert!(
            held <= 2 * QUEUE + (1 << 20),
            "{held} bytes in round {round}"
        );
    }
    let mut rows = BTreeMap::new();
    let mut resets = 0;
    let mut read_again = 0;
    let mut last = false;
    loop {
        let event = frozen.next().await;
        if event["type"] == "ping" {
            continue;
        }
        if event["type"] == "reset" {
            assert_eq!(event["reason"], "lagged");
            resets += 1;
            read_again = event["version"].as_u64().unwrap();
        }
        if event["resource"] == "wide" || event["type"] == "reset" {
            apply(&mut rows, &event);
        }
        last |= event["resource"] == "marks" && event["id"] == 1014;
        if last && event["cursor"].is_string() {
            break;
        }
    }
    assert!(resets > 0, "what was skipped was said");
    // Whatever it holds since the last reset is the newest there is; the rest it fetches.
    assert!(rows.values().all(|(version, row)| {
        *version >= read_again && row["filling"].as_str().unwrap().starts_with("14 ")
    }));
    let read = client.get("/wide?limit=600&order=id").expect(200).await;
    assert!(read.version() >= read_again);
    mark(&server, 2, 1).await;
    assert_eq!(until_mark(&mut other).await, Vec::<Value>::new());
    server.finish().await;
}

#[tokio::test]
async fn requests_that_nobody_reads_free_their_connections_in_postgresql() {
    let server = TestServer::start(Database::with(SCHEMA).await, |config| {
        config.limits.request_grace_ms = 300;
        config.limits.queue_bytes_max = QUEUE;
    })
    .await;
    let client = server.client(1, 1);
    for name in ["a", "b", "c"] {
        let call = client.get("/wide").header("request-id", "r1");
        call.header("channel-id", name).expect(202).await;
    }
    let running = "select count(*) from pg_stat_activity
                   where datname = current_database() and pid <> pg_backend_pid()
                   and query ~ 'wide' and state <> 'idle'";
    soon("nothing runs for readers who are not there", async || {
        server.running.stats().requests == 0 && server.database.value(running).await == "0"
    })
    .await;
    assert!(server.running.stats().channels.queued_bytes <= 3 * (QUEUE + (64 << 10)));
    for (name, transport) in
        ["a", "b", "c"]
            .iter()
            .zip([Transport::WebSocket, Transport::Ndjson, Transport::LongPoll])
    {
        let mut channel = client.channel(transport, name).await;
        let (before, error) = channel.until("error").await;
        let rows = before.iter().filter(|event| event["type"] == "row").count();
        assert_eq!(error["problem"]["type"], "request-unread", "{transport:?}");
        assert_eq!(error["rows"], rows, "what it says is what came");
        // One end, and nothing after it but the next request's.
        let again = json!("r2");
        let call = client.get("/tickets?limit=2").header("request-id", "r2");
        call.header("channel-id", name).expect(202).await;
        let (rows, done) = channel.until("done").await;
        assert_eq!((rows.len(), &done["request_id"]), (2, &again));
    }
    server.finish().await;
}
