//! Another server at the address of a replica, or of the master of before; and the same at two.

use super::{Bench, RUN, master_info};

/// A server that is reached by two addresses is no replica of itself.
#[test]
fn a_master_of_two_addresses_is_not_led_to_itself() {
    let with_id = |info: String, letter: &str| info + &format!("node_id:{}\r\n", letter.repeat(40));
    let rows = [
        ("by its run", master_info(RUN[0], "old", 500, ""), master_info(RUN[0], "old", 500, ""), false),
        (
            "by its id",
            with_id(master_info(RUN[0], "old", 500, ""), "d"),
            with_id(master_info(RUN[1], "old", 500, ""), "d"),
            false,
        ),
        ("another one", master_info(RUN[0], "old", 500, ""), master_info(RUN[1], "old", 500, ""), true),
    ];
    for (name, master, other, is_led) in rows {
        let mut bench = Bench::new(&[]);
        bench.answers = vec![(1, master), (2, other)];
        for (port, info) in bench.answers.clone() {
            bench.tell(port, &info);
        }
        bench.run_ms(20_000);
        assert_eq!(bench.count_sent(2, "SLAVEOF") > 0, is_led, "{name}: {:?}", bench.logged);
        assert_eq!(bench.has_logged("+convert-to-slave"), is_led, "{name}: {:?}", bench.logged);
    }
}
