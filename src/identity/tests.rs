//! Which tokens are accepted, as whom, and how the others are refused.

use super::*;
use crate::{
    config::{Config, Secret, TenancyMode},
    error::{Kind, Result},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW: u64 = 1_800_000_000;

fn config() -> Config {
    let mut config = Config::default();
    config.auth.jwt_secret = Some(SECRET.into());
    config
}

fn verifier_of(config: &Config) -> Verifier {
    let role = Role::from("app_user");
    Verifier::new(config, role, OrganizationForm::Text).unwrap()
}

fn verify(token: &str) -> Result<Caller> {
    verifier_of(&config()).verify_at(token, NOW)
}

fn sign(claims: &Value) -> String {
    sign_with(Algorithm::HS256, SECRET, claims)
}

fn sign_with(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap()
}

fn accepted(claims: &Value) -> Caller {
    verify(&sign(claims)).unwrap_or_else(|error| panic!("{claims}: {error}"))
}

fn refusal(claims: &Value) -> Kind {
    verify(&sign(claims)).expect_err("refused").kind()
}

#[test]
fn a_token_tells_who_calls() {
    let caller = accepted(&json!({"org": "1", "sub": "7", "role": "agent", "exp": NOW + 60}));
    assert_eq!(&*caller.identity.organization.0, "1");
    assert_eq!(&*caller.identity.user.0, "7");
    assert_eq!(&*caller.identity.role.0, "agent");
    assert_eq!(caller.expires_at, Some(NOW + 65), "exp and the leeway");
    let claims: Value = serde_json::from_str(&caller.identity.claims).unwrap();
    assert_eq!(
        claims,
        json!({"org": "1", "sub": "7", "role": "agent", "exp": NOW + 60})
    );
}

#[test]
fn a_minted_token_is_accepted() {
    for (names, organization) in [
        ("org", "1"),
        ("app.org", "1"),
        ("https://a.example/org", "1"),
    ] {
        let mut config = config();
        config.claims.organization = names.to_owned();
        config.claims.user = "app.user".to_owned();
        config.auth.audience = Some("here".to_owned());
        let token = Mint {
            organization: Some(organization.to_owned()),
            user: "7".to_owned(),
            role: Some("agent".to_owned()),
            audience: Some("here".to_owned()),
            issued_at: NOW,
            expires_at: NOW + 60,
        };
        let token = mint(&Secret::from(SECRET), &config.claims, &token).unwrap();
        let caller = verifier_of(&config).verify_at(&token, NOW).unwrap();
        assert_eq!(&*caller.identity.organization.0, "1");
        assert_eq!(&*caller.identity.user.0, "7");
        assert_eq!(&*caller.identity.role.0, "agent");
    }
}

#[test]
fn organization_and_user_may_be_numbers() {
    let caller = accepted(&json!({"org": 1, "sub": 18_446_744_073_709_551_615_u64}));
    assert_eq!(&*caller.identity.organization.0, "1");
    assert_eq!(&*caller.identity.user.0, "18446744073709551615");
    assert_eq!(&*caller.identity.role.0, "app_user", "the default role");
    assert_eq!(caller.expires_at, None);
}

#[test]
fn claims_that_are_missing_or_of_another_type_are_refused() {
    for claims in [
        json!({"sub": "7"}),
        json!({"org": "1"}),
        json!({"org": null, "sub": "7"}),
        json!({"org": "", "sub": "7"}),
        json!({"org": "\u{0}", "sub": "7"}),
        json!({"org": "1", "sub": ""}),
        json!({"org": 1.5, "sub": "7"}),
        json!({"org": true, "sub": "7"}),
        json!({"org": ["1"], "sub": "7"}),
        json!({"org": {"id": "1"}, "sub": "7"}),
        json!({"org": "1", "sub": "7", "role": ""}),
        json!({"org": "1", "sub": "7", "role": 3}),
    ] {
        assert_eq!(refusal(&claims), Kind::ClaimMissing, "{claims}");
    }
}

#[test]
fn the_refusal_names_the_claim() {
    let error = verify(&sign(&json!({"sub": "7"}))).unwrap_err();
    assert_eq!(error.detail(), "The token has no claim `org`.");
}

#[test]
fn times_are_checked_with_a_leeway() {
    let at = |exp: Value| json!({"org": "1", "sub": "7", "exp": exp});
    accepted(&at(json!(NOW + 1)));
    accepted(&at(json!(NOW - 4)));
    assert_eq!(refusal(&at(json!(NOW - 5))), Kind::TokenExpired);
    assert_eq!(refusal(&at(json!(0))), Kind::TokenExpired);
    assert_eq!(refusal(&at(json!(-1))), Kind::TokenExpired);
    accepted(&at(json!(NOW as f64 + 0.5)));
    assert_eq!(accepted(&at(json!(1e300))).expires_at, Some(u64::MAX));
    assert_eq!(refusal(&at(json!("tomorrow"))), Kind::TokenInvalid);
    assert_eq!(refusal(&at(json!(null))), Kind::TokenInvalid);

    let from = |nbf: Value| json!({"org": "1", "sub": "7", "nbf": nbf});
    accepted(&from(json!(NOW)));
    accepted(&from(json!(NOW + 5)));
    assert_eq!(refusal(&from(json!(NOW + 6))), Kind::TokenInvalid);
    assert_eq!(refusal(&from(json!("now"))), Kind::TokenInvalid);
}

#[test]
fn only_the_configured_algorithm_is_accepted() {
    let claims = json!({"org": "1", "sub": "7"});
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let error = verify(&sign_with(algorithm, SECRET, &claims)).unwrap_err();
        assert_eq!(error.kind(), Kind::TokenInvalid);
        assert_eq!(
            error.detail(),
            "The token's algorithm is not accepted here."
        );
    }
    let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"None","typ":"JWT"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"alg":""}"#,
        r#"{"typ":"JWT"}"#,
        "{}",
        "[]",
        "null",
    ] {
        let head = URL_SAFE_NO_PAD.encode(header);
        for signature in ["", "AAAA"] {
            let error = verify(&format!("{head}.{payload}.{signature}")).unwrap_err();
            assert_eq!(error.kind(), Kind::TokenInvalid, "{header}");
        }
    }
}

