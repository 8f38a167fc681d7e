//! Attacks on the fence by writing: another organization's rows are not read, changed, referred to,
//! collided with or taken over, and no error tells of them.

mod belonging;
mod collisions;
mod races;
mod unknown;

use crate::{
    writes::{Desk, Writer, body, refused},
    zoo::{Zoo, caller},
};
use rowcast::{
    error::{Error, Kind},
    postgres::Written,
    query::{Query, Write, WriteOptions},
    wire::problem,
};
use serde_json::{Value, json};

/// What a caller reads of a refusal.
fn told(result: Result<Written, Error>) -> Value {
    let error = result.expect_err("a refusal");
    serde_json::from_slice(&problem::document(&error, None)).unwrap()
}

/// All rows of all organizations but one, to see that they stay as they are.
async fn others(desk: &Desk) -> String {
    let tables = [
        "users",
        "mailboxes",
        "contacts",
        "tickets",
        "messages",
        "comments",
        "notes",
        "events",
        "labels",
        "ticket_labels",
        "ticket_members",
    ];
    let each: Vec<String> = tables
        .iter()
        .map(|name| format!("(select md5(string_agg(t::text, '' order by t::text)) from {name} t where organization_id <> 1)"))
        .collect();
    desk.postgres
        .value(&format!("select concat({})", each.join(", ")))
        .await
}

const TWO: &str = "
    insert into countries values ('ch', 'Schweiz');
    insert into cages (id, organization_id, label, badge) values
        (1, 1, 'mine', 'one'), (2, 2, 'theirs', 'two'), (3, 1, 'also mine', null);
    insert into beds values (1, 1, 'mine'), (2, 2, 'theirs');
    insert into pillows overriding system value values (1, 1, 'red'), (2, 2, 'blue');
    insert into pairs values (1, 'a', 1, 'mine'), (2, 'b', 2, 'theirs');
    insert into tours values (1, 1, 'mine'), (2, 2, 'theirs');
    insert into tickets_sold values (1, 1, 1), (2, 2, 2);
    insert into rooms values (1, 1, 1, null, '[1,5)'), (2, 2, 2, null, '[10,20)');
    insert into letters values (1, '1', 'mine'), (2, '2', 'theirs');
    insert into mines values (1, 1, row(1)::touchy, 'mine'), (2, 2, row(13)::touchy, 'theirs');
    insert into keepers_only values (1, 'x');
    insert into diaries values (1, 1, '1', 'mine', 'slug one'), (2, 1, '2', 'a colleague''s', 'slug two'), (3, 2, '1', 'theirs', 'slug three');
    insert into diary_pages values (1, 1, 'x'), (2, 2, 'y'), (3, 3, 'z');
    insert into \"Animals\" (\"Id\", organization_id, \"fullName\") values
        ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 1, 'mine'), ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a22', 2, 'theirs');
    select setval('cages_id_seq', 100), setval('beds_id_seq', 100), setval('pillows_id_seq', 100)";

async fn zoo() -> Zoo {
    Zoo::with(TWO, |_| ()).await
}

/// The rows of the other organization, to see that they stay as they are.
async fn theirs(zoo: &Zoo) -> String {
    zoo.postgres
        .value(
            "select concat(
            (select string_agg(t::text, '|' order by id) from cages t where organization_id = 2),
            (select string_agg(t::text, '|' order by id) from beds t where cage_id = 2),
            (select string_agg(t::text, '|' order by id) from pillows t where bed_id = 2),
            (select string_agg(t::text, '|') from pairs t where organization_id = 2),
            (select string_agg(t::text, '|') from tours t where organization_id = 2),
            (select string_agg(t::text, '|') from tickets_sold t where organization_id = 2),
            (select string_agg(t::text, '|') from rooms t where organization_id = 2),
            (select string_agg(t::text, '|') from letters t where organization_id = '2'),
            (select string_agg(t::text, '|') from mines t where organization_id = 2),
            (select string_agg(t::text, '|') from diaries t where organization_id = 2),
            (select string_agg(t::text, '|') from \"Animals\" t where organization_id = 2))",
        )
        .await
}
