//! Types whose values have no parts.

use proptest::prelude::*;

use super::{
    oracle::{Values, binaries, compare, only, oracle, texts},
    strategies::{any_numeric, any_text, any_timestamp},
};

#[tokio::test]
async fn numbers_agree_with_to_json() {
    let (database, client) = oracle().await;
    let client = &client;
    compare(client, "bool", true, only(&["true", "false"])).await;
    let bytes = |it: &i16| it.to_be_bytes().to_vec();
    let edges = [i16::MIN, i16::MAX, 0, -1];
    compare(client, "int2", true, binaries(&edges, any::<i16>(), bytes)).await;
    let bytes = |it: &i32| it.to_be_bytes().to_vec();
    let edges = [i32::MIN, i32::MAX, 0, -1];
    compare(client, "int4", true, binaries(&edges, any::<i32>(), bytes)).await;
    let bytes = |it: &i64| it.to_be_bytes().to_vec();
    let edges = [i64::MIN, i64::MAX, 0, -1];
    compare(client, "int8", true, binaries(&edges, any::<i64>(), bytes)).await;
    let bytes = |it: &u32| it.to_be_bytes().to_vec();
    compare(
        client,
        "oid",
        true,
        binaries(&[0, u32::MAX], any::<u32>(), bytes),
    )
    .await;
    compare(
        client,
        "xid",
        true,
        binaries(&[0, u32::MAX], any::<u32>(), bytes),
    )
    .await;
    let bytes = |it: &u64| it.to_be_bytes().to_vec();
    compare(
        client,
        "xid8",
        true,
        binaries(&[0, u64::MAX], any::<u64>(), bytes),
    )
    .await;
    compare(
        client,
        "pg_lsn",
        true,
        binaries(&[0, u64::MAX], any::<u64>(), bytes),
    )
    .await;
    let edges = [
        "0",
        "0.000",
        "-0.00",
        "1",
        "10000",
        "9999",
        "0.0001",
        "1e-10",
        "1e100",
        "-1e-16383",
        "1e16383",
        "NaN",
        "Infinity",
        "-Infinity",
        "99999999999999999999.99999999999999999999",
    ];
    compare(client, "numeric", true, texts(&edges, any_numeric())).await;
    database.finish().await;
}

#[tokio::test]
async fn floats_agree_with_to_json() {
    let (database, client) = oracle().await;
    let client = &client;
    let bytes = |it: &f64| it.to_be_bytes().to_vec();
    let mut edges = vec![
        0.0,
        -0.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MIN,
        f64::MAX,
    ];
    edges.extend([f64::MIN_POSITIVE, f64::EPSILON, 5e-324, 0.1 + 0.2]);
    // Around each power of two and of ten, where the neighbours' distance or the layout changes.
    let powers = (-1074..1024).map(|it| 2f64.powi(it));
    let tens = (-320..309).map(|it| format!("1e{it}").parse().unwrap());
    for power in powers.chain(tens) {
        edges.extend([power, power.next_up(), power.next_down(), -power]);
    }
    let drawn = || {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            -1e6..1e6,
            (any::<i32>(), -30..30).prop_map(|(it, power)| f64::from(it) * 10f64.powi(power)),
            (1i64..1000, 15..25).prop_map(|(it, power)| it as f64 * 10f64.powi(power)),
            any::<i64>().prop_map(|it| it as f64),
        ]
    };
    compare(client, "float8", true, binaries(&edges, drawn(), bytes)).await;

    let bytes = |it: &f32| it.to_be_bytes().to_vec();
    let mut edges = vec![
        0.0,
        -0.0,
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MIN,
        f32::MAX,
    ];
    let powers = (-149..128).map(|it| 2f32.powi(it));
    let tens = (-45..39).map(|it| format!("1e{it}").parse().unwrap());
    for power in powers.chain(tens) {
        edges.extend([power, power.next_up(), power.next_down(), -power]);
    }
    let narrow = prop_oneof![
        any::<u32>().prop_map(f32::from_bits),
        drawn().prop_map(|it| it as f32),
        (1i32..1000, 6..15).prop_map(|(it, power)| it as f32 * 10f32.powi(power)),
    ];
    compare(client, "float4", true, binaries(&edges, narrow, bytes)).await;
    database.finish().await;
}

