-- Says, before anything is deleted, from which transaction on the log is whole.
with kept as (
    update rowcast.settings set kept_from = greatest(kept_from, $1) returning kept_from
)
delete from rowcast.marks m
using kept
where pg_snapshot_xmin(m.snapshot) < kept.kept_from
