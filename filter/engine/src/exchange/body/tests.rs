//! Bodies event by event.

mod account;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use btp_policy::PluginConfig;

use super::*;
use crate::exchange::Exchange;
use crate::plan::Plan;
use crate::testing::FakeHost;
use crate::testing::feed;
use crate::worker::Worker;

const SECOND: u64 = 1_000_000_000;

fn plan(spec: &str) -> Plan {
    let text = format!(
        r#"{{"policies":[{{"metadata":{{"name":"p"}},"spec":{spec}}}],
            "allowOnHeadersStopIteration":true}}"#
    );
    Plan::compile(PluginConfig::parse(text.as_bytes()).unwrap())
}

/// One exchange in a test's hand.
struct Client<'a> {
    plan: &'a Plan,
    worker: Worker,
    host: FakeHost,
    exchange: Exchange,
    out: Vec<Action>,
}

impl<'a> Client<'a> {
    fn new(plan: &'a Plan, headers: &[(&str, &str)]) -> Self {
        let mut host = FakeHost::default();
        host.request_headers = to_headers(headers);
        Self {
            plan,
            worker: Worker::new(plan),
            host,
            exchange: Exchange::default(),
            out: Vec::new(),
        }
    }

    fn headers(&mut self) -> Flow {
        let (worker, host) = (&mut self.worker, &mut self.host);
        feed(self.plan, worker, host, &mut self.out, |cx| {
            self.exchange.request_headers(cx, false)
        })
    }

    fn body(&mut self, received: u64, end: bool) -> Flow {
        let (worker, host) = (&mut self.worker, &mut self.host);
        feed(self.plan, worker, host, &mut self.out, |cx| {
            self.exchange.request_body(cx, received, end)
        })
    }

    fn answer(&mut self, status: &str) -> Flow {
        self.host.response_headers = to_headers(&[(":status", status)]);
        let (worker, host) = (&mut self.worker, &mut self.host);
        feed(self.plan, worker, host, &mut self.out, |cx| {
            self.exchange.response_headers(cx, false)
        })
    }

    fn timer(&mut self, now: u64) -> Flow {
        self.host.now_ns = now;
        let (worker, host) = (&mut self.worker, &mut self.host);
        feed(self.plan, worker, host, &mut self.out, |cx| {
            self.exchange.timer(cx)
        })
    }

    fn done(&mut self) {
        let (worker, host) = (&mut self.worker, &mut self.host);
        feed(self.plan, worker, host, &mut self.out, |cx| {
            self.exchange.done(cx)
        });
    }

    fn reply(&mut self) -> Option<u16> {
        let status = |action: &Action| match action {
            Action::Reply(reply) => Some(reply.status),
            _ => None,
        };
        self.out.drain(..).filter_map(|it| status(&it)).next()
    }

    /// Why there is a reply in gRPC's format, and its status.
    fn grpc_reply(&mut self) -> Option<(&'static str, u8)> {
        let told = |action: Action| match action {
            Action::ReplyInstead(reply) => Some((reply.details, reply.grpc_status?)),
            _ => None,
        };
        self.out.drain(..).filter_map(told).next()
    }

    fn wakes_at(&self) -> Option<u64> {
        self.exchange.wakes_at()
    }
}

fn to_headers(headers: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
    headers.iter().map(own).collect()
}

