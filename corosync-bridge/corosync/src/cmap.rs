//! The names of the nodes, from `nodelist` in `corosync.conf` (`cmap_overview(3)`, `cmap_keys(7)`).

#![expect(unsafe_code, reason = "the safe wrapper of libcmap")]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};

use super::error::{CallError, CsError, check};
use super::sys;

/// Longest name that is read, with its NUL: a host name has at most 255 characters.
const NAME_BYTES: usize = 256;

/// Node ids and names of the nodelist. A node without a name is not in it.
pub fn node_names() -> Result<BTreeMap<u32, String>, CallError> {
    let map = Cmap::connect()?;
    let mut names = BTreeMap::new();
    for key in map.keys(c"nodelist.node.")? {
        // nodelist.node.POSITION.nodeid
        let Some(node) = key.to_str().ok().and_then(|key| key.strip_suffix(".nodeid")) else {
            continue;
        };
        let Ok(name_key) = CString::new(format!("{node}.name")) else {
            continue;
        };
        if let Some(name) = map.string(&name_key)? {
            names.insert(map.number(&key)?, name);
        }
    }
    Ok(names)
}

/// A connection to the map.
struct Cmap {
    handle: sys::cmap_handle_t,
}

impl Cmap {
    fn connect() -> Result<Self, CallError> {
        let mut handle = 0;
        // SAFETY: `handle` is a place for the answer.
        let code = unsafe { sys::cmap_initialize(&raw mut handle) };
        check("cmap_initialize", code)?;
        Ok(Self { handle })
    }

    /// The keys that start with `prefix`.
    fn keys(&self, prefix: &CStr) -> Result<Vec<CString>, CallError> {
        let mut iterator = 0;
        // SAFETY: the handle is open, `prefix` ends with a NUL, and `iterator` is a place for the answer.
        let code = unsafe { sys::cmap_iter_init(self.handle, prefix.as_ptr(), &raw mut iterator) };
        check("cmap_iter_init", code)?;
        let mut keys = Vec::new();
        let end = loop {
            match self.next_key(iterator) {
                Ok(Some(key)) => keys.push(key),
                Ok(None) => break Ok(keys),
                Err(error) => break Err(error),
            }
        };
        // SAFETY: the handle and the iterator are open, and the iterator is not used again.
        let code = unsafe { sys::cmap_iter_finalize(self.handle, iterator) };
        check("cmap_iter_finalize", code)?;
        end
    }

    fn next_key(&self, iterator: sys::cmap_iter_handle_t) -> Result<Option<CString>, CallError> {
        let mut name: [c_char; sys::CMAP_KEYNAME_MAXLEN as usize + 1] =
            [0; sys::CMAP_KEYNAME_MAXLEN as usize + 1];
        let (mut length, mut value_type) = (0, 0);
        // SAFETY: the handle and the iterator are open; `name` has room for the longest key and its NUL, and
        // the other two are places for answers.
        let code = unsafe {
            sys::cmap_iter_next(
                self.handle,
                iterator,
                name.as_mut_ptr(),
                &raw mut length,
                &raw mut value_type,
            )
        };
        match check("cmap_iter_next", code) {
            Ok(()) => Ok(Some(until_nul(&name))),
            Err(error) if error.code == CsError::NoSections => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn number(&self, key: &CStr) -> Result<u32, CallError> {
        let mut number = 0;
        // SAFETY: the handle is open, `key` ends with a NUL, and `number` is a place for the answer.
        let code = unsafe { sys::cmap_get_uint32(self.handle, key.as_ptr(), &raw mut number) };
        check("cmap_get_uint32 nodelist.node.*.nodeid", code)?;
        Ok(number)
    }

    fn string(&self, key: &CStr) -> Result<Option<String>, CallError> {
        let mut text: [c_char; NAME_BYTES] = [0; NAME_BYTES];
        // The last byte stays out of the library's reach and so stays NUL.
        let mut length = NAME_BYTES - 1;
        let mut value_type = 0;
        // SAFETY: the handle is open, `key` ends with a NUL, `text` has room for `length` bytes, and the other
        // two are places for answers.
        let code = unsafe {
            sys::cmap_get(
                self.handle,
                key.as_ptr(),
                text.as_mut_ptr().cast(),
                &raw mut length,
                &raw mut value_type,
            )
        };
        match check("cmap_get nodelist.node.*.name", code) {
            Ok(()) if value_type == sys::CMAP_VALUETYPE_STRING => {
                Ok(Some(until_nul(&text).to_string_lossy().into_owned()))
            }
            Ok(()) => Ok(None),
            Err(error) if error.code == CsError::NotExist => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Cmap {
    fn drop(&mut self) {
        // The connection ends either way, so there is nothing to do about an error.
        // SAFETY: the handle is open and not used again.
        let _ = unsafe { sys::cmap_finalize(self.handle) };
    }
}

/// What stands before the first NUL.
fn until_nul(text: &[c_char]) -> CString {
    let bytes: Vec<u8> = text
        .iter()
        .map(|character| character.to_ne_bytes()[0])
        .take_while(|byte| *byte != 0)
        .collect();
    CString::new(bytes).unwrap_or_default()
}
