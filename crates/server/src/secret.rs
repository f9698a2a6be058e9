use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use auth::SigningSecret;
use types::hex;

/// The secret with which tokens of people are signed, as hexadecimal digits in a file of its own. It is no
/// part of the log: whoever has a copy of the log cannot make tokens.
pub(crate) fn signing_secret(data: &Path) -> anyhow::Result<SigningSecret> {
    secret(data, TOKENS)
}

/// The secret from which those of webhooks are made. Another than that of tokens, so that all tokens can be
/// ended without every target having to learn a new secret.
pub(crate) fn webhook_secret(data: &Path) -> anyhow::Result<SigningSecret> {
    secret(data, WEBHOOK_SECRET)
}

/// The secret with which the links in messages are signed: they outlast every token.
pub(crate) fn link_secret(data: &Path) -> anyhow::Result<SigningSecret> {
    secret(data, LINK_SECRET)
}

const TOKENS: &str = "token-secret";
pub(crate) const WEBHOOK_SECRET: &str = "webhook-secret";
pub(crate) const LINK_SECRET: &str = "link-secret";

fn secret(data: &Path, name: &str) -> anyhow::Result<SigningSecret> {
    let path = data.join(name);
    match fs::read_to_string(&path) {
        Ok(text) => {
            return read(&text).with_context(|| format!("{} cannot be used", path.display()));
        }
        // Where it is there and cannot be read, another one would end all tokens.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("{} cannot be read", path.display()));
        }
    }
    let secret = SigningSecret::generate();
    write(data, name, &secret).with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(secret)
}

/// Makes a new secret: no token that was issued so far is good any more.
pub fn rotate_signing_secret(data: &Path) -> anyhow::Result<()> {
    write(data, TOKENS, &SigningSecret::generate())
}

fn read(text: &str) -> anyhow::Result<SigningSecret> {
    let digits = text.trim_end();
    let mut bytes = [0; SigningSecret::BYTES];
    if digits.len() != 2 * bytes.len() || !digits.bytes().all(|it| it.is_ascii_hexdigit()) {
        bail!("it does not hold {} hexadecimal digits", 2 * bytes.len());
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * place..2 * place + 2], 16)?;
    }
    Ok(SigningSecret::new(bytes))
}

/// Whole or not at all, and readable by nobody else.
fn write(data: &Path, name: &str, secret: &SigningSecret) -> anyhow::Result<()> {
    let digits = hex(secret.reveal());
    let new = data.join(format!("{name}.new"));
    if new.exists() {
        fs::remove_file(&new)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    writeln!(file, "{digits}")?;
    file.sync_all()?;
    fs::rename(&new, data.join(name))?;
    File::open(data)?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_read_again() {
        let data = tempfile::tempdir().expect("a directory");
        let first = signing_secret(data.path()).expect("a secret");
        let again = signing_secret(data.path()).expect("a secret");
        assert_eq!(first.reveal(), again.reveal());
        let mode = fs::metadata(data.path().join(TOKENS))
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        rotate_signing_secret(data.path()).expect("another secret");
        let other = signing_secret(data.path()).expect("a secret");
        assert_ne!(first.reveal(), other.reveal());
        let webhooks = webhook_secret(data.path()).expect("a third");
        rotate_signing_secret(data.path()).expect("another secret");
        let again = webhook_secret(data.path()).expect("a secret");
        assert_eq!(webhooks.reveal(), again.reveal(), "it is one of its own");
        for wrong in ["", "00", "zz"] {
            fs::write(data.path().join(TOKENS), wrong).expect("a file");
            assert!(signing_secret(data.path()).is_err(), "{wrong}");
        }
    }
}
