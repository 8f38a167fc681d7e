//! Arrays: their literals (PostgreSQL manual, "Array Input and Output Syntax"), read to check each
//! element, and written from JSON.

use serde_json::value::RawValue;

use super::{
    check::{self, Checked, Fault, is_space, trimmed},
    scalar,
};
use crate::catalog::ColumnType;

/// PostgreSQL's own limit (`MAXDIM`).
const DIMENSIONS_MAX: usize = 6;

/// An array literal under construction. Every element is quoted, so that none is taken for a null.
#[derive(Default)]
pub(super) struct Literal {
    text: String,
}

impl Literal {
    pub(super) fn open(&mut self) {
        self.separate();
        self.text.push('{');
    }

    pub(super) fn close(&mut self) {
        self.text.push('}');
    }

    pub(super) fn element(&mut self, text: Option<&str>) {
        self.separate();
        let Some(text) = text else {
            return self.text.push_str("NULL");
        };
        self.text.push('"');
        for character in text.chars() {
            if matches!(character, '"' | '\\') {
                self.text.push('\\');
            }
            self.text.push(character);
        }
        self.text.push('"');
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn separate(&mut self) {
        if !matches!(self.text.chars().next_back(), None | Some('{')) {
            self.text.push(',');
        }
    }
}

/// A JSON array as an array literal. As in PostgreSQL (`populate_array`), the first element that is
/// no array, or an empty one, says how many dimensions there are; what is nested deeper is part of an
/// element.
pub(super) fn from_json(element: &ColumnType, json: &str) -> Result<String, Fault> {
    let dimensions = depth(json)?;
    if dimensions > DIMENSIONS_MAX {
        return Err(Fault::Ragged);
    }
    let mut lengths = vec![None; dimensions];
    let mut literal = Literal::default();
    dimension(element, json, &mut lengths, &mut literal)?;
    // An array with an empty dimension is the empty array.
    if lengths.contains(&Some(0)) {
        return Ok("{}".to_owned());
    }
    Ok(literal.into_text())
}

fn elements(json: &str) -> Result<Vec<&RawValue>, Fault> {
    serde_json::from_str(json).map_err(|_| Fault::NotAnArray)
}

fn depth(json: &str) -> Result<usize, Fault> {
    let mut depth = 1;
    let mut elements = elements(json)?;
    while let Some(first) = elements.first().filter(|it| it.get().starts_with('[')) {
        // Deeper than this is refused anyway, and each level is read anew.
        if depth > DIMENSIONS_MAX {
            break;
        }
        depth += 1;
        elements = self::elements(first.get())?;
    }
    Ok(depth)
}

fn dimension(
    element: &ColumnType,
    json: &str,
    lengths: &mut [Option<usize>],
    literal: &mut Literal,
) -> Checked {
    let Some((length, inner)) = lengths.split_first_mut() else {
        return match json {
            "null" => {
                literal.element(None);
                Ok(())
            }
            _ => {
                literal.element(Some(&scalar(element, json)?));
                Ok(())
            }
        };
    };
    let elements = elements(json)?;
    if *length.get_or_insert(elements.len()) != elements.len() {
        return Err(Fault::Ragged);
    }
    literal.open();
    for json in elements {
        dimension(element, json.get(), inner, literal)?;
    }
    literal.close();
    Ok(())
}

/// Checks the elements of an array literal. Dimensions before an equals sign, and whether the inner
/// arrays agree in length, are left to PostgreSQL.
pub(super) fn check(element: &ColumnType, text: &str) -> Checked {
    let text = trimmed(text);
    let braces = match text.strip_prefix('[') {
        Some(_) => text.split_once('=').ok_or(Fault::Syntax)?.1,
        None => text,
    };
    let mut characters = trimmed(braces).chars();
    if characters.next() != Some('{') {
        return Err(Fault::Syntax);
    }
    let mut depth = 1;
    let mut item = Item::default();
    while depth > 0 {
        match characters.next().ok_or(Fault::Syntax)? {
            '{' if item.text.is_none() => depth += 1,
            '{' => return Err(Fault::Syntax),
            '}' => {
                std::mem::take(&mut item).check(element)?;
                depth -= 1;
            }
            ',' => std::mem::take(&mut item).check(element)?,
            '"' => {
                item.text.get_or_insert_default();
                loop {
                    match characters.next().ok_or(Fault::Syntax)? {
                        '"' => break,
                        '\\' => item.push(characters.next().ok_or(Fault::Syntax)?),
                        character => item.push(character),
                    }
                }
                item.keep_so_far();
            }
            '\\' => {
                item.push(characters.next().ok_or(Fault::Syntax)?);
                item.keep_so_far();
            }
            character if is_space(character) && item.text.is_none() => {}
            character => item.push(character),
        }
    }
    Fault::unless(characters.next().is_none())
}

/// The element that is being read.
#[derive(Default)]
struct Item {
    text: Option<String>,
    /// How many bytes of it were quoted or escaped, or stand before such: white space behind them is
    /// not the element's, and a text that has any is never the null.
    kept: Option<usize>,
}

impl Item {
    fn push(&mut self, character: char) {
        self.text.get_or_insert_default().push(character);
    }

