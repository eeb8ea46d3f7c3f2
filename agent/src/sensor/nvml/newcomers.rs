//! GPUs that come after the agent has started: with a driver that is installed later, or put in.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use nvml_wrapper::Nvml as Driver;
use tracing::warn;

use super::card::Card;
use crate::sensor::Sensor;

/// Looks for them until it is dropped.
#[derive(Debug)]
pub struct Newcomers {
    found: Receiver<Card>,
    /// The thread ends when it is dropped.
    _until: Sender<()>,
}

/// GPUs that have a zone, and those that were found to give none.
struct Known {
    /// Zone by UUID.
    zones: HashMap<String, String>,
    useless: HashSet<String>,
}

impl Newcomers {
    /// Looks at every end of a `period`. `known` are those that are there: the zone of each by its UUID.
    ///
    /// # Errors
    /// Where no thread can be had.
    pub fn watch(known: HashMap<String, String>, period: Duration) -> std::io::Result<Self> {
        let (until, ended) = channel();
        let (sender, found) = channel();
        let mut known = Known {
            zones: known,
            useless: HashSet::new(),
        };
        let thread = thread::Builder::new().name("find-gpus".to_owned());
        thread.spawn(move || {
            while ended.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                for card in known.look() {
                    if sender.send(card).is_err() {
                        return;
                    }
                }
            }
        })?;
        Ok(Self {
            found,
            _until: until,
        })
    }

    /// Those that have come since the last call.
    pub fn take(&self) -> impl Iterator<Item = Box<dyn Sensor>> {
        let cards = self.found.try_iter();
        cards.map(|card| Box::new(card) as Box<dyn Sensor>)
    }
}

impl Known {
    fn look(&mut self) -> Vec<Card> {
        // Most machines have no GPU, and never will.
        let Ok(driver) = Driver::init() else {
            return Vec::new();
        };
        let numbers = 0..driver.device_count().unwrap_or_default();
        let cards = numbers.filter_map(|number| {
            let uuid = driver.device_by_index(number).and_then(|gpu| gpu.uuid());
            self.card(number, uuid.ok()?)
        });
        cards.collect()
    }

    fn card(&mut self, number: u32, uuid: String) -> Option<Card> {
        if self.zones.contains_key(&uuid) || self.useless.contains(&uuid) {
            return None;
        }
        let zone = self.free_name(number);
        match Card::find(number, &zone) {
            Ok(card) if card.uuid() == uuid => {
                self.zones.insert(uuid, zone);
                Some(card)
            }
            // Numbers have changed meanwhile.
            Ok(_) => None,
            Err(error) => {
                warn!("left out: {error}");
                self.useless.insert(uuid);
                None
            }
        }
    }

    /// By its number, or by the next one that no other had.
    fn free_name(&self, number: u32) -> String {
        let is_free = |name: &String| self.zones.values().all(|other| other != name);
        let mut names = (number..).map(super::zone_name);
        names.find(is_free).expect("not all numbers are taken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_given_once() {
        let zones = [("GPU-a", "gpu-0"), ("GPU-b", "gpu-1"), ("GPU-c", "gpu-3")];
        let known = Known {
            zones: zones
                .map(|(uuid, zone)| (uuid.to_owned(), zone.to_owned()))
                .into(),
            useless: HashSet::new(),
        };
        for (number, expected) in [(0, "gpu-2"), (2, "gpu-2"), (3, "gpu-4"), (7, "gpu-7")] {
            assert_eq!(known.free_name(number), expected);
        }
    }
}
