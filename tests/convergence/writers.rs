//! The writers: other programs by SQL, and clients through the API. Each value that they write names
//! its organization, and each entry is written once and kept account of.

use super::{
    ledger::Ledger,
    plan::Random,
    proxy::{Cut, Proxy},
    report::Tally,
    schema::ORGANIZATIONS,
    world::connect,
};
use crate::support::{Answer, Client};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// What all writers share.
#[derive(Clone)]
pub(super) struct Office {
    pub(super) ledger: Ledger,
    pub(super) tally: Tally,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) database_url: String,
    pub(super) held_open: Duration,
    /// Numbers that are used once.
    pub(super) numbers: Arc<AtomicU64>,
}

impl Office {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

/// Another program.
pub(super) async fn by_sql(office: Office, mut random: Random) {
    let mut sql = connect(&office.database_url).await;
    while office.goes_on() {
        let begun = transaction(&office, &sql, &mut random).await;
        if begun.is_err() && sql.is_closed() {
            office.tally.count("connections of writers lost");
            sql = connect(&office.database_url).await;
        } else if begun.is_err() {
            let _ = sql.batch_execute("rollback").await;
        }
        tokio::time::sleep(Duration::from_millis(random.below(25))).await;
    }
}

/// One transaction.
async fn transaction(
    office: &Office,
    sql: &tokio_postgres::Client,
    random: &mut Random,
) -> Result<(), tokio_postgres::Error> {
    sql.batch_execute("begin").await?;
    let mut entries = Vec::new();
    let rolled_back = random.one_in(9);
    let held = random.one_in(60);
    for _ in 0..=random.below(3) {
        let organization = random.pick(&ORGANIZATIONS);
        if random.one_in(4) {
            let body = format!("org-{organization} entry {}", office.number());
            if !rolled_back {
                office.ledger.attempt(&body);
            }
            let statement = format!(
                "insert into entries (organization_id, body) values ({organization}, '{body}')"
            );
            entries.push(body);
            if let Err(error) = sql.batch_execute(&statement).await {
                entries.iter().for_each(|it| office.ledger.withdraw(it));
                return Err(error);
            }
        }
        let (what, statement) = statement(office, organization, random);
        office.tally.count(what);
        if let Err(error) = sql.batch_execute(&statement).await {
            // Nothing was asked to be committed yet.
            entries.iter().for_each(|it| office.ledger.withdraw(it));
            return Err(error);
        }
    }
    if held {
        office.tally.count("transactions held open");
        tokio::time::sleep(office.held_open).await;
    }
    if rolled_back {
        office.tally.count("rollbacks");
        return sql.batch_execute("rollback").await;
    }
    sql.batch_execute("commit").await?;
    office.tally.count("commits by SQL");
    entries.iter().for_each(|it| office.ledger.acknowledge(it));
    Ok(())
}

/// What is done, in words and in SQL. A ticket may have moved when its update comes to it, so that its
/// text is made from what it is then.
fn statement(office: &Office, o: i64, random: &mut Random) -> (&'static str, String) {
    let n = office.number();
    let other = 1 + (o + random.below(2) as i64) % 3;
    let ticket = format!(
        "(select id from tickets where organization_id = {o} order by md5(id::text || '{}') limit 1)",
        random.below(1_000)
    );
    let note = format!(
        "(select id from notes where organization_id = {o} order by md5(id::text || '{}') limit 1)",
        random.below(1_000)
    );
    let code = format!("org-{o}-i{}", random.below(60));
    let rows = 2 + random.below(49);
    match random.below(22) {
        0 | 1 => ("inserts", format!(
            "insert into tickets (organization_id, subject) values ({o}, 'org-{o} new {n}');
             insert into notes (organization_id, owner, private, body)
             values ({o}, '{}', {}, 'org-{o} note {n}')",
            o * 10 + random.below(4) as i64, n.is_multiple_of(2)
        )),
        2 => ("inserts", format!(
            "insert into comments (organization_id, ticket_id, body)
             values ({o}, {ticket}, 'org-{o} c{n}')"
        )),
        3 => ("deletes", format!("delete from notes where id = {note} and random() < 0.7")),
        4 => ("deletes with what refers to them", format!(
            "delete from tickets where id = {ticket} and (select count(*) from tickets) > 500"
        )),
        5 => ("deletes and re-inserts of one key", format!(
            "delete from items where organization_id = {o} and code = '{code}';
             insert into items values ({o}, '{code}', 'org-{o} again {n}')"
        )),
        6 => ("deletes or inserts of one key", format!(
            "with gone as (delete from items where organization_id = {o} and code = '{code}' returning 1)
             insert into items select {o}, '{code}', 'org-{o} back {n}'
             where not exists (select from gone) on conflict do nothing"
        )),
        7 => ("key changes", format!(
            "update items set code = 'org-{o}-i{}x{n}' where organization_id = {o} and code = '{code}'",
            random.below(60)
        )),
        8 => ("key changes", format!(
            "update items set code = '{code}', note = 'org-{o} home {n}'
             where organization_id = {o} and code = (select min(code) from items
             where organization_id = {o} and code like '%x%')
             and not exists (select from items where organization_id = {o} and code = '{code}')"
        )),
        9 => ("moves to another organization", format!(
            "update tickets set organization_id = {other}, subject = 'org-{other} moved {n}'
             where id = {ticket}"
        )),
        10 => ("moves to another organization", format!(
            "update items set organization_id = {other}, code = 'org-{other}-m{n}',
             note = 'org-{other} moved {n}' where organization_id = {o} and code = '{code}'"
        )),
        11 => ("updates that change nothing", format!(
            "update tickets set subject = subject where id = {ticket}"
        )),
        12 => ("the same row 100 times", format!(
            "do $$ begin for i in 1..100 loop
                update tickets set weight = i, subject = format('org-%s hundred {n}', organization_id) where id = (
                    select min(id) from tickets where organization_id = {o});
            end loop; end $$"
        )),
        13 | 14 => ("2 to 50 rows of 3 tables", format!(
            "update tickets set subject = format('org-%s many {n}', organization_id), updated_at = now() where id in (
                select id from tickets where organization_id = {o} order by md5(id::text) limit {rows});
             update comments set body = 'org-{o} many {n}' where id in (
                select id from comments where organization_id = {o} order by id desc limit {rows});
             update notes set body = 'org-{o} many {n}' where id in (
                select id from notes where organization_id = {o} order by id limit {rows})"
        )),
        15 => ("savepoints", format!(
            "savepoint s; update tickets set subject = format('org-%s never', organization_id) where id = {ticket};
             insert into comments (organization_id, body) values ({o}, 'org-{o} never');
             rollback to s; update tickets set weight = weight + 1 where id = {ticket}"
        )),
        16 => ("rows that come and go", format!(
            "insert into comments (organization_id, body) values ({o}, 'org-{o} brief {n}');
             delete from comments where body = 'org-{o} brief {n}'"
        )),
        17 => ("rows shown and hidden", format!(
            "update notes set private = not private where id = {note}"
        )),
        18 => ("rows given to another owner", format!(
            "update notes set owner = '{}' where id = {note}", o * 10 + random.below(4) as i64
        )),
        _ => ("updates", format!(
            "update tickets set subject = format('org-%s u {n}', organization_id), weight = {n}, updated_at = now()
             where id = {ticket}"
        )),
    }
}

