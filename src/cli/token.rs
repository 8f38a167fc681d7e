//! `rowcast token`: a token for curl and scripts.

use super::{ConfigFile, Outcome, dev, duration, flag, terminal};
use clap::Args;
use rowcast::{
    config::{Config, Secret, TenancyMode},
    error::{Error, Kind, Result},
    identity::{Mint, mint},
};
use std::{
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const HELP: &str = "\
The secret is taken from --secret, else from ROWCAST_JWT_SECRET or the
settings' file, else from the data folder of `rowcast dev`.

  TOKEN=$(rowcast token --org 1 --user 1)
  curl -H \"Authorization: Bearer $TOKEN\" 'http://127.0.0.1:8080/tickets?limit=3'";

/// What the token is to say.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Token {
    /// The organization; not needed with tenancy = \"single\"
    #[arg(long, value_name = "ID")]
    org: Option<String>,
    /// The user inside the organization
    #[arg(long, value_name = "ID")]
    user: String,
    /// The PostgreSQL role [default: none, so that the server's default applies]
    #[arg(long)]
    role: Option<String>,
    /// How long it is valid: 90s, 30m, 1h, 7d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration::parse)]
    ttl: Duration,
    /// The secret to sign with; other users of this machine can see it while the command runs
    #[arg(long)]
    secret: Option<String>,
    /// The data folder of `rowcast dev`
    #[arg(long, value_name = "FOLDER", default_value = dev::DATA_FOLDER)]
    data_dir: PathBuf,
    #[command(flatten)]
    file: ConfigFile,
}

impl Token {
    pub(super) fn run(self) -> Result<Outcome> {
        let secret = flag("--secret", "auth.jwt_secret", self.secret.as_ref());
        let config = self.file.load(secret)?;
        let secret = self.secret(&config)?;
        for (flag, text) in [
            ("--org", self.org.as_deref()),
            ("--user", Some(&*self.user)),
        ] {
            if text == Some("") {
                let detail = format!("{flag} must not be empty");
                return Err(Error::new(Kind::ConfigurationInvalid, detail));
            }
        }
        if self.org.is_none() && config.tenancy.tenancy == TenancyMode::Column {
            return Err(Error::new(
                Kind::ConfigurationInvalid,
                "--org is missing: who the token is for belongs to an organization",
            ));
        }
        let token = signed(&config, &secret, self.org, self.user, self.role, self.ttl)?;
        terminal::print(&format!("{token}\n"));
        Ok(Outcome::Done)
    }

    fn secret(&self, config: &Config) -> Result<Secret> {
        match &config.auth.jwt_secret {
            Some(secret) => Ok(secret.clone()),
            None => match dev::kept_secret(&self.data_dir)? {
                Some(secret) => Ok(secret),
                None => config.jwt_secret().cloned().map_err(|error| {
                    error.with_hint(format!(
                        "for a server that `rowcast dev` started, give its --data-dir ({} has none)",
                        self.data_dir.display()
                    ))
                }),
            },
        }
    }
}

/// A token that is valid from now on.
pub(super) fn signed(
    config: &Config,
    secret: &Secret,
    organization: Option<String>,
    user: String,
    role: Option<String>,
    ttl: Duration,
) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let issued_at = now.map_or(0, |now| now.as_secs());
    let token = Mint {
        organization,
        user,
        role,
        audience: config.auth.audience.clone(),
        issued_at,
        expires_at: issued_at + ttl.as_secs(),
    };
    mint(secret, &config.claims, &token)
}
