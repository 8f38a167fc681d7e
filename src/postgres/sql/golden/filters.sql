-- GET /tickets

-- rows
select t."id", t."organization_id", t."subject", t."status", t."priority", t."urgent", t."amount",
    t."data", t."tags", t."due", pg_catalog.to_json(t."words"), t."opened_at", t."contact_id",
    t."parent_id", t."assignee", t."order"
from "public"."tickets" as t
where t."organization_id" = $1::bigint;
-- $1 = "42"


-- GET /tickets?select=id&id=eq.5&subject=neq.x

-- rows
select t."id"
from "public"."tickets" as t
where t."organization_id" = $1::bigint
  and t."id" = $2::bigint
  and case when t."organization_id" = $3::bigint then t."subject" <> $4::text end;
-- $1 = "42"
-- $2 = "5"
-- $3 = "42"
-- $4 = "x"


-- GET /tickets?select=id&priority=gt.1&priority=lte.9&opened_at=gte.2024-01-01

-- rows
select t."id"
from "public"."tickets" as t
where t."organization_id" = $1::bigint
  and case when t."organization_id" = $2::bigint then t."priority" > $3::integer
      and t."priority" <= $4::integer and t."opened_at" >= $5::timestamp with time zone end;
-- $1 = "42"
-- $2 = "42"
-- $3 = "1"
-- $4 = "9"
-- $5 = "2024-01-01"


-- GET /tickets?select=id&id=in.(1,2,3)&tags=in.({a},{b})

-- rows
select t."id"
from "public"."tickets" as t
where t."organization_id" = $1::bigint
  and t."id" = any ($2::bigint[])
  and case when t."organization_id" = $3::bigint then (t."tags" = $4::text[]
      or t."tags" = $5::text[]) end;
-- $1 = "42"
-- $2 = "{\"1\",\"2\",\"3\"}"
-- $3 = "42"
-- $4 = "{a}"
-- $5 = "{b}"


-- GET /tickets?select=id&subject=like.*a*&subject=not.ilike.b*&subject=match.^a&subject=imatch.b$

-- rows
select t."id"
from "public"."tickets" as t
where t."organization_id" = $1::bigint
  and case when t."organization_id" = $2::bigint then t."subject" ~~ $3::text
      and not (t."subject" ~~* $4::text) and t."subject" ~ $5::text and t."subject" ~* $6::text end;
-- $1 = "42"
-- $2 = "42"
-- $3 = "%a%"
-- $4 = "b%"
-- $5 = "^a"
-- $6 = "b$"


-- GET /tickets?select=id&urgent=is.true&parent_id=is.null&contact_id=not.is.null

-- rows
select t."id"
from "public"."tickets" as t
where t."organization_id" = $1::bigint
  and t."urgent" is true
  and t."parent_id" is null
  and not (t."contact_id" is null);
-- $1 = "42"


-- GET /tickets?select=id&subject=isdistinct.x

-- rows
select t."id"
from "public"."tickets" as t
where t."organization_id" = $1::bigint
  and t."subject" is distinct from $2::text;
-- $1 = "42"
-- $2 = "x"


-- GET /tickets?select=id&tags=cs.{a,b}&tags=ov.{c}&data=cd.{"a":1}

-- rows
select t."id"
from "public"."tickets" as t
where t."organization_id" = $1::bigint
  and case when t."organization_id" = $2::bigint then t."tags" @> $3::text[]
      and t."tags" && $4::text[] and t."data" <@ $5::jsonb end;
-- $1 = "42"
-- $2 = "42"
-- $3 = "{a,b}"
-- $4 = "{c}"
-- $5 = "{\"a\":1}"


-- GET /tickets?select=id&due=sl.[2024-01-01,2024-02-01)&due=sr.empty&due=nxr.empty&due=nxl.empty&due=adj.empty

-- rows
select t."id"
from "public"."tickets" as t
where t."organization_id" = $1::bigint
  and case when t."organization_id" = $2::bigint then t."due" << $3::tstzrange
      and t."due" >> $4::tstzrange and t."due" &< $5::tstzrange and t."due" &> $6::tstzrange
      and t."due" -|- $7::tstzrange end;
-- $1 = "42"
-- $2 = "42"
-- $3 = "[2024-01-01,2024-02-01)"
-- $4 = "empty"
-- $5 = "empty"
-- $6 = "empty"
-- $7 = "empty"


-- GET /tickets?select=id&words=fts.cat&words=plfts(english).cat&subject=phfts.fat cat&subject=wfts(german).katze

-- rows
select t."id"
from "public"."tickets" as t
where t."organization_id" = $1::bigint
  and case when t."organization_id" = $2::bigint then t."words" @@ to_tsquery($3::text)
      and t."words" @@ plainto_tsquery($4::regconfig, $5::text)
      and to_tsvector(t."subject") @@ phraseto_tsquery($6::text) and to_tsvector($7::regconfig,
      t."subject") @@ websearch_to_tsquery($8::regconfig, $9::text) end;
-- $1 = "42"
-- $2 = "42"
-- $3 = "cat"
-- $4 = "english"
-- $5 = "cat"
-- $6 = "fat cat"
-- $7 = "german"
-- $8 = "german"
-- $9 = "katze"


-- GET /tickets?select=id&subject=like(any).{a*,b*}&priority=eq(all).{1,2}&id=eq(any).{1,2}

-- rows
select t."id"
from "public"."tickets" as t
where t."organization_id" = $1::bigint
  and t."priority" = all ($2::integer[])
  and t."id" = any ($3::bigint[])
  and case when t."organization_id" = $4::bigint then t."subject" ~~ any ($5::text[]) end;
-- $1 = "42"
-- $2 = "{1,2}"
-- $3 = "{1,2}"
-- $4 = "42"
-- $5 = "{a%,b%}"


-- GET /tickets?select=id&status=eq.open&assignee=eq.00000000-0000-0000-0000-000000000001

-- rows
select t."id"
from "public"."tickets" as t
where t."organization_id" = $1::bigint
  and t."assignee" = $2::uuid
  and case when t."organization_id" = $3::bigint then t."status" = $4::public.status end;
-- $1 = "42"
-- $2 = "00000000-0000-0000-0000-000000000001"
-- $3 = "42"
-- $4 = "open"


-- GET /contacts?select=id&email=eq.a@b&country_code=eq.DE

-- rows
select t."id"
from "public"."contacts" as t
where t."organization_id" = $1::bigint
  and t."country_code" = $2::pg_catalog.bpchar
  and case when t."organization_id" = $3::bigint then t."email" operator("extensions".=) $4::extensions.citext end;
-- $1 = "42"
-- $2 = "DE"
-- $3 = "42"
-- $4 = "a@b"


-- GET /open_tickets?"Days Open"=gt.1&id=eq.1

-- rows
select t."id", t."organization_id", t."Days Open"
from "public"."open_tickets" as t
where t."organization_id" = $1::bigint
  and case when t."organization_id" = $2::bigint then t."Days Open" > $3::double precision
      and t."id" = $4::bigint end;
-- $1 = "42"
-- $2 = "42"
-- $3 = "1"
-- $4 = "1"
