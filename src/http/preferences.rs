//! The `Prefer` header (RFC 7240): what a caller would like, in PostgREST's words.
//!
//! Preferences that nobody knows, or that cannot be followed, are ignored, as the RFC asks; with
//! `handling=strict` they are refused. Which ones were followed says `Preference-Applied`, in
//! PostgREST's order.

use super::{
    head::Head,
    reply::{PREFER, PREFERENCE_APPLIED, put},
};
use crate::{
    error::{Error, Kind, Result},
    query::Counting,
};
use http::HeaderMap;

/// What a caller would like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Preferences {
    /// `respond-async`.
    pub(super) respond_async: bool,
    /// `resolution=`: what becomes of a new row whose key exists.
    pub(super) resolution: Option<Resolution>,
    /// `missing=`: what a column gets that a row of a body does not name.
    pub(super) missing: Option<Missing>,
    /// `return=`: what a write answers.
    pub(super) answer: Option<Return>,
    /// `count=`: how many rows there are, beside those of the answer.
    pub(super) count: Option<Count>,
    /// `tx=`: what becomes of the transaction.
    pub(super) transaction: Option<Transaction>,
    /// `handling=`: what becomes of preferences that cannot be followed.
    pub(super) handling: Option<Handling>,
    /// `timezone=`: in which time zone a read shows times.
    pub(super) time_zone: Option<String>,
    /// `max-affected=`: how many rows a write may change.
    pub(super) max_affected: Option<u64>,
}

