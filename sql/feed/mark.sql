-- Notes what is visible now, at most once per $1 seconds, and answers the newest mark that is $2
-- seconds old: what was visible then need not be kept for anybody who has been away for less.
with marked as (
    insert into rowcast.marks (taken_at)
    select now()
    where not exists (
        select from rowcast.marks where taken_at > now() - make_interval(secs => $1)
    )
    on conflict do nothing
)
select snapshot::text
from rowcast.marks
where taken_at <= now() - make_interval(secs => $2)
order by taken_at desc
limit 1
