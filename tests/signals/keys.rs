//! Keys of rows: who is handed which, and what becomes of them when somebody loses the row.

use super::{on, tickets};
use crate::support::{Client, TestServer, Transport, server::SECRET, token_of, until};
use rowcast::{
    config::{Config, ResourceConfig, Secret},
    server::Running,
};
use serde_json::{Value, json};

const OLD: &str = "b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2w=";
const NEW: &str = "bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmU=";

fn keyed(masters: &[&str]) -> impl Fn(&mut Config) {
    let masters: Vec<Secret> = masters.iter().map(|it| Secret::from(*it)).collect();
    move |config| {
        config.database.default_role = Some(rowcast::postgres::helpdesk::ROLE.to_owned());
        config.keys.master_keys.clone_from(&masters);
        let tickets = ResourceConfig {
            key: true,
            ..ResourceConfig::default()
        };
        config.resources.insert("tickets".to_owned(), tickets);
    }
}

/// A caller of organization 1 at another server.
fn at(running: &Running, user: i64) -> Client {
    let claims = json!({"org": 1, "sub": user});
    Client::new(running.address(), Some(token_of(SECRET, claims)))
}

async fn member(server: &TestServer, ticket: &str, user: i64, is: bool) {
    let statement = match is {
        true => format!(
            "insert into ticket_members (organization_id, ticket_id, user_id, private)
             select organization_id, id, {user}, private from tickets where id = {ticket}
             on conflict do nothing"
        ),
        false => {
            format!("delete from ticket_members where ticket_id = {ticket} and user_id = {user}")
        }
    };
    server.database.execute(&statement).await;
}

#[tokio::test]
async fn a_key_is_handed_to_those_who_see_the_row_and_replaced_when_one_loses_it() {
    let server = TestServer::helpdesk_with(keyed(&[OLD])).await;
    let (private, _) = tickets(&server).await;
    let path = format!("/tickets/{private}/key");
    let (one, two, three) = (
        server.client(1, 1),
        server.client(1, 2),
        server.client(1, 3),
    );
    for user in [2, 3] {
        member(&server, &private, user, false).await;
    }
    member(&server, &private, 2, true).await;
    let first = one.get(&path).expect(200).await;
    assert_eq!(first.header("cache-control"), "no-store");
    let first = first.json();
    assert_eq!(first["topic"], format!("tickets/{private}"));
    assert_eq!(first["key"].as_str().unwrap().len(), 43, "256 bits");
    assert_eq!(first["current"], true);
    assert_eq!(
        two.get(&path).expect(200).await.json(),
        first,
        "one key for all"
    );
    // What has nothing to do with rights changes nothing.
    one.patch(&format!("/tickets/{private}"), json!({"subject": "Other"}))
        .expect(200)
        .await;
    assert_eq!(one.get(&path).expect(200).await.json(), first);
    // Who does not see the row, of this organization or another, learns what a missing row would tell.
    let missing = one.get("/tickets/99999999/key").expect(404).await.problem();
    let held = format!("{path}?id={}", first["key_id"].as_str().unwrap());
    for stranger in [&three, &server.client(2, 101), &server.client(2, 1)] {
        assert_eq!(stranger.get(&path).expect(404).await.problem(), missing);
        let refused = stranger.get(&held).expect(404).await.problem();
        let none = format!("{path}?id=00000000-0000-4000-8000-000000000000");
        assert_eq!(refused, stranger.get(&none).expect(404).await.problem());
    }
    // One loses the row while nobody is online.
    member(&server, &private, 2, false).await;
    two.get(&path).expect(404).await;
    let second = one.get(&path).expect(200).await.json();
    assert_ne!(second["key_id"], first["key_id"]);
    assert_ne!(second["key"], first["key"]);
    // Those who had the first key can read it for ever, the one who is out as well; not the second.
    for holder in [&one, &two] {
        let old = holder.get(&held).expect(200).await.json();
        assert_eq!(old["key"], first["key"]);
        assert_eq!(old["current"], false);
    }
    let newer = format!("{path}?id={}", second["key_id"].as_str().unwrap());
    assert_eq!(
        two.get(&newer).expect(404).await.problem()["type"],
        "key-unknown"
    );
    // A new colleague gets the one in force and none from before.
    member(&server, &private, 3, true).await;
    assert_eq!(three.get(&path).expect(200).await.json(), second);
    three.get(&held).expect(404).await;
    // Rows of other resources have none.
    let none = one.get("/contacts/1/key").expect(404).await.problem();
    assert_eq!(none["type"], "key-unknown");
    one.post(&path, json!({})).expect(405).await;
    one.get(&format!("{path}?id=x")).expect(400).await;
    // What is stored tells neither secrets nor claims, and callers' roles may not even look.
    let stored = server
        .database
        .psql("select string_agg(k::text, '') from rowcast.row_keys k")
        .await;
    let hex: String = base64_hex(first["key"].as_str().unwrap());
    assert!(!stored.contains(&hex));
    let denied = server
        .database
        .psql("select has_table_privilege('helpdesk_agent', 'rowcast.row_keys', 'select')")
        .await;
    assert_eq!(denied, "f");
    server.finish().await;
}

