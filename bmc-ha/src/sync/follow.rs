//! A command of which the bridge tells how far it is, and what came of it.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use bmc_bridge_control::{Client, ClientError, Command, Followed};
use serde::Serialize;

use super::gauge::Gauge;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Answer {
    /// Whether it was waited for.
    pub(super) result: End,
    /// The other BMCs that had everything at the end; nothing is said of them when it was not waited for.
    pub(super) siblings: Vec<String>,
    /// How long it took, in milliseconds.
    pub(super) duration_ms: u128,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum End {
    /// The bridge has taken the request.
    Asked,
    /// It was carried out.
    Done,
}

/// Asks the bridge. With `wait`, shows how far it is until it is done or `timeout` has passed.
pub(super) fn follow(
    client: Client,
    command: Command,
    wait: bool,
    timeout: Duration,
) -> Result<Answer, ClientError> {
    let begin = Instant::now();
    let mut gauge = Gauge::new();
    let mut siblings = Vec::new();
    let followed = client.follow(command, timeout, |progress| {
        if !wait {
            return ControlFlow::Break(());
        }
        gauge.show(progress.transfer);
        let members = progress.members.into_iter();
        siblings = members
            .filter(|member| member.acknowledged.is_some())
            .map(|member| member.name)
            .collect();
        ControlFlow::Continue(())
    });
    gauge.end();
    Ok(Answer {
        result: match followed? {
            Followed::ToTheEnd => End::Done,
            Followed::NoFurther => End::Asked,
        },
        siblings,
        duration_ms: begin.elapsed().as_millis(),
    })
}
