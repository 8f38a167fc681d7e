-- GET /messages?select=body&sent_at=gt.2024-01-01

-- rows
select t."body"
from "public"."messages" as t
where exists (
    select
    from "public"."tickets" as t_
    where t_."id" = t."ticket_id"
      and t_."organization_id" = $1::bigint
)
  and case when exists (
    select
    from "public"."tickets" as t_
    where t_."id" = t."ticket_id"
      and t_."organization_id" = $2::bigint
) then t."sent_at" > $3::timestamp with time zone end;
-- $1 = "42"
-- $2 = "42"
-- $3 = "2024-01-01"


-- GET /messages?select=body&body=match.x

-- rows
select t."body"
from "public"."messages" as t
where exists (
    select
    from "public"."tickets" as t_
    where t_."id" = t."ticket_id"
      and t_."organization_id" = $1::bigint
)
  and case when exists (
    select
    from "public"."tickets" as t_
    where t_."id" = t."ticket_id"
      and t_."organization_id" = $2::bigint
) then t."body" ~ $3::text end;
-- $1 = "42"
-- $2 = "42"
-- $3 = "x"


-- GET /countries

-- rows
select t."code", t."name"
from "public"."countries" as t
where true;


-- single: GET /messages?select=body&body=match.x

-- rows
select t."body"
from "public"."messages" as t
where true
  and t."body" ~ $1::text;
-- $1 = "x"
