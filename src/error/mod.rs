//! The one error of rowcast: what kind it is, a detail for the caller, and the cause for the log.
//!
//! Knows no HTTP: `http` alone maps a [`Kind`] to a status. Each kind has a stable code and name,
//! documented in `docs/ERRORS.md`, which a test compares with the table of them.

mod kind;

pub use kind::Kind;
use std::{borrow::Cow, error::Error as StdError, fmt};

/// The result of everything in rowcast that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in what a caller may know of it.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    detail: Cow<'static, str>,
    hint: Option<Cow<'static, str>>,
    details: Option<Box<serde_json::Value>>,
    database: Option<Box<DatabaseFault>>,
    index: Option<usize>,
    words: Option<Box<Words>>,
    of_nobody: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The error in the words of PostgREST or PostgreSQL, where they refuse the same, for clients that
/// were written for them.
#[derive(Debug, Clone, Default)]
struct Words {
    code: Option<&'static str>,
    message: Option<String>,
}

/// What PostgreSQL said, in the fields of its error message
/// (PostgreSQL manual, "Error and Notice Message Fields").
#[derive(Debug, Clone, Default)]
pub struct DatabaseFault {
    /// The five characters of the SQLSTATE.
    pub sqlstate: String,
    /// The primary message.
    pub message: String,
    /// The secondary message, which may hold key values.
    pub details: Option<String>,
    /// The suggestion what to do.
    pub hint: Option<String>,
    /// The constraint that was violated.
    pub constraint: Option<String>,
    /// The HTTP status that the application chose for its own error (`raise sqlstate 'PT402'`, or
    /// PostgREST's `PGRST`).
    pub status: Option<u16>,
}

impl Error {
    /// An error of this kind; `detail` is one sentence that the caller may read, except for the
    /// kinds whose [`Kind::is_internal`] holds: theirs goes to the log only.
    pub fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            hint: None,
            details: None,
            database: None,
            index: None,
            words: None,
            of_nobody: false,
            source: None,
        }
    }

    /// A broken invariant or an unexpected failure: logged, never shown.
    pub fn internal(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Internal, detail)
    }

    /// A path and query beyond `bytes_max`.
    pub fn url_too_long(bytes_max: usize) -> Self {
        let detail = format!("A URL has at most {bytes_max} bytes.");
        Self::new(Kind::UrlTooLong, detail)
    }

    /// Adds what the caller can do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds another sentence to the detail.
    #[must_use]
    pub fn explained(mut self, sentence: &str) -> Self {
        self.detail.to_mut().push_str(sentence);
        self
    }

    /// Adds that the caller came without a token: whoever proves who they are may be allowed.
    #[must_use]
    pub fn of_nobody(mut self) -> Self {
        self.of_nobody = true;
        self
    }

    /// Whether a caller without a token is refused what another one may be allowed.
    pub fn wants_token(&self) -> bool {
        self.of_nobody && self.kind == Kind::PermissionDenied
    }

    /// Adds more than one sentence can say, in the shape that PostgREST gives it.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<serde_json::Value>) -> Self {
        self.details = Some(Box::new(details.into()));
        self
    }

    /// Adds which of several things failed, counted from 0.
    #[must_use]
    pub fn with_index(mut self, index: usize) -> Self {
        self.index = Some(index);
        self
    }

    /// Adds the cause, which goes to the log and never to a caller.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds the code that PostgREST's clients know the error by, where its kind does not tell.
    #[must_use]
    pub fn with_code(mut self, code: &'static str) -> Self {
        self.words.get_or_insert_default().code = Some(code);
        self
    }

    /// Adds the message that PostgREST's clients show.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.words.get_or_insert_default().message = Some(message.into());
        self
    }

    /// Adds what PostgreSQL said.
    #[must_use]
    pub fn with_database(mut self, fault: DatabaseFault) -> Self {
        self.database = Some(Box::new(fault));
        self
    }

    /// The kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// One sentence about this occurrence.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What the caller can do about it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// More than one sentence can say.
    pub fn details(&self) -> Option<&serde_json::Value> {
        self.details.as_deref()
    }

    /// What PostgreSQL said, if it was PostgreSQL that refused.
    pub fn database(&self) -> Option<&DatabaseFault> {
        self.database.as_deref()
    }

    /// Which of several things failed, counted from 0.
    pub fn index(&self) -> Option<usize> {
        self.index
    }

    /// The machine-readable code: the SQLSTATE where PostgreSQL refused, PostgREST's code where the
    /// same error exists there, else ours.
    pub fn code(&self) -> &str {
        let said = self.words.as_ref().and_then(|it| it.code);
        match &self.database {
            Some(fault) if !self.kind.is_internal() => &fault.sqlstate,
            _ => said.or(self.kind.postgrest()).unwrap_or(self.kind.code()),
        }
    }

    /// What PostgREST's clients show: PostgreSQL's or PostgREST's message, else the detail.
    pub fn message(&self) -> &str {
        let words = || self.words.as_ref()?.message.as_deref();
        let fault = self.database.as_ref().map(|it| it.message.as_str());
        fault.or_else(words).unwrap_or(&self.detail)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.detail)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
