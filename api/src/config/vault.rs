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
        (Some(text), None) => (
            text.to_owned(),
            "--secret-key (STINT_SECRET_KEY)".to_owned(),
        ),
        (None, Some(path)) => {
            let name = format!("the key file {}", path.display());
            let text =
                std::fs::read_to_string(path).with_context(|| format!("{name} can't be read"))?;
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use domain::secret::Secret;

    use super::*;

    /// A folder that lives as long as its guard.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("stint-vault-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).expect("a folder");
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn refused(text: &str) -> String {
        let refused = given(Some(text), None).expect_err("it is refused");
        format!("{refused:#}")
    }

    #[test]
    fn a_key_that_is_none_is_refused_and_not_quoted() {
        for text in [
            "",
            " , ",
            "canary",
            "Y2FuYXJ5",
            "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=,canary",
        ] {
            let told = refused(text);
            assert!(
                told.contains("openssl rand -base64 32") && !told.contains("canary"),
                "{told}"
            );
        }
        let file = Path::new("/nowhere/stint.key");
        let told = format!("{:#}", given(None, Some(file)).expect_err("there is none"));
        assert!(
            told.starts_with("the key file /nowhere/stint.key can't be read"),
            "{told}"
        );
        assert!(given(Some("x"), Some(file)).is_err(), "one or the other");
        assert!(given(None, None).expect("nothing").is_none());
    }

    #[test]
    fn an_embedded_database_has_a_key_file_that_only_its_owner_reads() {
        let folder = Folder::new("embedded");
        let url = format!("sqlite://{}", folder.0.join("stint.db").display());
        let sealed = embedded(&url)
            .and_then(|vault| Ok(vault.seal("owner", &Secret::new(*b"s"))?))
            .expect("sealed");
        let again = embedded(&url).expect("the same key");
        assert_eq!(
            again.open("owner", &sealed).expect("it opens"),
            Secret::new(*b"s")
        );
        let file = std::fs::metadata(folder.0.join("stint.db.key")).expect("the key file");
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
        let server = embedded("postgres://localhost/stint").expect("none");
        assert!(server.seal("owner", &Secret::new(*b"s")).is_err());
    }
}
