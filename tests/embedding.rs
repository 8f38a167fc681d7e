//! Embedded rows: what a row shows of those related to it, and that it never shows another
//! organization's.

use crate::support::{Client, Database, TestServer, Transport};
use serde_json::{Value, json};

/// Owners and pets of two organizations, which refer to each other across the fence as only a program
/// past the server can make them; visits that only their vet may read; a price that nobody may.
const SCHEMA: &str = r#"
    create table owners (
        id int primary key, organization_id bigint not null, name text not null, boss_id int references owners
    );
    create table pets (
        id int primary key, organization_id bigint not null, owner_id int references owners,
        vet_id int references owners, name text not null, price int
    );
    create table tags (id int primary key, organization_id bigint not null, name text not null);
    create table pet_tags (
        organization_id bigint not null, pet_id int references pets, tag_id int references tags,
        primary key (pet_id, tag_id)
    );
    create table visits (
        id int primary key, organization_id bigint not null, pet_id int references pets, vet text not null
    );
    create table chips (pet_id int primary key references pets, organization_id bigint not null, code text);
    create view named_pets with (security_invoker) as select id, organization_id, owner_id, name from pets;
    insert into owners values (1, 1, 'Ann', null), (2, 1, 'Bob', 1), (3, 2, 'Eve', 1), (4, 1, 'Cat', null);
    insert into pets values
        (10, 1, 1, 2, 'Rex', 5), (11, 1, 2, null, 'Tom', 6), (20, 2, 3, null, 'Ufo', 7),
        (21, 2, 1, null, 'spy of Ann', 8), (22, 1, 3, null, 'Lost', 9), (23, 2, 4, null, 'spy of Cat', 10);
    insert into tags values (1, 1, 'old'), (2, 1, 'new'), (3, 2, 'theirs');
    insert into pet_tags values (1, 10, 1), (1, 10, 2), (2, 10, 3), (2, 11, 1), (2, 20, 3);
    insert into visits values (1, 1, 10, '7'), (2, 1, 10, '8'), (3, 2, 10, '7');
    insert into chips values (10, 1, 'c10'), (11, 2, 'theirs');
    alter table visits enable row level security;
    create policy vets on visits using (
        vet = current_setting('request.jwt.claims', true)::json ->> 'sub'
    );
    do $$ begin
        if not exists (select from pg_roles where rolname = 'embedding_agent') then
            create role embedding_agent;
        end if;
    end $$;
    grant select on owners, tags, pet_tags, visits, chips, named_pets to embedding_agent;
    grant select (id, organization_id, owner_id, name) on pets to embedding_agent;
"#;

async fn server() -> TestServer {
    TestServer::start(Database::with(SCHEMA).await, |config| {
        config.database.default_role = Some("embedding_agent".to_owned());
    })
    .await
}

async fn rows(client: &Client, path: &str) -> Value {
    client.get(path).expect(200).await.json()
}

#[tokio::test]
async fn related_rows_are_the_callers_own_only() {
    let server = server().await;
    let client = server.client(1, 7);
    let pets = "/owners?select=id,pets!pets_owner_id_fkey(id)&order=id";
    let of = |id: i64, pets: &[i64]| {
        let pets: Vec<Value> = pets.iter().map(|it| json!({"id": it})).collect();
        json!({"id": id, "pets": pets})
    };
    assert_eq!(
        rows(&client, pets).await,
        json!([of(1, &[10]), of(2, &[11]), of(4, &[])])
    );
    assert_eq!(
        rows(&server.client(2, 7), pets).await,
        json!([of(3, &[20])])
    );
    // Towards one: the owner of another organization is none.
    assert_eq!(
        rows(
            &client,
            "/pets?select=id,owners!pets_owner_id_fkey(name)&order=id"
        )
        .await,
        json!([
            {"id": 10, "owners": {"name": "Ann"}}, {"id": 11, "owners": {"name": "Bob"}},
            {"id": 22, "owners": null},
        ])
    );
    // Through a table whose rows have organizations of their own.
    assert_eq!(
        rows(
            &client,
            "/pets?select=id,tags(name)&tags.order=name&order=id&id=in.(10,11)"
        )
        .await,
        json!([{"id": 10, "tags": [{"name": "new"}, {"name": "old"}]}, {"id": 11, "tags": []}])
    );
    // One to one, spread, a view, a tree, and what counts.
    assert_eq!(
        rows(&client, "/pets?select=id,...chips(code)&order=id").await,
        json!([{"id": 10, "code": "c10"}, {"id": 11, "code": null}, {"id": 22, "code": null}])
    );
    assert_eq!(
        rows(
            &client,
            "/owners?select=id,named_pets(id)&id=in.(1,4)&order=id"
        )
        .await,
        json!([{"id": 1, "named_pets": [{"id": 10}]}, {"id": 4, "named_pets": []}])
    );
    assert_eq!(
        rows(
            &client,
            "/owners?select=id,owners(id),boss:boss_id(name)&order=id&limit=2"
        )
        .await,
        json!([
            {"id": 1, "owners": [{"id": 2}], "boss": null},
            {"id": 2, "owners": [], "boss": {"name": "Ann"}},
        ])
    );
    server.finish().await;
}

