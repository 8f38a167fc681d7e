//! A log that is damaged: writes fail loudly, nothing is missed in silence, and it is made anew.

use super::{TABLE, kept};
use crate::{
    feed::{Listener, World},
    support::{Database, TestServer, http::PATIENCE},
};
use rowcast::postgres::changelog::{Health, Keeper};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// Listens until it is told of a row, or to reset: because what it may have missed is not in the log any
/// more or, where that took long enough, because the log could not be read.
async fn row_or_reset(listener: &mut Listener, id: usize) {
    let row = format!("insert t {id} ");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = listener.heard().await;
        let reasons = ["reset t retention", "reset t unreadable"];
        if told
            .iter()
            .any(|it| reasons.contains(&it.as_str()) || it.starts_with(&row))
        {
            return;
        }
        assert!(Instant::now() < deadline, "{row}: {told:?}");
    }
}

#[tokio::test]
async fn a_damaged_log_fails_writes_and_is_made_anew() {
    let world = World::new(TABLE).await;
    let mut one = world.listener("1", "7", "postgres");
    let mut two = world.listener("2", "7", "postgres");
    world.psql("insert into t values (1, 1)").await;
    assert_eq!(one.heard().await.len(), 1);
    for (number, damage) in [
        "drop table rowcast.changes cascade",
        "do $$ begin execute 'drop table rowcast.changes_' || rowcast.current_slot(); end $$",
        "drop function rowcast.current_slot() cascade",
        "drop sequence rowcast.changes_order cascade",
        "alter table rowcast.changes rename column action_id to action",
        "drop sequence rowcast.kept_version",
        "drop table rowcast.marks",
    ]
    .into_iter()
    .enumerate()
    {
        let writer = world.database.connect().await;
        world.psql(damage).await;
        let write = format!("insert into t values ({}, 1)", 100 + number);
        let refused = writer.batch_execute(&write).await;
        // Either it is refused and says why, or it is logged.
        let spared = ["current_slot()", "kept_version", "marks"]
            .iter()
            .any(|it| damage.contains(it) && !damage.starts_with("do"));
        assert_eq!(refused.is_ok(), spared, "{damage}: {refused:?}");
        if let Err(error) = refused {
            let where_ = error.as_db_error().and_then(|it| it.where_());
            assert!(
                where_.unwrap_or_default().contains("rowcast.log_"),
                "{error:?}"
            );
        }
        // Reads go on.
        assert_eq!(
            world
                .database
                .value("select count(*) from t where id = 1")
                .await,
            "1"
        );

        let mut keeper = Keeper::open(&world.server).await.unwrap();
        let log = keeper
            .retain(kept(Duration::from_secs(3600)))
            .await
            .unwrap();
        assert_eq!(log.unwrap().health, Health::Renewed, "{damage}");
        let write = format!("insert into t values ({}, 1)", 200 + number);
        writer.batch_execute(&write).await.unwrap();
        row_or_reset(&mut one, 200 + number).await;
        let strange = two.heard().await;
        assert!(
            strange.iter().all(|it| it.starts_with("reset t ")),
            "{strange:?}"
        );
        // And then as ever.
        world
            .psql(&format!("update t set v = {number} where id = 1"))
            .await;
        let told = format!(r#"update t 1 {{"id":1,"organization_id":1,"v":{number}}}"#);
        one.until(&told).await;
        let again = keeper
            .retain(kept(Duration::from_secs(3600)))
            .await
            .unwrap();
        assert_eq!(again.unwrap().health, Health::Sound, "{damage}");
    }
    drop((one, two));
    world.finish().await;
}

#[tokio::test]
async fn a_write_that_cannot_be_logged_is_the_servers_failure() {
    let server = TestServer::start(Database::with(TABLE).await, |_| ()).await;
    let client = server.client(1, 1);
    client.post("/t", json!({"id": 1})).expect(201).await;
    server
        .database
        .psql("drop table rowcast.changes cascade")
        .await;
    let answer = client.post("/t", json!({"id": 2})).send().await;
    assert!(answer.status.is_server_error(), "{}", answer.text());
    assert!(
        !answer.text().contains("rowcast.changes"),
        "{}",
        answer.text()
    );
    assert_eq!(
        client
            .get("/t")
            .expect(200)
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
    server.finish().await;
}

#[tokio::test]
async fn a_feed_that_slept_for_longer_than_the_log_is_kept_resets() {
    let world = World::new(TABLE).await;
    let mut one = world.listener("1", "7", "postgres");
    let mut two = world.listener("2", "7", "postgres");
    world.psql("insert into t values (1, 1)").await;
    assert_eq!(one.heard().await.len(), 1);
    // What was written went before anybody read it. The log is whole from the state on in which this
    // transaction has ended: its own snapshot counts it already if a later one has.
    world
        .psql(
            "begin; insert into t values (2, 1); delete from rowcast.changes;
             select setval('rowcast.kept_version', rowcast.version_of(s)
                 + case when pg_current_xact_id() < pg_snapshot_xmax(s) then 0 else 1 end)
             from pg_current_snapshot() s;
             commit",
        )
        .await;
    one.until("reset t retention").await;
    two.until("reset t retention").await;
    world.psql("insert into t values (3, 1)").await;
    let told = one.heard().await;
    assert_eq!(told, [r#"insert t 3 {"id":3,"organization_id":1,"v":0}"#]);
    drop((one, two));
    world.finish().await;
}
