//! What is answered to an action that is done already, and what is not taken for it.

use super::*;
use crate::support::{Client, Transport, http::Call};
use serde_json::{Value, json};

/// Requests of every kind that write, each with its own row.
fn calls(client: &Client) -> Vec<(&'static str, Call)> {
    let minimal = |call: Call| call.header("prefer", "return=minimal");
    let new = |subject: &str| json!({ "subject": subject });
    vec![
        ("create", client.post("/tickets", new("new"))),
        (
            "create many",
            client.post("/tickets", json!([new("a"), new("b")])),
        ),
        ("create none", client.post("/tickets", json!([]))),
        (
            "create minimally",
            minimal(client.post("/tickets", new("m"))),
        ),
        (
            "create as represented",
            client
                .post("/tickets", new("r"))
                .header("prefer", "return=representation"),
        ),
        (
            "update",
            client.patch("/tickets/101", json!({ "note": "x" })),
        ),
        ("update nothing", client.patch("/tickets/101", json!({}))),
        (
            "update minimally",
            minimal(client.patch("/tickets/101", json!({ "note": "y" }))),
        ),
        (
            "replace",
            client.put("/tickets/102", json!({ "subject": "put" })),
        ),
        (
            "replace none",
            client.put("/tickets/170", json!({ "subject": "put new" })),
        ),
        (
            "update many",
            client.patch("/tickets?id=in.(101,102)", json!({ "note": "z" })),
        ),
        (
            "update none",
            client.patch("/tickets?id=eq.9999", json!({ "note": "z" })),
        ),
    ]
}

#[tokio::test]
async fn a_write_that_is_repeated_answers_the_same_and_does_nothing() {
    let server = server().await;
    let client = server.client(1, 1);
    let state = "select string_agg(t::text, ';' order by id) from tickets t";
    for (place, (what, call)) in calls(&client).into_iter().enumerate() {
        let first = call.header("action-id", &format!("a{place}")).send().await;
        assert!(first.status.is_success(), "{what}: {}", first.text());
        let (_, again) = calls(&client).swap_remove(place);
        let before = server.database.value(state).await;
        let again = again.header("action-id", &format!("a{place}")).send().await;
        repeats(&again, &first);
        assert_eq!(again.body, first.body, "{what}");
        assert_eq!(again.header("etag"), first.header("etag"), "{what}");
        assert_eq!(server.database.value(state).await, before, "{what}");
    }
    let recorded = "select count(*) from rowcast.actions";
    assert_eq!(
        server.database.value(recorded).await,
        calls(&client).len().to_string()
    );
    server.finish().await;
}

#[tokio::test]
async fn a_delete_that_is_repeated_answers_the_keys() {
    let server = server().await;
    let client = server.client(1, 1);
    let delete = |path: &str, action: &str| client.delete(path).header("action-id", action);
    let first = delete("/tickets/101", "one").expect(200).await;
    assert_eq!(first.json()["subject"], "ticket 1");
    let again = delete("/tickets/101", "one").expect(200).await;
    repeats(&again, &first);
    assert_eq!(again.json(), json!({ "id": 101 }));
    delete("/tickets/101", "two").expect(404).await;
    let first = delete("/tickets?id=in.(102,103,201)", "many")
        .expect(200)
        .await;
    assert_eq!(first.json().as_array().unwrap().len(), 2);
    let again = delete("/tickets?id=in.(102,103,201)", "many")
        .expect(200)
        .await;
    repeats(&again, &first);
    assert_eq!(again.json(), json!([{ "id": 102 }, { "id": 103 }]));
    let minimal = || delete("/tickets/104", "minimal").header("prefer", "return=minimal");
    let first = minimal().expect(204).await;
    repeats(&minimal().expect(204).await, &first);
    server.finish().await;
}

#[tokio::test]
async fn a_repeat_answers_the_rows_as_they_are_by_then() {
    let server = server().await;
    let client = server.client(1, 1);
    let create = || {
        client
            .post("/tickets", json!({ "subject": "new" }))
            .header("action-id", "create")
    };
    let update = || {
        client
            .patch("/tickets/101", json!({ "note": "mine" }))
            .header("action-id", "update")
    };
    let many = || {
        client
            .patch("/tickets?id=in.(102,103)", json!({ "note": "ours" }))
            .header("action-id", "many")
    };
    let created = create().expect(201).await;
    let id = created.json()["id"].to_string();
    update().expect(200).await;
    many().expect(200).await;
    server
        .database
        .execute("update tickets set note = 'theirs'")
        .await;
    assert_eq!(create().expect(201).await.json()["note"], "theirs");
    assert_eq!(update().expect(200).await.json()["note"], "theirs");
    let gone = format!("delete from tickets where id in ({id}, 101, 103)");
    server.database.execute(&gone).await;
    // Nothing is left to show: the status says that it is done, and where it would be.
    let again = create().expect(201).await;
    assert_eq!((again.text(), again.header("etag")), (String::new(), ""));
    assert_eq!(again.header("location"), format!("/tickets/{id}"));
    assert!(update().expect(204).await.body.is_empty());
    let left = many().expect(200).await.json();
    assert_eq!(left.as_array().unwrap().len(), 1);
    assert_eq!(
        (&left[0]["id"], &left[0]["note"]),
        (&json!(102), &json!("theirs"))
    );
    server.finish().await;
}

