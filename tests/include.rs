//! Related rows beside the rows: flat, typed, each once, all of one state.

use crate::support::{Client, Database, TestServer, Transport};
use serde_json::{Value, json};
use std::collections::HashSet;

async fn object(client: &Client, path: &str) -> Value {
    client.get(path).expect(200).await.json()
}

fn ids(rows: &Value) -> Vec<i64> {
    let rows = rows.as_array().expect("an array").iter();
    rows.map(|it| it["id"].as_i64().expect("an id")).collect()
}

fn values(rows: &Value, column: &str) -> HashSet<i64> {
    let rows = rows.as_array().expect("an array").iter();
    rows.filter_map(|it| it[column].as_i64()).collect()
}

fn list(ids: impl IntoIterator<Item = i64>) -> String {
    let ids: Vec<String> = ids.into_iter().map(|it| it.to_string()).collect();
    ids.join(",")
}

#[tokio::test]
async fn each_related_row_comes_once_under_its_own_resource() {
    let server = TestServer::helpdesk().await;
    let client = server.client(1, 1);
    let query = "/tickets?status=eq.open&order=id&limit=25";
    let found = object(
        &client,
        &format!("{query}&include=messages(users),contacts,notes,labels"),
    )
    .await;
    let tickets = &found["tickets"];
    assert_eq!(
        *tickets,
        object(&client, query).await,
        "the rows themselves are the same"
    );
    // What each ticket has one of, then what it has many of, then what hangs on these.
    let answer = client
        .get(&format!("{query}&include=messages(users),contacts,notes"))
        .expect(200)
        .await;
    let text = answer.text();
    let at = |name: &str| text.find(&format!("\"{name}\":[")).expect(name);
    assert!(at("tickets") < at("contacts") && at("contacts") < at("messages"));
    assert!(at("messages") < at("notes") && at("notes") < at("users"));
    // As they come when they are asked for by their keys.
    let of_tickets = list(ids(tickets));
    for (name, path) in [
        (
            "contacts",
            format!("/contacts?id=in.({})", list(values(tickets, "contact_id"))),
        ),
        ("messages", format!("/messages?ticket_id=in.({of_tickets})")),
        ("notes", format!("/notes?ticket_id=in.({of_tickets})")),
        (
            "users",
            format!(
                "/users?id=in.({})",
                list(values(&found["messages"], "user_id"))
            ),
        ),
    ] {
        let mut included = found[name].as_array().expect(name).clone();
        let mut asked = object(&client, &path).await.as_array().unwrap().clone();
        included.sort_by_key(|it| it["id"].as_i64());
        asked.sort_by_key(|it| it["id"].as_i64());
        assert!(!asked.is_empty(), "{name}");
        assert_eq!(included, asked, "{name}");
    }
    let pairs = object(
        &client,
        &format!("/ticket_labels?ticket_id=in.({of_tickets})"),
    )
    .await;
    let labels: HashSet<i64> = ids(&found["labels"]).into_iter().collect();
    assert_eq!(labels, values(&pairs, "label_id"));
    assert_eq!(labels.len(), found["labels"].as_array().unwrap().len());
    server.finish().await;
}

#[tokio::test]
async fn a_second_organization_sees_nothing_of_it() {
    let server = TestServer::helpdesk().await;
    let (mine, theirs) = (server.client(1, 1), server.client(2, 1));
    let include = "include=contacts,messages(users),notes,events,labels,mailboxes";
    let tickets = ids(&object(&mine, "/tickets?order=id&limit=10").await);
    let path = format!("/tickets?id=in.({})&{include}", list(tickets));
    let found = object(&theirs, &path).await;
    for (name, rows) in found.as_object().unwrap() {
        assert_eq!(*rows, json!([]), "{name}");
    }
    let own = object(&theirs, &format!("/tickets?limit=10&{include}")).await;
    for (name, rows) in own.as_object().unwrap() {
        for row in rows.as_array().unwrap() {
            assert_eq!(row["organization_id"], 2, "{name}");
        }
    }
    // What refers across the fence, as only a program past the server can make it.
    let ticket = own["tickets"][0]["id"].as_i64().unwrap();
    let contact = object(&mine, "/contacts?limit=1").await[0]["id"]
        .as_i64()
        .unwrap();
    server
        .database
        .execute(&format!(
            "update tickets set contact_id = {contact} where id = {ticket}"
        ))
        .await;
    let found = object(
        &theirs,
        &format!("/tickets?id=eq.{ticket}&include=contacts"),
    )
    .await;
    assert_eq!(found["tickets"][0]["contact_id"], contact);
    assert_eq!(found["contacts"], json!([]));
    let found = object(&mine, &format!("/contacts?id=eq.{contact}&include=tickets")).await;
    assert!(!ids(&found["tickets"]).contains(&ticket));
    server.finish().await;
}

