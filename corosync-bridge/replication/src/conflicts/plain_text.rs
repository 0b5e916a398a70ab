//! Bytes as plain text, so that what is kept can be read, and made use of, with nothing but a shell.

use crate::entry::Xattr;

/// `bytes` as one word.
fn word(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace(' ', r"\x20")
}

/// The bytes that [`u8::escape_ascii`] made `text` of; `None` for what it makes of nothing.
#[must_use]
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes().iter();
    while let Some(&byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match *rest.next()? {
            b't' => b'\t',
            b'r' => b'\r',
            b'n' => b'\n',
            b'x' => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                let value = digit(rest.next()?)? * 16 + digit(rest.next()?)?;
                u8::try_from(value).ok()?
            }
            plain @ (b'\\' | b'\'' | b'"') => plain,
            _ => return None,
        });
    }
    Some(bytes)
}

/// A line of name, blank and value for each of `xattrs`.
pub(super) fn of_xattrs(xattrs: &[Xattr]) -> String {
    let line = |xattr: &Xattr| format!("{} {}\n", word(&xattr.name), word(&xattr.value));
    xattrs.iter().map(line).collect()
}

/// What [`of_xattrs`] made `text` of.
pub(super) fn to_xattrs(text: &str) -> Option<Vec<Xattr>> {
    let xattr = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some(Xattr {
            name: unescape(name)?,
            value: unescape(value)?,
        })
    };
    text.lines().map(xattr).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_comes_back_as_it_was() {
        let path: Vec<u8> = (1..=255).collect();
        assert_eq!(unescape(&path.escape_ascii().to_string()).unwrap(), path);
        for wrong in ["\\", "\\q", "\\x1", "\\xzz"] {
            assert_eq!(unescape(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn extended_attributes_come_back_as_they_were_one_on_a_line() {
        let every_byte: Vec<u8> = (0..=255).collect();
        let pairs: [(&[u8], &[u8]); 3] = [
            (b"user.empty", b""),
            (b"user.with blanks\n", b"a b"),
            (b"user.all", &every_byte),
        ];
        let xattrs = pairs.map(|(name, value)| Xattr {
            name: name.to_vec(),
            value: value.to_vec(),
        });
        let text = of_xattrs(&xattrs);
        assert_eq!(text.lines().count(), 3);
        assert_eq!(to_xattrs(&text).unwrap(), xattrs);
        assert_eq!(to_xattrs("user.torn"), None);
    }
}
