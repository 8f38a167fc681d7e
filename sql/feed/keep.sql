-- Says, before anything is dropped, from which state on the log is whole: from the one of the mark $1.
-- Marks from before are of no more use.
with marks as (
    delete from rowcast.marks
    where rowcast.version_of(snapshot) < rowcast.version_of($1::text::pg_snapshot)
)
select setval('rowcast.kept_version', greatest(last_value, rowcast.version_of($1::text::pg_snapshot)))
from rowcast.kept_version
