//! How something waits in a line for what was told before it, and what of that was moved meanwhile.

/// How often something waits for more than what was told before it: programs that write fast always leave something that is gone
/// when it is looked at.
pub(super) const PUT_OFF: u8 = 4;

/// How something waits in a line for what was told before it. What of that is gone when it is looked at was maybe moved, and
/// told of again: then it waits once more, for all that was told by the time that its turn comes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wait {
    /// What had been missed in the line when it began to wait.
    pub(super) missed: u64,
    pub(super) put_off: u8,
    /// How often it waited for what waits for a directory above that: each may wait for the other.
    pub(super) behind_beneath: u8,
}

impl Wait {
    /// Nothing that is missed puts it off any more.
    pub(super) fn over() -> Self {
        Self {
            missed: 0,
            put_off: PUT_OFF,
            behind_beneath: 0,
        }
    }

    /// Its turn has come in a line in which so much has been missed by now. Returns how it waits on where it has to.
    pub(super) fn put_off(self, missed: u64) -> Option<Self> {
        let is_put_off = self.missed < missed && self.put_off < PUT_OFF;
        is_put_off.then(|| self.once_more())
    }

    /// How it waits on, unless it has waited long enough, for what waits for a directory above that.
    pub(super) fn behind_beneath(self) -> Option<Self> {
        let behind_beneath = self.behind_beneath + 1;
        (behind_beneath <= PUT_OFF).then_some(Self {
            behind_beneath,
            ..self
        })
    }

    /// How it waits on for what is put off before it.
    pub(super) fn once_more(self) -> Self {
        Self {
            put_off: self.put_off.saturating_add(1).min(PUT_OFF),
            ..self
        }
    }
}

/// Where a request waits in a line for what was told before it.
#[derive(Debug, Clone, Copy)]
pub(in crate::core) struct Barrier {
    /// Names the request.
    pub(in crate::core) id: u64,
    wait: Wait,
    /// It waits for what was found gone before its first turn, up to this number.
    pub(super) gone: Option<u64>,
    /// How often something was given up in the queue when it was told.
    pub(super) given_up: u64,
    /// Something was moved more often than it waits for that.
    pub(super) in_doubt: bool,
    /// Everything was looked at for it.
    has_looked: bool,
}

impl Barrier {
    pub(in crate::core) fn new(id: u64) -> Self {
        Self {
            id,
            wait: Wait::default(),
            gone: None,
            given_up: 0,
            in_doubt: false,
            has_looked: false,
        }
    }

    /// Begins to wait in a line in which so much has been missed by now.
    pub(in crate::core) fn wait(&mut self, missed: u64) {
        self.wait.missed = missed;
    }

    /// Its turn has come in a line in which so much has been missed by now. Returns whether it waits on.
    pub(in crate::core) fn is_put_off(&mut self, missed: u64) -> bool {
        let wait = self.wait.put_off(missed);
        self.in_doubt |= wait.is_none() && self.wait.missed < missed;
        self.wait = wait.unwrap_or(self.wait);
        wait.is_some()
    }

    /// Whether everything has to be looked at before it is reached: what was told of it and missed may be anywhere. Returns what
    /// it is behind that look: one more word it waits for.
    pub(in crate::core) fn behind_look(&self) -> Option<Self> {
        (self.in_doubt && !self.has_looked).then(|| Self {
            wait: Wait {
                put_off: PUT_OFF - 1,
                ..Wait::default()
            },
            has_looked: true,
            ..Self::new(self.id)
        })
    }
}
