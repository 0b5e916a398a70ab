//! Every key of a list, once: what it takes, where it stands, what goes together. The loader checks lists against
//! this table, and the JSON Schema is written from it.

use std::ops::RangeInclusive;

use crate::duration;
use crate::rule::Direction;

pub(crate) const FILES: &str = "Files";
pub(crate) const DIRECTORIES: &str = "Directories";
pub(crate) const PATH: &str = "Path";
pub(crate) const DESTINATION_PATH: &str = "DestinationPath";
pub(crate) const DESCRIPTION: &str = "Description";
pub(crate) const SYNC_DIRECTION: &str = "SyncDirection";
pub(crate) const SYNC_TYPE: &str = "SyncType";
pub(crate) const PERIODICITY: &str = "Periodicity";
pub(crate) const PRIORITY: &str = "Priority";
pub(crate) const RETRY_ATTEMPTS: &str = "RetryAttempts";
pub(crate) const RETRY_INTERVAL: &str = "RetryInterval";
pub(crate) const NOTIFY_SIBLING: &str = "NotifySibling";
pub(crate) const EXCLUDE_LIST: &str = "ExcludeList";
pub(crate) const INCLUDE_LIST: &str = "IncludeList";
pub(crate) const EXCEPTION_LIST: &str = "ExceptionList";
pub(crate) const MODE: &str = "Mode";
pub(crate) const METHOD: &str = "Method";
pub(crate) const NOTIFY_SERVICES: &str = "NotifyServices";
pub(crate) const NOTIFY_ON_PATHS: &str = "NotifyOnPaths";

pub(crate) const IMMEDIATE: &str = "Immediate";
pub(crate) const PERIODIC: &str = "Periodic";
pub(crate) const AT_JOIN: &str = "AtJoin";
pub(crate) const SYSTEMD: &str = "Systemd";
pub(crate) const DBUS: &str = "DBus";
pub(crate) const RESTART: &str = "Restart";
pub(crate) const RELOAD: &str = "Reload";

/// An object of a list.
#[derive(Debug)]
pub(crate) struct Object {
    /// What it is called in the schema.
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) says: &'static str,
    pub(crate) keys: &'static [Key],
    pub(crate) relations: &'static [Relation],
}

/// A key of an object.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) required: bool,
    pub(crate) shape: Shape,
    /// What it says.
    pub(crate) says: &'static str,
}

