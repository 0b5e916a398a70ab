//! `bmc-ha sync status`: the copies of the settings.

use bmc_bridge_control::{Connection, Member, Position, Role, Status, Switch, Sync};

use super::switch;
use crate::bridge;
use crate::cli::Format;
use crate::exit::Exit;
use crate::status::sync_word;
use crate::terminal::{Paint, Tone, print, print_json};

/// Asks the bridge and prints.
pub(crate) fn run(format: Format) -> anyhow::Result<Exit> {
    let status = bridge::connect_here()?.status(bridge::STATUS_DEADLINE)?;
    match format {
        Format::Json => print_json(&status)?,
        Format::Text => print(&render(&status, Paint::for_stdout()))?,
    }
    Ok(if is_well(&status) {
        Exit::Done
    } else {
        Exit::Degraded
    })
}

/// Whether all copies are the same, as far as this bridge can tell.
fn is_well(status: &Status) -> bool {
    let own = matches!(status.sync, Sync::Source | Sync::InSync);
    let others = status.members.iter();
    status.connection == Connection::Joined
        && status.switch == Switch::On
        && status.problems.is_empty()
        && own
        && others
            .clone()
            .all(|member| matches!(member.sync, Sync::Source | Sync::InSync))
        && others.len() > 0
}

fn render(status: &Status, paint: Paint) -> String {
    let mut lines = vec![headline(status, paint), String::new()];
    lines.extend(paint.table(table(status)));
    lines.push(String::new());
    lines.extend(facts(status));
    if !status.problems.is_empty() {
        lines.push(String::new());
        lines.push(paint.paint(Tone::Strong, "Problems"));
        let problems = status.problems.iter();
        lines.extend(problems.map(|problem| format!("  {} (seen {} times)", problem.message, problem.count)));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn headline(status: &Status, paint: Paint) -> String {
    let active = match status.role {
        Role::Active => Some(status.name.as_str()),
        Role::Passive => active(status).map(|member| member.name.as_str()),
    };
    match active {
        _ if status.connection == Connection::Disconnected => {
            paint.paint(Tone::Bad, "the bridge here is not in the group")
        }
        None => paint.paint(Tone::Bad, "no BMC is the source of the settings"),
        Some(active) if status.switch != Switch::On => paint.paint(
            Tone::Doubtful,
            format!("{active} is the source; replication is {}", status.switch),
        ),
        Some(active) if is_well(status) => paint.paint(
            Tone::Good,
            format!("{active} is the source; every copy is in sync"),
        ),
        Some(active) if status.members.is_empty() => paint.paint(
            Tone::Doubtful,
            format!("{active} is the source; no sibling has a copy"),
        ),
        Some(active) => paint.paint(
            Tone::Doubtful,
            format!("{active} is the source; not everything is as it should be"),
        ),
    }
}

/// The Active, where it is another BMC.
pub(super) fn active(status: &Status) -> Option<&Member> {
    status.members.iter().find(|member| member.role == Role::Active)
}

fn table(status: &Status) -> Vec<[String; 5]> {
    let mut rows = vec![["BMC", "role", "settings", "acknowledged", "lag"].map(str::to_owned)];
    rows.push([
        status.name.clone(),
        role_word(status.role).to_owned(),
        copy(status.sync, status.position),
        "-".to_owned(),
        "-".to_owned(),
    ]);
    rows.extend(status.members.iter().map(|member| {
        let acknowledged = member.acknowledged.map(|sequence| sequence.to_string());
        let lag = member.lag_ms.map(|lag| format!("{lag} ms"));
        [
            member.name.clone(),
            role_word(member.role).to_owned(),
            copy(member.sync, member.position),
            acknowledged.unwrap_or_else(|| "-".to_owned()),
            lag.unwrap_or_else(|| "-".to_owned()),
        ]
    }));
    rows
}

fn role_word(role: Role) -> &'static str {
    match role {
        Role::Active => "Active",
        Role::Passive => "Passive",
    }
}

fn copy(sync: Sync, Position { epoch, sequence }: Position) -> String {
    format!("{} at {epoch}.{sequence}", sync_word(sync))
}

fn facts(status: &Status) -> Vec<String> {
    let quorum = if status.quorate { "quorum" } else { "no quorum" };
    let group = match status.connection {
        Connection::Joined => format!("joined; {quorum}"),
        Connection::Disconnected => "not joined: Corosync is away".to_owned(),
    };
    let transfer = status.transfer.map_or("none".to_owned(), |transfer| {
        format!(
            "{} entries and {} bytes on their way",
            transfer.entries_left, transfer.bytes_left
        )
    });
    let conflicts = (status.conflicts > 0).then(|| {
        let count = status.conflicts;
        let kept = format!("{count} kept aside here; see bmc-ha sync conflicts list");
        ("conflicts", kept)
    });
    [
        ("group", group),
        ("switch", switch::explain(status.switch).to_owned()),
        ("entries", status.entries.to_string()),
        ("transfer", transfer),
    ]
    .into_iter()
    .chain(conflicts)
    .map(|(name, value)| format!("  {name:<10}{value}"))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::fixtures;

    #[test]
    fn a_pair_in_sync_is_well_and_shown_with_its_positions() {
        let status = fixtures::bridge();
        assert!(is_well(&status));
        let text = render(&status, Paint::plain());
        assert!(
            text.starts_with("bmc0 is the source; every copy is in sync\n"),
            "{text}"
        );
        for line in [
            "  bmc0  Active   source at 3.9   ",
            "  bmc1  Passive  in sync at 3.9",
        ] {
            assert!(text.contains(line), "no {line:?} in {text}");
        }
    }

    #[test]
    fn versions_that_were_kept_aside_are_counted_and_the_pair_is_well_all_the_same() {
        let mut status = fixtures::bridge();
        assert!(!render(&status, Paint::plain()).contains("conflicts"));
        status.conflicts = 3;
        assert!(is_well(&status));
        let text = render(&status, Paint::plain());
        assert!(
            text.contains("  conflicts 3 kept aside here; see bmc-ha sync conflicts list"),
            "{text}"
        );
    }

    #[test]
    fn a_copy_that_is_missing_behind_or_in_trouble_is_not_well() {
        let well = fixtures::bridge();
        let mut alone = well.clone();
        alone.members.clear();
        let mut behind = well.clone();
        behind.members[0].sync = Sync::Syncing;
        let mut paused = well.clone();
        paused.switch = Switch::Paused;
        let mut troubled = well;
        troubled.problems.push(bmc_bridge_control::Problem {
            message: "apply /a: no space left".to_owned(),
            count: 3,
        });
        for status in [&alone, &behind, &paused, &troubled] {
            assert!(!is_well(status), "{status:?}");
        }
        assert!(render(&alone, Paint::plain()).contains("no sibling has a copy"));
        let text = render(&paused, Paint::plain());
        assert!(
            text.starts_with("bmc0 is the source; replication is paused\n"),
            "{text}"
        );
        assert!(
            text.contains("  switch    paused, until bmc-ha sync resume"),
            "{text}"
        );
        assert!(render(&troubled, Paint::plain()).contains("  apply /a: no space left (seen 3 times)"));
    }

    #[test]
    fn the_active_is_named_on_the_passive_too() {
        let mut status = fixtures::bridge();
        status.role = Role::Passive;
        status.sync = Sync::InSync;
        status.members[0].role = Role::Active;
        status.members[0].sync = Sync::Source;
        assert!(render(&status, Paint::plain()).starts_with("bmc1 is the source"));
    }
}
