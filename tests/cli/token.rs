//! `rowcast token` prints a token, and nothing else.

use super::{Ended, Program, SECRET};
use rowcast::{
    config::Config,
    error::Kind,
    identity::{Caller, OrganizationForm, Role, Verifier},
};
use std::time::{SystemTime, UNIX_EPOCH};

fn verifier() -> Verifier {
    let mut config = Config::default();
    config.auth.jwt_secret = Some(SECRET.into());
    Verifier::new(&config, Role::from("default"), OrganizationForm::Text).unwrap()
}

#[track_caller]
fn proven(ended: &Ended) -> Caller {
    assert_eq!(ended.code(), Some(0), "{}", ended.err());
    assert_eq!(ended.err(), "");
    let out = ended.out();
    let token = out.strip_suffix('\n').unwrap();
    assert!(!token.contains(char::is_whitespace), "{out:?}");
    verifier().verify(token).unwrap()
}

#[test]
fn the_token_says_who_and_for_how_long() {
    let arguments = ["token", "--org", "3", "--user", "7", "--secret", SECRET];
    let caller = proven(&Program::new(&arguments).run());
    assert_eq!(&*caller.identity.organization.0, "3");
    assert_eq!(&*caller.identity.user.0, "7");
    assert_eq!(&*caller.identity.role.0, "default");

    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    for (ttl, seconds) in [("90s", 90), ("30m", 1_800), ("1h", 3_600), ("7d", 604_800)] {
        let more = ["--role", "agent", "--ttl", ttl];
        let caller = proven(&Program::new(&[&arguments[..], &more].concat()).run());
        assert_eq!(&*caller.identity.role.0, "agent");
        let left = caller.expires_at.unwrap() - now;
        assert!((seconds..seconds + 60).contains(&left), "{ttl}: {left}");
    }
}

#[test]
fn the_secret_comes_from_the_flag_the_environment_the_file_or_dev() {
    let folder = tempfile::tempdir().unwrap();
    let token = || Program::new(&["token", "--org", "1", "--user", "1"]).folder(folder.path());
    token().run().says(2, "ROWCAST_JWT_SECRET");

    let kept = folder.path().join(".rowcast");
    std::fs::create_dir(&kept).unwrap();
    std::fs::write(kept.join("jwt_secret"), format!("{SECRET}\n")).unwrap();
    proven(&token().run());

    let file = folder.path().join("rowcast.toml");
    let other = "another secret of thirty-two byte";
    std::fs::write(&file, format!("[auth]\njwt_secret = \"{other}\"\n")).unwrap();
    let signed = token().run().out();
    let refused = verifier().verify(signed.trim()).unwrap_err();
    assert_eq!(refused.kind(), Kind::TokenInvalid, "the file beats dev");
    proven(&token().variable("ROWCAST_JWT_SECRET", SECRET).run());
}

#[test]
fn claims_are_named_as_the_server_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rowcast.toml");
    std::fs::write(
        &file,
        "[auth]\naudience = \"here\"\n[auth.claims]\norganization = \"app.org\"\n",
    )
    .unwrap();
    let arguments = ["token", "--org", "1", "--user", "1", "--secret", SECRET];
    let signed = Program::new(&arguments).folder(folder.path()).run().out();
    let mut config = Config::default();
    config.auth.jwt_secret = Some(SECRET.into());
    config.auth.audience = Some("here".to_owned());
    config.claims.organization = "app.org".to_owned();
    let verifier = Verifier::new(&config, Role::from("r"), OrganizationForm::Text).unwrap();
    let caller = verifier.verify(signed.trim()).unwrap();
    assert_eq!(&*caller.identity.organization.0, "1");
}

#[test]
fn what_makes_no_token_is_refused_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let token = |more: &[&str]| {
        let run = Program::new(&[&["token"], more].concat())
            .folder(folder.path())
            .run();
        assert_eq!(run.out(), "");
        run
    };
    token(&["--user", "1", "--secret", SECRET]).says(2, "--org is missing");
    token(&["--org", "", "--user", "1", "--secret", SECRET]).says(2, "--org must not be empty");
    let short = token(&["--org", "1", "--user", "1", "--secret", "hunter2"]);
    short.says(2, "at least 32");
    assert!(!short.err().contains("hunter2"));

    std::fs::write(folder.path().join("rowcast.toml"), "tenancy = \"single\"\n").unwrap();
    let single = Program::new(&["token", "--user", "1", "--secret", SECRET]).folder(folder.path());
    assert_eq!(
        single.run().code(),
        Some(0),
        "one organization needs no name"
    );
}
