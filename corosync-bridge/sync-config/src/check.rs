//! Holds a document against the table of keys. Everything that is wrong is collected, not only the first.

mod relations;
mod scalar;

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use crate::diagnostic::{self, Diagnostic, Mistake};
use crate::json::{Json, Member, Value};
use crate::keys::{Key, Object, Shape};
use crate::nearest::nearest;
use crate::path::WrittenPath;
use crate::source::At;

/// A value that has its shape.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) at: At,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    Text(String),
    Path(WrittenPath),
    Whole(u32),
    Duration(Duration),
    List(Vec<Node>),
    Object(Fields),
}

/// The members of an object.
#[derive(Debug)]
pub(crate) struct Fields(Vec<(&'static str, Node)>);

impl Fields {
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.0
            .iter()
            .find_map(|(name, node)| (*name == key).then_some(node))
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.text()
    }

    pub(crate) fn path(&self, key: &str) -> Option<&Path> {
        self.get(key)?.path()
    }

    pub(crate) fn whole(&self, key: &str) -> Option<u32> {
        match self.get(key)?.content {
            Content::Whole(number) => Some(number),
            _ => None,
        }
    }

    pub(crate) fn duration(&self, key: &str) -> Option<Duration> {
        match self.get(key)?.content {
            Content::Duration(length) => Some(length),
            _ => None,
        }
    }

    /// The items of a list; none when the key does not stand.
    pub(crate) fn items(&self, key: &str) -> &[Node] {
        match self.get(key).map(|node| &node.content) {
            Some(Content::List(items)) => items,
            _ => &[],
        }
    }

    pub(crate) fn object(&self, key: &str) -> Option<&Self> {
        self.get(key)?.object()
    }
}

impl Node {
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.content {
            Content::Path(written) => Some(&written.path),
            _ => None,
        }
    }

    pub(crate) fn object(&self) -> Option<&Fields> {
        match &self.content {
            Content::Object(fields) => Some(fields),
            _ => None,
        }
    }
}

/// What the document holds as far as it has the shape of `object`; all that is wrong with it goes to `problems`.
pub(crate) fn document(
    object: &'static Object,
    at: &At,
    json: &Json,
    problems: &mut Vec<Diagnostic>,
) -> Option<Fields> {
    Checker { problems }.fields(object, at, json)
}

struct Checker<'a> {
    problems: &'a mut Vec<Diagnostic>,
}

impl Checker<'_> {
    fn report(&mut self, problem: Diagnostic) {
        self.problems.push(problem);
    }

    /// `None` when it is reported that `json` has not this shape.
    fn node(&mut self, shape: &'static Shape, at: At, json: &Json) -> Option<Node> {
        let content = match shape {
            Shape::List(item) => Content::List(self.list(item, &at, json)?),
            Shape::Object(object) => Content::Object(self.fields(object, &at, json)?),
            shape => match scalar::read(shape, &json.value) {
                Ok(content) => content,
                Err(expected) => {
                    let mut problem = scalar::refuse(&at, &json.value, &expected);
                    if let (Shape::Choice(words), Value::String(word)) = (shape, &json.value) {
                        if let Some(meant) = nearest(word, words) {
                            problem = problem.help(format!("did you mean {meant:?}?"));
                        }
                    }
                    self.report(problem);
                    return None;
                }
            },
        };
        Some(Node { at, content })
    }

    /// A list of objects holds those that are well; any other list is whole or not at all, for half of an
    /// ExcludeList means something else.
    fn list(&mut self, shape: &'static Shape, at: &At, json: &Json) -> Option<Vec<Node>> {
        let items = match &json.value {
            Value::Array(items) if !items.is_empty() => items,
            other => {
                self.report(scalar::refuse(
                    at,
                    other,
                    "it has to be an array with at least one item",
                ));
                return None;
            }
        };
        let mut nodes = Vec::new();
        let mut texts = HashMap::new();
        for (index, item) in items.iter().enumerate() {
            if diagnostic::are_enough(self.problems) {
                return None;
            }
            let at = at.item(index, item.span);
            let earlier = match &item.value {
                Value::String(text) => texts.insert(text, index),
                _ => None,
            };
            if let Some(first) = earlier {
                let message = format!("{} stands here twice", item.value.quote());
                let problem = Diagnostic::new(Mistake::BadValue, &at, message);
                self.report(problem.help(format!("it is item {first} already, counted from 0")));
            } else {
                nodes.extend(self.node(shape, at, item));
            }
        }
        let whole = nodes.len() == items.len() || matches!(shape, Shape::Object(_));
        whole.then_some(nodes)
    }

    fn fields(&mut self, object: &'static Object, at: &At, json: &Json) -> Option<Fields> {
        let Value::Object(members) = &json.value else {
            self.report(scalar::refuse(at, &json.value, "it has to be an object"));
            return None;
        };
        let problems_before = self.problems.len();
        let mut fields = Vec::new();
        let mut slips = Vec::new();
        let mut stand = HashMap::new();
        for member in members {
            if diagnostic::are_enough(self.problems) {
                return None;
            }
            if let Some(earlier) = stand.insert(member.key.as_str(), member.span) {
                let message = format!("key {:?} stands here twice", member.key);
                let problem = Diagnostic::new(Mistake::RepeatedKey, &at.part(member.span), message);
                self.report(problem.related(&at.part(earlier), "it stands here already"));
            } else if let Some(key) = object.keys.iter().find(|key| key.name == member.key) {
                let at = at.key(key.name, member.value.span);
                let node = self.node(&key.shape, at, &member.value);
                fields.extend(node.map(|node| (key.name, node)));
            } else {
                slips.extend(self.unknown(object, at, member));
            }
        }
        let is_missing =
            |key: &&Key| key.required && !slips.contains(&key.name) && !stand.contains_key(key.name);
        for key in object.keys.iter().filter(is_missing) {
            let message = format!("{} is missing", key.name);
            let help = format!("{}: {}", key.name, key.says);
            self.report(Diagnostic::new(Mistake::MissingKey, &at.part(json.span), message).help(help));
        }
        // A key that is there but for a slip is not to be told missing.
        if slips.is_empty() {
            for relation in object.relations {
                relations::check(relation, at, json, members, self.problems);
            }
        }
        let complete = self.problems.len() == problems_before;
        let holds_entries = |key: &Key| matches!(key.shape, Shape::List(Shape::Object(_)));
        (complete || object.keys.iter().all(holds_entries)).then_some(Fields(fields))
    }

    /// Returns the key that was probably meant.
    fn unknown(&mut self, object: &Object, at: &At, member: &Member) -> Option<&'static str> {
        let names: Vec<&'static str> = object.keys.iter().map(|key| key.name).collect();
        let message = format!("key {:?} is not known here", member.key);
        let mut problem = Diagnostic::new(Mistake::UnknownKey, &at.part(member.span), message);
        let meant = nearest(&member.key, &names);
        if let Some(meant) = meant {
            problem = problem.help(format!("did you mean {meant:?}?"));
        }
        self.report(problem.help(format!("known here: {}", names.join(", "))));
        meant
    }
}
