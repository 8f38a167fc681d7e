//! Several writes in one transaction.

use super::*;
use crate::support::{Client, Transport, http::Call};
use serde_json::{Value, json};

fn batch(client: &Client, writes: Value) -> Call {
    client.post("/batch", json!({ "writes": writes }))
}

/// A ticket with its messages, a change to another, and one that goes.
fn several() -> Value {
    json!([
        { "method": "POST", "path": "/tickets", "body": { "id": 900, "subject": "batch" } },
        { "method": "POST", "path": "/messages", "body": [
            { "id": 1, "ticket_id": 900, "body": "one" },
            { "id": 2, "ticket_id": 900, "body": "two" }
        ] },
        { "method": "PATCH", "path": "/resources/tickets/900?select=id,note", "body": { "note": "later" } },
        { "method": "PUT", "path": "/tickets/101", "body": { "subject": "put" },
          "headers": { "Prefer": "return=minimal" } },
        { "method": "DELETE", "path": "/tickets/102" },
        { "method": "PATCH", "path": "/tickets?id=in.(103,203)", "body": { "note": "both?" } },
        { "method": "POST", "path": "/tickets", "body": { "subject": "minimal" },
          "headers": { "prefer": "return=representation" } }
    ])
}

#[tokio::test]
async fn writes_of_a_batch_happen_together_and_see_each_other() {
    let server = server().await;
    let client = server.client(1, 1);
    let call = || batch(&client, several()).header("action-id", "a1");
    let answer = call().expect(200).await;
    let answers = answer.json();
    assert_eq!(answers.as_array().unwrap().len(), 7);
    let statuses: Vec<_> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["status"])
        .collect();
    assert_eq!(statuses, [201, 201, 200, 204, 200, 200, 201]);
    // The first answer is of the end, like all others.
    assert_eq!(
        answers[0]["body"],
        json!({ "id": 900, "organization_id": 1, "subject": "batch", "note": "later" })
    );
    assert_eq!(answers[0]["location"], "/tickets/900");
    assert_eq!(answers[1]["body"][1]["body"], "two");
    assert_eq!(answers[2]["body"], json!({ "id": 900, "note": "later" }));
    assert_eq!(
        answers[3],
        json!({ "status": 204, "etag": answers[3]["etag"] })
    );
    assert_eq!(answers[4]["body"]["subject"], "ticket 2");
    assert_eq!(answers[5]["body"].as_array().unwrap().len(), 1);
    let id = &answers[6]["body"][0]["id"];
    assert_eq!(answers[6]["location"], format!("/tickets/{id}"));
    let read = client.get("/tickets/900").expect(200).await;
    assert_eq!(answers[0]["etag"], read.header("etag"));
    assert!(answer.version() > 0 && !answer.header("cursor").is_empty());

    let again = call().expect(200).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    let mut expected = answers.clone();
    expected[4]["body"] = json!({ "id": 102 });
    assert_eq!(again.json(), expected);
    let count = "select count(*) from tickets where organization_id = 1";
    assert_eq!(server.database.value(count).await, "6");
    assert_eq!(
        server
            .database
            .value("select count(*) from rowcast.actions")
            .await,
        "1"
    );
    let other = batch(&client, json!([several()[0]])).header("action-id", "a1");
    other.expect(422).await.problem();
    server.finish().await;
}

#[tokio::test]
async fn one_write_that_fails_undoes_all_and_is_named() {
    let server = server().await;
    let client = server.client(1, 1);
    let state = "select md5(string_agg(t::text, ';' order by id)) from tickets t";
    let before = server.database.value(state).await;
    let good = json!({ "method": "POST", "path": "/tickets", "body": { "subject": "good" } });
    let write = |method: &str, path: &str, body: Value| json!({ "method": method, "path": path, "body": body });
    for (bad, status, kind) in [
        (
            write("POST", "/tickets", json!({ "subject": "good" })),
            409,
            "unique-violation",
        ),
        (
            write("POST", "/tickets", json!({ "subject": null })),
            400,
            "constraint-violation",
        ),
        (
            write("POST", "/tickets", json!({ "nothing": 1 })),
            400,
            "column-unknown",
        ),
        (
            write("POST", "/nothing", json!({})),
            404,
            "resource-unknown",
        ),
        (
            write("PATCH", "/tickets/9999", json!({ "note": "x" })),
            404,
            "row-unknown",
        ),
        // Another organization's rows: as if they were not there.
        (
            write("PATCH", "/tickets/201", json!({ "note": "x" })),
            404,
            "row-unknown",
        ),
        (
            write("DELETE", "/tickets/201", Value::Null),
            404,
            "row-unknown",
        ),
        (
            write(
                "POST",
                "/messages",
                json!({ "ticket_id": 201, "body": "x" }),
            ),
            409,
            "reference-violation",
        ),
        (
            write(
                "POST",
                "/messages",
                json!({ "ticket_id": 9999, "body": "x" }),
            ),
            409,
            "reference-violation",
        ),
        (
            write(
                "POST",
                "/tickets",
                json!({ "subject": "x", "organization_id": 2 }),
            ),
            403,
            "organization-not-allowed",
        ),
        (
            json!({ "method": "PATCH", "path": "/tickets/101" }),
            400,
            "body-malformed",
        ),
        (
            json!({ "method": "GET", "path": "/tickets" }),
            501,
            "not-supported",
        ),
        (
            json!({ "method": "PUT", "path": "/tickets", "body": {} }),
            405,
            "method-not-allowed",
        ),
        (
            json!({ "method": "DELETE", "path": "/tickets" }),
            400,
            "query-malformed",
        ),
        (
            json!({ "method": "DELETE", "path": "tickets/101" }),
            404,
            "route-unknown",
        ),
        (
            json!({ "method": "DELETE", "path": "/a/b/c" }),
            404,
            "route-unknown",
        ),
        (json!({ "method": "DELETE" }), 400, "body-malformed"),
        (
            json!({ "method": "DELETE", "path": "/tickets/101", "x": 1 }),
            400,
            "body-malformed",
        ),
        (
            json!({ "method": "DELETE", "path": "/tickets/101", "headers": { "action-id": "x" } }),
            501,
            "not-supported",
        ),
        (
            json!({ "method": "DELETE", "path": "/tickets/101", "headers": { "if-match": "\"0\"" } }),
            412,
            "precondition-failed",
        ),
    ] {
        let call = batch(&client, json!([good, bad, good])).header("action-id", "a1");
        let answer = call.send().await;
        assert_eq!(answer.status, status, "{bad}: {}", answer.text());
        let problem = answer.problem();
        assert_eq!(
            (&problem["type"], &problem["index"]),
            (&json!(kind), &json!(1)),
            "{bad}"
        );
        assert_eq!(server.database.value(state).await, before, "{bad}");
    }
    assert_eq!(
        server
            .database
            .value("select count(*) from rowcast.actions")
            .await,
        "0"
    );
    batch(&client, json!([good]))
        .header("action-id", "a1")
        .expect(200)
        .await;
    server.finish().await;
}