fn base64_hex(text: &str) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let bytes = URL_SAFE_NO_PAD.decode(text).unwrap();
    assert_eq!(bytes.len(), 32);
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

#[tokio::test]
async fn those_on_a_topic_are_told_that_its_key_is_another() {
    let server = TestServer::helpdesk_with(keyed(&[OLD])).await;
    let (private, _) = tickets(&server).await;
    let (topic, path) = (
        format!("tickets/{private}"),
        format!("/tickets/{private}/key"),
    );
    member(&server, &private, 2, true).await;
    let (one, two) = (server.client(1, 1), server.client(1, 2));
    let mut tab = on(&one, Transport::WebSocket, "tab", &[&topic]).await;
    let mut other = server.client(2, 101).channel(Transport::Sse, "other").await;
    other.expect("open").await;
    let first = one.get(&path).expect(200).await.json();
    // Who holds it is not online when it loses the row.
    two.get(&path).expect(200).await;
    member(&server, &private, 2, false).await;
    let told = loop {
        let event = tab.next().await;
        if event["type"] == "key" {
            break event;
        }
    };
    assert_eq!(told, json!({"type": "key", "topic": topic}));
    let second = one.get(&path).expect(200).await.json();
    assert_ne!(second["key_id"], first["key_id"]);
    // A second organization hears nothing of it.
    let sent = server.client(2, 102);
    sent.post("/signals", json!({"topic": "organization", "name": "mark"}))
        .expect(202)
        .await;
    other.only(|it| it["type"] == "signal").await;
    drop((tab, other));
    server.finish().await;
}

#[tokio::test]
async fn keys_come_beside_rows() {
    let server = TestServer::helpdesk_with(keyed(&[OLD])).await;
    let one = server.client(1, 1);
    let (private, open) = tickets(&server).await;
    let query = format!("/tickets?id=in.({private},{open})&order=id&include=key");
    let answer = one.get(&query).expect(200).await.json();
    let keys = answer["key"].as_array().unwrap();
    let rows = answer["tickets"].as_array().unwrap();
    assert_eq!((keys.len(), rows.len()), (2, 2));
    for (key, row) in keys.iter().zip(rows) {
        let path = format!("/tickets/{}/key", row["id"]);
        assert_eq!(one.get(&path).expect(200).await.json(), *key);
    }
    // With related rows, and for those who see fewer of them.
    let query = format!("{query},contacts");
    let fewer = server.client(1, 2).get(&query).expect(200).await.json();
    let seen = fewer["tickets"].as_array().unwrap().len();
    assert_eq!(fewer["key"].as_array().unwrap().len(), seen);
    assert!(!fewer["contacts"].as_array().unwrap().is_empty());
    let theirs = server.client(2, 101).get(&query).expect(200).await.json();
    assert_eq!(theirs, json!({"tickets": [], "contacts": [], "key": []}));
    // On a channel they come behind the rows.
    let mut channel = one.channel(Transport::Ndjson, "tab").await;
    channel.expect("open").await;
    let asked = one.get(&query).header("request-id", "r1");
    asked.header("channel-id", "tab").expect(202).await;
    let (events, done) = channel.until("done").await;
    assert_eq!(done["rows"], events.len());
    let told: Vec<&Value> = events.iter().filter(|it| it["resource"] == "key").collect();
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|it| it["partial"] == true));
    assert_eq!(told[0]["row"], keys[0]);
    one.get("/tickets?select=subject&include=key")
        .expect(400)
        .await;
    one.get("/contacts?include=key").expect(400).await;
    drop(channel);
    server.finish().await;
}

