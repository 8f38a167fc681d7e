//! Changes as they arrive on each transport, whoever made them.

use crate::{
    http_routes::TABLES,
    support::{Channel, Client, Database, TestServer, Transport, until},
};
use serde_json::json;
use std::time::Duration;

async fn server() -> TestServer {
    TestServer::start(Database::with(TABLES).await, |_| ()).await
}

async fn attached(client: &Client, transport: Transport, query: &str) -> Channel {
    let id = format!("tab-{transport:?}");
    let mut channel = client.channel_with(transport, &id, query).await;
    channel.expect("open").await;
    channel
}

#[tokio::test]
async fn every_change_reaches_the_channels_of_its_organization_and_no_other() {
    let server = server().await;
    let (client, other) = (server.client(1, 1), server.client(2, 1));
    for transport in Transport::ALL {
        let mut mine = attached(&client, transport, "").await;
        let mut colleagues = attached(&server.client(1, 2), transport, "").await;
        let mut theirs = attached(&other, transport, "").await;
        let action = format!("a-{transport:?}");
        let patch = client
            .patch(
                "/tickets/1",
                json!({"subject": format!("by {transport:?}")}),
            )
            .header("action-id", &action);
        let patched = patch.expect(200).await;
        for channel in [&mut mine, &mut colleagues] {
            let change = channel.expect("change").await;
            assert_eq!(change["op"], "update", "{transport:?}");
            assert_eq!(change["resource"], "tickets");
            assert_eq!(change["id"], 1);
            assert_eq!(change["row"], patched.json());
            assert_eq!(change["action_id"], action);
            assert!(change["cursor"].is_string());
        }
        let insert = format!(
            "insert into tickets (id, organization_id, subject) values ({}, 1, 'by sql {transport:?}')",
            9000 + transport as u32
        );
        server.database.psql(&insert).await;
        for channel in [&mut mine, &mut colleagues] {
            let change = channel.expect("change").await;
            assert_eq!(
                (&change["op"], &change["id"]),
                (&json!("insert"), &json!(9000 + transport as u32))
            );
            assert!(change.get("action_id").is_none());
        }
        // What the other organization hears first is its own.
        server
            .database
            .psql("update tickets set subject = subject || '!' where id = 31")
            .await;
        let change = theirs.expect("change").await;
        assert_eq!(change["id"], 31, "{transport:?}");
        let quiet = mine.next_within(Duration::from_millis(100)).await;
        assert!(quiet.is_none_or(|it| it["type"] == "ping"));
    }
    server.finish().await;
}

#[tokio::test]
async fn a_reader_may_want_some_resources_only() {
    let server = server().await;
    let client = server.client(1, 1);
    for transport in Transport::ALL {
        let mut channel = attached(&client, transport, "resources=health").await;
        client
            .patch("/tickets/1", json!({"subject": format!("{transport:?}")}))
            .expect(200)
            .await;
        let id = 1 + transport as u32;
        client
            .post("/resources/health", json!({"id": id}))
            .expect(201)
            .await;
        let change = channel.expect("change").await;
        assert_eq!(
            (&change["resource"], &change["id"]),
            (&json!("health"), &json!(id)),
            "{transport:?}"
        );
    }
    // None at all: only what was asked for.
    let mut channel = attached(&client, Transport::Ndjson, "resources=").await;
    client.delete("/tickets/1").expect(200).await;
    let call = client.get("/tickets/2").header("request-id", "r1");
    call.header("channel-id", "tab-Ndjson").expect(202).await;
    let (events, _) = channel.until("done").await;
    assert!(events.iter().all(|it| it["type"] == "row"), "{events:?}");
    server.finish().await;
}

