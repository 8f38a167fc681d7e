//! Channels on each of the four transports: attaching, replacing, ending, expiring.

use crate::{
    http_routes::TABLES,
    support::{
        Channel, Client, Database, SOON, TestServer, Transport, server::SECRET, soon, token_of,
    },
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

const STREAMING: [Transport; 3] = [Transport::WebSocket, Transport::Sse, Transport::Ndjson];

async fn server() -> TestServer {
    TestServer::start(Database::with(TABLES).await, |_| ()).await
}

fn now_s() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap().as_secs()
}

/// A token that ends in so many seconds; `claims` beside `org` and `sub` of the first user.
fn token_for(seconds: u64, claims: Value) -> String {
    let mut all = json!({"org": 1, "sub": 1, "exp": now_s() + seconds});
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    token_of(SECRET, all)
}

/// Reads on to the end and returns the last event.
async fn last(channel: &mut Channel) -> Value {
    let mut last = Value::Null;
    while let Some(event) = channel.next_within(Duration::from_secs(20)).await {
        last = event;
    }
    last
}

#[tokio::test]
async fn an_attachment_begins_with_open() {
    let server = server().await;
    let client = server.client(1, 1);
    for transport in Transport::ALL {
        let id = format!("tab-{transport:?}");
        let mut channel = client.channel(transport, &id).await;
        let open = channel.expect("open").await;
        assert_eq!(open["channel_id"], id);
        assert_eq!(open["ping_seconds"], 25);
        assert!(open["cursor"].is_string() && open["version"].is_u64());
        let sequence = open["sequence"].as_u64().unwrap();
        assert!(sequence > 1_600_000_000_000_000, "taken from the clock");
        assert!(sequence < 1 << 53);
    }
    server.finish().await;
}

#[tokio::test]
async fn the_path_names_the_channel_percent_encoded() {
    let server = server().await;
    let client = server.client(1, 1);
    let answer = client.get("/channels/a%2Fb%23?wait=0").expect(200).await;
    assert_eq!(answer.json()[0]["channel_id"], "a/b#");
    let too_long = "x".repeat(129);
    for bad in ["a%20b", "%C3%A4", "%ff", &too_long] {
        let answer = client.get(&format!("/channels/{bad}?wait=0")).send().await;
        assert!(answer.status.is_client_error(), "{bad}");
        answer.problem();
    }
    server.finish().await;
}

#[tokio::test]
async fn a_newer_attachment_replaces_an_older_one() {
    let server = server().await;
    let client = server.client(1, 1);
    for transport in STREAMING {
        for newer in Transport::ALL {
            let mut old = client.channel(transport, "tab-1").await;
            old.expect("open").await;
            let mut new = client.channel(newer, "tab-1").await;
            new.expect("open").await;
            let close = last(&mut old).await;
            assert_eq!(close["type"], "close", "{transport:?} by {newer:?}");
            assert_eq!(close["code"], 4001);
            assert_eq!(close["reconnect"], false);
        }
    }
    server.finish().await;
}

#[tokio::test]
async fn a_poll_is_replaced_as_well() {
    let server = server().await;
    let client = server.client(1, 1);
    let first = client.get("/channels/tab-1?wait=0").expect(200).await;
    let path = format!("/channels/tab-1?after={}", first.header("sequence"));
    let waiting = tokio::spawn(client.get(&path).send());
    while server.running.stats().channels.attachments == 0 {
        tokio::task::yield_now().await;
    }
    client.get("/channels/tab-1?wait=0").expect(200).await;
    let answer = waiting.await.unwrap();
    assert_eq!(answer.json()[0]["code"], 4001);
    server.finish().await;
}

#[tokio::test]
async fn channels_are_private_to_their_identity() {
    let server = server().await;
    let mine = server.client(1, 1);
    let others = [
        server.client(1, 2),
        server.client(2, 1),
        server.client_of(json!({"org": 1, "sub": 1, "team": "x"})),
    ];
    let mut channel = mine.channel(Transport::WebSocket, "tab-1").await;
    channel.expect("open").await;
    for other in &others {
        let unknown = other.request("DELETE", "/channels/tab-1").expect(404).await;
        assert_eq!(unknown.problem()["type"], "channel-unknown");
        other
            .post("/channels/tab-1/ack", json!({"sequence": 1}))
            .expect(404)
            .await
            .problem();
        other
            .post("/channels/tab-1/auth", json!({"token": mine.token}))
            .expect(404)
            .await
            .problem();
        // Of the same name, but its own.
        other.get("/channels/tab-1?wait=0").expect(200).await;
    }
    assert_eq!(server.running.stats().channels.channels, 4);
    mine.request("DELETE", "/channels/tab-1").expect(204).await;
    assert_eq!(last(&mut channel).await["code"], 4002);
    server.finish().await;
}

