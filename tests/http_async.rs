//! Asynchronous GETs: what is refused before the 202, and what the channel carries after it.

mod ends;

use crate::support::{Channel, Client, Database, TestServer, Transport};
use serde_json::{Value, json};
use std::time::Duration;

/// Tickets of two organizations; `wide` has more bytes than a queue holds, `slow` takes its time.
const SCHEMA: &str = "
    create table tickets (
        id bigint primary key,
        organization_id bigint not null,
        subject text not null
    );
    insert into tickets
    select 1000 * organization + number, organization, 'ticket ' || number
    from generate_series(1, 2) organization, generate_series(1, 100) number;
    create table wide (id bigint primary key, organization_id bigint not null, filling text not null);
    insert into wide
    select number, 1, repeat(md5(number::text), 30) from generate_series(1, 30000) number;
    create view slow with (security_invoker) as
    select id, organization_id, repeat('x', 1000) as filling, pg_sleep(0.02)::text as nap from tickets;
    create view stuck with (security_invoker) as
    select id, organization_id, pg_sleep(60)::text as nap from tickets";

async fn server() -> TestServer {
    server_with(|_| ()).await
}

async fn server_with(change: impl FnOnce(&mut rowcast::config::Config)) -> TestServer {
    TestServer::start(Database::with(SCHEMA).await, change).await
}

async fn start(client: &Client, path: &str, id: &str, channel: &str) {
    let call = client.get(path).header("request-id", id);
    call.header("channel-id", channel).expect(202).await;
}

async fn attached(client: &Client, transport: Transport, id: &str) -> Channel {
    let mut channel = client.channel(transport, id).await;
    channel.expect("open").await;
    channel
}

#[tokio::test]
async fn a_request_is_accepted_and_its_rows_and_end_come_on_the_channel() {
    let server = server().await;
    let client = server.client(1, 1);
    let other = server.client(2, 1);
    for transport in Transport::ALL {
        let name = format!("tab-{transport:?}");
        let mut channel = attached(&client, transport, &name).await;
        let mut others = attached(&other, transport, &name).await;
        let call = client
            .get("/tickets?order=id&limit=40")
            .header("request-id", "r1")
            .header("channel-id", &name);
        let accepted = call.expect(202).await;
        assert_eq!(
            accepted.json(),
            json!({"request_id": "r1", "channel_id": name})
        );
        assert_eq!(accepted.header("request-id"), "r1");
        assert_eq!(accepted.header("channel-id"), name);
        let location = accepted.header("location").to_owned();
        assert_eq!(location, format!("/requests/r1?channel={name}"));
        let (rows, done) = channel.until("done").await;
        assert_eq!(rows.len(), 40, "{transport:?}");
        for (at, row) in rows.iter().enumerate() {
            assert_eq!(row["type"], "row");
            assert_eq!(row["request_id"], "r1");
            assert_eq!(row["resource"], "tickets");
            assert_eq!(row["version"], done["version"]);
            assert!(row.get("partial").is_none());
            assert_eq!(row["row"]["id"], 1001 + at);
            assert_eq!(row["row"]["organization_id"], 1);
        }
        assert_eq!(done["request_id"], "r1");
        assert_eq!(done["rows"], 40);
        assert!(done["cursor"].is_string());
        let progress = client.get(&location).expect(200).await;
        assert_eq!(progress.json()["state"], "delivered");
        other.get(&location).expect(404).await.problem();
        let heard = others.next_within(Duration::from_millis(50)).await;
        assert!(
            heard.is_none_or(|it| it["type"] == "ping"),
            "nothing of it is another's"
        );
    }
    server.finish().await;
}