/// Declares the values of a preference by their words.
macro_rules! preference {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// The whole preference, name and value.
            pub(super) fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            fn named(text: &str) -> Option<Self> {
                match text { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

preference! {
    /// What becomes of a new row whose key exists.
    Resolution {
        /// The row that is there takes the new values.
        Merge = "resolution=merge-duplicates",
        /// The row that is there stays.
        Ignore = "resolution=ignore-duplicates",
    }
}

preference! {
    /// What a column gets that a row of a body does not name.
    Missing {
        /// Its default.
        Default = "missing=default",
        /// Null.
        Null = "missing=null",
    }
}

preference! {
    /// What a write answers.
    Return {
        /// The rows, always as an array.
        Representation = "return=representation",
        /// Of a single new row, where it is.
        HeadersOnly = "return=headers-only",
        /// Nothing.
        Minimal = "return=minimal",
    }
}

preference! {
    /// How rows are counted.
    Count {
        /// One by one.
        Exact = "count=exact",
        /// As PostgreSQL's planner guesses.
        Planned = "count=planned",
        /// The planner's guess if it is large, else one by one.
        Estimated = "count=estimated",
    }
}

preference! {
    /// What becomes of the transaction.
    Transaction {
        /// It lasts.
        Commit = "tx=commit",
        /// It is undone once the answer is known.
        Rollback = "tx=rollback",
    }
}

preference! {
    /// What becomes of preferences that cannot be followed.
    Handling {
        /// The request is refused.
        Strict = "handling=strict",
        /// They are passed over.
        Lenient = "handling=lenient",
    }
}

/// The preferences that an answer may have followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Followed {
    /// By a read or the call of a function.
    Read,
    /// By a `POST` that makes rows; whether there was a key in which they could collide.
    Create { keyed: bool },
    /// By a `PATCH`.
    Update,
    /// By a `PUT`.
    Replace,
    /// By a `DELETE`.
    Delete,
}

impl Preferences {
    /// Reads all `Prefer` headers together; of a preference that stands twice, the first counts.
    ///
    /// # Errors
    /// `HeaderMalformed` for what is no visible ASCII; `PreferenceInvalid` with `handling=strict` for
    /// preferences that cannot be followed.
    pub(super) fn read(head: &Head) -> Result<Self> {
        let (mut preferences, mut unknown) = Self::gather(head)?;
        if let Some(zone) = preferences.time_zone.take() {
            unknown.push(format!("timezone={zone}"));
        }
        preferences.judge(&unknown)
    }

    /// The same for a read that is answered at once, which can show times in a time zone. Whether there
    /// is such a zone is yet to be asked.
    ///
    /// # Errors
    /// As [`Preferences::read`].
    pub(super) fn of_read(head: &Head) -> Result<Self> {
        let (preferences, unknown) = Self::gather(head)?;
        preferences.judge(&unknown)
    }

    /// The same, the time zone aside: it is none, or cannot be followed.
    ///
    /// # Errors
    /// `PreferenceInvalid` with `handling=strict`.
    pub(super) fn without_time_zone(mut self) -> Result<Self> {
        let zone = self.time_zone.take().unwrap_or_default();
        self.judge(&[format!("timezone={zone}")])
    }

    /// All that is said, and what of it nobody knows.
    fn gather(head: &Head) -> Result<(Self, Vec<String>)> {
        let mut preferences = Self::default();
        let mut unknown = Vec::new();
        for value in head.headers.get_all(PREFER) {
            let text = value
                .to_str()
                .map_err(|_| Error::new(Kind::HeaderMalformed, "Prefer is not visible ASCII."))?;
            for preference in text.split(',') {
                // Parameters of a preference (after `;`) say nothing here.
                let preference = preference.split(';').next().unwrap_or_default().trim();
                if !preference.is_empty() && !preferences.take(preference) {
                    unknown.push(preference.to_owned());
                }
            }
        }
        Ok((preferences, unknown))
    }

    /// Refuses what nobody knows if handling is strict.
    fn judge(self, unknown: &[String]) -> Result<Self> {
        if unknown.is_empty() || self.handling != Some(Handling::Strict) {
            return Ok(self);
        }
        let unknown = format!("Invalid preferences: {}", unknown.join(", "));
        let detail =
            format!("Handling is strict, and there are preferences that are not known. {unknown}");
        Err(Error::new(Kind::PreferenceInvalid, detail)
            .with_message("Invalid preferences given with handling=strict")
            .with_details(unknown))
    }

    /// Takes one preference up; `false` if it cannot be followed.
    fn take(&mut self, preference: &str) -> bool {
        fn first<T>(field: &mut Option<T>, value: Option<T>) -> bool {
            let known = value.is_some();
            if let Some(value) = value {
                field.get_or_insert(value);
            }
            known
        }
        let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
        let name = name.trim().to_ascii_lowercase();
        let value = value.trim().trim_matches('"');
        let word = format!("{name}={value}");
        match (&*name, value) {
            ("respond-async", _) => self.respond_async = true,
            // What these ask for is what happens anyway; the wait is the server's to choose.
            ("count", "none") | ("wait", _) => {}
            ("resolution", _) => return first(&mut self.resolution, Resolution::named(&word)),
            ("missing", _) => return first(&mut self.missing, Missing::named(&word)),
            ("return", _) => return first(&mut self.answer, Return::named(&word)),
            ("count", _) => return first(&mut self.count, Count::named(&word)),
            ("tx", _) => return first(&mut self.transaction, Transaction::named(&word)),
            ("handling", _) => return first(&mut self.handling, Handling::named(&word)),
            ("timezone", "") => return false,
            ("timezone", zone) => {
                self.time_zone.get_or_insert_with(|| zone.to_owned());
            }
            ("max-affected", _) => return first(&mut self.max_affected, value.parse().ok()),
            _ => return false,
        }
        true
    }

    /// Refuses more rows than a strict caller allows a function to give.
    ///
    /// # Errors
    /// `TooManyAffected`
    pub(super) fn admits(&self, rows: u64) -> Result<()> {
        let strict = self.handling == Some(Handling::Strict);
        match self.max_affected.filter(|it| strict && rows > *it) {
            None => Ok(()),
            Some(most) => Err(Error::new(
                Kind::TooManyAffected,
                format!("At most {most} rows are allowed, and there are {rows}."),
            )
            .with_message("Query result exceeds max-affected preference constraint")
            .with_details(format!("The query affects {rows} rows"))),
        }
    }

    /// Whether the answer tells how many rows there are (PostgREST tells no planner's guess of rows
    /// that were written).
    pub(super) fn counts(&self) -> bool {
        matches!(self.count, Some(Count::Exact | Count::Estimated))
    }

    /// How the rows of a list are counted.
    pub(super) fn counting(&self) -> Option<Counting> {
        self.count.map(|it| match it {
            Count::Exact => Counting::Exact,
            Count::Planned => Counting::Planned,
            Count::Estimated => Counting::Estimated,
        })
    }

    /// Says which preferences were followed, if any were.
    pub(super) fn put_applied(&self, headers: &mut HeaderMap, by: Followed) {
        let create = matches!(by, Followed::Create { .. });
        let resolution = self
            .resolution
            .filter(|_| by == Followed::Create { keyed: true });
        let missing = self.missing.filter(|_| create || by == Followed::Update);
        let answer = self.answer.filter(|_| by != Followed::Read);
        let strict = self.handling == Some(Handling::Strict);
        let bounded = matches!(by, Followed::Update | Followed::Delete | Followed::Read) && strict;
        let max_affected = self.max_affected.filter(|_| bounded);
        let words = [
            resolution.map(Resolution::word),
            missing.map(Missing::word),
            answer.map(Return::word),
            self.count.map(Count::word),
            self.transaction.map(Transaction::word),
            self.handling.map(Handling::word),
        ];
        let words = words.into_iter().flatten().map(str::to_owned);
        let all: Vec<String> = words
            .chain(self.time_zone.iter().map(|it| format!("timezone={it}")))
            .chain(max_affected.map(|it| format!("max-affected={it}")))
            .collect();
        if !all.is_empty() {
            put(headers, PREFERENCE_APPLIED, &all.join(", "));
        }
    }
}

/// Says that the answer comes on a channel, as it was asked to.
pub(super) fn put_respond_async(headers: &mut HeaderMap) {
    put(headers, PREFERENCE_APPLIED, "respond-async");
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(values: &[&'static str]) -> Result<Preferences> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(PREFER, HeaderValue::from_static(value));
        }
        Preferences::read(&Head::of_get(headers))
    }

    fn applied(values: &[&'static str], by: Followed) -> String {
        let mut headers = HeaderMap::new();
        read(values).unwrap().put_applied(&mut headers, by);
        let value = headers.get(PREFERENCE_APPLIED);
        value.map_or_else(String::new, |it| it.to_str().unwrap().to_owned())
    }

    #[test]
    fn preferences_are_read_together() {
        assert_eq!(read(&[]).unwrap(), Preferences::default());
        let both = read(&["Respond-Async, wait=10", "return=\"minimal\"; x=1"]).unwrap();
        assert!(both.respond_async);
        assert_eq!(both.answer, Some(Return::Minimal));
        let first = read(&["return=representation, return=minimal"]).unwrap();
        assert_eq!(first.answer, Some(Return::Representation));
        let bounded = read(&["max-affected=12,count=exact"]).unwrap();
        assert_eq!(bounded.max_affected, Some(12));
        assert!(bounded.counts() && !read(&["count=planned"]).unwrap().counts());
    }

    #[test]
    fn what_cannot_be_followed_is_ignored_or_refused() {
        assert!(read(&["colour=blue, handling=lenient, return=all"]).is_ok());
        let strict = read(&[
            "handling=strict, colour=blue",
            "timezone=Mars, return=minimal",
        ]);
        let strict = strict.unwrap_err();
        assert_eq!(strict.kind(), Kind::PreferenceInvalid);
        assert_eq!(strict.code(), "PGRST122");
        assert_eq!(
            strict.details(),
            Some(&"Invalid preferences: colour=blue, timezone=Mars".into())
        );
    }

    #[test]
    fn what_was_followed_is_said_in_the_order_of_postgrest() {
        let all = &[
            "max-affected=3, handling=strict, tx=commit, count=exact, return=minimal",
            "missing=default, resolution=ignore-duplicates",
        ];
        assert_eq!(
            applied(all, Followed::Create { keyed: true }),
            "resolution=ignore-duplicates, missing=default, return=minimal, count=exact, tx=commit, \
             handling=strict"
        );
        assert_eq!(
            applied(all, Followed::Delete),
            "return=minimal, count=exact, tx=commit, handling=strict, max-affected=3"
        );
        assert_eq!(
            applied(&["handling=lenient, max-affected=3"], Followed::Update),
            "handling=lenient"
        );
        assert_eq!(applied(&["return=minimal"], Followed::Read), "");
    }
}
