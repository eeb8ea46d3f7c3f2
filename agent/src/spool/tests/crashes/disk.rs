//! A file system that is cut off.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use crate::spool::files::{Files, Found};
use crate::spool::tests::NOW;

/// A file system in memory that can be cut off at any step, and then be as a crash leaves it.
#[derive(Clone, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Each name's file, by number.
    names: BTreeMap<String, usize>,
    /// What the names were after each change since they were last synced, the synced ones first.
    history: Vec<BTreeMap<String, usize>>,
    /// Each file's content, and what of it is synced.
    contents: Vec<(Vec<u8>, Vec<u8>)>,
    /// Steps until the end.
    left: u64,
    /// Steps until one fails, after which all goes on.
    until_fault: u64,
}

impl Disk {
    /// All ends after so many more steps.
    pub(super) fn end_after(&self, steps: u64) {
        self.0.lock().unwrap().left = steps;
    }

    /// The step of this number, from 1, fails, after which all goes on; 0: none does.
    pub(super) fn fail_at(&self, step: u64) {
        self.0.lock().unwrap().until_fault = step;
    }

    /// Counts one step; the one at which all ends is done in part, if at all.
    fn step<T>(&self, does: impl FnOnce(&mut State, bool) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.0.lock().unwrap();
        let over = || io::Error::from(io::ErrorKind::BrokenPipe);
        if state.left == 0 {
            return Err(over());
        }
        state.left -= 1;
        state.until_fault = state.until_fault.saturating_sub(1);
        if state.until_fault == 1 {
            // What fails may have been done all the same.
            does(&mut state, true)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        if state.left == 0 {
            does(&mut state, false)?;
            return Err(over());
        }
        does(&mut state, true)
    }

    /// What the next process finds, after `steps` more of which all ends again.
    pub(super) fn crash(&self, of_machine: bool, fraction: u64, steps: u64) {
        let mut state = self.0.lock().unwrap();
        if of_machine {
            // Renames and removals are kept in order up to some point, contents up to any.
            state.note_names();
            let kept = fraction as usize % state.history.len();
            state.names = state.history[kept].clone();
            for (content, synced) in &mut state.contents {
                if content != synced {
                    let common = content
                        .iter()
                        .zip(synced.iter())
                        .take_while(|(a, b)| a == b)
                        .count();
                    let length = common + fraction as usize % (content.len() - common + 1);
                    *content = if content.starts_with(synced) || fraction & 1 == 0 {
                        content[..length].to_vec()
                    } else {
                        synced.clone()
                    };
                }
                synced.clone_from(content);
            }
        }
        state.history.clear();
        let names = state.names.clone();
        state.history.push(names);
        state.left = steps;
    }
}

impl State {
    fn note_names(&mut self) {
        let names = self.names.clone();
        self.history.push(names);
    }

    fn file(&mut self, name: &str) -> io::Result<usize> {
        self.names
            .get(name)
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Files for Disk {
    fn list(&self, folder: &str) -> io::Result<Vec<Found>> {
        let state = self.0.lock().unwrap();
        let prefix = if folder.is_empty() {
            String::new()
        } else {
            format!("{folder}/")
        };
        let found = state.names.iter().filter_map(|(path, file)| {
            let name = path.strip_prefix(&prefix)?;
            (!name.contains('/')).then(|| Found {
                name: name.to_owned(),
                bytes: state.contents[*file].0.len() as u64,
                modified_unix_ms: NOW,
            })
        });
        Ok(found.collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut state = self.0.lock().unwrap();
        let file = state.file(name)?;
        Ok(state.contents[file].0.clone())
    }

    fn write_new(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.step(|state, _| {
            state.contents.push((Vec::new(), Vec::new()));
            let file = state.contents.len() - 1;
            state.names.insert(name.to_owned(), file);
            state.note_names();
            Ok(())
        })?;
        self.step(|state, whole| {
            let file = state.file(name)?;
            let part = if whole { bytes.len() } else { bytes.len() / 2 };
            state.contents[file].0 = bytes[..part].to_vec();
            Ok(())
        })?;
        self.sync(name)
    }

    fn append(&mut self, name: &str, length: u64, bytes: &[u8]) -> io::Result<()> {
        self.step(|state, whole| {
            let file = state.file(name)?;
            let part = if whole { bytes.len() } else { bytes.len() / 2 };
            let content = &mut state.contents[file].0;
            content.truncate(length as usize);
            content.extend(&bytes[..part]);
            Ok(())
        })?;
        self.sync(name)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.step(|state, whole| {
            let file = state.file(from)?;
            if whole {
                state.names.remove(from);
                state.names.insert(to.to_owned(), file);
                state.note_names();
            }
            Ok(())
        })
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.step(|state, whole| {
            if whole {
                state.names.remove(name);
                state.note_names();
            }
            Ok(())
        })
    }

    fn sync_names(&mut self) -> io::Result<()> {
        self.step(|state, whole| {
            if whole {
                state.history.clear();
                state.note_names();
            }
            Ok(())
        })
    }
}

impl Disk {
    fn sync(&self, name: &str) -> io::Result<()> {
        self.step(|state, whole| {
            let file = state.file(name)?;
            if whole {
                let content = state.contents[file].0.clone();
                state.contents[file].1 = content;
            }
            Ok(())
        })
    }
}
