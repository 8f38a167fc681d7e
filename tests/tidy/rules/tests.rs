//! Each rule is shown a fault, and has to see it; and something harmless, and has to let it be.

use super::*;

#[test]
fn an_upward_import_is_seen() {
    for (path, text) in [
        ("src/channel/hub.rs", "use crate::http::Route;"),
        (
            "src/channel/hub.rs",
            "use crate::{error::Error, postgres::{Database, read}};",
        ),
        ("src/query/mod.rs", "fn f() { crate::channel::Hub::new() }"),
        ("src/request.rs", "use crate::feed::Batch;"),
        ("src/postgres/read.rs", "use crate::channel::Lane;"),
        (
            "src/wire/event/mod.rs",
            "macro_rules! m { () => { $crate::http::x() } }",
        ),
        ("src/server.rs", "use crate::cli::run;"),
        ("src/nowhere.rs", "use crate::error::Error;"),
        ("src/http/mod.rs", "use crate::elsewhere::Thing;"),
    ] {
        assert_eq!(upward_imports(path, text).len(), 1, "{path}: {text}");
    }
}

#[test]
fn a_downward_import_is_let_be() {
    for (path, text) in [
        (
            "src/http/mod.rs",
            "use crate::{channel::{Hub, self}, error::Error, http::x};",
        ),
        (
            "src/cli/serve.rs",
            "use rowcast::{server::Server, config::Config};",
        ),
        (
            "src/channel/hub.rs",
            "// use crate::http::Route;\n/// crate::http\nfn f() { \"crate::http::x\"; }",
        ),
        (
            "src/query/mod.rs",
            "#[cfg(test)]\nmod tests { use crate::channel::Hub; }",
        ),
        ("src/lib.rs", "pub mod http; pub use crate::http::x;"),
    ] {
        assert_eq!(
            upward_imports(path, text),
            Vec::<String>::new(),
            "{path}: {text}"
        );
    }
}

#[test]
fn a_misplaced_library_is_seen() {
    for (path, text) in [
        ("src/feed/mod.rs", "use tokio_postgres::Client;"),
        ("src/request.rs", "fn f(_: &deadpool_postgres::Pool) {}"),
        ("src/channel/mod.rs", "use warp::Filter;"),
        (
            "src/server.rs",
            "use tokio_tungstenite::tungstenite::Message;",
        ),
        ("src/server.rs", "use clap;"),
    ] {
        assert_eq!(misplaced_libraries(path, text).len(), 1, "{path}: {text}");
    }
    for (path, text) in [
        ("src/postgres/pool.rs", "use tokio_postgres::Client;"),
        ("src/http/mod.rs", "use warp::Filter;"),
        (
            "src/feed/mod.rs",
            "//! Knows no tokio_postgres::Client.\nfn f() { \"warp::x\"; }",
        ),
        ("src/feed/mod.rs", "fn f(hyper: u8, toml: u8) {}"),
    ] {
        assert_eq!(
            misplaced_libraries(path, text),
            Vec::<String>::new(),
            "{path}: {text}"
        );
    }
}

#[test]
fn an_orphan_is_seen() {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let files = [
        file("src/lib.rs", "pub mod a; mod b { mod inline {} }"),
        file("src/a/mod.rs", "mod c;"),
        file("src/a/c.rs", "mod d;"),
        file("src/a/c/d.rs", ""),
        file("src/b.rs", ""),
        file("src/a/e.rs", ""),
    ];
    assert_eq!(
        orphans(&files, &["src/lib.rs"]),
        [
            "src/b.rs: no `mod` names this file",
            "src/a/e.rs: no `mod` names this file"
        ]
    );
}

#[test]
fn a_missing_head_and_a_long_file_are_seen() {
    for text in ["", "use std::fmt;", "// Not a document.\n", "//!\n"] {
        assert_eq!(missing_head(text).len(), 1, "{text:?}");
    }
    assert!(missing_head("//! What it owns.\n").is_empty());
    assert_eq!(too_long(&"x\n".repeat(601)).len(), 1);
    assert!(too_long(&"x\n".repeat(600)).is_empty());
}

