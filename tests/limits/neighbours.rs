//! What slow and frozen readers cost the others of their organization, and what they are told when
//! they come back.

use super::{attached, mark, server, until_mark};
use crate::support::{Channel, TestServer, Transport, until};
use serde_json::{Value, json};
use std::{collections::HashSet, time::Duration};
use tokio::{io::AsyncReadExt, net::TcpStream, time::Instant};

const QUEUE: usize = 128 << 10;
const NOTICES: i64 = 25;

/// The median time from the commit of a mark, behind changes of some rows of 3 kB, to the moment when
/// the last of the readers has heard of it.
async fn delay(server: &TestServer, readers: &mut [Channel], first: i64) -> Duration {
    let mut times = Vec::new();
    for number in first..first + NOTICES {
        let fill = "update wide set filling = repeat(md5(random()::text), 100) where id <= 20";
        server.database.execute(fill).await;
        let began = Instant::now();
        mark(server, 1, number).await;
        for reader in readers.iter_mut() {
            until_mark(reader).await;
        }
        times.push(began.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}

/// A WebSocket of which nobody reads more than the handshake, or this many bytes every 20 ms.
async fn reads_little(server: &TestServer, user: i64, bytes: usize) -> tokio::task::JoinHandle<()> {
    let client = server.client(1, user);
    let request = format!(
        "GET /channels/slow HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nconnection: Upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        client.token.as_deref().unwrap()
    );
    let sockets = server.running.stats().sockets;
    let mut socket = TcpStream::connect(client.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut socket, request.as_bytes())
        .await
        .unwrap();
    until("it is attached", async || {
        server.running.stats().sockets > sockets
    })
    .await;
    // And it has asked for more than it will read.
    let call = client.get("/wide").header("request-id", "r1");
    call.header("channel-id", "slow").expect(202).await;
    tokio::spawn(async move {
        let mut read = vec![0; bytes.max(1)];
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if bytes > 0 {
                socket.read_exact(&mut read).await.unwrap();
            }
        }
    })
}

#[tokio::test]
async fn slow_and_frozen_readers_do_not_double_the_delay_of_others() {
    let server = server(|config| config.limits.queue_bytes_max = QUEUE).await;
    let mut readers = Vec::new();
    for (user, transport) in (1..).zip([Transport::WebSocket, Transport::Sse, Transport::Ndjson]) {
        readers.push(attached(&server.client(1, user), transport, "normal").await);
    }
    let mut other = attached(&server.client(2, 1), Transport::WebSocket, "other").await;
    let mut first = 1;
    let mut measured = Vec::new();
    // A machine that is busy otherwise may spoil a measurement, but not each of three.
    for attempt in 1..=3 {
        let before = delay(&server, &mut readers, first).await;
        let sockets = server.running.stats().sockets;
        let mut slow = Vec::new();
        for (user, bytes) in [(11, 0), (12, 0), (13, 1_000)] {
            slow.push(reads_little(&server, user, bytes).await);
        }
        let with = delay(&server, &mut readers, first + NOTICES).await;
        let held = server.running.stats().channels.queued_bytes;
        assert!(held <= 3 * (QUEUE + (64 << 10)), "{held} bytes");
        for reader in &slow {
            reader.abort();
        }
        until("they have gone", async || {
            server.running.stats().sockets == sockets
        })
        .await;
        for user in 11..=13 {
            let ending = server.client(1, user).delete("/channels/slow");
            ending.expect(204).await;
        }
        let after = delay(&server, &mut readers, first + 2 * NOTICES).await;
        first += 3 * NOTICES;
        measured.push((before, with, after));
        if with < 2 * before.max(after) {
            break;
        }
        assert!(attempt < 3, "before, with, after: {measured:?}");
    }
    mark(&server, 2, 1).await;
    assert_eq!(until_mark(&mut other).await, Vec::<Value>::new());
    server.finish().await;
}

#[tokio::test]
async fn a_frozen_websocket_is_cut_off_and_learns_what_it_missed_when_it_comes_back() {
    let server = server(|config| {
        config.limits.queue_bytes_max = QUEUE;
        config.limits.ping_ms = 700;
        config.limits.replay_bytes_max = 2_000;
    })
    .await;
    let client = server.client(1, 1);
    let mut witness = attached(&server.client(1, 2), Transport::Ndjson, "witness").await;
    let mut other = attached(&server.client(2, 1), Transport::Ndjson, "other").await;
    let frozen = attached(&client, Transport::WebSocket, "tab-1").await;
    let seen = frozen.sequence;
    // Nothing can be written any more, so nothing can be said either.
    let mut round = 0;
    let deadline = Instant::now() + Duration::from_secs(20);
    while server.running.stats().sockets > 0 {
        assert!(Instant::now() < deadline, "it is cut off");
        round += 1;
        let update =
            format!("update wide set filling = '{round} ' || repeat('x', 2000) where id <= 300");
        server.database.execute(&update).await;
        mark(&server, 1, round).await;
        until_mark(&mut witness).await;
    }
    drop(frozen);
    let query = format!("after={seen}");
    let mut back = client
        .channel_with(Transport::Ndjson, "tab-1", &query)
        .await;
    let open = back.expect("open").await;
    assert!(open["resumed"].is_boolean(), "{open}");
    let last = "update tickets set subject = 'now' where id = 1001";
    server.database.execute(last).await;
    // Either it is told to fetch again, or it is told of each row as it is now.
    let (mut newest, mut reset) = (HashSet::new(), open["resumed"] == false);
    let mut told = false;
    loop {
        let event = back.next().await;
        match (event["type"].as_str().unwrap(), event["resource"].as_str()) {
            ("reset", None | Some("wide")) => reset = true,
            ("change", Some("wide")) => {
                let filling = event["row"]["filling"].as_str().unwrap();
                if filling.starts_with(&format!("{round} ")) {
                    newest.insert(event["id"].as_u64());
                }
            }
            ("change", Some("tickets")) => {
                assert_eq!(event["row"]["subject"], json!("now"));
                told = true;
            }
            _ => {}
        }
        // Inside a batch the order is nobody's.
        if told && event["cursor"].is_string() {
            break;
        }
    }
    assert!(reset || newest.len() == 300, "{} rows of 300", newest.len());
    mark(&server, 2, 1).await;
    assert_eq!(until_mark(&mut other).await, Vec::<Value>::new());
    server.finish().await;
}
