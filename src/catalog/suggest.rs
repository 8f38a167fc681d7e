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

/// The name that resembles `name` most, by PostgREST's measure, which is wider than [`nearest`]'s: they
/// share three characters in a row, and at least a third of the longer one's characters stay as they
/// are. `None` if nothing does, or if the name itself is among them.
pub fn similar<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LENGTH_MAX {
        return None;
    }
    let wanted = name.to_lowercase();
    let grams = grams(&wanted);
    let mut best: Option<(usize, usize, &str)> = None;
    for it in names.into_iter().filter(|it| it.len() <= LENGTH_MAX) {
        let candidate = it.to_lowercase();
        if candidate == wanted {
            return None;
        }
        let longer = candidate.chars().count().max(wanted.chars().count());
        let same = longer - distance(&wanted, &candidate).min(longer);
        let shares = self::grams(&candidate).iter().any(|it| grams.contains(it));
        // 0.33, without fractions.
        if !shares || same * 100 < longer * 33 {
            continue;
        }
        if best.is_none_or(|(other, of, _)| same * of > other * longer) {
            best = Some((same, longer, it));
        }
    }
    best.map(|(_, _, it)| it)
}

/// All three characters that stand in a row in a name, its ends marked.
fn grams(name: &str) -> Vec<[char; 3]> {
    let letters = name.chars().filter(|it| it.is_alphanumeric());
    let marked: Vec<char> = std::iter::once('-')
        .chain(letters)
        .chain(std::iter::once('-'))
        .collect();
    marked.windows(3).map(|it| [it[0], it[1], it[2]]).collect()
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
    fn what_resembles_is_suggested() {
        let names = ["directors", "roles", "actors"];
        assert_eq!(similar("role", names), Some("roles"));
        assert_eq!(similar("actors", names), None);
        assert_eq!(similar("noclosealternative", names), None);
        assert_eq!(similar("director", names), Some("directors"));
    }

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
