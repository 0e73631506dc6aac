//! Buckets.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use sandkeep_api::{
    BucketInfo, BucketLifecycle, BucketList, CreateBucket, ErrorCode, InvalidInput, MigrationInfo,
    MigrationRequest,
};
use url::form_urlencoded;

use super::{App, Name, Result};
use crate::http::body;

pub(super) async fn list(State(services): App) -> Result<Json<BucketList>> {
    Ok(Json(BucketList { buckets: services.buckets().await? }))
}

pub(super) async fn create(State(services): App, request: Request) -> Result<(StatusCode, Json<BucketInfo>)> {
    let CreateBucket { name } = body::typed(request).await?;
    Ok((StatusCode::CREATED, Json(services.create_bucket(&name).await?)))
}

pub(super) async fn get(State(services): App, Name(name): Name) -> Result<Json<BucketInfo>> {
    Ok(Json(services.bucket(&name).await?))
}

pub(super) async fn delete(State(services): App, Name(name): Name, parts: Parts) -> Result<StatusCode> {
    services.delete_bucket(&name, force(parts.uri.query().unwrap_or_default())?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `?force=true`, and nothing else.
fn force(query: &str) -> std::result::Result<bool, InvalidInput> {
    let refuse = |message: String| Err(InvalidInput::new(ErrorCode::ValidationFailed, message));
    let mut force = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name != "force" {
            return refuse(format!("unknown query parameter `{name}`, expected `force`"));
        }
        let Ok(value) = value.parse() else {
            return refuse("query parameter `force` must be true or false".to_owned());
        };
        if force.replace(value).is_some() {
            return refuse("query parameter `force` is given twice".to_owned());
        }
    }
    Ok(force.unwrap_or(false))
}

pub(super) async fn lifecycle(State(services): App, Name(name): Name) -> Result<Json<BucketLifecycle>> {
    Ok(Json(services.bucket_lifecycle(&name).await?))
}

pub(super) async fn set_lifecycle(
    State(services): App,
    Name(name): Name,
    request: Request,
) -> Result<Json<BucketLifecycle>> {
    let lifecycle = body::typed(request).await?;
    Ok(Json(services.set_bucket_lifecycle(&name, lifecycle).await?))
}

pub(super) async fn migrate(
    State(services): App,
    Name(name): Name,
    request: Request,
) -> Result<(StatusCode, Json<MigrationInfo>)> {
    let options: MigrationRequest = body::typed(request).await?;
    Ok((StatusCode::ACCEPTED, Json(services.migrate_bucket(&name, options).await?)))
}

pub(super) async fn migration(State(services): App, Name(name): Name) -> Result<Json<MigrationInfo>> {
    Ok(Json(services.bucket_migration(&name).await?))
}

pub(super) async fn cancel(State(services): App, Name(name): Name) -> Result<Json<MigrationInfo>> {
    Ok(Json(services.cancel_migration(&name).await?))
}
