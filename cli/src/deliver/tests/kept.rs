//! Clusters of before that something may still send to.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use super::{
    BOOTSTRAP, CDS, Eager, LDS, RDS, clusters, files, listener, plan, routes, run, shown, steps,
};
use crate::deliver::clock::kept_at;
use crate::deliver::file::{File, Kind};
use crate::deliver::plan::Plan;

#[test]
fn clusters_stay_while_connections_of_an_earlier_listener_may_send_to_them() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(10_000);
    let lds = |before: &str, after: &str, age: u64| {
        let mut file = File::of_texts(Kind::Listeners, LDS, Some(before), after);
        file.written = Some(now - Duration::from_secs(age));
        file
    };
    let kept = |listener: File, before: &str| {
        let cds = File::of_texts(
            Kind::Clusters,
            CDS,
            Some(&clusters(before)),
            &clusters("up"),
        );
        let kept = kept_at(&Plan::new(vec![cds, listener]), now);
        kept.into_iter().collect::<Vec<String>>().join(" ")
    };
    let inline = |to: &str| listener(&format!("route_config: [{to}]"));
    // The listener changes and has named one of them.
    let old = lds(&inline("up, copy"), &inline("up"), 9_000);
    assert_eq!(kept(old, "up copy other"), "copy");
    // A run soon after: it is drained after ten minutes.
    let young = || lds(&inline("up"), &inline("up"), 599);
    assert_eq!(kept(young(), "up copy"), "copy");
    assert_eq!(kept(lds(&inline("up"), &inline("up"), 601), "up copy"), "");
    // Routes by RDS change for connections that are there, too.
    let by_rds = lds(&listener("rds: table"), &listener("rds: table"), 1);
    assert_eq!(kept(by_rds, "up copy"), "");
}

#[test]
fn clusters_stay_until_the_bootstrap_that_names_them_is_not_that_of_before() {
    let cds = || {
        File::of_texts(
            Kind::Clusters,
            CDS,
            Some(&clusters("up copy other")),
            &clusters("up"),
        )
    };
    let listener = |to: &str| format!("static_resources: {{listeners: [{{route: {to}}}]}}\n");
    let kept = |before: &str, after: &str| {
        let (before, after) = (listener(before), listener(after));
        let file = File::of_texts(Kind::Bootstrap, BOOTSTRAP, Some(&before), &after);
        kept_at(&Plan::new(vec![cds(), file]), SystemTime::UNIX_EPOCH)
    };
    assert_eq!(kept("copy", "up"), ["copy".to_owned()].into());
    assert_eq!(kept("up", "up"), BTreeSet::new());
}

#[test]
fn what_is_kept_is_in_the_last_file_and_goes_with_a_later_run() {
    let before = files([(CDS, clusters("up copy other")), (RDS, routes("copy"))]);
    let after = files([(CDS, clusters("up")), (RDS, routes("up"))]);
    let mut witness = Eager {
        kept: ["copy".to_owned()].into(),
    };
    let (written, done) = run(&plan(&before, &after), &mut witness);
    done.expect("arrives");
    let last = written.last().expect("is written");
    assert_eq!(shown(last), "cds.yaml up copy");
    let between = files([(CDS, last.text.clone()), (RDS, routes("up"))]);
    assert_eq!(steps(&between, &after), ["cds.yaml up"]);
}
