//! The whole server beside a bare tokio-postgres program: rows to `done`, CPU per row, PATCH to
//! notice. Run it with `scripts/bench`; every figure stands beside its yardstick from the same run.
//! `cargo bench --bench server -- replay` measures that one only.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a bench stops at the first surprise"
)]

#[path = "bare/encoding.rs"]
mod bare;
#[path = "scene/item.rs"]
mod item;
#[path = "scene/program.rs"]
mod program;
#[path = "../tests/support/mod.rs"]
mod support;

use bytes::BytesMut;
use futures_util::StreamExt;
use program::{Program, cpu_of};
use rowcast::postgres::encode::RowEncoder;
use std::time::{Duration, Instant};
use support::{Client, Database};
use tokio_tungstenite::tungstenite::Message;

const SECRET: &str = "a secret of the bench, long enough to sign";
const NOTICES: usize = 300;
const ACTIONS: usize = 1_000;

/// Who reads and writes them.
const RIGHTS: &str = "
    do $$ begin create role bench_agent; exception when duplicate_object or unique_violation then null; end $$;
    grant select, insert, update, delete on item to bench_agent;
";

/// The same columns in the same order, without JSON: what the bare program asks for.
const BARE: &str = "select id, organization_id, title, body, status, priority, assignee, reporter,
    created_at, updated_at, tags, meta from item order by id limit $1";

#[tokio::main]
async fn main() {
    let database = Database::empty().await;
    let admin = database.connect().await;
    for sql in [&item::sql(100_000), "vacuum analyze item", RIGHTS] {
        admin.batch_execute(sql).await.unwrap();
    }

    let server = start(&database);
    println!("{:34} {:>12} {:>12} {:>8}", "", "rowcast", "bare", "ratio");
    if std::env::args().any(|it| it == "actions") {
        actions(&server).await;
        drop(server);
        return database.finish().await;
    }
    let (replay, bare) = replay_to_up_to_date(&server, &database).await;
    line("10,000 missed changes, ms", replay, bare);
    if std::env::args().any(|it| it == "replay") {
        drop(server);
        return database.finish().await;
    }
    for (rows, repeats) in [(25, 200), (5_000, 30), (100_000, 5)] {
        let ours = rows_to_done(&server, rows, repeats).await;
        let bare = bare_rows(&admin, rows, repeats).await;
        line(&format!("{rows} rows to done, ms"), ours.done, bare.0);
        println!("{:34} {:>12.3}", "    202, ms", ours.accepted);
        println!("{:34} {:>12.3}", "    first row, ms", ours.first);
        line("    CPU per row, µs", ours.cpu_us_per_row, bare.1);
    }
    let notice = patch_to_notice(&server).await;
    println!(
        "{:34} {:>12.3}  (p99 {:.3})",
        "PATCH to notice, median ms", notice.0, notice.1
    );
    let answer = patch_to_notice_after_answer(&server).await;
    println!(
        "{:34} {:>12.3}  (p99 {:.3})",
        "PATCH to its answer, median ms", answer.0, answer.1
    );
    for (name, pause) in [
        ("commit by SQL to notice, median ms", true),
        ("    just after another, median ms", false),
    ] {
        let psql = sql_to_notice(&server, &database, pause).await;
        println!("{name:34} {:>12.3}  (p99 {:.3})", psql.0, psql.1);
    }
    actions(&server).await;
    drop(server);
    database.finish().await;
}

fn line(name: &str, ours: f64, bare: f64) {
    println!("{name:34} {ours:>12.3} {bare:>12.3} {:>8.2}", ours / bare);
}

struct Streamed {
    accepted: f64,
    first: f64,
    done: f64,
    cpu_us_per_row: f64,
}

