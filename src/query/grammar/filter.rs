//! The grammar of conditions.

use super::{DEPTH_MAX, items};
use crate::{
    error::Result,
    query::{
        parameters::Parameter,
        scanner::Scanner,
        syntax::{
            Field, Filter, Key, Logic, Operator, Quantifier, Search, State, Step, Test, Tree, Word,
        },
    },
};

/// What helps whoever forgot the operator.
const OPERATORS: &str =
    " Equality is written eq.value, as in id=eq.5; others are gt, in.(…), is.null, like.";

/// Reads a parameter that filters: the path to the rows that it is about, and the condition.
pub(super) fn parameter(parameter: &Parameter) -> Result<(Vec<String>, Filter)> {
    let Parameter { name, value } = parameter;
    let mut scanner = Scanner::new("a parameter's name", "tree path", name);
    let mut path = Vec::new();
    let column = loop {
        let part = scanner.name()?;
        if !scanner.take(".") {
            break part;
        }
        path.push(part);
    };
    let steps = steps(&mut scanner)?;
    scanner.end("a column's name")?;
    let field = Field {
        column,
        path: steps,
    };
    let mut scanner = Scanner::new(name, "filter", value);
    let filter = test(&mut scanner, field, &mut |scanner| {
        let rest = scanner.rest();
        scanner.take(rest);
        rest.to_owned()
    })?;
    scanner.end("the end")?;
    Ok((path, filter))
}

/// Reads `and(…)`, `or(…)`, `not.and(…)`, `not.or(…)` to the end.
pub(super) fn tree(scanner: &mut Scanner<'_>) -> Result<Tree> {
    let tree = branches(scanner, 0)?;
    scanner.end("the end")?;
    Ok(tree)
}

fn branches(scanner: &mut Scanner<'_>, depth: usize) -> Result<Tree> {
    if depth == DEPTH_MAX {
        return Err(scanner.expected("fewer parentheses"));
    }
    let negated = scanner.take("not.");
    let here = *scanner;
    let logic = Logic::named(scanner.word()).ok_or_else(|| here.expected("and or or"))?;
    scanner.skip_spaces();
    scanner.require("(", "(")?;
    scanner.skip_spaces();
    let filters = items(scanner, |scanner| {
        scanner.skip_spaces();
        let filter = branch(scanner, depth)?;
        scanner.skip_spaces();
        Ok(filter)
    })?;
    scanner.require(")", "a comma or a closing parenthesis")?;
    scanner.skip_spaces();
    Ok(Tree {
        negated,
        logic,
        filters,
    })
}

fn branch(scanner: &mut Scanner<'_>, depth: usize) -> Result<Filter> {
    if is_tree(*scanner) {
        return branches(scanner, depth + 1).map(Filter::Tree);
    }
    let here = *scanner;
    let Ok(field) = field(scanner) else {
        return Err(here.expected("a column's name, and or or"));
    };
    scanner.require(".", "a dot and an operator")?;
    test(scanner, field, &mut |scanner| {
        // An array's text has commas of its own.
        if scanner.sees("{") {
            let mut ahead = *scanner;
            let start = ahead.rest();
            ahead.take("{");
            ahead.take_while(|it| !matches!(it, '{' | '}'));
            if ahead.take("}") {
                *scanner = ahead;
                return start[..start.len() - ahead.rest().len()].to_owned();
            }
        }
        scanner.value()
    })
}

/// Whether conditions in parentheses follow, and not a column of such a name.
fn is_tree(mut scanner: Scanner<'_>) -> bool {
    scanner.take("not.");
    let logic = Logic::named(scanner.word());
    scanner.skip_spaces();
    logic.is_some() && scanner.sees("(")
}

/// `column->a->>b`
pub(super) fn field(scanner: &mut Scanner<'_>) -> Result<Field> {
    Ok(Field {
        column: scanner.name()?,
        path: steps(scanner)?,
    })
}

