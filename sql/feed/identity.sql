-- What transaction ids are valid in, apart from the cluster itself (which may be forbidden to ask).
select
    (select oid from pg_database where datname = current_database()) as database,
    ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint as timeline,
    (select id::text from rowcast.log_identity) as log_id,
    (select last_value from rowcast.kept_version) > rowcast.version_of(pg_current_snapshot()) as ahead,
    has_function_privilege('pg_control_system()', 'execute') as may_ask
