//! What is exposed, what is not and why, and what roles may do.

use crate::zoo::{self, KEEPER, VISITOR, Zoo};
use rowcast::{
    catalog::{Remark, ResourceKind, Tenancy, TypeKind},
    config::TenancyMode,
    error::Kind,
    identity::Role,
};

fn name_of(oid: u32, zoo: &Zoo) -> String {
    let catalog = zoo.database.catalog();
    catalog
        .relation(oid)
        .map_or_else(|| "?".into(), |it| it.name.to_string())
}

#[tokio::test]
async fn tables_and_views_become_resources() {
    let zoo = Zoo::open().await;
    let catalog = zoo.database.catalog();
    let mut names: Vec<&str> = catalog.resources().map(|it| &*it.name).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "Animals",
            "batch",
            "beds",
            "boxes",
            "cage_counts",
            "cages",
            "countries",
            "diaries",
            "diaries_bypassed",
            "diaries_seen",
            "diary_pages",
            "heavy",
            "keeper_keys",
            "ledger",
            "letters",
            "mines",
            "pairs",
            "pillows",
            "readers",
            "rooms",
            "tickets_sold",
            "tours",
            "visits",
        ]
    );
    let hidden: Vec<(&str, &str)> = catalog
        .hidden
        .iter()
        .map(|it| (it.relation.as_str(), it.reason.as_str()))
        .collect();
    for (relation, reason) in [
        (
            "attic.cages",
            "public.cages has the same name and comes first",
        ),
        (
            "public.visits_2024",
            "it is a partition, and is reached through its parent",
        ),
        (
            "public.keepers_only",
            "it has no column \"organization_id\"",
        ),
    ] {
        assert!(
            hidden
                .iter()
                .any(|(it, why)| *it == relation && why.starts_with(reason)),
            "{relation}: {hidden:#?}"
        );
    }
    for warning in [
        "batch has the name of a route",
        "the view diaries_bypassed reads public.diaries with its owner's rights",
        "keeper_keys refers to public.keepers_only, which is not exposed",
    ] {
        assert!(
            catalog
                .remarks
                .iter()
                .any(|it| it.text().starts_with(warning)),
            "{warning}: {:#?}",
            catalog.remarks
        );
    }
    zoo.close().await;
}