#[tokio::test]
async fn a_channel_that_nobody_has_opened_keeps_the_events() {
    let server = server().await;
    let client = server.client(1, 1);
    for transport in Transport::ALL {
        let name = format!("tab-{transport:?}");
        start(&client, "/tickets?limit=3", "r1", &name).await;
        start(&client, "/tickets/1007", "r2", &name).await;
        let mut channel = attached(&client, transport, &name).await;
        let mut ends = Vec::new();
        let mut rows = 0;
        while ends.len() < 2 {
            let event = channel.next().await;
            match event["type"].as_str().unwrap() {
                "row" => rows += 1,
                "done" => ends.push((event["request_id"].clone(), event["rows"].clone())),
                other => assert_eq!(other, "ping"),
            }
        }
        assert_eq!(rows, 4, "{transport:?}");
        ends.sort_by_key(|it| it.0.to_string());
        assert_eq!(ends, [(json!("r1"), json!(3)), (json!("r2"), json!(1))]);
    }
    server.finish().await;
}

#[tokio::test]
async fn an_item_that_does_not_exist_is_done_with_no_rows() {
    let server = server().await;
    let client = server.client(1, 1);
    let mut channel = attached(&client, Transport::WebSocket, "default").await;
    // Also one of another organization's.
    for (id, path) in [
        ("r1", "/tickets/7"),
        ("r2", "/tickets/2001"),
        ("r3", "/resources/tickets/0"),
    ] {
        let call = client.get(path).header("request-id", id);
        assert_eq!(call.expect(202).await.json()["channel_id"], "default");
        let done = channel.expect("done").await;
        assert_eq!(
            (&done["request_id"], &done["rows"]),
            (&json!(id), &json!(0))
        );
    }
    server.finish().await;
}

#[tokio::test]
async fn what_can_be_known_is_refused_before_the_202() {
    let server = server().await;
    let client = server.client(1, 1);
    for (path, status, kind) in [
        ("/nothing", 404, "resource-unknown"),
        ("/tickets?nothing=eq.1", 400, "column-unknown"),
        ("/tickets?limit=x", 400, "query-malformed"),
        ("/tickets?id=eq.x", 400, "value-invalid"),
        ("/tickets/x", 400, "value-invalid"),
        ("/tickets?include=contacts", 400, "relation-unknown"),
    ] {
        let call = client.get(path).header("request-id", "r1");
        let answer = call.expect(status).await;
        assert_eq!(answer.header("request-id"), "r1", "{path}");
        let problem = answer.problem();
        assert_eq!(problem["type"], kind, "{path}");
        assert_eq!(problem["request_id"], "r1", "{path}");
    }
    for (name, value) in [
        ("request-id", "a b"),
        ("channel-id", "a b"),
        ("request-id", &"x".repeat(129)),
    ] {
        let call = client
            .get("/tickets")
            .header("request-id", "r1")
            .header(name, value);
        assert_eq!(call.expect(400).await.problem()["type"], "header-malformed");
    }
    client
        .anonymous()
        .get("/tickets")
        .header("request-id", "r1")
        .expect(401)
        .await;
    assert_eq!(server.running.stats().channels.requests, 0);
    server.finish().await;
}

#[tokio::test]
async fn without_an_id_the_server_chooses_one() {
    let server = server_with(|config| config.api.request_id_header = "X-Ask".into()).await;
    let client = server.client(1, 1);
    let call = client
        .get("/tickets?limit=1")
        .header("prefer", "respond-async");
    let accepted = call.expect(202).await;
    assert_eq!(accepted.header("preference-applied"), "respond-async");
    let id = accepted.json()["request_id"].as_str().unwrap().to_owned();
    assert_eq!(accepted.header("x-ask"), id);
    assert_eq!(id.len(), 36);
    // The header has the configured name, and no other is one.
    let plain = client.get("/tickets?limit=1").header("request-id", "r1");
    assert_eq!(plain.expect(200).await.json().as_array().unwrap().len(), 1);
    client
        .get("/tickets?limit=1")
        .header("x-ask", "r1")
        .expect(202)
        .await;
    server.finish().await;
}

