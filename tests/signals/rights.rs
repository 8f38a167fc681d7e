//! Who may be on a topic: who sees its row, for as long as they do.

use super::{on, send, signal, tickets};
use crate::support::{TestServer, Transport};
use serde_json::json;

#[tokio::test]
async fn a_row_that_is_not_ones_own_is_no_topic() {
    let server = TestServer::helpdesk().await;
    let (private, _) = tickets(&server).await;
    let topic = format!("tickets/{private}");
    let member = server.client(1, 1);
    let mut inside = on(&member, Transport::WebSocket, "tab", &[&topic]).await;
    // Of the same organization without the right, and of another one: as if there were no such row.
    for stranger in [server.client(1, 2), server.client(2, 101)] {
        let mut tab = on(&stranger, Transport::WebSocket, "tab", &[]).await;
        for name in [topic.as_str(), "tickets/99999999", "tickets/x", "nothing/1"] {
            let refused = stranger.put(&format!("/channels/tab/topics/{name}"), json!({}));
            assert_eq!(
                refused.expect(404).await.problem()["type"],
                "topic-unknown",
                "{name}"
            );
            stranger
                .get(&format!("/topics/{name}/presence"))
                .expect(404)
                .await;
            let sent = stranger.post("/signals", json!({"topic": name, "name": "n"}));
            sent.expect(404).await;
            tab.command(json!({"type": "join", "topic": name})).await;
            assert_eq!(
                tab.expect("error").await["problem"]["type"],
                "topic-unknown"
            );
            tab.command(json!({"type": "signal", "topic": name, "name": "n"}))
                .await;
            assert_eq!(
                tab.expect("error").await["problem"]["type"],
                "topic-unknown"
            );
        }
        // Another's channel is nobody's.
        let alien = stranger.put("/channels/other/topics/organization", json!({}));
        assert_eq!(alien.expect(404).await.problem()["type"], "channel-unknown");
        drop(tab);
    }
    send(&member, json!({"topic": topic, "name": "mark"})).await;
    assert_eq!(signal(&mut inside).await["name"], "mark");
    drop(inside);
    server.finish().await;
}

#[tokio::test]
async fn a_lost_right_ends_the_membership_with_an_event() {
    let server = TestServer::helpdesk().await;
    let (private, open) = tickets(&server).await;
    let (private, open) = (format!("tickets/{private}"), format!("tickets/{open}"));
    let member = server.client(1, 1);
    let mut tab = on(&member, Transport::Ndjson, "tab", &[&private, &open]).await;
    let id = private.split_once('/').unwrap().1;
    // No longer a member: another program removes the row that the policy reads.
    let removed = format!("delete from ticket_members where ticket_id = {id} and user_id = 1");
    server.database.execute(&removed).await;
    let lost = loop {
        let event = tab.next().await;
        if event["type"] == "error" {
            break event;
        }
    };
    assert_eq!(lost["problem"]["type"], "topic-lost");
    assert!(
        lost["problem"]["detail"]
            .as_str()
            .unwrap()
            .contains(&private),
        "{lost}"
    );
    let refused = member.post("/signals", json!({"topic": private, "name": "n"}));
    refused.expect(404).await;
    // The other topic is still its own, until that row is deleted.
    send(&server.client(1, 2), json!({"topic": open, "name": "mark"})).await;
    let heard = loop {
        let event = tab.next().await;
        if event["type"] == "signal" {
            break event;
        }
    };
    assert_eq!(heard["topic"], open.as_str());
    server
        .client(1, 2)
        .delete(&format!("/{open}"))
        .expect(200)
        .await;
    let lost = loop {
        let event = tab.next().await;
        if event["type"] == "error" {
            break event;
        }
    };
    assert!(
        lost["problem"]["detail"].as_str().unwrap().contains(&open),
        "{lost}"
    );
    drop(tab);
    server.finish().await;
}
