//! What readers would understand differently is refused.

use super::*;
use crate::error::Result;
use crate::sweep;

/// A header with a right checksum.
fn header(path: &str, kind: u8, size: &str) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, path.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, size.as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// An entry with its content, padded.
fn entry(path: &str, kind: u8, content: &[u8]) -> Vec<u8> {
    let mut entry = header(path, kind, &format!("{:011o}\0", content.len()));
    entry.extend_from_slice(content);
    entry.resize(entry.len().next_multiple_of(BLOCK), 0);
    entry
}

fn list(archive: &[u8]) -> Result<Vec<(String, Kind, u64)>> {
    let mut reader = Reader::new(archive);
    let mut found = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        found.push((String::from_utf8_lossy(&entry.path).into_owned(), entry.kind, entry.size));
    }
    Ok(found)
}

#[test]
fn the_size_of_pax_counts_and_names_apply_to_the_next_entry_only() {
    let size = entry("x", b'x', b"10 size=3\n");
    let mut file = header("a", b'0', "00000000000\0");
    file.extend_from_slice(b"abc");
    file.resize(2 * BLOCK, 0);
    let long = entry("././@LongLink", b'L', b"longer\0");
    let archive = [size, file, long, entry("cut", b'0', b""), entry("b", b'0', b""), vec![0; 1024]].concat();
    assert_eq!(
        list(&archive).unwrap(),
        [("a".into(), Kind::File, 3), ("longer".into(), Kind::File, 0), ("b".into(), Kind::File, 0)]
    );
}

#[test]
fn an_archive_may_end_without_zeros_but_not_within_something() {
    let file = entry("a", b'0', b"abc");
    assert_eq!(list(&file).unwrap().len(), 1);
    assert!(list(&[]).unwrap().is_empty());
    for length in [515, 1023] {
        assert_eq!(list(&file[..length]).unwrap().len(), 1, "{length}");
    }
    for length in [1, 511, 513, 514] {
        list(&file[..length]).unwrap_err();
    }
}

#[test]
fn what_is_ambiguous_is_refused() {
    let file = || entry("a", b'0', b"abc");
    let end = || vec![0; 1024];
    let mut wrong_sum = file();
    wrong_sum[0] = b'b';
    for (archive, why) in [
        (wrong_sum, "checksum"),
        ([file(), vec![0; 512], file()].concat(), "behind the end"),
        ([end(), file()].concat(), "behind the end"),
        ([entry("x", b'x', b"9 path=x\n"), end()].concat(), "between an extension header"),
        (entry("x", b'L', b"name\0"), "between an extension header"),
        ([entry("x", b'L', b"a\0"), entry("x", b'L', b"b\0"), file()].concat(), "of a kind"),
        ([entry("x", b'x', b"9 path=x\n"), entry("x", b'x', b"9 path=y\n"), file()].concat(), "of a kind"),
        ([entry("x", b'g', b"9 path=x\n"), file()].concat(), "global"),
        (entry("d", b'5', b"abc"), "for an entry that is not a file"),
        (entry("l", b'1', b"abc"), "for an entry that is not a file"),
        (entry("s", b'S', b""), "sparse"),
        ([entry("x", b'x', b"22 GNU.sparse.major=1\n"), file()].concat(), "sparse"),
        (entry("v", b'V', b""), "type 'V'"),
        (header("a", b'0', "0000000000x\0"), "malformed size"),
        (header("a", b'L', "77777777777\0"), "extension header of"),
        (entry("a/", b'0', b"abc"), "ends with a slash"),
    ] {
        let error = list(&archive).unwrap_err().to_string();
        assert!(error.contains(why), "{why}: {error}");
    }
}

#[test]
fn large_and_negative_numbers_are_in_base_256() {
    let mut file = entry("a", b'0', b"");
    file[136..148].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]);
    file[108..116].copy_from_slice(&[0x80, 0, 0, 0, 0, 0x2d, 0xc6, 0xc0]);
    file[148..156].copy_from_slice(b"        ");
    let sum: u32 = file[..BLOCK].iter().map(|byte| u32::from(*byte)).sum();
    file[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let entry = Reader::new(&file[..]).next_entry().unwrap().unwrap();
    assert_eq!((entry.modified, entry.uid), ((-2, 0), 3_000_000));
}

/// Reads everything: names, contents, and what was passed over.
fn read_all(archive: &[u8]) -> Result<usize> {
    let mut reader = Reader::new(archive);
    let mut length = 0;
    while let Some(entry) = reader.next_entry()? {
        length += entry.path.len();
        // Every other content is passed over.
        while entry.path.len() % 2 == 0 {
            let part = reader.content()?.len();
            length += part;
            if part == 0 {
                break;
            }
        }
    }
    Ok(length)
}

/// Makes the checksum of every block right that looks like a header: else nothing would get beyond it.
fn with_right_sums(mut archive: Vec<u8>) -> Vec<u8> {
    for block in archive.chunks_exact_mut(BLOCK).filter(|block| block[257..262] == *b"ustar") {
        block[148..156].copy_from_slice(b"        ");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    archive
}

#[test]
fn damaged_archives_are_read_or_refused() {
    let records = |all: &[&str]| all.iter().map(|text| format!("{} {text}\n", text.len() + 4)).collect::<String>();
    // Each is so long that its length has two digits.
    let pax = records(&["mtime=1700000000.123456789", "path=longer name", "size=00003", "SCHILY.xattr.user.a=value"]);
    let sparse =
        records(&["GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=holey", "GNU.sparse.realsize=4096"]);
    let map = [&b"1\n1024\n3\n"[..], &[0; 503], b"abc"].concat();
    let good = [
        entry("x", b'x', pax.as_bytes()),
        entry("a", b'0', b"abc"),
        entry("././@LongLink", b'L', b"longer\0"),
        entry("cut", b'0', b""),
        entry("x", b'x', sparse.as_bytes()),
        entry("holey", b'0', &map),
        entry("d/", b'5', b""),
        entry("s", b'2', b""),
        vec![0; 1024],
    ]
    .concat();
    read_all(&good).unwrap();
    let mut random = sweep::Random::for_test("tar");
    let mut read = 0;
    for _ in 0..sweep::cases(4000) {
        let damaged = random.damaged(&good, b"0179 \n=\0/xgLKS\x80\xff");
        read += usize::from(read_all(&with_right_sums(damaged)).is_ok());
    }
    assert!(read > 0, "no archive gets beyond the checks");
}
