//! What an operator chooses: flags over the environment over a file, over what is built in.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use clap::Args;
use engine::EventStore;
use server::{Config, DeliveryOptions, LogFormat, MasterKeySource, ProvidersConfig, TlsFiles};
use toml::{Table, Value};

/// Where settings are read from if nobody says.
const FILE: &str = "muster.toml";
const FILE_VARIABLE: &str = "MUSTER_CONFIG";
/// Names in a file that nobody needs are nearer to a known one than this, or to none.
const NEAR: f64 = 0.7;

/// Where everything is, and where it is said.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Place {
    /// The data directory; `data` unless given.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// The file with the settings; `muster.toml` unless given, if it is there.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The file with the master key, as hexadecimal digits; one in the data directory unless given.
    #[arg(long, value_name = "FILE")]
    master_key_file: Option<String>,
}

/// How to serve. Each can be said in the environment and in the file as well.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    place: Place,
    /// Address and port to listen on; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// A key with full access, good as long as it is given. Without it one is made at the first start.
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
    /// Levels of a tenant's ancestry that are loaded, the tenant's own included: 1 to 32.
    #[arg(long, value_name = "N")]
    tenant_levels: Option<String>,
    /// Requests that each credential may make in a second; any number unless given.
    #[arg(long, value_name = "N")]
    rate_per_second: Option<String>,
    /// Requests that a credential may make at once after a pause; ten seconds' worth unless given.
    #[arg(long, value_name = "N")]
    rate_burst: Option<String>,
    /// Requests that are answered at the same time; more are told that the server is busy.
    #[arg(long, value_name = "N")]
    requests_max: Option<String>,
    /// From which pages browsers may ask, as origins separated by commas, or `*` for all.
    #[arg(long, value_name = "ORIGINS")]
    cors_origins: Option<String>,
    /// The certificate with its chain, as PEM: connections are encrypted then.
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<String>,
    /// The key of the certificate, as PEM.
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// After how many events a snapshot is taken, from which the next start goes on; 0 for none.
    #[arg(long, value_name = "EVENTS")]
    snapshot_events: Option<String>,
    /// How many past states are kept for whoever asks for them again; each takes as much memory as the
    /// present.
    #[arg(long, value_name = "STATES")]
    past_states_max: Option<String>,
    /// The key that signs checkpoints of the log; `log-key` in the data directory unless given.
    #[arg(long, value_name = "FILE")]
    log_key: Option<String>,
    /// What the log is called in its checkpoints, such as `example.com/muster`; made up at the first
    /// start unless given.
    #[arg(long, value_name = "NAME")]
    log_origin: Option<String>,
    /// Files on other disks that get every checkpoint and are compared at a start, separated by commas.
    #[arg(long, value_name = "FILES")]
    log_anchors: Option<String>,
    /// Whether webhooks may be on this machine or in a private network: `allow` or `refuse`.
    #[arg(long, value_name = "RULE")]
    webhook_private_targets: Option<String>,
    /// How long a webhook's target has for an answer, in milliseconds.
    #[arg(long, value_name = "N")]
    webhook_timeout_ms: Option<String>,
    /// The pause after a first failed attempt to tell a webhook, in milliseconds; it doubles, up to an hour.
    #[arg(long, value_name = "N")]
    webhook_retry_ms: Option<String>,
    /// After so many attempts a delivery to a webhook is given up.
    #[arg(long, value_name = "N")]
    webhook_attempts_max: Option<String>,
    /// The file with the providers of messages and what they need, as TOML; without it messages are only
    /// noted in the traces.
    #[arg(long, value_name = "FILE")]
    providers_file: Option<String>,
    /// Under which address people reach this server, for the links in messages; that on which it listens
    /// unless given.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// How traces are written: `text` or `json`.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

/// One thing that can be chosen.
struct Known {
    name: &'static str,
    /// What is so unless it is chosen.
    by_default: &'static str,
    secret: bool,
}

const fn known(name: &'static str, by_default: &'static str) -> Known {
    Known {
        name,
        by_default,
        secret: false,
    }
}

