-- Northwind (Ms-PL, Microsoft), in the names of its PostgreSQL port: tables, columns and keys, shortened.
create table categories (
    category_id smallint not null primary key,
    category_name varchar(15) not null,
    description text,
    picture bytea
);
create table customers (
    customer_id varchar(5) not null primary key,
    company_name varchar(40) not null,
    city varchar(15),
    country varchar(15)
);
create table employees (
    employee_id smallint not null primary key,
    last_name varchar(20) not null,
    first_name varchar(10) not null,
    birth_date date,
    reports_to smallint references employees
);
create table region (
    region_id smallint not null primary key,
    region_description varchar(60) not null
);
create table territories (
    territory_id varchar(20) not null primary key,
    territory_description varchar(60) not null,
    region_id smallint not null references region
);
create table employee_territories (
    employee_id smallint not null references employees,
    territory_id varchar(20) not null references territories,
    primary key (employee_id, territory_id)
);
create table suppliers (
    supplier_id smallint not null primary key,
    company_name varchar(40) not null,
    country varchar(15)
);
create table products (
    product_id smallint not null primary key,
    product_name varchar(40) not null,
    supplier_id smallint references suppliers,
    category_id smallint references categories,
    unit_price real,
    discontinued integer not null
);
create table shippers (
    shipper_id smallint not null primary key,
    company_name varchar(40) not null
);
create table orders (
    order_id smallint not null primary key,
    customer_id varchar(5) references customers,
    employee_id smallint references employees,
    order_date date,
    ship_via smallint references shippers,
    freight real
);
create table order_details (
    order_id smallint not null references orders,
    product_id smallint not null references products,
    unit_price real not null,
    quantity smallint not null,
    discount real not null,
    primary key (order_id, product_id)
);
create view current_product_list as
select p.product_id, p.product_name, p.category_id from products as p where p.discontinued = 0;

insert into categories values (1, 'Beverages', 'Soft drinks, coffees, teas', '\x'), (2, 'Condiments', 'Sauces', null);
insert into customers values
    ('ALFKI', 'Alfreds Futterkiste', 'Berlin', 'Germany'), ('AROUT', 'Around the Horn', 'London', 'UK');
insert into employees values
    (2, 'Fuller', 'Andrew', '1952-02-19', null), (1, 'Davolio', 'Nancy', '1948-12-08', 2),
    (5, 'Buchanan', 'Steven', '1955-03-04', 2);
insert into region values (1, 'Eastern'), (2, 'Western');
insert into territories values ('01581', 'Westboro', 1), ('98104', 'Seattle', 2);
insert into employee_territories values (1, '01581'), (1, '98104'), (5, '01581');
insert into suppliers values (1, 'Exotic Liquids', 'UK'), (2, 'New Orleans Cajun Delights', 'USA');
insert into products values
    (1, 'Chai', 1, 1, 18, 0), (3, 'Aniseed Syrup', 1, 2, 10, 0), (5, 'Chef Anton''s Gumbo Mix', 2, 2, 21.35, 1);
insert into shippers values (1, 'Speedy Express');
insert into orders values
    (10248, 'ALFKI', 5, '1996-07-04', 1, 32.38), (10249, 'AROUT', 1, '1996-07-05', 1, 11.61),
    (10250, 'ALFKI', null, null, null, 0);
insert into order_details values
    (10248, 1, 14, 12, 0), (10248, 3, 9.8, 10, 0.05), (10249, 5, 21.35, 9, 0);
