-- The types $1 and all that they are made of, each with its default equality.
--
-- The equality operator is looked up as PostgreSQL does for `order by` and `distinct`: in the default
-- operator class of the type itself, else of its family of types (enums, arrays, ranges, rows), else
-- of a type that it is stored alike (varchar as text).
with recursive needed (oid) as (
    select n.oid from pg_catalog.unnest($1::oid[]) as n (oid)
    union
    select part.oid
    from needed
    join pg_catalog.pg_type as t on t.oid = needed.oid
    left join pg_catalog.pg_range as r on t.oid in (r.rngtypid, r.rngmultitypid)
    cross join lateral (values
        (case when t.typtype = 'd' then t.typbasetype end),
        (case when t.typsubscript = 'pg_catalog.array_subscript_handler'::regproc then t.typelem end),
        (case when t.oid = r.rngtypid then r.rngsubtype else r.rngtypid end)
    ) as part (oid)
    where part.oid is not null and part.oid <> 0
)
select
    t.oid,
    pg_catalog.format_type(t.oid, null) as name,
    t.typtype::text as kind,
    case
        when t.typtype = 'd' then t.typbasetype
        when t.typtype = 'r' then r.rngsubtype
        when t.typtype = 'm' then r.rngtypid
        when t.typsubscript = 'pg_catalog.array_subscript_handler'::regproc then t.typelem
    end as part,
    t.typsubscript = 'pg_catalog.array_subscript_handler'::regproc as is_array,
    case when t.typtype = 'e' then array(
        select e.enumlabel::text
        from pg_catalog.pg_enum as e
        where e.enumtypid = t.oid
        order by e.enumsortorder
    ) end as labels,
    equality.schema as equality_schema,
    equality.name as equality_name,
    coalesce(equality.leakproof, false) as equality_leakproof,
    coalesce(equality.leakproof_order, false) as order_leakproof,
    coalesce(equality.ordered, false) as ordered
-- `offset 0` keeps the few types that are needed together. Without it the planner looks up the
-- equality of every type that there is first, which takes seconds.
from (
    select t.*
    from needed
    join pg_catalog.pg_type as t on t.oid = needed.oid
    offset 0
) as t
left join pg_catalog.pg_range as r on t.oid in (r.rngtypid, r.rngmultitypid)
left join lateral (
    select
        operator_schema.nspname::text as schema,
        o.oprname::text as name,
        -- Two that PostgreSQL does not call leakproof although they compare what is there and cannot
        -- fail; without them, a filter on an enum could not use its index.
        p.proleakproof
            or p.oid in ('pg_catalog.enum_eq'::regproc, 'pg_catalog.numeric_eq'::regproc)
            as leakproof,
        am.amname = 'btree' as ordered,
        am.amname = 'btree' and (
            select bool_and(compares.proleakproof)
            from pg_catalog.pg_amop as each
            join pg_catalog.pg_operator as other on other.oid = each.amopopr
            join pg_catalog.pg_proc as compares on compares.oid = other.oprcode
            where each.amopfamily = oc.opcfamily
                and each.amoplefttype = oc.opcintype
                and each.amoprighttype = oc.opcintype
                and each.amopstrategy in (1, 5)
                and each.amoppurpose = 's'
        ) as leakproof_order
    from pg_catalog.pg_opclass as oc
    join pg_catalog.pg_am as am on am.oid = oc.opcmethod
    join pg_catalog.pg_type as input on input.oid = oc.opcintype
    join pg_catalog.pg_amop as ao
        on ao.amopfamily = oc.opcfamily
        and ao.amoplefttype = oc.opcintype
        and ao.amoprighttype = oc.opcintype
        and ao.amopstrategy = case am.amname when 'btree' then 3 else 1 end
        and ao.amoppurpose = 's'
    join pg_catalog.pg_operator as o on o.oid = ao.amopopr
    join pg_catalog.pg_namespace as operator_schema on operator_schema.oid = o.oprnamespace
    join pg_catalog.pg_proc as p on p.oid = o.oprcode
    where oc.opcdefault
        and am.amname in ('btree', 'hash')
        and (
            oc.opcintype = t.oid
            or oc.opcintype = case
                when t.typtype = 'e' then 'pg_catalog.anyenum'::regtype
                when t.typtype = 'r' then 'pg_catalog.anyrange'::regtype
                when t.typtype = 'm' then 'pg_catalog.anymultirange'::regtype
                when t.typtype = 'c' then 'pg_catalog.record'::regtype
                when t.typsubscript = 'pg_catalog.array_subscript_handler'::regproc
                    then 'pg_catalog.anyarray'::regtype
            end
            or exists (
                select
                from pg_catalog.pg_cast as c
                where c.castsource = t.oid
                    and c.casttarget = oc.opcintype
                    and c.castmethod = 'b'
                    and c.castcontext = 'i'
            )
        )
    order by oc.opcintype = t.oid desc, am.amname = 'btree' desc, input.typispreferred desc, o.oid
    limit 1
) as equality on t.typtype <> 'd'
