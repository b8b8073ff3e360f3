use super::*;

#[test]
fn restarts_of_a_namespace_are_forgotten_a_while_after_its_last_pod() {
    let mut pods = Pods::new(3600, Workspaces::new(Vec::new(), 3600), Clock::default());
    let old = now() - AFTERGLOW - 1;
    for (namespace, last) in [("gone", old), ("gone-now", now()), ("alive", old)] {
        pods.restarts.insert(namespace.into(), Restarts { total: 1, last });
    }
    pods.namespaces.insert("alive".into(), 1);
    pods.sweep();
    assert_eq!(pods.restarts.keys().map(|namespace| &**namespace).collect::<Vec<_>>(), ["alive", "gone-now"]);
    pods.namespaces.clear();
    pods.sweep();
    assert_eq!(pods.restarts.len(), 2, "not more than once a minute");
}
