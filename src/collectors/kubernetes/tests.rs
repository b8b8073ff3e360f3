//! Parsing what API servers send, and what is kept of a watch that fails.

use std::time::Duration;

use super::objects::{CronJob, DaemonSet, Deployment, Node, Row, Service, Slim, StatefulSet};
use super::watch::{Scope, Seen, Wanted};
use super::*;

fn row<K: Slim>(json: &str) -> Row {
    serde_json::from_str::<K>(json).unwrap_or_else(|error| panic!("{json}: {error}")).row()
}

#[test]
fn fields_that_are_missing_or_null_are_what_the_api_means_by_that() {
    let zero = Row::Replicas { desired: 3, ready: 0, updated: 0, available: 0, complete: false };
    for status in ["", r#","status":null"#, r#","status":{}"#, r#","status":{"readyReplicas":null}"#] {
        assert_eq!(row::<Deployment>(&format!(r#"{{"metadata":{{"name":"a","generation":1}},"spec":{{"replicas":3}}{status}}}"#)), zero, "{status}");
    }
    assert_eq!(row::<Service>(r#"{"metadata":{"name":"a"},"status":{"loadBalancer":{"ingress":null}}}"#), Row::Service { addresses: vec![] });
    assert_eq!(row::<Node>(r#"{"metadata":{"name":"a"},"spec":null,"status":{"conditions":null}}"#), Row::Node { schedulable: true, conditions: [].into() });
    let Row::CronJob { suspended, last_schedule, last_success } = row::<CronJob>(r#"{"metadata":{"name":"a"},"spec":{}}"#) else { unreachable!() };
    assert!(!suspended && last_schedule.is_none() && last_success.is_none());
}

#[test]
fn a_rollout_is_complete_only_when_its_generation_was_observed() {
    let deployment = |observed: i64| {
        format!(
            r#"{{"metadata":{{"name":"a","generation":2,"managedFields":[{{"fieldsV1":{{"f:spec":{{}}}}}}]}},"spec":{{"replicas":2}},"status":{{"observedGeneration":{observed},"readyReplicas":2,"updatedReplicas":2,"availableReplicas":2}}}}"#
        )
    };
    let complete = |row| matches!(row, Row::Replicas { complete: true, .. });
    assert!(complete(row::<Deployment>(&deployment(2))));
    assert!(!complete(row::<Deployment>(&deployment(1))));
    assert!(complete(row::<StatefulSet>(&deployment(2))));
    assert!(complete(row::<DaemonSet>(
        r#"{"metadata":{"name":"a","generation":1},"status":{"observedGeneration":1,"desiredNumberScheduled":5,"numberReady":5,"updatedNumberScheduled":5,"numberAvailable":5}}"#
    )));
}

#[test]
fn a_node_without_a_ready_condition_is_not_known_to_be_ready() {
    let node = row::<Node>(r#"{"metadata":{"name":"n"},"status":{"conditions":[{"type":"DiskPressure","status":"False"}]}}"#);
    let seen = Seen { rows: Some([((String::new(), "n".to_owned()), node)].into()), ..Seen::default() };
    let samples = facts::samples("eu", "v1", &[(Scope::Nodes, seen)]);
    let current: Vec<_> = samples.iter().filter(|sample| sample.family.name == "readiness_node_condition_state").collect();
    let states: Vec<_> = current.iter().map(|sample| (sample.label("condition").unwrap(), sample.label("state").unwrap())).collect();
    assert_eq!(states, [("DiskPressure", "false"), ("Ready", "unknown")]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_unseen_at_once_and_a_hiccup_only_after_keep() {
    use crate::snapshot::{CollectError, ErrorClass};
    let seen = |class| {
        let mut seen = Seen { keep: Duration::from_secs(30), ..Seen::default() };
        seen.rows = Some([].into());
        seen.failure = Some((tokio::time::Instant::now(), CollectError::new(class, "list pods: no")));
        seen
    };
    let (denied, server) = (seen(ErrorClass::Denied), seen(ErrorClass::Server));
    assert_eq!((denied.state().0, server.state().0), ("unseen", "empty"));
    assert_eq!(denied.state().1, "list pods: no");
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(server.state().0, "unseen");
}

/// A list that begins and fails again and again must not keep old rows alive for ever.
#[tokio::test(start_paused = true)]
async fn trying_again_is_no_proof_of_life() {
    use super::watch::Change;
    use crate::snapshot::{CollectError, ErrorClass};
    let mut seen = Seen { keep: Duration::from_secs(30), ..Seen::default() };
    seen.apply(&Scope::Nodes, Ok(Change::Complete));
    for _ in 0..31 {
        seen.apply(&Scope::Nodes, Ok(Change::Restart));
        seen.apply(&Scope::Nodes, Err(CollectError::new(ErrorClass::Server, "list nodes: status 500")));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(seen.state().0, "unseen");
    seen.apply(&Scope::Nodes, Ok(Change::Restart));
    assert_eq!(seen.state().0, "unseen", "a list that begins proves nothing");
    seen.apply(&Scope::Nodes, Ok(Change::Complete));
    assert_eq!(seen.state().0, "empty");
}

#[test]
fn a_cluster_promises_only_what_is_watched_in_it() {
    let config: Config = serde_saphyr::from_str("{ nodes: false, workloads: [{ name: w, kind: CronJob, namespace: n, names: [a], clusters: [eu] }] }").unwrap();
    let promised = |cluster: &str| facts::emitted(&Wanted::of(&config, cluster));
    assert!(promised("eu").contains(&"readiness_cronjob_suspended") && !promised("eu").contains(&"readiness_node_schedulable"));
    assert!(!promised("us").contains(&"readiness_cronjob_suspended"));
}
