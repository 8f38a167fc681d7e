//! Compressed channels: what is read of them is what others read as text, as soon as it is there.

use crate::{
    http_routes::TABLES,
    support::{Client, Database, TestServer, Transport, http::PATIENCE},
};
use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};
use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::collections::VecDeque;
use tokio::{net::TcpStream, process::Command};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

/// Enough rows that they come in several batches.
const ROWS: u64 = 4_000;

async fn server() -> TestServer {
    let rows = format!(
        "{TABLES};
         insert into tickets (organization_id, subject)
         select 1, 'a subject like many others, number ' || number
         from generate_series(1, {ROWS} - 30) number"
    );
    TestServer::start(Database::with(&rows).await, |_| ()).await
}

/// One compressed stream, unpacked as it comes.
struct Unpacked {
    source: Source,
    inflate: Decompress,
    /// What of the head of gzip is still to be skipped.
    head: usize,
    text: Vec<u8>,
    lines: VecDeque<String>,
    bytes: usize,
    messages: Vec<Bytes>,
}

enum Source {
    Socket(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
    Body(Incoming),
}

impl Unpacked {
    async fn socket(client: &Client, path: &str) -> Self {
        let mut request = format!("ws://{}{path}", client.address)
            .into_client_request()
            .unwrap();
        let token = client.token.as_deref().unwrap();
        let offered = format!("rowcast.deflate, rowcast, bearer.{token}");
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", offered.parse().unwrap());
        let (socket, answer) = connect_async(request).await.unwrap();
        assert_eq!(
            answer.headers()["sec-websocket-protocol"],
            "rowcast.deflate"
        );
        Self::new(Source::Socket(Box::new(socket)), 0)
    }

    async fn stream(client: &Client, path: &str, accept: &str) -> Self {
        let call = client.get(path).header("accept", accept);
        let answer = call.header("accept-encoding", "br, gzip").open().await;
        let headers = answer.headers();
        assert_eq!(headers["content-encoding"], "gzip");
        assert_eq!(headers["vary"], "accept-encoding");
        assert_eq!(headers["content-type"], accept);
        Self::new(Source::Body(answer.into_body()), 10)
    }

    fn new(source: Source, head: usize) -> Self {
        Self {
            source,
            inflate: Decompress::new(false),
            head,
            text: Vec::new(),
            lines: VecDeque::new(),
            bytes: 0,
            messages: Vec::new(),
        }
    }

    async fn command(&mut self, command: Value) {
        match &mut self.source {
            Source::Socket(socket) => {
                let message = Message::text(command.to_string());
                socket.send(message).await.unwrap();
            }
            Source::Body(_) => panic!("a stream takes no commands"),
        }
    }

    /// The next event but pings; `None` at the end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some(line) = self.lines.pop_front() {
                let line = line.strip_prefix("data: ").unwrap_or(&line);
                if line.starts_with('{') && !line.contains("\"ping\"") {
                    return Some(serde_json::from_str(line).unwrap());
                }
            }
            let bytes = tokio::time::timeout(PATIENCE, self.fill()).await;
            let bytes = bytes.expect("nothing comes")?;
            self.unpack(&bytes);
        }
    }

    async fn fill(&mut self) -> Option<Bytes> {
        match &mut self.source {
            Source::Socket(socket) => loop {
                match socket.next().await?.ok()? {
                    Message::Binary(bytes) => {
                        self.messages.push(bytes.clone());
                        return Some(bytes);
                    }
                    Message::Text(text) => panic!("not compressed: {text}"),
                    Message::Close(_) => return None,
                    _ => {}
                }
            },
            Source::Body(body) => body.frame().await?.ok()?.into_data().ok(),
        }
    }

    fn unpack(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        let skipped = self.head.min(bytes.len());
        self.head -= skipped;
        let mut rest = &bytes[skipped..];
        loop {
            self.text.reserve(4096);
            let before = self.inflate.total_in();
            let status = self
                .inflate
                .decompress_vec(rest, &mut self.text, FlushDecompress::None);
            let taken = (self.inflate.total_in() - before) as usize;
            rest = &rest[taken..];
            let has_ended = status.unwrap() == Status::StreamEnd;
            if has_ended || rest.is_empty() && self.text.len() < self.text.capacity() {
                break;
            }
        }
        if matches!(self.source, Source::Socket(_)) {
            assert!(self.text.ends_with(b"\n\n"), "a message can be read whole");
        }
        while let Some(end) = self.text.iter().position(|it| *it == b'\n') {
            let line: Vec<u8> = self.text.drain(..=end).collect();
            self.lines
                .push_back(String::from_utf8(line).unwrap().trim_end().to_owned());
        }
    }

    /// All rows of a request up to its end, by their ids.
    async fn rows(&mut self) -> Vec<u64> {
        let mut ids = Vec::new();
        loop {
            let event = self.next().await.expect("done comes first");
            match event["type"].as_str().unwrap() {
                "row" => ids.push(event["row"]["id"].as_u64().unwrap()),
                "done" => return ids,
                "open" => {}
                other => panic!("{other}: {event}"),
            }
        }
    }
}

