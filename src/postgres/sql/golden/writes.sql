-- POST /labels [{"name":"a"},{"name":"b"}]

-- insert
with w as (
    insert into "public"."labels" as t ("name", "organization_id")
    select g."name", $1::bigint
    from json_to_recordset($2::json) as g ("name" text)
    returning t."id", t."organization_id", t."name",
        (t."organization_id" = $3::bigint) is true as "inside"
)
select t."id", t."organization_id", t."name", (
    select row_to_json(o.*)
    from (
        select t."id"
    ) as o
)::text, t."inside"
from w as t;
-- $1 = "42"
-- $2 = "[{\"name\":\"a\"},{\"name\":\"b\"}]"
-- $3 = "42"

-- read again
select t."id", t."organization_id", t."name", t.xmin::text
from "public"."labels" as t
join rows from (json_to_recordset($1::json) as ("id" integer)) with ordinality as k (part0,
    place) on t."organization_id" = $2::bigint
  and t."id" = k.part0
order by k.place;
-- $1 = "[]"
-- $2 = "42"


-- POST /tickets?select=id,contacts(name) {"subject":"a","tags":["x"],"data":{"a":1}}

-- insert
with w as (
    insert into "public"."tickets" as t ("subject", "data", "tags", "organization_id")
    select g."subject", g."data", g."tags", $1::bigint
    from json_to_recordset($2::json) as g ("subject" text, "data" jsonb, "tags" text[])
    returning t."id", t."organization_id", t."subject", t."status", t."priority", t."urgent",
        t."amount", t."data", t."tags", t."due", t."words", t."opened_at", t."contact_id",
        t."parent_id", t."assignee", t."order",
        (t."organization_id" = $3::bigint) is true as "inside"
)
select t."id", (
    select pg_catalog.row_to_json(r1.*)
    from (
        select e2."name" as "name"
        from "public"."contacts" as e2
        where e2."id" = t."contact_id"
          and e2."organization_id" = $4::bigint
    ) as r1
), (
    select row_to_json(o.*)
    from (
        select t."id"
    ) as o
)::text, t."inside"
from w as t;
-- $1 = "42"
-- $2 = "[{\"subject\":\"a\",\"data\":{\"a\":1},\"tags\":[\"x\"]}]"
-- $3 = "42"
-- $4 = "42"

-- read again
select t."id", (
    select pg_catalog.row_to_json(r1.*)
    from (
        select e2."name" as "name"
        from "public"."contacts" as e2
        where e2."id" = t."contact_id"
          and e2."organization_id" = $1::bigint
    ) as r1
), null::text
from "public"."tickets" as t
join rows from (json_to_recordset($2::json) as ("id" bigint)) with ordinality as k (part0,
    place) on t."organization_id" = $3::bigint
  and t."id" = k.part0
order by k.place;
-- $1 = "42"
-- $2 = "[]"
-- $3 = "42"


-- POST /labels?columns=id,name [{"id":1,"name":"a","more":2},{"id":2}]

-- insert
with w as (
    insert into "public"."labels" as t ("id", "name", "organization_id")
    select g."id", g."name", $1::bigint
    from json_to_recordset($2::json) as g ("id" integer, "name" text)
    returning t."id", t."organization_id", t."name",
        (t."organization_id" = $3::bigint) is true as "inside"
)
select t."id", t."organization_id", t."name", (
    select row_to_json(o.*)
    from (
        select t."id"
    ) as o
)::text, t."inside"
from w as t;
-- $1 = "42"
-- $2 = "[{\"id\":1,\"name\":\"a\"},{\"id\":2}]"
-- $3 = "42"

-- read again
select t."id", t."organization_id", t."name", t.xmin::text
from "public"."labels" as t
join rows from (json_to_recordset($1::json) as ("id" integer)) with ordinality as k (part0,
    place) on t."organization_id" = $2::bigint
  and t."id" = k.part0
order by k.place;
-- $1 = "[]"
-- $2 = "42"


-- DEFAULTS /labels?columns=id,name [{"id":1,"name":"a"},{"id":2}]

