//! Who may be on a topic: who sees its row, for as long as they do.

use super::{on, send, signal, tickets};
use crate::support::{Database, TestServer, Transport, server::SECRET, token_of};
use rowcast::config::ResourceConfig;
use serde_json::{Value, json};

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

/// Notes that a user sees by what the token says of their teams.
const NOTES: &str = "
    create table notes (id int primary key, organization_id int not null, team text not null);
    insert into notes values (1, 1, 'red'), (2, 2, 'red');
    do $$ begin create role notes_reader nologin;
          exception when duplicate_object or unique_violation then null; end $$;
    grant select on notes to notes_reader;
    alter table notes enable row level security;
    create policy by_team on notes to notes_reader using (
        team = current_setting('request.jwt.claims', true)::jsonb ->> 'team')";

#[tokio::test]
async fn a_token_that_says_less_ends_the_membership_when_it_is_shown() {
    let server = TestServer::start(Database::with(NOTES).await, |config| {
        config.database.default_role = Some("notes_reader".to_owned());
        config.keys.master_keys = vec!["b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2w=".into()];
        let notes = ResourceConfig {
            key: true,
            ..ResourceConfig::default()
        };
        config.resources.insert("notes".to_owned(), notes);
    })
    .await;
    let claims = |user: &str, team: &str| json!({"org": 1, "sub": user, "team": team});
    let (colleague, member) = (
        server.client_of(claims("8", "red")),
        server.client_of(claims("7", "red")),
    );
    let alien = server.client_of(json!({"org": 2, "sub": "7", "team": "red"}));
    let mut watcher = on(&colleague, Transport::WebSocket, "watcher", &["notes/1"]).await;
    let mut outside = on(&alien, Transport::WebSocket, "tab", &["notes/2"]).await;
    for transport in Transport::ALL {
        let mut tab = on(&member, transport, "tab", &["notes/1"]).await;
        // Who comes and goes between two tellings is not told of.
        let joined = |it: &Value| it["user"] == "7";
        loop {
            let event = watcher.next().await;
            let people = event["joined"].as_array();
            if people.is_some_and(|it| it.iter().any(joined)) {
                break;
            }
        }
        let first = member.get("/notes/1/key").expect(200).await.json();
        assert_eq!(
            colleague.get("/notes/1/key").expect(200).await.json(),
            first
        );
        // The same claims but for the time: nothing happens.
        let same = json!({"org": 1, "sub": "7", "team": "red", "exp": 4_000_000_000_u64});
        let same = json!({"token": token_of(SECRET, same)});
        member.post("/channels/tab/auth", same).expect(204).await;
        send(&colleague, json!({"topic": "notes/1", "name": "mark"})).await;
        assert_eq!(signal(&mut tab).await["name"], "mark");
        // Another team: the channel was that of the former rights, and ends with all that it was on.
        let token = token_of(SECRET, claims("7", "blue"));
        let less = member.post("/channels/tab/auth", json!({"token": token}));
        assert_eq!(
            less.expect(403).await.problem()["type"],
            "identity-mismatch"
        );
        loop {
            let event = tab.next().await;
            match event["type"].as_str() {
                Some("close") => {
                    assert_eq!(event["code"], 4200, "{transport:?}");
                    break;
                }
                // A poll that was not there at that moment finds another channel of the name.
                Some("open") if transport == Transport::LongPoll => {
                    assert_eq!(event["resumed"], false);
                    break;
                }
                Some("presence" | "ping") => {}
                _ => panic!("{event}"),
            }
        }
        // Its colleagues see it go, and hear that the key is another.
        let mut told = Vec::new();
        while told.len() < 2 {
            let event = watcher.next().await;
            let left = |it: &Value| it["user"] == "7";
            match event["type"].as_str() {
                Some("presence") if event["left"].as_array().unwrap().iter().any(left) => {
                    told.push("left");
                }
                Some("key") if !told.contains(&"key") => told.push("key"),
                _ => {}
            }
        }
        let second = colleague.get("/notes/1/key").expect(200).await.json();
        assert_ne!(second["key_id"], first["key_id"], "{transport:?}");
        // Under the new token the row is no topic, and has no key but those from before.
        let now = server.client_of(claims("7", "blue"));
        let mut tab = on(&now, transport, "tab", &[]).await;
        for path in [
            "/channels/tab/topics/notes/1",
            "/channels/tab/topics/notes/9",
        ] {
            let refused = now.put(path, json!({})).expect(404).await.problem();
            assert_eq!(refused["type"], "topic-unknown");
        }
        now.get("/notes/1/key").expect(404).await;
        let held = format!("/notes/1/key?id={}", first["key_id"].as_str().unwrap());
        assert_eq!(now.get(&held).expect(200).await.json()["key"], first["key"]);
        send(&colleague, json!({"topic": "notes/1", "name": "secret"})).await;
        send(&colleague, json!({"topic": "organization", "name": "mark"})).await;
        assert_eq!(signal(&mut tab).await["name"], "mark");
        drop(tab);
        for client in [&now, &member] {
            client.delete("/channels/tab").send().await;
        }
    }
    // A second organization's user of that name, on a row of that resource, noticed none of it.
    send(&alien, json!({"topic": "notes/2", "name": "mark"})).await;
    loop {
        let event = outside.next().await;
        match event["type"].as_str() {
            Some("signal") => break,
            Some("presence") => assert!(!event.to_string().contains("\"8\""), "{event}"),
            _ => assert_eq!(event["type"], "ping"),
        }
    }
    drop((watcher, outside));
    server.finish().await;
}
