//! A small help desk as discovery would find it: for the checks that need a catalog and no database.
//!
//! Compiled for tests and for fuzzing only. It has one of each: tables with an organization of their own,
//! through a reference, and of everybody; a view, a tree, a join table, a table without a key; functions;
//! and a column that the role may not read.

use super::{
    Access, Catalog, Column, ColumnType, Function, Oid, OperatorName, Parameter, Privileges,
    Resource, ResourceKind, Returns, Tenancy, TypeKind, Volatility, oid,
    relations::{ForeignKey, Source, derive},
};
use crate::identity::Role;
use std::{collections::HashMap, sync::Arc};

const COUNTRIES: Oid = 1;
const CONTACTS: Oid = 2;
const TICKETS: Oid = 3;
const MESSAGES: Oid = 4;
const LABELS: Oid = 5;
const TICKET_LABELS: Oid = 6;
const OPEN_TICKETS: Oid = 7;
const VISITS: Oid = 8;

/// What one role may do: everything, but for reading `tickets.secret` and writing shared rows.
/// `is_single`: the whole database is one organization.
pub fn access(is_single: bool) -> Access {
    let mut resources = resources();
    if is_single {
        resources
            .iter_mut()
            .for_each(|it| it.tenancy = Tenancy::Single);
    }
    let grants = resources.iter().map(|it| (it.relation, privileges(it)));
    let grants = grants.collect();
    let relations = derive(&resources, &source());
    let tickets = Arc::new(resources[2].clone());
    let mut catalog = Catalog::new(resources, Vec::new(), Vec::new())
        .with_relations(relations)
        .with_functions(functions(&tickets));
    catalog.aggregates_enabled = true;
    Access::new(Role::from("agent"), Arc::new(catalog), grants)
}

fn resources() -> Vec<Resource> {
    let shared = Tenancy::Shared;
    let own = Tenancy::Column(1);
    let of_ticket = |column| Tenancy::Via {
        column,
        target: TICKETS,
        target_column: 1,
    };
    let enumerated = TypeKind::Enum(["new", "open", "closed"].map(Arc::from).into());
    let columns_of_tickets = || {
        vec![
            Column {
                has_default: true,
                identity_always: true,
                ..required("id", oid::INT8, "bigint")
            },
            required("organization_id", oid::INT8, "bigint"),
            required("subject", oid::TEXT, "text"),
            column("status", 70_001, "public.status", enumerated.clone()),
            base("priority", oid::INT4, "integer"),
            base("urgent", oid::BOOL, "boolean"),
            base("amount", oid::NUMERIC, "numeric"),
            base("data", oid::JSONB, "jsonb"),
            column("tags", 1009, "text[]", array(oid::TEXT, "text")),
            column(
                "due",
                3910,
                "tstzrange",
                TypeKind::Range(Box::new(type_(
                    oid::TIMESTAMPTZ,
                    "timestamp with time zone",
                ))),
            ),
            base("words", oid::TSVECTOR, "tsvector"),
            required("opened_at", oid::TIMESTAMPTZ, "timestamp with time zone"),
            base("contact_id", oid::INT8, "bigint"),
            base("parent_id", oid::INT8, "bigint"),
            base("assignee", oid::UUID, "uuid"),
            base("order", oid::INT4, "integer"),
            base("secret", oid::TEXT, "text"),
        ]
    };
    let citext = Column {
        equality: Some(OperatorName {
            schema: "extensions".into(),
            name: "=".into(),
        }),
        ..column("email", 70_002, "extensions.citext", TypeKind::Other)
    };
    vec![
        Resource {
            tenancy: shared,
            ..table(
                COUNTRIES,
                "countries",
                vec![
                    required("code", oid::BPCHAR, "character"),
                    base("name", oid::TEXT, "text"),
                ],
            )
        },
        Resource {
            tenancy: own.clone(),
            ..table(
                CONTACTS,
                "contacts",
                vec![
                    required("id", oid::INT8, "bigint"),
                    required("organization_id", oid::INT8, "bigint"),
                    required("name", oid::TEXT, "text"),
                    citext,
                    base("country_code", oid::BPCHAR, "character"),
                ],
            )
        },
        Resource {
            tenancy: own.clone(),
            updated_at: Some(11),
            ..table(TICKETS, "tickets", columns_of_tickets())
        },
        Resource {
            tenancy: of_ticket(1),
            ..table(
                MESSAGES,
                "messages",
                vec![
                    required("id", oid::UUID, "uuid"),
                    required("ticket_id", oid::INT8, "bigint"),
                    base("body", oid::TEXT, "text"),
                    required("sent_at", oid::TIMESTAMPTZ, "timestamp with time zone"),
                ],
            )
        },
        Resource {
            tenancy: own.clone(),
            ..table(
                LABELS,
                "labels",
                vec![
                    required("id", oid::INT4, "integer"),
                    required("organization_id", oid::INT8, "bigint"),
                    base("name", oid::TEXT, "text"),
                ],
            )
        },
        Resource {
            tenancy: of_ticket(0),
            key: vec![0, 1],
            ..table(
                TICKET_LABELS,
                "ticket_labels",
                vec![
                    required("ticket_id", oid::INT8, "bigint"),
                    required("label_id", oid::INT4, "integer"),
                ],
            )
        },
        Resource {
            tenancy: own.clone(),
            kind: ResourceKind::View { updatable: true },
            ..table(
                OPEN_TICKETS,
                "open_tickets",
                vec![
                    harmful(base("id", oid::INT8, "bigint")),
                    harmful(base("organization_id", oid::INT8, "bigint")),
                    harmful(base("Days Open", oid::FLOAT8, "double precision")),
                ],
            )
        },
        Resource {
            tenancy: own,
            key: Vec::new(),
            ..table(
                VISITS,
                "visits",
                vec![
                    base("page", oid::TEXT, "text"),
                    required("organization_id", oid::INT8, "bigint"),
                    base("at", oid::TIMESTAMP, "timestamp without time zone"),
                ],
            )
        },
    ]
}