#[tokio::test]
async fn what_is_no_batch_is_refused_as_a_whole() {
    let database = Database::with(TABLES).await;
    let server = TestServer::start(database, |config| config.limits.batch_writes_max = 2).await;
    let client = server.client(1, 1);
    let write = json!({ "method": "PATCH", "path": "/tickets/101", "body": {} });
    for (body, status, kind) in [
        (json!({ "writes": [] }), 400, "body-malformed"),
        (json!([write]), 400, "body-malformed"),
        (json!({ "writes": [write], "x": 1 }), 400, "body-malformed"),
        (
            json!({ "writes": [write, write, write] }),
            413,
            "body-too-large",
        ),
    ] {
        let answer = client.post("/batch", body).expect(status).await;
        let problem = answer.problem();
        assert_eq!(problem["type"], kind);
        assert!(problem.get("index").is_none());
    }
    batch(&client, json!([write, write])).expect(200).await;
    let conditional = batch(&client, json!([write])).header("if-match", "*");
    conditional.expect(501).await.problem();
    client.get("/batch").expect(405).await.problem();
    let minimal = batch(&client, json!([write])).header("prefer", "return=minimal");
    let minimal = minimal.expect(200).await.json();
    assert!(minimal[0].get("body").is_none());
    client
        .anonymous()
        .post("/batch", json!({ "writes": [write] }))
        .expect(401)
        .await;
    server.finish().await;
}

#[tokio::test]
async fn a_row_that_comes_and_goes_in_a_batch_is_not_shown() {
    let server = server().await;
    let client = server.client(1, 1);
    let writes = json!([
        { "method": "POST", "path": "/tickets", "body": { "id": 900, "subject": "short" } },
        { "method": "POST", "path": "/tickets", "body": [{ "id": 901, "subject": "a" }, { "id": 902, "subject": "b" }] },
        { "method": "DELETE", "path": "/tickets?id=in.(900,902)" }
    ]);
    let answers = batch(&client, writes).expect(200).await.json();
    assert_eq!(
        answers[0],
        json!({ "status": 201, "location": "/tickets/900" })
    );
    assert_eq!(answers[1]["body"].as_array().unwrap().len(), 1);
    assert_eq!(answers[2]["body"].as_array().unwrap().len(), 2);
    server.finish().await;
}

#[tokio::test]
async fn the_feed_tells_a_batch_as_one_and_names_its_action() {
    let server = server().await;
    let (client, other) = (server.client(1, 1), server.client(2, 1));
    let mut channel = client.channel(Transport::WebSocket, "tab").await;
    channel.expect("open").await;
    let mut theirs = other.channel(Transport::WebSocket, "tab").await;
    theirs.expect("open").await;
    batch(&client, several())
        .header("action-id", "a1")
        .expect(200)
        .await;
    let mut seen = Vec::new();
    loop {
        let change = channel.expect("change").await;
        assert_eq!(change["action_id"], "a1");
        seen.push(format!(
            "{} {} {}",
            change["op"], change["resource"], change["id"]
        ));
        // One transaction is one batch, and its last change has the cursor.
        if change["cursor"].is_string() {
            break;
        }
    }
    seen.sort();
    assert_eq!(seen.len(), 7, "{seen:?}");
    assert_eq!(seen.iter().filter(|it| it.contains("insert")).count(), 4);
    other
        .patch("/tickets/205", json!({ "note": "x" }))
        .expect(200)
        .await;
    assert_eq!(theirs.expect("change").await["id"], 205);
    server.finish().await;
}
