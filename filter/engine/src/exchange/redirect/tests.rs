#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use btp_policy::PluginConfig;

use crate::action::{Action, Flow, HeaderEdit};
use crate::exchange::Exchange;
use crate::host::metrics::Metrics;
use crate::plan::Plan;
use crate::testing::{FakeHost, feed};
use crate::worker::Worker;

/// One worker, and the proxy that it is in.
struct Stage {
    plan: Plan,
    worker: Worker,
    host: FakeHost,
}

/// How an exchange came out that Envoy went on with or not.
struct Begun {
    exchange: Exchange,
    flow: Flow,
}

impl Stage {
    fn new(spec: &str) -> Self {
        let text = format!(r#"{{"policies":[{{"metadata":{{"name":"p"}},"spec":{spec}}}]}}"#);
        let plan = Plan::compile(PluginConfig::parse(text.as_bytes()).unwrap());
        let mut host = FakeHost::new(&plan);
        host.now_ns = 1 << 60;
        Self {
            worker: Worker::new(&plan),
            plan,
            host,
        }
    }

    /// An exchange of the client's request that began at this time.
    fn begin(&mut self, started_ns: u64, path: &str) -> Begun {
        self.host.start_time_ns = started_ns;
        let (method, path) = (b"GET".to_vec(), path.as_bytes().to_vec());
        self.host.request_headers =
            vec![(":method".to_owned(), method), (":path".to_owned(), path)];
        let mut exchange = Exchange::default();
        let flow = self.feed(|cx| exchange.request_headers(cx, true)).0;
        Begun { exchange, flow }
    }

    fn passes(&mut self, started_ns: u64, path: &str) -> bool {
        let mut begun = self.begin(started_ns, path);
        if begun.flow == Flow::Continue {
            self.respond(&mut begun.exchange);
        }
        begun.flow == Flow::Continue
    }

    /// Envoy follows a redirect of the upstream's.
    fn redirect(&mut self, mut begun: Begun, path: &str) -> Begun {
        assert_eq!(begun.flow, Flow::Continue);
        self.end(&mut begun.exchange);
        self.begin(self.host.start_time_ns, path)
    }

    fn end(&mut self, exchange: &mut Exchange) {
        let _ = self.feed(|cx| {
            exchange.done(cx);
            Flow::Continue
        });
    }

    /// The value of `x-ratelimit-remaining`, if the response has one.
    fn respond(&mut self, exchange: &mut Exchange) -> Option<String> {
        self.host.response_headers = vec![(":status".to_owned(), b"200".to_vec())];
        let (_, actions) = self.feed(|cx| exchange.response_headers(cx, true));
        self.end(exchange);
        actions.into_iter().find_map(|action| match action {
            Action::EditResponseHeader(HeaderEdit::Add(name, value))
                if *name == *b"x-ratelimit-remaining" =>
            {
                String::from_utf8(value.to_vec()).ok()
            }
            _ => None,
        })
    }

    fn feed(
        &mut self,
        event: impl FnOnce(&mut crate::exchange::Context<'_, FakeHost>) -> Flow,
    ) -> (Flow, Vec<Action>) {
        let mut out = Vec::new();
        let flow = feed(
            &self.plan,
            &mut self.worker,
            &mut self.host,
            &mut out,
            event,
        );
        for action in &out {
            if let Action::Count(counter) = action {
                self.host.add(*counter, 1);
            }
        }
        (flow, out)
    }

    fn counter(&self, name: &str) -> u64 {
        let name = format!("btp.default.p.rate_limit.{name}");
        let mut names = self.plan.counters().iter();
        let index = names.position(|other| other.to_string() == name).unwrap();
        let counter = crate::CounterId(u32::try_from(index).unwrap());
        self.host.counter(counter)
    }
}

const FOUR: &str = r#"{"rateLimit":{"local":{"rules":[
    {"name":"all","shared":true,"limit":{"requests":4,"unit":"Hour"},
     "clientSelectors":[{"path":{"type":"PathPrefix","value":"/"}}]},
    {"name":"there","shared":true,"limit":{"requests":2,"unit":"Hour"},
     "clientSelectors":[{"path":{"value":"/there"}}]}]}}}"#;