-- insert
with w as (
    insert into "public"."labels" as t ("id", "name", "organization_id")
    select g."id", g."name", $1::bigint
    from json_to_recordset($2::json) as g ("id" integer, "name" text)
    returning t."id", t."organization_id", t."name",
        (t."organization_id" = $3::bigint) is true as "inside"
)
select t."id", t."organization_id", t."name", (
    select row_to_json(o.*)
    from (
        select t."id"
    ) as o
)::text, t."inside"
from w as t;
-- $1 = "42"
-- $2 = "[{\"id\":1,\"name\":\"a\"}]"
-- $3 = "42"

-- insert
with w as (
    insert into "public"."labels" as t ("id", "organization_id")
    select g."id", $1::bigint
    from json_to_recordset($2::json) as g ("id" integer)
    returning t."id", t."organization_id", t."name",
        (t."organization_id" = $3::bigint) is true as "inside"
)
select t."id", t."organization_id", t."name", (
    select row_to_json(o.*)
    from (
        select t."id"
    ) as o
)::text, t."inside"
from w as t;
-- $1 = "42"
-- $2 = "[{\"id\":2}]"
-- $3 = "42"

-- read again
select t."id", t."organization_id", t."name", t.xmin::text
from "public"."labels" as t
join rows from (json_to_recordset($1::json) as ("id" integer)) with ordinality as k (part0,
    place) on t."organization_id" = $2::bigint
  and t."id" = k.part0
order by k.place;
-- $1 = "[]"
-- $2 = "42"


-- MERGE /labels?on_conflict=id [{"id":1,"name":"a"}]

-- insert
with w as (
    insert into "public"."labels" as t ("id", "name", "organization_id")
    select g."id", g."name", $1::bigint
    from json_to_recordset($2::json) as g ("id" integer, "name" text)
    on conflict ("id") do update
    set "name" = excluded."name"
    where (t."organization_id" = $3::bigint)
      and pg_catalog.set_config('rowcast.merged',
          (pg_catalog.current_setting('rowcast.merged')::bigint + 1)::text, true) <> ''
    returning t."id", t."organization_id", t."name",
        (t."organization_id" = $4::bigint) is true as "inside"
)
select t."id", t."organization_id", t."name", (
    select row_to_json(o.*)
    from (
        select t."id"
    ) as o
)::text, t."inside"
from w as t;
-- $1 = "42"
-- $2 = "[{\"id\":1,\"name\":\"a\"}]"
-- $3 = "42"
-- $4 = "42"

-- read again
select t."id", t."organization_id", t."name", t.xmin::text
from "public"."labels" as t
join rows from (json_to_recordset($1::json) as ("id" integer)) with ordinality as k (part0,
    place) on t."organization_id" = $2::bigint
  and t."id" = k.part0
order by k.place;
-- $1 = "[]"
-- $2 = "42"


-- IGNORE /labels [{"id":1,"name":"a"}]

-- insert
with w as (
    insert into "public"."labels" as t ("id", "name", "organization_id")
    select g."id", g."name", $1::bigint
    from json_to_recordset($2::json) as g ("id" integer, "name" text)
    on conflict ("id") do nothing
    returning t."id", t."organization_id", t."name",
        (t."organization_id" = $3::bigint) is true as "inside"
)
select t."id", t."organization_id", t."name", (
    select row_to_json(o.*)
    from (
        select t."id"
    ) as o
)::text, t."inside"
from w as t;
-- $1 = "42"
-- $2 = "[{\"id\":1,\"name\":\"a\"}]"
-- $3 = "42"

-- passed over
select exists (
    select
    from json_to_recordset($1::json) as g ("id" integer, "name" text)
    where not exists (
        select
        from "public"."labels" as v
        where v."organization_id" = $2::bigint
          and v."id" = g."id"
    )
);
-- $1 = "[{\"id\":1,\"name\":\"a\"}]"
-- $2 = "42"

-- read again
select t."id", t."organization_id", t."name", t.xmin::text
from "public"."labels" as t
join rows from (json_to_recordset($1::json) as ("id" integer)) with ordinality as k (part0,
    place) on t."organization_id" = $2::bigint
  and t."id" = k.part0
order by k.place;
-- $1 = "[]"
-- $2 = "42"


-- PATCH /tickets/7?select=id,subject {"subject":"b"}

