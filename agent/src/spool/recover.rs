//! What an earlier process left in the spool, and how this one goes on from it.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};
use tracing::{info, warn};
use wire::StreamId;

use super::entry::{self, Content, Header, Origin, Standing};
use super::files::{Files, Found};
use super::losses;
use super::sealed::{Key, Sealed, in_order};
use super::store::{Beginning, Limits, NEW, OPEN, Store};

/// Opens the spool for the figures of `origin`, whose counters stand as in `now`. Gives also how they stood at the
/// end of the last interval that is durable, where that was in this boot.
///
/// # Errors
/// Where what is there cannot be listed, or a file that is of no use cannot be set aside.
pub(super) fn open(
    mut files: Box<dyn Files>,
    origin: Origin,
    limits: Limits,
    now: &Standing,
) -> io::Result<(Store, Option<Standing>)> {
    let found = files.list("")?;
    for file in found.iter().filter(|file| is_left_over(&file.name)) {
        files.remove(&file.name)?;
    }
    let Some(mut content) = read_open(&mut *files, &found)? else {
        let next = begin(origin, now)?;
        let beginning = Beginning {
            limits,
            sealed: in_order(&found, stream_id(&next)),
            content: Content {
                header: next.clone(),
                ..Content::default()
            },
            next,
        };
        return Ok((Store::new(files, beginning), None));
    };
    let stood = match content.measured.last() {
        Some(last) => last.end.clone(),
        None => content.header.start.clone(),
    };
    let mut sealed = in_order(&found, stream_id(&content.header));
    take_sealed(&*files, &mut content, &mut sealed);
    content.header.start = stood.clone();
    let of_this_boot = content.header.origin == origin;
    let start = if of_this_boot { &stood } else { now };
    let mut next = begin(origin, start)?;
    go_on(&content, &sealed, &mut next);
    let beginning = Beginning {
        limits,
        content,
        sealed,
        next,
    };
    Ok((Store::new(files, beginning), of_this_boot.then_some(stood)))
}

fn stream_id(header: &Header) -> StreamId {
    StreamId(header.stream_id.clone().try_into().unwrap_or_default())
}

/// The batch may have been sealed without the file that comes after it: the intervals are in it then, and it was
/// never sent.
fn take_sealed(files: &dyn Files, content: &mut Content, sealed: &mut Vec<Sealed>) {
    let key = Key {
        stream_id: stream_id(&content.header),
        sequence: content.header.sequence,
    };
    let Some(position) = sealed.iter().position(|one| one.key == key) else {
        return;
    };
    let read = files.read(&key.to_string()).ok();
    match read.and_then(|bytes| wire::decode(&bytes).ok()) {
        Some(batch) => {
            let told = losses::told(key, &batch);
            content.losses.retain(|lost| !told.contains(lost));
            content.measured.clear();
        }
        // It will be sealed again from the same intervals.
        None => drop(sealed.remove(position)),
    }
}

/// Another boot goes on with the stream, another node does not.
fn go_on(content: &Content, sealed: &[Sealed], next: &mut Header) {
    let (before, after) = (&content.header.origin, &next.origin);
    if (&before.cluster, &before.node) != (&after.cluster, &after.node) {
        info!("the spool is another node's: what it holds is sent, and a stream of our own begun");
        return;
    }
    let own = stream_id(&content.header);
    let of_stream = sealed.iter().filter(|one| one.key.stream_id == own);
    let newest = of_stream.map(|one| one.key.sequence).max().unwrap_or(0);
    let filled = content.header.sequence + u64::from(!content.measured.is_empty());
    next.stream_id = own.to_vec();
    next.sequence = filled.max(newest + 1);
}

/// A file that was being written when its writer ended.
fn is_left_over(name: &str) -> bool {
    let of_batch = |name: &str| name.parse::<Key>().is_ok();
    name.strip_suffix(NEW)
        .is_some_and(|name| name == OPEN || of_batch(name))
}

/// What the open file says; `None` where there is none that can be used.
fn read_open(files: &mut dyn Files, found: &[Found]) -> io::Result<Option<Content>> {
    if !found.iter().any(|file| file.name == OPEN) {
        return Ok(None);
    }
    let read = files.read(OPEN).map_err(|error| error.to_string());
    let content = read.and_then(|bytes| {
        let content = entry::read(&bytes)?;
        let cut = bytes.len() as u64 - content.length;
        if cut > 0 {
            info!("{cut} bytes at the end of the spool's {OPEN} are no whole interval and are left out");
        }
        Ok(content)
    });
    match content.and_then(is_sound) {
        Ok(content) => Ok(Some(content)),
        Err(why) => {
            let broken = format!("{OPEN}.broken");
            warn!(
                "the spool's {OPEN} is not used ({why}) and set aside as {broken}; the time since the last batch stays a hole"
            );
            files.rename(OPEN, &broken)?;
            Ok(None)
        }
    }
}

fn is_sound(content: Content) -> Result<Content, String> {
    let in_range = |one: &entry::Measured| {
        let interval = &one.interval;
        let workloads = interval
            .workloads
            .iter()
            .all(|&index| (index as usize) < one.workloads.len());
        workloads
            && interval
                .zones
                .iter()
                .all(|sample| (sample.zone as usize) < one.zones.len())
    };
    if StreamId::try_from(content.header.stream_id.as_slice()).is_err()
        || content.header.sequence == 0
    {
        return Err("its header names no batch".to_owned());
    }
    if !content.measured.iter().all(in_range) {
        return Err("an interval points past its names".to_owned());
    }
    Ok(content)
}

/// The header of a new stream.
fn begin(origin: Origin, start: &Standing) -> io::Result<Header> {
    let mut stream_id = [0; 16];
    getrandom(&mut stream_id, GetRandomFlags::empty())?;
    Ok(Header {
        version: entry::VERSION,
        stream_id: stream_id.to_vec(),
        sequence: 1,
        origin,
        start: start.clone(),
        losses: Vec::new(),
    })
}
