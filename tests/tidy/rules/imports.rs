//! Which module may know which, and which library belongs where.

use super::Tokens;
use std::collections::BTreeSet;

/// The modules from the lowest to the highest. One may import those of lower rows only, its own
/// apart; those of one row do not know each other, except as [`BESIDE`] says.
const ROWS: &[&[&str]] = &[
    &["error"],
    &["snapshot", "config"],
    &["cursor", "wire"],
    &["identity"],
    &["catalog"],
    &["query"],
    &["channel"],
    &["postgres", "broker"],
    &["feed", "request", "signal"],
    &["http"],
    &["server", "fuzzing"],
    &["cli"],
    &["main"],
];

/// What a module must not know although it is below.
const NOT: &[(&str, &[&str])] = &[("postgres", &["channel"])];

/// Libraries, and the only modules that use them.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("tokio_postgres", &["postgres"]),
    ("deadpool_postgres", &["postgres"]),
    ("postgres_types", &["postgres"]),
    ("postgres_protocol", &["postgres"]),
    ("warp", &["http", "server"]),
    ("hyper", &["http", "server"]),
    ("hyper_util", &["http", "server"]),
    ("tokio_tungstenite", &["http"]),
    ("tower", &["http", "server"]),
    ("tower_http", &["http", "server"]),
    ("jsonwebtoken", &["identity"]),
    ("toml", &["config"]),
    ("clap", &["cli", "main"]),
    ("comfy_table", &["cli"]),
    ("tracing_subscriber", &["cli"]),
];

/// Imports of modules that are not below the file's own.
pub(crate) fn upward_imports(path: &str, text: &str) -> Vec<String> {
    let Some(own) = module(path) else {
        return Vec::new();
    };
    let Some(own_row) = row(own) else {
        return vec![format!("the module `{own}` has no place among the rows")];
    };
    let mut faults = Vec::new();
    for other in imported(&Tokens::of(text).without_tests()) {
        match row(&other) {
            _ if other == own => {}
            None => faults.push(format!(
                "imports `{other}`, which has no place among the rows"
            )),
            Some(row) if row >= own_row => {
                faults.push(format!("`{own}` imports `{other}`, which is not below it"));
            }
            Some(_) => {
                let not = NOT.iter().filter(|(it, _)| *it == own);
                if not.flat_map(|(_, others)| *others).any(|it| *it == other) {
                    faults.push(format!("`{own}` must not know `{other}`"));
                }
            }
        }
    }
    faults
}

/// Libraries that are used outside of the modules that they belong to.
pub(crate) fn misplaced_libraries(path: &str, text: &str) -> Vec<String> {
    let Some(own) = module(path) else {
        return Vec::new();
    };
    let tokens = Tokens::of(text).without_tests();
    let misplaced = LIBRARIES.iter().filter(|(library, modules)| {
        let used = tokens.has(&[library, ":", ":"]) || tokens.has(&["use", library, ";"]);
        // `toml` and the like may also be a module or a variable of ours.
        used && !modules.contains(&own)
    });
    misplaced
        .map(|(library, modules)| format!("uses `{library}`, which is for {modules:?}"))
        .collect()
}

/// Files that no `mod` of their parent names, so that they are never compiled.
pub(crate) fn orphans(files: &[(String, String)], roots: &[&str]) -> Vec<String> {
    let mut named: BTreeSet<String> = roots.iter().map(|root| (*root).to_owned()).collect();
    for (path, text) in files {
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let inside = match file {
            "mod.rs" | "lib.rs" | "main.rs" | "all.rs" => folder.to_owned(),
            _ => path.trim_end_matches(".rs").to_owned(),
        };
        let tokens = Tokens::of(text);
        for rest in tokens.after(&["mod"]) {
            if rest.get(1).is_some_and(|token| token == ";") {
                named.insert(format!("{inside}/{}.rs", rest[0]));
                named.insert(format!("{inside}/{}/mod.rs", rest[0]));
            }
        }
    }
    let orphans = files.iter().filter(|(path, _)| !named.contains(path));
    orphans
        .map(|(path, _)| format!("{path}: no `mod` names this file"))
        .collect()
}

/// The top-level module that a file belongs to; none for the crate's root.
fn module(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let first = inside.split('/').next()?.trim_end_matches(".rs");
    (first != "lib").then_some(first)
}

fn row(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

/// The top-level modules named by paths from the crate's root, inside braces as well.
fn imported(tokens: &Tokens) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    for root in ["crate", "rowcast"] {
        for rest in tokens.after(&[root, ":", ":"]) {
            match rest[0].as_str() {
                "{" => {
                    let mut depth = 0_usize;
                    let mut is_first = true;
                    for token in &rest[1..] {
                        match token.as_str() {
                            "{" => depth += 1,
                            "}" if depth == 0 => break,
                            "}" => depth -= 1,
                            "," if depth == 0 => is_first = true,
                            name if depth == 0 && is_first => {
                                modules.insert(name.to_owned());
                                is_first = false;
                            }
                            _ => {}
                        }
                    }
                }
                name => {
                    modules.insert(name.to_owned());
                }
            }
        }
    }
    modules
}
