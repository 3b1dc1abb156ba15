//! The Redis servers that tests start: they start, work together, fail over, and leave nothing behind.

use crate::support::process::Process;
use crate::support::redis::{Redis, Reply, until};
use std::process::Command;

#[test]
fn a_single_server_keeps_what_it_answered_when_it_is_killed() {
    let mut redis = Redis::single();
    let node = &mut redis.nodes[0];
    node.ask(&["SET", "a", "1"]);
    node.kill();
    assert!(node.try_ask(&["PING"]).is_err());
    node.start_again();
    assert_eq!(node.ask(&["GET", "a"]), Reply::Text("1".to_owned()));
    node.stop();
    node.start_again();
    assert_eq!(node.ask(&["GET", "a"]), Reply::Text("1".to_owned()));
}

#[test]
fn a_secured_server_lets_nobody_in_without_tls() {
    let redis = Redis::secured();
    let rules = redis.nodes[0].ask(&["ACL", "GETUSER", "idgate"]);
    assert!(matches!(rules, Reply::List(_)));
    assert!(matches!(redis.nodes[0].ask(&["CONFIG", "GET", "tls-auth-clients"]), Reply::List(_)));
    assert_eq!(redis.nodes[0].info("tcp_port"), redis.nodes[0].port.to_string());
}

#[test]
fn a_cluster_holds_every_slot() {
    let redis = Redis::cluster();
    assert_eq!(redis.urls().len(), 3);
}

#[test]
fn sentinels_replace_a_master_that_is_killed() {
    let mut redis = Redis::sentinel();
    redis.impatient();
    let first = redis.master().unwrap();
    redis.nodes[first].ask(&["SET", "a", "1"]);
    assert_eq!(redis.nodes[first].ask(&["WAIT", "0", "0"]), Reply::Number(2));
    redis.nodes[first].kill();
    until("another is the master", || redis.master().is_some_and(|now| now != first));
    redis.nodes[first].start_again();
    redis.until_well();
    let now = redis.master().unwrap();
    assert_ne!(now, first);
    assert_eq!(redis.nodes[now].ask(&["GET", "a"]), Reply::Text("1".to_owned()));
    redis.fail_over();
    until("yet another is the master", || redis.master().is_some_and(|next| next != now));
    redis.until_well();
}

const CHILD: &str = "IDGATE_TEST_REDIS_CHILD";

/// Not a test by itself: what [`no_server_outlives_its_test`] runs as another process and kills.
#[test]
fn child_that_starts_a_server_and_waits() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let redis = Redis::single();
    println!("started {} end", redis.nodes[0].info("process_id"));
    std::thread::park();
}

#[test]
fn no_server_outlives_its_test() {
    use std::io::{BufRead as _, BufReader};
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child_that_starts_a_server_and_waits", "--nocapture", "--test-threads=1"]).env(CHILD, "1");
    let mut child = Process::start(command.stdout(std::process::Stdio::piped()));
    let lines = BufReader::new(child.output().unwrap()).lines();
    let mut ids = lines.filter_map(|line| Some(line.unwrap().split_once("started ")?.1.split_once(' ')?.0.to_owned()));
    let id: i32 = ids.next().unwrap().parse().unwrap();
    let runs = || rustix::process::test_kill_process(rustix::process::Pid::from_raw(id).unwrap()).is_ok();
    assert!(runs());
    drop(child);
    until("the server ends after its test", || !runs());
}
