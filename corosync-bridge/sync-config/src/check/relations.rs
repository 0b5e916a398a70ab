//! What goes together in an object, and what does not.

use super::scalar;
use crate::diagnostic::{self, Diagnostic, Mistake};
use crate::json::{Json, Member, Value};
use crate::keys::{Relation, Shape};
use crate::source::At;

/// Checks one relation between the members of the object `json`; what is wrong goes to `problems`.
pub(super) fn check(
    relation: &Relation,
    at: &At,
    json: &Json,
    members: &[Member],
    problems: &mut Vec<Diagnostic>,
) {
    let object = Members { at, members };
    let problem = match relation {
        Relation::AnyOf(keys) => object.any_of(keys, json),
        Relation::Together(one, other) => object.together(one, other),
        Relation::Apart { keys, instead } => object.apart(*keys, instead),
        Relation::OnlyWhere {
            key,
            other,
            values,
            needed,
            instead,
        } => match object.word(other) {
            Some(word) if values.contains(&word) => needed.and_then(|what| object.needed(key, other, what)),
            Some(_) => object.misplaced(key, other, instead),
            None => None,
        },
        Relation::ItemsWhere {
            key,
            other,
            value,
            shape,
        } => {
            if object.word(other) == Some(value) {
                problems.extend(object.bad_items(key, shape));
            }
            None
        }
    };
    problems.extend(problem);
}

/// The members of one object.
struct Members<'a> {
    at: &'a At,
    members: &'a [Member],
}

impl<'a> Members<'a> {
    fn find(&self, key: &str) -> Option<&'a Member> {
        self.members.iter().find(|member| member.key == key)
    }

    /// The value of `key`, when it is a string.
    fn word(&self, key: &str) -> Option<&'a str> {
        match &self.find(key)?.value.value {
            Value::String(word) => Some(word),
            _ => None,
        }
    }

    fn at_key(&self, member: &Member) -> At {
        self.at.part(member.span)
    }

    fn at_value(&self, member: &Member) -> At {
        self.at.key(&member.key, member.value.span)
    }

    fn any_of(&self, keys: &[&str], json: &Json) -> Option<Diagnostic> {
        if keys.iter().any(|key| self.find(key).is_some()) {
            return None;
        }
        let message = format!("{} is missing", keys.join(" or "));
        Some(Diagnostic::new(
            Mistake::MissingKey,
            &self.at.part(json.span),
            message,
        ))
    }

    fn together(&self, one: &str, other: &str) -> Option<Diagnostic> {
        let (present, missing) = match (self.find(one), self.find(other)) {
            (Some(present), None) => (present, other),
            (None, Some(present)) => (present, one),
            _ => return None,
        };
        let message = format!("{} stands without {missing}", present.key);
        let problem = Diagnostic::new(Mistake::MissingKey, &self.at_key(present), message);
        Some(problem.help("give both or neither"))
    }

    fn apart(&self, [one, other]: [&str; 2], instead: &str) -> Option<Diagnostic> {
        let (one, other) = (self.find(one)?, self.find(other)?);
        let message = format!("{} and {} cannot stand together", one.key, other.key);
        let problem = Diagnostic::new(Mistake::Contradiction, &self.at_key(other), message);
        let note = format!("{} stands here", one.key);
        Some(problem.related(&self.at_key(one), note).help(instead))
    }

    /// `other` says that `key` has to stand.
    fn needed(&self, key: &str, other: &str, what: &str) -> Option<Diagnostic> {
        if self.find(key).is_some() {
            return None;
        }
        let (decisive, word) = (self.find(other)?, self.word(other)?);
        let message = format!("{key} is missing, which {other} {word:?} needs");
        let problem = Diagnostic::new(Mistake::MissingKey, &self.at_value(decisive), message);
        Some(problem.help(what))
    }

    /// `other` says that `key` cannot stand.
    fn misplaced(&self, key: &str, other: &str, instead: &str) -> Option<Diagnostic> {
        let (member, decisive, word) = (self.find(key)?, self.find(other)?, self.word(other)?);
        let message = format!("{key} cannot stand with {other} {word:?}");
        let problem = Diagnostic::new(Mistake::Contradiction, &self.at_key(member), message);
        let note = format!("{other} stands here");
        Some(problem.related(&self.at_value(decisive), note).help(instead))
    }

    /// The strings in the list `key` that have not this shape; what is no string is told without it.
    fn bad_items(&self, key: &str, shape: &Shape) -> Vec<Diagnostic> {
        let Some(list) = self.find(key) else {
            return Vec::new();
        };
        let Value::Array(items) = &list.value.value else {
            return Vec::new();
        };
        let texts = items
            .iter()
            .enumerate()
            .filter(|(_, item)| matches!(item.value, Value::String(_)));
        let refused = texts.filter_map(|(index, item)| {
            let expected = scalar::read(shape, &item.value).err()?;
            let at = self.at_value(list).item(index, item.span);
            Some(scalar::refuse(&at, &item.value, &expected))
        });
        refused.take(diagnostic::MOST_TOLD).collect()
    }
}
