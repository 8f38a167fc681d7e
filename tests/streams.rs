//! Rows as they arrive, and what becomes of connections, whatever the reader does.

use crate::zoo::{CAGES, KEEPER, Zoo, caller, keeper, rows_of};
use futures_util::FutureExt;
use rowcast::{error::Kind, postgres::RowBuffer};
use serde_json::json;
use std::time::{Duration, Instant};

/// A table whose rows take their time.
const SLOW: &str =
    "create table snails (id int primary key, organization_id int not null, pace double precision);
    insert into snails select n, 1, 0 from generate_series(1, 20000) as n;
    insert into snails values (30000, 1, 3600);
    create function crawl(pace double precision) returns text language plpgsql volatile as $$
    begin
        if pace > 0 then perform pg_sleep(pace); end if;
        return repeat('slime ', 20);
    end $$;
    create view crawling as select id, organization_id, crawl(pace) as trail from snails;
    grant select on snails, crawling to zoo_keeper";

/// Sees that something takes no more than a moment: once in five tries, since the machine may have
/// something else to do.
async fn at_once(mut took: impl AsyncFnMut() -> Duration) {
    let mut shortest = Duration::MAX;
    for _ in 0..5 {
        shortest = shortest.min(took().await);
        if shortest < Duration::from_millis(100) {
            return;
        }
    }
    panic!("{shortest:?}");
}

/// Waits until PostgreSQL runs no statement on this database but the question itself.
async fn until_quiet(zoo: &Zoo) -> Duration {
    let start = Instant::now();
    loop {
        let running = zoo
            .postgres
            .value(
                "select count(*) from pg_stat_activity where datname = current_database()
                 and pid <> pg_backend_pid() and state <> 'idle'",
            )
            .await;
        if running == "0" {
            return start.elapsed();
        }
        assert!(
            start.elapsed() < crate::support::SOON,
            "{running} statements run on"
        );
    }
}

#[tokio::test]
async fn a_dropped_stream_ends_in_postgresql_at_once() {
    let zoo = Zoo::with(SLOW, |_| ()).await;
    let who = keeper(1);
    let query = zoo.query(&who, "crawling", "").await.unwrap();
    for stalled in [false, true] {
        at_once(async || {
            let mut stream = zoo.database.stream(&who, &query).await.unwrap();
            let mut out = RowBuffer::default();
            assert!(stream.next(&mut out).await.unwrap() > 0);
            if !stalled {
                // Reads on until it waits for the row that takes an hour. PostgreSQL keeps what does not
                // fill a packet.
                let patience = Duration::from_millis(200);
                while tokio::time::timeout(patience, stream.next(&mut out))
                    .await
                    .is_ok()
                {}
                assert!(out.ends.len() > 19_000);
            }
            assert_eq!(zoo.database.connections().streams_busy, 1);
            drop(stream);
            until_quiet(&zoo).await
        })
        .await;
    }
    zoo.close().await;
}

#[tokio::test]
async fn a_dropped_call_ends_in_postgresql_too() {
    let zoo = Zoo::with(SLOW, |_| ()).await;
    let who = keeper(1);
    let query = zoo.query(&who, "crawling", "").await.unwrap();
    at_once(async || {
        let call = zoo.database.list(&who, &query);
        let given_up = tokio::time::timeout(Duration::from_millis(300), call).await;
        assert!(given_up.is_err());
        until_quiet(&zoo).await
    })
    .await;
    zoo.close().await;
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended() {
    let zoo = Zoo::with(SLOW, |config| config.database.statement_timeout_ms = 1_500).await;
    let who = keeper(1);
    let query = zoo.query(&who, "crawling", "").await.unwrap();
    let refused = zoo.database.list(&who, &query).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::StatementTimeout);
    let stream = zoo.database.stream(&who, &query).await.unwrap();
    let refused = rows_of(stream).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::StatementTimeout);
    until_quiet(&zoo).await;
    // A reader that takes its time is not what the limit is about.
    let query = zoo.query(&who, "snails", "").await.unwrap();
    let mut stream = zoo.database.stream(&who, &query).await.unwrap();
    let mut out = RowBuffer::default();
    stream.next(&mut out).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    assert_eq!(
        rows_of(stream).await.unwrap().len() + out.ends.len(),
        20_001
    );
    zoo.close().await;
}

