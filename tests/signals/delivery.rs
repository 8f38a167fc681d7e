//! Who gets a signal, in which order, and how many may be sent.

use super::{on, send, signal, tickets};
use crate::support::{TestServer, Transport};
use serde_json::json;

#[tokio::test]
async fn a_signal_reaches_everybody_else_of_its_organization_on_every_transport() {
    let server = TestServer::helpdesk().await;
    let (ours, theirs) = (server.client(1, 2), server.client(2, 101));
    let mut channels = Vec::new();
    for transport in Transport::ALL {
        let id = format!("{transport:?}");
        channels.push((on(&ours, transport, &id, &[]).await, "hello"));
        channels.push((on(&theirs, transport, &id, &[]).await, "theirs"));
    }
    let client = server.client(1, 1);
    let mut sender = on(&client, Transport::WebSocket, "tab-1", &[]).await;
    let data = json!({"text": "first\nsecond", "n": 1.50});
    sender
        .command(json!({"type": "signal", "topic": "organization", "name": "hello", "data": data}))
        .await;
    // What a second organization hears is its own, and nothing before.
    for channel in channels.iter_mut().filter(|it| it.1 == "hello") {
        let event = signal(&mut channel.0).await;
        assert_eq!(
            event,
            json!({"type": "signal", "topic": "organization", "name": "hello",
                   "from": {"user": "1", "channel": "tab-1"}, "data": data})
        );
    }
    send(&theirs, json!({"topic": "organization", "name": "theirs"})).await;
    send(&client, json!({"topic": "organization", "name": "mark"})).await;
    for (channel, expected) in &mut channels {
        let expected = if *expected == "hello" {
            "mark"
        } else {
            expected
        };
        assert_eq!(signal(channel).await["name"], expected);
    }
    // Never back to the channel that sent it; the same user's other channel is another.
    assert_eq!(signal(&mut sender).await["name"], "mark");
    drop((channels, sender));
    server.finish().await;
}

#[tokio::test]
async fn signals_of_one_sender_keep_their_order_and_count_as_events() {
    let server = TestServer::helpdesk().await;
    let mut reader = on(&server.client(1, 2), Transport::Sse, "reader", &[]).await;
    let mut sender = on(&server.client(1, 1), Transport::WebSocket, "sender", &[]).await;
    for n in 0..30 {
        let signal = json!({"type": "signal", "topic": "organization", "name": "n", "data": n});
        sender.command(signal).await;
    }
    for n in 0..30 {
        assert_eq!(signal(&mut reader).await["data"], n);
        assert_eq!(reader.told_sequence, Some(reader.sequence));
    }
    drop((reader, sender));
    server.finish().await;
}

#[tokio::test]
async fn a_row_is_a_topic_for_those_on_it() {
    let server = TestServer::helpdesk().await;
    let (_, ticket) = tickets(&server).await;
    let topic = format!("tickets/{ticket}");
    let (one, two) = (server.client(1, 1), server.client(1, 2));
    let mut on_it = on(&one, Transport::Ndjson, "a", &[&topic]).await;
    let mut beside = on(&two, Transport::Ndjson, "b", &[]).await;
    // Who is not on the topic may send to it, since the row is theirs to see.
    send(&two, json!({"topic": topic, "name": "typing"})).await;
    let event = signal(&mut on_it).await;
    assert_eq!(
        (&event["topic"], &event["name"]),
        (&json!(topic), &json!("typing"))
    );
    // One name for one row, however it is written.
    let escaped = topic.replace('/', "%2F");
    one.delete(&format!("/channels/a/topics/{escaped}"))
        .expect(204)
        .await;
    one.delete(&format!("/channels/a/topics/{topic}"))
        .expect(404)
        .await;
    send(&two, json!({"topic": topic, "name": "unheard"})).await;
    send(&two, json!({"topic": "organization", "name": "mark"})).await;
    assert_eq!(signal(&mut on_it).await["name"], "mark");
    assert_eq!(signal(&mut beside).await["name"], "mark");
    // Who leaves the organization's topic hears nothing of it.
    one.delete("/channels/a/topics/organization")
        .expect(204)
        .await;
    send(&two, json!({"topic": "organization", "name": "unheard"})).await;
    one.put("/channels/a/topics/organization", json!({}))
        .expect(204)
        .await;
    send(&two, json!({"topic": "organization", "name": "mark"})).await;
    assert_eq!(signal(&mut on_it).await["name"], "mark");
    drop((on_it, beside));
    server.finish().await;
}

