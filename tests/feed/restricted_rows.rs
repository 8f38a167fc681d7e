//! Tables with row-level security: what each identity is told, and that nobody hears of what
//! PostgreSQL would not show.

use super::{Listener, World, listener::organization};
use crate::support::Database;
use rowcast::{
    broker::{Address, Broker, Local},
    channel::Batch,
    config::OrganizationRule,
};
use std::{sync::Arc, time::Duration};

const NOTHING: [&str; 0] = [];

/// Notes that their owner sees, and those to whom they are shared.
const NOTES: &str = "
    create table notes (id int primary key, organization_id int not null, owner text not null, v int);
    create table shares (note_id int, organization_id int not null, reader text, primary key (note_id, reader));
    create function caller() returns text language sql stable return
        current_setting('request.jwt.claims', true)::json ->> 'sub';
    create policy own on notes using (
        owner = caller() or id in (select note_id from shares where reader = caller())
    );
    alter table notes enable row level security;
    do $$ begin create role feed_reader; exception when duplicate_object or unique_violation then null; end $$;
    grant feed_reader to current_user;
    grant select, insert, update, delete on notes, shares to feed_reader;
";

async fn notes() -> (World, Listener, Listener, Listener) {
    let world = World::new(NOTES).await;
    let listener = |organization, user| world.listener(organization, user, "feed_reader");
    let (ann, bob, eve) = (
        listener("1", "ann"),
        listener("1", "bob"),
        listener("2", "ann"),
    );
    (world, ann, bob, eve)
}

