//! The run itself: twelve readers, writers by SQL and through the API, faults by plan, and rests at
//! which everything is compared.

use super::{
    company::{Company, Member, Phase},
    faults::Victims,
    invariants::{Findings, Invariant},
    ledger::Ledger,
    plan::{Plan, Random, Round},
    proxy::{Proxy, Upstream},
    readers::Reader,
    report::Tally,
    schema::ORGANIZATIONS,
    trace::trace_folder,
    world::{Postgres, Serve},
    writers::{self, Office},
};
use crate::support::{Client, Database, TestServer, Transport, server::SECRET, token_of};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::Instant,
};

/// How long readers may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(45);

/// How long the server may take to be ready again.
const READY: Duration = Duration::from_secs(40);

/// Open files that a server may hold more at rest than at its start: connections to PostgreSQL.
const FILES_MAX: usize = 40;

/// Resident memory of a server, a debug build.
const MEMORY_KIB_MAX: u64 = 400 * 1024;

struct Run {
    plan: Plan,
    random: Random,
    victims: Victims,
    office: Office,
    findings: Findings,
    tally: Tally,
    phase: watch::Sender<Phase>,
    resting: mpsc::Receiver<String>,
    readers: Vec<JoinHandle<()>>,
    /// The API's writers, each with its line.
    clients: Vec<(i64, Client, Arc<Proxy>)>,
    /// Asks whether the server is ready.
    inspector: Client,
    marks: i64,
    files_at_start: usize,
}

/// Runs a plan; the report, and what was found.
pub(super) async fn run(plan: Plan) -> (String, Findings, Tally) {
    let mut run = Run::start(plan).await;
    let rounds = run.plan.rounds.clone();
    for round in &rounds {
        run.work(round).await;
        run.rest().await;
        eprintln!("{}", run.tally.report("so far", &run.findings));
    }
    run.end().await
}

impl Run {
    async fn start(plan: Plan) -> Self {
        let random = Random(plan.seed);
        let (findings, tally) = (Findings::default(), Tally::start());
        let postgres = Postgres::start().await;
        let database = Upstream::Unix(postgres.socket.clone());
        let database = Arc::new(Proxy::start(database, None).await);
        let proxied_url = format!("postgres://postgres@{}/convergence", database.address);
        let logs = trace_folder();
        std::fs::create_dir_all(&logs).unwrap();
        let server = Serve::start(&proxied_url, &logs, 0).await;
        let files_at_start = server.held().map_or(0, |it| it.files);
        let upstream = Upstream::Tcp(server.address);
        let (phase, phases) = watch::channel(Phase::Work);
        let (rested, resting) = mpsc::channel(16);
        let company = Company {
            findings: findings.clone(),
            tally: tally.clone(),
            phase: phases,
            rested,
            database_url: postgres.url.clone(),
            pause_max: plan.pause_max,
            peaceful: false,
            curious: true,
            patience: PATIENCE,
            foreign_cursor: Some(foreign_cursor().await),
            roster: None,
        };
        let (mut lines, mut readers) = (Vec::new(), Vec::new());
        for organization in ORGANIZATIONS {
            for (at, transport) in Transport::ALL.into_iter().enumerate() {
                let member = Member {
                    organization,
                    user: organization * 10 + at as i64,
                    transport,
                };
                let line = Arc::new(Proxy::start(upstream.clone(), None).await);
                let token = token_of(SECRET, member.claims());
                let client = Client::new(line.address, Some(token));
                let number = readers.len() as u64;
                let own = Some(line.clone());
                let reader = Reader::new(member, client, &company, own, random.fork(number));
                readers.push(tokio::spawn(reader.run()));
                lines.push(line);
            }
        }
        let mut clients = Vec::new();
        for organization in ORGANIZATIONS {
            let line = Arc::new(Proxy::start(upstream.clone(), None).await);
            let claims = serde_json::json!({ "org": organization, "sub": "writer" });
            let client = Client::new(line.address, Some(token_of(SECRET, claims)));
            clients.push((organization, client, line.clone()));
            lines.push(line);
        }
        let quiet = Arc::new(Proxy::start(upstream, None).await);
        let inspector = Client::new(quiet.address, None);
        lines.push(quiet);
        let office = Office {
            ledger: Ledger::default(),
            tally: tally.clone(),
            stop: Arc::default(),
            database_url: postgres.url.clone(),
            held_open: plan.held_open,
            numbers: Arc::new(AtomicU64::new(1)),
        };
        let victims = Victims {
            postgres,
            server,
            starts: 0,
            logs,
            database,
            proxied_url,
            clients: lines,
        };
        Self {
            plan,
            random,
            victims,
            office,
            findings,
            tally,
            phase,
            resting,
            readers,
            clients,
            inspector,
            marks: 0,
            files_at_start,
        }
    }