#[tokio::test]
async fn too_many_too_large_or_nameless_signals_are_refused_and_the_socket_stays() {
    let server = TestServer::helpdesk().await;
    let client = server.client(1, 1);
    let mut reader = on(&server.client(1, 2), Transport::WebSocket, "reader", &[]).await;
    let mut sender = on(&client, Transport::WebSocket, "sender", &[]).await;
    let mut refused = async |command: serde_json::Value| {
        sender.command(command).await;
        let event = sender.expect("error").await;
        assert!(event.get("request_id").is_none());
        event["problem"]["type"].as_str().unwrap().to_owned()
    };
    let large = json!({"type": "signal", "topic": "organization", "name": "large", "data": "x".repeat(10 << 10)});
    assert_eq!(refused(large).await, "signal-too-large");
    for bad in ["", "a\u{7}", &"x".repeat(65)] {
        let bad = json!({"type": "signal", "topic": "organization", "name": bad});
        assert_eq!(refused(bad).await, "command-malformed");
    }
    let bad = json!({"type": "signal", "topic": "organization", "name": "n", "action_id": "a b"});
    assert_eq!(refused(bad).await, "header-malformed");
    let nowhere = json!({"type": "signal", "topic": "nowhere", "name": "n"});
    assert_eq!(refused(nowhere).await, "topic-unknown");
    // Thirty at once, and what is beyond is refused; none of the thirty is lost.
    for n in 0..60 {
        let signal = json!({"type": "signal", "topic": "organization", "name": "n", "data": n});
        sender.command(signal).await;
    }
    let event = sender.expect("error").await;
    assert_eq!(event["problem"]["type"], "too-many-signals");
    assert_eq!(event["problem"]["status"], 429);
    assert_eq!(event["problem"]["retryable"], true);
    for n in 0..30 {
        assert_eq!(signal(&mut reader).await["data"], n);
    }
    // The HTTP twin says the same, and when to come back.
    let call = || {
        client
            .post("/signals", json!({"topic": "organization", "name": "n"}))
            .header("channel-id", "sender")
    };
    let mut answer = call().send().await;
    while answer.status != 429 {
        answer = call().send().await;
    }
    assert_eq!(answer.problem()["type"], "too-many-signals");
    assert!(!answer.header("retry-after").is_empty());
    drop((reader, sender));
    server.finish().await;
}

#[tokio::test]
async fn a_reader_who_is_too_slow_for_signals_is_told_that_some_are_lost() {
    let server = TestServer::helpdesk_with(|config| {
        config.limits.queue_bytes_max = 256 << 10;
        config.limits.signals_per_second = 1_000;
        config.limits.signals_burst = 1_000;
    })
    .await;
    let reader = server.client(1, 2);
    // Nobody reads the channel for now.
    drop(on(&reader, Transport::WebSocket, "slow", &[]).await);
    let client = server.client(1, 1);
    for n in 0..20 {
        send(
            &client,
            json!({"topic": "organization", "name": "n", "data": [n, "x".repeat(1000)]}),
        )
        .await;
    }
    let mut reader = on(&reader, Transport::WebSocket, "slow", &[]).await;
    let mut heard = 0;
    loop {
        let event = reader.next().await;
        if event["type"] == "error" {
            assert_eq!(event["problem"]["type"], "signals-lost");
            break;
        }
        assert_eq!(event["data"][0], heard);
        heard += 1;
    }
    assert!(heard > 0 && heard < 20, "{heard}");
    send(&client, json!({"topic": "organization", "name": "mark"})).await;
    assert_eq!(signal(&mut reader).await["name"], "mark");
    drop(reader);
    server.finish().await;
}
