//! `rowcast check` on a database that is as it should be, and on one that is not.

use super::{Ended, Program};
use crate::support::Database;

fn check(database: &Database, role: &str, folder: &std::path::Path) -> Ended {
    Program::new(&["check", "--database-url", &database.url])
        .variable("ROWCAST_DATABASE_DEFAULT_ROLE", role)
        .folder(folder)
        .run()
}

/// The cells of the table's line about a resource.
#[track_caller]
fn row(ended: &Ended, resource: &str) -> Vec<String> {
    let out = ended.out();
    let rows = out
        .lines()
        .map(|line| line.split(['│', '┆', '|']).map(str::trim));
    let found = rows
        .map(Iterator::collect::<Vec<_>>)
        .find(|cells| cells.get(1) == Some(&resource));
    let found = found.unwrap_or_else(|| panic!("no {resource} in:\n{out}"));
    found[1..].iter().map(|cell| (*cell).to_owned()).collect()
}

#[tokio::test]
async fn the_help_desk_is_as_it_should_be() {
    let database = Database::helpdesk().await;
    let folder = tempfile::tempdir().unwrap();
    let ended = check(&database, "helpdesk_agent", folder.path());
    assert_eq!(ended.code(), Some(0), "{}{}", ended.out(), ended.err());
    assert_eq!(ended.err(), "");
    let tickets = row(&ended, "tickets");
    assert_eq!(tickets[1..3], ["id", "organization_id"]);
    assert_eq!(tickets[4..6], ["yes", "yes"], "row-level security, live");
    assert!(
        ended.out().contains("contact_id → contacts"),
        "{}",
        ended.out()
    );
    assert_eq!(row(&ended, "ticket_labels")[1], "ticket_id, label_id");
    assert_eq!(row(&ended, "contacts")[4], "no");
    let hidden = ended.out();
    assert!(hidden.contains("\n  public.organizations: "), "{hidden}");
    assert!(
        hidden.contains("run as helpdesk_agent; nothing is wrong"),
        "{hidden}"
    );

    // The same as a superuser: row-level security would not bind.
    let ended = check(&database, "postgres", folder.path());
    ended.says(1, "");
    assert!(
        ended
            .out()
            .contains("wrong: tickets has row-level security"),
        "{}",
        ended.out()
    );
    let ended = check(&database, "nobody_of_that_name", folder.path());
    ended.says(1, "");
    assert!(
        ended.out().contains("nobody_of_that_name cannot be used"),
        "{}",
        ended.out()
    );
    database.finish().await;
}

#[tokio::test]
async fn what_is_wrong_is_said_and_ends_with_1() {
    let database = Database::with(
        "create table parents (id int primary key, organization_id int not null, note text);
         create table secrets (id int primary key);
         create table children (id int primary key, parent_id int not null references parents,
                                secret_id int references secrets);
         create table colours (name text primary key);
         create table logs (organization_id int not null, line text);
         create table channels (id int primary key, organization_id int not null);
         create view open_parents as select * from parents;
         do $$ begin create role check_agent nologin;
               exception when duplicate_object or unique_violation then null; end $$;
         grant select on all tables in schema public to check_agent;
         grant insert, delete, update (note) on parents to check_agent;",
    )
    .await;
    let folder = tempfile::tempdir().unwrap();
    let settings = "[resources.children]\norganization = \"via:parent_id\"\n\
                    [resources.colours]\norganization = \"shared\"\n\
                    [resources.typo]\nannounce = \"keys\"\n";
    std::fs::write(folder.path().join("rowcast.toml"), settings).unwrap();
    let ended = check(&database, "check_agent", folder.path());
    assert_eq!(ended.code(), Some(1), "{}{}", ended.out(), ended.err());
    assert_eq!(row(&ended, "children")[2], "via parent_id → parents");
    assert_eq!(row(&ended, "colours")[2], "shared, read-only");
    assert_eq!(row(&ended, "logs")[1], "none: read-only");
    assert!(row(&ended, "open_parents (view)")[5].starts_with("no: "));
    assert_eq!(
        row(&ended, "parents")[6],
        "read, insert, update (1 of 3 columns), delete"
    );
    let out = ended.out();
    assert!(out.contains("\n  public.secrets: "), "{out}");
    for (how, name) in [
        ("note: ", "channels"),
        (
            "note: ",
            "children refers to public.secrets, which is not exposed",
        ),
        ("wrong: ", "typo"),
    ] {
        let mut lines = out.lines();
        let told = lines.any(|it| it.starts_with(how) && it.contains(name));
        assert!(told, "{how}{name}: {out}");
    }
    assert!(out.contains("1 thing is wrong"), "{out}");

    // What is merely worth knowing is printed, and wrong with nothing.
    std::fs::write(
        folder.path().join("rowcast.toml"),
        settings.split("[resources.typo]").next().unwrap(),
    )
    .unwrap();
    let ended = check(&database, "check_agent", folder.path());
    assert_eq!(ended.code(), Some(0), "{}{}", ended.out(), ended.err());
    assert!(ended.out().contains("note: channels"), "{}", ended.out());
    assert!(ended.out().contains("nothing is wrong"), "{}", ended.out());
    database.finish().await;
}

#[tokio::test]
async fn a_database_without_a_resource_is_wrong() {
    let database = Database::empty().await;
    let folder = tempfile::tempdir().unwrap();
    let ended = check(&database, "postgres", folder.path());
    ended.says(1, "");
    assert!(
        ended.out().contains("wrong: nothing is exposed"),
        "{}",
        ended.out()
    );
    database.finish().await;
}

#[tokio::test]
async fn the_master_keys_in_use_are_told() {
    use crate::support::TestServer;
    const OLD: &str = "b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2w=";
    const NEW: &str = "bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmU=";
    let server = TestServer::helpdesk_with(|config| {
        config.keys.master_keys = vec![OLD.into()];
        config.resources.entry("contacts".into()).or_default().key = true;
    })
    .await;
    server.client(1, 1).get("/contacts/1/key").expect(200).await;
    let folder = tempfile::tempdir().unwrap();
    let check = |masters: &[&str]| {
        let settings =
            format!("[keys]\nmaster_keys = {masters:?}\n[resources.contacts]\nkey = true\n");
        std::fs::write(folder.path().join("rowcast.toml"), settings).unwrap();
        check(&server.database, "helpdesk_agent", folder.path())
    };
    let told = check(&[OLD]);
    assert_eq!(told.code(), Some(0), "{}{}", told.out(), told.err());
    assert!(
        told.out()
            .contains("keys of rows: 1 under the first master key, 0 under others"),
        "{}",
        told.out()
    );
    let told = check(&[NEW, OLD]);
    assert_eq!(told.code(), Some(0), "{}{}", told.out(), told.err());
    assert!(
        told.out().contains("note: the first master key is not"),
        "{}",
        told.out()
    );
    let told = check(&[NEW]);
    assert_eq!(told.code(), Some(1), "{}{}", told.out(), told.err());
    assert!(
        told.out()
            .contains("wrong: keys of rows under a master key"),
        "{}",
        told.out()
    );
    // Rows with keys and nothing to store them under, or what is no key.
    for (masters, fault) in [
        (vec![], "keys.master_keys"),
        (vec!["short"], "32 bytes in base64"),
    ] {
        let told = check(&masters);
        assert_eq!(told.code(), Some(2), "{}{}", told.out(), told.err());
        assert!(told.err().contains(fault), "{}", told.err());
        assert!(!told.err().contains("short\""), "{}", told.err());
    }
    server.finish().await;
}
