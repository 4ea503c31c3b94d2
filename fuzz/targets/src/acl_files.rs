//! Files of users: any text is taken as a whole or refused with a reason, and what is written is read again as the same.

use rivulet_acl::file::{parse, render};

pub fn run(bytes: &[u8]) {
    for all_channels in [false, true] {
        match parse(bytes, "users.acl", all_channels) {
            Err(fail) => assert!(fail.0.ends_with(b"no change to the previously active ACL rules was performed")),
            Ok(users) => {
                let text = render(&users);
                let again = parse(&text, "users.acl", all_channels).expect("what was written is a file");
                assert_eq!(render(&again), text, "written and read again");
                assert_eq!(again.len(), users.len());
            }
        }
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    [
        "user default on nopass sanitize-payload ~* &* +@all\n",
        "user alice on allcommands allkeys &* >alice\nuser bob on -@all +@set +acl ~set* &* >bob\n",
        "\n  user carol off (+get ~rw*) (+set %W~w* resetchannels)\t\r\n\nuser  on\n",
        "user d +nonsense ~a b\nuser d on\nnobody\nuser e (+get\n",
    ]
    .map(|seed| seed.as_bytes().to_vec())
    .to_vec()
}
