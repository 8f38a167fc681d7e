-- What the texts of the help desk are made of: a small grammar, expanded into a stock of sentences
-- from which 4_rows.sql draws.
--
-- Everything is chosen by hashing an id, never by random(), so that the same size always gives the
-- same rows, on every machine. The words are many and mixed one by one, because texts that repeat
-- would compress better than people's do, and every figure measured on them would flatter.

-- Chooses one of n, evenly: always the same for the same id and salt.
create function pg_temp.pick(id bigint, salt int, n int) returns int
language sql immutable parallel safe
return ((hashint8extended(id, salt) & 2147483647) % n)::int;

create temp table words on commit drop as
select kind, row_number() over (partition by kind order by place) - 1 as number, word
from (
    values
    ('noun', $$invoice order parcel refund account password export report dashboard calendar
        contract quote receipt voucher delivery shipment warehouse carrier label barcode printer
        scanner tablet browser update license subscription trial discount coupon payment card
        mandate balance statement ledger tax address signature attachment archive folder template
        workflow filter column spreadsheet chart timeline reminder notification newsletter campaign
        survey form field checkbox dropdown menu toolbar shortcut keyboard headset microphone
        recording transcript meeting appointment booking schedule shift roster holiday timesheet
        payroll candidate interview onboarding training certificate badge door sensor thermostat
        battery charger adapter cable bracket hinge panel cushion frame wheel saddle brake helmet
        jacket sleeve zipper fabric pattern sample swatch catalogue brochure price margin supplier
        manufacturer reseller distributor customer colleague manager accountant auditor technician
        plumber gardener neighbour landlord tenant apartment kitchen cabinet counter drawer shelf
        lamp bulb mirror carpet curtain mattress pillow blanket bicycle trailer scooter van truck
        ferry flight ticket seat luggage itinerary passport visa insurance policy claim deductible
        doctor prescription dosage allergy patient clinic laboratory result server database backup
        firewall certificate router gateway webhook endpoint token session cookie cache queue log
        integration connector migration import upload download preview thumbnail image video
        podcast article comment draft revision approval deadline milestone budget forecast
        proposal tender inventory pallet container customs declaration manifest$$),
    ('adjective', $$new old first last second third previous current original duplicate missing
        wrong damaged broken empty blank expired overdue unpaid partial final monthly weekly yearly
        daily quarterly urgent delayed early late green blue red black white grey yellow small
        large heavy light loose tight wet dry warm cold noisy quiet slow fast manual automatic
        internal external public shared personal annual temporary permanent optional required
        hidden visible invalid signed unsigned encrypted compressed scanned printed handwritten
        German French Dutch Polish Danish Spanish Italian Swedish cheap expensive standard
        premium basic advanced local regional foreign domestic spare left right upper lower front
        rear wooden plastic metal cotton leather stainless recycled frozen fresh unusual familiar
        strange confusing helpful generous strict reliable unstable outdated recent upcoming$$),
    ('verb', $$opens closes blocks shows hides sends receives loses finds prints cancels confirms
        rejects accepts delays returns replaces repairs covers includes excludes changes keeps
        deletes restores copies moves merges splits exports imports duplicates overwrites renames
        locks unlocks freezes crashes resets reloads refreshes ignores contradicts mentions quotes
        references matches exceeds reduces doubles triggers stops starts pauses resumes finishes
        charges credits refunds bills books reserves releases ships delivers collects scans weighs
        measures counts sorts filters groups translates corrects validates signs stamps$$),
    ('past', $$opened closed blocked sent received lost found printed cancelled confirmed rejected
        accepted delayed returned replaced repaired changed deleted restored copied moved merged
        exported imported duplicated overwritten renamed locked frozen reset reloaded ignored
        mentioned charged credited refunded billed booked reserved released shipped delivered
        collected scanned weighed measured counted sorted translated corrected validated signed
        stamped installed removed ordered tested checked compared forwarded answered escalated
        reassembled unpacked polished painted washed trimmed labelled$$),
    ('base', $$open close send receive find print cancel confirm reject accept return replace
        repair change keep delete restore copy move merge split export import rename lock unlock
        reset reload ignore mention charge credit refund bill book reserve release ship deliver
        collect scan weigh measure count sort translate correct validate sign stamp install remove
        order test check compare forward answer escalate unpack postpone extend renew upgrade
        downgrade explain clarify document verify$$),
    ('adverb', $$again today yesterday twice already still apparently suddenly usually sometimes
        never always partly completely silently correctly automatically manually overnight
        recently finally eventually immediately quickly slowly rarely regularly randomly
        unfortunately fortunately probably certainly definitely accidentally separately together
        abroad upstairs indoors elsewhere meanwhile afterwards beforehand$$),
    ('place', $$Berlin Hamburg Lyon Porto Gdansk Aarhus Malmo Ghent Utrecht Graz Basel Turin Bilbao
        Cork Leeds Oslo Tampere Riga Vilnius Brno Szeged Ljubljana Split Varna Cluj Patras Valletta
        Toronto Denver Austin Oakland Montreal Perth Wellington Osaka Busan Taipei Nairobi Accra
        Dakar Rosario Recife Medellin Cusco$$),
    ('day', $$Monday Tuesday Wednesday Thursday Friday Saturday Sunday$$),
    ('month', $$January February March April May June July August September October November
        December$$),
    ('time', $$morning afternoon evening week month quarter weekend spring summer autumn winter
        year$$),
    ('because', $$because since although while when after before unless until whenever though
        as$$),
    ('number', $$two three four five six seven eight nine ten eleven twelve fourteen fifteen
        eighteen twenty thirty forty fifty sixty ninety$$)
) as list (kind, words),
    regexp_split_to_table(words, '\s+') with ordinality as each (word, place);

