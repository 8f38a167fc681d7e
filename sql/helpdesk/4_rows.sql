-- The rows of the help desk. The setting helpdesk.size says how many: 's' or 'm'.
--
--   s: organizations 1 to 3 with 1,600, 400 and 240 tickets
--   m: organizations 1 to 20 with 24,000, 5,800, 5,600, … 2,200 tickets: 100,000 in all
--
-- A ticket has 2 to 14 messages, 8 on average. The users of organization n are numbered from
-- (n - 1) * 100 + 1: organization 1 has users 1, 2, 3, …; organization 2 has 101, 102, …
-- Ids are given explicitly, in time order within an organization; the sequences follow at the end.
--
-- Mailbox 3 is private. Users 1 and 3 are members of all its tickets, nobody else of any.

-- The whole history ends here, whatever the day on which it is loaded.
create function pg_temp.the_end() returns timestamptz
language sql immutable parallel safe
return timestamptz '2026-06-30 16:00:00+00';

create temp table plan on commit drop as
with sizes as (
    select 's' as size, number as organization_id,
        (array[12, 5, 4])[number] as users,
        (array[640, 190, 120])[number] as contacts,
        (array[1600, 400, 240])[number] as tickets,
        160 as days
    from generate_series(1, 3) as number
    union all
    select 'm', number,
        case number when 1 then 60 else 24 - number / 2 end,
        case number when 1 then 7200 else 1700 - 60 * number end,
        case number when 1 then 24000 else 6200 - 200 * number end,
        700
    from generate_series(1, 20) as number
)
select organization_id, users, contacts, tickets, days,
    (organization_id - 1) * 100 as users_before,
    sum(contacts) over before - contacts as contacts_before,
    sum(tickets) over before - tickets as tickets_before
from sizes
where size = current_setting('helpdesk.size')
window before as (order by organization_id);

insert into organizations (id, name, domain, created_at, updated_at)
select organization_id, companies.name, companies.domain, started, started
from plan
join companies on companies.number = organization_id * 13 % 300,
lateral (select pg_temp.the_end() - interval '1 day' * (days + 30)) as begun (started);

insert into users (id, organization_id, email, name, role, created_at, updated_at)
select member.id, organization_id, lower(given.name || '.' || family.name) || '@' || domain,
    given.name || ' ' || family.name,
    case when place = 1 then 'admin' when place % 6 = 0 then 'lead' else 'agent' end,
    started, started
from plan
join organizations on organizations.id = organization_id
cross join lateral generate_series(1, users) as place
cross join lateral (
    select users_before + place, organizations.created_at + interval '1 hour' * place
) as member (id, started)
-- The given names' number repeats after 80, so that no two colleagues share an address.
join given_names as given on given.number = (organization_id * 7 + place * 3) % 80
join family_names as family on family.number = pg_temp.pick(member.id, 40, 100)
order by member.id;

insert into mailboxes (id, organization_id, email, name, private, created_at, updated_at)
select (organization_id - 1) * 3 + number, organization_id,
    (array['support', 'billing', case organization_id when 1 then 'management' else 'sales' end])
        [number] || '@' || domain,
    (array['Support', 'Billing', case organization_id when 1 then 'Management' else 'Sales' end])
        [number],
    organization_id = 1 and number = 3,
    created_at, created_at
from plan
join organizations on organizations.id = organization_id,
lateral generate_series(1, 3) as number;

insert into labels (id, organization_id, name, color, created_at, updated_at)
select (organization_id - 1) * 12 + number, organization_id, label.name,
    '#' || lpad(to_hex(pg_temp.pick(number, 41, 16777216)), 6, '0'), created_at, created_at
from plan
join organizations on organizations.id = organization_id,
lateral unnest(array['bug', 'question', 'refund', 'shipping', 'complaint', 'praise', 'vip',
    'contract', 'feature wish', 'duplicate', 'spam', 'follow up'])
    with ordinality as label (name, number);

insert into contacts
    (id, organization_id, email, name, company, phone, plan, payments, created_at, updated_at)
