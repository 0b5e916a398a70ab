//! From one JSON document to entries.

use std::path::{Path, PathBuf};

use crate::entry::{Entry, Filter, Kind};
use crate::error::{ConfigError, Place};
use crate::json::Json;
use crate::path::{self, WrittenPath};
use crate::rule::Rule;

const FILES: &str = "Files";
const DIRECTORIES: &str = "Directories";
const PATH: &str = "Path";
const DESCRIPTION: &str = "Description";
const SYNC_DIRECTION: &str = "SyncDirection";
const SYNC_TYPE: &str = "SyncType";
const EXCLUDE_LIST: &str = "ExcludeList";
const INCLUDE_LIST: &str = "IncludeList";

/// Keys at the top of a document.
const DOCUMENT_KEYS: [&str; 2] = [FILES, DIRECTORIES];
/// Keys of an entry under `Files`.
const FILE_KEYS: [&str; 4] = [PATH, DESCRIPTION, SYNC_DIRECTION, SYNC_TYPE];
/// Keys of an entry under `Directories`.
const DIRECTORY_KEYS: [&str; 6] = [
    PATH,
    DESCRIPTION,
    SYNC_DIRECTION,
    SYNC_TYPE,
    EXCLUDE_LIST,
    INCLUDE_LIST,
];

/// The only direction that this version carries out.
const ACTIVE_TO_PASSIVE: &str = "Active2Passive";
/// The only kind of synchronisation that this version carries out.
const IMMEDIATE: &str = "Immediate";

/// The entries of the document in `file`.
pub(crate) fn entries(file: &Path, document: &Json) -> Result<Vec<Entry>, ConfigError> {
    let top = Object::new(
        Place {
            file: file.to_owned(),
            within: String::new(),
        },
        document,
        &DOCUMENT_KEYS,
    )?;
    let mut entries = Vec::new();
    for (key, kind) in [(FILES, Kind::File), (DIRECTORIES, Kind::Directory)] {
        if let Some(list) = top.get(key) {
            let place = top.place.key(key);
            for (index, item) in items(&place, list)?.iter().enumerate() {
                entries.push(entry(place.item(index), item, kind)?);
            }
        }
    }
    if entries.is_empty() {
        return Err(ConfigError::MissingKey {
            place: top.place,
            key: "Files or Directories",
        });
    }
    Ok(entries)
}

fn entry(place: Place, value: &Json, kind: Kind) -> Result<Entry, ConfigError> {
    let keys: &'static [&'static str] = match kind {
        Kind::File => &FILE_KEYS,
        Kind::Directory => &DIRECTORY_KEYS,
    };
    let object = Object::new(place, value, keys)?;
    let path = entry_path(&object, kind)?;
    let description = object.required_string(DESCRIPTION)?.to_owned();
    object.require_value(SYNC_DIRECTION, ACTIVE_TO_PASSIVE)?;
    object.require_value(SYNC_TYPE, IMMEDIATE)?;
    let filter = filter(&object, &path)?;
    Ok(Entry {
        path,
        kind,
        filter,
        rule: Rule::default(),
        description,
        place: object.place,
    })
}

fn entry_path(object: &Object<'_>, kind: Kind) -> Result<PathBuf, ConfigError> {
    let place = object.place.key(PATH);
    let value = object.required(PATH)?;
    let WrittenPath {
        path,
        names_directory,
    } = written_path(&place, value)?;
    match (kind, names_directory) {
        (Kind::File, true) => Err(refuse(place, value, "the path of a file cannot end in /")),
        (Kind::Directory, false) => Err(refuse(place, value, "the path of a directory has to end in /")),
        (Kind::File, false) | (Kind::Directory, true) => Ok(path),
    }
}

fn filter(object: &Object<'_>, directory: &Path) -> Result<Filter, ConfigError> {
    match (object.get(EXCLUDE_LIST), object.get(INCLUDE_LIST)) {
        (None, None) => Ok(Filter::All),
        (Some(list), None) => beneath(&object.place.key(EXCLUDE_LIST), list, directory).map(Filter::Exclude),
        (None, Some(list)) => beneath(&object.place.key(INCLUDE_LIST), list, directory).map(Filter::Include),
        (Some(_), Some(_)) => Err(ConfigError::BothLists {
            place: object.place.clone(),
        }),
    }
}

/// The paths of an exclude or include list, each beneath `directory` and none beneath another.
fn beneath(place: &Place, list: &Json, directory: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for (index, item) in items(place, list)?.iter().enumerate() {
        let place = place.item(index);
        let path = written_path(&place, item)?.path;
        if path == directory || !path.starts_with(directory) {
            let expected = format!("a listed path has to lie beneath {}/", directory.display());
            return Err(refuse(place, item, &expected));
        }
        if let Some(other) = paths
            .iter()
            .find(|other| path.starts_with(other) || other.starts_with(&path))
        {
            let expected = format!("it overlaps {} of the same list", other.display());
            return Err(refuse(place, item, &expected));
        }
        paths.push(path);
    }
    Ok(paths)
}

fn written_path(place: &Place, value: &Json) -> Result<WrittenPath, ConfigError> {
    let text = string(place, value)?;
    path::parse(text).map_err(|expected| refuse(place.clone(), value, expected))
}

fn items<'a>(place: &Place, value: &'a Json) -> Result<&'a [Json], ConfigError> {
    match value {
        Json::Array(items) if !items.is_empty() => Ok(items),
        _ => Err(refuse(
            place.clone(),
            value,
            "it has to be an array with at least one item",
        )),
    }
}

fn string<'a>(place: &Place, value: &'a Json) -> Result<&'a str, ConfigError> {
    match value {
        Json::String(text) => Ok(text),
        _ => Err(refuse(place.clone(), value, "it has to be a string")),
    }
}

fn refuse(place: Place, value: &Json, expected: &str) -> ConfigError {
    ConfigError::Value {
        place,
        value: value.quote(),
        expected: expected.to_owned(),
    }
}

/// A JSON object whose keys are all known and stand once.
struct Object<'a> {
    place: Place,
    members: &'a [(String, Json)],
}

impl<'a> Object<'a> {
    fn new(place: Place, value: &'a Json, known: &[&str]) -> Result<Self, ConfigError> {
        let Json::Object(members) = value else {
            return Err(refuse(place, value, "it has to be an object"));
        };
        for (index, (key, _)) in members.iter().enumerate() {
            if !known.contains(&key.as_str()) {
                return Err(ConfigError::UnknownKey {
                    place,
                    key: key.clone(),
                    accepted: known.join(", "),
                });
            }
            if members.iter().take(index).any(|(earlier, _)| earlier == key) {
                return Err(ConfigError::RepeatedKey {
                    place,
                    key: key.clone(),
                });
            }
        }
        Ok(Self { place, members })
    }

    fn get(&self, key: &str) -> Option<&'a Json> {
        self.members
            .iter()
            .find_map(|(name, value)| (name == key).then_some(value))
    }

    fn required(&self, key: &'static str) -> Result<&'a Json, ConfigError> {
        self.get(key).ok_or_else(|| ConfigError::MissingKey {
            place: self.place.clone(),
            key,
        })
    }

    fn required_string(&self, key: &'static str) -> Result<&'a str, ConfigError> {
        string(&self.place.key(key), self.required(key)?)
    }

    fn require_value(&self, key: &'static str, accepted: &str) -> Result<(), ConfigError> {
        if self.required_string(key)? == accepted {
            return Ok(());
        }
        let expected = format!("this version carries out {accepted:?} only");
        Err(refuse(self.place.key(key), self.required(key)?, &expected))
    }
}