-- `:kind` stands for a word of that kind; :code, :amount, :date, :clock, :count and :name are made
-- up below. A pattern is kept as its tokens: what is fixed, or a slot to fill and what follows it.
create temp table tokens on commit drop as
select list.kind, pattern.place as pattern, token.place, token.text,
    lower(substring(token.text from '^:([A-Za-z]+)')) as slot,
    token.text ~ '^:[A-Z]' as capital,
    substring(token.text from '^:[A-Za-z]+(.*)$') as ending
from (
    values
    ('message', $$The :adjective :noun from :date :adverb :verb the :noun of our :adjective :noun.
Could you please :base the :noun for order :code before :day :time?
We :past the :adjective :noun :adverb, but the :noun still :verb :count :adjective :noun entries.
Our :noun in :place has :past :number of the :adjective :noun boxes, :because the :noun :verb :adverb.
I was told by :name that the :noun would be :past by :date.
The amount of :amount on the :adjective :noun does not match the :noun, which says :amount instead.
Every :day at :clock the :noun :verb and the :adjective :noun has to be :past :adverb.
My colleague in :place :past the :noun and got reference :code, :because nobody here can :base a :noun.
Thank you for the :adjective :noun; the :noun :verb :adverb now.
Please find the :adjective :noun attached, it was :past on :date at :clock.
There is :adverb a :adjective :noun between the :noun and the :adjective :noun in :month.
Can somebody :base whether the :noun :verb the :adjective :noun or only its :noun?
When I :base the :noun, the :adjective :noun :verb and error :code appears.
I have :past your :noun :adverb and the :adjective :noun will :base itself within :count minutes.
The :noun team in :place :past it :adverb; you should see the :adjective :noun after :clock.
We would rather :base the :adjective :noun than :base another :noun next :time.
As far as I can see, :count of the :count :noun records were :past and the :adjective ones :adverb :past.
Would it help to :base the :noun first, :because the :adjective :noun only :verb on :day?
For the :adjective :noun you were :past :amount, of which :amount will be :past this :time.
Sorry for the :adjective :noun: our :noun :adverb :verb whatever the :noun has :past.
To :base it, open the :noun, choose the :adjective :noun and :base :code at the bottom.
Is the :adjective :noun in :place :adverb the one that :verb our :noun?
Between :clock and :clock nobody could :base the :noun, and the :adjective :noun was :past.
Just to :base: the :noun, the :adjective :noun and the :noun from :month belong to :code.
It worked :adverb until :name :past the :adjective :noun on :date.
Neither the :noun nor the :adjective :noun :verb what we :past in :month.
If the :noun :verb :adverb, I will :base the :adjective :noun and send you the :noun.
Last :time the :adjective :noun was :past for :amount, :because the :noun had to be :past :adverb.
Tracking number :code says :past in :place, but the :noun was :adverb :past.
What should we :base with the :count :adjective :noun parts that :name :past?$$),
    ('aside', $$Talked to :name: the :adjective :noun was :past :adverb.
Please do not :base the :noun before :day, the :adjective :noun is not :past yet.
Same :noun as :code, I think the :adjective :noun :verb it.
:name can :base this, :because the :noun in :place :verb :adverb.
Offered :amount and a :adjective :noun, waiting for the :noun.
Customer prefers a call after :clock on :day about the :adjective :noun.
Checked the :noun: :count rows, the :adjective one from :date :verb the :noun.
I would :base the :noun and :base the :adjective :noun :adverb.
The :noun was :past on :date, see :code.
Contract says :number :adjective :noun units per :time, they :past :count.
Escalated to the :noun team, answer expected :day :time.
Known :noun: :verb :adverb whenever the :adjective :noun is :past.$$),
    ('subject', $$:Adjective :noun in order :code
The :noun :verb the :adjective :noun
Cannot :base the :adjective :noun
Question about the :adjective :noun for :month
:Noun :past :adverb, :noun missing
Refund of :amount for the :adjective :noun
How do I :base a :noun in :place?
Error :code when I :base the :noun
Please :base our :adjective :noun by :day
:Noun and :noun do not match
:Adjective :noun since :date
Request: :base :number :adjective :noun places
:Noun :verb :adverb after the :noun
Invoice :code: :adjective :noun
Delivery to :place: the :noun was :past
Appointment on :day about the :noun$$)
) as list (kind, patterns)
cross join regexp_split_to_table(patterns, '\n') with ordinality as pattern (text, place)
cross join regexp_split_to_table(pattern.text, ' ') with ordinality as token (text, place);

