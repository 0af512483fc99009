//! The keys that seal.

use async_trait::async_trait;

use super::{Doing, SqliteStore, row::Columns};
use crate::{
    seal::DataKeyRow,
    store::{KeyStore, StoreError},
};

#[async_trait]
impl KeyStore for SqliteStore {
    async fn data_keys(&self) -> Result<Vec<DataKeyRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, purpose, wrapped, check_value, created_at FROM data_keys ORDER BY created_at, id",
        )
        .fetch_all(&self.readers)
        .await
        .doing("read the data keys")?;
        rows.iter()
            .map(|row| {
                let mut columns = Columns::new(row);
                Ok(DataKeyRow {
                    id: columns.bytes("data_keys.id")?,
                    purpose: columns.read("data_keys.purpose")?,
                    wrapped: columns.read("data_keys.wrapped")?,
                    check: columns.read("data_keys.check_value")?,
                    created_at: columns.time("data_keys.created_at")?,
                })
            })
            .collect()
    }

    async fn add_first_data_keys(&self, keys: &[DataKeyRow]) -> Result<bool, StoreError> {
        const DOING: &str = "add the first data keys";
        let mut step = self.step(DOING).await?;
        let mut added = 0;
        for key in keys {
            added += sqlx::query(
                "INSERT INTO data_keys (id, purpose, wrapped, check_value, created_at)
                 SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT 1 FROM data_keys WHERE purpose = $2)",
            )
            .bind(key.id.as_slice())
            .bind(&key.purpose)
            .bind(&key.wrapped)
            .bind(&key.check)
            .bind(key.created_at.micros())
            .execute(&mut *step)
            .await
            .doing(DOING)?
            .rows_affected();
        }
        step.commit().await.doing(DOING)?;
        Ok(added > 0)
    }
}
