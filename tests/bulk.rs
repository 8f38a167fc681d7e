//! Many rows in one write: what is taken, what is refused, and that no organization reaches another's.

use crate::{
    http_routes::TABLES,
    support::{Database, TestServer},
};
use serde_json::{Value, json};

const SHOP: &str = "
    create table goods (
        organization_id bigint not null,
        id bigint primary key,
        name text not null default 'unnamed',
        price numeric,
        shelf bigint references tickets,
        unique (organization_id, name)
    );
    insert into goods (organization_id, id, name) values (1, 1, 'mine'), (2, 2, 'theirs');
    create view good_names as select id, organization_id, name, shelf from goods";

async fn server() -> TestServer {
    TestServer::start(Database::with(&format!("{TABLES};{SHOP}")).await, |_| ()).await
}

async fn goods(server: &TestServer, organization: i64) -> Vec<Value> {
    let client = server.client(organization, 1);
    let all = client.get("/goods?order=id").expect(200).await.json();
    all.as_array().unwrap().clone()
}

#[tokio::test]
async fn ten_thousand_rows_are_one_write() {
    let server = server().await;
    let rows: Vec<Value> = (10..10_010)
        .map(|id| json!({"id": id, "name": format!("good {id}"), "price": 1.5}))
        .collect();
    let client = server.client(1, 1);
    let minimal = client
        .post("/goods", json!(rows))
        .header("prefer", "return=minimal, count=exact");
    let minimal = minimal.expect(201).await;
    assert_eq!(minimal.header("content-range"), "*/10000");
    assert_eq!(goods(&server, 1).await.len(), 10_001);
    assert_eq!(goods(&server, 2).await.len(), 1);
    server.finish().await;
}

#[tokio::test]
async fn an_upsert_stays_within_the_organization() {
    let server = server().await;
    let client = server.client(1, 1);
    let upsert = |resolution: &'static str, body: Value| {
        client
            .post("/goods", body)
            .header("prefer", &format!("resolution={resolution}-duplicates"))
    };
    let both = json!([{"id": 1, "name": "still mine"}, {"id": 3, "name": "new"}]);
    upsert("merge", both).expect(201).await;
    // Another organization's row, by its key: not allowed, whatever is asked for, and nothing is done.
    for resolution in ["merge", "ignore"] {
        let taken = json!([{"id": 4, "name": "four"}, {"id": 2, "name": "taken over"}]);
        let problem = upsert(resolution, taken).expect(403).await.problem();
        assert_eq!(problem["type"], "row-not-allowed");
        assert!(!problem.to_string().contains("theirs"));
    }
    let passed = json!([{"id": 1, "name": "passed over"}, {"id": 5, "name": "five"}]);
    let passed = upsert("ignore", passed).expect(201).await.json();
    assert_eq!(passed.as_array().unwrap().len(), 1);
    let named = client
        .post(
            "/goods?on_conflict=organization_id,name",
            json!([{"id": 6, "name": "new", "price": 7}]),
        )
        .header("prefer", "resolution=ignore-duplicates");
    assert_eq!(named.expect(201).await.json(), json!([]));
    let names: Vec<Value> = goods(&server, 1)
        .await
        .iter()
        .map(|it| it["name"].clone())
        .collect();
    assert_eq!(names, ["still mine", "new", "five"]);
    assert_eq!(goods(&server, 2).await[0]["name"], "theirs");
    server.finish().await;
}

#[tokio::test]
async fn every_row_s_references_are_looked_at() {
    let server = server().await;
    let client = server.client(1, 1);
    // Tickets 1 to 30 are the first organization's.
    let good = json!([{"id": 10, "name": "a", "shelf": 1}, {"id": 11, "name": "b", "shelf": 30}]);
    client.post("/goods", good).expect(201).await;
    let missing =
        json!([{"id": 12, "name": "c", "shelf": 2}, {"id": 13, "name": "d", "shelf": 9999}]);
    let missing = client.post("/goods", missing).expect(409).await.problem();
    let foreign =
        json!([{"id": 12, "name": "c", "shelf": 2}, {"id": 13, "name": "d", "shelf": 31}]);
    let foreign = client.post("/goods", foreign).expect(409).await.problem();
    assert_eq!(missing, foreign, "what exists elsewhere does not exist");
    assert_eq!(goods(&server, 1).await.len(), 3);
    let claimed = json!([{"id": 14, "name": "e"}, {"id": 15, "name": "f", "organization_id": 2}]);
    client.post("/goods", claimed).expect(403).await.problem();
    let claimed = json!([{"id": 14, "name": "e", "organization_id": 1}, {"id": 15, "name": "f", "organization_id": 2}]);
    client.post("/goods", claimed).expect(403).await.problem();
    let hidden = json!([{"id": 14, "name": "e", "organization_id": 2}]);
    client
        .post("/goods?columns=id,name", hidden)
        .expect(403)
        .await
        .problem();
    server.finish().await;
}