#[test]
fn leftovers_are_seen() {
    let to_do = ["to", "do"].concat();
    for text in [
        format!("fn f() {{ {to_do}!() }}"),
        "fn f() { dbg!(1); }".to_owned(),
        "fn f() { unimplemented!() }".to_owned(),
        "fn f() { x.unwrap(); }".to_owned(),
        "fn f() { vec![x\n    .unwrap()]; }".to_owned(),
        "#[cfg(test)]\nfn g() {}\nfn f() { x.unwrap() }".to_owned(),
        format!("// {}: later", to_do.to_uppercase()),
    ] {
        assert_eq!(left_behind("src/a.rs", &text).len(), 1, "{text}");
    }
    for (path, text) in [
        (
            "src/a.rs",
            "fn f() { x.unwrap_or(1); \".unwrap()\"; } // x.unwrap()",
        ),
        (
            "src/a.rs",
            "#[cfg(test)]\nmod tests { fn f() { x.unwrap() } }\nfn g() {}",
        ),
        ("src/a.rs", "#[cfg(test)]\nuse a::b;\nfn g() {}"),
        ("src/a/tests.rs", "fn f() { x.unwrap() }"),
        ("tests/a.rs", "fn f() { x.unwrap() }"),
    ] {
        assert_eq!(left_behind(path, text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn shouted_sql_is_seen() {
    assert_eq!(
        upper_case_sql("select 1\nFROM t -- FROM\nwhere a = 'FROM'").len(),
        1
    );
    assert!(upper_case_sql("select 'WHERE', \"x\" from t; -- GRANT").is_empty());
    let shouted = ["SEL", "ECT 1"].concat();
    assert_eq!(
        upper_case_sql_in_rust(&format!("fn f() {{ q(\"{shouted}\"); }}")).len(),
        1
    );
    let tail = ["select 1 FR", "OM t"].concat();
    assert_eq!(
        upper_case_sql_in_rust(&format!("fn f() {{ q(r#\"{tail}\"#); }}")).len(),
        1
    );
    assert!(upper_case_sql_in_rust("fn f() { q(\"select 1 from t\"); }").is_empty());
}

#[test]
fn a_dependency_without_a_reason_is_seen() {
    let text = "[package]\nname = \"x\"\n[dependencies]\n# Why.\na = \"1\"\nb = \"1\"\n\n\
                [dev-dependencies]\n# Why.\nc.version = \"1\"\n[profile.dev]\ndebug = false\n";
    assert_eq!(
        unexplained_dependencies(text),
        ["Cargo.toml: no comment says why `b` is there"]
    );
}

#[test]
fn a_document_that_lags_behind_the_kinds_is_seen() {
    let document =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ERRORS.md")).unwrap();
    assert!(undocumented_kinds(&document).is_empty());
    let row = document
        .lines()
        .find(|line| line.starts_with("| `RC201`"))
        .unwrap();
    for (from, to) in [
        (format!("{row}\n"), String::new()),
        (row.to_owned(), format!("{row}\n{row}")),
        (row.to_owned(), row.replace("RC201", "RC299")),
        (row.to_owned(), row.replace("query-malformed", "query-bad")),
        (
            row.to_owned(),
            row.replace("The query cannot be read", "Bad query"),
        ),
        (row.to_owned(), row.replace("| 400 |", "| 404 |")),
        (row.to_owned(), row.replace("`PGRST100`", "")),
        (
            row.to_owned(),
            row.replace("`PGRST100` |  |", "`PGRST100` | yes |"),
        ),
        (
            row.to_owned(),
            row.rsplitn(3, '|').last().unwrap().to_owned() + "| |",
        ),
    ] {
        let changed = document.replace(&from, &to);
        assert_ne!(changed, document, "{to}");
        assert!(!undocumented_kinds(&changed).is_empty(), "{to}");
    }
}

#[test]
fn a_setting_that_nobody_reads_is_seen() {
    let sources = [
        "fn f() { limits.is_read; }\n#[cfg(test)]\nmod tests { fn f() { limits.tested } }"
            .to_owned(),
    ];
    let check = |name, meaning: &str| {
        let settings = std::iter::once((name, meaning.to_owned()));
        idle_settings(&sources, settings).len()
    };
    assert_eq!(check("is_read", "Something."), 0);
    assert_eq!(check("idle", "Something."), 1);
    assert_eq!(check("tested", "Something."), 1);
    assert_eq!(check("idle", "Something. Not in effect yet."), 0);
    assert_eq!(check("is_read", "Something. Not in effect yet."), 1);
}
