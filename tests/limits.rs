//! What happens beyond the limits of queues, batches, windows and answers, and with input that no
//! client should send, end to end.

mod bad_input;
mod neighbours;
mod slow_readers;

use crate::http_limits::attached;
use crate::support::{Channel, Client, Database, TestServer, Transport, soon, until};
use rowcast::config::Config;
use serde_json::{Value, json};
use std::time::Duration;

/// Two organizations; `marks` is written to say that all before it has been announced; the rows of
/// `wide` are more than the kernel's buffers hold.
const SCHEMA: &str = "
    create table tickets (
        id bigint primary key,
        organization_id bigint not null,
        subject text not null
    );
    create table notes (id bigint primary key, organization_id bigint not null, body text);
    create table marks (id bigint primary key, organization_id bigint not null);
    create table details (id bigint primary key, organization_id bigint not null, data jsonb,
                          day date, number int, amount numeric, tags text[]);
    create table wide (id bigint primary key, organization_id bigint not null, filling text not null);
    insert into tickets
    select 1000 * organization + number, organization, 'ticket ' || number
    from generate_series(1, 2) organization, generate_series(1, 40) number;
    insert into wide
    select number, 1, repeat(md5(number::text), 30) from generate_series(1, 20000) number;
    create table sleepers (id bigint primary key, organization_id bigint not null);
    insert into sleepers values (1, 1);
    create view stuck with (security_invoker) as
    select id, organization_id, pg_sleep(60)::text as nap from sleepers";

async fn server(change: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::start(Database::with(SCHEMA).await, change).await
}

/// Writes a mark for this organization.
async fn mark(server: &TestServer, organization: i64, number: i64) {
    let id = 1000 * organization + number;
    let sql = format!("insert into marks values ({id}, {organization})");
    server.database.execute(&sql).await;
}

/// Everything on the channel up to the end of the batch that holds the next mark, without the mark
/// and pings. Inside a batch the order is nobody's, and its end carries the cursor.
async fn until_mark(channel: &mut Channel) -> Vec<Value> {
    let mut others = Vec::new();
    let mut marked = false;
    loop {
        let event = channel.next().await;
        if event["type"] == "ping" {
            continue;
        }
        let ends = event["cursor"].is_string();
        if event["type"] == "change" && event["resource"] == "marks" {
            marked = true;
        } else {
            others.push(event);
        }
        if marked && ends {
            return others;
        }
    }
}

#[tokio::test]
async fn a_batch_of_too_many_rows_is_a_reset_of_each_resource() {
    let server = server(|config| config.limits.batch_keys_max = 10).await;
    let client = server.client(1, 1);
    let mut other = attached(&server.client(2, 1), Transport::WebSocket, "default").await;
    for (at, transport) in (1..).zip(Transport::ALL) {
        let mut channel = attached(&client, transport, &format!("tab-{at}")).await;
        // As many as the limit says, the mark among them, are told one by one.
        let few = format!("update tickets set subject = 'few {at}' where id between 1001 and 1009");
        server.database.execute(&few).await;
        mark(&server, 1, 2 * at).await;
        let told = until_mark(&mut channel).await;
        assert_eq!(told.len(), 9, "{transport:?}: {told:?}");
        assert!(told.iter().all(|event| event["type"] == "change"));
        let many = format!("update tickets set subject = 'many {at}' where organization_id = 1");
        server.database.execute(&many).await;
        let reset = channel.until("reset").await;
        assert_eq!(reset.0, Vec::<Value>::new(), "{transport:?}");
        mark(&server, 1, 2 * at + 1).await;
        let mut resets = until_mark(&mut channel).await;
        resets.push(reset.1);
        assert!(
            resets.iter().all(|event| event["type"] == "reset"),
            "{resets:?}"
        );
        let reset = resets.iter().find(|event| event["resource"] == "tickets");
        let reset = reset.unwrap_or_else(|| panic!("{transport:?}: {resets:?}"));
        let read = client.get("/tickets?limit=1").expect(200).await;
        assert_eq!(read.json()[0]["subject"], format!("many {at}"));
        assert!(read.version() >= reset["version"].as_u64().unwrap());
    }
    // Which keys of whom were too many is nobody's business: the others are told to fetch, no more.
    mark(&server, 2, 1).await;
    let heard = until_mark(&mut other).await;
    assert!(
        heard.iter().all(|event| event["type"] == "reset"),
        "{heard:?}"
    );
    server.finish().await;
}

