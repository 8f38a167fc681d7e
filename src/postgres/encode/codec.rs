//! Which binary format a type has, and the dispatch from it to the encoder of each concern. Holds no
//! format's details.

use bytes::BytesMut;

use super::{
    arrays, json, network, numbers, numeric,
    ranges::{self, Bound},
    reader::Encoded,
    text, time,
};
use crate::catalog::{ColumnType, TypeKind, oid};

/// The binary format of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codec {
    /// The type that a result announces: a domain's base type, for a domain.
    oid: u32,
    format: Format,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Format {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    /// Text of any type whose binary format is its text: strings, enums, citext.
    Text,
    Char,
    Uuid,
    Bytea,
    Bits,
    Json,
    Jsonb,
    Date,
    Time,
    TimeTz,
    Timestamp,
    TimestampTz,
    Interval,
    /// 32 unsigned bits that `to_json` quotes: oid, xid.
    Unsigned4,
    /// 64 unsigned bits that `to_json` quotes: xid8.
    Unsigned8,
    Lsn,
    Inet,
    Cidr,
    MacAddr,
    Array(Box<Format>),
    Range(Bound),
    Multirange(Bound),
}

impl Codec {
    /// The codec of a type; `None` for the types that are left to `to_json`.
    pub(super) fn of(type_: &ColumnType) -> Option<Self> {
        Some(Self {
            oid: type_.base().oid,
            format: Format::of(type_)?,
        })
    }

    /// The codec of what `to_json` made.
    pub(super) fn json() -> Self {
        Self {
            oid: oid::JSON,
            format: Format::Json,
        }
    }

    /// `pg_type.oid` of the type that the result announces.
    pub(super) fn oid(&self) -> u32 {
        self.oid
    }

    #[inline]
    pub(super) fn encode(&self, value: &[u8], out: &mut BytesMut) -> Encoded {
        self.format.encode(value, out)
    }
}

impl Format {
    fn of(type_: &ColumnType) -> Option<Self> {
        match &type_.kind {
            TypeKind::Base => Self::of_base(type_),
            TypeKind::Enum(_) => Some(Self::Text),
            TypeKind::Domain(inner) => Self::of(inner),
            TypeKind::Array(element) => Some(Self::Array(Box::new(Self::of(element)?))),
            TypeKind::Range(subtype) => Some(Self::Range(bound(subtype)?)),
            TypeKind::Multirange(inner) => Some(Self::Multirange(match &inner.kind {
                TypeKind::Range(subtype) => bound(subtype)?,
                _ => bound(inner)?,
            })),
            TypeKind::Other => None,
        }
    }

    fn of_base(type_: &ColumnType) -> Option<Self> {
        Some(match type_.oid {
            oid::BOOL => Self::Bool,
            oid::INT2 => Self::Int2,
            oid::INT4 => Self::Int4,
            oid::INT8 => Self::Int8,
            oid::FLOAT4 => Self::Float4,
            oid::FLOAT8 => Self::Float8,
            oid::NUMERIC => Self::Numeric,
            oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME => Self::Text,
            oid::CHAR => Self::Char,
            oid::UUID => Self::Uuid,
            oid::BYTEA => Self::Bytea,
            oid::BIT | oid::VARBIT => Self::Bits,
            oid::JSON => Self::Json,
            oid::JSONB => Self::Jsonb,
            oid::DATE => Self::Date,
            oid::TIME => Self::Time,
            oid::TIMETZ => Self::TimeTz,
            oid::TIMESTAMP => Self::Timestamp,
            oid::TIMESTAMPTZ => Self::TimestampTz,
            oid::INTERVAL => Self::Interval,
            oid::OID | oid::XID => Self::Unsigned4,
            oid::XID8 => Self::Unsigned8,
            oid::PG_LSN => Self::Lsn,
            oid::INET => Self::Inet,
            oid::CIDR => Self::Cidr,
            oid::MACADDR | oid::MACADDR8 => Self::MacAddr,
            _ if is_citext(type_) => Self::Text,
            _ => return None,
        })
    }

