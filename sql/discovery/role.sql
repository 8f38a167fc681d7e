-- The role $1, and whether we may take it.
select r.oid, pg_catalog.pg_has_role(session_user, r.oid, 'member') as member
from pg_catalog.pg_roles as r
where r.rolname = $1