/// Everything that can be chosen, in the order in which it is shown. A flag has dashes in its name, a
/// variable is `MUSTER_` and the name in capitals.
const KNOWN: [Known; 24] = [
    known("data_dir", "data"),
    known("master_key_file", ""),
    Known {
        name: "master_key",
        by_default: "",
        secret: true,
    },
    known("listen", "127.0.0.1:8080"),
    Known {
        name: "api_key",
        by_default: "",
        secret: true,
    },
    known("tenant_levels", "4"),
    known("rate_per_second", ""),
    known("rate_burst", ""),
    known("requests_max", "4096"),
    known("cors_origins", ""),
    known("tls_certificate", ""),
    known("tls_key", ""),
    known("snapshot_events", "500000"),
    known("past_states_max", "2"),
    known("log_key", ""),
    known("log_origin", ""),
    known("log_anchors", ""),
    known("webhook_private_targets", "refuse"),
    known("webhook_timeout_ms", "10000"),
    known("webhook_retry_ms", "1000"),
    known("webhook_attempts_max", "16"),
    known("providers_file", ""),
    known("public_url", ""),
    known("log_format", "text"),
];

/// Those that are arrays of strings in a file, and separated by commas elsewhere.
const LISTS: [&str; 2] = ["cors_origins", "log_anchors"];

/// Who chose.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Flag,
    Environment,
    File(PathBuf),
    Default,
}

