//! The rules, as functions from a text to what is wrong with it.

mod documents;
mod imports;
mod source;
#[cfg(test)]
mod tests;

pub(crate) use documents::{idle_settings, undocumented_kinds, unexplained_dependencies};
pub(crate) use imports::{misplaced_libraries, orphans, upward_imports};
pub(crate) use source::{
    left_behind, leftover_words, missing_head, too_long, upper_case_sql, upper_case_sql_in_rust,
};

use proc_macro2::{TokenStream, TokenTree};

/// A file as Rust's own tokens, with groups opened and closed as tokens of their own, so that
/// sequences can be looked for. Comments are gone, texts are single tokens.
struct Tokens(Vec<String>);

impl Tokens {
    fn of(text: &str) -> Self {
        let mut tokens = Vec::new();
        flatten(
            text.parse().expect("the compiler reads it too"),
            &mut tokens,
        );
        Self(tokens)
    }

    /// Without what is compiled for tests only.
    fn without_tests(self) -> Self {
        let mut kept = Vec::new();
        let mut rest = self.0.as_slice();
        while let Some(token) = rest.first() {
            if rest
                .iter()
                .map(String::as_str)
                .take(7)
                .eq(["#", "[", "cfg", "(", "test", ")", "]"])
            {
                rest = &rest[7 + item_length(&rest[7..])..];
            } else {
                kept.push(token.clone());
                rest = &rest[1..];
            }
        }
        Self(kept)
    }

    /// The places after each occurrence of this sequence.
    fn after<'a>(&'a self, sequence: &'a [&str]) -> impl Iterator<Item = &'a [String]> {
        let windows = self.0.windows(sequence.len()).enumerate();
        windows
            .filter(move |(_, window)| window.iter().eq(sequence.iter()))
            .map(move |(at, _)| &self.0[at + sequence.len()..])
    }

    fn has(&self, sequence: &[&str]) -> bool {
        self.after(sequence).next().is_some()
    }
}

fn flatten(stream: TokenStream, tokens: &mut Vec<String>) {
    use proc_macro2::Delimiter::{Brace, Bracket, Parenthesis};
    for token in stream {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Brace => ("{", "}"),
                    Bracket => ("[", "]"),
                    Parenthesis => ("(", ")"),
                    proc_macro2::Delimiter::None => ("", ""),
                };
                tokens.push(open.to_owned());
                flatten(group.stream(), tokens);
                tokens.push(close.to_owned());
            }
            other => tokens.push(other.to_string()),
        }
    }
}

/// The length of the item at the beginning of these tokens: up to its `;`, or to the end of its
/// braces.
fn item_length(tokens: &[String]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && matches!(token.as_str(), ";" | "}") {
            return at + 1;
        }
    }
    tokens.len()
}
