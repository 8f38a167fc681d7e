//! Rows that come and go within one batch, which plain answers showed in between: a client that keeps
//! what it was answered must hear that they are gone, and nobody else that they ever were.

use crate::support::{Channel, Client, Database, TestServer, Transport};
use serde_json::{Value, json};
use std::time::Duration;

const TABLES: &str = "
    create table tickets (id int primary key, organization_id int not null, subject text);
    create table items (id int primary key, ticket_id int references tickets on delete cascade);
    create table notes (id int primary key, organization_id int not null, owner text);
    alter table notes enable row level security;
    create policy own on notes using (
        owner = current_setting('request.jwt.claims', true)::json ->> 'sub');
    do $$ begin create role passing_member; exception when duplicate_object or unique_violation then null; end $$;
    grant passing_member to current_user;
    grant select, insert, update, delete on tickets, items, notes to passing_member;
    insert into tickets values (1, 1, ''), (2, 2, '')";

/// For how long the feed may take to come to the lock.
const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    server: TestServer,
    /// Two of one organization, one of another.
    clients: [Client; 3],
    channels: [Channel; 3],
    /// The cursor that each of them knows.
    cursors: [Value; 3],
    rounds: u32,
}

impl World {
    async fn new() -> Self {
        let server = TestServer::start(Database::with(TABLES).await, |config| {
            config.limits.ping_ms = 100;
            config.database.default_role = Some("passing_member".to_owned());
            super::organization(
                config,
                "items",
                rowcast::config::OrganizationRule::Via("ticket_id".into()),
            );
        })
        .await;
        let clients = [(1, "ann"), (1, "bob"), (2, "eve")]
            .map(|(org, sub)| server.client_of(json!({ "org": org, "sub": sub })));
        let mut channels = Vec::new();
        for client in &clients {
            let mut channel = client.channel(Transport::Ndjson, "tab").await;
            channel.expect("open").await;
            channels.push(channel);
        }
        let channels = channels.try_into().ok().expect("three of them");
        let mut world = Self {
            server,
            clients,
            channels,
            cursors: [const { Value::Null }; 3],
            rounds: 0,
        };
        // The first batch of a channel may tell more, since nobody knows what was read before.
        world.mark().await;
        world.told().await;
        world
    }

    /// While it is held, the feed comes no further than to a state before what follows.
    async fn hold(&mut self) -> tokio_postgres::Client {
        let lock = self.server.database.connect().await;
        let sql = "begin; lock table only rowcast.changes in access exclusive mode";
        lock.batch_execute(sql).await.unwrap();
        self.mark().await;
        let waiting = "select 1 from pg_locks where relation = 'rowcast.changes'::regclass
            and not granted and mode = 'AccessShareLock'";
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.server.database.value(waiting).await.is_empty() {
            assert!(tokio::time::Instant::now() < deadline, "the feed waits");
        }
        lock
    }

    /// Lets it go on, to a batch of all that happened meanwhile.
    async fn release(&mut self, lock: tokio_postgres::Client) {
        lock.batch_execute("commit").await.unwrap();
        self.mark().await;
    }

    /// Lets everybody hear of something at the end of a batch.
    async fn mark(&mut self) {
        self.rounds += 1;
        let subject = json!({ "subject": self.rounds.to_string() });
        for (client, id) in [(&self.clients[0], 1), (&self.clients[2], 2)] {
            let path = format!("/tickets/{id}");
            client.patch(&path, subject.clone()).expect(200).await;
        }
    }

    /// What each of the three is told up to the last mark.
    async fn told(&mut self) -> [Vec<String>; 3] {
        let last = self.rounds.to_string();
        let mut all = [const { Vec::new() }; 3];
        let channels = self.channels.iter_mut().zip(&mut self.cursors);
        for ((channel, cursor), told) in channels.zip(&mut all) {
            let mut marked = false;
            loop {
                let event = channel.next().await;
                let row = &event["row"];
                marked |= row["subject"] == last;
                match event["type"].as_str() {
                    Some("reset") => told.push(spell(&event)),
                    Some("change") if row.is_null() || row["id"].as_i64() > Some(2) => {
                        told.push(spell(&event));
                    }
                    _ => {}
                }
                // The end of the batch, whatever is read for one identity alone included: until then
                // a ping has the cursor from before.
                let is_new = event["cursor"].is_string() && event["cursor"] != *cursor;
                if is_new {
                    *cursor = event["cursor"].clone();
                }
                if marked && is_new {
                    break;
                }
            }
        }
        all
    }
}

fn spell(event: &Value) -> String {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    let id = match &event["id"] {
        Value::Null => String::new(),
        id => id.to_string(),
    };
    let texts = [text("type"), text("op"), text("resource"), &id];
    let texts: Vec<&str> = texts.into_iter().filter(|it| !it.is_empty()).collect();
    texts.join(" ")
}