#[tokio::test]
async fn another_request_under_the_same_name_is_refused() {
    let server = server().await;
    let client = server.client(1, 1);
    let named = |call: Call| call.header("action-id", "a1");
    let patch = |body: Value| named(client.patch("/tickets/101", body));
    let tag = client.get("/tickets/101").expect(200).await;
    let tag = tag.header("etag").to_owned();
    let first = || patch(json!({ "note": "x" })).header("if-match", &tag);
    first().expect(200).await;
    for (what, other) in [
        (
            "body",
            patch(json!({ "note": "y" })).header("if-match", &tag),
        ),
        ("condition", patch(json!({ "note": "x" }))),
        ("preference", first().header("prefer", "return=minimal")),
        (
            "path",
            named(
                client
                    .patch("/tickets/102", json!({ "note": "x" }))
                    .header("if-match", &tag),
            ),
        ),
        (
            "method",
            named(
                client
                    .put("/tickets/101", json!({ "note": "x" }))
                    .header("if-match", &tag),
            ),
        ),
        (
            "query",
            named(
                client
                    .patch("/tickets/101?select=id", json!({ "note": "x" }))
                    .header("if-match", &tag),
            ),
        ),
    ] {
        // A PUT of that body would be refused anyway; what counts is that none is carried out.
        let answer = other.send().await;
        assert_eq!(answer.status, 422, "{what}: {}", answer.text());
        assert_eq!(answer.problem()["type"], "action-reused", "{what}");
    }
    // The condition held when it was done; that the row has changed since, by this very write, says nothing.
    let again = first().expect(200).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    let count = "select count(*) from tickets where note is not null";
    assert_eq!(server.database.value(count).await, "1");
    server.finish().await;
}

#[tokio::test]
async fn what_fails_leaves_nothing_and_may_run_again() {
    let deferred =
        "alter table tickets add unique (organization_id, note) deferrable initially deferred";
    let database = Database::with(&format!("{TABLES}; {deferred}")).await;
    let server = TestServer::start(database, |_| ()).await;
    let client = server.client(1, 1);
    let create = || {
        client
            .post("/tickets", json!({ "subject": "ticket 1" }))
            .header("action-id", "a1")
    };
    let missing = || {
        client
            .patch("/tickets/199", json!({ "note": "x" }))
            .header("action-id", "a2")
    };
    create().expect(409).await.problem();
    create().expect(409).await.problem();
    missing().expect(404).await.problem();
    let recorded = "select count(*) from rowcast.actions";
    assert_eq!(server.database.value(recorded).await, "0");
    server
        .database
        .execute("delete from tickets where id = 101; insert into tickets values (199, 1, 'late')")
        .await;
    let created = create().expect(201).await;
    repeats(&create().expect(201).await, &created);
    missing().expect(200).await;
    // The constraint is looked at when the transaction commits.
    server
        .database
        .execute("update tickets set note = 'taken' where id = 102")
        .await;
    let taken = || {
        client
            .patch("/tickets/103", json!({ "note": "taken" }))
            .header("action-id", "a3")
    };
    taken().expect(409).await.problem();
    server
        .database
        .execute("update tickets set note = null where id = 102")
        .await;
    let first = taken().expect(200).await;
    repeats(&taken().expect(200).await, &first);
    server.finish().await;
}

#[tokio::test]
async fn the_change_names_the_action_and_comes_once() {
    let server = server().await;
    let client = server.client(1, 1);
    let mut channel = client.channel(Transport::WebSocket, "tab").await;
    channel.expect("open").await;
    for _ in 0..3 {
        let call = client.patch("/tickets?id=in.(101,102)", json!({ "note": "x" }));
        call.header("action-id", "a1").expect(200).await;
    }
    client
        .patch("/tickets/105", json!({ "note": "end" }))
        .expect(200)
        .await;
    let (mut ids, mut change) = (Vec::new(), channel.expect("change").await);
    while change["id"] != 105 {
        assert_eq!(change["action_id"], "a1");
        ids.push(change["id"].clone());
        change = channel.expect("change").await;
    }
    ids.sort_by_key(Value::to_string);
    assert_eq!(ids, [101, 102]);
    assert!(change.get("action_id").is_none());
    server.finish().await;
}

#[tokio::test]
async fn names_that_are_none_are_refused() {
    let server = server().await;
    let client = server.client(1, 1);
    for bad in ["a b", "", "\u{e4}", &"x".repeat(129)] {
        let call = client.patch("/tickets/101", json!({ "note": "x" }));
        let refused = call.header("action-id", bad).expect(400).await;
        assert_eq!(refused.problem()["type"], "header-malformed", "{bad:?}");
    }
    let longest = "~".repeat(128);
    let call = client.patch("/tickets/101", json!({ "note": "x" }));
    call.header("action-id", &longest).expect(200).await;
    server.finish().await;
}
