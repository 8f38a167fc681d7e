//! Writes as HTTP has them: statuses, locations, preferences, conditions, problems.

use crate::{
    http_routes::TABLES,
    support::{Database, TestServer},
};
use serde_json::json;

const UNIQUE: &str = "alter table tickets add unique (organization_id, subject)";

async fn server() -> TestServer {
    TestServer::start(Database::with(&format!("{TABLES};{UNIQUE}")).await, |_| ()).await
}

#[tokio::test]
async fn a_create_says_where_the_row_is_and_what_it_is() {
    let server = server().await;
    let client = server.client(1, 1);
    let created = client
        .post("/tickets", json!({"subject": "new"}))
        .expect(201)
        .await;
    let row = created.json();
    assert_eq!(row["subject"], "new");
    assert_eq!(row["organization_id"], 1);
    let location = created.header("location");
    assert_eq!(location, format!("/tickets/{}", row["id"]));
    let read = client.get(location).expect(200).await;
    assert_eq!(read.json(), row);
    assert_eq!(read.header("etag"), created.header("etag"));
    assert!(read.version() >= created.version());
    assert!(!created.header("cursor").is_empty());
    server.client(2, 1).get(location).expect(404).await;
    // A table of a name of ours is elsewhere.
    let created = client
        .post("/resources/health", json!({"id": 7}))
        .expect(201)
        .await;
    assert_eq!(created.header("location"), "/resources/health/7");
    client.get("/resources/health/7").expect(200).await;
    let several = client.post("/tickets", json!([{"subject": "a"}, {"subject": "b"}]));
    let several = several.expect(201).await;
    assert_eq!(several.json()[1]["subject"], "b");
    assert_eq!(several.header("location"), "");
    server.finish().await;
}

#[tokio::test]
async fn updates_and_deletes_answer_the_row() {
    let server = server().await;
    let client = server.client(1, 1);
    let updated = client
        .patch("/tickets/1", json!({"subject": "x"}))
        .expect(200)
        .await;
    assert_eq!(updated.json()["subject"], "x");
    assert!(updated.version() > 0);
    assert_eq!(updated.header("location"), "");
    let replaced = client
        .put("/tickets/1", json!({"subject": "y"}))
        .expect(200)
        .await;
    assert_eq!(replaced.json()["subject"], "y");
    let created = client
        .put("/tickets/5000", json!({"subject": "z"}))
        .expect(201)
        .await;
    assert_eq!(created.header("location"), "/tickets/5000");
    let deleted = client.delete("/tickets/5000").expect(200).await;
    assert_eq!(deleted.json()["subject"], "z");
    client.delete("/tickets/5000").expect(404).await.problem();
    let filtered = client
        .patch("/tickets?id=in.(2,3,31)", json!({}))
        .send()
        .await;
    assert!(
        filtered.status.is_success() || filtered.status == 400,
        "{}",
        filtered.text()
    );
    let removed = client.delete("/tickets?id=in.(2,3,31)").expect(200).await;
    assert_eq!(
        removed.json().as_array().unwrap().len(),
        2,
        "not another organization's"
    );
    client.delete("/tickets").expect(400).await.problem();
    server.finish().await;
}

#[tokio::test]
async fn preferences_choose_what_a_write_answers() {
    let server = server().await;
    let client = server.client(1, 1);
    let minimal = client
        .post("/tickets", json!({"subject": "m"}))
        .header("prefer", "return=minimal");
    let minimal = minimal.expect(201).await;
    assert!(minimal.body.is_empty());
    assert_eq!(minimal.header("preference-applied"), "return=minimal");
    assert!(minimal.header("location").starts_with("/tickets/"));
    let array = client
        .post("/tickets", json!({"subject": "r"}))
        .header("prefer", "return=representation");
    let array = array.expect(201).await;
    assert_eq!(array.json()[0]["subject"], "r");
    assert_eq!(array.header("preference-applied"), "return=representation");
    for (method, path) in [
        ("PATCH", "/tickets/1"),
        ("PUT", "/tickets/1"),
        ("DELETE", "/tickets/1"),
    ] {
        let call = client
            .request(method, path)
            .header("prefer", "return=minimal");
        let call = match method {
            "DELETE" => call,
            _ => call.json(json!({"subject": method})),
        };
        assert!(call.expect(204).await.body.is_empty());
    }
    let merge = client
        .post(
            "/tickets",
            json!([{"id": 2, "subject": "two"}, {"id": 7001, "subject": "new"}]),
        )
        .header("prefer", "resolution=merge-duplicates");
    let merge = merge.expect(201).await;
    assert_eq!(merge.json()[0]["subject"], "two");
    assert_eq!(
        merge.header("preference-applied"),
        "resolution=merge-duplicates"
    );
    server.finish().await;
}

#[tokio::test]
async fn a_minimal_answer_can_be_the_default() {
    let server = TestServer::start(Database::with(TABLES).await, |config| {
        config.api.write_answer = rowcast::config::WriteAnswer::Minimal;
    })
    .await;
    let client = server.client(1, 1);
    let created = client
        .post("/tickets", json!({"subject": "m"}))
        .expect(201)
        .await;
    assert!(created.body.is_empty());
    assert_eq!(created.header("preference-applied"), "");
    client
        .patch("/tickets/1", json!({"subject": "x"}))
        .expect(204)
        .await;
    let asked = client
        .patch("/tickets/1", json!({"subject": "y"}))
        .header("prefer", "return=representation");
    assert_eq!(asked.expect(200).await.json()[0]["subject"], "y");
    server.finish().await;
}