fn tickets(server: &TestServer) -> Client {
    server.client(1, 1)
}

#[tokio::test]
async fn a_compressed_socket_says_what_a_plain_one_says() {
    let server = server().await;
    let client = tickets(&server);
    let mut packed = Unpacked::socket(&client, "/channels/packed").await;
    let mut other = Unpacked::socket(&client, "/channels/other").await;
    let mut foreign = Unpacked::socket(&server.client(2, 1), "/channels/foreign").await;
    let mut plain = client.channel(Transport::WebSocket, "plain").await;
    assert_eq!(packed.next().await.unwrap()["type"], "open");
    assert_eq!(other.next().await.unwrap()["type"], "open");
    assert_eq!(foreign.next().await.unwrap()["type"], "open");
    plain.expect("open").await;
    let get = json!({"type": "get", "request_id": "r1", "path": "/tickets?order=id"});
    plain.command(get.clone()).await;
    let (rows, _) = plain.until("done").await;
    let plain_bytes: usize = rows.iter().map(|it| it.to_string().len()).sum();
    let before = packed.bytes;
    packed.command(get).await;
    let ids = packed.rows().await;
    let expected: Vec<u64> = rows
        .iter()
        .map(|it| it["row"]["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids, expected);
    assert_eq!(ids.len() as u64, ROWS);
    let packed_bytes = packed.bytes - before;
    assert!(
        packed_bytes * 8 < plain_bytes,
        "{packed_bytes} of {plain_bytes} bytes"
    );

    // A notice is the same bytes for everybody, and only for those whom it concerns.
    let subject =
        "a subject that many will read about, and so long that it is compressed: ".repeat(5);
    let change = async |id: u64| {
        let call = client.patch(&format!("/tickets/{id}"), json!({"subject": subject}));
        call.expect(200).await;
    };
    change(ids[0]).await;
    let mut third = Unpacked::socket(&client, "/channels/third").await;
    assert_eq!(third.next().await.unwrap()["type"], "open");
    third.messages.clear();
    other.messages.clear();
    change(ids[1]).await;
    for reader in [&mut other, &mut third] {
        loop {
            let change = reader.next().await.unwrap();
            assert_eq!(change["type"], "change");
            if change["id"] == ids[1] {
                assert_eq!(change["row"]["subject"], *subject);
                break;
            }
        }
    }
    assert_eq!(other.messages.last(), third.messages.last());
    assert!(third.messages[0].len() < subject.len());
    let own = server.client(2, 1);
    let theirs = own.get("/tickets?limit=1").expect(200).await.json()[0]["id"].clone();
    own.patch(&format!("/tickets/{theirs}"), json!({"subject": "theirs"}))
        .expect(200)
        .await;
    let change = foreign.next().await.unwrap();
    assert_eq!(
        change["row"]["subject"], "theirs",
        "and nothing of the other organization's"
    );
    server.finish().await;
}

#[tokio::test]
async fn a_refused_compressed_socket_is_told_why() {
    let server = server().await;
    let client = tickets(&server).with_token("not.a.token");
    let mut socket = Unpacked::socket(&client, "/channels/tab-1").await;
    let close = socket.next().await.unwrap();
    assert_eq!(
        (&close["type"], &close["code"]),
        (&json!("close"), &json!(4003))
    );
    assert!(socket.next().await.is_none());
    server.finish().await;
}

#[tokio::test]
async fn streams_are_compressed_batch_by_batch_for_who_takes_gzip() {
    let server = server().await;
    let client = tickets(&server);
    for (accept, id) in [
        ("text/event-stream", "sse"),
        ("application/x-ndjson", "ndjson"),
    ] {
        let path = format!("/channels/{id}");
        let mut packed = Unpacked::stream(&client, &path, accept).await;
        // Each is there although the stream goes on.
        assert_eq!(packed.next().await.unwrap()["type"], "open");
        let call = client.get("/tickets?order=id").header("request-id", "r1");
        call.header("channel-id", id).expect(202).await;
        let ids = packed.rows().await;
        assert_eq!(ids.len() as u64, ROWS);
        assert!(
            packed.bytes * 8 < ROWS as usize * 150,
            "{} bytes",
            packed.bytes
        );
        let path_of_one = format!("/tickets/{}", ids[2]);
        client
            .patch(&path_of_one, json!({"subject": accept}))
            .expect(200)
            .await;
        assert_eq!(packed.next().await.unwrap()["row"]["subject"], accept);
        client.delete(&path).expect(204).await;
        assert_eq!(packed.next().await.unwrap()["type"], "close");
        assert!(packed.next().await.is_none());
        // Who does not ask gets text.
        let call = client
            .get(&format!("{path}-plain"))
            .header("accept", accept);
        let answer = call.header("accept-encoding", "br").open().await;
        assert!(!answer.headers().contains_key("content-encoding"));
        assert_eq!(answer.headers()["vary"], "accept-encoding");
    }
    server.finish().await;
}

#[tokio::test]
async fn a_long_poll_with_much_to_say_is_compressed() {
    let server = server().await;
    let client = tickets(&server);
    for accepted in ["br, gzip", "br"] {
        let channel = accepted.replace(", ", "-");
        let call = client.get("/tickets?order=id").header("request-id", "r1");
        call.header("channel-id", &channel).expect(202).await;
        let (mut seen, mut sent, mut said) = (0, 0, 0);
        let mut path = format!("/channels/{channel}");
        while seen < ROWS + 1 {
            let call = client.get(&path).header("accept-encoding", accepted);
            let answer = call.expect(200).await;
            let body = &*answer.body;
            sent += body.len();
            let mut text = String::new();
            if answer.header("content-encoding") == "gzip" {
                assert_eq!(accepted, "br, gzip");
                assert_eq!(answer.header("vary"), "accept-encoding");
                assert_eq!(answer.header("content-length"), body.len().to_string());
                let mut unpacked = flate2::read::GzDecoder::new(body);
                std::io::Read::read_to_string(&mut unpacked, &mut text).unwrap();
                assert!(text.len() >= 1_024, "small ones stay as they are: {text}");
            } else {
                let small = body.len() < 1_024;
                assert!(small || accepted == "br", "{} bytes", body.len());
                text = String::from_utf8(body.to_vec()).unwrap();
            }
            said += text.len();
            let events: Vec<Value> = serde_json::from_str(&text).unwrap();
            let told = |it: &&Value| matches!(it["type"].as_str(), Some("row" | "done"));
            seen += events.iter().filter(told).count() as u64;
            path = format!(
                "/channels/{channel}?after={}&wait=5",
                answer.header("sequence")
            );
        }
        match accepted {
            "br" => assert_eq!(sent, said),
            // As much as the streams.
            _ => assert!(sent * 8 < said, "{sent} of {said} bytes"),
        }
    }
    server.finish().await;
}

#[tokio::test]
async fn curl_reads_a_compressed_stream_as_it_comes() {
    let server = server().await;
    let client = tickets(&server);
    let url = format!("http://{}/channels/curl", client.address);
    let authorization = format!("Authorization: Bearer {}", client.token.as_deref().unwrap());
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--no-buffer",
        "--compressed",
        "-H",
        "Accept: application/x-ndjson",
        "-H",
        &authorization,
        &url,
    ]);
    let Ok(mut child) = curl
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
    else {
        eprintln!("SKIPPED: there is no curl.");
        return;
    };
    let mut lines =
        tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(child.stdout.take().unwrap()));
    let mut next = async || {
        tokio::time::timeout(PATIENCE, lines.next_line())
            .await
            .expect("it comes")
            .unwrap()
            .unwrap()
    };
    assert!(next().await.contains("\"open\""));
    let call = client.get("/tickets?limit=1").header("request-id", "r1");
    call.header("channel-id", "curl").expect(202).await;
    assert!(
        next().await.contains("\"row\""),
        "before the end, which does not come"
    );
    assert!(next().await.contains("\"done\""));
    child.kill().await.unwrap();
    server.finish().await;
}