/// What was chosen, by name, and by whom.
#[derive(Debug)]
pub(crate) struct Settings(BTreeMap<&'static str, (String, Source)>);

impl Place {
    fn settings(&self) -> anyhow::Result<Settings> {
        let flags = Flags {
            place: self.clone(),
            ..Flags::default()
        };
        flags.settings()
    }

    /// The data directory.
    pub(crate) fn data_dir(&self) -> anyhow::Result<PathBuf> {
        Ok(self.settings()?.get("data_dir").into())
    }

    pub(crate) fn master_key(&self) -> anyhow::Result<MasterKeySource> {
        self.settings()?.master_key()
    }

    /// The event log that is there, with its keys.
    pub(crate) fn store(&self) -> anyhow::Result<EventStore> {
        server::open_store(&self.existing()?, &self.master_key()?)
    }

    /// Whether the command line names a data directory.
    pub(crate) fn is_given(&self) -> bool {
        self.data_dir.is_some()
    }

    /// Everything that is chosen, of a data directory that must hold a log already.
    pub(crate) fn existing_config(&self) -> anyhow::Result<Config> {
        let flags = Flags {
            place: self.clone(),
            ..Flags::default()
        };
        self.existing()?;
        flags.settings()?.config()
    }

    /// The data directory, which must hold a log already: only `serve` and `import` make one.
    pub(crate) fn existing(&self) -> anyhow::Result<PathBuf> {
        let path = self.data_dir()?;
        ensure!(
            path.join("log").exists() || path.join("head").exists(),
            "{} holds no event log",
            path.display(),
        );
        Ok(path)
    }
}

impl Flags {
    /// Reads the environment and the file.
    pub(crate) fn settings(&self) -> anyhow::Result<Settings> {
        let variable = |name: &str| env::var(variable_of(name)).ok();
        Settings::of(self, &variable, env::var_os(FILE_VARIABLE).map(Into::into))
    }

    fn given(&self, name: &str) -> Option<&String> {
        match name {
            "data_dir" => self.place.data_dir.as_ref(),
            "master_key_file" => self.place.master_key_file.as_ref(),
            // A flag would show it to everybody on the machine.
            "master_key" => None,
            "listen" => self.listen.as_ref(),
            "api_key" => self.api_key.as_ref(),
            "tenant_levels" => self.tenant_levels.as_ref(),
            "rate_per_second" => self.rate_per_second.as_ref(),
            "rate_burst" => self.rate_burst.as_ref(),
            "requests_max" => self.requests_max.as_ref(),
            "cors_origins" => self.cors_origins.as_ref(),
            "tls_certificate" => self.tls_certificate.as_ref(),
            "tls_key" => self.tls_key.as_ref(),
            "snapshot_events" => self.snapshot_events.as_ref(),
            "past_states_max" => self.past_states_max.as_ref(),
            "log_key" => self.log_key.as_ref(),
            "log_origin" => self.log_origin.as_ref(),
            "log_anchors" => self.log_anchors.as_ref(),
            "webhook_private_targets" => self.webhook_private_targets.as_ref(),
            "webhook_timeout_ms" => self.webhook_timeout_ms.as_ref(),
            "webhook_retry_ms" => self.webhook_retry_ms.as_ref(),
            "webhook_attempts_max" => self.webhook_attempts_max.as_ref(),
            "providers_file" => self.providers_file.as_ref(),
            "public_url" => self.public_url.as_ref(),
            _ => self.log_format.as_ref(),
        }
    }
}

fn variable_of(name: &str) -> String {
    format!("MUSTER_{}", name.to_ascii_uppercase())
}

impl Settings {
    fn of(
        flags: &Flags,
        variable: &dyn Fn(&str) -> Option<String>,
        file_of_environment: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let named = flags.place.config.clone().or(file_of_environment);
        let path = named.clone().unwrap_or_else(|| FILE.into());
        let file = if named.is_some() || path.exists() {
            read(&path)?
        } else {
            BTreeMap::new()
        };
        let chosen = KNOWN.iter().map(|known| {
            let name = known.name;
            // An empty variable is as if it were not there.
            let in_environment = || variable(name).filter(|it| !it.is_empty());
            let chosen = if let Some(value) = flags.given(name) {
                (value.clone(), Source::Flag)
            } else if let Some(value) = in_environment() {
                (value, Source::Environment)
            } else if let Some(value) = file.get(name) {
                (value.clone(), Source::File(path.clone()))
            } else {
                (known.by_default.to_owned(), Source::Default)
            };
            (name, chosen)
        });
        Ok(Self(chosen.collect()))
    }

    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |(value, _)| value)
    }

    fn given(&self, name: &str) -> Option<&str> {
        Some(self.get(name)).filter(|value| !value.is_empty())
    }

    fn parsed<T: FromStr>(&self, name: &str, expected: &str) -> anyhow::Result<T> {
        let parsed = self.get(name).parse();
        parsed.map_err(|_| self.wrong(name, expected))
    }

    fn parsed_if_given<T: FromStr>(&self, name: &str, expected: &str) -> anyhow::Result<Option<T>> {
        let given = self.given(name).is_some();
        given.then(|| self.parsed(name, expected)).transpose()
    }

    fn wrong(&self, name: &str, expected: &str) -> anyhow::Error {
        let (value, source) = &self.0[name];
        anyhow!("{name} must be {expected}, and `{value}` is not ({source})")
    }

    /// What the server is started with.
    pub(crate) fn config(&self) -> anyhow::Result<Config> {
        let number = "a whole number above 0";
        let levels: usize = self.parsed("tenant_levels", "a number from 1 to 32")?;
        if !(1..=32).contains(&levels) {
            return Err(self.wrong("tenant_levels", "a number from 1 to 32"));
        }
        let requests: NonZeroU32 = self.parsed("requests_max", number)?;
        let tls = match (self.given("tls_certificate"), self.given("tls_key")) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(TlsFiles {
                certificate: certificate.into(),
                key: key.into(),
            }),
            (Some(_), None) => bail!("tls_certificate needs tls_key"),
            (None, Some(_)) => bail!("tls_key needs tls_certificate"),
        };
        let rate_per_second = self.parsed_if_given("rate_per_second", number)?;
        let rate_burst = self.parsed_if_given("rate_burst", number)?;
        ensure!(
            rate_burst.is_none() || rate_per_second.is_some(),
            "rate_burst needs rate_per_second"
        );
        let origins = self.get("cors_origins").split(',').map(str::trim);
        let origins = origins.filter(|it| !it.is_empty()).map(str::to_owned);
        let origin = self.given("log_origin");
        let wrong = |it: char| it.is_whitespace() || it.is_control() || it == '+';
        if origin.is_some_and(|origin| origin.len() > 256 || origin.contains(wrong)) {
            let expected = "a name of at most 256 bytes without spaces and pluses";
            return Err(self.wrong("log_origin", expected));
        }
        let anchors = self.get("log_anchors").split(',').map(str::trim);
        let anchors = anchors.filter(|it| !it.is_empty());
        Ok(Config {
            data_dir: self.get("data_dir").into(),
            master_key: self.master_key()?,
            listen: self.parsed::<SocketAddr>("listen", "an address with a port")?,
            api_key: self.given("api_key").map(str::to_owned),
            tenant_levels: levels,
            rate_per_second,
            rate_burst,
            requests_max: requests.get() as usize,
            cors_origins: origins.collect(),
            tls,
            snapshot_events: NonZeroU64::new(self.parsed("snapshot_events", "a whole number")?),
            past_states_max: self.past_states_max()?,
            log_key: self.given("log_key").map(Into::into),
            log_origin: origin.map(str::to_owned),
            log_anchors: anchors.map(Into::into).collect(),
            webhooks: self.webhooks()?,
            providers: self.providers()?,
            public_url: self.public_url()?,
        })
    }

    fn webhooks(&self) -> anyhow::Result<DeliveryOptions> {
        let number = "a whole number above 0";
        let milliseconds = |name| {
            let given: NonZeroU32 = self.parsed(name, number)?;
            anyhow::Ok(Duration::from_millis(given.get().into()))
        };
        let private_targets = match self.get("webhook_private_targets") {
            "allow" => true,
            "refuse" => false,
            _ => return Err(self.wrong("webhook_private_targets", "`allow` or `refuse`")),
        };
        let attempts: NonZeroU32 = self.parsed("webhook_attempts_max", number)?;
        Ok(DeliveryOptions {
            private_targets,
            time_max: milliseconds("webhook_timeout_ms")?,
            first_pause: milliseconds("webhook_retry_ms")?,
            attempts_max: attempts.get(),
        })
    }

    /// Who carries messages.
    fn providers(&self) -> anyhow::Result<ProvidersConfig> {
        let Some(path) = self.given("providers_file") else {
            return Ok(ProvidersConfig::default());
        };
        let text = fs::read_to_string(path);
        let text = text.with_context(|| format!("{path} cannot be read"))?;
        // What is wrong is told without the line, which can hold a secret.
        let read: Result<ProvidersConfig, toml::de::Error> = toml::from_str(&text);
        let providers = read.map_err(|error| {
            let place = error.span().map_or(0, |span| span.start);
            let line = text.bytes().take(place).filter(|it| *it == b'\n').count() + 1;
            anyhow!("{path}, line {line}: {}", error.message())
        })?;
        let checked = providers.check();
        checked.with_context(|| format!("{path} is not as it should be"))?;
        Ok(providers)
    }

    fn public_url(&self) -> anyhow::Result<Option<String>> {
        let Some(url) = self.given("public_url") else {
            return Ok(None);
        };
        let is_url = ["http://", "https://"].iter().any(|it| url.starts_with(it));
        if !is_url || url.contains(|it: char| it.is_whitespace() || "?#\"<>".contains(it)) {
            return Err(self.wrong("public_url", "a URL that begins with http:// or https://"));
        }
        Ok(Some(url.to_owned()))
    }

    fn master_key(&self) -> anyhow::Result<MasterKeySource> {
        match (self.given("master_key"), self.given("master_key_file")) {
            (None, None) => Ok(MasterKeySource::Beside),
            (Some(digits), None) => Ok(MasterKeySource::Given(digits.to_owned())),
            (None, Some(path)) => Ok(MasterKeySource::File(path.into())),
            (Some(_), Some(_)) => bail!("master_key and master_key_file are both given"),
        }
    }

    fn past_states_max(&self) -> anyhow::Result<usize> {
        let expected = "a number from 1 to 16";
        let states = self.parsed("past_states_max", expected)?;
        if (1..=16).contains(&states) {
            Ok(states)
        } else {
            Err(self.wrong("past_states_max", expected))
        }
    }

    pub(crate) fn log_format(&self) -> anyhow::Result<LogFormat> {
        match self.get("log_format") {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(self.wrong("log_format", "`text` or `json`")),
        }
    }

    /// Name, value and source of everything, secrets hidden.
    pub(crate) fn shown(&self) -> impl Iterator<Item = (&'static str, &str, String)> {
        KNOWN.iter().map(|known| {
            let (value, source) = &self.0[known.name];
            let hidden = known.secret && !value.is_empty();
            let value = if hidden { "(hidden)" } else { value };
            (known.name, value, source.to_string())
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Environment => f.write_str("environment"),
            Self::File(path) => path.display().fmt(f),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The settings of a file, as text.
fn read(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(path);
    let text = text.with_context(|| format!("{} cannot be read", path.display()))?;
    parse(&text).with_context(|| format!("{} is not as it should be", path.display()))
}

fn parse(text: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        // The line itself can hold a secret.
        let place = error.span().map_or(0, |span| span.start);
        let line = text.bytes().take(place).filter(|it| *it == b'\n').count() + 1;
        anyhow!("line {line}: {}", error.message())
    })?;
    let mut settings = BTreeMap::new();
    for (name, value) in table {
        if !KNOWN.iter().any(|known| known.name == name) {
            let likeness = |known: &Known| strsim::jaro_winkler(known.name, &name);
            let nearest = KNOWN.iter().map(|it| (likeness(it), it.name));
            let nearest = nearest.max_by(|a, b| a.0.total_cmp(&b.0));
            match nearest.filter(|(likeness, _)| *likeness > NEAR) {
                Some((_, nearest)) => bail!("there is no setting `{name}`; is `{nearest}` meant?"),
                None => bail!("there is no setting `{name}`"),
            }
        }
        let text = match value {
            Value::String(text) => text,
            Value::Integer(number) => number.to_string(),
            Value::Array(items) if LISTS.contains(&&*name) => {
                let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
                let texts = texts.with_context(|| format!("`{name}` is an array of strings"))?;
                texts.join(",")
            }
            Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Array(_)
            | Value::Table(_) => bail!("`{name}` is a string or a whole number"),
        };
        settings.insert(name, text);
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(
        flags: &Flags,
        environment: &[(&str, &str)],
        file: &str,
    ) -> anyhow::Result<Settings> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("muster.toml");
        fs::write(&path, file)?;
        let variable = |name: &str| {
            let found = environment.iter().find(|(it, _)| *it == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Settings::of(flags, &variable, Some(path))
    }

    #[test]
    fn flags_come_before_the_environment_and_that_before_the_file() {
        let flags = Flags {
            listen: Some("127.0.0.1:1".to_owned()),
            ..Flags::default()
        };
        let environment = [("listen", "127.0.0.1:2"), ("tenant_levels", "2")];
        let file = "listen = \"127.0.0.1:3\"\ntenant_levels = 3\nrequests_max = 7\n\
                    cors_origins = [\"https://a.example\", \"https://b.example\"]\n\
                    log_anchors = [\"/mnt/a\", \"/mnt/b\"]\n";
        let settings = settings(&flags, &environment, file).expect("settings");
        let config = settings.config().expect("a configuration");
        assert_eq!(config.listen.port(), 1);
        assert_eq!(config.tenant_levels, 2);
        assert_eq!(config.requests_max, 7);
        assert_eq!(
            config.cors_origins,
            ["https://a.example", "https://b.example"]
        );
        assert_eq!(
            config.log_anchors,
            [Path::new("/mnt/a"), Path::new("/mnt/b")]
        );
        assert_eq!(config.data_dir, Path::new("data"));
        let sources: Vec<String> = settings.shown().map(|it| it.2).take(6).collect();
        assert_eq!(sources[0], "default");
        assert_eq!(sources[3], "flag");
        assert_eq!(sources[5], "environment");
    }

    #[test]
    fn what_is_unknown_or_wrong_is_said() {
        for (file, said) in [
            ("lisen = \"x\"", "is `listen` meant?"),
            ("tenant_level = 3", "is `tenant_levels` meant?"),
            ("zzzz = 1", "there is no setting `zzzz`"),
            ("listen = true", "a string or a whole number"),
            ("listen", "expected"),
            ("cors_origins = [1]", "an array of strings"),
        ] {
            let wrong = settings(&Flags::default(), &[], file).expect_err(file);
            assert!(format!("{wrong:#}").contains(said), "{wrong:#}");
        }
        for (file, said) in [
            ("listen = \"here\"", "an address with a port"),
            ("tenant_levels = 33", "from 1 to 32"),
            ("rate_per_second = 0", "above 0"),
            ("rate_burst = 5", "needs rate_per_second"),
            ("tls_key = \"k.pem\"", "needs tls_certificate"),
            ("requests_max = 0", "above 0"),
            ("master_key = \"0a\"\nmaster_key_file = \"k\"", "both given"),
            ("log_origin = \"my log\"", "without spaces"),
            ("webhook_private_targets = \"yes\"", "`allow` or `refuse`"),
            ("webhook_retry_ms = 0", "above 0"),
        ] {
            let settings = settings(&Flags::default(), &[], file).expect("settings");
            let wrong = settings.config().expect_err(file);
            assert!(format!("{wrong:#}").contains(said), "{wrong:#}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let settings = settings(&Flags::default(), &[("api_key", "very secret")], "");
        let shown: Vec<String> = settings
            .expect("settings")
            .shown()
            .map(|(_, value, _)| value.to_owned())
            .collect();
        assert!(shown.contains(&"(hidden)".to_owned()));
        assert!(!shown.iter().any(|it| it.contains("very secret")));
    }
}
