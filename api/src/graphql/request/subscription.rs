//! Requests, live.

use std::sync::Arc;

use async_graphql::{Context, ID, Subscription};
use domain::request::query as requests;
use domain::run::tail;
use futures_util::stream::{self, Stream};

use super::TimelineItem;
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{Error, Result};
use crate::graphql::node;

/// Requests, live.
#[derive(Default)]
pub struct RequestSubscription;

#[Subscription]
impl RequestSubscription {
    /// A request's timeline: first what already happened after the cursor, then live, without end.
    async fn request_timeline(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The request's global id.")] request_id: ID,
        #[graphql(
            desc = "The sequence of the last entry that the caller has; 0 for all.",
            default = 0
        )]
        after: i32,
    ) -> Result<impl Stream<Item = Result<TimelineItem>> + use<>> {
        let request = node::parse_field(&request_id, "requestId")?;
        let actor = ctx.actor().clone();
        let timeline = tail::timeline(ctx.store(), &actor, request, after.into()).await?;
        let last = i64::from(after);
        Ok(stream::unfold(
            Some((timeline, actor, last)),
            async |state| {
                let (mut timeline, actor, mut last) = state?;
                loop {
                    match timeline.next().await {
                        Ok(row) => {
                            last = row.seq;
                            if requests::shows(&actor, &row) {
                                return Some((
                                    TimelineItem::of(Arc::unwrap_or_clone(row)),
                                    Some((timeline, actor, last)),
                                ));
                            }
                        }
                        Err(error) => return Some((Err(Error::from(error).at(last)), None)),
                    }
                }
            },
        ))
    }
}