#[test]
fn a_buffered_body_gets_a_length_if_it_has_none() {
    let plan = plan(r#"{"requestBuffer":{"limit":100}}"#);
    let mut client = Client::new(&plan, &[]);
    assert_eq!(client.headers(), Flow::HoldHeaders);
    assert_eq!(client.body(40, false), Flow::HoldHeaders);
    client.out.clear();
    assert_eq!(client.body(50, true), Flow::Continue);
    assert_eq!(client.out, [Action::SetRequestLength(90)]);

    let mut client = Client::new(&plan, &[("content-length", "90")]);
    assert_eq!(client.headers(), Flow::HoldHeaders);
    client.out.clear();
    assert_eq!(client.body(90, true), Flow::Continue);
    assert!(client.out.is_empty());
}

#[test]
fn a_request_without_a_body_is_not_even_looked_at() {
    let plan = plan(r#"{"requestBuffer":{"limit":100}}"#);
    let mut host = FakeHost::default();
    let mut out = Vec::new();
    let flow = feed(&plan, &mut Worker::new(&plan), &mut host, &mut out, |cx| {
        Exchange::default().request_headers(cx, true)
    });
    assert_eq!(flow, Flow::Continue);
    assert_eq!((host.lookups.get(), out.capacity()), (0, 0));
}

#[test]
fn a_delay_and_a_body_end_in_any_order() {
    let plan = plan(
        r#"{"requestBuffer":{"limit":100},
            "faultInjection":{"delay":{"fixedDelay":"1s"}}}"#,
    );
    let mut client = Client::new(&plan, &[]);
    assert_eq!(client.headers(), Flow::HoldHeaders);
    assert_eq!(client.body(10, true), Flow::HoldHeaders);
    assert_eq!(client.wakes_at(), Some(SECOND));
    assert_eq!(client.timer(SECOND), Flow::Continue);

    let mut client = Client::new(&plan, &[]);
    assert_eq!(client.headers(), Flow::HoldHeaders);
    assert_eq!(client.body(10, false), Flow::HoldHeaders);
    assert_eq!(client.timer(SECOND), Flow::HoldHeaders);
    assert_eq!(client.body(20, true), Flow::Continue);

    // What does not fit is refused in the delay already.
    let mut client = Client::new(&plan, &[]);
    assert_eq!(client.headers(), Flow::HoldHeaders);
    assert_eq!(client.body(101, false), Flow::Stop);
    assert_eq!(client.reply(), Some(413));
}

#[test]
fn chunks_do_not_move_the_timer_and_the_timer_sees_how_far_it_came() {
    let spec = r#"{"requestBuffer":{"limit":1000000,
        "minDataRate":{"bytesPerSecond":100,"gracePeriod":"2s"}}}"#;
    let plan = plan(spec);
    let mut client = Client::new(&plan, &[]);
    assert_eq!(client.headers(), Flow::HoldHeaders);
    assert_eq!(client.wakes_at(), Some(2 * SECOND));
    for _ in 0..3 {
        assert_eq!(client.body(100, false), Flow::HoldHeaders);
        assert_eq!(client.wakes_at(), Some(2 * SECOND));
    }
    assert_eq!(client.timer(2 * SECOND), Flow::HoldHeaders);
    assert_eq!(client.wakes_at(), Some(5 * SECOND));
    assert_eq!(client.timer(5 * SECOND), Flow::Stop);
    assert_eq!(client.reply(), Some(408));
    assert_eq!(client.body(100, true), Flow::Stop);
}

#[test]
fn what_an_adapter_refuses_is_answered_as_the_policy_says() {
    let refusal = Arc::new(Reply {
        status: 500,
        headers: Vec::new(),
        body: String::new(),
        grpc_status: None,
        details: "unable",
    });
    let plan = plan(
        r#"{"requestBuffer":{"limit":100,"maxTotal":1000},
            "faultInjection":{"delay":{"fixedDelay":"1s"}}}"#,
    );
    let mut client = Client::new(&plan, &[("content-length", "60")]);
    assert_eq!(client.headers(), Flow::HoldHeaders);
    let refuse = |client: &mut Client<'_>| {
        let (worker, host) = (&mut client.worker, &mut client.host);
        feed(&plan, worker, host, &mut client.out, |cx| {
            client.exchange.refuse(cx, &refusal)
        })
    };
    // It waits for something else.
    assert!(client.exchange.awaited_body(&plan).is_none());
    assert_eq!(refuse(&mut client), Flow::Continue);
    assert_eq!(client.reply(), None);

    assert_eq!(client.timer(SECOND), Flow::HoldHeaders);
    let awaited = client.exchange.awaited_body(&plan).unwrap();
    assert_eq!((awaited.since, &*awaited.policy.policy), (SECOND, "p"));
    assert!(client.worker.wakes_at().is_some());
    assert_eq!(refuse(&mut client), Flow::Stop);
    assert_eq!(client.reply(), Some(500));
    assert!(client.worker.is_idle());
    assert!(client.exchange.awaited_body(&plan).is_none());
    assert_eq!(refuse(&mut client), Flow::Continue);
    assert_eq!(client.reply(), None);
}