#[tokio::test]
async fn columns_keys_and_types_are_known() {
    let zoo = Zoo::open().await;
    let catalog = zoo.database.catalog();
    let animals = catalog.resource("Animals").unwrap();
    let column = |name: &str| animals.column(name).unwrap().1;
    assert_eq!(
        animals
            .key_columns()
            .map(|it| &*it.name)
            .collect::<Vec<_>>(),
        ["Id"]
    );
    assert!(animals.is_writable());
    assert_eq!(animals.columns.len(), 35);
    assert_eq!(&*column("at").type_.name, "timestamp with time zone");
    assert_eq!(&*column("mood").type_.name, "public.mood");
    assert!(matches!(&column("mood").type_.kind, TypeKind::Enum(labels) if labels.len() == 3));
    let TypeKind::Domain(base) = &column("workMail").type_.kind else {
        panic!("a domain")
    };
    assert!(matches!(&base.kind, TypeKind::Domain(text) if &*text.name == "text"));
    assert!(
        matches!(&column("moods").type_.kind, TypeKind::Array(it) if it.name == column("mood").type_.name)
    );
    assert!(
        matches!(&column("period").type_.kind, TypeKind::Range(it) if &*it.name == "timestamp with time zone")
    );
    assert!(matches!(
        &column("spans").type_.kind,
        TypeKind::Multirange(_)
    ));
    assert_eq!(column("home").type_.kind, TypeKind::Other);
    assert!(column("doubled").generated && column("doubled").has_default);
    assert!(column("fullName").not_null && !column("fullName").has_default);

    // What can tell nothing of the values that it compares.
    for (name, leakproof) in [
        ("Id", true),
        ("fullName", true),
        ("short", true),
        ("mood", true),
        ("mail", true),
        ("big", true),
        ("at", true),
        ("flag", true),
        ("amount", true),
        ("score", true),
        ("tags", false),
        ("period", false),
        ("home", false),
    ] {
        assert!(column(name).equality.is_some(), "{name}");
        assert_eq!(column(name).leakproof_equality, leakproof, "{name}");
    }
    for name in ["doc", "spot"] {
        assert!(
            column(name).equality.is_none() && !column(name).orderable,
            "{name}"
        );
    }
    let mines = catalog.resource("mines").unwrap();
    let trigger = mines.column("trigger").unwrap().1;
    assert_eq!(
        trigger.equality.as_ref().map(|it| &*it.schema),
        Some("public")
    );
    assert!(!trigger.leakproof_equality && !trigger.orderable);
    // A view's columns may be expressions.
    let heavy = catalog.resource("heavy").unwrap();
    assert!(!heavy.column("share").unwrap().1.leakproof_equality);

    let visits = catalog.resource("visits").unwrap();
    assert_eq!(visits.kind, ResourceKind::PartitionedTable);
    assert_eq!(
        visits.key_columns().map(|it| &*it.name).collect::<Vec<_>>(),
        ["day", "id"]
    );
    assert!(visits.column("id").unwrap().1.identity_always);
    let names: Vec<&str> = visits.collisions[0].names.iter().map(|it| &**it).collect();
    assert!(
        names.contains(&"visits_pkey") && names.contains(&"visits_2024_pkey"),
        "{names:?}"
    );
    // A view whose rows are those of one table has its key, and takes writes.
    assert!(heavy.is_writable() && heavy.key.len() == 1);
    for read_only in ["ledger", "countries", "cage_counts"] {
        assert!(
            !catalog.resource(read_only).unwrap().is_writable(),
            "{read_only}"
        );
    }
    zoo.close().await;
}

#[tokio::test]
async fn references_and_collisions_are_known() {
    let zoo = Zoo::open().await;
    let catalog = zoo.database.catalog();
    let sold = catalog.resource("tickets_sold").unwrap();
    assert_eq!(sold.references.len(), 1);
    assert_eq!(name_of(sold.references[0].target, &zoo), "tours");
    assert_eq!(sold.references[0].columns.len(), 2);
    let cages = catalog.resource("cages").unwrap();
    let collision = |name: &str| {
        let found = cages
            .collisions
            .iter()
            .find(|it| it.names.iter().any(|it| &**it == name));
        found.map(|it| (it.columns.len(), it.plain, it.within_organization))
    };
    assert_eq!(collision("cages_pkey"), Some((1, true, false)));
    assert_eq!(collision("cages_badge_key"), Some((1, true, false)));
    assert_eq!(
        collision("cages_organization_id_label_key"),
        Some((2, true, true))
    );
    let rooms = catalog.resource("rooms").unwrap();
    let exclusion = rooms
        .collisions
        .iter()
        .find(|it| &*it.names[0] == "rooms_during_excl");
    let exclusion = exclusion.unwrap();
    assert!(!exclusion.plain && !exclusion.within_organization);
    zoo.close().await;
}

#[tokio::test]
async fn organizations_come_by_column_through_references_or_not_at_all() {
    let zoo = Zoo::open().await;
    let catalog = zoo.database.catalog();
    let of = |name: &str| catalog.resource(name).unwrap().tenancy.clone();
    assert_eq!(of("cages"), Tenancy::Column(1));
    assert_eq!(of("countries"), Tenancy::Shared);
    assert!(
        matches!(of("beds"), Tenancy::Via { column: 1, target, .. } if name_of(target, &zoo) == "cages")
    );
    assert!(
        matches!(of("pillows"), Tenancy::Via { column: 1, target, .. } if name_of(target, &zoo) == "beds")
    );
    zoo.close().await;
}

