//! Rules that make a user again: what ACL LIST, ACL GETUSER and the files show.
//!
//! Of commands the rules are shown as they were given, as Redis does since 7.2.

use crate::selector::Selector;
use crate::user::User;

impl Selector {
    /// `+@all` or `-@all`, and the rules since then that still say something.
    pub fn command_rules(&self) -> Vec<u8> {
        let mut rules = if self.commands.with_future { b"+@all".to_vec() } else { b"-@all".to_vec() };
        for rule in &self.rules {
            rules.push(b' ');
            rules.extend_from_slice(rule);
        }
        rules
    }

    /// `~…` for each pattern, with blanks between.
    pub fn key_rules(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        let mut rules = Vec::new();
        for (i, pattern) in self.keys.iter().enumerate() {
            if i > 0 {
                rules.push(b' ');
            }
            // As `~*` it would take the place of the others when it is read back.
            match pattern.is_all() && self.keys.len() > 1 {
                true => rules.extend(b"%RW~*"),
                false => pattern.push_text(&mut rules),
            }
        }
        rules
    }

    /// `&…` for each pattern, with blanks between.
    pub fn channel_rules(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        let rules: Vec<Vec<u8>> = self.channels.iter().map(|glob| [b"&", &**glob].concat()).collect();
        rules.join(&b' ')
    }

    fn push_rules(&self, out: &mut Vec<u8>) {
        let keys = self.key_rules();
        out.extend_from_slice(&keys);
        if self.all_keys || !self.keys.is_empty() {
            out.push(b' ');
        }
        if !self.all_channels {
            out.extend(b"resetchannels ");
        }
        out.extend(self.channel_rules());
        if self.all_channels || !self.channels.is_empty() {
            out.push(b' ');
        }
        out.extend(self.command_rules());
    }
}

impl User {
    /// Words for what is said of the user itself, in the order in which they are shown.
    pub fn flag_words(&self) -> Vec<&'static str> {
        let enabled = if self.enabled { "on" } else { "off" };
        let nopass = self.nopass.then_some("nopass");
        std::iter::once(enabled).chain(nopass).chain(self.sanitize.word()).collect()
    }

    /// Rules that make this user from one that was just made.
    pub fn rules(&self) -> Vec<u8> {
        let mut rules = Vec::new();
        for word in self.flag_words() {
            rules.extend_from_slice(word.as_bytes());
            rules.push(b' ');
        }
        for password in &self.passwords {
            rules.extend_from_slice(format!("#{password} ").as_bytes());
        }
        self.root.push_rules(&mut rules);
        for selector in &self.others {
            rules.extend(b" (");
            selector.push_rules(&mut rules);
            rules.push(b')');
        }
        rules
    }

    /// The user as a line of a file, which `user` and the name begin.
    pub fn line(&self) -> Vec<u8> {
        [b"user ", &*self.name, b" ", &self.rules()].concat()
    }
}
