//! Plain reads as HTTP has them: headers, conditions, compression, versions of the protocol.

use crate::{
    http_routes::TABLES,
    support::{Database, SOON, TestServer, soon, until},
};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn server() -> TestServer {
    TestServer::start(Database::with(TABLES).await, |_| ()).await
}

#[tokio::test]
async fn a_list_names_the_state_that_it_shows() {
    let server = server().await;
    let client = server.client(1, 1);
    let answer = client.get("/tickets?order=id&limit=3").expect(200).await;
    assert_eq!(answer.header("content-type"), "application/json");
    let rows = answer.json();
    assert_eq!(rows.as_array().unwrap().len(), 3);
    assert_eq!(rows[0]["subject"], "ticket 1");
    assert!(answer.version() > 0);
    assert!(!answer.header("cursor").is_empty());
    let same = client
        .get("/resources/tickets/?order=id&limit=3")
        .expect(200)
        .await;
    assert_eq!(
        same.body, answer.body,
        "the same under /resources, with a slash at the end"
    );
    let later = client.get("/tickets?limit=0").expect(200).await;
    assert_eq!(later.text(), "[]");
    assert!(later.version() >= answer.version());
    let other = server
        .client(2, 1)
        .get("/tickets?limit=100")
        .expect(200)
        .await;
    let theirs = other.json();
    assert!(
        theirs
            .as_array()
            .unwrap()
            .iter()
            .all(|it| it["organization_id"] == 2)
    );
    server.finish().await;
}

#[tokio::test]
async fn an_item_has_a_tag_and_may_be_known_already() {
    let server = server().await;
    let client = server.client(1, 1);
    let item = client.get("/tickets/1").expect(200).await;
    assert_eq!(item.json()["id"], 1);
    let tag = item.header("etag").to_owned();
    assert!(
        tag.starts_with('"') && tag.ends_with('"') && tag.len() > 2,
        "{tag}"
    );
    assert!(item.version() > 0);
    for known in [&*tag, "*", &format!("W/{tag}"), &format!("\"x\", {tag}")] {
        let same = client.get("/tickets/1").header("if-none-match", known);
        let answer = same.expect(304).await;
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("etag"), tag);
    }
    server
        .database
        .execute("update tickets set subject = 'new' where id = 1")
        .await;
    let changed = client
        .get("/tickets/1")
        .header("if-none-match", &tag)
        .expect(200)
        .await;
    assert_eq!(changed.json()["subject"], "new");
    assert_ne!(changed.header("etag"), tag);
    let malformed = client.get("/tickets/1").header("if-none-match", "x");
    assert_eq!(
        malformed.expect(400).await.problem()["type"],
        "header-malformed"
    );
    for missing in ["/tickets/0", "/tickets/31"] {
        let problem = client.get(missing).expect(404).await.problem();
        assert_eq!(
            problem["type"], "row-unknown",
            "also where it is another organization's"
        );
    }
    server.finish().await;
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let server = server().await;
    let client = server.client(1, 1);
    for path in ["/tickets?limit=3&order=id", "/tickets/1"] {
        let get = client.get(path).expect(200).await;
        let head = client.request("HEAD", path).expect(200).await;
        assert!(head.body.is_empty());
        assert_eq!(head.header("content-length"), get.body.len().to_string());
        assert_eq!(head.header("etag"), get.header("etag"));
        assert!(!head.header("cursor").is_empty());
    }
    // A HEAD is never asynchronous.
    let head = client
        .request("HEAD", "/tickets/1")
        .header("request-id", "r1")
        .expect(200)
        .await;
    assert_eq!(head.header("request-id"), "r1");
    server.finish().await;
}

#[tokio::test]
async fn preferences_are_followed_or_passed_over_or_refused() {
    let server = server().await;
    let client = server.client(1, 1);
    let prefer = |value: &str| client.get("/tickets?limit=1").header("prefer", value);
    let counted = prefer("count=exact").expect(206).await;
    assert_eq!(counted.header("content-range"), "0-0/30");
    prefer("colour=blue").expect(200).await;
    prefer("colour=blue, handling=strict")
        .expect(400)
        .await
        .problem();
    let csv = client
        .get("/tickets?id=lte.2&order=id")
        .header("accept", "text/csv");
    let csv = csv.expect(200).await;
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(
        csv.text(),
        "id,organization_id,subject\n1,1,\"ticket 1\"\n2,1,\"ticket 2\""
    );
    let accept = client.get("/tickets").header("accept", "text/unknown");
    assert_eq!(accept.expect(406).await.problem()["type"], "not-acceptable");
    for accepted in [
        "*/*",
        "application/json",
        "application/*;q=0.5",
        "text/html, */*;q=0.1",
    ] {
        client
            .get("/tickets?limit=1")
            .header("accept", accepted)
            .expect(200)
            .await;
    }
    server.finish().await;
}

#[tokio::test]
async fn large_answers_are_compressed_for_whoever_asks() {
    let server = server().await;
    let client = server.client(1, 1);
    let plain = client.get("/tickets").expect(200).await;
    assert_eq!(plain.header("content-encoding"), "");
    let packed = client
        .get("/tickets")
        .header("accept-encoding", "gzip")
        .expect(200)
        .await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(packed.body.starts_with(&[0x1f, 0x8b]));
    assert!(packed.body.len() < plain.body.len());
    assert!(packed.version() >= plain.version());
    let small = client
        .get("/tickets/1")
        .header("accept-encoding", "gzip")
        .expect(200)
        .await;
    assert_eq!(small.header("content-encoding"), "");
    server.finish().await;
}