#[tokio::test]
async fn settings_that_lead_nowhere_hide_the_table() {
    let zoo = Zoo::with("", |config| {
        use rowcast::config::OrganizationRule::{Column, Via};
        for (name, rule) in [
            ("cages", Column("colour".into())),
            ("countries", Via("code".into())),
            ("rooms", Via("parent_id".into())),
            ("nowhere", Column("x".into())),
        ] {
            config
                .resources
                .entry(name.into())
                .or_default()
                .organization = Some(rule);
        }
    })
    .await;
    let catalog = zoo.database.catalog();
    for (name, reason) in [
        (
            "cages",
            "the settings name the column \"colour\", which it does not have",
        ),
        (
            "countries",
            "the settings name the column \"code\", which has no foreign key",
        ),
        (
            "rooms",
            "its organization comes through public.rooms, which leads nowhere",
        ),
        (
            "beds",
            "its organization comes through public.cages, which is not exposed",
        ),
    ] {
        assert!(catalog.resource(name).is_none(), "{name}");
        let hidden = catalog
            .hidden
            .iter()
            .find(|it| it.relation == format!("public.{name}"));
        assert_eq!(hidden.unwrap().reason, reason);
    }
    assert!(
        catalog
            .remarks
            .iter()
            .any(|it| matches!(it, Remark::Wrong(it) if it.starts_with("resources.nowhere:")))
    );
    zoo.close().await;
}

#[tokio::test]
async fn a_single_tenant_has_everything() {
    let zoo = Zoo::with("", |config| config.tenancy.tenancy = TenancyMode::Single).await;
    let catalog = zoo.database.catalog();
    for name in ["cages", "keepers_only", "countries"] {
        let resource = catalog.resource(name).unwrap();
        assert_eq!(resource.tenancy, Tenancy::Single);
        assert!(resource.is_writable(), "{name}");
    }
    assert!(!catalog.resource("ledger").unwrap().is_writable());
    zoo.close().await;
}

#[tokio::test]
async fn row_level_security_and_what_it_depends_on_are_known() {
    let zoo = Zoo::open().await;
    let catalog = zoo.database.catalog();
    let of = |name: &str| catalog.resource(name).unwrap();
    let depends = |name: &str| -> Vec<String> {
        let depends = of(name).visibility_depends_on.iter();
        depends.map(|oid| name_of(*oid, &zoo)).collect()
    };
    assert!(of("diaries").row_security && of("diaries").restricted);
    assert_eq!(depends("diaries"), ["readers"]);
    assert!(!of("diary_pages").row_security && of("diary_pages").restricted);
    assert!(of("diaries_seen").row_security);
    assert!(!of("diaries_bypassed").row_security);
    assert!(depends("diaries_bypassed").contains(&"diaries".to_owned()));
    assert!(depends("cages").is_empty() && !of("cages").restricted);
    zoo.close().await;
}

#[tokio::test]
async fn roles_have_their_rights_and_no_more() {
    let zoo = Zoo::open().await;
    let keeper = zoo.database.access(&Role::from(KEEPER)).await.unwrap();
    let cages = keeper.resource("cages").unwrap();
    assert!(cages.privileges.delete && cages.privileges.insert.iter().all(|it| *it));

    let visitor = zoo.database.access(&Role::from(VISITOR)).await.unwrap();
    let cages = visitor.resource("cages").unwrap();
    let readable: Vec<&str> = cages
        .resource
        .columns
        .iter()
        .zip(&cages.privileges.select)
        .filter_map(|(column, may)| may.then_some(&*column.name))
        .collect();
    assert_eq!(readable, ["id", "organization_id", "label"]);
    assert!(!cages.privileges.delete);
    let refused = visitor.resource("letters").unwrap_err();
    assert_eq!(refused.kind(), Kind::PermissionDenied);

    let unknown = keeper.resource("cage").unwrap_err();
    assert_eq!(unknown.kind(), Kind::ResourceUnknown);
    assert_eq!(
        unknown.hint(),
        Some("Perhaps you meant the table 'public.cages'")
    );

    for role in [
        "nobody_at_all",
        "none",
        "",
        "zoo_keeper\0",
        "pg_monitor\"; --",
    ] {
        let refused = zoo.database.access(&Role::from(role)).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::RoleNotAllowed, "{role:?}");
    }
    zoo.close().await;
}

