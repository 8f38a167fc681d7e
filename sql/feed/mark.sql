-- Notes what is visible now, at most once per $1 seconds, and answers the oldest transaction that was
-- not yet over $2 seconds ago: what is older was visible then. Also how large the log is; what was
-- deleted leaves room in the file, which is not counted.
with marked as (
    insert into rowcast.marks (taken_at)
    select now()
    where not exists (
        select from rowcast.marks where taken_at > now() - make_interval(secs => $1)
    )
    on conflict do nothing
)
select
    (
        select pg_snapshot_xmin(snapshot)
        from rowcast.marks
        where taken_at <= now() - make_interval(secs => $2)
        order by taken_at desc
        limit 1
    ) as visible_before,
    least(
        pg_total_relation_size('rowcast.changes'),
        pg_stat_get_live_tuples('rowcast.changes'::regclass) * 160
    ) as bytes
