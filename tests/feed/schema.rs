//! The schema changes while the feed runs: what triggers cannot see is noticed and reset.

use super::{Listener, World};

const MEMBER: &str = "
    do $$ begin create role feed_member; exception when duplicate_object or unique_violation then null; end $$;
    grant feed_member to current_user;
    alter default privileges in schema public grant all on tables to feed_member;";

async fn world(sql: &str) -> (World, Listener, Listener) {
    let world = World::new(&format!("{MEMBER} {sql}")).await;
    let (one, two) = (
        world.listener("1", "7", "feed_member"),
        world.listener("2", "7", "feed_member"),
    );
    (world, one, two)
}

/// Runs SQL and listens until a reset of the resource comes, then until nothing more does.
async fn until_reset(world: &World, listener: &mut Listener, sql: &str, resource: &str) {
    world.psql(sql).await;
    let expected = format!("reset {resource} schema");
    listener.until(&expected).await;
    // Once the upkeep has seen to it, changes are told again one by one.
    let deadline = tokio::time::Instant::now() + super::listener::PATIENCE;
    while !world.feed().is_settled() {
        assert!(tokio::time::Instant::now() < deadline, "{sql}");
        listener.heard().await;
    }
    listener.heard().await;
}

#[tokio::test]
async fn columns_come_go_and_are_renamed() {
    let (world, mut one, mut two) =
        world("create table t (id int primary key, organization_id int not null, v int)").await;
    world.psql("insert into t values (1, 1, 0)").await;
    one.heard().await;
    for (sql, write, expected) in [
        (
            "alter table t add w text default 'new'",
            "update t set v = 1",
            r#"update t 1 {"id":1,"organization_id":1,"v":1,"w":"new"}"#,
        ),
        (
            "alter table t drop column v",
            "update t set w = 'x'",
            r#"update t 1 {"id":1,"organization_id":1,"w":"x"}"#,
        ),
        (
            "alter table t rename w to words",
            "update t set words = 'y'",
            r#"update t 1 {"id":1,"organization_id":1,"words":"y"}"#,
        ),
        (
            "alter table t rename id to number",
            "update t set words = 'z'",
            r#"update t 1 {"number":1,"organization_id":1,"words":"z"}"#,
        ),
        (
            "alter table t alter number type text",
            "update t set words = 'q'",
            r#"update t "1" {"number":"1","organization_id":1,"words":"q"}"#,
        ),
    ] {
        until_reset(&world, &mut one, sql, "t").await;
        world.psql(write).await;
        assert_eq!(one.heard().await, [expected], "{sql}");
    }
    // A change of the schema is told to all who may read the table.
    let told = two.heard().await;
    assert!(told.iter().all(|it| it == "reset t schema"), "{told:?}");
    world.finish().await;
}

