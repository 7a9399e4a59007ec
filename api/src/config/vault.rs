//! The installation's key for secrets at rest: given by the operator, or kept in a file beside an embedded database.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use domain::secret::Vault;

/// How often, and how far apart, a key file is read that another process is just writing.
const LOOKS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// The vault of the keys that the operator gave: as a text, one or several with commas between them, or as a file of lines. The
/// first one seals, all of them open.
///
/// # Errors
/// One sentence that names the setting and the remedy.
pub fn given(text: Option<&str>, file: Option<&Path>) -> anyhow::Result<Option<Vault>> {
    let (text, name) = match (text, file) {
        (Some(_), Some(_)) => {
            bail!("give --secret-key or --secret-key-file, not both")
        }
        (Some(text), None) => (text.to_owned(), "--secret-key (STINT_SECRET_KEY)".to_owned()),
        (None, Some(path)) => {
            let name = format!("the key file {}", path.display());
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("{name} can't be read"))?;
            (text, name)
        }
        (None, None) => return Ok(None),
    };
    let mut keys = Vec::new();
    for one in text.split([',', '\n']).map(str::trim) {
        if one.is_empty() {
            continue;
        }
        // The text itself is a secret, so it is not quoted.
        let key = Vault::read_key(one).ok_or_else(|| {
            anyhow!("{name}: a key is 32 bytes in base64; `openssl rand -base64 32` makes one")
        })?;
        keys.push(key);
    }
    if keys.is_empty() {
        bail!("{name} holds no key; `openssl rand -base64 32` makes one");
    }
    Ok(Some(Vault::new(&keys)?))
}

/// The vault of an installation whose operator gave no key: an embedded database has a key file of its own, made when it is
/// first missed; any other has none, and refuses to take secrets.
///
/// # Errors
/// The file can't be made or read, or holds no key.
pub fn embedded(database_url: &str) -> anyhow::Result<Vault> {
    let Some(database) = domain::store::embedded_file(database_url) else {
        return Ok(Vault::default());
    };
    let mut name = database.into_os_string();
    name.push(".key");
    let path = PathBuf::from(name);
    make(&path).with_context(|| format!("the key file {} can't be made", path.display()))?;
    for _ in 0..LOOKS {
        let empty = std::fs::read_to_string(&path).is_ok_and(|text| text.is_empty());
        if !empty {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    let vault = given(None, Some(&path))?;
    vault.ok_or_else(|| anyhow!("the key file {} holds no key", path.display()))
}

fn make(path: &Path) -> anyhow::Result<()> {
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match file {
        Ok(mut file) => {
            file.write_all(format!("{}\n", Vault::fresh_key()?).as_bytes())?;
            Ok(file.sync_all()?)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.into()),
    }
}