#[tokio::test]
async fn an_ended_channel_tells_its_reader() {
    let server = server().await;
    let client = server.client(1, 1);
    for transport in STREAMING {
        let mut channel = client.channel(transport, "tab-1").await;
        channel.expect("open").await;
        client
            .request("DELETE", "/channels/tab-1")
            .expect(204)
            .await;
        assert_eq!(last(&mut channel).await["code"], 4002, "{transport:?}");
        client
            .request("DELETE", "/channels/tab-1")
            .expect(404)
            .await;
    }
    server.finish().await;
}

#[tokio::test]
async fn quiet_readers_hear_pings() {
    let server = TestServer::start(Database::with(TABLES).await, |config| {
        config.limits.ping_ms = 100;
    })
    .await;
    let client = server.client(1, 1);
    for transport in STREAMING {
        let mut channel = client.channel(transport, "tab-1").await;
        let open = channel.expect("open").await;
        for _ in 0..5 {
            let ping = channel.expect("ping").await;
            assert!(ping["version"].as_u64() >= open["version"].as_u64());
            assert!(ping["cursor"].is_string());
        }
    }
    server.finish().await;
}

#[tokio::test]
async fn a_poll_waits_as_long_as_it_says() {
    let server = server().await;
    let client = server.client(1, 1);
    let first = client.get("/channels/a?wait=20").expect(200).await;
    assert_eq!(
        first.json()[0]["type"],
        "open",
        "the first poll answers at once"
    );
    assert_eq!(first.header("cache-control"), "no-store");
    let sequence = first.header("sequence").to_owned();
    assert_eq!(first.json()[0]["sequence"].to_string(), sequence);
    let began = Instant::now();
    let path = format!("/channels/a?wait=0.3&after={sequence}");
    let second = client.get(&path).expect(200).await;
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(
        second.json()[0]["type"],
        "ping",
        "where it stands, and nothing else"
    );
    assert_eq!(second.json().as_array().unwrap().len(), 1);
    assert_eq!(second.header("sequence"), sequence);
    let far = client.get("/channels/a?wait=0&after=7").expect(200).await;
    assert_eq!(far.json()[0]["resumed"], false);
    assert_eq!(
        far.json()[1]["type"],
        "reset",
        "nothing is skipped silently"
    );
    for bad in [
        "wait=x",
        "max_events=0",
        "after=-1",
        "after=x",
        "colour=1",
        "wait=1&wait=2",
    ] {
        let problem = client
            .get(&format!("/channels/a?{bad}"))
            .expect(400)
            .await
            .problem();
        assert_eq!(problem["type"], "query-malformed", "{bad}");
    }
    let resource = client
        .get("/channels/a?resources=tickets,nothing")
        .expect(404)
        .await
        .problem();
    assert_eq!(resource["type"], "resource-unknown");
    server.finish().await;
}

#[tokio::test]
async fn a_client_that_goes_away_is_detached_at_once() {
    let server = server().await;
    let client = server.client(1, 1);
    for transport in STREAMING {
        let mut channel = client.channel(transport, "tab-1").await;
        channel.expect("open").await;
        assert_eq!(server.running.stats().channels.attachments, 1);
        drop(channel);
        detached(&server, transport).await;
    }
    let first = client.get("/channels/tab-1?wait=0").expect(200).await;
    let path = format!("/channels/tab-1?after={}", first.header("sequence"));
    let waiting = tokio::spawn(
        Client::new(client.address, client.token.clone())
            .get(&path)
            .send(),
    );
    while server.running.stats().channels.attachments == 0 {
        tokio::task::yield_now().await;
    }
    waiting.abort();
    detached(&server, Transport::LongPoll).await;
    server.finish().await;
}

async fn detached(server: &TestServer, transport: Transport) {
    soon(&format!("{transport:?} is detached"), async || {
        server.running.stats().channels.attachments == 0
    })
    .await;
}

#[tokio::test]
async fn a_token_that_ends_is_warned_of_and_then_closes() {
    let server = TestServer::start(Database::with(TABLES).await, |config| {
        config.auth.leeway_s = 0;
    })
    .await;
    for transport in STREAMING {
        let client = server.client(1, 1).with_token(token_for(2, json!({})));
        let mut channel = client.channel(transport, "tab-1").await;
        channel.expect("open").await;
        let warning = channel.expect("error").await;
        assert!(warning.get("request_id").is_none());
        assert_eq!(warning["problem"]["type"], "token-expiring");
        let close = last(&mut channel).await;
        assert_eq!(close["code"], 4003, "{transport:?}");
        assert_eq!(close["reconnect"], false);
    }
    server.finish().await;
}

