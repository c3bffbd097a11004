//! Changes as SQL: one function a change, run by the writer inside a savepoint.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::SqliteConnection;

use crate::store::error::StoreErrorKind;
use crate::store::rows::{Change, NewDaq, ReceiverRow, StatusRow, StepRow};
use crate::workspace::check_name;

/// Applies one change.
pub(in crate::store) async fn apply(connection: &mut SqliteConnection, change: &Change) -> Result<(), StoreErrorKind> {
    match change {
        Change::InsertDaq(new) => insert_daq(connection, new).await,
        Change::SetStatus { id, row } => set_status(connection, id, row).await,
        Change::PutStep { id, row } => put_step(connection, id, row).await,
        Change::PutReceiver { id, row } => put_receiver(connection, id, row).await,
        Change::SetSetting { name, value } => set_setting(connection, name, value).await,
        Change::RemoveSetting { name } => remove_setting(connection, name).await,
        Change::SetPriority { id, priority } => set_priority(connection, id, *priority).await,
        Change::DeleteHistory { ids } => delete_history(connection, ids).await,
        Change::TrimHistory { keep } => trim_history(connection, *keep).await,
    }
}

/// Time as it stands in the database: fixed width, so that it sorts as text.
pub(in crate::store) fn time_text(time: Timestamp) -> String {
    format!("{time:.9}")
}

async fn insert_daq(connection: &mut SqliteConnection, new: &NewDaq) -> Result<(), StoreErrorKind> {
    // Both become paths: a bad one must not enter the database, whatever the layers above have checked.
    check_name(&new.id)?;
    check_name(&new.file_id)?;
    let inserted = sqlx::query(
        "INSERT INTO daq (id, file_id, priority, user, specification_digest, root, created, sub_state, finished, alerts, \
         result, message, updated, timings, attempts, parked) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'Scheduled', 0, '[]', '', '', ?7, '{}', 0, 0)",
    )
    .bind(&new.id)
    .bind(&new.file_id)
    .bind(new.priority)
    .bind(&new.user)
    .bind(&new.specification_digest)
    .bind(&new.root)
    .bind(time_text(new.created))
    .execute(&mut *connection)
    .await
    .map_err(|error| match error.as_database_error() {
        // The id is the only unique column besides the sequence, which SQLite chooses.
        Some(database) if database.is_unique_violation() => StoreErrorKind::DuplicateDaq { id: new.id.clone() },
        _ => StoreErrorKind::of_write(error),
    })?;
    sqlx::query("INSERT INTO specification (sequence, text) VALUES (?1, ?2)")
        .bind(inserted.last_insert_rowid())
        .bind(&new.specification)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(StoreErrorKind::of_write)
}

async fn set_status(connection: &mut SqliteConnection, id: &str, row: &StatusRow) -> Result<(), StoreErrorKind> {
    let product_bytes = match &row.product {
        Some(product) => Some(i64::try_from(product.bytes).map_err(|_| unstorable(id, "the product's size"))?),
        None => None,
    };
    let outcome = sqlx::query(
        "UPDATE daq SET sub_state = ?2, finished = ?3, alerts = ?4, result = ?5, message = ?6, updated = ?7, \
         product_bytes = ?8, product_digest = ?9, timings = ?10, attempts = ?11, parked = ?12 WHERE id = ?1",
    )
    .bind(id)
    .bind(row.sub_state.as_str())
    .bind(row.sub_state.is_final())
    .bind(json_text(id, "the list of alerts", &row.alerts)?)
    .bind(&row.result)
    .bind(&row.message)
    .bind(time_text(row.timestamp))
    .bind(product_bytes)
    .bind(row.product.as_ref().map(|product| &product.digest))
    .bind(json_text(id, "the timings", &row.timings)?)
    .bind(row.attempts)
    .bind(row.parked)
    .execute(connection)
    .await;
    changed_one(outcome, id)
}

