//! The contract is written by hand in `schema.graphql`; the code must say the same, definition by
//! definition, in whatever order.

use std::collections::BTreeMap;

use async_graphql_parser::parse_schema;
use async_graphql_parser::types::{
    ConstDirective, EnumType, EnumValueDefinition, FieldDefinition, InputObjectType,
    InputValueDefinition, InterfaceType, ObjectType, SchemaDefinition, ServiceDocument,
    TypeDefinition, TypeKind, TypeSystemDefinition, UnionType,
};
use async_graphql_parser::{Pos, Positioned};

const CONTRACT: &str = include_str!("../../schema.graphql");

#[test]
fn the_code_says_what_the_contract_says() {
    let code = api::graphql::sdl();
    let differences = differences(&definitions(CONTRACT), &definitions(&code));
    assert!(
        differences.is_empty(),
        "schema.graphql and the code differ in {} places:\n\n{}\n",
        differences.len(),
        differences.join("\n\n"),
    );
}

#[test]
fn every_definition_of_the_contract_is_described() {
    let bare: Vec<_> = definitions(CONTRACT)
        .into_iter()
        .filter(|(place, definition)| place != "schema" && definition.description.is_none())
        .map(|(place, definition)| format!("{place} (line {})", definition.line))
        .collect();
    assert!(
        bare.is_empty(),
        "without a description: {}",
        bare.join(", ")
    );
}

#[test]
fn a_difference_is_told_with_its_place() {
    let contract = definitions(
        r#"type A { "One." a: Int! b(x: Int = 1): ID c: String } union U = A | B enum E { V }"#,
    );
    let code = definitions(
        r#"enum E { V } type A { "Two." a: Int! b(x: Int = 2): ID! } union U = B | A scalar D"#,
    );
    let told = differences(&contract, &code);
    let expected = [
        "A.a is described differently\n  schema.graphql: One.\n  the code:       Two.",
        "A.b differs\n  schema.graphql: ID\n  the code:       ID!",
        "A.b(x) differs\n  schema.graphql: Int = 1\n  the code:       Int = 2",
        "A.c stands only in schema.graphql (line 1): String",
        "D stands only in the code: scalar",
    ];
    assert_eq!(told, expected);
}

/// One thing that the schema defines: a type, a field, an argument, an enum value.
#[derive(Clone, Debug, PartialEq)]
struct Definition {
    /// All of it but its description, in one canonical line.
    text: String,
    description: Option<String>,
    line: usize,
}

type Definitions = BTreeMap<String, Definition>;

fn differences(contract: &Definitions, code: &Definitions) -> Vec<String> {
    let mut told = Vec::new();
    let places: std::collections::BTreeSet<_> = contract.keys().chain(code.keys()).collect();
    for place in places {
        match (contract.get(place), code.get(place)) {
            (Some(wanted), None) => {
                told.push(format!(
                    "{place} stands only in schema.graphql (line {}): {}",
                    wanted.line, wanted.text
                ));
            }
            (None, Some(made)) => {
                told.push(format!("{place} stands only in the code: {}", made.text))
            }
            (Some(wanted), Some(made)) => {
                if wanted.text != made.text {
                    told.push(compared(
                        &format!("{place} differs"),
                        &wanted.text,
                        &made.text,
                    ));
                }
                if wanted.description != made.description {
                    let [wanted, made] =
                        [wanted, made].map(|d| d.description.as_deref().unwrap_or("(nothing)"));
                    told.push(compared(
                        &format!("{place} is described differently"),
                        wanted,
                        made,
                    ));
                }
            }
            (None, None) => {}
        }
    }
    told
}

fn compared(what: &str, wanted: &str, made: &str) -> String {
    format!("{what}\n  schema.graphql: {wanted}\n  the code:       {made}")
}

fn definitions(sdl: &str) -> Definitions {
    let ServiceDocument { definitions } = parse_schema(sdl).expect("the schema can be parsed");
    let mut found = Found::default();
    for definition in definitions {
        match definition {
            TypeSystemDefinition::Schema(schema) => found.schema(&schema),
            TypeSystemDefinition::Type(definition) => found.definition(&definition),
            // Only those that GraphQL itself defines are printed, and the contract does not repeat them.
            TypeSystemDefinition::Directive(_) => {}
        }
    }
    found.0
}

#[derive(Default)]
struct Found(Definitions);

