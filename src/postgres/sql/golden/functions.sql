-- GET /rpc/add?a=1&b=2

-- rows
select t."add"
from "public"."add"("a" => $1::integer, "b" => $2::integer) as t ("add")
where true;
-- $1 = "1"
-- $2 = "2"


-- GET /rpc/find_tickets?words=cat&select=id,contacts(name)&status=eq.open&order=id&limit=2

-- rows
select t."id", (
    select pg_catalog.row_to_json(r1.*)
    from (
        select e2."name" as "name"
        from "public"."contacts" as e2
        where e2."id" = t."contact_id"
          and e2."organization_id" = $1::bigint
    ) as r1
)
from "public"."find_tickets"("words" => $2::text) as t
where t."organization_id" = $3::bigint
  and case when t."organization_id" = $4::bigint then t."status" = $5::public.status end
order by t."id"
limit 2;
-- $1 = "42"
-- $2 = "cat"
-- $3 = "42"
-- $4 = "42"
-- $5 = "open"


-- POST /rpc/add {"a":1}

-- rows
select t."add"
from "public"."add"("a" => $1::integer) as t ("add")
where true;
-- $1 = "1"


-- POST /rpc/close_ticket {"id":7}

-- rows
select t."nothing"
from (
    select 1 as nothing
    from "public"."close_ticket"("id" => $1::bigint)
) as t
where true;
-- $1 = "7"