#[tokio::test]
async fn what_changed_while_a_reader_was_away_is_told_when_it_returns() {
    let server = server().await;
    let client = server.client(1, 1);
    for transport in Transport::ALL {
        let mut channel = attached(&client, transport, "").await;
        let subject = |it: &str| json!({"subject": format!("{it} {transport:?}")});
        client
            .patch("/tickets/1", subject("seen"))
            .expect(200)
            .await;
        channel.expect("change").await;
        let query = format!("after={}", channel.sequence);
        let mark = channel.sequence;
        drop(channel);
        client
            .patch("/tickets/2", subject("missed"))
            .expect(200)
            .await;
        client.delete("/tickets/2").expect(200).await;
        client
            .post(
                "/tickets",
                json!({"id": 2, "subject": format!("back {transport:?}")}),
            )
            .expect(201)
            .await;
        let id = format!("tab-{transport:?}");
        let mut channel = client.channel_with(transport, &id, &query).await;
        if transport != Transport::LongPoll {
            let open = channel.expect("open").await;
            assert_eq!(
                (&open["resumed"], &open["sequence"]),
                (&json!(true), &json!(mark))
            );
        }
        // As many notices as it takes; the last one is how the row is now.
        loop {
            let change = channel.expect("change").await;
            assert_eq!(change["id"], 2, "{transport:?}");
            if change["row"]["subject"] == format!("back {transport:?}") {
                break;
            }
        }
    }
    server.finish().await;
}

/// A table that gets a column while a request waits for its connection: the request was planned without
/// the column, and must not tell rows without it as of a state that has it.
#[tokio::test]
async fn a_request_that_waited_through_a_change_of_the_schema_tells_no_outdated_rows() {
    let stuck = "create table beds (id int primary key, organization_id bigint not null);
                 insert into beds values (1, 1);
                 create view stuck with (security_invoker) as
                 select id, organization_id, pg_sleep(600)::text as nap from beds";
    let database = Database::with(&format!("{TABLES};{stuck}")).await;
    let server = TestServer::start(database, |config| {
        config.database.stream_connections_max = 1;
        config.database.statement_timeout_ms = 600_000;
    })
    .await;
    let client = server.client(1, 1);
    let mut channel = attached(&client, Transport::WebSocket, "").await;
    let start = async |path: &str, id: &str| {
        let call = client.get(path).header("request-id", id);
        call.header("channel-id", "tab-WebSocket").expect(202).await;
    };
    start("/stuck", "holds").await;
    until("the one connection is taken", async || {
        server.running.stats().database.streams_busy == 1
    })
    .await;
    start("/tickets?id=lt.3", "own").await;
    start("/beds", "other").await;
    server
        .database
        .psql("alter table tickets add column colour text default 'red'")
        .await;
    let (before, reset) = channel.until("reset").await;
    assert!(before.iter().all(|it| it["type"] == "ping"), "{before:?}");
    assert_eq!(reset["resource"], "tickets");
    // Until requests are answered by the new shape.
    until("there is a new catalog", async || {
        client.get("/tickets/1").expect(200).await.json()["colour"] == "red"
    })
    .await;
    let cancel = client.request("DELETE", "/requests/holds?channel=tab-WebSocket");
    cancel.expect(204).await;
    let mut ends = Vec::new();
    while ends.len() < 3 {
        let event = channel.next().await;
        assert!(
            event["type"] != "row" || event["resource"] != "tickets",
            "{event}"
        );
        if ["done", "error"].contains(&event["type"].as_str().unwrap()) {
            ends.push(event);
        }
    }
    let end = |id: &str| ends.iter().find(|it| it["request_id"] == id).unwrap();
    assert_eq!(end("own")["problem"]["type"], "conflict", "{ends:?}");
    assert_eq!(end("own")["problem"]["retryable"], true);
    // What has nothing to do with it goes on.
    assert_eq!(end("other")["rows"], 1, "{ends:?}");
    start("/tickets?id=lt.3", "again").await;
    let (events, _) = channel.until("done").await;
    let rows = events.iter().filter(|it| it["type"] == "row");
    let colours: Vec<_> = rows.map(|it| it["row"]["colour"].clone()).collect();
    assert_eq!(colours, [json!("red"), json!("red")]);
    channel.leave().await;
    server.finish().await;
}

