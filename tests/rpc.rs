//! Functions by name: which one is meant, what it gives, who may, and what stays fenced.

use crate::{
    http_routes::TABLES,
    support::{Database, TestServer, Transport},
};
use rowcast::config::{TenancyMode, WriteAnswer};
use serde_json::json;

const FUNCTIONS: &str = "
    create function add(a int, b int default 1) returns int
        language sql immutable as 'select a + b';
    create function total(variadic numbers int[]) returns bigint
        language sql immutable as 'select sum(n) from unnest(numbers) as n';
    create function all_tickets() returns setof tickets
        language sql stable as 'select * from tickets order by id';
    create function rename(ticket bigint, name text) returns setof tickets
        language sql as 'update tickets set subject = name where id = ticket returning *';
    create function pair(out one int, out two text) returns record
        language sql immutable as $$select 1, 'two'$$;
    create function numbers(n int) returns setof int
        language sql stable as 'select generate_series(1, n)';
    create function echo(json) returns json
        language sql immutable as 'select $1';
    create function same(a int) returns int language sql immutable as 'select a';
    create function same(a text) returns text language sql immutable as 'select a';
    create function nothing() returns void language sql as 'select';
    create function secret() returns int language sql immutable as 'select 42';
    revoke execute on function secret() from public";

const EXPOSED: [&str; 10] = [
    "add",
    "total",
    "all_tickets",
    "rename",
    "pair",
    "numbers",
    "echo",
    "same",
    "nothing",
    "public.secret",
];

async fn server(single: bool) -> TestServer {
    let database = Database::with(&format!("{TABLES};{FUNCTIONS}")).await;
    database
        .psql(
            "do $$ begin create role rpc_caller;
             exception when duplicate_object or unique_violation then null; end $$;
             grant usage on schema public to rpc_caller;
             grant select, insert, update, delete on tickets to rpc_caller;
             grant rpc_caller to current_user",
        )
        .await;
    TestServer::start(database, |config| {
        config.database.default_role = Some("rpc_caller".into());
        match single {
            true => {
                config.tenancy.tenancy = TenancyMode::Single;
                config.api.write_answer = WriteAnswer::Minimal;
            }
            false => config.api.functions = EXPOSED.map(str::to_owned).to_vec(),
        }
    })
    .await
}

#[tokio::test]
async fn the_arguments_say_which_function_is_meant() {
    let server = server(false).await;
    let client = server.client(1, 1);
    for (path, answer) in [
        ("/rpc/add?a=1", json!(2)),
        ("/rpc/add?a=1&b=5", json!(6)),
        ("/rpc/total?numbers=1&numbers=2", json!(3)),
        ("/rpc/pair", json!({"one": 1, "two": "two"})),
        ("/rpc/pair?select=two", json!({"two": "two"})),
        ("/rpc/numbers?n=3", json!([1, 2, 3])),
    ] {
        assert_eq!(client.get(path).expect(200).await.json(), answer, "{path}");
    }
    let posted = client.post("/rpc/add", json!({"a": 2, "b": 3}));
    assert_eq!(posted.expect(200).await.json(), json!(5));
    let whole = client.post("/rpc/echo", json!({"any": [1, "thing"]}));
    assert_eq!(whole.expect(200).await.json(), json!({"any": [1, "thing"]}));
    let total = client.post("/rpc/total", json!({"numbers": [4, 5]}));
    assert_eq!(total.expect(200).await.json(), json!(9));
    let void = client.post("/rpc/nothing", json!({})).expect(204).await;
    assert!(void.body.is_empty());
    for (path, status, code) in [
        ("/rpc/add?c=1", 404, "PGRST202"),
        ("/rpc/ad?a=1", 404, "PGRST202"),
        ("/rpc/same?a=1", 300, "PGRST203"),
        ("/rpc/nothing", 405, "PGRST117"),
        ("/rpc/secret", 403, "42501"),
    ] {
        let problem = client.get(path).expect(status).await.problem();
        assert_eq!(problem["code"], code, "{path}");
    }
    let near = client.get("/rpc/ad?a=1").expect(404).await.problem();
    assert_eq!(
        near["hint"],
        "Perhaps you meant to call the function public.add"
    );
    server.finish().await;
}

#[tokio::test]
async fn rows_of_a_resource_stay_fenced() {
    let server = server(false).await;
    for organization in [1, 2] {
        let client = server.client(organization, 1);
        let rows = client.get("/rpc/all_tickets").expect(200).await.json();
        let rows = rows.as_array().unwrap().clone();
        assert_eq!(rows.len(), 30);
        assert!(
            rows.iter()
                .all(|row| row["organization_id"] == organization)
        );
        let few = client.get("/rpc/all_tickets?select=id&order=id.desc&limit=2&id=lt.50");
        assert_eq!(few.expect(200).await.json().as_array().unwrap().len(), 2);
    }
    let renamed = server
        .client(1, 1)
        .post("/rpc/rename", json!({"ticket": 1, "name": "renamed"}));
    assert_eq!(renamed.expect(200).await.json()[0]["subject"], "renamed");
    server.finish().await;
}

