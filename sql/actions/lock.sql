-- Whether nobody else is doing the action of this number; held until the transaction ends, on
-- whichever server.
select pg_catalog.pg_try_advisory_xact_lock($1)