#[tokio::test]
async fn an_id_is_in_use_until_its_end_is_acknowledged() {
    let server = server().await;
    let client = server.client(1, 1);
    let mut channel = attached(&client, Transport::WebSocket, "tab-1").await;
    start(&client, "/tickets?limit=2", "r1", "tab-1").await;
    channel.until("done").await;
    let again = || {
        client
            .get("/tickets")
            .header("request-id", "r1")
            .header("channel-id", "tab-1")
    };
    let refused = again().expect(409).await;
    assert_eq!(refused.header("location"), "/requests/r1?channel=tab-1");
    assert_eq!(refused.problem()["type"], "request-id-in-use");
    start(&client, "/tickets?limit=2", "r1", "tab-2").await;
    let sequence = channel.sequence;
    client
        .post("/channels/tab-1/ack", json!({"sequence": sequence}))
        .expect(204)
        .await;
    again().expect(202).await;
    channel.until("done").await;
    channel
        .command(json!({"type": "ack", "sequence": channel.sequence}))
        .await;
    // The command is carried out before the next one.
    channel
        .command(json!({"type": "get", "request_id": "r1", "path": "/tickets?limit=1"}))
        .await;
    assert_eq!(channel.until("done").await.0.len(), 1);
    server.finish().await;
}

#[tokio::test]
async fn open_requests_are_limited_for_each_identity() {
    let server = server_with(|config| config.limits.requests_per_identity = 2).await;
    let client = server.client(1, 1);
    start(&client, "/tickets?limit=1", "r1", "a").await;
    start(&client, "/tickets?limit=1", "r2", "b").await;
    let refused = client
        .get("/tickets")
        .header("request-id", "r3")
        .expect(429)
        .await;
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.problem()["type"], "too-many-requests");
    start(&server.client(1, 2), "/tickets?limit=1", "r1", "a").await;
    let mut channel = attached(&client, Transport::Ndjson, "a").await;
    channel.until("done").await;
    start(&client, "/tickets?limit=1", "r3", "c").await;
    server.finish().await;
}

#[tokio::test]
async fn a_small_request_does_not_wait_for_a_large_one() {
    let server = server().await;
    let client = server.client(1, 1);
    for transport in [Transport::WebSocket, Transport::Sse, Transport::Ndjson] {
        let mut channel = attached(&client, transport, "tab-1").await;
        let (large, small) = (
            format!("large-{transport:?}"),
            format!("small-{transport:?}"),
        );
        start(&client, "/wide", &large, "tab-1").await;
        channel.expect("row").await;
        start(&client, "/tickets?limit=25", &small, "tab-1").await;
        let (before, first) = channel.until("done").await;
        assert_eq!(first["request_id"], small, "{transport:?}");
        assert!(before.len() < 29_000, "{}", before.len());
        let (_, second) = channel.until("done").await;
        assert_eq!(
            (&second["request_id"], &second["rows"]),
            (&json!(large), &json!(30_000))
        );
    }
    server.finish().await;
}

#[tokio::test]
async fn a_command_asks_as_a_header_does() {
    let server = server().await;
    let client = server.client(1, 1);
    let mut channel = attached(&client, Transport::WebSocket, "tab-1").await;
    let mut ask = async |id: &str, path: &str| -> (Vec<Value>, Value) {
        let command = json!({"type": "get", "request_id": id, "path": path, "priority": 1});
        channel.command(command).await;
        let mut before = Vec::new();
        loop {
            let event = channel.next().await;
            match event["type"].as_str().unwrap() {
                "done" | "error" => return (before, event),
                _ => before.push(event),
            }
        }
    };
    let (rows, done) = ask("r1", "/tickets?id=in.(1001,1002,2001)&select=id").await;
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["partial"], true);
    assert_eq!(done["rows"], 2);
    let (rows, done) = ask("r2", "/resources/tickets/1003").await;
    assert_eq!((rows.len(), &done["rows"]), (1, &json!(1)));
    // What is wrong with what it asks for is the request's end.
    for (id, path, kind) in [
        ("r3", "/nothing", "resource-unknown"),
        ("r4", "/tickets?nothing=eq.1", "column-unknown"),
        ("r5", "/health", "route-unknown"),
        ("r6", "tickets", "route-unknown"),
    ] {
        let (_, error) = ask(id, path).await;
        assert_eq!(error["request_id"], id);
        assert_eq!(error["rows"], 0);
        assert_eq!(error["problem"]["type"], kind);
    }
    // One of that name has ended already, and ends no second time.
    let (_, error) = ask("r1", "/tickets").await;
    assert!(error.get("request_id").is_none());
    assert_eq!(error["problem"]["request_id"], "r1");
    assert_eq!(error["problem"]["type"], "request-id-in-use");
    server.finish().await;
}

