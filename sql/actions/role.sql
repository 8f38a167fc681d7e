-- Takes the caller's role again, in which triggers that wait for the commit run.
select pg_catalog.set_config('role', $1, true)
