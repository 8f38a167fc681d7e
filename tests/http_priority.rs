//! What is less urgent waits for what was just opened, through a real server and PostgreSQL.

use crate::support::{Channel, Client, Database, TestServer, Transport};
use std::time::{Duration, Instant};

/// All tickets, and two views of them for a first screen: one that takes a while, and one that takes
/// longer than anybody waits for it.
const SCHEMA: &str = "
    create table tickets (id bigint primary key, organization_id bigint not null);
    insert into tickets select number, 1 from generate_series(1, 20) number;
    create view screen with (security_invoker) as
    select id, organization_id, pg_sleep(0.03)::text as nap from tickets;
    create view stuck with (security_invoker) as
    select id, organization_id, pg_sleep(60)::text as nap from tickets";

/// As long as the less urgent waits at most.
const HOLD: Duration = Duration::from_millis(250);

async fn begin() -> (TestServer, Client, Channel) {
    let server = TestServer::start(Database::with(SCHEMA).await, |_| ()).await;
    let client = server.client(1, 1);
    let mut channel = client.channel(Transport::WebSocket, "tab").await;
    channel.expect("open").await;
    (server, client, channel)
}

async fn ask(client: &Client, path: &str, id: &str, priority: &str) {
    let call = client.get(path).header("request-id", id);
    let call = call
        .header("channel-id", "tab")
        .header("priority", priority);
    call.expect(202).await;
}

#[tokio::test]
async fn a_first_screen_goes_before_everything_that_was_asked_with_it() {
    let (_server, client, mut channel) = begin().await;
    // A machine that takes longer than the hold for all this shows nothing, and gets another try.
    for turn in 0..20 {
        let began = Instant::now();
        let (urgent, bulk) = (format!("urgent{turn}"), format!("bulk{turn}"));
        ask(&client, "/screen?limit=2", &urgent, "u=0").await;
        ask(&client, "/tickets", &bulk, "u=3").await;
        let (before, done) = channel.until("done").await;
        let in_time = began.elapsed() < HOLD;
        channel.until("done").await;
        if in_time {
            assert_eq!(done["request_id"], *urgent);
            assert_eq!(before.len(), 2, "{before:?}");
            return;
        }
    }
}

#[tokio::test]
async fn a_first_screen_that_takes_long_keeps_the_others_waiting_for_a_moment_only() {
    let (_server, client, mut channel) = begin().await;
    let began = Instant::now();
    ask(&client, "/stuck?limit=1", "urgent", "u=0").await;
    ask(&client, "/tickets", "bulk", "u=3").await;
    channel.expect("row").await;
    assert!(began.elapsed() >= HOLD, "{:?}", began.elapsed());
    channel.until("done").await;
    client
        .delete("/requests/urgent?channel=tab")
        .expect(204)
        .await;
    let error = channel.expect("error").await;
    assert_eq!(error["request_id"], "urgent");
}
