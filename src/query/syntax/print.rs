//! The text of a syntax tree: a query string that reads back as the same tree.

use super::{
    Embed, Field, Filter, Include, Key, Order, Rows, Selected, Step, Syntax, Term, Test, Tree,
    Word, is_plain, is_plain_key, is_reserved,
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use std::fmt::{self, Display, Formatter, Write as _};

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

impl Display for Syntax {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut out = Parameters { f, any: false };
        if let Some(select) = &self.select {
            out.put("", "select", &Joined(select))?;
        }
        for (name, columns) in [
            ("columns", &self.columns),
            ("on_conflict", &self.on_conflict),
        ] {
            if let Some(columns) = columns {
                let columns: Vec<Name<'_>> = columns.iter().map(|it| Name(it)).collect();
                out.put("", name, &Joined(&columns))?;
            }
        }
        out.rows("", &self.rows)?;
        for embedded in &self.embedded {
            let mut path = String::new();
            for name in &embedded.path {
                write!(path, "{}.", Name(name))?;
            }
            out.rows(&path, &embedded.rows)?;
        }
        if !self.include.is_empty() {
            out.put("", "include", &Joined(&self.include))?;
        }
        for (name, text) in [
            ("after", &self.after),
            ("modified_since", &self.modified_since),
        ] {
            if let Some(text) = text {
                out.put("", name, text)?;
            }
        }
        Ok(())
    }
}

struct Parameters<'a, 'b> {
    f: &'a mut Formatter<'b>,
    any: bool,
}

impl Parameters<'_, '_> {
    fn put(&mut self, path: &str, name: &str, value: &dyn Display) -> fmt::Result {
        let separator = if self.any { "&" } else { "" };
        self.any = true;
        let path = utf8_percent_encode(path, ENCODED);
        let name = utf8_percent_encode(name, ENCODED);
        let value = value.to_string();
        let value = utf8_percent_encode(&value, ENCODED);
        write!(self.f, "{separator}{path}{name}={value}")
    }

    fn rows(&mut self, path: &str, rows: &Rows) -> fmt::Result {
        for filter in &rows.filters {
            match filter {
                Filter::Test(field, test) => {
                    self.put(path, &field.to_string(), &Outer(test, false))?;
                }
                Filter::Not(field, test) => {
                    self.put(path, &field.to_string(), &Outer(test, true))?;
                }
                Filter::Tree(tree) => {
                    let not = if tree.negated { "not." } else { "" };
                    let name = format!("{not}{}", tree.logic.name());
                    self.put(path, &name, &Branches(tree))?;
                }
            }
        }
        if !rows.order.is_empty() {
            self.put(path, "order", &Joined(&rows.order))?;
        }
        for (name, number) in [("limit", rows.limit), ("offset", rows.offset)] {
            if let Some(number) = number {
                self.put(path, name, &number)?;
            }
        }
        Ok(())
    }
}

impl Display for Term {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Field(selected) => selected.fmt(f),
            Self::Count { alias, cast: to } => {
                named(alias.as_deref(), f)?;
                f.write_str("count()")?;
                cast(to.as_deref(), f)
            }
            Self::Embed(embed) => embed.fmt(f),
        }
    }
}

impl Display for Selected {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        named(self.alias.as_deref(), f)?;
        self.field.fmt(f)?;
        cast(self.cast.as_deref(), f)?;
        if let Some(aggregate) = self.aggregate {
            write!(f, ".{}()", aggregate.name())?;
        }
        cast(self.aggregate_cast.as_deref(), f)
    }
}

impl Display for Embed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.spread { "..." } else { "" })?;
        named(self.alias.as_deref(), f)?;
        related(&self.name, self.hint.as_deref(), f)?;
        if let Some(join) = self.join {
            write!(f, "!{}", join.name())?;
        }
        write!(f, "({})", Joined(&self.select))
    }
}

impl Display for Include {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        related(&self.name, self.hint.as_deref(), f)?;
        match self.include.is_empty() {
            true => Ok(()),
            false => write!(f, "({})", Joined(&self.include)),
        }
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Name(&self.column).fmt(f)?;
        self.path.iter().try_for_each(|step| step.fmt(f))
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.text { "->>" } else { "->" })?;
        match &self.key {
            Key::Element(index) => write!(f, "{index}"),
            Key::Member(name) => {
                let is_number = name.strip_prefix('-').unwrap_or(name);
                let is_number = is_number.bytes().all(|it| it.is_ascii_digit());
                let plain = name.chars().all(is_plain_key) && name.trim() == name;
                match plain && !is_number && !name.starts_with('-') && !name.ends_with('-') {
                    true => f.write_str(name),
                    false => quoted(name, f),
                }
            }
        }
    }
}

