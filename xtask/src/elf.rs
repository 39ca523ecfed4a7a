//! Checks of the built dynamic module: a shared object that Envoy can load, that needs
//! nothing else, and that can unwind.
//!
//! Envoy reports little about a module that it cannot load, and nothing before it runs; a
//! module without unwinding tables would end it. So the file is checked here.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use object::elf::{DT_NEEDED, FileHeader64, PT_DYNAMIC, PT_GNU_EH_FRAME, SHT_NOBITS, STT_FUNC};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, Sym};
use object::{Endianness, StringTable};

/// How the names of what Envoy calls begin, and of what it can be asked.
const HOOK: &str = "envoy_dynamic_module_on_";
const CALLBACK: &str = "envoy_dynamic_module_callback_";

/// What Envoy asks of a module with an HTTP filter, without [`HOOK`].
pub(crate) const HOOKS: &[&str] = &[
    "http_filter_config_destroy",
    "http_filter_config_new",
    "http_filter_config_scheduled",
    "http_filter_destroy",
    "http_filter_downstream_above_write_buffer_high_watermark",
    "http_filter_downstream_below_write_buffer_low_watermark",
    "http_filter_http_callout_done",
    "http_filter_http_stream_complete",
    "http_filter_http_stream_data",
    "http_filter_http_stream_headers",
    "http_filter_http_stream_reset",
    "http_filter_http_stream_trailers",
    "http_filter_local_reply",
    "http_filter_new",
    "http_filter_request_body",
    "http_filter_request_headers",
    "http_filter_request_trailers",
    "http_filter_response_body",
    "http_filter_response_headers",
    "http_filter_response_trailers",
    "http_filter_scheduled",
    "http_filter_stream_complete",
    "program_init",
];

/// Libraries that are one with glibc.
const GLIBC: &[&str] = &[
    "ld-linux-aarch64.so.1",
    "ld-linux-x86-64.so.2",
    "libc.so.6",
    "libdl.so.2",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
];

/// What there is to know of a shared object.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedObject {
    /// Functions that it has, and where.
    exports: BTreeMap<String, u64>,
    /// Symbols that it lacks, and the version of glibc that has them.
    undefined: Vec<(String, Option<String>)>,
    /// Libraries that it names.
    needed: Vec<String>,
    /// Where functions begin that can be unwound.
    unwindable: BTreeSet<u64>,
    /// Whether any of them has something to do when it is.
    has_landing_pads: bool,
}

impl SharedObject {
    /// Everything that is wrong with it; `callbacks` are those of the oldest Envoy, as
    /// filter/module/callbacks.txt lists them, `glibc` is the newest version allowed.
    pub(crate) fn faults(&self, callbacks: &str, glibc: &str) -> Vec<String> {
        let callbacks: BTreeSet<&str> = callbacks
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        let mut faults = Vec::new();
        for hook in HOOKS {
            match self.exports.get(&format!("{HOOK}{hook}")) {
                None => faults.push(format!("it does not export {HOOK}{hook}")),
                Some(place) if !self.unwindable.contains(place) => {
                    faults.push(format!("{HOOK}{hook} cannot be unwound"));
                }
                Some(_) => {}
            }
        }
        for name in self.exports.keys() {
            let hook = name.strip_prefix(HOOK);
            if !hook.is_some_and(|it| HOOKS.contains(&it)) {
                faults.push(format!(
                    "it exports {name}, which is no hook that Envoy needs"
                ));
            }
        }
        for (name, version) in &self.undefined {
            if let Some(callback) = name.strip_prefix(CALLBACK) {
                if !callbacks.contains(callback) {
                    faults.push(format!("the oldest Envoy that is supported has no {name}"));
                }
            } else if !version.as_ref().is_some_and(|it| is_within(it, glibc)) {
                let version = version.as_deref().unwrap_or("no version");
                faults.push(format!(
                    "it needs {name} of {version}; glibc {glibc} has none"
                ));
            }
        }
        for library in &self.needed {
            if !GLIBC.contains(&library.as_str()) {
                faults.push(format!("it needs the library {library}"));
            }
        }
        if !self.has_landing_pads {
            faults.push("nothing in it catches a panic: is it built to abort?".to_owned());
        }
        faults
    }

