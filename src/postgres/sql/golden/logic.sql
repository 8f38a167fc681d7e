-- GET /tickets?select=id&or=(id.eq.1,priority.gt.2)

-- rows
select t."id"
from "public"."tickets" as t
where t."organization_id" = $1::bigint
  and case when t."organization_id" = $2::bigint then (t."id" = $3::bigint
      or t."priority" > $4::integer) end;
-- $1 = "42"
-- $2 = "42"
-- $3 = "1"
-- $4 = "2"


-- GET /tickets?select=id&not.and=(id.lt.3,or(urgent.is.true,not.or(subject.eq.a,subject.eq.b)))

-- rows
select t."id"
from "public"."tickets" as t
where t."organization_id" = $1::bigint
  and case when t."organization_id" = $2::bigint then not ((t."id" < $3::bigint
      and (t."urgent" is true or not ((t."subject" = $4::text or t."subject" = $5::text))))) end;
-- $1 = "42"
-- $2 = "42"
-- $3 = "3"
-- $4 = "a"
-- $5 = "b"


-- GET /tickets?select=id&or=(id.in.(1,2),data->>kind.eq.x)

-- rows
select t."id"
from "public"."tickets" as t
where t."organization_id" = $1::bigint
  and case when t."organization_id" = $2::bigint then (t."id" = any ($3::bigint[])
      or (t."data"->>$4::text) = $5::text) end;
-- $1 = "42"
-- $2 = "42"
-- $3 = "{\"1\",\"2\"}"
-- $4 = "kind"
-- $5 = "x"