#[test]
fn envoys_own_413_is_an_overflow() {
    let plan = plan(r#"{"requestBuffer":{"limit":100}}"#);
    for (status, complaints) in [("413", 1), ("504", 0)] {
        let mut client = Client::new(&plan, &[]);
        assert_eq!(client.headers(), Flow::HoldHeaders);
        assert_eq!(client.body(10, false), Flow::HoldHeaders);
        client.out.clear();
        client.host.response_headers = to_headers(&[(":status", status)]);
        let (worker, host) = (&mut client.worker, &mut client.host);
        let flow = feed(&plan, worker, host, &mut client.out, |cx| {
            client.exchange.response_headers(cx, true)
        });
        assert_eq!(flow, Flow::Continue);
        let told = client.out.iter().filter(|it| matches!(it, Action::Log(_)));
        assert_eq!(told.count(), complaints);
        assert_eq!(client.body(20, false), Flow::Stop);
    }
}

#[test]
fn a_stream_is_reset_once_the_response_has_begun() {
    let plan = plan(r#"{"requestBuffer":{"limit":100,"mode":"Stream"}}"#);
    let mut client = Client::new(&plan, &[]);
    assert_eq!(client.headers(), Flow::Continue);
    assert_eq!(client.body(60, false), Flow::Continue);
    client.host.response_headers = to_headers(&[(":status", "200")]);
    let (worker, host) = (&mut client.worker, &mut client.host);
    let flow = feed(&plan, worker, host, &mut client.out, |cx| {
        client.exchange.response_headers(cx, false)
    });
    assert_eq!(flow, Flow::Continue);
    client.out.clear();
    assert_eq!(client.body(41, false), Flow::Stop);
    assert!(client.out.contains(&Action::Reset));
    client.done();
}

const SHIELD: &str = r#"{"requestBuffer":{"limit":1000,"maxTotal":1000,
    "minDataRate":{"bytesPerSecond":100,"gracePeriod":"2s"},"maxDuration":"8s"}}"#;

/// A tunnel that the upstream has not accepted is no way around the limit, be
/// its body declared or not.
#[test]
fn a_body_behind_an_upgrade_counts_until_it_is_accepted() {
    const UPGRADE: (&str, &str) = ("upgrade", "websocket");
    const CONNECT: (&str, &str) = (":method", "CONNECT");
    for mode in ["Buffer", "Stream"] {
        let plan = plan(&format!(
            r#"{{"requestBuffer":{{"limit":1000,"mode":"{mode}"}}}}"#
        ));
        for (asked, accepted, refused) in [(UPGRADE, "101", "200"), (CONNECT, "200", "101")] {
            let mut client = Client::new(&plan, &[asked]);
            assert_eq!(client.headers(), Flow::Continue, "nothing is held back");
            assert_eq!(client.body(600, false), Flow::Continue);
            assert_eq!(client.body(401, false), Flow::Stop);
            assert_eq!(client.reply(), Some(413));

            let mut client = Client::new(&plan, &[asked]);
            assert_eq!(client.headers(), Flow::Continue);
            assert_eq!(client.answer(accepted), Flow::Continue);
            assert_eq!(client.body(5_000, false), Flow::Continue);

            let mut client = Client::new(&plan, &[asked]);
            assert_eq!(client.headers(), Flow::Continue);
            assert_eq!(client.answer(refused), Flow::Continue);
            assert_eq!(client.body(1_001, false), Flow::Stop);
            assert!(client.out.contains(&Action::Reset));

            let mut client = Client::new(&plan, &[asked, ("content-length", "1001")]);
            assert_eq!(client.headers(), Flow::Stop);
            assert_eq!(client.reply(), Some(413));
        }
    }
}

