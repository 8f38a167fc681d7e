//! Plain reads: what planning one costs, and requests per second of 25 and of 5,000 rows over several
//! connections that are kept open, beside a bare tokio-postgres program that runs the same SQL with the
//! same `begin`, role and claims and writes the same bytes behind a minimal HTTP. Run it with
//! `scripts/bench reads`; `cargo bench --bench reads -- planning` measures planning only.
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
use futures_util::TryStreamExt;
use program::Program;
use rowcast::{
    catalog::Access,
    config::Config,
    identity::{OrganizationId, Role},
    postgres::{self, encode::RowEncoder},
    query::Query,
};
use std::{
    hint::black_box,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};
use support::Database;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_postgres::{Client, NoTls, Statement};

const SECRET: &str = "a secret of the bench, long enough to sign";
const ROLE: &str = "bench_reader";
/// How many callers ask at once, each on a connection of its own.
const CALLERS: usize = 8;
/// How long each of the two is asked in a round, and how many rounds there are: in turns, so that
/// whatever else the machine does is shared.
const ROUND: Duration = Duration::from_secs(3);
const ROUNDS: usize = 5;
/// How often a query is planned for one figure, and how many figures the median is of.
const PLANS: u32 = 2_000;
const SAMPLES: usize = 15;

/// What is related to the rows, for the plans, and who reads them.
const RELATED: &str = "
    create table note (
        id bigint primary key, organization_id int not null, item_id bigint references item, text text
    );
    do $$ begin create role bench_reader; exception when duplicate_object or unique_violation then null; end $$;
    grant select on item, note to bench_reader;
";

/// The statement with which rowcast begins every transaction.
const SETTINGS: &str = include_str!("../sql/session/begin.sql");

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().position(|it| it == "bare") {
        Some(at) => runtime.block_on(serve_bare(&arguments[at + 1])),
        None => runtime.block_on(run(arguments.iter().any(|it| it == "planning"))),
    }
}

async fn run(only_planning: bool) {
    let database = Database::empty().await;
    let admin = database.connect().await;
    admin.batch_execute(&item::sql(20_000)).await.unwrap();
    admin.batch_execute(RELATED).await.unwrap();
    admin.batch_execute("vacuum analyze").await.unwrap();
    let access = access(&database).await;
    planning(&access);
    if !only_planning {
        println!(
            "\n{:26} {:>12} {:>12} {:>8}",
            format!("{CALLERS} callers"),
            "rowcast",
            "bare",
            "ratio"
        );
        for rows in [25, 5_000] {
            requests(&database, &access, rows).await;
        }
    }
    drop(admin);
    database.finish().await;
}

/// The catalog as the server finds it, and what the role may do.
async fn access(database: &Database) -> Arc<Access> {
    let mut config = Config::default();
    config.database.url = Some(database.url.clone().into());
    let found = postgres::Database::connect(&config).await.unwrap();
    let access = found.access(&Role::from(ROLE)).await.unwrap();
    found.close().await;
    access
}

/// From the query string to the SQL.
fn planning(access: &Access) {
    let organization = OrganizationId::from("1");
    println!("{:26} {:>12}", "planning", "µs");
    for (name, text) in [
        ("plain", "order=id&limit=25"),
        (
            "filtered",
            "status=eq.open&priority=gte.2&or=(title.ilike.*a*,meta-%3E%3Ek.eq.value)\
             &created_at=gt.2024-01-01&order=priority.desc,id&limit=25",
        ),
        (
            "embedded",
            "select=id,title,note(id,text)&status=eq.open&note.order=id.desc&note.limit=3\
             &order=id&limit=25",
        ),
    ] {
        let mut samples: Vec<f64> = (0..SAMPLES)
            .map(|_| {
                let started = Instant::now();
                for _ in 0..PLANS {
                    let query = Query::list(access, "item", black_box(text)).unwrap();
                    black_box(postgres::statement(&query, &organization).unwrap());
                }
                started.elapsed().as_secs_f64() * 1e6 / f64::from(PLANS)
            })
            .collect();
        samples.sort_by(f64::total_cmp);
        println!("{name:26} {:>12.1}", samples[SAMPLES / 2]);
    }
}

