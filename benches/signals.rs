//! Signals and presence of a server in a process of its own: how long a signal takes to 20, 1,000 and
//! 5,000 channels and what it costs, beside a bare program that only writes; how many come in; and what
//! it takes that 10,000 channels join. Run it with `scripts/bench signals`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a bench stops at the first surprise"
)]

#[path = "bare/fan_out.rs"]
mod bare;
#[path = "../tests/support/mod.rs"]
mod support;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use std::{
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use support::{Client, Database};
use tokio::{
    net::TcpStream,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const SECRET: &str = "a secret of the bench, long enough to sign";
const ROWS: usize = 200;
const SIGNALS_IN: usize = 40_000;
const JOINING: usize = 10_000;
const JOINING_WITHIN: Duration = Duration::from_secs(10);
/// How far ahead of their time channels may join.
const TURN: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() {
    let (_, hard) =
        nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    if std::env::args().any(|it| it == bare::ARGUMENT) {
        return bare::run(FRAME).await;
    }
    let only = std::env::args().skip(1).find(|it| !it.starts_with('-'));
    let wanted = |part: &str| only.as_ref().is_none_or(|it| it == part);
    let database = Database::empty().await;
    database
        .execute(&format!(
            "create table item (id bigint primary key, organization_id int not null);
             insert into item select i, 1 from generate_series(1, {ROWS}) i;
             do $$ begin create role bench_agent;
             exception when duplicate_object or unique_violation then null; end $$;
             grant select on item to bench_agent"
        ))
        .await;
    if wanted("fan-out") {
        for (channels, rounds) in [(20, 1_000), (1_000, 100), (5_000, 20)] {
            fan_out(&Program::rowcast(&database).await, channels, rounds).await;
            fan_out(&Program::bare().await, channels, rounds).await;
        }
    }
    if wanted("senders") {
        many_senders(&Program::rowcast(&database).await).await;
    }
    if wanted("joining") {
        joining(&Program::rowcast(&database).await).await;
    }
    database.finish().await;
}

/// What the program under test says to each reader when it is told to.
const FRAME: &str = r#"{"type":"signal","topic":"organization","name":"typing","from":{"user":"1000000","channel":"sender"},"data":{"ticket":42}}"#;

/// One signal in flight, to all channels of an organization.
async fn fan_out(server: &Program, channels: usize, rounds: usize) {
    let (told, mut heard) = unbounded_channel();
    let mut readers = JoinSet::new();
    for number in 0..channels {
        let socket = server
            .socket(number / 50, &format!("reader-{number}"))
            .await;
        readers.spawn(read(socket, told.clone()));
    }
    let mut sender = server.socket(1_000_000, "sender").await;
    let signal = json!({"type": "signal", "topic": "organization", "name": "typing", "data": {"ticket": 42}});
    let signal = signal.to_string();
    let mut times = Vec::with_capacity(channels * rounds);
    let mut cpu = server.cpu();
    for round in 0..rounds + 3 {
        if round == 3 {
            times.clear();
            cpu = server.cpu();
        }
        let begun = Instant::now();
        sender.send(Message::text(signal.clone())).await.unwrap();
        for _ in 0..channels {
            times.push(arrival(&mut heard).await - begun);
        }
    }
    let cpu = server.cpu() - cpu;
    let deliveries = (channels * rounds) as f64;
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{}: a signal to {channels:>5} channels: median {:.2} ms, p99 {:.2} ms, {:.2} µs of CPU each",
        server.name,
        at(0.5),
        at(0.99),
        cpu.as_secs_f64() * 1e6 / deliveries
    );
}

/// Many senders at once, each on the topic of a row with one listener.
async fn many_senders(server: &Program) {
    let (told, mut heard) = unbounded_channel();
    let mut readers = JoinSet::new();
    let mut senders = Vec::new();
    for row in 1..=ROWS {
        let mut listener = server.socket(row, &format!("listener-{row}")).await;
        let mut sender = server.socket(1_000 + row, &format!("sender-{row}")).await;
        let join = json!({"type": "join", "topic": format!("item/{row}")}).to_string();
        for socket in [&mut listener, &mut sender] {
            socket.send(Message::text(join.clone())).await.unwrap();
            expect(socket, r#"{"type":"presence""#).await;
        }
        readers.spawn(read(listener, told.clone()));
        senders.push((sender, row));
    }
    let each = SIGNALS_IN / ROWS;
    let (begun, cpu) = (Instant::now(), server.cpu());
    let mut sending = JoinSet::new();
    for (mut sender, row) in senders {
        sending.spawn(async move {
            for number in 0..each {
                let signal = json!({"type": "signal", "topic": format!("item/{row}"), "name": "n", "data": number});
                sender.feed(Message::text(signal.to_string())).await.unwrap();
                // As many as wait in a channel are told; beyond, the reader would lose some.
                if number % 50 == 49 {
                    sender.flush().await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
            sender.flush().await.unwrap();
            sender
        });
    }
    for _ in 0..each * ROWS {
        arrival(&mut heard).await;
    }
    let (took, cpu) = (begun.elapsed().as_secs_f64(), server.cpu() - cpu);
    println!(
        "{ROWS} senders: {:.0} signals/s in and delivered, {:.2} µs of CPU each",
        SIGNALS_IN as f64 / took,
        cpu.as_secs_f64() * 1e6 / SIGNALS_IN as f64
    );
}

/// Ten thousand people come and want to know who else is there.
async fn joining(server: &Program) {
    let heard = Arc::new(AtomicU64::new(0));
    let mut readers = JoinSet::new();
    let mut sockets = Vec::new();
    let resident = server.resident_bytes();
    for number in 0..JOINING {
        sockets.push(server.socket(number, &format!("tab-{number}")).await);
    }
    let idle = server.resident_bytes();
    let (begun, cpu) = (Instant::now(), server.cpu());
    let join = json!({"type": "join", "topic": "organization"}).to_string();
    for (number, socket) in sockets.into_iter().enumerate() {
        let (mut sink, mut stream) = socket.split();
        let heard = heard.clone();
        readers.spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                if let Message::Text(text) = message {
                    let presence = text
                        .lines()
                        .filter(|it| it.starts_with(r#"{"type":"presence""#));
                    heard.fetch_add(presence.map(|it| it.len() as u64 + 1).sum(), Relaxed);
                }
            }
        });
        sink.send(Message::text(join.clone())).await.unwrap();
        readers.spawn(async move {
            tokio::time::sleep(PATIENCE).await;
            drop(sink);
        });
        // A runtime's timer is good to a millisecond: whoever waits for each turn comes later and later.
        let due = JOINING_WITHIN.mul_f64(number as f64 / JOINING as f64);
        let ahead = due.saturating_sub(begun.elapsed());
        if ahead > TURN {
            tokio::time::sleep(ahead).await;
        }
    }
    let joined = begun.elapsed();
    // What is collected is told at most every five seconds in a crowd.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let per = |bytes: u64| bytes as f64 / JOINING as f64;
    println!(
        "{JOINING} channels that join within {:.1} s: {:.1} MB of presence, {:.0} bytes of memory each \
         (and {:.0} for the socket, its user and presence), {:.0} µs of CPU each",
        joined.as_secs_f64(),
        heard.load(Relaxed) as f64 / 1e6,
        per(server.resident_bytes().saturating_sub(idle)),
        per(idle - resident),
        (server.cpu() - cpu).as_secs_f64() * 1e6 / JOINING as f64
    );
}

async fn read(mut socket: Socket, told: UnboundedSender<Instant>) {
    while let Some(Ok(message)) = socket.next().await {
        let now = Instant::now();
        if let Message::Text(text) = message {
            for line in text.lines() {
                assert!(!line.contains("signals-lost"), "the reader was too slow");
                if line.starts_with(r#"{"type":"signal""#) && told.send(now).is_err() {
                    return;
                }
            }
        }
    }
}

async fn arrival(heard: &mut UnboundedReceiver<Instant>) -> Instant {
    let arrived = tokio::time::timeout(PATIENCE, heard.recv()).await;
    arrived.expect("a signal").expect("readers")
}

async fn expect(socket: &mut Socket, start: &str) {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) if text.lines().any(|line| line.starts_with(start)) => {
                return;
            }
            Some(Ok(Message::Text(text))) if text.contains(r#""type":"error""#) => {
                panic!("{text}")
            }
            Some(Ok(_)) => {}
            other => panic!("no {start}: {other:?}"),
        }
    }
}

