-- Run once on each new connection. $1: search path, $2: statement time-out. Everything that shapes
-- how values look as text is fixed, whatever the database's or the role's own settings.
select
    pg_catalog.set_config('search_path', $1, false),
    pg_catalog.set_config('statement_timeout', $2, false),
    pg_catalog.set_config('TimeZone', 'UTC', false),
    pg_catalog.set_config('DateStyle', 'ISO, YMD', false),
    pg_catalog.set_config('IntervalStyle', 'postgres', false),
    pg_catalog.set_config('bytea_output', 'hex', false),
    pg_catalog.set_config('extra_float_digits', '1', false),
    pg_catalog.set_config('row_security', 'on', false),
    -- Compiling takes longer than almost every statement of a web application.
    pg_catalog.set_config('jit', 'off', false),
    -- A transaction of ours never waits for anything but PostgreSQL itself.
    pg_catalog.set_config('idle_in_transaction_session_timeout', '60s', false),
    -- The statement of a server that has died ends; not every platform can see that.
    case when pg_catalog.version() ~* 'linux|apple|darwin|bsd'
        then pg_catalog.set_config('client_connection_check_interval', '5s', false)
    end,
    pg_catalog.pg_is_in_recovery() as in_recovery,
    pg_catalog.current_setting('server_version_num')::int as version,
    pg_catalog.current_setting('rowcast.default_role', true) as default_role,
    session_user::text as login
