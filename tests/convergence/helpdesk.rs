//! Clients that keep the highest version of each row equal the database, whatever interleaves:
//! writers by SQL and through the API, asynchronous GETs at random moments, all four transports,
//! identities that see different rows, and a second organization.

use super::plan::Random;
use crate::support::{Channel, Client, TestServer, Transport};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

const RESOURCES: [&str; 3] = ["tickets", "contacts", "labels"];

/// What a client keeps: for each row the highest version, deletions included.
#[derive(Default)]
struct Store {
    rows: HashMap<(String, i64), (u64, Option<Value>)>,
    /// Of each resource, the version below which nothing counts any more.
    floors: HashMap<String, u64>,
}

impl Store {
    fn apply(&mut self, resource: &str, id: i64, version: u64, row: Option<Value>) {
        if version < self.floors.get(resource).copied().unwrap_or(0) {
            return;
        }
        let key = (resource.to_owned(), id);
        let known = self.rows.get(&key).map_or(0, |it| it.0);
        if version >= known {
            self.rows.insert(key, (version, row));
        }
    }

    fn reset(&mut self, resource: &str, version: u64) {
        self.rows
            .retain(|(of, _), row| of != resource || row.0 > version);
        self.floors.insert(resource.to_owned(), version);
    }

    fn of(&self, resource: &str) -> BTreeMap<i64, Value> {
        let rows = self.rows.iter().filter(|((of, _), _)| of == resource);
        rows.filter_map(|((_, id), (_, row))| Some((*id, row.clone()?)))
            .collect()
    }
}

/// A client at work: one channel, its store, its open requests.
struct Reader {
    name: String,
    client: Client,
    channel: Channel,
    store: Store,
    open: HashMap<String, &'static str>,
    asked: u64,
    /// The highest version at a cursor: everything up to there has been told.
    reached: u64,
    last: String,
    organization: i64,
}

impl Reader {
    async fn new(client: Client, organization: i64, transport: Transport, name: &str) -> Self {
        let mut channel = client.channel_with(transport, name, "wait=2").await;
        channel.expect("open").await;
        let mut reader = Self {
            name: name.to_owned(),
            client,
            channel,
            store: Store::default(),
            open: HashMap::new(),
            asked: 0,
            reached: 0,
            last: String::new(),
            organization,
        };
        for resource in RESOURCES {
            reader.ask(resource).await;
        }
        reader
    }

    async fn ask(&mut self, resource: &'static str) {
        self.asked += 1;
        let id = format!("r{}", self.asked);
        let call = self.client.get(&format!("/{resource}"));
        let call = call
            .header("request-id", &id)
            .header("channel-id", &self.name);
        call.expect(202).await;
        self.open.insert(id, resource);
    }

    /// Takes one event in, if there is one within this time.
    async fn step(&mut self, patience: Duration) {
        let Some(event) = self.channel.next_within(patience).await else {
            assert!(!self.channel.has_ended(), "{} was ended", self.name);
            return;
        };
        self.last = event.to_string();
        let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        let version = event["version"].as_u64().unwrap_or(0);
        match &*text("type") {
            "row" => {
                let row = event["row"].clone();
                assert_eq!(row["organization_id"], self.organization, "{event}");
                let id = row["id"].as_i64().unwrap();
                self.store.apply(&text("resource"), id, version, Some(row));
            }
            "change" => {
                let row = event.get("row").cloned();
                if let Some(row) = &row {
                    assert_eq!(row["organization_id"], self.organization, "{event}");
                }
                let without = matches!(&*text("op"), "delete" | "gone");
                assert_eq!(row.is_none(), without, "{event}");
                let id = event["id"].as_i64().unwrap_or(-1);
                self.store.apply(&text("resource"), id, version, row);
                if event.get("cursor").is_some() {
                    self.reached = self.reached.max(version);
                }
            }
            "reset" => {
                let reset = text("resource");
                let concerned = |it: &&str| reset.is_empty() || reset == **it;
                for resource in RESOURCES.into_iter().filter(concerned) {
                    self.store.reset(resource, version);
                    self.ask(resource).await;
                }
            }
            "done" => {
                let ended = self.open.remove(&text("request_id"));
                assert!(ended.is_some(), "one end each: {event}");
            }
            "ping" => self.reached = self.reached.max(version),
            other => panic!("{}: unexpected {other}: {event}", self.name),
        }
    }

    /// Compares the store with what the same identity reads now.
    async fn compare(&self) {
        for resource in RESOURCES {
            let answer = self.client.get(&format!("/{resource}")).expect(200).await;
            let rows = answer.json();
            let rows = rows.as_array().unwrap().iter();
            let truth: BTreeMap<i64, Value> = rows
                .map(|row| (row["id"].as_i64().unwrap(), row.clone()))
                .collect();
            let kept = self.store.of(resource);
            for (id, row) in &truth {
                assert_eq!(kept.get(id), Some(row), "{}: {resource} {id}", self.name);
            }
            for id in kept.keys() {
                assert!(
                    truth.contains_key(id),
                    "{}: {resource} {id} is a ghost",
                    self.name
                );
            }
        }
    }
}

