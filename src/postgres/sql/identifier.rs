//! Names in SQL text: the only place that quotes them.

/// A name as a quoted identifier (PostgreSQL manual, "Identifiers and Key Words"): quoted always, so
/// that case, key words and odd characters need no thought.
pub(crate) fn identifier(name: &str) -> String {
    // PostgreSQL's names hold no NUL, so that what could end the text early is not there; should one
    // come along from elsewhere, it is left out.
    let mut quoted = String::with_capacity(name.len() + 2);
    quoted.push('"');
    for character in name.chars().filter(|it| *it != '\0') {
        if character == '"' {
            quoted.push('"');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_names() {
        assert_eq!(identifier("tickets"), r#""tickets""#);
        assert_eq!(identifier("camelCase"), r#""camelCase""#);
        assert_eq!(identifier(r#"a"; drop"#), r#""a""; drop""#);
        assert_eq!(identifier("a\0b"), r#""ab""#);
    }
}