/// What a value looks like by itself.
#[derive(Debug)]
pub(crate) enum Shape {
    Text,
    /// The path of a file: no `/` at its end.
    FilePath,
    /// The path of a directory: with a `/` at its end.
    DirectoryPath,
    /// A path with or without a `/` at its end.
    AnyPath,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number.
    Whole(RangeInclusive<u32>),
    /// A length of time in ISO 8601.
    Duration,
    /// A unit of systemd.
    UnitName,
    /// A name on D-Bus.
    BusName,
    /// At least one of these, none twice.
    List(&'static Shape),
    Object(&'static Object),
}

/// What goes together in an object, and what does not.
#[derive(Debug)]
pub(crate) enum Relation {
    /// At least one of these keys stands.
    AnyOf(&'static [&'static str]),
    /// Both keys stand, or neither.
    Together(&'static str, &'static str),
    /// Not both keys stand.
    Apart {
        keys: [&'static str; 2],
        /// What to do instead.
        instead: &'static str,
    },
    /// `key` stands only where `other` is one of `values`.
    OnlyWhere {
        key: &'static str,
        other: &'static str,
        values: &'static [&'static str],
        /// Where it has to stand there: what its value looks like.
        needed: Option<&'static str>,
        /// What to do instead.
        instead: &'static str,
    },
    /// Where `other` is `value`, the items of the list `key` are all of this shape.
    ItemsWhere {
        key: &'static str,
        other: &'static str,
        value: &'static str,
        shape: Shape,
    },
}

/// A list.
pub(crate) static DOCUMENT: Object = Object {
    name: "document",
    says: "What is replicated between the BMCs",
    keys: &[
        Key {
            name: FILES,
            required: false,
            shape: Shape::List(&Shape::Object(&FILE)),
            says: "Files that are replicated",
        },
        Key {
            name: DIRECTORIES,
            required: false,
            shape: Shape::List(&Shape::Object(&DIRECTORY)),
            says: "Directories that are replicated, with everything beneath them",
        },
    ],
    relations: &[Relation::AnyOf(&[FILES, DIRECTORIES])],
};

/// An entry under `Files`.
static FILE: Object = Object {
    name: "file",
    says: "A file that is replicated",
    keys: &[
        Key {
            name: PATH,
            required: true,
            shape: Shape::FilePath,
            says: "Absolute path of the file",
        },
        DESCRIPTION_KEY,
        SYNC_DIRECTION_KEY,
        SYNC_TYPE_KEY,
        PERIODICITY_KEY,
        PRIORITY_KEY,
        Key {
            name: DESTINATION_PATH,
            required: false,
            shape: Shape::FilePath,
            says: "Where the receiving BMC keeps the file; without it, at Path",
        },
        RETRY_ATTEMPTS_KEY,
        RETRY_INTERVAL_KEY,
        Key {
            name: NOTIFY_SIBLING,
            required: false,
            shape: Shape::Object(&NOTIFY_FOR_FILE),
            says: NOTIFY_SIBLING_SAYS,
        },
    ],
    relations: &[PERIODICITY_RELATION, RETRY_RELATION, DESTINATION_RELATION],
};

/// An entry under `Directories`.
static DIRECTORY: Object = Object {
    name: "directory",
    says: "A directory that is replicated",
    keys: &[
        Key {
            name: PATH,
            required: true,
            shape: Shape::DirectoryPath,
            says: "Absolute path of the directory, with / at its end",
        },
        DESCRIPTION_KEY,
        SYNC_DIRECTION_KEY,
        SYNC_TYPE_KEY,
        PERIODICITY_KEY,
        PRIORITY_KEY,
        Key {
            name: DESTINATION_PATH,
            required: false,
            shape: Shape::DirectoryPath,
            says: "Where the receiving BMC keeps the directory, with / at its end; without it, at Path",
        },
        RETRY_ATTEMPTS_KEY,
        RETRY_INTERVAL_KEY,
        Key {
            name: NOTIFY_SIBLING,
            required: false,
            shape: Shape::Object(&NOTIFY_FOR_DIRECTORY),
            says: NOTIFY_SIBLING_SAYS,
        },
        Key {
            name: EXCLUDE_LIST,
            required: false,
            shape: Shape::List(&Shape::AnyPath),
            says: "Paths in the directory that are left out, each with everything beneath it",
        },
        Key {
            name: INCLUDE_LIST,
            required: false,
            shape: Shape::List(&Shape::AnyPath),
            says: "The only paths in the directory that are replicated, each with everything beneath it",
        },
        Key {
            name: EXCEPTION_LIST,
            required: false,
            shape: Shape::List(&Shape::AnyPath),
            says: "Paths in the directory whose change on the Passive goes to the Active as well",
        },
    ],
    relations: &[
        PERIODICITY_RELATION,
        RETRY_RELATION,
        DESTINATION_RELATION,
        Relation::Apart {
            keys: [EXCLUDE_LIST, INCLUDE_LIST],
            instead: "keep one of them: what an IncludeList does not name is left out anyway",
        },
        Relation::OnlyWhere {
            key: EXCEPTION_LIST,
            other: SYNC_DIRECTION,
            values: &[ACTIVE_TO_PASSIVE],
            needed: None,
            instead: "it names what travels against Active2Passive",
        },
        Relation::Apart {
            keys: [EXCEPTION_LIST, DESTINATION_PATH],
            instead: "what travels both ways needs one path on both BMCs: leave out DestinationPath, or replicate \
                      the exceptions by an entry of their own",
        },
    ],
};

/// `NotifySibling` of a file.
static NOTIFY_FOR_FILE: Object = Object {
    name: "notifyForFile",
    says: NOTIFY_SIBLING_SAYS,
    keys: &[MODE_KEY, METHOD_KEY, NOTIFY_SERVICES_KEY],
    relations: &NOTIFY_RELATIONS,
};

/// `NotifySibling` of a directory.
static NOTIFY_FOR_DIRECTORY: Object = Object {
    name: "notifyForDirectory",
    says: NOTIFY_SIBLING_SAYS,
    keys: &[
        MODE_KEY,
        METHOD_KEY,
        NOTIFY_SERVICES_KEY,
        Key {
            name: NOTIFY_ON_PATHS,
            required: false,
            shape: Shape::List(&Shape::AnyPath),
            says: "Paths in the directory: only a change of one of these, or beneath one, is told",
        },
    ],
    relations: &NOTIFY_RELATIONS,
};

const NOTIFY_SIBLING_SAYS: &str = "Whom the receiving BMC tells once a change is in place there";

const DESCRIPTION_KEY: Key = Key {
    name: DESCRIPTION,
    required: true,
    shape: Shape::Text,
    says: "What it is and what it is for",
};

const SYNC_DIRECTION_KEY: Key = Key {
    name: SYNC_DIRECTION,
    required: true,
    shape: Shape::Choice(&DIRECTION_NAMES),
    says: "Whose changes travel",
};

/// The word for each direction.
pub(crate) const DIRECTIONS: [(&str, Direction); 3] = [
    (ACTIVE_TO_PASSIVE, Direction::ActiveToPassive),
    (PASSIVE_TO_ACTIVE, Direction::PassiveToActive),
    ("Bidirectional", Direction::Both),
];
const ACTIVE_TO_PASSIVE: &str = "Active2Passive";
const PASSIVE_TO_ACTIVE: &str = "Passive2Active";
const DIRECTION_NAMES: [&str; 3] = [DIRECTIONS[0].0, DIRECTIONS[1].0, DIRECTIONS[2].0];

const SYNC_TYPE_KEY: Key = Key {
    name: SYNC_TYPE,
    required: true,
    shape: Shape::Choice(&[IMMEDIATE, PERIODIC, AT_JOIN]),
    says: "When changes travel: as they are made, together once per Periodicity, or only when a sibling joins",
};

const PERIODICITY_KEY: Key = Key {
    name: PERIODICITY,
    required: false,
    shape: Shape::Duration,
    says: "How often changes travel",
};

const PERIODICITY_RELATION: Relation = Relation::OnlyWhere {
    key: PERIODICITY,
    other: SYNC_TYPE,
    values: &[PERIODIC],
    needed: Some(duration::EXPECTED),
    instead: "remove it, or make it \"SyncType\": \"Periodic\"",
};

const PRIORITY_KEY: Key = Key {
    name: PRIORITY,
    required: false,
    shape: Shape::Whole(1..=2),
    says: "1: travels first, and a Passive without it is not promoted; 2, the default: everything else",
};

/// Which side is which changes with the role, and what both change needs one name.
const DESTINATION_RELATION: Relation = Relation::OnlyWhere {
    key: DESTINATION_PATH,
    other: SYNC_DIRECTION,
    values: &[ACTIVE_TO_PASSIVE, PASSIVE_TO_ACTIVE],
    needed: None,
    instead: "what travels both ways needs one path on both BMCs: leave out DestinationPath, or let it travel one \
              way",
};

const RETRY_ATTEMPTS_KEY: Key = Key {
    name: RETRY_ATTEMPTS,
    required: false,
    shape: Shape::Whole(0..=u32::MAX),
    says: "How often what failed is tried again before it is reported; 0: never",
};

const RETRY_INTERVAL_KEY: Key = Key {
    name: RETRY_INTERVAL,
    required: false,
    shape: Shape::Duration,
    says: "How long after a failure it is tried again",
};

const RETRY_RELATION: Relation = Relation::Together(RETRY_ATTEMPTS, RETRY_INTERVAL);

const MODE_KEY: Key = Key {
    name: MODE,
    required: true,
    shape: Shape::Choice(&[SYSTEMD, DBUS]),
    says: "How they are told: by systemd, or by a call on D-Bus",
};

const METHOD_KEY: Key = Key {
    name: METHOD,
    required: false,
    shape: Shape::Choice(&[RESTART, RELOAD]),
    says: "What systemd does with the units; without it, Restart",
};

const NOTIFY_SERVICES_KEY: Key = Key {
    name: NOTIFY_SERVICES,
    required: true,
    shape: Shape::List(&Shape::Text),
    says: "Who is told, in this order: units of systemd, or names on D-Bus",
};

const NOTIFY_RELATIONS: [Relation; 3] = [
    Relation::OnlyWhere {
        key: METHOD,
        other: MODE,
        values: &[SYSTEMD],
        needed: None,
        instead: "remove it: a service on D-Bus decides by itself what to do",
    },
    Relation::ItemsWhere {
        key: NOTIFY_SERVICES,
        other: MODE,
        value: SYSTEMD,
        shape: Shape::UnitName,
    },
    Relation::ItemsWhere {
        key: NOTIFY_SERVICES,
        other: MODE,
        value: DBUS,
        shape: Shape::BusName,
    },
];
