//! What a reader is told of tables without row-level security.

use super::{
    attach, missed,
    reader::{spell, up_to_date},
};
use crate::support::{Client, Database, TestServer, Transport};
use rowcast::config::{Announce, OrganizationRule, ResourceConfig};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(super) const TABLES: &str = "
    create table tickets (
        id int primary key, organization_id int not null, subject text not null default ''
    );
    create table messages (
        id int primary key, ticket_id int not null references tickets on delete cascade,
        body text not null default ''
    );
    create table pairs (
        a int, b text, organization_id int not null, primary key (a, b)
    );
    insert into tickets select n, 1 + (n > 50)::int from generate_series(1, 100) n;
    insert into messages select n, n from generate_series(1, 100) n;
    insert into pairs values (1, 'x', 1), (1, 'y,z', 1), (2, 'x', 2)";

pub(crate) async fn server() -> TestServer {
    TestServer::start(Database::with(TABLES).await, |config| {
        let via = ResourceConfig {
            organization: Some(OrganizationRule::Via("ticket_id".to_owned())),
            ..ResourceConfig::default()
        };
        config.resources.insert("messages".to_owned(), via);
    })
    .await
}

/// The state of the database now, as a caller learns of it.
pub(crate) async fn cursor(client: &Client) -> String {
    let answer = client.get("/tickets?limit=1").expect(200).await;
    answer.header("cursor").to_owned()
}

fn words(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|it| (*it).to_owned()).collect()
}

#[tokio::test]
async fn each_transport_tells_all_that_was_missed_and_goes_on() {
    let server = server().await;
    let (one, two) = (server.client(1, 1), server.client(2, 1));
    for transport in Transport::ALL {
        let since = cursor(&one).await;
        let n = transport as u32;
        let (new, passing) = (1000 + n, 2000 + n);
        server
            .database
            .psql(&format!(
                "insert into tickets values ({new}, 1, 'new');
                 update tickets set subject = 'first {n}' where id = 1;
                 update tickets set subject = 'last {n}' where id = 1;
                 delete from tickets where id = 10 + {n};
                 delete from tickets where id = 20 + {n};
                 insert into tickets values (20 + {n}, 1, 'back');
                 insert into tickets values ({passing}, 1, ''); delete from tickets where id = {passing};
                 update pairs set organization_id = 1 where b = 'y,z';
                 update tickets set subject = 'theirs {n}' where id = 60"
            ))
            .await;
        let never = "begin; update tickets set subject = 'never' where id = 2; rollback";
        server.database.psql(never).await;
        one.patch("/tickets/3", json!({"subject": "by api"}))
            .header("action-id", &format!("act-{n}"))
            .expect(200)
            .await;
        let id = format!("since-{transport:?}");
        let (mut channel, told) = missed(&one, transport, &id, &since).await;
        let expected = [
            format!("insert tickets {new}"),
            "update tickets 1".to_owned(),
            format!("delete tickets {}", 10 + n),
            // Its message went with it.
            format!("delete messages {}", 10 + n),
            format!("update tickets {}", 20 + n),
            format!("delete messages {}", 20 + n),
            // Somebody may have seen it.
            format!("delete tickets {passing}"),
            "update pairs [1,\"y,z\"]".to_owned(),
            "update tickets 3".to_owned(),
        ];
        assert_eq!(told.words(), expected.into(), "{transport:?}");
        assert_eq!(
            told.row("tickets", &json!(1))["subject"],
            format!("last {n}")
        );
        let acted = told.events.iter().find(|it| it["id"] == 3).unwrap();
        assert_eq!(acted["action_id"], format!("act-{n}"));
        assert_eq!(told.open["resumed"], true);
        // Nothing is promised before everything was told.
        assert_eq!(told.open["cursor"], since);
        let carried = told.events.iter().filter(|it| it.get("cursor").is_some());
        assert_eq!(carried.count(), 1);

        // From here on as ever, and nothing of before again.
        one.patch("/tickets/4", json!({"subject": format!("live {n}")}))
            .expect(200)
            .await;
        let change = channel.expect("change").await;
        assert_eq!(
            (&change["id"], &change["op"]),
            (&json!(4), &json!("update"))
        );
        assert!(change["version"].as_u64() > told.events[0]["version"].as_u64());
        let (_, rest) = missed(&one, transport, &format!("{id}-again"), &told.cursor).await;
        assert_eq!(rest.words(), words(&["update tickets 4"]), "{transport:?}");

        // The other organization hears of its own only.
        let (_, theirs) = missed(&two, transport, &id, &since).await;
        assert_eq!(
            theirs.words(),
            words(&["update tickets 60"]),
            "{transport:?}"
        );
    }
    server.finish().await;
}

