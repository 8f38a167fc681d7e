//! What goes, when, and that nobody waits for it.

use super::{TABLE, kept, number, until};
use crate::{
    change_log::{logged, server},
    support::Database,
};
use rowcast::postgres::changelog::{Health, Keeper, Retention};
use std::time::Duration;
use tokio::time::Instant;

const ENTRIES: &str = "select count(*) from rowcast.changes";
const KEPT: &str = "select last_value from rowcast.kept_version";
const VERSION: &str = "select rowcast.version_of(pg_current_snapshot())";

#[tokio::test]
async fn entries_go_when_they_were_visible_one_retention_ago() {
    let database = Database::with(TABLE).await;
    let (_server, mut keeper, _plan) = logged(&database).await;
    let before = number(&database, KEPT).await;
    let began = Instant::now();
    database
        .psql("insert into t select i, 1 from generate_series(1, 100) i")
        .await;
    let written = number(&database, VERSION).await;
    for _ in 0..3 {
        keeper
            .retain(kept(Duration::from_secs(3600)))
            .await
            .unwrap();
    }
    assert_eq!(number(&database, ENTRIES).await, 100);
    assert_eq!(number(&database, KEPT).await, before);

    let short = Duration::from_millis(400);
    until(&mut keeper, kept(short), "all have gone", async |log| {
        number(&database, ENTRIES).await == 0 && log.parts == 0
    })
    .await;
    assert!(began.elapsed() >= short, "not before their time");
    let after = number(&database, KEPT).await;
    assert!(
        after >= written,
        "{after} {written}: who was there before is told"
    );
    assert!(after <= number(&database, VERSION).await);
    database.finish().await;
}

#[tokio::test]
async fn writers_go_on_while_parts_go_and_one_of_them_takes_long() {
    let database = Database::with(TABLE).await;
    let (_server, mut keeper, _plan) = logged(&database).await;
    let slow = database.connect().await;
    slow.batch_execute("begin; insert into t values (0, 1)")
        .await
        .unwrap();
    let part = number(&database, "select rowcast.current_slot()").await;
    let in_part = format!("select count(*) from rowcast.changes_{part}");

    let writer = database.connect().await;
    let stop = tokio_util::sync::CancellationToken::new();
    let writing = {
        let stop = stop.clone();
        async move {
            let insert = writer
                .prepare("insert into t values ($1, 1)")
                .await
                .unwrap();
            let mut longest = Duration::ZERO;
            let mut written = 0;
            while !stop.is_cancelled() {
                written += 1;
                let began = Instant::now();
                writer.execute(&insert, &[&written]).await.unwrap();
                longest = longest.max(began.elapsed());
            }
            (written, longest)
        }
    };
    let keeping = async {
        let mut emptied = 0;
        let mut last = 0;
        until(
            &mut keeper,
            kept(Duration::from_millis(300)),
            "parts go",
            async |_| {
                // Each time that a part went, the log is whole from a later state on only.
                let whole_from = number(&database, KEPT).await;
                emptied += i32::from(whole_from > last);
                last = whole_from;
                emptied > 4
            },
        )
        .await;
        // What was written beside the transaction that is still open has long been visible.
        assert!(
            number(&database, &in_part).await > 0,
            "its part is left alone"
        );
        assert!(number(&database, "select rowcast.current_slot()").await != part);
        slow.batch_execute("commit").await.unwrap();
        let entry = number(
            &database,
            "select count(*) from rowcast.changes where key = '{0}'",
        );
        assert_eq!(entry.await, 1, "and what it wrote is told");
        until(
            &mut keeper,
            kept(Duration::from_millis(300)),
            "then it goes",
            async |_| {
                number(
                    &database,
                    "select count(*) from rowcast.changes where key = '{0}'",
                )
                .await
                    == 0
            },
        )
        .await;
        stop.cancel();
    };
    let ((written, longest), ()) = tokio::join!(writing, keeping);
    assert!(written > 100, "{written}");
    // Whoever queued behind the upkeep would wait for the transaction that is open all the while; a
    // machine that is busy otherwise makes a write take a second, but not this long.
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    drop(slow);
    database.finish().await;
}