#[tokio::test]
async fn no_identity_takes_more_than_its_share_of_the_streams() {
    let zoo = Zoo::with(SLOW, |_| ()).await;
    let (one, two) = (keeper(1), caller("1", "2", KEEPER));
    let query = zoo.query(&one, "snails", "").await.unwrap();
    let first = zoo.database.stream(&one, &query).await.unwrap();
    let second = zoo.database.stream(&one, &query).await.unwrap();
    let mut third = Box::pin(zoo.database.stream(&one, &query));
    assert!((&mut third).now_or_never().is_none());
    // A small request of the same identity does not wait, nor does anything of another's.
    let small = zoo
        .query(&one, "snails", "limit=25&order=id")
        .await
        .unwrap();
    assert_eq!(
        rows_of(zoo.database.stream(&one, &small).await.unwrap())
            .await
            .unwrap()
            .len(),
        25
    );
    let by_key = zoo.query(&one, "snails", "id=in.(1,2,3)").await.unwrap();
    assert_eq!(
        rows_of(zoo.database.stream(&one, &by_key).await.unwrap())
            .await
            .unwrap()
            .len(),
        3
    );
    let other = zoo.database.stream(&two, &query).await.unwrap();
    assert_eq!(zoo.database.connections().streams_busy, 3);
    drop(first);
    assert_eq!(rows_of(third.await.unwrap()).await.unwrap().len(), 20_001);
    drop((second, other));
    until_quiet(&zoo).await;
    zoo.close().await;
}

#[tokio::test]
async fn a_stream_read_to_its_end_gives_its_connection_back() {
    let zoo = Zoo::with(SLOW, |_| ()).await;
    let who = keeper(1);
    let query = zoo.query(&who, "snails", "").await.unwrap();
    for _ in 0..10 {
        let stream = zoo.database.stream(&who, &query).await.unwrap();
        assert_eq!(rows_of(stream).await.unwrap().len(), 20_001);
    }
    let connections = zoo.database.connections();
    assert_eq!((connections.streams_busy, connections.cancelling), (0, 0));
    // One for streams, and one that discovery and the role's rights were read through.
    assert_eq!(connections.open, 2, "{connections:?}");
    zoo.close().await;
}

#[tokio::test]
async fn connections_that_postgresql_has_ended_are_replaced() {
    let zoo = Zoo::with(CAGES, |_| ()).await;
    let who = keeper(1);
    let query = zoo.query(&who, "cages", "").await.unwrap();
    for _ in 0..5 {
        assert_eq!(zoo.database.list(&who, &query).await.unwrap().rows, 20);
        zoo.postgres
            .execute(
                "select pg_terminate_backend(pid) from pg_stat_activity
                 where datname = current_database() and pid <> pg_backend_pid()",
            )
            .await;
    }
    zoo.close().await;
}

#[tokio::test]
async fn a_table_may_change_under_a_prepared_statement() {
    let zoo = Zoo::with(CAGES, |_| ()).await;
    let who = keeper(1);
    let query = zoo.query(&who, "cages", "order=id&limit=1").await.unwrap();
    assert_eq!(zoo.database.list(&who, &query).await.unwrap().rows, 1);
    zoo.postgres
        .execute("alter table cages add column colour text default 'red'")
        .await;
    assert_eq!(zoo.database.list(&who, &query).await.unwrap().rows, 1);
    zoo.postgres
        .execute("alter table cages alter badge type int using id")
        .await;
    let refused = zoo.database.list(&who, &query).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Conflict);
    zoo.database.rediscover().await.unwrap();
    let rows = zoo.list(&who, "cages", "order=id&limit=1").await.unwrap();
    assert_eq!(
        (&rows[0]["badge"], &rows[0]["colour"]),
        (&json!(2), &json!("red"))
    );
    zoo.close().await;
}

#[tokio::test]
async fn what_was_planned_for_another_schema_is_not_read() {
    let zoo = Zoo::with(CAGES, |_| ()).await;
    let who = keeper(1);
    for sql in [
        "alter table cages add column colour text default 'red'",
        "alter table cages alter label drop not null, alter badge drop default",
        "grant select (label) on cages to zoo_keeper",
    ] {
        let query = zoo.query(&who, "cages", "").await.unwrap();
        let small = zoo.query(&who, "cages", "limit=1").await.unwrap();
        let other = zoo.query(&who, "countries", "").await.unwrap();
        // A catalog that was read again, and is the same, changes nothing.
        zoo.database.rediscover().await.unwrap();
        assert_eq!(zoo.database.list(&who, &query).await.unwrap().rows, 20);
        zoo.postgres.execute(sql).await;
        zoo.database.rediscover().await.unwrap();
        let refused = zoo.database.list(&who, &query).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Conflict, "{sql}");
        for query in [&query, &small] {
            let refused = zoo.database.stream(&who, query).await.unwrap_err();
            assert_eq!(refused.kind(), Kind::Conflict, "{sql}");
        }
        assert!(zoo.database.list(&who, &other).await.is_ok(), "{sql}");
        assert!(zoo.list(&who, "cages", "").await.is_ok(), "{sql}");
    }
    until_quiet(&zoo).await;
    zoo.close().await;
}

