//! Passwords and the like, from where an owner keeps them: a file of their own, or the
//! environment. What is wrong is told without what is in it.

use crate::config::{CredentialsSource, LiveDriver};
use anyhow::Context;
use headgate_drivers::family::DriverOptions;
use headgate_drivers::secret::Credentials;
use serde::de::DeserializeOwned;

/// Reads texts by their keys; `keys` names those that have to be there.
///
/// # Errors
/// Says what is missing, and never what is there.
pub fn read<T: DeserializeOwned>(source: &CredentialsSource, keys: &[&str]) -> anyhow::Result<T> {
    match source {
        CredentialsSource::File(path) => {
            let shown = path.display();
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("failed to read the credentials `{shown}`"))?;
            let mode =
                std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path)?.permissions());
            if mode & 0o077 != 0 {
                tracing::warn!("others may read `{shown}`: chmod 600 it");
            }
            // The parser's own message shows the line, and the line may be the password.
            let read: Result<T, toml::de::Error> = toml::from_str(&text);
            read.map_err(|_| {
                let keys = listed(keys);
                anyhow::anyhow!(
                    "`{shown}` holds no credentials: write {keys}, each as key = \"text\""
                )
            })
        }
        CredentialsSource::Env(prefix) => {
            let mut table = toml::Table::new();
            for key in ["username", "password", "subscription_key"] {
                let name = format!("{prefix}_{}", key.to_ascii_uppercase());
                let value = std::env::var(&name).ok().filter(|value| !value.is_empty());
                match value {
                    Some(value) => drop(table.insert(key.into(), value.into())),
                    None if keys.contains(&key) => {
                        anyhow::bail!("the credentials lack the variable {name}: set it")
                    }
                    None => {}
                }
            }
            let read: Result<T, toml::de::Error> = table.try_into();
            read.map_err(|_| anyhow::anyhow!("the variables {prefix}_* are of another kind"))
        }
    }
}

fn listed(keys: &[&str]) -> String {
    match keys {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

/// What a driver needs beside its spec, with its password read. A firmware that knows one name
/// needs the password alone.
///
/// # Errors
/// As [`read`].
pub fn driver(live: &LiveDriver) -> anyhow::Result<DriverOptions> {
    #[derive(serde::Deserialize)]
    struct Kept {
        #[serde(default)]
        username: String,
        password: String,
    }
    let credentials = match &live.credentials {
        None => None,
        Some(source) => {
            let kept: Kept = read(source, &["password"])?;
            Some(Credentials::new(&kept.username, &kept.password))
        }
    };
    Ok(DriverOptions { credentials, aux_port: live.aux_port })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn of(text: &str) -> (PathBuf, anyhow::Result<DriverOptions>) {
        let name = format!("headgate-kept-{}-{}", std::process::id(), text.len());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        let credentials = Some(CredentialsSource::File(path.clone()));
        let read = driver(&LiveDriver { aux_port: None, credentials });
        std::fs::remove_file(&path).unwrap();
        (path, read)
    }

    #[test]
    fn a_password_is_read_and_shown_nowhere() {
        let (_, read) = of("username = \"root\"\npassword = \"hunter1\"\n");
        let read = read.unwrap();
        assert_eq!(read.credentials.as_ref().unwrap().password.reveal(), "hunter1");
        assert!(!format!("{read:?}").contains("hunter1"), "{read:?}");
        let (_, read) = of("password = \"hunter1\"");
        assert_eq!(read.unwrap().credentials.unwrap().username.reveal(), "");
        let (path, read) = of("pasword = \"hunter1\"");
        let told = format!("{:#}", read.unwrap_err());
        let path = path.display();
        assert_eq!(
            told,
            format!("`{path}` holds no credentials: write password, each as key = \"text\"")
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let source = CredentialsSource::Env("HEADGATE_NOBODY_SETS".into());
        let live = LiveDriver { aux_port: Some(4028), credentials: Some(source) };
        assert_eq!(
            driver(&live).unwrap_err().to_string(),
            "the credentials lack the variable HEADGATE_NOBODY_SETS_PASSWORD: set it"
        );
        let none = driver(&LiveDriver { aux_port: Some(4028), credentials: None }).unwrap();
        assert_eq!((none.credentials, none.aux_port), (None, Some(4028)));
    }
}
