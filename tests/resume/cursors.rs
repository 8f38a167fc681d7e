//! Cursors that are not what they should be: each is answered with a reset, never with data.

use super::{
    attach,
    reader::{spell, up_to_date},
    replay::{cursor, server},
};
use crate::support::{TestServer, Transport};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

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

#[tokio::test]
async fn a_cursor_from_before_what_the_log_has_resets_everything() {
    let server = server().await;
    let client = server.client(1, 1);
    let old = cursor(&client).await;
    // The feed has told of it before it goes from the log.
    let (mut told, _) = attach(&client, Transport::WebSocket, "told", "").await;
    let update = "update tickets set subject = 'gone from the log' where id = 9";
    server.database.psql(update).await;
    told.expect("change").await;
    for sql in [
        "select setval('rowcast.kept_version', rowcast.version_of(pg_current_snapshot()))",
        "delete from rowcast.changes",
    ] {
        server.database.psql(sql).await;
    }
    is_refused(&server, "expired", &old, "cursor_expired").await;
    server.finish().await;
}
