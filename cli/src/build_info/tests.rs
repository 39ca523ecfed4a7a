use proptest::prelude::*;

use super::*;

const TEXT: &str = r#"{"name":"f","version":"1.2.3","commit":"abc","build":"wasm"}"#;

fn info() -> BuildInfo {
    BuildInfo {
        name: "f".to_owned(),
        version: "1.2.3".to_owned(),
        commit: "abc".to_owned(),
        build: "wasm".to_owned(),
    }
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).expect("is short");
    assert!(length < 0x80);
    [&[length], bytes].concat()
}

/// A .wasm with a section of another name in front.
fn wasm(text: &str) -> Vec<u8> {
    let custom = |name: &str, content: &[u8]| {
        [
            vec![0],
            sized(&[sized(name.as_bytes()), content.to_vec()].concat()),
        ]
        .concat()
    };
    let head = b"\0asm\x01\0\0\0".to_vec();
    [
        head,
        custom("name", b"xyz"),
        vec![1, 1, 0],
        custom("btp.version", text.as_bytes()),
    ]
    .concat()
}

/// An ELF file of nothing but a note and the headers that lead to it.
fn elf(text: &str) -> Vec<u8> {
    let mut note = Vec::new();
    for number in [4, u32::try_from(text.len()).expect("is short"), 1] {
        note.extend(number.to_le_bytes());
    }
    note.extend(b"btp\0");
    note.extend(text.as_bytes());
    note.resize(note.len().next_multiple_of(4), 0);
    let size = note.len() as u64;
    note.resize(note.len().next_multiple_of(8), 0);
    let sections = 64 + note.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend(3u16.to_le_bytes());
    file.extend(62u16.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    file.extend([0; 16]);
    file.extend(sections.to_le_bytes());
    file.extend(0u32.to_le_bytes());
    for short in [64u16, 56, 0, 64, 2, 0] {
        file.extend(short.to_le_bytes());
    }
    file.extend(&note);
    file.extend([0; 64]);
    for number in [0u32, 7] {
        file.extend(number.to_le_bytes());
    }
    for number in [0u64, 0, 64, size, 0, 4, 0] {
        file.extend(number.to_le_bytes());
    }
    file
}

#[test]
fn both_builds_say_what_they_are() {
    for file in [wasm(TEXT), elf(TEXT)] {
        assert_eq!(of(&file).expect("says it"), info());
    }
}

#[test]
fn other_files_are_told_apart() {
    let said = |file: &[u8]| of(file).expect_err("says nothing").to_string();
    for file in [&b""[..], b"#!/bin/sh\n", b"\0as"] {
        assert!(said(file).contains("not a build of the filter"));
    }
    for file in [&b"\0asm\x01\0\0\0"[..], &elf(TEXT).replace_owner()] {
        assert!(said(file).contains("contains no version"), "{}", said(file));
    }
    for text in [
        "",
        "{}",
        "[]",
        r#"{"name":"f"}"#,
        &TEXT.replace("abc", "a\\n"),
    ] {
        for file in [wasm(text), elf(text)] {
            assert!(said(&file).contains("newer btp"), "{text}: {}", said(&file));
        }
    }
    let huge = b"\0asm\x01\0\0\0\0\xff\xff\xff\xff\x0fx";
    assert!(said(huge).contains("damaged"), "{}", said(huge));
    assert!(said(b"\x7fELF").contains("damaged"));
}

trait ReplaceOwner {
    fn replace_owner(self) -> Vec<u8>;
}

impl ReplaceOwner for Vec<u8> {
    fn replace_owner(mut self) -> Vec<u8> {
        let place = self
            .windows(4)
            .position(|it| it == b"btp\0")
            .expect("has one");
        self[place] = b'x';
        self
    }
}

#[test]
fn a_file_without_an_end_is_not_read_to_the_end() {
    let Err(error) = read(Path::new("/dev/zero")) else {
        panic!("is no filter");
    };
    assert!(error.to_string().contains("256 MiB"), "{error}");
}

#[test]
fn no_part_of_a_file_is_taken_for_the_whole() {
    for file in [wasm(TEXT), elf(TEXT)] {
        for end in 0..file.len() {
            let Ok(found) = of(&file[..end]) else {
                continue;
            };
            panic!("{end} of {}: {found:?}", file.len());
        }
    }
}

proptest! {
    /// Whatever is in a file, it is read without harm.
    #[test]
    fn any_file_is_read(
        is_elf in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut file = if is_elf { elf(TEXT) } else { wasm(TEXT) };
        for (place, byte) in changes {
            *place.get_mut(&mut file) = byte;
        }
        let _ = of(&file);
    }
}
