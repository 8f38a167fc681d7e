//! Tickets with all that belongs to them, as the help desk opens its list: embedded, included, and
//! included asynchronously. Run it with `scripts/bench`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a bench stops at the first surprise"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use futures_util::StreamExt;
use rowcast::postgres::helpdesk::{ROLE, Size, load};
use std::time::{Duration, Instant};
use support::{Client, Database, TestServer};
use tokio_tungstenite::tungstenite::Message;

const EMBEDDED: &str = "/tickets?order=updated_at.desc&limit=25\
    &select=*,contacts(*),messages(*),notes(*),events(*)";
const INCLUDED: &str =
    "/tickets?order=updated_at.desc&limit=25&include=contacts,messages,notes,events";

#[tokio::main]
async fn main() {
    let database = Database::empty().await;
    let (mut loader, connection) = tokio_postgres::connect(&database.url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    load(&mut loader, Size::S, |_| ()).await.unwrap();
    loader.batch_execute("vacuum analyze").await.unwrap();
    drop(loader);
    let server = TestServer::start(database, |config| {
        config.database.default_role = Some(ROLE.to_owned());
    })
    .await;
    let client = server.client(1, 1);
    println!(
        "{:44} {:>10} {:>10} {:>10}",
        "", "median ms", "p99 ms", "bytes"
    );
    for (name, path) in [
        ("25 tickets, embedded", EMBEDDED),
        ("25 tickets, included", INCLUDED),
    ] {
        let mut bytes = 0;
        let mut times = Vec::new();
        for repeat in 0..=200 {
            let started = Instant::now();
            let answer = client.get(path).expect(200).await;
            if repeat > 0 {
                times.push(started.elapsed());
            }
            bytes = answer.body.len();
        }
        line(name, times, bytes);
    }
    for count in [25, 1_600] {
        asynchronous(&client, count).await;
    }
    server.finish().await;
}

/// From sending the GET to `done` on a WebSocket.
async fn asynchronous(client: &Client, count: usize) {
    let mut socket = client.websocket("/channels/bench").await;
    let path = format!(
        "/tickets?order=updated_at.desc&limit={count}&include=contacts,messages,notes,events"
    );
    let (mut times, mut firsts, mut bytes, mut rows) = (Vec::new(), Vec::new(), 0, 0);
    for repeat in 0..=30 {
        let started = Instant::now();
        let call = client
            .get(&path)
            .header("request-id", &format!("r{count}-{repeat}"))
            .header("channel-id", "bench");
        let accepted = tokio::spawn(call.expect(202));
        let mut first = None;
        (bytes, rows) = (0, 0);
        let mut done = false;
        while !done {
            let Some(Ok(Message::Text(text))) = socket.next().await else {
                continue;
            };
            bytes += text.len();
            for event in text.lines() {
                if event.starts_with(r#"{"type":"row""#) {
                    first.get_or_insert_with(|| started.elapsed());
                    rows += 1;
                }
                assert!(!event.starts_with(r#"{"type":"error""#), "{event}");
                done |= event.starts_with(r#"{"type":"done""#);
            }
        }
        if repeat > 0 {
            times.push(started.elapsed());
            firsts.push(first.unwrap());
        }
        accepted.await.unwrap();
    }
    line(
        &format!("{count} tickets, included, {rows} rows to done"),
        times,
        bytes,
    );
    line("    first row", firsts, 0);
    socket.close(None).await.ok();
}

fn line(name: &str, mut times: Vec<Duration>, bytes: usize) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("{name:44} {:>10.2} {:>10.2} {bytes:>10}", at(0.5), at(0.99));
}
