//! What fuzzing looks at in this room. Compiled for tests and for fuzzing only.

use super::sql::Rendered;
use crate::catalog::Catalog;
use std::collections::HashSet;

/// The words that statements consist of beside names in quotes, parameters and names of types.
const LITERALS: [&str; 5] = ["'[]'", "'rowcast.merged'", "''", "'0'", "'{}'"];

/// Statements have no text of the caller's but what is in quotes as a name, or is a word of a type to
/// cast to: no quotes that are not closed, no texts that are not ours, no statement's end, no comment.
/// Parameters are numbered as they are given, and none has a character that PostgreSQL cannot hold.
pub(crate) fn are_ours(
    catalog: &Catalog,
    statements: impl IntoIterator<Item = (&'static str, Rendered)>,
) {
    for (_, statement) in statements {
        is_ours(catalog, &statement);
    }
}

fn is_ours(catalog: &Catalog, statement: &Rendered) {
    let sql = statement.sql.as_str();
    let mut rest = sql;
    let mut numbers = HashSet::new();
    while let Some(character) = rest.chars().next() {
        match character {
            '"' => rest = behind_name(catalog, sql, rest),
            '\'' => {
                let literal = LITERALS.iter().find(|it| rest.starts_with(**it));
                let literal = literal.unwrap_or_else(|| panic!("a text in {sql}"));
                rest = &rest[literal.len()..];
            }
            '$' => {
                let digits = rest[1..].find(|it: char| !it.is_ascii_digit());
                let (number, behind) = rest[1..].split_at(digits.unwrap_or(rest.len() - 1));
                numbers.insert(number.parse::<usize>().expect("a parameter has its number"));
                rest = behind;
            }
            _ => {
                assert!(
                    !rest.starts_with("--") && !rest.starts_with("/*"),
                    "a comment in {sql}"
                );
                let plain =
                    character.is_alphanumeric() || " _.,()=<>:*&|@~!+-[]#?".contains(character);
                assert!(plain, "{character:?} in {sql}");
                rest = &rest[character.len_utf8()..];
            }
        }
    }
    assert_eq!(numbers.len(), statement.parameters.len(), "{sql}");
    assert!((1..=numbers.len()).all(|it| numbers.contains(&it)), "{sql}");
    for value in &statement.parameters {
        assert!(value.text().is_none_or(|it| !it.contains('\0')), "{sql}");
    }
}

/// Steps over a name in quotes. What stands for a column or a relation is the catalog's; only what a
/// column is called in the answer (`as "…"`) may be the caller's.
fn behind_name<'a>(catalog: &Catalog, sql: &str, text: &'a str) -> &'a str {
    let start = sql.len() - text.len();
    let mut characters = text.char_indices().skip(1).peekable();
    let mut name = String::new();
    while let Some((at, character)) = characters.next() {
        assert!(character != '\0', "a NUL in {sql}");
        if character != '"' {
            name.push(character);
        } else if characters.next_if(|(_, it)| *it == '"').is_some() {
            name.push('"');
        } else {
            let label = sql[..start].ends_with(" as ");
            assert!(label || is_known(catalog, &name), "{name:?} in {sql}");
            return &text[at + 1..];
        }
    }
    panic!("a quote without its end in {sql}");
}

fn is_known(catalog: &Catalog, name: &str) -> bool {
    let mut functions = catalog
        .function_names()
        .flat_map(|it| catalog.functions(it));
    ["public", "extensions", "bit", "char", "inside"].contains(&name)
        || catalog
            .resources()
            .any(|it| &*it.table == name || it.column(name).is_some())
        || functions.any(|it| &*it.name == name || it.parameter(name).is_some())
}
