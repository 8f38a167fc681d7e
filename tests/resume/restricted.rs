//! What a reader is told that comes back to tables with row-level security.

use super::missed;
use crate::support::{Client, Database, TestServer, Transport};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Notes that their owner sees, and those to whom they are shared, and what is attached to them.
const NOTES: &str = "
    create table notes (id int primary key, organization_id int not null, owner text not null, v int);
    create table shares (note_id int, organization_id int not null, reader text, primary key (note_id, reader));
    create table plain (id int primary key, organization_id int not null);
    create function caller() returns text language sql stable return
        current_setting('request.jwt.claims', true)::json ->> 'sub';
    create policy own on notes using (
        owner = caller() or id in (select note_id from shares where reader = caller())
    );
    alter table notes enable row level security;
    insert into notes values (1, 1, 'ann', 0), (2, 1, 'bob', 0), (3, 1, 'ann', 0), (4, 2, 'ann', 0);
    do $$ begin create role resume_reader; exception when duplicate_object or unique_violation then null; end $$;
    grant resume_reader to current_user;
    grant select, insert, update, delete on notes, shares, plain to resume_reader;
";

struct World {
    server: TestServer,
    ann: Client,
    bob: Client,
    /// Of another organization, by the same name.
    eve: Client,
}

impl World {
    async fn new(more: &str) -> Self {
        let database = Database::with(&format!("{NOTES}{more}")).await;
        let server = TestServer::start(database, |config| {
            config.database.default_role = Some("resume_reader".to_owned());
            config.feed.policy_timeout_ms = 500;
        })
        .await;
        let client = |organization: i64, user: &str| {
            server.client_of(json!({ "org": organization, "sub": user }))
        };
        Self {
            ann: client(1, "ann"),
            bob: client(1, "bob"),
            eve: client(2, "ann"),
            server,
        }
    }

    /// What each of them is told of what this changes.
    async fn told(&self, name: &str, sql: &str) -> [BTreeSet<String>; 3] {
        let answer = self.ann.get("/plain?limit=1").expect(200).await;
        let since = answer.header("cursor").to_owned();
        self.server.database.psql(sql).await;
        let mut all = [const { BTreeSet::new() }; 3];
        for (words, client) in all.iter_mut().zip([&self.ann, &self.bob, &self.eve]) {
            let (channel, told) = missed(client, Transport::Ndjson, name, &since).await;
            for event in &told.events {
                let organization = &event["row"]["organization_id"];
                let own = std::ptr::eq(client, &self.eve);
                let expected = json!(if own { 2 } else { 1 });
                assert!(
                    *organization == Value::Null || *organization == expected,
                    "{event}"
                );
            }
            *words = told.words();
            channel.leave().await;
        }
        all
    }
}

fn words(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|it| (*it).to_owned()).collect()
}

#[tokio::test]
async fn each_identity_is_told_of_what_it_sees_and_resets_hide_the_rest() {
    let world = World::new("").await;
    let hidden = words(&["reset notes visibility"]);
    let nothing = words(&[]);

    // All that was touched is seen: it is told row by row.
    let shared = "insert into shares values (1, 1, 'bob'), (3, 1, 'bob')";
    world.server.database.psql(shared).await;
    let [ann, bob, eve] = world
        .told(
            "seen",
            "update notes set v = 1 where id in (1, 3); insert into plain values (1, 1)",
        )
        .await;
    let both = words(&["update notes 1", "update notes 3", "insert plain 1"]);
    assert_eq!((&ann, &bob, &eve), (&both, &both, &nothing));

    // Somebody else's note: whether it was ever seen is not to be told.
    let [ann, bob, eve] = world
        .told("hidden", "update notes set v = 2 where id = 2")
        .await;
    assert_eq!(
        (&ann, &bob, &eve),
        (&hidden, &words(&["update notes 2"]), &nothing)
    );

    // A deletion is told to nobody by name.
    let [ann, bob, eve] = world
        .told("deleted", "delete from notes where id = 3")
        .await;
    assert_eq!((&ann, &bob, &eve), (&hidden, &hidden, &nothing));

    // The other organization's is not this one's business at all.
    let [ann, bob, eve] = world
        .told("theirs", "update notes set v = 1 where id = 4")
        .await;
    assert_eq!(
        (&ann, &bob, &eve),
        (&nothing, &nothing, &words(&["update notes 4"]))
    );
    let [ann, bob, eve] = world
        .told("theirs-gone", "delete from notes where id = 4")
        .await;
    assert_eq!((&ann, &bob, &eve), (&nothing, &nothing, &hidden));
    world.server.finish().await;
}

#[tokio::test]
async fn what_a_policy_reads_resets_what_depends_on_it_in_that_organization() {
    let world = World::new("").await;
    let [ann, bob, eve] = world
        .told("shared", "insert into shares values (1, 1, 'bob')")
        .await;
    let both = words(&["insert shares [1,\"bob\"]", "reset notes visibility"]);
    assert_eq!((&ann, &bob, &eve), (&both, &both, &words(&[])));
    let [ann, _, eve] = world.told("plain", "insert into plain values (2, 1)").await;
    assert_eq!((&ann, &eve), (&words(&["insert plain 2"]), &words(&[])));
    world.server.finish().await;
}

#[tokio::test]
async fn a_policy_that_fails_or_dawdles_resets_its_own_identity_only() {
    let world = World::new(
        "create function trouble() returns boolean language plpgsql as $$ begin
             if caller() = 'ann' then raise exception 'no'; end if;
             if caller() = 'bob' then perform pg_sleep(60); end if;
             return true; end $$;
         create policy trouble on notes as restrictive using (trouble());
         insert into notes values (5, 1, 'cid', 0)",
    )
    .await;
    let cid = world.server.client_of(json!({ "org": 1, "sub": "cid" }));
    let answer = cid.get("/plain?limit=1").expect(200).await;
    let since = answer.header("cursor").to_owned();
    let [ann, bob, eve] = world
        .told(
            "trouble",
            "update notes set v = 9 where id = 5; insert into plain values (3, 1)",
        )
        .await;
    let unreadable = words(&["insert plain 3", "reset notes unreadable"]);
    assert_eq!((&ann, &bob, &eve), (&unreadable, &unreadable, &words(&[])));
    let (_, told) = missed(&cid, Transport::Sse, "c", &since).await;
    assert_eq!(told.words(), words(&["insert plain 3", "update notes 5"]));
    world.server.finish().await;
}
