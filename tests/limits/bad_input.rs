//! Input that no client should send: each is refused in its own words, and nothing is left behind.

use super::{attached, server};
use crate::{
    http_routes::raw,
    support::{Transport, until},
};
use serde_json::{Value, json};

/// Words that only our own insides know.
const INTERNAL: [&str; 6] = ["panicked", "src/", "tokio", "hyper", "serde", "pg_temp"];

fn is_clean(text: &str) {
    for word in INTERNAL {
        assert!(!text.contains(word), "{word} in {text}");
    }
}

#[tokio::test]
async fn queries_that_make_no_sense_are_problems() {
    let server = server(|_| ()).await;
    let client = server.client(1, 1);
    let other = server.client(2, 1);
    let long = format!("/tickets?id=in.({})", vec!["x"; 2_000].join(","));
    let mut channel = attached(&client, Transport::WebSocket, "default").await;
    let mut wrong = Vec::new();
    for (number, path) in [
        "/tickets?=",
        "/tickets?id",
        "/tickets?id=",
        "/tickets?id=1",
        "/tickets?id=eq",
        "/tickets?id=eq.",
        "/tickets?id=eq.99999999999999999999",
        "/tickets?id=eq.-",
        "/tickets?id=eq.1e400",
        "/tickets?id=eq.0x10",
        "/tickets?id=eq.%00",
        "/tickets?id=eq.%",
        "/tickets?id=eq.%zz",
        "/tickets?id=eq.%ff",
        "/tickets?id=in.",
        "/tickets?id=in.(",
        "/tickets?id=in.1,2",
        "/tickets?id=in.(1,x)",
        "/tickets?id=in.(1,2",
        "/tickets?id=between.1",
        "/tickets?subject=eq.%00",
        "/tickets?subject=eq.a%00b",
        "/tickets?subject=eq.%ff%fe",
        "/tickets?subject=eq.%ed%a0%80",
        "/tickets?limit=-1",
        "/tickets?limit=",
        "/tickets?limit=1.5",
        "/tickets?limit=99999999999999999999",
        "/tickets?limit=1&limit=2",
        "/tickets?offset=99999999999999999999",
        "/tickets?order=",
        "/tickets?order=nothing",
        "/tickets?order=id.sideways",
        "/tickets?order=id.desc.nullssomewhere",
        "/tickets?order=id;drop table tickets",
        "/tickets?order=id,",
        "/tickets?nothing=eq.1",
        "/tickets?%00=eq.1",
        "/tickets?%ff=eq.1",
        "/tickets?select=nothing",
        "/tickets?or=(",
        "/tickets?or=(id.eq.1,id.eq",
        "/tickets?and=()",
        "/tickets?not.id=eq.1",
        "/tickets?modified_since=never",
        "/tickets?after=zzz",
        "/details?day=eq.2024-02-30",
        "/details?day=eq.x",
        "/details?number=eq.2147483648",
        "/details?amount=eq.one",
        "/details?data=eq.{",
        "/details?tags=eq.{",
        "/tickets/x",
        "/tickets/1,2",
        "/tickets/99999999999999999999",
        "/tickets/%00",
        "/tickets/%ff",
        "/tickets/1/2",
        "/tickets/..%2f..%2fetc",
        "/resources/",
        "/resources/%00",
        "/resources/nothing",
        "/%00",
        "/%ff",
        "//",
        "/Tickets",
        "/pg_class",
        "/pg_catalog.pg_class",
        "/rowcast.log",
        "/requests/r1",
        "/requests/%00",
        "/requests/r1?channel=%00",
        "/channels/",
        "/channels/%00",
        "/channels/%ff",
        "/channels/a/b",
        "/channels/a?wait=nan",
        "/channels/a?wait=inf",
        "/channels/a?wait=-0.1",
        "/channels/a?max_events=99999999999999999999",
        "/channels/a?after=18446744073709551616",
        "/channels/a?resources=%00",
        "/channels/a?pass=nonsense",
        &long,
    ]
    .into_iter()
    .enumerate()
    {
        let path = path.replace(' ', "%20").replace(['{', '}'], "%7B");
        let plain = client.get(&path).send().await;
        let status = plain.status.as_u16();
        is_clean(&plain.text());
        if !((400..500).contains(&status) || status == 501) {
            wrong.push(format!("{path}: {status} {:.200}", plain.text()));
            continue;
        }
        plain.problem();
        if !path.starts_with("/channels") && !path.starts_with("/requests") {
            // The same, before the 202 or after it.
            let id = format!("r{number}");
            let call = client.get(&path).header("request-id", &id);
            let answer = call.send().await;
            let problem = match answer.status.as_u16() {
                202 => loop {
                    let event = channel.next().await;
                    if event["type"] == "done" || event["type"] == "error" {
                        break event["problem"].clone();
                    }
                },
                _ => answer.problem(),
            };
            if problem["status"] != status || problem["code"] != plain.problem()["code"] {
                wrong.push(format!("{path}: {} but {problem}", plain.text()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    // Whatever was asked left nothing running, and nothing with anybody else.
    until("nothing is held", async || {
        let stats = server.running.stats();
        stats.requests == 0 && stats.database.plain_busy + stats.database.streams_busy == 0
    })
    .await;
    assert_eq!(
        other
            .get("/tickets")
            .expect(200)
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        40
    );
    server.finish().await;
}

#[tokio::test]
async fn bodies_that_make_no_sense_are_problems_and_write_nothing() {
    let server = server(|_| ()).await;
    let client = server.client(1, 1);
    let rows =
        "select count(*)::text || ' ' || md5(string_agg(t::text, ',' order by id)) from tickets t";
    let before = server.database.value(rows).await;
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let deep_object = format!(r#"{{"id":1,"data":{deep}}}"#);
    let cases: [(&str, &str, &[u8]); 24] = [
        ("POST", "/tickets", b"\xff\xfe"),
        ("POST", "/tickets", b"null"),
        ("POST", "/tickets", b"\"text\""),
        ("POST", "/tickets", b"[1]"),
        ("POST", "/tickets", b"[{},1]"),
        ("POST", "/tickets", b"{} {}"),
        ("POST", "/tickets", br#"{"id":1,"id":2,"subject":"a"}"#),
        (
            "POST",
            "/tickets",
            br#"{"id":99999999999999999999,"subject":"a"}"#,
        ),
        ("POST", "/tickets", br#"{"id":1.5,"subject":"a"}"#),
        ("POST", "/tickets", br#"{"id":1,"subject":"a\u0000b"}"#),
        ("POST", "/tickets", br#"{"id":1,"subject":"\ud800"}"#),
        (
            "POST",
            "/tickets",
            br#"{"id":1,"subject":"a","organization_id":"x"}"#,
        ),
        (
            "POST",
            "/tickets",
            br#"{"id":1,"subject":"a","organization_id":2}"#,
        ),
        (
            "POST",
            "/tickets",
            br#"{"id":1,"subject":"a","organization_id":null}"#,
        ),
        ("POST", "/details", br#"{"id":1,"data":{"a":"\u0000"}}"#),
        ("POST", "/details", br#"{"id":1,"number":2147483648}"#),
        ("POST", "/details", br#"{"id":1,"day":"2024-02-30"}"#),
        ("POST", "/details", br#"{"id":1,"amount":"1e999999999"}"#),
        ("POST", "/details", br#"{"id":1,"tags":{"a":1}}"#),
        ("POST", "/details", deep_object.as_bytes()),
        ("POST", "/tickets", deep.as_bytes()),
        ("PATCH", "/tickets/1001", br#"{"id":2001}"#),
        ("PATCH", "/tickets/1001", br#"{"organization_id":2}"#),
        ("PATCH", "/tickets/2001", br#"{"subject":"theirs"}"#),
    ];
    for (method, path, body) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let call = client.request(method, path).body(body.to_vec());
        let answer = call.header("content-type", "application/json").send().await;
        let status = answer.status.as_u16();
        assert!(
            (400..500).contains(&status),
            "{method} {path} {shown}: {}",
            answer.text()
        );
        answer.problem();
        is_clean(&answer.text());
    }
    for (method, path) in [
        ("DELETE", "/tickets"),
        ("PATCH", "/tickets"),
        ("PUT", "/tickets"),
    ] {
        let answer = client
            .request(method, path)
            .json(json!({"subject": "all"}))
            .send()
            .await;
        assert!(
            answer.status.is_client_error(),
            "{method} {path}: {}",
            answer.text()
        );
        answer.problem();
    }
    assert_eq!(server.database.value(rows).await, before);
    assert_eq!(
        server.database.value("select count(*) from details").await,
        "0"
    );
    server.finish().await;
}

#[tokio::test]
async fn bytes_that_are_no_requests_end_their_connection_only() {
    let server = server(|config| {
        config.limits.request_head_timeout_ms = 500;
        config.limits.request_body_timeout_ms = 500;
    })
    .await;
    let client = server.client(1, 1);
    let mut reader = attached(&client, Transport::WebSocket, "default").await;
    let token = client.token.clone().unwrap();
    let with = |rest: &str| {
        format!("POST /tickets HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{rest}")
            .into_bytes()
    };
    for bytes in [
        b"\0\0\0\0\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"hello\r\n\r\n".to_vec(),
        b"GET /tickets HTTP/9.9\r\n\r\n".to_vec(),
        b"GET tickets HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        b"GET /tickets HTTP/1.1\r\nhost: x\r\nbad header: 1\r\n\r\n".to_vec(),
        b"GET /tickets HTTP/1.1\r\nhost: x\r\n x: folded\r\n\r\n".to_vec(),
        b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_vec(),
        b"GET /tickets HTTP/1.1\r\nhost: x\r\nauthorization: Bearer \xff\r\nconnection: close\r\n\r\n"
            .to_vec(),
        with("content-length: -1\r\n\r\n{}"),
        with("content-length: 2\r\ncontent-length: 3\r\n\r\n{}"),
        with("content-length: 99999999999999999999\r\n\r\n{}"),
        with("transfer-encoding: nonsense\r\n\r\n{}"),
        with("transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
        with("transfer-encoding: chunked\r\n\r\nffffffffffffffff1\r\n{}"),
    ] {
        let answer = raw(&client, &bytes).await;
        let shown = bytes.escape_ascii().to_string();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{shown}: {answer}"
        );
        is_clean(&answer);
    }
    assert_eq!(
        server.database.value("select count(*) from tickets").await,
        "80"
    );
    // Whoever was there already is still served.
    client
        .patch("/tickets/1001", json!({"subject": "after it all"}))
        .expect(200)
        .await;
    assert_eq!(reader.expect("change").await["id"], 1001);
    server.finish().await;
}

#[tokio::test]
async fn commands_obey_the_limits_of_requests() {
    let server = server(|config| {
        config.limits.url_bytes_max = 1_000;
        config.limits.requests_per_identity = 1;
    })
    .await;
    let client = server.client(1, 1);
    let mut channel = attached(&client, Transport::WebSocket, "default").await;
    let get = |id: &str, path: &str| json!({"type": "get", "request_id": id, "path": path});
    let kind = |event: &Value| event["problem"]["type"].as_str().unwrap().to_owned();
    let long = format!("/tickets?subject=eq.{}", "x".repeat(2_000));
    channel.command(get("long", &long)).await;
    assert_eq!(kind(&channel.expect("error").await), "url-too-long");
    for (number, path) in [
        "",
        "tickets",
        "//",
        "http://elsewhere/tickets",
        "/tickets?id=eq.%ff",
        "/%00",
    ]
    .into_iter()
    .enumerate()
    {
        channel.command(get(&format!("p{number}"), path)).await;
        let error = channel.expect("error").await;
        let status = error["problem"]["status"].as_u64().unwrap();
        assert!((400..500).contains(&status), "{path}: {error}");
    }
    channel.command(get("r1", "/stuck")).await;
    channel.command(get("r2", "/tickets?limit=1")).await;
    assert_eq!(kind(&channel.expect("error").await), "too-many-requests");
    channel
        .command(json!({"type": "cancel", "request_id": "r1"}))
        .await;
    let cancelled = channel.expect("error").await;
    assert_eq!(cancelled["request_id"], "r1");
    assert_eq!(kind(&cancelled), "request-cancelled");
    channel.command(get("r3", "/tickets?limit=1")).await;
    assert_eq!(channel.until("done").await.1["request_id"], "r3");
    server.finish().await;
}