#[tokio::test]
async fn tables_come_go_and_are_renamed() {
    let (world, mut one, mut two) =
        world("create table t (id int primary key, organization_id int not null)").await;
    until_reset(
        &world,
        &mut one,
        "create table fresh (id int primary key, organization_id int not null)",
        "fresh",
    )
    .await;
    world.psql("insert into fresh values (1, 1)").await;
    let fresh = r#"insert fresh 1 {"id":1,"organization_id":1}"#;
    assert_eq!(one.heard().await, [fresh]);
    until_reset(&world, &mut one, "alter table t rename to u", "u").await;
    world.psql("insert into u values (1, 1)").await;
    assert_eq!(
        one.heard().await,
        [r#"insert u 1 {"id":1,"organization_id":1}"#]
    );
    until_reset(&world, &mut one, "drop table u", "u").await;
    world.psql("insert into fresh values (2, 1)").await;
    assert_eq!(
        one.heard().await,
        [r#"insert fresh 2 {"id":2,"organization_id":1}"#]
    );
    let told = two.heard().await;
    assert!(told.iter().all(|it| it.starts_with("reset ")), "{told:?}");
    world.finish().await;
}

#[tokio::test]
async fn partitions_come_and_go() {
    let (world, mut one, mut two) = world(
        "create table p (id int, day int, organization_id int not null, primary key (id, day))
             partition by list (day);
         create table p1 partition of p for values in (1);
         create table loose (id int not null, day int not null, organization_id int not null);
         insert into loose values (5, 2, 1)",
    )
    .await;
    for (sql, write, expected) in [
        (
            "create table p3 partition of p for values in (3)",
            "insert into p3 values (1, 3, 1)",
            Some(r#"insert p [1,3] {"day":3,"id":1,"organization_id":1}"#),
        ),
        (
            "alter table p attach partition loose for values in (2)",
            "update loose set organization_id = 1",
            Some(r#"update p [5,2] {"day":2,"id":5,"organization_id":1}"#),
        ),
        (
            "alter table p detach partition p3",
            "insert into p values (2, 1, 1)",
            Some(r#"insert p [2,1] {"day":1,"id":2,"organization_id":1}"#),
        ),
    ] {
        until_reset(&world, &mut one, sql, "p").await;
        world.psql(write).await;
        let told = one.heard().await;
        if let Some(expected) = expected {
            assert!(told.contains(&expected.to_owned()), "{sql}: {told:?}");
        }
    }
    let told = two.heard().await;
    assert!(told.iter().all(|it| it.starts_with("reset ")), "{told:?}");
    world.finish().await;
}

#[tokio::test]
async fn what_hides_changes_is_undone_and_told() {
    let (world, mut one, mut two) = world(
        "create table t (id int primary key, organization_id int not null, v int);
         insert into t values (1, 1, 0)",
    )
    .await;
    for sql in [
        // Disabled for a moment, and nothing to be seen of it afterwards.
        "begin; alter table t disable trigger all; update t set v = 1; alter table t enable trigger all;
         alter table t enable always trigger rowcast_truncate;
         alter table t enable replica trigger rowcast_replica; commit",
        "alter table t disable trigger user; update t set v = 2",
        "drop trigger rowcast_update on t; update t set v = 3",
        // Rewrites every row, and no trigger hears of it.
        "alter table t alter v type bigint using v + 1",
        "alter table t alter v type bigint using v + 1",
    ] {
        until_reset(&world, &mut one, sql, "t").await;
        let row = world.database.value("select v from t").await;
        world.psql("update t set v = v + 10").await;
        let v: i64 = row.parse::<i64>().unwrap() + 10;
        assert_eq!(
            one.heard().await,
            [format!(
                r#"update t 1 {{"id":1,"organization_id":1,"v":{v}}}"#
            )],
            "{sql}"
        );
    }
    let told = two.heard().await;
    assert!(told.iter().all(|it| it == "reset t schema"), "{told:?}");
    world.finish().await;
}

#[tokio::test]
async fn rights_and_policies_that_change_are_told() {
    let (world, mut one, _two) = world(
        "create table t (id int primary key, organization_id int not null, v int);
         insert into t values (1, 1, 0)",
    )
    .await;
    until_reset(
        &world,
        &mut one,
        "create policy odd on t using (v % 2 = 1); alter table t enable row level security",
        "t",
    )
    .await;
    world.psql("update t set v = 2").await;
    assert_eq!(one.heard().await, [""; 0]);
    world.psql("update t set v = 3").await;
    assert_eq!(
        one.heard().await,
        [r#"insert t 1 {"id":1,"organization_id":1,"v":3}"#]
    );
    until_reset(
        &world,
        &mut one,
        "alter policy odd on t using (v % 2 = 0)",
        "t",
    )
    .await;
    world.psql("update t set v = 5").await;
    assert_eq!(one.heard().await, [""; 0]);
    until_reset(
        &world,
        &mut one,
        "alter table t disable row level security; revoke select on t from feed_member;
         grant select (id) on t to feed_member",
        "t",
    )
    .await;
    world.psql("update t set v = 6").await;
    assert_eq!(one.heard().await, [r#"update t 1 {"id":1}"#]);
    world.finish().await;
}

#[tokio::test]
async fn an_applications_migration_never_waits_for_the_feed() {
    let (world, mut one, _two) =
        world("create table t (id int primary key, organization_id int not null)").await;
    world.psql("insert into t values (1, 1)").await;
    one.heard().await;
    // The feed is idle now, with the view of that batch open.
    world
        .psql("set lock_timeout = '2s'; set statement_timeout = '5s'; alter table t add v int")
        .await;
    world.psql("vacuum full t").await;
    world
        .psql("set lock_timeout = '2s'; set statement_timeout = '5s'; drop table t")
        .await;
    world.finish().await;
}

/// Between the reset that a change of the schema is noticed with and the next catalog, a client
/// fetches by the old one.
#[tokio::test]
async fn whoever_fetched_by_the_old_catalog_is_reset_again() {
    let (world, mut one, _two) =
        world("create table t (id int primary key, organization_id int not null)").await;
    let columns = |world: &World| world.server.catalog().resource("t").unwrap().columns.len();
    let deadline = tokio::time::Instant::now() + super::listener::PATIENCE;
    let mut resets = 0;
    // Where this task was slow, both resets were told as one.
    for attempt in 0.. {
        let before = columns(&world);
        world
            .psql(&format!("alter table t add v{attempt} int"))
            .await;
        one.until("reset t schema").await;
        let told_apart = columns(&world) == before;
        // The next catalog is in force before the last reset comes.
        while !world.feed().is_settled() || columns(&world) == before {
            assert!(tokio::time::Instant::now() < deadline);
            let told = one.heard().await;
            resets += told.iter().filter(|it| *it == "reset t schema").count();
        }
        let told = one.heard().await;
        resets += told.iter().filter(|it| *it == "reset t schema").count();
        if told_apart || resets > 0 {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "never told apart");
    }
    assert!(
        resets >= 1,
        "the first came before the catalog was read again"
    );
    world.finish().await;
}

#[tokio::test]
async fn rights_that_come_and_go_with_another_role_are_followed() {
    let world = World::new(
        "create table t (id int primary key, organization_id int not null, v int, secret int default 7);
         do $$ begin create role feed_worker; exception when duplicate_object or unique_violation then null; end $$;
         do $$ begin create role feed_staff; exception when duplicate_object or unique_violation then null; end $$;
         do $$ begin create role feed_board; exception when duplicate_object or unique_violation then null; end $$;
         grant feed_worker to current_user; grant feed_staff to feed_worker;
         grant select (id, organization_id, v) on t to feed_worker; grant select on t to feed_board",
    )
    .await;
    let mut one = world.listener("1", "7", "feed_worker");
    let mut two = world.listener("2", "7", "feed_worker");
    world.psql("insert into t values (1, 1, 0)").await;
    let row = r#"insert t 1 {"id":1,"organization_id":1,"v":0}"#;
    assert_eq!(one.heard().await, [row]);
    assert_eq!(two.heard().await, [""; 0]);
    // Through a role between the two.
    for (sql, expected) in [
        (
            "grant feed_board to feed_staff",
            r#"update t 1 {"id":1,"organization_id":1,"secret":7,"v":1}"#,
        ),
        (
            "revoke feed_board from feed_staff",
            r#"update t 1 {"id":1,"organization_id":1,"v":1}"#,
        ),
    ] {
        until_reset(&world, &mut one, sql, "t").await;
        world.psql("update t set v = 1").await;
        assert_eq!(one.heard().await, [expected], "{sql}");
        let told = two.heard().await;
        assert!(told.iter().all(|it| it == "reset t schema"), "{told:?}");
    }
    world.finish().await;
}
