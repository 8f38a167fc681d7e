//! Pages that continue behind the last row: whatever the order, each row once, though others come and
//! go meanwhile.

use super::{ids, server};
use crate::support::{Client, Transport};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// All pages of a list, by the links that lead from one to the next.
async fn pages(client: &Client, path: &str) -> Vec<i64> {
    let mut path = path.to_owned();
    let mut all = Vec::new();
    loop {
        let answer = client.get(&path).expect(200).await;
        let rows = answer.json();
        let rows = rows.as_array().expect("a list");
        all.extend(rows.iter().map(|it| it["id"].as_i64().expect("an id")));
        let link = answer.header("link");
        if link.is_empty() {
            assert_eq!(answer.header("next"), "");
            return all;
        }
        let (next, rel) = link[1..].split_once('>').expect("a link");
        assert_eq!(rel, "; rel=\"next\"");
        assert!(
            next.ends_with(answer.header("next")) && all.len() <= 60,
            "{link}"
        );
        path = next.to_owned();
    }
}

#[tokio::test]
async fn pages_are_the_list_in_every_order() {
    let server = server().await;
    let one = server.client(1, 1);
    for order in [
        "",
        "order=id.desc",
        "order=rank,label.desc",
        "order=rank.desc,score",
        "order=rank.nullsfirst,id.desc",
        "order=rank.desc.nullslast",
        "order=score.desc.nullsfirst,at.desc",
        "order=at,label,id",
        "order=at.desc",
        "order=data-%3Ea.desc.nullslast,label",
        "order=data-%3E%3Ea,rank.desc",
        "order=data-%3Eb",
        "order=rank&rank=gt.1&select=id,label",
    ] {
        let whole = match order.contains("order=") {
            true => ids(&one, &format!("/items?{order}&limit=1000")).await,
            false => ids(&one, "/items?order=id").await,
        };
        assert_eq!(
            pages(&one, &format!("/items?{order}&limit=7")).await,
            whole,
            "{order}"
        );
        assert_eq!(
            pages(&one, &format!("/items?{order}&limit=1000")).await,
            whole,
            "{order}"
        );
    }
    server.finish().await;
}

#[tokio::test]
async fn pages_stay_apart_while_rows_come_and_go() {
    let server = server().await;
    let one = server.client(1, 1);
    let first = one.get("/items?order=label,id&limit=10").expect(200).await;
    let before = ids(&one, "/items?order=label,id").await;
    let next = first.header("next").to_owned();
    let sql =
        "insert into items select n, 1, 1, 'a', 1, now() from generate_series(1001, 1020) as n;
               delete from items where label = 'l0' and id = 7";
    server.database.psql(sql).await;
    let behind = ids(&one, &format!("/items?order=label,id&after={next}")).await;
    assert_eq!(behind, before[10..]);
    server.finish().await;
}

#[tokio::test]
async fn a_token_is_bound_to_its_order_and_no_way_around_the_fence() {
    let server = server().await;
    let (one, two) = (server.client(1, 1), server.client(2, 1));
    let first = one.get("/items?order=label&limit=3").expect(200).await;
    let token = first.header("next").to_owned();
    // Another's token shows what is one's own.
    let theirs = ids(&two, &format!("/items?order=label&after={token}")).await;
    assert!(!theirs.is_empty() && theirs.iter().all(|it| it % 2 == 0));
    let forged = |from: &str, to: &str| {
        let json = URL_SAFE_NO_PAD.decode(&token).unwrap();
        let json = String::from_utf8(json).unwrap();
        assert!(json.contains(from), "{json}");
        URL_SAFE_NO_PAD.encode(json.replace(from, to))
    };
    let harmless = forged("\"l0\"", "\"' or true --\"");
    let found = ids(&one, &format!("/items?order=label&after={harmless}")).await;
    assert!(found.iter().all(|it| it % 2 == 1));
    let last = first.json()[2]["id"].to_string();
    for wrong in [
        forged(&format!("\"{last}\""), "\"x\""),
        token[1..].to_owned(),
        "e30".to_owned(),
        String::new(),
    ] {
        let refused = one.get(&format!("/items?order=label&after={wrong}"));
        refused.expect(400).await.problem();
    }
    for path in ["/items?order=label.desc", "/items?order=id", "/items?"] {
        one.get(&format!("{path}&after={token}"))
            .expect(400)
            .await
            .problem();
    }
    server.finish().await;
}

#[tokio::test]
async fn a_request_ends_with_its_next_page_and_its_count() {
    let server = server().await;
    let one = server.client(1, 1);
    let mut channel = one.channel(Transport::WebSocket, "default").await;
    channel.expect("open").await;
    let call = one
        .get("/items?order=rank&limit=4")
        .header("request-id", "r1");
    call.header("prefer", "count=exact").expect(202).await;
    let (rows, done) = channel.until("done").await;
    assert_eq!(
        (rows.len(), done["rows"].as_i64(), done["count"].as_i64()),
        (4, Some(4), Some(30))
    );
    let next = done["next"].as_str().expect("a token");
    let plain = one.get("/items?order=rank&limit=4").expect(200).await;
    assert_eq!(plain.header("next"), next);
    let call = one.get(&format!("/items?order=rank&after={next}"));
    call.header("request-id", "r2").expect(202).await;
    let (rows, done) = channel.until("done").await;
    assert_eq!((rows.len(), done.get("next")), (26, None));
    channel.leave().await;
    server.finish().await;
}
