//! Rules of users, a line each: whatever is made of them is written as rules that make the same user, and no check of it fails to end.

use rivulet_acl::{User, Users};
use rivulet_commands::table;
use rivulet_resp::OwnedArgs;

pub fn run(bytes: &[u8]) {
    let lines: Vec<&[u8]> = bytes.split(|&b| b == b'\n').collect();
    let (rules, words) = lines.split_at(lines.len().div_ceil(2));
    let mut users = Users::new(false);
    let before = users.set(b"u", &[b"on", b"+get", b"~a*"]).expect("rules");
    match users.set(b"u", rules) {
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_eq!(users.get(b"u"), Some(&before), "a user that was not changed");
        }
        Ok(user) => {
            let text = user.rules();
            let words: Vec<&[u8]> = text.split(|&b| b == b' ').collect();
            let again = Users::new(false).set(b"u", &words).expect("what was written is rules");
            assert_eq!(again.rules(), text, "written and read again");
            let line = user.line();
            assert!(!line.contains(&b'\n') && !line.contains(&0), "a line is one line");
        }
    }
    let user = users.get(b"u").expect("it was made");
    check_lines(user, words);
}

/// Any words behind any command's name: who may do all may do this, and a check ends.
fn check_lines(user: &User, words: &[&[u8]]) {
    let first = User::first(b"first");
    let commands = table::by_id();
    for (i, word) in words.iter().enumerate() {
        let command = commands[(i * 31 + word.len() * 7 + usize::from(*word.first().unwrap_or(&0))) % commands.len()];
        let line: Vec<&[u8]> =
            std::iter::once(command.name.as_bytes()).chain(words[i..].iter().copied().take(12)).collect();
        let args = OwnedArgs::from_slices(&line);
        assert_eq!(first.check(command, args.as_args()), Ok(()));
        let allowed = user.check(command, args.as_args());
        if let Err(denied) = allowed {
            assert!(!user.allows_all());
            let _ = denied.in_dry_run(command, args.as_args());
        }
        assert!(
            !user.check_reads_any_key(command, args.as_args()) || allowed.is_ok(),
            "it reads all keys and may not run"
        );
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    [
        "on\n>secret\n+@read\n~a*\nGET\na",
        "+@all\n-@admin\n-config|set\nallkeys\n&c*\nSORT\na\nBY\nw*\nSTORE\nto",
        "(+get ~a)\n(%R~b +set\n&x)\n1\n2\nKEYS\nk",
        "reset\nnopass\n%RW~x\n%W~y\n+select|0\n-@all\nclearselectors\nsanitize-payload",
        "#148de9c5a7a44d19e56cd9ae1a554bf67847afb0c58f6e12fa29ac7ddfca9940\n<p\n!abc\nallchannels\nresetchannels\nresetkeys",
        "(\"~a\" \"+get\")\n()\n)\n(\nx\ny\nz",
    ]
    .map(|seed| seed.as_bytes().to_vec())
    .to_vec()
}
