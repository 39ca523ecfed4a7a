//! The identity of the module in its file: an ELF note with name, version, commit and build
//! as JSON. `btp version FILE` reads it, and so does `readelf -n`.

use crate::version::BUILD;

/// A note as ELF lays it out: it ends at a multiple of four bytes, as does each part.
#[repr(C)]
struct Note {
    name_size: u32,
    text_size: u32,
    kind: u32,
    name: [u8; 4],
    text: Text,
}

/// One JSON object, in pieces of which each has the length of what is in it.
#[repr(C)]
struct Text {
    name: [u8; NAME.len()],
    version: [u8; VERSION.len()],
    to_commit: [u8; TO_COMMIT.len()],
    commit: [u8; COMMIT.len()],
    to_build: [u8; TO_BUILD.len()],
    build: [u8; BUILD.kind.len()],
    end: [u8; END.len()],
}

const NAME: &str = r#"{"name":"backend_traffic_policy","version":""#;
const VERSION: &str = env!("CARGO_PKG_VERSION");
const TO_COMMIT: &str = r#"","commit":""#;
const COMMIT: &str = match BUILD.commit {
    Some(commit) => commit,
    None => "unknown",
};
const TO_BUILD: &str = r#"","build":""#;
const END: &str = r#""}"#;

/// No linker leaves a note out, and none strips it.
#[used]
#[unsafe(link_section = ".note.btp.version")]
static NOTE: Note = Note {
    name_size: 4,
    text_size: size_of::<Text>() as u32,
    kind: 1,
    name: *b"btp\0",
    text: Text {
        name: bytes(NAME),
        version: bytes(VERSION),
        to_commit: bytes(TO_COMMIT),
        commit: bytes(COMMIT),
        to_build: bytes(TO_BUILD),
        build: bytes(BUILD.kind),
        end: bytes(END),
    },
};

/// All of a text. (Another length cannot be: each place has that of its text.)
const fn bytes<const LENGTH: usize>(text: &str) -> [u8; LENGTH] {
    match text.as_bytes().first_chunk() {
        Some(bytes) => *bytes,
        None => [b' '; LENGTH],
    }
}