#[tokio::test]
async fn writers_take_up_the_next_part_in_sessions_that_know_the_last() {
    let database = Database::with(TABLE).await;
    let (_server, mut keeper, _plan) = logged(&database).await;
    let writer = database.connect().await;
    let insert = writer
        .prepare("insert into t values ($1, 1)")
        .await
        .unwrap();
    for id in 0..12 {
        writer.execute(&insert, &[&id]).await.unwrap();
    }
    let slots = "select count(distinct tableoid) from rowcast.changes";
    assert_eq!(number(&database, slots).await, 1);
    let before = number(&database, "select rowcast.current_slot()").await;
    // Each part has a quarter of the time.
    until(
        &mut keeper,
        kept(Duration::from_secs(2)),
        "the next is opened",
        async |_| number(&database, "select rowcast.current_slot()").await != before,
    )
    .await;
    writer.execute(&insert, &[&12]).await.unwrap();
    assert_eq!(
        number(&database, slots).await,
        2,
        "within its retention everything is there"
    );
    assert_eq!(number(&database, ENTRIES).await, 13);
    drop(writer);
    database.finish().await;
}

#[tokio::test]
async fn a_log_that_is_too_large_loses_its_oldest_part_sooner() {
    let database = Database::with(TABLE).await;
    let (_server, mut keeper, _plan) = logged(&database).await;
    let retention = Retention {
        kept: Duration::from_secs(60),
        bytes_max: 1 << 20,
    };
    database
        .psql("insert into t select i, 1 from generate_series(1, 20000) i")
        .await;
    let began = Instant::now();
    let mut alarmed = false;
    until(
        &mut keeper,
        retention,
        "it is small enough again",
        async |log| {
            alarmed |= log.health == Health::TooLarge && log.bytes > 1 << 20;
            alarmed && log.health == Health::Sound && log.bytes <= 1 << 20
        },
    )
    .await;
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "long before a minute is over"
    );
    assert_eq!(number(&database, ENTRIES).await, 0);
    assert!(number(&database, KEPT).await <= number(&database, VERSION).await);
    // Writers never noticed, and the log goes on.
    database.psql("insert into t values (0, 1)").await;
    assert_eq!(number(&database, ENTRIES).await, 1);
    database.finish().await;
}

#[tokio::test]
async fn one_server_at_a_time_keeps_the_log() {
    let database = Database::with(TABLE).await;
    let (_server, mut keeper, _plan) = logged(&database).await;
    let other = database.connect().await;
    let lock = "select pg_advisory_lock(x'726f776361737474'::bigint)";
    other.batch_execute(lock).await.unwrap();
    let retention = kept(Duration::from_secs(60));
    assert_eq!(keeper.retain(retention).await.unwrap(), None);
    drop(other);
    let deadline = Instant::now() + Duration::from_secs(10);
    while keeper.retain(retention).await.unwrap().is_none() {
        assert!(
            Instant::now() < deadline,
            "the other's lock went with its connection"
        );
    }
    database.finish().await;
}

#[tokio::test]
async fn the_log_of_the_first_version_becomes_one_of_parts_beside_writers() {
    let database = Database::with(TABLE).await;
    let first = include_str!("../../sql/migrations/1_change_log.sql");
    database
        .execute(&format!(
            "create schema rowcast;
             create table rowcast.migrations (
                 number integer primary key, applied_at timestamptz not null default now());
             {first};
             insert into rowcast.migrations values (1);
             insert into rowcast.settings (cursor_key) values (sha256('key'));
             insert into rowcast.changes (relation, op, key) values ('t'::regclass, 'i', '{{1}}')"
        ))
        .await;
    let version = number(
        &database,
        "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint",
    );
    let version = version.await;
    let slow = database.connect().await;
    let log = "insert into rowcast.changes (relation, op) values (0, 's')";
    slow.batch_execute(&format!("begin; {log}")).await.unwrap();
    let other = database.connect().await;
    other
        .batch_execute("set statement_timeout = '2s'")
        .await
        .unwrap();
    let server = server(&database).await;
    let opening = async {
        let keeper = Keeper::open(&server).await.unwrap();
        keeper.database_id().await.unwrap();
    };
    let writing = async {
        for _ in 0..30 {
            other.batch_execute(log).await.unwrap();
        }
        slow.batch_execute("commit").await.unwrap();
    };
    tokio::join!(opening, writing);
    let whole_from = number(&database, KEPT).await;
    assert!(
        whole_from >= version,
        "{whole_from} {version}: older cursors are told so"
    );
    assert_eq!(number(&database, ENTRIES).await, 0);
    database.psql(log).await;
    // What functions from before write to is read, and goes in its time.
    assert_eq!(number(&database, ENTRIES).await, 1);
    let mut keeper = Keeper::open(&server).await.unwrap();
    until(
        &mut keeper,
        kept(Duration::from_millis(200)),
        "it goes",
        async |_| number(&database, ENTRIES).await == 0,
    )
    .await;
    assert!(
        number(&database, KEPT).await > whole_from,
        "and that is said"
    );
    drop(keeper);
    drop((slow, other));
    server.close().await;
    database.finish().await;
}

