//! The query language over HTTP, with two organizations: what one asks, in whatever way, tells it
//! nothing of the other's rows.

mod injection;
mod paging;

use crate::support::{Client, Database, TestServer};
use serde_json::Value;

/// Rows of two organizations, with ties and nulls in every column that is ordered by. Odd ids are of
/// organization 1.
const ITEMS: &str = "
    create table items (
        id int primary key,
        organization_id bigint not null,
        rank int,
        label text not null,
        score numeric,
        at timestamptz not null,
        data jsonb
    );
    insert into items
    select n, 1 + (n + 1) % 2, nullif(n % 5, 0), 'l' || n % 7, nullif(n % 3, 1) * 1.5,
        timestamptz '2024-01-01' + (n % 4) * interval '1 day',
        case n % 4 when 0 then null else jsonb_build_object('a', n % 6, 'b', jsonb_build_array(n)) end
    from generate_series(1, 60) as n;
    analyze";

async fn server() -> TestServer {
    TestServer::start(Database::with(ITEMS).await, |config| {
        config.api.aggregates_enabled = true;
    })
    .await
}

/// The ids that a list has, in its order.
async fn ids(client: &Client, path: &str) -> Vec<i64> {
    let rows = client.get(path).expect(200).await.json();
    let ids = rows.as_array().expect("a list").iter();
    ids.map(|it| it["id"].as_i64().expect("an id")).collect()
}

#[tokio::test]
async fn counts_groups_and_trees_know_of_one_organization_only() {
    let server = server().await;
    let (one, two) = (server.client(1, 1), server.client(2, 1));
    for kind in ["exact", "planned", "estimated"] {
        let counted = one
            .get("/items?limit=1")
            .header("prefer", &format!("count={kind}"));
        let answer = counted.expect(206).await;
        assert_eq!(answer.header("content-range"), "0-0/30", "{kind}");
    }
    let beyond = one.get("/items?offset=31").header("prefer", "count=exact");
    assert_eq!(beyond.expect(416).await.header("content-range"), "*/30");
    let groups = "/items?select=organization_id,n:count(),max:id.max()";
    let found = one.get(groups).expect(200).await.json();
    assert_eq!(
        found,
        serde_json::json!([{"organization_id": 1, "n": 30, "max": 59}])
    );
    let found = two.get(groups).expect(200).await.json();
    assert_eq!(
        found,
        serde_json::json!([{"organization_id": 2, "n": 30, "max": 60}])
    );
    for path in [
        "/items?or=(id.gt.0,organization_id.eq.2)&order=id",
        "/items?not.and=(id.lt.0,rank.is.null)&order=id",
        "/items?organization_id=not.eq.7&order=id",
        "/items?organization_id=in.(1,2)&id=gte(any).%7B0%7D&order=id",
        "/items?data-%3E%3Ea=not.eq.none&or=(id.gt.0,data.is.null)&order=id",
    ] {
        let found = ids(&one, path).await;
        assert!(found.iter().all(|it| it % 2 == 1), "{path}: {found:?}");
        assert!(found.len() > 10, "{path}");
    }
    server.finish().await;
}

#[tokio::test]
async fn a_comparison_that_fails_on_anothers_row_does_not_fail() {
    let database = Database::with(
        "create table notes (id int primary key, organization_id bigint not null, pattern text, n int);
         insert into notes values (1, 1, 'a', 1), (2, 2, '[', 0);
         create view shares as select id, organization_id, 10 / n as share from notes;",
    )
    .await;
    let server = TestServer::start(database, |_| ()).await;
    let one = server.client(1, 1);
    for path in [
        "/notes?pattern=match.a",
        "/notes?pattern=like(any).%7Ba,b%7D&n=gt.0",
        "/notes?pattern=fts(english).a",
        "/shares?share=gt.1&or=(share.eq.10,share.lt.3)",
    ] {
        let found = one.get(path).expect(200).await.json();
        assert!(found.as_array().is_some_and(|it| it.len() <= 1), "{path}");
    }
    // What is wrong with the question itself is told.
    let wrong = one.get("/notes?pattern=match.%5B").expect(400).await;
    assert_eq!(wrong.problem()["code"], "2201B");
    let wrong: Value = one.get("/notes?n=eq.x").expect(400).await.problem();
    assert_eq!(wrong["code"], "22P02");
    assert_eq!(
        wrong["message"],
        "invalid input syntax for type integer: \"x\""
    );
    assert!(
        wrong["detail"]
            .as_str()
            .is_some_and(|it| it.contains("`n`"))
    );
    server.finish().await;
}