create temp table given_names on commit drop as
select place - 1 as number, name
from regexp_split_to_table($$Anna Ben Carla David Elena Felix Greta Hassan Ines Jonas Katja Liam
    Marta Noah Olga Pavel Quinn Rosa Samuel Tanja Umar Vera Wim Xenia Yusuf Zoe Aiko Bruno Chiara
    Dario Emil Fatima Georg Hanna Igor Julia Karim Laura Mehmet Nina Oskar Paula Rafael Sofia Tomas
    Ursula Viktor Wanda Yara Zdenka Amara Bilal Camille Diego Esther Finn Giulia Henrik Ida Jamal
    Klara Leon Maja Nils Ophelia Petra Rui Selma Theo Ulrike Valentin Yvonne Adrian Beatriz Cedric
    Doris Enzo Freya Gustav Helena Ivan Joana Kofi Lena Milan Nadia$$, '\s+')
    with ordinality as each (name, place);

create temp table family_names on commit drop as
select place - 1 as number, name
from regexp_split_to_table($$Kovacs Moreau Schmidt Novak Jensen Rossi Silva Nowak Andersson Peeters
    Bakker Weber Dubois Horvat Nielsen Ferrari Costa Kaminski Lindqvist Janssens Visser Wagner
    Laurent Babic Hansen Russo Ferreira Lewandowski Bergstrom Maes Smit Becker Lefevre Maric Larsen
    Greco Pereira Zielinski Sandberg Jacobs Mulder Hoffmann Girard Juric Olsen Bruno Oliveira
    Wozniak Nyberg Mertens Koch Bonnet Knezevic Berg Conti Santos Dabrowski Holm Willems Dekker
    Bauer Fontaine Petrovic Dahl Marino Rocha Mazur Ekman Claes Brouwer Richter Mercier Vukovic Lund
    Fontana Teixeira Krawczyk Sjoberg Goossens Vos Klein Blanc Popovic Moen Caruso Mendes Grabowski
    Falk Wouters Okafor Mensah Haddad Nakamura Tanaka Sato Park Kim Nguyen Tran Chen Wang Singh
    Patel Sharma Rahman Aziz Demir Yilmaz Kaya OBrien Murphy Walsh Campbell Fraser Morgan Hughes
    Bennett Carter Turner$$, '\s+')
    with ordinality as each (name, place);

