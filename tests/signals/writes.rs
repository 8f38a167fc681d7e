//! Signals that announce a write: confirmed by its commit, or taken back.

use super::{on, send};
use crate::support::{TestServer, Transport};
use serde_json::json;
use std::time::Duration;

async fn server() -> TestServer {
    TestServer::helpdesk_with(|config| config.limits.signal_action_ms = 700).await
}

fn announcing(action: &str) -> serde_json::Value {
    json!({"topic": "organization", "name": "writes", "action_id": action})
}

#[tokio::test]
async fn a_write_that_does_not_come_is_taken_back_and_one_that_comes_is_not() {
    let server = server().await;
    let client = server.client(1, 1);
    let mut reader = on(&server.client(1, 2), Transport::WebSocket, "reader", &[]).await;
    let mut alien = on(&server.client(2, 101), Transport::WebSocket, "reader", &[]).await;
    send(&client, announcing("never")).await;
    send(&client, announcing("made")).await;
    send(&client, announcing("empty")).await;
    let made = client.patch("/tickets/2", json!({"subject": "made"}));
    made.header("action-id", "made").expect(200).await;
    // Committed, though no row changed.
    let empty = client.patch("/tickets/2", json!({}));
    empty.header("action-id", "empty").expect(200).await;
    // Announced by one user, made by another: two different actions.
    send(&client, announcing("theirs")).await;
    let theirs = server
        .client(1, 2)
        .patch("/tickets/2", json!({"status": "open"}));
    theirs.header("action-id", "theirs").expect(200).await;
    let mut taken_back = Vec::new();
    while taken_back.len() < 2 {
        let event = reader.next().await;
        if event["type"] == "void" {
            taken_back.push(event["action_id"].as_str().unwrap().to_owned());
        }
    }
    taken_back.sort();
    assert_eq!(taken_back, ["never", "theirs"]);
    // Who came in between has nothing to take back, and another organization never had.
    let mut late = on(&server.client(1, 2), Transport::WebSocket, "late", &[]).await;
    assert_eq!(late.next_within(Duration::from_millis(900)).await, None);
    assert_eq!(alien.next_within(Duration::ZERO).await, None);
    drop((reader, alien, late));
    server.finish().await;
}

#[tokio::test]
async fn a_write_that_is_refused_is_taken_back_at_once() {
    let server = TestServer::helpdesk().await;
    let client = server.client(1, 1);
    let mut reader = on(&server.client(1, 2), Transport::WebSocket, "reader", &[]).await;
    send(&client, announcing("bad")).await;
    let bad = client.patch("/tickets/2", json!({"status": "no such status"}));
    bad.header("action-id", "bad").expect(400).await;
    assert_eq!(reader.expect("signal").await["action_id"], "bad");
    assert_eq!(reader.expect("void").await["action_id"], "bad");
    drop(reader);
    server.finish().await;
}