-- update
with w as (
    update "public"."tickets" as t
    set "subject" = g."subject"
    from json_to_recordset($1::json) as g ("subject" text)
    where t."organization_id" = $2::bigint
      and t."id" = $3::bigint
    returning t."id", t."organization_id", t."subject", t."status", t."priority", t."urgent",
        t."amount", t."data", t."tags", t."due", t."words", t."opened_at", t."contact_id",
        t."parent_id", t."assignee", t."order",
        (t."organization_id" = $4::bigint) is true as "inside"
)
select t."id", t."subject", (
    select row_to_json(o.*)
    from (
        select t."id"
    ) as o
)::text, t."inside"
from w as t;
-- $1 = "[{\"subject\":\"b\"}]"
-- $2 = "42"
-- $3 = "7"
-- $4 = "42"

-- read again
select t."id", t."subject", null::text
from "public"."tickets" as t
join rows from (json_to_recordset($1::json) as ("id" bigint)) with ordinality as k (part0,
    place) on t."organization_id" = $2::bigint
  and t."id" = k.part0
order by k.place;
-- $1 = "[]"
-- $2 = "42"


-- PATCH /tickets?id=gt.3&subject=like.a* {"urgent":true}

-- update
with w as (
    update "public"."tickets" as t
    set "urgent" = g."urgent"
    from json_to_recordset($1::json) as g ("urgent" boolean)
    where t."organization_id" = $2::bigint
      and case when t."organization_id" = $3::bigint then t."id" > $4::bigint
          and t."subject" ~~ $5::text end
    returning t."id", t."organization_id", t."subject", t."status", t."priority", t."urgent",
        t."amount", t."data", t."tags", t."due", t."words", t."opened_at", t."contact_id",
        t."parent_id", t."assignee", t."order",
        (t."organization_id" = $6::bigint) is true as "inside"
)
select t."id", t."organization_id", t."subject", t."status", t."priority", t."urgent", t."amount",
    t."data", t."tags", t."due", pg_catalog.to_json(t."words"), t."opened_at", t."contact_id",
    t."parent_id", t."assignee", t."order", (
    select row_to_json(o.*)
    from (
        select t."id"
    ) as o
)::text, t."inside"
from w as t;
-- $1 = "[{\"urgent\":true}]"
-- $2 = "42"
-- $3 = "42"
-- $4 = "3"
-- $5 = "a%"
-- $6 = "42"

-- read again
select t."id", t."organization_id", t."subject", t."status", t."priority", t."urgent", t."amount",
    t."data", t."tags", t."due", pg_catalog.to_json(t."words"), t."opened_at", t."contact_id",
    t."parent_id", t."assignee", t."order", null::text
from "public"."tickets" as t
join rows from (json_to_recordset($1::json) as ("id" bigint)) with ordinality as k (part0,
    place) on t."organization_id" = $2::bigint
  and t."id" = k.part0
order by k.place;
-- $1 = "[]"
-- $2 = "42"


-- PUT /labels/1 {"id":1,"name":"c"}

-- update
with w as (
    update "public"."labels" as t
    set "name" = g."name"
    from json_to_recordset($1::json) as g ("id" integer, "name" text)
    where t."organization_id" = $2::bigint
      and t."id" = $3::integer
    returning t."id", t."organization_id", t."name",
        (t."organization_id" = $4::bigint) is true as "inside"
)
select t."id", t."organization_id", t."name", (
    select row_to_json(o.*)
    from (
        select t."id"
    ) as o
)::text, t."inside"
from w as t;
-- $1 = "[{\"id\":\"1\",\"name\":\"c\"}]"
-- $2 = "42"
-- $3 = "1"
-- $4 = "42"

-- whether it is seen
select 1
from "public"."labels" as t
where t."organization_id" = $1::bigint
  and t."id" = $2::integer
limit 1;
-- $1 = "42"
-- $2 = "1"

