//! Settings that are refused before anything starts.

use super::{Program, SECRET};

#[test]
fn a_refused_setting_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = "[limits]\nping_ms = 5000\nchanels_per_identity = 3\n\n[database]\nurl = 5\n";
    std::fs::write(folder.path().join("rowcast.toml"), file).unwrap();
    for command in ["serve", "check", "demo", "dev"] {
        let ended = Program::new(&[command]).folder(folder.path()).run();
        ended.says(
            2,
            "rowcast: rowcast.toml:3: unknown setting `limits.chanels_per_identity`",
        );
        ended.says(2, "did you mean `limits.channels_per_identity`?");
        ended.says(2, "rowcast: rowcast.toml:6: `database.url` must be text");
        assert_eq!(ended.out(), "");
    }
}

#[test]
fn a_refused_variable_is_named() {
    let ended = Program::new(&["serve"])
        .variable("ROWCAST_LISTEM", "x")
        .run();
    ended.says(2, "environment variable ROWCAST_LISTEM");
    ended.says(2, "did you mean `ROWCAST_LISTEN`?");
}

#[test]
fn what_serve_lacks_is_asked_for() {
    Program::new(&["serve"]).run().says(2, "DATABASE_URL");
    let url = ["serve", "--database-url", "postgres://localhost/x"];
    Program::new(&url).run().says(2, "ROWCAST_JWT_SECRET");
    let named = ["serve", "--config", "/nowhere/rowcast.toml"];
    Program::new(&named).run().says(2, "/nowhere/rowcast.toml");
}

#[test]
fn a_database_that_cannot_be_reached_ends_with_1_and_keeps_the_password() {
    let url = "postgres://app:hunter2@127.0.0.1:1/app";
    for command in ["serve", "check", "demo"] {
        let ended = Program::new(&[command, "--database-url", url])
            .variable("ROWCAST_JWT_SECRET", SECRET)
            .variable("ROWCAST_LISTEN", "127.0.0.1:0")
            .run();
        assert_eq!(ended.code(), Some(1), "{command}: {}", ended.err());
        let all = ended.out() + &ended.err();
        assert!(!all.contains("hunter2") && !all.contains(SECRET), "{all}");
    }
}

#[test]
fn a_url_that_cannot_be_read_is_not_quoted() {
    for command in ["serve", "check", "demo"] {
        let ended = Program::new(&[command, "--database-url", "postgres://app:hunter2@:x:y/"])
            .variable("ROWCAST_JWT_SECRET", SECRET)
            .variable("ROWCAST_LISTEN", "127.0.0.1:0")
            .run();
        assert_ne!(ended.code(), Some(0), "{command}");
        assert!(!ended.err().contains("hunter2"), "{}", ended.err());
    }
}

#[test]
fn a_port_that_is_taken_names_the_flag() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let url = ["--database-url", "postgres://127.0.0.1:1/app"];
    for (command, more) in [("serve", &url[..]), ("dev", &[])] {
        let ended = Program::new(&[&[command, "--listen", &address], more].concat())
            .variable("ROWCAST_JWT_SECRET", SECRET)
            .folder(folder.path())
            .run();
        ended.says(1, &format!("cannot listen on {address}"));
        ended.says(1, "--listen");
    }
    assert!(
        !folder.path().join(".rowcast").exists(),
        "refused before any work"
    );
}
