//! Envoy's trace of the calls between it and a VM (`/logging?wasm=trace`): each call in
//! either direction has a line where it begins and one where it ends.

/// A line of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The number of the thread: each worker has a VM of its own.
    pub thread: &'a str,
    /// What it says.
    pub step: Step<'a>,
}

/// What happens between Envoy and a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Envoy calls the VM.
    Enters(Call<'a>),
    /// The VM returns this, or `void`.
    Leaves(&'a str),
    /// The VM calls Envoy.
    Calls(Call<'a>),
    /// Envoy returns this.
    Answers(&'a str),
}

/// A function, and what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// Without the module that it is imported from.
    pub name: &'a str,
    arguments: &'a str,
}

impl<'a> Call<'a> {
    /// All of them are numbers.
    pub fn arguments(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let arguments = self.arguments.split(", ");
        arguments.filter(|argument| !argument.is_empty())
    }

    fn read(text: &'a str) -> Self {
        let (name, arguments) = text.split_once('(').unwrap_or((text, ""));
        Self {
            name: name.rsplit('.').next().unwrap_or(name),
            arguments: arguments.trim_end_matches(')'),
        }
    }
}

/// The lines of a log that belong to the trace.
pub fn lines(log: &str) -> impl Iterator<Item = Line<'_>> {
    log.lines().filter_map(read)
}

fn read(line: &str) -> Option<Line<'_>> {
    let thread = line.split(['[', ']']).nth(3)?;
    let after = |mark| Some(line.split_once(mark)?.1);
    let result = |text: &'static str| Some(after(text)?.rsplit_once(" return: ")?.1);
    let step = if let Some(call) = after("[host->vm] ") {
        Step::Enters(Call::read(call))
    } else if let Some(call) = after("[vm->host] ") {
        Step::Calls(Call::read(call))
    } else if let Some(result) = result("[host<-vm] ") {
        Step::Leaves(result)
    } else {
        Step::Answers(result("[vm<-host] ")?)
    };
    Some(Line { thread, step })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "[2026-11-29 10:54:51.865][12][trace][wasm] \
                        [source/extensions/common/wasm/wasm_vm.cc:39]";

    #[test]
    fn both_directions_and_both_ends_of_a_call_are_read() {
        let log = [
            "[host->vm] proxy_on_request_headers(7, 6, 1)",
            "[vm->host] env.proxy_get_property(1065589, 14, 1047336, 1047340)",
            "[vm<-host] env.proxy_get_property return: 0",
            "[host<-vm] proxy_on_context_create return: void",
            "something else",
        ]
        .map(|text| format!("{HEAD} {text}\n"))
        .concat();
        let found: Vec<Line<'_>> = lines(&log).collect();
        assert!(found.iter().all(|line| line.thread == "12"));
        let steps: Vec<Step<'_>> = found.iter().map(|line| line.step).collect();
        let [
            Step::Enters(entry),
            Step::Calls(call),
            Step::Answers(status),
            Step::Leaves(result),
        ] = steps[..]
        else {
            panic!("{steps:?}");
        };
        assert_eq!(entry.name, "proxy_on_request_headers");
        assert_eq!(entry.arguments().collect::<Vec<_>>(), ["7", "6", "1"]);
        assert_eq!(call.name, "proxy_get_property");
        assert_eq!(call.arguments().nth(1), Some("14"));
        assert_eq!((status, result), ("0", "void"));
    }

    #[test]
    fn a_call_may_be_given_nothing() {
        let log = format!("{HEAD} [host->vm] _initialize()\n");
        let Some(Step::Enters(call)) = lines(&log).next().map(|line| line.step) else {
            panic!("no entry");
        };
        assert_eq!((call.name, call.arguments().count()), ("_initialize", 0));
    }
}
