-- Functions of rowcast's that log rows, that no trigger calls and that are none of $1.
select p.oid::regprocedure::text as function
from pg_proc p
where p.pronamespace = 'rowcast'::regnamespace
    and p.proname ~ '^log_((insert|update|delete|row)_)?[0-9]+$'
    and p.proname <> all ($1)
    and not exists (select from pg_trigger g where g.tgfoid = p.oid)
