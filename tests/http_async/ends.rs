//! How asynchronous GETs end before their time: cancelled, unread, with a reader that stands still, by a
//! shutdown. Whatever ends one frees its connection to the database.

use super::{attached, server, server_with, start};
use crate::support::{TestServer, Transport, soon, until};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// Waits until no statement of a stream runs any more, here and in PostgreSQL.
async fn idle(server: &TestServer) {
    let running = "select count(*) from pg_stat_activity where state = 'active'
                   and query ~ 'slow|stuck|wide' and backend_type = 'client backend'
                   and pid <> pg_backend_pid() and datname = current_database()";
    soon("nothing runs", async || {
        let stats = server.running.stats();
        let here = stats.requests + stats.database.streams_busy;
        here == 0 && server.database.value(running).await == "0"
    })
    .await;
}

#[tokio::test]
async fn rows_leave_while_the_request_still_runs() {
    let server = server().await;
    let client = server.client(1, 1);
    for transport in [Transport::WebSocket, Transport::Sse, Transport::Ndjson] {
        let mut channel = attached(&client, transport, "tab-1").await;
        let began = Instant::now();
        start(&client, "/slow", &format!("{transport:?}"), "tab-1").await;
        channel.expect("row").await;
        let first = began.elapsed();
        channel.until("done").await;
        let done = began.elapsed();
        assert!(done > Duration::from_millis(1_900), "{done:?}");
        assert!(first * 2 < done, "{transport:?}: {first:?} of {done:?}");
    }
    server.finish().await;
}

#[tokio::test]
async fn a_cancel_reaches_postgresql() {
    let server = server().await;
    let client = server.client(1, 1);
    let mut channel = attached(&client, Transport::WebSocket, "tab-1").await;
    for way in ["DELETE", "command"] {
        let mut times = Vec::new();
        for number in 0..5 {
            let id = format!("{way}-{number}");
            start(&client, "/stuck", &id, "tab-1").await;
            let running = "select count(*) from pg_stat_activity where state = 'active'
                           and query ~ 'stuck' and pid <> pg_backend_pid()";
            until("it runs", async || {
                server.database.value(running).await == "1"
            })
            .await;
            let path = format!("/requests/{id}?channel=tab-1");
            let progress = client.get(&path).expect(200).await;
            assert_eq!(progress.json()["state"], "running");
            let began = Instant::now();
            match way {
                "DELETE" => {
                    client.delete(&path).expect(204).await;
                }
                _ => {
                    let cancel = json!({"type": "cancel", "request_id": id});
                    channel.command(cancel).await;
                }
            }
            let error = channel.expect("error").await;
            assert_eq!(error["request_id"], id.as_str());
            assert_eq!(error["rows"], 0);
            assert_eq!(error["problem"]["type"], "request-cancelled");
            idle(&server).await;
            times.push(began.elapsed());
        }
        // The shortest, since the machine may have something else to do.
        let shortest = times.iter().min();
        assert!(
            shortest < Some(&Duration::from_millis(100)),
            "{way}: {times:?}"
        );
    }
    let unknown = client
        .request("DELETE", "/requests/nothing?channel=tab-1")
        .expect(404)
        .await;
    assert_eq!(unknown.problem()["type"], "request-unknown");
    server.finish().await;
}

#[tokio::test]
async fn a_request_that_nobody_fetches_ends_and_frees_its_connection() {
    let server = server_with(|config| {
        config.limits.request_grace_ms = 300;
        config.limits.queue_bytes_max = 256 << 10;
    })
    .await;
    let client = server.client(1, 1);
    start(&client, "/wide", "r1", "tab-1").await;
    let began = Instant::now();
    idle(&server).await;
    assert!(
        began.elapsed() >= Duration::from_millis(250),
        "not before its time"
    );
    assert!(server.running.stats().channels.queued_bytes <= 300 << 10);
    let mut channel = attached(&client, Transport::Sse, "tab-1").await;
    let (rows, error) = channel.until("error").await;
    assert_eq!(error["request_id"], "r1");
    assert_eq!(error["rows"], rows.len());
    assert_eq!(error["problem"]["type"], "request-unread");
    server.finish().await;
}

#[tokio::test]
async fn a_frozen_reader_frees_the_connection_and_is_cut_off() {
    for transport in [Transport::WebSocket, Transport::Sse, Transport::Ndjson] {
        let server = server_with(|config| {
            config.limits.request_stall_ms = 400;
            config.limits.write_stall_ms = 800;
            config.limits.queue_bytes_max = 256 << 10;
        })
        .await;
        let client = server.client(1, 1);
        let channel = attached(&client, transport, "tab-1").await;
        start(&client, "/wide", "r1", "tab-1").await;
        // From here on the reader reads nothing.
        idle(&server).await;
        soon("it is cut off", async || {
            server.running.stats().channels.attachments == 0
        })
        .await;
        drop(channel);
        // Whoever comes back learns how the request ended.
        let mut channel = client.channel(Transport::LongPoll, "tab-1").await;
        let (_, error) = channel.until("error").await;
        assert_eq!(error["problem"]["type"], "request-stalled", "{transport:?}");
        server.finish().await;
    }
}

#[tokio::test]
async fn a_shutdown_ends_what_runs() {
    let server = server().await;
    let client = server.client(1, 1);
    let mut channel = attached(&client, Transport::WebSocket, "tab-1").await;
    start(&client, "/stuck", "r1", "tab-1").await;
    server.finish().await;
    let error = channel.expect("error").await;
    assert_eq!(error["request_id"], "r1");
    assert_eq!(error["problem"]["type"], "shutting-down");
    assert_eq!(channel.expect("close").await["code"], 4100);
}