#[tokio::test]
async fn an_answer_has_its_limit_and_a_stream_has_none() {
    let zoo = Zoo::with(SLOW, |config| config.limits.answer_bytes_max = 100_000).await;
    let who = keeper(1);
    let query = zoo.query(&who, "snails", "").await.unwrap();
    let refused = zoo.database.list(&who, &query).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::AnswerTooLarge);
    assert_eq!(
        rows_of(zoo.database.stream(&who, &query).await.unwrap())
            .await
            .unwrap()
            .len(),
        20_001
    );
    until_quiet(&zoo).await;
    zoo.close().await;
}

#[tokio::test]
async fn a_small_result_of_large_rows_goes_through_the_streams() {
    let zoo = Zoo::with(
        "create table whales (id int primary key, organization_id int, song text);
         insert into whales select n, 1, repeat('o', 100000) from generate_series(1, 100) as n;
         grant select on whales to zoo_keeper",
        |_| (),
    )
    .await;
    let who = keeper(1);
    let query = zoo.query(&who, "whales", "limit=100").await.unwrap();
    let mut stream = zoo.database.stream(&who, &query).await.unwrap();
    assert_eq!(zoo.database.connections().streams_busy, 1);
    let mut out = RowBuffer::default();
    stream.next(&mut out).await.unwrap();
    assert!(out.bytes.len() < 300_000, "{}", out.bytes.len());
    assert_eq!(rows_of(stream).await.unwrap().len() + out.ends.len(), 100);
    until_quiet(&zoo).await;
    zoo.close().await;
}

#[tokio::test]
async fn when_all_connections_are_taken_the_caller_is_told() {
    let zoo = Zoo::with(SLOW, |config| {
        config.database.connections_max = 1;
        config.database.acquire_timeout_ms = 100;
    })
    .await;
    let who = keeper(1);
    let slow = zoo.query(&who, "crawling", "").await.unwrap();
    let quick = zoo.query(&who, "cages", "").await.unwrap();
    let mut first = Box::pin(zoo.database.list(&who, &slow));
    assert!(
        tokio::time::timeout(Duration::from_millis(50), &mut first)
            .await
            .is_err()
    );
    let refused = zoo.database.list(&who, &quick).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Overloaded);
    drop(first);
    until_quiet(&zoo).await;
    zoo.close().await;
}

#[tokio::test]
async fn a_repeated_request_is_prepared_once() {
    let zoo = Zoo::with(
        "create view prepared as
             select 1 as organization_id, statement, generic_plans + custom_plans as uses
             from pg_prepared_statements;
         grant select on prepared to zoo_keeper",
        |_| (),
    )
    .await;
    let who = keeper(1);
    for id in 1..=7 {
        let text = format!("id=eq.{id}&limit=3&order=id.desc");
        let query = zoo.query(&who, "cages", &text).await.unwrap();
        zoo.database.list(&who, &query).await.unwrap();
    }
    let asked = "statement=like.*cages*&statement=not.like.*prepared*";
    let prepared = zoo.query(&who, "prepared", asked).await.unwrap();
    let listing = zoo.database.list(&who, &prepared).await.unwrap();
    let rows: serde_json::Value = serde_json::from_slice(&listing.body).unwrap();
    let uses = rows.as_array().unwrap().iter().map(|it| &it["uses"]);
    assert_eq!(uses.collect::<Vec<_>>(), [7], "{rows}");
    assert_eq!(zoo.database.connections().open, 1);
    zoo.close().await;
}

#[tokio::test]
async fn a_connection_keeps_a_bounded_number_of_statements() {
    let zoo = Zoo::with(
        "create view kept as select 1 as organization_id, count(*) as statements from pg_prepared_statements;
         grant select on kept to zoo_keeper",
        |_| (),
    )
    .await;
    let who = keeper(1);
    let kept = zoo.query(&who, "kept", "").await.unwrap();
    let mut most = 0;
    for limit in 1..400 {
        let query = zoo
            .query(&who, "cages", &format!("limit={limit}"))
            .await
            .unwrap();
        zoo.database.list(&who, &query).await.unwrap();
        if limit % 50 == 49 {
            let listing = zoo.database.list(&who, &kept).await.unwrap();
            let rows: serde_json::Value = serde_json::from_slice(&listing.body).unwrap();
            most = rows[0]["statements"].as_u64().unwrap().max(most);
        }
    }
    // Beside ours, the driver keeps a few of its own.
    assert!((200..=260).contains(&most), "{most}");
    assert_eq!(zoo.database.connections().open, 1);
    zoo.close().await;
}
