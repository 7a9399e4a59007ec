//! Connections: pages of lists as Relay has them.

use async_graphql::SimpleObject;

/// Where a page stands within its list.
#[derive(SimpleObject, Clone, Debug, PartialEq, Eq)]
pub struct PageInfo {
    /// Whether the list goes on after this page.
    pub has_next_page: bool,
    /// Whether the list has something before this page.
    pub has_previous_page: bool,
    /// The cursor of the page's first edge; null on an empty page.
    pub start_cursor: Option<String>,
    /// The cursor of the page's last edge; null on an empty page.
    pub end_cursor: Option<String>,
}

/// The points of a connection: one for each item that is asked for, and a tenth of what its fields cost.
/// So a page of 100 with 90 fields is within the limit, as is a list of 50 in each of 50 items.
pub fn points(first: Option<i32>, last: Option<i32>, item: usize) -> usize {
    let items = match first.or(last) {
        Some(size) => usize::try_from(size)
            .unwrap_or(0)
            .min(domain::page::MAX as usize),
        None => domain::page::DEFAULT as usize,
    };
    items_points(items, item)
}

/// The points of a list of so many items.
pub fn items_points(items: usize, item: usize) -> usize {
    1 + items * (1 + item / 10)
}

/// The points of a connection, within a `complexity` attribute.
///
/// Naming `first` and `last` there would be shorter, but async-graphql then refuses every query that
/// leaves a variable of its own out ("Variable last is not defined").
macro_rules! page_points {
    ($ctx:ident, $variables:ident, $field:ident, $item:ident) => {
        $crate::graphql::page::points(
            $ctx.param_value($variables, $field, "first", None)
                .ok()
                .flatten(),
            $ctx.param_value($variables, $field, "last", None)
                .ok()
                .flatten(),
            $item,
        )
    };
}

/// A connection and its edge over nodes that are made from rows.
macro_rules! connection {
    (
        $doc:literal $name:ident, $edge_doc:literal $edge:ident of $node:ty,
        edges: $edges:literal, nodes: $nodes:literal, total: $total:literal, cursor: $cursor:literal, node: $one:literal $(,)?
    ) => {
        #[doc = $edge_doc]
        pub struct $edge {
            cursor: String,
            node: $node,
        }

        #[doc = $edge_doc]
        #[::async_graphql::Object]
        impl $edge {
            #[doc = $cursor]
            async fn cursor(&self) -> &str {
                &self.cursor
            }

            #[doc = $one]
            #[graphql(complexity = "child_complexity")]
            async fn node(&self) -> &$node {
                &self.node
            }
        }

        #[doc = $doc]
        pub struct $name {
            edges: Vec<$edge>,
            info: $crate::graphql::page::PageInfo,
            total: ::domain::page::Total,
        }

        #[doc = $doc]
        #[::async_graphql::Object]
        impl $name {
            #[doc = $edges]
            #[graphql(complexity = "child_complexity")]
            async fn edges(&self) -> &[$edge] {
                &self.edges
            }

            #[doc = $nodes]
            #[graphql(complexity = "child_complexity")]
            async fn nodes(&self) -> Vec<&$node> {
                self.edges.iter().map(|edge| &edge.node).collect()
            }

            /// Where this page stands within the list.
            #[graphql(complexity = 0)]
            async fn page_info(&self) -> &$crate::graphql::page::PageInfo {
                &self.info
            }

            #[doc = $total]
            async fn total_count(
                &self,
                ctx: &::async_graphql::Context<'_>,
            ) -> $crate::graphql::error::Result<i32> {
                let store = $crate::graphql::context::ContextExt::store(ctx);
                Ok($crate::graphql::scalar::int(
                    self.total.count(store.read()).await?,
                ))
            }
        }

        impl<M: Into<$node>> From<::domain::page::Page<M>> for $name {
            fn from(page: ::domain::page::Page<M>) -> Self {
                let ::domain::page::Page {
                    edges,
                    has_next,
                    has_previous,
                    total,
                } = page;
                let edges: Vec<$edge> = edges
                    .into_iter()
                    .map(|(cursor, row)| $edge {
                        cursor,
                        node: row.into(),
                    })
                    .collect();
                let info = $crate::graphql::page::PageInfo {
                    has_next_page: has_next,
                    has_previous_page: has_previous,
                    start_cursor: edges.first().map(|edge| edge.cursor.clone()),
                    end_cursor: edges.last().map(|edge| edge.cursor.clone()),
                };
                Self { edges, info, total }
            }
        }
    };
}

pub(crate) use {connection, page_points};
