//! Rows without the members that are null, for whom would rather not be sent them.
//!
//! Reads JSON that we have written, or PostgreSQL has: it is well formed.

use bytes::Bytes;

/// Below so many levels, nulls stay.
const DEPTH_MAX: usize = 256;

/// The same JSON without the members of objects that are null; the elements of arrays stay.
pub fn nulls(json: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(json.len());
    value(json, 0, 0, &mut out);
    out.into()
}

/// Copies the value that begins at `at`, behind white space; says where it ends.
fn value(json: &[u8], at: usize, depth: usize, out: &mut Vec<u8>) -> usize {
    let at = space(json, at);
    match json.get(at) {
        Some(open @ (b'{' | b'[')) if depth < DEPTH_MAX => {
            let is_object = *open == b'{';
            out.push(*open);
            let mut at = space(json, at + 1);
            let mut first = true;
            while let Some(byte) = json.get(at) {
                if matches!(byte, b'}' | b']') {
                    out.push(*byte);
                    return at + 1;
                }
                let mut name = at..at;
                if is_object {
                    name.end = string(json, at);
                    at = space(json, space(json, name.end) + 1);
                }
                if is_object && json[at..].starts_with(b"null") {
                    at += 4;
                } else {
                    out.extend_from_slice(if first { b"" } else { b"," });
                    first = false;
                    out.extend_from_slice(&json[name]);
                    out.extend_from_slice(if is_object { b":" } else { b"" });
                    at = value(json, at, depth + 1, out);
                }
                at = space(json, at);
                if json.get(at) == Some(&b',') {
                    at = space(json, at + 1);
                }
            }
            at
        }
        Some(b'{' | b'[') => {
            let end = closed(json, at);
            out.extend_from_slice(&json[at..end]);
            end
        }
        Some(b'"') => {
            let end = string(json, at);
            out.extend_from_slice(&json[at..end]);
            end
        }
        _ => {
            let ends = |it: &u8| matches!(it, b',' | b'}' | b']') || it.is_ascii_whitespace();
            let length = json[at..].iter().position(ends);
            let end = length.map_or(json.len(), |length| at + length);
            out.extend_from_slice(&json[at..end]);
            end
        }
    }
}

/// Where white space ends.
fn space(json: &[u8], at: usize) -> usize {
    let rest = json.get(at..).unwrap_or_default();
    let length = rest.iter().position(|it| !it.is_ascii_whitespace());
    at.min(json.len()) + length.unwrap_or(rest.len())
}

/// Where the string that begins here ends.
fn string(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = json.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    json.len()
}

/// Where the object or array that begins here ends.
fn closed(json: &[u8], start: usize) -> usize {
    let mut open = 0;
    let mut at = start;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => {
                at = string(json, at);
                continue;
            }
            b'{' | b'[' => open += 1,
            b'}' | b']' => open -= 1,
            _ => {}
        }
        at += 1;
        if open == 0 {
            return at;
        }
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_are_null_go_and_elements_stay() {
        for (json, stripped) in [
            (r#"[{"a":null,"b":1},{}]"#, r#"[{"b":1},{}]"#),
            (r#"{"a":null}"#, "{}"),
            (
                r#"{"a": [null, 1], "b" : {"c": null, "d": "x,\"}null"} , "e":null}"#,
                r#"{"a":[null,1],"b":{"d":"x,\"}null"}}"#,
            ),
            (
                r#"{"nullable":"null","n":-1.5e3,"t":true}"#,
                r#"{"nullable":"null","n":-1.5e3,"t":true}"#,
            ),
            ("[]", "[]"),
            ("null", "null"),
        ] {
            assert_eq!(nulls(json.as_bytes()), stripped.as_bytes(), "{json}");
        }
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        assert_eq!(nulls(deep.as_bytes()), deep.as_bytes());
    }
}