const NOTHING: [&str; 0] = [];

#[tokio::test]
async fn a_row_that_a_plain_answer_showed_is_told_to_be_gone() {
    let mut world = World::new().await;
    let lock = world.hold().await;
    world
        .server
        .database
        .execute("insert into tickets values (10, 1, 'passes'); insert into items values (20, 10)")
        .await;
    let shown = world.clients[1].get("/tickets/10").expect(200).await;
    let items = world.clients[1].get("/items?id=eq.20").expect(200).await;
    assert_eq!(items.json()[0]["id"], 20);
    // One that a write's own answer shows.
    let post = json!({ "id": 11, "subject": "posted" });
    let posted = world.clients[0].post("/tickets", post).expect(201).await;
    world
        .server
        .database
        .execute("delete from tickets where id in (10, 11)")
        .await;
    world.release(lock).await;
    let [ann, bob, eve] = world.told().await;
    for mut told in [ann, bob] {
        told.sort();
        let gone = [
            "change delete items 20",
            "change delete tickets 10",
            "change delete tickets 11",
        ];
        assert_eq!(told, gone);
    }
    assert_eq!(eve, NOTHING);
    assert!(shown.version() < posted.version());
    world.server.finish().await;
}

#[tokio::test]
async fn nobody_hears_of_a_row_that_nobody_could_see() {
    let mut world = World::new().await;
    let lock = world.hold().await;
    for sql in [
        // Within one transaction, and once more.
        "begin; insert into tickets values (10, 1, 'x'); delete from tickets where id = 10; commit",
        "begin; insert into tickets values (10, 2, 'x'); delete from tickets where id = 10; commit",
        // Held by the other organization within a transaction only.
        "begin; insert into tickets values (11, 2, 'x');
         update tickets set organization_id = 1 where id = 11; commit",
        "begin; update tickets set organization_id = 2 where id = 11; delete from tickets where id = 11;
         commit",
        // Seen by one after the other.
        "insert into tickets values (12, 1, 'x')",
        "update tickets set organization_id = 2 where id = 12",
        "delete from tickets where id = 12",
        // Its key was another's.
        "insert into tickets values (13, 1, 'x')",
        "begin; update tickets set id = 14 where id = 13; update tickets set id = 15 where id = 14; commit",
        "delete from tickets where id = 15",
    ] {
        world.server.database.execute(sql).await;
    }
    world.release(lock).await;
    let [ann, bob, mut eve] = world.told().await;
    // With the one that was another's for a while went what belongs to it.
    let gone = |ids: &[i32]| {
        let gone = ids.iter().map(|it| format!("change delete tickets {it}"));
        gone.chain(["reset items".to_owned()]).collect::<Vec<_>>()
    };
    for mut told in [ann, bob] {
        told.sort();
        assert_eq!(told, gone(&[11, 12, 13, 15]));
    }
    eve.sort();
    assert_eq!(eve, gone(&[12]));
    world.server.finish().await;
}

#[tokio::test]
async fn whoever_was_shown_a_restricted_row_is_reset_and_nobody_else() {
    let mut world = World::new().await;
    let lock = world.hold().await;
    let execute = async |world: &World, sql: &str| world.server.database.execute(sql).await;
    execute(&world, "insert into notes values (10, 1, 'ann')").await;
    world.clients[0].get("/notes/10").expect(200).await;
    execute(&world, "delete from notes").await;
    world.release(lock).await;
    let [ann, bob, eve] = world.told().await;
    assert_eq!(ann, ["reset notes"]);
    assert_eq!((bob, eve), (vec![], vec![]));
    world.server.finish().await;
}

#[tokio::test]
async fn what_went_to_another_organization_and_back_took_its_rows_along() {
    let mut world = World::new().await;
    let execute = async |world: &World, sql: &str| world.server.database.execute(sql).await;
    let sql = "insert into tickets values (10, 1, ''); insert into items values (20, 10)";
    execute(&world, sql).await;
    world.mark().await;
    world.told().await;
    let lock = world.hold().await;
    execute(
        &world,
        "update tickets set organization_id = 2 where id = 10",
    )
    .await;
    let shown = world.clients[2].get("/items/20").expect(200).await;
    assert_eq!(shown.json()["ticket_id"], 10);
    execute(
        &world,
        "update tickets set organization_id = 1 where id = 10",
    )
    .await;
    world.release(lock).await;
    let [ann, bob, mut eve] = world.told().await;
    for mut told in [ann, bob] {
        told.sort();
        assert_eq!(told, ["change update tickets 10", "reset items"]);
    }
    eve.sort();
    assert_eq!(eve, ["change delete tickets 10", "reset items"]);
    world.server.finish().await;
}