/// The clock runs for a body that is declared: the upstream may wait for it.
#[test]
fn a_declared_body_behind_an_upgrade_has_its_time_and_its_room() {
    let plan = plan(SHIELD);
    let declared = [("upgrade", "x"), ("content-length", "1000")];
    let mut client = Client::new(&plan, &declared);
    assert_eq!(client.headers(), Flow::Continue);
    assert_eq!(client.wakes_at(), Some(2 * SECOND));
    // All the room is taken.
    let mut other = Client::new(&plan, &declared);
    std::mem::swap(&mut other.host, &mut client.host);
    assert_eq!(other.headers(), Flow::Stop);
    assert_eq!(other.reply(), Some(503));
    std::mem::swap(&mut other.host, &mut client.host);

    assert_eq!(client.body(200, false), Flow::Continue);
    assert_eq!(client.wakes_at(), Some(2 * SECOND));
    // It is in time so far; nothing is let go that was not held.
    assert_eq!(client.timer(2 * SECOND), Flow::HoldHeaders);
    assert_eq!(client.wakes_at(), Some(4 * SECOND));
    assert_eq!(client.timer(4 * SECOND), Flow::Stop);
    assert_eq!(client.reply(), Some(408));

    // Who has sent all waits for nobody but the upstream.
    let mut client = Client::new(&plan, &declared);
    assert_eq!(client.headers(), Flow::Continue);
    assert_eq!(client.body(1_000, false), Flow::Continue);
    assert_eq!(client.timer(2 * SECOND), Flow::HoldHeaders);
    client.out.clear();
    assert_eq!(client.timer(9 * SECOND), Flow::HoldHeaders);
    assert_eq!(client.reply(), None);

    // Once there is an answer, no time is over any more.
    let mut client = Client::new(&plan, &declared);
    assert_eq!(client.headers(), Flow::Continue);
    client.out.clear();
    assert_eq!(client.answer("200"), Flow::Continue);
    assert_eq!(client.wakes_at(), None);

    // Nobody knows when a tunnel's first bytes are due.
    let mut client = Client::new(&plan, &[("upgrade", "websocket")]);
    assert_eq!(client.headers(), Flow::Continue);
    assert_eq!(client.wakes_at(), None);
}

/// S6: a content type alone ends neither the timeouts nor the room.
#[test]
fn what_only_says_grpc_is_buffered_like_the_rest() {
    let plan = plan(SHIELD);
    for (method, protocol, length, held) in [
        ("POST", "HTTP/1.1", None, true),
        ("PUT", "HTTP/2", None, true),
        ("post", "HTTP/2", None, true),
        ("POST", "HTTP/2", Some("500"), true),
        ("POST", "HTTP/2", None, false),
        ("POST", "HTTP/3", None, false),
    ] {
        let mut headers = vec![("content-type", "application/grpc"), (":method", method)];
        headers.extend(length.map(|length| ("content-length", length)));
        let mut client = Client::new(&plan, &headers);
        client.host.protocol = Some(protocol);
        let flow = client.headers();
        assert_eq!(flow == Flow::HoldHeaders, held, "{method} {protocol}");
        if held {
            assert_eq!(client.timer(2 * SECOND), Flow::Stop);
            assert_eq!(client.grpc_reply(), Some(("btp_body_timeout", 8)));
        }
    }
}

#[test]
fn calls_are_buffered_where_the_policy_says_so() {
    let plan = plan(
        r#"{"requestBuffer":{"limit":1000,"gatherGrpc":true,
            "minDataRate":{"bytesPerSecond":100,"gracePeriod":"2s"}}}"#,
    );
    let headers = [("content-type", "application/grpc"), (":method", "POST")];
    let mut client = Client::new(&plan, &headers);
    client.host.protocol = Some("HTTP/2");
    assert_eq!(client.headers(), Flow::HoldHeaders);
    assert_eq!(client.body(100, false), Flow::HoldHeaders);
    assert_eq!(client.body(100, true), Flow::Continue);
}
