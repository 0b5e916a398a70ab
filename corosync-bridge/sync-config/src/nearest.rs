//! What somebody meant to write.

/// Longest word that is compared, in bytes: no key is nearly as long.
const MAX_WORD_BYTES: usize = 40;

/// The candidate that takes the fewest changes to get from `word`, when that is few enough to be a slip.
pub(crate) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    if word.len() > MAX_WORD_BYTES {
        return None;
    }
    let word = word.to_lowercase();
    candidates
        .iter()
        .map(|candidate| (distance(&word, &candidate.to_lowercase()), *candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len() / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many characters have to be added, dropped, replaced, or swapped with the next.
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let replaced = last[j] + usize::from(a != b);
            let mut least = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && *b == from[i - 1] {
                least = least.min(before_last[j - 1] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let keys = ["Path", "SyncType", "SyncDirection", "ExcludeList", "IncludeList"];
        for (word, meant) in [
            ("SyncTpye", "SyncType"),
            ("path", "Path"),
            ("InculdeLists", "IncludeList"),
            ("Sync_Direction", "SyncDirection"),
        ] {
            assert_eq!(nearest(word, &keys), Some(meant), "{word}");
        }
        assert_eq!(nearest("Retries", &keys), None);
        assert_eq!(nearest("", &keys), None);
    }

    #[test]
    fn letters_that_changed_places_are_one_slip() {
        assert_eq!(distance("tpye", "type"), 1);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("", ""), 0);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