async fn put_step(connection: &mut SqliteConnection, id: &str, row: &StepRow) -> Result<(), StoreErrorKind> {
    let outcome = sqlx::query(
        "INSERT OR REPLACE INTO step (sequence, kind, ordinal, location, state, path, bytes, attempts, digest, \
         fingerprint, last_error, updated) \
         SELECT sequence, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12 FROM daq WHERE id = ?1",
    )
    .bind(id)
    .bind(&row.kind)
    .bind(row.ordinal)
    .bind(&row.location)
    .bind(&row.state)
    .bind(&row.path)
    .bind(row.bytes)
    .bind(row.attempts)
    .bind(&row.digest)
    .bind(&row.fingerprint)
    .bind(&row.last_error)
    .bind(time_text(row.updated))
    .execute(connection)
    .await;
    changed_one(outcome, id)
}

async fn put_receiver(connection: &mut SqliteConnection, id: &str, row: &ReceiverRow) -> Result<(), StoreErrorKind> {
    let outcome = sqlx::query(
        "INSERT OR REPLACE INTO receiver (sequence, ordinal, receiver, state, path, method, attempts, last_error, \
         updated) SELECT sequence, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM daq WHERE id = ?1",
    )
    .bind(id)
    .bind(row.ordinal)
    .bind(&row.receiver)
    .bind(&row.state)
    .bind(&row.path)
    .bind(&row.method)
    .bind(row.attempts)
    .bind(&row.last_error)
    .bind(time_text(row.updated))
    .execute(connection)
    .await;
    changed_one(outcome, id)
}

async fn set_setting(connection: &mut SqliteConnection, name: &str, value: &str) -> Result<(), StoreErrorKind> {
    sqlx::query("INSERT OR REPLACE INTO setting (name, value) VALUES (?1, ?2)")
        .bind(name)
        .bind(value)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(StoreErrorKind::of_write)
}

async fn remove_setting(connection: &mut SqliteConnection, name: &str) -> Result<(), StoreErrorKind> {
    sqlx::query("DELETE FROM setting WHERE name = ?1")
        .bind(name)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(StoreErrorKind::of_write)
}

async fn set_priority(connection: &mut SqliteConnection, id: &str, priority: i64) -> Result<(), StoreErrorKind> {
    let outcome =
        sqlx::query("UPDATE daq SET priority = ?2 WHERE id = ?1").bind(id).bind(priority).execute(connection).await;
    changed_one(outcome, id)
}

async fn delete_history(connection: &mut SqliteConnection, ids: &[String]) -> Result<(), StoreErrorKind> {
    for id in ids {
        let finished: Option<bool> = sqlx::query_scalar("SELECT finished FROM daq WHERE id = ?1")
            .bind(id)
            .fetch_optional(&mut *connection)
            .await
            .map_err(StoreErrorKind::of_write)?;
        if finished == Some(false) {
            return Err(StoreErrorKind::ActiveDaq { id: id.clone() });
        }
        // Its journal goes with it (ON DELETE CASCADE).
        sqlx::query("DELETE FROM daq WHERE id = ?1")
            .bind(id)
            .execute(&mut *connection)
            .await
            .map_err(StoreErrorKind::of_write)?;
    }
    Ok(())
}

async fn trim_history(connection: &mut SqliteConnection, keep: u32) -> Result<(), StoreErrorKind> {
    sqlx::query(
        "DELETE FROM daq WHERE finished = 1 AND sequence <= \
         (SELECT sequence FROM daq WHERE finished = 1 ORDER BY sequence DESC LIMIT 1 OFFSET ?1)",
    )
    .bind(keep)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreErrorKind::of_write)
}

fn changed_one(outcome: Result<sqlx::sqlite::SqliteQueryResult, sqlx::Error>, id: &str) -> Result<(), StoreErrorKind> {
    match outcome {
        Err(error) => Err(StoreErrorKind::of_write(error)),
        Ok(result) if result.rows_affected() == 0 => Err(StoreErrorKind::UnknownDaq { id: id.to_owned() }),
        Ok(_) => Ok(()),
    }
}

fn json_text<T: Serialize>(id: &str, what: &'static str, value: &T) -> Result<String, StoreErrorKind> {
    serde_json::to_string(value).map_err(|_| unstorable(id, what))
}

fn unstorable(id: &str, what: &'static str) -> StoreErrorKind {
    StoreErrorKind::Unstorable { id: id.to_owned(), what }
}
