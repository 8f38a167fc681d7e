//! What only a WebSocket does: the handshake, commands, frames, and dying.

use crate::{
    http_routes::{TABLES, raw_bytes},
    support::{Channel, Client, Database, TestServer, Transport, server::SECRET, soon, token_of},
};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

async fn server() -> TestServer {
    TestServer::start(Database::with(TABLES).await, |_| ()).await
}

async fn attached(client: &Client) -> Channel {
    let mut channel = client.channel(Transport::WebSocket, "tab-1").await;
    channel.expect("open").await;
    channel
}

/// What an `error` event without a request id is about.
async fn refusal(channel: &mut Channel) -> String {
    let event = channel.expect("error").await;
    assert!(event.get("request_id").is_none(), "{event}");
    event["problem"]["type"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_command_that_is_none_is_an_error_event_and_the_socket_stays() {
    let server = server().await;
    let client = server.client(1, 1);
    let mut channel = attached(&client).await;
    for (command, kind) in [
        (json!({"type": "dance"}), "command-malformed"),
        (json!({"no": "type"}), "command-malformed"),
        (json!([1, 2]), "command-malformed"),
        (
            json!({"type": "get", "request_id": "r1"}),
            "command-malformed",
        ),
        (
            json!({"type": "get", "request_id": "r1", "path": "/tickets", "priority": 8}),
            "command-malformed",
        ),
        (
            json!({"type": "get", "request_id": "a b", "path": "/tickets"}),
            "header-malformed",
        ),
        (
            json!({"type": "cancel", "request_id": "r1"}),
            "request-unknown",
        ),
        (json!({"type": "ack", "sequence": -1}), "command-malformed"),
        (
            json!({"type": "ack", "sequence": 1u64 << 60}),
            "sequence-invalid",
        ),
        (json!({"type": "auth", "token": "x"}), "token-invalid"),
        (
            json!({"type": "join", "topic": "tickets/42"}),
            "topic-unknown",
        ),
        (
            json!({"type": "leave", "topic": "tickets/42"}),
            "topic-unknown",
        ),
        (
            json!({"type": "signal", "topic": "t", "name": "typing"}),
            "topic-unknown",
        ),
    ] {
        channel.command(command.clone()).await;
        assert_eq!(refusal(&mut channel).await, kind, "{command}");
    }
    server.finish().await;
}

#[tokio::test]
async fn messages_that_are_no_commands_are_error_events_too() {
    let server = server().await;
    let client = server.client(1, 1);
    let mut socket = client.websocket("/channels/tab-1").await;
    let mut texts = async |message: Message| {
        socket.send(message).await.unwrap();
        loop {
            match socket.next().await.unwrap().unwrap() {
                Message::Text(text) if text.contains("\"open\"") => {}
                Message::Text(text) => return serde_json::from_str::<Value>(&text).unwrap(),
                _ => {}
            }
        }
    };
    for message in [
        Message::text("{"),
        Message::text(""),
        Message::binary(vec![0xff; 10]),
        Message::text("x".repeat(70_000)),
        Message::binary(vec![0; 1_000_000]),
        Message::text("still there"),
    ] {
        let event = texts(message).await;
        assert_eq!(event["type"], "error");
        assert_eq!(event["problem"]["type"], "command-malformed");
        assert!(event.get("request_id").is_none());
    }
    server.finish().await;
}

#[tokio::test]
async fn errors_that_nobody_reads_end_in_a_close() {
    let server = server().await;
    let client = server.client(1, 1);
    let mut socket = client.websocket("/channels/tab-1").await;
    // Sends without reading, until the server has had enough.
    let patience = Duration::from_secs(60);
    let sending = async { while socket.send(Message::text("nonsense")).await.is_ok() {} };
    let stopped = tokio::time::timeout(patience, sending).await;
    stopped.expect("the server stops listening to who does not listen");
    assert!(server.running.stats().channels.queued_bytes < 1 << 20);
    drop(socket);
    server.finish().await;
}

#[tokio::test]
async fn a_refusal_after_an_upgrade_is_told_on_the_socket() {
    let server = server().await;
    let client = server.client(1, 1);
    let late = token_of(SECRET, json!({"org": 1, "sub": 1, "exp": 1}));
    let nobody = token_of(
        SECRET,
        json!({"org": 1, "sub": 1, "role": "nobody_of_that_name"}),
    );
    for (client, path, code) in [
        (client.with_token("nonsense"), "/channels/a", 4003),
        (client.with_token(late), "/channels/a", 4003),
        (client.anonymous(), "/channels/a", 4003),
        (client.anonymous(), "/channels/a?pass=nonsense", 4003),
        (client.with_token(nobody), "/channels/a", 4010),
        (client.clone(), "/channels/a%20b", 4000),
        (client.clone(), "/channels/a?after=x", 4000),
        (client.clone(), "/channels/a?resources=nothing", 4000),
    ] {
        let mut socket = client.websocket(path).await;
        let Message::Text(text) = socket.next().await.unwrap().unwrap() else {
            panic!("no event");
        };
        let event: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(event["type"], "close", "{path}");
        assert_eq!(event["code"], code, "{path}: {event}");
        assert_eq!(event["reconnect"], false);
        let Message::Close(Some(frame)) = socket.next().await.unwrap().unwrap() else {
            panic!("no close frame");
        };
        assert_eq!(u16::from(frame.code), code);
        assert_eq!(event["reason"], frame.reason.as_str());
    }
    assert_eq!(server.running.stats().channels.channels, 0);
    server.finish().await;
}

#[tokio::test]
async fn a_browser_passes_its_token_as_a_subprotocol() {
    let server = server().await;
    let client = server.client(1, 1);
    let token = client.token.clone().unwrap();
    let connect = async |offered: &str| {
        let url = format!("ws://{}/channels/tab-1", client.address);
        let mut request = url.into_client_request().unwrap();
        let value = offered.parse().unwrap();
        request
            .headers_mut()
            .insert("sec-websocket-protocol", value);
        let (mut socket, answer) = connect_async(request).await.unwrap();
        let Message::Text(first) = socket.next().await.unwrap().unwrap() else {
            panic!("no event");
        };
        let chosen = answer.headers().get("sec-websocket-protocol").cloned();
        let first: Value = serde_json::from_str(&first).unwrap();
        (first["type"].as_str().unwrap().to_owned(), chosen)
    };
    let (event, chosen) = connect(&format!("rowcast, bearer.{token}")).await;
    assert_eq!(event, "open");
    assert_eq!(chosen.unwrap(), "rowcast", "the token is never repeated");
    let (event, _) = connect("rowcast, bearer.nonsense").await;
    assert_eq!(event, "close");
    server.finish().await;
}

#[tokio::test]
async fn a_handshake_that_is_none_is_a_400() {
    let server = server().await;
    let client = server.client(1, 1);
    let token = client.token.clone().unwrap();
    let whole = [
        "connection: Upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let ask = async |lines: &[&str]| {
        let request = format!(
            "GET /channels/a HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{}\r\n\r\n",
            lines.join("\r\n")
        );
        let mut stream = TcpStream::connect(client.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let read = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    };
    let answer = ask(&whole).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    // RFC 6455 section 1.3 has this key and its answer.
    assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
    for (at, replacement) in [
        (2, "sec-websocket-version: 8"),
        (2, "x: y"),
        (3, "sec-websocket-key: short"),
        (3, "x: y"),
    ] {
        let mut lines = whole;
        lines[at] = replacement;
        let answer = ask(&lines).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 "),
            "{replacement}: {answer}"
        );
        assert!(answer.contains("sec-websocket-version: 13"), "{answer}");
        assert!(answer.contains("header-malformed"), "{answer}");
    }
    assert_eq!(server.running.stats().channels.attachments, 0);
    server.finish().await;
}

#[tokio::test]
async fn pings_are_answered_and_a_close_is_repeated() {
    let server = server().await;
    let client = server.client(1, 1);
    let mut socket = client.websocket("/channels/tab-1").await;
    assert!(socket.next().await.unwrap().unwrap().is_text());
    socket.send(Message::Ping("hello".into())).await.unwrap();
    assert_eq!(
        socket.next().await.unwrap().unwrap(),
        Message::Pong("hello".into())
    );
    socket.close(None).await.unwrap();
    let Message::Close(_) = socket.next().await.unwrap().unwrap() else {
        panic!("no close frame");
    };
    assert!(socket.next().await.is_none(), "and then the stream ends");
    server.finish().await;
}

#[tokio::test]
async fn a_breach_of_the_protocol_is_closed_with_its_code() {
    let server = server().await;
    let client = server.client(1, 1);
    let request = format!(
        "GET /channels/a HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nconnection: Upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        client.token.as_deref().unwrap()
    );
    // The frame comes along with the handshake: what was read ahead is not lost. It is not masked.
    let bytes = [request.as_bytes(), &[0x81, 0x01, b'x']].concat();
    let answer = raw_bytes(&client, &bytes).await;
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    let close_1002 = [0x88, 0x02, 0x03, 0xea];
    assert!(
        answer.ends_with(&close_1002),
        "{:?}",
        answer.escape_ascii().to_string()
    );
    server.finish().await;
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_gone() {
    let server = TestServer::start(Database::with(TABLES).await, |config| {
        config.limits.ping_ms = 200;
    })
    .await;
    let client = server.client(1, 1);
    // It reads nothing, so it answers nothing; its kernel is there and acknowledges everything.
    let socket = client.websocket("/channels/tab-1").await;
    let began = Instant::now();
    soon("it is closed", async || server.running.stats().sockets == 0).await;
    assert!(
        began.elapsed() >= Duration::from_millis(350),
        "not before its time"
    );
    assert_eq!(server.running.stats().channels.attachments, 0);
    drop(socket);
    // One that reads, and therefore answers, stays.
    let mut channel = attached(&client).await;
    for _ in 0..8 {
        channel.expect("ping").await;
    }
    assert_eq!(server.running.stats().sockets, 1);
    server.finish().await;
}