-- insert
with w as (
    insert into "public"."labels" as t ("id", "name", "organization_id")
    select g."id", g."name", $1::bigint
    from json_to_recordset($2::json) as g ("id" integer, "name" text)
    returning t."id", t."organization_id", t."name",
        (t."organization_id" = $3::bigint) is true as "inside"
)
select t."id", t."organization_id", t."name", (
    select row_to_json(o.*)
    from (
        select t."id"
    ) as o
)::text, t."inside"
from w as t;
-- $1 = "42"
-- $2 = "[{\"id\":\"1\",\"name\":\"c\"}]"
-- $3 = "42"

-- read again
select t."id", t."organization_id", t."name", t.xmin::text
from "public"."labels" as t
join rows from (json_to_recordset($1::json) as ("id" integer)) with ordinality as k (part0,
    place) on t."organization_id" = $2::bigint
  and t."id" = k.part0
order by k.place;
-- $1 = "[]"
-- $2 = "42"


-- DELETE /messages/00000000-0000-0000-0000-000000000001

-- delete
with w as (
    delete from "public"."messages" as t
    where exists (
        select
        from "public"."tickets" as t_
        where t_."id" = t."ticket_id"
          and t_."organization_id" = $1::bigint
    )
      and t."id" = $2::uuid
    returning t."id", t."ticket_id", t."body", t."sent_at", (exists (
        select
        from "public"."tickets" as t_
        where t_."id" = t."ticket_id"
          and t_."organization_id" = $3::bigint
    )) is true as "inside"
)
select t."id", t."ticket_id", t."body", t."sent_at", (
    select row_to_json(o.*)
    from (
        select t."id"
    ) as o
)::text, t."inside"
from w as t;
-- $1 = "42"
-- $2 = "00000000-0000-0000-0000-000000000001"
-- $3 = "42"


-- DELETE /tickets?status=eq.closed

-- delete
with w as (
    delete from "public"."tickets" as t
    where t."organization_id" = $1::bigint
      and case when t."organization_id" = $2::bigint then t."status" = $3::public.status end
    returning t."id", t."organization_id", t."subject", t."status", t."priority", t."urgent",
        t."amount", t."data", t."tags", t."due", t."words", t."opened_at", t."contact_id",
        t."parent_id", t."assignee", t."order",
        (t."organization_id" = $4::bigint) is true as "inside"
)
select t."id", t."organization_id", t."subject", t."status", t."priority", t."urgent", t."amount",
    t."data", t."tags", t."due", pg_catalog.to_json(t."words"), t."opened_at", t."contact_id",
    t."parent_id", t."assignee", t."order", (
    select row_to_json(o.*)
    from (
        select t."id"
    ) as o
)::text, t."inside"
from w as t;
-- $1 = "42"
-- $2 = "42"
-- $3 = "closed"
-- $4 = "42"


-- single: POST /labels [{"name":"a"}]

-- insert
with w as (
    insert into "public"."labels" as t ("name")
    select g."name"
    from json_to_recordset($1::json) as g ("name" text)
    returning t."id", t."organization_id", t."name", (true) is true as "inside"
)
select t."id", t."organization_id", t."name", (
    select row_to_json(o.*)
    from (
        select t."id"
    ) as o
)::text, t."inside"
from w as t;
-- $1 = "[{\"name\":\"a\"}]"

-- read again
select t."id", t."organization_id", t."name", t.xmin::text
from "public"."labels" as t
join rows from (json_to_recordset($1::json) as ("id" integer)) with ordinality as k (part0,
    place) on true
  and t."id" = k.part0
order by k.place;
-- $1 = "[]"


-- single: DELETE /tickets?status=eq.closed

-- delete
with w as (
    delete from "public"."tickets" as t
    where true
      and t."status" = $1::public.status
    returning t."id", t."organization_id", t."subject", t."status", t."priority", t."urgent",
        t."amount", t."data", t."tags", t."due", t."words", t."opened_at", t."contact_id",
        t."parent_id", t."assignee", t."order", (true) is true as "inside"
)
select t."id", t."organization_id", t."subject", t."status", t."priority", t."urgent", t."amount",
    t."data", t."tags", t."due", pg_catalog.to_json(t."words"), t."opened_at", t."contact_id",
    t."parent_id", t."assignee", t."order", (
    select row_to_json(o.*)
    from (
        select t."id"
    ) as o
)::text, t."inside"
from w as t;
-- $1 = "closed"
