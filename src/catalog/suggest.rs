//! The nearest of some names, for hints in errors. Knows nothing of what the names stand for.

/// How long a name may be that is compared: names in PostgreSQL have at most 63 bytes, and the cost
/// grows with the product of the lengths.
const LENGTH_MAX: usize = 80;

/// The name that differs least from `name`, if one is near enough to have been meant.
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LENGTH_MAX {
        return None;
    }
    let wanted = name.to_lowercase();
    let limit = wanted.chars().count().div_ceil(3);
    names
        .into_iter()
        .filter(|it| it.len() <= LENGTH_MAX)
        .map(|it| (distance(&wanted, &it.to_lowercase()), it))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, it)| it)
}

/// Levenshtein's distance: how many characters to insert, delete or replace.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, wanted) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, found) in to.iter().enumerate() {
            let above = row[column + 1];
            row[column + 1] = (diagonal + usize::from(wanted != *found))
                .min(above + 1)
                .min(row[column] + 1);
            diagonal = above;
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let names = ["status", "subject", "organization_id", "createdAt"];
        for (name, expected) in [
            ("statsu", Some("status")),
            ("Subject", Some("subject")),
            ("organisation_id", Some("organization_id")),
            ("created_at", Some("createdAt")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, names), expected, "{name}");
        }
    }
}
