//! The ways in which a call can fail, as one table: code, name, title, and whether to try again.
//!
//! Knows neither HTTP statuses nor what an error says beside its kind.

/// Declares the kinds as one table, so that code, name, title and documentation cannot drift apart.
macro_rules! kinds {
    ($( $(#[$doc:meta])* $kind:ident = $code:literal $name:literal $title:literal $(as $postgrest:literal)? ;)+) => {
        /// Every way in which a request of a caller can fail. The hundreds are the stage.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind { $( $(#[$doc])* $kind, )+ }

        impl Kind {
            /// All kinds, in the order of their codes.
            pub const ALL: &'static [Kind] = &[ $( Kind::$kind, )+ ];

            /// Our own stable code, `RC` and three digits.
            pub fn code(self) -> &'static str { match self { $( Kind::$kind => $code, )+ } }

            /// The stable name, the problem document's `type`.
            pub fn name(self) -> &'static str { match self { $( Kind::$kind => $name, )+ } }

            /// The fixed title.
            pub fn title(self) -> &'static str { match self { $( Kind::$kind => $title, )+ } }

            /// PostgREST's code for the same error, if it has one.
            pub fn postgrest(self) -> Option<&'static str> {
                match self { $( Kind::$kind => { None::<&'static str>$(.or(Some($postgrest)))? } )+ }
            }
        }
    };
}

kinds! {
    /// No token, and no anonymous role is set.
    TokenMissing = "RC101" "token-missing" "A bearer token is required" as "PGRST302";
    /// Not a JWT, a wrong signature, a wrong algorithm.
    TokenInvalid = "RC102" "token-invalid" "The token is not valid" as "PGRST301";
    /// The token's time is over.
    TokenExpired = "RC103" "token-expired" "The token has expired" as "PGRST303";
    /// A claim that rowcast needs is missing or has the wrong type.
    ClaimMissing = "RC104" "claim-missing" "The token lacks a claim";
    /// The token's role does not exist, or rowcast may not switch to it.
    RoleNotAllowed = "RC105" "role-not-allowed" "The token's role cannot be used";
    /// A body names another organization.
    OrganizationNotAllowed = "RC106" "organization-not-allowed" "The organization is not the caller's";
    /// A pass that is unknown, used up, late, or for another channel.
    PassInvalid = "RC107" "pass-invalid" "The pass is not valid";
    /// The token's time is nearly over; sent on an open channel.
    TokenExpiring = "RC108" "token-expiring" "The token is about to expire";
    /// The identity of a renewed token differs, or the channel is another's.
    IdentityMismatch = "RC109" "identity-mismatch" "The token belongs to another identity";

    /// No route and no resource of that path.
    RouteUnknown = "RC200" "route-unknown" "There is nothing at this path" as "PGRST125";
    /// The query string does not follow the grammar.
    QueryMalformed = "RC201" "query-malformed" "The query cannot be read" as "PGRST100";
    /// No exposed resource has that name.
    ResourceUnknown = "RC202" "resource-unknown" "There is no such resource" as "PGRST205";
    /// The resource has no such column.
    ColumnUnknown = "RC203" "column-unknown" "There is no such column" as "PGRST204";
    /// A value that does not fit its column's type.
    ValueInvalid = "RC204" "value-invalid" "A value does not fit its column";
    /// Part of the grammar that this server does not support.
    NotSupported = "RC205" "not-supported" "This is not supported";
    /// A body that is no JSON, or JSON of the wrong shape.
    BodyMalformed = "RC206" "body-malformed" "The body cannot be read" as "PGRST102";
    /// A content type that no route reads.
    MediaTypeUnsupported = "RC207" "media-type-unsupported" "The content type is not supported";
    /// No representation that the caller accepts.
    NotAcceptable = "RC208" "not-acceptable" "No acceptable representation exists" as "PGRST107";
    /// The path exists, for other methods.
    MethodNotAllowed = "RC209" "method-not-allowed" "The method is not allowed here" as "PGRST117";
    /// The resource cannot be written to.
    ResourceReadOnly = "RC210" "resource-read-only" "The resource is read-only";
    /// The URL is longer than the limit.
    UrlTooLong = "RC211" "url-too-long" "The URL is too long";
    /// The body is larger than the limit.
    BodyTooLarge = "RC212" "body-too-large" "The body is too large";
    /// A header of ours that does not follow its grammar.
    HeaderMalformed = "RC213" "header-malformed" "A header cannot be read";
    /// The headers together are larger than the limit.
    HeadersTooLarge = "RC214" "headers-too-large" "The headers are too large";
    /// No row of that key that the caller may see.
    RowUnknown = "RC215" "row-unknown" "There is no such row";
    /// `If-Match` names another state of the row.
    PreconditionFailed = "RC216" "precondition-failed" "The row is not as expected";
    /// The caller sent its request too slowly.
    RequestTimeout = "RC217" "request-timeout" "The request was sent too slowly";
    /// More than one answer may hold.
    AnswerTooLarge = "RC218" "answer-too-large" "The answer is too large";
    /// A range of rows that cannot be, or that lies beyond the last row.
    RangeInvalid = "RC219" "range-invalid" "The range of rows cannot be had" as "PGRST103";
    /// One row is asked for, and there is none or more than one.
    NotSingular = "RC220" "not-singular" "There is not exactly one row" as "PGRST116";
    /// Aggregates are not enabled.
    AggregatesDisabled = "RC221" "aggregates-disabled" "Aggregates are not enabled" as "PGRST123";
    /// A preference that cannot be followed, under `handling=strict`.
    PreferenceInvalid = "RC222" "preference-invalid" "A preference cannot be followed" as "PGRST122";
    /// A write would change more rows than `max-affected` allows.
    TooManyAffected = "RC223" "too-many-affected" "Too many rows would change" as "PGRST124";
    /// No exposed function of that name takes these arguments.
    FunctionUnknown = "RC224" "function-unknown" "There is no such function" as "PGRST202";
    /// More than one function takes these arguments.
    FunctionAmbiguous = "RC225" "function-ambiguous" "It is not clear which function is meant" as "PGRST203";
    /// An operator, or an order, that a column's type does not have.
    OperatorUnknown = "RC226" "operator-unknown" "The type has no such operator" as "42883";
    /// No relation of that name between two resources.
    RelationUnknown = "RC231" "relation-unknown" "There is no such relation" as "PGRST200";
    /// Several relations between two resources have that name.
    RelationAmbiguous = "RC232" "relation-ambiguous" "Several relations fit" as "PGRST201";
    /// A filter, an order or a limit of a relation that is not embedded.
    RelationNotEmbedded = "RC233" "relation-not-embedded" "The relation is not embedded" as "PGRST108";
    /// An order by a relation that can have several rows.
    RelationNotToOne = "RC234" "relation-not-to-one" "The relation has many rows" as "PGRST118";

    /// The row would lie outside what the caller may write, or collides with what it may not see.
    RowNotAllowed = "RC301" "row-not-allowed" "The row is not allowed";
    /// A unique constraint (SQLSTATE 23505).
    UniqueViolation = "RC302" "unique-violation" "A row with these values exists already";
    /// A foreign key (SQLSTATE 23503).
    ReferenceViolation = "RC303" "reference-violation" "A reference would point at nothing";
    /// A check, not-null or exclusion constraint (class 23).
    ConstraintViolation = "RC304" "constraint-violation" "A constraint does not hold";
    /// The role lacks a privilege (SQLSTATE 42501).
    PermissionDenied = "RC305" "permission-denied" "Permission denied" as "42501";
    /// A value that PostgreSQL refused (class 22).
    DataInvalid = "RC306" "data-invalid" "PostgreSQL refused a value";
    /// A statement that PostgreSQL refused (class 42 and others).
    StatementInvalid = "RC307" "statement-invalid" "PostgreSQL refused the statement";
    /// An error raised by the application's own functions or triggers (class P0).
    Raised = "RC308" "raised" "The database raised an error";
    /// A deadlock or a serialization failure (class 40): trying again helps.
    Conflict = "RC309" "conflict" "A concurrent write got in the way";
    /// The same action is being carried out at this moment.
    ActionInFlight = "RC310" "action-in-flight" "The action is being carried out";
    /// Another request was carried out under the same action id.
    ActionReused = "RC311" "action-reused" "The action id stands for another request";

    /// The request id is in use on that channel.
    RequestIdInUse = "RC401" "request-id-in-use" "The request id is in use";
    /// The identity has too many open requests.
    TooManyRequests = "RC402" "too-many-requests" "Too many open requests";
    /// The identity has too many channels.
    TooManyChannels = "RC403" "too-many-channels" "Too many channels";
    /// No request of that id on that channel.
    RequestUnknown = "RC404" "request-unknown" "There is no such request";
    /// No channel of that name of the caller's.
    ChannelUnknown = "RC405" "channel-unknown" "There is no such channel";
    /// The caller cancelled the request.
    RequestCancelled = "RC406" "request-cancelled" "The request was cancelled";
    /// The channel's reader stood still for too long.
    RequestStalled = "RC407" "request-stalled" "The reader stood still";
    /// Nobody fetched the request's rows in time.
    RequestUnread = "RC408" "request-unread" "Nobody fetched the rows";
    /// A command that is unknown or cannot be read.
    CommandMalformed = "RC409" "command-malformed" "The command cannot be read";
    /// A sequence that this channel never gave out.
    SequenceInvalid = "RC410" "sequence-invalid" "The sequence is not this channel's";
    /// A cursor that is not of this database, or forged.
    CursorInvalid = "RC411" "cursor-invalid" "The cursor is not of this database";
    /// More connections than the server takes.
    TooManyConnections = "RC412" "too-many-connections" "Too many connections";
    /// The channel was ended while the request ran.
    ChannelEnded = "RC413" "channel-ended" "The channel was ended";
    /// A cursor since which not everything is known any more.
    CursorOutdated = "RC414" "cursor-outdated" "The cursor is too old";
    /// No topic of that name, or its row is not the caller's to see.
    TopicUnknown = "RC420" "topic-unknown" "There is no such topic";
    /// The row of a topic is no longer the caller's to see; sent on an open channel.
    TopicLost = "RC421" "topic-lost" "The topic is lost";
    /// The channel is on as many topics as it may.
    TooManyTopics = "RC422" "too-many-topics" "Too many topics";
    /// The channel, or its organization, sends more signals than it may.
    TooManySignals = "RC423" "too-many-signals" "Too many signals";
    /// A signal, or what somebody says about themselves, is too large.
    SignalTooLarge = "RC424" "signal-too-large" "The signal is too large";
    /// The reader was too slow for the signals; sent on an open channel.
    SignalsLost = "RC425" "signals-lost" "Signals were lost";

    /// The resource's rows have no keys, or no key of that id was handed to the caller.
    KeyUnknown = "RC430" "key-unknown" "There is no such key";
    /// A key is stored under a master key that this server lacks.
    KeyUnreadable = "RC431" "key-unreadable" "The key cannot be read";

    /// A failure of ours.
    Internal = "RC500" "internal" "Internal error";
    /// PostgreSQL cannot be reached.
    DatabaseUnavailable = "RC501" "database-unavailable" "The database cannot be reached";
    /// The statement took longer than the limit (SQLSTATE 57014).
    StatementTimeout = "RC502" "statement-timeout" "The statement took too long";
    /// More work than the server takes on at once.
    Overloaded = "RC503" "overloaded" "The server is overloaded";
    /// The server is going down.
    ShuttingDown = "RC504" "shutting-down" "The server is shutting down";

    /// A setting that is unknown, missing or wrong; the program does not start.
    ConfigurationInvalid = "RC601" "configuration-invalid" "The configuration is not valid";
    /// A command of the command line that cannot be carried out.
    CommandFailed = "RC602" "command-failed" "The command failed";
}

impl Kind {
    /// Whether the detail stays in the log, the caller being told the title only.
    pub fn is_internal(self) -> bool {
        matches!(self, Kind::Internal | Kind::DatabaseUnavailable)
    }

    /// Whether the same call may succeed later, unchanged.
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Kind::TooManyRequests
                | Kind::TooManyChannels
                | Kind::TooManyTopics
                | Kind::TooManySignals
                | Kind::SignalsLost
                | Kind::TooManyConnections
                | Kind::RequestTimeout
                | Kind::RequestStalled
                | Kind::RequestUnread
                | Kind::Conflict
                | Kind::ActionInFlight
                | Kind::DatabaseUnavailable
                | Kind::StatementTimeout
                | Kind::Overloaded
                | Kind::ShuttingDown
        )
    }
}