/// Writers whose triggers are still those of the last version are heard while they are replaced.
#[tokio::test]
async fn the_log_of_partitions_becomes_one_of_plain_parts_beside_writers() {
    let database = Database::with(TABLE).await;
    let [first, actions, third] = [
        include_str!("../../sql/migrations/1_change_log.sql"),
        include_str!("../../sql/migrations/2_actions.sql"),
        include_str!("../../sql/migrations/3_retention.sql"),
    ];
    database
        .execute(&format!(
            "create schema rowcast;
             create table rowcast.migrations (
                 number integer primary key, applied_at timestamptz not null default now());
             {first}; {actions}; {third};
             insert into rowcast.migrations values (1), (2), (3);
             insert into rowcast.settings (cursor_key) values (sha256('key'));
             create function rowcast.log_1() returns trigger language plpgsql security definer
                 set search_path = pg_catalog, pg_temp as $$ begin
                     insert into rowcast.changes (relation, op, key, organization)
                     select tg_relid, 'i', array[id::text], organization_id::text from new_rows;
                     return null;
                 end $$;
             create trigger rowcast_insert after insert on t referencing new table as new_rows
                 for each statement execute function rowcast.log_1()"
        ))
        .await;
    let slow = database.connect().await;
    let insert = slow.prepare("insert into t values ($1, 1)").await.unwrap();
    slow.batch_execute("begin").await.unwrap();
    slow.execute(&insert, &[&1]).await.unwrap();
    let other = database.connect().await;
    other
        .batch_execute("set statement_timeout = '2s'; insert into t values (2, 1)")
        .await
        .unwrap();
    let server = server(&database).await;
    let opening = Keeper::open(&server);
    let writing = async {
        for id in 100..130 {
            other
                .execute("insert into t values ($1, 1)", &[&id])
                .await
                .unwrap();
        }
        slow.batch_execute("commit").await.unwrap();
    };
    let (keeper, ()) = tokio::join!(opening, writing);
    let mut keeper = keeper.unwrap();
    let from = number(&database, KEPT).await;
    assert!(from <= number(&database, VERSION).await);
    assert_eq!(number(&database, ENTRIES).await, 0);
    // Sessions that know the old log, until their triggers are replaced and after.
    slow.execute(&insert, &[&3]).await.unwrap();
    let (plan, _) = keeper.plan().await.unwrap();
    let progress = keeper.install(&plan).await.unwrap();
    assert_eq!(progress.unlogged, Default::default());
    slow.execute(&insert, &[&4]).await.unwrap();
    let keys = "select string_agg(key::text, '' order by seq) from rowcast.changes where op = 'i'";
    assert_eq!(database.value(keys).await, "{3}{4}");
    let part = format!(
        "select count(*) from rowcast.changes_{}",
        number(&database, "select rowcast.current_slot()").await
    );
    assert_eq!(number(&database, &part).await, 1);
    drop((slow, other, keeper, plan));
    server.close().await;
    database.finish().await;
}

#[tokio::test]
async fn a_log_from_another_cluster_does_not_bind_this_one() {
    let database = Database::with(TABLE).await;
    let (_server, keeper, _plan) = logged(&database).await;
    let before = keeper.database_id().await.unwrap();
    assert_eq!(keeper.database_id().await.unwrap(), before);
    // As a dump brings it along: from a cluster where more had happened.
    database
        .psql(
            "select setval('rowcast.kept_version', 1000000000000);
             insert into rowcast.changes (xid, relation, op) values ('2000000000000', 0, 's')",
        )
        .await;
    assert_ne!(keeper.database_id().await.unwrap().log_id, before.log_id);
    assert!(number(&database, KEPT).await <= number(&database, VERSION).await);
    assert_eq!(number(&database, ENTRIES).await, 0);
    database.finish().await;
}