#[tokio::test]
async fn names_and_values_never_become_statements() {
    let server = server().await;
    let client = server.client(1, 1);
    for evil in [
        "name\") values (9); drop table goods;--",
        "name'",
        "$1",
        "\\",
    ] {
        let column = client.post("/goods", json!([{ "id": 20, evil: 1 }]));
        column.expect(400).await.problem();
        let encoded: String = evil.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for parameter in ["columns", "on_conflict", "select", "order"] {
            let call = client
                .post(
                    &format!("/goods?{parameter}={encoded}"),
                    json!([{"id": 21}]),
                )
                .header("prefer", "resolution=merge-duplicates");
            call.expect(400).await.problem();
        }
        let csv = client
            .request("POST", "/goods")
            .header("content-type", "text/csv")
            .body(format!("id,name\n22,\"{}\"\n", evil.replace('"', "\"\"")));
        let row = csv.expect(201).await.json();
        assert_eq!(row[0]["name"], evil);
        client.delete("/goods/22").expect(200).await;
    }
    assert_eq!(goods(&server, 1).await.len(), 1);
    server.finish().await;
}

#[tokio::test]
async fn a_limit_on_what_is_affected_undoes_more() {
    let server = server().await;
    let client = server.client(1, 1);
    client.delete("/tickets").expect(400).await.problem();
    let bounded = |rows: u32| {
        client
            .patch("/tickets", json!({"subject": "same"}))
            .header("prefer", &format!("max-affected={rows}"))
    };
    let problem = bounded(29).expect(400).await.problem();
    assert_eq!(problem["code"], "PGRST124");
    assert_eq!(problem["details"], "The query affects 30 rows");
    let same = "select count(*) from tickets where subject = 'same'";
    assert_eq!(server.database.psql(same).await, "0");
    let updated = bounded(30).expect(200).await;
    assert_eq!(updated.json().as_array().unwrap().len(), 30);
    assert_eq!(server.database.psql(same).await, "30");
    server.finish().await;
}

#[tokio::test]
async fn a_view_is_written_like_its_table_and_fenced_like_it() {
    let server = server().await;
    let client = server.client(1, 1);
    let created = client.post("/good_names", json!({"id": 30, "name": "by view"}));
    assert_eq!(created.expect(201).await.json()["organization_id"], 1);
    // What a view refers to is looked at like what its table does.
    let refers = |shelf: i64| {
        client.post(
            "/good_names",
            json!({"id": 31, "name": "x", "shelf": shelf}),
        )
    };
    let missing = refers(9999).expect(409).await.problem();
    assert_eq!(refers(31).expect(409).await.problem(), missing);
    let renamed = client.patch("/good_names/30", json!({"name": "renamed"}));
    assert_eq!(renamed.expect(200).await.json()["name"], "renamed");
    let other = server.client(2, 1);
    other.get("/good_names/30").expect(404).await;
    other
        .patch("/good_names/30", json!({"name": "x"}))
        .expect(404)
        .await;
    other.delete("/good_names/30").expect(404).await;
    let all = other.get("/good_names").expect(200).await.json();
    assert_eq!(all.as_array().unwrap().len(), 1);
    client.delete("/good_names/30").expect(200).await;
    server.finish().await;
}

#[tokio::test]
async fn what_is_rehearsed_is_undone() {
    let database = Database::with(&format!("{TABLES};{SHOP}")).await;
    let server = TestServer::start(database, |config| config.api.tx_rollback = true).await;
    let client = server.client(1, 1);
    let rehearsed = client
        .post("/goods", json!([{"id": 40, "name": "rehearsed"}]))
        .header("prefer", "tx=rollback, return=representation");
    let rehearsed = rehearsed.expect(201).await;
    assert_eq!(rehearsed.json()[0]["name"], "rehearsed");
    assert_eq!(
        rehearsed.header("preference-applied"),
        "return=representation, tx=rollback"
    );
    assert_eq!(goods(&server, 1).await.len(), 1);
    server.finish().await;
}
