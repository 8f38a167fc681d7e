//! Content negotiation (RFC 9110 section 12.5.1): which of the media types that we have the caller
//! likes best.

use super::head::Head;
use crate::error::{Error, Kind, Result};
use http::header::ACCEPT;

/// The best of `offered` for the caller; of several that it likes equally, the one named first. No
/// `Accept` likes everything.
///
/// # Errors
/// `NotAcceptable` if it likes none.
pub(super) fn negotiate<T: Copy>(head: &Head, offered: &[(&str, T)]) -> Result<T> {
    let values = head.headers.get_all(ACCEPT).into_iter();
    let text: Vec<_> = values.filter_map(|it| it.to_str().ok()).collect();
    let ranges: Vec<Range<'_>> = text
        .iter()
        .flat_map(|it| it.split(','))
        .filter_map(Range::read)
        .collect();
    if ranges.is_empty() {
        return Ok(offered[0].1);
    }
    let mut best: Option<(u16, u8, T)> = None;
    for (media_type, value) in offered {
        // The most specific range that fits decides about a media type.
        let Some((specificity, quality)) = ranges
            .iter()
            .filter_map(|range| Some((range.fits(media_type)?, range.quality)))
            .max_by_key(|it| it.0)
        else {
            continue;
        };
        // A type that was named beats one that only a wildcard admits.
        if quality > 0 && best.is_none_or(|it| (quality, specificity) > (it.0, it.1)) {
            best = Some((quality, specificity, *value));
        }
    }
    best.map(|it| it.2).ok_or_else(|| {
        let known: Vec<_> = offered.iter().map(|it| it.0).collect();
        Error::new(
            Kind::NotAcceptable,
            format!("What can be had here is {}.", known.join(", ")),
        )
    })
}

struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// Thousandths.
    quality: u16,
}

impl<'a> Range<'a> {
    /// Reads a range; what cannot be read counts as absent.
    fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let quality = parts.find_map(|it| {
            let (name, value) = it.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case("q")
                .then_some(value.trim())
        });
        let quality = match quality {
            Some(text) => text
                .parse::<f32>()
                .ok()
                .filter(|it| (0.0..=1.0).contains(it))?,
            None => 1.0,
        };
        Some(Self {
            kind,
            subtype,
            quality: (quality * 1000.0) as u16,
        })
    }

    /// How specific this range is for a media type, if it fits.
    fn fits(&self, media_type: &str) -> Option<u8> {
        let (kind, subtype) = media_type.split_once('/')?;
        match (self.kind, self.subtype) {
            ("*", "*") => Some(0),
            (range, "*") => range.eq_ignore_ascii_case(kind).then_some(1),
            (range, sub) => {
                let fits = range.eq_ignore_ascii_case(kind) && sub.eq_ignore_ascii_case(subtype);
                fits.then_some(2)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue};

    fn choose(accept: &'static str) -> Option<char> {
        let mut headers = HeaderMap::new();
        if !accept.is_empty() {
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        let head = Head::of_get(headers);
        let offered = [
            ("application/json", 'j'),
            ("text/event-stream", 's'),
            ("application/x-ndjson", 'n'),
        ];
        negotiate(&head, &offered).ok()
    }

    #[test]
    fn the_best_is_chosen() {
        assert_eq!(choose(""), Some('j'));
        assert_eq!(choose("*/*"), Some('j'));
        assert_eq!(choose("text/event-stream"), Some('s'));
        assert_eq!(choose("Text/Event-Stream, */*"), Some('s'));
        assert_eq!(choose("application/*"), Some('j'));
        assert_eq!(
            choose("application/x-ndjson, application/json;q=0.5"),
            Some('n')
        );
        assert_eq!(choose("text/html, */*;q=0.1"), Some('j'));
        assert_eq!(choose("application/json;q=0, */*"), Some('s'));
        assert_eq!(choose("text/html"), None);
        assert_eq!(choose("nonsense"), Some('j'));
    }
}
