//! Lists in the order of one moment of their rows.

/// Defines what a list is sorted by whose rows are told apart by a moment, and those of the same moment by their ids.
macro_rules! by_moment {
    ($(#[$doc:meta])* $key:ident of $table:ident by $(#[$when:meta])* $moment:ident = $name:literal, $field:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $key {
            $(#[$when])*
            $moment,
            /// The id.
            Id,
        }

        impl $crate::page::Key<$table::Entity> for $key {
            const TIE: Self = Self::Id;

            fn name(self) -> &'static str {
                match self {
                    Self::$moment => $name,
                    Self::Id => "id",
                }
            }

            fn is_unique(self) -> bool {
                matches!(self, Self::Id)
            }

            fn expr(self) -> sea_orm::sea_query::Expr {
                use sea_orm::ColumnTrait as _;
                match self {
                    Self::$moment => $table::Column::$moment.into_expr(),
                    Self::Id => $table::Column::Id.into_expr(),
                }
            }

            fn value(self, row: &$table::Model) -> $crate::page::KeyValue {
                match self {
                    Self::$moment => $crate::page::KeyValue::Int(row.$field.0),
                    Self::Id => $crate::page::KeyValue::Id(row.id.0),
                }
            }
        }
    };
}

pub(crate) use by_moment;
