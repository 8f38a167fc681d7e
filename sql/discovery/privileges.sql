-- What the role $1 may do with the relations $2, and whether their row-level security binds it
-- (PostgreSQL manual, "Row Security Policies").
select
    c.oid as relation,
    pg_catalog.has_schema_privilege(r.oid, c.relnamespace, 'usage') as usage,
    columns.may_select,
    columns.may_insert,
    columns.may_update,
    pg_catalog.has_table_privilege(r.oid, c.oid, 'select') as may_select_whole,
    pg_catalog.has_table_privilege(r.oid, c.oid, 'delete') as may_delete,
    not r.rolsuper
        and not r.rolbypassrls
        and (c.relforcerowsecurity or not pg_catalog.pg_has_role(r.oid, c.relowner, 'usage'))
        as row_security_binds
from pg_catalog.pg_class as c
cross join pg_catalog.pg_roles as r
cross join lateral (
    select
        pg_catalog.array_agg(
            pg_catalog.has_column_privilege(r.oid, c.oid, a.attnum, 'select') order by a.attnum
        ) as may_select,
        pg_catalog.array_agg(
            pg_catalog.has_column_privilege(r.oid, c.oid, a.attnum, 'insert') order by a.attnum
        ) as may_insert,
        pg_catalog.array_agg(
            pg_catalog.has_column_privilege(r.oid, c.oid, a.attnum, 'update') order by a.attnum
        ) as may_update
    from pg_catalog.pg_attribute as a
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
) as columns
where r.oid = $1::oid and c.oid = any ($2::oid[])