#[test]
fn a_redirected_request_takes_one_token_of_each_rule() {
    let mut stage = Stage::new(FOUR);
    let first = stage.begin(1, "/here");
    let mut second = stage.redirect(first, "/there");
    assert_eq!(second.flow, Flow::Continue);
    stage.respond(&mut second.exchange);
    assert_eq!(stage.counter("all.admitted"), 1);
    assert_eq!(stage.counter("there.admitted"), 1);
    // Three of four are left, and one of two for where it was redirected to.
    assert!(stage.passes(2, "/there"));
    assert!(!stage.passes(3, "/there"));
    assert!(stage.passes(4, "/here") && stage.passes(5, "/here"));
    assert!(!stage.passes(6, "/here"));
}

#[test]
fn a_rule_that_has_not_counted_it_may_refuse_it_after_a_redirect() {
    let mut stage = Stage::new(FOUR);
    assert!(stage.passes(1, "/there") && stage.passes(2, "/there"));
    let first = stage.begin(3, "/here");
    let second = stage.redirect(first, "/there");
    assert_eq!(second.flow, Flow::Stop);
    assert_eq!(stage.counter("all.admitted"), 3);
}

#[test]
fn several_redirects_count_once() {
    let mut stage = Stage::new(FOUR);
    let mut last = stage.begin(1, "/1");
    for path in ["/2", "/3", "/4", "/5", "/6"] {
        last = stage.redirect(last, path);
        assert_eq!(last.flow, Flow::Continue);
    }
    let remaining = stage.respond(&mut last.exchange);
    // As it was told when it was counted.
    assert_eq!(remaining.as_deref(), Some("3"));
}

/// Only what has ended without a response is redirected, and only at once.
#[test]
fn another_request_does_not_pass_for_a_redirected_one() {
    let mut stage = Stage::new(FOUR);
    // The client went away.
    let mut gone = stage.begin(1, "/").exchange;
    stage.end(&mut gone);
    assert!(stage.passes(2, "/"));
    assert_eq!(stage.counter("all.admitted"), 2);
    // It is forgotten by then, even for one that began in the same nanosecond.
    let mut gone = stage.begin(3, "/").exchange;
    stage.end(&mut gone);
    assert!(stage.passes(4, "/"));
    assert!(!stage.passes(3, "/"));
    // One that had a response is over.
    let mut stage = Stage::new(FOUR);
    assert!(stage.passes(1, "/") && stage.passes(1, "/"));
    assert_eq!(stage.counter("all.admitted"), 2);
}

#[test]
fn a_rule_in_shadow_mode_counts_once_and_its_places_are_held_again() {
    let spec = r#"{"rateLimit":{"local":{"rules":[
        {"name":"all","shared":true,"shadowMode":true,"limit":{"requests":1,"unit":"Hour"},
         "concurrency":{"max":1}}]}}}"#;
    let mut stage = Stage::new(spec);
    let first = stage.begin(1, "/");
    let mut second = stage.redirect(first, "/");
    assert_eq!(stage.counter("all.admitted"), 1);
    assert_eq!(stage.counter("all.shadow_limited"), 0);
    // It is still in flight.
    assert!(stage.passes(2, "/"));
    assert_eq!(stage.counter("all.concurrency_limited"), 1);
    stage.respond(&mut second.exchange);
    assert!(stage.worker.is_idle());
}

#[test]
fn faults_are_sampled_once() {
    let spec = r#"{"faultInjection":{"abort":{"httpStatus":503,"percentage":50}}}"#;
    let mut stage = Stage::new(spec);
    let (mut aborted, mut passed) = (0, 0);
    for request in 1..=200 {
        let first = stage.begin(request, "/");
        if first.flow == Flow::Stop {
            aborted += 1;
            continue;
        }
        let mut last = first;
        for _ in 0..5 {
            last = stage.redirect(last, "/");
            assert_eq!(last.flow, Flow::Continue, "request {request}");
        }
        stage.respond(&mut last.exchange);
        passed += 1;
    }
    assert!(aborted > 50 && passed > 50, "{aborted} and {passed}");
}