#[tokio::test]
async fn conditions_on_related_rows_tell_nothing_of_others() {
    let server = server().await;
    let client = server.client(1, 7);
    // Cat's only pet is another organization's, and Lost's only owner.
    for (path, expected) in [
        (
            "/owners?select=id,pets!pets_owner_id_fkey!inner(id)&order=id",
            vec![1, 2],
        ),
        (
            "/owners?select=id,pets!pets_owner_id_fkey()&pets=not.is.null&order=id",
            vec![1, 2],
        ),
        (
            "/owners?select=id,pets!pets_owner_id_fkey()&pets=is.null&order=id",
            vec![4],
        ),
        (
            "/pets?select=id,owners!pets_owner_id_fkey!inner()&order=id",
            vec![10, 11],
        ),
        (
            "/pets?select=id,owners!pets_owner_id_fkey()&owners=is.null",
            vec![22],
        ),
        ("/pets?select=id,tags!inner()&order=id", vec![10]),
        ("/pets?select=id,tags!inner()&tags.name=eq.theirs", vec![]),
        ("/pets?select=id,visits!inner()", vec![10]),
        (
            "/owners?select=id,pets!pets_owner_id_fkey!inner(chips!inner())",
            vec![1],
        ),
        (
            "/owners?select=id,pets!pets_owner_id_fkey()&pets=is.null&pets.id=gt.10&order=id",
            vec![1, 4],
        ),
        (
            "/owners?select=id,pets!pets_owner_id_fkey!inner()&pets.limit=0",
            vec![],
        ),
        (
            "/owners?select=id,pets!pets_owner_id_fkey()&or=(pets.is.null,name.eq.Bob)&order=id",
            vec![2, 4],
        ),
        (
            "/pets?select=id,owners!pets_owner_id_fkey()&order=owners(name).desc.nullslast,id",
            vec![11, 10, 22],
        ),
    ] {
        let found = rows(&client, path).await;
        let found: Vec<i64> = found
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["id"].as_i64().unwrap())
            .collect();
        assert_eq!(found, expected, "{path}");
    }
    // A comparison that fails on a value meets only the caller's own: all that begins with `spy` is not.
    let failing = "pets.name=like.spy*%5C";
    let path = format!("/owners?select=id,pets!pets_owner_id_fkey(id)&{failing}&order=id");
    assert_eq!(rows(&client, &path).await[0]["pets"], json!([]));
    let path = format!("/owners?select=id,pets!pets_owner_id_fkey!inner(id)&{failing}");
    assert_eq!(rows(&client, &path).await, json!([]));
    server.client(2, 7).get(&path).expect(400).await;
    server.finish().await;
}

#[tokio::test]
async fn row_level_security_and_column_grants_hold_inside() {
    let server = server().await;
    let seven = rows(&server.client(1, 7), "/pets?id=eq.10&select=visits(id)").await;
    assert_eq!(seven, json!([{"visits": [{"id": 1}]}]));
    let eight = rows(&server.client(1, 8), "/pets?id=eq.10&select=visits(id)").await;
    assert_eq!(eight, json!([{"visits": [{"id": 2}]}]));
    let nobody = rows(&server.client(1, 9), "/pets?select=id,visits!inner(id)").await;
    assert_eq!(nobody, json!([]));
    let client = server.client(1, 7);
    // All that may be read of a pet is its own columns but the price and the vet.
    let whole = rows(&client, "/owners?id=eq.2&select=pets!pets_owner_id_fkey(*)").await;
    assert_eq!(
        whole,
        json!([{"pets": [{"id": 11, "organization_id": 1, "owner_id": 2, "name": "Tom"}]}])
    );
    for path in [
        "/owners?select=pets!pets_owner_id_fkey(price)",
        "/owners?select=id,pets!pets_owner_id_fkey()&pets.price=eq.8",
        "/owners?select=id,pets!pets_vet_id_fkey(id)",
        "/owners?include=pets!pets_vet_id_fkey",
    ] {
        client.get(path).expect(403).await;
    }
    server.finish().await;
}

#[tokio::test]
async fn embedded_rows_are_streamed_as_partial_ones() {
    let server = server().await;
    let client = server.client(1, 7);
    let mut channel = client.channel(Transport::Ndjson, "tab").await;
    channel.expect("open").await;
    let path = "/pets?select=id,tags(name),owner:owners!pets_owner_id_fkey(name)&order=id&limit=2&tags.order=id";
    let call = client.get(path).header("request-id", "r1");
    call.header("channel-id", "tab").expect(202).await;
    let (events, done) = channel.until("done").await;
    let plain = rows(&client, path).await;
    let streamed: Vec<&Value> = events.iter().map(|it| &it["row"]).collect();
    assert_eq!(
        streamed,
        plain.as_array().unwrap().iter().collect::<Vec<_>>()
    );
    assert!(
        events
            .iter()
            .all(|it| it["partial"] == true && it["resource"] == "pets")
    );
    assert_eq!(done["rows"], 2);
    channel.leave().await;
    server.finish().await;
}

#[tokio::test]
async fn the_whole_text_is_postgresqls() {
    let server = server().await;
    let answer = server
        .client(1, 7)
        .get("/owners?id=eq.1&select=name,pets!pets_owner_id_fkey(id,chips(code))")
        .expect(200)
        .await;
    assert_eq!(
        answer.text(),
        r#"[{"name":"Ann","pets":[{"id":10,"chips":{"code":"c10"}}]}]"#
    );
    server.finish().await;
}
