-- Who may do what. The fence between organizations is rowcast's own; the policies here only
-- restrict further, inside an organization: private tickets, and what hangs below them, are for
-- their members.

grant usage on schema public to helpdesk_agent;
grant select, insert, update, delete on users, mailboxes, contacts, tickets, messages, comments,
    notes, events, labels, ticket_labels, ticket_members to helpdesk_agent;
-- Organizations are made and renamed by whoever runs the help desk, not by its agents.
grant select on organizations to helpdesk_agent;
grant usage on sequence users_id_seq, mailboxes_id_seq, contacts_id_seq, tickets_id_seq,
    messages_id_seq, comments_id_seq, notes_id_seq, events_id_seq, labels_id_seq to helpdesk_agent;

-- The user of the current request. Absent, empty and odd claims are nobody: a policy that raised
-- an error would make every query fail instead of hiding a few rows.
create function helpdesk.caller() returns bigint
language sql stable parallel safe
return substring(
    nullif(current_setting('request.jwt.claims', true), '')::json ->> 'sub' from '^[0-9]{1,18}$'
)::bigint;

-- The caller's tickets, for the policy on ticket_members itself, which cannot read its own table
-- without asking itself again. Runs as its owner, whom policies do not bind.
create function helpdesk.tickets_of_caller() returns setof bigint
language sql stable security definer parallel safe set search_path = ''
begin atomic
    select ticket_id from public.ticket_members where user_id = (select helpdesk.caller());
end;

-- Most rows are public and pass at the first word. The list of memberships is read at most once
-- per statement, and only when a private row comes up; `(select …)` makes it so.
create policy members on tickets using (
    not private
    or id in (select ticket_id from ticket_members where user_id = (select helpdesk.caller()))
);

do $$
declare
    name text;
begin
    foreach name in array array['messages', 'comments', 'notes', 'events', 'ticket_labels']
    loop
        execute format(
            'create policy members on %I using (
                not private
                or ticket_id in (
                    select ticket_id from ticket_members where user_id = (select helpdesk.caller())
                )
            )', name
        );
    end loop;
end
$$;

-- Members see who else is one. Their own rows are asked for by every policy above, so these come
-- first.
create policy members on ticket_members using (
    not private
    or user_id = (select helpdesk.caller())
    or ticket_id in (select helpdesk.tickets_of_caller())
);

alter table tickets enable row level security;
alter table messages enable row level security;
alter table comments enable row level security;
alter table notes enable row level security;
alter table events enable row level security;
alter table ticket_labels enable row level security;
alter table ticket_members enable row level security;