    /// Reads a file.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        let header = FileHeader64::<Endianness>::parse(bytes)
            .context("it is no ELF file for a 64-bit machine")?;
        let endian = header.endian()?;
        let sections = header.sections(endian, bytes)?;
        let symbols = sections.symbols(endian, bytes, object::elf::SHT_DYNSYM)?;
        let versions = sections.versions(endian, bytes)?;
        let mut object = Self::default();
        for (index, symbol) in symbols.enumerate() {
            let name = std::str::from_utf8(symbol.name(endian, symbols.strings())?)?.to_owned();
            if name.is_empty() {
                continue;
            }
            if !symbol.is_undefined(endian) {
                if symbol.st_type() == STT_FUNC {
                    object.exports.insert(name, symbol.st_value(endian));
                }
                continue;
            }
            let version = match &versions {
                Some(table) => table.version(table.version_index(endian, index).index())?,
                None => None,
            };
            let version = version.map(|it| String::from_utf8_lossy(it.name()).into_owned());
            object.undefined.push((name, version));
        }
        let mut dynamic: &[_] = &[];
        for segment in header.program_headers(endian, bytes)? {
            if segment.p_type(endian) == PT_DYNAMIC {
                dynamic = segment.dynamic(endian, bytes)?.unwrap_or_default();
            }
            if segment.p_type(endian) == PT_GNU_EH_FRAME {
                let table = segment
                    .data(endian, bytes)
                    .ok()
                    .context("no unwinding table")?;
                object.unwindable = unwindable(table, segment.p_vaddr(endian))?;
            }
        }
        let strings: StringTable<'_> = symbols.strings();
        for entry in dynamic.iter().filter(|it| it.tag(endian) == DT_NEEDED) {
            let name = entry.string(endian, strings)?;
            object
                .needed
                .push(String::from_utf8_lossy(name).into_owned());
        }
        let landing_pads = sections.section_by_name(endian, b".gcc_except_table");
        object.has_landing_pads = landing_pads.is_some_and(|(_, section)| {
            section.sh_type(endian) != SHT_NOBITS && section.sh_size(endian) > 0
        });
        Ok(object)
    }
}

/// The functions of an `.eh_frame_hdr`, as all linkers write it: a sorted table of
/// pairs, each of 32 bits and relative to the header itself.
fn unwindable(table: &[u8], place: u64) -> Result<BTreeSet<u64>> {
    const HEAD: [u8; 4] = [1, 0x1b, 0x03, 0x3b];
    let Some(rest) = table.strip_prefix(&HEAD) else {
        bail!("the unwinding table is of an unknown form");
    };
    let words: Vec<[u8; 4]> = rest
        .chunks_exact(4)
        .filter_map(|it| it.try_into().ok())
        .collect();
    let [_, count, entries @ ..] = words.as_slice() else {
        bail!("the unwinding table is cut off");
    };
    let count = u32::from_le_bytes(*count) as usize;
    let entries = entries
        .get(..count * 2)
        .context("the unwinding table is cut off")?;
    let function = |pair: &[[u8; 4]]| {
        let offset = i32::from_le_bytes(*pair.first()?);
        place.checked_add_signed(i64::from(offset))
    };
    Ok(entries.chunks(2).filter_map(function).collect())
}