#[tokio::test]
async fn texts_agree_with_to_json() {
    let (database, client) = oracle().await;
    let client = &client;
    let controls: String = (1..32u8).map(char::from).collect();
    let edges = [
        "",
        "\"",
        "\\",
        "\\u0041",
        "null",
        "</script>",
        "a\u{2028}b",
        "🦀",
        &controls,
    ];
    for type_ in ["text", "varchar", "bpchar", "citext", "name"] {
        compare(client, type_, true, texts(&edges, any_text())).await;
    }
    compare(client, "label", true, texts(&[], "[a-z\"\\\\]{0,40}")).await;
    compare(client, "char(5)", true, texts(&[""], "[a-z\"]{1,5}")).await;
    let bytes: Vec<Vec<u8>> = (0..128).map(|byte| vec![byte]).collect();
    compare(client, "\"char\"", true, Values::Binary(bytes)).await;
    let moods = ["sad", "a \"quoted\" one", "glücklich", ""];
    compare(client, "mood", true, only(&moods)).await;
    let binary = proptest::collection::vec(any::<u8>(), 0..100);
    compare(
        client,
        "bytea",
        true,
        binaries(&[vec![]], binary, Vec::clone),
    )
    .await;
    let uuid = any::<[u8; 16]>().prop_map(|it| it.to_vec());
    compare(
        client,
        "uuid",
        true,
        binaries(&[vec![0; 16]], uuid, Vec::clone),
    )
    .await;
    compare(client, "varbit", true, texts(&["", "1"], "[01]{0,70}")).await;
    compare(client, "bit(9)", true, texts(&[], "[01]{9}")).await;
    database.finish().await;
}

#[tokio::test]
async fn addresses_agree_with_to_json() {
    let (database, client) = oracle().await;
    let client = &client;
    let edges = [
        "0.0.0.0",
        "0.0.0.0/0",
        "255.255.255.255/31",
        "::",
        "::/0",
        "::1",
        "::2",
        "::1:2",
        "::ffff:1.2.3.4",
        "::1.2.3.4",
        "::fffe:1.2.3.4",
        "1::",
        "1::/64",
        "::1:0:0:2",
        "1:0:0:2:0:0:0:3",
        "0:0:1::",
        "1:0:2:0:3:0:4:0",
    ];
    let version_4 = (any::<[u8; 4]>(), 0..33)
        .prop_map(|([a, b, c, d], bits)| format!("{a}.{b}.{c}.{d}/{bits}"));
    let word = prop_oneof![3 => Just(0u16), 1 => any::<u16>()];
    let version_6 = (proptest::array::uniform8(word), 0..129).prop_map(|(words, bits)| {
        let words: Vec<String> = words.iter().map(|it| format!("{it:x}")).collect();
        format!("{}/{bits}", words.join(":"))
    });
    compare(
        client,
        "inet",
        true,
        texts(&edges, prop_oneof![version_4, version_6]),
    )
    .await;
    let edges = [
        "10.0.0.0/8",
        "10.0.0.1",
        "::/0",
        "::1",
        "2001:db8::/32",
        "::ffff:0:0/96",
    ];
    compare(client, "cidr", true, only(&edges)).await;
    let mac = any::<[u8; 6]>().prop_map(|it| it.to_vec());
    compare(
        client,
        "macaddr",
        true,
        binaries(&[vec![0; 6]], mac, Vec::clone),
    )
    .await;
    let mac = any::<[u8; 8]>().prop_map(|it| it.to_vec());
    compare(
        client,
        "macaddr8",
        true,
        binaries(&[vec![255; 8]], mac, Vec::clone),
    )
    .await;
    database.finish().await;
}

