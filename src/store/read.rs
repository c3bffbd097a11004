//! Queries: rows as values. Each sees one state of the database, never half of a commit.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, SqlitePool};

use crate::status::SubState;
use crate::store::apply::time_text;
use crate::store::error::StoreErrorKind;
use crate::store::rows::{HistoryEntry, NewDaq, ProductRow, ReceiverRow, StatusRow, StepRow, StoredDaq};

/// Entries of one history page at most: bounds the memory of a query.
pub const HISTORY_LIMIT_MAX: usize = 10_000;
/// Entries of one history page unless told.
const HISTORY_LIMIT: usize = 100;
/// Characters of a damaged value that an error repeats.
const SHOWN_CHARACTERS: usize = 60;

/// Which finished DAQs to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Entries at most; more than [`HISTORY_LIMIT_MAX`] is taken as that.
    pub limit: usize,
    /// Only those queued before this `sequence`.
    pub before: Option<i64>,
    /// Only those that ended so; empty is any.
    pub states: Vec<SubState>,
    /// Only those that ended at this time or later.
    pub since: Option<Timestamp>,
    /// Only those that ended before this time.
    pub until: Option<Timestamp>,
}

impl Default for HistoryQuery {
    fn default() -> HistoryQuery {
        HistoryQuery { limit: HISTORY_LIMIT, before: None, states: Vec::new(), since: None, until: None }
    }
}

/// How many DAQs there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Not finished.
    pub active: u64,
    /// Completed or aborted.
    pub finished: u64,
}

const ACTIVE_DAQS: &str = "SELECT daq.*, specification.text AS specification FROM daq \
     JOIN specification USING (sequence) WHERE finished = 0 ORDER BY sequence";
const ACTIVE_STEPS: &str = "SELECT * FROM step WHERE sequence IN (SELECT sequence FROM daq WHERE finished = 0) \
     ORDER BY sequence, kind, ordinal";
const ACTIVE_RECEIVERS: &str = "SELECT * FROM receiver WHERE sequence IN (SELECT sequence FROM daq WHERE finished = 0) \
     ORDER BY sequence, ordinal";
const ONE_DAQ: &str = "SELECT daq.*, specification.text AS specification FROM daq \
     JOIN specification USING (sequence) WHERE id = ?1";
const ONE_STEPS: &str = "SELECT * FROM step WHERE sequence = ?1 ORDER BY kind, ordinal";
const ONE_RECEIVERS: &str = "SELECT * FROM receiver WHERE sequence = ?1 ORDER BY ordinal";

/// Every query of a start, for a test of their cost.
#[cfg(test)]
pub(in crate::store) const ACTIVE_QUERIES: [&str; 3] = [ACTIVE_DAQS, ACTIVE_STEPS, ACTIVE_RECEIVERS];

type Read<T> = Result<T, StoreErrorKind>;

pub(in crate::store) async fn active(pool: &SqlitePool) -> Read<Vec<StoredDaq>> {
    // One transaction: steps and DAQs are of the same moment.
    let mut transaction = pool.begin().await.map_err(StoreErrorKind::of_read)?;
    let mut daqs = BTreeMap::new();
    for row in rows(&mut transaction, ACTIVE_DAQS).await? {
        let daq = stored_daq(&row)?;
        daqs.insert(daq.sequence, daq);
    }
    for row in rows(&mut transaction, ACTIVE_STEPS).await? {
        if let Some(daq) = daqs.get_mut(&column(&row, "sequence")?) {
            daq.steps.push(step(&row)?);
        }
    }
    for row in rows(&mut transaction, ACTIVE_RECEIVERS).await? {
        if let Some(daq) = daqs.get_mut(&column(&row, "sequence")?) {
            daq.receivers.push(receiver(&row)?);
        }
    }
    Ok(daqs.into_values().collect())
}

