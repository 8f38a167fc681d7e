-- Functions of rowcast's by name, as far as they decide what is logged.
select p.proname::text as name, p.prosrc as body, p.prosecdef as definer,
       coalesce(p.proconfig, '{}') as settings
from pg_proc p
where p.pronamespace = 'rowcast'::regnamespace and p.proname = any ($1)
