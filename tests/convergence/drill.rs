//! The checker itself is checked: for each kind of harm, a short run in which it is done, and has to
//! be found under its name; and one in which nothing is done, and nothing may be found.

use super::{
    company::Member,
    feed_harm::{self, HarmfulBroker},
    harm::{Harm, WireHarm},
    invariants::Findings,
    plan::Random,
    proxy::{Proxy, Rewriter, Upstream},
    readers::Reader,
    rounds::{self, Rounds, assert_found, assert_nothing},
    schema,
    wire::{Tamper, Wire},
};
use crate::support::{Client, Database, Transport, cluster, server::SECRET, token_of, until};
use rowcast::server::{Running, Server};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpListener;

const SEED: u64 = 7;

/// How long readers may take to come to rest here, where nothing stands in their way but harm.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server whose feed and whose wire can be harmed.
struct Range {
    database: Database,
    running: Running,
    feed: Arc<Mutex<feed_harm::State>>,
    wire: Arc<Mutex<WireHarm>>,
    proxy: Proxy,
    marks: i64,
}

impl Range {
    async fn start() -> Self {
        let database = Database::with(schema::SQL).await;
        let config = rounds::config(&database);
        let feed = Arc::<Mutex<feed_harm::State>>::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = feed.clone();
        let broker = |hub| Arc::new(HarmfulBroker::new(hub, &state)) as Arc<_>;
        let running = Server::start_with(config, listener, broker).await.unwrap();
        let wire = Arc::new(Mutex::new(WireHarm::new(SEED)));
        let (tamper, connections) = (wire.clone(), AtomicU64::new(0));
        let rewriter: Rewriter = Arc::new(move || {
            let number = connections.fetch_add(1, Ordering::Relaxed);
            let tamper: Arc<Mutex<dyn Tamper>> = tamper.clone();
            Box::new(Wire::new(number, tamper))
        });
        let upstream = Upstream::Tcp(running.address());
        let proxy = Proxy::start(upstream, Some(rewriter)).await;
        Self {
            database,
            running,
            feed,
            wire,
            proxy,
            marks: 0,
        }
    }

    /// One run in which nothing is done.
    async fn unharmed(&mut self, number: usize) -> Findings {
        self.run(number, true).await
    }

    /// One run in which what is armed is done.
    async fn harmed(&mut self, number: usize) -> Findings {
        self.run(number, false).await
    }

    /// What was found.
    async fn run(&mut self, number: usize, curious: bool) -> Findings {
        self.database.execute("delete from entries").await;
        let (mut rounds, mut company) = Rounds::begin(&self.database, PATIENCE, None);
        company.curious = curious;
        for (at, organization) in [1, 1, 2].into_iter().enumerate() {
            let member = Member {
                organization,
                user: organization * 10 + at as i64,
                transport: Transport::ALL[(number + at) % 4],
            };
            let token = token_of(SECRET, member.claims());
            let client = Client::new(self.proxy.address, Some(token));
            let random = Random(SEED).fork(at as u64);
            rounds.enter(Reader::new(member, client, &company, None, random));
        }
        // Everybody has everything before harm begins to matter.
        self.rest(&mut rounds).await;
        rounds.work();
        self.write().await;
        self.rest(&mut rounds).await;
        rounds.end().await;
        company.findings
    }

    async fn rest(&mut self, rounds: &mut Rounds) {
        self.marks += 1;
        rounds.rest(&self.database, self.marks, "true").await;
    }

    /// Each statement a transaction, and most of them a batch, of their own.
    async fn write(&self) {
        let sql = self.database.connect().await;
        let pause = || tokio::time::sleep(Duration::from_millis(60));
        let announced = |resource| self.feed.lock().unwrap().announced(resource);
        let told = async |resource, changes: usize| {
            until("the feed announces them", async || {
                announced(resource) >= changes
            })
            .await;
        };
        for organization in [1, 2] {
            let before = announced("entries");
            sql.batch_execute(&format!(
                "insert into entries (organization_id, body)
                 select {organization}, format('org-{organization} entry %s', n)
                 from generate_series(1, 600) n"
            ))
            .await
            .unwrap();
            told("entries", before + 600).await;
        }
        // Each is a batch of its own, however slow the feed is: two of them are swapped.
        for weight in 1..=3 {
            let before = announced("tickets");
            let hot = format!(
                "update tickets set weight = {weight}, subject = 'org-1 at {weight}'
                 where id = (select min(id) from tickets where organization_id = 1)"
            );
            sql.batch_execute(&hot).await.unwrap();
            told("tickets", before + 1).await;
        }
        for statement in [
            "update entries set body = body || '.'",
            "delete from entries where id % 20 = 0",
            "insert into comments (organization_id, body) values (1, 'org-1 c'), (2, 'org-2 c')",
        ] {
            sql.batch_execute(statement).await.unwrap();
            pause().await;
        }
    }

    async fn finish(self) {
        drop(self.proxy);
        end(self.running, self.database).await;
    }
}

/// Waits until a server that everybody has left holds nothing for anybody: no reader, no request, no
/// byte in a queue. A channel may be left, which ends by itself: a poll that was given up on a busy
/// machine may arrive after the end of its channel, and makes one of that name.
async fn nothing_left(running: &Running) {
    let deadline = tokio::time::Instant::now() + 6 * PATIENCE;
    loop {
        let stats = running.stats();
        let held = [
            stats.sockets,
            stats.requests,
            stats.channels.requests,
            stats.channels.attachments,
            stats.channels.queued_bytes,
            stats.database.plain_busy,
            stats.database.streams_busy,
        ];
        if held == [0; 7] {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{stats:?} is left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Ends a server, which leaves nothing behind.
pub(super) async fn end(running: Running, database: Database) {
    nothing_left(&running).await;
    running.shutdown().await;
    cluster::until_left(&database).await;
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checker_catches_harm_done_to_the_feed() {
    let mut range = Range::start().await;
    let findings = range.unharmed(0).await;
    assert_nothing(&findings);
    for (number, harm) in Harm::ALL.into_iter().enumerate() {
        range.feed.lock().unwrap().arm(Some(harm), SEED);
        let findings = range.harmed(number).await;
        let done = range.feed.lock().unwrap().done;
        range.feed.lock().unwrap().arm(None, SEED);
        let harmed = format!("{harm:?} of the feed");
        assert_found(harmed, done, harm.found_in_the_feed(), &findings);
    }
    range.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checker_catches_harm_done_to_the_wire() {
    let mut range = Range::start().await;
    let findings = range.unharmed(1).await;
    assert_nothing(&findings);
    for (number, harm) in Harm::ALL.into_iter().enumerate() {
        range.wire.lock().unwrap().arm(Some(harm));
        let findings = range.harmed(number).await;
        let done = range.wire.lock().unwrap().done;
        range.wire.lock().unwrap().arm(None);
        let harmed = format!("{harm:?} on the wire");
        assert_found(harmed, done, harm.found_on_the_wire(), &findings);
    }
    range.finish().await;
}