/// Reads at once that wait for a connection while the table is altered: they are planned anew, and their
/// callers hear nothing of it.
#[tokio::test]
async fn plain_requests_that_waited_through_a_change_of_the_schema_are_answered_by_the_new_one() {
    let server = TestServer::start(Database::with(TABLES).await, |config| {
        config.database.connections_max = 1;
    })
    .await;
    // So many that most of them wait at any time, each planned by what was known when it came.
    let callers = (0..16).map(|number| {
        let client = server.client(1 + number % 2, number);
        tokio::spawn(async move {
            let mut calls = 0;
            loop {
                calls += 1;
                let path = match calls % 2 {
                    0 => "/tickets?limit=1",
                    _ => "/tickets/1",
                };
                let answer = client.get(path).send().await;
                if number % 2 == 1 && path == "/tickets/1" {
                    assert_eq!(answer.status, 404, "{}", answer.text());
                    continue;
                }
                assert_eq!(answer.status, 200, "after {calls}: {}", answer.text());
                assert!(!answer.text().contains(&format!("_id\":{}", 2 - number % 2)));
                if calls > 20 && answer.text().contains("red") {
                    return;
                }
            }
        })
    });
    let callers: Vec<_> = callers.collect();
    server
        .database
        .psql("alter table tickets add column colour text default 'red'")
        .await;
    for caller in callers {
        caller.await.unwrap();
    }
    server.finish().await;
}

/// A role that is given a column while a write of its waits for another: the write was planned without the
/// column, and is read again when the role has it.
#[tokio::test]
async fn a_write_that_waited_through_a_change_of_rights_tells_no_outdated_row() {
    let rights = "
        alter table tickets add column secret text default 'told';
        do $$ begin create role waiting_writer; exception when duplicate_object or unique_violation then null; end $$;
        grant waiting_writer to current_user;
        grant select (id, organization_id, subject), update on tickets to waiting_writer";
    let database = Database::with(&format!("{TABLES};{rights}")).await;
    let server = TestServer::start(database, |config| {
        config.database.default_role = Some("waiting_writer".to_owned());
    })
    .await;
    let client = server.client(1, 1);
    let writer = server.database.connect().await;
    let hold = "begin; select from tickets where id = 1 for update";
    writer.batch_execute(hold).await.unwrap();
    let patch = client.patch("/tickets/1", json!({"subject": "mine"}));
    let patch = tokio::spawn(patch.header("action-id", "waits").expect(200));
    let waits = "select 1 from pg_stat_activity where wait_event_type = 'Lock'
        and datname = current_database()";
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while server.database.value(waits).await.is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "nobody waits");
    }
    server
        .database
        .psql("grant select (secret) on tickets to waiting_writer")
        .await;
    while client.get("/tickets/2").expect(200).await.json()["secret"] != "told" {
        assert!(tokio::time::Instant::now() < deadline, "no new rights");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    writer.batch_execute("commit").await.unwrap();
    let patched = patch.await.unwrap();
    let row = json!({"id": 1, "organization_id": 1, "subject": "mine"});
    assert_eq!(patched.json(), row, "as it was written");
    assert_eq!(patched.header("version"), "");
    assert_eq!(patched.header("cursor"), "");
    // Asked again, it is read by what is known now.
    let again = client.patch("/tickets/1", json!({"subject": "mine"}));
    let again = again.header("action-id", "waits").expect(200).await;
    assert_eq!(again.json()["secret"], "told");
    assert!(again.version() > 0);
    let theirs = server.client(2, 1).get("/tickets/1").expect(404).await;
    assert!(!theirs.text().contains("mine"));
    drop(writer);
    server.finish().await;
}
