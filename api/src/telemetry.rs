//! What operators collect: figures at `/metrics`, spans sent to an OpenTelemetry collector.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use domain::store::Store;
use domain::telemetry::{figure, trace};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::global;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio_util::sync::CancellationToken;

/// How long the database may take to say how much work there is.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often what histograms gathered is summed up, whether somebody collects it or not.
const UPKEEP: Duration = Duration::from_secs(5);
/// How long a collector may take.
const EXPORT: Duration = Duration::from_secs(10);

static FIGURES: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// The process's figures; counted from the first call on. None if another recorder has them.
fn figures() -> Option<&'static PrometheusHandle> {
    FIGURES
        .get_or_init(|| {
            let seconds = Matcher::Suffix("_seconds".to_owned());
            let built = PrometheusBuilder::new()
                .set_buckets_for_metric(seconds, &figure::TIMES)
                .and_then(|builder| {
                    let batch = Matcher::Full(figure::BATCH.to_owned());
                    builder.set_buckets_for_metric(batch, &figure::SIZES)
                });
            let recorder = built.ok()?.build_recorder();
            let handle = recorder.handle();
            metrics::set_global_recorder(recorder).ok()?;
            figure::describe();
            Some(handle)
        })
        .as_ref()
}

/// Begins to count, and sums up what was counted until `until`.
pub async fn keep_counting(until: CancellationToken) {
    let Some(figures) = figures() else { return };
    while until
        .run_until_cancelled(tokio::time::sleep(UPKEEP))
        .await
        .is_some()
    {
        figures.run_upkeep();
    }
}

/// The figures of this process, and how much work the installation has, in Prometheus' text format.
pub async fn render(store: &Store) -> String {
    let Some(figures) = figures() else {
        return String::new();
    };
    match tokio::time::timeout(PATIENCE, figure::look(store)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, "the work of the installation could not be counted")
        }
        Err(_) => tracing::warn!("the database did not say in time how much work there is"),
    }
    figures.render()
}

/// Spans on their way to a collector.
pub struct Spans {
    provider: SdkTracerProvider,
    /// What makes them.
    pub tracer: SdkTracer,
}

impl Spans {
    /// Sends spans to the OpenTelemetry collector at this address, over HTTP.
    ///
    /// # Errors
    /// One sentence that says what is wrong with the address.
    pub fn to(endpoint: &str) -> anyhow::Result<Self> {
        let base = endpoint.trim_end_matches('/');
        if !(base.starts_with("http://") || base.starts_with("https://")) {
            bail!(
                "--otlp-endpoint (STINT_OTLP_ENDPOINT) is {endpoint:?}; give the collector's HTTP address, such as http://localhost:4318"
            );
        }
        let address = format!("{base}/v1/traces");
        // Its client has a runtime of its own, which must not begin or end inside another one.
        let build = move || {
            SpanExporter::builder()
                .with_http()
                .with_endpoint(address)
                .with_timeout(EXPORT)
                .build()
        };
        let exporter = std::thread::spawn(build)
            .join()
            .map_err(|_| anyhow!("the exporter of spans can't be made"))?
            .with_context(|| format!("spans can't be sent to {endpoint}"))?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(
                Resource::builder()
                    .with_service_name("stint")
                    .with_attribute(opentelemetry::KeyValue::new(
                        "service.version",
                        env!("CARGO_PKG_VERSION"),
                    ))
                    // Of the nodes of an installation, which.
                    .with_attribute(opentelemetry::KeyValue::new(
                        "process.pid",
                        i64::from(std::process::id()),
                    ))
                    .build(),
            )
            .build();
        global::set_text_map_propagator(TraceContextPropagator::new());
        global::set_tracer_provider(provider.clone());
        trace::turn_on();
        Ok(Self {
            tracer: provider.tracer("stint"),
            provider,
        })
    }

    /// Sends what has not been sent yet; waits for the collector for a few seconds.
    pub fn finish(self) {
        let shut = std::thread::spawn(move || self.provider.shutdown_with_timeout(EXPORT)).join();
        match shut {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last spans could not be sent"),
            Err(_) => tracing::warn!("the last spans could not be sent"),
        }
    }
}
