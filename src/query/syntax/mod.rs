//! What a query says, before anybody knows whether it makes sense: the syntax tree.
//!
//! The grammar is PostgREST's, with what rowcast adds. Printing a tree gives a query string that reads
//! back as the same tree. Knows no catalog.

mod print;

/// A whole query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Syntax {
    /// `select`; `None`: not said. Empty: rows without columns.
    pub(crate) select: Option<Vec<Term>>,
    /// What is said of the rows of the resource itself.
    pub(crate) rows: Rows,
    /// What is said of embedded rows, `messages.order=…`, once for each path, in the order in which
    /// the paths were first named.
    pub(crate) embedded: Vec<Embedded>,
    /// `columns`: of a body, only these are written.
    pub(crate) columns: Option<Vec<String>>,
    /// `on_conflict`: what a new row may collide in.
    pub(crate) on_conflict: Option<Vec<String>>,
    /// `include`: related rows, flat.
    pub(crate) include: Vec<Include>,
    /// `after`: the token at which the page before ended.
    pub(crate) after: Option<String>,
    /// `modified_since`: a cursor or a time.
    pub(crate) modified_since: Option<String>,
}

/// Which rows, and in which order: of the resource, or of an embedded one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    /// All of these hold.
    pub(crate) filters: Vec<Filter>,
    /// `order`, the most significant first.
    pub(crate) order: Vec<Order>,
    /// `limit`, in rows.
    pub(crate) limit: Option<u64>,
    /// `offset`, in rows.
    pub(crate) offset: Option<u64>,
}

/// What is said of embedded rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Embedded {
    /// From the resource to them: each the alias or the name of an embedding. Never empty.
    pub(crate) path: Vec<String>,
    pub(crate) rows: Rows,
}

/// An item of `select`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Term {
    /// `*`: every column that the caller may read.
    All,
    /// `alias:field::cast.aggregate()::cast`
    Field(Selected),
    /// `alias:count()::cast`: how many rows.
    Count {
        alias: Option<String>,
        cast: Option<String>,
    },
    /// `alias:name!hint!inner(…)` or `...name!hint(…)`.
    Embed(Embed),
}

/// A value of a row that is selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selected {
    pub(crate) alias: Option<String>,
    pub(crate) field: Field,
    /// The type that the value is cast to, before it is aggregated.
    pub(crate) cast: Option<String>,
    pub(crate) aggregate: Option<Aggregate>,
    /// The type that the aggregate is cast to.
    pub(crate) aggregate_cast: Option<String>,
}

/// Functions over all values of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aggregate {
    Sum,
    Avg,
    Count,
    Max,
    Min,
}

/// Related rows inside of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Embed {
    /// `...`: the columns of the related row stand among those of this one.
    pub(crate) spread: bool,
    /// Never with `spread`.
    pub(crate) alias: Option<String>,
    /// A resource, a foreign key's column, or a constraint.
    pub(crate) name: String,
    /// Which of several relations is meant: a constraint, a column, or a join table.
    pub(crate) hint: Option<String>,
    pub(crate) join: Option<Join>,
    pub(crate) select: Vec<Term>,
}

/// What becomes of rows without related rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Join {
    /// They do not appear.
    Inner,
    /// They appear, which is what happens anyway.
    Left,
}

/// An item of `include`: `name!hint(…)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Include {
    /// As in [`Embed`].
    pub(crate) name: String,
    /// As in [`Embed`].
    pub(crate) hint: Option<String>,
    /// What is included of the included rows.
    pub(crate) include: Vec<Include>,
}

/// Something in a row that can be compared and ordered by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Field {
    /// The column; in a filter it may be an embedding, which is null or not.
    pub(crate) column: String,
    /// The way into its JSON value.
    pub(crate) path: Vec<Step>,
}

/// A step into a JSON value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Step {
    /// `->>`: what is found is text; `->`: it is JSON.
    pub(crate) text: bool,
    pub(crate) key: Key,
}

/// Where a step leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// The member of an object.
    Member(String),
    /// The element of an array, from its end if negative.
    Element(i32),
}

/// A condition on a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Filter {
    /// One field passes a test.
    Test(Field, Test),
    /// One field does not pass a test: `not.`
    Not(Field, Test),
    /// Several conditions together.
    Tree(Tree),
}

/// `and(…)`, `or(…)`, `not.and(…)`, `not.or(…)`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tree {
    pub(crate) negated: bool,
    pub(crate) logic: Logic,
    /// Never empty.
    pub(crate) filters: Vec<Filter>,
}

/// How conditions go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logic {
    And,
    Or,
}

/// What a field is tested for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Test {
    /// `eq.value` and the like.
    Compare(Operator, String),
    /// `eq(any).{…}`, `like(all).{…}` and the like; the text is that of an array.
    Quantified(Operator, Quantifier, String),
    /// `in.(…)`
    In(Vec<String>),
    /// `is.`
    Is(State),
    /// `fts(language).words`
    Search(Search, Option<String>, String),
}

