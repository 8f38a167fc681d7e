-- The time zones that PostgreSQL knows.
select name from pg_catalog.pg_timezone_names