pub(in crate::store) async fn find(pool: &SqlitePool, id: &str) -> Read<Option<StoredDaq>> {
    let mut transaction = pool.begin().await.map_err(StoreErrorKind::of_read)?;
    let found =
        sqlx::query(ONE_DAQ).bind(id).fetch_optional(&mut *transaction).await.map_err(StoreErrorKind::of_read)?;
    let Some(mut daq) = found.as_ref().map(stored_daq).transpose()? else { return Ok(None) };
    daq.steps = rows_of(&mut transaction, ONE_STEPS, daq.sequence).await?.iter().map(step).collect::<Read<_>>()?;
    daq.receivers =
        rows_of(&mut transaction, ONE_RECEIVERS, daq.sequence).await?.iter().map(receiver).collect::<Read<_>>()?;
    Ok(Some(daq))
}

pub(in crate::store) async fn finished_digest(pool: &SqlitePool, id: &str) -> Read<Option<String>> {
    sqlx::query_scalar("SELECT specification_digest FROM daq WHERE id = ?1 AND finished = 1")
        .bind(id)
        .fetch_optional(pool)
        .await
        .map_err(StoreErrorKind::of_read)
}

pub(in crate::store) async fn history(pool: &SqlitePool, query: &HistoryQuery) -> Read<Vec<HistoryEntry>> {
    let mut sql = QueryBuilder::<Sqlite>::new(
        "SELECT sequence, id, file_id, sub_state, result, product_bytes, product_digest, user, created, updated, \
         alerts, message FROM daq WHERE finished = 1",
    );
    if let Some(before) = query.before {
        sql.push(" AND sequence < ").push_bind(before);
    }
    if let Some(since) = query.since {
        sql.push(" AND updated >= ").push_bind(time_text(since));
    }
    if let Some(until) = query.until {
        sql.push(" AND updated < ").push_bind(time_text(until));
    }
    if !query.states.is_empty() {
        sql.push(" AND sub_state IN (");
        let mut states = sql.separated(", ");
        for state in &query.states {
            states.push_bind(state.as_str());
        }
        sql.push(")");
    }
    // The cast is exact: the limit is small.
    let limit = query.limit.min(HISTORY_LIMIT_MAX) as i64;
    sql.push(" ORDER BY sequence DESC LIMIT ").push_bind(limit);
    let rows = sql.build().fetch_all(pool).await.map_err(StoreErrorKind::of_read)?;
    rows.iter().map(history_entry).collect()
}

pub(in crate::store) async fn counts(pool: &SqlitePool) -> Read<Counts> {
    let row = sqlx::query(
        "SELECT (SELECT count(*) FROM daq WHERE finished = 0) AS active, \
         (SELECT count(*) FROM daq WHERE finished = 1) AS finished",
    )
    .fetch_one(pool)
    .await
    .map_err(StoreErrorKind::of_read)?;
    Ok(Counts { active: unsigned(&row, "active")?, finished: unsigned(&row, "finished")? })
}

pub(in crate::store) async fn setting(pool: &SqlitePool, name: &str) -> Read<Option<String>> {
    sqlx::query_scalar("SELECT value FROM setting WHERE name = ?1")
        .bind(name)
        .fetch_optional(pool)
        .await
        .map_err(StoreErrorKind::of_read)
}

pub(in crate::store) async fn check(pool: &SqlitePool) -> Read<()> {
    let answer: String =
        sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(pool).await.map_err(StoreErrorKind::of_read)?;
    if answer == "ok" { Ok(()) } else { Err(malformed("the database", &answer)) }
}

async fn rows(connection: &mut SqliteConnection, sql: &'static str) -> Read<Vec<SqliteRow>> {
    sqlx::query(sql).fetch_all(connection).await.map_err(StoreErrorKind::of_read)
}

async fn rows_of(connection: &mut SqliteConnection, sql: &'static str, sequence: i64) -> Read<Vec<SqliteRow>> {
    sqlx::query(sql).bind(sequence).fetch_all(connection).await.map_err(StoreErrorKind::of_read)
}