/// The operators that take one value, by PostgREST's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operator {
    Eq,
    Neq,
    Gt,
    Gte,
    Lt,
    Lte,
    Like,
    Ilike,
    Match,
    Imatch,
    IsDistinct,
    /// Contains.
    Cs,
    /// Is contained in.
    Cd,
    /// Overlaps.
    Ov,
    /// Is strictly left of.
    Sl,
    /// Is strictly right of.
    Sr,
    /// Does not extend to the right of.
    Nxr,
    /// Does not extend to the left of.
    Nxl,
    /// Is adjacent to.
    Adj,
}

/// Whether one of several values has to pass, or each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Quantifier {
    Any,
    All,
}

/// How the words of a full text search are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Search {
    /// `to_tsquery`
    Fts,
    /// `plainto_tsquery`
    Plfts,
    /// `phraseto_tsquery`
    Phfts,
    /// `websearch_to_tsquery`
    Wfts,
}

/// The operands of `is.`, PostgREST's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum State {
    Null,
    NotNull,
    True,
    False,
    Unknown,
}

/// An item of `order`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    /// The embedding, to one row, whose field it is: `contacts(name)`.
    pub(crate) relation: Option<String>,
    pub(crate) field: Field,
    pub(crate) descending: bool,
    /// Where nulls go; `None`: where PostgreSQL puts them, last when ascending.
    pub(crate) nulls: Option<Nulls>,
}

/// Where nulls stand in an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Nulls {
    First,
    Last,
}

/// Things that have one word each in the grammar.
pub(super) trait Word: Copy + PartialEq + 'static {
    /// All of them with their words.
    const ALL: &'static [(&'static str, Self)];

    /// What a word stands for.
    fn named(word: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(name, _)| *name == word);
        found.map(|(_, it)| *it)
    }

    /// Its word.
    fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, it)| *it == self);
        found.expect("everything has its word").0
    }
}

macro_rules! words {
    ($($kind:ident { $($word:literal => $variant:ident),+ $(,)? })+) => {
        $(impl Word for $kind {
            const ALL: &'static [(&'static str, Self)] = &[$(($word, Self::$variant)),+];
        })+
    };
}

words! {
    Operator {
        "eq" => Eq, "neq" => Neq, "gt" => Gt, "gte" => Gte, "lt" => Lt, "lte" => Lte,
        "like" => Like, "ilike" => Ilike, "match" => Match, "imatch" => Imatch,
        "isdistinct" => IsDistinct, "cs" => Cs, "cd" => Cd, "ov" => Ov, "sl" => Sl, "sr" => Sr,
        "nxr" => Nxr, "nxl" => Nxl, "adj" => Adj,
    }
    Quantifier { "any" => Any, "all" => All }
    Search { "fts" => Fts, "plfts" => Plfts, "phfts" => Phfts, "wfts" => Wfts }
    State {
        "null" => Null, "not_null" => NotNull, "true" => True, "false" => False,
        "unknown" => Unknown,
    }
    Aggregate { "sum" => Sum, "avg" => Avg, "count" => Count, "max" => Max, "min" => Min }
    Logic { "and" => And, "or" => Or }
    Join { "inner" => Inner, "left" => Left }
    Nulls { "nullsfirst" => First, "nullslast" => Last }
}

impl Operator {
    /// Whether `any` and `all` may modify it.
    pub(super) fn is_quantifiable(self) -> bool {
        matches!(
            self,
            Self::Eq
                | Self::Gt
                | Self::Gte
                | Self::Lt
                | Self::Lte
                | Self::Like
                | Self::Ilike
                | Self::Match
                | Self::Imatch
        )
    }
}

impl Rows {
    /// Whether nothing is said.
    #[cfg_attr(not(test), allow(dead_code, reason = "embedding asks"))]
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Syntax {
    /// What is said of the rows at this path; the empty one is the resource itself.
    pub(super) fn rows_at(&mut self, path: Vec<String>) -> &mut Rows {
        if path.is_empty() {
            return &mut self.rows;
        }
        let found = self.embedded.iter().position(|it| it.path == path);
        let index = found.unwrap_or_else(|| {
            let rows = Rows::default();
            self.embedded.push(Embedded { path, rows });
            self.embedded.len() - 1
        });
        &mut self.embedded[index].rows
    }
}

/// Parameters that are said once, and mean a query as a whole.
pub(super) const WHOLE: &[&str] = &[
    "select",
    "include",
    "after",
    "modified_since",
    "on_conflict",
    "columns",
];

/// Last parts of parameters' names that mean rows as a whole, and not a column.
pub(super) const ROWS: &[&str] = &["order", "limit", "offset", "and", "or"];

/// Whether a word is no column's name unless in quotes.
pub(super) fn is_reserved(word: &str) -> bool {
    word == "not" || WHOLE.contains(&word) || ROWS.contains(&word)
}

/// Whether a character may stand in a name without quotes.
pub(super) fn is_plain(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | ' ' | '$' | '-')
}

/// Whether a character may stand in the key of a JSON path without quotes.
pub(super) fn is_plain_key(character: char) -> bool {
    !matches!(character, '(' | ')' | ':' | '.' | ',' | '>' | '"')
}
