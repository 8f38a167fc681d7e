//! What documents have to say of the code.

use super::Tokens;
use rowcast::{error::Kind, wire::status};

/// Dependencies without a comment right above them.
pub(crate) fn unexplained_dependencies(cargo_toml: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut is_dependencies = false;
    let mut previous = "";
    for line in cargo_toml.lines() {
        if let Some(section) = line.strip_prefix('[') {
            is_dependencies = section.trim_end_matches(']').ends_with("dependencies");
        } else if is_dependencies && line.contains('=') && !line.starts_with('#') {
            let name = line.split(['=', '.']).next().unwrap_or_default().trim();
            if !previous.starts_with("# ") {
                faults.push(format!("Cargo.toml: no comment says why `{name}` is there"));
            }
        }
        previous = line;
    }
    faults
}

/// Kinds of error whose row in the document is missing or says something else than the code, rows
/// that no kind has, and rows that do not say what the error means and what to do.
pub(crate) fn undocumented_kinds(document: &str) -> Vec<String> {
    let rows: Vec<Vec<&str>> = document
        .lines()
        .filter(|line| line.starts_with("| `RC"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let mut faults = Vec::new();
    let documented: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    let codes: Vec<&str> = Kind::ALL.iter().map(|kind| kind.code()).collect();
    if documented != codes {
        let missing = codes.iter().filter(|code| !documented.contains(code));
        let surplus = documented.iter().filter(|code| !codes.contains(code));
        let named: Vec<&&str> = missing.chain(surplus).collect();
        faults.push(format!(
            "docs/ERRORS.md: the rows are not the kinds in their order; missing or surplus: {named:?}"
        ));
    }
    for row in &rows {
        let kind = Kind::ALL
            .iter()
            .find(|kind| row[0].trim_matches('`') == kind.code());
        if let Some(kind) = kind {
            let expected = expected(*kind);
            if row.len() != expected.len() + 2 || row[..expected.len()] != expected {
                let expected = expected.join(" | ");
                faults.push(format!(
                    "docs/ERRORS.md: the row should begin: | {expected} |"
                ));
            } else if row[expected.len()..].iter().any(|cell| cell.len() < 10) {
                faults.push(format!("docs/ERRORS.md: {} lacks words", row[0]));
            }
        }
    }
    faults
}

/// The cells that follow from the code: code, name, title, status, PostgREST's code, retryable.
fn expected(kind: Kind) -> Vec<String> {
    let status = status(kind).as_u16();
    vec![
        format!("`{}`", kind.code()),
        format!("`{}`", kind.name()),
        kind.title().to_owned(),
        // Kinds of the command line never become an answer.
        if kind.code() < "RC600" {
            status.to_string()
        } else {
            String::new()
        },
        kind.postgrest()
            .map(|code| format!("`{code}`"))
            .unwrap_or_default(),
        if kind.is_retryable() {
            "yes".to_owned()
        } else {
            String::new()
        },
    ]
}

/// Settings that no source reads although their meaning promises an effect, and the other way round.
pub(crate) fn idle_settings(
    sources: &[String],
    settings: impl Iterator<Item = (&'static str, String)>,
) -> Vec<String> {
    let tokens: Vec<Tokens> = sources
        .iter()
        .map(|text| Tokens::of(text).without_tests())
        .collect();
    let mut faults = Vec::new();
    for (name, meaning) in settings {
        let is_read = tokens.iter().any(|tokens| tokens.has(&[".", name]));
        match (is_read, meaning.ends_with("Not in effect yet.")) {
            (false, false) => faults.push(format!("nobody reads the setting `{name}`")),
            // A plain word may be the field of something else.
            (true, true) if name.contains('_') => {
                faults.push(format!("`{name}` is read, and says it is not in effect"))
            }
            _ => {}
        }
    }
    faults
}