/// A test as the value of a parameter, where its own value reaches to the end.
struct Outer<'a>(&'a Test, bool);

impl Display for Outer<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.1 { "not." } else { "" })?;
        let value = operation(self.0, f)?;
        f.write_str(value.unwrap_or_default())
    }
}

/// A condition inside of parentheses.
struct Inner<'a>(&'a Filter);

impl Display for Inner<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let test = match self.0 {
            Filter::Test(field, test) => {
                write!(f, "{field}.")?;
                test
            }
            Filter::Not(field, test) => {
                write!(f, "{field}.not.")?;
                test
            }
            Filter::Tree(tree) => {
                let not = if tree.negated { "not." } else { "" };
                return write!(f, "{not}{}{}", tree.logic.name(), Branches(tree));
            }
        };
        match operation(test, f)? {
            Some(value) => quoted(value, f),
            None => Ok(()),
        }
    }
}

struct Branches<'a>(&'a Tree);

impl Display for Branches<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let filters: Vec<Inner<'_>> = self.0.filters.iter().map(Inner).collect();
        write!(f, "({})", Joined(&filters))
    }
}

/// Writes a test up to its value, which is returned.
fn operation<'a>(test: &'a Test, f: &mut Formatter<'_>) -> Result<Option<&'a str>, fmt::Error> {
    match test {
        Test::Compare(operator, value) => {
            write!(f, "{}.", operator.name())?;
            Ok(Some(value))
        }
        Test::Quantified(operator, quantifier, value) => {
            write!(f, "{}({}).", operator.name(), quantifier.name())?;
            Ok(Some(value))
        }
        Test::Search(search, language, value) => {
            f.write_str(search.name())?;
            if let Some(language) = language {
                write!(f, "({language})")?;
            }
            f.write_str(".")?;
            Ok(Some(value))
        }
        Test::Is(state) => {
            write!(f, "is.{}", state.name())?;
            Ok(None)
        }
        Test::In(values) => {
            f.write_str("in.(")?;
            for (index, value) in values.iter().enumerate() {
                f.write_str(if index == 0 { "" } else { "," })?;
                quoted(value, f)?;
            }
            f.write_str(")")?;
            Ok(None)
        }
    }
}

impl Display for Order {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.relation {
            Some(relation) => write!(f, "{}({})", Name(relation), self.field)?,
            None => self.field.fmt(f)?,
        }
        f.write_str(if self.descending { ".desc" } else { "" })?;
        match self.nulls {
            Some(nulls) => write!(f, ".{}", nulls.name()),
            None => Ok(()),
        }
    }
}

/// A name, in quotes if it needs them.
struct Name<'a>(&'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = self.0;
        let plain = !name.is_empty()
            && name.chars().all(is_plain)
            && name.trim() == name
            && !is_reserved(name)
            && name != "count"
            // An arrow begins with a hyphen.
            && !name.ends_with('-');
        match plain {
            true => f.write_str(name),
            false => quoted(name, f),
        }
    }
}

fn named(alias: Option<&str>, f: &mut Formatter<'_>) -> fmt::Result {
    match alias {
        Some(alias) => write!(f, "{}:", Name(alias)),
        None => Ok(()),
    }
}

fn cast(to: Option<&str>, f: &mut Formatter<'_>) -> fmt::Result {
    match to {
        Some(to) => write!(f, "::{to}"),
        None => Ok(()),
    }
}

fn related(name: &str, hint: Option<&str>, f: &mut Formatter<'_>) -> fmt::Result {
    Name(name).fmt(f)?;
    match hint {
        // In quotes, a hint is never taken for a join.
        Some(hint @ ("inner" | "left")) => {
            f.write_str("!")?;
            quoted(hint, f)
        }
        Some(hint) => write!(f, "!{}", Name(hint)),
        None => Ok(()),
    }
}

fn quoted(text: &str, f: &mut Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(character)?;
    }
    f.write_char('"')
}

struct Joined<'a, T>(&'a [T]);

impl<T: Display> Display for Joined<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            item.fmt(f)?;
        }
        Ok(())
    }
}
