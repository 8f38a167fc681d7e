-- GET /tickets?select=id,contacts(name)

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
from "public"."tickets" as t
where t."organization_id" = $2::bigint;
-- $1 = "42"
-- $2 = "42"


-- GET /contacts?select=name,tickets(id,subject)&tickets.status=eq.open&tickets.order=id.desc&tickets.limit=2

-- rows
select t."name", coalesce((
    select pg_catalog.json_agg(r1.*)
    from (
        select e2."id" as "id", e2."subject" as "subject"
        from "public"."tickets" as e2
        where e2."contact_id" = t."id"
          and e2."organization_id" = $1::bigint
          and case when e2."organization_id" = $2::bigint then e2."status" = $3::public.status end
        order by e2."id" desc
        limit 2
    ) as r1
), '[]')
from "public"."contacts" as t
where t."organization_id" = $4::bigint;
-- $1 = "42"
-- $2 = "42"
-- $3 = "open"
-- $4 = "42"


-- GET /tickets?select=id,labels(name)

-- rows
select t."id", coalesce((
    select pg_catalog.json_agg(r1.*)
    from (
        select e2."name" as "name"
        from "public"."labels" as e2
        cross join "public"."ticket_labels" as j3
        where j3."ticket_id" = t."id"
          and j3."label_id" = e2."id"
          and exists (
            select
            from "public"."tickets" as j3_
            where j3_."id" = j3."ticket_id"
              and j3_."organization_id" = $1::bigint
        )
          and e2."organization_id" = $2::bigint
    ) as r1
), '[]')
from "public"."tickets" as t
where t."organization_id" = $3::bigint;
-- $1 = "42"
-- $2 = "42"
-- $3 = "42"


-- GET /tickets?select=id,parent_id(subject),children:tickets!parent_id(id)

-- rows
select t."id", (
    select pg_catalog.row_to_json(r1.*)
    from (
        select e2."subject" as "subject"
        from "public"."tickets" as e2
        where e2."id" = t."parent_id"
          and e2."organization_id" = $1::bigint
    ) as r1
), coalesce((
    select pg_catalog.json_agg(r3.*)
    from (
        select e4."id" as "id"
        from "public"."tickets" as e4
        where e4."parent_id" = t."id"
          and e4."organization_id" = $2::bigint
    ) as r3
), '[]')
from "public"."tickets" as t
where t."organization_id" = $3::bigint;
-- $1 = "42"
-- $2 = "42"
-- $3 = "42"


-- GET /tickets?select=id,contacts!inner(name,countries(name))&contacts.name=eq.x

-- rows
select t."id", (
    select pg_catalog.row_to_json(r1.*)
    from (
        select e2."name" as "name", (
            select pg_catalog.row_to_json(r3.*)
            from (
                select e4."name" as "name"
                from "public"."countries" as e4
                where e4."code" = e2."country_code"
                  and true
            ) as r3
        ) as "countries"
        from "public"."contacts" as e2
        where e2."id" = t."contact_id"
          and e2."organization_id" = $1::bigint
          and e2."name" = $2::text
    ) as r1
)
from "public"."tickets" as t
where t."organization_id" = $3::bigint
  and exists (
    select
    from "public"."contacts" as e5
    where e5."id" = t."contact_id"
      and e5."organization_id" = $4::bigint
      and e5."name" = $5::text
);
-- $1 = "42"
-- $2 = "x"
-- $3 = "42"
-- $4 = "42"
-- $5 = "x"


-- GET /tickets?select=id,...contacts(name,email),...messages(body)

-- rows
select t."id", s1.c1, pg_catalog.to_json(s1.c2), pg_catalog.to_json(s2.c1)
from "public"."tickets" as t
left join lateral (
    select e3."name" as c1, e3."email" as c2
    from "public"."contacts" as e3
    where e3."id" = t."contact_id"
      and e3."organization_id" = $1::bigint
) as s1 on true
left join lateral (
    select coalesce(pg_catalog.json_agg(r4.c1), '[]') as c1
    from (
        select e5."body" as c1
        from "public"."messages" as e5
        where e5."ticket_id" = t."id"
          and exists (
            select
            from "public"."tickets" as e5_
            where e5_."id" = e5."ticket_id"
              and e5_."organization_id" = $2::bigint
        )
    ) as r4
) as s2 on true
where t."organization_id" = $3::bigint;
-- $1 = "42"
-- $2 = "42"
-- $3 = "42"


-- GET /tickets?select=id,messages()&messages=is.null

-- rows
select t."id"
from "public"."tickets" as t
where t."organization_id" = $1::bigint
  and not exists (
    select
    from "public"."messages" as e1
    where e1."ticket_id" = t."id"
      and exists (
        select
        from "public"."tickets" as e1_
        where e1_."id" = e1."ticket_id"
          and e1_."organization_id" = $2::bigint
    )
);
-- $1 = "42"
-- $2 = "42"


-- GET /tickets?select=id,contacts(name)&order=contacts(name).desc

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
from "public"."tickets" as t
where t."organization_id" = $2::bigint
order by (
    select e3."name"
    from "public"."contacts" as e3
    where e3."id" = t."contact_id"
      and e3."organization_id" = $3::bigint
) desc;
-- $1 = "42"
-- $2 = "42"
-- $3 = "42"


-- GET /messages?select=body,tickets(subject)

-- rows
select t."body", (
    select pg_catalog.row_to_json(r1.*)
    from (
        select e2."subject" as "subject"
        from "public"."tickets" as e2
        where e2."id" = t."ticket_id"
          and e2."organization_id" = $1::bigint
    ) as r1
)
from "public"."messages" as t
where exists (
    select
    from "public"."tickets" as t_
    where t_."id" = t."ticket_id"
      and t_."organization_id" = $2::bigint
);
-- $1 = "42"
-- $2 = "42"
