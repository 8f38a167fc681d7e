-- GET /tickets?select=id&order=priority.desc.nullslast,subject.asc.nullsfirst

-- rows
select t."id"
from "public"."tickets" as t
where t."organization_id" = $1::bigint
order by t."priority" desc nulls last, t."subject" nulls first;
-- $1 = "42"


-- GET /tickets?select=id&order=opened_at.desc&limit=25

-- rows
select t."id", t."opened_at"::text, t."id"::text
from "public"."tickets" as t
where t."organization_id" = $1::bigint
order by t."opened_at" desc, t."id" desc
limit 26;
-- $1 = "42"


-- GET /tickets?select=id&order=opened_at.desc&limit=25&after={2024-01-01T00:00:00Z,17}

-- rows
select t."id", t."opened_at"::text, t."id"::text
from "public"."tickets" as t
where t."organization_id" = $1::bigint
  and (t."opened_at", t."id") < ($2::timestamp with time zone, $3::bigint)
order by t."opened_at" desc, t."id" desc
limit 26;
-- $1 = "42"
-- $2 = "2024-01-01T00:00:00Z"
-- $3 = "17"


-- GET /tickets?select=id&order=priority,amount.desc&limit=3&after={null,1.5,17}

-- rows
select t."id", t."priority"::text, t."amount"::text, t."id"::text
from "public"."tickets" as t
where t."organization_id" = $1::bigint
  and case when t."organization_id" = $2::bigint then ((false) or (t."priority" is null
      and (t."amount" < $3::numeric)) or (t."priority" is null and t."amount" = $4::numeric
      and (t."id" < $5::bigint))) end
order by t."priority", t."amount" desc, t."id" desc
limit 4;
-- $1 = "42"
-- $2 = "42"
-- $3 = "1.5"
-- $4 = "1.5"
-- $5 = "17"


-- GET /tickets?select=id&limit=10&offset=20

-- rows
select t."id", t."id"::text
from "public"."tickets" as t
where t."organization_id" = $1::bigint
order by t."id"
limit 11
offset $2::bigint;
-- $1 = "42"
-- $2 = "20"


-- COUNT /tickets?select=id&status=eq.open&limit=1

-- rows
select t."id", t."id"::text
from "public"."tickets" as t
where t."organization_id" = $1::bigint
  and case when t."organization_id" = $2::bigint then t."status" = $3::public.status end
order by t."id"
limit 2;
-- $1 = "42"
-- $2 = "42"
-- $3 = "open"

-- count
select count(*)
from (
    select 1
    from "public"."tickets" as t
    where t."organization_id" = $1::bigint
      and case when t."organization_id" = $2::bigint then t."status" = $3::public.status end
) as c;
-- $1 = "42"
-- $2 = "42"
-- $3 = "open"


-- GUESS /tickets?limit=1

-- rows
select t."id", t."organization_id", t."subject", t."status", t."priority", t."urgent", t."amount",
    t."data", t."tags", t."due", pg_catalog.to_json(t."words"), t."opened_at", t."contact_id",
    t."parent_id", t."assignee", t."order", t."id"::text
from "public"."tickets" as t
where t."organization_id" = $1::bigint
order by t."id"
limit 2;
-- $1 = "42"

-- count
select count(*)
from (
    select 1
    from "public"."tickets" as t
    where t."organization_id" = $1::bigint
) as c;
-- $1 = "42"


-- single: GUESS /tickets?limit=1

-- rows
select t."id", t."organization_id", t."subject", t."status", t."priority", t."urgent", t."amount",
    t."data", t."tags", t."due", pg_catalog.to_json(t."words"), t."opened_at", t."contact_id",
    t."parent_id", t."assignee", t."order", t."id"::text
from "public"."tickets" as t
where true
order by t."id"
limit 2;

-- planned count
explain
select 1
from "public"."tickets" as t
where true;


-- GET /visits?order=at&limit=3

-- rows
select t."page", t."organization_id", t."at"
from "public"."visits" as t
where t."organization_id" = $1::bigint
order by t."at"
limit 3;
-- $1 = "42"


-- GET /tickets?select=id&modified_since=2024-01-01T00:00:00Z

-- rows
select t."id"
from "public"."tickets" as t
where t."organization_id" = $1::bigint
  and t."opened_at" >= $2::timestamptz;
-- $1 = "42"
-- $2 = "2024-01-01T00:00:00Z"
