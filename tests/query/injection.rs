//! Text that would be SQL stands in every place where a caller's text may stand.

use super::{ITEMS, ids, server};
use crate::support::{Client, Database, TestServer, http::Call};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

/// What would be SQL if it stood in SQL: ends of texts, of names, of parentheses, of statements.
const TEXTS: [&str; 11] = [
    "' or true --",
    "'; drop table items; --",
    "\"; drop table items; --",
    "\" or \"\" = \"",
    "1) or (true",
    "$1",
    "$$ or true $$",
    "\\'; drop table items",
    "*/ or true /*",
    "id from items; --",
    "x')); delete from items where (('1'='1",
];

#[tokio::test]
async fn nothing_that_a_caller_writes_is_sql() {
    let server = server().await;
    let one = server.client(1, 1);
    let whole = ids(&one, "/items?order=id").await;
    let mut answered = 0;
    for text in TEXTS {
        let text: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for path in [
            format!("label=eq.{text}"),
            format!("label=in.(%22{text}%22)"),
            format!("label=like.{text}"),
            format!("label=like(any).%7B{text}%7D"),
            format!("label=plfts({text}).a"),
            format!("label=plfts.{text}"),
            format!("or=(label.eq.{text},id.lt.0)"),
            format!("or=({text}.eq.1)"),
            format!("data-%3E%3E{text}=eq.1"),
            format!("data-%3E%22{text}%22=is.null&id=lt.0"),
            format!("{text}=eq.1"),
            format!("select=id,%22{text}%22:label&id=lt.0"),
            format!("select={text}"),
            format!("select=id::{text}"),
            format!("select=id.{text}()"),
            format!("select=data-%3E%22{text}%22&id=lt.0"),
            format!("select=count()::{text}"),
            format!("select=items({text})"),
            format!("select={text}(id)"),
            format!("select=items!{text}(id)"),
            format!("order={text}"),
            format!("order=data-%3E%22{text}%22&id=lt.0"),
            format!("order=id.{text}"),
            format!("limit={text}"),
            format!("offset={text}"),
            format!("after={text}"),
            format!("modified_since={text}"),
            format!("include={text}"),
            format!("{text}.limit=1"),
        ] {
            let answer = one.get(&format!("/items?{path}")).send().await;
            let status = answer.status.as_u16();
            assert!(
                (200..500).contains(&status) || status == 501,
                "{path}: {status}"
            );
            if status == 200 {
                answered += 1;
                let rows = answer.json();
                assert!(rows.as_array().is_some_and(Vec::is_empty), "{path}: {rows}");
            }
        }
        let resource = one.get(&format!("/{text}")).send().await;
        assert_eq!(resource.status.as_u16(), 404);
    }
    assert!(answered > 50, "{answered}");
    assert_eq!(ids(&one, "/items?order=id").await, whole);
    server.finish().await;
}

/// Functions of which one gives rows.
const FUNCTIONS: &str = "
    create function echo(word text, n int default 1) returns text language sql stable
        as $$ select repeat(word, n) $$;
    create function labelled(word text) returns setof items language sql stable
        as $$ select * from items where label = word $$";

/// Sends it; whatever it is answered with, no row of the other organization is in it, and it is no
/// failure of ours.
async fn harmless(call: Call, what: &str) -> u16 {
    let answer = call.send().await;
    let status = answer.status.as_u16();
    let body = String::from_utf8_lossy(&answer.body);
    assert!(
        (200..500).contains(&status) || status == 501,
        "{what}: {status} {body}"
    );
    assert!(!body.contains("\"organization_id\":2"), "{what}: {body}");
    status
}

fn paths_and_headers(one: &Client, text: &str, encoded: &str) -> Vec<(Call, String)> {
    let mut calls = Vec::new();
    for path in [
        format!("/items/{encoded}"),
        format!("/items/{encoded}?select=id"),
        format!("/resources/{encoded}"),
        format!("/items?include=items!{encoded}"),
        format!("/items?include={encoded}(items)"),
        format!("/items?id=eq(any).%7B{encoded}%7D"),
        format!("/items?label=fts(english).{encoded}"),
        format!("/items?at=gt.{encoded}"),
        format!("/items?score=in.({encoded})"),
        format!("/rpc/{encoded}"),
        format!("/rpc/echo?word={encoded}"),
        format!("/rpc/echo?word=a&n={encoded}"),
        format!("/rpc/echo?{encoded}=a"),
        format!("/rpc/labelled?word={encoded}"),
        format!("/rpc/labelled?word=l1&label=eq.{encoded}"),
        format!("/rpc/labelled?word=l1&select={encoded}"),
        format!("/rpc/labelled?word=l1&order={encoded}"),
    ] {
        calls.push((one.get(&path), path));
    }
    for name in ["range", "prefer", "accept", "if-none-match", "range-unit"] {
        let call = one.get("/items?limit=1").header(name, text);
        calls.push((call, format!("{name}: {text}")));
    }
    for preference in [
        "count",
        "return",
        "max-affected",
        "timezone",
        "handling=strict, x",
    ] {
        let value = format!("{preference}={text}");
        let call = one.get("/items?limit=1").header("prefer", &value);
        calls.push((call, value));
    }
    // Paging tokens that nobody gave out.
    let list = "/items?order=label,id&limit=1";
    for parts in [
        json!([text]),
        json!([text, text, text]),
        json!([text, "x", "1"]),
    ] {
        let token = URL_SAFE_NO_PAD.encode(parts.to_string());
        calls.push((
            one.get(&format!("{list}&after={token}")),
            format!("{parts}"),
        ));
    }
    calls
}