fn steps(scanner: &mut Scanner<'_>) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    loop {
        let text = scanner.take("->>");
        if !text && !scanner.take("->") {
            return Ok(steps);
        }
        if steps.len() == DEPTH_MAX {
            return Err(scanner.expected("a shorter path"));
        }
        let key = match element(*scanner) {
            Some((index, behind)) => {
                *scanner = behind;
                Key::Element(index)
            }
            None if minus(*scanner) => return Err(scanner.expected("an element's index")),
            None => Key::Member(scanner.key()?),
        };
        steps.push(Step { text, key });
    }
}

/// Whether an index below zero begins here that has no digits.
fn minus(mut scanner: Scanner<'_>) -> bool {
    scanner.take("-") && scanner.take_while(|it| it.is_ascii_digit()).is_empty()
}

/// The index of an array's element, if one stands here.
fn element(mut scanner: Scanner<'_>) -> Option<(i32, Scanner<'_>)> {
    let start = scanner.rest();
    scanner.take("-");
    scanner.take_while(|it| it.is_ascii_digit());
    let text = &start[..start.len() - scanner.rest().len()];
    let ends = ["->", "::", ".", ",", ")"];
    let ended = scanner.is_at_end() || ends.iter().any(|it| scanner.sees(it));
    Some((text.parse().ok().filter(|_| ended)?, scanner))
}

/// Reads an operator and what it compares with, which `value` reads.
fn test<'a>(
    scanner: &mut Scanner<'a>,
    field: Field,
    value: &mut dyn FnMut(&mut Scanner<'a>) -> String,
) -> Result<Filter> {
    let negated = scanner.take("not.");
    let here = *scanner;
    let word = scanner.take_while(|it| it.is_ascii_alphanumeric() || it == '_');
    let unknown = || {
        let what = match negated {
            true => "operator (eq, gt, ...)",
            false => "\"not\" or operator (eq, gt, ...)",
        };
        here.expected(what).explained(OPERATORS)
    };
    let test = match word {
        "in" if scanner.take(".") => Test::In(list(scanner)?),
        "is" if scanner.take(".") => {
            let here = *scanner;
            let word = scanner.take_while(|it| it.is_ascii_alphabetic() || it == '_');
            let state = State::named(&word.to_ascii_lowercase());
            Test::Is(state.ok_or_else(|| here.expected("null, not_null, true, false or unknown"))?)
        }
        _ => match (Operator::named(word), Search::named(word)) {
            (Some(operator), _) => {
                let quantifier = match scanner.take("(") {
                    true if operator.is_quantifiable() => {
                        let here = *scanner;
                        let quantifier = Quantifier::named(scanner.word());
                        let quantifier = quantifier.ok_or_else(|| here.expected("any or all"))?;
                        scanner.require(")", "a closing parenthesis")?;
                        Some(quantifier)
                    }
                    true => return Err(unknown()),
                    false => None,
                };
                if !scanner.take(".") {
                    return Err(unknown());
                }
                match quantifier {
                    Some(it) => Test::Quantified(operator, it, value(scanner)),
                    None => Test::Compare(operator, value(scanner)),
                }
            }
            (None, Some(search)) => {
                let language = match scanner.take("(") {
                    true => {
                        let language = scanner.identifier("a language")?;
                        scanner.require(")", "a closing parenthesis")?;
                        Some(language)
                    }
                    false => None,
                };
                if !scanner.take(".") {
                    return Err(unknown());
                }
                Test::Search(search, language, value(scanner))
            }
            (None, None) => return Err(unknown()),
        },
    };
    Ok(match negated {
        true => Filter::Not(field, test),
        false => Filter::Test(field, test),
    })
}

/// `(a,b,"c,d")`
fn list(scanner: &mut Scanner<'_>) -> Result<Vec<String>> {
    scanner.skip_spaces();
    scanner.require("(", "a list in parentheses")?;
    let mut values = Vec::new();
    scanner.skip_spaces();
    if !scanner.take(")") {
        loop {
            values.push(scanner.value());
            if scanner.take(")") {
                break;
            }
            scanner.require(",", "a comma or a closing parenthesis")?;
        }
    }
    scanner.skip_spaces();
    Ok(values)
}
