//! The default version of the program: equal wherever the same build runs.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::sync::OnceLock;

use object::elf::{ELF_NOTE_GNU, FileHeader32, FileHeader64, NT_GNU_BUILD_ID};
use object::macho::MachHeader64;
use object::read::elf::{FileHeader, ProgramHeader};
use object::read::macho::MachHeader;
use object::{Endianness, FileKind, ReadCache, ReadRef};
use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

/// How many bytes of a build id are shown, as twice as many digits.
const SHOWN: usize = 8;

/// The beginning of the build id that the linker wrote into the running executable, or else a hash of the
/// executable; 16 hexadecimal digits. It reads a file, so it is called outside of asynchronous tasks. It is determined
/// once in a process.
pub(super) fn build_version() -> String {
    static VERSION: OnceLock<String> = OnceLock::new();
    let of_executable = || executable().and_then(version_of).unwrap_or_else(|_| "unknown".to_owned());
    VERSION.get_or_init(of_executable).clone()
}

/// The running executable. A deployment may have put another file at its path, so on Linux it is opened through
/// the process.
fn executable() -> io::Result<File> {
    if cfg!(target_os = "linux")
        && let Ok(file) = File::open("/proc/self/exe")
    {
        return Ok(file);
    }
    File::open(std::env::current_exe()?)
}

fn version_of(mut file: File) -> io::Result<String> {
    if let Some(id) = build_id(&ReadCache::new(&mut file)) {
        let shown = id.iter().take(SHOWN).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        return Ok(format!("{shown:016x}"));
    }
    file.rewind()?;
    Ok(format!("{:016x}", hash(file)?))
}

/// The build id of an ELF or Mach-O file, of which only a few pages are read.
fn build_id<'data>(data: impl ReadRef<'data>) -> Option<Vec<u8>> {
    let id = match FileKind::parse(data).ok()? {
        FileKind::Elf64 => build_id_note::<FileHeader64<Endianness>>(data)?,
        FileKind::Elf32 => build_id_note::<FileHeader32<Endianness>>(data)?,
        FileKind::MachO64 => {
            let header = MachHeader64::<Endianness>::parse(data, 0).ok()?;
            header.uuid(header.endian().ok()?, data, 0).ok()??.to_vec()
        }
        _ => return None,
    };
    (id.len() >= SHOWN).then_some(id)
}

fn build_id_note<'data, E: FileHeader>(data: impl ReadRef<'data>) -> Option<Vec<u8>> {
    let header = E::parse(data).ok()?;
    let endian = header.endian().ok()?;
    for segment in header.program_headers(endian, data).ok()? {
        let Ok(Some(mut notes)) = segment.notes(endian, data) else { continue };
        while let Ok(Some(note)) = notes.next() {
            if note.name() == ELF_NOTE_GNU && note.n_type(endian) == NT_GNU_BUILD_ID {
                return Some(note.desc().to_vec());
            }
        }
    }
    None
}

/// Each part is hashed with the hash of the parts before it.
fn hash(mut file: File) -> io::Result<u64> {
    let mut hash = 0;
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        if file.by_ref().take(1 << 20).read_to_end(&mut buffer)? == 0 {
            return Ok(hash);
        }
        hash = rapidhash_v3_seeded(&buffer, &RapidSecrets::seed(hash));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn temporary(name: &str, content: &[u8]) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("durable-{name}-{}", uuid::Uuid::new_v4()));
        File::create(&path).and_then(|mut file| file.write_all(content)).expect("the file is written");
        path
    }

    fn is_version(text: &str) -> bool {
        text.len() == 16 && text.chars().all(|it| it.is_ascii_hexdigit())
    }

    #[test]
    fn the_version_stays_the_same_in_a_build_and_is_that_of_every_copy() {
        let version = build_version();
        assert!(is_version(&version), "{version}");
        let content = std::fs::read(std::env::current_exe().expect("it has a path")).expect("it can be read");
        let copy = temporary("copy", &content);
        assert_eq!(version_of(File::open(&copy).expect("it was written")).expect("it is read"), version);
        std::fs::remove_file(copy).expect("it is there");
    }

    #[test]
    fn a_file_without_a_build_id_has_a_hash_of_all_that_it_holds() {
        let mut content = vec![7; (3 << 20) + 5];
        let version = |content: &[u8]| {
            let path = temporary("hashed", content);
            let version = File::open(&path).and_then(version_of).expect("it is read");
            std::fs::remove_file(path).expect("it is there");
            version
        };
        let first = version(&content);
        assert!(is_version(&first), "{first}");
        assert_eq!(version(&content), first, "equal files have equal versions");
        for at in [0, 1 << 20, 3 << 20, (3 << 20) + 4] {
            content[at] = 8;
            assert_ne!(version(&content), first, "another byte at {at}");
            content[at] = 7;
        }
    }
}
