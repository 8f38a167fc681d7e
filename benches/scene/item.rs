//! The table that figures of reading are about: rows of about 576 bytes as JSON.

/// Makes the table, with so many rows of one organization.
pub(crate) fn sql(rows: u32) -> String {
    format!(
        "create table item (
             id bigint primary key, organization_id int not null, title text not null, body text not null,
             status text not null, priority int not null, assignee uuid, reporter uuid,
             created_at timestamptz not null, updated_at timestamptz not null, tags text[] not null, meta jsonb
         );
         insert into item
         select i, 1, 'Item number ' || i, repeat(md5(i::text), 7), (array['open', 'closed'])[1 + i % 2], i % 5,
             md5('a' || i)::uuid, case when i % 3 = 0 then md5('r' || i)::uuid end, now(), now(),
             array['red', 'green'], jsonb_build_object('n', i, 'k', 'value')
         from generate_series(1, {rows}) i"
    )
}
