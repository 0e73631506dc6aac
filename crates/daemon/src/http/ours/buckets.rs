//! Buckets of the embedded store.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use sandkeep_api::{BucketInfo, BucketList, CreateBucket};

use super::{App, Name, Result};
use crate::http::body;

pub(super) async fn list(State(services): App) -> Result<Json<BucketList>> {
    Ok(Json(BucketList { buckets: services.buckets().await? }))
}

pub(super) async fn create(State(services): App, request: Request) -> Result<(StatusCode, Json<BucketInfo>)> {
    let CreateBucket { name } = body::typed(request).await?;
    Ok((StatusCode::CREATED, Json(services.create_bucket(&name).await?)))
}

pub(super) async fn delete(State(services): App, Name(name): Name) -> Result<StatusCode> {
    services.delete_bucket(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}
