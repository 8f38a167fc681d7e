//! Several servers on one database, and servers that end: clients take their cursors along and lose
//! nothing.

use super::{attach, missed, store::Store};
use crate::{
    cli::{SECRET as PROGRAM_SECRET, serve::Serve},
    support::{Client, Database, TestServer, Transport, server::SECRET, token_of},
};
use nix::sys::signal::Signal;
use rowcast::server::Running;
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

const ITEMS: &str = "
    create table items (
        id int primary key, organization_id int not null, v int not null default 0
    );
    insert into items select n, 1 + n % 2, 0 from generate_series(1, 60) n";

fn client(running: &Running, organization: i64) -> Client {
    let token = token_of(SECRET, json!({ "org": organization, "sub": 7 }));
    Client::new(running.address(), Some(token))
}

/// Reads until the store has this row, and everything before it.
async fn follow(
    store: &mut Store,
    client: &Client,
    transport: Transport,
    id: &str,
    until: (i64, &Value),
) {
    let query = format!("since={}", store.cursor);
    let mut channel = client.channel_with(transport, id, &query).await;
    while !store.has(until.0, "v", until.1) {
        let event = channel.next().await;
        store.apply(client, &event).await;
    }
    channel.leave().await;
}

/// Writes by SQL, of all kinds, until told to stop; never rows above 1000.
async fn write(database: Database, seed: u64, stop: Arc<AtomicBool>) -> u64 {
    let sql = database.connect().await;
    let mut random = seed;
    let mut next = |bound: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % bound
    };
    let mut count = 0;
    while !stop.load(Relaxed) {
        let (id, organization, v) = (next(80) + 1, next(2) + 1, next(1000));
        let statement = match next(6) {
            0 => format!("delete from items where id = {id}"),
            1 => format!(
                "insert into items values ({id}, {organization}, {v}) on conflict (id) do nothing"
            ),
            2 => format!(
                "update items set organization_id = {organization}, v = {v} where id = {id}"
            ),
            3 => format!(
                "begin; update items set v = v + 1 where id between {id} and {id} + 5; rollback"
            ),
            4 => format!(
                "begin; delete from items where id = {id}; insert into items values ({id}, {organization}, {v}); commit"
            ),
            _ => format!("update items set v = {v} where id between {id} and {id} + 3"),
        };
        // Deadlocks between the writers are part of it.
        if sql.batch_execute(&statement).await.is_err() {
            let _ = sql.batch_execute("rollback").await;
        }
        count += 1;
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_moves_between_servers_stays_equal_to_the_database() {
    let database = Database::with(ITEMS).await;
    let servers = [
        TestServer::serve(&database, |_| ()).await,
        TestServer::serve(&database, |_| ()).await,
    ];
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (1..=2)
        .map(|seed| {
            let copy = Database {
                name: database.name.clone(),
                url: database.url.clone(),
            };
            tokio::spawn(write(copy, seed, stop.clone()))
        })
        .collect();
    let mut stores = Vec::new();
    for organization in [1, 2] {
        stores.push(Store::load(&client(&servers[0], organization), "items").await);
    }
    // From one server to the other, on each transport, in the middle of things.
    for round in 0..12 {
        for (organization, store) in (1..).zip(&mut stores) {
            let client = client(&servers[round % 2], organization);
            let transport = Transport::ALL[(round / 2) % 4];
            let query = format!("since={}", store.cursor);
            let id = format!("tab-{round}-{organization}");
            let mut channel = client.channel_with(transport, &id, &query).await;
            for _ in 0..15 {
                let event = channel.next().await;
                if let Some(row) = event.get("row") {
                    assert_eq!(row["organization_id"], organization, "{event}");
                }
                store.apply(&client, &event).await;
            }
        }
    }
    stop.store(true, Relaxed);
    let mut written = 0;
    for writer in writers {
        written += writer.await.unwrap();
    }
    assert!(written > 100, "{written}");
    database
        .execute("insert into items values (1001, 1, -1), (1002, 2, -1)")
        .await;
    for (organization, store) in (1..).zip(&mut stores) {
        let client = client(&servers[1], organization);
        follow(
            store,
            &client,
            Transport::Ndjson,
            "last",
            (1000 + organization, &json!(-1)),
        )
        .await;
        assert_eq!(store.resets, 0);
        store.expect_equal(&database, organization).await;
    }
    // What is written through one is heard at the other.
    let (mut there, _) = attach(&client(&servers[1], 1), Transport::WebSocket, "there", "").await;
    let (mut theirs, _) = attach(&client(&servers[1], 2), Transport::WebSocket, "there", "").await;
    let here = client(&servers[0], 1);
    here.patch("/items/1001", json!({"v": -2}))
        .expect(200)
        .await;
    while there.expect("change").await["row"]["v"] != -2 {}
    client(&servers[0], 2)
        .patch("/items/1002", json!({"v": -2}))
        .expect(200)
        .await;
    loop {
        let change = theirs.expect("change").await;
        assert_ne!(change["id"], 1001);
        if change["row"]["v"] == -2 {
            break;
        }
    }
    drop((there, theirs));
    for server in servers {
        server.shutdown().await;
    }
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_servers_start_at_once_on_a_database_without_rowcast() {
    let database = Database::with(ITEMS).await;
    let start = || TestServer::serve(&database, |_| ());
    let (one, two, three, four) = tokio::join!(start(), start(), start(), start());
    let servers = [one, two, three, four];
    let mut channels = Vec::new();
    for server in &servers {
        for organization in [1, 2] {
            let (channel, _) = attach(&client(server, organization), Transport::Sse, "a", "").await;
            channels.push((organization, channel));
        }
    }
    database
        .execute("insert into items values (2001, 1, 5), (2002, 2, 5)")
        .await;
    for (organization, channel) in &mut channels {
        let (before, change) = channel.until("change").await;
        // Whoever comes last finds all installed; the others may have seen triggers appear.
        assert!(
            before
                .iter()
                .all(|it| it["type"] == "ping" || it["reason"] == "schema"),
            "{before:?}"
        );
        assert_eq!(change["id"], 2000 + *organization);
    }
    let ids = database
        .value("select count(distinct id) from rowcast.log_identity")
        .await;
    assert_eq!(ids, "1");
    let cursor = client(&servers[0], 1)
        .get("/items?limit=1")
        .expect(200)
        .await;
    for server in &servers {
        let (_, told) = missed(
            &client(server, 1),
            Transport::Ndjson,
            "b",
            cursor.header("cursor"),
        )
        .await;
        assert!(told.words().is_empty());
    }
    drop(channels);
    for server in servers {
        server.shutdown().await;
    }
    database.finish().await;
}

#[tokio::test]
async fn a_server_that_ends_in_order_sends_its_readers_to_the_next_one() {
    let server = TestServer::start(Database::with(ITEMS).await, |_| ()).await;
    let mut stores = Vec::new();
    for organization in [1, 2] {
        let client = server.client(organization, 7);
        let mut store = Store::load(&client, "items").await;
        let mut channel = client.channel(Transport::WebSocket, "tab").await;
        let id = if organization == 1 { 2 } else { 1 };
        client
            .patch(&format!("/items/{id}"), json!({"v": 1}))
            .expect(200)
            .await;
        while !store.has(id, "v", &json!(1)) {
            let event = channel.next().await;
            store.apply(&client, &event).await;
        }
        stores.push((store, channel));
    }
    let database = server.database;
    server.running.shutdown().await;
    database
        .execute("update items set v = 2 where id < 30; delete from items where id > 50")
        .await;
    let running = TestServer::serve(&database, |_| ()).await;
    database
        .execute("insert into items values (1001, 1, -1), (1002, 2, -1)")
        .await;
    for (organization, (mut store, mut before)) in (1..).zip(stores) {
        let (_, close) = before.until("close").await;
        assert_eq!(
            (&close["code"], &close["reconnect"]),
            (&json!(4100), &json!(true))
        );
        let client = client(&running, organization);
        // With the number of an event of the server before, which the cursor makes up for.
        let query = format!("after={}&since={}", before.sequence, store.cursor);
        let mut channel = client
            .channel_with(Transport::WebSocket, "tab", &query)
            .await;
        let open = channel.expect("open").await;
        assert_eq!(open["resumed"], false);
        while !store.has(1000 + organization, "v", &json!(-1)) {
            let event = channel.next().await;
            store.apply(&client, &event).await;
        }
        assert_eq!(store.resets, 0);
        store.expect_equal(&database, organization).await;
    }
    running.shutdown().await;
    database.finish().await;
}

#[tokio::test]
async fn a_server_that_is_killed_loses_nothing_that_was_committed() {
    let role = "do $$ begin create role resume_member; exception when duplicate_object or unique_violation then null; end $$;
        grant resume_member to current_user; grant all on items to resume_member;";
    let database = Database::with(&format!("{ITEMS}; {role}")).await;
    let clients = |serve: &Serve| {
        [1, 2].map(|organization: i64| {
            let claims = json!({ "org": organization, "sub": 7, "role": "resume_member" });
            Client::new(serve.address, Some(token_of(PROGRAM_SECRET, claims)))
        })
    };
    let mut serve = Serve::start(&database).await;
    let mut stores = Vec::new();
    for client in clients(&serve) {
        let store = Store::load(&client, "items").await;
        let channel = client.channel(Transport::Ndjson, "tab").await;
        stores.push((store, channel));
    }
    for round in 0..3 {
        database
            .execute(&format!("update items set v = {round} + 10 where id < 20"))
            .await;
        // Some of it arrives, and some does not.
        for ((store, channel), client) in stores.iter_mut().zip(clients(&serve)) {
            for _ in 0..5 {
                let event = channel.next().await;
                store.apply(&client, &event).await;
            }
        }
        serve.signal(Signal::SIGKILL);
        serve.code().await;
        database.execute(&format!("delete from items where id = {round} + 30; update items set v = {round} where id > 40")).await;
        serve = Serve::start(&database).await;
        for (index, client) in clients(&serve).into_iter().enumerate() {
            let query = format!("since={}", stores[index].0.cursor);
            stores[index].1 = client.channel_with(Transport::Ndjson, "tab", &query).await;
        }
    }
    database
        .execute("insert into items values (1001, 1, -1), (1002, 2, -1)")
        .await;
    for ((organization, (store, channel)), client) in (1..).zip(&mut stores).zip(clients(&serve)) {
        while !store.has(1000 + organization, "v", &json!(-1)) {
            let event = channel.next().await;
            store.apply(&client, &event).await;
        }
        assert_eq!(store.resets, 0);
        store.expect_equal(&database, organization).await;
    }
    drop(stores);
    drop(serve);
    database.execute("select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()").await;
    database.finish().await;
}
