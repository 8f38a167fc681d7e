//! What an idle WebSocket keeps in the server's memory: one that was only opened, one that has read a
//! first screen, and a compressed one that has read the same. Run it with `scripts/bench sockets`; the
//! plain sockets are the yardstick of the compressed ones.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a bench stops at the first surprise, and uses a part of the tests' support"
)]

#[path = "scene/item.rs"]
mod item;
#[path = "scene/program.rs"]
mod program;
#[path = "../tests/support/mod.rs"]
mod support;

use flate2::{Decompress, FlushDecompress};
use futures_util::StreamExt;
use program::Program;
use std::time::Duration;
use support::{Client, Database};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

const SECRET: &str = "a secret of the bench, long enough to sign";

/// Who reads.
const RIGHTS: &str = "
    do $$ begin create role bench_agent; exception when duplicate_object or unique_violation then null; end $$;
    grant select on item to bench_agent;
";

/// How many only open, and how many read as well.
const OPEN: usize = 5_000;
const READ: usize = 2_000;

/// The first ones pay for what is allocated once: pools, and what a burst of readers compresses with.
const FIRST: usize = 1_000;

/// What glibc's allocator does by itself, and one that maps large blocks apart, so that they leave
/// nothing behind where they were (mallopt(3), `M_MMAP_THRESHOLD`).
const ALLOCATORS: [(&str, &[(&str, &str)]); 2] = [
    ("as it is", &[]),
    (
        "large blocks apart",
        &[("MALLOC_MMAP_THRESHOLD_", "131072")],
    ),
];

/// What the sockets do before they rest.
#[derive(Clone, Copy)]
enum Kind {
    Opened,
    Read,
    ReadCompressed,
}

#[tokio::main]
async fn main() {
    raise_open_files();
    let database = Database::empty().await;
    let admin = database.connect().await;
    for sql in [&item::sql(1_000), "vacuum analyze item", RIGHTS] {
        admin.batch_execute(sql).await.unwrap();
    }
    for (allocator, settings) in ALLOCATORS {
        println!("bytes per idle WebSocket, the allocator {allocator}:");
        let opened = bytes(&database, settings, Kind::Opened, OPEN).await;
        println!("{:34} {opened:>8.0}", format!("  opened, {OPEN}"));
        let plain = bytes(&database, settings, Kind::Read, READ).await;
        println!("{:34} {plain:>8.0}", format!("  25 rows read, {READ}"));
        let compressed = bytes(&database, settings, Kind::ReadCompressed, READ).await;
        println!(
            "{:34} {compressed:>8.0}  ({:+.0})",
            format!("  25 rows read compressed, {READ}"),
            compressed - plain
        );
    }
    database.finish().await;
}

/// Resident bytes for each of `count` sockets of a server of their own, at rest.
async fn bytes(database: &Database, settings: &[(&str, &str)], kind: Kind, count: usize) -> f64 {
    let fixed = [
        ("ROWCAST_JWT_SECRET", SECRET),
        ("ROWCAST_DATABASE_DEFAULT_ROLE", "bench_agent"),
        ("ROWCAST_LIMITS_CHANNELS_PER_IDENTITY", "50"),
    ];
    let settings: Vec<_> = fixed.iter().chain(settings).copied().collect();
    let server = Program::rowcast(&database.url, &settings);
    let mut sockets = Vec::new();
    let mut before = 0;
    for number in 0..FIRST + count {
        if number == FIRST {
            before = at_rest(&server).await;
        }
        // An identity has so many channels and no more.
        let user = format!("{}", 1 + number / 50);
        let client = Client::new(server.address, Some(support::token(SECRET, "1", &user)));
        sockets.push(open(&client, &format!("idle-{number}"), kind).await);
    }
    let grown = at_rest(&server).await - before;
    grown as f64 / count as f64
}

/// What is resident once nothing happens any more.
async fn at_rest(server: &Program) -> u64 {
    tokio::time::sleep(Duration::from_secs(2)).await;
    server.resident_bytes()
}

/// A socket that has read what its kind reads.
async fn open(
    client: &Client,
    channel: &str,
    kind: Kind,
) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
    let address = format!("ws://{}/channels/{channel}", client.address);
    let mut request = address.into_client_request().unwrap();
    let subprotocol = match kind {
        Kind::ReadCompressed => "rowcast.deflate",
        Kind::Opened | Kind::Read => "rowcast",
    };
    let token = client.token.as_deref().unwrap();
    let offered = format!("{subprotocol}, bearer.{token}").parse().unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", offered);
    let (mut socket, answer) = connect_async(request).await.unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], subprotocol);
    let mut inflate = Decompress::new(false);
    until(&mut socket, &mut inflate, r#""type":"open""#).await;
    if !matches!(kind, Kind::Opened) {
        let call = client
            .get("/item?order=id&limit=25")
            .header("request-id", "first-screen")
            .header("channel-id", channel);
        call.expect(202).await;
        until(&mut socket, &mut inflate, r#""type":"done""#).await;
    }
    socket
}

/// Reads until a message holds this text.
async fn until(
    socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>,
    inflate: &mut Decompress,
    wanted: &str,
) {
    loop {
        let text = match socket.next().await.unwrap().unwrap() {
            Message::Text(text) => text.as_str().as_bytes().to_vec(),
            Message::Binary(bytes) => unpack(inflate, &bytes),
            Message::Close(close) => panic!("closed: {close:?}"),
            _ => continue,
        };
        if memchr::memmem::find(&text, wanted.as_bytes()).is_some() {
            return;
        }
    }
}

fn unpack(inflate: &mut Decompress, mut bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    loop {
        text.reserve(16_384);
        let before = inflate.total_in();
        inflate
            .decompress_vec(bytes, &mut text, FlushDecompress::None)
            .unwrap();
        bytes = &bytes[(inflate.total_in() - before) as usize..];
        if bytes.is_empty() && text.len() < text.capacity() {
            return text;
        }
    }
}

fn raise_open_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
}
