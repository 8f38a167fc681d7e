//! Signals that announce a write: confirmed by its commit, or taken back.

use super::{on, send};
use crate::support::{Channel, Client, TestServer, Transport, server::SECRET, token_of};
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

/// What becomes of announced writes, until this many have ended: each change or `void` by its action.
async fn ends(reader: &mut Channel, count: usize) -> Vec<(String, String)> {
    let mut ends = Vec::new();
    while ends.len() < count {
        let event = reader.next().await;
        if let ("change" | "void", Some(action)) =
            (event["type"].as_str().unwrap(), event["action_id"].as_str())
        {
            ends.push((
                action.to_owned(),
                event["type"].as_str().unwrap().to_owned(),
            ));
        }
    }
    ends.sort();
    ends
}

#[tokio::test]
async fn a_write_through_another_server_confirms_what_was_announced() {
    let server = server().await;
    let helpdesk = Some(rowcast::postgres::helpdesk::ROLE.to_owned());
    let other = TestServer::serve(&server.database, |config| {
        config.database.default_role = helpdesk;
    });
    let other = other.await;
    let there = |organization: i64, user: i64| {
        let claims = json!({"org": organization, "sub": user});
        Client::new(other.address(), Some(token_of(SECRET, claims)))
    };
    let client = server.client(1, 1);
    let mut reader = on(&server.client(1, 2), Transport::WebSocket, "reader", &[]).await;
    let mut alien = on(&server.client(2, 101), Transport::WebSocket, "reader", &[]).await;
    for action in ["made", "empty", "refused"] {
        send(&client, announcing(action)).await;
    }
    let write = async |body: serde_json::Value, action: &str, status: u16| {
        let write = there(1, 1).patch("/tickets/2", body);
        write.header("action-id", action).expect(status).await;
    };
    write(json!({"subject": "made there"}), "made", 200).await;
    // Committed, though there is no change that could say so.
    write(json!({}), "empty", 200).await;
    // The other server knows nothing of what was announced here: the time tells.
    write(json!({"status": "no such status"}), "refused", 400).await;
    let pair = |action: &str, end: &str| (action.to_owned(), end.to_owned());
    assert_eq!(
        ends(&mut reader, 2).await,
        [pair("made", "change"), pair("refused", "void")]
    );
    // Once a later one is taken back, all before it have been decided.
    send(&client, announcing("later")).await;
    assert_eq!(ends(&mut reader, 1).await, [pair("later", "void")]);
    // Another organization makes a write of the same name, and hears nothing of these.
    let own = there(2, 101).patch("/tickets/2", json!({"subject": "no"}));
    own.header("action-id", "refused").expect(404).await;
    send(
        &server.client(2, 102),
        json!({"topic": "organization", "name": "mark"}),
    )
    .await;
    let heard = alien.only(|it| it["type"] == "signal");
    assert_eq!(heard.await["name"], "mark");
    drop((reader, alien));
    other.shutdown().await;
    server.finish().await;
}
