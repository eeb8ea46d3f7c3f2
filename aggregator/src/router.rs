//! Every route of the server.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use wire::limits::MAX_BATCH_BYTES;

use crate::access::{Guarded, authorize};
use crate::api::{
    budgets, components, health, intensity, nodes, plan, runs, series, stages, tokens,
};
use crate::app::App;
use crate::error::ApiError;
use crate::token::Need;
use crate::{ingest, openapi, page};

/// Bytes of a request's body, where a route sets no limit of its own.
const MAX_BODY_BYTES: usize = 4 << 20;

/// The whole HTTP side: four groups of routes, by who may call them.
pub fn router(app: Arc<App>) -> Router {
    let for_whom = |need| {
        let app = Arc::clone(&app);
        middleware::from_fn_with_state(Guarded { app, need }, authorize)
    };
    let probes = Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready));
    let batches = post(ingest::post_batch).layer(DefaultBodyLimit::max(MAX_BATCH_BYTES));
    let agents = Router::new()
        .route("/v1/batches", batches)
        .route_layer(for_whom(Need::Ingest));
    let readers = Router::new()
        .route("/", get(page::index))
        .route("/page.js", get(page::script))
        .route("/page.css", get(page::style))
        .route("/api/v1/runs", get(runs::list))
        .route("/api/v1/runs/{run}/report", get(runs::report))
        .route("/api/v1/stages", get(stages::list))
        .route("/api/v1/nodes", get(nodes::list))
        .route("/api/v1/series", get(series::list))
        .route("/api/v1/components", get(components::list))
        .route("/api/v1/intensity", get(intensity::list))
        .route("/api/v1/budgets", get(budgets::list))
        .route("/api/v1/budget-states", get(budgets::states))
        .route("/api/v1/plan", get(plan::greenest))
        .route("/api/v1/plan/score", get(plan::score))
        .route("/api/v1/openapi.json", get(openapi::document))
        .route("/metrics", get(health::metrics))
        .route_layer(for_whom(Need::Read));
    let admins = Router::new()
        .route("/api/v1/intensity", post(intensity::add))
        .route(
            "/api/v1/budgets/{name}",
            put(budgets::set).delete(budgets::remove),
        )
        .route("/api/v1/tokens", get(tokens::list).post(tokens::create))
        .route("/api/v1/tokens/{id}", delete(tokens::revoke))
        .route_layer(for_whom(Need::Admin));
    Router::new()
        .merge(probes)
        .merge(agents)
        .merge(readers)
        .merge(admins)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), observe))
        .with_state(app)
}

async fn not_found(request: Request) -> ApiError {
    let message = format!("there is nothing at {}", request.uri().path());
    ApiError::new(StatusCode::NOT_FOUND, message)
}

async fn method_not_allowed(request: Request) -> ApiError {
    let message = format!(
        "{} does not take {}",
        request.uri().path(),
        request.method()
    );
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message)
}

/// Measures each request under its route, so that no path a client makes up becomes a series.
async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = match *request.method() {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    };
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    let seconds = started.elapsed().as_secs_f64();
    app.metrics
        .observe_request(method, route, response.status().as_u16(), seconds);
    response
}