#[tokio::test]
async fn what_was_missed_is_repeated_to_whoever_comes_back() {
    let server = server().await;
    let client = server.client(1, 1);
    for transport in Transport::ALL {
        let name = format!("tab-{transport:?}");
        let mut channel = attached(&client, transport, &name).await;
        start(&client, "/tickets?order=id&limit=20", "r1", &name).await;
        let mut read = Vec::new();
        for _ in 0..7 {
            read.push(channel.expect("row").await["row"]["id"].clone());
        }
        let query = format!("after={}", channel.sequence);
        drop(channel);
        let mut channel = client.channel_with(transport, &name, &query).await;
        if transport != Transport::LongPoll {
            let open = channel.expect("open").await;
            assert_eq!(open["resumed"], true);
            assert_eq!(open["sequence"].to_string(), query["after=".len()..]);
        }
        let (rows, done) = channel.until("done").await;
        read.extend(rows.iter().map(|it| it["row"]["id"].clone()));
        let expected: Vec<Value> = (1001..=1020).map(Value::from).collect();
        assert_eq!(read, expected, "{transport:?}: nothing lost, nothing twice");
        assert_eq!(done["rows"], 20);
    }
    server.finish().await;
}

#[tokio::test]
async fn an_eventsource_resumes_by_the_id_of_its_last_event() {
    let server = server().await;
    let client = server.client(1, 1);
    let mut channel = attached(&client, Transport::Sse, "tab-1").await;
    start(&client, "/tickets?order=id&limit=5", "r1", "tab-1").await;
    channel.until("done").await;
    let sequence = channel.sequence;
    drop(channel);
    // EventSource repeats its first URL; the header beats what that said.
    let call = client
        .get("/channels/tab-1?after=1")
        .header("accept", "text/event-stream")
        .header("last-event-id", &(sequence - 2).to_string());
    let mut body = call.open().await.into_body();
    let mut text = String::new();
    while text.matches("\n\n").count() < 3 {
        let frame = http_body_util::BodyExt::frame(&mut body)
            .await
            .unwrap()
            .unwrap();
        text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    let ids: Vec<u64> = text
        .lines()
        .filter_map(|it| it.strip_prefix("id: "))
        .map(|it| it.parse().unwrap())
        .collect();
    assert_eq!(ids, [sequence - 2, sequence - 1, sequence]);
    assert!(text.starts_with("retry:"), "{text}");
    assert!(text.contains("\"resumed\":true"));
    server.finish().await;
}

#[tokio::test]
async fn a_poll_takes_no_more_events_than_it_asks_for() {
    let server = server().await;
    let client = server.client(1, 1);
    start(&client, "/tickets?order=id&limit=10", "r1", "tab-1").await;
    let first = client
        .get("/channels/tab-1?max_events=3&wait=0")
        .expect(200)
        .await;
    let mut sequence = first.header("sequence").to_owned();
    let mut path = String::new();
    let mut last = 0;
    let mut events = first.json().as_array().unwrap().clone();
    assert_eq!(events.remove(0)["type"], "open");
    while events.last().is_none_or(|it| it["type"] != "done") {
        path = format!("/channels/tab-1?max_events=3&after={sequence}");
        let answer = client.get(&path).expect(200).await;
        let more = answer.json().as_array().unwrap().clone();
        assert!((1..=3).contains(&more.len()), "{more:?}");
        let next = answer.header("sequence").parse::<u64>().unwrap();
        assert_eq!(next, sequence.parse::<u64>().unwrap() + more.len() as u64);
        sequence = next.to_string();
        last = more.len();
        events.extend(more);
    }
    assert_eq!(events.len(), 11);
    // Asked for again, the same events come again.
    let again = client.get(&path).expect(200).await.json();
    assert_eq!(again.as_array().unwrap()[..], events[11 - last..]);
    server.finish().await;
}