#[tokio::test]
async fn a_write_may_depend_on_the_state_of_the_row() {
    let server = server().await;
    let client = server.client(1, 1);
    let tag = client
        .get("/tickets/1")
        .expect(200)
        .await
        .header("etag")
        .to_owned();
    let patch = |tag: &str| {
        client
            .patch("/tickets/1", json!({"subject": "x"}))
            .header("if-match", tag)
    };
    let stale = patch("\"1\", \"nothing\"").expect(412).await;
    assert_eq!(stale.problem()["type"], "precondition-failed");
    let changed = patch(&tag).expect(200).await;
    assert_ne!(changed.header("etag"), tag);
    patch(&tag).expect(412).await;
    patch("*").expect(200).await;
    assert_eq!(
        patch("x").expect(400).await.problem()["type"],
        "header-malformed"
    );
    let stale = client.delete("/tickets/1").header("if-match", &tag);
    stale.expect(412).await;
    let many = client.delete("/tickets?id=eq.1").header("if-match", &tag);
    assert_eq!(many.expect(501).await.problem()["type"], "not-supported");
    let none = client
        .put("/tickets/1", json!({"subject": "x"}))
        .header("if-none-match", "*");
    assert_eq!(
        none.expect(412).await.problem()["type"],
        "precondition-failed"
    );
    let new = client
        .put("/tickets/6001", json!({"subject": "none"}))
        .header("if-none-match", "*");
    let tag = new.expect(201).await.header("etag").to_owned();
    for (status, tag) in [(412, tag.as_str()), (200, "\"1\"")] {
        let other = client
            .patch("/tickets/6001", json!({"subject": "some"}))
            .header("if-none-match", tag);
        other.expect(status).await;
    }
    server.finish().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_write_is_a_problem() {
    let server = server().await;
    let client = server.client(1, 1);
    let json = |method: &str, path: &str, body: &str| {
        let call = client.request(method, path).body(body.to_owned());
        call.header("content-type", "application/json")
    };
    for (method, path, body, status, kind) in [
        ("POST", "/tickets", "{", 400, "body-malformed"),
        ("POST", "/tickets", "", 400, "body-malformed"),
        ("POST", "/tickets", "7", 400, "body-malformed"),
        ("PATCH", "/tickets/1", "[1]", 400, "body-malformed"),
        (
            "POST",
            "/tickets",
            r#"{"nothing":1}"#,
            400,
            "column-unknown",
        ),
        (
            "POST",
            "/tickets",
            r#"{"id":"x","subject":"a"}"#,
            400,
            "value-invalid",
        ),
        ("POST", "/nothing", "{}", 404, "resource-unknown"),
        ("PATCH", "/tickets/x", "{}", 400, "value-invalid"),
        (
            "PATCH",
            "/tickets/31",
            r#"{"subject":"a"}"#,
            404,
            "row-unknown",
        ),
        (
            "POST",
            "/tickets",
            r#"{"subject":"a","organization_id":2}"#,
            403,
            "organization-not-allowed",
        ),
        (
            "POST",
            "/tickets",
            r#"{"subject":null}"#,
            400,
            "constraint-violation",
        ),
        (
            "POST",
            "/tickets",
            r#"{"subject":"ticket 1"}"#,
            409,
            "unique-violation",
        ),
    ] {
        let answer = json(method, path, body).expect(status).await;
        assert_eq!(answer.problem()["type"], kind, "{method} {path} {body}");
    }
    let unique = json("POST", "/tickets", r#"{"subject":"ticket 1"}"#)
        .send()
        .await
        .problem();
    assert_eq!(unique["code"], "23505");
    let action = json("POST", "/tickets", r#"{"subject":"a"}"#).header("action-id", "a b");
    assert_eq!(
        action.expect(400).await.problem()["type"],
        "header-malformed"
    );
    let count = "select count(*) from tickets";
    assert_eq!(
        server.database.value(count).await,
        "60",
        "nothing was written"
    );
    server.finish().await;
}

#[tokio::test]
async fn a_name_needs_percent_encoding_only_in_paths() {
    let tables = r#"create table "Weird näme/x" (
        "the key" text primary key, organization_id bigint not null)"#;
    let server = TestServer::start(Database::with(tables).await, |_| ()).await;
    let client = server.client(1, 1);
    let path = "/Weird%20n%C3%A4me%2Fx";
    let created = client
        .post(path, json!({"the key": "a/b, c?"}))
        .expect(201)
        .await;
    let location = created.header("location").to_owned();
    assert!(location.starts_with(path), "{location}");
    assert_eq!(
        client.get(&location).expect(200).await.json()["the key"],
        "a/b, c?"
    );
    client.delete(&location).expect(200).await;
    assert_eq!(
        client.get("/%ff").expect(404).await.problem()["type"],
        "route-unknown"
    );
    server.finish().await;
}
