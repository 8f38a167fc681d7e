//! `rowcast types`: TypeScript for the help desk, which is what the page in client/demo is written with.

use super::Program;
use crate::support::Database;
use std::{fs, path::Path};

/// Written anew by `UPDATE_TYPES=1 cargo test --test all cli::types`.
const FILE: &str = "client/demo/schema.ts";

#[tokio::test]
async fn the_types_of_the_help_desk_are_those_that_the_page_is_written_with() {
    let database = Database::helpdesk().await;
    let folder = tempfile::tempdir().unwrap();
    let ended = Program::new(&["types", "--lang", "ts", "--database-url", &database.url])
        .variable("ROWCAST_DATABASE_DEFAULT_ROLE", "helpdesk_agent")
        .folder(folder.path())
        .run();
    assert_eq!(ended.code(), Some(0), "{}", ended.err());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    if std::env::var_os("UPDATE_TYPES").is_some() {
        fs::write(&file, ended.out()).unwrap();
    }
    assert_eq!(ended.out(), fs::read_to_string(file).unwrap());
    let out = ended.out();
    for line in [
        "  ticket_labels: [\"ticket_id\", \"label_id\"],",
        "      assignee_id: number | null;",
        "      organization_id?: number;",
        "      payments: unknown;",
    ] {
        assert!(out.lines().any(|it| it == line), "{line} is not in: {out}");
    }
    assert!(!out.contains("organizations"), "it is not exposed: {out}");
    database.finish().await;
}