select id, organization_id,
    lower(given.name || '.' || family.name) || '@' || companies.domain,
    given.name || ' ' || family.name, companies.name,
    case when pg_temp.pick(id, 42, 10) < 6 then
        '+' || (array[31, 32, 39, 44, 45, 46, 48, 49])[1 + pg_temp.pick(id, 43, 8)] || ' '
        || (100 + pg_temp.pick(id, 44, 800)) || ' ' || (100000 + pg_temp.pick(id, 45, 900000))
    end,
    plans.plan, payments.list,
    started, greatest(started, payments.latest::timestamptz + interval '9 hours')
from plan
join lateral generate_series(1, contacts) as number on true
cross join lateral (
    select contacts_before + number,
        -- A walk over all pairs of names that meets none twice: 2,963 is coprime to 80 * 100.
        (number * 2963 + organization_id * 17) % 8000
) as walk (id, pair)
cross join lateral (
    select pg_temp.the_end() - interval '1 minute' * pg_temp.pick(id, 46, (days + 30) * 1440)
) as begun (started)
cross join lateral (
    select (array['free', 'free', 'free', 'starter', 'starter', 'team', 'team', 'business'])
        [1 + pg_temp.pick(id, 47, 8)]
) as plans (plan)
join given_names as given on given.number = pair % 80
join family_names as family on family.number = pair / 80
join companies on companies.number = pg_temp.pick(id, 48, 300)
cross join lateral (
    select coalesce(jsonb_agg(
            jsonb_build_object(
                'on', paid,
                'amount', case plans.plan when 'starter' then 19.00 when 'team' then 89.00 else 349.00 end,
                'currency', case pg_temp.pick(id, 49, 4) when 0 then 'USD' else 'EUR' end
            ) order by paid
        ), '[]'),
        max(paid)
    from generate_series(0, pg_temp.pick(id, 50, 6)) as month,
    lateral (
        select (pg_temp.the_end() - interval '1 month' * month)::date - pg_temp.pick(id, 51, 28)
    ) as due (paid)
    where plans.plan <> 'free'
) as payments (list, latest)
order by id;

-- What the tickets and everything below them are made from.
create temp table ticket_plan on commit drop as
select id, organization_id, subject, private, started,
    case when private then 3 else (organization_id - 1) * 3 + mailbox end as mailbox_id,
    contacts_before + 1 + pg_temp.pick(id, 60, contacts) as contact_id,
    -- Work is spread unevenly among colleagues, as it is; only members answer private tickets.
    case
        when private then 1 + 2 * pg_temp.pick(id, 61, 2)
        else users_before + 1
            + pg_temp.pick(id, 61, 1 + pg_temp.pick(id, 62, users))
    end as agent_id,
    2 + pg_temp.pick(id, 63, 13) as messages,
    -- The latest tenth is mostly open, the rest mostly done.
    case
        when number > tickets * 0.9 then
            (array['open', 'open', 'open', 'pending', 'solved'])[1 + pg_temp.pick(id, 64, 5)]
        else
            (array['open', 'pending', 'solved', 'solved', 'closed', 'closed', 'closed', 'closed'])
                [1 + pg_temp.pick(id, 64, 8)]
    end as status,
    (array['low', 'normal', 'normal', 'normal', 'normal', 'normal', 'high', 'high', 'urgent'])
        [1 + pg_temp.pick(id, 65, 9)] as priority
from plan
join lateral generate_series(1, tickets) as number on true
cross join lateral (
    select tickets_before + number,
        organization_id = 1 and number % 40 = 7,
        case when organization_id = 1 then 1 + pg_temp.pick(tickets_before + number, 66, 2)
            else 1 + pg_temp.pick(tickets_before + number, 66, 3) end,
        pg_temp.the_end() - interval '1 second' * (
            days * 86400.0 * (tickets - number + 0.5) / tickets
            + pg_temp.pick(tickets_before + number, 67, (days * 43200 / tickets)::int + 1)
        )
) as drawn (id, private, mailbox, started)
join lateral (
    select text from sentences
    where kind = 'subject' and sentences.number = pg_temp.pick(id, 68, 6000)
) as subjects (subject) on true;