    fn keep_so_far(&mut self) {
        self.kept = self.text.as_ref().map(String::len);
    }

    fn check(self, element: &ColumnType) -> Checked {
        let Some(mut text) = self.text else {
            return Ok(());
        };
        let end = text.trim_end_matches(is_space).len();
        text.truncate(end.max(self.kept.unwrap_or(0)));
        if self.kept.is_none() && text.eq_ignore_ascii_case("null") {
            return Ok(());
        }
        check::text(element, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::base;
    use super::*;
    use crate::catalog::oid;

    fn int() -> ColumnType {
        base(oid::INT4, "integer")
    }

    #[test]
    fn literals_are_read_element_by_element() {
        for good in [
            "{}",
            " { 1 , -2,NULL, \"3\" } ",
            "{{1,2},{3,null}}",
            "[0:1]={1,2}",
            "{\"\\1\"}",
            "{1\\2}",
        ] {
            assert_eq!(check(&int(), good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "1,2",
            "{1",
            "1}",
            "{1}}",
            "{1}{2}",
            "{x}",
            "{1,\"x\"}",
            "{\"1}",
            "{1{2}}",
            "[0:1]",
            "{1} 2",
            "{\"NULL\"}",
        ] {
            assert_eq!(check(&int(), bad), Err(Fault::Syntax), "{bad}");
        }
        assert_eq!(check(&int(), "{2147483648}"), Err(Fault::Range));
        assert_eq!(check(&int(), "{\"1\" , 2 }"), Ok(()));
        assert_eq!(check(&base(oid::BOOL, "boolean"), "{\"t\" ,f}"), Ok(()));
        let text = base(oid::TEXT, "text");
        assert_eq!(check(&text, r#"{a b,"c,d}","e\"\\"}"#), Ok(()));
    }

    #[test]
    fn json_arrays_become_literals() {
        let text = base(oid::TEXT, "text");
        for (type_, json, expected) in [
            (&int(), "[]", "{}"),
            (&int(), "[1, null, \"2\"]", r#"{"1",NULL,"2"}"#),
            (&int(), "[[1,2],[3,4]]", r#"{{"1","2"},{"3","4"}}"#),
            (&int(), "[[[1]],[[2]]]", r#"{{{"1"}},{{"2"}}}"#),
            (&int(), "[[]]", "{}"),
            (&int(), "[[],[]]", "{}"),
            (
                &text,
                r#"["a\"b", "\\", "", "NULL"]"#,
                r#"{"a\"b","\\","","NULL"}"#,
            ),
            (
                &text,
                r#"["a", ["b"], {"c": 1}]"#,
                r#"{"a","[\"b\"]","{\"c\": 1}"}"#,
            ),
            (
                &base(oid::JSONB, "jsonb"),
                r#"[{"a": 1}, "x", null]"#,
                r#"{"{\"a\": 1}","\"x\"",NULL}"#,
            ),
        ] {
            assert_eq!(from_json(type_, json).as_deref(), Ok(expected), "{json}");
        }
        for (json, fault) in [
            ("{}", Fault::NotAnArray),
            ("1", Fault::NotAnArray),
            ("[[1],2]", Fault::NotAnArray),
            ("[[1],[2,3]]", Fault::Ragged),
            ("[[[[[[[1]]]]]]]", Fault::Ragged),
            ("[1,\"x\"]", Fault::Syntax),
            ("[2147483648]", Fault::Range),
        ] {
            assert_eq!(from_json(&int(), json), Err(fault), "{json}");
        }
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(from_json(&int(), &deep).is_err());
    }
}
