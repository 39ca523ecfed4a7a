//! A million distinct clients take no more memory than the table and the overflow cells,
//! and each still has its own limit. An allocator counts, on a host whose workers share
//! real memory, as the module's do.

// The threads of that host do not exist in WebAssembly.
#![cfg(not(target_arch = "wasm32"))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use btp_engine::testing::{ThreadedHost, WorkerHost};
use btp_engine::{Action, Context, Exchange, Flow, Ledger, Plan, Worker};
use btp_policy::PluginConfig;

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all is done by the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        NOW.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const KEYS: usize = 1_000_000;
const YEAR_NS: u64 = 365 * 86_400 * 1_000_000_000;

/// What the documentation says of the default table: 4 MiB, and up to 11 MiB of cells
/// for the rule (docs/reference/rate-limit.md).
const MOST: usize = 15 << 20;

/// One worker, and what it needs to judge a request.
struct Client<'a> {
    plan: &'a Plan,
    worker: Worker,
    ledger: Ledger,
    host: WorkerHost<'a, false>,
    actions: Vec<Action>,
}

impl Client<'_> {
    /// Whether a request with this key passes.
    fn passes(&mut self, key: &str) -> bool {
        let header = ("x-user".to_owned(), key.as_bytes().to_vec());
        self.host.exchange.request_headers = vec![header];
        let mut exchange = Exchange::default();
        let cx = &mut Context::new(
            self.plan,
            &mut self.worker,
            &mut self.ledger,
            &mut self.host,
            &mut self.actions,
        );
        let passes = exchange.request_headers(cx, true) == Flow::Continue;
        exchange.done(cx);
        self.actions.clear();
        passes
    }
}

#[test]
fn a_million_keys_take_fixed_memory() {
    let text = r#"{"policies":[{"metadata":{"name":"p"},"spec":{"rateLimit":{"local":{"rules":[{
        "clientSelectors":[{"headers":[{"name":"x-user","type":"Distinct"}]}],
        "limit":{"requests":100,"unit":"Year"}}]}}}}]}"#;
    let plan = Plan::compile(PluginConfig::parse(text.as_bytes()).unwrap());
    let shared = ThreadedHost::of(&plan);
    shared.now_ns.store(YEAR_NS, Ordering::SeqCst);
    let mut client = Client {
        worker: Worker::new(&plan),
        plan: &plan,
        ledger: Ledger::default(),
        host: shared.worker(1),
        actions: Vec::new(),
    };
    let before = NOW.load(Ordering::Relaxed);
    let taken = || NOW.load(Ordering::Relaxed).saturating_sub(before);
    for _ in 0..100 {
        assert!(client.passes("busy"));
    }
    assert!(!client.passes("busy"));
    let mut passed = 0;
    let mut half = 0;
    for key in 0..KEYS {
        passed += usize::from(client.passes(&format!("key-{key}")));
        if key == KEYS / 2 {
            half = taken();
        }
    }
    let whole = taken();
    println!("{half} bytes for half of the keys, {whole} for all; {passed} passed");
    assert!(whole <= MOST, "{whole} bytes");
    // Nothing grows with the keys once the table is full.
    assert!(whole <= half + half / 100, "{half} bytes, then {whole}");
    // Nobody is forgotten, however many come after.
    assert!(!client.passes("busy"));
    // Who is new may find his cells used up by others, but hardly anybody does.
    assert!(passed > KEYS * 99 / 100, "{passed}");
}
