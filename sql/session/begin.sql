-- The first statement of every transaction: $1 role, $2 claims, $3 statement time-out, $4 action id.
-- The items are evaluated in this order, so that current_user is the role that was just set.
select
    pg_catalog.set_config('role', $1, true),
    pg_catalog.set_config('request.jwt.claims', $2, true),
    pg_catalog.set_config('statement_timeout', $3, true),
    pg_catalog.set_config('rowcast.action_id', $4, true),
    current_user::text as role,
    pg_catalog.pg_current_snapshot()::text as snapshot
