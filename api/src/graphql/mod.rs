//! The GraphQL API, as `schema.graphql` has it: types are newtypes over rows, queries read through the
//! domain's scoped queries, mutations hand a command to the store, subscriptions follow a tail.

pub mod actor;
pub mod admin;
pub mod alert;
pub mod approval;
pub mod budget;
pub mod context;
pub mod coworker;
pub mod error;
pub mod filter;
pub mod hook;
pub mod kind;
pub mod limits;
pub mod loader;
pub mod metric;
pub mod node;
pub mod page;
pub mod request;
pub mod run;
pub mod scalar;
pub mod skill;
pub mod tool;

use std::sync::Arc;

use async_graphql::{MergedObject, MergedSubscription, SDLExportOptions, SchemaBuilder};
use domain::model::KnownProviders;
use domain::secret::Vault;
use domain::store::Store;
use domain::tool::Outside;

use context::{Behind, Shared};

/// Everything that can be read. Every answer stays within the workspace of the caller's API key.
#[derive(MergedObject, Default)]
pub struct Query(
    admin::AdminQuery,
    hook::HookQuery,
    request::RequestQuery,
    coworker::CoworkerQuery,
    skill::SkillQuery,
    run::RunQuery,
    approval::ApprovalQuery,
    metric::MetricQuery,
    tool::ToolQuery,
    alert::AlertQuery,
);

/// Everything that can be changed. An expected refusal (an empty title, a missing permission, a conflict) comes back in the
/// payload's `userErrors` and changes nothing; top-level errors are for authentication, validation, limits and faults.
#[derive(MergedObject, Default)]
pub struct Mutation(
    request::RequestMutation,
    coworker::CoworkerMutation,
    coworker::PublishMutation,
    skill::SkillMutation,
    run::RunMutation,
    approval::ApprovalMutation,
    admin::AdminMutation,
    admin::PriceMutation,
    hook::HookMutation,
    tool::ToolMutation,
    tool::SecretMutation,
    alert::AlertMutation,
);

/// Everything that can be watched live. `runSteps`, `runEvents` and `requestTimeline` promise every item after the cursor, once and in
/// order, or one error with a code, and the last cursor as `extensions.cursor`; never silence.
#[derive(MergedSubscription, Default)]
pub struct Subscription(
    run::RunSubscription,
    request::RequestSubscription,
    approval::ApprovalSubscription,
    metric::MetricSubscription,
);

/// What a query may cost: roughly, how many objects it may ask for.
const POINTS: usize = 1_000;

/// The executable schema.
pub type Schema = async_graphql::Schema<Query, Mutation, Subscription>;

/// The schema over a store, what keeps its secrets, the way to the tools of servers, and the providers of models that
/// this process has. `ui_url` is the address of a
/// frontend's page of a request, with `{number}` in the place of its number.
pub fn schema(
    store: Store,
    vault: Vault,
    outside: Arc<Outside>,
    providers: KnownProviders,
    ui_url: Option<String>,
    behind: Behind,
) -> Schema {
    let shared = Shared::new(store, vault, outside, providers, ui_url, behind);
    builder().data(Arc::new(shared)).finish()
}

/// The contract, as the code has it.
pub fn sdl() -> String {
    let options = SDLExportOptions::new()
        .include_specified_by()
        .prefer_single_line_descriptions()
        .use_space_ident()
        .indent_width(2);
    builder().finish().sdl_with_options(options)
}

/// The limits that async-graphql watches by itself. Depth is not among them, because it would count
/// introspection too: [`limits`] measures it, and everything else about a document, before.
fn builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    async_graphql::Schema::build(
        Query::default(),
        Mutation::default(),
        Subscription::default(),
    )
    .register_output_type::<node::Node>()
    .register_output_type::<request::TimelineEntry>()
    .limit_complexity(POINTS)
    .limit_aliases(limits::ALIASES as usize)
    .limit_directives(limits::DIRECTIVES as usize)
    .disable_suggestions()
}
