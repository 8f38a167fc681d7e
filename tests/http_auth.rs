//! Who calls: tokens in headers, what is wrong with them, and passes.

use crate::{
    http_routes::TABLES,
    support::{Database, TestServer, Transport, server::SECRET, token_of},
};
use serde_json::json;

async fn server() -> TestServer {
    TestServer::start(Database::with(TABLES).await, |_| ()).await
}

#[tokio::test]
async fn a_wrong_token_is_a_401_that_says_why() {
    let server = server().await;
    let client = server.client(1, 1);
    let problem = async |token: Option<&str>, path: &str| {
        let call = client.anonymous().get(path);
        let call = match token {
            Some(token) => call.header("authorization", token),
            None => call,
        };
        let answer = call.expect(401).await;
        let challenge = answer.header("www-authenticate").to_owned();
        assert!(challenge.starts_with("Bearer "), "{challenge}");
        (
            answer.problem()["type"].as_str().unwrap().to_owned(),
            challenge,
        )
    };
    for path in [
        "/tickets",
        "/channels/a",
        "/requests/r1",
        "/resources/tickets/1",
    ] {
        let (kind, challenge) = problem(None, path).await;
        assert_eq!(kind, "token-missing");
        assert!(!challenge.contains("error="), "no token was sent");
        for token in [
            "Bearer x",
            "Bearer a.b.c",
            "Basic dTpw",
            "bearer ..",
            "Bearer \u{7f}",
        ] {
            if token.is_ascii() && !token.contains('\u{7f}') {
                let (kind, challenge) = problem(Some(token), path).await;
                assert_eq!(kind, "token-invalid", "{token}");
                assert!(challenge.contains("error=\"invalid_token\""));
            }
        }
        let forged = token_of(
            "another secret that is long enough",
            json!({"org": 1, "sub": 1}),
        );
        assert_eq!(
            problem(Some(&format!("Bearer {forged}")), path).await.0,
            "token-invalid"
        );
        let late = token_of(SECRET, json!({"org": 1, "sub": 1, "exp": 1}));
        let (kind, challenge) = problem(Some(&format!("Bearer {late}")), path).await;
        assert_eq!(kind, "token-expired");
        assert!(challenge.contains("expired"));
        let nobody = token_of(SECRET, json!({"sub": 1}));
        assert_eq!(
            problem(Some(&format!("Bearer {nobody}")), path).await.0,
            "claim-missing"
        );
    }
    server.finish().await;
}

#[tokio::test]
async fn the_scheme_has_any_case_and_a_token_stands_once() {
    let server = server().await;
    let client = server.client(1, 1);
    let token = client.token.clone().unwrap();
    let anonymous = client.anonymous();
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let call = anonymous.get("/channels/a?wait=0");
        call.header("authorization", &format!("{scheme} {token}"))
            .expect(200)
            .await;
    }
    let twice = anonymous
        .get("/channels/a?wait=0")
        .header("authorization", &format!("Bearer {token}"))
        .header("authorization", &format!("Bearer {token}"));
    assert_eq!(
        twice.expect(400).await.problem()["type"],
        "header-malformed"
    );
    let empty = anonymous
        .get("/channels/a")
        .header("authorization", "Bearer ");
    assert_eq!(
        empty.expect(400).await.problem()["type"],
        "header-malformed"
    );
    server.finish().await;
}

#[tokio::test]
async fn a_role_that_does_not_exist_is_a_403() {
    let server = server().await;
    let client = server.client_of(json!({"org": 1, "sub": 1, "role": "nobody_of_that_name"}));
    for path in ["/tickets", "/channels/a"] {
        let problem = client.get(path).expect(403).await.problem();
        assert_eq!(problem["type"], "role-not-allowed", "{path}");
    }
    server.finish().await;
}

#[tokio::test]
async fn a_token_never_stands_in_a_url() {
    let server = server().await;
    let client = server.client(1, 1);
    let token = client.token.clone().unwrap();
    let call = client
        .anonymous()
        .get(&format!("/channels/a?access_token={token}"));
    let answer = call.expect(400).await;
    assert!(
        answer.problem()["hint"]
            .as_str()
            .unwrap()
            .contains("/passes")
    );
    assert!(!answer.text().contains(&token), "not repeated either");
    server.finish().await;
}

#[tokio::test]
async fn a_pass_opens_one_channel_on_every_transport() {
    let server = server().await;
    let client = server.client(1, 1);
    let anonymous = client.anonymous();
    for transport in Transport::ALL {
        let made = client
            .post("/passes", json!({"channel": "tab-1"}))
            .expect(201)
            .await;
        assert_eq!(made.header("cache-control"), "no-store");
        assert_eq!(made.json()["expires_in"], 30);
        let pass = made.json()["pass"].as_str().unwrap().to_owned();
        let query = format!("pass={pass}");
        // The second time it reconnects.
        for _ in 0..2 {
            let mut channel = anonymous.channel_with(transport, "tab-1", &query).await;
            assert_eq!(channel.expect("open").await["channel_id"], "tab-1");
        }
        let other = anonymous.get(&format!("/channels/tab-2?{query}&wait=0"));
        assert_eq!(other.expect(401).await.problem()["type"], "pass-invalid");
    }
    let both = client.get("/channels/tab-1?pass=x").expect(400).await;
    assert_eq!(both.problem()["type"], "header-malformed");
    let unknown = anonymous.get("/channels/tab-1?pass=x").expect(401).await;
    assert_eq!(unknown.problem()["type"], "pass-invalid");
    // The caller without a pass of its own is another: the same name is another channel.
    assert_eq!(server.running.stats().channels.channels, 1);
    server.finish().await;
}

