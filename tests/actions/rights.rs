//! Whose an action is, and who learns of it: nobody but the user who did it, with the rights of now.

use super::*;
use serde_json::json;

/// A role of the application's that may do everything to its tables, and see what is not hidden.
const ROLE: &str = "
    do $$ begin
        if to_regrole('actions_agent') is null then create role actions_agent; end if;
    end $$;
    grant select, insert, update, delete on all tables in schema public to actions_agent;
    grant usage on all sequences in schema public to actions_agent;
    alter table tickets enable row level security;
    create policy mine on tickets to actions_agent using (note is distinct from 'hidden')";

async fn with_role() -> TestServer {
    let database = Database::with(&format!("{TABLES}; {ROLE}")).await;
    TestServer::start(database, |config| {
        config.database.default_role = Some("actions_agent".into());
    })
    .await
}

#[tokio::test]
async fn another_user_or_organization_has_actions_of_its_own() {
    let server = server().await;
    let create = |organization, user| {
        server
            .client(organization, user)
            .post("/tickets", json!({ "subject": format!("by {user}") }))
            .header("action-id", "a1")
    };
    // Of the same name and the same fingerprint; neither learns of the other.
    let first = create(1, 7).expect(201).await;
    let second = create(2, 7).expect(201).await;
    assert_eq!(second.header("idempotency-replayed"), "");
    assert_eq!(second.json()["organization_id"], 2);
    assert_ne!(first.json()["id"], second.json()["id"]);
    create(1, 8).expect(201).await;
    repeats(&create(1, 7).expect(201).await, &first);
    repeats(&create(2, 7).expect(201).await, &second);
    // Of the same name, but another request: not a word of the first.
    let other = server.client(2, 9);
    let patch = other.patch("/tickets/201", json!({ "note": "x" }));
    patch.header("action-id", "a1").expect(200).await;
    // The parts of the name do not run into each other.
    for (organization, user) in [(1, 12), (11, 2)] {
        let client = server.client(organization, user);
        let create = client.post("/tickets", json!({ "subject": "run" }));
        let created = create.header("action-id", "a1").expect(201).await;
        assert_eq!(created.header("idempotency-replayed"), "");
    }
    server.finish().await;
}

#[tokio::test]
async fn a_repeat_shows_what_the_caller_may_see_by_then() {
    let server = with_role().await;
    let client = server.client(1, 1);
    let update = |path: &str, action: &str| {
        client
            .patch(path, json!({ "subject": action }))
            .header("action-id", action)
    };
    update("/tickets/101", "one").expect(200).await;
    update("/tickets?id=eq.102", "many").expect(200).await;
    server
        .database
        .execute("update tickets set note = 'hidden' where id in (101, 102)")
        .await;
    assert!(
        update("/tickets/101", "one")
            .expect(204)
            .await
            .body
            .is_empty()
    );
    assert_eq!(
        update("/tickets?id=eq.102", "many")
            .expect(200)
            .await
            .json(),
        json!([])
    );
    // To another organization: as if it were gone.
    server
        .database
        .execute("update tickets set note = null, organization_id = 2 where id in (101, 102)")
        .await;
    assert!(
        update("/tickets/101", "one")
            .expect(204)
            .await
            .body
            .is_empty()
    );
    assert_eq!(
        update("/tickets?id=eq.102", "many")
            .expect(200)
            .await
            .json(),
        json!([])
    );
    server.finish().await;
}

#[tokio::test]
async fn roles_of_the_application_cannot_reach_the_record() {
    let server = with_role().await;
    let client = server.client(1, 1);
    let create = client.post("/tickets", json!({ "subject": "secret" }));
    create.header("action-id", "a1").expect(201).await;
    for statement in [
        "select * from rowcast.actions",
        "select written from rowcast.actions where organization = '1'",
        "insert into rowcast.actions (key, organization, user_id, action_id, fingerprint, written)
         values ('\\x00000000000000000000000000000000', '1', '1', 'forged', '\\x00', '[]')",
        "update rowcast.actions set user_id = '2'",
        "delete from rowcast.actions",
        "truncate rowcast.actions",
    ] {
        let psql = server.database.connect().await;
        psql.batch_execute("set role actions_agent").await.unwrap();
        let error = psql.batch_execute(statement).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "42501", "{statement}");
    }
    let callable = "select count(*) from pg_proc p where pronamespace = 'rowcast'::regnamespace
        and has_function_privilege('actions_agent', p.oid, 'execute')";
    assert_eq!(server.database.value(callable).await, "0");
    // What is kept names no value but the keys.
    let kept = "select json_agg(a)::text from (select written, fingerprint from rowcast.actions) a";
    let kept = server.database.value(kept).await;
    assert!(
        kept.contains("\"keys\":[{\"id\":") && !kept.contains("secret"),
        "{kept}"
    );
    server.finish().await;
}

#[tokio::test]
async fn triggers_that_wait_for_the_commit_run_as_the_caller() {
    let database = Database::with(&format!(
        "{TABLES}; {ROLE};
         create table seen (who text);
         grant insert, select on seen to actions_agent;
         create function see() returns trigger language plpgsql as $$
         begin insert into seen values (current_user || ' ' || (current_setting('request.jwt.claims')::json ->> 'sub')); return null; end $$;
         create constraint trigger see after update on tickets deferrable initially deferred
         for each row execute function see()"
    ))
    .await;
    let server = TestServer::start(database, |config| {
        config.database.default_role = Some("actions_agent".into());
    })
    .await;
    let patch = || {
        server
            .client(1, 7)
            .patch("/tickets/101", json!({ "note": "x" }))
    };
    patch().expect(200).await;
    patch().header("action-id", "a1").expect(200).await;
    patch().header("action-id", "a1").expect(200).await;
    let seen = "select string_agg(who, ', ') from seen";
    assert_eq!(
        server.database.value(seen).await,
        "actions_agent 7, actions_agent 7"
    );
    // The connection is as it was.
    let reads = server.client(2, 1).get("/tickets").expect(200).await.json();
    assert_eq!(reads.as_array().unwrap().len(), 5);
    server.finish().await;
}
