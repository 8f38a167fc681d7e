//! The one table from kinds of error to HTTP statuses. It stands here, below `http`, because the
//! problem in an `error` event names the status that the same problem would have had as an answer.

use crate::error::{Error, Kind};
use http::StatusCode;

/// The status of the answer that tells of this error. Of what PostgreSQL or the application's own code
/// raised, the SQLSTATE says more than the kind; the table is PostgREST's.
pub fn status_of(error: &Error) -> StatusCode {
    let kind = error.kind();
    if error.wants_token() {
        return StatusCode::UNAUTHORIZED;
    }
    let Some(fault) = error.database().filter(|_| !kind.is_internal()) else {
        return status(kind);
    };
    if let Some(chosen) = fault.status.and_then(|it| StatusCode::from_u16(it).ok()) {
        return chosen;
    }
    match (kind, fault.sqlstate.as_str()) {
        (Kind::StatementInvalid, "25006") => StatusCode::METHOD_NOT_ALLOWED,
        (Kind::StatementInvalid, "42883" | "42P01") => StatusCode::NOT_FOUND,
        (Kind::StatementInvalid, "42P17") => StatusCode::INTERNAL_SERVER_ERROR,
        (Kind::StatementInvalid, state) => match state.get(..2).unwrap_or_default() {
            "0L" | "0P" | "28" => StatusCode::FORBIDDEN,
            "09" | "21" | "25" | "2D" | "38" | "39" | "3B" | "55" | "HV" => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            _ => status(kind),
        },
        (Kind::Raised, state) if state.starts_with("P0") && state != "P0001" => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        _ => status(kind),
    }
}

/// Whether a caller may read what PostgreSQL said. Where the answer is that the server failed, only what
/// the application chose to say, and what says the same whatever the rows are.
pub(super) fn is_told(error: &Error) -> bool {
    let kind = error.kind();
    let Some(fault) = error.database().filter(|_| !kind.is_internal()) else {
        return !kind.is_internal();
    };
    let failed = status_of(error) != status(kind) && status_of(error).is_server_error();
    !failed || fault.status.is_some() || fault.sqlstate == "21000"
}

/// The status of the answer that tells of an error of this kind (RFC 9110 section 15, RFC 6585).
pub fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::TokenMissing
        | Kind::TokenInvalid
        | Kind::TokenExpired
        | Kind::TokenExpiring
        | Kind::ClaimMissing
        | Kind::PassInvalid => StatusCode::UNAUTHORIZED,

        Kind::RoleNotAllowed
        | Kind::OrganizationNotAllowed
        | Kind::IdentityMismatch
        | Kind::RowNotAllowed
        | Kind::PermissionDenied => StatusCode::FORBIDDEN,

        Kind::RouteUnknown
        | Kind::ResourceUnknown
        | Kind::FunctionUnknown
        | Kind::OperatorUnknown
        | Kind::RowUnknown
        | Kind::RequestUnknown
        | Kind::TopicUnknown
        | Kind::KeyUnknown
        | Kind::ChannelUnknown => StatusCode::NOT_FOUND,

        // PostgREST's: the details list what can be chosen.
        Kind::RelationAmbiguous => StatusCode::MULTIPLE_CHOICES,

        Kind::QueryMalformed
        | Kind::RelationUnknown
        | Kind::RelationNotEmbedded
        | Kind::RelationNotToOne
        | Kind::ColumnUnknown
        | Kind::AggregatesDisabled
        | Kind::PreferenceInvalid
        | Kind::TooManyAffected
        | Kind::ValueInvalid
        | Kind::BodyMalformed
        | Kind::AnswerTooLarge
        | Kind::HeaderMalformed
        | Kind::ConstraintViolation
        | Kind::DataInvalid
        | Kind::StatementInvalid
        | Kind::Raised
        | Kind::CommandMalformed
        | Kind::SequenceInvalid
        | Kind::CursorInvalid => StatusCode::BAD_REQUEST,

        Kind::FunctionAmbiguous => StatusCode::MULTIPLE_CHOICES,
        Kind::MethodNotAllowed | Kind::ResourceReadOnly => StatusCode::METHOD_NOT_ALLOWED,
        Kind::RangeInvalid => StatusCode::RANGE_NOT_SATISFIABLE,
        Kind::NotAcceptable | Kind::NotSingular => StatusCode::NOT_ACCEPTABLE,
        Kind::RequestTimeout | Kind::RequestStalled | Kind::RequestUnread => {
            StatusCode::REQUEST_TIMEOUT
        }
        Kind::UniqueViolation
        | Kind::ReferenceViolation
        | Kind::Conflict
        | Kind::ActionInFlight
        | Kind::RequestIdInUse
        | Kind::RequestCancelled => StatusCode::CONFLICT,
        Kind::ChannelEnded | Kind::TopicLost | Kind::CursorOutdated => StatusCode::GONE,
        Kind::ActionReused => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        Kind::BodyTooLarge | Kind::SignalTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::UrlTooLong => StatusCode::URI_TOO_LONG,
        Kind::MediaTypeUnsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::TooManyRequests
        | Kind::TooManyChannels
        | Kind::TooManyTopics
        | Kind::TooManySignals
        | Kind::SignalsLost => StatusCode::TOO_MANY_REQUESTS,
        Kind::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,

        Kind::NotSupported => StatusCode::NOT_IMPLEMENTED,
        Kind::StatementTimeout => StatusCode::GATEWAY_TIMEOUT,
        Kind::DatabaseUnavailable
        | Kind::Overloaded
        | Kind::TooManyConnections
        | Kind::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal | Kind::KeyUnreadable | Kind::ConfigurationInvalid | Kind::CommandFailed => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}
