//! Which relation a name means, and what is told where none or several fit.

use super::*;
use crate::catalog::{Column, ColumnType, ResourceKind, TypeKind};
use std::collections::HashMap;

fn table(relation: Oid, name: &str, columns: &[&str]) -> Resource {
    let column = |(number, name): (i16, &&str)| Column {
        name: (*name).into(),
        number,
        type_: ColumnType {
            oid: 20,
            name: "bigint".into(),
            kind: TypeKind::Base,
        },
        not_null: false,
        has_default: false,
        identity_always: false,
        generated: false,
        equality: None,
        leakproof_equality: false,
        leakproof_order: false,
        orderable: true,
    };
    let columns = (1..).zip(columns).map(column).collect();
    Resource {
        relation,
        kind: ResourceKind::Table,
        key: vec![0],
        ..Resource::of_values(&"test".into(), &name.into(), columns)
    }
}

fn key(name: &str, table: Oid, columns: &[i16], target: Oid, there: &[i16]) -> ForeignKey {
    ForeignKey {
        constraint: name.into(),
        table,
        columns: columns.to_vec(),
        target,
        target_columns: there.to_vec(),
        unique: false,
    }
}

const SITES: Oid = 1;
const PROJECTS: Oid = 2;
const JOBS: Oid = 3;
const PEOPLE: Oid = 4;
const DETAILS: Oid = 5;
const SHOWN: Oid = 6;

/// Sites with one main project, and many through jobs; people with a boss, and details one to one;
/// and a view of the projects.
fn catalog() -> Catalog {
    let view = Resource {
        kind: ResourceKind::View { updatable: true },
        ..table(SHOWN, "projects_shown", &["name", "number"])
    };
    let resources = vec![
        table(SITES, "sites", &["id", "main_project_id"]),
        table(PROJECTS, "projects", &["id", "owner_id", "editor_id"]),
        table(JOBS, "jobs", &["site_id", "project_id", "at"]),
        table(PEOPLE, "people", &["id", "boss_id"]),
        table(DETAILS, "details", &["person_id"]),
        view,
    ];
    let shows = |column, of| {
        let origin = Origin {
            table: PROJECTS,
            column: of,
        };
        ((SHOWN, column), origin)
    };
    let source = Source {
        keys: vec![
            key("main_project", SITES, &[2], PROJECTS, &[1]),
            key("jobs_site", JOBS, &[1], SITES, &[1]),
            key("jobs_project", JOBS, &[2], PROJECTS, &[1]),
            key("owner", PROJECTS, &[2], PEOPLE, &[1]),
            key("editor", PROJECTS, &[3], PEOPLE, &[1]),
            key("boss", PEOPLE, &[2], PEOPLE, &[1]),
            ForeignKey {
                unique: true,
                ..key("details_person", DETAILS, &[1], PEOPLE, &[1])
            },
        ],
        primary: HashMap::from([(JOBS, vec![1, 2]), (PROJECTS, vec![1])]),
        shown: HashMap::from([shows(2, 1), shows(1, 9)]),
    };
    let relations = derive(&resources, &source);
    Catalog::new(resources, Vec::new(), Vec::new()).with_relations(relations)
}

fn found(origin: Oid, target: &str, hint: Option<&str>) -> Option<(Oid, &'static str)> {
    let catalog = catalog();
    let origin = catalog.relation(origin).expect("it is there");
    let relation = catalog.relation_to(origin, target, hint).ok()?;
    let link = match &relation.link {
        Link::Join { .. } => "through",
        Link::Computed { .. } => "computed",
        Link::Key { side, .. } => match side {
            Side::There => "many",
            Side::Here => "one",
            Side::Unique => "unique",
        },
    };
    assert_eq!(relation.is_to_one(), matches!(link, "one" | "unique"));
    Some((relation.target, link))
}

#[test]
fn names_and_hints_choose() {
    assert_eq!(found(PEOPLE, "details", None), Some((DETAILS, "unique")));
    assert_eq!(found(DETAILS, "people", None), Some((PEOPLE, "unique")));
    assert_eq!(found(JOBS, "sites", None), Some((SITES, "one")));
    assert_eq!(found(SITES, "jobs", None), Some((JOBS, "many")));
    // The table's name is the relation's, the key's, or the column's.
    let main = Some((PROJECTS, "one"));
    assert_eq!(found(SITES, "main_project", None), main);
    assert_eq!(found(SITES, "main_project_id", None), main);
    assert_eq!(found(SITES, "projects", None), None);
    assert_eq!(found(SITES, "projects", Some("main_project")), main);
    assert_eq!(found(SITES, "projects", Some("main_project_id")), main);
    let joined = Some((PROJECTS, "through"));
    assert_eq!(found(SITES, "projects", Some("jobs")), joined);
    let owned = Some((PROJECTS, "many"));
    assert_eq!(found(PEOPLE, "projects", Some("owner")), owned);
    assert_eq!(found(PEOPLE, "projects", Some("owner_id")), owned);
    assert_eq!(found(PEOPLE, "projects", Some("nobody")), None);
    // A tree: the table's name leads down, the column's leads up.
    assert_eq!(found(PEOPLE, "people", None), Some((PEOPLE, "many")));
    assert_eq!(found(PEOPLE, "boss_id", None), Some((PEOPLE, "one")));
    assert_eq!(
        found(PEOPLE, "people", Some("boss_id")),
        Some((PEOPLE, "many"))
    );
    // A view relates as the table whose key it shows; its other columns do not.
    assert_eq!(
        found(SITES, "projects_shown", Some("main_project")),
        Some((SHOWN, "one"))
    );
    assert_eq!(found(SHOWN, "people", None), None);
    assert_eq!(found(SHOWN, "jobs", None), Some((JOBS, "many")));
}

#[test]
fn what_fits_several_times_is_listed() {
    let catalog = catalog();
    let sites = catalog.relation(SITES).expect("it is there");
    let error = catalog.relation_to(sites, "projects", None).unwrap_err();
    assert_eq!(error.kind(), Kind::RelationAmbiguous);
    assert_eq!(
        error.detail(),
        "Could not embed because more than one relationship was found for 'sites' and 'projects'"
    );
    assert_eq!(
        error.details(),
        Some(&json!([
            {"cardinality": "many-to-one", "embedding": "sites with projects",
             "relationship": "main_project using sites(main_project_id) and projects(id)"},
            {"cardinality": "many-to-many", "embedding": "sites with projects",
             "relationship": "jobs using jobs_site(site_id) and jobs_project(project_id)"},
        ]))
    );
    assert_eq!(
        error.hint(),
        Some(
            "Try changing 'projects' to one of the following: 'projects!main_project', \
             'projects!jobs'. Find the desired relationship in the 'details' key."
        )
    );
}

#[test]
fn what_fits_nowhere_says_what_was_searched() {
    let catalog = catalog();
    let sites = catalog.relation(SITES).expect("it is there");
    let error = catalog.relation_to(sites, "job", Some("at")).unwrap_err();
    assert_eq!(error.kind(), Kind::RelationUnknown);
    assert_eq!(
        error.details().and_then(|it| it.as_str()),
        Some(
            "Searched for a foreign key relationship between 'sites' and 'job' using the hint 'at' \
             in the schema 'test', but no matches were found."
        )
    );
    assert_eq!(
        error.hint(),
        Some("Perhaps you meant 'jobs' instead of 'job'.")
    );
    let error = catalog.relation_to(sites, "jobs", Some("at")).unwrap_err();
    assert_eq!(error.hint(), None);
}
