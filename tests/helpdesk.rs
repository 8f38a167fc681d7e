//! The help desk is what its documentation says, and always the same.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use rowcast::{
    error::Kind,
    postgres::helpdesk::{self, Size},
};

use crate::support::Database;

#[tokio::test]
async fn size_s_is_as_documented_and_a_second_load_is_refused() {
    let database = Database::helpdesk().await;
    for (sql, expected) in [
        (
            "select string_agg(id::text, ',' order by id) from organizations",
            "1,2,3",
        ),
        (
            "select count(*) from tickets where organization_id = 1",
            "1600",
        ),
        (
            "select count(*) between 12000 and 13600 from messages where organization_id = 1",
            "t",
        ),
        (
            "select bool_and((id - 1) / 100 + 1 = organization_id) from users",
            "t",
        ),
        ("select count(distinct id) = count(*) from users", "t"),
        (
            "select string_agg(organization_id || ':' || id, ',') from mailboxes where private",
            "1:3",
        ),
        ("select count(*) from tickets where private", "40"),
        (
            "select bool_and(private = (mailbox_id = 3)) from tickets where organization_id = 1",
            "t",
        ),
        (
            "select string_agg(distinct user_id::text, ',') from ticket_members where private",
            "1,3",
        ),
        // The next user of any organization takes no id of another's hundred.
        ("select nextval('users_id_seq')", "301"),
        ("select nextval('tickets_id_seq')", "2241"),
        // Every reference stays inside its organization.
        (
            "select count(*) from tickets join contacts on contacts.id = contact_id
             join mailboxes on mailboxes.id = mailbox_id left join users on users.id = assignee_id
             where contacts.organization_id <> tickets.organization_id
                or mailboxes.organization_id <> tickets.organization_id
                or users.organization_id <> tickets.organization_id",
            "0",
        ),
        (
            "select count(*) from messages join tickets on tickets.id = ticket_id
             left join users on users.id = user_id
             where tickets.organization_id <> messages.organization_id
                or users.organization_id <> messages.organization_id
                or tickets.private <> messages.private or messages.updated_at > tickets.updated_at",
            "0",
        ),
        (
            "select count(*) from ticket_labels join labels on labels.id = label_id
             join tickets on tickets.id = ticket_id
             where labels.organization_id <> tickets.organization_id
                or ticket_labels.organization_id <> tickets.organization_id",
            "0",
        ),
    ] {
        assert_eq!(database.value(sql).await, expected, "{sql}");
    }

    let refused = helpdesk::load(&mut database.connect().await, Size::S, |_| ()).await;
    let refused = refused.expect_err("the tables exist");
    assert_eq!(refused.kind(), Kind::CommandFailed);
    assert!(refused.detail().contains("tickets"), "{refused}");
    assert_eq!(database.value("select count(*) from tickets").await, "2240");
    database.finish().await;
}

#[tokio::test]
async fn one_foreign_table_is_enough_to_refuse_and_nothing_is_left_behind() {
    let database = Database::with("create table labels (color int)").await;
    let refused = helpdesk::load(&mut database.connect().await, Size::S, |_| ()).await;
    assert!(
        refused
            .expect_err("labels exists")
            .detail()
            .contains("labels")
    );
    let tables = "select count(*) from pg_tables where schemaname in ('public', 'helpdesk')";
    assert_eq!(database.value(tables).await, "1");
    database.finish().await;
}

#[tokio::test]
async fn two_loads_give_the_same_rows() {
    let (one, two) = (Database::helpdesk().await, Database::empty().await);
    helpdesk::load(&mut two.connect().await, Size::S, |_| ())
        .await
        .expect("loads");
    for table in helpdesk::TABLES {
        let digest = format!(
            "select count(*) || md5(string_agg(md5(t::text), '' order by md5(t::text)))
             from {table} as t"
        );
        assert_eq!(
            one.value(&digest).await,
            two.value(&digest).await,
            "{table}"
        );
    }
    one.finish().await;
    two.finish().await;
}

#[tokio::test]
async fn texts_compress_as_those_of_people_do() {
    let database = Database::helpdesk().await;
    let bodies = database
        .value("select string_agg(body, e'\\n' order by id) from messages")
        .await;
    let mut gzip = Command::new("gzip")
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip runs");
    let mut input = gzip.stdin.take().expect("piped");
    let plain = bodies.len();
    let writer = std::thread::spawn(move || input.write_all(bodies.as_bytes()));
    let packed = gzip.wait_with_output().expect("gzip ends").stdout.len();
    writer.join().expect("no panic").expect("gzip reads all");
    let ratio = plain as f64 / packed as f64;
    assert!((2.5..5.0).contains(&ratio), "{plain} bytes became {packed}");
    database.finish().await;
}

