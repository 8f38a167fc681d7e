//! `rowcast dev`: a private PostgreSQL with the help desk in it, served, and how to call it.

use super::{
    ConfigFile, Outcome,
    demo::Size,
    flag,
    serve::{self, Stop},
    terminal, token,
};
use aws_lc_rs::rand;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::{Args, ValueEnum};
use rowcast::{
    config::{Config, ResourceConfig, Secret, Tenancy},
    error::{Error, Kind, Result},
    http::Page,
    postgres::{
        helpdesk,
        local::{LocalServer, Options},
    },
};
use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::net::TcpListener;

/// Where the data are kept unless --data-dir says otherwise.
pub(super) const DATA_FOLDER: &str = ".rowcast";

/// Where the page is once it has been built, seen from the project's folder.
const PAGE_FOLDER: &str = "client/demo/dist";

const SECRET_FILE: &str = "jwt_secret";
const MASTER_KEY_FILE: &str = "master_key";
/// The resource whose rows have keys unless the settings say something else of it: what colleagues tell
/// each other about a ticket is encrypted.
const KEYED: &str = "tickets";
const SIZE_FILE: &str = "size";
const DATABASE: &str = "helpdesk";
const TOKEN_DAYS: u64 = 7;

/// Organization and user of the tokens that are printed, with what makes them interesting.
const DEMO_USERS: &[(i64, i64, &str)] = &[
    (1, 1, "member of the private mailbox"),
    (1, 2, "does not see the private mailbox"),
    (2, 101, "another organization"),
    (3, 201, "a third organization"),
];

const HELP: &str = "\
The settings' file and the environment apply, but for the database, tenancy and
claims, which are the help desk's, as are the resources that count; tickets have
keys unless they say otherwise. DATABASE_URL is not looked at.
As root, PostgreSQL runs as an unprivileged user. More tokens:
rowcast token --org 1 --user 3

  rowcast dev
  rowcast dev --listen 127.0.0.1:9000 --data-dir /tmp/desk --size m
  rowcast dev --fresh";

/// Where, how much, and with which PostgreSQL.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Dev {
    /// Address and port to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Where the data are kept between runs
    #[arg(long, value_name = "FOLDER", default_value = DATA_FOLDER)]
    data_dir: PathBuf,
    /// How many rows, when the help desk is loaded [default: s]
    #[arg(long, value_enum)]
    size: Option<Size>,
    /// Delete what is there, and begin anew
    #[arg(long)]
    fresh: bool,
    /// The folder of PostgreSQL's programs [default: looked for in the usual places]
    #[arg(long, value_name = "FOLDER")]
    pg_bin: Option<PathBuf>,
    /// The folder of the built page, which is served at / with tokens for it at /demo.json
    #[arg(long, value_name = "FOLDER", default_value = PAGE_FOLDER)]
    page_dir: PathBuf,
    #[command(flatten)]
    file: ConfigFile,
}

impl Dev {
    pub(super) async fn run(self) -> Result<Outcome> {
        let listen = flag("--listen", "server.listen", self.listen.as_ref());
        let config = self.file.load(listen)?;
        terminal::log(&config.server.log)?;
        let mut stop = Stop::install()?;
        // First what fails fast: nobody wants to wait for the data to learn that the port is taken.
        let listener = serve::bind(&config.server.listen).await?;

        eprintln!("starting PostgreSQL in {}", self.data_dir.display());
        let postgres = tokio::select! {
            postgres = LocalServer::start(self.options()) => postgres?,
            outcome = stop.wait() => return Ok(outcome),
        };
        let outcome = self.serve(config, listener, &postgres, &mut stop).await;
        let stopped = postgres.stop().await;
        // What went wrong first is what has to be told.
        outcome.and_then(|outcome| stopped.map(|()| outcome))
    }

