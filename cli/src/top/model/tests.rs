//! Keys, and what they leave of a view.

use std::time::Duration;

use super::*;
use crate::top::reading::Reading;

/// Three limits: of `slow` few requests, of `busy` many, of `hard` many are refused;
/// and a budget.
fn view() -> View {
    let before = Reading::of(&[("wasmcustom.btp.n.slow.rate_limit.r.admitted", 1000)]);
    let mut now = Reading::of(&[
        ("wasmcustom.btp.n.slow.rate_limit.r.admitted", 1001),
        ("wasmcustom.btp.n.busy.rate_limit.per-hour.admitted", 90),
        ("wasmcustom.btp.n.hard.rate_limit.r.limited", 50),
        (
            "wasmcustom.btp.n.busy.btp_route.api.retry_budget_requests",
            5,
        ),
    ]);
    now.at = before.at + Duration::from_secs(1);
    View::between(Some(&before), &now)
}

fn model() -> Model {
    let mut model = Model::default();
    model.show(view());
    model
}

fn shown(model: &Model) -> String {
    let policies = model.rows(Pane::Rules).map(|it| it.owner.policy.as_str());
    policies.collect::<Vec<_>>().join(" ")
}

fn press(model: &mut Model, keys: &str) {
    for key in keys.chars() {
        assert_eq!(model.press(Key::Char(key)), Next::Go, "{key}");
    }
}

#[test]
fn keys_choose_the_order() {
    let mut model = model();
    assert_eq!(shown(&model), "busy hard slow");
    for (keys, sort, order) in [
        ("t", Sort::Decisions, "slow busy hard"),
        ("t", Sort::Decisions, "busy hard slow"),
        ("ss", Sort::Refused, "hard busy slow"),
        ("r", Sort::Refused, "busy slow hard"),
        ("rSSS", Sort::Policy, "busy hard slow"),
        ("r", Sort::Policy, "slow hard busy"),
        ("rs", Sort::Decisions, "busy hard slow"),
    ] {
        press(&mut model, keys);
        assert_eq!(
            (model.sort, shown(&model).as_str()),
            (sort, order),
            "{keys}"
        );
    }
}

#[test]
fn a_filter_is_typed_and_cleared() {
    let mut model = model();
    press(&mut model, "/HOUR bu");
    assert_eq!((model.mode, shown(&model).as_str()), (Mode::Filter, "busy"));
    press(&mut model, "q");
    assert_eq!(shown(&model), "");
    model.press(Key::Backspace);
    model.press(Key::Enter);
    assert_eq!((model.mode, shown(&model).as_str()), (Mode::Watch, "busy"));
    model.press(Key::Escape);
    assert_eq!(shown(&model), "busy hard slow");
    press(&mut model, "/api");
    assert_eq!((model.len(Pane::Rules), model.len(Pane::Budgets)), (0, 1));
    model.press(Key::Escape);
    assert_eq!((model.mode, model.len(Pane::Rules)), (Mode::Watch, 3));
}

#[test]
fn what_has_no_room_is_scrolled_to() {
    let mut model = model();
    model.fit(Pane::Rules, 2);
    let first = |model: &Model| {
        model
            .visible(Pane::Rules)
            .next()
            .unwrap()
            .owner
            .policy
            .clone()
    };
    for (key, policy, above) in [
        (Key::Down, "hard", 1),
        (Key::Down, "hard", 1),
        (Key::Home, "busy", 0),
        (Key::PageDown, "hard", 1),
        (Key::Up, "busy", 0),
        (Key::End, "hard", 1),
    ] {
        model.press(key);
        assert_eq!(
            (first(&model).as_str(), model.above(Pane::Rules)),
            (policy, above)
        );
    }
    // A larger window, and rows that are gone.
    model.fit(Pane::Rules, 10);
    assert_eq!(model.visible(Pane::Rules).count(), 3);
    model.press(Key::Tab);
    assert_eq!(model.focus, Pane::Budgets);
    model.press(Key::End);
    assert_eq!(model.above(Pane::Rules), 0);
}

#[test]
fn a_pause_keeps_what_is_shown() {
    let mut model = model();
    press(&mut model, "p");
    model.show(View::between(None, &Reading::of(&[])));
    assert_eq!(model.len(Pane::Rules), 3);
    press(&mut model, "p");
    model.show(View::between(None, &Reading::of(&[])));
    assert_eq!(model.len(Pane::Rules), 0);
}

#[test]
fn some_keys_lead_away() {
    let mut model = model();
    press(&mut model, "?");
    assert_eq!(model.mode, Mode::Help);
    press(&mut model, "q");
    assert_eq!(model.mode, Mode::Watch);
    assert_eq!(model.press(Key::Char('q')), Next::Quit);
    assert_eq!(model.press(Key::Suspend), Next::Suspend);
    press(&mut model, "/");
    assert_eq!(model.press(Key::Interrupt), Next::Quit);
}
