-- The columns of the relations $1.
select
    a.attrelid as relation,
    a.attname::text as name,
    a.attnum as number,
    a.atttypid as type,
    a.attnotnull as not_null,
    a.atthasdef or a.attidentity <> '' or t.typdefault is not null as has_default,
    a.attidentity = 'a' as identity_always,
    a.attgenerated <> '' as generated
from pg_catalog.pg_attribute as a
join pg_catalog.pg_type as t on t.oid = a.atttypid
where a.attrelid = any ($1::oid[]) and a.attnum > 0 and not a.attisdropped
order by a.attrelid, a.attnum