#[tokio::test]
async fn values_never_become_statements() {
    let server = server(false).await;
    let client = server.client(1, 1);
    for evil in ["1);drop table tickets;--", "1' or '1'='1", "$1", "\\"] {
        let posted = client
            .post("/rpc/add", json!({ "a": evil }))
            .expect(400)
            .await;
        posted.problem();
        let named = client
            .post("/rpc/add", json!({ evil: 1 }))
            .expect(404)
            .await;
        named.problem();
        let echoed = client.post("/rpc/echo", json!([evil])).expect(200).await;
        assert_eq!(echoed.json(), json!([evil]));
    }
    let named = client.get("/rpc/add%22%28%29%3Bdrop%20table%20tickets");
    named.expect(404).await.problem();
    let count = server.database.psql("select count(*) from tickets").await;
    assert_eq!(count, "60");
    server.finish().await;
}

#[tokio::test]
async fn nothing_is_exposed_unasked_where_there_are_organizations() {
    let database = Database::with(&format!("{TABLES};{FUNCTIONS}")).await;
    let server = TestServer::start(database, |_| ()).await;
    let client = server.client(1, 1);
    client.get("/rpc/add?a=1").expect(404).await.problem();
    client
        .post("/rpc/all_tickets", json!({}))
        .expect(404)
        .await
        .problem();
    server.finish().await;
}

#[tokio::test]
async fn one_organization_has_all_functions() {
    let server = server(true).await;
    let client = server.client(1, 1);
    assert_eq!(client.get("/rpc/add?a=1").expect(200).await.json(), 2);
    // What may write is called where nothing can be written, and fails if it tries.
    let refused = client.get("/rpc/rename?ticket=1&name=x").expect(405).await;
    assert_eq!(refused.problem()["code"], "25006");
    let renamed = client.post(
        "/rpc/rename?select=subject",
        json!({"ticket": 1, "name": "x"}),
    );
    assert_eq!(renamed.expect(200).await.json(), json!([{"subject": "x"}]));
    let two = client
        .post("/rpc/rename", json!({"ticket": -1, "name": "x"}))
        .header("accept", "application/vnd.pgrst.object+json");
    assert_eq!(two.expect(406).await.problem()["code"], "PGRST116");
    server.finish().await;
}

#[tokio::test]
async fn what_cannot_write_is_streamed_and_what_may_is_answered() {
    let server = server(false).await;
    let client = server.client(1, 1);
    let mut channel = client.channel(Transport::Ndjson, "tab").await;
    channel.expect("open").await;
    let ask = |id: &str, path: &str| {
        let call = client.get(path).header("request-id", id);
        call.header("channel-id", "tab")
    };
    ask("r1", "/rpc/numbers?n=3").expect(202).await;
    let (events, done) = channel.until("done").await;
    let rows: Vec<_> = events.iter().map(|it| it["row"].clone()).collect();
    assert_eq!(rows, [1, 2, 3]);
    assert_eq!(done["rows"], 3);
    // Rows of a resource: the caller's own, and never those of a store.
    let counted = ask("r2", "/rpc/all_tickets?select=id,organization_id&limit=5");
    counted.header("prefer", "count=exact").expect(202).await;
    let (events, done) = channel.until("done").await;
    assert_eq!((events.len(), &done["count"]), (5, &json!(30)));
    assert!(
        events
            .iter()
            .all(|it| it["partial"] == true && it["row"]["organization_id"] == 1)
    );
    let posted = client.post("/rpc/numbers", json!({"n": 2}));
    let posted = posted.header("request-id", "r3");
    posted.header("channel-id", "tab").expect(202).await;
    let (events, _) = channel.until("done").await;
    assert_eq!(events.len(), 2);
    // One that may write is answered at once, and its request's name with it.
    let renamed = client.post("/rpc/rename", json!({"ticket": 2, "name": "by a call"}));
    let renamed = renamed.header("request-id", "r4").expect(200).await;
    assert_eq!(renamed.json()[0]["subject"], "by a call");
    assert_eq!(renamed.header("request-id"), "r4");
    // What fails on the way ends the request.
    ask("r5", "/rpc/numbers?n=x").expect(400).await.problem();
    channel.leave().await;
    server.finish().await;
}
