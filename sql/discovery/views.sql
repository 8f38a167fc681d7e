-- The definitions of those of the relations $1 that are views, and of the views that these are made
-- of, as the trees that PostgreSQL keeps: in them each column says which table's column it shows.
with recursive view (oid) as (
    select c.oid
    from pg_catalog.pg_class as c
    where c.oid = any ($1::oid[]) and c.relkind in ('v', 'm')
    union
    select c.oid
    from view
    join pg_catalog.pg_rewrite as r on r.ev_class = view.oid
    join pg_catalog.pg_depend as d
        on d.classid = 'pg_catalog.pg_rewrite'::regclass
        and d.objid = r.oid
        and d.refclassid = 'pg_catalog.pg_class'::regclass
    join pg_catalog.pg_class as c on c.oid = d.refobjid and c.relkind in ('v', 'm')
)
select r.ev_class as relation, r.ev_action::text as definition
from view
join pg_catalog.pg_rewrite as r on r.ev_class = view.oid and r.rulename = '_RETURN'
