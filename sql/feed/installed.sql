-- The triggers of rowcast's on one relation, and what we may do about them.
select
    pg_has_role(c.relowner, 'usage') as owned,
    has_table_privilege(c.oid, 'trigger') as may_trigger,
    array(
        select concat_ws(' ', g.tgname, p.proname, g.tgenabled, g.tgtype,
                         g.tgoldtable is not null, g.tgnewtable is not null)
        from pg_trigger g join pg_proc p on p.oid = g.tgfoid
        where g.tgrelid = c.oid and p.pronamespace = 'rowcast'::regnamespace and not g.tgisinternal
    ) as triggers
from pg_class c
where c.oid = $1
