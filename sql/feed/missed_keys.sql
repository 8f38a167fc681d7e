-- The keys that were written since a snapshot, each once; parameters as in missed_kinds.sql. Grouped
-- in two steps, so that a key that was written often takes little room in either.
declare missed no scroll cursor without hold for
select key, min(first) = min(inserted) as inserted, coalesce(bool_or(own), false) as own,
       array_agg(reference) as refs, array_agg(action_id) as actions
from (
    select key, reference, action_id, bool_or(organization = $4) as own,
           min(seq) as first, min(seq) filter (where op = 'i') as inserted
    from (
        select seq, op, key, organization, reference, action_id
        from rowcast.changes
        where xid >= $1 and relation = any ($3) and (organization is null or organization = $4)
        union all
        select seq, op, key, organization, reference, action_id
        from rowcast.changes
        where xid = any ($2) and relation = any ($3) and (organization is null or organization = $4)
    ) entries
    where op in ('i', 'u', 'o', 'd')
    group by key, reference, action_id
) writes
group by key
