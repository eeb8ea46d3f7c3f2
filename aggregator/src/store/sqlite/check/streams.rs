//! What is there of each stream against its mark and its gaps.

use rusqlite::Connection;

use super::compare::find_faults;
use crate::store::CheckReport;

const CHECKS: [&str; 4] = [
    "SELECT 'stream ' || id || ': its mark ' || high_water || ' is below sequence ' || sequence || ' that is there'
     FROM stream JOIN (SELECT stream_id, sequence FROM batch UNION ALL SELECT stream_id, sequence FROM loss)
          AS taken ON taken.stream_id = stream.id
     WHERE sequence > high_water LIMIT 51",
    "SELECT 'stream ' || stream_id || ': sequence ' || sequence || ' is there and in a gap'
     FROM (SELECT stream_id, sequence FROM batch UNION ALL SELECT stream_id, sequence FROM loss) AS taken
     WHERE sequence <= (SELECT last FROM gap
                        WHERE gap.stream_id = taken.stream_id AND first <= taken.sequence
                        ORDER BY first DESC LIMIT 1) LIMIT 51",
    "SELECT 'stream ' || stream_id || ': sequence ' || sequence || ' is there and was declared lost'
     FROM batch JOIN loss USING (stream_id, sequence) LIMIT 51",
    // Each sequence up to the mark is there, lost or in a gap, as long as nothing was forgotten.
    "SELECT 'stream ' || id || ': of ' || high_water || ' sequences some are neither there nor missing'
     FROM stream
     WHERE (SELECT raw_from_minute FROM node WHERE node.id = node_id) = 0
       AND high_water <> (SELECT count(*) FROM batch WHERE batch.stream_id = stream.id)
         + (SELECT count(*) FROM loss WHERE loss.stream_id = stream.id)
         + (SELECT coalesce(sum(last - first + 1), 0) FROM gap WHERE gap.stream_id = stream.id) LIMIT 51",
];

/// Every sequence is in one place only, and below the mark.
pub(super) fn check(connection: &Connection, report: &mut CheckReport) -> rusqlite::Result<()> {
    CHECKS
        .iter()
        .try_for_each(|sql| find_faults(connection, report, sql))
}