/// An asynchronous GET on an open WebSocket: medians of the times from sending it.
async fn rows_to_done(server: &Program, rows: usize, repeats: usize) -> Streamed {
    let client = client(server);
    let mut socket = client.websocket("/channels/bench").await;
    let (mut accepted, mut first, mut done) = (Vec::new(), Vec::new(), Vec::new());
    let mut cpu = Duration::ZERO;
    for repeat in 0..=repeats {
        let cpu_before = server.cpu();
        let started = Instant::now();
        let path = format!("/item?order=id&limit={rows}");
        let id = format!("r{rows}-{repeat}");
        let call = client
            .get(&path)
            .header("request-id", &id)
            .header("channel-id", "bench");
        let answer = tokio::spawn(async move { (call.expect(202).await, started.elapsed()).1 });
        let (mut seen, mut first_row) = (0, None);
        let mut sequence_ack = None;
        while sequence_ack.is_none() {
            let Some(Ok(Message::Text(text))) = socket.next().await else {
                continue;
            };
            for event in text
                .as_bytes()
                .split(|byte| *byte == b'\n')
                .filter(|it| !it.is_empty())
            {
                if event.starts_with(br#"{"type":"row""#) {
                    first_row.get_or_insert_with(|| started.elapsed());
                    seen += 1;
                } else if event.starts_with(br#"{"type":"done""#) {
                    sequence_ack = Some(());
                } else {
                    assert!(
                        !event.starts_with(br#"{"type":"error""#),
                        "{}",
                        String::from_utf8_lossy(event)
                    );
                }
            }
        }
        let total = started.elapsed();
        assert_eq!(seen, rows);
        let answered = answer.await.unwrap();
        if repeat > 0 {
            // The first one prepares statements and warms caches on both sides.
            cpu += server.cpu() - cpu_before;
            accepted.push(answered);
            first.push(first_row.unwrap());
            done.push(total);
        }
    }
    socket.close(None).await.ok();
    Streamed {
        accepted: median_ms(accepted),
        first: median_ms(first),
        done: median_ms(done),
        cpu_us_per_row: cpu.as_secs_f64() * 1e6 / (rows * repeats) as f64,
    }
}

/// The bare program: the same rows over tokio-postgres, each encoded by the same row encoder, no server.
async fn bare_rows(admin: &tokio_postgres::Client, rows: usize, repeats: usize) -> (f64, f64) {
    let statement = admin.prepare(BARE).await.unwrap();
    let columns = statement.columns().iter();
    let encoder = RowEncoder::new(columns.map(|it| (it.name(), bare::encoding(it.type_()))));
    let mut times = Vec::new();
    let mut cpu = Duration::ZERO;
    for repeat in 0..=repeats {
        let cpu_before = own_cpu();
        let started = Instant::now();
        let stream = admin.query_raw(&statement, [rows as i64]).await.unwrap();
        let mut stream = std::pin::pin!(stream);
        let mut buffer = BytesMut::new();
        let mut bytes = 0;
        while let Some(row) = stream.next().await {
            encoder.encode(&row.unwrap(), &mut buffer).unwrap();
            if buffer.len() > 16 << 10 {
                bytes += std::hint::black_box(buffer.split().freeze()).len();
            }
        }
        bytes += buffer.len();
        assert!(bytes > rows * 300);
        if repeat > 0 {
            times.push(started.elapsed());
            cpu += own_cpu() - cpu_before;
        }
    }
    (
        median_ms(times),
        cpu.as_secs_f64() * 1e6 / (rows * repeats) as f64,
    )
}

/// From sending a PATCH to the change on another socket.
async fn patch_to_notice(server: &Program) -> (f64, f64) {
    let client = client(server);
    let mut socket = client.websocket("/channels/notice").await;
    expect(&mut socket, r#"{"type":"open""#).await;
    let mut times = Vec::new();
    for number in 0..NOTICES {
        let started = Instant::now();
        let call = client.patch(
            "/item/1",
            serde_json::json!({ "title": format!("Title {number}") }),
        );
        let answer = tokio::spawn(call.expect(200));
        expect(&mut socket, r#"{"type":"change""#).await;
        times.push(started.elapsed());
        answer.await.unwrap();
    }
    quantiles(times)
}

/// The yardstick of the same run: from sending a PATCH to its own answer.
async fn patch_to_notice_after_answer(server: &Program) -> (f64, f64) {
    let client = client(server);
    let mut times = Vec::new();
    for number in 0..NOTICES {
        let started = Instant::now();
        client
            .patch(
                "/item/1",
                serde_json::json!({ "title": format!("Again {number}") }),
            )
            .expect(200)
            .await;
        times.push(started.elapsed());
    }
    quantiles(times)
}

/// What naming an action costs a write: the same PATCH with one and without, in turns.
async fn actions(server: &Program) {
    let client = client(server);
    let mut times = [Vec::new(), Vec::new()];
    let run = std::process::id();
    for number in 0..ACTIONS {
        for (named, times) in times.iter_mut().enumerate() {
            let body = serde_json::json!({ "title": format!("Write {number}") });
            let mut call = client.patch("/item/3", body);
            if named == 1 {
                call = call.header("action-id", &format!("bench-{run}-{number}"));
            }
            let started = Instant::now();
            call.expect(200).await;
            times.push(started.elapsed());
        }
    }
    let mut costs: Vec<f64> = times[0]
        .iter()
        .zip(&times[1])
        .map(|(without, with)| (with.as_secs_f64() - without.as_secs_f64()) * 1000.0)
        .collect();
    costs.sort_by(f64::total_cmp);
    let [without, with] = times.map(quantiles);
    line("PATCH with an Action-Id, ms", with.0, without.0);
    println!(
        "{:34} {:>12.3}  (p99 {:.3}, without {:.3})",
        "    median of the differences, ms",
        costs[costs.len() / 2],
        with.1,
        without.1
    );
}

/// From a commit by another program to the change. Commits come at any time of the feed's period, or,
/// without a `pause`, just after the last notice: that is at the beginning of one, the worst time.
async fn sql_to_notice(server: &Program, database: &Database, pause: bool) -> (f64, f64) {
    let sql = database.connect().await;
    let mut socket = client(server).websocket("/channels/sql").await;
    expect(&mut socket, r#"{"type":"open""#).await;
    let mut times = Vec::new();
    for number in 0..NOTICES {
        if pause {
            // Spread evenly over two periods of 10 ms, in another order than that of time.
            let pause = Duration::from_micros(20_000 * ((number as u64 * 73) % 100) / 100);
            tokio::time::sleep(pause).await;
        }
        sql.batch_execute("update item set priority = priority + 1 where id = 2")
            .await
            .unwrap();
        let started = Instant::now();
        expect(&mut socket, r#"{"type":"change""#).await;
        times.push(started.elapsed());
    }
    quantiles(times)
}

/// From attaching with a cursor, 10,000 changes of 1,000 rows ago, until all of it was told. The
/// yardstick: the log's keys grouped and the rows read by a bare program.
async fn replay_to_up_to_date(server: &Program, database: &Database) -> (f64, f64) {
    let sql = database.connect().await;
    let client = client(server);
    let answer = client.get("/item?limit=1").expect(200).await;
    let since = answer.header("cursor").to_owned();
    for _ in 0..10 {
        let update = "update item set priority = priority + 1 where id between 1001 and 2000";
        sql.batch_execute(update).await.unwrap();
    }
    let mut times = Vec::new();
    let mut bare = Vec::new();
    for number in 0..10 {
        let started = Instant::now();
        let path = format!("/channels/replay-{number}?since={since}");
        let mut socket = client.websocket(&path).await;
        let mut changes = 0;
        while changes < 1_000 {
            let message = socket.next().await.unwrap().unwrap().into_text().unwrap();
            changes += message.matches(r#"{"type":"change""#).count();
        }
        times.push(started.elapsed());
        client
            .delete(&format!("/channels/replay-{number}"))
            .send()
            .await;

        let started = Instant::now();
        let rows = sql
            .query(
                "select t.* from item t join (
                    select key[1]::bigint as id from rowcast.changes
                    where relation = 'item'::regclass order by seq desc limit 10000
                ) k using (id) group by t.id",
                &[],
            )
            .await
            .unwrap();
        assert_eq!(rows.len(), 1_000);
        bare.push(started.elapsed());
    }
    (median_ms(times), median_ms(bare))
}

async fn expect<S>(socket: &mut tokio_tungstenite::WebSocketStream<S>, start: &str)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) if text.lines().any(|line| line.starts_with(start)) => {
                return;
            }
            Some(Ok(_)) => {}
            other => panic!("no {start}: {other:?}"),
        }
    }
}

fn median_ms(times: Vec<Duration>) -> f64 {
    quantiles(times).0
}

fn quantiles(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    (at(0.5), at(0.99))
}

fn start(database: &Database) -> Program {
    let settings = [
        ("ROWCAST_JWT_SECRET", SECRET),
        ("ROWCAST_DATABASE_DEFAULT_ROLE", "bench_agent"),
    ];
    Program::rowcast(&database.url, &settings)
}

fn client(server: &Program) -> Client {
    client_of(server, "1")
}

fn client_of(server: &Program, user: &str) -> Client {
    Client::new(server.address, Some(support::token(SECRET, "1", user)))
}

fn own_cpu() -> Duration {
    cpu_of(std::process::id())
}
