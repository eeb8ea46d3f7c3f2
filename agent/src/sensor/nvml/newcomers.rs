//! GPUs that come after the agent has started: with a driver that is installed later, or put in.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nvml_wrapper::Nvml as Driver;
use tracing::warn;

use super::card::Card;
use super::errors::{Asked, told};
use super::zone_name;
use crate::sensor::{Sensor, SensorError};

/// Looks for them until it is dropped.
#[derive(Debug)]
pub struct Newcomers {
    found: Receiver<Card>,
    /// The thread ends when it is dropped.
    _until: Sender<()>,
}

/// What is known of GPUs by those who look at one each.
#[derive(Debug, Default)]
struct Known {
    /// Zone by UUID, of those that have one or are about to.
    zones: HashMap<String, String>,
    /// Numbers that somebody looks at now; for as long as it hangs.
    asked: HashSet<u32>,
    /// What stood in the way of some.
    said: HashSet<String>,
}

impl Newcomers {
    /// Looks at every end of a `period`. `known` are those that are there: the zone of each by its UUID.
    ///
    /// # Errors
    /// Where no thread can be had.
    pub fn watch(known: HashMap<String, String>, period: Duration) -> std::io::Result<Self> {
        let (until, ended) = channel();
        let (sender, found) = channel();
        let known = Arc::new(Mutex::new(Known {
            zones: known,
            ..Known::default()
        }));
        let thread = thread::Builder::new().name("find-gpus".to_owned());
        thread.spawn(move || {
            while ended.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                look(&known, &sender);
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

/// Looks at each number on a thread of its own, since a call may hang.
fn look(known: &Arc<Mutex<Known>>, sender: &Sender<Card>) {
    let counted = Driver::init().and_then(|driver| Ok((driver.device_count()?, driver)));
    let (count, _driver) = match counted {
        Ok(counted) => counted,
        Err(error) => {
            // Most machines have no GPU, and never will.
            let error = told(Asked::Driver, &error);
            if !matches!(error, SensorError::Absent(_)) {
                lock(known).say_once(error.to_string());
            }
            return;
        }
    };
    for number in 0..count {
        if !lock(known).asked.insert(number) {
            lock(known).say_once(format!("GPU {number} does not answer"));
            continue;
        }
        let (own, sender) = (known.clone(), sender.clone());
        let thread = thread::Builder::new().name("find-gpu".to_owned());
        let started = thread.spawn(move || {
            let found = look_at(number, &own);
            lock(&own).asked.remove(&number);
            if let Some(card) = found {
                // Nobody waits for it when the agent ends.
                let _ = sender.send(card);
            }
        });
        if let Err(error) = started {
            let mut known = lock(known);
            known.asked.remove(&number);
            known.say_once(format!("GPU {number}: no thread: {error}"));
        }
    }
}

/// The GPU of this number, if it is new.
fn look_at(number: u32, known: &Mutex<Known>) -> Option<Card> {
    let uuid = Driver::init().and_then(|driver| driver.device_by_index(number)?.uuid());
    let uuid = match uuid {
        Ok(uuid) => uuid,
        Err(error) => {
            lock(known).say_once(told(Asked::Gpu(&number), &error).to_string());
            return None;
        }
    };
    let zone = lock(known).zone(&uuid, number)?;
    let found = Card::find(number, &zone);
    let mut known = lock(known);
    match found {
        Ok(card) if card.uuid() == uuid => return Some(card),
        // Numbers have changed meanwhile.
        Ok(_) => {}
        Err(error) => known.say_once(error.to_string()),
    }
    known.zones.remove(&uuid);
    None
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Known {
    /// A zone for a GPU that has none: by its number, or by the next one that no other had.
    fn zone(&mut self, uuid: &str, number: u32) -> Option<String> {
        if self.zones.contains_key(uuid) {
            return None;
        }
        let is_free = |name: &String| self.zones.values().all(|other| other != name);
        let name = (number..).map(zone_name).find(is_free)?;
        self.zones.insert(uuid.to_owned(), name.clone());
        Some(name)
    }

    /// It is looked at again, and said once.
    fn say_once(&mut self, what: String) {
        if !self.said.contains(&what) {
            warn!("looking for GPUs that come later: {what}");
            self.said.insert(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_given_once() {
        let zones = [("GPU-a", "gpu-0"), ("GPU-b", "gpu-1"), ("GPU-c", "gpu-3")];
        let mut known = Known {
            zones: zones
                .map(|(uuid, zone)| (uuid.to_owned(), zone.to_owned()))
                .into(),
            ..Known::default()
        };
        for (uuid, number, expected) in [
            ("GPU-d", 0, Some("gpu-2")),
            ("GPU-e", 2, Some("gpu-4")),
            ("GPU-f", 7, Some("gpu-7")),
            ("GPU-b", 8, None),
            ("GPU-d", 8, None),
        ] {
            assert_eq!(known.zone(uuid, number).as_deref(), expected, "{uuid}");
        }
    }
}
