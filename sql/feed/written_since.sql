-- The keys of a resource's rows that were written by transactions which this snapshot sees and the one
-- of $1 (its xmax) and $2 (its xip) did not. A null stands for all rows: something happened that keys do
-- not tell, or there is too much to look through.
--
-- $3 to $5, side by side: relations whose entries matter, whether each of them is about all rows, and
-- whether entries of other organizations' than $6 are not. $7: relations through whose rows the
-- resource's belong to an organization. $8 and $9: how many entries are looked at and keys answered.
with written as materialized (
    select relation, op, key, organization, reference
    from (
        select relation, op, key, organization, reference
        from rowcast.changes
        where xid >= $1
        union all
        select relation, op, key, organization, reference
        from rowcast.changes
        where xid = any ($2)
    ) them
    limit $8
)
select case
        when not it.whole and op in ('i', 'u', 'o', 'd') and array_position(key, null) is null then key
    end as key
from written
join unnest($3::oid[], $4::boolean[], $5::boolean[]) as it (relation, whole, own) using (relation)
where not it.own or organization is null or organization = $6
union
-- Rows that moved from one organization to another took with them those that belong through them.
select null
from written
where relation = any ($7)
group by relation, key
having count(distinct organization) > 1 or count(distinct reference) > 1 or key is null
union
select null
where (select count(*) from written) >= $8
limit $9