fn writes(one: &Client, text: &str, encoded: &str) -> Vec<(Call, String)> {
    let row = json!({ "id": 1, "label": text, "at": "2024-01-01", "data": { text: text } });
    let csv = |head: &str, value: &str| {
        let quoted = |it: &str| format!("\"{}\"", it.replace('"', "\"\""));
        let body = format!("id,{},at\n1,{},2024-01-01", quoted(head), quoted(value));
        one.request("POST", "/items")
            .body(body)
            .header("content-type", "text/csv")
    };
    let mut calls = vec![
        // The key is there: refused, whatever else it says.
        (one.post("/items", row.clone()), "a value".to_owned()),
        (
            one.post("/items", json!({ text: 1, "id": 1 })),
            "a name".into(),
        ),
        (one.post("/items", json!([{ "id": text }])), "a key".into()),
        (csv(text, "a"), "a column of a table".into()),
        (csv("label", text), "a field of a table".into()),
        (
            one.patch(&format!("/items/{encoded}"), json!({ "rank": 1 })),
            "an id".into(),
        ),
        (
            one.patch("/items/2", json!({ "label": text })),
            "another's row".into(),
        ),
        (
            one.patch(&format!("/items?label=eq.{encoded}"), json!({ "rank": 1 })),
            "a filter".into(),
        ),
        (
            one.put(&format!("/items/{encoded}"), row.clone()),
            "a replaced id".into(),
        ),
        (
            one.delete(&format!("/items/{encoded}")),
            "a deleted id".into(),
        ),
        (
            one.delete(&format!("/items?label=eq.{encoded}")),
            "a deleting filter".into(),
        ),
        (
            one.post("/rpc/echo", json!({ "word": text })),
            "an argument".into(),
        ),
        (
            one.post("/rpc/echo", json!({ text: "a" })),
            "an argument's name".into(),
        ),
        (
            one.post("/rpc/labelled", json!({ "word": text })),
            "an argument for rows".into(),
        ),
    ];
    for parameter in ["columns", "on_conflict", "select", "order"] {
        for value in [encoded.to_owned(), format!("id,%22{encoded}%22")] {
            let call = one.post(&format!("/items?{parameter}={value}"), row.clone());
            let call = call.header("prefer", "resolution=ignore-duplicates");
            calls.push((call, parameter.to_owned()));
        }
    }
    calls
}

#[tokio::test]
async fn nothing_that_a_caller_sends_along_is_sql() {
    let database = Database::with(&format!("{ITEMS}; {FUNCTIONS}")).await;
    let server = TestServer::start(database, |_| ()).await;
    let one = server.client(1, 1);
    let digest = "select md5(string_agg(items::text, ';' order by id)) from items";
    let before = server.database.value(digest).await;
    let mut answered = 0;
    for text in TEXTS {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let mut calls = paths_and_headers(&one, text, &encoded);
        calls.extend(writes(&one, text, &encoded));
        for (call, what) in calls {
            let status = harmless(call, &format!("{what} with {text}")).await;
            answered += u32::from(status < 300);
        }
    }
    // Some are answered, so that what was sent did get to PostgreSQL.
    assert!(answered > 50, "{answered}");
    assert_eq!(server.database.value(digest).await, before);
    server.finish().await;
}

#[tokio::test]
async fn a_token_of_another_place_leads_past_no_fence() {
    let server = server().await;
    let (one, two) = (server.client(1, 1), server.client(2, 1));
    let list = "/items?order=label&limit=5";
    let token = two.get(list).expect(200).await.header("next").to_owned();
    let found = ids(&one, &format!("{list}&after={token}")).await;
    assert!(found.iter().all(|it| it % 2 == 1), "{found:?}");
    // With the signature as it should be, and values that are SQL.
    let json = URL_SAFE_NO_PAD.decode(&token).unwrap();
    let parts: Vec<Option<String>> = serde_json::from_slice(&json).unwrap();
    for text in TEXTS {
        for forged in [json!([parts[0], text, "0"]), json!([parts[0], "a", text])] {
            let token = URL_SAFE_NO_PAD.encode(forged.to_string());
            let call = one.get(&format!("{list}&after={token}"));
            harmless(call, &forged.to_string()).await;
        }
    }
    server.finish().await;
}