fn source() -> Source {
    let key = |constraint: &str, table, column, target| ForeignKey {
        constraint: constraint.into(),
        table,
        columns: vec![column],
        target,
        target_columns: vec![1],
        unique: false,
    };
    Source {
        keys: vec![
            key("contacts_country_code_fkey", CONTACTS, 5, COUNTRIES),
            key("tickets_contact_id_fkey", TICKETS, 13, CONTACTS),
            key("tickets_parent_id_fkey", TICKETS, 14, TICKETS),
            key("messages_ticket_id_fkey", MESSAGES, 2, TICKETS),
            key("ticket_labels_ticket_id_fkey", TICKET_LABELS, 1, TICKETS),
            key("ticket_labels_label_id_fkey", TICKET_LABELS, 2, LABELS),
        ],
        primary: HashMap::from([(TICKET_LABELS, vec![1, 2]), (TICKETS, vec![1])]),
        shown: HashMap::new(),
    }
}

fn functions(tickets: &Arc<Resource>) -> Vec<Function> {
    let parameter = |name: &str, oid, type_name, is_required| Parameter {
        name: Some(name.into()),
        type_: type_(oid, type_name),
        is_required,
        is_variadic: false,
    };
    let function = |oid, name: &str, parameters, volatility, returns| Function {
        oid,
        schema: "public".into(),
        name: name.into(),
        parameters,
        volatility,
        returns,
        is_set: false,
    };
    let (schema, add) = ("public".into(), "add".into());
    let sum = Resource::of_values(&schema, &add, vec![base("add", oid::INT4, "integer")]);
    vec![
        function(
            1,
            "add",
            vec![
                parameter("a", oid::INT4, "integer", true),
                parameter("b", oid::INT4, "integer", false),
            ],
            Volatility::Immutable,
            Returns::Value(Arc::new(sum)),
        ),
        Function {
            is_set: true,
            ..function(
                2,
                "find_tickets",
                vec![parameter("words", oid::TEXT, "text", true)],
                Volatility::Stable,
                Returns::Row(tickets.clone()),
            )
        },
        function(
            3,
            "close_ticket",
            vec![parameter("id", oid::INT8, "bigint", true)],
            Volatility::Volatile,
            Returns::Void,
        ),
    ]
}

fn privileges(resource: &Resource) -> Privileges {
    let each = |may: &dyn Fn(&Column) -> bool| resource.columns.iter().map(may).collect();
    let writes = resource.tenancy != Tenancy::Shared;
    Privileges {
        select: each(&|it| &*it.name != "secret"),
        select_whole: resource.column("secret").is_none(),
        insert: each(&|_| writes),
        update: each(&|_| writes),
        delete: writes,
        row_security_binds: true,
    }
}

fn table(relation: Oid, name: &str, mut columns: Vec<Column>) -> Resource {
    for (number, column) in (1..).zip(&mut columns) {
        column.number = number;
    }
    Resource {
        relation,
        kind: ResourceKind::Table,
        key: vec![0],
        ..Resource::of_values(&"public".into(), &name.into(), columns)
    }
}

fn type_(oid: u32, name: &str) -> ColumnType {
    ColumnType {
        oid,
        name: name.into(),
        kind: TypeKind::Base,
    }
}

fn array(oid: u32, name: &str) -> TypeKind {
    TypeKind::Array(Box::new(type_(oid, name)))
}

fn base(name: &str, oid: u32, type_name: &str) -> Column {
    column(name, oid, type_name, TypeKind::Base)
}

fn required(name: &str, oid: u32, type_name: &str) -> Column {
    Column {
        not_null: true,
        ..base(name, oid, type_name)
    }
}

/// Comparing it may fail, as comparing what a view computes may.
fn harmful(column: Column) -> Column {
    Column {
        leakproof_equality: false,
        leakproof_order: false,
        ..column
    }
}

fn column(name: &str, oid: u32, type_name: &str, kind: TypeKind) -> Column {
    // As `pg_proc.proleakproof` has it of those that occur here.
    let leakproof = [
        oid::INT4,
        oid::INT8,
        oid::TEXT,
        oid::BPCHAR,
        oid::UUID,
        oid::BOOL,
        oid::TIMESTAMP,
        oid::TIMESTAMPTZ,
    ]
    .contains(&oid);
    Column {
        name: name.into(),
        number: 0,
        type_: ColumnType {
            kind,
            ..type_(oid, type_name)
        },
        not_null: false,
        has_default: false,
        identity_always: false,
        generated: false,
        equality: Some(OperatorName {
            schema: "pg_catalog".into(),
            name: "=".into(),
        }),
        leakproof_equality: leakproof,
        leakproof_order: leakproof,
        orderable: true,
    }
}