#[tokio::test]
async fn each_identity_is_told_of_what_it_sees() {
    let (world, mut ann, mut bob, mut eve) = notes().await;
    let note = |op: &str, id: i32, owner: &str, v: i32| {
        format!(r#"{op} notes {id} {{"id":{id},"organization_id":1,"owner":"{owner}","v":{v}}}"#)
    };
    world
        .psql("insert into notes values (1, 1, 'ann', 0), (2, 1, 'bob', 0)")
        .await;
    assert_eq!(ann.heard().await, [note("insert", 1, "ann", 0)]);
    assert_eq!(bob.heard().await, [note("insert", 2, "bob", 0)]);
    world.psql("update notes set v = 1").await;
    assert_eq!(ann.heard().await, [note("update", 1, "ann", 1)]);
    assert_eq!(bob.heard().await, [note("update", 2, "bob", 1)]);
    // It goes from one to the other: still there, but no longer to be seen.
    world
        .psql("update notes set owner = 'bob' where id = 1")
        .await;
    assert_eq!(ann.heard().await, ["gone notes 1"]);
    assert_eq!(bob.heard().await, [note("insert", 1, "bob", 1)]);
    world.psql("delete from notes where id = 2").await;
    assert_eq!(ann.heard().await, NOTHING);
    assert_eq!(bob.heard().await, ["delete notes 2"]);
    // To another organization: a deletion for this one, whoever owned it there too.
    world
        .psql("update notes set organization_id = 2, owner = 'ann'")
        .await;
    assert_eq!(ann.heard().await, NOTHING);
    assert_eq!(bob.heard().await, ["delete notes 1"]);
    assert_eq!(
        eve.heard().await,
        [r#"insert notes 1 {"id":1,"organization_id":2,"owner":"ann","v":1}"#]
    );
    world.psql("truncate notes").await;
    assert_eq!(ann.heard().await, ["reset notes truncated"]);
    world.finish().await;
}

#[tokio::test]
async fn what_a_policy_reads_resets_those_concerned_only() {
    let (world, mut ann, mut bob, mut eve) = notes().await;
    world
        .psql("insert into notes values (1, 1, 'ann', 0)")
        .await;
    ann.heard().await;
    assert_eq!(bob.heard().await, NOTHING);
    world.psql("insert into shares values (1, 1, 'bob')").await;
    let share = r#"insert shares [1,"bob"] {"note_id":1,"organization_id":1,"reader":"bob"}"#;
    assert_eq!(ann.heard().await, [share]);
    assert_eq!(bob.heard().await, [share, "reset notes visibility"]);
    world.psql("delete from shares").await;
    assert_eq!(ann.heard().await, [r#"delete shares [1,"bob"]"#]);
    assert_eq!(
        bob.heard().await,
        [r#"delete shares [1,"bob"]"#, "reset notes visibility"]
    );
    // A row that comes together with the right to see it needs no reset.
    world
        .psql(
            "begin; insert into notes values (2, 1, 'ann', 0); insert into shares values (2, 1, 'bob');
             commit",
        )
        .await;
    let told = bob.heard().await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("insert notes 2"), "{told:?}");
    assert_eq!(eve.heard().await, NOTHING);
    world.finish().await;
}

#[tokio::test]
async fn a_policy_that_fails_or_dawdles_hurts_its_own_identity_only() {
    let world = World::with(
        &format!(
            "{NOTES}
             create function trouble() returns boolean language plpgsql as $$ begin
                 if caller() = 'bad' then raise exception 'no'; end if;
                 if caller() = 'slow' then perform pg_sleep(60); end if;
                 return true; end $$;
             create policy trouble on notes as restrictive using (trouble())"
        ),
        |config| config.feed.policy_timeout_ms = 300,
    )
    .await;
    let mut ann = world.listener("1", "ann", "feed_reader");
    let mut bad = world.listener("1", "bad", "feed_reader");
    let mut slow = world.listener("1", "slow", "feed_reader");
    let mut other = world.listener("2", "ann", "feed_reader");
    world
        .psql("insert into notes values (1, 1, 'ann', 0)")
        .await;
    let told = ann.heard().await;
    assert!(told[0].starts_with("insert notes 1"), "{told:?}");
    assert_eq!(bad.heard().await, ["reset notes unreadable"]);
    // Several batches while the first is being read: the lane is bounded.
    for v in 1..12 {
        world.psql(&format!("update notes set v = {v}")).await;
        let told = ann.heard().await;
        assert!(told[0].contains(&format!("\"v\":{v}")), "{told:?}");
    }
    let told = slow.heard().await;
    assert!(!told.is_empty());
    assert!(
        told.iter().all(|it| it == "reset notes unreadable"),
        "{told:?}"
    );
    assert_eq!(other.heard().await, NOTHING);
    world.finish().await;
}

#[tokio::test]
async fn a_role_that_policies_do_not_bind_is_told_nothing() {
    let world = World::new(&format!(
        "{NOTES}
         do $$ begin create role feed_bypass bypassrls; exception when duplicate_object or unique_violation then null; end $$;
         grant feed_bypass to current_user; grant select on notes to feed_bypass;
         create table plain (id int primary key, organization_id int not null);
         grant select on plain to feed_bypass"
    ))
    .await;
    let mut bypass = world.listener("1", "ann", "feed_bypass");
    let mut root = world.listener("1", "ann", "postgres");
    let mut ann = world.listener("1", "ann", "feed_reader");
    world
        .psql("insert into notes values (1, 1, 'ann', 0); insert into plain values (1, 1)")
        .await;
    let plain = r#"insert plain 1 {"id":1,"organization_id":1}"#;
    assert_eq!(bypass.heard().await, [plain]);
    assert_eq!(root.heard().await, [plain]);
    assert_eq!(ann.heard().await.len(), 1);
    world.finish().await;
}

#[tokio::test]
async fn rows_that_hang_below_restricted_ones_are_as_restricted() {
    let world = World::with(
        &format!(
            "{NOTES}
             create table lines (id int primary key, note_id int references notes on delete cascade);
             grant select on lines to feed_reader"
        ),
        |config| organization(config, "lines", OrganizationRule::Via("note_id".into())),
    )
    .await;
    let mut ann = world.listener("1", "ann", "feed_reader");
    let mut bob = world.listener("1", "bob", "feed_reader");
    let mut eve = world.listener("2", "ann", "feed_reader");
    world
        .psql("insert into notes values (1, 1, 'ann', 0)")
        .await;
    ann.heard().await;
    world.psql("insert into lines values (10, 1)").await;
    assert_eq!(
        ann.heard().await,
        [r#"insert lines 10 {"id":10,"note_id":1}"#]
    );
    assert_eq!(bob.heard().await, NOTHING);
    // The line did not change, but it is bob's to see now, and not ann's.
    world.psql("update notes set owner = 'bob'").await;
    assert_eq!(
        ann.heard().await,
        ["gone notes 1", "reset lines visibility"]
    );
    let told = bob.heard().await;
    assert!(told[0].starts_with("insert notes 1"), "{told:?}");
    assert_eq!(told[1..], ["reset lines visibility"]);
    // A change of the note that changes nothing of who sees it.
    world.psql("update notes set v = 9").await;
    assert_eq!(ann.heard().await, NOTHING);
    assert_eq!(bob.heard().await.len(), 1);
    world.psql("delete from notes").await;
    assert_eq!(bob.heard().await, ["delete lines 10", "delete notes 1"]);
    assert_eq!(ann.heard().await, NOTHING);
    assert_eq!(eve.heard().await, NOTHING);
    world.finish().await;
}

#[tokio::test]
async fn the_help_desks_private_tickets_are_told_to_their_members() {
    let world = World::over(Database::helpdesk().await, |_| ()).await;
    let mut member = world.listener("1", "1", "helpdesk_agent");
    let mut other = world.listener("1", "2", "helpdesk_agent");
    let mut stranger = world.listener("2", "101", "helpdesk_agent");
    let private = world
        .database
        .value("select min(id) from tickets where private and organization_id = 1")
        .await;
    world
        .psql(&format!(
            "update tickets set subject = 'secret' where id = {private}"
        ))
        .await;
    let told = member.heard().await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("\"subject\":\"secret\""), "{told:?}");
    assert_eq!(other.heard().await, NOTHING);
    assert_eq!(stranger.heard().await, NOTHING);
    // Everybody else's.
    world
        .psql("update tickets set subject = 'open' where id = (select min(id) from tickets where not private and organization_id = 1)")
        .await;
    for listener in [&mut member, &mut other] {
        let told = listener.heard().await;
        assert!(told[0].contains("\"subject\":\"open\""), "{told:?}");
    }
    assert_eq!(stranger.heard().await, NOTHING);
    // Admitted.
    world
        .psql(&format!(
            "insert into ticket_members (organization_id, ticket_id, user_id, private)
             select organization_id, id, 2, private from tickets where id = {private}"
        ))
        .await;
    let told = other.heard().await;
    assert!(
        told.contains(&"reset tickets visibility".to_owned()),
        "{told:?}"
    );
    let told = member.heard().await;
    assert!(
        !told.iter().any(|it| it.starts_with("reset tickets")),
        "{told:?}"
    );
    assert_eq!(stranger.heard().await, NOTHING);
    world.finish().await;
}

#[tokio::test]
async fn a_login_that_policies_bind_resets() {
    let database = Database::with(&format!(
        "{NOTES}
         create role feed_login login; grant feed_reader to feed_login;
         grant select, trigger on notes, shares to feed_login"
    ))
    .await;
    database
        .psql(&format!(
            "grant create on database {} to feed_login",
            database.name
        ))
        .await;
    let url = database.url.replace("postgres@", "feed_login@");
    let world = World::over(database, |config| {
        config.database.url = Some(url.as_str().into());
    })
    .await;
    assert_eq!(world.feed().not_live().len(), 1);
    let mut ann = world.listener("1", "ann", "feed_reader");
    let mut eve = world.listener("2", "ann", "feed_reader");
    world
        .psql("insert into notes values (1, 1, 'ann', 0)")
        .await;
    assert_eq!(ann.heard().await, ["reset notes changed"]);
    assert_eq!(eve.heard().await, NOTHING);
    world
        .psql("alter table notes disable trigger all; drop owned by feed_login cascade; drop role feed_login")
        .await;
    world.finish().await;
}

/// A broker that is slower than any lane.
#[derive(Debug)]
struct Slow(Local);

impl Broker for Slow {
    fn publish(&self, to: &Address, batch: &Arc<Batch>) {
        std::thread::sleep(Duration::from_millis(100));
        self.0.publish(to, batch);
    }
}

/// What is read apart carries the cursor of a state of which the rest was told before.
#[tokio::test(flavor = "multi_thread")]
async fn the_cursor_comes_after_the_batch_beside_what_is_read_apart() {
    let sql = format!(
        "{NOTES} create table plain (id int primary key, organization_id int not null);
         grant select on plain to feed_reader"
    );
    let database = Database::with(&sql).await;
    let world = World::through(database, |_| (), |hub| Arc::new(Slow(Local::new(hub)))).await;
    let mut ann = world.listener("1", "ann", "feed_reader");
    world
        .psql("begin; insert into notes values (1, 1, 'ann', 0); insert into plain values (1, 1); commit")
        .await;
    let events = ann.events().await;
    let told = events.iter();
    let told: Vec<_> = told
        .map(|it| (it["resource"].as_str().unwrap(), it["cursor"].is_string()))
        .collect();
    assert_eq!(told, [("plain", false), ("notes", true)]);
    drop(ann);
    world.finish().await;
}