#[tokio::test]
async fn events_are_kept_for_their_time_and_ids_are_free_afterwards() {
    let server = server(|config| config.limits.replay_ms = 400).await;
    let client = server.client(1, 1);
    let mut channel = attached(&client, Transport::WebSocket, "tab-1").await;
    let start = channel.sequence;
    let ask = || {
        let call = client.get("/tickets?limit=3").header("request-id", "r1");
        call.header("channel-id", "tab-1")
    };
    ask().expect(202).await;
    channel.until("done").await;
    let mut refused = 0;
    soon("the id is free", async || {
        let is_free = ask().send().await.status == 202;
        refused += u32::from(!is_free);
        is_free
    })
    .await;
    assert!(refused > 0, "not before its time");
    channel.until("done").await;
    drop(channel);
    // For longer than events are kept.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let path = format!("/channels/tab-1?wait=0&after={start}");
    let late = client.get(&path).expect(200).await.json();
    assert_eq!(late[0]["resumed"], false, "{late}");
    assert_eq!(late[1]["type"], "reset");
    server.finish().await;
}

#[tokio::test]
async fn an_answer_beyond_its_limit_is_refused_and_a_stream_is_not() {
    let server = server(|config| config.limits.answer_bytes_max = 50_000).await;
    let client = server.client(1, 1);
    let problem = client.get("/wide").expect(400).await.problem();
    assert_eq!(problem["type"], "answer-too-large");
    client.get("/wide?limit=10").expect(200).await;
    let others = server.client(2, 1).get("/wide").expect(200).await;
    assert_eq!(others.json(), json!([]));
    for transport in Transport::ALL {
        let name = format!("tab-{transport:?}");
        let mut channel = attached(&client, transport, &name).await;
        let call = client.get("/wide?limit=200").header("request-id", "r1");
        call.header("channel-id", &name).expect(202).await;
        let (rows, done) = channel.until("done").await;
        assert_eq!(
            (rows.len(), &done["rows"]),
            (200, &json!(200)),
            "{transport:?}"
        );
    }
    server.finish().await;
}

#[tokio::test]
async fn a_write_that_waits_for_a_lock_too_long_ends() {
    let server = server(|config| config.database.statement_timeout_ms = 1_500).await;
    let client = server.client(1, 1);
    let blocker = server.database.connect().await;
    blocker
        .batch_execute("begin; update tickets set subject = 'locked' where id = 1001")
        .await
        .unwrap();
    for call in [
        client.patch("/tickets/1001", json!({"subject": "mine"})),
        client.put("/tickets/1001", json!({"subject": "mine"})),
        client.delete("/tickets/1001"),
    ] {
        let problem = call.expect(504).await.problem();
        assert_eq!(problem["type"], "statement-timeout");
        assert_eq!(problem["retryable"], true);
    }
    until("no connection is held", async || {
        let stats = server.running.stats().database;
        stats.plain_busy + stats.cancelling == 0
    })
    .await;
    blocker.batch_execute("rollback").await.unwrap();
    drop(blocker);
    client
        .patch("/tickets/1001", json!({"subject": "mine"}))
        .expect(200)
        .await;
    server.finish().await;
}

#[tokio::test]
async fn without_a_free_connection_the_caller_is_told_when_to_come_again() {
    let server = server(|config| {
        config.database.connections_max = 1;
        config.database.acquire_timeout_ms = 200;
    })
    .await;
    let client = server.client(1, 1);
    let blocker = server.database.connect().await;
    let lock = "begin; update tickets set subject = 'locked' where id = 1001";
    blocker.batch_execute(lock).await.unwrap();
    let call = client.patch("/tickets/1001", json!({"subject": "mine"}));
    let waiting = tokio::spawn(call.send());
    until("the connection is taken", async || {
        server.running.stats().database.plain_busy == 1
    })
    .await;
    for client in [server.client(1, 2), server.client(2, 1)] {
        let refused = client.get("/tickets?limit=1").expect(503).await;
        let problem = refused.problem();
        assert_eq!(problem["type"], "overloaded");
        assert_eq!(problem["retryable"], true);
        assert!(
            !refused.header("retry-after").is_empty(),
            "when to come again"
        );
    }
    blocker.batch_execute("rollback").await.unwrap();
    drop(blocker);
    assert_eq!(waiting.await.unwrap().status, 200);
    client.get("/tickets?limit=1").expect(200).await;
    server.finish().await;
}

#[tokio::test]
async fn a_request_makes_no_channel_beyond_their_number() {
    let server = server(|config| config.limits.channels_per_identity = 2).await;
    let client = server.client(1, 1);
    let ask = |client: &Client, channel: &str| {
        let call = client.get("/tickets?limit=1").header("request-id", "r1");
        call.header("channel-id", channel)
    };
    ask(&client, "a").expect(202).await;
    let mut socket = attached(&client, Transport::WebSocket, "b").await;
    let refused = ask(&client, "c").expect(429).await;
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.problem()["type"], "too-many-channels");
    ask(&server.client(1, 2), "c").expect(202).await;
    ask(&server.client(2, 1), "c").expect(202).await;
    // The existing ones go on, and one that ends makes room.
    let get = json!({"type": "get", "request_id": "r1", "path": "/tickets?limit=1"});
    socket.command(get).await;
    socket.until("done").await;
    client.delete("/channels/a").expect(204).await;
    ask(&client, "c").expect(202).await;
    server.finish().await;
}