#[test]
fn a_token_that_was_tampered_with_is_refused() {
    let token = sign(&json!({"org": "1", "sub": "7"}));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = signed.split_once('.').unwrap();
    let other = URL_SAFE_NO_PAD.encode(json!({"org": "2", "sub": "7"}).to_string());
    for forged in [
        format!("{header}.{other}.{signature}"),
        format!("{signed}."),
        signed.to_owned(),
        format!("{token}A"),
        format!("{token}.{signature}"),
        format!("{token} "),
        sign_with(
            Algorithm::HS256,
            "another secret of thirty-two byte",
            &json!({"org": "1"}),
        ),
    ] {
        assert_eq!(
            verify(&forged).unwrap_err().kind(),
            Kind::TokenInvalid,
            "{forged}"
        );
    }
    // Every single byte counts, in all three parts.
    for position in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[position] = match bytes[position] {
            b'A' => b'g',
            _ => b'A',
        };
        let forged = String::from_utf8(bytes).unwrap();
        assert!(verify(&forged).is_err(), "byte {position}");
    }
}

#[test]
fn extensions_that_must_be_understood_are_refused() {
    let mut header = Header::new(Algorithm::HS256);
    header.crit = Some(vec!["b64".to_owned()]);
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = jsonwebtoken::encode(&header, &json!({"org": "1", "sub": "7"}), &key).unwrap();
    assert_eq!(verify(&token).unwrap_err().kind(), Kind::TokenInvalid);
}

#[test]
fn a_huge_token_is_refused_unread() {
    let padding = "x".repeat(TOKEN_BYTES_MAX);
    let token = sign(&json!({"org": "1", "sub": "7", "padding": padding}));
    let error = verify(&token).unwrap_err();
    assert_eq!(error.detail(), "The token is too long.");
}

#[test]
fn the_audience_is_checked_where_one_is_configured() {
    let mut config = config();
    config.auth.audience = Some("here".to_owned());
    let verifier = verifier_of(&config);
    let token = |aud: Value| sign(&json!({"org": "1", "sub": "7", "aud": aud}));
    for aud in [json!("here"), json!(["there", "here"])] {
        verifier.verify_at(&token(aud), NOW).unwrap();
    }
    for aud in [
        json!("there"),
        json!([]),
        json!(null),
        json!(["there"]),
        json!(1),
    ] {
        let error = verifier.verify_at(&token(aud), NOW).unwrap_err();
        assert_eq!(error.kind(), Kind::TokenInvalid);
    }
    accepted(&json!({"org": "1", "sub": "7", "aud": "anything"}));
}

#[test]
fn a_dotted_name_steps_into_objects() {
    let mut config = config();
    config.claims.organization = "app.org.id".to_owned();
    config.claims.role = "https://a.example/role".to_owned();
    let verifier = verifier_of(&config);
    let claims = json!({
        "app": {"org": {"id": 3}}, "sub": "7", "https://a.example/role": "agent",
    });
    let caller = verifier.verify_at(&sign(&claims), NOW).unwrap();
    assert_eq!(&*caller.identity.organization.0, "3");
    assert_eq!(&*caller.identity.role.0, "agent");
    let flat = json!({"app": "3", "sub": "7"});
    let error = verifier.verify_at(&sign(&flat), NOW).unwrap_err();
    assert_eq!(error.kind(), Kind::ClaimMissing);
}