#[tokio::test]
async fn http_2_is_spoken_with_who_begins_in_it() {
    let server = server().await;
    let client = server.client(1, 1);
    let http2: Client<HttpConnector, Empty<Bytes>> = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let get = async |path: &str, accept: &str| {
        let request = http::Request::get(format!("http://{}{path}", client.address))
            .header(
                "authorization",
                format!("Bearer {}", client.token.as_deref().unwrap()),
            )
            .header("accept", accept)
            .body(Empty::new())
            .unwrap();
        http2.request(request).await.unwrap()
    };
    let stream = get("/channels/a", "application/x-ndjson").await;
    assert_eq!(stream.version(), http::Version::HTTP_2);
    let mut events = stream.into_body();
    let open = events.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(String::from_utf8_lossy(&open).contains("\"open\""));
    // On the same connection, beside the stream.
    for _ in 0..3 {
        let answer = get("/tickets?limit=1", "*/*").await;
        assert_eq!(answer.status(), 200);
        assert_eq!(server.running.stats().connections, 1);
    }
    assert_eq!(get("/nothing", "*/*").await.status(), 404);
    drop(events);
    until("a reset stream detaches its reader", async || {
        server.running.stats().channels.attachments == 0
    })
    .await;
    drop(http2);
    server.finish().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_told_so() {
    let server = TestServer::start(Database::with(TABLES).await, |config| {
        config.limits.connections_max = 2;
    })
    .await;
    let client = server.client(1, 1);
    let ask = async || {
        let mut stream = TcpStream::connect(client.address).await.unwrap();
        stream
            .write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let mut answer = vec![0; 2048];
        let read = stream.read(&mut answer).await.unwrap();
        (
            stream,
            String::from_utf8_lossy(&answer[..read]).into_owned(),
        )
    };
    let first = ask().await;
    assert!(first.1.starts_with("HTTP/1.1 200 "), "{}", first.1);
    // A WebSocket counts for as long as it is open.
    let socket = client.websocket("/channels/a").await;
    let (mut refused, answer) = ask().await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("too-many-connections"), "{answer}");
    assert!(answer.contains("retry-after: 1"), "{answer}");
    assert_eq!(
        refused.read(&mut [0; 16]).await.unwrap(),
        0,
        "and it is closed"
    );
    drop(socket);
    until("the socket gives its place back", async || {
        server.running.stats().connections <= 1
    })
    .await;
    assert!(ask().await.1.starts_with("HTTP/1.1 200 "));
    drop(first);
    server.finish().await;
}

#[tokio::test]
async fn requests_beyond_the_limit_are_refused_and_readers_do_not_count() {
    let slow = "create view slow with (security_invoker) as
                select id + 0 as id, organization_id, pg_sleep(1)::text as nap from tickets";
    let server = TestServer::start(
        Database::with(&format!("{TABLES};{slow}")).await,
        |config| {
            config.limits.concurrent_requests_max = 2;
        },
    )
    .await;
    let client = server.client(1, 1);
    let mut readers = Vec::new();
    for id in ["a", "b", "c"] {
        let call = client
            .get(&format!("/channels/{id}"))
            .header("accept", "text/event-stream");
        readers.push(call.open().await);
    }
    let busy: Vec<_> = (0..2)
        .map(|_| tokio::spawn(client.get("/slow?limit=1").send()))
        .collect();
    until("both run", async || {
        server.running.stats().database.plain_busy == 2
    })
    .await;
    let refused = client.get("/tickets").expect(503).await;
    assert_eq!(refused.problem()["type"], "overloaded");
    assert_eq!(refused.header("retry-after"), "1");
    client.get("/health").expect(200).await;
    for busy in busy {
        assert_eq!(busy.await.unwrap().status, 200);
    }
    client.get("/tickets").expect(200).await;
    drop(readers);
    server.finish().await;
}

#[tokio::test]
async fn a_client_that_goes_away_frees_its_statement() {
    let stuck = "create view stuck with (security_invoker) as
                 select id, organization_id, pg_sleep(60)::text as nap from tickets";
    let server =
        TestServer::start(Database::with(&format!("{TABLES};{stuck}")).await, |_| ()).await;
    let client = server.client(1, 1);
    let call = tokio::spawn(client.get("/stuck").send());
    until("it runs", async || {
        server.running.stats().database.plain_busy > 0
    })
    .await;
    call.abort();
    soon("its statement is cancelled", async || {
        let stats = server.running.stats().database;
        stats.plain_busy == 0 && stats.cancelling == 0
    })
    .await;
    server.finish().await;
}

#[tokio::test]
async fn a_shutdown_lets_answers_end_and_cuts_what_takes_too_long() {
    let slow = "create view slow with (security_invoker) as
                select id + 0 as id, organization_id, pg_sleep(0.6)::text as nap from tickets;
                create view stuck with (security_invoker) as
                select id, organization_id, pg_sleep(60)::text as nap from tickets";
    let server = TestServer::start(
        Database::with(&format!("{TABLES};{slow}")).await,
        |config| {
            config.server.drain_ms = 2_000;
        },
    )
    .await;
    let client = server.client(1, 1);
    let slow = tokio::spawn(client.get("/slow?limit=1").send());
    let stuck = client.clone();
    let stuck = tokio::spawn(async move {
        let url = format!(
            "GET /stuck HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
            stuck.token.as_deref().unwrap()
        );
        crate::http_routes::raw(&stuck, url.as_bytes()).await
    });
    until("both run", async || {
        server.running.stats().database.plain_busy == 2
    })
    .await;
    let began = tokio::time::Instant::now();
    let address = client.address;
    server.finish().await;
    assert!(began.elapsed() < SOON);
    assert_eq!(slow.await.unwrap().status, 200, "it had the time to end");
    assert_eq!(stuck.await.unwrap(), "", "it had not");
    assert!(
        TcpStream::connect(address).await.is_err(),
        "nobody listens any more"
    );
}