/// One random transaction of another program.
async fn write_by_sql(sql: &tokio_postgres::Client, random: &mut Random) {
    let mut statements = vec!["begin".to_owned()];
    for _ in 0..=random.below(3) {
        let organization = 1 + random.below(2);
        let ticket = format!(
            "(select id from tickets where organization_id = {organization} order by md5(id::text || {}) limit 1)",
            random.below(1000)
        );
        let number = random.below(1_000_000_000);
        statements.push(match random.below(10) {
            0 => format!("insert into labels (organization_id, name) values ({organization}, 'n{number}')"),
            1 => format!("delete from labels where id = (select max(id) from labels where organization_id = {organization} and name like 'n%')"),
            2 => format!("insert into labels (organization_id, name) values ({organization}, 'x{number}'); delete from labels where name = 'x{number}'"),
            3 => format!("insert into contacts (organization_id, email) values ({organization}, 'c{number}@example.com') on conflict do nothing"),
            4 => format!("update contacts set name = 'n{number}' where id in (select id from contacts where organization_id = {organization} order by id limit 20)"),
            5 => format!("delete from tickets where id = {ticket} and subject like 'w%'"),
            6 => format!("savepoint s; update tickets set subject = 'rolled back' where id = {ticket}; rollback to s"),
            7 => format!("update mailboxes set private = not private where id = (select max(id) from mailboxes where organization_id = {organization}); select pg_sleep(0)"),
            _ => format!("update tickets set subject = 'w{number}', status = 'pending' where id = {ticket}"),
        });
    }
    statements.push(
        if random.below(8) == 0 {
            "rollback"
        } else {
            "commit"
        }
        .to_owned(),
    );
    if sql.batch_execute(&statements.join(";\n")).await.is_err() {
        // Two writers may collide; the transaction is then gone as a whole.
        sql.batch_execute("rollback").await.unwrap();
    }
}

/// Reads, and asks at random moments, until everything up to the state that is told in the end has
/// come; then compares. Every reader reads on until then: one that stands still is cut off.
async fn read_on(
    mut reader: Reader,
    mut random: Random,
    seed: u64,
    state: tokio::sync::watch::Receiver<Option<u64>>,
) {
    let mut deadline = None;
    loop {
        let told = *state.borrow();
        if let Some(state) = told {
            if reader.reached >= state && reader.open.is_empty() {
                break;
            }
            let now = tokio::time::Instant::now();
            let deadline = *deadline.get_or_insert(now + Duration::from_secs(60));
            assert!(
                now < deadline,
                "seed {seed}: {} was told up to {} of {state}, open: {:?}, last: {}",
                reader.name,
                reader.reached,
                reader.open,
                reader.last
            );
        } else if random.below(150) == 0 && reader.open.len() < 3 {
            reader.ask(RESOURCES[random.below(3) as usize]).await;
        }
        // In the end a poll has to wait for its answer, which says that there is nothing more.
        let patience = match deadline {
            Some(_) => Duration::from_secs(5),
            None => Duration::from_millis(20),
        };
        reader.step(patience).await;
    }
    reader.compare().await;
    reader.channel.leave().await;
}

async fn converge(seed: u64, length: Duration) {
    // Quiet channels are told soon up to where they are.
    let server = TestServer::helpdesk_with(|config| config.limits.ping_ms = 4_000).await;
    let mut readers = Vec::new();
    for (number, transport) in Transport::ALL.into_iter().enumerate() {
        for (organization, user) in [(1, 1), (1, 2), (2, 101)] {
            let client = server.client(organization, user);
            let name = format!("{transport:?}-{organization}-{user}-{number}");
            readers.push(Reader::new(client, organization, transport, &name).await);
        }
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for number in 0..3 {
        let (sql, stop) = (server.database.connect().await, stop.clone());
        let mut random = Random(seed * 100 + number);
        writers.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                write_by_sql(&sql, &mut random).await;
                tokio::time::sleep(Duration::from_millis(random.below(12))).await;
            }
        }));
    }
    {
        let (client, stop) = (server.client(1, 1), stop.clone());
        let mut random = Random(seed * 100 + 50);
        writers.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let id = 1 + random.below(400);
                let body = json!({ "subject": format!("w{}", random.below(1000)) });
                let answer = client.patch(&format!("/tickets/{id}"), body).send().await;
                assert!(
                    matches!(answer.status.as_u16(), 200 | 404),
                    "{}",
                    answer.text()
                );
            }
        }));
    }
    let (told, state) = tokio::sync::watch::channel(None::<u64>);
    let mut tasks = Vec::new();
    for (number, reader) in readers.into_iter().enumerate() {
        let random = Random(seed * 1000 + number as u64);
        tasks.push(tokio::spawn(read_on(reader, random, seed, state.clone())));
    }
    tokio::time::sleep(length).await;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    // Whoever is told everything up to this state has been told every write.
    let answer = server.client(1, 1).get("/labels?limit=1");
    told.send_replace(Some(answer.expect(200).await.version()));
    for task in tasks {
        task.await.unwrap();
    }
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_equal_the_database_whatever_interleaves() {
    converge(1, Duration::from_secs(6)).await;
}

/// Shows that the checker can fail: a client that lets the last word win diverges from one that
/// keeps the highest version.
#[test]
fn the_store_keeps_the_highest_version() {
    let mut store = Store::default();
    store.apply("labels", 1, 7, None);
    store.apply("labels", 1, 5, Some(json!({ "id": 1 })));
    assert!(store.of("labels").is_empty());
    store.apply("labels", 1, 8, Some(json!({ "id": 1 })));
    assert_eq!(store.of("labels").len(), 1);
    store.reset("labels", 9);
    store.apply("labels", 1, 8, Some(json!({ "id": 1 })));
    assert!(store.of("labels").is_empty());
}
