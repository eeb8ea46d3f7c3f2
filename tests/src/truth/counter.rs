//! What a zone's files show of its energy. Pure.

use super::command::Fault;

/// A counter and the state of its files.
#[derive(Clone, Debug)]
pub struct Counter {
    /// Where it turns.
    range_uj: u64,
    told_range_uj: u64,
    /// It stood at `from_uj` when the zone's energy was `since_uj`.
    from_uj: u64,
    since_uj: u64,
    stands_at_uj: Option<u64>,
    /// How its files are.
    pub files: Files,
}

/// How a zone's files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// As the kernel lays them out.
    There,
    /// The zone has no directory.
    Vanished,
    /// The counter is no file.
    Unreadable,
}

impl Counter {
    /// From 0, turning at `range_uj` (above 0).
    #[must_use]
    pub fn new(range_uj: u64) -> Self {
        Self {
            range_uj,
            told_range_uj: range_uj,
            from_uj: 0,
            since_uj: 0,
            stands_at_uj: None,
            files: Files::There,
        }
    }

    /// What `energy_uj` shows when the zone has used `total_uj`.
    #[must_use]
    pub fn shown_uj(&self, total_uj: u64) -> u64 {
        let counted =
            || u128::from(self.from_uj) + u128::from(total_uj.saturating_sub(self.since_uj));
        self.stands_at_uj
            .unwrap_or_else(|| (counted() % u128::from(self.range_uj)) as u64)
    }

    /// What `max_energy_range_uj` shows.
    #[must_use]
    pub fn told_range_uj(&self) -> u64 {
        self.told_range_uj
    }

    /// Something happens when the zone has used `total_uj`.
    pub fn suffer(&mut self, fault: Fault, total_uj: u64) {
        match fault {
            Fault::Range(range_uj) => {
                (self.from_uj, self.since_uj) = (self.shown_uj(total_uj), total_uj);
                (self.range_uj, self.told_range_uj) = (range_uj, range_uj);
            }
            Fault::WrongRange(range_uj) => self.told_range_uj = range_uj,
            Fault::Jump(uj) => {
                (self.from_uj, self.since_uj) = (uj, total_uj);
                self.stands_at_uj = self.stands_at_uj.map(|_| uj);
            }
            Fault::Vanish => self.files = Files::Vanished,
            Fault::Unreadable => self.files = Files::Unreadable,
            Fault::Return => self.files = Files::There,
            Fault::Stop => self.stands_at_uj = Some(self.shown_uj(total_uj)),
            Fault::Continue => self.stands_at_uj = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_turns_and_jumps_and_stands() {
        let mut counter = Counter::new(100);
        assert_eq!((counter.shown_uj(99), counter.shown_uj(250)), (99, 50));
        counter.suffer(Fault::Jump(95), 250);
        assert_eq!((counter.shown_uj(250), counter.shown_uj(260)), (95, 5));
        counter.suffer(Fault::Stop, 260);
        assert_eq!(counter.shown_uj(300), 5);
        counter.suffer(Fault::Continue, 300);
        assert_eq!(counter.shown_uj(300), 45);
        counter.suffer(Fault::Stop, 300);
        counter.suffer(Fault::Jump(45), 300);
        assert_eq!(counter.shown_uj(310), 45);
        counter.suffer(Fault::Continue, 310);
        assert_eq!(counter.shown_uj(300), 45);
        counter.suffer(Fault::Range(50), 300);
        assert_eq!((counter.shown_uj(300), counter.shown_uj(310)), (45, 5));
        counter.suffer(Fault::WrongRange(3), 310);
        assert_eq!((counter.told_range_uj(), counter.shown_uj(314)), (3, 9));
    }
}