#[tokio::test]
async fn rows_of_every_resource_are_streamed_from_one_state() {
    let server = TestServer::helpdesk().await;
    let client = server.client(1, 1);
    let mut channel = client.channel(Transport::WebSocket, "tab").await;
    channel.expect("open").await;
    let path = "/tickets?order=id&limit=30&include=contacts,messages,notes";
    let call = client.get(path).header("request-id", "r1");
    call.header("channel-id", "tab").expect(202).await;
    let (events, done) = channel.until("done").await;
    let plain = object(&client, path).await;
    let mut expected = Vec::new();
    for name in ["tickets", "contacts", "messages", "notes"] {
        let rows = plain[name].as_array().unwrap();
        expected.extend(rows.iter().map(|row| (name.to_owned(), row.clone())));
    }
    let mut streamed: Vec<(String, Value)> = events
        .iter()
        .map(|it| {
            (
                it["resource"].as_str().unwrap().to_owned(),
                it["row"].clone(),
            )
        })
        .collect();
    // The resources one after the other; inside of one, no order was asked for but the tickets'.
    let names = |rows: &[(String, Value)]| rows.iter().map(|it| it.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(&streamed), names(&expected));
    assert_eq!(streamed[..30], expected[..30]);
    let key = |it: &(String, Value)| (it.0.clone(), it.1["id"].as_i64());
    streamed.sort_by_key(key);
    expected.sort_by_key(key);
    assert_eq!(streamed, expected);
    assert!(events.iter().all(|it| it.get("partial").is_none()));
    assert!(events.iter().all(|it| it["version"] == done["version"]));
    assert_eq!(done["rows"], events.len());
    channel.leave().await;
    server.finish().await;
}

#[tokio::test]
async fn a_row_brings_what_a_list_of_it_does() {
    let server = TestServer::helpdesk().await;
    let client = server.client(1, 1);
    let mut channel = client.channel(Transport::WebSocket, "tab").await;
    channel.expect("open").await;
    let ticket = ids(&object(&client, "/tickets?order=id&limit=1").await)[0];
    let include = "include=messages(users),contacts,notes";
    let sorted = |mut found: Value| {
        for (_, rows) in found.as_object_mut().expect("an object") {
            let rows = rows.as_array_mut().expect("an array");
            rows.sort_by_key(|it| it["id"].as_i64());
        }
        found
    };
    for (id, select) in [("whole", ""), ("selected", "select=id,subject&")] {
        let path = format!("/tickets/{ticket}?{select}{include}");
        let answer = client.get(&path).expect(200).await;
        assert!(answer.version() > 0 && answer.headers.get("etag").is_none());
        let found = sorted(answer.json());
        let list = format!("/tickets?id=eq.{ticket}&{select}{include}");
        assert_eq!(found, sorted(object(&client, &list).await));
        assert_eq!(ids(&found["tickets"]), [ticket]);
        assert!(!ids(&found["messages"]).is_empty() && !ids(&found["contacts"]).is_empty());
        // The same, asynchronously.
        let call = client.get(&path).header("request-id", id);
        call.header("channel-id", "tab").expect(202).await;
        let (events, done) = channel.until("done").await;
        let mut streamed =
            json!({"tickets": [], "messages": [], "users": [], "contacts": [], "notes": []});
        for event in &events {
            let rows = &mut streamed[event["resource"].as_str().unwrap()];
            rows.as_array_mut().unwrap().push(event["row"].clone());
            assert_eq!(event["version"], done["version"]);
        }
        assert_eq!(sorted(streamed), found);
        assert_eq!(done["rows"], events.len());
    }
    // What is not there brings nothing.
    client
        .get(&format!("/tickets/999999?{include}"))
        .expect(404)
        .await;
    let call = client.get("/tickets/999999?include=messages");
    let call = call.header("request-id", "r2").header("channel-id", "tab");
    call.expect(202).await;
    assert_eq!(channel.expect("done").await["rows"], 0);
    for (query, status) in [
        ("include=nothing", 400),
        ("include=messages&limit=1", 400),
        ("include=messages&modified_since=2020-01-01", 400),
    ] {
        let path = format!("/tickets/{ticket}?{query}");
        client.get(&path).expect(status).await;
    }
    let path = format!("/tickets/{ticket}?include=messages");
    let call = client.get(&path).header("accept", "text/csv");
    call.expect(406).await;
    // No tag names the state of all of it.
    let call = client.get(&path).header("if-match", "\"1\"");
    call.expect(412).await;
    channel.leave().await;
    server.finish().await;
}