#[tokio::test]
async fn the_key_of_a_single_row_comes_beside_it() {
    let server = TestServer::helpdesk_with(keyed(&[OLD])).await;
    let one = server.client(1, 1);
    let (private, _) = tickets(&server).await;
    member(&server, &private, 2, false).await;
    let path = format!("/tickets/{private}?include=key");
    let key = one.get(&format!("/tickets/{private}/key"));
    let key = key.expect(200).await.json();
    let answer = one.get(&path).expect(200).await.json();
    assert_eq!(answer["tickets"].as_array().unwrap().len(), 1);
    assert_eq!(answer["tickets"][0]["id"].to_string(), private);
    assert_eq!(answer["key"], json!([key]));
    // Beside related rows as well.
    let related = one.get(&format!("{path},contacts")).expect(200).await;
    assert_eq!(related.json()["key"], json!([key]));
    assert_eq!(related.json()["contacts"].as_array().unwrap().len(), 1);
    // On a channel it comes behind the row.
    let ask = async |client: &Client| {
        let mut channel = client.channel(Transport::Sse, "tab").await;
        channel.expect("open").await;
        let asked = client.get(&path).header("request-id", "r1");
        asked.header("channel-id", "tab").expect(202).await;
        let (events, done) = channel.until("done").await;
        assert_eq!(done["rows"], events.len());
        channel.leave().await;
        events
    };
    let events = ask(&one).await;
    let resources: Vec<_> = events.iter().map(|it| &it["resource"]).collect();
    assert_eq!(resources, ["tickets", "key"]);
    assert_eq!(events[1]["row"], key);
    assert_eq!(events[1]["partial"], true);
    // Who does not see the row, of this organization or another, sees no key, and learns nothing.
    let missing = one.get("/tickets/99999999?include=key");
    let missing = missing.expect(404).await.problem();
    for stranger in [
        server.client(1, 2),
        server.client(2, 101),
        server.client(2, 1),
    ] {
        assert_eq!(stranger.get(&path).expect(404).await.problem(), missing);
        assert_eq!(ask(&stranger).await, Vec::<Value>::new());
    }
    let held = "select string_agg(distinct user_id, ' ') from rowcast.row_key_holders";
    assert_eq!(server.database.psql(held).await, "1");
    server.finish().await;
}

#[tokio::test]
async fn a_master_key_is_changed_while_several_servers_run() {
    let server = TestServer::helpdesk_with(keyed(&[OLD])).await;
    let (_, open) = tickets(&server).await;
    let path = format!("/tickets/{open}/key");
    let first = server.client(1, 1).get(&path).expect(200).await.json();
    // A server that has only the new one can read nothing, and says so; it makes no other key.
    let blind = TestServer::serve(&server.database, keyed(&[NEW])).await;
    let refused = at(&blind, 2).get(&path).expect(500).await.problem();
    assert_eq!(refused["type"], "key-unreadable");
    blind.shutdown().await;
    // One that has both, the new one first, puts all keys under the new one.
    let both = TestServer::serve(&server.database, keyed(&[NEW, OLD])).await;
    let (left, right) = tokio::join!(
        at(&both, 2).get(&path).expect(200),
        server.client(1, 3).get(&path).send()
    );
    assert_eq!(left.json(), first);
    drop(right);
    let masters = "select count(distinct master) || ' ' || count(*) from rowcast.row_keys";
    assert_eq!(server.database.value(masters).await, "1 1");
    let mine = "select encode(sha256('newnewnewnewnewnewnewnewnewnewne'), 'hex') like encode(master, 'hex') || '%' from rowcast.row_keys";
    until("it is under the new master key", async || {
        server.database.value(mine).await == "t"
    })
    .await;
    assert_eq!(at(&both, 1).get(&path).expect(200).await.json(), first);
    both.shutdown().await;
    server.finish().await;
}

#[tokio::test]
async fn several_servers_hand_out_one_key() {
    let server = TestServer::helpdesk_with(keyed(&[OLD])).await;
    let second = TestServer::serve(&server.database, keyed(&[OLD])).await;
    let rows = server
        .client(1, 1)
        .get("/tickets?private=eq.false&order=id&limit=5");
    for row in rows.expect(200).await.json().as_array().unwrap() {
        let path = format!("/tickets/{}/key", row["id"]);
        let there = |user| at(&second, user);
        let (here, there, again) = tokio::join!(
            server.client(1, 1).get(&path).expect(200),
            there(2).get(&path).expect(200),
            there(3).get(&path).expect(200),
        );
        assert_eq!(here.json(), there.json());
        assert_eq!(here.json(), again.json());
    }
    second.shutdown().await;
    server.finish().await;
}