impl Found {
    fn put(
        &mut self,
        place: String,
        text: String,
        description: Option<&Positioned<String>>,
        pos: Pos,
    ) {
        let description = description.map(|description| description.node.clone());
        let twice = self.0.insert(
            place.clone(),
            Definition {
                text,
                description,
                line: pos.line,
            },
        );
        assert!(twice.is_none(), "{place} is defined twice");
    }

    fn schema(&mut self, Positioned { pos, node }: &Positioned<SchemaDefinition>) {
        let SchemaDefinition {
            query,
            mutation,
            subscription,
            ..
        } = node;
        let roots = [
            ("query", query),
            ("mutation", mutation),
            ("subscription", subscription),
        ];
        let roots = roots
            .iter()
            .filter_map(|(kind, root)| Some(format!("{kind}: {}", root.as_ref()?.node)));
        self.put(
            "schema".into(),
            roots.collect::<Vec<_>>().join(", "),
            None,
            *pos,
        );
    }

    fn definition(&mut self, Positioned { pos, node }: &Positioned<TypeDefinition>) {
        let TypeDefinition {
            extend,
            description,
            name,
            directives,
            kind,
        } = node;
        assert!(
            !extend,
            "{} is extended; the contract defines each type once",
            name.node
        );
        let name = name.node.to_string();
        let text = match kind {
            TypeKind::Scalar => "scalar".into(),
            TypeKind::Object(ObjectType { implements, fields }) => {
                self.fields(&name, fields);
                format!("type{}", listed(" implements ", implements, " & "))
            }
            TypeKind::Interface(InterfaceType { implements, fields }) => {
                self.fields(&name, fields);
                format!("interface{}", listed(" implements ", implements, " & "))
            }
            TypeKind::Union(UnionType { members }) => {
                format!("union{}", listed(" = ", members, " | "))
            }
            TypeKind::Enum(EnumType { values }) => {
                for Positioned {
                    pos,
                    node:
                        EnumValueDefinition {
                            description,
                            value,
                            directives,
                        },
                } in values
                {
                    let text = format!("value{}", annotated(directives));
                    self.put(
                        format!("{name}.{}", value.node),
                        text,
                        description.as_ref(),
                        *pos,
                    );
                }
                "enum".into()
            }
            TypeKind::InputObject(InputObjectType { fields }) => {
                for field in fields {
                    self.input(format!("{name}.{}", field.node.name.node), field);
                }
                "input".into()
            }
        };
        self.put(
            name,
            text + &annotated(directives),
            description.as_ref(),
            *pos,
        );
    }

    fn fields(&mut self, on: &str, fields: &[Positioned<FieldDefinition>]) {
        for Positioned {
            pos,
            node:
                FieldDefinition {
                    description,
                    name,
                    arguments,
                    ty,
                    directives,
                },
        } in fields
        {
            let place = format!("{on}.{}", name.node);
            for argument in arguments {
                self.input(format!("{place}({})", argument.node.name.node), argument);
            }
            self.put(
                place,
                format!("{}{}", ty.node, annotated(directives)),
                description.as_ref(),
                *pos,
            );
        }
    }

    fn input(
        &mut self,
        place: String,
        Positioned { pos, node }: &Positioned<InputValueDefinition>,
    ) {
        let InputValueDefinition {
            description,
            name: _,
            ty,
            default_value,
            directives,
        } = node;
        let default = default_value
            .as_ref()
            .map(|value| format!(" = {}", value.node))
            .unwrap_or_default();
        self.put(
            place,
            format!("{}{default}{}", ty.node, annotated(directives)),
            description.as_ref(),
            *pos,
        );
    }
}

/// Names in any order.
fn listed<N: ToString>(before: &str, names: &[Positioned<N>], between: &str) -> String {
    if names.is_empty() {
        return String::new();
    }
    let mut names: Vec<_> = names.iter().map(|name| name.node.to_string()).collect();
    names.sort();
    format!("{before}{}", names.join(between))
}

/// Directives in any order.
fn annotated(directives: &[Positioned<ConstDirective>]) -> String {
    let mut all: Vec<_> = directives
        .iter()
        .map(
            |Positioned {
                 node: ConstDirective { name, arguments },
                 ..
             }| {
                let mut given: Vec<_> = arguments
                    .iter()
                    .map(|(name, value)| format!("{}: {}", name.node, value.node))
                    .collect();
                given.sort();
                format!(" @{}({})", name.node, given.join(", "))
            },
        )
        .collect();
    all.sort();
    all.concat()
}
