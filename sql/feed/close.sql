-- Takes from everybody but the owner what default privileges of the database may have granted on
-- rowcast's own objects. Idempotent; runs after the migrations,
-- and whenever functions were made.
do $$
declare
    it record;
begin
    for it in
        select format('revoke all on schema rowcast from %s cascade', r.grantee) as statement
        from pg_namespace n, aclexplode(n.nspacl) a,
             lateral (select case a.grantee when 0 then 'public' else a.grantee::regrole::text end as grantee) r
        where n.nspname = 'rowcast' and a.grantee <> n.nspowner
        union
        select format('revoke all on %s rowcast.%I from %s cascade',
                      case c.relkind when 'S' then 'sequence' else 'table' end, c.relname, r.grantee)
        from pg_class c, aclexplode(c.relacl) a,
             lateral (select case a.grantee when 0 then 'public' else a.grantee::regrole::text end as grantee) r
        where c.relnamespace = 'rowcast'::regnamespace and a.grantee <> c.relowner
        union
        select format('revoke all on function %s from %s cascade', p.oid::regprocedure, r.grantee)
        from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a,
             lateral (select case a.grantee when 0 then 'public' else a.grantee::regrole::text end as grantee) r
        where p.pronamespace = 'rowcast'::regnamespace and a.grantee <> p.proowner
    loop
        execute it.statement;
    end loop;
end
$$;
