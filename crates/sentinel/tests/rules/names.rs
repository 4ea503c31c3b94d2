//! A name server is never waited for (redis#12184): who needs a name asks for it, and goes on when it is known.

use std::net::IpAddr;

use super::{Bench, RUN, master_info, replica_info};

fn ip(last: u8) -> Option<IpAddr> {
    Some(IpAddr::from([10, 0, 0, last]))
}

#[test]
fn a_replica_by_name_is_known_when_its_number_is() {
    let mut bench = Bench::new(&["resolve-hostnames yes"]);
    let named = "slave0:ip=replica.internal,port=5,state=online,offset=500,lag=0\r\n";
    bench.tell(1, &(master_info(RUN[0], "old", 500, "") + named));
    assert!(bench.has_logged("resolve replica.internal"), "{:?}", bench.logged);
    assert_eq!(bench.core.masters["m"].replicas.len(), 1);
    bench.core.resolved("replica.internal", ip(7));
    bench.run_ms(100);
    let number = |bench: &Bench| bench.core.masters["m"].replicas["10.0.0.7:5"].instance.address.ip;
    assert_eq!(number(&bench), ip(7));
    // It may be elsewhere when it is connected to again.
    bench.core.resolved("replica.internal", ip(7));
    bench.logged.clear();
    let gone: Vec<_> = bench.connections.extract_if(.., |(port, _)| *port == 5).collect();
    assert_eq!(gone.len(), 2);
    gone.into_iter().for_each(|(_, id)| bench.core.closed(id));
    bench.run_ms(500);
    assert!(bench.has_logged("resolve replica.internal"), "{:?}", bench.logged);
    bench.core.resolved("replica.internal", ip(8));
    assert_eq!(number(&bench), ip(8));
}

#[test]
fn names_in_messages_are_asked_for() {
    let mut bench = Bench::new(&["resolve-hostnames yes"]);
    bench.hello(&format!("sentinel.internal,99,{},0,m,db.internal,1,0", "d".repeat(40)));
    assert!(bench.has_logged("resolve sentinel.internal") && bench.has_logged("resolve db.internal"));
}

/// It is the master's own replica, under whatever name it knows that.
#[test]
fn a_master_lacks_what_its_own_replica_has() {
    for (host, last, port, is_down) in
        [("db.internal", 1, 1, true), ("db.internal", 8, 1, false), ("10.0.0.1", 1, 1, true), ("10.0.0.1", 1, 9, false)]
    {
        let mut bench = Bench::new(&["resolve-hostnames yes"]);
        bench.core.resolved("db.internal", ip(last));
        bench.tell(1, &master_info(RUN[0], "old", 500, "db0:keys=5\r\n"));
        let replica = replica_info("old", 500).replace("master_host:10.0.0.1", &format!("master_host:{host}"));
        let replica = replica.replace("master_port:1", &format!("master_port:{port}"));
        bench.tell(2, &(replica + "master_lacks_data:1\r\n"));
        bench.run_ms(150);
        assert_eq!(bench.core.masters["m"].is_down(), is_down, "{host} {last} {port}");
    }
}

/// Whether it is another server is known when its name is: the master would be made its own replica.
#[test]
fn a_master_is_not_taken_by_a_name_that_is_not_known_yet() {
    for (last, has_moved) in [(1, false), (7, true)] {
        let mut bench = Bench::new(&["resolve-hostnames yes"]);
        bench.tell(1, &master_info(RUN[0], "old", 500, ""));
        let message = format!("10.0.0.1,99,{},5,m,db.internal,1,5", "d".repeat(40));
        bench.hello(&message);
        let epoch = |bench: &Bench| bench.core.masters["m"].config_epoch;
        assert_eq!((epoch(&bench), bench.has_logged("+switch-master")), (0, false), "{:?}", bench.logged);
        bench.core.resolved("db.internal", ip(last));
        bench.hello(&message);
        assert_eq!((epoch(&bench), bench.has_logged("+switch-master")), (5, has_moved), "{:?}", bench.logged);
        let host = &bench.core.masters["m"].instance.address.host;
        assert_eq!(host == "db.internal", has_moved);
    }
}
