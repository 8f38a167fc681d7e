-- As new_since.sql, of these relations ($4) and the organizations beside them ($5) only.
select seq, xid, relation, op, key, organization, reference, action_id
from (
    select * from rowcast.changes where xid >= $1
    union all
    select * from rowcast.changes where xid = any ($2)
) them
where exists (
    select from unnest($4::oid[], $5::text[]) as wanted (relation, organization)
    where wanted.relation = them.relation
        and wanted.organization is not distinct from them.organization
)
limit $3
