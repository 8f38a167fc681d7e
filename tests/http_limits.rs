//! What happens beyond the limits of time, bytes and connections, end to end.

use crate::{
    http_routes::TABLES,
    support::{Channel, Client, Database, SOON, TestServer, Transport, until},
};
use http_body_util::BodyExt;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

async fn server(change: impl FnOnce(&mut rowcast::config::Config)) -> TestServer {
    TestServer::start(Database::with(TABLES).await, change).await
}

/// With a view whose rows never come.
async fn stuck_server(change: impl FnOnce(&mut rowcast::config::Config)) -> TestServer {
    let stuck = "create view stuck with (security_invoker) as
                 select id, organization_id, pg_sleep(60)::text as nap from tickets";
    TestServer::start(Database::with(&format!("{TABLES};{stuck}")).await, change).await
}

pub(crate) async fn attached(client: &Client, transport: Transport, id: &str) -> Channel {
    let mut channel = client.channel(transport, id).await;
    channel.expect("open").await;
    channel
}

#[tokio::test]
async fn a_statement_that_takes_too_long_ends() {
    let server = stuck_server(|config| config.database.statement_timeout_ms = 1_500).await;
    let client = server.client(1, 1);
    let problem = client.get("/stuck").expect(504).await.problem();
    assert_eq!(problem["type"], "statement-timeout");
    assert_eq!(problem["retryable"], true);
    let mut channel = attached(&client, Transport::Sse, "default").await;
    client
        .get("/stuck")
        .header("request-id", "r1")
        .expect(202)
        .await;
    let error = channel.expect("error").await;
    assert_eq!(error["request_id"], "r1");
    assert_eq!(error["problem"]["type"], "statement-timeout");
    assert_eq!(error["problem"]["status"], 504);
    until("no connection is held", async || {
        let stats = server.running.stats().database;
        stats.plain_busy + stats.streams_busy + stats.cancelling == 0
    })
    .await;
    server.finish().await;
}

#[tokio::test]
async fn a_channel_that_nobody_reads_is_removed() {
    let server = server(|config| config.limits.channel_idle_ms = 300).await;
    let client = server.client(1, 1);
    let mut read = attached(&client, Transport::WebSocket, "read").await;
    client.get("/channels/left?wait=0").expect(200).await;
    client
        .get("/tickets/1")
        .header("request-id", "r1")
        .header("channel-id", "never")
        .expect(202)
        .await;
    assert_eq!(server.running.stats().channels.channels, 3);
    until("the two are gone", async || {
        server.running.stats().channels.channels == 1
    })
    .await;
    client
        .patch("/tickets/1", json!({"subject": "still there"}))
        .expect(200)
        .await;
    read.expect("change").await;
    let again = client
        .get("/channels/left?wait=0&after=1")
        .expect(200)
        .await
        .json();
    assert_eq!(
        (&again[0]["resumed"], &again[1]["type"]),
        (&json!(false), &json!("reset"))
    );
    server.finish().await;
}

#[tokio::test]
async fn whoever_comes_back_too_late_is_told_so() {
    let server = server(|config| config.limits.replay_bytes_max = 2_000).await;
    let client = server.client(1, 1);
    for transport in Transport::ALL {
        let name = format!("tab-{transport:?}");
        let mut channel = attached(&client, transport, &name).await;
        let start = channel.sequence;
        let call = client.get("/tickets?limit=30").header("request-id", "r1");
        call.header("channel-id", &name).expect(202).await;
        channel.until("done").await;
        let end = channel.sequence;
        drop(channel);
        let path = |after: u64| format!("/channels/{name}?wait=0&after={after}");
        // The window is cut from its beginning.
        let recent = client.get(&path(end - 2)).expect(200).await.json();
        assert_eq!(
            recent.as_array().unwrap().len(),
            2,
            "{transport:?}: {recent}"
        );
        let late = client.get(&path(start)).expect(200).await.json();
        assert_eq!(late[0]["resumed"], false, "{transport:?}");
        assert_eq!(late[1]["type"], "reset");
        assert!(late[1].get("resource").is_none());
    }
    server.finish().await;
}

#[tokio::test]
async fn changes_beyond_the_queue_become_one_reset() {
    let server = server(|config| config.limits.queue_bytes_max = 4_000).await;
    let client = server.client(1, 1);
    for transport in Transport::ALL {
        let name = format!("tab-{transport:?}");
        let channel = attached(&client, transport, &name).await;
        let query = format!("after={}", channel.sequence);
        drop(channel);
        let update =
            format!("update tickets set subject = '{transport:?} ' || id || repeat(' ', 500)");
        server.database.psql(&update).await;
        // The same state is told to somebody who keeps up, as the mark that all has been queued.
        let mut mark = attached(&server.client(1, 2), Transport::WebSocket, "mark").await;
        client
            .post("/resources/health", json!({"id": 1 + transport as u32}))
            .expect(201)
            .await;
        mark.until("change").await;
        assert!(server.running.stats().channels.queued_bytes <= 3 * 4_000);
        let mut channel = client.channel_with(transport, &name, &query).await;
        if transport != Transport::LongPoll {
            assert_eq!(channel.expect("open").await["resumed"], true);
        }
        let reset = channel.expect("reset").await;
        assert_eq!(reset["resource"], "tickets", "{transport:?}");
        assert_eq!(channel.expect("change").await["resource"], "health");
    }
    server.finish().await;
}