/// The range of time stamps (PostgreSQL manual, "Date/Time Types"), in microseconds from 2000.
const TIMESTAMP_MIN: i64 = -211_813_488_000_000_000;
const TIMESTAMP_MAX: i64 = 9_223_371_331_199_999_999;

#[tokio::test]
async fn times_agree_with_to_json() {
    let (database, client) = oracle().await;
    let client = &client;
    let bytes = |it: &i32| it.to_be_bytes().to_vec();
    let edges = [
        i32::MIN,
        i32::MAX,
        -2_451_545,
        2_145_031_948,
        0,
        -1,
        59,
        60,
        -730_119,
        -730_120,
        2_921_939,
        2_921_940,
    ];
    let days = prop_oneof![
        -2_451_545..2_145_031_949,
        -800_000..3_000_000,
        -20_000..20_000
    ];
    compare(client, "date", true, binaries(&edges, days, bytes)).await;

    let bytes = |it: &i64| it.to_be_bytes().to_vec();
    let mut edges = vec![i64::MIN, i64::MAX, TIMESTAMP_MIN, TIMESTAMP_MAX, 0, -1, 1];
    edges.extend([
        1_000_000,
        100_000,
        -63_082_281_600_000_000,
        -63_082_281_600_000_001,
    ]);
    let moments = || {
        prop_oneof![
            TIMESTAMP_MIN..=TIMESTAMP_MAX,
            -70_000_000_000_000_000..250_000_000_000_000_000i64,
            (0..1_000_000_000i64).prop_map(|it| it * 1_000_000),
            (0..1_000_000_000i64).prop_map(|it| it * 1_000_000 + 6),
        ]
    };
    for type_ in ["timestamp", "timestamptz", "moment"] {
        compare(client, type_, true, binaries(&edges, moments(), bytes)).await;
    }
    let leap = [
        "2016-12-31 23:59:60",
        "2016-12-31 23:59:59.9999999",
        "epoch",
    ];
    compare(client, "timestamp", true, texts(&leap, any_timestamp())).await;
    compare(client, "timestamptz", true, texts(&leap, any_timestamp())).await;

    let day = 86_400_000_000i64;
    let edges = [0, 1, day, day - 1, 3_600_000_000];
    compare(client, "time", true, binaries(&edges, 0..=day, bytes)).await;
    let bytes = |(time, zone): &(i64, i32)| [&time.to_be_bytes()[..], &zone.to_be_bytes()].concat();
    let edges = [
        (0, 0),
        (day, -57_599),
        (1, 57_599),
        (5, 60),
        (5, -3600),
        (5, 1),
        (5, 3601),
    ];
    let any_time = (
        0..=day,
        prop_oneof![-57_599..=57_599, (-63..63).prop_map(|it| it * 900)],
    );
    compare(client, "timetz", true, binaries(&edges, any_time, bytes)).await;
    database.finish().await;
}

#[tokio::test]
async fn intervals_agree_with_to_json() {
    let (database, client) = oracle().await;
    let bytes = |(micros, days, months): &(i64, i32, i32)| {
        [
            &micros.to_be_bytes()[..],
            &days.to_be_bytes(),
            &months.to_be_bytes(),
        ]
        .concat()
    };
    // Every combination of signs of every field, so that each "+" behind a negative one is met.
    let mut edges = Vec::new();
    for months in [-25, -12, -11, -1, 0, 1, 11, 12, 25] {
        for days in [-2, -1, 0, 1, 2] {
            for micros in [
                -90_061_000_001,
                -500_000,
                0,
                1,
                3_600_000_000,
                360_000_000_000,
            ] {
                edges.push((micros, days, months));
            }
        }
    }
    edges.extend([
        (i64::MAX, i32::MAX, i32::MAX - 1),
        (i64::MIN, i32::MIN, i32::MIN + 1),
    ]);
    let small = (-100_000_000_000..100_000_000_000i64, -40..40, -30..30);
    let any_interval = prop_oneof![any::<(i64, i32, i32)>(), small];
    let values = binaries(&edges, any_interval, bytes);
    compare(&client, "interval", true, values).await;
    database.finish().await;
}