fn stored_daq(row: &SqliteRow) -> Read<StoredDaq> {
    Ok(StoredDaq {
        sequence: column(row, "sequence")?,
        new: NewDaq {
            id: column(row, "id")?,
            file_id: column(row, "file_id")?,
            priority: column(row, "priority")?,
            user: column(row, "user")?,
            specification: column(row, "specification")?,
            specification_digest: column(row, "specification_digest")?,
            root: column(row, "root")?,
            created: time(row, "created")?,
        },
        status: StatusRow {
            sub_state: sub_state(row)?,
            alerts: json(row, "alerts")?,
            result: column(row, "result")?,
            message: column(row, "message")?,
            timestamp: time(row, "updated")?,
            product: product(row)?,
            timings: json(row, "timings")?,
            attempts: column(row, "attempts")?,
            parked: column(row, "parked")?,
        },
        steps: Vec::new(),
        receivers: Vec::new(),
    })
}

fn step(row: &SqliteRow) -> Read<StepRow> {
    Ok(StepRow {
        ordinal: column(row, "ordinal")?,
        kind: column(row, "kind")?,
        location: column(row, "location")?,
        state: column(row, "state")?,
        path: column(row, "path")?,
        bytes: column(row, "bytes")?,
        attempts: column(row, "attempts")?,
        digest: column(row, "digest")?,
        fingerprint: column(row, "fingerprint")?,
        last_error: column(row, "last_error")?,
        updated: time(row, "updated")?,
    })
}

fn receiver(row: &SqliteRow) -> Read<ReceiverRow> {
    Ok(ReceiverRow {
        ordinal: column(row, "ordinal")?,
        receiver: column(row, "receiver")?,
        state: column(row, "state")?,
        path: column(row, "path")?,
        method: column(row, "method")?,
        attempts: column(row, "attempts")?,
        last_error: column(row, "last_error")?,
        updated: time(row, "updated")?,
    })
}

fn history_entry(row: &SqliteRow) -> Read<HistoryEntry> {
    let product = product(row)?;
    Ok(HistoryEntry {
        sequence: column(row, "sequence")?,
        id: column(row, "id")?,
        file_id: column(row, "file_id")?,
        sub_state: sub_state(row)?,
        result: column(row, "result")?,
        bytes: product.as_ref().map(|product| product.bytes),
        digest: product.map(|product| product.digest),
        user: column(row, "user")?,
        queued: time(row, "created")?,
        finished: time(row, "updated")?,
        alerts: json(row, "alerts")?,
        message: column(row, "message")?,
    })
}

fn product(row: &SqliteRow) -> Read<Option<ProductRow>> {
    match column::<Option<i64>>(row, "product_bytes")? {
        None => Ok(None),
        Some(_) => Ok(Some(ProductRow {
            bytes: unsigned(row, "product_bytes")?,
            digest: column::<Option<String>>(row, "product_digest")?.unwrap_or_default(),
        })),
    }
}

fn column<'r, T: sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite>>(row: &'r SqliteRow, name: &str) -> Read<T> {
    row.try_get(name).map_err(|error| malformed(&format!("column {name}"), &error.to_string()))
}

fn unsigned(row: &SqliteRow, name: &str) -> Read<u64> {
    let value: i64 = column(row, name)?;
    u64::try_from(value).map_err(|_| malformed(&format!("column {name}"), &value.to_string()))
}

fn time(row: &SqliteRow, name: &str) -> Read<Timestamp> {
    let text: String = column(row, name)?;
    text.parse().map_err(|_| malformed(&format!("time {name}"), &text))
}

fn json<T: serde::de::DeserializeOwned>(row: &SqliteRow, name: &str) -> Read<T> {
    let text: String = column(row, name)?;
    serde_json::from_str(&text).map_err(|_| malformed(&format!("JSON column {name}"), &text))
}

fn sub_state(row: &SqliteRow) -> Read<SubState> {
    let text: String = column(row, "sub_state")?;
    SubState::from_name(&text).ok_or_else(|| malformed("column sub_state", &text))
}

fn malformed(what: &str, text: &str) -> StoreErrorKind {
    let text = text.chars().take(SHOWN_CHARACTERS).flat_map(char::escape_default).collect();
    StoreErrorKind::Malformed { what: what.to_owned(), text }
}
