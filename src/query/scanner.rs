//! Steps through the text of one parameter, and says where it went wrong.

use super::syntax::{is_plain, is_plain_key};
use crate::error::{Error, Kind};

/// How much of a text is repeated in an error.
const EXCERPT_CHARACTERS_MAX: usize = 60;

/// A place in the text of one parameter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scanner<'a> {
    parameter: &'a str,
    /// What the text is, in PostgREST's words.
    kind: &'static str,
    text: &'a str,
    /// The text as the caller wrote it, where more was put before it.
    shown: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    /// The beginning of a text, which is a `kind` and belongs to a parameter.
    pub(super) fn new(parameter: &'a str, kind: &'static str, text: &'a str) -> Self {
        Self {
            parameter,
            kind,
            text,
            shown: text,
            at: 0,
        }
    }

    /// The same, of which errors show this text only.
    pub(super) fn showing(self, shown: &'a str) -> Self {
        Self { shown, ..self }
    }

    /// What is left.
    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// Whether `text` is what follows.
    pub(super) fn sees(&self, text: &str) -> bool {
        self.rest().starts_with(text)
    }

    /// Steps over `expected`, if that is what follows.
    pub(super) fn take(&mut self, expected: &str) -> bool {
        let found = self.sees(expected);
        if found {
            self.at += expected.len();
        }
        found
    }

    /// Steps over `expected`.
    pub(super) fn require(&mut self, expected: &str, what: &str) -> Result<(), Error> {
        match self.take(expected) {
            true => Ok(()),
            false => Err(self.expected(what)),
        }
    }

    /// Nothing may follow.
    pub(super) fn end(&self, what: &str) -> Result<(), Error> {
        match self.is_at_end() {
            true => Ok(()),
            false => Err(self.expected(what)),
        }
    }

    /// Steps over characters for as long as they pass.
    pub(super) fn take_while(&mut self, passes: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|it| !passes(it)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// Steps over spaces.
    pub(super) fn skip_spaces(&mut self) {
        self.take_while(|it| it == ' ');
    }

    /// Steps over a word of lower-case letters.
    pub(super) fn word(&mut self) -> &'a str {
        self.take_while(|it| it.is_ascii_lowercase())
    }

    /// A column's name, in quotes or without.
    pub(super) fn name(&mut self) -> Result<String, Error> {
        self.unquoted_or_quoted(is_plain, "a column's name")
    }

    /// A key in a JSON value, in quotes or without.
    pub(super) fn key(&mut self) -> Result<String, Error> {
        self.unquoted_or_quoted(is_plain_key, "a key")
    }

    /// The name of a type or a language: never quoted, so that it needs no care.
    pub(super) fn identifier(&mut self, what: &str) -> Result<String, Error> {
        let here = *self;
        let text = self.take_while(|it| it.is_alphanumeric() || matches!(it, '_' | ' ' | '$'));
        match text.trim_matches(' ') {
            "" => Err(here.expected(what)),
            name => Ok(name.to_owned()),
        }
    }

    fn unquoted_or_quoted(
        &mut self,
        passes: impl Fn(char) -> bool,
        what: &str,
    ) -> Result<String, Error> {
        let here = *self;
        self.skip_spaces();
        if self.sees("\"") {
            let text = self.quoted()?;
            self.skip_spaces();
            return Ok(text);
        }
        let rest = self.rest();
        let mut length = 0;
        for (index, character) in rest.char_indices() {
            if !passes(character) || rest[index..].starts_with("->") {
                break;
            }
            length = index + character.len_utf8();
        }
        self.at += length;
        match rest[..length].trim_matches(' ') {
            "" => Err(here.expected(what)),
            name => Ok(name.to_owned()),
        }
    }

    /// A text in double quotes, in which a backslash makes the next character literal.
    pub(super) fn quoted(&mut self) -> Result<String, Error> {
        let start = self.at;
        let mut text = String::new();
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((index, character)) = characters.next() {
            match character {
                '"' => {
                    self.at = start + index + 1;
                    return Ok(text);
                }
                '\\' => match characters.next() {
                    Some((_, escaped)) => text.push(escaped),
                    None => break,
                },
                _ => text.push(character),
            }
        }
        self.at = self.text.len();
        Err(self.expected("a closing quote"))
    }

    /// One value among others: up to a comma or a parenthesis, unless it is in quotes.
    pub(super) fn value(&mut self) -> String {
        if self.sees("\"") {
            let mut ahead = *self;
            if let Ok(text) = ahead.quoted()
                && (ahead.is_at_end() || ahead.sees(",") || ahead.sees(")"))
            {
                *self = ahead;
                return text;
            }
        }
        self.take_while(|it| !matches!(it, ',' | ')')).to_owned()
    }

    /// The error that something else should stand here.
    pub(super) fn expected(&self, what: &str) -> Error {
        let position = self.text[..self.at].chars().count() + 1;
        let parameter = excerpt(self.parameter);
        let found = match self.rest() {
            "" => "the end".to_owned(),
            rest => format!("{:?}", excerpt(rest)),
        };
        let unexpected = match self.rest().chars().next() {
            None => "end of input".to_owned(),
            Some(character) => format!("{:?}", character.to_string()),
        };
        Error::new(
            Kind::QueryMalformed,
            format!("In {parameter:?} at character {position}: expected {what}, found {found}."),
        )
        .with_message(format!(
            "\"failed to parse {} ({})\" (line 1, column {position})",
            self.kind, self.shown
        ))
        .with_details(format!("unexpected {unexpected} expecting {}", named(what)))
    }
}

/// What is expected, in PostgREST's words where it has some.
fn named(what: &str) -> &str {
    match what {
        "a column's name" => "field name (* or [a..z0..9_$])",
        "a column's name, and or or" => {
            "field name (* or [a..z0..9_$]), negation operator (not) or logic operator (and, or)"
        }
        what => what,
    }
}

/// The beginning of a text, for an error.
pub(super) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
