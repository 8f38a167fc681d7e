//! What makes PostgreSQL hand out transaction ids a second time: cursors from before are void, those
//! who are there are told so, and what happens afterwards is told as ever.

use super::{attach, missed, reader::spell};
use crate::support::{
    Breakable, Channel, Client, TestServer, Transport, server::SECRET, token_of, until,
};
use rowcast::server::Running;
use serde_json::json;

const TABLE: &str = "
    create table t (id int primary key, organization_id int not null, v int not null default 0);
    insert into t select n, 1 + n % 2, 0 from generate_series(1, 20) n";

/// A server in front of a cluster that breaks, a reader of each organization, and their cursors.
struct World {
    running: Running,
    readers: Vec<(Client, Channel, String)>,
}

impl World {
    async fn new(cluster: &Breakable) -> Self {
        let running = TestServer::serve(&cluster.app(), |_| ()).await;
        let mut readers = Vec::new();
        for organization in [1, 2] {
            let token = token_of(SECRET, json!({ "org": organization, "sub": 7 }));
            let client = Client::new(running.address(), Some(token));
            let (channel, _) = attach(&client, Transport::WebSocket, "there", "").await;
            let answer = client.get("/t?limit=1").expect(200).await;
            let cursor = answer.header("cursor").to_owned();
            readers.push((client, channel, cursor));
        }
        Self { running, readers }
    }

    /// Everybody who is there hears that all is void, and so does who comes back; then changes are
    /// told as ever, and cursors of now are good.
    async fn expect_resets(&mut self, cluster: &Breakable, name: &str) {
        for (client, channel, old) in &mut self.readers {
            let (_, reset) = channel.until("reset").await;
            assert_eq!(spell(&reset), "reset - log_lost", "{name}");
            for transport in Transport::ALL {
                let id = format!("{name}-{transport:?}");
                let (mut back, _) = attach(client, transport, &id, &format!("since={old}")).await;
                let reset = back.expect("reset").await;
                assert_eq!(
                    spell(&reset),
                    "reset - cursor_invalid",
                    "{name} {transport:?}"
                );
                back.leave().await;
            }
        }
        let mut cursors = Vec::new();
        for (client, ..) in &self.readers {
            let answer = client.get("/t?limit=1").expect(200).await;
            cursors.push(answer.header("cursor").to_owned());
        }
        let app = cluster.app();
        app.execute("update t set v = v + 1 where id in (3, 4)")
            .await;
        for ((client, channel, old), cursor) in self.readers.iter_mut().zip(cursors) {
            let (before, change) = channel.until("change").await;
            assert!(
                before.iter().all(|it| it["type"] == "ping"),
                "{name}: {before:?}"
            );
            let mine = change["row"]["organization_id"].as_i64().unwrap();
            assert_eq!(change["id"], if mine == 1 { 4 } else { 3 }, "{name}");
            let id = format!("{name}-new");
            let (back, told) = missed(client, Transport::Ndjson, &id, &cursor).await;
            let words: Vec<String> = told.words().into_iter().collect();
            assert_eq!(words, [format!("update t {}", change["id"])], "{name}");
            back.leave().await;
            *old = told.cursor;
        }
    }

    async fn finish(self) {
        drop(self.readers);
        self.running.shutdown().await;
    }
}

#[tokio::test]
async fn a_crash_voids_cursors_however_it_came() {
    // The commits of the last seconds are lost with the process, when they do not wait for the disk:
    // nobody is to write them out in passing.
    let lazy = "wal_writer_delay = '10s'\nautovacuum = off\nbgwriter_lru_maxpages = 0\n";
    let cluster = Breakable::start(lazy, TABLE).await;
    let mut world = World::new(&cluster).await;
    let app = cluster.app();

    // One backend is killed, and nothing else happens.
    cluster.kill_backend().await;
    world.expect_resets(&cluster, "killed").await;

    // Transactions that left nothing behind, whose ids are given out again.
    for _ in 0..5 {
        app.execute("begin; update t set v = -1; rollback").await;
    }
    cluster.crash();
    cluster.up();
    world.expect_resets(&cluster, "rollbacks").await;

    // Commits that everybody has seen, and that are lost.
    // A commit that waits for the disk takes those before it along, the servers' own ones as well.
    app.execute("alter system set synchronous_commit = off")
        .await;
    app.execute("select pg_reload_conf()").await;
    while app.value("show synchronous_commit").await != "off" {}
    app.execute("checkpoint").await;
    app.execute("update t set v = 1000 where id = 4").await;
    let (_, change) = world.readers[0].1.until("change").await;
    assert_eq!(change["row"]["v"], 1000);
    world.readers[0].2 = change["cursor"].as_str().unwrap().to_owned();
    cluster.crash();
    cluster.up();
    assert_ne!(
        app.value("select v from t where id = 4").await,
        "1000",
        "nothing was lost"
    );
    world.expect_resets(&cluster, "asynchronous").await;
    world.finish().await;
}

#[tokio::test]
async fn a_restored_backup_and_a_promoted_standby_void_cursors() {
    let mut cluster = Breakable::start("", TABLE).await;
    let mut world = World::new(&cluster).await;
    let app = cluster.app();

    let backup = cluster.back_up("backup", false);
    app.execute("update t set v = 5").await;
    cluster.replace(backup);
    world.expect_resets(&cluster, "backup").await;

    let standby = cluster.back_up("standby", true);
    app.execute("delete from t where id > 10").await;
    cluster.replace(standby);
    // Nothing is read from a standby.
    let (client, ..) = &world.readers[0];
    let refused = client.get("/t").send().await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    cluster.promote();
    until("it is read from", async || {
        client.get("/t?limit=1").send().await.status == 200
    })
    .await;
    world.expect_resets(&cluster, "standby").await;
    world.finish().await;
}

#[tokio::test]
async fn a_restart_in_order_voids_nothing() {
    let cluster = Breakable::start("", TABLE).await;
    let world = World::new(&cluster).await;
    cluster
        .app()
        .execute("update t set v = 3 where id in (1, 2)")
        .await;
    cluster.down();
    cluster.up();
    cluster
        .app()
        .execute("delete from t where id in (5, 6)")
        .await;
    for (organization, (client, _, cursor)) in (1..).zip(&world.readers) {
        until("it is back", async || {
            client.get("/t?limit=1").send().await.status == 200
        })
        .await;
        let (_, told) = missed(client, Transport::Sse, "back", cursor).await;
        let words: Vec<String> = told.words().into_iter().collect();
        let (deleted, updated) = if organization == 1 { (6, 2) } else { (5, 1) };
        assert_eq!(
            words,
            [format!("delete t {deleted}"), format!("update t {updated}")]
        );
    }
    world.finish().await;
}
