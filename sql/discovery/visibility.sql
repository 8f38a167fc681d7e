-- What the relations $1 read beside themselves: through row-level security policies and the functions
-- and views that these use, and, for views, through their definition. PostgreSQL records what a policy,
-- a rule and a function with a parsed body depend on; the body of any other function is text to it.
with recursive edge (from_class, from_object, to_class, to_object) as materialized (
    select d.classid, d.objid, d.refclassid, d.refobjid
    from pg_catalog.pg_depend as d
    where d.classid in (
            'pg_catalog.pg_policy'::regclass,
            'pg_catalog.pg_rewrite'::regclass,
            'pg_catalog.pg_proc'::regclass
        )
        and d.refclassid in ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_proc'::regclass)
    union
    select 'pg_catalog.pg_class'::regclass, p.polrelid, 'pg_catalog.pg_policy'::regclass, p.oid
    from pg_catalog.pg_policy as p
    join pg_catalog.pg_class as c on c.oid = p.polrelid
    where c.relrowsecurity
    union
    select 'pg_catalog.pg_class'::regclass, r.ev_class, 'pg_catalog.pg_rewrite'::regclass, r.oid
    from pg_catalog.pg_rewrite as r
), reached (relation, class, object, by_code) as (
    select r.oid, 'pg_catalog.pg_class'::regclass::oid, r.oid, false
    from pg_catalog.unnest($1::oid[]) as r (oid)
    union
    select
        reached.relation,
        edge.to_class,
        edge.to_object,
        edge.from_class <> 'pg_catalog.pg_policy'::regclass
    from reached
    join edge on edge.from_class = reached.class and edge.from_object = reached.object
)
select distinct
    reached.relation,
    case when reached.class = 'pg_catalog.pg_class'::regclass then reached.object end as reads,
    coalesce(c.relrowsecurity, false) as row_security,
    -- A function whose body PostgreSQL does not know.
    case when p.oid is not null then reached.object::regprocedure::text end as opaque
from reached
left join pg_catalog.pg_class as c
    on reached.class = 'pg_catalog.pg_class'::regclass
    and c.oid = reached.object
    and c.relkind in ('r', 'p', 'v', 'm', 'f')
left join pg_catalog.pg_proc as p
    on reached.class = 'pg_catalog.pg_proc'::regclass
    and p.oid = reached.object
    and p.prosqlbody is null
    and p.pronamespace <> 'pg_catalog'::regnamespace
    and p.prolang not in (
        select l.oid from pg_catalog.pg_language as l where l.lanname in ('internal', 'c')
    )
where (c.oid is not null or p.oid is not null)
    -- A policy names its own table's columns all the time. Only a function or a view can read other
    -- rows of it: a subquery in the policy itself would ask itself again without end.
    and (reached.object <> reached.relation or reached.by_code)
