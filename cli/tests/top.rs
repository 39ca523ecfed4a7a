//! `btp top` beside an admin interface that a test plays: what it prints, on a terminal of its
//! own and without one, and that it leaves the terminal as it was. Real Envoys are asked in
//! `tests/tests/top.rs`.

mod run;
mod top_support;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use jsonschema::Validator;
use run::btp;
use rustix::process::Signal;
use serde_json::{Value, json};
use top_support::admin::Admin;
use top_support::terminal::Terminal;

const LIMIT: &str = "wasmcustom.btp.default.p.rate_limit.per-minute";

/// Ten more requests pass with each look, and three more are refused.
fn limits(look: u64) -> Value {
    json!([
        {"name": format!("{LIMIT}.admitted"), "value": 10 * look},
        {"name": format!("{LIMIT}.limited"), "value": 3 * look},
        {"name": format!("{LIMIT}.in_flight"), "value": 2},
        {"name": "wasmcustom.btp.default.p.btp_route.\u{1b}[2J.retry_budget_requests", "value": 1},
        {"name": "text", "value": "not a number"},
        {"histograms": {}},
    ])
}

fn top(admin: &Admin, arguments: &str) -> (i32, String, String) {
    let arguments = format!("top --admin {} {arguments}", admin.address);
    btp(Path::new("."), &arguments)
}

/// The schema on the page.
fn schema() -> Validator {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/command-line.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let schemas = page.split("```json\n").skip(1).map(|it| {
        let (text, _) = it.split_once("```").expect("ends");
        serde_json::from_str::<Value>(text).expect("is JSON")
    });
    let schema = schemas
        .into_iter()
        .find(|it| it["title"] == "What btp top says");
    let schema = schema.expect("is on the page");
    jsonschema::draft202012::meta::validate(&schema).expect("is a schema");
    jsonschema::validator_for(&schema).expect("is a schema")
}

#[test]
fn once_is_a_table_with_rates() {
    let admin = Admin::start(limits);
    let (code, printed, said) = top(&admin, "--once --interval 500ms");
    assert_eq!((code, said.as_str()), (0, ""));
    let line = printed.lines().find(|it| it.contains("per-minute"));
    let line = line.expect("the rule is there");
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(cells[..3], ["default/p", "rateLimit", "per-minute"]);
    // As slow as the machine may be, there are no more.
    for (cell, most) in [(cells[3], 20.0), (cells[4], 6.0)] {
        let rate: f64 = cell.parse().expect("a rate");
        assert!(rate > 0.0 && rate <= most, "{line}");
    }
    assert!(!printed.contains('\u{1b}'), "{printed:?}");
    let (_, totals, _) = top(&admin, "--once --interval 500ms --totals");
    assert!(totals.contains("per-minute      40       12"), "{totals}");
}

