-- The role that requests of the help desk run as.
--
-- Roles belong to the whole cluster, and several databases of one cluster may load the help desk
-- at the same moment: whoever comes second finds the role and is content. This file runs in a
-- transaction of its own, because an uncommitted role would make every other loader wait for the
-- whole load.
do $$
begin
    if not exists (select from pg_roles where rolname = 'helpdesk_agent') then
        create role helpdesk_agent nologin;
    end if;
exception
    when duplicate_object or unique_violation then null;
end
$$;

do $$
begin
    -- With either attribute row-level security would bind nobody.
    if (select rolsuper or rolbypassrls from pg_roles where rolname = 'helpdesk_agent') then
        raise exception 'the role helpdesk_agent exists and bypasses row-level security'
            using hint = 'alter role helpdesk_agent nosuperuser nobypassrls';
    end if;

    -- Who loads the help desk will also serve it, so it has to be able to become that role.
    if not pg_has_role(current_user, 'helpdesk_agent', 'member') then
        grant helpdesk_agent to current_user;
    end if;
exception
    when unique_violation then null;
end
$$;
