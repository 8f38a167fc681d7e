//! In which shape a caller takes rows: the media types that PostgREST's clients ask for.

use super::head::Head;
use crate::{
    error::{Error, Kind, Result},
    wire::{csv, strip},
};
use bytes::Bytes;
use http::{HeaderValue, header::ACCEPT};

/// The shape of a body of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Media {
    /// One object, and not an array; any other number of rows than one is refused.
    pub(super) singular: bool,
    /// Members that are null are left out.
    pub(super) stripped: bool,
    /// Comma-separated values.
    pub(super) csv: bool,
    /// Named as PostgREST's own type of an array.
    named: bool,
}

impl Media {
    /// The shape that the caller likes best.
    ///
    /// # Errors
    /// `NotAcceptable` if it takes none that there is.
    pub(super) fn read(head: &Head) -> Result<Self> {
        let values = head.headers.get_all(ACCEPT).into_iter();
        let text: Vec<&str> = values.filter_map(|it| it.to_str().ok()).collect();
        let mut wanted: Vec<(u16, &str)> = text
            .iter()
            .flat_map(|it| it.split(','))
            .map(str::trim)
            .filter(|it| !it.is_empty())
            .map(|it| (quality(it), it))
            .filter(|(quality, _)| *quality > 0)
            .collect();
        // Of what it likes equally, the first.
        wanted.sort_by_key(|(quality, _)| std::cmp::Reverse(*quality));
        if wanted.is_empty() {
            return Ok(Self::default());
        }
        let found = wanted.iter().find_map(|(_, it)| Self::named(it));
        found.ok_or_else(|| {
            let names: Vec<&str> = wanted.iter().map(|(_, it)| *it).collect();
            let names = names.join(", ");
            Error::new(
                Kind::NotAcceptable,
                "What can be had here is application/json and text/csv.",
            )
            .with_message(format!("None of these media types are available: {names}"))
        })
    }

    /// The shape in which a write is answered. Whoever takes none that there is hears of the write
    /// nevertheless; one object that is named among others is meant, since it refuses more writes.
    pub(super) fn of_write(head: &Head) -> Self {
        let values = head.headers.get_all(ACCEPT).into_iter();
        let text = values.filter_map(|it| it.to_str().ok());
        let known = text
            .flat_map(|it| it.split(','))
            .filter_map(|it| Self::named(it.trim()));
        let known: Vec<Self> = known.collect();
        let single = known.iter().find(|it| it.singular);
        single.or(known.first()).copied().unwrap_or_default()
    }

    /// The body as it is wanted: without its nulls, or as another type.
    ///
    /// # Errors
    /// `Internal` if it is no JSON.
    pub(super) fn render(self, body: Bytes) -> Result<Bytes> {
        Ok(match (self.csv, self.stripped) {
            (true, _) if body.first() == Some(&b'[') => csv::from_rows(&body)?.into(),
            (true, _) => csv::from_rows(&[b"[", &*body, b"]"].concat())?.into(),
            (false, true) => strip::nulls(&body),
            (false, false) => body,
        })
    }

    /// Refuses what rows cannot come as on a channel.
    ///
    /// # Errors
    /// `NotAcceptable`
    pub(super) fn expect_events(self) -> Result<()> {
        match self.csv {
            false => Ok(()),
            true => Err(Error::new(
                Kind::NotAcceptable,
                "Rows come on a channel as JSON only; ask for text/csv without a Request-Id.",
            )
            .with_message("None of these media types are available: text/csv")),
        }
    }

    fn named(range: &str) -> Option<Self> {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next()?.to_ascii_lowercase();
        let stripped = parts.any(|it| it.eq_ignore_ascii_case("nulls=stripped"));
        match name.as_str() {
            "*/*" | "application/*" | "application/json" => Some(Self::default()),
            "application/vnd.pgrst.object" | "application/vnd.pgrst.object+json" => Some(Self {
                singular: true,
                stripped,
                ..Self::default()
            }),
            "text/csv" => Some(Self {
                csv: true,
                ..Self::default()
            }),
            "application/vnd.pgrst.array" | "application/vnd.pgrst.array+json" => Some(Self {
                singular: false,
                stripped,
                // Without nulls to strip it is plain JSON.
                named: stripped,
                csv: false,
            }),
            _ => None,
        }
    }

    /// The content type; PostgREST names the character set of JSON, which has only one.
    pub(super) fn content_type(self, as_postgrest: bool) -> HeaderValue {
        if self.csv {
            return HeaderValue::from_static("text/csv; charset=utf-8");
        }
        HeaderValue::from_static(match (self.singular, self.stripped, self.named) {
            (true, true, _) => "application/vnd.pgrst.object+json;nulls=stripped; charset=utf-8",
            (true, false, _) => "application/vnd.pgrst.object+json; charset=utf-8",
            (false, _, true) => "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8",
            (false, _, false) if as_postgrest => "application/json; charset=utf-8",
            (false, _, false) => "application/json",
        })
    }

    /// Refuses any number of rows that is not one, where one object is asked for.
    ///
    /// # Errors
    /// `NotSingular`
    pub(super) fn admits(self, rows: u64) -> Result<()> {
        match !self.singular || rows == 1 {
            true => Ok(()),
            false => Err(Error::new(
                Kind::NotSingular,
                format!("One row is asked for, and there are {rows}."),
            )
            .with_message("Cannot coerce the result to a single JSON object")
            .with_details(format!("The result contains {rows} rows"))),
        }
    }
}

/// How much a caller likes a media type, in thousandths.
fn quality(range: &str) -> u16 {
    let mut parts = range.split(';').skip(1).map(str::trim);
    let text = parts.find_map(|it| it.strip_prefix("q="));
    let quality = text.map_or(Some(1.0), |it| it.parse::<f32>().ok());
    (quality.unwrap_or(0.0).clamp(0.0, 1.0) * 1000.0) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    fn read(accept: &'static str) -> Result<Media> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        Media::read(&Head::of_get(headers))
    }

    #[test]
    fn the_shape_is_the_one_that_is_liked_best() {
        let object = "application/vnd.pgrst.object+json";
        assert!(read(object).unwrap().singular);
        assert!(
            read("text/html;q=0.9, application/vnd.pgrst.object")
                .unwrap()
                .singular
        );
        assert!(
            !read("application/json, application/vnd.pgrst.object+json")
                .unwrap()
                .singular
        );
        assert!(
            read("*/*;q=0.1, application/vnd.pgrst.object+json")
                .unwrap()
                .singular
        );
        let stripped = read("application/vnd.pgrst.array+json;nulls=stripped").unwrap();
        assert!(stripped.stripped && !stripped.singular);
        assert!(read("text/csv; version=1").unwrap().csv);
        assert_eq!(read("text/html, */*").unwrap(), Media::default());
        let refused = read("application/unicorn").unwrap_err();
        assert_eq!(refused.kind(), Kind::NotAcceptable);
        assert!(
            refused
                .message()
                .ends_with("available: application/unicorn")
        );
    }

    #[test]
    fn one_is_one() {
        let one = read("application/vnd.pgrst.object").unwrap();
        assert!(one.admits(1).is_ok() && one.admits(0).is_err() && one.admits(2).is_err());
        assert!(Media::default().admits(0).is_ok());
    }
}
