//! One story on every transport: told in order, taken back, and ended with the right; a second
//! organization hears nothing of it, neither names nor numbers.

use super::{on, send, tickets};
use crate::support::{Channel, TestServer, Transport};
use rowcast::config::ResourceConfig;
use serde_json::{Value, json};

/// What is told about topics, without the comings and goings. That a key is another may be told again
/// for some time.
async fn heard(channel: &mut Channel) -> Value {
    loop {
        let event = channel.next().await;
        match event["type"].as_str() {
            Some("signal" | "void" | "error") => return event,
            Some("presence" | "ping" | "reset" | "change" | "key") => {}
            _ => panic!("not expected: {event}"),
        }
    }
}

#[tokio::test]
async fn signals_voids_keys_and_lost_rights_are_told_on_every_transport() {
    let server = TestServer::helpdesk_with(|config| {
        let key = "b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2w=";
        config.keys.master_keys = vec![key.into()];
        let tickets = ResourceConfig {
            key: true,
            ..ResourceConfig::default()
        };
        config.resources.insert("tickets".to_owned(), tickets);
    })
    .await;
    let (private, _) = tickets(&server).await;
    let (topic, path) = (format!("tickets/{private}"), format!("/tickets/{private}"));
    let member = |user: i64| {
        format!(
            "insert into ticket_members (organization_id, ticket_id, user_id, private)
             select organization_id, id, {user}, private from tickets where id = {private}
             on conflict do nothing"
        )
    };
    let sender = server.client(1, 1);
    let alien = server.client(2, 101);
    for transport in Transport::ALL {
        server.database.execute(&member(2)).await;
        let reader = server.client(1, 2);
        let id = format!("{transport:?}");
        let mut inside = on(&reader, transport, &id, &[&topic]).await;
        let mut outside = on(&alien, transport, &id, &["organization"]).await;
        let mut own = on(&sender, transport, &id, &[&topic]).await;
        reader.get(&format!("{path}/key")).expect(200).await;
        // In order, and never back to the channel that sent it.
        for number in 0..10 {
            let signal = json!({"topic": topic, "name": "n", "data": number});
            let sent = sender.post("/signals", signal);
            sent.header("channel-id", &id).expect(202).await;
        }
        for number in 0..10 {
            assert_eq!(heard(&mut inside).await["data"], number, "{transport:?}");
        }
        // Announced and refused: taken back.
        let action = format!("bad-{transport:?}");
        let announced = json!({"topic": topic, "name": "write", "action_id": action});
        let sent = sender.post("/signals", announced);
        sent.header("channel-id", &id).expect(202).await;
        let bad = sender.patch(&path, json!({"status": "no such status"}));
        bad.header("action-id", &action).expect(400).await;
        assert_eq!(heard(&mut inside).await["action_id"], action.as_str());
        let void = json!({"type": "void", "action_id": action});
        assert_eq!(heard(&mut inside).await, void, "{transport:?}");
        // The right goes: the reader's part ends, and the others' key is another.
        let removed =
            format!("delete from ticket_members where ticket_id = {private} and user_id = 2");
        server.database.execute(&removed).await;
        let lost = heard(&mut inside).await;
        assert_eq!(lost["problem"]["type"], "topic-lost", "{transport:?}");
        let key = loop {
            let event = own.next().await;
            if event["type"] == "key" {
                break event;
            }
        };
        assert_eq!(key, json!({"type": "key", "topic": topic}), "{transport:?}");
        send(&sender, json!({"topic": topic, "name": "secret"})).await;
        assert_eq!(heard(&mut own).await["name"], "secret");
        send(&sender, json!({"topic": "organization", "name": "mark"})).await;
        loop {
            let event = heard(&mut inside).await;
            assert_ne!(event["name"], "secret", "{transport:?}");
            if event["name"] == "mark" {
                break;
            }
        }
        // The second organization: no names, no numbers, and the same answers as for what is not there.
        send(&alien, json!({"topic": "organization", "name": "theirs"})).await;
        loop {
            let event = outside.next().await;
            let text = event.to_string();
            assert!(!text.contains(&topic) && !text.contains(&action), "{text}");
            match event["type"].as_str() {
                Some("signal") => {
                    assert_eq!(event["name"], "theirs");
                    break;
                }
                Some("presence") => {
                    let people = event["joined"].as_array().unwrap();
                    assert!(people.iter().all(|it| it["user"] == "101"), "{text}");
                }
                _ => assert!(event["type"] == "ping", "{text}"),
            }
        }
        let there = alien.get(&format!("/topics/{topic}/presence"));
        let not_there = alien.get("/topics/tickets/99999999/presence");
        assert_eq!(
            there.expect(404).await.problem(),
            not_there.expect(404).await.problem()
        );
        drop((inside, outside, own));
        for client in [&sender, &reader, &alien] {
            client.delete(&format!("/channels/{id}")).send().await;
        }
    }
    server.finish().await;
}