    /// Everybody writes and reads, and what the round says is done to them.
    async fn work(&mut self, round: &Round) {
        let begun = Instant::now();
        self.phase.send_replace(Phase::Work);
        self.office.stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        let mut fork = 1_000 * (self.marks as u64 + 1);
        let mut source = || {
            fork += 1;
            self.random.fork(fork)
        };
        for _ in 0..3 {
            tasks.push(tokio::spawn(writers::by_sql(self.office.clone(), source())));
        }
        for (organization, client, line) in &self.clients {
            tasks.push(tokio::spawn(writers::by_api(
                self.office.clone(),
                client.clone(),
                *organization,
                line.clone(),
                source(),
            )));
        }
        if round.upheaval {
            tasks.push(tokio::spawn(writers::upheaval(
                self.office.clone(),
                source(),
            )));
        }
        for (at, fault) in &round.faults {
            tokio::time::sleep_until(begun + *at).await;
            self.look_after().await;
            eprintln!("{:6.1} s: {fault:?}", self.tally.elapsed().as_secs_f64());
            self.tally.count(&format!("fault: {fault:?}"));
            self.victims.suffer(*fault, &mut self.random).await;
        }
        tokio::time::sleep_until(begun + round.length).await;
        self.office.stop.store(true, Ordering::Relaxed);
        for task in tasks {
            task.await.expect("writers do not panic");
        }
        self.look_after().await;
    }

    /// Starts the server again if it has ended, which it should not have.
    async fn look_after(&mut self) {
        if let Some(end) = self.victims.server.has_ended() {
            self.findings.add(Invariant::StaysUp, "server", end);
            self.victims.start_again().await;
        }
        if let Some(held) = self.victims.server.held()
            && held.memory_kib > MEMORY_KIB_MAX
        {
            self.findings
                .add(Invariant::NothingLeaked, "server", format!("{held:?}"));
        }
    }