#[tokio::test]
async fn who_missed_nothing_is_told_so_at_once() {
    let server = server().await;
    let one = server.client(1, 1);
    for transport in Transport::ALL {
        let since = cursor(&one).await;
        server
            .database
            .psql("update tickets set subject = '' where id = 60")
            .await;
        let begun = std::time::Instant::now();
        let (mut channel, told) =
            missed(&one, transport, &format!("q-{transport:?}"), &since).await;
        assert_eq!(told.words(), words(&[]), "{transport:?}");
        assert!(
            begun.elapsed().as_secs() < 10,
            "that is no ping of the usual kind"
        );
        one.delete(&format!("/tickets/{}", 30 + transport as u32))
            .expect(200)
            .await;
        let (before, change) = channel.until("change").await;
        assert!(before.iter().all(|it| it["type"] == "ping"), "{before:?}");
        assert_eq!(change["op"], "delete");
    }
    server.finish().await;
}

#[tokio::test]
async fn rows_that_belong_through_others_are_told_to_whom_they_belonged() {
    let server = server().await;
    let (one, two) = (server.client(1, 1), server.client(2, 1));
    let since = cursor(&one).await;
    server
        .database
        .psql(
            "delete from tickets where id = 1;
             delete from messages where id = 2;
             update messages set ticket_id = 60 where id = 3;
             insert into messages values (1001, 4), (1060, 61);
             update messages set body = 'theirs' where id = 62",
        )
        .await;
    let (_, told) = missed(&one, Transport::Ndjson, "a", &since).await;
    assert_eq!(
        told.words(),
        words(&[
            "delete tickets 1",
            "delete messages 1",
            "delete messages 2",
            "delete messages 3",
            "insert messages 1001",
        ])
    );
    let (_, told) = missed(&two, Transport::Ndjson, "a", &since).await;
    assert_eq!(
        told.words(),
        words(&[
            "update messages 3",
            "insert messages 1060",
            "update messages 62"
        ])
    );
    server.finish().await;
}

#[tokio::test]
async fn a_row_that_moved_is_deleted_here_and_inserted_there_and_takes_its_own_along() {
    let server = server().await;
    let (one, two) = (server.client(1, 1), server.client(2, 1));
    let since = cursor(&one).await;
    server
        .database
        .psql("update tickets set organization_id = 2 where id = 7; delete from pairs where a = 2")
        .await;
    let (_, told) = missed(&one, Transport::Sse, "a", &since).await;
    assert_eq!(
        told.words(),
        words(&["delete tickets 7", "reset messages moved"])
    );
    let (_, told) = missed(&two, Transport::Sse, "a", &since).await;
    assert_eq!(
        told.words(),
        words(&[
            "insert tickets 7",
            "reset messages moved",
            "delete pairs [2,\"x\"]"
        ])
    );
    server.finish().await;
}