#[tokio::test]
async fn a_row_brings_nothing_to_a_second_organization() {
    let server = TestServer::helpdesk().await;
    let (mine, theirs) = (server.client(1, 1), server.client(2, 1));
    let include = "include=contacts,messages(users),notes,events,labels";
    let ticket = ids(&object(&mine, "/tickets?order=id&limit=1").await)[0];
    let path = format!("/tickets/{ticket}?{include}");
    mine.get(&path).expect(200).await;
    let refused = theirs.get(&path).expect(404).await.problem();
    assert_eq!(refused["type"], "row-unknown");
    let missing = theirs.get(&format!("/tickets/999999?{include}"));
    assert_eq!(refused, missing.expect(404).await.problem());
    let mut channel = theirs.channel(Transport::Ndjson, "tab").await;
    channel.expect("open").await;
    let call = theirs.get(&path).header("request-id", "r1");
    call.header("channel-id", "tab").expect(202).await;
    assert_eq!(channel.expect("done").await["rows"], 0);
    // What refers across the fence, as only a program past the server can make it.
    let own = ids(&object(&theirs, "/tickets?limit=1").await)[0];
    let contact = ids(&object(&mine, "/contacts?limit=1").await)[0];
    server
        .database
        .execute(&format!(
            "update tickets set contact_id = {contact} where id = {own}"
        ))
        .await;
    let found = object(&theirs, &format!("/tickets/{own}?{include}")).await;
    assert_eq!(found["tickets"][0]["contact_id"], contact);
    assert_eq!(found["contacts"], json!([]));
    for (name, rows) in found.as_object().unwrap() {
        for row in rows.as_array().unwrap() {
            assert_eq!(row["organization_id"], 2, "{name}");
        }
    }
    let found = object(&mine, &format!("/contacts/{contact}?include=tickets")).await;
    assert!(!ids(&found["tickets"]).contains(&own));
    channel.leave().await;
    server.finish().await;
}

#[tokio::test]
async fn a_row_brings_what_its_reader_may_see() {
    let database = Database::with(
        "do $$ begin create role included_reader; exception when duplicate_object or unique_violation then null; end $$;
         grant included_reader to current_user;
         create table boxes (id int primary key, organization_id bigint not null);
         create table things (
             id int primary key, organization_id bigint not null, box_id int references boxes, owner text
         );
         alter table things enable row level security;
         create policy own on things using (
             owner = current_setting('request.jwt.claims', true)::jsonb ->> 'sub'
         );
         grant select on boxes, things to included_reader;
         insert into boxes values (1, 1);
         insert into things values (1, 1, 1, '1'), (2, 1, 1, '2'), (3, 2, 1, '1')",
    )
    .await;
    let server = TestServer::start(database, |config| {
        config.database.default_role = Some("included_reader".to_owned());
    })
    .await;
    for user in [1, 2] {
        let client = server.client(1, user);
        let found = object(&client, "/boxes/1?include=things").await;
        assert_eq!(ids(&found["boxes"]), [1]);
        assert_eq!(ids(&found["things"]), [user]);
    }
    server
        .client(2, 1)
        .get("/boxes/1?include=things")
        .expect(404)
        .await;
    server.finish().await;
}