    /// Nobody writes: all are told everything, and everything is compared.
    async fn rest(&mut self) {
        let deadline = Instant::now() + READY;
        loop {
            let answer = self.inspector.get("/ready").try_send(READY / 10).await;
            if answer.as_ref().is_ok_and(|it| it.status == 200) {
                break;
            }
            if Instant::now() >= deadline {
                self.findings
                    .add(Invariant::StaysUp, "/ready", format!("{answer:?}"));
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.marks += 1;
        let mark = self.marks;
        let sql = self.victims.postgres.connect().await;
        let update = format!("update marks set number = {mark}");
        sql.batch_execute(&update).await.unwrap();
        let version = sql
            .query_one(
                "select pg_snapshot_xmax(s)::text::bigint
                    - (select count(*) from pg_snapshot_xip(s)) from pg_current_snapshot() s",
                &[],
            )
            .await
            .unwrap();
        let version = u64::try_from(version.get::<_, i64>(0)).unwrap();
        self.phase.send_replace(Phase::Rest { mark, version });
        for _ in 0..self.readers.len() {
            self.resting.recv().await.expect("readers outlive the run");
        }
        self.tally.count("rests");
        let acknowledged = self.office.ledger.settle(&sql, &self.findings).await;
        self.tally.add("acknowledged entries found", acknowledged);
        writers::trim(&sql).await.unwrap();
    }

    async fn end(mut self) -> (String, Findings, Tally) {
        self.phase.send_replace(Phase::End);
        for reader in self.readers.drain(..) {
            reader.await.expect("readers do not panic");
        }
        self.look_for_leaks().await;
        let mut errors = 0;
        for number in 0..=self.victims.starts {
            let log = self.victims.logs.join(format!("server-{number}.log"));
            let log = std::fs::read_to_string(log).unwrap_or_default();
            for line in log.lines() {
                if line.contains("panicked") {
                    self.findings.add(Invariant::StaysUp, "log", line);
                }
                errors += u64::from(line.contains(" ERROR "));
            }
        }
        self.tally.add("errors in the server's log", errors);
        self.tally
            .add("server processes", self.victims.starts as u64 + 1);
        let bytes = self.victims.clients.iter().map(|it| it.bytes()).sum();
        self.tally.add("bytes between clients and server", bytes);
        let bytes = self.victims.database.bytes();
        self.tally.add("bytes between server and PostgreSQL", bytes);
        if self.findings.is_empty() {
            let _ = std::fs::remove_dir_all(&self.victims.logs);
        }
        let title = format!("convergence, seed {}", self.plan.seed);
        let report = self.tally.report(&title, &self.findings);
        (report, self.findings, self.tally)
    }

    /// Everybody has gone: files and connections go too, and with the server all of them.
    async fn look_for_leaks(&mut self) {
        let sql = self.victims.postgres.connect().await;
        let deadline = Instant::now() + Duration::from_secs(15);
        let most = self.files_at_start + FILES_MAX;
        loop {
            let busy = sql
                .query(
                    "select format('%s: %s since %s: %s', application_name, state, state_change, query)
                     from pg_stat_activity where datname = current_database()
                     and pid <> pg_backend_pid() and application_name like 'rowcast%'
                     and (state = 'active' or state like 'idle in transaction%'
                          and application_name = 'rowcast')",
                    &[],
                )
                .await
                .unwrap();
            let busy: Vec<String> = busy.iter().map(|it| it.get(0)).collect();
            let held = self.victims.server.held();
            let files = held.map_or(0, |it| it.files);
            if busy.is_empty() && files <= most {
                if let Some(held) = held {
                    self.tally
                        .add("resident KiB of the server at the end", held.memory_kib);
                    self.tally
                        .add("open files of the server at the end", files as u64);
                }
                break;
            }
            if Instant::now() >= deadline {
                let what = format!("{files} open files, {busy:?}");
                self.findings
                    .add(Invariant::NothingLeaked, "at the end", what);
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let code = self.victims.server.end().await;
        if code != Some(0) {
            self.findings.add(
                Invariant::StaysUp,
                "at the end",
                format!("exit code {code:?}"),
            );
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let left = sql
                .query_one(
                    "select count(*) from pg_stat_activity where application_name like 'rowcast%'",
                    &[],
                )
                .await
                .unwrap();
            let left: i64 = left.get(0);
            if left == 0 {
                break;
            }
            if Instant::now() >= deadline {
                let what = format!("{left} connections outlive the server");
                self.findings
                    .add(Invariant::NothingLeaked, "at the end", what);
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A cursor that a server in front of another database gave.
async fn foreign_cursor() -> String {
    let sql = "create table things (id int primary key, organization_id int not null)";
    let server = TestServer::start(Database::with(sql).await, |_| ()).await;
    let answer = server.client(1, 1).get("/things").expect(200).await;
    let cursor = answer.header("cursor").to_owned();
    server.finish().await;
    cursor
}

/// A part of every run of the tests.
#[tokio::test(flavor = "multi_thread")]
async fn stores_converge_whatever_happens() {
    let seed = std::env::var("ROWCAST_TEST_SEED").ok();
    let seed = seed.and_then(|it| it.parse().ok()).unwrap_or(1);
    let (report, findings, tally) = run(Plan::short(seed)).await;
    eprintln!("{report}");
    assert!(findings.is_empty(), "seed {seed}: {findings}");
    // A run in which nothing happens finds nothing.
    for what in [
        "rests",
        "commits by SQL",
        "acknowledged entries found",
        "rows compared",
    ] {
        assert!(tally.of(what) > 0, "no {what}");
    }
}

/// For as long as `scripts/soak` says.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long; scripts/soak runs it"]
async fn soak() {
    let number = |name: &str| std::env::var(name).ok().and_then(|it| it.parse().ok());
    let seed = number("ROWCAST_SOAK_SEED").unwrap_or(1);
    let minutes = number("ROWCAST_SOAK_MINUTES").unwrap_or(10);
    let (report, findings, _) = run(Plan::long(seed, minutes)).await;
    eprintln!("{report}");
    assert!(findings.is_empty(), "seed {seed}: {findings}");
}