    async fn serve(
        &self,
        config: Config,
        listener: TcpListener,
        postgres: &LocalServer,
        stop: &mut Stop,
    ) -> Result<Outcome> {
        let (config, size) = tokio::select! {
            prepared = self.prepare(postgres, config) => prepared?,
            outcome = stop.wait() => return Ok(outcome),
        };
        let hello = Hello::new(&config, postgres, size, &self.data_dir)?;
        let page = Page::new(self.page_dir.clone(), hello.document());
        let has_page = self.page_dir.join("index.html").exists();
        let ready = |address| terminal::print(&hello.at(address, has_page));
        serve::serve(config, listener, Some(page), stop, ready).await
    }

    fn options(&self) -> Options {
        Options {
            programs: self.pg_bin.clone(),
            fresh: self.fresh,
            ..Options::durable(&self.data_dir)
        }
    }

    /// Loads the help desk where it is not there yet, and makes the settings those of this database.
    async fn prepare(&self, postgres: &LocalServer, config: Config) -> Result<(Config, Size)> {
        let url = Secret::from(postgres.url(DATABASE));
        let size_file = self.data_dir.join(SIZE_FILE);
        postgres.ensure_database(DATABASE).await?;
        let size = match helpdesk::is_loaded(&url).await? {
            true => self.loaded_size(&size_file)?,
            false => {
                let size = self.size.unwrap_or(Size::S);
                let progress = |step: &str| eprintln!("loading the help desk: {step}");
                helpdesk::load_into(&url, size.into(), progress).await?;
                fs::write(&size_file, size_name(size))
                    .map_err(|error| unusable(&size_file, error))?;
                size
            }
        };
        let secret = match &config.auth.jwt_secret {
            Some(given) => given.clone(),
            None => keep_secret(&self.data_dir, SECRET_FILE)?,
        };
        let mut config = Config {
            tenancy: Tenancy::default(),
            database: Default::default(),
            ..config
        };
        config.resources.retain(|name, _| {
            let known = helpdesk::TABLES.contains(&&**name);
            if !known {
                eprintln!("resources.{name} is none of the help desk's, and is passed over");
            }
            known
        });
        let keyed = || ResourceConfig {
            key: true,
            ..ResourceConfig::default()
        };
        let keyed = config
            .resources
            .entry(KEYED.to_owned())
            .or_insert_with(keyed);
        if keyed.key && config.keys.master_keys.is_empty() {
            config.keys.master_keys = vec![keep_secret(&self.data_dir, MASTER_KEY_FILE)?];
        }
        config.auth = Default::default();
        config.claims = Default::default();
        config.auth.jwt_secret = Some(secret);
        config.database.url = Some(url);
        config.database.default_role = Some(helpdesk::ROLE.to_owned());
        Ok((config, size))
    }

    /// The size of the help desk that is there; another one must not be asked for.
    fn loaded_size(&self, file: &Path) -> Result<Size> {
        let name = fs::read_to_string(file).unwrap_or_default();
        let size = Size::from_str(name.trim(), true).unwrap_or(Size::S);
        match self.size {
            Some(asked) if asked != size => Err(Error::new(
                Kind::CommandFailed,
                format!(
                    "the help desk in {} has size {}, not {}",
                    self.data_dir.display(),
                    size_name(size),
                    size_name(asked)
                ),
            )
            .with_hint("--fresh deletes it and loads another; --data-dir keeps both")),
            _ => Ok(size),
        }
    }
}

/// The secret that `dev` keeps in this folder, if it does.
pub(super) fn kept_secret(folder: &Path) -> Result<Option<Secret>> {
    kept(folder, SECRET_FILE)
}