#[test]
fn organizations_are_written_as_the_database_writes_them() {
    let of = |form, org: Value| {
        let verifier = Verifier::new(&config(), Role::from("app_user"), form).unwrap();
        let caller = verifier.verify_at(&sign(&json!({"org": org, "sub": "7"})), NOW);
        caller.map(|caller| caller.identity.organization.to_string())
    };
    use OrganizationForm::{Integer, Text, Uuid};
    assert_eq!(of(Text, json!("01")).unwrap(), "01");
    assert_eq!(of(Integer, json!("01")).unwrap(), "1");
    assert_eq!(of(Integer, json!(1)).unwrap(), "1");
    let uuid = "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11";
    assert_eq!(of(Uuid, json!(uuid)).unwrap(), uuid.to_lowercase());
    for (form, org) in [
        (Integer, "one"),
        (Integer, "1 or 1=1"),
        (Uuid, "1"),
        (Integer, ""),
    ] {
        assert_eq!(of(form, json!(org)).unwrap_err().kind(), Kind::ClaimMissing);
    }
}

#[test]
fn tokens_of_one_identity_differ_in_times_and_ids_only() {
    let key = |claims: Value| accepted(&claims).identity.key;
    let first = key(json!({"org": "1", "sub": "7", "exp": NOW + 1, "iat": NOW, "jti": "a"}));
    let renewed = key(json!({"jti": "b", "nbf": NOW, "exp": NOW + 9, "sub": "7", "org": "1"}));
    assert_eq!(first, renewed);
    for other in [
        json!({"org": "1", "sub": "8"}),
        json!({"org": "2", "sub": "7"}),
        json!({"org": "1", "sub": "7", "role": "admin"}),
        json!({"org": "1", "sub": "7", "teams": [1]}),
        json!({"org": "1", "sub": "7", "aud": "here"}),
        json!({"org": "1", "sub": "7", "nested": {"exp": 1}}),
    ] {
        assert_ne!(first, key(other.clone()), "{other}");
    }
    let nested = |text: &str| key(serde_json::from_str(text).unwrap());
    assert_eq!(
        nested(r#"{"org":"1","sub":"7","a":{"x":1,"y":[{"p":1,"q":2}]}}"#),
        nested(r#"{"a":{"y":[{"q":2,"p":1}],"x":1},"sub":"7","org":"1"}"#),
    );
}

#[test]
fn without_a_token_there_is_only_the_anonymous_role() {
    let verifier = verifier_of(&config());
    assert_eq!(
        verifier.caller(None).unwrap_err().kind(),
        Kind::TokenMissing
    );

    let mut config = config();
    config.database.anonymous_role = Some("app_anonymous".to_owned());
    let caller = verifier_of(&config).caller(None).unwrap();
    assert_eq!(&*caller.identity.role.0, "app_anonymous");
    assert!(caller.identity.organization.is_none());
    assert_eq!(&*caller.identity.claims, r#"{"role":"app_anonymous"}"#);
    let bad = verifier_of(&config).caller(Some("")).unwrap_err();
    assert_eq!(
        bad.kind(),
        Kind::TokenInvalid,
        "a bad token is not anonymous"
    );

    config.tenancy.tenancy = TenancyMode::Single;
    let caller = verifier_of(&config).caller(None).unwrap();
    assert_eq!(caller.identity.organization, OrganizationId::single());
}

#[test]
fn one_organization_needs_no_claim_of_it() {
    let mut config = config();
    config.tenancy.tenancy = TenancyMode::Single;
    let verifier = verifier_of(&config);
    for claims in [json!({"sub": "7"}), json!({"sub": "7", "org": [1]})] {
        let caller = verifier.verify_at(&sign(&claims), NOW).unwrap();
        assert_eq!(caller.identity.organization, OrganizationId::single());
    }
}

#[test]
fn nothing_secret_is_printed() {
    let caller = accepted(&json!({"org": "1", "sub": "7", "email": "ada@example.com"}));
    let printed = format!("{caller:?} {:?}", verifier_of(&config()));
    assert!(
        !printed.contains("ada@") && !printed.contains(SECRET),
        "{printed}"
    );
}

proptest::proptest! {
    #[test]
    fn garbage_is_refused_without_a_panic(token in "\\PC{0,80}") {
        assert_eq!(verify(&token).unwrap_err().kind(), Kind::TokenInvalid);
    }

    #[test]
    fn garbage_in_three_parts_is_refused_without_a_panic(
        header in "(\\{\"alg\":\"(HS256|none|ES256)\"(,\"crit\":\\[\\])?\\}|\\PC{0,20})",
        payload in "\\PC{0,40}",
        signature in "[A-Za-z0-9_-]{0,60}",
    ) {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let token = format!("{}.{}.{signature}", part(&header), part(&payload));
        assert_eq!(verify(&token).unwrap_err().kind(), Kind::TokenInvalid);
    }

    #[test]
    fn signed_claims_of_any_shape_never_panic(
        org in "\\PC{0,8}", number in proptest::num::f64::ANY, integer in proptest::num::i64::ANY,
    ) {
        for claims in [
            json!({"org": org.clone(), "sub": number, "exp": integer}),
            json!({"org": integer, "sub": org, "exp": number, "nbf": number}),
        ] {
            let _ = verify(&sign(&claims));
        }
    }
}