async fn requests(database: &Database, access: &Access, rows: usize) {
    let path = format!("/item?order=id&limit={rows}");
    let query = Query::list(access, "item", path.split_once('?').unwrap().1).unwrap();
    let (sql, parameters) = postgres::statement(&query, &OrganizationId::from("1")).unwrap();
    assert_eq!(
        parameters.len(),
        1,
        "the organization is all that is compared"
    );
    let ours = rowcast(database);
    let bare = bare_program(database, &sql, rows);
    let token = support::token(SECRET, "1", "1");
    let asked =
        format!("GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\r\n");
    let same = (one(&ours, &asked).await, one(&bare, &asked).await);
    assert_eq!(same.0, same.1, "both write the same bytes");
    let (mut ours_told, mut bare_told) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours_told.push(told(&ours, &asked).await);
        bare_told.push(told(&bare, &asked).await);
    }
    let (ours, bare) = (median(ours_told), median(bare_told));
    let line = |name: &str, ours: f64, bare: f64| {
        println!("{name:26} {ours:>12.2} {bare:>12.2} {:>8.2}", ours / bare);
    };
    line(&format!("{rows} rows, requests/s"), ours.rate, bare.rate);
    line("    median, ms", ours.half_ms, bare.half_ms);
    line("    p99, ms", ours.most_ms, bare.most_ms);
    line("    CPU of it, ms/request", ours.cpu_ms, bare.cpu_ms);
}

/// What was measured of one program in a round.
#[derive(Clone, Copy)]
struct Told {
    rate: f64,
    half_ms: f64,
    most_ms: f64,
    cpu_ms: f64,
}

/// The medians of each figure.
fn median(told: Vec<Told>) -> Told {
    let of = |figure: fn(&Told) -> f64| {
        let mut figures: Vec<f64> = told.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    Told {
        rate: of(|it| it.rate),
        half_ms: of(|it| it.half_ms),
        most_ms: of(|it| it.most_ms),
        cpu_ms: of(|it| it.cpu_ms),
    }
}

/// The server, read by a role of its own.
fn rowcast(database: &Database) -> Program {
    let settings = [
        ("ROWCAST_JWT_SECRET", SECRET),
        ("ROWCAST_DATABASE_DEFAULT_ROLE", ROLE),
    ];
    Program::rowcast(&database.url, &settings)
}

/// This bench as the bare program, which runs this statement.
fn bare_program(database: &Database, sql: &str, rows: usize) -> Program {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["bare", &database.url]);
    command.env("BENCH_SQL", sql);
    command.env("BENCH_ROWS", rows.to_string());
    Program::start(command)
}

/// The body of one answer.
async fn one(program: &Program, asked: &str) -> Vec<u8> {
    let stream = TcpStream::connect(program.address).await.unwrap();
    Caller::new(stream).ask(asked).await.to_vec()
}

/// All callers ask for a round.
async fn told(program: &Program, asked: &str) -> Told {
    let cpu = program.cpu();
    let started = Instant::now();
    let callers = (0..CALLERS).map(|_| {
        let (asked, address) = (asked.to_owned(), program.address);
        tokio::spawn(async move {
            let mut caller = Caller::new(TcpStream::connect(address).await.unwrap());
            let mut times = Vec::new();
            while started.elapsed() < ROUND {
                let asked_at = Instant::now();
                caller.ask(&asked).await;
                times.push(asked_at.elapsed());
            }
            times
        })
    });
    let callers: Vec<_> = callers.collect();
    let mut times = Vec::new();
    for caller in callers {
        times.extend(caller.await.unwrap());
    }
    let seconds = started.elapsed().as_secs_f64();
    let cpu = program.cpu() - cpu;
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    Told {
        rate: times.len() as f64 / seconds,
        half_ms: at(0.5),
        most_ms: at(0.99),
        cpu_ms: cpu.as_secs_f64() * 1e3 / times.len() as f64,
    }
}

/// A caller that does as little as can be done, so that little of the machine is its own.
struct Caller {
    stream: TcpStream,
    read: BytesMut,
}

