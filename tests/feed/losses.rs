//! What gets lost: connections, the log's identity, the feed itself.

use super::World;

const TABLE: &str = "create table t (id int primary key, organization_id int not null, v int)";

/// Ends all connections of the server to its database, and waits until they are gone.
const TERMINATE: &str = "
    select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()";

#[tokio::test]
async fn lost_connections_lose_nothing() {
    let world = World::new(TABLE).await;
    let mut one = world.listener("1", "7", "postgres");
    let mut two = world.listener("2", "7", "postgres");
    world
        .psql("insert into t values (1, 1, 0), (2, 1, 0)")
        .await;
    assert_eq!(one.heard().await.len(), 2);
    for round in 0..3 {
        world.psql(TERMINATE).await;
        world
            .psql(&format!(
                "update t set v = {round} where id = 1; delete from t where id = 2; insert into t values ({round} + 10, 1, 0)"
            ))
            .await;
        let told = one.heard().await;
        let expected = format!(r#"update t 1 {{"id":1,"organization_id":1,"v":{round}}}"#);
        assert!(told.contains(&expected), "{told:?}");
        assert!(
            told.iter().any(|it| it.starts_with("insert t 1")),
            "{told:?}"
        );
        assert_eq!(
            told.contains(&"delete t 2".to_owned()),
            round == 0,
            "{told:?}"
        );
        assert_eq!(two.heard().await, [""; 0]);
    }
    world.finish().await;
}

#[tokio::test]
async fn a_lost_log_resets_everything_and_voids_cursors() {
    let world = World::new(TABLE).await;
    let mut one = world.listener("1", "7", "postgres");
    let mut two = world.listener("2", "7", "postgres");
    world.psql("insert into t values (1, 1, 0)").await;
    one.heard().await;
    let cursor = one.cursor.clone().unwrap();
    // As a crash does it.
    world
        .psql(&format!("truncate rowcast.log_identity; {TERMINATE}"))
        .await;
    world.psql("update t set v = 1").await;
    one.until("reset  log_lost").await;
    two.until("reset  log_lost").await;
    world.psql("update t set v = 2").await;
    let told = one.heard().await;
    let expected = r#"update t 1 {"id":1,"organization_id":1,"v":2}"#.to_owned();
    assert!(told.contains(&expected), "{told:?}");
    let now = "3:1000000000000:".parse().unwrap();
    let read = |cursor: &str| world.signer.read(cursor, &now);
    assert!(read(&cursor).is_err());
    assert!(read(one.cursor.as_ref().unwrap()).is_ok());
    world.finish().await;
}

#[tokio::test]
async fn the_feed_ends_and_begins_again() {
    let world = World::new(TABLE).await;
    let mut one = world.listener("1", "7", "postgres");
    world.psql("insert into t values (1, 1, 0)").await;
    one.heard().await;
    drop(one);
    let database = world.stop().await;
    // Nobody listens; the log does.
    database.psql("update t set v = 1").await;
    let world = World::over(database, |_| ()).await;
    let mut one = world.listener("1", "7", "postgres");
    world.psql("update t set v = 2").await;
    assert_eq!(
        one.heard().await,
        [r#"update t 1 {"id":1,"organization_id":1,"v":2}"#]
    );
    world.finish().await;
}

#[tokio::test]
async fn several_feeds_tail_one_log() {
    let world = World::new(TABLE).await;
    let other = world.beside().await;
    let mut here = world.listener("1", "7", "postgres");
    let mut there = other.listener("1", "7", "postgres");
    let mut stranger = other.listener("2", "7", "postgres");
    world
        .psql("insert into t values (1, 1, 0); update t set v = 1")
        .await;
    for listener in [&mut here, &mut there] {
        let told = listener.heard().await;
        let newest = r#"{"id":1,"organization_id":1,"v":1}"#;
        assert!(told.last().unwrap().ends_with(newest), "{told:?}");
    }
    assert_eq!(stranger.heard().await, [""; 0]);
    // A cursor of one is a cursor of the other.
    let now = "3:1000000000000:".parse().unwrap();
    assert!(
        other
            .signer
            .read(here.cursor.as_ref().unwrap(), &now)
            .is_ok()
    );
    drop((there, stranger));
    let _ = other.stop().await;
    world.finish().await;
}
