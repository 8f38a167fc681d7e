//! Tables without row-level security: what each organization is told of what is written.

use super::{Listener, World, listener::organization};
use rowcast::config::OrganizationRule;

const NOTHING: [&str; 0] = [];

/// A role with all rights on everything in the schema, whom policies bind.
const MEMBER: &str = "
    do $$ begin create role feed_member; exception when duplicate_object or unique_violation then null; end $$;
    grant feed_member to current_user;
    grant select, insert, update, delete on all tables in schema public to feed_member;
    alter default privileges in schema public grant all on tables to feed_member;";

async fn world(sql: &str) -> (World, Listener, Listener) {
    let world = World::new(&format!("{sql}; {MEMBER}")).await;
    let (one, two) = (
        world.listener("1", "7", "feed_member"),
        world.listener("2", "7", "feed_member"),
    );
    (world, one, two)
}

#[tokio::test]
async fn each_kind_of_write_is_told_to_its_organization() {
    let (world, mut one, mut two) = world(
        "create table t (id int primary key, organization_id int not null, v text);
         create table child (id int primary key, organization_id int not null,
             t_id int references t on delete cascade)",
    )
    .await;
    for (sql, expected) in [
        (
            "insert into t values (1, 1, 'a')",
            vec![r#"insert t 1 {"id":1,"organization_id":1,"v":"a"}"#],
        ),
        (
            "update t set v = 'b'",
            vec![r#"update t 1 {"id":1,"organization_id":1,"v":"b"}"#],
        ),
        ("update t set v = 'b' where false", vec![]),
        (
            "insert into t values (1, 1, 'x') on conflict (id) do update set v = 'c'",
            vec![r#"update t 1 {"id":1,"organization_id":1,"v":"c"}"#],
        ),
        (
            "begin; insert into t values (2, 1, 'x'); savepoint s; insert into t values (3, 1, 'y');
             rollback to s; update t set v = 'z' where id = 2; commit;
             begin; update t set v = 'never'; rollback",
            vec![r#"insert t 2 {"id":2,"organization_id":1,"v":"z"}"#],
        ),
        (
            "begin; set local rowcast.action_id = 'a1'; insert into child values (1, 1, 2);
             update t set v = 'w' where id = 2; commit",
            vec![
                r#"insert child 1 {"id":1,"organization_id":1,"t_id":2} #a1"#,
                r#"update t 2 {"id":2,"organization_id":1,"v":"w"} #a1"#,
            ],
        ),
        ("delete from t where id = 2", vec!["delete child 1", "delete t 2"]),
        (
            "merge into t using (values (1), (4)) v (id) on t.id = v.id when matched then delete
             when not matched then insert values (v.id, 1, 'm')",
            vec!["delete t 1", r#"insert t 4 {"id":4,"organization_id":1,"v":"m"}"#],
        ),
        (
            "update t set id = 5 where id = 4",
            vec!["delete t 4", r#"insert t 5 {"id":5,"organization_id":1,"v":"m"}"#],
        ),
        (
            "begin; delete from t where id = 5; insert into t values (5, 1, 'again'); commit",
            vec![r#"update t 5 {"id":5,"organization_id":1,"v":"again"}"#],
        ),
        (
            "begin; insert into t values (6, 1, 'came'); delete from t where id = 6; commit",
            vec![],
        ),
        (
            "copy t from program 'printf \"7\\t1\\tq\\n8\\t1\\tr\\n\"'",
            vec![
                r#"insert t 7 {"id":7,"organization_id":1,"v":"q"}"#,
                r#"insert t 8 {"id":8,"organization_id":1,"v":"r"}"#,
            ],
        ),
        (
            "set session_replication_role = replica; delete from t where id = 8",
            vec!["delete t 8"],
        ),
        (
            "set role feed_member; update t set v = 'role' where id = 7",
            vec![r#"update t 7 {"id":7,"organization_id":1,"v":"role"}"#],
        ),
    ] {
        world.psql(sql).await;
        assert_eq!(one.heard().await, expected, "{sql}");
        assert_eq!(two.heard().await, NOTHING, "{sql}");
    }
    world.finish().await;
}

#[tokio::test]
async fn a_row_that_moves_is_deleted_for_one_organization_and_new_for_the_other() {
    let (world, mut one, mut two) =
        world("create table t (id int primary key, organization_id int not null)").await;
    world.psql("insert into t values (1, 1)").await;
    one.heard().await;
    assert_eq!(two.heard().await, NOTHING);
    world.psql("update t set organization_id = 2").await;
    assert_eq!(one.heard().await, ["delete t 1"]);
    assert_eq!(
        two.heard().await,
        [r#"insert t 1 {"id":1,"organization_id":2}"#]
    );
    // Held by the other only within a transaction.
    world
        .psql("begin; update t set organization_id = 1; update t set organization_id = 2; commit")
        .await;
    assert_eq!(one.heard().await, NOTHING);
    assert_eq!(
        two.heard().await,
        [r#"update t 1 {"id":1,"organization_id":2}"#]
    );
    world.finish().await;
}

#[tokio::test]
async fn truncating_and_tables_without_a_key_reset() {
    let (world, mut one, mut two) = world(
        "create table t (id int primary key, organization_id int not null);
         create table no_key (organization_id int not null, v int);
         create table big (id int primary key, organization_id int not null)",
    )
    .await;
    world.psql("insert into t values (1, 1); truncate t").await;
    for listener in [&mut one, &mut two] {
        let told = listener.heard().await;
        assert_eq!(told.last().unwrap(), "reset t truncated");
        assert!(told.len() <= 2);
    }
    // Nothing lingers.
    world.psql("insert into t values (2, 1)").await;
    assert_eq!(
        one.heard().await,
        [r#"insert t 2 {"id":2,"organization_id":1}"#]
    );
    assert_eq!(two.heard().await, NOTHING);
    world.psql("insert into no_key values (1, 1), (1, 2)").await;
    assert_eq!(one.heard().await, ["reset no_key changed"]);
    assert_eq!(two.heard().await, NOTHING);
    world
        .psql("update no_key set organization_id = 2 where v = 2")
        .await;
    assert_eq!(one.heard().await, ["reset no_key changed"]);
    assert_eq!(two.heard().await, ["reset no_key changed"]);
    // More than a batch holds.
    world
        .psql("insert into big select i, 1 from generate_series(1, 10001) i")
        .await;
    assert_eq!(one.heard().await, ["reset big too_many"]);
    assert_eq!(two.heard().await, NOTHING);
    world.finish().await;
}

#[tokio::test]
async fn partitions_and_children_are_told_as_their_parents() {
    let (world, mut one, mut two) = world(
        "create table p (id int, day int, organization_id int not null, primary key (id, day))
             partition by list (day);
         create table p1 partition of p for values in (1);
         create table p2 (organization_id int not null, day int not null, id int not null);
         alter table p attach partition p2 for values in (2);
         create table parent (id int primary key, organization_id int not null);
         create table heir (extra int, primary key (id)) inherits (parent)",
    )
    .await;
    for (sql, expected) in [
        (
            "insert into p values (1, 1, 1)",
            vec![r#"insert p [1,1] {"day":1,"id":1,"organization_id":1}"#],
        ),
        (
            "insert into p2 values (1, 2, 2)",
            vec![r#"insert p [2,2] {"day":2,"id":2,"organization_id":1}"#],
        ),
        (
            "update p set day = 2 where id = 1",
            vec![
                "delete p [1,1]",
                r#"insert p [1,2] {"day":2,"id":1,"organization_id":1}"#,
            ],
        ),
        ("delete from p2 where id = 1", vec!["delete p [1,2]"]),
        ("truncate p1", vec!["reset p truncated"]),
        (
            "insert into heir values (1, 1, 5)",
            vec![
                r#"insert heir 1 {"extra":5,"id":1,"organization_id":1}"#,
                r#"insert parent 1 {"id":1,"organization_id":1}"#,
            ],
        ),
        (
            "delete from parent",
            vec!["delete heir 1", "delete parent 1"],
        ),
    ] {
        world.psql(sql).await;
        assert_eq!(one.heard().await, expected, "{sql}");
        let other = two.heard().await;
        if !sql.starts_with("truncate") {
            assert_eq!(other, NOTHING, "{sql}");
        }
    }
    world.finish().await;
}

#[tokio::test]
async fn rows_that_belong_through_others_are_told_with_them() {
    let world = World::with(
        &format!(
            "create table t (id int primary key, organization_id int not null);
             create table item (id int primary key, t_id int references t on delete cascade on update cascade);
             create table part (id int primary key, item_id int references item on delete cascade);
             create table country (code text primary key, name text);
             {MEMBER}"
        ),
        |config| {
            organization(config, "item", OrganizationRule::Via("t_id".into()));
            organization(config, "part", OrganizationRule::Via("item_id".into()));
            organization(config, "country", OrganizationRule::Shared);
        },
    )
    .await;
    let mut one = world.listener("1", "7", "feed_member");
    let mut two = world.listener("2", "7", "feed_member");
    world.psql("insert into t values (1, 1), (2, 2)").await;
    one.heard().await;
    two.heard().await;
    world
        .psql("insert into item values (10, 1); insert into part values (100, 10)")
        .await;
    assert_eq!(
        one.heard().await,
        [
            r#"insert item 10 {"id":10,"t_id":1}"#,
            r#"insert part 100 {"id":100,"item_id":10}"#
        ]
    );
    assert_eq!(two.heard().await, NOTHING);
    world.psql("update item set t_id = 2").await;
    assert_eq!(one.heard().await, ["delete item 10", "reset part moved"]);
    assert_eq!(
        two.heard().await,
        [r#"insert item 10 {"id":10,"t_id":2}"#, "reset part moved"]
    );
    world
        .psql("update t set organization_id = 1 where id = 2")
        .await;
    assert_eq!(
        one.heard().await,
        [
            r#"insert t 2 {"id":2,"organization_id":1}"#,
            "reset item moved",
            "reset part moved"
        ]
    );
    assert_eq!(
        two.heard().await,
        ["delete t 2", "reset item moved", "reset part moved"]
    );
    world.psql("delete from t where id = 2").await;
    assert_eq!(
        one.heard().await,
        ["delete item 10", "delete part 100", "delete t 2"]
    );
    assert_eq!(two.heard().await, NOTHING);
    world
        .psql("insert into country values ('NL', 'Netherlands')")
        .await;
    for listener in [&mut one, &mut two] {
        assert_eq!(
            listener.heard().await,
            [r#"insert country "NL" {"code":"NL","name":"Netherlands"}"#]
        );
    }
    world.finish().await;
}

#[tokio::test]
async fn column_grants_hold_and_no_right_is_no_notice() {
    let world = World::new(
        "create table t (id int primary key, organization_id int not null, secret text, v int);
         create table hidden (id int primary key, organization_id int not null);
         create table keyless_to_them (id int primary key, organization_id int not null, v int);
         do $$ begin create role feed_some; exception when duplicate_object or unique_violation then null; end $$;
         do $$ begin create role feed_all; exception when duplicate_object or unique_violation then null; end $$;
         grant feed_some, feed_all to current_user;
         grant select (id, v) on t to feed_some; grant select (v) on keyless_to_them to feed_some;
         grant select on t, hidden, keyless_to_them to feed_all",
    )
    .await;
    let mut some = world.listener("1", "7", "feed_some");
    let mut all = world.listener("1", "7", "feed_all");
    let mut other = world.listener("2", "7", "feed_all");
    world
        .psql(
            "insert into t values (1, 1, 's', 5); insert into hidden values (1, 1);
             insert into keyless_to_them values (1, 1, 1)",
        )
        .await;
    assert_eq!(
        some.heard().await,
        [
            r#"insert t 1 {"id":1,"v":5}"#,
            "reset keyless_to_them changed"
        ]
    );
    assert_eq!(all.heard().await.len(), 3);
    assert_eq!(other.heard().await, NOTHING);
    // Taken away: the rows that follow are without it at once, whatever the catalog says.
    world
        .psql("revoke select (v) on t from feed_some; update t set v = 6")
        .await;
    let told = some.heard().await;
    assert!(!told.iter().any(|it| it.contains("\"v\":6")), "{told:?}");
    assert!(told.contains(&"reset t schema".to_owned()), "{told:?}");
    world.finish().await;
}

#[tokio::test]
async fn long_transactions_delay_nobody_and_are_told_in_the_end() {
    let (world, mut one, mut two) = world(
        "create table t (id int primary key, organization_id int not null, v int);
         insert into t values (1, 1, 0), (2, 1, 0)",
    )
    .await;
    let long = world.database.connect().await;
    long.batch_execute("begin; update t set v = 100 where id = 1")
        .await
        .unwrap();
    for v in 1..4 {
        world
            .psql(&format!("update t set v = {v} where id = 2"))
            .await;
        assert_eq!(
            one.heard().await,
            [format!(
                r#"update t 2 {{"id":2,"organization_id":1,"v":{v}}}"#
            )]
        );
    }
    long.batch_execute("commit").await.unwrap();
    drop(long);
    assert_eq!(
        one.heard().await,
        [r#"update t 1 {"id":1,"organization_id":1,"v":100}"#]
    );
    assert_eq!(two.heard().await, NOTHING);
    assert!(one.cursor.is_some() && two.cursor.is_none());
    world.finish().await;
}

#[tokio::test]
async fn a_transaction_is_never_split_and_its_last_change_carries_the_cursor() {
    let (world, mut one, _two) =
        world("create table t (id int primary key, organization_id int not null)").await;
    world
        .psql("insert into t select i, 1 from generate_series(1, 50) i")
        .await;
    let events = one.events().await;
    assert_eq!(events.len(), 50);
    let version = &events[0]["version"];
    assert!(events.iter().all(|it| it["version"] == *version));
    let cursors: Vec<bool> = events.iter().map(|it| it["cursor"].is_string()).collect();
    assert_eq!(cursors.iter().filter(|it| **it).count(), 1);
    assert!(cursors[49]);
    world.finish().await;
}

#[tokio::test]
async fn keys_only_and_resources_only_are_announced_as_configured() {
    let world = World::with(
        &format!(
            "create table k (id int primary key, organization_id int not null);
             create table r (id int primary key, organization_id int not null); {MEMBER}"
        ),
        |config| {
            config.resources.entry("k".into()).or_default().announce =
                rowcast::config::Announce::Keys;
            config.resources.entry("r".into()).or_default().announce =
                rowcast::config::Announce::Resource;
        },
    )
    .await;
    let mut one = world.listener("1", "7", "feed_member");
    let mut two = world.listener("2", "7", "feed_member");
    world
        .psql("begin; insert into k values (1, 1); insert into r values (1, 1); commit")
        .await;
    assert_eq!(one.heard().await, ["insert k 1", "reset r changed"]);
    assert_eq!(two.heard().await, NOTHING);
    world.finish().await;
}

#[tokio::test]
async fn views_are_reset_when_what_they_read_changes() {
    let (world, mut one, mut two) = world(
        "create table t (id int primary key, organization_id int not null);
         create view v as select id, organization_id from t",
    )
    .await;
    world.psql("insert into t values (1, 1)").await;
    assert_eq!(
        one.heard().await,
        [
            r#"insert t 1 {"id":1,"organization_id":1}"#,
            "reset v changed"
        ]
    );
    assert_eq!(two.heard().await, NOTHING);
    world.finish().await;
}
