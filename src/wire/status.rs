//! The one table from kinds of error to HTTP statuses. It stands here, below `http`, because the
//! problem in an `error` event names the status that the same problem would have had as an answer.

use crate::error::Kind;
use http::StatusCode;

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
        Kind::ChannelEnded | Kind::TopicLost => StatusCode::GONE,
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
        Kind::Internal | Kind::ConfigurationInvalid | Kind::CommandFailed => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}