#[tokio::test]
async fn reads_go_out_with_the_attaching() {
    let server = server().await;
    let client = tickets(&server);
    let encode = |reads: Value| {
        let text = reads.to_string();
        percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let reads = encode(json!([
        {"request_id": "r1", "path": "/tickets?order=id&limit=2", "priority": 0},
        {"request_id": "r2", "path": "/nowhere"},
    ]));
    // Who polls says it once, with the first poll.
    for transport in [Transport::WebSocket, Transport::Sse, Transport::Ndjson] {
        let id = format!("tab-{transport:?}");
        let query = format!("get={reads}");
        let mut channel = client.channel_with(transport, &id, &query).await;
        let mut rows = 0;
        let mut refused = 0;
        let mut done = 0;
        while rows < 2 || refused == 0 || done == 0 {
            let event = channel.next().await;
            match event["type"].as_str().unwrap() {
                "row" => rows += 1,
                "error" => {
                    refused += 1;
                    assert_eq!(event["problem"]["request_id"], "r2", "{event}");
                }
                "done" => {
                    done += 1;
                    assert_eq!(event["request_id"], "r1");
                }
                _ => {}
            }
        }
    }
    for bad in [
        "[1]",
        "{}",
        "[{\"request_id\":\"r\",\"path\":\"/tickets\",\"method\":\"delete\"}]",
    ] {
        let bad: Value = serde_json::from_str(bad).unwrap();
        let path = format!("/channels/bad?get={}", encode(bad));
        let call = client.get(&path).header("accept", "application/x-ndjson");
        assert_eq!(call.expect(400).await.problem()["type"], "query-malformed");
    }
    server.finish().await;
}