#[tokio::test]
async fn what_cannot_be_included_is_refused_before_the_202() {
    let server = TestServer::helpdesk().await;
    let client = server.client(1, 1);
    for (path, status, code) in [
        ("/tickets?include=nothing", 400, "PGRST200"),
        ("/tickets?include=messages!nowhere", 400, "PGRST200"),
        ("/tickets?include=messages(nothing)", 400, "PGRST200"),
        ("/organizations?include=tickets", 404, "PGRST205"),
        ("/tickets?include=(", 400, "PGRST100"),
    ] {
        for asynchronous in [false, true] {
            let mut call = client.get(path);
            if asynchronous {
                call = call.header("request-id", "r1");
            }
            assert_eq!(call.expect(status).await.problem()["code"], code, "{path}");
        }
    }
    let many: Vec<&str> = std::iter::repeat_n("messages", 40).collect();
    let path = format!("/tickets?include={}", many.join(","));
    client.get(&path).expect(400).await;
    server.finish().await;
}

#[tokio::test]
async fn rows_that_lead_back_come_once() {
    let database = Database::with(
        "create table nodes (
             id int primary key, organization_id bigint not null, parent_id int references nodes
         );
         insert into nodes values (1, 1, null), (2, 1, 1), (3, 1, 1), (4, 1, 2), (5, 2, 2), (6, 1, 5)",
    )
    .await;
    let server = TestServer::start(database, |_| ()).await;
    let client = server.client(1, 1);
    let found = object(
        &client,
        "/nodes?id=in.(1,2)&order=id&include=nodes(nodes),parent_id",
    )
    .await;
    let mut all = ids(&found["nodes"]);
    assert_eq!(all[..2], [1, 2], "its own rows first");
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4]);
    assert_eq!(found.as_object().unwrap().len(), 1);
    // A reference to another organization's row leads nowhere.
    let found = object(&client, "/nodes?id=eq.6&include=parent_id").await;
    assert_eq!(ids(&found["nodes"]), [6]);
    // Rows that are less than whole do not stand for those that are included.
    let found = object(&client, "/nodes?id=eq.2&select=id&include=parent_id(nodes)").await;
    assert_eq!(found["nodes"][0], json!({"id": 2}));
    let mut rest = ids(&found["nodes"])[1..].to_vec();
    rest.sort_unstable();
    assert_eq!(rest, [1, 2, 3]);
    server.finish().await;
}

#[tokio::test]
async fn a_query_may_come_in_a_body() {
    let server = TestServer::helpdesk().await;
    let client = server.client(1, 1);
    let tickets = ids(&object(&client, "/tickets?order=id&limit=1000").await);
    let path = "/tickets?order=id&limit=1000";
    let all = client.get(path).expect(200).await;
    let body =
        json!({"id": format!("in.({})", list(tickets.clone())), "order": "id", "limit": 1000});
    let answer = client
        .post("/tickets/query", body.clone())
        .expect(200)
        .await;
    assert_eq!(answer.body, all.body);
    assert!(answer.version() > 0);
    // The same as text, and half in the URL.
    let text = format!("id=in.({})&order=id", list(tickets));
    for media_type in ["text/plain", "application/x-www-form-urlencoded"] {
        let call = client.request("POST", "/resources/tickets/query?limit=1000");
        let call = call.header("content-type", media_type).body(text.clone());
        assert_eq!(call.expect(200).await.body, all.body);
    }
    // Another organization finds none of them.
    let theirs = server.client(2, 1).post("/tickets/query", body.clone());
    assert_eq!(theirs.expect(200).await.json(), json!([]));
    // And asynchronously.
    let mut channel = client.channel(Transport::Ndjson, "tab").await;
    channel.expect("open").await;
    let call = client
        .post("/tickets/query", body)
        .header("request-id", "r1");
    call.header("channel-id", "tab").expect(202).await;
    let (events, _) = channel.until("done").await;
    let rows: Vec<&Value> = events.iter().map(|it| &it["row"]).collect();
    assert_eq!(
        rows,
        all.json().as_array().unwrap().iter().collect::<Vec<_>>()
    );
    channel.leave().await;
    for (body, status) in [
        (json!([1]), 400),
        (json!({"id": null}), 400),
        (json!({"nothing": "eq.1"}), 400),
    ] {
        client.post("/tickets/query", body).expect(status).await;
    }
    let call = client.request("POST", "/tickets/query");
    call.header("content-type", "text/csv")
        .body("id")
        .expect(415)
        .await;
    server
        .client(1, 1)
        .anonymous()
        .post("/tickets/query", json!({}))
        .expect(401)
        .await;
    server.finish().await;
}