#[tokio::test]
async fn a_pass_is_for_the_channel_that_the_body_or_the_header_names() {
    let server = server().await;
    let client = server.client(1, 1);
    let pass = || client.request("POST", "/passes");
    let json = |body: &'static str| pass().header("content-type", "application/json").body(body);
    for (call, channel) in [
        (json(r#"{"channel_id":"a"}"#), "a"),
        (json(r#"{"channel":"b"}"#).header("channel-id", "c"), "b"),
        (pass().header("channel-id", "c"), "c"),
        (json("{}"), "default"),
    ] {
        let pass = call.expect(201).await.json()["pass"].clone();
        let query = format!("wait=0&pass={}", pass.as_str().unwrap());
        let reader = client.anonymous();
        let open = reader.get(&format!("/channels/{channel}?{query}"));
        assert_eq!(open.expect(200).await.json()[0]["channel_id"], channel);
        let other = reader.get(&format!("/channels/other?{query}"));
        other.expect(401).await.problem();
    }
    server.finish().await;
}

#[tokio::test]
async fn passes_run_out_and_are_bounded() {
    let server = TestServer::start(Database::with(TABLES).await, |config| {
        config.auth.pass_ms = 1_000;
        config.auth.passes_per_identity = 2;
    })
    .await;
    let client = server.client(1, 1);
    let make = async || client.post("/passes", json!({"channel": "a"})).send().await;
    let pass = make().await.json()["pass"].as_str().unwrap().to_owned();
    make().await;
    let third = make().await;
    assert_eq!(third.status, 429);
    assert_eq!(third.header("retry-after"), "1");
    // For longer than a pass may stay unused.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let late = client
        .anonymous()
        .get(&format!("/channels/a?wait=0&pass={pass}"));
    assert_eq!(late.expect(401).await.problem()["type"], "pass-invalid");
    assert_eq!(
        make().await.status,
        201,
        "those that ran out no longer count"
    );
    for body in [
        json!([]),
        json!({"channel": 1}),
        json!({"channel_id": "a b"}),
        json!({"channels": "a"}),
    ] {
        client.post("/passes", body).expect(400).await.problem();
    }
    server.finish().await;
}

#[tokio::test]
async fn callers_without_a_token_are_of_no_organization() {
    let database = Database::with(&format!(
        "{TABLES};
         create table colours (name text primary key);
         insert into colours values ('red'), ('blue');
         do $$ begin create role anonymous_caller nologin;
               exception when duplicate_object or unique_violation then null; end $$;
         grant select, insert, update, delete on tickets to anonymous_caller;
         grant select on colours to anonymous_caller"
    ))
    .await;
    let server = TestServer::start(database, |config| {
        config.database.anonymous_role = Some("anonymous_caller".to_owned());
        let shared = rowcast::config::ResourceConfig {
            organization: Some(rowcast::config::OrganizationRule::Shared),
            ..Default::default()
        };
        config.resources.insert("colours".to_owned(), shared);
    })
    .await;
    let anonymous = server.client(1, 1).anonymous();
    let colours = anonymous.get("/colours").expect(200).await.json();
    assert_eq!(colours.as_array().unwrap().len(), 2);
    // No number is the organization of nobody.
    for (method, path) in [
        ("GET", "/tickets"),
        ("GET", "/tickets/1"),
        ("DELETE", "/tickets/1"),
    ] {
        let problem = anonymous.request(method, path).expect(403).await.problem();
        assert_eq!(
            problem["type"], "organization-not-allowed",
            "{method} {path}"
        );
    }
    let before = server.database.value("select count(*) from tickets").await;
    for body in [
        json!({"subject": "x"}),
        json!({"subject": "x", "organization_id": 1}),
    ] {
        let answer = anonymous.post("/tickets", body).send().await;
        assert!(answer.status.is_client_error(), "{}", answer.text());
    }
    assert_eq!(
        server.database.value("select count(*) from tickets").await,
        before
    );
    // A wrong token does not make one anonymous, and another role's resource stays hidden.
    let wrong = anonymous.with_token("a.b.c").get("/colours");
    assert_eq!(wrong.expect(401).await.problem()["type"], "token-invalid");
    anonymous.get("/health").expect(200).await;
    anonymous.get("/resources/health").expect(401).await;
    // On a channel: what is shared, and of organizations' rows nothing.
    let mut channel = anonymous.channel(Transport::Ndjson, "a").await;
    channel.expect("open").await;
    server
        .database
        .psql("update tickets set subject = 'secret'; insert into colours values ('green')")
        .await;
    let change = channel.expect("change").await;
    assert_eq!(
        (&change["resource"], &change["id"]),
        (&json!("colours"), &json!("green"))
    );
    drop(channel);
    server.finish().await;
}