-- The greetings and endings of messages repeat, the five places between them rarely do.
create temp table message_plan on commit drop as
select
    row_number() over (order by ticket.id, number) as id,
    ticket.id as ticket_id, number, incoming, private, organization_id, contact_id,
    case when not incoming then
        -- Colleagues help out now and then.
        case when private or pg_temp.pick(seed, 70, 5) > 0 then agent_id
            else (organization_id - 1) * 100 + 1 + pg_temp.pick(seed, 71, 4) end
    end as user_id,
    -- Answers take minutes to days, and all of them happened before the end.
    started + (least(pg_temp.the_end(), started + interval '9 days') - started)
        * ((number - 1 + pg_temp.pick(seed, 72, 1000) / 1000.0) / messages)::float as sent,
    seed,
    2 + pg_temp.pick(seed, 73, 4) as sentences
from ticket_plan as ticket
join lateral generate_series(1, messages) as number on true
cross join lateral (
    select ticket.id * 16 + number, number = 1 or pg_temp.pick(ticket.id * 16 + number, 74, 2) = 0
) as drawn (seed, incoming);

insert into messages
    (id, organization_id, ticket_id, user_id, direction, body, private, created_at, updated_at)
select message.id, message.organization_id, ticket_id, user_id,
    case when incoming then 'in' else 'out' end,
    case when message.number < 3 or pg_temp.pick(seed, 80, 2) = 0 then
        case when incoming then
            (array['Hello', 'Hi', 'Dear team', 'Good morning', 'Hi there', 'Hello again'])
                [1 + pg_temp.pick(seed, 81, 6)]
        else
            (array['Hello', 'Hi', 'Dear'])[1 + pg_temp.pick(seed, 81, 3)]
            || ' ' || split_part(contacts.name, ' ', 1)
        end || E',\n\n'
    else '' end
    || first.text
    || case pg_temp.pick(seed, 82, 3) when 0 then E'\n' else ' ' end || second.text
    || coalesce(' ' || third.text, '')
    || coalesce(case pg_temp.pick(seed, 83, 2) when 0 then E'\n\n' else ' ' end || fourth.text, '')
    || coalesce(' ' || fifth.text, '')
    || case when message.number < 3 or pg_temp.pick(seed, 84, 2) = 0 then
        (array[E'\n\nBest regards\n', E'\n\nThanks,\n', E'\n\n', E'\n\nKind regards\n'])
            [1 + pg_temp.pick(seed, 85, 4)]
        || case when incoming then contacts.name else users.name end
    else '' end,
    message.private, sent, sent
from message_plan as message
left join contacts on contacts.id = contact_id
left join users on users.id = user_id
join sentences as first
    on first.kind = 'message' and first.number = pg_temp.pick(seed, 86, 16000)
join sentences as second
    on second.kind = 'message' and second.number = pg_temp.pick(seed, 87, 16000)
left join sentences as third on message.sentences > 2
    and third.kind = 'message' and third.number = pg_temp.pick(seed, 88, 16000)
left join sentences as fourth on message.sentences > 3
    and fourth.kind = 'message' and fourth.number = pg_temp.pick(seed, 89, 16000)
left join sentences as fifth on message.sentences > 4
    and fifth.kind = 'message' and fifth.number = pg_temp.pick(seed, 90, 16000)
order by message.id;

insert into comments
    (id, organization_id, ticket_id, user_id, body, private, created_at, updated_at)
select row_number() over (order by seed), organization_id, ticket.id,
    case when private then 1 + 2 * pg_temp.pick(seed, 101, 2)
        else (organization_id - 1) * 100 + 1 + pg_temp.pick(seed, 101, 4) end,
    first.text || coalesce(' ' || second.text, ''),
    private, said, said
from ticket_plan as ticket
join lateral generate_series(1, pg_temp.pick(ticket.id, 102, 4)) as place on true
cross join lateral (select ticket.id * 16 + place) as drawn (seed)
cross join lateral (
    select least(
        pg_temp.the_end(),
        started + interval '1 minute' * (place * 300 + pg_temp.pick(seed, 103, 4000))
    )
) as spoken (said)
join sentences as first
    on first.kind = 'aside' and first.number = pg_temp.pick(seed, 104, 4000)
left join sentences as second on pg_temp.pick(seed, 105, 2) = 0
    and second.kind = 'aside' and second.number = pg_temp.pick(seed, 106, 4000);

insert into notes
    (id, organization_id, ticket_id, user_id, body, pinned, private, created_at, updated_at)
