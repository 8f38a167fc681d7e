//! More changes at once than a batch holds: those concerned fetch again what is concerned, and nobody
//! else anything.

use crate::feed::{World, organization};
use rowcast::config::OrganizationRule;

#[tokio::test]
async fn a_flood_resets_what_it_floods_for_whom_it_concerns() {
    let world = World::with(
        "create table tickets (id int primary key, organization_id int not null, v int);
         create table messages (id int primary key, ticket_id int references tickets on delete cascade, v int);
         create table others (id int primary key, organization_id int not null);
         insert into tickets select n, 1 + n % 2, 0 from generate_series(1, 400) n;
         insert into messages select n, n, 0 from generate_series(1, 400) n",
        |config| {
            config.limits.batch_keys_max = 50;
            organization(config, "messages", OrganizationRule::Via("ticket_id".to_owned()));
        },
    )
    .await;
    let mut one = world.listener("1", "7", "postgres");
    let mut two = world.listener("2", "7", "postgres");
    const NOTHING: [&str; 0] = [];

    // In a resource with an organization column. What else the batch has is told row by row.
    world
        .psql(
            "begin; update tickets set v = 1 where organization_id = 1;
             update tickets set v = 1 where id = 3; insert into others values (1, 1), (2, 2); commit",
        )
        .await;
    let insert = |id| format!(r#"insert others {id} {{"id":{id},"organization_id":{id}}}"#);
    assert_eq!(
        one.heard().await,
        [insert(1), "reset tickets too_many".to_owned()]
    );
    let update = r#"update tickets 3 {"id":3,"organization_id":2,"v":1}"#.to_owned();
    assert_eq!(two.heard().await, [insert(2), update]);

    // In one that belongs through another: each message refers to a ticket of its own.
    world
        .psql("update messages set v = 1 where ticket_id in (select id from tickets where organization_id = 2)")
        .await;
    assert_eq!(one.heard().await, NOTHING);
    assert_eq!(two.heard().await, ["reset messages too_many"]);

    // What it belonged through goes as well.
    world
        .psql("delete from tickets where organization_id = 1")
        .await;
    let gone = ["reset messages too_many", "reset tickets too_many"];
    assert_eq!(one.heard().await, gone);
    assert_eq!(two.heard().await, NOTHING);
    world.finish().await;
}