#[tokio::test]
async fn a_fresh_token_renews_an_open_channel() {
    let server = TestServer::start(Database::with(TABLES).await, |config| {
        config.auth.leeway_s = 0;
    })
    .await;
    for transport in STREAMING {
        let client = server.client(1, 1).with_token(token_for(2, json!({})));
        let mut channel = client.channel(transport, "tab-1").await;
        channel.expect("open").await;
        // Times and ids do not make another identity.
        let fresh = token_for(60, json!({"jti": "x", "iat": 1}));
        match transport {
            Transport::WebSocket => {
                channel
                    .command(json!({"type": "auth", "token": fresh}))
                    .await
            }
            Transport::Sse => {
                let call = client.post("/channels/tab-1/auth", json!({"token": fresh}));
                call.expect(204).await;
            }
            _ => {
                let call = client
                    .with_token(fresh)
                    .request("POST", "/channels/tab-1/auth");
                call.expect(204).await;
            }
        }
        let quiet = channel.next_within(Duration::from_millis(3_000)).await;
        assert_eq!(quiet, None, "{transport:?} is neither warned nor closed");
        let wrong = client.post("/channels/tab-1/auth", json!({"token": "x"}));
        assert_eq!(wrong.send().await.status, 401);
    }
    server.finish().await;
}

#[tokio::test]
async fn a_token_of_another_identity_sends_the_reader_to_its_own_channel() {
    let server = server().await;
    let client = server.client(1, 1);
    let other = token_for(60, json!({"team": "x"}));
    for transport in STREAMING {
        let mut channel = client.channel(transport, "tab-1").await;
        channel.expect("open").await;
        match transport {
            Transport::WebSocket => {
                channel
                    .command(json!({"type": "auth", "token": other}))
                    .await
            }
            _ => {
                let call = client.post("/channels/tab-1/auth", json!({"token": other}));
                assert_eq!(
                    call.expect(403).await.problem()["type"],
                    "identity-mismatch"
                );
            }
        }
        let close = last(&mut channel).await;
        assert_eq!(close["code"], 4200, "{transport:?}");
        assert_eq!(close["reconnect"], true);
        assert_eq!(close["after_ms"], 0);
        let sequence = channel.sequence;
        let query = format!("after={sequence}");
        let mut anew = client
            .with_token(&*other)
            .channel_with(transport, "tab-1", &query)
            .await;
        assert_eq!(anew.expect("open").await["resumed"], false);
        let reset = anew.expect("reset").await;
        assert!(reset.get("resource").is_none(), "of everything");
        client
            .with_token(&*other)
            .request("DELETE", "/channels/tab-1")
            .expect(204)
            .await;
    }
    server.finish().await;
}

#[tokio::test]
async fn the_number_of_channels_is_limited() {
    let server = TestServer::start(Database::with(TABLES).await, |config| {
        config.limits.channels_per_identity = 2;
    })
    .await;
    let client = server.client(1, 1);
    for id in ["a", "b"] {
        client
            .get(&format!("/channels/{id}?wait=0"))
            .expect(200)
            .await;
    }
    let refused = client.get("/channels/c?wait=0").expect(429).await;
    assert_eq!(refused.problem()["type"], "too-many-channels");
    assert_eq!(refused.header("retry-after"), "1");
    let mut socket = client.channel(Transport::WebSocket, "c").await;
    let close = last(&mut socket).await;
    assert_eq!(close["code"], 4129);
    assert_eq!(close["reconnect"], true);
    server
        .client(1, 2)
        .get("/channels/c?wait=0")
        .expect(200)
        .await;
    server.finish().await;
}

#[tokio::test]
async fn what_cannot_be_had_is_not_acceptable() {
    let server = server().await;
    let client = server.client(1, 1);
    let call = client
        .get("/channels/a?wait=0")
        .header("accept", "text/html");
    assert_eq!(call.expect(406).await.problem()["type"], "not-acceptable");
    let call = client
        .get("/channels/a?wait=0")
        .header("accept", "text/html, */*;q=0.1");
    call.expect(200).await;
    let call = client.get("/channels/a").header("last-event-id", "x");
    assert_eq!(call.expect(400).await.problem()["type"], "header-malformed");
    server.finish().await;
}

#[tokio::test]
async fn a_shutdown_tells_every_reader_to_come_back() {
    let server = server().await;
    let client = server.client(1, 1);
    let mut channels = Vec::new();
    for transport in STREAMING {
        let mut channel = client.channel(transport, &format!("{transport:?}")).await;
        channel.expect("open").await;
        channels.push(channel);
    }
    let first = client.get("/channels/poll?wait=0").expect(200).await;
    let path = format!("/channels/poll?after={}", first.header("sequence"));
    let waiting = tokio::spawn(client.get(&path).send());
    while server.running.stats().channels.attachments < 4 {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    server.finish().await;
    assert!(began.elapsed() < SOON, "no reader is waited for in vain");
    for mut channel in channels {
        let close = last(&mut channel).await;
        assert_eq!(close["code"], 4100, "{:?}", channel.transport);
        assert_eq!(close["reconnect"], true);
        assert!(close["after_ms"].as_u64().unwrap() >= 500);
    }
    assert_eq!(waiting.await.unwrap().json()[0]["code"], 4100);
}
