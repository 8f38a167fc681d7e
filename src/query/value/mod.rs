//! Values on their way to a column: read from a query string or a body, checked against the column's
//! type, kept in PostgreSQL's text form.
//!
//! Text is exact for every type there is, and PostgreSQL's own input functions have the last word.
//! The check is what can be known without them: it never refuses what some supported version of
//! PostgreSQL takes, and it knows the built-in types well enough that a wrong number, uuid or date is
//! refused before anything is asked of the database. What it does not know (labels of enums, names of
//! time zones, types of extensions) it lets pass.
//!
//! Knows neither SQL nor connections.

mod array;
mod check;
mod number;
mod time;

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::{
    catalog::{ColumnType, TypeKind, oid},
    error::{Error, Kind, Result},
};

/// One value for one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    text: Option<Box<str>>,
    form: Form,
}

/// How the text of a [`Value`] is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// By the input function of the column's type.
    Plain,
    /// As a JSON object with the one member `v`, by `json_to_record`: the values of row types, and of
    /// arrays of them, which have no text form that could be built without knowing their columns.
    Record,
}

impl Value {
    /// The null.
    pub fn null() -> Self {
        Self {
            text: None,
            form: Form::Plain,
        }
    }

    /// A number of ours, such as how many rows to skip.
    pub(crate) fn number(number: u64) -> Self {
        Self::plain(number.to_string())
    }

    /// A text of our own making, which needs no check.
    pub(crate) fn trusted(text: &str) -> Self {
        Self::plain(text)
    }

    /// A value from a query string or a path, decoded, for the column of this name and type.
    ///
    /// # Errors
    /// `ValueInvalid`.
    pub fn from_text(column: &str, type_: &ColumnType, text: &str) -> Result<Self> {
        check::text(type_, text).map_err(|fault| fault.error(column, type_, text))?;
        Ok(Self::plain(text))
    }

    /// Several values as one array of the column's type, for `= any(…)`.
    ///
    /// # Errors
    /// `ValueInvalid`; `NotSupported` for a column that is an array itself, since PostgreSQL has no
    /// arrays of arrays.
    pub fn list<'a>(
        column: &str,
        type_: &ColumnType,
        texts: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self> {
        if matches!(type_.base().kind, TypeKind::Array(_)) {
            return Err(Error::new(
                Kind::NotSupported,
                format!("`{column}` is an array, which cannot be looked up in a list."),
            ));
        }
        let mut literal = array::Literal::default();
        literal.open();
        for text in texts {
            check::text(type_, text).map_err(|fault| fault.error(column, type_, text))?;
            literal.element(Some(text));
        }
        literal.close();
        Ok(Self::plain(literal.into_text()))
    }

    /// A value from a body, under the rules of PostgreSQL's `json_populate_record`: `json` columns
    /// keep the JSON as it is, arrays become arrays, a string is read by the type's input function,
    /// anything else by its JSON text. A null is the SQL null for every type.
    ///
    /// Takes the raw JSON, because a number loses digits, and an object its order, in a tree of
    /// `serde_json` values.
    ///
    /// # Errors
    /// `ValueInvalid`.
    pub fn from_json(column: &str, type_: &ColumnType, json: &RawValue) -> Result<Self> {
        let json = json.get();
        let invalid = |fault: check::Fault| fault.error(column, type_, json.trim_matches('"'));
        if json == "null" {
            return Ok(Self::null());
        }
        let is_container = json.starts_with(['{', '[']);
        if is_container && has_rows(type_) {
            return Ok(Self {
                text: Some(format!("{{\"v\":{json}}}").into()),
                form: Form::Record,
            });
        }
        match &type_.base().kind {
            TypeKind::Array(element) if !json.starts_with('"') => {
                let literal = array::from_json(element, json).map_err(invalid)?;
                Ok(Self::plain(literal))
            }
            _ => {
                let text = scalar(type_, json).map_err(invalid)?;
                Ok(Self::plain(text))
            }
        }
    }

    /// PostgreSQL's text form; `None` for the null.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// How the text is to be read.
    pub fn form(&self) -> Form {
        self.form
    }

    fn plain<'a>(text: impl Into<Cow<'a, str>>) -> Self {
        Self {
            text: Some(text.into().into_owned().into_boxed_str()),
            form: Form::Plain,
        }
    }
}

/// The text of a JSON value that is not taken apart further, checked.
fn scalar<'a>(type_: &ColumnType, json: &'a str) -> Result<Cow<'a, str>, check::Fault> {
    let text = if json.starts_with('"') && !is_json(type_) {
        // A lone surrogate has no place in UTF-8, and so none in a text.
        Cow::Owned(serde_json::from_str(json).map_err(|_| check::Fault::Syntax)?)
    } else {
        Cow::Borrowed(json)
    };
    check::text(type_, &text)?;
    Ok(text)
}

fn is_json(type_: &ColumnType) -> bool {
    matches!(type_.base().oid, oid::JSON | oid::JSONB)
}

