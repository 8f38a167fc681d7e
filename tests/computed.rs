//! Columns and relations that functions compute of rows, and aggregates beside them: a second
//! organization sees nothing through any of them, whatever the functions do.

use crate::support::{Client, Database, TestServer, Transport};
use serde_json::{Value, json};

/// Owners and pets of two organizations. The functions see everybody's rows, and one of them fails on
/// rows of the second organization, quoting them.
const SCHEMA: &str = "
    create table owners (id int primary key, organization_id bigint not null, name text not null);
    create table pets (
        id int primary key, organization_id bigint not null, owner_id int references owners,
        name text not null, price int not null
    );
    insert into owners values (1, 1, 'Ann'), (2, 1, 'Bob'), (3, 2, 'Eve');
    insert into pets values
        (10, 1, 1, 'Rex', 5), (11, 1, 2, 'Tom', 6), (12, 1, 3, 'Lost', 7), (20, 2, 3, 'Ufo', 100);
    create function all_pets(owners) returns setof pets
        language sql stable as 'select * from pets';
    create function owner_of(pets) returns owners
        language sql stable as 'select * from owners where id = $1.owner_id';
    create function risky(pets) returns int language plpgsql stable as $$
    begin
        if $1.organization_id = 2 then
            raise exception 'secret %', $1.name;
        end if;
        return $1.price * 2;
    end $$;
    create function unexposed(pets) returns int language sql immutable as 'select 1';
    do $$ begin create role computing_agent;
        exception when duplicate_object or unique_violation then null; end $$;
    grant select on owners, pets to computing_agent;
    analyze";

async fn server() -> TestServer {
    TestServer::start(Database::with(SCHEMA).await, |config| {
        config.database.default_role = Some("computing_agent".to_owned());
        config.api.functions = ["all_pets", "owner_of", "risky"]
            .map(str::to_owned)
            .to_vec();
        config.api.aggregates_enabled = true;
    })
    .await
}

async fn rows(client: &Client, path: &str) -> Value {
    client.get(path).expect(200).await.json()
}

#[tokio::test]
async fn computed_relations_lead_to_the_callers_own_rows_only() {
    let server = server().await;
    let client = server.client(1, 1);
    for (path, expected) in [
        (
            "/owners?select=id,all_pets(id)&all_pets.order=id&id=eq.1",
            json!([{"id": 1, "all_pets": [{"id": 10}, {"id": 11}, {"id": 12}]}]),
        ),
        (
            "/owners?select=id,all_pets!inner(id)&all_pets.name=eq.Ufo",
            json!([]),
        ),
        (
            "/owners?select=id,all_pets()&all_pets.name=eq.Ufo&all_pets=is.null&order=id",
            json!([{"id": 1}, {"id": 2}]),
        ),
        (
            "/pets?select=id,owner_of(name)&order=id",
            json!([
                {"id": 10, "owner_of": {"name": "Ann"}}, {"id": 11, "owner_of": {"name": "Bob"}},
                {"id": 12, "owner_of": null},
            ]),
        ),
        (
            "/pets?select=id,...owner_of!inner(name)&owner_of.name=eq.Eve",
            json!([]),
        ),
        (
            "/owners?select=all_pets(price.sum())&id=eq.1",
            json!([{"all_pets": [{"sum": 18}]}]),
        ),
    ] {
        assert_eq!(rows(&client, path).await, expected, "{path}");
    }
    let theirs = "/owners?select=id,all_pets(id)";
    assert_eq!(
        rows(&server.client(2, 1), theirs).await,
        json!([{"id": 3, "all_pets": [{"id": 20}]}])
    );
    server.finish().await;
}

#[tokio::test]
async fn computed_columns_meet_no_row_of_others() {
    let server = server().await;
    let client = server.client(1, 1);
    for path in [
        "/pets?select=id&risky=eq.12",
        "/pets?select=id&risky=is.not_null&id=eq.11",
        "/pets?select=id&or=(risky.in.(12,200),name.eq.Ufo)",
        "/pets?select=id&risky=gt.0&order=risky.desc&limit=1&offset=1",
    ] {
        assert_eq!(rows(&client, path).await, json!([{"id": 11}]), "{path}");
    }
    // The other organization's own row fails for itself, so that the function is one that would.
    let own = server
        .client(2, 1)
        .get("/pets?risky=eq.1")
        .expect(400)
        .await;
    assert_eq!(own.problem()["code"], "P0001");
    let counted = client.get("/pets?select=id&risky=gte.0&limit=1");
    let counted = counted.header("prefer", "count=exact").expect(206).await;
    assert_eq!(counted.header("content-range"), "0-0/3");
    let unexposed = client.get("/pets?select=unexposed").expect(400).await;
    assert_eq!(unexposed.problem()["code"], "42703");
    server.finish().await;
}

#[tokio::test]
async fn aggregates_beside_related_rows_count_the_callers_own() {
    let server = server().await;
    let client = server.client(1, 1);
    for (path, expected) in [
        (
            "/pets?select=price.sum(),count()",
            json!([{"sum": 18, "count": 3}]),
        ),
        (
            "/pets?select=price.max(),...owners(name)&order=owners(name).nullslast",
            json!([
                {"max": 5, "name": "Ann"}, {"max": 6, "name": "Bob"}, {"max": 7, "name": null},
            ]),
        ),
        (
            "/pets?select=owner_id,risky.sum(),owners(name)&order=owner_id.desc&limit=1",
            json!([{"owner_id": 3, "sum": 14, "owners": null}]),
        ),
        (
            "/owners?select=...all_pets(name)&id=eq.2",
            json!([{"name": ["Rex", "Tom", "Lost"]}]),
        ),
    ] {
        assert_eq!(rows(&client, path).await, expected, "{path}");
    }
    server.finish().await;
}

#[tokio::test]
async fn they_are_streamed_as_partial_rows() {
    let server = server().await;
    let client = server.client(1, 1);
    let mut channel = client.channel(Transport::WebSocket, "tab").await;
    channel.expect("open").await;
    for (id, path, rows) in [
        (
            "r1",
            "/pets?select=id,risky,owner_of(name)&order=id&limit=1",
            json!([{"id": 10, "risky": 10, "owner_of": {"name": "Ann"}}]),
        ),
        (
            "r2",
            "/pets?select=count(),...owners(name)&order=owners(name)&owner_id=lt.3",
            json!([{"count": 1, "name": "Ann"}, {"count": 1, "name": "Bob"}]),
        ),
    ] {
        let call = client.get(path).header("request-id", id);
        call.header("channel-id", "tab").expect(202).await;
        let (events, done) = channel.until("done").await;
        let streamed: Vec<&Value> = events.iter().map(|it| &it["row"]).collect();
        assert_eq!(json!(streamed), rows, "{path}");
        assert!(events.iter().all(|it| it["partial"] == true), "{path}");
        assert_eq!(done["rows"], rows.as_array().unwrap().len(), "{path}");
    }
    // What can be known without the database is refused before.
    let refused = client.get("/pets?select=count()&order=name");
    let refused = refused.header("request-id", "r3").expect(400).await;
    assert_eq!(refused.problem()["code"], "42803");
    channel.leave().await;
    server.finish().await;
}
