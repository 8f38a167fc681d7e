//! Cursors that are not what they should be: each is answered with a reset, never with data.

use super::{
    attach, missed,
    reader::{spell, up_to_date},
    replay::{TABLES, cursor, server},
};
use crate::support::{Database, TestServer, Transport};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rowcast::{cursor::CursorSigner, postgres::changelog::Keeper, snapshot::Snapshot};
use serde_json::json;

/// Attaches with this cursor on each transport, and expects everything to be reset for this reason,
/// and then to be told what happens.
async fn is_refused(server: &TestServer, name: &str, cursor: &str, reason: &str) {
    let one = server.client(1, 1);
    for transport in Transport::ALL {
        let id = format!("{name}-{transport:?}");
        let (mut channel, open) = attach(&one, transport, &id, &format!("since={cursor}")).await;
        assert_eq!(open["resumed"], true, "{name}");
        let reset = channel.expect("reset").await;
        assert_eq!(
            spell(&reset),
            format!("reset - {reason}"),
            "{name} {transport:?}"
        );
        assert!(reset["version"].is_u64());
        let delete = one.delete(&format!("/tickets/{}", 1 + transport as u32));
        delete.send().await;
        let insert = serde_json::json!({"id": 1 + transport as u32, "subject": name});
        one.post("/tickets", insert).expect(201).await;
        let told = up_to_date(&mut channel, open).await;
        let words: Vec<String> = told.events.iter().map(spell).collect();
        assert!(words.iter().all(|it| !it.starts_with("reset")), "{words:?}");
    }
}

#[tokio::test]
async fn what_is_not_a_cursor_of_this_database_resets_everything() {
    let (server, elsewhere) = (server().await, server().await);
    let good = cursor(&server.client(1, 1)).await;
    let foreign = cursor(&elsewhere.client(1, 1)).await;
    is_refused(&server, "foreign", &foreign, "cursor_invalid").await;
    is_refused(&server, "garbage", "no%20cursor%21", "cursor_invalid").await;
    is_refused(&server, "empty", "", "cursor_invalid").await;
    is_refused(&server, "long", &"A".repeat(5000), "cursor_invalid").await;
    let bytes = URL_SAFE_NO_PAD.decode(&good).unwrap();
    for (at, name) in [(0, "format"), (1, "snapshot"), (bytes.len() - 1, "tag")] {
        let mut forged = bytes.clone();
        forged[at] ^= 1;
        let forged = URL_SAFE_NO_PAD.encode(forged);
        is_refused(&server, name, &forged, "cursor_invalid").await;
    }
    elsewhere.finish().await;
    server.finish().await;
}

/// As one would be after ids were given out again and nobody had noticed: signed for this very log.
#[tokio::test]
async fn a_cursor_from_the_future_resets_everything() {
    let server = server().await;
    let database = crate::change_log::server(&server.database).await;
    let keeper = Keeper::open(&database).await.unwrap();
    let (key, id) = (keeper.cursor_key().await, keeper.database_id().await);
    let signer = CursorSigner::new(key.unwrap(), id.unwrap());
    let now = server.database.value("select pg_current_snapshot()").await;
    let now: Snapshot = now.parse().unwrap();
    // Another's signature is as good as the server's own.
    let one = server.client(1, 1);
    let (_, told) = missed(&one, Transport::Ndjson, "now", &signer.sign(&now)).await;
    assert!(told.words().is_empty(), "{:?}", told.words());
    let far = now.xmax + 1_000_000;
    let future = signer.sign(&Snapshot {
        xmax: far,
        ..now.clone()
    });
    is_refused(&server, "future", &future, "cursor_invalid").await;
    // Its version is one of the past, for all that it leaves out.
    let mixed = signer.sign(&Snapshot {
        xmin: now.xmin,
        xmax: now.xmax + 5_000,
        xip: (now.xmax..now.xmax + 5_000).collect(),
    });
    is_refused(&server, "mixed", &mixed, "cursor_invalid").await;
    let asked = one.get(&format!("/tickets?modified_since={future}"));
    let answer = asked.send().await;
    assert_eq!(answer.status.as_u16(), 410, "{}", answer.text());
    drop(keeper);
    database.close().await;
    server.finish().await;
}

#[tokio::test]
async fn a_cursor_from_before_what_the_log_has_resets_everything() {
    let server = server().await;
    let client = server.client(1, 1);
    let old = cursor(&client).await;
    // The feed has told of it before it goes from the log.
    let (mut told, _) = attach(&client, Transport::WebSocket, "told", "").await;
    let update = "update tickets set subject = 'gone from the log' where id = 9";
    server.database.psql(update).await;
    // As far as that the feed has come, so that it misses nothing itself, whatever else the cluster does.
    let kept = told.expect("change").await["version"].clone();
    for sql in [
        format!("select setval('rowcast.kept_version', {kept})"),
        "delete from rowcast.changes".to_owned(),
    ] {
        server.database.psql(&sql).await;
    }
    is_refused(&server, "expired", &old, "cursor_expired").await;
    server.finish().await;
}

#[tokio::test]
async fn every_cursor_that_is_told_can_be_come_back_with() {
    let server = TestServer::start(Database::with(TABLES).await, |config| {
        config.limits.ping_ms = 300;
    })
    .await;
    let (one, two) = (server.client(1, 1), server.client(2, 1));
    let (mut channel, open) = attach(&one, Transport::Ndjson, "a", "").await;
    let mut cursors = vec![("open", open["cursor"].clone())];
    let list = one.get("/tickets?limit=2").expect(200).await;
    cursors.push(("list", list.header("cursor").into()));
    let item = one.get("/tickets/2").expect(200).await;
    cursors.push(("item", item.header("cursor").into()));
    let write = one
        .patch("/tickets/1", json!({"subject": "written"}))
        .expect(200)
        .await;
    let after_write = ("write", json!(write.header("cursor")));
    let (_, change) = channel.until("change").await;
    let after_change = ("change", change["cursor"].clone());
    let get = one.get("/tickets?limit=1").header("request-id", "r");
    get.header("channel-id", "a").expect(202).await;
    let (_, done) = channel.until("done").await;
    let ping = channel.expect("ping").await;
    let after_write = [
        after_write,
        after_change,
        ("done", done["cursor"].clone()),
        ("ping", ping["cursor"].clone()),
    ];
    for id in ["2", "60"] {
        let sql = format!("update tickets set subject = 'later' where id = {id}");
        server.database.psql(&sql).await;
    }
    let expected = |written: bool| {
        let mut words = std::collections::BTreeSet::from(["update tickets 2".to_owned()]);
        words.extend(written.then(|| "update tickets 1".to_owned()));
        words
    };
    let before = cursors.into_iter().map(|it| (it, true));
    for ((name, cursor), written) in before.chain(after_write.into_iter().map(|it| (it, false))) {
        let cursor = cursor.as_str().expect("it is there");
        let (_, told) = missed(&one, Transport::Ndjson, name, cursor).await;
        assert_eq!(told.words(), expected(written), "{name}");
        // A cursor names a state, not its holder: another organization is told of its own.
        let (_, told) = missed(&two, Transport::Ndjson, name, cursor).await;
        assert_eq!(
            told.words(),
            ["update tickets 60".to_owned()].into(),
            "{name}"
        );
    }
    drop(channel);
    server.finish().await;
}
