//! Steps through the text of one parameter, and says where it went wrong.

use super::syntax::is_plain;
use crate::error::{Error, Kind};

/// How much of a text is repeated in an error.
const EXCERPT_CHARACTERS_MAX: usize = 60;

/// A place in the text of one parameter.
pub(super) struct Scanner<'a> {
    parameter: &'a str,
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(parameter: &'a str, text: &'a str) -> Self {
        Self {
            parameter,
            text,
            at: 0,
        }
    }

    /// What is left.
    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The same text, at the place where `rest` was what was left.
    pub(super) fn back_to(&self, rest: &str) -> Self {
        Self {
            at: self.text.len() - rest.len(),
            ..*self
        }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// Steps over `expected`, if that is what follows.
    pub(super) fn take(&mut self, expected: &str) -> bool {
        let found = self.rest().starts_with(expected);
        if found {
            self.at += expected.len();
        }
        found
    }

    /// Steps over characters for as long as they pass.
    pub(super) fn take_while(&mut self, passes: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|it| !passes(it)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// A column's name, in quotes or without.
    pub(super) fn name(&mut self) -> Result<String, Error> {
        if self.rest().starts_with('"') {
            return self.quoted();
        }
        let rest = self.rest();
        let mut length = 0;
        for (index, character) in rest.char_indices() {
            if !is_plain(character) || rest[index..].starts_with("->") {
                break;
            }
            length = index + character.len_utf8();
        }
        if length == 0 {
            return Err(self.expected("a column's name"));
        }
        self.at += length;
        Ok(rest[..length].to_owned())
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

    /// The error that something else should stand here.
    pub(super) fn expected(&self, what: &str) -> Error {
        let position = self.text[..self.at].chars().count() + 1;
        let parameter = excerpt(self.parameter);
        let found = match self.rest() {
            "" => "the end".to_owned(),
            rest => format!("{:?}", excerpt(rest)),
        };
        Error::new(
            Kind::QueryMalformed,
            format!("In {parameter:?} at character {position}: expected {what}, found {found}."),
        )
    }

    /// The error that what stands here is known, but not supported.
    pub(super) fn unsupported(&self, what: &str) -> Error {
        let parameter = excerpt(self.parameter);
        Error::new(
            Kind::NotSupported,
            format!("In {parameter:?}: {what} is not supported yet."),
        )
    }
}

/// The beginning of a text, for an error.
pub(super) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
