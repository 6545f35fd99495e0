use super::support::{Cluster, config, said};
use serde_json::{Value, json};

#[test]
fn members_come_and_go_while_the_cluster_serves() {
    let mut cluster = Cluster::prepare(4);
    (cluster.known, cluster.founders) = (3, 3);
    (0..3).for_each(|nth| cluster.start_member(nth));
    (0..3).for_each(|nth| cluster.wait_until_healthy(nth));
    cluster.say(&["put", "limit", "100"]);
    assert_eq!(said(&cluster.config(&["members", "add", "4"]), 1), "", "nobody knows where it is");

    // One after the other, so that the others serve, they are told of the fourth.
    cluster.known = 4;
    for nth in 0..3 {
        assert_eq!(cluster.stop(nth).code(), Some(0));
        cluster.start_member(nth);
        cluster.wait_until_healthy(nth);
    }
    cluster.start_member(3);
    let added = cluster.say(&["members", "add", "4"]);
    assert_eq!(added, "member-1\tvotes\nmember-2\tvotes\nmember-3\tvotes\nmember-4\tvotes\n");
    let fourth = &cluster.urls()[3..];
    assert_eq!(said(&config(fourth, &["get", "limit"]), 0), "100\n");

    cluster.say(&["members", "remove", "member-1"]);
    cluster.kill(0);
    // Of the three that are left, two are enough, and one of them is new.
    cluster.kill(1);
    cluster.say(&["put", "limit", "200"]);
    let list: Value = serde_json::from_str(&cluster.say(&["members", "list", "--json"])).unwrap();
    assert_eq!(list["voters"], json!(["member-2", "member-3", "member-4"]));
    assert_eq!(list["learners"], json!([]));
    assert_eq!(said(&cluster.config(&["members", "remove", "9"]), 1), "");
}