#[test]
fn programs_get_objects_as_the_page_says() {
    let schema = schema();
    let admin = Admin::start(limits);
    let (code, printed, _) = top(&admin, "--once --format json --interval 100ms");
    let object: Value = serde_json::from_str(&printed).expect("is JSON");
    let wrong = schema.iter_errors(&object).next();
    assert!(code == 0 && wrong.is_none(), "{wrong:?}\n{printed}");
    assert_eq!(object["rules"][0]["counters"]["limited"]["total"], 6);
    assert_eq!(object["budgets"][0]["route"], "\u{1b}[2J");
    assert!(!printed.contains('\u{1b}'));

    // One a line, until nobody reads any more.
    let mut command = Command::new(env!("CARGO_BIN_EXE_btp"));
    let address = admin.address.to_string();
    command.args([
        "top",
        "--format",
        "json",
        "--interval",
        "100ms",
        "--admin",
        &address,
    ]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("btp runs");
    let lines = BufReader::new(child.stdout.take().expect("is piped")).lines();
    for line in lines.take(3) {
        let object: Value = serde_json::from_str(&line.expect("is text")).expect("is JSON");
        assert!(schema.is_valid(&object), "{object:#}");
    }
    assert!(child.wait().expect("ends").success());
}

#[test]
fn who_is_no_envoy_with_the_filter_is_said() {
    let nothing = Admin::start(|_| json!([{"name": "wasm.wasm_vm_count", "value": 0}]));
    let (code, printed, said) = top(&nothing, "--once --interval 100ms");
    assert_eq!((code, printed.as_str()), (2, ""));
    assert!(
        said.contains("no BackendTrafficPolicy filter has counted anything yet"),
        "{said}"
    );

    let other = Admin::start(|_| json!({"an": "object"}));
    let (code, _, said) = top(&other, "--once --interval 100ms");
    assert!(
        code == 2 && said.contains("is not the admin interface of an Envoy: its answer to /stats"),
        "{said}"
    );

    // Nobody has this port any more.
    let gone = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("bound");
    let (code, _, said) = btp(Path::new("."), &format!("top --admin {gone}"));
    assert!(
        code == 2 && said.contains("cannot be reached: Connection refused"),
        "{said}"
    );

    let (code, _, said) = btp(Path::new("."), "top --admin localhost --once");
    assert!(code == 2 && said.contains("has no port"), "{said}");
    let (code, _, said) = btp(Path::new("."), "top --admin localhost:1 --interval 1ms");
    assert!(code == 2 && said.contains("from 100ms to 1h"), "{said}");
}

#[test]
fn an_admin_interface_may_have_an_ipv6_address() {
    let Some(admin) = Admin::start_at("[::1]:0", limits) else {
        // A machine without IPv6.
        return;
    };
    let (code, printed, _) = top(&admin, "--once --interval 100ms");
    assert!(code == 0 && printed.contains("at [::1]:"), "{printed}");
}

#[test]
fn without_a_terminal_there_is_one_table() {
    let admin = Admin::start(limits);
    let (code, printed, said) = top(&admin, "--interval 100ms");
    assert!(code == 0 && printed.contains("per-minute"), "{printed}");
    assert!(said.contains("stdout is not a terminal"), "{said}");

    let terminal = Terminal::start(&admin, &["--interval", "100ms"], &[("TERM", "dumb")]);
    let (status, shown) = terminal.end();
    assert!(status.success() && shown.contains("per-minute"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}

#[test]
fn keys_resizing_and_a_restart_are_heeded_and_the_terminal_is_left_as_it_was() {
    let admin = Admin::start(limits);
    let mut terminal = Terminal::start(&admin, &["--interval", "100ms"], &[]);
    let before = terminal.modes();
    terminal.wait_for("per-minute");
    assert_ne!(terminal.modes(), before, "keys are read one by one");
    for (keys, shown) in [
        ("s", "by passed"),
        ("/", "filter:"),
        ("xyz", "no name contains"),
        ("\u{1b}", "per-minute"),
        ("p", "PAUSED"),
        ("p?", "sort by the next"),
        (" ", "per-minute"),
        ("t", "PASSED  REFUSED"),
    ] {
        terminal.press(keys);
        terminal.wait_for(shown);
    }
    terminal.resize(30, 12);
    terminal.wait_for("…");
    terminal.resize(140, 40);
    terminal.wait_for("? help");
    admin.restart();
    terminal.wait_for("has restarted");
    terminal.press("q");
    terminal.is_restored(&before);
    let (status, shown) = terminal.end();
    assert!(status.success(), "{status}");
    // What a route is called does not clear the screen: its name is there, escaped.
    assert!(shown.contains("\\u{1b}[2J"));
}

#[test]
fn control_c_and_signals_leave_the_terminal_as_it_was() {
    use std::os::unix::process::ExitStatusExt as _;

    let admin = Admin::start(limits);
    let mut terminal = Terminal::start(&admin, &[], &[]);
    let before = terminal.modes();
    terminal.wait_for("per-minute");
    terminal.press("\u{3}");
    terminal.is_restored(&before);
    assert!(terminal.end().0.success());

    let mut terminal = Terminal::start(&admin, &[], &[]);
    let before = terminal.modes();
    terminal.wait_for("per-minute");
    terminal.signal(Signal::TERM);
    terminal.is_restored(&before);
    assert_eq!(terminal.end().0.signal(), Some(15));
}

/// A shell's `fg` shows the view again.
#[test]
fn control_z_stops_it_and_it_goes_on() {
    let admin = Admin::start(limits);
    let mut terminal = Terminal::start(&admin, &["--interval", "100ms"], &[]);
    let before = terminal.modes();
    terminal.wait_for("per-minute");
    terminal.press("\u{1a}");
    terminal.is_stopped();
    terminal.is_restored(&before);
    terminal.signal(Signal::CONT);
    terminal.wait_for("per-minute");
    assert_ne!(terminal.modes(), before);
    terminal.press("q");
    terminal.is_restored(&before);
    assert!(terminal.end().0.success());
}

#[test]
fn an_envoy_that_has_gone_is_waited_for() {
    let admin = Admin::start(limits);
    let mut terminal = Terminal::start(&admin, &["--interval", "100ms"], &[("NO_COLOR", "1")]);
    terminal.wait_for("per-minute");
    admin.set_down(true);
    terminal.wait_for("cannot be reached");
    admin.set_down(false);
    terminal.wait_for_no("cannot be reached");
    terminal.press("q");
    let (status, shown) = terminal.end();
    assert!(status.success());
    // Bold and reversed, without colours.
    assert!(
        !shown.contains("\u{1b}[31m") && !shown.contains("\u{1b}[38;5;"),
        "{shown:?}"
    );
}
