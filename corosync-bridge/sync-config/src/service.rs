//! Names of services that may be told of a change.

/// Longest name of a unit and of a name on D-Bus.
pub(crate) const MAX_NAME_BYTES: usize = 255;

/// Kinds of units that can be restarted or reloaded.
const UNIT_KINDS: [&str; 6] = ["service", "socket", "target", "timer", "path", "mount"];

/// Unit names as a regular expression for JSON Schema.
pub(crate) const UNIT_PATTERN: &str = r"^[A-Za-z0-9:_.\\@-]+\.(service|socket|target|timer|path|mount)$";

/// Names on D-Bus as a regular expression for JSON Schema.
pub(crate) const BUS_PATTERN: &str = r"^[A-Za-z_-][A-Za-z0-9_-]*(\.[A-Za-z_-][A-Za-z0-9_-]*)+$";

/// Checks the name of a unit (`systemd.unit(5)`); the error says what is accepted.
pub(crate) fn check_unit(name: &str) -> Result<(), &'static str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '.' | '\\' | '@' | '-');
    match name.rsplit_once('.') {
        Some((stem, kind))
            if !stem.is_empty()
                && UNIT_KINDS.contains(&kind)
                && name.len() <= MAX_NAME_BYTES
                && name.chars().all(fits) =>
        {
            Ok(())
        }
        _ => Err("systemd needs the whole name of a unit, as in phosphor-ipmi-host.service"),
    }
}

/// Checks a well-known name on D-Bus; the error says what is accepted.
pub(crate) fn check_bus_name(name: &str) -> Result<(), &'static str> {
    let fits = |element: &str| {
        !element.is_empty()
            && !element.starts_with(|c: char| c.is_ascii_digit())
            && element
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
    };
    if name.contains('.') && name.len() <= MAX_NAME_BYTES && name.split('.').all(fits) {
        return Ok(());
    }
    Err("a name on D-Bus looks like xyz.openbmc_project.Settings")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_has_a_whole_name() {
        for name in [
            "a.service",
            "xyz.openbmc_project.Settings.service",
            "phosphor-fan@0.service",
            "a\\x2d.mount",
        ] {
            assert!(check_unit(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "service1",
            ".service",
            "a.conf",
            "a b.service",
            "a/b.service",
            "é.service",
        ] {
            assert!(check_unit(name).is_err(), "{name} was accepted");
        }
        assert!(check_unit(&format!("{}.service", "n".repeat(248))).is_err());
    }

    #[test]
    fn a_bus_name_has_two_elements_and_none_begins_with_a_digit() {
        for name in ["xyz.openbmc_project.Settings", "a.b", "org.a-b.c1"] {
            assert!(check_bus_name(name).is_ok(), "{name}");
        }
        for name in ["", "service1", "a..b", ".a.b", "a.b.", "a.1b", ":1.5", "a.b c"] {
            assert!(check_bus_name(name).is_err(), "{name} was accepted");
        }
        assert!(check_bus_name(&format!("a.{}", "n".repeat(254))).is_err());
    }
}
