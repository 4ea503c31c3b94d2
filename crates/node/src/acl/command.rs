//! ACL.

use rivulet_acl::reply::{self, HELP, NO_FILE, one_line, write_user};
use rivulet_acl::{Deleted, has_blanks};
use rivulet_commands::fail::Fail;
use rivulet_commands::{Command, table};
use rivulet_engine::asker::Asker;
use rivulet_engine::client_id::ClientId;
use rivulet_resp::Args;

use crate::acl::all_channels;
use crate::commands::connection::wrong_subcommand;
use crate::node::Node;

impl Node {
    pub fn acl_command(&mut self, by: &mut Asker<'_>, command: &'static Command, args: Args<'_>) -> Result<(), Fail> {
        match (command.name, args.len()) {
            ("setuser", _) => self.acl_setuser(by, args),
            ("deluser", _) => self.acl_deluser(by, args),
            ("getuser", _) => {
                match self.acl.users.get(args.at(2)) {
                    Some(user) => write_user(&mut by.reply, user),
                    None => by.reply.null(),
                }
                Ok(())
            }
            ("list", _) => {
                by.reply.array(self.acl.users.len());
                self.acl.users.iter().for_each(|user| by.reply.bulk(&user.line()));
                Ok(())
            }
            ("users", _) => {
                by.reply.array(self.acl.users.len());
                self.acl.users.iter().for_each(|user| by.reply.bulk(&user.name));
                Ok(())
            }
            ("whoami", _) => {
                by.reply.bulk(&self.clients.at(by.id).session.login.user.name);
                Ok(())
            }
            ("load" | "save", _) if self.config.aclfile.is_empty() => Err(NO_FILE),
            ("load", _) => self.acl_load(by),
            ("save", _) => self.acl_save(by),
            ("cat", 2 | 3) => reply::write_categories(&mut by.reply, table::server(), args),
            ("genpass", 2 | 3) => acl_genpass(by, args),
            ("log", 2 | 3) => self.acl_log(by, args),
            ("dryrun", _) => {
                reply::write_dry_run(&mut by.reply, &self.acl.users, args, |line| self.find_with_subcommand(line))
            }
            ("help", _) => {
                self.help(by, "ACL", HELP);
                Ok(())
            }
            _ => Err(wrong_subcommand(args)),
        }
    }

    fn acl_setuser(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let name = args.at(2);
        if has_blanks(name) {
            return Err(Fail::new("ERR Usernames can't contain spaces or null characters"));
        }
        let rules: Vec<&[u8]> = args.iter().skip(3).collect();
        self.acl.users.all_channels = all_channels(&self.config);
        self.acl.users.set(name, &rules).map_err(|error| one_line(format!("ERR {error}")))?;
        self.renew_logins(by.id);
        by.reply.ok();
        Ok(())
    }

    fn acl_deluser(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        match self.acl.users.delete(args.iter().skip(2)) {
            Deleted::RefusedDefault => Err(Fail::new("ERR The 'default' user cannot be removed")),
            Deleted::Some(count) => {
                self.renew_logins(by.id);
                by.reply.int(count as i64);
                Ok(())
            }
        }
    }

    /// Clients of users that stay are kept, with what those may do now.
    fn acl_load(&mut self, by: &mut Asker<'_>) -> Result<(), Fail> {
        let before = self.acl.users.clone();
        self.load_users().map_err(|fail| one_line(format!("ERR {}", String::from_utf8_lossy(&fail.0))))?;
        // Who is as before stays the same, so that sessions need no look.
        self.acl.users.keep_unchanged(&before);
        self.renew_logins(by.id);
        by.reply.ok();
        Ok(())
    }

    fn acl_save(&mut self, by: &mut Asker<'_>) -> Result<(), Fail> {
        self.save_users().map_err(|_| {
            Fail::new(
                "ERR There was an error trying to save the ACLs. Please check the server logs for more information",
            )
        })?;
        by.reply.ok();
        Ok(())
    }

    fn acl_log(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        if args.is(2, "reset") {
            self.acl.log.reset();
            by.reply.ok();
            return Ok(());
        }
        reply::write_log(&mut by.reply, &self.acl.log, args, self.unix_ms())
    }

    /// The users' directives have changed; `by` is the client that changed them.
    pub fn default_password_changed(&mut self, by: ClientId) {
        self.acl.users.set_default_password(&self.config.requirepass);
        self.renew_logins(by);
    }
}

fn acl_genpass(by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
    let mut bytes = vec![0; reply::password_len(args)?];
    rivulet_host::random::fill(&mut bytes).map_err(|e| Fail::text(format!("ERR no random bytes: {e}")))?;
    by.reply.bulk(&reply::password_of(&bytes));
    Ok(())
}
