-- GET /tickets?select=id,title:subject,data->customer->>name,data->items->0->>price::numeric,id::text

-- rows
select pg_catalog.to_json(cast(t."id" as text)), t."subject", (t."data"->$1::text->>$2::text),
    pg_catalog.to_json(cast((t."data"->$3::text->0->>$4::text) as numeric))
from "public"."tickets" as t
where t."organization_id" = $5::bigint;
-- $1 = "customer"
-- $2 = "name"
-- $3 = "items"
-- $4 = "price"
-- $5 = "42"


-- GET /tickets?select=id&data->>kind=eq.bug&data->size=gt.3&tags->0=eq."a"

-- rows
select t."id"
from "public"."tickets" as t
where t."organization_id" = $1::bigint
  and case when t."organization_id" = $2::bigint then (t."data"->>$3::text) = $4::text
      and (t."data"->$5::text) > $6::jsonb and (to_jsonb(t."tags")->0) = $7::jsonb end;
-- $1 = "42"
-- $2 = "42"
-- $3 = "kind"
-- $4 = "bug"
-- $5 = "size"
-- $6 = "3"
-- $7 = "\"a\""


-- GET /tickets?select="order"&order="order".desc

-- rows
select t."order"
from "public"."tickets" as t
where t."organization_id" = $1::bigint
order by t."order" desc;
-- $1 = "42"


-- GET /tickets?select=status,count(),amount.sum(),priority::numeric.avg()::text&order=status

-- rows
select g.c1, pg_catalog.to_json(count(g.c2)), pg_catalog.to_json(sum(g.c3)),
    pg_catalog.to_json(cast(avg(g.c4) as text))
from (
    select t."status" as c1, 1 as c2, t."amount" as c3, cast(t."priority" as numeric) as c4
    from "public"."tickets" as t
    where t."organization_id" = $1::bigint
) as g
group by g.c1
order by g.c1;
-- $1 = "42"


-- GET /tickets?select=count()

-- rows
select pg_catalog.to_json(count(g.c1))
from (
    select 1 as c1
    from "public"."tickets" as t
    where t."organization_id" = $1::bigint
) as g;
-- $1 = "42"


-- GET /tickets/7?select=id,subject

-- rows
select t."id", t."subject"
from "public"."tickets" as t
where t."organization_id" = $1::bigint
  and t."id" = $2::bigint;
-- $1 = "42"
-- $2 = "7"


-- GET /ticket_labels/1,2

-- rows
select t."ticket_id", t."label_id", t.xmin::text
from "public"."ticket_labels" as t
where exists (
    select
    from "public"."tickets" as t_
    where t_."id" = t."ticket_id"
      and t_."organization_id" = $1::bigint
)
  and t."ticket_id" = $2::bigint
  and t."label_id" = $3::integer;
-- $1 = "42"
-- $2 = "1"
-- $3 = "2"