select row_number() over (order by ticket.id), organization_id, ticket.id, agent_id,
    first.text, pg_temp.pick(ticket.id, 110, 5) = 0, private, noted, noted
from ticket_plan as ticket
cross join lateral (
    select least(
        pg_temp.the_end(), started + interval '1 minute' * (60 + pg_temp.pick(ticket.id, 111, 5000))
    )
) as written (noted)
join sentences as first
    on first.kind = 'aside' and first.number = pg_temp.pick(ticket.id, 112, 4000)
where pg_temp.pick(ticket.id, 113, 5) < 3;

insert into events
    (id, organization_id, ticket_id, user_id, kind, data, private, created_at, updated_at)
select row_number() over (order by ticket.id, place), organization_id, ticket.id, by, event.kind,
    event.data, private, happened, happened
from ticket_plan as ticket
cross join lateral (
    values
    (1, true, null, 'created', jsonb_build_object('source',
        (array['mail', 'mail', 'mail', 'form', 'chat', 'phone'])[1 + pg_temp.pick(ticket.id, 120, 6)]
    )),
    (2, true, agent_id, 'assigned', jsonb_build_object('to', agent_id)),
    (3, priority <> 'normal', agent_id, 'priority',
        jsonb_build_object('from', 'normal', 'to', priority)),
    (4, status <> 'open', agent_id, 'status', jsonb_build_object('from', 'open', 'to', status)),
    (5, status = 'closed' and pg_temp.pick(ticket.id, 121, 3) = 0, null, 'rated',
        jsonb_build_object('stars', 1 + pg_temp.pick(ticket.id, 122, 5)))
) as event (place, wanted, by, kind, data)
cross join lateral (
    select least(pg_temp.the_end(), started
        + interval '1 minute' * ((place - 1) * 700 + pg_temp.pick(ticket.id * 16 + place, 123, 700))
        * (place > 1)::int)
) as past (happened)
where wanted;

insert into ticket_labels
    (organization_id, ticket_id, label_id, private, created_at, updated_at)
select distinct organization_id, ticket.id,
    (organization_id - 1) * 12 + 1 + pg_temp.pick(ticket.id * 16 + number, 130, 12),
    private, started, started
from ticket_plan as ticket
join lateral generate_series(1, pg_temp.pick(ticket.id, 131, 4)) as number on true;

insert into ticket_members
    (organization_id, ticket_id, user_id, private, created_at, updated_at)
select organization_id, ticket.id, member.user_id, private, started, started
from ticket_plan as ticket
cross join lateral (
    select unnest(array[1, 3]) where private
    union
    select agent_id where not private and pg_temp.pick(ticket.id, 140, 4) = 0
    union
    select (organization_id - 1) * 100 + 1 + pg_temp.pick(ticket.id, 141, 4)
    where not private and pg_temp.pick(ticket.id, 142, 6) = 0
) as member (user_id);

-- Last, since a ticket was updated when the last of what hangs below it was written.
insert into tickets
    (id, organization_id, mailbox_id, contact_id, assignee_id, subject, status, priority, private,
    created_at, updated_at)
select ticket.id, organization_id, mailbox_id, contact_id,
    -- New tickets wait for somebody to take them.
    case when status <> 'open' or pg_temp.pick(ticket.id, 150, 3) > 0 then agent_id end,
    subject, status, priority, private, started, latest.sent
from ticket_plan as ticket
join (
    select ticket_id, max(sent) as sent from message_plan group by ticket_id
) as latest on latest.ticket_id = ticket.id
order by ticket.id;

-- New rows continue where these end; a new user comes after every organization's hundred.
select setval('organizations_id_seq', max(id)) from organizations;
select setval('users_id_seq', max(id) * 100) from organizations;
select setval('mailboxes_id_seq', max(id)) from mailboxes;
select setval('contacts_id_seq', max(id)) from contacts;
select setval('tickets_id_seq', max(id)) from tickets;
select setval('messages_id_seq', max(id)) from messages;
select setval('comments_id_seq', max(id)) from comments;
select setval('notes_id_seq', max(id)) from notes;
select setval('events_id_seq', max(id)) from events;
select setval('labels_id_seq', max(id)) from labels;
