-- The functions of the schemas $1 that a caller could name, in the order of the schemas.
select
    p.oid,
    n.nspname::text as schema,
    p.proname::text as name,
    p.provolatile::text as volatility,
    p.proretset as returns_set,
    p.prorettype as returns,
    -- The relation whose rows it returns, or the one that stands for a row type.
    nullif(r.typrelid, 0) as returns_relation,
    -- The relation of which it takes a row, and nothing else.
    case when p.pronargs = 1 then (
        select nullif(a.typrelid, 0)
        from pg_catalog.pg_type as a
        where a.oid = p.proargtypes[0]
    ) end as takes_relation,
    p.prorows = 1 as returns_one,
    coalesce(p.proallargtypes, p.proargtypes::oid[]) as argument_types,
    coalesce(p.proargnames, '{}') as argument_names,
    coalesce(p.proargmodes::text[], '{}') as argument_modes,
    p.pronargdefaults::int as defaults,
    exists (
        select
        from pg_catalog.unnest(p.proargtypes::oid[]) as a (type)
        join pg_catalog.pg_type as t on t.oid = a.type
        where t.typtype = 'p'
    ) as is_generic,
    exists (
        select
        from pg_catalog.pg_depend as d
        where d.classid = 'pg_catalog.pg_proc'::regclass
            and d.objid = p.oid
            and d.refclassid = 'pg_catalog.pg_extension'::regclass
            and d.deptype = 'e'
    ) as of_extension
from pg_catalog.pg_proc as p
join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
join pg_catalog.pg_type as r on r.oid = p.prorettype
where n.nspname = any ($1::text[])
    and n.nspname <> 'rowcast'
    and p.prokind = 'f'
    -- What triggers, operators and languages call is called by nobody else.
    and (r.typtype <> 'p' or r.typname in ('void', 'record'))
order by pg_catalog.array_position($1::text[], n.nspname::text), p.proname, p.oid