/// Whether a value of this type is, or may be, made of rows.
fn has_rows(type_: &ColumnType) -> bool {
    match &type_.base().kind {
        TypeKind::Array(element) => has_rows(element),
        TypeKind::Other => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn base(oid: u32, name: &str) -> ColumnType {
        ColumnType {
            oid,
            name: name.into(),
            kind: TypeKind::Base,
        }
    }

    fn array(of: ColumnType) -> ColumnType {
        ColumnType {
            oid: 70_000,
            name: format!("{}[]", of.name).into(),
            kind: TypeKind::Array(Box::new(of)),
        }
    }

    fn json(type_: &ColumnType, json: &str) -> Result<Value> {
        Value::from_json("c", type_, &RawValue::from_string(json.to_owned()).unwrap())
    }

    #[track_caller]
    fn becomes(type_: &ColumnType, from: &str, text: &str) {
        assert_eq!(json(type_, from).unwrap(), Value::plain(text), "{from}");
    }

    #[test]
    fn texts_keep_what_json_said() {
        let text = base(oid::TEXT, "text");
        becomes(&text, r#""a\n\"\u00e9\ud83e\udd80""#, "a\n\"é🦀");
        becomes(&text, "1.50", "1.50");
        becomes(&text, "true", "true");
        becomes(&text, r#"{"b": 1, "a":[1.0]}"#, r#"{"b": 1, "a":[1.0]}"#);
        assert_eq!(json(&text, "null").unwrap(), Value::null());
        assert!(json(&text, r#""a\u0000b""#).is_err());
        assert!(json(&text, r#""\ud800""#).is_err());
    }

    #[test]
    fn numbers_keep_every_digit() {
        let numeric = base(oid::NUMERIC, "numeric");
        let digits = "123456789012345678901234567890.123456789012345678901234567890";
        becomes(&numeric, digits, digits);
        becomes(&numeric, r#""1.50""#, "1.50");
        assert!(json(&base(oid::INT4, "integer"), "1.0").is_err());
        assert!(json(&base(oid::INT4, "integer"), "2147483648").is_err());
        assert!(json(&base(oid::INT4, "integer"), "{}").is_err());
        assert!(json(&base(oid::INT4, "integer"), "[1]").is_err());
    }

    #[test]
    fn json_columns_keep_the_json() {
        let jsonb = base(oid::JSONB, "jsonb");
        becomes(&jsonb, r#""text""#, r#""text""#);
        becomes(
            &jsonb,
            r#"{"a": [1, {"b": null}]}"#,
            r#"{"a": [1, {"b": null}]}"#,
        );
        assert_eq!(json(&jsonb, "null").unwrap(), Value::null());
        assert!(json(&jsonb, r#"["\u0000"]"#).is_err());
        becomes(&jsonb, r#"["\\u0000"]"#, r#"["\\u0000"]"#);
    }

    #[test]
    fn a_domain_is_checked_as_its_base() {
        let domain = ColumnType {
            oid: 70_001,
            name: "positive".into(),
            kind: TypeKind::Domain(Box::new(base(oid::INT4, "integer"))),
        };
        becomes(&domain, "7", "7");
        assert!(json(&domain, "\"x\"").is_err());
    }

    #[test]
    fn rows_are_left_to_postgresql() {
        let row = ColumnType {
            oid: 70_002,
            name: "point3".into(),
            kind: TypeKind::Other,
        };
        let value = json(&row, r#"{"x": 1}"#).unwrap();
        assert_eq!(value.form(), Form::Record);
        assert_eq!(value.text(), Some(r#"{"v":{"x": 1}}"#));
        let value = json(&array(row.clone()), r#"[{"x": 1}, null]"#).unwrap();
        assert_eq!(value.form(), Form::Record);
        becomes(&row, r#""(1,)""#, "(1,)");
    }

    #[test]
    fn lists_quote_every_element() {
        let text = base(oid::TEXT, "text");
        let list = Value::list("c", &text, ["a", "", "NULL", "b\"c\\d,e}"]).unwrap();
        assert_eq!(list.text(), Some(r#"{"a","","NULL","b\"c\\d,e}"}"#));
        assert_eq!(Value::list("c", &text, []).unwrap().text(), Some("{}"));
        let error = Value::list("c", &base(oid::INT8, "bigint"), ["1", "x"]).unwrap_err();
        assert_eq!(error.kind(), Kind::ValueInvalid);
        let error = Value::list("c", &array(text), ["{}"]).unwrap_err();
        assert_eq!(error.kind(), Kind::NotSupported);
    }

    #[test]
    fn an_error_names_the_column_and_not_the_value() {
        let error = Value::from_text("age", &base(oid::INT2, "smallint"), "secret").unwrap_err();
        assert!(error.detail().contains("`age`") && error.detail().contains("smallint"));
        assert!(!error.detail().contains("secret"));
    }
}
