-- GET /tickets?id=in.(1,2)&select=id&include=contacts,messages

-- rows
select t."id"
from "public"."tickets" as t
where t."organization_id" = $1::bigint
  and t."id" = any ($2::bigint[]);
-- $1 = "42"
-- $2 = "{\"1\",\"2\"}"

-- included
select t."id", t."organization_id", t."name", pg_catalog.to_json(t."email"), t."country_code"
from "public"."contacts" as t
where t."organization_id" = $1::bigint
  and t."id" = any (array(
    select o1."contact_id" as c1
    from "public"."tickets" as o1
    where o1."organization_id" = $2::bigint
      and o1."id" = any ($3::bigint[])
));
-- $1 = "42"
-- $2 = "42"
-- $3 = "{\"1\",\"2\"}"

-- included
select t."id", t."ticket_id", t."body", t."sent_at"
from "public"."messages" as t
where exists (
    select
    from "public"."tickets" as t_
    where t_."id" = t."ticket_id"
      and t_."organization_id" = $1::bigint
)
  and t."ticket_id" = any (array(
    select o1."id" as c1
    from "public"."tickets" as o1
    where o1."organization_id" = $2::bigint
      and o1."id" = any ($3::bigint[])
));
-- $1 = "42"
-- $2 = "42"
-- $3 = "{\"1\",\"2\"}"


-- GET /contacts?select=id&limit=2&include=tickets(messages,labels)

-- rows
select t."id", t."id"::text
from "public"."contacts" as t
where t."organization_id" = $1::bigint
order by t."id"
limit 3;
-- $1 = "42"

-- included
select t."id", t."organization_id", t."subject", t."status", t."priority", t."urgent", t."amount",
    t."data", t."tags", t."due", pg_catalog.to_json(t."words"), t."opened_at", t."contact_id",
    t."parent_id", t."assignee", t."order"
from "public"."tickets" as t
where t."organization_id" = $1::bigint
  and t."contact_id" = any (array(
    select o1."id" as c1
    from "public"."contacts" as o1
    where o1."organization_id" = $2::bigint
    order by o1."id"
    limit 2
));
-- $1 = "42"
-- $2 = "42"

-- included
select t."id", t."ticket_id", t."body", t."sent_at"
from "public"."messages" as t
where exists (
    select
    from "public"."tickets" as t_
    where t_."id" = t."ticket_id"
      and t_."organization_id" = $1::bigint
)
  and t."ticket_id" = any (array(
    select o1."id" as c1
    from "public"."tickets" as o1
    where o1."organization_id" = $2::bigint
      and o1."contact_id" = any (array(
        select o2."id" as c1
        from "public"."contacts" as o2
        where o2."organization_id" = $3::bigint
        order by o2."id"
        limit 2
    ))
));
-- $1 = "42"
-- $2 = "42"
-- $3 = "42"

-- included
select t."id", t."organization_id", t."name"
from "public"."labels" as t
where t."organization_id" = $1::bigint
  and t."id" = any (array(
    select j1."label_id" as c1
    from "public"."ticket_labels" as j1
    where j1."ticket_id" = any (array(
        select o2."id" as c1
        from "public"."tickets" as o2
        where o2."organization_id" = $2::bigint
          and o2."contact_id" = any (array(
            select o3."id" as c1
            from "public"."contacts" as o3
            where o3."organization_id" = $3::bigint
            order by o3."id"
            limit 2
        ))
    ))
      and exists (
        select
        from "public"."tickets" as j1_
        where j1_."id" = j1."ticket_id"
          and j1_."organization_id" = $4::bigint
    )
));
-- $1 = "42"
-- $2 = "42"
-- $3 = "42"
-- $4 = "42"


-- GET /tickets/7?include=contacts

-- rows
select t."id", t."organization_id", t."subject", t."status", t."priority", t."urgent", t."amount",
    t."data", t."tags", t."due", pg_catalog.to_json(t."words"), t."opened_at", t."contact_id",
    t."parent_id", t."assignee", t."order"
from "public"."tickets" as t
where t."organization_id" = $1::bigint
  and t."id" = $2::bigint;
-- $1 = "42"
-- $2 = "7"

-- included
select t."id", t."organization_id", t."name", pg_catalog.to_json(t."email"), t."country_code"
from "public"."contacts" as t
where t."organization_id" = $1::bigint
  and t."id" = any (array(
    select o1."contact_id" as c1
    from "public"."tickets" as o1
    where o1."organization_id" = $2::bigint
      and o1."id" = $3::bigint
));
-- $1 = "42"
-- $2 = "42"
-- $3 = "7"
