//! What a query says, before anybody knows whether it makes sense: the syntax tree, and its text.
//!
//! Printing a tree gives a query string that reads back as the same tree. Knows no catalog.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use std::fmt::{self, Write as _};

/// A whole query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Syntax {
    /// `select`; `None`: not said.
    pub(crate) select: Option<Vec<Term>>,
    /// All of these hold.
    pub(crate) filters: Vec<Filter>,
    /// `order`, the most significant first.
    pub(crate) order: Vec<Order>,
    /// `limit`, in rows.
    pub(crate) limit: Option<u64>,
    /// `offset`, in rows.
    pub(crate) offset: Option<u64>,
}

/// An item of `select`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Term {
    /// `*`: every column that the caller may read.
    All,
    /// One column.
    Column(Field),
}

/// Something in a row that can be compared and ordered by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Field {
    /// The column.
    pub(crate) column: String,
}

/// A condition on a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Filter {
    /// One field passes a test.
    Test(Field, Test),
}

/// What a field is tested for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Test {
    /// `eq.`
    Equals(String),
    /// `in.(…)`
    In(Vec<String>),
    /// `is.`
    Is(State),
}

/// The operands of `is.`, PostgREST's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Null,
    NotNull,
    True,
    False,
    Unknown,
}

/// An item of `order`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) field: Field,
    pub(crate) descending: bool,
    /// Where nulls go; `None`: where PostgreSQL puts them, last when ascending.
    pub(crate) nulls: Option<Nulls>,
}

/// Where nulls stand in an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nulls {
    First,
    Last,
}

impl State {
    pub(crate) const ALL: &'static [(&'static str, Self)] = &[
        ("null", Self::Null),
        ("not_null", Self::NotNull),
        ("true", Self::True),
        ("false", Self::False),
        ("unknown", Self::Unknown),
    ];

    pub(crate) fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, state)| *state == self);
        found.expect("every state has its name").0
    }
}

/// Parameters that are not names of columns; a column of such a name is written in quotes.
pub(super) const RESERVED: &[&str] = &[
    "select",
    "order",
    "limit",
    "offset",
    "and",
    "or",
    "not",
    "include",
    "after",
    "modified_since",
    "on_conflict",
    "columns",
];

/// Whether a character may stand in a name without quotes.
pub(super) fn is_plain(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | ' ' | '$' | '-')
}

/// What is encoded in a printed query: what would end a value or be decoded as something else.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'+')
    .add(b'<')
    .add(b'=')
    .add(b'>');

impl fmt::Display for Syntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut parameter = |name: &str, value: &str| {
            let name = utf8_percent_encode(name, ENCODED);
            let value = utf8_percent_encode(value, ENCODED);
            write!(f, "{separator}{name}={value}")?;
            separator = "&";
            Ok(())
        };
        if let Some(select) = &self.select {
            parameter("select", &joined(select, ","))?;
        }
        for Filter::Test(field, test) in &self.filters {
            parameter(&field.to_string(), &test.to_string())?;
        }
        if !self.order.is_empty() {
            parameter("order", &joined(&self.order, ","))?;
        }
        for (name, number) in [("limit", self.limit), ("offset", self.offset)] {
            if let Some(number) = number {
                parameter(name, &number.to_string())?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Column(field) => field.fmt(f),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.column;
        let plain = !name.is_empty()
            && name.chars().all(is_plain)
            && !RESERVED.contains(&name.as_str())
            // An arrow begins with a hyphen.
            && !name.ends_with('-');
        match plain {
            true => f.write_str(name),
            false => quoted(name, f),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equals(value) => write!(f, "eq.{value}"),
            Self::Is(state) => write!(f, "is.{}", state.name()),
            Self::In(values) => {
                f.write_str("in.(")?;
                for (index, value) in values.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { "," })?;
                    quoted(value, f)?;
                }
                f.write_str(")")
            }
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.field.fmt(f)?;
        if self.descending {
            f.write_str(".desc")?;
        }
        f.write_str(match self.nulls {
            Some(Nulls::First) => ".nullsfirst",
            Some(Nulls::Last) => ".nullslast",
            None => "",
        })
    }
}

fn quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(character)?;
    }
    f.write_char('"')
}

fn joined<T: fmt::Display>(items: &[T], separator: &str) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(separator)
}