    #[inline]
    pub(super) fn encode(&self, value: &[u8], out: &mut BytesMut) -> Encoded {
        match self {
            Self::Text => text::quoted(value, out),
            Self::Int4 => numbers::int4(value, out),
            Self::Int8 => numbers::int8(value, out),
            Self::TimestampTz => time::timestamptz(value, out),
            Self::Timestamp => time::timestamp(value, out),
            Self::Bool => numbers::bool(value, out),
            Self::Uuid => text::uuid(value, out),
            Self::Jsonb => json::jsonb(value, out),
            Self::Json => json::json(value, out),
            Self::Int2 => numbers::int2(value, out),
            Self::Float4 => numbers::float4(value, out),
            Self::Float8 => numbers::float8(value, out),
            Self::Numeric => numeric::numeric(value, out),
            Self::Char => text::char(value, out),
            Self::Bytea => text::bytea(value, out),
            Self::Bits => text::bits(value, out),
            Self::Date => time::date(value, out),
            Self::Time => time::time(value, out),
            Self::TimeTz => time::timetz(value, out),
            Self::Interval => time::interval(value, out),
            Self::Unsigned4 => numbers::unsigned4(value, out),
            Self::Unsigned8 => numbers::unsigned8(value, out),
            Self::Lsn => numbers::lsn(value, out),
            Self::Inet => network::inet(value, out),
            Self::Cidr => network::cidr(value, out),
            Self::MacAddr => network::mac(value, out),
            Self::Array(element) => arrays::array(element, value, out),
            Self::Range(bound) => ranges::range(*bound, value, out),
            Self::Multirange(bound) => ranges::multirange(*bound, value, out),
        }
    }
}

/// The ranges whose bounds have a plain text here; all others are left to `to_json`.
fn bound(subtype: &ColumnType) -> Option<Bound> {
    Some(match subtype.base().oid {
        oid::INT4 => Bound::Int4,
        oid::INT8 => Bound::Int8,
        oid::FLOAT8 => Bound::Float8,
        oid::NUMERIC => Bound::Numeric,
        oid::DATE => Bound::Date,
        oid::TIME => Bound::Time,
        oid::TIMESTAMP => Bound::Timestamp,
        oid::TIMESTAMPTZ => Bound::TimestampTz,
        _ => return None,
    })
}

/// Extensions' types have no fixed oid; this one is as common as text, and its binary format is text.
fn is_citext(type_: &ColumnType) -> bool {
    let name = type_.name.rsplit('.').next().unwrap_or_default();
    name == "citext"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_(oid: u32, kind: TypeKind) -> ColumnType {
        ColumnType {
            oid,
            name: "t".into(),
            kind,
        }
    }

    fn format(type_: &ColumnType) -> Option<Format> {
        Codec::of(type_).map(|codec| codec.format)
    }

    #[test]
    fn a_domain_is_announced_and_read_as_its_base() {
        let inner = type_(oid::INT4, TypeKind::Base);
        let domain = type_(70_000, TypeKind::Domain(Box::new(inner)));
        let outer = type_(70_001, TypeKind::Domain(Box::new(domain)));
        let codec = Codec::of(&outer).unwrap();
        assert_eq!((codec.oid(), codec.format), (oid::INT4, Format::Int4));
    }

    #[test]
    fn parts_decide_whether_the_whole_is_native() {
        let point = || Box::new(type_(600, TypeKind::Base));
        let date = || Box::new(type_(oid::DATE, TypeKind::Base));
        assert_eq!(format(&type_(1, TypeKind::Array(point()))), None);
        assert_eq!(format(&type_(1, TypeKind::Range(point()))), None);
        assert_eq!(
            format(&type_(1, TypeKind::Array(date()))),
            Some(Format::Array(Box::new(Format::Date)))
        );
        let range = Box::new(type_(2, TypeKind::Range(date())));
        let expected = Some(Format::Multirange(Bound::Date));
        assert_eq!(format(&type_(1, TypeKind::Multirange(range))), expected);
        assert_eq!(format(&type_(1, TypeKind::Multirange(date()))), expected);
        assert_eq!(format(&type_(1, TypeKind::Other)), None);
    }

    #[test]
    fn citext_is_known_by_name() {
        let named = |name: &str| ColumnType {
            oid: 70_000,
            name: name.into(),
            kind: TypeKind::Base,
        };
        assert_eq!(format(&named("extensions.citext")), Some(Format::Text));
        assert_eq!(format(&named("hstore")), None);
    }
}
