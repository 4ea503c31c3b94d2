//! The file of the users on disk (`aclfile`), and the users of the configuration file.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rivulet_acl::file;
use rivulet_commands::fail::Fail;
use rivulet_host::fs::{self, File};
use rivulet_resp::inline::quote_if_needed;

use crate::acl::all_channels;
use crate::log;
use crate::node::Node;
use crate::system::os_error;

impl Node {
    /// Reads the file of the users and takes all of them, or none. Sessions are not renewed.
    ///
    /// # Errors
    /// It can't be read, or is not right: a text without a code.
    pub fn load_users(&mut self) -> Result<(), Fail> {
        let name = &self.config.aclfile;
        let text = fs::read(name)
            .map_err(|e| Fail::text(format!("Error loading ACLs, opening file '{name}': {}", os_error(&e))))?;
        self.acl.users = file::parse(&text, name, all_channels(&self.config))?;
        Ok(())
    }

    /// Writes the file of the users: it is replaced as a whole and durably, or stays as it is.
    pub fn save_users(&self) -> io::Result<()> {
        // A link keeps pointing to the file.
        let path = fs::canonicalize(&self.config.aclfile).unwrap_or_else(|_| PathBuf::from(&self.config.aclfile));
        let mut temporary = path.clone().into_os_string();
        temporary.push(format!(".tmp-{}-{}", std::process::id(), self.unix_ms()));
        let text = file::render(&self.acl.users);
        let written = write_durably(Path::new(&temporary), &path, &text).and_then(|()| fs::rename(&temporary, &path));
        if let Err(error) = written {
            log::warning!("Writing ACL file for ACL SAVE: {}", os_error(&error));
            // The first error is what counts.
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        fs::sync_directory_of(&path)
    }

    /// What follows `user` on the lines of a configuration file; nothing where a file of their own has the users.
    pub fn user_lines(&self) -> Option<Vec<Vec<u8>>> {
        let line = |user: &[u8]| {
            let words = user.split(|&c| c == b' ').map(quote_if_needed);
            words.collect::<Vec<_>>().join(&b' ')
        };
        let of_user = |name: &[u8], rules: &[u8]| line(&[name, b" ", rules].concat());
        let users = self.acl.users.iter();
        self.config.aclfile.is_empty().then(|| users.map(|user| of_user(&user.name, &user.rules())).collect())
    }
}

/// Writes a file that is to take the place of `old`: it holds passwords, so no more people may see it than that.
fn write_durably(path: &Path, old: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.take_permissions_of(old)?;
    file.write_all(text)?;
    file.sync_all()
}