#[tokio::test]
async fn row_level_security_is_not_served_past_its_policies() {
    let zoo = Zoo::open().await;
    let superuser = zoo.database.access(&Role::from("postgres")).await.unwrap();
    for name in ["diaries", "diary_pages", "diaries_seen"] {
        let refused = superuser.resource(name).unwrap_err();
        assert_eq!(refused.kind(), Kind::PermissionDenied, "{name}");
        assert!(refused.detail().contains("row-level security"), "{refused}");
    }
    assert!(superuser.resource("cages").is_ok());
    // An owner is bound only if the table says so.
    zoo.postgres
        .execute("alter table diaries owner to zoo_keeper")
        .await;
    zoo.database.rediscover().await.unwrap();
    let owner = zoo.database.access(&Role::from(KEEPER)).await.unwrap();
    assert!(owner.resource("diaries").is_err());
    zoo.postgres
        .execute("alter table diaries force row level security")
        .await;
    zoo.database.rediscover().await.unwrap();
    let owner = zoo.database.access(&Role::from(KEEPER)).await.unwrap();
    assert!(owner.resource("diaries").is_ok());
    zoo.close().await;
}

#[tokio::test]
async fn the_schema_may_change_while_we_look() {
    let zoo = Zoo::open().await;
    assert!(zoo.database.catalog().resource("ponds").is_none());
    zoo.postgres
        .execute("create table ponds (id int primary key, organization_id int)")
        .await;
    zoo.database.rediscover().await.unwrap();
    assert!(zoo.database.catalog().resource("ponds").is_some());
    zoo.close().await;
}

#[tokio::test]
async fn the_help_desk_is_a_catalog_without_warnings() {
    let postgres = crate::support::Database::helpdesk().await;
    let mut config = rowcast::config::Config::default();
    config.database.url = Some(rowcast::config::Secret::from(postgres.url.as_str()));
    config.database.default_role = Some("helpdesk_agent".into());
    let database = zoo::connect(&config).await;
    let catalog = database.catalog();
    assert_eq!(catalog.remarks, Vec::<Remark>::new());
    assert_eq!(catalog.resources().count(), 11);
    assert_eq!(catalog.hidden.len(), 1);
    assert_eq!(&*database.default_role().0, "helpdesk_agent");
    let access = database.access(&database.default_role()).await.unwrap();
    let tickets = access.resource("tickets").unwrap().resource;
    let members = catalog.resource("ticket_members").unwrap().relation;
    assert_eq!(tickets.visibility_depends_on, [members]);
    let own = catalog.resource("ticket_members").unwrap();
    assert_eq!(own.visibility_depends_on, [members]);
    database.close().await;
    drop(database);
    postgres.finish().await;
}

#[tokio::test]
async fn an_address_that_does_not_fit_is_refused() {
    for url in ["", "nonsense", "postgres://localhost/x?sslmode=require"] {
        let refused = rowcast::postgres::Database::connect(&zoo::config(url)).await;
        let refused = refused.unwrap_err();
        assert_eq!(
            refused.kind(),
            Kind::ConfigurationInvalid,
            "{url}: {refused}"
        );
    }
    let mut config = zoo::config("host=/nowhere/at/all user=x");
    config.database.connect_timeout_ms = 500;
    let refused = rowcast::postgres::Database::connect(&config)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), Kind::DatabaseUnavailable);
}