#[tokio::test]
async fn what_cannot_be_told_row_by_row_is_reset() {
    let server = server().await;
    let one = server.client(1, 1);
    let since = cursor(&one).await;
    server
        .database
        .psql("truncate pairs; update tickets set subject = 't' where id = 1")
        .await;
    let (_, told) = missed(&one, Transport::WebSocket, "a", &since).await;
    assert_eq!(
        told.words(),
        words(&["reset pairs truncated", "update tickets 1"])
    );
    let mut watching = one.channel(Transport::Ndjson, "watching").await;
    server
        .database
        .psql("alter table tickets add column more int default 5")
        .await;
    // The feed tells those who are there, and the log those who come later. Who comes while the feed
    // takes up the new shape may hear of it from both: what it fetched at the first reset may have
    // been answered by the shape from before.
    watching.until("reset").await;
    for attempt in 0.. {
        // A channel of its own each time: one that was not acknowledged tells its events again.
        let id = format!("b{attempt}");
        let (_, told) = missed(&one, Transport::WebSocket, &id, &since).await;
        one.delete(&format!("/channels/{id}")).expect(204).await;
        let (shape, others): (Vec<String>, Vec<String>) = told
            .events
            .iter()
            .map(spell)
            .partition(|it| it == "reset tickets schema");
        let truncated = others.iter().filter(|it| *it == "reset pairs truncated");
        assert_eq!(truncated.count(), 1, "{others:?}");
        if !shape.is_empty() {
            // Of the resource that is to be fetched again nothing else is told.
            assert_eq!(others.len(), 1, "{others:?}");
            break;
        }
    }
    server.finish().await;
}

#[tokio::test]
async fn only_the_resources_that_are_wanted_are_replayed() {
    let server = server().await;
    let one = server.client(1, 1);
    let since = cursor(&one).await;
    server
        .database
        .psql("update tickets set subject = 'x' where id = 1; delete from pairs where b = 'x'; truncate messages")
        .await;
    for transport in Transport::ALL {
        let query = format!("since={since}&resources=pairs");
        let (mut channel, open) = attach(&one, transport, &format!("{transport:?}"), &query).await;
        let told = up_to_date(&mut channel, open).await;
        assert_eq!(
            told.words(),
            words(&["delete pairs [1,\"x\"]"]),
            "{transport:?}"
        );
        let query = format!("since={since}&resources=");
        let (mut channel, open) =
            attach(&one, transport, &format!("{transport:?}-none"), &query).await;
        assert_eq!(up_to_date(&mut channel, open).await.words(), words(&[]));
    }
    server.finish().await;
}

#[tokio::test]
async fn an_event_number_beats_a_cursor_unless_it_is_of_no_use() {
    let server = server().await;
    let (one, two) = (server.client(1, 1), server.client(2, 1));
    let since = cursor(&one).await;
    let change = async |id: u32| {
        let subject = json!({"subject": format!("{id}")});
        one.patch(&format!("/tickets/{id}"), subject)
            .expect(200)
            .await;
    };
    change(1).await;
    let (mut channel, _) = attach(&one, Transport::Ndjson, "a", "").await;
    change(2).await;
    // The feed may not have come past the first one when the channel came to be.
    while channel.expect("change").await["id"] != 2 {}
    change(3).await;
    assert_eq!(channel.expect("change").await["id"], 3);
    let last = channel.sequence;
    drop(channel);

    // After number `last - 1` comes 3, although since the cursor there were 1 and 2 as well.
    let after = last - 1;
    let (mut channel, open) = attach(
        &one,
        Transport::Ndjson,
        "a",
        &format!("after={after}&since={since}"),
    )
    .await;
    assert_eq!(
        (&open["resumed"], &open["sequence"]),
        (&json!(true), &json!(after))
    );
    assert_eq!(channel.expect("change").await["id"], 3);
    drop(channel);
    // The header of an EventSource beats both.
    let path = format!("/channels/a?after={after}&since={since}&wait=0");
    let answer = one
        .get(&path)
        .header("last-event-id", &last.to_string())
        .send()
        .await;
    let events = answer.json();
    assert_eq!(events.as_array().unwrap().len(), 1, "{events}");
    assert_eq!(events[0]["type"], "ping");

    // A number that this channel never gave out: the cursor bridges the gap, and nothing is reset.
    let (mut channel, open) = attach(
        &one,
        Transport::Ndjson,
        "a",
        &format!("after=5&since={since}"),
    )
    .await;
    assert_eq!(open["resumed"], false);
    let told = up_to_date(&mut channel, open).await;
    assert_eq!(
        told.words(),
        words(&["update tickets 1", "update tickets 2", "update tickets 3"])
    );
    // Without one, everything is.
    let (mut channel, open) = attach(&one, Transport::Ndjson, "a", "after=5").await;
    assert_eq!(open["resumed"], false);
    assert_eq!(spell(&channel.expect("reset").await), "reset - gap");
    let (mut channel, open) = attach(
        &two,
        Transport::Ndjson,
        "a",
        &format!("after=5&since={since}"),
    )
    .await;
    assert_eq!(up_to_date(&mut channel, open).await.words(), words(&[]));
    server.finish().await;
}

