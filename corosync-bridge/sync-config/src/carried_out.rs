//! What a list may say and this version does not do yet: changes that travel from the Passive to the Active.
//!
//! Such an entry would be replicated the wrong way round, so whoever runs a list refuses it.

use crate::diagnostic::{Diagnostic, Mistake};
use crate::keys;
use crate::parse::Draft;
use crate::rule::Direction;

/// Reports every entry of which something would not be carried out.
pub(crate) fn check(drafts: &[Draft], problems: &mut Vec<Diagnostic>) {
    problems.extend(drafts.iter().filter_map(problem));
}

fn problem(draft: &Draft) -> Option<Diagnostic> {
    let entry = &draft.entry;
    let key = if entry.rule.direction != Direction::ActiveToPassive {
        keys::SYNC_DIRECTION
    } else if !entry.exceptions.is_empty() {
        keys::EXCEPTION_LIST
    } else {
        return None;
    };
    let message = format!(
        "{key} of {} asks for changes of the Passive to travel to the Active, which this version does not carry out",
        entry.path.display()
    );
    let problem = Diagnostic::new(Mistake::NotCarriedOut, &draft.path_at, message);
    Some(
        problem
            .help("use \"SyncDirection\": \"Active2Passive\" without ExceptionList, or leave the entry out"),
    )
}
