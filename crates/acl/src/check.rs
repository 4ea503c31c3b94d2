//! Why a command may not run, and how that is said: the texts differ by who asks.

use rivulet_commands::Command;
use rivulet_commands::fail::Fail;
use rivulet_resp::Args;

/// What a user may not do. Of several reasons, one for each of the user's selectors, the greatest is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denied {
    /// Run the command.
    Command,
    /// Use the key that is this argument.
    Key(usize),
    /// Use the channel that is this argument.
    Channel(usize),
}

impl Denied {
    /// What was denied: the command's name, the key or the channel.
    pub fn object<'a>(self, command: &Command, args: Args<'a>) -> &'a [u8]
    where
        'static: 'a,
    {
        match self {
            Denied::Command => command.full_name.as_bytes(),
            Denied::Key(at) | Denied::Channel(at) => args.get(at).unwrap_or_default(),
        }
    }

    /// How a client is told whose command it is.
    pub fn to_client(self, command: &Command) -> Fail {
        match self {
            Denied::Command => {
                Fail::text(format!("NOPERM this user has no permissions to run the '{}' command", command.full_name))
            }
            Denied::Key(_) => {
                Fail::new("NOPERM this user has no permissions to access one of the keys used as arguments")
            }
            Denied::Channel(_) => {
                Fail::new("NOPERM this user has no permissions to access one of the channels used as arguments")
            }
        }
    }

    /// How EXEC says that a queued command may not run any more.
    pub fn in_exec(self) -> Fail {
        let reason = match self {
            Denied::Command => "no permission to execute the command or subcommand",
            Denied::Key(_) => "no permission to touch the specified keys",
            Denied::Channel(_) => "no permission to access one of the channels used as arguments",
        };
        Fail::text(format!(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: {reason}"
        ))
    }

    /// How a script is told.
    pub fn in_script(self) -> Fail {
        Fail::new(match self {
            Denied::Command => "ERR The user executing the script can't run this command or subcommand",
            Denied::Key(_) => {
                "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments"
            }
            Denied::Channel(_) => {
                "ERR The user executing the script can't publish to the channel mentioned in the command"
            }
        })
    }

    /// What ACL DRYRUN answers; it is no error.
    pub fn in_dry_run(self, command: &Command, args: Args<'_>) -> Vec<u8> {
        let (before, after) = match self {
            Denied::Command => ("run", "command"),
            Denied::Key(_) => ("access", "key"),
            Denied::Channel(_) => ("access", "channel"),
        };
        let mut text = format!("This user has no permissions to {before} the '").into_bytes();
        text.extend_from_slice(self.object(command, args));
        text.extend_from_slice(format!("' {after}").as_bytes());
        text
    }
}