#[tokio::test]
async fn a_channel_that_lives_on_repeats_nothing_that_its_reader_has() {
    let server = server().await;
    let one = server.client(1, 1);
    for transport in Transport::ALL {
        let id = format!("{transport:?}");
        let (mut channel, _) = attach(&one, transport, &id, "").await;
        let edit = async |ticket: u32| {
            let subject = json!({"subject": format!("{transport:?}")});
            one.patch(&format!("/tickets/{ticket}"), subject)
                .expect(200)
                .await;
        };
        edit(1).await;
        let seen = channel.expect("change").await;
        drop(channel);
        edit(2).await;
        edit(3).await;
        let (_, told) = missed(&one, transport, &id, seen["cursor"].as_str().unwrap()).await;
        let expected = words(&["update tickets 2", "update tickets 3"]);
        assert_eq!(told.words(), expected, "{transport:?}");
    }
    server.finish().await;
}

#[tokio::test]
async fn requests_made_before_the_reader_came_are_answered_beside_the_replay() {
    let server = server().await;
    let one = server.client(1, 1);
    let since = cursor(&one).await;
    server
        .database
        .psql("update tickets set subject = 'x' where id < 20")
        .await;
    let get = one.get("/tickets?limit=9").header("request-id", "r1");
    get.header("channel-id", "a").expect(202).await;
    let (mut channel, open) =
        attach(&one, Transport::WebSocket, "a", &format!("since={since}")).await;
    assert_eq!(open["resumed"], true);
    let (mut rows, mut changes, mut done) = (0, BTreeSet::new(), false);
    while !done || changes.len() < 19 {
        let event = channel.next().await;
        match event["type"].as_str().unwrap() {
            "row" => rows += 1,
            "done" => done = true,
            "change" => assert!(changes.insert(event["id"].as_i64().unwrap()), "{event}"),
            other => panic!("{other}"),
        }
    }
    assert_eq!(rows, 9);
    server.finish().await;
}

#[tokio::test]
async fn resources_announced_by_key_or_as_a_whole_are_replayed_so() {
    let database = Database::with(TABLES).await;
    let server = TestServer::start(database, |config| {
        let announce = |announce| ResourceConfig {
            announce,
            ..ResourceConfig::default()
        };
        config
            .resources
            .insert("tickets".to_owned(), announce(Announce::Keys));
        config
            .resources
            .insert("pairs".to_owned(), announce(Announce::Resource));
    })
    .await;
    let (one, two) = (server.client(1, 1), server.client(2, 1));
    let since = cursor(&one).await;
    server
        .database
        .psql("update tickets set subject = 'x' where id = 1; update pairs set organization_id = 1 where a = 1")
        .await;
    let (_, told) = missed(&one, Transport::Ndjson, "a", &since).await;
    assert_eq!(
        told.words(),
        words(&["update tickets 1", "reset pairs changed"])
    );
    assert_eq!(told.row("tickets", &json!(1)), &Value::Null);
    let (_, told) = missed(&two, Transport::Ndjson, "a", &since).await;
    assert_eq!(told.words(), words(&[]));
    server.finish().await;
}
