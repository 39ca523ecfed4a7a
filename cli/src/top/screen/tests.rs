//! Screens as they are drawn.

use proptest::prelude::*;
use ratatui_core::backend::TestBackend;
use ratatui_core::terminal::Terminal;

use super::*;
use crate::top::model::Key;
use crate::top::sample;
use crate::top::view::View;

const WIDE: &str = "\
Envoy 1.40.0 at 127.0.0.1:9901: live, up 1h2m, 2 workers
policies are in force on all 2 workers
141 decisions/s over 1.0 s; .wasm, with 4.0 MiB in the largest VM and 7.0 MiB in all

POLICY             CAPABILITY        RULE        PASSED/s  REFUSED/s  SHADOW/s  DELAYED/s  REPLACED/s  NOW
default/api-limit  rateLimit         per-client       120        3.0                  2.0              7 in flight
shop/slow          faultInjection                                                     9.0              2 waiting
default/api-limit  rateLimit         trial              0                  5.0
shop/pages         responseOverride  (all)                                                        4.0
shop/pages         responseOverride  0                                                            4.0



POLICY          RETRY BUDGET    REQUESTS/s  RETRIES/s  REFUSED/s  BALANCE
shop/orders.v1  route checkout         120        6.0        1.0        3
by decisions  |  q quit  s sort  r reverse  / filter  t totals  p pause  Tab table  ? help
";

const NARROW: &str = "\
Envoy 1.40.0 at 127.0.0.1:9901: live, up
1h2m, 2 workers
policies are in force on all 2 workers
141 decisions/s over 1.0 s; .wasm, with 4.0
MiB in the largest VM and 7.0 MiB in all

POLICY         RULE      PASSED/s  REFUSED/s
default/api-…  per-cli…       120        3.0
shop/slow
default/api-…  trial            0
shop/pages     (all)
shop/pages     0



POLICY          RETRY BUDGET    REFUSED/s
shop/orders.v1  route checkout        1.0
by decisions  |  q quit  s sort  r reverse …
";

/// What is on a screen of this size, without its colours.
fn shown(model: &mut Model, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("in memory");
    let address = "127.0.0.1:9901".parse().expect("an address");
    let look = Look { has_colours: true };
    let draw = |frame: &mut ratatui_core::terminal::Frame<'_>| {
        draw(frame.buffer_mut(), model, &address, look, Instant::now());
    };
    terminal.draw(draw).expect("in memory");
    let buffer = terminal.backend().buffer();
    let lines = buffer.content().chunks(usize::from(width.max(1)));
    let lines = lines.map(|line| {
        let text: String = line.iter().map(|it| it.symbol()).collect();
        format!("{}\n", text.trim_end())
    });
    lines.collect()
}

fn model(view: View) -> Model {
    let mut model = Model::default();
    model.show(view);
    model
}

#[test]
fn a_screen_has_the_head_both_tables_and_the_keys() {
    let screen = shown(&mut model(sample::view()), 120, 16);
    assert!(screen == WIDE, "{screen}");
}

#[test]
fn a_narrow_screen_has_what_says_most() {
    let screen = shown(&mut model(sample::view()), 44, 18);
    assert!(screen == NARROW, "{screen}");
}

#[test]
fn keys_change_what_is_shown() {
    let mut model = model(sample::view());
    for key in "/api zz".chars() {
        model.press(Key::Char(key));
    }
    let screen = shown(&mut model, 80, 14);
    assert!(screen.contains("no name contains this text"), "{screen}");
    assert!(screen.contains("filter: api zz"), "{screen}");
    model.press(Key::Escape);
    model.press(Key::Char('?'));
    let screen = shown(&mut model, 80, 30);
    assert!(screen.contains("s, S           sort by"), "{screen}");
    model.press(Key::Enter);
    model.press(Key::Char('p'));
    model.trouble = Some(("gone".to_owned(), Instant::now()));
    let screen = shown(&mut model, 80, 14);
    assert!(screen.contains("PAUSED"), "{screen}");
    assert!(screen.contains("what is shown is 0s old: gone"), "{screen}");
}

#[test]
fn only_what_has_room_is_drawn_of_many_rules() {
    let names: Vec<String> = (0..10_000)
        .map(|number| format!("wasmcustom.btp.n.many.rate_limit.r{number}.admitted"))
        .collect();
    let rules: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let mut model = model(sample::with(&rules));
    model.press(Key::End);
    let begun = Instant::now();
    for _ in 0..100 {
        let screen = shown(&mut model, 120, 40);
        assert_eq!(screen.lines().count(), 40);
    }
    // Without optimization, on a busy machine. Drawing them all would take minutes.
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_size_and_any_keys_are_fine(
        width in 0..130u16,
        height in 0..40u16,
        keys in "[a-zA-Z/? ]{0,8}",
        route in "(\\PC|\\p{C}|\u{1b}\\[2J){0,12}",
    ) {
        let name = format!("wasmcustom.btp.n.p.btp_route.{route}.retry_budget_requests");
        let mut model = model(sample::with(&[(&name, 1)]));
        for key in keys.chars() {
            model.press(Key::Char(key));
        }
        let screen = shown(&mut model, width, height);
        prop_assert!(!screen.chars().any(|it| it.is_control() && it != '\n'));
    }
}
