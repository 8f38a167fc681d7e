//! What a file looks like, and what may not be left in it.

use super::Tokens;

/// Beyond this, a file has more than one concern.
const LINES_MAX: usize = 600;

/// Key words that stand alone in the SQL of people who shout. Shorter ones are English, too.
const SQL_WORDS: &[&str] = &[
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "FROM",
    "WHERE",
    "JOIN",
    "CREATE",
    "ALTER",
    "DROP",
    "TABLE",
    "GRANT",
    "REVOKE",
    "TRIGGER",
    "FUNCTION",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "RETURNING",
    "RETURNS",
    "VALUES",
    "ORDER",
    "GROUP",
    "UNION",
    "EXISTS",
    "REFERENCES",
    "PRIMARY",
    "CONSTRAINT",
];

/// Beginnings of statements in upper case.
const SQL_STATEMENTS: &[&str] = &[
    "SELECT ",
    "INSERT INTO",
    "DELETE FROM",
    "CREATE ",
    "ALTER ",
    "DROP ",
    "SET LOCAL",
    "BEGIN;",
    "COMMIT;",
    "FETCH ",
    "DECLARE ",
    " WHERE ",
    " FROM ",
    "LISTEN ",
];

/// Words that say that something is unfinished, or that belong to the making and not to the product.
/// They are put together here, so that this file does not find itself.
fn unwelcome() -> [String; 5] {
    [
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["XX", "X"].concat(),
        ["/wo", "rk/"].concat(),
        ["/ro", "ot/"].concat(),
    ]
}

/// The first line has to say what the file owns.
pub(crate) fn missing_head(text: &str) -> Vec<String> {
    match text.starts_with("//! ") {
        true => Vec::new(),
        false => vec!["does not begin with `//! `: what it owns".to_owned()],
    }
}

/// The number of lines has its bound.
pub(crate) fn too_long(text: &str) -> Vec<String> {
    let lines = text.lines().count();
    match lines > LINES_MAX {
        true => vec![format!("has {lines} lines, more than {LINES_MAX}")],
        false => Vec::new(),
    }
}

/// Macros that stand for unfinished work, unwrapping outside of tests, and unwelcome words.
pub(crate) fn left_behind(path: &str, text: &str) -> Vec<String> {
    let mut faults = leftover_words(text);
    let tokens = Tokens::of(text);
    for name in ["todo", "unimplemented", "dbg"] {
        if tokens.has(&[name, "!"]) {
            faults.push(format!("has `{name}!`"));
        }
    }
    let is_test =
        !path.starts_with("src/") || path.ends_with("/tests.rs") || path.contains("/tests/");
    if !is_test
        && Tokens::of(text)
            .without_tests()
            .has(&[".", "unwrap", "(", ")"])
    {
        faults.push("has `.unwrap()` outside of tests".to_owned());
    }
    faults
}

/// Unwelcome words, wherever they stand.
pub(crate) fn leftover_words(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for word in unwelcome() {
            if line.contains(&word) {
                faults.push(format!("{}: has {word:?}", number + 1));
            }
        }
    }
    faults
}

/// SQL files: key words are in lower case; comments and texts may say what they like.
pub(crate) fn upper_case_sql(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("--").next().unwrap_or_default();
        // Every second piece stands between apostrophes.
        let outside: String = code.split('\'').step_by(2).collect::<Vec<_>>().join(" ");
        let words = outside.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
        for word in words.filter(|word| SQL_WORDS.contains(word)) {
            faults.push(format!("{}: {word} is not in lower case", number + 1));
        }
    }
    faults
}

/// SQL inside of Rust: the same for texts that begin or go on like a statement.
pub(crate) fn upper_case_sql_in_rust(text: &str) -> Vec<String> {
    let tokens = Tokens::of(text);
    let texts = tokens.0.iter().filter(|token| token.contains('"'));
    let mut faults = Vec::new();
    for token in texts {
        let content = token.trim_start_matches(['b', 'c', 'r', '#', '"']);
        for statement in SQL_STATEMENTS {
            let begins = content.starts_with(statement);
            if begins || (statement.starts_with(' ') && content.contains(statement)) {
                faults.push(format!("{statement:?} is not in lower case in {token}"));
            }
        }
    }
    faults
}