/// Whether `GLIBC_x.y` is not newer than `x.y`.
fn is_within(version: &str, glibc: &str) -> bool {
    let numbers =
        |text: &str| -> Option<Vec<u32>> { text.split('.').map(|it| it.parse().ok()).collect() };
    let version = version.strip_prefix("GLIBC_").and_then(numbers);
    matches!((version, numbers(glibc)), (Some(version), Some(most)) if version <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLBACKS: &str = "# A comment.\nlog\nhttp_get_header\n";

    fn sound() -> SharedObject {
        let exports = HOOKS.iter().zip(1..);
        let exports: BTreeMap<String, u64> = exports
            .map(|(hook, place)| (format!("{HOOK}{hook}"), place))
            .collect();
        SharedObject {
            unwindable: exports.values().copied().collect(),
            exports,
            undefined: vec![
                (format!("{CALLBACK}log"), None),
                ("malloc".to_owned(), Some("GLIBC_2.2.5".to_owned())),
                ("gettid".to_owned(), Some("GLIBC_2.30".to_owned())),
            ],
            needed: vec!["libc.so.6".to_owned()],
            has_landing_pads: true,
        }
    }

    /// The one fault of an object with this change.
    fn fault(change: impl FnOnce(&mut SharedObject)) -> String {
        let mut object = sound();
        change(&mut object);
        let faults = object.faults(CALLBACKS, "2.31");
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults.into_iter().next().unwrap()
    }

    fn lacks(name: &str, version: Option<&str>) -> String {
        fault(|it| {
            it.undefined
                .push((name.to_owned(), version.map(str::to_owned)))
        })
    }

    #[test]
    fn a_sound_module_has_no_fault() {
        assert_eq!(sound().faults(CALLBACKS, "2.31"), [""; 0]);
    }

    #[test]
    fn a_missing_hook_is_a_fault() {
        let name = format!("{HOOK}http_filter_scheduled");
        let fault = fault(|it| assert!(it.exports.remove(&name).is_some()));
        assert_eq!(fault, format!("it does not export {name}"));
    }

    #[test]
    fn a_function_more_is_a_fault() {
        let fault = fault(|it| it.exports.extend([("_Unwind_Resume".to_owned(), 1)]));
        assert!(fault.contains("exports _Unwind_Resume"), "{fault}");
    }

    #[test]
    fn a_hook_that_cannot_be_unwound_is_a_fault() {
        let fault = fault(|it| assert_eq!(it.unwindable.pop_first(), Some(1)));
        assert!(
            fault.ends_with("config_destroy cannot be unwound"),
            "{fault}"
        );
    }

    #[test]
    fn a_module_that_catches_nothing_is_a_fault() {
        let fault = fault(|it| it.has_landing_pads = false);
        assert!(fault.contains("catches"), "{fault}");
    }

    #[test]
    fn a_newer_callback_is_a_fault() {
        let fault = lacks("envoy_dynamic_module_callback_log_v2", None);
        assert!(fault.contains("callback_log_v2"), "{fault}");
    }

    #[test]
    fn a_newer_glibc_is_a_fault_and_so_is_a_symbol_of_no_library() {
        for version in ["GLIBC_2.32", "GLIBC_2.34", "GLIBC_3", "GCC_3.0"] {
            let fault = lacks("pthread_create", Some(version));
            assert!(fault.contains(version), "{fault}");
        }
        assert!(lacks("gettid", None).contains("no version"));
    }

    #[test]
    fn another_library_is_a_fault() {
        let fault = fault(|it| it.needed.push("libgcc_s.so.1".to_owned()));
        assert!(fault.contains("libgcc_s"), "{fault}");
    }

    #[test]
    fn a_table_of_functions_is_read() {
        let mut table = vec![1, 0x1b, 0x03, 0x3b, 0, 0, 0, 0, 2, 0, 0, 0];
        for number in [0x10_i32, 0, -0x20, 0] {
            table.extend(number.to_le_bytes());
        }
        let functions = unwindable(&table, 0x1000).unwrap();
        assert_eq!(functions, BTreeSet::from([0xfe0, 0x1010]));
        assert!(unwindable(&table[..table.len() - 4], 0x1000).is_err());
        assert!(unwindable(&[1, 0x1b, 0xff, 0x3b, 0, 0, 0, 0], 0x1000).is_err());
    }

    /// This program itself: it has no hook, catches panics, and needs a C library.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn a_file_is_read() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let object = SharedObject::read(&bytes).unwrap();
        let has = |name: &str| {
            let mut undefined = object.undefined.iter();
            undefined
                .find(|(it, _)| it == name)
                .and_then(|(_, version)| version.as_deref())
        };
        assert!(
            has("free").is_some_and(|it| it.starts_with("GLIBC_2.")),
            "{object:?}"
        );
        assert!(
            object.needed.contains(&"libc.so.6".to_owned()),
            "{:?}",
            object.needed
        );
        assert!(object.has_landing_pads);
        assert!(object.unwindable.len() > 1000);
        assert!(SharedObject::read(b"#!/bin/sh").is_err());
    }
}