fn kept(folder: &Path, name: &str) -> Result<Option<Secret>> {
    let file = folder.join(name);
    match fs::read_to_string(&file) {
        Ok(text) => Ok(Some(Secret::from(text.trim()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(&file, error)),
    }
}

/// A secret that is kept, made at the first start. Only the user who runs `dev` may read it.
fn keep_secret(folder: &Path, name: &str) -> Result<Secret> {
    if let Some(secret) = kept(folder, name)? {
        return Ok(secret);
    }
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| Error::internal("the system has no random numbers"))?;
    let secret = URL_SAFE_NO_PAD.encode(bytes);
    let file = folder.join(name);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&file)
        .and_then(|mut opened| opened.write_all(format!("{secret}\n").as_bytes()))
        .map_err(|error| unusable(&file, error))?;
    Ok(Secret::from(secret))
}

fn size_name(size: Size) -> String {
    helpdesk::Size::from(size).to_string()
}

fn unusable(file: &Path, error: std::io::Error) -> Error {
    let detail = format!("{} cannot be used", file.display());
    Error::new(Kind::CommandFailed, detail).with_source(error)
}

/// What is printed once everything is up: ready to paste.
struct Hello {
    about: String,
    url: String,
    tokens: Vec<String>,
    /// Whether tickets have keys.
    keyed: bool,
    data_folder: PathBuf,
}

impl Hello {
    fn new(
        config: &Config,
        postgres: &LocalServer,
        size: Size,
        data_folder: &Path,
    ) -> Result<Self> {
        let secret = config.auth.jwt_secret.as_ref();
        let secret = secret.expect("it was set when the database was prepared");
        let day = Duration::from_secs(86_400);
        let token = |organization: i64, user: i64| {
            let (organization, user) = (Some(organization.to_string()), user.to_string());
            token::signed(
                config,
                secret,
                organization,
                user,
                None,
                day * TOKEN_DAYS as u32,
            )
        };
        let tokens = DEMO_USERS.iter();
        let tokens = tokens.map(|(organization, user, _)| token(*organization, *user));
        Ok(Self {
            about: format!(
                "PostgreSQL {}, help desk of size {}",
                postgres.version(),
                size_name(size)
            ),
            url: postgres.url(DATABASE),
            tokens: tokens.collect::<Result<_>>()?,
            keyed: config.resources.get(KEYED).is_some_and(|it| it.key),
            data_folder: data_folder.to_owned(),
        })
    }

    /// What the page begins with: as whom it may call.
    fn document(&self) -> String {
        let users = DEMO_USERS.iter().zip(&self.tokens);
        let users = users.map(|((organization, user, about), token)| {
            serde_json::json!({
                "organization": organization.to_string(),
                "user": user.to_string(),
                "about": about,
                "token": token,
                "secret": self.keyed,
            })
        });
        serde_json::json!({ "users": users.collect::<Vec<_>>() }).to_string()
    }

    fn at(&self, address: SocketAddr, has_page: bool) -> String {
        let server = format!("http://{address}");
        let mut text = format!(
            "\nrowcast is up: {}\n\n  address    {server}\n  database   {}\n",
            self.about, self.url
        );
        let _ = match has_page {
            true => writeln!(text, "  page       {server}/"),
            false => writeln!(
                text,
                "  page       not built: npm ci --prefix client && npm run build --prefix client"
            ),
        };
        let _ = writeln!(text, "\nTokens, good for {TOKEN_DAYS} days:");
        for ((organization, user, about), token) in DEMO_USERS.iter().zip(&self.tokens) {
            let _ = write!(
                text,
                "\n  organization {organization}, user {user}: {about}\n  TOKEN={token}\n"
            );
        }
        let _ = write!(
            text,
            "
Try it: read, open a channel, and, in a second terminal, stream rows to it:

  curl -H \"Authorization: Bearer $TOKEN\" '{server}/tickets?limit=3'
  curl -N -H \"Authorization: Bearer $TOKEN\" -H 'Accept: application/x-ndjson' {server}/channels/tab-1
  curl -H \"Authorization: Bearer $TOKEN\" -H 'Request-Id: r1' -H 'Channel-Id: tab-1' '{server}/tickets?limit=25'

Ctrl-c stops it, PostgreSQL included; the data stay in {}.
",
            self.data_folder.display()
        );
        text
    }
}
