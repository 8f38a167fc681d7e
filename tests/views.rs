//! Views that triggers make writable: written like tables, by their own organization only.

use crate::support::{Database, TestServer};
use rowcast::config::{TenancyMode, WriteAnswer};
use serde_json::json;

const SCHEMA: &str = "
    create table staff (
        id int primary key, organization_id bigint not null, first text not null, last text not null
    );
    create view people as
        select id, organization_id, first || ' ' || last as name from staff;
    create function write_people() returns trigger language plpgsql as $$
    begin
        if tg_op = 'DELETE' then
            delete from staff where id = old.id;
            return old;
        elsif tg_op = 'UPDATE' then
            update staff
            set first = split_part(new.name, ' ', 1), last = split_part(new.name, ' ', 2)
            where id = old.id;
            return new;
        end if;
        insert into staff values (
            new.id, new.organization_id, split_part(new.name, ' ', 1), split_part(new.name, ' ', 2)
        );
        return new;
    end $$;
    create trigger write_people instead of insert or update or delete on people
        for each row execute function write_people();
    insert into staff values (1, 1, 'Ann', 'Ash'), (2, 2, 'Eve', 'Elm');
    do $$ begin create role view_writer;
        exception when duplicate_object or unique_violation then null; end $$;
    grant select, insert, update, delete on staff, people to view_writer";

#[tokio::test]
async fn a_view_with_triggers_is_written_like_a_table() {
    let server = TestServer::start(Database::with(SCHEMA).await, |config| {
        config.database.default_role = Some("view_writer".to_owned());
    })
    .await;
    let (ours, theirs) = (server.client(1, 1), server.client(2, 1));
    let created = ours.post("/people", json!({"id": 3, "name": "Bob Box"}));
    let created = created.expect(201).await;
    assert_eq!(created.header("location"), "/people/3");
    assert_eq!(
        created.json(),
        json!({"id": 3, "organization_id": 1, "name": "Bob Box"})
    );
    let renamed = ours.patch("/people/3", json!({"name": "Rob Box"}));
    assert_eq!(renamed.expect(200).await.json()["name"], "Rob Box");
    for (id, status) in [(3, 404), (2, 200)] {
        let tried = theirs.patch(&format!("/people/{id}"), json!({"name": "Mal Low"}));
        tried.expect(status).await;
    }
    theirs.delete("/people/1").expect(404).await;
    let all = theirs.delete("/people?id=gt.0");
    assert_eq!(all.expect(200).await.json().as_array().unwrap().len(), 1);
    let left = ours.get("/people?select=name&order=id").expect(200).await;
    assert_eq!(
        left.json(),
        json!([{"name": "Ann Ash"}, {"name": "Rob Box"}])
    );
    server.finish().await;
}

#[tokio::test]
async fn it_answers_as_postgrest_does() {
    let server = TestServer::start(Database::with(SCHEMA).await, |config| {
        config.tenancy.tenancy = TenancyMode::Single;
        config.api.write_answer = WriteAnswer::Minimal;
        config.database.default_role = Some("view_writer".to_owned());
    })
    .await;
    let client = server.client(1, 1);
    let created = client
        .post(
            "/people",
            json!({"id": 4, "organization_id": 1, "name": "Cat Cup"}),
        )
        .header("prefer", "return=headers-only");
    let created = created.expect(201).await;
    assert_eq!(created.header("location"), "/people?id=eq.4");
    let patched = client.patch("/people?id=eq.4", json!({"name": "Kat Cup"}));
    patched.expect(204).await;
    let deleted = client.delete("/people?id=eq.4&select=name");
    let deleted = deleted
        .header("prefer", "return=representation")
        .expect(200);
    assert_eq!(deleted.await.json(), json!([{"name": "Kat Cup"}]));
    server.finish().await;
}