/// Runs one statement as the help desk's role with these claims; what it returns first, as text.
async fn as_agent(database: &Database, claims: Option<&str>, sql: &str) -> Result<String, String> {
    let client = database.connect().await;
    let claims = claims
        .map(|it| format!("set local request.jwt.claims = '{it}';"))
        .unwrap_or_default();
    client
        .batch_execute(&format!(
            "begin; set local role {}; {claims}",
            helpdesk::ROLE
        ))
        .await
        .unwrap();
    match client.simple_query(sql).await {
        Ok(messages) => Ok(messages
            .iter()
            .find_map(|it| match it {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            })
            .unwrap_or_default()),
        Err(error) => Err(error.code().expect("PostgreSQL says why").code().to_owned()),
    }
}

const USER_1: Option<&str> = Some(r#"{"org":1,"sub":"1"}"#);
const USER_2: Option<&str> = Some(r#"{"org":1,"sub":2}"#);
/// What hangs below a ticket.
const BELOW: [&str; 6] = [
    "messages",
    "comments",
    "notes",
    "events",
    "ticket_labels",
    "ticket_members",
];

#[tokio::test]
async fn private_tickets_are_for_their_members() {
    let database = Database::helpdesk().await;
    let sees = async |claims, what: &str| as_agent(&database, claims, what).await.unwrap();

    let tickets = "select count(*) from tickets where organization_id = 1";
    assert_eq!(sees(USER_1, tickets).await, "1600");
    assert_eq!(sees(USER_2, tickets).await, "1560");
    for table in BELOW {
        let private = format!("select count(*) > 0 from {table} where private");
        assert_eq!(sees(USER_1, &private).await, "t", "{table}");
        assert_eq!(sees(USER_2, &private).await, "f", "{table}");
    }
    // Who says nothing, or nonsense, sees nothing private and gets no error.
    for claims in [
        None,
        Some(""),
        Some("{}"),
        Some("null"),
        Some(r#"{"sub":"1 or 1=1"}"#),
    ] {
        let seen = as_agent(&database, claims, tickets).await;
        assert_eq!(seen.as_deref(), Ok("1560"), "{claims:?}");
    }
    database.finish().await;
}

#[tokio::test]
async fn privacy_follows_the_ticket_and_its_members() {
    let database = Database::helpdesk().await;
    let public = "select count(*) from messages where ticket_id = 1";
    let before = as_agent(&database, USER_2, public).await.unwrap();
    assert_ne!(before, "0");

    // Only a member may make a ticket private, else it would vanish before the writer's eyes.
    let hide = "update tickets set mailbox_id = 3 where id = 1";
    assert_eq!(
        as_agent(&database, USER_2, hide).await,
        Err("42501".to_owned())
    );
    database.execute(hide).await;
    assert_eq!(as_agent(&database, USER_2, public).await.unwrap(), "0");
    for table in BELOW {
        let left = format!("select count(*) from {table} where ticket_id = 1 and not private");
        assert_eq!(database.value(&left).await, "0", "{table}");
    }
    // What is written below it from now on is private, whatever the writer claims.
    database
        .execute("insert into messages (organization_id, ticket_id, body) values (1, 1, 'x')")
        .await;
    let added = "select private from messages order by id desc limit 1";
    assert_eq!(database.value(added).await, "t");

    database
        .execute(
            "insert into ticket_members (organization_id, ticket_id, user_id) values (1, 1, 2)",
        )
        .await;
    assert_ne!(as_agent(&database, USER_2, public).await.unwrap(), "0");
    database
        .execute("update mailboxes set private = false where id = 3")
        .await;
    assert_eq!(
        database
            .value("select count(*) from tickets where private")
            .await,
        "0"
    );
    assert_eq!(
        database
            .value("select count(*) from messages where private")
            .await,
        "0"
    );
    database.finish().await;
}

#[tokio::test]
async fn constraints_hold_and_updated_at_is_kept() {
    let database = Database::helpdesk().await;
    for (sql, state) in [
        (
            "insert into contacts (organization_id, email)
             select organization_id, email from contacts where id = 1",
            "23505",
        ),
        ("update tickets set status = 'lost' where id = 1", "23514"),
        ("update tickets set contact_id = 0 where id = 1", "23503"),
        ("update tickets set subject = null where id = 1", "23502"),
        ("insert into organizations (name) values ('x')", "42501"),
        ("select helpdesk.tickets_of_caller()", "42501"),
    ] {
        assert_eq!(
            as_agent(&database, USER_1, sql).await,
            Err(state.to_owned()),
            "{sql}"
        );
    }
    // The same address in another organization is another contact.
    database
        .execute(
            "insert into contacts (organization_id, email)
             select 2, email from contacts where id = 1;
             update tickets set subject = 'x', updated_at = '2000-01-01' where id = 1",
        )
        .await;
    let touched = "select updated_at > now() - interval '1 hour' from tickets where id = 1";
    assert_eq!(database.value(touched).await, "t");
    database.finish().await;
}