/// Big things, once: COPY of 5,000 rows, another column, TRUNCATE. What was copied is removed in the
/// end, so that tables stay as large as they were.
pub(super) async fn upheaval(office: Office, mut random: Random) {
    let pause = |random: &mut Random| Duration::from_millis(300 + random.below(1_500));
    tokio::time::sleep(pause(&mut random)).await;
    for what in [
        "COPY of 5,000 rows",
        "TRUNCATE",
        "another column",
        "rows removed",
    ] {
        for _ in 0..10 {
            let sql = connect(&office.database_url).await;
            let done = match what {
                "COPY of 5,000 rows" => copy(&sql, random.pick(&ORGANIZATIONS)).await,
                "TRUNCATE" => {
                    sql.batch_execute("set lock_timeout = '2s'; truncate comments")
                        .await
                }
                "another column" => {
                    let name = format!("extra_{}", office.number());
                    let add = format!(
                        "set lock_timeout = '2s'; alter table comments add column {name} text;
                         update comments set {name} = 'org-' || organization_id || ' more'"
                    );
                    sql.batch_execute(&add).await
                }
                _ => trim(&sql).await,
            };
            if done.is_ok() {
                office.tally.count(what);
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(pause(&mut random)).await;
    }
}

async fn copy(sql: &tokio_postgres::Client, o: i64) -> Result<(), tokio_postgres::Error> {
    use futures_util::SinkExt;
    let into = "copy comments (organization_id, body) from stdin";
    let mut sink = std::pin::pin!(sql.copy_in::<_, bytes::Bytes>(into).await?);
    let rows: String = (0..5_000)
        .map(|n| format!("{o}\torg-{o} copied {n}\n"))
        .collect();
    sink.send(rows.into()).await?;
    sink.finish().await?;
    Ok(())
}

/// Takes back what has grown.
pub(super) async fn trim(sql: &tokio_postgres::Client) -> Result<(), tokio_postgres::Error> {
    let beyond = |table: &str, most: u32| {
        format!(
            "delete from {table} where id in (select id from {table} order by id offset {most})"
        )
    };
    let all = [("comments", 600), ("tickets", 900), ("notes", 300)];
    let all: Vec<String> = all.iter().map(|it| beyond(it.0, it.1)).collect();
    sql.batch_execute(&format!(
        "{}; delete from items where (organization_id, code) in
         (select organization_id, code from items order by code offset 300)",
        all.join(";")
    ))
    .await
}

/// How long one attempt may take.
const ANSWER: Duration = Duration::from_secs(5);

/// Another attempt comes after so long.
const AGAIN: Duration = Duration::from_millis(150);

/// A client that writes over a bad line, and repeats what it had no answer to.
pub(super) async fn by_api(
    office: Office,
    client: Client,
    organization: i64,
    line: Arc<Proxy>,
    mut random: Random,
) {
    let o = organization;
    let mut speaker = "speaker".to_owned();
    while office.goes_on() {
        let n = office.number();
        let id = 1 + random.below(1_000);
        if random.one_in(12) {
            line.cut(random.pick(&[Cut::MidFrame, Cut::Reset]));
        }
        match random.below(8) {
            0..3 => action(&office, &client, o, &mut random).await,
            6..8 => {
                // Some writes are announced and never made.
                let never = format!("never-{n}");
                let announced = random.one_in(8).then_some((&*never, &*never));
                signal(&office, &client, o, &mut speaker, announced).await;
            }
            3 => {
                let body = json!({ "subject": format!("org-{o} api {n}"), "weight": n });
                let call = client.patch(&format!("/tickets/{id}"), body);
                counted(&office, "PATCH", call.try_send(ANSWER).await);
            }
            4 => {
                let call = client.delete(&format!("/comments/{id}"));
                counted(&office, "DELETE", call.try_send(ANSWER).await);
            }
            _ => {
                let body = json!({
                    "organization_id": o, "owner": (o * 10 + 1).to_string(), "private": false,
                    "body": format!("org-{o} api note {n}"),
                });
                let call = client.post("/notes", body);
                counted(&office, "POST", call.try_send(ANSWER).await);
            }
        }
        tokio::time::sleep(Duration::from_millis(random.below(30))).await;
    }
}

/// One action, repeated until it is answered, and now and then once more. Gives up when the run
/// comes to rest; the action is then there or not, but not twice.
async fn action(office: &Office, client: &Client, o: i64, random: &mut Random) {
    let body = format!("org-{o} action {}", office.number());
    let id = format!("action-{}", office.number());
    let post = || {
        client
            .post("/entries", json!({ "organization_id": o, "body": body }))
            .header("action-id", &id)
            .try_send(ANSWER)
    };
    office.ledger.attempt(&body);
    if random.one_in(3) {
        let mut speaker = format!("announcer-{id}");
        signal(office, client, o, &mut speaker, Some((&id, &body))).await;
        let path = format!("/channels/{speaker}");
        counted(
            office,
            "DELETE of a channel",
            client.delete(&path).try_send(ANSWER).await,
        );
    }
    let mut attempts = 0;
    let first = loop {
        attempts += 1;
        match counted(office, "POST with an action", post().await) {
            Some(answer) if answer.status == 201 => break answer,
            _ if !office.goes_on() && attempts > 3 => return,
            _ => tokio::time::sleep(AGAIN).await,
        }
    };
    if attempts > 1 {
        office
            .tally
            .count("actions that were repeated until they were answered");
    }
    office.ledger.acknowledge(&body);
    if random.one_in(4)
        && let Some(again) = counted(office, "POST with an action", post().await)
        && again.status == 201
    {
        office.tally.count("actions repeated after their answer");
        let id = |it: &Answer| {
            serde_json::from_slice(&it.body).map_or(Value::Null, |it: Value| it["id"].clone())
        };
        if id(&first) != id(&again) {
            // The ledger finds it there twice.
            office.tally.count("actions with two answers");
        }
    }
}

/// Tells everybody else of the organization something, perhaps that a write will come: under which
/// action, and of what.
async fn signal(
    office: &Office,
    client: &Client,
    o: i64,
    speaker: &mut String,
    announced: Option<(&str, &str)>,
) {
    let n = office.number();
    let mut signal = json!({
        "topic": "organization", "name": "says",
        "data": { "n": n, "organization_id": o, "text": format!("org-{o} says {n}") },
    });
    if let Some((action, body)) = announced {
        signal["action_id"] = json!(action);
        signal["data"]["body"] = json!(body);
    }
    let call = client.post("/signals", signal);
    let call = call.header("channel-id", speaker).try_send(ANSWER);
    if counted(office, "signal", call.await).is_none() {
        // It may still come, and then after the next one: whose order that is, is another sender's.
        *speaker = format!("speaker-{n}");
    }
}

fn counted(office: &Office, what: &str, answer: Result<Answer, String>) -> Option<Answer> {
    let fate = match &answer {
        Ok(answer) => answer.status.as_u16().to_string(),
        Err(_) => "no answer".to_owned(),
    };
    office.tally.count(&format!("{what}: {fate}"));
    answer.ok()
}
