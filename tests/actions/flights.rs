//! The same action asked for while it is being carried out, here or on another server.

use super::*;
use crate::support::{Client, server::SECRET, token_of, until};
use serde_json::json;
use tokio::task::JoinSet;

/// Waits until so many statements of rowcast's wait for a lock.
async fn blocked(database: &Database, count: usize) {
    let waiting = "select count(*) from pg_stat_activity
        where datname = current_database() and application_name = 'rowcast' and wait_event_type = 'Lock'";
    until("so many wait", async || {
        database.value(waiting).await == count.to_string()
    })
    .await;
}

#[tokio::test]
async fn an_action_in_flight_is_refused_on_every_server_until_it_is_done() {
    let server = server().await;
    let second = TestServer::serve(&server.database, |_| ()).await;
    let client = server.client(1, 1);
    let claims = json!({ "org": 1, "sub": 1 });
    let elsewhere = Client::new(second.address(), Some(token_of(SECRET, claims)));
    let patch = |client: &Client| {
        client
            .patch("/tickets/101", json!({ "note": "x" }))
            .header("action-id", "a1")
    };
    let psql = server.database.connect().await;
    let lock = "begin; select from tickets where id = 101 for update";
    psql.batch_execute(lock).await.unwrap();
    let first = tokio::spawn(patch(&client).send());
    blocked(&server.database, 1).await;
    for client in [&client, &elsewhere] {
        let refused = patch(client).expect(409).await;
        let problem = refused.problem();
        assert_eq!(problem["type"], "action-in-flight");
        assert_eq!(problem["retryable"], true);
        assert_eq!(refused.header("retry-after"), "1");
        // Whoever else uses the name does not wait.
        let other = Client::new(
            client.address,
            Some(token_of(SECRET, json!({ "org": 2, "sub": 1 }))),
        );
        let other = other.patch(
            "/tickets/201",
            json!({ "note": client.address.to_string() }),
        );
        other
            .header("action-id", &format!("a{}", client.address.port()))
            .expect(200)
            .await;
    }
    psql.batch_execute("rollback").await.unwrap();
    drop(psql);
    let first = first.await.unwrap();
    assert_eq!(first.status, 200);
    for client in [&client, &elsewhere] {
        repeats(&patch(client).expect(200).await, &first);
    }
    second.shutdown().await;
    server.finish().await;
}

#[tokio::test]
async fn an_action_that_fails_in_flight_is_free_again() {
    let server = server().await;
    let client = server.client(1, 1);
    let create = || {
        client
            .post("/tickets", json!({ "subject": "contested" }))
            .header("action-id", "a1")
    };
    let psql = server.database.connect().await;
    let same = "begin; insert into tickets (organization_id, subject) values (1, 'contested')";
    psql.batch_execute(same).await.unwrap();
    let first = tokio::spawn(create().send());
    blocked(&server.database, 1).await;
    create().expect(409).await;
    psql.batch_execute("commit").await.unwrap();
    let first = first.await.unwrap();
    assert_eq!(first.problem()["type"], "unique-violation");
    let free = "delete from tickets where subject = 'contested'";
    psql.batch_execute(free).await.unwrap();
    drop(psql);
    let created = create().expect(201).await;
    assert_eq!(created.header("idempotency-replayed"), "");
    server.finish().await;
}

#[tokio::test]
async fn of_twenty_at_once_one_has_an_effect() {
    let server = server().await;
    let second = TestServer::serve(&server.database, |_| ()).await;
    for round in 0..5 {
        let mut calls = JoinSet::new();
        for number in 0..20 {
            let address = match number % 2 {
                0 => server.running.address(),
                _ => second.address(),
            };
            let claims = json!({ "org": 1, "sub": 1 });
            let client = Client::new(address, Some(token_of(SECRET, claims)));
            let subject = json!({ "subject": format!("round {round}") });
            let call = client.post("/tickets", subject);
            calls.spawn(call.header("action-id", &format!("a{round}")).send());
        }
        let answers = calls.join_all().await;
        let with = |status: u16| answers.iter().filter(move |it| it.status == status);
        let created: Vec<_> = with(201).collect();
        assert_eq!(created.len() + with(409).count(), 20);
        for refused in with(409) {
            assert_eq!(refused.problem()["type"], "action-in-flight");
        }
        let fresh = created
            .iter()
            .filter(|it| it.header("idempotency-replayed") != "true");
        assert_eq!(fresh.count(), 1);
        assert!(created.iter().all(|it| it.body == created[0].body));
    }
    let count = "select count(*) from tickets where subject like 'round %'";
    assert_eq!(server.database.value(count).await, "5");
    second.shutdown().await;
    server.finish().await;
}