create temp table companies on commit drop as
select row_number() over (order by second.place, first.place) - 1 as number,
    first.word || ' ' || second.word as name,
    lower(first.word || second.word) || '.example' as domain
from regexp_split_to_table($$Bright Harbour Northern Silver Maple Granite Copper Willow Meadow Amber
    Cedar Falcon Juniper Lakeside Orchard Summit Thistle Umber Velvet Winter$$, '\s+')
    with ordinality as first (word, place),
regexp_split_to_table($$Tools Textiles Bikes Logistics Kitchens Studios Clinics Foods Travel Energy
    Media Books Gardens Lighting Systems$$, '\s+') with ordinality as second (word, place);

analyze words, tokens, given_names;

-- The stock: of each kind so many sentences, each a pattern whose slots are filled one by one.
create temp table sentences on commit drop as
with stock as (
    select kind, size, salt, max(pattern)::int as patterns
    from (values ('message', 16000, 1), ('aside', 4000, 2), ('subject', 6000, 3))
        as stock (kind, size, salt)
    join tokens using (kind)
    group by kind, size, salt
),
drafts as (
    select kind, number, 1 + pg_temp.pick(salt * 1000000 + number, 10, patterns) as pattern,
        (salt * 1000000 + number) * 64 as seed
    from stock
    cross join lateral generate_series(0, size - 1) as number
),
choices as (
    select kind, count(*)::int as size from words group by kind
)
select drafts.kind, drafts.number,
    string_agg(
        case
            when slot is null then text
            when word is not null then case when capital then initcap(word) else word end
            when slot = 'code' then
                chr(65 + pg_temp.pick(token_seed, 20, 26))
                || chr(65 + pg_temp.pick(token_seed, 21, 26))
                || '-' || (1000000 + pg_temp.pick(token_seed, 22, 9000000))
            when slot = 'amount' then
                (1 + pg_temp.pick(token_seed, 23, 1800)) || '.'
                || (10 + pg_temp.pick(token_seed, 24, 90))
                || case pg_temp.pick(token_seed, 25, 3) when 0 then ' USD' else ' EUR' end
            when slot = 'count' then (2 + pg_temp.pick(token_seed, 26, 480))::text
            when slot = 'date' then (1 + pg_temp.pick(token_seed, 27, 28)) || ' '
                || (array['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August',
                    'September', 'October', 'November', 'December'])
                    [1 + pg_temp.pick(token_seed, 28, 12)]
            when slot = 'clock' then
                (6 + pg_temp.pick(token_seed, 29, 14)) || ':' || (10 + pg_temp.pick(token_seed, 30, 50))
            when slot = 'name' then
                (select name from given_names where number = pg_temp.pick(token_seed, 31, 80))
        end || coalesce(ending, ''),
        ' ' order by place
    ) as text
from drafts
join tokens on tokens.kind = drafts.kind and tokens.pattern = drafts.pattern
cross join lateral (select seed + place) as _ (token_seed)
left join choices on choices.kind = slot
left join words on words.kind = slot and words.number = pg_temp.pick(token_seed, 19, choices.size)
group by drafts.kind, drafts.number;

create unique index on sentences (kind, number);
analyze sentences;
