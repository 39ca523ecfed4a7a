//! The two builds of the filter, and what tests run on each.

use clap::ValueEnum;

/// The tests that are about the sandbox alone: `file::name  reason`.
const WASM_ONLY: &str = include_str!("../../tests/wasm-only.txt");

/// A build of the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Build {
    /// It runs in Envoy's sandbox.
    Wasm,
    /// It runs in Envoy's process.
    Module,
}

impl Build {
    /// Both.
    pub(crate) const ALL: &[Build] = &[Build::Wasm, Build::Module];

    /// Its name on the command line and in `$BTP_BUILD`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wasm => "wasm",
            Self::Module => "module",
        }
    }

    /// Whether a file of tests on a real Envoy runs on it. Those about the module alone,
    /// how it is loaded and what the ABI has, are in files of that name.
    pub(crate) fn runs(self, file: &str) -> bool {
        self == Self::Module || !file.starts_with("module_")
    }

    /// The tests on a real Envoy that do not run on it.
    pub(crate) fn left_out(self) -> Vec<&'static str> {
        match self {
            Self::Wasm => Vec::new(),
            Self::Module => names(WASM_ONLY),
        }
    }
}

fn names(list: &'static str) -> Vec<&'static str> {
    let name = |line: &'static str| line.split_once("::")?.1.split_whitespace().next();
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_the_list() {
        let list = "# a::comment  x\n\nfile::one  a reason\nfile::two  another::one\n";
        assert_eq!(names(list), ["one", "two"]);
    }

    #[test]
    fn files_about_the_module_run_on_the_module() {
        for (file, wasm) in [("retry", true), ("module_load", false)] {
            assert_eq!(Build::Wasm.runs(file), wasm);
            assert!(Build::Module.runs(file));
        }
    }

    #[test]
    fn everything_runs_in_the_sandbox_and_nearly_everything_in_envoy() {
        assert!(Build::Wasm.left_out().is_empty());
        assert!(Build::Module.left_out().len() > 10);
    }
}
