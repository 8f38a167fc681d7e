//! Who is there: joined, seen, gone; several devices of one user are one person.

use super::{on, tickets};
use crate::support::{Channel, TestServer, Transport};
use serde_json::{Value, json};

/// Reads until the people of a topic, as its presence events tell them, are these.
async fn until_present(channel: &mut Channel, people: &mut Vec<Value>, expected: &Value) {
    while json!(people) != *expected {
        let event = channel.next().await;
        if event["type"] != "presence" {
            continue;
        }
        for gone in event["left"].as_array().unwrap() {
            people.retain(|it| it["user"] != gone["user"]);
        }
        for person in event["joined"].as_array().unwrap() {
            people.retain(|it| it["user"] != person["user"]);
            people.push(person.clone());
        }
        people.sort_by_key(|it| it["user"].to_string());
    }
}

#[tokio::test]
async fn people_come_say_something_and_go_on_every_transport() {
    let server = TestServer::helpdesk().await;
    let (_, ticket) = tickets(&server).await;
    let topic = format!("tickets/{ticket}");
    let (one, two) = (server.client(1, 1), server.client(1, 2));
    let mut watcher = on(&one, Transport::WebSocket, "watcher", &[]).await;
    watcher
        .command(json!({"type": "join", "topic": topic}))
        .await;
    let mut people = Vec::new();
    let me = json!({"user": "1", "devices": 1});
    until_present(&mut watcher, &mut people, &json!([me])).await;
    for transport in Transport::ALL {
        let mut tab = two.channel(transport, "tab").await;
        tab.expect("open").await;
        let path = format!("/channels/tab/topics/{topic}");
        two.put(&path, json!({"state": {"typing": true}}))
            .expect(204)
            .await;
        let typing = json!({"user": "2", "devices": 1, "state": {"typing": true}});
        until_present(&mut watcher, &mut people, &json!([me, typing])).await;
        let list = two
            .get(&format!("/topics/{topic}/presence"))
            .expect(200)
            .await
            .json();
        assert_eq!(
            list,
            json!({"topic": topic, "count": 2, "present": [me, typing]})
        );
        // A second device, and another state; both are one person.
        let phone = on(&two, Transport::Sse, "phone", &[&topic]).await;
        let both = json!({"user": "2", "devices": 2, "state": {"typing": true}});
        until_present(&mut watcher, &mut people, &json!([me, both])).await;
        drop(phone);
        two.put(&path, json!({})).expect(204).await;
        let quiet = json!({"user": "2", "devices": 1});
        until_present(&mut watcher, &mut people, &json!([me, quiet])).await;
        // Whose channel ends, or whose connection closes, is seen to go.
        if transport == Transport::LongPoll {
            two.delete("/channels/tab").expect(204).await;
        }
        drop(tab);
        until_present(&mut watcher, &mut people, &json!([me])).await;
        two.delete("/channels/tab").send().await;
        two.delete("/channels/phone").send().await;
    }
    drop(watcher);
    server.finish().await;
}

#[tokio::test]
async fn an_organization_knows_who_is_online_and_nothing_of_another() {
    let server = TestServer::helpdesk().await;
    let (one, theirs) = (server.client(1, 1), server.client(2, 101));
    let mut watcher = on(&one, Transport::Ndjson, "tab", &["organization"]).await;
    let mut alien = on(&theirs, Transport::Ndjson, "tab", &["organization"]).await;
    // Who reads a channel is online, whatever it has joined.
    let two = on(&server.client(1, 2), Transport::Ndjson, "tab", &[]).await;
    let (mut people, me) = (
        vec![json!({"user": "1", "devices": 1})],
        json!({"user": "1", "devices": 1}),
    );
    let other = json!({"user": "2", "devices": 1});
    until_present(&mut watcher, &mut people, &json!([me, other])).await;
    let list = theirs
        .get("/topics/organization/presence")
        .expect(200)
        .await
        .json();
    let them = json!({"user": "101", "devices": 1});
    assert_eq!(
        list,
        json!({"topic": "organization", "count": 1, "present": [them]})
    );
    drop(two);
    until_present(&mut watcher, &mut people, &json!([me])).await;
    // The second organization has heard of none of that.
    super::send(&theirs, json!({"topic": "organization", "name": "mark"})).await;
    let heard = alien
        .only(|event| event["type"] == "signal" || event["type"] == "presence")
        .await;
    assert!(
        heard["type"] == "signal" || !heard.to_string().contains("\"2\""),
        "{heard}"
    );
    let large = json!({"state": "x".repeat(1 << 10)});
    let refused = one
        .put("/channels/tab/topics/organization", large)
        .expect(413)
        .await;
    assert_eq!(refused.problem()["type"], "signal-too-large");
    drop((watcher, alien));
    server.finish().await;
}

/// A reader in a process of its own: a shell that keeps a stream open and says nothing more.
fn reader_process(server: &TestServer, user: i64) -> std::process::Child {
    let address = server.running.address();
    let token = crate::support::token(crate::support::server::SECRET, "1", &user.to_string());
    let script = format!(
        "exec 3<>/dev/tcp/{}/{}
         printf 'GET /channels/killed HTTP/1.1\\r\\nHost: x\\r\\nAccept: text/event-stream\\r\\nAuthorization: Bearer {token}\\r\\n\\r\\n' >&3
         exec cat <&3 >/dev/null",
        address.ip(),
        address.port()
    );
    std::process::Command::new("bash")
        .args(["-c", &script])
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn who_is_killed_is_gone() {
    let server = TestServer::helpdesk().await;
    let mut watcher = on(
        &server.client(1, 1),
        Transport::WebSocket,
        "tab",
        &["organization"],
    )
    .await;
    let me = json!({"user": "1", "devices": 1});
    let mut people = vec![me.clone()];
    let mut killed = reader_process(&server, 2);
    let other = json!({"user": "2", "devices": 1});
    until_present(&mut watcher, &mut people, &json!([me, other])).await;
    // `kill -9`: nothing is said, the system closes the socket.
    killed.kill().unwrap();
    killed.wait().unwrap();
    until_present(&mut watcher, &mut people, &json!([me])).await;
    drop(watcher);
    server.finish().await;
}

#[tokio::test]
async fn who_vanishes_without_a_word_is_gone_within_the_ping_time_out() {
    let server = TestServer::helpdesk_with(|config| config.limits.ping_ms = 300).await;
    let mut watcher = on(
        &server.client(1, 1),
        Transport::WebSocket,
        "tab",
        &["organization"],
    )
    .await;
    let me = json!({"user": "1", "devices": 1});
    let mut people = vec![me.clone()];
    // Its socket stays open, as when a cable is cut: nobody reads, nobody answers pings.
    let silent = server.client(1, 2).websocket("/channels/silent").await;
    let other = json!({"user": "2", "devices": 1});
    until_present(&mut watcher, &mut people, &json!([me, other])).await;
    until_present(&mut watcher, &mut people, &json!([me])).await;
    drop((watcher, silent));
    server.finish().await;
}
