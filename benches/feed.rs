//! What the change log costs those who write, and how fast the feed is: transactions per second
//! without and with the log, commit by another program to the notice, changes per second through the
//! feed alone. Run it with `scripts/bench feed`.
#![allow(
    missing_docs,
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a bench stops at the first surprise, and uses a part of the tests' support"
)]

#[path = "../tests/feed/listener.rs"]
mod listener;
#[path = "../tests/support/mod.rs"]
mod support;

use listener::{Listener, World};
use rowcast::{
    config::Config,
    postgres::{
        Database as Server,
        changelog::{Keeper, Retention},
        local::{LocalServer, Options},
    },
};
use std::time::{Duration, Instant};
use tokio::process::Command;

const NOTICES: usize = 200;
const BATCHES: usize = 9;
/// Each measurement of writers takes so long, and there are so many of each kind, in turns.
const WRITE_SECONDS: u32 = 4;
const ROUNDS: usize = 5;

const SCHEMA: &str = "
    create table open (id int primary key, organization_id int not null, v int, body text);
    insert into open select i, 1, 0, repeat('x', 400) from generate_series(1, 20000) i;
    do $$ begin create role bench_reader; exception when duplicate_object or unique_violation then null; end $$;
    grant bench_reader to current_user;
    grant select on open to bench_reader;
";

/// pgbench's tables, of scale 1 but for the organization.
const PGBENCH: &str = "
    create table accounts (aid int primary key, organization_id int not null, abalance int, filler char(84));
    insert into accounts select i, i % 10, 0, '' from generate_series(1, 100000) i;
    create table history (id bigint generated always as identity primary key,
        organization_id int not null, aid int, delta int, mtime timestamp, filler char(22));
";

/// pgbench's own script `simple-update`, for these tables.
const SCRIPT: &str = "\\set aid random(1, 100000)
\\set delta random(-5000, 5000)
begin;
update accounts set abalance = abalance + :delta where aid = :aid;
select abalance from accounts where aid = :aid;
insert into history (organization_id, aid, delta, mtime) values (:aid % 10, :aid, :delta, current_timestamp);
end;
";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        writes().await;
        feed().await;
    });
}

/// Eight writers, without and with the log, in turns.
async fn writes() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = LocalServer::start(Options::durable(folder.path().join("writes")))
        .await
        .unwrap();
    let mut urls = Vec::new();
    for name in ["without", "with"] {
        postgres.ensure_database(name).await.unwrap();
        let url = postgres.url(name);
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        client.batch_execute(PGBENCH).await.unwrap();
        client
            .batch_execute("vacuum analyze accounts")
            .await
            .unwrap();
        urls.push(url);
    }
    let mut config = Config::default();
    config.database.url = Some(urls[1].as_str().into());
    let server = Server::connect(&config).await.unwrap();
    let mut keeper = Keeper::open(&server).await.unwrap();
    let (plan, _) = keeper.plan().await.unwrap();
    assert_eq!(
        keeper.install(&plan).await.unwrap().unlogged,
        Default::default()
    );
    let script = folder.path().join("script");
    std::fs::write(&script, SCRIPT).unwrap();
    // The programs run as we do, and the folder is ours.
    for commit in ["on", "off"] {
        let mut rates = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (url, rates) in urls.iter().zip(&mut rates) {
                rates.push(pgbench(&postgres, url, &script, commit).await);
            }
            // As the server does meanwhile.
            let retention = Retention {
                kept: Duration::from_secs(24 * 3600),
                bytes_max: 4 << 30,
            };
            keeper.retain(retention).await.unwrap();
        }
        // Neighbours in time meet the same machine.
        let mut shares: Vec<f64> = rates[0].iter().zip(&rates[1]).map(|(a, b)| b / a).collect();
        shares.sort_by(f64::total_cmp);
        for rates in &mut rates {
            rates.sort_by(f64::total_cmp);
        }
        println!(
            "8 writers, synchronous_commit {commit}: {:.0} transactions/s without the log, {:.0} with it; \
             the median of {ROUNDS} pairs: {:.0} % ({:.0} to {:.0})",
            rates[0][ROUNDS / 2],
            rates[1][ROUNDS / 2],
            100.0 * shares[ROUNDS / 2],
            100.0 * shares[0],
            100.0 * shares[ROUNDS - 1],
        );
    }
    drop((keeper, plan));
    server.close().await;
    postgres.stop().await.unwrap();
}

async fn pgbench(postgres: &LocalServer, url: &str, script: &std::path::Path, commit: &str) -> f64 {
    let output = Command::new(postgres.programs().join("pgbench"))
        .args(["-n", "-M", "prepared", "-c", "8", "-j", "2", "-T"])
        .arg(WRITE_SECONDS.to_string())
        .arg("-f")
        .arg(script)
        .arg(url)
        .env("PGOPTIONS", format!("-c synchronous_commit={commit}"))
        .output()
        .await
        .expect("pgbench runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rate = text.lines().find_map(|it| it.strip_prefix("tps = "));
    let rate = rate.and_then(|it| it.split(' ').next()?.parse().ok());
    rate.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

async fn feed() {
    let world = World::with(SCHEMA, |config| config.limits.ping_ms = 60_000).await;
    let mut reader = world.listener("1", "7", "bench_reader");
    for woken in [true, false] {
        let how = if woken { "woken" } else { "polled" };
        let times = notices(&world, &mut reader, woken).await;
        report(&format!("commit to notice, {how}"), times);
    }
    let writer = world.database.connect().await;
    let committed = world.server.committed();
    // A larger batch is more than a reader's queue holds, and becomes a reset.
    for rows in [10, 100, 1_000, 5_000] {
        let sql = format!("update open set v = v + 1 where id <= {rows}");
        let mut times = Vec::new();
        for _ in 0..BATCHES {
            writer.batch_execute(&sql).await.unwrap();
            let begun = Instant::now();
            committed.notify_one();
            let mut told = 0;
            while told < rows {
                told += reader.some().await;
            }
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        let median = times[BATCHES / 2];
        println!(
            "a batch of {rows}: {median:.2?}, {:.0} changes/s",
            rows as f64 / median.as_secs_f64()
        );
    }
    drop((writer, reader));
    world.finish().await;
}

/// From a commit to its change.
async fn notices(world: &World, reader: &mut Listener, woken: bool) -> Vec<Duration> {
    let writer = world.database.connect().await;
    let committed = world.server.committed();
    let update = "update open set v = v + 1 where id = 5";
    let update = writer.prepare(update).await.unwrap();
    let mut times = Vec::new();
    for _ in 0..NOTICES {
        writer.execute(&update, &[]).await.unwrap();
        let begun = Instant::now();
        if woken {
            committed.notify_one();
        }
        reader.some().await;
        times.push(begun.elapsed());
    }
    times
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("{what}: median {:.2?}, 95 % {:.2?}", at(0.5), at(0.95));
}