/// A program in a process of its own: rowcast as a user starts it, or the bare one.
struct Program {
    name: &'static str,
    child: Child,
    address: std::net::SocketAddr,
}

impl Program {
    async fn rowcast(database: &Database) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let child = Command::new(env!("CARGO_BIN_EXE_rowcast"))
            .args(["serve", "--database-url", &database.url])
            .args(["--listen", &address.to_string()])
            .env("ROWCAST_JWT_SECRET", SECRET)
            .env("ROWCAST_DATABASE_DEFAULT_ROLE", "bench_agent")
            .env("ROWCAST_LIMITS_CHANNELS_PER_IDENTITY", "200")
            .env("ROWCAST_LIMITS_SIGNALS_PER_SECOND", "1000000")
            .env("ROWCAST_LIMITS_SIGNALS_BURST", "1000000")
            .env("ROWCAST_LIMITS_SIGNAL_DELIVERIES_PER_SECOND", "100000000")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self::started("rowcast", child, address).await
    }

    async fn bare() -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let child = Command::new(std::env::current_exe().unwrap())
            .args([bare::ARGUMENT, &address.to_string()])
            .spawn()
            .unwrap();
        Self::started("bare   ", child, address).await
    }

    async fn started(name: &'static str, child: Child, address: std::net::SocketAddr) -> Self {
        let server = Self {
            name,
            child,
            address,
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).await.is_err() {
            assert!(Instant::now() < deadline, "the server does not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server
    }

    /// An open channel of organization 1.
    async fn socket(&self, user: usize, channel: &str) -> Socket {
        if self.name != "rowcast" {
            let stream = TcpStream::connect(self.address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let stream = MaybeTlsStream::Plain(stream);
            return WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
        }
        let token = support::token(SECRET, "1", &user.to_string());
        let client = Client::new(self.address, Some(token));
        let mut socket = client.websocket(&format!("/channels/{channel}")).await;
        expect(&mut socket, r#"{"type":"open""#).await;
        socket
    }

    /// User and system time, in ticks of 10 ms (proc(5), `stat`).
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields = stat.rsplit(')').next().unwrap().split_whitespace();
        let ticks = fields.skip(11).take(2).map(|it| it.parse::<u64>().unwrap());
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }

    fn resident_bytes(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id())).unwrap();
        statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let process = nix::unistd::Pid::from_raw(self.child.id() as i32);
        let _ = nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}