#[tokio::test]
async fn no_identity_takes_all_connections_for_streams() {
    let server = stuck_server(|_| ()).await;
    let greedy = server.client(1, 1);
    for id in ["r1", "r2", "r3", "r4"] {
        greedy
            .get("/stuck")
            .header("request-id", id)
            .expect(202)
            .await;
    }
    let busy = || server.running.stats().database.streams_busy;
    until("a quarter of eight", async || busy() == 2).await;
    server
        .client(1, 2)
        .get("/stuck")
        .header("request-id", "r1")
        .expect(202)
        .await;
    until("another's gets one at once", async || busy() == 3).await;
    assert_eq!(server.running.stats().requests, 5);
    // A small one needs none of them.
    let mut channel = attached(&greedy, Transport::WebSocket, "default").await;
    greedy
        .get("/tickets?limit=5")
        .header("request-id", "r5")
        .expect(202)
        .await;
    assert_eq!(channel.until("done").await.1["request_id"], "r5");
    for id in ["r1", "r2", "r3", "r4"] {
        greedy.delete(&format!("/requests/{id}")).expect(204).await;
    }
    until("they are free again", async || busy() == 1).await;
    server.finish().await;
}

#[tokio::test]
async fn streams_of_all_identities_share_the_connections_there_are() {
    let server = stuck_server(|config| {
        config.database.stream_connections_max = 2;
        config.limits.stream_share_percent = 100;
    })
    .await;
    for user in 1..=3 {
        let client = server.client(1, user);
        let call = client.get("/stuck").header("request-id", "r1");
        call.expect(202).await;
    }
    let busy = || server.running.stats().database.streams_busy;
    until("both are taken", async || busy() == 2).await;
    let running = "select count(*) from pg_stat_activity where state = 'active' and query ~ 'stuck'
                   and pid <> pg_backend_pid()";
    assert_eq!(server.database.value(running).await, "2");
    assert_eq!(server.running.stats().requests, 3, "the third waits");
    let cancel = async |user| {
        let call = server.client(1, user).delete("/requests/r1");
        call.expect(204).await;
    };
    cancel(1).await;
    cancel(2).await;
    until("the third has one", async || {
        server.running.stats().requests == 1 && busy() == 1
    })
    .await;
    cancel(3).await;
    until("all are free", async || busy() == 0).await;
    server.finish().await;
}

#[tokio::test]
async fn a_database_that_says_nothing_is_waited_for_so_long_and_no_longer() {
    // The kernel takes the connection; nobody ever speaks.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = rowcast::config::Config::default();
    let url = format!("postgres://nobody@{}/none", silent.local_addr().unwrap());
    config.database.url = Some(url.as_str().into());
    config.database.connect_timeout_ms = 400;
    config.auth.jwt_secret = Some(crate::support::server::SECRET.into());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let began = Instant::now();
    let starting = rowcast::server::Server::start(config, listener).await;
    let error = starting.expect_err("it cannot start");
    assert_eq!(error.kind(), rowcast::error::Kind::DatabaseUnavailable);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(400), "{took:?}");
    assert!(took < SOON, "{took:?}");
}

#[tokio::test]
async fn headers_that_are_too_long_are_refused_over_http2_too() {
    let server = server(|config| config.limits.header_bytes_max = 8 << 10).await;
    let client = server.client(1, 1);
    let http2 = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let ask = async |filling: usize| {
        let request = http::Request::builder()
            .uri(format!("http://{}/tickets?limit=1", client.address))
            .header(
                "authorization",
                format!("Bearer {}", client.token.as_ref().unwrap()),
            )
            .header("x-filling", "x".repeat(filling))
            .body(http_body_util::Empty::<bytes::Bytes>::new())
            .unwrap();
        let answer = http2.request(request).await.expect("an answer");
        assert_eq!(answer.version(), http::Version::HTTP_2);
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    };
    let (status, body) = ask(100).await;
    assert_eq!(status, 200, "{body}");
    let (status, body) = ask(9_000).await;
    assert_eq!(status, 431, "{body}");
    let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(problem["type"], "headers-too-large");
    // Far beyond, the protocol itself refuses; the connection serves on.
    assert_eq!(ask(70_000).await.0, 431);
    assert_eq!(ask(100).await.0, 200);
    server.finish().await;
}