impl Caller {
    fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            read: BytesMut::with_capacity(64 << 10),
        }
    }

    /// Asks, and reads the body, whose length the head has to tell.
    async fn ask(&mut self, asked: &str) -> BytesMut {
        self.stream.write_all(asked.as_bytes()).await.unwrap();
        loop {
            if let Some(end) = memchr::memmem::find(&self.read, b"\r\n\r\n") {
                let head = std::str::from_utf8(&self.read[..end]).unwrap();
                assert!(head.starts_with("HTTP/1.1 200"), "{head}");
                let (_, length) = head.split_once("content-length: ").unwrap();
                let length = length.split('\r').next().unwrap();
                let whole = end + 4 + length.parse::<usize>().unwrap();
                self.read.reserve(whole.saturating_sub(self.read.len()));
                while self.read.len() < whole {
                    self.more().await;
                }
                let mut answer = self.read.split_to(whole);
                return answer.split_off(end + 4);
            }
            self.more().await;
        }
    }

    async fn more(&mut self) {
        let read = self.stream.read_buf(&mut self.read).await.unwrap();
        assert!(read > 0, "the connection ended");
    }
}

/// The bare program: one connection of PostgreSQL for each of HTTP, and nothing that is not asked for.
async fn serve_bare(url: &str) {
    let sql: Arc<str> = std::env::var("BENCH_SQL").unwrap().into();
    let rows: usize = std::env::var("BENCH_ROWS").unwrap().parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    eprintln!("address={}", listener.local_addr().unwrap());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (sql, url) = (sql.clone(), url.to_owned());
        tokio::spawn(async move { answer(stream, &url, &sql, rows).await });
    }
}

async fn answer(mut stream: TcpStream, url: &str, sql: &str, rows: usize) {
    stream.set_nodelay(true).unwrap();
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let session = "set timezone = 'UTC'; set jit = off; set search_path = public";
    client.batch_execute(session).await.unwrap();
    let settings = client.prepare(SETTINGS).await.unwrap();
    let statement = client.prepare(sql).await.unwrap();
    // What stands behind the row's own columns is for the next page.
    let columns = &statement.columns()[..12];
    let encoder = RowEncoder::new(
        columns
            .iter()
            .map(|it| (it.name(), bare::encoding(it.type_()))),
    );
    let mut asked = BytesMut::with_capacity(4 << 10);
    loop {
        while memchr::memmem::find(&asked, b"\r\n\r\n").is_none() {
            if stream.read_buf(&mut asked).await.unwrap_or(0) == 0 {
                connection.abort();
                return;
            }
        }
        asked.clear();
        let body = body(&client, &settings, &statement, &encoder, rows).await;
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
    }
}

/// The rows, in one round trip.
async fn body(
    client: &Client,
    settings: &Statement,
    statement: &Statement,
    encoder: &RowEncoder,
    rows: usize,
) -> BytesMut {
    let claims = r#"{"org":"1","sub":"1","exp":4102444800}"#;
    let organization = [AsText("1")];
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] = [&ROLE, &claims, &"30000", &""];
    let (begun, told, stream, ended) = tokio::join!(
        biased;
        client.batch_execute("begin isolation level repeatable read read only"),
        client.query_one(settings, &values),
        client.query_raw(statement, &organization),
        client.simple_query_raw("commit"),
    );
    begun.unwrap();
    assert_eq!(told.unwrap().get::<_, &str>("role"), ROLE);
    ended.unwrap();
    let mut stream = std::pin::pin!(stream.unwrap());
    let mut body = BytesMut::with_capacity(4 << 10);
    body.extend_from_slice(b"[");
    let mut count = 0;
    while let Some(row) = stream.try_next().await.unwrap() {
        count += 1;
        if count <= rows {
            encoder.encode(&row, &mut body).unwrap();
            body.extend_from_slice(b",");
        }
    }
    body.truncate(body.len() - 1);
    body.extend_from_slice(b"]");
    body
}

/// A parameter in the text form of its type, as rowcast sends them.
#[derive(Debug)]
struct AsText(&'static str);

impl tokio_postgres::types::ToSql for AsText {
    fn to_sql(
        &self,
        _: &tokio_postgres::types::Type,
        out: &mut BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(tokio_postgres::types::IsNull::No)
    }

    fn accepts(_: &tokio_postgres::types::Type) -> bool {
        true
    }

    fn encode_format(&self, _: &tokio_postgres::types::Type) -> tokio_postgres::types::Format {
        tokio_postgres::types::Format::Text
    }

    tokio_postgres::types::to_sql_checked!();
}
