//! The note of a module's ELF file.

use object::Endianness;
use object::elf::{FileHeader64, NoteType};
use object::read::elf::{FileHeader, SectionHeader};

use super::Silent;

/// The owner and the type of the note: see filter/module/src/abi/note.rs.
const OWNER: &[u8] = b"btp";
const KIND: NoteType = NoteType(1);

/// What is in the note; `None`: there is none of ours.
pub(super) fn note(file: &[u8]) -> Result<Option<&[u8]>, Silent> {
    let broken = |_| Silent::Broken("its ELF headers do not fit the file");
    let header = FileHeader64::<Endianness>::parse(file).map_err(broken)?;
    let endian = header.endian().map_err(broken)?;
    for section in header.section_headers(endian, file).map_err(broken)? {
        let Some(mut notes) = section.notes(endian, file).map_err(broken)? else {
            continue;
        };
        while let Some(note) = notes.next().map_err(broken)? {
            if note.name() == OWNER && note.n_type(endian) == KIND {
                return Ok(Some(note.desc()));
            }
        }
    }
    Ok(None)
}
