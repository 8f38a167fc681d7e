//! Much that was missed, slow readers, and what replays may take.

use super::{attach, missed, reader::spell};
use crate::support::{Client, Database, TestServer, Transport, until};
use rowcast::config::Config;
use serde_json::json;
use std::time::Duration;

const ITEMS: &str = "
    create table items (id int primary key, organization_id int not null, v int, body text);
    create table others (id int primary key, organization_id int not null)";

async fn server(change: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::start(Database::with(ITEMS).await, change).await
}

async fn cursor(client: &Client) -> String {
    let answer = client.get("/others?limit=1").expect(200).await;
    answer.header("cursor").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_missed_changes_are_streamed_within_bounds_and_hold_nobody_up() {
    let server = server(|_| ()).await;
    let (one, two) = (server.client(1, 1), server.client(2, 1));
    let since = cursor(&one).await;
    let insert =
        "insert into items select n, 1, 0, repeat('x', 200) from generate_series(1, 50000) n";
    server.database.psql(insert).await;
    server.database.psql("update items set v = id").await;

    let mut live = one
        .channel_with(Transport::WebSocket, "live", "resources=others")
        .await;
    live.expect("open").await;
    let (mut slow, open) = attach(&one, Transport::Ndjson, "slow", &format!("since={since}")).await;
    assert_eq!(open["cursor"], since);
    // The reader stands still until the replay waits for it.
    let bytes = || server.running.stats().channels.queued_bytes;
    let limit = Config::default().limits.queue_bytes_max / 4;
    until("it is under way", async || bytes() >= limit / 4).await;
    // Meanwhile everybody else hears what happens, and so will this one, afterwards.
    one.post("/others", json!({"id": 1})).expect(201).await;
    assert_eq!(live.expect("change").await["id"], 1);
    two.post("/others", json!({"id": 2})).expect(201).await;

    let mut seen = vec![false; 50_001];
    let mut last = None;
    for _ in 0..50_000 {
        let change = slow.next().await;
        assert!(last.is_none(), "the cursor comes last");
        assert_eq!(
            (&change["op"], &change["resource"]),
            (&json!("insert"), &json!("items"))
        );
        assert_eq!(change["row"]["v"], change["id"]);
        let id = usize::try_from(change["id"].as_u64().unwrap()).unwrap();
        assert!(
            !std::mem::replace(&mut seen[id], true),
            "{id} is told twice"
        );
        last = change.get("cursor").cloned();
        if id % 1000 == 0 {
            let bytes = bytes();
            assert!(bytes < limit, "{bytes} wait");
        }
    }
    assert!(last.is_some());
    let change = slow.expect("change").await;
    assert_eq!(
        (&change["resource"], &change["id"]),
        (&json!("others"), &json!(1))
    );
    let (_, told) = missed(&two, Transport::Sse, "two", &since).await;
    assert_eq!(told.words(), ["insert others 2".to_owned()].into());
    drop((slow, live));
    server.finish().await;
}

#[tokio::test]
async fn what_a_replay_may_not_take_is_reset() {
    let server = server(|config| {
        config.feed.replay_changes_max = 100;
        config.feed.replay_timeout_ms = 400;
        config.feed.replays_max = 1;
        config.limits.queue_bytes_max = 256 << 10;
    })
    .await;
    let (one, two) = (server.client(1, 1), server.client(2, 1));
    let since = cursor(&one).await;
    // Few rows, more than a reader's queue and its sockets take.
    let large =
        "insert into items select n, 1, 0, repeat('x', 1000000) from generate_series(1, 60) n";
    server.database.psql(large).await;
    let (mut slow, _) = attach(&one, Transport::Ndjson, "slow", &format!("since={since}")).await;
    // It holds the only turn; the other organization's reader waits, and is told nevertheless.
    let (_, told) = missed(&two, Transport::Sse, "two", &since).await;
    let words = told.words();
    assert!(
        words.is_empty() || words == ["reset - lagged".to_owned()].into(),
        "{words:?}"
    );
    // It reads nothing for longer than a replay may take.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (before, reset) = slow.until("reset").await;
    assert!(before.len() < 60, "{}", before.len());
    assert_eq!(spell(&reset), "reset items lagged");
    // And goes on.
    one.post("/others", json!({"id": 1})).expect(201).await;
    assert_eq!(slow.until("change").await.1["id"], 1);

    let many = "insert into others select n, 1 from generate_series(1000, 1200) n";
    server.database.psql(many).await;
    let (mut channel, open) = attach(
        &one,
        Transport::WebSocket,
        "many",
        &format!("since={since}"),
    )
    .await;
    let reset = channel.until("reset").await.1;
    assert_eq!(spell(&reset), "reset - too_many");
    assert_ne!(open["cursor"], reset["cursor"]);
    // And goes on, too.
    one.post("/others", json!({"id": 2})).expect(201).await;
    while channel.until("change").await.1["id"] != 2 {}
    drop(slow);
    server.finish().await;
}

#[tokio::test]
async fn a_replay_that_is_cut_short_loses_no_change_that_it_held_back() {
    let server = server(|config| {
        config.feed.replay_timeout_ms = 400;
        config.limits.queue_bytes_max = 256 << 10;
    })
    .await;
    let (one, two) = (server.client(1, 1), server.client(2, 1));
    let since = cursor(&one).await;
    // The only change of its resource waits to be the last of all, while the next resource has more
    // than the reader takes in time.
    let large = "insert into others values (7, 1);
        insert into items select n, 1, 0, repeat('x', 1000000) from generate_series(1, 60) n";
    server.database.psql(large).await;
    let (mut slow, _) = attach(&one, Transport::Ndjson, "slow", &format!("since={since}")).await;
    // It reads nothing for longer than a replay may take.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (mut items, mut others) = (false, false);
    while !(items && others) {
        let event = slow.next().await;
        items |= spell(&event) == "reset items lagged";
        others |= event["resource"] == "others";
    }
    let (_, told) = missed(&two, Transport::Sse, "two", &since).await;
    // Of the others' it hears nothing, though its own replay may take too long on a busy machine.
    let words = told.words();
    assert!(
        words.is_empty() || words == ["reset - lagged".to_owned()].into(),
        "{words:?}"
    );
    drop(slow);
    server.finish().await;
}
